"""`python -m benchmarks [--only NAME]`: measure, print a table, merge the figures into `benchmarks/latest.json`."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from importlib import import_module
from pathlib import Path

from benchmarks.figures import Scale, merge, table

LATEST = Path(__file__).parent / "latest.json"
SUITES = ("core", "engine", "api", "notify", "mec", "dataplane", "lvnf", "cache")


def main(argv: list[str] | None = None) -> int:
    """Always 0: a disturbed machine is no error. Figures beyond their bounds are red and named at the end."""
    asked = _arguments(argv)
    for name in SUITES if not asked.only else (asked.only,):
        suite = import_module(f"benchmarks.{name}")
        begun = time.monotonic()
        scale = Scale(rounds=asked.rounds, burst=asked.burst, bursts=asked.bursts, vim=asked.vim)
        found = asyncio.run(suite.measure(scale, lambda text: print(text, file=sys.stderr, flush=True)))
        table(f"{name}: {time.monotonic() - begun:.0f} s", found, suite.FIGURES)
        if asked.write:
            merge(asked.write, found)
    return 0


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", default="", choices=("", *SUITES), help="run this suite alone")
    parser.add_argument("--rounds", type=int, default=11, help="repeats of a single measurement")
    parser.add_argument("--burst", type=int, default=50, help="how many instances at once")
    parser.add_argument("--bursts", type=int, default=9, help="repeats of a measurement of many at once")
    parser.add_argument(
        "--vim", default="real", choices=("real", "simulated"), help="simulated tries the harness alone"
    )
    parser.add_argument("--write", type=Path, default=LATEST, help="file of figures to merge into")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
