"""Elements that strip, put on and change link headers: Strip, Unstrip, EtherEncap, VLANEncap, VLANDecap, EtherMirror,
EtherRewrite, ARPResponder."""

from __future__ import annotations

from collections.abc import Mapping

from skerry.lvnf import configs
from skerry.lvnf.elements.behaviour import Action, Read
from skerry.lvnf.elements.packet import Packet

_ADDRESSES = 12
_ARP_REQUEST = b"\x08\x06\x00\x01\x08\x00\x06\x04\x00\x01"
_ARP_REPLY = b"\x08\x06\x00\x01\x08\x00\x06\x04\x00\x02"
_ARP_LENGTH = 42


class Strip(Action[configs.Strip]):
    """Takes bytes off the start."""

    def prepare(self) -> None:
        self._length = self.config.length

    def action(self, packet: Packet) -> Packet | None:
        data = packet.data
        packet.head += data[: self._length]
        packet.data = data[self._length :]
        return packet


class Unstrip(Action[configs.Unstrip]):
    """Puts bytes back that were stripped."""

    def action(self, packet: Packet) -> Packet | None:
        length = self.config.length
        if length:
            back = packet.head[-length:].rjust(length, b"\0")
            packet.head = packet.head[:-length]
            packet.data = back + packet.data
        return packet


class EtherEncap(Action[configs.EtherEncap]):
    """Prepends an Ethernet header."""

    def prepare(self) -> None:
        self._header = self.config.dst + self.config.src + self.config.ethertype.to_bytes(2, "big")

    def action(self, packet: Packet) -> Packet | None:
        packet.head = packet.head[:-14]
        packet.data = self._header + packet.data
        return packet

    def reads(self) -> Mapping[str, Read]:
        return {
            "src": lambda: mac_text(self.config.src),
            "dst": lambda: mac_text(self.config.dst),
            "ethertype": lambda: f"{self.config.ethertype:04x}",
        }


class VLANEncap(Action[configs.VLANEncap]):
    """Inserts a tag."""

    def prepare(self) -> None:
        tag = self.config.pcp << 13 | self.config.vlan_id
        self._tag = self.config.ethertype.to_bytes(2, "big") + tag.to_bytes(2, "big")

    def action(self, packet: Packet) -> Packet | None:
        data = packet.data
        if len(data) < _ADDRESSES:
            return None
        packet.head = packet.head[:-4]
        packet.data = data[:_ADDRESSES] + self._tag + data[_ADDRESSES:]
        return packet

    def reads(self) -> Mapping[str, Read]:
        return {"vlan_id": lambda: str(self.config.vlan_id), "vlan_pcp": lambda: str(self.config.pcp)}


class VLANDecap(Action[configs.VLANDecap]):
    """Removes a tag."""

    def action(self, packet: Packet) -> Packet | None:
        data = packet.data
        if data[12:14] == b"\x81\x00" and len(data) >= 16:
            packet.data = data[:_ADDRESSES] + data[16:]
        return packet


class EtherMirror(Action[configs.EtherMirror]):
    """Exchanges the addresses."""

    def action(self, packet: Packet) -> Packet | None:
        data = packet.data
        if len(data) < _ADDRESSES:
            return None
        packet.data = data[6:12] + data[:6] + data[12:]
        return packet


class EtherRewrite(Action[configs.EtherRewrite]):
    """Replaces the addresses."""

    def prepare(self) -> None:
        self._addresses = self.config.dst + self.config.src

    def action(self, packet: Packet) -> Packet | None:
        if len(packet.data) < _ADDRESSES:
            return None
        packet.data = self._addresses + packet.data[_ADDRESSES:]
        return packet

    def reads(self) -> Mapping[str, Read]:
        return {"src": lambda: mac_text(self.config.src), "dst": lambda: mac_text(self.config.dst)}


class ARPResponder(Action[configs.ARPResponder]):
    """Answers requests; the entry with the longest prefix decides."""

    def prepare(self) -> None:
        entries = sorted(self.config.entries, key=lambda entry: -entry.prefix)
        self._entries = [(32 - one.prefix, int.from_bytes(one.network, "big"), one.mac) for one in entries]

    def _mac(self, address: bytes) -> bytes | None:
        number = int.from_bytes(address, "big")
        for shift, network, mac in self._entries:
            if (number ^ network) >> shift == 0:
                return mac
        return None

    def action(self, packet: Packet) -> Packet | None:
        data = packet.data
        if data[12:22] != _ARP_REQUEST or len(data) < _ARP_LENGTH:
            return self.reject(packet)
        mac = self._mac(data[38:42])
        if mac is None:
            return self.reject(packet)
        packet.data = data[22:28] + mac + _ARP_REPLY + mac + data[38:42] + data[22:32]
        return packet

    def reads(self) -> Mapping[str, Read]:
        return {"table": self._table}

    def _table(self) -> str:
        return "".join(f"{address_text(one.network)}/{one.prefix} {mac_text(one.mac)}\n" for one in self.config.entries)


def mac_text(mac: bytes) -> str:
    """A hardware address as Click prints it."""
    return mac.hex("-").upper()


def address_text(address: bytes) -> str:
    """An IPv4 address."""
    return ".".join(map(str, address))
