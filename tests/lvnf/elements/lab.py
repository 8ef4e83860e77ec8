"""A router whose clock, chances and ends a test holds in its hands."""

from __future__ import annotations

from collections.abc import Sequence

from scapy.layers.inet import IP
from scapy.packet import Packet

from skerry.lvnf.checking import read
from skerry.lvnf.graph import Graph
from skerry.lvnf.router import Router


class Lab:
    """A router at work: `lines` is its log, `time` its clock."""

    def __init__(self, text: str, chances: Sequence[float] = (), time: float = 1000.0) -> None:
        self.time = time
        self.lines: list[str] = []
        self._sent: dict[str, list[bytes]] = {}
        self._chances = list(chances)
        self.router = self.make(read(text))

    def make(self, graph: Graph, old: Router | None = None) -> Router:
        """A router with the same ends."""
        return Router(graph, lambda: self.time, self._chance, self.lines.append, self._send, old=old)

    def _chance(self) -> float:
        return self._chances.pop(0)

    def _send(self, device: str, frame: bytes) -> None:
        self._sent.setdefault(device, []).append(frame)

    def swap(self, text: str) -> None:
        """Put another configuration in place, with the state of this one."""
        self.router = self.make(read(text), self.router)

    def give(self, *frames: bytes | Packet, device: str = "in") -> None:
        """Frames come in."""
        for frame in frames:
            self.router.receive(device, bytes(frame))

    def out(self, device: str = "out") -> list[bytes]:
        """What left by a device since the last call."""
        return self._sent.pop(device, [])

    def pass_one(self, frame: bytes | Packet, *devices: str) -> str | None:
        """The one of these devices by which a frame leaves; None when it is dropped."""
        self.give(frame)
        self.settle()
        found = [device for device in devices or ("out",) if self.out(device)]
        assert len(found) <= 1
        return found[0] if found else None

    def settle(self) -> None:
        """Let everything be done that is due now."""
        for _ in range(10_000):
            wake = self.router.wake()
            if wake is None or wake > self.time:
                return
            self.router.tick()
        raise AssertionError("the router is never idle")

    def advance(self, seconds: float) -> None:
        """Let time pass, as a loop would that sleeps until it is woken."""
        end = self.time + seconds
        while True:
            self.settle()
            wake = self.router.wake()
            if wake is None or wake > end:
                break
            self.time = wake
        self.time = end
        self.settle()

    def read(self, handler: str) -> str:
        """A handler as "element.handler"; what follows a space is its argument."""
        name, _, argument = handler.partition(" ")
        element, _, handler = name.rpartition(".")
        return self.router.read(element, f"{handler} {argument}" if argument else handler)

    def write(self, handler: str, value: str = "") -> None:
        """Write a handler."""
        element, _, name = handler.rpartition(".")
        self.router.write(element, name, value)


def checked(data: bytes) -> Packet:
    """The IPv4 packet, which must have the checksums that scapy works out."""
    packet = IP(data)
    again = packet.copy()
    layer = again
    while layer:
        for field in ("chksum", "len"):
            if field in layer.fields and not (field == "chksum" and layer.name == "UDP" and layer.chksum == 0):
                layer.delfieldval(field)
        layer = layer.payload
    assert bytes(again) == data
    return packet
