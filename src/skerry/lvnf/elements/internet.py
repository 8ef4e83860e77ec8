"""Elements for IPv4: CheckIPHeader, ICMPPingResponder, IPEncap, UDPIPEncap."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from skerry.lvnf import configs
from skerry.lvnf.elements.behaviour import Action, Behaviour, Read, Write, button
from skerry.lvnf.elements.headers import address_text
from skerry.lvnf.elements.packet import Packet, internet_checksum, ones_sum

_LARGEST = 0xFFFF


class CheckIPHeader(Action[configs.CheckIPHeader]):
    """Passes what has a right IPv4 header, cut to the length that it says."""

    def prepare(self) -> None:
        self.count = 0
        self.drops = 0
        self._offset = self.config.offset
        self._checksum = self.config.checksum
        self._bad = frozenset(self.config.bad_sources)

    def action(self, packet: Packet) -> Packet | None:
        data = packet.data
        start = self._offset
        have = len(data) - start
        if have < 20:
            return self._fail(packet)
        first = data[start]
        header = (first & 0x0F) * 4
        length = data[start + 2] << 8 | data[start + 3]
        if first >> 4 != 4 or header < 20 or length > have or length < header:
            return self._fail(packet)
        if self._checksum and ones_sum(data[start : start + header]) != 0xFFFF:
            return self._fail(packet)
        if data[start + 12 : start + 16] in self._bad:
            return self._fail(packet)
        if length < have:
            packet.data = data[: start + length]
        self.count += 1
        return packet

    def _fail(self, packet: Packet) -> Packet | None:
        self.drops += 1
        return self.reject(packet)

    def _reset(self) -> None:
        self.count = self.drops = 0

    def reads(self) -> Mapping[str, Read]:
        return {"count": lambda: str(self.count), "drops": lambda: str(self.drops)}

    def writes(self) -> Mapping[str, Write]:
        return {"reset_counts": button(self._reset)}

    def adopt(self, old: Behaviour[configs.CheckIPHeader]) -> None:
        if isinstance(old, CheckIPHeader):
            self.count, self.drops = old.count, old.drops


class ICMPPingResponder(Action[configs.ICMPPingResponder]):
    """Makes echo replies of echo requests."""

    def action(self, packet: Packet) -> Packet | None:
        data = packet.data
        if len(data) < 28 or data[9] != 1 or data[6] & 0x1F or data[7]:
            return self.reject(packet)
        header = (data[0] & 0x0F) * 4
        if header < 20 or len(data) < header + 8 or data[header] != 8:
            return self.reject(packet)
        length = data[2] << 8 | data[3]
        end = length if header + 8 <= length <= len(data) else len(data)
        front = data[:8] + b"\xff\x01\0\0" + data[16:20] + data[12:16] + data[20:header]
        head = front[:10] + internet_checksum(front).to_bytes(2, "big") + front[12:]
        reply = b"\0" + data[header + 1 : header + 2] + b"\0\0" + data[header + 4 : end]
        reply = reply[:2] + internet_checksum(reply).to_bytes(2, "big") + reply[4:]
        packet.data = head + reply + data[end:]
        return packet


class IPEncap(Action[configs.IPEncap]):
    """Prepends an IPv4 header."""

    def prepare(self) -> None:
        config = self.config
        self.id = 0
        self._front = bytes((0x45, config.dscp << 2))
        self._middle = bytes((0, 0, config.ttl, config.protocol))
        self._addresses = config.src + config.dst
        self._sum = ones_sum(self._front + self._middle + self._addresses)

    def action(self, packet: Packet) -> Packet | None:
        length = len(packet.data) + 20
        if length > _LARGEST:
            return None
        counted = struct.pack(">HH", length, self.id)
        checksum = internet_checksum(counted, self._sum).to_bytes(2, "big")
        self.id = (self.id + 1) & 0xFFFF
        packet.prepend(self._front + counted + self._middle + checksum + self._addresses)
        return packet

    def reads(self) -> Mapping[str, Read]:
        return {"src": lambda: address_text(self.config.src), "dst": lambda: address_text(self.config.dst)}

    def adopt(self, old: Behaviour[configs.IPEncap]) -> None:
        if isinstance(old, IPEncap):
            self.id = old.id


class UDPIPEncap(Action[configs.UDPIPEncap]):
    """Prepends UDP and IPv4 headers."""

    def prepare(self) -> None:
        config = self.config
        self.id = 0
        self._addresses = config.src + config.dst
        self._ports = struct.pack(">HH", config.source_port, config.destination_port)
        self._ip_sum = ones_sum(b"\x45\0" + b"\0\0\xfa\x11" + self._addresses)
        self._udp_sum = ones_sum(self._addresses + b"\0\x11" + self._ports)

    def action(self, packet: Packet) -> Packet | None:
        data = packet.data
        length = len(data) + 8
        if length + 20 > _LARGEST:
            return None
        udp = 0
        if self.config.checksum:
            udp = internet_checksum(data, self._udp_sum + 2 * length) or 0xFFFF
        counted = struct.pack(">HH", length + 20, self.id)
        self.id = (self.id + 1) & 0xFFFF
        header = struct.pack(
            ">2s4s4sH8s4sHH",
            b"\x45\0",
            counted,
            b"\0\0\xfa\x11",
            internet_checksum(counted, self._ip_sum),
            self._addresses,
            self._ports,
            length,
            udp,
        )
        packet.prepend(header)
        return packet

    def reads(self) -> Mapping[str, Read]:
        return {
            "src": lambda: address_text(self.config.src),
            "sport": lambda: str(self.config.source_port),
            "dst": lambda: address_text(self.config.dst),
            "dport": lambda: str(self.config.destination_port),
        }

    def adopt(self, old: Behaviour[configs.UDPIPEncap]) -> None:
        if isinstance(old, UDPIPEncap):
            self.id = old.id
