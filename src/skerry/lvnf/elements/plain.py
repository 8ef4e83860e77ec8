"""Elements at the edges of a function, and those that do nothing: FromDevice, ToDevice, Discard, Idle, Null."""

from __future__ import annotations

from collections.abc import Mapping

from skerry.lvnf import configs
from skerry.lvnf.elements.behaviour import Action, Behaviour, C, Read, Task, Write, button
from skerry.lvnf.elements.packet import Packet

BURST = 64
"""How many packets a task moves before others have their turn."""


class _Counting(Behaviour[C]):
    """An element that counts packets, and tells and forgets how many."""

    def prepare(self) -> None:
        self.count = 0

    def _reset(self) -> None:
        self.count = 0

    def reads(self) -> Mapping[str, Read]:
        return {"count": lambda: str(self.count)}

    def writes(self) -> Mapping[str, Write]:
        return {"reset_counts": button(self._reset)}

    def adopt(self, old: Behaviour[C]) -> None:
        if isinstance(old, _Counting):
            self.count = old.count


class FromDevice(_Counting[configs.FromDevice]):
    """Hands on what a port received."""

    def receive(self, frame: bytes) -> None:
        """A frame came in."""
        self.count += 1
        self.out[0](Packet(frame))


class ToDevice(_Counting[configs.ToDevice], Task[configs.ToDevice]):
    """Sends frames: those that are pushed at once, and those that it can pull when it runs."""

    def prepare(self) -> None:
        super().prepare()
        self._device = self.config.device
        self._send = self.context.send

    def push(self, packet: Packet) -> None:
        if packet.data:
            self.count += 1
            self._send(self._device, packet.data)

    def task_due(self) -> float | None:
        return self.source_due()

    def run(self) -> None:
        pull = self.source
        for _ in range(BURST):
            packet = pull()
            if packet is None:
                return
            self.push(packet)


class Discard(_Counting[configs.Discard], Task[configs.Discard]):
    """Counts and drops."""

    def push(self, packet: Packet) -> None:
        self.count += 1

    def task_due(self) -> float | None:
        return self.source_due()

    def run(self) -> None:
        for _ in range(BURST):
            packet = self.source()
            if packet is None:
                return
            self.count += 1


class Idle(Behaviour[configs.Idle]):
    """Gives nothing, takes everything."""


class Null(Action[configs.Null]):
    """Hands on."""
