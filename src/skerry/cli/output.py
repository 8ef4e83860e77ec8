"""Tables and progress for people. Data goes to stdout, progress to stderr; no colour where nobody looks."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

import click

from skerry.client.views import OperationView
from skerry.errors import InvalidError
from skerry.model.operations import Change
from skerry.model.states import OperationState, StepState

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

COLOURS = {
    "ACTIVE": "green",
    "COMPLETED": "green",
    "DONE": "green",
    "ONBOARDED": "green",
    "ENABLED": "green",
    "STARTED": "green",
    "ok": "green",
    "ERROR": "red",
    "FAILED": "red",
    "FAILED_TEMP": "red",
    "missing": "red",
    "PROCESSING": "yellow",
    "RUNNING": "yellow",
    "SCALING": "yellow",
    "ROLLING_BACK": "yellow",
}


def console(*, err: bool = False) -> Console:
    """A rich console; colours and width follow the terminal, a pipe gets plain wide text."""
    from rich.console import Console  # noqa: PLC0415  # people's output only

    stream = sys.stderr if err else sys.stdout
    plain = not stream.isatty()
    # None: a terminal may be without colours too (NO_COLOR)
    return Console(file=stream, highlight=False, no_color=plain or None, width=160 if plain else None, soft_wrap=False)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str = "") -> None:
    """A table that fits the terminal."""
    from rich.table import Column, Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    # folded: what does not fit is still there to be copied
    heads = [Column(name, overflow="fold") for name in columns]
    shown = Table(*heads, box=None, title=title or None, title_justify="left", pad_edge=False, header_style="bold")
    count = 0
    for row in rows:
        count += 1
        shown.add_row(*(Text(cell, style=COLOURS.get(cell, "")) for cell in row))
    if not count:
        click.echo("none", err=True)
        return
    screen = console()
    with screen.capture() as drawn:
        screen.print(shown)
    click.echo("\n".join(line.rstrip() for line in drawn.get().splitlines()))  # rich pads the last column


def facts(pairs: Iterable[tuple[str, str]]) -> None:
    """Names and values, one a line; empty values are left out."""
    rows = [(name, value) for name, value in pairs if value]
    width = max((len(name) for name, _ in rows), default=0)
    for name, value in rows:
        click.echo(f"{click.style(name.ljust(width), bold=True)}  {click.style(value, fg=COLOURS.get(value))}")


def note(text: str) -> None:
    """A line beside the answer."""
    click.echo(text, err=True)


def changes(lines: Sequence[Change]) -> None:
    """A plan for people."""
    marks = {"create": "+", "delete": "-", "replace": "±", "update": "~", "run": ">", "reuse": "="}
    rows = [
        (marks.get(line.effect, "?"), line.effect, line.resource, line.detail, "yes" if line.disrupts else "")
        for line in lines
    ]
    table(("", "EFFECT", "RESOURCE", "DETAIL", "DISRUPTS"), rows)


def picture(svg: str, file: Path) -> None:
    """Write a drawing to a file."""
    try:
        file.write_text(svg)
    except OSError as error:
        raise InvalidError(f"cannot write {file}: {error.strerror}", suggestion="name a file in a folder") from error
    note(f"drawn to {file}")


def short(id: str) -> str:
    """The beginning of an id that people can type."""
    return id[:8]


def brief(text: str) -> str:
    """A text with every UUID in it as `short` has it."""
    return _UUID.sub(lambda found: short(found[0]), text)


_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def size(count: float) -> str:
    """A number of bytes as people read it, in binary units."""
    for unit, digits in (("B", 0), ("KiB", 1), ("MiB", 1)):
        if count < 1024:
            return f"{count:.{digits}f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def capacity(given: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """What an infrastructure has, and how much of it is used, as facts."""
    for name, value in given.items():
        if isinstance(value, int | float):
            shown = size(value) if name.endswith("_bytes") else f"{value:g}"
            yield name.removesuffix("_bytes").replace("_", " "), shown


def ago(stamp: str, now: datetime) -> str:
    """How long ago a time was."""
    if not stamp:
        return ""
    seconds = (now - datetime.fromisoformat(stamp.replace("Z", "+00:00"))).total_seconds()
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return f"{max(0, int(seconds))}s"


def progress(views: Iterator[OperationView]) -> OperationView:
    """Show an operation going on until it settles; returns its last view."""
    return _bars(views) if sys.stderr.isatty() else _lines(views)


def _lines(views: Iterator[OperationView]) -> OperationView:
    """One line for every step that ended, for logs."""
    ended = _ended()
    last: OperationView | None = None
    for last in views:
        for line in ended(last):
            note(line)
    assert last is not None  # noqa: S101  # follow() yields at least once
    return last


def _bars(views: Iterator[OperationView]) -> OperationView:
    """The same lines, and below them what runs now."""
    ended = _ended()
    last: OperationView | None = None
    with _progress() as bars:
        task = bars.add_task("planning", total=None)
        for last in views:
            for line in ended(last):
                bars.console.print(line, markup=False)
            running = [step.note or step.key for step in last.steps if step.record.state is StepState.RUNNING]
            text = ", ".join(running[:2]) + (f" and {len(running) - 2} more" if len(running) > 2 else "")
            shown = text or last.operation.state.value
            bars.update(task, total=len(last.steps) or None, completed=_done(last), description=shown)
    assert last is not None  # noqa: S101  # follow() yields at least once
    return last


def _done(view: OperationView) -> int:
    return sum(step.record.state is StepState.DONE for step in view.steps)


def _ended() -> Callable[[OperationView], list[str]]:
    """What is new in the next view of an operation: a line for each step that ended."""
    seen: set[tuple[str, StepState]] = set()

    def new(view: OperationView) -> list[str]:
        marks = {(step.key, step.record.state): step.note or step.key for step in view.steps}
        told = [mark for mark in marks if mark not in seen and mark[1] in _ENDS]
        seen.update(marks)
        # one after another, also where the view has several that are new
        first = _done(view) - sum(state is StepState.DONE for _, state in told)
        counts = accumulate((state is StepState.DONE for _, state in told), initial=first)
        next(counts)
        return [
            f"[{count}/{len(view.steps)}] {state.lower():7} {marks[key, state]}"
            for count, (key, state) in zip(counts, told, strict=True)
        ]

    return new


_ENDS = frozenset({StepState.DONE, StepState.FAILED, StepState.UNDONE})


def _progress(*, counted: bool = True) -> Progress:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    return Progress(
        BarColumn(bar_width=24),
        *([MofNCompleteColumn()] if counted else []),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
        console=console(err=True),
        transient=True,
    )


@contextmanager
def waiting(text: str) -> Generator[None]:
    """While something takes long: what it is, and for how long already. Nothing where nobody looks."""
    if not sys.stderr.isatty():
        yield
        return
    with _progress(counted=False) as bars:
        bars.add_task(text, total=None)
        yield


FAILED = frozenset({OperationState.FAILED, OperationState.FAILED_TEMP, OperationState.ROLLED_BACK})
