"""Elements that choose ways and mark packets: Tee, Switch, RoundRobinSwitch, Paint, CheckPaint, RandomSample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from skerry.lvnf import configs
from skerry.lvnf.elements.behaviour import (
    Action,
    Behaviour,
    Due,
    Pull,
    Push,
    Read,
    Write,
    boolean,
    button,
    drop,
    integer,
    real,
    spelled,
)
from skerry.lvnf.elements.packet import Packet


class Tee(Behaviour[configs.Tee]):
    """A copy to each output."""

    def push(self, packet: Packet) -> None:
        *others, last = self.out
        for out in others:
            out(packet.clone())
        last(packet)


class Switch(Behaviour[configs.Switch]):
    """All to one output, which can be changed."""

    def prepare(self) -> None:
        self.output = self.config.output
        self.push_on: Push = drop

    def wire(self, out: Sequence[Push], source: Pull, due: Due) -> None:
        super().wire(out, source, due)
        self._turn(self.output)

    def push(self, packet: Packet) -> None:
        self.push_on(packet)

    def _turn(self, output: int) -> None:
        self.output = output
        self.push_on = self.out[output] if 0 <= output < len(self.out) else drop

    def _write(self, value: str) -> None:
        self._turn(integer(value, "an output", -1, len(self.out) - 1))

    def reads(self) -> Mapping[str, Read]:
        return {"switch": lambda: str(self.output)}

    def writes(self) -> Mapping[str, Write]:
        return {"switch": self._write}

    def adopt(self, old: Behaviour[configs.Switch]) -> None:
        if isinstance(old, Switch) and old.config == self.config and old.output < len(self.out):
            self._turn(old.output)


class RoundRobinSwitch(Behaviour[configs.RoundRobinSwitch]):
    """Each to the next output."""

    def prepare(self) -> None:
        self.next = 0

    def push(self, packet: Packet) -> None:
        output = self.next
        self.next = (output + 1) % len(self.out)
        self.out[output](packet)

    def adopt(self, old: Behaviour[configs.RoundRobinSwitch]) -> None:
        if isinstance(old, RoundRobinSwitch):
            self.next = old.next % max(len(self.out), 1)


Painted = TypeVar("Painted", configs.Paint, configs.CheckPaint)


class Coloured(Action[Painted]):
    """Has a colour, which can be read and written."""

    def prepare(self) -> None:
        self.color = self.config.color

    def _write(self, value: str) -> None:
        self.color = integer(value, "a colour", 0, 255)

    def reads(self) -> Mapping[str, Read]:
        return {"color": lambda: str(self.color)}

    def writes(self) -> Mapping[str, Write]:
        return {"color": self._write}

    def adopt(self, old: Behaviour[Painted]) -> None:
        if isinstance(old, Coloured) and old.config == self.config:
            self.color = old.color


class Paint(Coloured[configs.Paint]):
    """Marks."""

    def action(self, packet: Packet) -> Packet | None:
        packet.paint = self.color
        return packet


class CheckPaint(Coloured[configs.CheckPaint]):
    """Passes one colour."""

    def action(self, packet: Packet) -> Packet | None:
        return packet if packet.paint == self.color else self.reject(packet)


class RandomSample(Action[configs.RandomSample]):
    """Passes by chance."""

    def prepare(self) -> None:
        self._random = self.context.random
        self.probability = self.config.probability
        self.active = True
        self.count = 0
        self.drops = 0

    def action(self, packet: Packet) -> Packet | None:
        if not self.active or self._random() < self.probability:
            self.count += 1
            return packet
        self.drops += 1
        return self.reject(packet)

    def _sample(self, value: str) -> None:
        self.probability = real(value, "a probability", 0, 1)

    def _drop(self, value: str) -> None:
        self.probability = 1 - real(value, "a probability", 0, 1)

    def _activate(self, value: str) -> None:
        self.active = boolean(value)

    def _reset(self) -> None:
        self.count = self.drops = 0

    def reads(self) -> Mapping[str, Read]:
        return {
            "sampling_prob": lambda: f"{self.probability:.9g}",
            "drop_prob": lambda: f"{round(1 - self.probability, 9):.9g}",
            "drops": lambda: str(self.drops),
            "count": lambda: str(self.count),
            "active": lambda: spelled(self.active),
        }

    def writes(self) -> Mapping[str, Write]:
        return {
            "sampling_prob": self._sample,
            "drop_prob": self._drop,
            "active": self._activate,
            "reset_counts": button(self._reset),
        }

    def adopt(self, old: Behaviour[configs.RandomSample]) -> None:
        if isinstance(old, RandomSample):
            self.count, self.drops = old.count, old.drops
            if old.config == self.config:
                self.probability, self.active = old.probability, old.active
