"""The code of elements for IPv4: CheckIPHeader, ICMPPingResponder, IPEncap, UDPIPEncap; and sums over packets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from skerry.dataplane.ebpf.assembler import (
    FP,
    R0,
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
    R7,
    R8,
    R9,
    Assembler,
    Atomic,
    Jump,
    Label,
    Reg,
)
from skerry.dataplane.ebpf.layout import Helper, Skb, big
from skerry.lvnf import configs
from skerry.lvnf.bytecode import slots
from skerry.lvnf.bytecode.coder import LARGEST_COPY, LENGTH, MORE, SPACE, Coder, Write
from skerry.lvnf.graph import Element

_LARGEST = 0xFFFF
_CHUNK = 512
_MOST_CHUNKS = LARGEST_COPY // _CHUNK + 1
_SEED, _TURNS = -8, -16
_MOST_OPTIONS = 10
_ECHO_REQUEST = 8


def ones_sum(data: bytes) -> int:
    """The sum of 16 bit words as the machine reads them (little-endian)."""
    return sum(int.from_bytes(data[at : at + 2], "little") for at in range(0, len(data), 2))


def summed(coder: Coder, _: Label) -> None:
    """`r0 = summed(frame, start, length, initial, scratch)`: the sum in ones' complement of bytes of the frame; negative if
    they are not there."""
    asm = coder.asm
    again, rest, failed = asm.label("sum"), asm.label("rest"), asm.label("not_summed")
    asm.mov(R6, R1)
    asm.mov(R8, R2)
    asm.mov(R7, R3)
    asm.add(R7, R2)
    asm.mov(R9, R5)
    asm.store(8, FP, _SEED, R4)
    asm.store(8, FP, _TURNS, 0)
    asm.store(8, R9, slots.SCRATCH, R7)
    asm.load(8, R7, R9, slots.SCRATCH)
    _join(asm, failed)
    asm.place(again)
    _piece(asm, _CHUNK, rest, failed)
    asm.load(8, R1, FP, _TURNS)
    asm.add(R1, 1)
    asm.store(8, FP, _TURNS, R1)
    asm.jump_if(Jump.LT, R1, _MOST_CHUNKS, again)
    asm.jump(failed)
    asm.place(rest)
    size = _CHUNK // 2
    while size >= 4:
        smaller = asm.label("smaller")
        _piece(asm, size, smaller, failed)
        asm.place(smaller)
        size //= 2
    _last_bytes(asm, failed)
    asm.load(8, R0, FP, _SEED)
    asm.exit()
    asm.place(failed)
    asm.mov(R0, -1)
    asm.exit()


def _join(asm: Assembler, failed: Label) -> None:
    """Out of memory, where we are is unknown to the verifier: so that it sees all turns as one."""
    asm.store(8, R9, slots.SCRATCH, R8)
    asm.load(8, R8, R9, slots.SCRATCH)
    asm.jump_if(Jump.GT, R8, _LARGEST - _CHUNK, failed)


def _direct(asm: Assembler, size: int, failed: Label) -> None:
    """r3 = where we are, with `size` bytes."""
    asm.load(4, R3, R6, Skb.DATA)
    asm.load(4, R2, R6, Skb.DATA_END)
    asm.add(R3, R8)
    asm.mov(R1, R3)
    asm.add(R1, size)
    asm.jump_if(Jump.GT, R1, R2, failed)


def _piece(asm: Assembler, size: int, other: Label, failed: Label) -> None:
    """Add the next `size` bytes; `other` if there are fewer."""
    asm.mov(R1, R7)
    asm.sub(R1, R8)
    asm.jump_if(Jump.SLT, R1, size, other)
    _direct(asm, size, failed)
    asm.mov(R1, 0)
    asm.mov(R2, 0)
    asm.mov(R4, size)
    asm.load(8, R5, FP, _SEED)
    asm.call(Helper.CSUM_DIFF)
    asm.and_(R0, -1, width=4)
    asm.store(8, FP, _SEED, R0)
    asm.add(R8, size)
    _join(asm, failed)


def _last_bytes(asm: Assembler, failed: Label) -> None:
    """Up to three."""
    for size in (2, 1):
        fewer = asm.label("fewer")
        asm.mov(R1, R7)
        asm.sub(R1, R8)
        asm.jump_if(Jump.SLT, R1, size, fewer)
        _direct(asm, size, failed)
        asm.load(size, R1, R3)
        asm.load(8, R2, FP, _SEED)
        asm.add(R2, R1)
        asm.store(8, FP, _SEED, R2)
        asm.add(R8, size)
        asm.place(fewer)


def complement(coder: Coder, register: Reg) -> None:
    """A register = the checksum of the sum that it holds."""
    coder.folded(register)
    coder.asm.mov(R1, 0xFFFF)
    coder.asm.sub(R1, register)
    coder.asm.mov(register, R1)


# -- CheckIPHeader --------------------------------------------------------------------------------------------------------


def check_ip_header(coder: Coder, element: Element, _: int) -> None:
    """All that Click checks; what is behind the IP packet is cut off."""
    asm, name, bad = coder.asm, element.name, coder.asm.label("bad_header")
    config = cast("configs.CheckIPHeader", element.config)
    at, right = config.offset, asm.label("right_length")
    coder.window(at + 20, bad)
    asm.load(1, R3, R7, at)
    asm.mov(R1, R3)
    asm.rsh(R1, 4)
    asm.jump_if(Jump.NE, R1, 4, bad)
    asm.and_(R3, 15)
    asm.lsh(R3, 2)
    asm.jump_if(Jump.LT, R3, 20, bad)
    asm.load(2, R4, R7, at + 2)
    asm.to_big(R4, 16)
    asm.jump_if(Jump.LT, R4, R3, bad)
    coder.length(R5)
    asm.sub(R5, at)
    asm.jump_if(Jump.GT, R4, R5, bad)
    if config.checksum:
        _header_sum(coder, at, bad)
    asm.load(4, R1, R7, at + 12)
    for source in config.bad_sources:
        asm.jump_if(Jump.EQ, R1, int.from_bytes(source, "little"), bad, width=4)
    asm.jump_if(Jump.EQ, R4, R5, right)
    asm.add(R4, at)
    coder.trim(R4)
    asm.place(right)
    coder.count(name, slots.PACKETS)
    coder.go(name)
    asm.place(bad)
    coder.count(name, slots.DROPS)
    coder.go(name, 1)


def _header_sum(coder: Coder, at: int, bad: Label) -> None:
    """The header of r3 bytes at `at` sums up to 0xFFFF. r4 and r5 stay."""
    asm, done = coder.asm, coder.asm.label("header_summed")
    asm.mov(R0, 0)
    for part in range(0, 20, 4):
        asm.load(4, R1, R7, at + part)
        asm.add(R0, R1)
    for option in range(_MOST_OPTIONS):
        asm.jump_if(Jump.LE, R3, 20 + 4 * option, done)
        coder.reach(R7, at + 24 + 4 * option, bad)
        asm.load(4, R1, R7, at + 20 + 4 * option)
        asm.add(R0, R1)
    asm.place(done)
    coder.folded(R0)
    asm.jump_if(Jump.NE, R0, 0xFFFF, bad)
    coder.window(at + 20, bad)


# -- ICMPPingResponder ----------------------------------------------------------------------------------------------------


def icmp_ping_responder(coder: Coder, element: Element, _: int) -> None:
    """The request becomes the reply, both checksums made anew."""
    asm, other = coder.asm, coder.out(element.name, 1)
    coder.window(28, other)
    asm.load(1, R1, R7, 9)
    asm.jump_if(Jump.NE, R1, 1, other)
    asm.load(2, R1, R7, 6)
    asm.and_(R1, big(0x1FFF))
    asm.jump_if(Jump.NE, R1, 0, other)
    asm.load(1, R4, R7, 0)
    asm.and_(R4, 15)
    asm.lsh(R4, 2)
    asm.jump_if(Jump.LT, R4, 20, other)
    asm.mov(R3, R7)
    asm.add(R3, R4)
    coder.reach(R3, 8, other)
    asm.load(1, R1, R3, 0)
    asm.jump_if(Jump.NE, R1, _ECHO_REQUEST, other)
    _reply_end(coder)
    asm.store(1, R3, 0, 0)
    asm.store(2, R3, 2, 0)
    asm.store(8, FP, MORE, R4)
    asm.store(1, R7, 8, 255)
    asm.store(2, R7, 10, 0)
    asm.load(4, R1, R7, 12)
    asm.load(4, R2, R7, 16)
    asm.store(4, R7, 12, R2)
    asm.store(4, R7, 16, R1)
    _sum_of(coder, R4, None)
    complement(coder, R0)
    coder.window(20, coder.drop)
    asm.store(2, R7, 10, R0)
    _reply_checksum(coder)
    coder.go(element.name)


def _reply_end(coder: Coder) -> None:
    """LENGTH = how long the message is behind a header of r4 bytes: as the header says, if that can be."""
    asm, told, given = coder.asm, coder.asm.label("told_length"), coder.asm.label("given_length")
    coder.length(R5)
    asm.load(2, R2, R7, 2)
    asm.to_big(R2, 16)
    asm.jump_if(Jump.GT, R2, R5, given)
    asm.mov(R1, R4)
    asm.add(R1, 8)
    asm.jump_if(Jump.LT, R2, R1, given)
    asm.mov(R5, R2)
    asm.place(given)
    asm.sub(R5, R4)
    asm.place(told)
    asm.store(8, FP, LENGTH, R5)


def _sum_of(coder: Coder, length: Reg, initial: Reg | None) -> None:
    """r0 = the sum of bytes from the packet's start on; the frame ends where they are not there."""
    asm = coder.asm
    asm.mov(R3, length)
    asm.mov(R4, 0 if initial is None else initial)
    asm.mov(R2, R8)
    asm.mov(R1, R6)
    asm.mov(R5, R9)
    coder.call("summed", summed)
    asm.jump_if(Jump.SLT, R0, 0, coder.drop)


