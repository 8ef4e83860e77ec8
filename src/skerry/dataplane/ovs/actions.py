"""OpenFlow actions and instructions as bytes: those of OpenFlow 1.3.5 (7.2.4, 7.2.5), and Open vSwitch's extensions.

An action list is a concatenation. Every action's length is a multiple of eight.
"""

from __future__ import annotations

import struct

from skerry.dataplane.ovs import oxm
from skerry.dataplane.ovs.oxm import FIELDS, condition

_OUTPUT, _PUSH_VLAN, _POP_VLAN, _DEC_TTL, _SET_FIELD, _EXPERIMENTER = 0, 17, 18, 24, 25, 0xFFFF
_NX = 0x00002320
_MOVE, _NOTE, _MULTIPATH, _RESUBMIT, _LEARN, _CT, _NAT, _CLONE, _ENCAP, _DECAP, _DEC_NSH_TTL = (
    6, 8, 10, 14, 16, 35, 36, 42, 46, 47, 48,
)  # fmt: skip
_COMMIT = 1
_NAT_SOURCE, _NAT_TARGET = 1, 2
_NAT_V4, _NAT_V6, _NAT_PORTS = 0x03, 0x0C, 0x30
_PACKET_NSH, _PACKET_ETHERNET = 0x0001894F, 0x00000000
_MD_TYPE_CLASS, _MD_TYPE = 4, 1
_SYMMETRIC_L3L4_UDP, _HIGHEST_RANDOM_WEIGHT = 3, 2
_LEARN_LOAD, _LEARN_LITERAL = 1 << 11, 1 << 13
_APPLY, _METER = 4, 6
IN_PORT, TABLE = 0xFFFFFFF8, 0xFFFFFFF9
_VLAN_8021Q = 0x8100
NOTE_MARK = struct.pack("!IH", _NX, _NOTE)
"""How the body of a note begins on the wire."""


def _sized(kind: int, body: bytes) -> bytes:
    padded = body + b"\0" * (-(len(body) + 4) % 8)
    return struct.pack("!HH", kind, len(padded) + 4) + padded


def _extension(subtype: int, body: bytes) -> bytes:
    return _sized(_EXPERIMENTER, struct.pack("!IH", _NX, subtype) + body)


def output(port: int) -> bytes:
    """Send out of a port."""
    return struct.pack("!HHIH6x", _OUTPUT, 16, port, 0xFFFF)


def push_vlan() -> bytes:
    """Put an 802.1Q tag of id 0 and priority 0."""
    return struct.pack("!HHH2x", _PUSH_VLAN, 8, _VLAN_8021Q)


def pop_vlan() -> bytes:
    """Remove the outermost tag."""
    return struct.pack("!HH4x", _POP_VLAN, 8)


def dec_ttl() -> bytes:
    """Decrement the IPv4 TTL or IPv6 hop limit; 0 and 1 end the list."""
    return struct.pack("!HH4x", _DEC_TTL, 8)


def set_field(name: str, value: int) -> bytes:
    """Write a whole field."""
    return _sized(_SET_FIELD, condition(name, value))


def move(source: str, target: str, bits: int, *, start: int = 0, to: int = 0) -> bytes:
    """Copy bits of a field to another."""
    head = struct.pack("!HHH", bits, start, to)
    return _extension(_MOVE, head + oxm.name(source) + oxm.name(target))


def resubmit(table: int) -> bytes:
    """Look the frame up in a table as it is now, then go on with the list."""
    return _extension(_RESUBMIT, struct.pack("!HB3x", IN_PORT & 0xFFFF, table))


def note(data: bytes) -> bytes:
    """Bytes that have no effect and stay with the rule; what is read back is padded with zeros."""
    return _extension(_NOTE, data)


def clone(actions: bytes) -> bytes:
    """Apply actions to a copy of frame and registers."""
    return _extension(_CLONE, b"\0" * 6 + actions)


def multipath(target: str, choices: int) -> bytes:
    """Choose 0 … choices-1 by addresses, protocol and ports without direction; few flows move when `choices` changes."""
    bits = FIELDS[target].width * 8
    head = struct.pack("!HHHHHI", _SYMMETRIC_L3L4_UDP, 0, 0, _HIGHEST_RANDOM_WEIGHT, choices - 1, 0)
    return _extension(_MULTIPATH, head + struct.pack("!HH", 0, bits - 1) + oxm.name(target))


