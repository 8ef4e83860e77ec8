"""What all suites share: figures with their bounds, the table, the file."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Scale:
    """How much to measure. `vim` "simulated" runs the same harness without containers, to try the harness itself."""

    rounds: int = 11
    burst: int = 50
    bursts: int = 5
    vim: str = "real"


@dataclass(frozen=True)
class Figure:
    """What a figure means, and the most or the least that it may be (None: it is told for comparison only)."""

    text: str
    most: float | None = None
    least: float | None = None

    def holds(self, value: float) -> bool:
        """Whether the value is within the bound."""
        return (self.most is None or value <= self.most) and (self.least is None or value >= self.least)

    def bound(self) -> str:
        """The bound as people read it."""
        if self.most is not None:
            return f"≤ {self.most:g}"
        return "" if self.least is None else f"≥ {self.least:g}"


def median(values: Sequence[float]) -> float:
    """The middle of the repeats: one disturbed repeat does not move it."""
    return statistics.median(values)


def table(title: str, found: Mapping[str, float], known: Mapping[str, Figure]) -> None:
    """Print the figures with their bounds, and the names of those that are over."""
    shown = Table(title=title, title_justify="left")
    for heading in ("figure", "value", "bound"):
        shown.add_column(heading, no_wrap=True)
    shown.add_column("meaning")
    for name, value in found.items():
        figure = known[name]
        bound = figure.bound()
        colour = "" if not bound else "[green]" if figure.holds(value) else "[red]"
        shown.add_row(name, f"{colour}{value:g}", bound, figure.text)
    Console().print(shown)
    over = beyond(found, known)
    if over:
        print(f"beyond the bound: {', '.join(over)}")


def beyond(found: Mapping[str, float], known: Mapping[str, Figure]) -> list[str]:
    """The figures that are over their bounds."""
    return [name for name, value in found.items() if name in known and not known[name].holds(value)]


def merge(file: Path, found: Mapping[str, float]) -> None:
    """Write the figures over the older ones of the same names; what other suites wrote stays."""
    older = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps({**older, **found}, indent=2, sort_keys=True) + "\n")


def rounded(pairs: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Three digits after the point are more than any of these repeats."""
    return {name: round(value, 3) for name, value in pairs}
