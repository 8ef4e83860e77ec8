"""Reads frames: bytes to the fields that can be matched, and where each header begins. Pure; never fails on any bytes.

What cannot be read is not there: a truncated header ends the reading, and the fields up to it remain. `skerry.dataplane.flows`
says what a frame has; this is that text as code.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from skerry.dataplane.flows import (
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

ETHERNET = 14
G_PDU, END_MARKER, ECHO_REQUEST, ECHO_RESPONSE, ERROR_INDICATION = 255, 254, 1, 2, 26
PDU_SESSION_CONTAINER = 0x85
NSH_ETHERNET = 3
_TAGS = (0x8100, 0x88A8)
_WITH_PORTS = (PROTO_TCP, PROTO_UDP, PROTO_SCTP)
_V6_EXTENSIONS = {0, 43, 60}
_V6_FRAGMENT = 44
_MOST_EXTENSIONS = 8
Flow = tuple[int, bytes, int, bytes, int]


class Ip(msgspec.Struct):
    """An IP packet inside a frame: where it begins, where its payload begins (-1: a later fragment has no L4 header), its
    upper-layer protocol and where it ends as its own length says."""

    version: int
    start: int
    payload: int
    proto: int
    frag: Frag
    end: int


class Parsed(msgspec.Struct):
    """What a frame has. `l3` is where the header after Ethernet and one tag begins; `ip` and `inner` the IP packets; `gtp` and
    `gtp_payload` where the GTP-U header and what it carries begin; `nsh_length` the length of the NSH header."""

    frame: bytes
    fields: dict[Field, int]
    l3: int = 0
    ip: Ip | None = None
    gtp: int = -1
    gtp_payload: int = -1
    inner: Ip | None = None
    nsh_length: int = 0
    nsh_next: int = 0


def word(data: bytes, at: int) -> int:
    """16 bits."""
    return int.from_bytes(data[at : at + 2], "big")


def parse(frame: bytes) -> Parsed:
    """Everything that can be known of a frame."""
    found = Parsed(frame=frame, fields={})
    if len(frame) < ETHERNET:
        return found
    fields, at, kind = found.fields, ETHERNET, word(frame, 12)
    fields[Field.ETH_DST] = int.from_bytes(frame[:6], "big")
    fields[Field.ETH_SRC] = int.from_bytes(frame[6:12], "big")
    fields[Field.VLAN_VID] = 0
    if kind == _TAGS[0] and len(frame) >= at + 4:
        fields[Field.VLAN_VID] = VLAN_PRESENT | word(frame, at) & 0xFFF
        kind, at = word(frame, at + 2), at + 4
    fields[Field.ETH_TYPE], found.l3 = kind, at
    reader = _READERS.get(kind)
    if reader:
        reader(found)
    return found


def _read_ip(found: Parsed) -> None:
    ip = found.ip = read_ip(found.frame, found.l3)
    if ip is None or ip.version != (4 if found.fields[Field.ETH_TYPE] == ETH_IPV4 else 6):
        found.ip = None
        return
    _ip_fields(found, ip)
    if found.fields.get(Field.L4_DST) == GTPU_PORT and ip.proto == PROTO_UDP and ip.frag is Frag.NO:
        _read_gtp(found, ip.payload + 8, ip.end)


def read_ip(data: bytes, at: int) -> Ip | None:
    """The IP packet at a place, None if there is no whole header of one."""
    version = data[at] >> 4 if at < len(data) else 0
    if version == 4:
        return _read_v4(data, at)
    return _read_v6(data, at) if version == 6 else None


def _read_v4(data: bytes, at: int) -> Ip | None:
    length = (data[at] & 15) * 4
    if length < 20 or len(data) < at + length:
        return None
    flags = word(data, at + 6)
    offset, more = flags & 0x1FFF, flags & 0x2000
    frag = Frag.LATER if offset else Frag.FIRST if more else Frag.NO
    end = min(len(data), at + max(word(data, at + 2), length))
    return Ip(4, at, -1 if offset else at + length, data[at + 9], frag, end)


def _read_v6(data: bytes, at: int) -> Ip | None:
    if len(data) < at + 40:
        return None
    frag, proto, here = Frag.NO, data[at + 6], at + 40
    end = min(len(data), here + word(data, at + 4))
    for _ in range(_MOST_EXTENSIONS):
        if len(data) < here + 8 or (proto not in _V6_EXTENSIONS and proto != _V6_FRAGMENT):
            break
        if proto == _V6_FRAGMENT:
            place = word(data, here + 2)
            frag = Frag.LATER if place >> 3 else Frag.FIRST if place & 1 else Frag.NO
            proto, here = data[here], here + 8
        else:
            proto, here = data[here], here + 8 * (data[here + 1] + 1)
        if frag is Frag.LATER:
            break
    return Ip(6, at, -1 if frag is Frag.LATER else here, proto, frag, end)


def _ip_fields(found: Parsed, ip: Ip) -> None:
    frame, fields = found.frame, found.fields
    fields[Field.IP_PROTO], fields[Field.IP_FRAG] = ip.proto, int(ip.frag)
    fields[Field.IP_DSCP] = dscp_of(frame, ip)
    source, target = addresses(frame, ip)
    v4 = ip.version == 4
    fields[Field.IPV4_SRC if v4 else Field.IPV6_SRC] = int.from_bytes(source, "big")
    fields[Field.IPV4_DST if v4 else Field.IPV6_DST] = int.from_bytes(target, "big")
    if has_ports(frame, ip):
        fields[Field.L4_SRC], fields[Field.L4_DST] = word(frame, ip.payload), word(frame, ip.payload + 2)


def dscp_of(data: bytes, ip: Ip) -> int:
    """The DSCP of an IP packet."""
    return data[ip.start + 1] >> 2 if ip.version == 4 else (word(data, ip.start) >> 6) & 63


def addresses(data: bytes, ip: Ip) -> tuple[bytes, bytes]:
    """Source and destination of an IP packet."""
    at, size = (ip.start + 12, 4) if ip.version == 4 else (ip.start + 8, 16)
    return data[at : at + size], data[at + size : at + 2 * size]


def identification(data: bytes, ip: Ip) -> bytes:
    """What fragments of one packet have in common, from the header of IPv4 or the fragment header of IPv6."""
    if ip.version == 4:
        return data[ip.start + 4 : ip.start + 6]
    proto, here = data[ip.start + 6], ip.start + 40
    while proto in _V6_EXTENSIONS and len(data) >= here + 8:
        proto, here = data[here], here + 8 * (data[here + 1] + 1)
    return data[here + 4 : here + 8]


def has_ports(data: bytes, ip: Ip) -> bool:
    """Whether an IP packet has L4 ports that can be read."""
    return ip.proto in _WITH_PORTS and ip.payload >= 0 and len(data) >= ip.payload + 4


def _read_gtp(found: Parsed, at: int, end: int) -> None:
    frame, fields = found.frame, found.fields
    if min(len(frame), end) < at + 8 or frame[at] >> 4 != 3:
        return
    found.gtp = at
    kind = fields[Field.GTP_TYPE] = frame[at + 1]
    fields[Field.GTP_TEID] = int.from_bytes(frame[at + 4 : at + 8], "big")
    payload = _skip_extensions(found, at, min(len(frame), end))
    if payload < 0 or kind != G_PDU:
        return
    inner = read_ip(frame, payload)
    if inner:
        found.gtp_payload, found.inner = payload, inner
        _inner_fields(found, inner)


def _skip_extensions(found: Parsed, at: int, end: int) -> int:
    """Where the payload of a GTP-U header begins; -1 if a header of it is broken. Notes the QFI on the way."""
    frame = found.frame
    if not frame[at] & 7:
        return at + 8
    here = at + 12
    if end < here:
        return -1
    following = frame[at + 11] if frame[at] & 4 else 0
    for _ in range(_MOST_EXTENSIONS):
        if not following:
            return here
        length = frame[here] * 4 if here < end else 0
        if not length or end < here + length:
            return -1
        if following == PDU_SESSION_CONTAINER:
            found.fields[Field.GTP_QFI] = frame[here + 2] & 63
        here, following = here + length, frame[here + length - 1]
    return -1 if following else here


def _inner_fields(found: Parsed, ip: Ip) -> None:
    frame, fields = found.frame, found.fields
    fields[Field.INNER_PROTO], fields[Field.INNER_DSCP] = ip.proto, dscp_of(frame, ip)
    source, target = addresses(frame, ip)
    v4 = ip.version == 4
    fields[Field.INNER_IPV4_SRC if v4 else Field.INNER_IPV6_SRC] = int.from_bytes(source, "big")
    fields[Field.INNER_IPV4_DST if v4 else Field.INNER_IPV6_DST] = int.from_bytes(target, "big")
    if has_ports(frame, ip):
        fields[Field.INNER_L4_SRC], fields[Field.INNER_L4_DST] = word(frame, ip.payload), word(frame, ip.payload + 2)


def _read_nsh(found: Parsed) -> None:
    frame, at, fields = found.frame, found.l3, found.fields
    if len(frame) < at + 8 or frame[at] >> 6:
        return
    length = (word(frame, at) & 63) * 4
    kind = frame[at + 2] & 15
    if length < 8 or len(frame) < at + length or kind not in (1, 2) or (kind == 1 and length != 24):
        return
    found.nsh_length, found.nsh_next = length, frame[at + 3]
    fields[Field.NSH_SPI] = int.from_bytes(frame[at + 4 : at + 7], "big")
    fields[Field.NSH_SI] = frame[at + 7]
    if kind == 1:
        for index, field in enumerate((Field.NSH_C1, Field.NSH_C2, Field.NSH_C3, Field.NSH_C4)):
            fields[field] = int.from_bytes(frame[at + 8 + 4 * index : at + 12 + 4 * index], "big")


_READERS: dict[int, Callable[[Parsed], None]] = {ETH_IPV4: _read_ip, ETH_IPV6: _read_ip, ETH_NSH: _read_nsh}


def flow_of(found: Parsed) -> Flow | None:
    """What identifies the flow of a frame, equal for both directions and before and after decapsulation; None where there
    is none."""
    ip = found.inner or found.ip
    if ip is None or ip.frag is Frag.LATER:
        return None
    source, target = addresses(found.frame, ip)
    ports = (word(found.frame, ip.payload), word(found.frame, ip.payload + 2)) if has_ports(found.frame, ip) else (0, 0)
    (first, first_port), (second, second_port) = sorted(((source, ports[0]), (target, ports[1])))
    return ip.proto, first, first_port, second, second_port
