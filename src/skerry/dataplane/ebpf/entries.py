"""How connections are kept in the kernel: keys, values, what the programs note of a frame. Pure.

Two entries of one map stand for a connection: under what its opener sends, and under what is answered. Each holds what such a
frame becomes; whether it was answered, is being closed, and when it was seen last is in the first of them.

A key is zone, protocol and IP version, then *ends*: source, destination (16 bytes each), both ports. An echo has its identifier
as the port of who asks.
"""

from __future__ import annotations

from skerry.dataplane.ebpf.assembler import R1, R9
from skerry.dataplane.ebpf.layout import BUFFER, HEADERS, L3
from skerry.dataplane.ebpf.writing import Writer

KEY_SIZE, ENDS_SIZE = 40, 36
FLAGS, IDLE, SEEN, BECOMES = 0, 4, 8, 16
VALUE_SIZE = 56
BACK, ANSWERED, CLOSING, TRANSLATED = 1, 2, 4, 8
"""Flags of an entry."""
OPENER, OTHER, ERROR, FRESH, CHANGES, PART = 1, 2, 4, 8, 16, 32
"""What is found of a frame: from which side, about an error, that it may open one, that it is translated, that it is a later
fragment."""
PART_SEEN, PART_BECOMES, PART_SIZE = 8, 16, 48
"""What is kept of a first fragment: what was found, the state, when, the addresses that it got. The key has the identification
in the place of ports."""
FIRST, LATER = 1, 2
"""Fragments, as they are in the slot."""
SRC, DST, SPORT, DPORT = 0, 16, 32, 34
ENDS = 4
"""Where the ends begin in a key."""


def copy(writer: Writer, source: int, target: int, size: int) -> None:
    """Bytes of the scratch to another place of it."""
    for word in range(0, size, 4):
        writer.asm.load(4, R1, R9, source + word)
        writer.asm.store(4, R9, target + word, R1)


def old_addresses(writer: Writer, version: int) -> None:
    """The addresses of the frame to HEADERS, 32 bytes."""
    size, at = (4, 12) if version == 4 else (16, 8)
    for part in (0, 1):
        for word in range(0, 16, 4):
            if word < size:
                writer.asm.load(4, R1, R9, BUFFER + L3 + at + size * part + word)
                writer.asm.store(4, R9, HEADERS + 16 * part + word, R1)
            else:
                writer.asm.store(4, R9, HEADERS + 16 * part + word, 0)
