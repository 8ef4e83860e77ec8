"""`skerry lvnf list` and its like: the micro network functions of VNFs on a node."""

from __future__ import annotations

import click

from skerry.cli import follow, output
from skerry.cli.session import Session, body, command, pick, text_of
from skerry.cli.vims import find as find_vim
from skerry.client.lvnf import LvnfClient, LvnfView


def client(session: Session) -> LvnfClient:
    """The functions of the node."""
    return LvnfClient(session.node.http)


def find(session: Session, wanted: str) -> LvnfView:
    """The function of an id or name, or of a VNF that has just one."""
    return pick(client(session).all(), wanted, "micro network function", also=lambda one: one.vnf_name)


@click.command("list")
@command
def list_(session: Session) -> None:
    """List micro network functions: where they run, with what, and in which state."""
    found = client(session).all()
    if session.as_json:
        session.emit(found)
        return
    rows = [
        (
            one.id,
            one.vnf_name,
            one.vim,
            one.backend,
            one.problem or one.state,
            output.size(one.memory_bytes),
            ", ".join(one.addresses),
        )
        for one in found
    ]
    output.table(("ID", "VNF", "VIM", "BACK END", "STATE", "MEMORY", "ADDRESSES"), rows)


@click.command()
@click.argument("function")
@command
def show(session: Session, function: str) -> None:
    """Show FUNCTION (its id, or its VNF): why it runs as it does, times of its states, packets, configuration."""
    one = client(session).get(find(session, function).id)
    if session.as_json:
        session.emit(one)
        return
    devices = sorted({*one.rx_packets, *one.tx_packets})
    output.facts(
        (
            ("id", one.id),
            ("VNF", f"{one.vnf_name} ({one.vnf}), {one.vnfc}"),
            ("VIM", one.vim),
            ("state", one.problem or f"{one.state} since {one.since}"),
            ("times", ", ".join(f"{state} {ms:.1f} ms" for state, ms in one.times_ms.items())),
            ("stood still", "" if one.downtime_ms is None else f"{one.downtime_ms:.1f} ms when it moved"),
            ("back end", one.backend),
            ("why", "; ".join(one.why)),
            ("uses", f"{output.size(one.memory_bytes)}, {one.cpu_seconds:.2f} s of processor"),
            ("addresses", ", ".join(one.addresses)),
            (
                "packets",
                ", ".join(f"{d} {one.rx_packets.get(d, 0)} in {one.tx_packets.get(d, 0)} out" for d in devices),
            ),
            ("handlers", ", ".join(f"{name} = {place}" for name, place in one.handlers.items())),
            ("moves with", ", ".join(one.state_handlers)),
        )
    )
    click.echo(one.configuration)


@click.command()
@click.argument("function")
@command
def handlers(session: Session, function: str) -> None:
    """List the handlers of FUNCTION."""
    found = client(session).handlers(find(session, function).id)
    if session.as_json:
        session.emit(found)
        return
    output.table(("HANDLER", "KIND"), [(one.handler, one.kind) for one in found])


@click.command()
@click.argument("function")
@click.argument("handler")
@command
def read(session: Session, function: str, handler: str) -> None:
    """Print the value of HANDLER (such as counter.count) of FUNCTION."""
    value = client(session).read(find(session, function).id, handler)
    if session.as_json:
        session.emit({"handler": handler, "value": value})
        return
    click.echo(value, nl=not value.endswith("\n"))


@click.command()
@click.argument("function")
@click.argument("handler")
@click.argument("value", default="")
@command
def write(session: Session, function: str, handler: str, value: str) -> None:
    """Write VALUE to HANDLER of FUNCTION."""
    client(session).write(find(session, function).id, handler, value)
    if session.as_json:
        session.emit({"handler": handler, "value": value})


@click.command()
@click.argument("function")
@click.argument("file")
@command
def swap(session: Session, function: str, file: str) -> None:
    """Exchange the configuration of FUNCTION for the one in FILE ("-" reads stdin) while it runs. No packet is lost; elements
    of the same name and class keep their state."""
    made = client(session).swap(find(session, function).id, text_of(file))
    if session.as_json:
        session.emit(made)
    else:
        click.echo(f"{made.id} runs it ({made.backend})")


@click.command()
@click.argument("function")
@click.argument("vim", required=False)
@follow.lifecycle
@command
def migrate(session: Session, function: str, vim: str | None, file: str | None, how: follow.How) -> None:
    """Move FUNCTION to VIM. Its state handlers are read where it was and written where it goes; `lvnf show` tells how long it
    stood still."""
    one = find(session, function)
    params = body(file, {"vimId": find_vim(session, vim).id} if vim else {})
    if how.dry_run:
        follow.planned(session, "vnf.migrate", one.vnf, {**params, "vnfcInstanceId": one.vnfc}, how.svg)
        return
    started = client(session).migrate(one.id, params)
    if how.detach:
        session.emit({"operation": started, "subject": one.vnf}) if session.as_json else click.echo(started)
        return
    follow.watch(session, started)
