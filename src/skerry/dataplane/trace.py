"""Where a frame goes: which rules, which functions, out of which port, over all devices. Pure; nothing is sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from skerry.dataplane import rewriting
from skerry.dataplane.chains import Stop
from skerry.dataplane.compile import Network
from skerry.dataplane.flows import DeviceState, Field, Rule
from skerry.dataplane.intents import Side
from skerry.dataplane.interpreter import Index, Memory, Run
from skerry.dataplane.packets import parse

MOST_HOPS = 256


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """A copy of the frame that left a device. `to` is "link", "function" or "out"; `function` names that one."""

    port: str
    to: str
    frame: bytes
    function: str = ""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One device on the way: the frame as it came in, the rules it passed, what left, and why it or a copy was dropped."""

    device: str
    port: str
    frame: bytes
    rules: tuple[Rule, ...]
    sent: tuple[Sent, ...]
    notes: tuple[str, ...] = ()


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """The whole way. `functions` are those visited in order; `outputs` what left the network; `looped` that it never ends."""

    steps: tuple[Step, ...]
    functions: tuple[str, ...]
    outputs: tuple[Sent, ...]
    looped: bool = False


class _Place(NamedTuple):
    device: str
    port: int


class _Fabric:
    """What is behind each port of a network."""

    def __init__(self, network: Network) -> None:
        self.names = {_Place(port.device, port.number): port.id for port in network.topology.ports}
        self.links: dict[_Place, _Place] = {}
        ports = {port.id: _Place(port.device, port.number) for port in network.topology.ports}
        for link in network.topology.links:
            if link.up:
                self.links[ports[link.a]], self.links[ports[link.b]] = ports[link.b], ports[link.a]
        self.stops: dict[_Place, Stop] = {}
        for layout in network.ways.values():
            for stop in (stop for hop in (*layout.stops, *layout.back) for stop in hop):
                self.stops.setdefault(_Place(*stop.entry), stop)
        self.inner = {
            ends for ends, port in zip(self.names, network.topology.ports, strict=True) if port.side is Side.LINK
        }


def trace(
    network: Network, port_id: str, frame: bytes, *, memories: Mapping[str, Memory] | None = None, now: float = 0.0
) -> Trace:
    """Follow a frame that comes in at a port. `memories` are what devices have learned; functions return what they get.
    `KeyError` for an unknown port."""
    fabric = _Fabric(network)
    start = next(place for place, name in fabric.names.items() if name == port_id)
    known = {name: _fresh(state) for name, state in network.states.items()}
    known.update((name, memory.copy()) for name, memory in (memories or {}).items())
    indexes: dict[str, Index] = {}
    steps: list[Step] = []
    functions: list[str] = []
    outputs: list[Sent] = []
    waiting = [(start, frame)]
    while waiting and len(steps) < MOST_HOPS:
        place, data = waiting.pop(0)
        index = indexes.setdefault(place.device, Index(network.states[place.device]))
        outcome = Run(index, known[place.device], place.port, data, now).go()
        rules = tuple(rule for rule, _ in outcome.rules)
        chained = any(rule.owner in network.ways or rule.owner in network.entries for rule in rules)
        sent = tuple(_sent(fabric, _Place(place.device, port), out, chained=chained) for port, out in outcome.outputs)
        steps.append(
            Step(
                device=place.device,
                port=fabric.names[place],
                frame=data,
                rules=rules,
                sent=sent,
                notes=tuple(outcome.notes),
            )
        )
        for (port, _), one in zip(outcome.outputs, sent, strict=True):
            _follow(fabric, _Place(place.device, port), one, waiting, functions, outputs)
    return Trace(steps=tuple(steps), functions=tuple(functions), outputs=tuple(outputs), looped=bool(waiting))


def _fresh(state: DeviceState) -> Memory:
    return Memory(sessions={session.ue: session for session in state.sessions})


def _sent(fabric: _Fabric, place: _Place, frame: bytes, *, chained: bool) -> Sent:
    """What left at a port. A function gets frames of chains; what else goes there ends there."""
    stop = fabric.stops.get(place) if chained else None
    to = "link" if place in fabric.inner else "function" if stop else "out"
    return Sent(port=fabric.names.get(place, ""), to=to, frame=frame, function=stop.function if stop else "")


def _follow(
    fabric: _Fabric,
    place: _Place,
    sent: Sent,
    waiting: list[tuple[_Place, bytes]],
    functions: list[str],
    outputs: list[Sent],
) -> None:
    if sent.to == "out":
        outputs.append(sent)
    elif sent.function:
        stop = fabric.stops[place]
        functions.append(stop.function)
        waiting.append((_Place(*stop.leave), returned(stop, sent.frame)))
    elif place in fabric.links:
        waiting.append((fabric.links[place], sent.frame))


def returned(stop: Stop, frame: bytes) -> bytes:
    """What a function that changes nothing sends back: one that knows NSH decrements the service index."""
    si = parse(frame).fields.get(Field.NSH_SI)
    return rewriting.set_field(frame, Field.NSH_SI, si - 1) if stop.aware and si else frame
