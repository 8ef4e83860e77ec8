"""Elements that measure: Counter, AverageCounter, Meter."""

from __future__ import annotations

from collections.abc import Mapping

from skerry.lvnf import configs
from skerry.lvnf.elements.behaviour import Action, Behaviour, Read, Write, button, integer
from skerry.lvnf.elements.packet import Packet
from skerry.lvnf.elements.rates import EPOCHS, Average, fixed_point

MOST = (1 << 63) - 1
"""The highest count that a counter can be set to."""


class Counter(Action[configs.Counter]):
    """Counts, with averages of the rates."""

    def prepare(self) -> None:
        self._now = self.context.now
        self.reset()

    def reset(self) -> None:
        """Start anew."""
        now = self._now()
        self.count = 0
        self.byte_count = 0
        self.packet_rate = Average(now)
        self.byte_rate = Average(now, 4)

    def action(self, packet: Packet) -> Packet | None:
        size = len(packet.data)
        self.count += 1
        self.byte_count += size
        now = self._now()
        self.packet_rate.update(now, 1)
        self.byte_rate.update(now, size)
        return packet

    def _rate(self, average: Average, factor: int = 1) -> str:
        average.update(self._now(), 0)
        return average.rate(factor)

    def reads(self) -> Mapping[str, Read]:
        return {
            "count": lambda: str(self.count),
            "byte_count": lambda: str(self.byte_count),
            "rate": lambda: self._rate(self.packet_rate),
            "byte_rate": lambda: self._rate(self.byte_rate),
            "bit_rate": lambda: self._rate(self.byte_rate, 8),
        }

    def writes(self) -> Mapping[str, Write]:
        return {
            "reset": button(self.reset),
            "reset_counts": button(self.reset),
            "count": self._set_count,
            "byte_count": self._set_byte_count,
        }

    def _set_count(self, value: str) -> None:
        self.count = integer(value, "a count", 0, MOST)

    def _set_byte_count(self, value: str) -> None:
        self.byte_count = integer(value, "a count of bytes", 0, MOST)

    def adopt(self, old: Behaviour[configs.Counter]) -> None:
        if isinstance(old, Counter):
            self.count, self.byte_count = old.count, old.byte_count
            self.packet_rate.adopt(old.packet_rate)
            self.byte_rate.adopt(old.byte_rate)


class AverageCounter(Action[configs.AverageCounter]):
    """Counts, with the mean rate since the first packet."""

    def prepare(self) -> None:
        self._now = self.context.now
        self.reset()

    def reset(self) -> None:
        """Start anew."""
        self.count = 0
        self.byte_count = 0
        self.first: float | None = None
        self.last = 0.0

    def action(self, packet: Packet) -> Packet | None:
        now = self._now()
        if self.first is None:
            self.first = now
        if now - self.first >= self.config.ignore:
            self.count += 1
            self.byte_count += len(packet.data)
        self.last = now
        return packet

    def _rate(self, amount: int) -> str:
        elapsed = 0.0 if self.first is None else self.last - self.first - self.config.ignore
        return f"{amount * EPOCHS / max(int(elapsed * EPOCHS), 1):.12g}"

    def reads(self) -> Mapping[str, Read]:
        return {
            "count": lambda: str(self.count),
            "byte_count": lambda: str(self.byte_count),
            "rate": lambda: self._rate(self.count),
            "byte_rate": lambda: self._rate(self.byte_count),
        }

    def writes(self) -> Mapping[str, Write]:
        return {"reset": button(self.reset)}

    def adopt(self, old: Behaviour[configs.AverageCounter]) -> None:
        if isinstance(old, AverageCounter):
            self.count, self.byte_count = old.count, old.byte_count
            self.first, self.last = old.first, old.last


class Meter(Behaviour[configs.Meter]):
    """Classifies by the average rate, this packet counted."""

    def prepare(self) -> None:
        self._now = self.context.now
        self.average = Average(self._now())
        self._limits = [(rate << self.average.scale) // EPOCHS for rate in self.config.rates]

    def push(self, packet: Packet) -> None:
        average = self.average
        average.update(self._now(), 1)
        output = 0
        for limit in self._limits:
            if average.scaled < limit:
                break
            output += 1
        self.out[output](packet)

    def _rate(self) -> str:
        self.average.update(self._now(), 0)
        return self.average.rate()

    def _meters(self) -> str:
        return "".join(f"{fixed_point(limit * EPOCHS, self.average.scale)}\n" for limit in self._limits)

    def reads(self) -> Mapping[str, Read]:
        return {"rate": self._rate, "meters": self._meters}

    def adopt(self, old: Behaviour[configs.Meter]) -> None:
        if isinstance(old, Meter):
            self.average.adopt(old.average)
