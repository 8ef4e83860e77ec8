"""`skerry dataplane` and `skerry path`: what traffic shall do, what it became, and where a frame goes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, TypeVar

import click
import msgspec

from skerry.cli import output
from skerry.cli.lazy import Lazy
from skerry.cli.session import Session, body, command, full_id, pairs
from skerry.client.dataplane import DataPlaneClient, TraceShown
from skerry.errors import InvalidError

KINDS = ("device", "port", "link", "intent")
T = TypeVar("T")


class _Identified(Protocol):
    """Something with an id."""

    @property
    def id(self) -> str: ...


def client(session: Session) -> DataPlaneClient:
    """The data plane of the node."""
    return DataPlaneClient(session.node.http)


def _port(asked: DataPlaneClient, wanted: str, *, whole: bool = False) -> str:
    return full_id((one.id for one in asked.ports()), wanted, "port", whole=whole)


def _device(asked: DataPlaneClient, wanted: str) -> str:
    return full_id((one.id for one in asked.devices()), wanted, "device") if wanted else ""


def _intent(asked: DataPlaneClient, wanted: str) -> str:
    return full_id((one.id for one in asked.intents()), wanted, "intent") if wanted else ""


def _owner(asked: DataPlaneClient, wanted: str) -> str:
    return full_id((one.owner for one in asked.intents()), wanted, "owner") if wanted else ""


def _by_device(
    columns: Sequence[str], found: Iterable[T], device: Callable[[T], str], row: Callable[[T], Sequence[str]]
) -> None:
    """A table for each device: its name in every row would leave no room for what is there."""
    rows = dict[str, list[Sequence[str]]]()
    for one in found:
        rows.setdefault(device(one), []).append(row(one))
    for name, several in rows.items():
        output.table(columns, several, title=output.brief(name))
    if not rows:
        output.table(columns, ())


@click.group(cls=Lazy)
def dataplane() -> None:
    """See and decide what traffic does: devices, ports, intents, rules, chains."""


@dataplane.command()
@command
def devices(session: Session) -> None:
    """List devices and the engines that serve them."""
    found = client(session).devices()
    if session.as_json:
        session.emit(found)
        return
    rows = [
        (
            output.brief(one.id),
            one.engine,
            one.namespace,
            str(one.revision),
            one.trouble or ("ok" if one.served else ""),
        )
        for one in found
    ]
    output.table(("DEVICE", "ENGINE", "NAMESPACE", "REVISION", "STATE"), rows)


@dataplane.command()
@command
def ports(session: Session) -> None:
    """List ports."""
    found = client(session).ports()
    if session.as_json:
        session.emit(found)
        return
    _by_device(
        ("PORT", "NUMBER", "SIDE", "INTERFACE", "MAC", "TENANT"),
        found,
        lambda one: one.device,
        lambda one: (output.brief(one.id), str(one.number), one.side.value, one.interface, one.mac, one.tenant),
    )


@dataplane.command()
@command
def links(session: Session) -> None:
    """List links between devices."""
    found = client(session).links()
    if session.as_json:
        session.emit(found)
        return
    rows = [(*map(output.brief, (one.id, one.a, one.b)), str(one.cost), "up" if one.up else "down") for one in found]
    output.table(("LINK", "A", "B", "COST", "STATE"), rows)


@dataplane.command()
@click.argument("file")
@command
def topology(session: Session, file: str) -> None:
    """Add or change the devices, ports and links of FILE (JSON or YAML, "-" for stdin) in one change."""
    given = body(file, {})
    client(session).put_topology(given)
    if session.as_json:
        session.emit({"put": {kind: len(several) for kind, several in given.items() if isinstance(several, list)}})


@dataplane.command()
@click.option("--owner", default="", help="Only of this owner.")
@command
def intents(session: Session, owner: str) -> None:
    """List intents."""
    asked = client(session)
    found = asked.intents(_owner(asked, owner))
    if session.as_json:
        session.emit(found)
        return
    rows = [
        (output.brief(one.id), str(one.__struct_config__.tag), output.brief(one.owner), _brief(one)) for one in found
    ]
    output.table(("INTENT", "KIND", "OWNER", "WHAT"), rows)


def _brief(intent: Any) -> str:
    """The intent on a line."""
    plain = msgspec.to_builtins(intent)
    for key in ("kind", "id", "tenant", "owner", "rev"):
        plain.pop(key, None)
    text = output.brief(msgspec.json.encode(plain).decode())
    return text if len(text) <= 100 else f"{text[:99]}…"


@dataplane.command()
@click.argument("file")
@command
def put(session: Session, file: str) -> None:
    """Put the intents of FILE in force in one change: one intent, or a map with a list `intents`. Refused with a witness frame
    where the proof forbids it."""
    given = body(file, {})
    wanted = given.get("intents", [given])
    if not isinstance(wanted, list):
        raise InvalidError(f"cannot use {file}: intents is no list", suggestion="write intents: [...]")
    client(session).put_intents(wanted)
    if session.as_json:
        session.emit({"put": {"intents": len(wanted)}})


@dataplane.command()
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("id")
@command
def delete(session: Session, kind: str, id: str) -> None:
    """Remove the device, port, link or intent ID, which is given whole or as tables show it."""
    asked = client(session)
    listed: dict[str, Callable[[], Iterable[_Identified]]] = {
        "device": asked.devices,
        "port": asked.ports,
        "link": asked.links,
        "intent": asked.intents,
    }
    # A name may be the beginning of another: what is gone already must not become what is still there.
    gone = full_id((one.id for one in listed[kind]()), id, kind, whole=True)
    asked.delete(f"{kind}s", gone)
    if session.as_json:
        session.emit({"deleted": gone})


@dataplane.command()
@click.option("--device", default="", help="Only of this device.")
@click.option("--intent", default="", help="Only of this intent.")
@command
def rules(session: Session, device: str, intent: str) -> None:
    """List rules: requested, effective (read back from the device), verified (a probe or real frames have shown it)."""
    asked = client(session)
    found = asked.rules(_device(asked, device), _intent(asked, intent))
    if session.as_json:
        session.emit(found)
        return
    _by_device(
        ("TABLE", "MATCH", "ACTIONS", "INTENT", "STATE", "PACKETS"),
        found,
        lambda one: one.device,
        lambda one: (
            f"{one.table}/{one.priority}",
            one.match,
            ", ".join(one.actions) or "drop",
            output.brief(one.intent),
            one.state,
            str(one.packets),
        ),
    )


@dataplane.command()
@click.option("--device", default="", help="Only of this device.")
@command
def drops(session: Session, device: str) -> None:
    """List how many frames were dropped, by device, port and reason."""
    asked = client(session)
    found = asked.drops(_device(asked, device))
    if session.as_json:
        session.emit(found)
        return
    rows = [(output.brief(one.device), output.brief(one.port) or "-", one.reason, str(one.packets)) for one in found]
    output.table(("DEVICE", "PORT", "REASON", "PACKETS"), rows)


@dataplane.command()
@click.option("--device", default="", help="Only of this device.")
@command
def connections(session: Session, device: str) -> None:
    """List the connections that devices remember, and what they are translated to."""
    asked = client(session)
    found = asked.connections(_device(asked, device))
    if session.as_json:
        session.emit(found)
        return
    names = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmp6"}
    rows = [
        (
            output.brief(one.device),
            output.brief(one.zone),
            names.get(one.proto, str(one.proto)),
            one.opened,
            one.onward,
            "yes" if one.answered else "",
        )
        for one in found
    ]
    output.table(("DEVICE", "ZONE", "PROTOCOL", "OPENED", "BECOMES", "ANSWERED"), rows)


@dataplane.command()
@command
def chains(session: Session) -> None:
    """List chains as they are laid out: service path, functions in order."""
    found = client(session).chains()
    if session.as_json:
        session.emit(found)
        return
    rows = []
    for one in found:
        hops = " > ".join("|".join(f"{stop.function}@{stop.entry}" for stop in hop) for hop in one.hops)
        rows.append(
            (
                output.brief(one.id),
                str(one.spi),
                output.brief(hops),
                "; ".join(fault.message for fault in one.unreachable) or "ok",
            )
        )
    output.table(("CHAIN", "SPI", "FUNCTIONS", "STATE"), rows)


@dataplane.command("next")
@click.argument("port")
@click.option("--match", default=None, help="Flowspace, as tcp,nw_dst=10.0.0.0/8,tp_dst=80; empty: everything.")
@click.option("--to", "target", default="", help="Port where it goes.")
@click.option("--delete", "gone", is_flag=True, help="Remove the next hop instead.")
@command
def next_hop(session: Session, port: str, match: str | None, target: str, gone: bool) -> None:
    """Show the next hops of PORT, set one with --to, or remove them with --delete."""
    asked = client(session)
    port = _port(asked, port, whole=gone or bool(target))
    if gone:
        asked.delete_next(port, match)
    elif target:
        asked.put_next(port, match or "", _port(asked, target, whole=True))
    found = [] if gone else asked.next_hops(port)
    if session.as_json:
        session.emit(found)
    elif not gone:
        output.table(
            ("MATCH", "NEXT", "PRIORITY"),
            [(one.match or "any", output.brief(one.next), str(one.priority)) for one in found],
        )


@dataplane.command()
@click.argument("file", required=False)
@click.option("--owner", default="", help="Only what this owner asked for.")
@command
def graph(session: Session, file: str | None, owner: str) -> None:
    """Print the forwarding graph as JSON, or do as the one in FILE says."""
    if file:
        client(session).put_graph(body(file, {}))
        if session.as_json:
            session.emit({"put": file})
    else:
        asked = client(session)
        session.emit(asked.graph(_owner(asked, owner)))


@click.group(cls=Lazy)
def path() -> None:
    """See where traffic goes."""


@path.command("trace")
@click.argument("port")
@click.option("--frame", default="", help="The frame, in hexadecimal.")
@click.option(
    "--field", "fields", multiple=True, metavar="NAME=VALUE", help="A field of it, such as ipv4_dst=10.0.0.2."
)
@command
def trace(session: Session, port: str, frame: str, fields: tuple[str, ...]) -> None:
    """Follow a frame that comes in at PORT: which rules, which functions, out of which port. Nothing is sent."""
    asked = client(session)
    found = asked.trace(_port(asked, port), frame=frame, fields=pairs(fields, "--field"))
    if session.as_json:
        session.emit(found)
    else:
        _shown(found)


def _shown(found: TraceShown) -> None:
    for step in found.steps:
        click.echo(f"{click.style(output.brief(step.device), bold=True)} in at {output.brief(step.port)}")
        for rule in step.rules:
            click.echo(f"  {output.brief(rule)}")
        for note in step.notes:
            click.echo(f"  {click.style(note, fg='yellow')}")
        for sent in step.sent:
            where = f" to {sent.function}" if sent.function else ""
            click.echo(output.brief(f"  -> {sent.port or 'a port of another tenant'} ({sent.to}{where})"))
    output.facts(
        (
            ("functions", output.brief(" > ".join(found.functions))),
            ("out", output.brief(", ".join(one.port for one in found.outputs)) or "dropped"),
            ("looped", "yes" if found.looped else ""),
        )
    )
