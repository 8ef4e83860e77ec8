"""`skerry op` and `skerry plan`: operations under way, over, or only thought of."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from skerry.cli import explained, follow, output
from skerry.cli.lazy import Lazy
from skerry.cli.session import Named, Session, body, command
from skerry.client.views import StepView
from skerry.errors import InvalidError, NotFoundError, SkerryError
from skerry.model.operations import Operation


@click.group(cls=Lazy)
def op() -> None:
    """List, explain, follow, retry, roll back, fail and cancel operations."""


def find(session: Session, wanted: str) -> Operation:
    """The operation that an id or its beginning means; an instance's name or id means its newest operation."""
    found = session.node.operations()
    chosen = find_among(found, wanted)
    if chosen is not None:
        return chosen
    subjects = subject_ids(session, wanted)
    mine = [operation for operation in found if operation.subject in subjects]
    if not mine:
        raise NotFoundError(f"cannot find the operation {wanted}", suggestion="`skerry op list` shows those there are")
    return max(mine, key=lambda operation: operation.started_at)


def find_among(found: Iterable[Operation], wanted: str) -> Operation | None:
    """The operation of an id or its beginning, or None. `InvalidError` where several begin so."""
    hits = [operation for operation in found if operation.id.startswith(wanted)]
    if len(hits) > 1:
        several = ", ".join(f"{one.id} ({one.kind})" for one in hits[:8])
        raise InvalidError(f"cannot tell which operation {wanted} means: {several}", suggestion="give more of the id")
    return hits[0] if hits else None


def subject_ids(session: Session, wanted: str) -> set[str]:
    """The ids of the instances with this id or name, or if there is none, of those whose ids begin so."""
    everything: list[Named] = [*session.node.nss(), *session.node.vnfs(), *session.node.apps()]
    exact = {item.id for item in everything if wanted in (item.id, item.name)}
    return exact or {item.id for item in everything if item.id.startswith(wanted)}


def subject(session: Session, wanted: str) -> str:
    """The one instance that a name or id means."""
    found = subject_ids(session, wanted)
    if len(found) == 1:
        return found.pop()
    if found:
        raise InvalidError(
            f"cannot tell which instance {wanted} means: {', '.join(sorted(found))}", suggestion="give the id"
        )
    raise NotFoundError(
        f"cannot find the instance {wanted}", suggestion="`skerry ns list` and `skerry vnf list` show all"
    )


@op.command("list")
@click.option("--subject", "wanted", default="", help="Only of this VNF or NS.")
@command
def list_(session: Session, wanted: str) -> None:
    """List operations, the newest last."""
    found = session.node.operations(subject(session, wanted) if wanted else "")
    if session.as_json:
        session.emit(found)
        return
    now = datetime.now(UTC)
    rows = [
        (output.short(o.id), o.kind, output.short(o.subject), o.state.value, output.ago(o.started_at, now), o.error)
        for o in found
    ]
    output.table(("ID", "KIND", "SUBJECT", "STATE", "AGE", "ERROR"), rows)


@op.command()
@click.argument("operation")
@command
def show(session: Session, operation: str) -> None:
    """Show an operation with its steps."""
    view = session.node.operation(find(session, operation).id)
    if session.as_json:
        session.emit(view)
        return
    shown = view.operation
    output.facts(
        (
            ("id", shown.id),
            ("kind", shown.kind),
            ("subject", shown.subject),
            ("state", shown.state),
            ("started", shown.started_at),
            ("parent", shown.parent),
            ("children", ", ".join(output.short(child) for child in view.children)),
            ("error", shown.error),
            ("try", shown.suggestion),
        )
    )
    rows = [_row(step) for step in view.steps]
    output.table(("STEP", "ACTION", "STATE", "TRY", "TOOK", "ERROR"), rows)
    if shown.state in output.FAILED:
        explained.failures(session.node.explain(shown.id))


