"""Elements that store packets and pace them: Queue, Unqueue, RatedUnqueue, Shaper, BandwidthShaper."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import TypeVar

from skerry.lvnf import configs
from skerry.lvnf.elements.behaviour import (
    Behaviour,
    Read,
    Task,
    Write,
    boolean,
    button,
    integer,
    real,
    spelled,
)
from skerry.lvnf.elements.packet import Packet
from skerry.lvnf.elements.plain import BURST
from skerry.lvnf.elements.rates import Pace

_LARGEST = 1 << 20
_FASTEST = 1e12


class Queue(Behaviour[configs.Queue]):
    """First in, first out; what does not fit leaves by output 1 or is dropped."""

    def prepare(self) -> None:
        self.capacity = self.config.capacity
        self.packets: deque[Packet] = deque()
        self.highwater = 0
        self.drops = 0

    def push(self, packet: Packet) -> None:
        packets = self.packets
        if len(packets) >= self.capacity:
            self._overflow(packet)
            return
        packets.append(packet)
        self.highwater = max(self.highwater, len(packets))

    def _overflow(self, packet: Packet) -> None:
        self.drops += 1
        if len(self.out) > 1:
            self.out[1](packet)

    def pull(self) -> Packet | None:
        return self.packets.popleft() if self.packets else None

    def due(self) -> float | None:
        return 0.0 if self.packets else None

    def _resize(self, value: str) -> None:
        self.capacity = integer(value, "a capacity", 0, _LARGEST)
        while len(self.packets) > self.capacity:
            self._overflow(self.packets.pop())

    def _reset_counts(self) -> None:
        self.drops = 0
        self.highwater = len(self.packets)

    def _reset(self) -> None:
        packets, self.packets = self.packets, deque()
        self._reset_counts()
        if len(self.out) > 1:
            for packet in packets:
                self.out[1](packet)

    def reads(self) -> Mapping[str, Read]:
        return {
            "length": lambda: str(len(self.packets)),
            "highwater_length": lambda: str(self.highwater),
            "capacity": lambda: str(self.capacity),
            "drops": lambda: str(self.drops),
        }

    def writes(self) -> Mapping[str, Write]:
        return {
            "capacity": self._resize,
            "reset_counts": button(self._reset_counts),
            "reset": button(self._reset),
        }

    def adopt(self, old: Behaviour[configs.Queue]) -> None:
        if not isinstance(old, Queue):
            return
        if old.config == self.config:
            self.capacity = old.capacity
        self.packets.extend(old.packets)
        self.drops, self.highwater = old.drops, old.highwater
        old.packets.clear()
        while len(self.packets) > self.capacity:
            self._overflow(self.packets.pop())


class Unqueue(Task[configs.Unqueue]):
    """Pulls and pushes what there is."""

    def prepare(self) -> None:
        self.active = self.config.active
        self.count = 0

    def task_due(self) -> float | None:
        return self.source_due() if self.active else None

    def run(self) -> None:
        pull, out = self.source, self.out[0]
        for _ in range(BURST):
            packet = pull()
            if packet is None:
                return
            self.count += 1
            out(packet)

    def _activate(self, value: str) -> None:
        self.active = boolean(value)

    def _reset(self) -> None:
        self.count = 0

    def reads(self) -> Mapping[str, Read]:
        return {"count": lambda: str(self.count), "active": lambda: spelled(self.active)}

    def writes(self) -> Mapping[str, Write]:
        return {"active": self._activate, "reset": button(self._reset), "reset_counts": button(self._reset)}

    def adopt(self, old: Behaviour[configs.Unqueue]) -> None:
        if isinstance(old, Unqueue):
            self.count = old.count
            if old.config == self.config:
                self.active = old.active


_Rated = configs.RatedUnqueue | configs.Shaper | configs.BandwidthShaper
R = TypeVar("R", bound=_Rated)


class _Paced(Behaviour[R]):
    """What holds a rate that a handler can change."""

    def prepare(self) -> None:
        self.pace = Pace(self.config.rate, self.context.now())

    def _write(self, value: str) -> None:
        self.pace.change(real(value, "a rate", 0, _FASTEST), self.context.now())

    def _later(self, ready: float | None) -> float | None:
        """When something passes that is there at this time."""
        return None if ready is None or self.pace.rate <= 0 else max(ready, self.pace.next)

    def reads(self) -> Mapping[str, Read]:
        return {"rate": lambda: f"{self.pace.rate:.12g}"}

    def writes(self) -> Mapping[str, Write]:
        return {"rate": self._write}

    def adopt(self, old: Behaviour[R]) -> None:
        if isinstance(old, _Paced):
            self.pace.next = old.pace.next
            if old.config == self.config:
                self.pace.rate = old.pace.rate


class RatedUnqueue(_Paced[configs.RatedUnqueue], Task[configs.RatedUnqueue]):
    """Pulls and pushes at a rate of packets."""

    def task_due(self) -> float | None:
        return self._later(self.source_due())

    def run(self) -> None:
        pace, now = self.pace, self.context.now()
        for _ in range(BURST):
            if not pace.passes(now):
                return
            packet = self.source()
            if packet is None:
                return
            pace.spend(now, 1)
            self.out[0](packet)


class Shaper(_Paced[configs.Shaper]):
    """Lets packets be pulled at a rate of packets."""

    def pull(self) -> Packet | None:
        now = self.context.now()
        if not self.pace.passes(now):
            return None
        packet = self.source()
        if packet is not None:
            self.pace.spend(now, 1)
        return packet

    def due(self) -> float | None:
        return self._later(self.source_due())


class BandwidthShaper(_Paced[configs.BandwidthShaper]):
    """Lets packets be pulled at a rate of bytes."""

    def pull(self) -> Packet | None:
        now = self.context.now()
        if not self.pace.passes(now):
            return None
        packet = self.source()
        if packet is not None:
            self.pace.spend(now, len(packet.data))
        return packet

    def due(self) -> float | None:
        return self._later(self.source_due())