def _reply_checksum(coder: Coder) -> None:
    """The message's checksum, where the header's length is in MORE."""
    asm = coder.asm
    asm.mov(R1, R6)
    asm.load(8, R2, FP, MORE)
    asm.add(R2, R8)
    asm.load(8, R3, FP, LENGTH)
    asm.mov(R4, 0)
    asm.mov(R5, R9)
    coder.call("summed", summed)
    asm.jump_if(Jump.SLT, R0, 0, coder.drop)
    complement(coder, R0)
    asm.load(8, R4, FP, MORE)
    asm.jump_if(Jump.GT, R4, 60, coder.drop)
    coder.window(20, coder.drop)
    asm.mov(R3, R7)
    asm.add(R3, R4)
    coder.reach(R3, 4, coder.drop)
    asm.store(2, R3, 2, R0)


# -- encapsulation --------------------------------------------------------------------------------------------------------


def _counted(coder: Coder, more: int) -> None:
    """LENGTH = the packet's length with `more` bytes; it is dropped if that is too much."""
    asm = coder.asm
    coder.length(R1)
    asm.add(R1, more)
    asm.jump_if(Jump.GT, R1, _LARGEST, coder.drop)
    asm.store(8, FP, LENGTH, R1)


def _ip_header(coder: Coder, element: Element, header: bytes) -> None:
    """At r7 a header of 20 bytes, with its length (LENGTH), the next id and the checksum."""
    asm = coder.asm
    coder.put(0, header)
    asm.load(8, R2, FP, LENGTH)
    asm.to_big(R2, 16)
    asm.store(2, R7, 2, R2)
    coder.control(R3, element.name)
    asm.mov(R4, 1)
    asm.atomic(Atomic.FETCH_ADD, 8, R3, 0, R4)
    asm.to_big(R4, 16)
    asm.store(2, R7, 4, R4)
    asm.add(R2, R4)
    asm.add(R2, ones_sum(header))
    complement(coder, R2)
    asm.store(2, R7, 10, R2)


