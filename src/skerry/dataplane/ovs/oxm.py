"""OpenFlow Extensible Match: the fields that Skerry matches on and sets, as bytes (OpenFlow 1.3.5, 7.2.3).

A field's value is an integer, whatever it holds: addresses, ports, flags. Fields beyond the standard are Open vSwitch's
(NXM and NSH), named as `ovs-fields(7)` names them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping

import msgspec

_BASIC, _NXM0, _NXM1, _EXPERIMENTER = 0x8000, 0x0000, 0x0001, 0xFFFF
_NSH = 0x005AD650
_MATCH_OXM = 1


class Field(msgspec.Struct, frozen=True):
    """One field: its class and number on the wire, its width in bytes, and `vendor` for the experimenter class."""

    name: str
    kind: int
    number: int
    width: int
    vendor: int = 0

    def header(self, *, masked: bool = False) -> bytes:
        """What stands before the value: four bytes, or eight with a vendor."""
        size = self.width * (2 if masked else 1) + (4 if self.vendor else 0)
        head = struct.pack("!HBB", self.kind, self.number << 1 | masked, size)
        return head + struct.pack("!I", self.vendor) if self.vendor else head


def _fields() -> Iterator[Field]:
    basic = (
        "in_port:0:4 eth_dst:3:6 eth_src:4:6 eth_type:5:2 vlan_vid:6:2 ip_dscp:8:1 ip_proto:10:1 "
        "ipv4_src:11:4 ipv4_dst:12:4 tcp_src:13:2 tcp_dst:14:2 udp_src:15:2 udp_dst:16:2 sctp_src:17:2 sctp_dst:18:2 "
        "arp_op:21:2 arp_spa:22:4 arp_tpa:23:4 arp_sha:24:6 arp_tha:25:6 ipv6_src:26:16 ipv6_dst:27:16"
    )
    registers = " ".join(f"reg{number}:{number}:4" for number in range(16))
    nsh = "nsh_spi:4:4 nsh_si:5:1 nsh_c1:6:4 nsh_c2:7:4 nsh_c3:8:4 nsh_c4:9:4"
    groups = (
        (_BASIC, 0, basic),
        (_NXM0, 0, "nxm_in_port:0:2"),
        (_NXM1, 0, f"{registers} ip_frag:26:1 ip_ttl:29:1 ct_state:105:4"),
        (_EXPERIMENTER, _NSH, nsh),
    )
    for kind, vendor, text in groups:
        for one in text.split():
            name, number, width = one.split(":")
            yield Field(name, kind, int(number), int(width), vendor)


_OLD_NAMES: Mapping[str, tuple[int, int]] = {
    "eth_dst": (0, 1),
    "eth_src": (0, 2),
    "eth_type": (0, 3),
    "ip_proto": (0, 6),
    "ipv4_src": (0, 7),
    "ipv4_dst": (0, 8),
    "tcp_src": (0, 9),
    "tcp_dst": (0, 10),
    "udp_src": (0, 11),
    "udp_dst": (0, 12),
    "arp_spa": (0, 16),
    "arp_tpa": (0, 17),
    "arp_sha": (1, 17),
    "arp_tha": (1, 18),
    "ipv6_src": (1, 19),
    "ipv6_dst": (1, 20),
}
FIELDS: Mapping[str, Field] = {field.name: field for field in _fields()}
_BY_WIRE = {(field.kind, field.number, field.vendor): field for field in FIELDS.values()}
_EXACT = {name: (field.header(), field.width) for name, field in FIELDS.items()}
_MASKED = {name: (field.header(masked=True), field.width) for name, field in FIELDS.items()}

_NAMES = {
    name: Field(name, *_OLD_NAMES[name], field.width).header() if name in _OLD_NAMES else field.header()
    for name, field in FIELDS.items()
}

Condition = tuple[str, int, int | None]
"""A field's name, its value, and the mask that says which bits count (None: all)."""


def name(field: str) -> bytes:
    """How moves and learned rules name a field: by its oldest header, as the switch does when it shows them."""
    return _NAMES[field]


def condition(name: str, value: int, mask: int | None = None) -> bytes:
    """One field of a match, or the operand of a set-field action."""
    if mask is None:
        head, width = _EXACT[name]
        return head + value.to_bytes(width, "big")
    head, width = _MASKED[name]
    return head + value.to_bytes(width, "big") + mask.to_bytes(width, "big")


def match(conditions: Iterable[Condition]) -> bytes:
    """A whole match structure, padded to eight bytes."""
    return framed(b"".join([condition(*one) for one in conditions]))


def framed(body: bytes) -> bytes:
    """The match structure around conditions that are bytes already."""
    size = len(body) + 4
    return struct.pack("!HH", _MATCH_OXM, size) + body + b"\0" * (-size % 8)


def conditions(body: bytes) -> tuple[Condition, ...] | None:
    """What a match holds, in its order; `body` is without header and padding. None where a field is not known."""
    found: list[Condition] = []
    at = 0
    while at + 4 <= len(body):
        kind, number, size = struct.unpack_from("!HBB", body, at)
        value = body[at + 4 : at + 4 + size]
        at += 4 + size
        vendor = 0
        if kind == _EXPERIMENTER:
            vendor, value = int.from_bytes(value[:4], "big"), value[4:]
        field = _BY_WIRE.get((kind, number >> 1, vendor))
        if field is None:
            return None
        width = field.width
        mask = int.from_bytes(value[width:], "big") if number & 1 else None
        found.append((field.name, int.from_bytes(value[:width], "big"), mask))
    return tuple(found)
