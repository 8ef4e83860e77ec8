"""Makes frames: from values of fields, for probes, witnesses and tests. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from skerry.dataplane import rewriting
from skerry.dataplane.flows import (
    ETH_ARP,
    ETH_IPV4,
    ETH_IPV6,
    ETH_NSH,
    GTPU_PORT,
    PROTO_SCTP,
    PROTO_TCP,
    PROTO_UDP,
    VLAN_PRESENT,
    Field,
    Frag,
)
from skerry.dataplane.packets import G_PDU, parse

Values = Mapping[Field, int]
DEFAULTS: Values = {
    Field.ETH_DST: 0x020000000002,
    Field.ETH_SRC: 0x020000000001,
    Field.IPV4_SRC: 0xC0000201,
    Field.IPV4_DST: 0xC0000202,
    Field.IPV6_SRC: 0x20010DB8 << 96 | 1,
    Field.IPV6_DST: 0x20010DB8 << 96 | 2,
    Field.L4_SRC: 49152,
    Field.L4_DST: 9,
    Field.NSH_SI: 255,
}
"""What is taken where nothing is asked for: addresses for documentation."""
_INNER = {
    Field.INNER_PROTO: Field.IP_PROTO,
    Field.INNER_DSCP: Field.IP_DSCP,
    Field.INNER_IPV4_SRC: Field.IPV4_SRC,
    Field.INNER_IPV4_DST: Field.IPV4_DST,
    Field.INNER_IPV6_SRC: Field.IPV6_SRC,
    Field.INNER_IPV6_DST: Field.IPV6_DST,
    Field.INNER_L4_SRC: Field.L4_SRC,
    Field.INNER_L4_DST: Field.L4_DST,
}
_V6 = {Field.IPV6_SRC, Field.IPV6_DST}


def frame(values: Values, payload: bytes = b"") -> bytes:
    """A frame that has these values; what is not given is chosen. With NSH fields, `payload` is the frame inside."""
    return _ethernet(values) + _network(values, payload)


def fits(values: Values, made: bytes) -> bool:
    """Whether a frame really has the values of its own (registers and the like aside)."""
    fields = parse(made).fields
    return all(fields.get(field) == value for field, value in values.items() if field >= Field.ETH_DST)


def _of(values: Values, field: Field) -> int:
    return values.get(field, DEFAULTS.get(field, 0))


def _kind(values: Values) -> int:
    if Field.ETH_TYPE in values:
        return values[Field.ETH_TYPE]
    if any(field >= Field.NSH_SPI for field in values):
        return ETH_NSH
    return ETH_IPV6 if _V6 & set(values) else ETH_IPV4


def _ethernet(values: Values) -> bytes:
    head = _of(values, Field.ETH_DST).to_bytes(6, "big") + _of(values, Field.ETH_SRC).to_bytes(6, "big")
    vlan = values.get(Field.VLAN_VID, 0)
    if vlan & VLAN_PRESENT:
        head += b"\x81\0" + (vlan & 0xFFF).to_bytes(2, "big")
    return head + _kind(values).to_bytes(2, "big")


def _network(values: Values, payload: bytes) -> bytes:
    kind = _kind(values)
    if kind in (ETH_IPV4, ETH_IPV6):
        return packet(values, payload)
    if kind == ETH_NSH:
        return _nsh(values) + (payload or frame({}))
    if kind == ETH_ARP:
        return b"\0\1\x08\0\6\4\0\1" + _of(values, Field.ETH_SRC).to_bytes(6, "big") + bytes(4 + 6 + 4) + payload
    return payload or bytes(46)


def _nsh(values: Values) -> bytes:
    context = b"".join(_of(values, Field(Field.NSH_C1 + i)).to_bytes(4, "big") for i in range(4))
    path = _of(values, Field.NSH_SPI).to_bytes(3, "big") + bytes([_of(values, Field.NSH_SI)])
    return (63 << 6 | 6).to_bytes(2, "big") + b"\1\3" + path + context


def packet(values: Values, payload: bytes = b"") -> bytes:
    """An IP packet with the values of its fields; in GTP-U where such fields are given."""
    proto = values.get(Field.IP_PROTO, PROTO_UDP)
    frag = Frag(values.get(Field.IP_FRAG, 0))
    if any(Field.GTP_TYPE <= field < Field.NSH_SPI for field in values) and proto == PROTO_UDP:
        payload = _gtp(values, payload)
        values = {Field.L4_SRC: GTPU_PORT, **values}
    body = payload or bytes(8) if frag is Frag.LATER else _transport(values, proto, payload)
    if _kind(values) == ETH_IPV6:
        return _v6(values, proto, frag, body)
    return _v4(values, proto, frag, body)


def _v4(values: Values, proto: int, frag: Frag, body: bytes) -> bytes:
    flags = {Frag.NO: 0x4000, Frag.FIRST: 0x2000, Frag.LATER: 0x0010}[frag]
    head = bytes([0x45, _of(values, Field.IP_DSCP) << 2]) + (20 + len(body)).to_bytes(2, "big") + b"\0\1"
    head += flags.to_bytes(2, "big") + bytes([64, proto, 0, 0])
    head += _of(values, Field.IPV4_SRC).to_bytes(4, "big") + _of(values, Field.IPV4_DST).to_bytes(4, "big")
    pseudo = head[12:20] + bytes([0, proto]) + len(body).to_bytes(2, "big")
    checked = _checked(body, proto, pseudo) if frag is Frag.NO else body
    return rewriting.splice(head, 10, rewriting.checksum(head).to_bytes(2, "big")) + checked


def _v6(values: Values, proto: int, frag: Frag, body: bytes) -> bytes:
    ends = _of(values, Field.IPV6_SRC).to_bytes(16, "big") + _of(values, Field.IPV6_DST).to_bytes(16, "big")
    pseudo = ends + len(body).to_bytes(4, "big") + bytes([0, 0, 0, proto])
    checked = _checked(body, proto, pseudo) if frag is Frag.NO else body
    following = proto
    if frag is not Frag.NO:
        place = 1 if frag is Frag.FIRST else 2 << 3
        checked, following = bytes([proto, 0]) + place.to_bytes(2, "big") + b"\0\0\0\1" + checked, 44
    first = (6 << 28 | _of(values, Field.IP_DSCP) << 22).to_bytes(4, "big")
    return first + len(checked).to_bytes(2, "big") + bytes([following, 64]) + ends + checked


def _transport(values: Values, proto: int, payload: bytes) -> bytes:
    ports = _of(values, Field.L4_SRC).to_bytes(2, "big") + _of(values, Field.L4_DST).to_bytes(2, "big")
    if proto == PROTO_TCP:
        return ports + b"\0\0\0\1\0\0\0\0\x50\x02\xff\xff\0\0\0\0" + payload
    if proto == PROTO_UDP:
        return ports + (8 + len(payload)).to_bytes(2, "big") + b"\0\0" + payload
    if proto == PROTO_SCTP:
        bare = ports + bytes(8) + payload
        return bare[:8] + rewriting.crc32c(bare).to_bytes(4, "little") + bare[12:]
    return payload or bytes(8)


def _checked(body: bytes, proto: int, pseudo: bytes) -> bytes:
    """With the checksum of TCP or UDP."""
    at = {PROTO_TCP: 16, PROTO_UDP: 6}.get(proto)
    if at is None:
        return body
    total = rewriting.checksum(pseudo + body)
    return rewriting.splice(body, at, (total or (0xFFFF if proto == PROTO_UDP else 0)).to_bytes(2, "big"))


def _gtp(values: Values, payload: bytes) -> bytes:
    kind = values.get(Field.GTP_TYPE, G_PDU)
    qfi = values.get(Field.GTP_QFI)
    options = b"" if qfi is None else b"\0\0\0\x85" + bytes([1, 16, qfi, 0])
    inner = packet(inner_values(values), payload) if kind == G_PDU else b""
    flags = 0x34 if options else 0x30
    size = (len(options) + len(inner)).to_bytes(2, "big")
    return bytes([flags, kind]) + size + _of(values, Field.GTP_TEID).to_bytes(4, "big") + options + inner


def inner_values(values: Values) -> dict[Field, int]:
    """The values of the inner packet as those of a plain one."""
    return {plain: values[field] for field, plain in _INNER.items() if field in values}
