"""What a flow asks for, in its first data: the host of an HTTP/1 request, the server name of a TLS ClientHello (RFC 6066).

The first segment with data is looked into, as far as the bounds below: what a fast path can do. A ClientHello that is cut
between two extensions goes on in the segments that follow. What is beyond the bounds, and every other protocol, asks for
nothing that is known. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec

from skerry.dataplane.flows import PROTO_TCP, Frag, Named
from skerry.dataplane.packets import Parsed, word

HTTP_WINDOW = 512
"""Bytes of a request within which its host must end."""
HELLO_WINDOW = 2048
"""Bytes of a ClientHello within which the server name must end."""
MOST_NAME = 100
"""Bytes of a name."""
MOST_EXTENSIONS = 24
"""Extensions of a ClientHello among which the server name must be."""
_HANDSHAKE, _CLIENT_HELLO = 22, 1
_SYN, _ACK = 2, 16
NAME = re.compile(r"^(\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$")
_HOST = re.compile(rb" ?([!-9;-~]*)[\r :]")


class Asked(msgspec.Struct, frozen=True):
    """What a flow asks for, as far as it is known: a number, 0 for nothing. While `left` is not 0, a ClientHello goes on: so
    many bytes of extensions are to come, the next of them `skip` bytes behind the place `seq` of the stream."""

    number: int = 0
    seq: int = 0
    skip: int = 0
    left: int = 0


class Segment(msgspec.Struct, frozen=True):
    """Data of a TCP connection, and where in the stream it is."""

    data: bytes
    seq: int


def opens(parsed: Parsed) -> bool:
    """Whether a frame opens a TCP connection: then nothing that was known of its flow is right any more."""
    ip = parsed.inner or parsed.ip
    if ip is None or ip.proto != PROTO_TCP or ip.frag is Frag.LATER or len(parsed.frame) < ip.payload + 20:
        return False
    return parsed.frame[ip.payload + 13] & (_SYN | _ACK) == _SYN


def segment_of(parsed: Parsed) -> Segment | None:
    """What a frame carries in TCP, inside GTP-U too; None for none."""
    ip = parsed.inner or parsed.ip
    if ip is None or ip.proto != PROTO_TCP or ip.frag is not Frag.NO or len(parsed.frame) < ip.payload + 20:
        return None
    start = ip.payload + 4 * (parsed.frame[ip.payload + 12] >> 4)
    seq = int.from_bytes(parsed.frame[ip.payload + 4 : ip.payload + 8], "big")
    data = parsed.frame[start : ip.end]
    return Segment(data, seq) if data else None


def look(segment: Segment, known: Asked | None, names: Sequence[Named]) -> Asked | None:
    """What is known of a flow after a segment; None where the segment says nothing, since it is not the next one."""
    data = segment.data
    if known is not None:
        if segment.seq != known.seq:
            return None
        found = _extensions(segment, known.skip, known.left)
    else:
        found = _hello(segment) if data[0] == _HANDSHAKE else _host(data)
    if isinstance(found, Asked):
        return found
    name = found.decode("latin-1").lower().removesuffix(".") if found and len(found) <= MOST_NAME else ""
    return Asked(number_of(name, names))


def _host(data: bytes) -> bytes | None:
    head = data[:HTTP_WINDOW]
    at = head.lower().find(b"\r\nhost:") if 65 <= data[0] <= 90 else -1
    found = _HOST.match(head, at + 7) if at >= 0 else None
    return found[1] if found else None


def _hello(segment: Segment) -> bytes | Asked | None:
    data = segment.data[:HELLO_WINDOW]
    if len(data) < 44 or data[5] != _CLIENT_HELLO:
        return None
    at = 44 + data[43]
    for size in (2, 1):
        if len(data) < at + size:
            return None
        at += size + int.from_bytes(data[at : at + size], "big")
    return _extensions(segment, at + 2, word(data, at)) if len(data) >= at + 2 else None


def _extensions(segment: Segment, at: int, left: int) -> bytes | Asked | None:
    """The server name among extensions, of which the next begins at a place; or where they go on in the next segment."""
    data = segment.data[:HELLO_WINDOW]
    for _ in range(MOST_EXTENSIONS):
        if left < 4:
            return None
        if at >= len(segment.data):
            seq = (segment.seq + len(segment.data)) % (1 << 32)
            return Asked(seq=seq, skip=at - len(segment.data), left=left)
        if len(data) < at + 4:
            return None
        if word(data, at) == 0:
            size = word(data, at + 7)
            whole = data[at + 9 : at + 9 + size]
            return whole if len(data) >= at + 9 + size and data[at + 6] == 0 else None
        size = 4 + word(data, at + 2)
        if size > left:
            return None
        at, left = at + size, left - size
    return None


def number_of(name: str, names: Sequence[Named]) -> int:
    """The number of what fits a name best: itself, or the longest end; 0 for nothing."""
    known: Mapping[str, int] = {one.name: one.id for one in names}
    if name in known:
        return known[name]
    labels = name.split(".")
    ends = ("*." + ".".join(labels[at:]) for at in range(1, len(labels)))
    return next((known[end] for end in ends if end in known), 0) if name else 0