def encap_nsh() -> bytes:
    """Put an NSH header of MD type 1 before the frame."""
    kind = struct.pack("!HBBB3x", _MD_TYPE_CLASS, _MD_TYPE, 5, 1)
    return _extension(_ENCAP, struct.pack("!HI", 0, _PACKET_NSH) + kind)


def encap_ethernet() -> bytes:
    """Put an Ethernet header before what has none."""
    return _extension(_ENCAP, struct.pack("!HI", 0, _PACKET_ETHERNET))


def decap() -> bytes:
    """Remove the outermost header: Ethernet, or NSH where there is no Ethernet."""
    return _extension(_DECAP, struct.pack("!2xI", 0x0000FFFE))


def dec_nsh_ttl() -> bytes:
    """Decrement the NSH TTL; 0 and 1 end the list."""
    return _extension(_DEC_NSH_TTL, b"\0" * 4)


def track(zone: int, table: int, *, commit: bool = False, nat: bytes = b"") -> bytes:
    """Look the frame up among the connections of a zone, or remember its connection, and go on in a table."""
    head = struct.pack("!HIHB3xH", _COMMIT if commit else 0, 0, zone, table, 0)
    return _extension(_CT, head + nat)


def nat(low: bytes = b"", high: bytes = b"", *, source: bool = False, ports: tuple[int, int] | None = None) -> bytes:
    """Inside `track`: translate as the connection says, or, with addresses, so from now on."""
    if not low:
        return _extension(_NAT, struct.pack("!2xHH", 0, 0))
    present = _NAT_V4 if len(low) == 4 else _NAT_V6
    data = low + high
    if ports:
        present |= _NAT_PORTS
        data += struct.pack("!HH", *ports)
    return _extension(_NAT, struct.pack("!2xHH", _NAT_SOURCE if source else _NAT_TARGET, present) + data)


class Learned:
    """The entries of a `learn` action: what the learned rule matches and does. Each method returns the object."""

    def __init__(self) -> None:
        self._specs = b""

    def match(self, field: str, *, source: str = "") -> Learned:
        """It matches a field, with the value that `source` (the field itself when empty) has in this frame."""
        bits = FIELDS[field].width * 8
        origin = oxm.name(source or field)
        self._specs += struct.pack("!H", bits) + origin + b"\0\0" + oxm.name(field) + b"\0\0"
        return self

    def match_value(self, field: str, value: int) -> Learned:
        """It matches a constant."""
        width = FIELDS[field].width
        literal = value.to_bytes(max(width, 2), "big")
        self._specs += struct.pack("!H", _LEARN_LITERAL | width * 8) + literal + oxm.name(field) + b"\0\0"
        return self

    def load(self, target: str, *, source: str, bits: int) -> Learned:
        """It loads what `source` has in this frame into a register."""
        self._specs += struct.pack("!H", _LEARN_LOAD | bits) + oxm.name(source) + b"\0\0"
        self._specs += oxm.name(target) + b"\0\0"
        return self

    def load_value(self, target: str, value: int) -> Learned:
        """It loads a constant into a register."""
        self._specs += struct.pack("!H", _LEARN_LOAD | _LEARN_LITERAL | 32) + value.to_bytes(4, "big")
        self._specs += oxm.name(target) + b"\0\0"
        return self

    def action(self, table: int, *, cookie: int, priority: int = 1, idle_s: int = 0, hard_s: int = 0) -> bytes:
        """The action: add the rule to `table`, or renew it. It goes `idle_s` after its last frame, `hard_s` after renewal."""
        head = struct.pack("!HHHQHBxHH", idle_s, hard_s, priority, cookie, 0, table, 0, 0)
        return _extension(_LEARN, head + self._specs)


def apply(actions: bytes, *, meter: int = 0) -> bytes:
    """The instructions of a rule: its action list, behind a meter where one is given."""
    first = struct.pack("!HHI", _METER, 8, meter) if meter else b""
    return first + struct.pack("!HH4x", _APPLY, 8 + len(actions)) + actions if actions else first