@op.command()
@click.argument("operation")
@click.option("--svg", type=click.Path(path_type=Path, dir_okay=False), help="Also draw its steps as a graph.")
@command
def explain(session: Session, operation: str, svg: Path | None) -> None:
    """Explain an operation: the steps it is in, what they wait for, since when and until when; what failed with its
    call, input and answer; what may be done; why its infrastructure was chosen and no other one."""
    id = find(session, operation).id
    if svg:
        output.picture(session.node.draw_operation(id), svg)
    found = session.node.explain(id)
    if session.as_json:
        session.emit(found)
    else:
        explained.show(found)


def _row(step: StepView) -> tuple[str, ...]:
    record = step.record
    took = _took(record.started_at, record.ended_at)
    return (step.key, step.action, record.state.value, str(record.attempt or ""), took, record.error)


def _took(started: str, ended: str) -> str:
    if not (started and ended):
        return ""
    begin, end = (datetime.fromisoformat(text.replace("Z", "+00:00")) for text in (started, ended))
    return f"{(end - begin).total_seconds() * 1000:.0f} ms"


@op.command("follow")
@click.argument("operation")
@command
def follow_(session: Session, operation: str) -> None:
    """Follow an operation to its end with progress; exits 7 if it fails."""
    follow.watch(session, find(session, operation).id)


def _decide(session: Session, operation: str, verb: str, *, detach: bool, forceful: bool = False) -> None:
    id = find(session, operation).id
    session.node.decide(id, verb, forceful=forceful)
    if detach:
        if session.as_json:
            session.emit({"operation": id})
        return
    follow.watch(session, id)


@op.command()
@click.argument("operation")
@click.option("--detach", is_flag=True, help="Do not wait for its end.")
@command
def retry(session: Session, operation: str, detach: bool) -> None:
    """Go on with a failed operation where it stopped."""
    _decide(session, operation, "retry", detach=detach)


@op.command()
@click.argument("operation")
@click.option("--detach", is_flag=True, help="Do not wait for its end.")
@command
def rollback(session: Session, operation: str, detach: bool) -> None:
    """Undo what a failed operation did."""
    try:
        _decide(session, operation, "rollback", detach=detach)
    except SystemExit:
        # ROLLED_BACK is what was asked for
        if session.node.operation(find(session, operation).id).operation.state != "ROLLED_BACK":
            raise


@op.command()
@click.argument("operation")
@command
def fail(session: Session, operation: str) -> None:
    """Give a failed operation up; what it made stays recorded."""
    _decide(session, operation, "fail", detach=True)


@op.command()
@click.argument("operation")
@click.option("--force", is_flag=True, help="Interrupt steps that are under way.")
@command
def cancel(session: Session, operation: str, force: bool) -> None:
    """Stop an operation that is under way."""
    _decide(session, operation, "cancel", detach=True, forceful=force)


@click.command()
@click.argument("kind")
@click.argument("subject_name", metavar="SUBJECT")
@click.argument("params", default="")
@click.option("--file", "file", metavar="FILE", help="Body of the ETSI request as JSON or YAML; - reads stdin.")
@click.option("--svg", type=click.Path(path_type=Path, dir_okay=False), help="Also draw the steps as a graph.")
@command
def plan(session: Session, kind: str, subject_name: str, params: str, file: str | None, svg: Path | None) -> None:
    """Show what an operation would do, and do nothing.

    KIND is such as ns.scale or vnf.heal, SUBJECT the instance, PARAMS the body of the ETSI request as JSON. The
    commands of `skerry vnf` and `skerry ns` do the same with --dry-run.
    """
    given: dict[str, object] = {}
    if params:
        try:
            given = msgspec.json.decode(params, type=dict[str, object])
        except (msgspec.DecodeError, SkerryError) as error:
            raise InvalidError(f"cannot read PARAMS: {error}", suggestion="write a JSON object") from error
    follow.planned(session, kind, subject(session, subject_name), body(file, given), svg)
