"""Starting life-cycle operations: at once, followed with progress, or only planned."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from skerry.cli import exits, output
from skerry.cli.session import Session
from skerry.client.views import OperationView

F = TypeVar("F", bound=Callable[..., Any])


def lifecycle(function: F) -> F:
    """Options that every life-cycle command has."""
    for option in (
        click.option("--dry-run", is_flag=True, help="Only show what would be done."),
        click.option("--detach", is_flag=True, help="Print the operation's id and do not wait for its end."),
        click.option("--file", "file", metavar="FILE", help="Body of the ETSI request as JSON or YAML; - reads stdin."),
    ):
        function = option(function)
    return function


def perform(session: Session, kind: str, id: str, params: Mapping[str, Any], *, detach: bool, dry_run: bool) -> None:
    """Plan, or start and follow, an operation; exits 7 if it fails."""
    if dry_run:
        made = session.node.plan(kind, id, params)
        if session.as_json:
            session.emit(made)
        else:
            output.changes(made.changes, len(made.steps))
        return
    started = session.node.start(kind, id, params)
    if detach:
        if session.as_json:
            session.emit({"operation": started, "subject": id})
        else:
            click.echo(started)
        return
    watch(session, started)


def watch(session: Session, operation: str) -> None:
    """Follow an operation to its end and tell how it went; exits 7 if it failed."""
    view = output.progress(session.node.follow(operation))
    if session.as_json:
        session.emit(view.operation)
    else:
        _summary(view)
    if view.operation.state in output.FAILED:
        raise SystemExit(exits.OPERATION_FAILED)


def _summary(view: OperationView) -> None:
    operation = view.operation
    verb = operation.kind.partition(".")[2]
    click.echo(f"{verb} {operation.state} ({len(view.steps)} steps, operation {output.short(operation.id)})")
    if operation.state in output.FAILED:
        for step in view.steps:
            if step.record.error:
                output.note(f"  {step.key}: {step.record.error}")
        if operation.error:
            output.note(f"{click.style('error:', fg='red')} {operation.error}")
        advice = operation.suggestion or f"skerry op show {output.short(operation.id)}"
        output.note(f"{click.style('try:', fg='cyan')} {advice}; then `skerry op retry`, `rollback` or `fail`")
