"""`skerry lvnf agents`: agents on other machines, and the functions that they run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from skerry.cli import output
from skerry.cli.lazy import Lazy
from skerry.cli.session import Session, command, full_id, text_of
from skerry.client.lvnf_agents import LvnfAgentsClient
from skerry.errors import InvalidError

PATH: Any = click.Path(path_type=Path)


def client(session: Session) -> LvnfAgentsClient:
    """The agents of the node."""
    return LvnfAgentsClient(session.node.http)


def _agent(asked: LvnfAgentsClient, wanted: str) -> str:
    return full_id((one.id for one in asked.agents()), wanted, "agent")


def _function(asked: LvnfAgentsClient, agent: str, wanted: str) -> str:
    return full_id((one.id for one in asked.functions(agent)), wanted, "function")


@click.group(cls=Lazy)
def agents() -> None:
    """Agents on other machines, and the functions that they run."""


@agents.command(name="list")
@command
def listing(session: Session) -> None:
    """List agents: whether they are there, what they can, how their machines are."""
    found = client(session).agents()
    if session.as_json:
        session.emit(found)
        return
    rows = [
        (
            one.id,
            one.state,
            str(one.functions),
            f"{one.cpu_busy:.0%} of {one.cpu_count}",
            f"{one.memory_free_bytes >> 20} MB free",
            " ".join(one.backends),
            one.bridge,
            one.seen_at,
        )
        for one in found
    ]
    output.table(("AGENT", "STATE", "LVNFS", "CPU", "MEMORY", "BACK ENDS", "BRIDGE", "SEEN"), rows)


@agents.command()
@click.argument("agent")
@command
def forget(session: Session, agent: str) -> None:
    """Forget AGENT, which is not connected."""
    asked = client(session)
    # a name may be the beginning of another: what is gone already must not become what is still there
    gone = full_id((one.id for one in asked.agents()), agent, "agent", whole=True)
    asked.forget(gone)
    if session.as_json:
        session.emit({"forgotten": gone})


@agents.command()
@click.argument("agent")
@command
def lvnfs(session: Session, agent: str) -> None:
    """List the functions of AGENT."""
    asked = client(session)
    found = asked.functions(_agent(asked, agent))
    if session.as_json:
        session.emit(found)
        return
    rows = [
        (
            one.id,
            one.state,
            one.backend,
            " ".join(f"{port.device}={port.interface}" for port in one.ports),
            " ".join(f"{name} {ms:g} ms" for name, ms in one.times_ms.items()),
            one.trouble,
        )
        for one in found
    ]
    output.table(("LVNF", "STATE", "BACK END", "PORTS", "TOOK", "TROUBLE"), rows)


@agents.command()
@click.argument("agent")
@click.argument("lvnf")
@click.argument("file", type=PATH)
@click.option("--bridge", "bridges", multiple=True, metavar="DEVICE", help="A port on the agent's bridge.")
@click.option(
    "--tap", "taps", multiple=True, metavar="DEVICE=NAME[,ADDRESS]", help="A port that is an interface of its machine."
)
@click.option("--backend", default="", help="Back end; default: the agent chooses.")
@click.option("--control", default="", metavar="ADDRESS", help="Serve its ControlSocket there, as 127.0.0.1:7777.")
@command
def add(
    session: Session,
    agent: str,
    lvnf: str,
    file: Path,
    bridges: tuple[str, ...],
    taps: tuple[str, ...],
    backend: str,
    control: str,
) -> None:
    """Run the Click configuration FILE as LVNF at AGENT. One of that name gets it without losing a packet."""
    text = text_of(file)
    ports = [{"device": device, "kind": "bridge"} for device in bridges] + [_tap(one) for one in taps]
    wanted = {"configuration": text, "ports": ports, "backend": backend, "control": control}
    asked = client(session)
    made = asked.add(_agent(asked, agent), lvnf, wanted)
    if session.as_json:
        session.emit(made)
    else:
        output.note(f"{made.id} is {made.state} with {made.backend} after {made.times_ms.get('start', 0):g} ms")


def _tap(text: str) -> dict[str, str]:
    device, _, rest = text.partition("=")
    name, _, address = rest.partition(",")
    if not device or not name:
        raise InvalidError(f"cannot read the tap {text!r}", suggestion="write it as eth0=tap0,10.0.0.1/24")
    return {"device": device, "kind": "tap", "name": name, "address": address}


@agents.command()
@click.argument("agent")
@click.argument("lvnf")
@command
def delete(session: Session, agent: str, lvnf: str) -> None:
    """Stop and delete LVNF at AGENT."""
    asked = client(session)
    agent = _agent(asked, agent)
    gone = full_id((one.id for one in asked.functions(agent)), lvnf, "function", whole=True)
    asked.remove(agent, gone)
    if session.as_json:
        session.emit({"deleted": gone})


@agents.command()
@click.argument("agent")
@click.argument("lvnf")
@command
def stats(session: Session, agent: str, lvnf: str) -> None:
    """What LVNF at AGENT uses."""
    asked = client(session)
    agent = _agent(asked, agent)
    found = asked.stats(agent, _function(asked, agent, lvnf))
    if session.as_json:
        session.emit(found)
        return
    row = (f"{found.memory_bytes >> 10} kB", f"{found.cpu_seconds:g} s", str(found.pids), f"{found.uptime_s:g} s")
    output.table(("MEMORY", "CPU", "PROCESSES", "UP"), [row])


@agents.command()
@click.argument("agent")
@click.argument("lvnf")
@click.argument("handler")
@click.argument("value", required=False)
@command
def handler(session: Session, agent: str, lvnf: str, handler: str, value: str | None) -> None:
    """Read HANDLER (ELEMENT.HANDLER) of LVNF at AGENT, or write VALUE to it."""
    asked = client(session)
    agent = _agent(asked, agent)
    lvnf = _function(asked, agent, lvnf)
    if value is not None:
        asked.set(agent, lvnf, handler, value)
    found = asked.get(agent, lvnf, handler) if value is None else value
    if session.as_json:
        session.emit({"handler": handler, "value": found})
    elif value is None:
        click.echo(found)
