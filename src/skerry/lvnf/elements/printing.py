"""Print: packets in the log."""

from __future__ import annotations

from collections.abc import Mapping

from skerry.lvnf import configs
from skerry.lvnf.elements.behaviour import Action, Behaviour, Read, Write, boolean, spelled
from skerry.lvnf.elements.packet import Packet


class Print(Action[configs.Print]):
    """Logs label, length and the first bytes, as Click does."""

    def prepare(self) -> None:
        self.active = self.config.active
        self._label = f"{self.config.label}: " if self.config.label else ""

    def action(self, packet: Packet) -> Packet | None:
        if self.active:
            data = packet.data
            limit = self.config.max_length
            shown = data if limit < 0 else data[:limit]
            words = " ".join(shown[at : at + 4].hex() for at in range(0, len(shown), 4))
            self.context.log(f"{self._label}{len(data):4d} | {words}")
        return packet

    def _activate(self, value: str) -> None:
        self.active = boolean(value)

    def reads(self) -> Mapping[str, Read]:
        return {"active": lambda: spelled(self.active)}

    def writes(self) -> Mapping[str, Write]:
        return {"active": self._activate}

    def adopt(self, old: Behaviour[configs.Print]) -> None:
        if isinstance(old, Print) and old.config == self.config:
            self.active = old.active
