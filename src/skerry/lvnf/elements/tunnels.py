"""Elements that put packets into tunnels and take them out: GTPEncap, GTPDecap, NSHEncap, NSHDecap."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from skerry.lvnf import configs
from skerry.lvnf.elements.behaviour import Action, Behaviour, Read, Write, button, integer
from skerry.lvnf.elements.packet import Packet

_G_PDU = 255
_PDU_SESSION = 0x85
_LARGEST = 0xFFFF
_TEIDS = 0xFFFFFFFF
_EXTENSIONS = 32
"""How many extension headers are followed: more than any sender has use for."""


class GTPEncap(Action[configs.GTPEncap]):
    """Prepends a GTP-U header."""

    def prepare(self) -> None:
        self.teid = self.config.teid
        self._options = b""
        if self.config.qfi is not None:
            self._options = bytes((0, 0, 0, _PDU_SESSION, 1, self.config.pdu_type << 4, self.config.qfi, 0))
        self._flags = 0x34 if self._options else 0x30

    def action(self, packet: Packet) -> Packet | None:
        length = len(packet.data) + len(self._options)
        if length > _LARGEST:
            return None
        packet.prepend(struct.pack(">BBHI", self._flags, _G_PDU, length, self.teid) + self._options)
        return packet

    def _write(self, value: str) -> None:
        self.teid = integer(value, "a tunnel endpoint identifier", 0, _TEIDS)

    def reads(self) -> Mapping[str, Read]:
        return {"teid": lambda: str(self.teid)}

    def writes(self) -> Mapping[str, Write]:
        return {"teid": self._write}

    def adopt(self, old: Behaviour[configs.GTPEncap]) -> None:
        if isinstance(old, GTPEncap) and old.config == self.config:
            self.teid = old.teid


def gtp_header_length(data: bytes) -> int:
    """How long the header of this G-PDU is with all that belongs to it; 0 where it is none or not whole."""
    if len(data) < 8 or data[0] & 0xF0 != 0x30 or data[1] != _G_PDU:
        return 0
    if not data[0] & 0x07:
        return 8
    if len(data) < 12:
        return 0
    end = 12
    more = data[11] if data[0] & 0x04 else 0
    for _ in range(_EXTENSIONS):
        if not more:
            return end
        size = data[end] * 4 if end < len(data) else 0
        if not size or end + size > len(data):
            return 0
        end += size
        more = data[end - 1]
    return 0


class GTPDecap(Action[configs.GTPDecap]):
    """Removes GTP-U headers."""

    def prepare(self) -> None:
        self.count = 0
        self.teid = 0

    def action(self, packet: Packet) -> Packet | None:
        data = packet.data
        length = gtp_header_length(data)
        if not length:
            return self.reject(packet)
        teid = int.from_bytes(data[4:8], "big")
        if self.config.teid is not None and teid != self.config.teid:
            return self.reject(packet)
        self.teid = teid
        self.count += 1
        packet.head += data[:length]
        packet.data = data[length:]
        return packet

    def _reset(self) -> None:
        self.count = 0

    def reads(self) -> Mapping[str, Read]:
        return {"count": lambda: str(self.count), "teid": lambda: str(self.teid)}

    def writes(self) -> Mapping[str, Write]:
        return {"reset_counts": button(self._reset)}

    def adopt(self, old: Behaviour[configs.GTPDecap]) -> None:
        if isinstance(old, GTPDecap):
            self.count, self.teid = old.count, old.teid


class NSHEncap(Action[configs.NSHEncap]):
    """Prepends a service header."""

    def prepare(self) -> None:
        config = self.config
        words = 2 + len(config.metadata) // 4
        kind = 1 if config.metadata else 2
        service = config.path << 8 | config.index
        self._header = (
            struct.pack(">HBBI", config.ttl << 6 | words, kind, config.next_protocol, service) + config.metadata
        )

    def action(self, packet: Packet) -> Packet | None:
        packet.prepend(self._header)
        return packet

    def reads(self) -> Mapping[str, Read]:
        return {"path": lambda: str(self.config.path), "index": lambda: str(self.config.index)}


class NSHDecap(Action[configs.NSHDecap]):
    """Removes service headers."""

    def prepare(self) -> None:
        self.count = 0
        self.path = 0
        self.index = 0

    def action(self, packet: Packet) -> Packet | None:
        data = packet.data
        length = (data[1] & 0x3F) * 4 if len(data) >= 8 else 0
        if length < 8 or length > len(data) or data[0] >> 6:
            return self.reject(packet)
        path = int.from_bytes(data[4:7], "big")
        if self.config.path is not None and path != self.config.path:
            return self.reject(packet)
        self.path = path
        self.index = data[7]
        self.count += 1
        packet.head += data[:length]
        packet.data = data[length:]
        return packet

    def _reset(self) -> None:
        self.count = 0

    def reads(self) -> Mapping[str, Read]:
        return {"count": lambda: str(self.count), "path": lambda: str(self.path), "index": lambda: str(self.index)}

    def writes(self) -> Mapping[str, Write]:
        return {"reset_counts": button(self._reset)}

    def adopt(self, old: Behaviour[configs.NSHDecap]) -> None:
        if isinstance(old, NSHDecap):
            self.count, self.path, self.index = old.count, old.path, old.index
