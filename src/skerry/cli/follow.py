"""Starting life-cycle operations: at once, followed with progress, or only planned."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import click

from skerry.cli import exits, explained, output
from skerry.cli.session import Session
from skerry.client.views import OperationView
from skerry.errors import InvalidError
from skerry.model.explanation import verdicts_of

F = TypeVar("F", bound=Callable[..., Any])


class How(NamedTuple):
    """How a life-cycle command runs: to its end, in the background, or only planned (and drawn to `svg`)."""

    detach: bool = False
    dry_run: bool = False
    svg: Path | None = None


def lifecycle(function: F) -> F:
    """Options that every life-cycle command has; the command gets them as `how`."""

    @functools.wraps(function)
    def gathered(*args: Any, detach: bool, dry_run: bool, svg: Path | None, **kwargs: Any) -> Any:
        if svg and not dry_run:
            raise InvalidError("cannot draw a plan that is carried out", suggestion="give --dry-run with --svg")
        return function(*args, how=How(detach, dry_run, svg), **kwargs)

    made: Any = gathered
    for option in (
        click.option(
            "--svg", type=click.Path(path_type=Path, dir_okay=False), help="With --dry-run: also draw the plan."
        ),
        click.option("--dry-run", is_flag=True, help="Only show what would be done."),
        click.option("--detach", is_flag=True, help="Print the operation's id and do not wait for its end."),
        click.option("--file", "file", metavar="FILE", help="Body of the ETSI request as JSON or YAML; - reads stdin."),
    ):
        made = option(made)
    return cast("F", made)


def perform(session: Session, kind: str, id: str, params: Mapping[str, Any], how: How) -> None:
    """Plan, or start and follow, an operation; exits 7 if it fails."""
    if how.dry_run:
        planned(session, kind, id, params, how.svg)
        return
    started = session.node.start(kind, id, params)
    if how.detach:
        if session.as_json:
            session.emit({"operation": started, "subject": id})
        else:
            click.echo(started)
        return
    watch(session, started)


def planned(session: Session, kind: str, id: str, params: Mapping[str, Any], svg: Path | None) -> None:
    """Show what an operation would do, and why there; draw it to a file where one is named."""
    made = session.node.plan(kind, id, params)
    if svg:
        output.picture(session.node.draw(kind, id, params), svg)
    if session.as_json:
        session.emit(made)
        return
    output.changes(made.changes)
    explained.verdicts(verdicts_of(made))
    output.note(f"{len(made.changes)} changes in {len(made.steps)} steps; nothing was done")


def watch(session: Session, operation: str) -> None:
    """Follow an operation to its end and tell how it went; exits 7 if it failed, 130 if the user stops watching."""
    try:
        view = output.progress(session.node.follow(operation))
    except KeyboardInterrupt:
        name = output.short(operation)
        output.note(f"\nyou stopped watching; operation {name} goes on: `skerry op follow {name}`, `op cancel {name}`")
        raise SystemExit(exits.INTERRUPTED) from None
    if session.as_json:
        session.emit(view.operation)
    else:
        _summary(session, view)
    if view.operation.state in output.FAILED:
        raise SystemExit(exits.OPERATION_FAILED)


def _summary(session: Session, view: OperationView) -> None:
    operation = view.operation
    verb = operation.kind.partition(".")[2]
    click.echo(f"{verb} {operation.state} ({len(view.steps)} steps, operation {output.short(operation.id)})")
    if operation.state in output.FAILED:
        explained.failures(session.node.explain(operation.id), err=True)
        if operation.error:
            output.note(f"{click.style('error:', fg='red')} {operation.error}")
        advice = operation.suggestion or f"skerry op show {output.short(operation.id)}"
        choices = "; then `skerry op retry`, `rollback` or `fail`" if operation.state == "FAILED_TEMP" else ""
        output.note(f"{click.style('try:', fg='cyan')} {advice}{choices}")
