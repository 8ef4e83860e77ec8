"""Where the programs of the `ebpf` engine keep what they know of a frame: one value per processor, the scratch.

The first `WINDOW` bytes of a frame are copied into it once and read there. The outermost VLAN tag is never among them: the
kernel keeps it beside the frame, so the header after Ethernet always begins at byte 14. A field's slot holds the value
big-endian, filled up with zeros behind: as it is in the frame, so that reading is copying.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from skerry.dataplane.flows import WIDTHS, Field

WINDOW = 256
L3 = 14

# Numbers of 4 bytes in the machine's order.
LEN = 0
CAP = 4  # of those, how many are in the window
IN_PORT = 8
L4 = 12  # 0: none
IP_END = 16
GTP = 20
INNER = 24  # where the packet inside begins
NSH_LEN = 28
NSH_NEXT = 32
BEST_PRIORITY = 36
BEST_RULE = 40
INNER_L4 = 44
FLAGS = 48
INNER_END = 52
SAVED_LEN = 56
SAVED_FLAGS = 60
SAVED_TAG = 64  # the tag of a frame that is copied: 0 or 1 << 16 | TCI
NEW_LEN = 68
NOW = 72  # 8 bytes
TRIMMED = 80  # bytes taken off behind the IP packet of a copy
SAVED_PROTO = 84
TEMP = 88  # 40 bytes

SLOTS = 128
CONN_FOUND = 432  # what `track` found, see `entries`
CONN_ZONE = 436
ABOUT = 440  # where the packet begins that an ICMP error is about, and its payload
ABOUT_L4 = 444
FRAG_ID = 376  # of IPv6
REASON = 428  # why a frame is dropped
KEY = 448
HEADERS = 704  # a header that is being made
BUFFER = 832  # the window
SAVED = 1152  # the window of a frame that is copied
FLOW = 1408  # protocol, two addresses, two ports: 40 bytes
CONN_KEY = 1448  # by what a connection is looked up: 40 bytes
CONN_BECOMES = 1488  # the ends that a frame gets: 36 bytes
SCRATCH = 1536
FRAME_ROOM = 9216  # the largest frame that a probe tells
EMITTED = SCRATCH  # of a probe: head of 16 bytes, then the frame


class Has(enum.IntFlag):
    """What a frame has. Most fields need one of these; see `NEEDED`."""

    FRAME = 1
    IP = 2
    V4 = 4
    V6 = 8
    PORTS = 16
    GTP = 32
    QFI = 64
    INNER = 128
    INNER_V4 = 256
    INNER_V6 = 512
    INNER_PORTS = 1024
    NSH = 2048
    CONTEXT = 4096
    LATER = 8192
    INNER_LATER = 16384


NEEDED: Mapping[Field, Has] = {
    Field.IP_PROTO: Has.IP,
    Field.IP_DSCP: Has.IP,
    Field.IP_FRAG: Has.IP,
    Field.IPV4_SRC: Has.V4,
    Field.IPV4_DST: Has.V4,
    Field.IPV6_SRC: Has.V6,
    Field.IPV6_DST: Has.V6,
    Field.L4_SRC: Has.PORTS,
    Field.L4_DST: Has.PORTS,
    Field.GTP_TYPE: Has.GTP,
    Field.GTP_TEID: Has.GTP,
    Field.GTP_QFI: Has.QFI,
    Field.INNER_PROTO: Has.INNER,
    Field.INNER_DSCP: Has.INNER,
    Field.INNER_IPV4_SRC: Has.INNER_V4,
    Field.INNER_IPV4_DST: Has.INNER_V4,
    Field.INNER_IPV6_SRC: Has.INNER_V6,
    Field.INNER_IPV6_DST: Has.INNER_V6,
    Field.INNER_L4_SRC: Has.INNER_PORTS,
    Field.INNER_L4_DST: Has.INNER_PORTS,
    Field.NSH_SPI: Has.NSH,
    Field.NSH_SI: Has.NSH,
    Field.NSH_C1: Has.CONTEXT,
    Field.NSH_C2: Has.CONTEXT,
    Field.NSH_C3: Has.CONTEXT,
    Field.NSH_C4: Has.CONTEXT,
}


def octets(field: Field) -> int:
    """Bytes of a field."""
    return (WIDTHS[field] + 7) // 8


def slot_size(field: Field) -> int:
    """Bytes of its slot: 4, 8 or 16."""
    size = octets(field)
    return 4 if size <= 4 else 8 if size <= 8 else 16


def _slots() -> dict[Field, int]:
    found: dict[Field, int] = {}
    at = SLOTS
    for field in sorted(Field, key=lambda one: -slot_size(one)):
        found[field] = at
        at += slot_size(field)
    return found


SLOT: Mapping[Field, int] = _slots()
"""Where the slot of a field is in the scratch."""


def packed(field: Field, value: int) -> bytes:
    """A value as it is in a slot."""
    return value.to_bytes(octets(field), "big").ljust(slot_size(field), b"\0")


def unpacked(field: Field, data: bytes) -> int:
    """The way back."""
    return int.from_bytes(data[: octets(field)], "big")


def words(field: Field, value: int) -> list[int]:
    """A slot as numbers of 4 bytes in the machine's order (little-endian)."""
    data = packed(field, value)
    return [int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data), 4)]


def big(value: int, octets: int = 2) -> int:
    """A number as a program sees it when it reads it, unconverted, from a frame."""
    return int.from_bytes(value.to_bytes(octets, "big"), "little")


class Skb:
    """Offsets in the context of a program (`struct __sk_buff`)."""

    LEN = 0
    KIND = 4
    PROTOCOL = 16
    VLAN_PRESENT = 20
    VLAN_TCI = 24
    VLAN_PROTO = 28
    IFINDEX = 40
    TC_INDEX = 44
    CB0 = 48
    DATA = 76
    DATA_END = 80


class Helper(enum.IntEnum):
    """Helpers of the kernel that are called."""

    MAP_LOOKUP = 1
    MAP_UPDATE = 2
    MAP_DELETE = 3
    KTIME = 5
    PRANDOM = 7
    STORE_BYTES = 9
    L3_CSUM_REPLACE = 10
    L4_CSUM_REPLACE = 11
    TAIL_CALL = 12
    CLONE_REDIRECT = 13
    VLAN_PUSH = 18
    VLAN_POP = 19
    REDIRECT = 23
    LOAD_BYTES = 26
    CSUM_DIFF = 28
    CHANGE_TYPE = 32
    CHANGE_TAIL = 38
    PULL_DATA = 39
    CHANGE_HEAD = 43
    ADJUST_ROOM = 50
    RINGBUF_OUTPUT = 130
    REDIRECT_PEER = 155
    KTIME_COARSE = 160
