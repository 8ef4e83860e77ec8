"""`skerry orphans`: what exists without an owner or is recorded and gone, and what to do about it."""

from __future__ import annotations

from typing import Any

import click

from skerry.cli import exits, follow, output
from skerry.cli.lazy import Lazy
from skerry.cli.session import Session, command, sure
from skerry.cli.vims import find as find_vim
from skerry.model.orphans import Found, Orphan

TELLS = {"unowned": "exists, nobody records it", "missing": "recorded, does not exist", "foreign": "foreign"}


@click.group(cls=Lazy, invoke_without_command=True)
@click.option("--vim", default="", help="Only on this infrastructure.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
@click.pass_context
def orphans(ctx: click.Context, vim: str, as_json: bool) -> None:
    """Compare infrastructure with records: list what differs, or settle it.

    What somebody else made there is listed as foreign; it stays unless it is deleted with `--foreign`. Exits 0 if nothing
    differs, 7 if something does or an infrastructure does not answer.
    """
    if ctx.invoked_subcommand is None:
        shown: Any = listing
        ctx.invoke(shown, vim=vim, as_json=as_json)


@command
def listing(session: Session, vim: str) -> None:
    """The list."""
    found = session.node.orphans(find_vim(session, vim).id if vim else "")
    if session.as_json:
        session.emit(found)
    else:
        _table(found)
    if found.orphans or found.unanswered:
        raise SystemExit(exits.OPERATION_FAILED)


def _table(found: Found) -> None:
    rows = [
        (one.vim, one.kind, one.name, TELLS[one.what], output.short(one.instance), ", ".join(one.ways))
        for one in found.orphans
    ]
    rows += [(one.vim, one.kind, one.name, _made_by(one), "", "delete --foreign") for one in found.foreign]
    output.table(("VIM", "KIND", "NAME", "WHAT", "INSTANCE", "WAYS OUT"), rows)
    for vim, why in found.unanswered.items():
        output.note(f"{click.style('not asked:', fg='yellow')} {vim}: {why}")
    for one in found.orphans[:1]:
        output.note(f"{click.style('try:', fg='cyan')} {_advice(one)}")


def _made_by(one: Orphan) -> str:
    who = f"node {one.node}" if one.node else "somebody else"
    return f"foreign: {who} made it" + (f" ({one.state})" if one.state else "")


def _advice(one: Orphan) -> str:
    way = next(iter(one.ways), "")
    if not way:
        return f"heal or terminate {output.short(one.instance)}"
    return f"skerry orphans {way} {one.vim} {one.kind} {one.name}"


@orphans.command()
@click.argument("vim")
@click.argument("kind", type=click.Choice(["compute", "network"]))
@click.argument("name")
@click.option("--foreign", is_flag=True, help="Remove what somebody else made, and nothing of this node's own.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask, with --foreign.")
@command
def delete(session: Session, vim: str, kind: str, name: str, foreign: bool, yes: bool) -> None:
    """Remove something that nobody records from infrastructure VIM."""
    sure(f"remove {kind} {name}, which somebody else made?", yes=yes or not foreign)
    session.node.delete_orphan(find_vim(session, vim).id, kind, name, foreign=foreign)
    if session.as_json:
        session.emit({"deleted": name})


@orphans.command()
@click.argument("vim")
@click.argument("kind", type=click.Choice(["compute", "network"]))
@click.argument("name")
@command
def adopt(session: Session, vim: str, kind: str, name: str) -> None:
    """Record something that exists with the VNF that should have it."""
    vnf = session.node.adopt_orphan(find_vim(session, vim).id, kind, name)
    if session.as_json:
        session.emit({"adopted": name, "vnf": vnf})
    else:
        click.echo(vnf)


@orphans.command()
@click.argument("vim")
@click.argument("kind", type=click.Choice(["compute", "network"]))
@click.argument("name")
@command
def recreate(session: Session, vim: str, kind: str, name: str) -> None:
    """Make again what is recorded and gone, by healing its VNF; exits 7 if that fails."""
    follow.watch(session, session.node.recreate_orphan(find_vim(session, vim).id, kind, name))
