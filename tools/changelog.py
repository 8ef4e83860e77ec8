"""Moves the fragments of `changelog/` into CHANGELOG.md at a release: `python -m tools.changelog VERSION`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KINDS = ("added", "changed", "fixed", "removed")


def fragments(folder: Path) -> list[Path]:
    """Every fragment, in the order of their names."""
    return sorted(file for file in folder.glob("*.md") if file.name != "README.md")


def kind(file: Path) -> str:
    """What a fragment is about; empty for a name that says nothing."""
    parts = file.name.split(".")
    return parts[1] if len(parts) == 3 and parts[1] in KINDS else ""


def section(version: str, day: str, files: Iterable[Path]) -> str:
    """The text of a release."""
    lines = [f"## {version} ({day})"]
    by_kind = {name: [file for file in files if kind(file) == name] for name in KINDS}
    for name, found in by_kind.items():
        if found:
            lines += [
                "",
                f"### {name.capitalize()}",
                "",
                *(f"- {' '.join(file.read_text().split())}" for file in found),
            ]
    return "\n".join(lines) + "\n"


def main(version: str) -> None:
    """The command."""
    files = fragments(ROOT / "changelog")
    target = ROOT / "CHANGELOG.md"
    head, mark, rest = target.read_text().partition("\n## ")
    new = section(version, datetime.now(UTC).date().isoformat(), files)
    target.write_text(f"{head.rstrip()}\n\n{new}{mark}{rest}")
    for file in files:
        file.unlink()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("say which version: python -m tools.changelog VERSION")
    main(sys.argv[1])
