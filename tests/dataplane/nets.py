"""Networks for tests, and short ways to ask where a frame goes in them."""

from __future__ import annotations

from collections.abc import Sequence

from scapy.packet import Packet

from skerry.dataplane.compile import Network, Retired, compile_network
from skerry.dataplane.intents import (
    Classifier,
    Device,
    Encapsulation,
    Function,
    Hop,
    Intents,
    Link,
    Port,
    PortRange,
    Side,
    Topology,
)
from skerry.dataplane.proof import Violation
from skerry.dataplane.trace import Trace, trace
from skerry.dataplane.verify import verify

APP_MAC = "02:00:00:00:00:55"


def port(id: str, device: str, number: int, side: Side = Side.HOST, tenant: str = "") -> Port:
    return Port(id=id, device=device, number=number, side=side, tenant=tenant, mac=APP_MAC if id == "app" else "")


def switches(*names: str, links: Sequence[tuple[str, str]] = ()) -> Topology:
    """Devices with ports `NAME.1` … `NAME.6`, and links between them over ports from 11 on."""
    ports = [port(f"{name}.{number}", name, number) for name in names for number in range(1, 7)]
    laid: list[Link] = []
    taken = dict.fromkeys(names, 10)
    for a, b in links:
        for end in (a, b):
            taken[end] += 1
        ends = [port(f"{a}-{b}", a, taken[a], Side.LINK), port(f"{b}-{a}", b, taken[b], Side.LINK)]
        ports += ends
        laid.append(Link(id=f"{a}/{b}", a=ends[0].id, b=ends[1].id))
    return Topology(devices=tuple(Device(id=name) for name in names), ports=tuple(ports), links=tuple(laid))


def edge() -> Topology:
    """A device in the middle of a line: ran 1, core 2, app 3, mon 4, functions f1 5/6, f2 7/8."""
    sides = {"ran": Side.RAN, "core": Side.CORE, "app": Side.HOST, "mon": Side.HOST}
    named = [*sides, "f1i", "f1o", "f2i", "f2o"]
    ports = [port(name, "s1", number, sides.get(name, Side.VNFC)) for number, name in enumerate(named, 1)]
    return Topology(devices=(Device(id="s1"),), ports=tuple(ports))


def function(id: str, ingress: str, egress: str = "", *, aware: bool = False, weight: int = 1) -> Function:
    kind = Encapsulation.NSH if aware else Encapsulation.NONE
    return Function(id=id, ingress=ingress, egress=egress, encapsulation=kind, weight=weight)


def hop(*functions: Function, **more: object) -> Hop:
    return Hop(functions=functions, **more)  # type: ignore[arg-type]


def to_port(number: int, *ports: str, proto: int = 6, **more: object) -> Classifier:
    """Frames to an L4 port that enter at ports."""
    return Classifier(ports=ports, proto=proto, dst_ports=(PortRange(low=number, high=number),), **more)  # type: ignore[arg-type]


def compiled(topology: Topology, *intents: Intents, retired: Sequence[Retired] = ()) -> Network:
    return compile_network(topology, intents, retired)


def proven(topology: Topology, *intents: Intents) -> Network:
    """Compiled, and found right."""
    network = compiled(topology, *intents)
    found = verify(network)
    assert found == [], [(one.problem, one.message, one.trail) for one in found]
    return network


def follow(network: Network, port: str, packet: Packet | bytes) -> Trace:
    found = trace(network, port, bytes(packet))
    assert not found.looped
    return found


def ways(network: Network, port: str, packet: Packet | bytes) -> list[str]:
    """The ports where a frame leaves."""
    return sorted(sent.port for sent in follow(network, port, packet).outputs)


def problems(found: Sequence[Violation]) -> set[str]:
    return {one.problem.value for one in found}
