"""Writes the generated pages of the documentation; with `--check` says which are out of date and changes nothing.

`python -m tools.docs [--check] [PAGE…]`: all pages, or those whose name ends so.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from tools import packages_table
from tools.pages import benchmarks, cli, drivers, elements, errors, etsi, features, overview, settings, states

ROOT = Path(__file__).resolve().parent.parent

PAGES: Mapping[str, Callable[[], str]] = {
    "docs/reference/settings.md": settings.settings,
    "docs/reference/cli.md": cli.cli,
    "docs/reference/errors.md": errors.errors,
    "docs/reference/states.md": states.states,
    "docs/images/operation-states.svg": states.operation_states,
    "docs/images/application-states.svg": states.application_states,
    "docs/images/compute-states.svg": states.compute_states,
    "docs/images/architecture.svg": overview.architecture,
    "docs/reference/drivers.md": drivers.drivers,
    "docs/reference/elements.md": elements.elements,
    "docs/reference/apis.md": etsi.served,
    "docs/reference/features.md": features.features,
    "README.md": lambda: benchmarks.figures((ROOT / "README.md").read_text()),
}
"""File -> what it shall hold."""


def pages() -> dict[str, Callable[[], str]]:
    """Every page that can be made here. Two need public data that is not part of the project."""
    found = dict(PAGES)
    if (official := etsi.official()) is not None:
        found["docs/reference/etsi-coverage.md"] = lambda: etsi.coverage(official)
    if (packages := packages_table.packages_folder()) is not None:
        found["docs/reference/packages.md"] = lambda: packages_table.table(packages)
    return found


def stale(name: str, make: Callable[[], str]) -> bool:
    """Whether a page differs from what the code says."""
    file = ROOT / name
    return not file.is_file() or file.read_text() != make()


def main(arguments: list[str]) -> int:
    """The command."""
    wanted = [one for one in arguments if not one.startswith("--")]
    chosen = {name: make for name, make in pages().items() if not wanted or name.endswith(tuple(wanted))}
    old = [name for name, make in chosen.items() if stale(name, make)]
    if "--check" in arguments:
        print(*(f"out of date: {name}; run `make reference`" for name in old), sep="\n", end="\n" if old else "")
        return 1 if old else 0
    for name in old:
        (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / name).write_text(chosen[name]())
        print(f"wrote {name}")
    missing = features.without_text()
    if missing:
        print(f"docs/features.toml lacks a text for: {', '.join(sorted(missing))}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
