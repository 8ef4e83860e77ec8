"""What a flow asks for, in its first data: the host of an HTTP/1 request, the server name of a TLS ClientHello (RFC 6066).

Only the first segment with data is looked into, as far as the bounds below: what a fast path can do. What is beyond them, and
every other protocol, asks for nothing that is known. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

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
NAME = re.compile(r"^(\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$")
_HOST = re.compile(rb" ?([!-9;-~]*)[\r :]")


def data_of(parsed: Parsed) -> bytes | None:
    """What a frame carries in TCP, inside GTP-U too; None for none."""
    ip = parsed.inner or parsed.ip
    if ip is None or ip.proto != PROTO_TCP or ip.frag is not Frag.NO or len(parsed.frame) < ip.payload + 20:
        return None
    start = ip.payload + 4 * (parsed.frame[ip.payload + 12] >> 4)
    return parsed.frame[start : ip.end] or None


def asked(data: bytes) -> str:
    """The name in the first data of a flow, in lower case; "" for none."""
    found = _server_name(data) if data[0] == _HANDSHAKE else _host(data)
    return found.decode("latin-1").lower().removesuffix(".") if found and len(found) <= MOST_NAME else ""


def _host(data: bytes) -> bytes | None:
    head = data[:HTTP_WINDOW]
    at = head.lower().find(b"\r\nhost:") if 65 <= data[0] <= 90 else -1
    found = _HOST.match(head, at + 7) if at >= 0 else None
    return found[1] if found else None


def _server_name(data: bytes) -> bytes | None:
    data = data[:HELLO_WINDOW]
    if len(data) < 44 or data[5] != _CLIENT_HELLO:
        return None
    at = 44 + data[43]
    for size in (2, 1):
        if len(data) < at + size:
            return None
        at += size + int.from_bytes(data[at : at + size], "big")
    at += 2
    for _ in range(MOST_EXTENSIONS):
        if len(data) < at + 4:
            return None
        if word(data, at) == 0:
            size = word(data, at + 7)
            whole = data[at + 9 : at + 9 + size]
            return whole if len(data) >= at + 9 + size and data[at + 6] == 0 else None
        at += 4 + word(data, at + 2)
    return None


def number_of(name: str, names: Sequence[Named]) -> int:
    """The number of what fits a name best: itself, or the longest end; 0 for nothing."""
    known: Mapping[str, int] = {one.name: one.id for one in names}
    if name in known:
        return known[name]
    labels = name.split(".")
    ends = ("*." + ".".join(labels[at:]) for at in range(1, len(labels)))
    return next((known[end] for end in ends if end in known), 0) if name else 0
