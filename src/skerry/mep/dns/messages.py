"""DNS messages (RFC 1035, RFC 6891) as far as a responder of addresses needs them. Pure; hostile bytes end in None."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from typing import NamedTuple

from skerry.mep.dns.contract import Record

HEADER = struct.Struct("!HHHHHH")
TYPES = {1: "A", 28: "AAAA", 255: "ANY"}
NUMBERS = {"A": 1, "AAAA": 28}
IN, ANY_CLASS, OPT = 1, 255, 41
NOERROR, FORMERR, NXDOMAIN, NOTIMP, REFUSED = 0, 1, 3, 4, 5
QR, AA, TC, RD = 0x8000, 0x0400, 0x0200, 0x0100
PLAIN_BYTES, MOST_BYTES = 512, 1232
"""Size of an answer over UDP without EDNS, and the most with it (no fragments on any path)."""


class Question(NamedTuple):
    """What is asked: `raw` is the question section as it came, to be repeated; `size` the most bytes of an answer."""

    id: int
    flags: int
    name: str
    type: int
    klass: int
    raw: bytes
    edns: bool
    size: int


def parse(packet: bytes) -> Question | None:
    """The question of a query; None for what is no query at all, and deserves no answer."""
    if len(packet) < HEADER.size:
        return None
    id, flags, questions, answers, _, additional = HEADER.unpack_from(packet)
    if flags & QR or questions != 1 or answers:
        return None
    found = _name(packet, HEADER.size)
    if found is None or found[1] + 4 > len(packet):
        return None
    name, end = found
    kind, klass = struct.unpack_from("!HH", packet, end)
    size = _edns(packet, end + 4) if additional else 0
    return Question(
        id=id,
        flags=flags,
        name=name,
        type=kind,
        klass=klass,
        raw=packet[HEADER.size : end + 4],
        edns=size > 0,
        size=min(max(size, PLAIN_BYTES), MOST_BYTES),
    )


def _name(packet: bytes, at: int) -> tuple[str, int] | None:
    """An uncompressed name, lower case, and where it ends."""
    labels: list[str] = []
    length = 0
    while at < len(packet):
        count = packet[at]
        at += 1
        if count == 0:
            return ".".join(labels), at
        length += count + 1
        if count > 63 or length > 254 or at + count > len(packet):
            return None
        labels.append(packet[at : at + count].decode("latin-1").lower())
        at += count
    return None


def _edns(packet: bytes, at: int) -> int:
    """The size that the first additional record offers, if it is the one of EDNS."""
    if at + 11 > len(packet) or packet[at] != 0:
        return 0
    kind, size = struct.unpack_from("!HH", packet, at + 1)
    return max(int(size), PLAIN_BYTES) if kind == OPT else 0


def answer(question: Question, records: Iterable[Record], *, code: int = NOERROR, size: int = 0) -> bytes:
    """The answer with these records; those that the question's type does not mean are left out. `size` 0 is the question's."""
    wanted = TYPES.get(question.type, "")
    chosen = [one for one in records if wanted in (one.type, "ANY")]
    body = b"".join(_record(one) for one in chosen)
    opt = b"\x00" + struct.pack("!HHIH", OPT, MOST_BYTES, 0, 0) if question.edns else b""
    flags = QR | AA | (question.flags & (RD | 0x7800)) | code
    if HEADER.size + len(question.raw) + len(body) + len(opt) > (size or question.size):
        flags, chosen, body = flags | TC, [], b""
    head = HEADER.pack(question.id, flags, 1, len(chosen), 0, 1 if opt else 0)
    return head + question.raw + body + opt


def _record(record: Record) -> bytes:
    """A record whose name is that of the question, at offset 12."""
    family = socket.AF_INET if record.type == "A" else socket.AF_INET6
    data = socket.inet_pton(family, record.address)
    return struct.pack("!HHHIH", 0xC000 | HEADER.size, NUMBERS[record.type], IN, record.ttl, len(data)) + data
