"""A packet on its way through a function, and the arithmetic of Internet checksums."""

from __future__ import annotations


class Packet:
    """A frame with its annotations. `data` are the bytes as the next element sees them, `head` those that were stripped off
    its start and can be put back, `paint` the colour."""

    __slots__ = ("data", "head", "paint")

    def __init__(self, data: bytes, head: bytes = b"", paint: int = 0) -> None:
        self.data = data
        self.head = head
        self.paint = paint

    def clone(self) -> Packet:
        """A copy that goes its own way."""
        return Packet(self.data, self.head, self.paint)

    def prepend(self, header: bytes) -> None:
        """Write a header in front, over what was stripped there."""
        self.head = self.head[: -len(header)]
        self.data = header + self.data


def ones_sum(data: bytes) -> int:
    """The sum of 16 bit words in ones' complement (RFC 1071); bytes of odd number end with a zero. 0xFFFF rather than 0 unless
    all are zero: 65536 is 1 modulo 65535, so one division of one large number does it."""
    value = int.from_bytes(data, "big")
    if len(data) & 1:
        value <<= 8
    return (value % 0xFFFF or 0xFFFF) if value else 0


def internet_checksum(data: bytes, initial: int = 0) -> int:
    """The checksum of these bytes and of what `initial` sums up."""
    total = ones_sum(data) + initial
    return 0xFFFF - (total % 0xFFFF or 0xFFFF) if total else 0xFFFF


def difference(old: bytes, new: bytes) -> int:
    """What to add to a sum, so that it is that of `new` in place of `old`. Both have the same even length."""
    return (int.from_bytes(new, "big") - int.from_bytes(old, "big")) % 0xFFFF


def adjusted(checksum: int, delta: int) -> int:
    """A checksum after a change of its data by `delta` (RFC 1624)."""
    total = (0xFFFF - checksum) + delta
    return 0xFFFF - (total % 0xFFFF or 0xFFFF) if total else 0xFFFF