def ip_encap(coder: Coder, element: Element, _: int) -> None:
    """A header in front."""
    config = cast("configs.IPEncap", element.config)
    _counted(coder, 20)
    coder.prepend(element, 20)
    head = bytes((0x45, config.dscp << 2)) + bytes(6) + bytes((config.ttl, config.protocol, 0, 0))
    _ip_header(coder, element, head + config.src + config.dst)
    coder.go(element.name)


def udp_ip_encap(coder: Coder, element: Element, _: int) -> None:
    """Two headers in front; the checksum covers the packet as it is before."""
    config, asm = cast("configs.UDPIPEncap", element.config), coder.asm
    _counted(coder, 28)
    ports = config.source_port.to_bytes(2, "big") + config.destination_port.to_bytes(2, "big")
    if config.checksum:
        asm.load(8, R2, FP, LENGTH)
        asm.mov(R3, R2)
        asm.sub(R3, 28)
        asm.sub(R2, 20)
        asm.to_big(R2, 16)
        asm.add(R2, R2)
        asm.add(R2, ones_sum(config.src + config.dst + b"\0\x11" + ports))
        _sum_of(coder, R3, R2)
        complement(coder, R0)
        right = asm.label("not_zero")
        asm.jump_if(Jump.NE, R0, 0, right)
        asm.mov(R0, 0xFFFF)
        asm.place(right)
        asm.store(8, FP, SPACE, R0)
    coder.prepend(element, 28)
    _ip_header(coder, element, bytes.fromhex("450000000000 0000fa110000") + config.src + config.dst)
    coder.put(20, ports)
    asm.load(8, R2, FP, LENGTH)
    asm.sub(R2, 20)
    asm.to_big(R2, 16)
    asm.store(2, R7, 24, R2)
    if config.checksum:
        asm.load(8, R0, FP, SPACE)
        asm.store(2, R7, 26, R0)
    else:
        asm.store(2, R7, 26, 0)
    coder.go(element.name)


WRITERS: Mapping[str, Write] = {
    "CheckIPHeader": check_ip_header,
    "ICMPPingResponder": icmp_ping_responder,
    "IPEncap": ip_encap,
    "UDPIPEncap": udp_ip_encap,
}
