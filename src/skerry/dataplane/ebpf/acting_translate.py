"""The code of translation: a frame, or an ICMP error about one, gets the ends that its connection says."""

from __future__ import annotations

from skerry.dataplane.connections import PROTO_ICMP6
from skerry.dataplane.ebpf import layout
from skerry.dataplane.ebpf.acting import fix_v4
from skerry.dataplane.ebpf.assembler import FP, R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, Alu, Jump, Label
from skerry.dataplane.ebpf.entries import DPORT, DST, ENDS, ERROR, PART, SPORT, SRC, copy, old_addresses
from skerry.dataplane.ebpf.layout import BUFFER, CONN_BECOMES, CONN_FOUND, CONN_KEY, HEADERS, KEY, L3, SLOT, Has, Helper
from skerry.dataplane.ebpf.writing import Writer
from skerry.dataplane.flows import PROTO_ICMP, PROTO_TCP, PROTO_UDP, Field

_PSEUDO, _MAY_BE_ZERO = 0x10, 0x20
_CHECKSUM = {PROTO_TCP: 16, PROTO_UDP: 6, PROTO_ICMP: 2, PROTO_ICMP6: 2}


def translate_function(writer: Writer, label: Label) -> None:
    """`r0 = translate(frame, scratch)`: the frame gets the ends CONN_BECOMES; 0 if it could be."""
    asm, failed, six, done = writer.asm, *(writer.asm.label(name) for name in ("failed", "six", "translated"))
    outside, writer.drop = writer.drop, failed
    writer.frame_start(label)
    asm.load(4, R8, R9, layout.FLAGS)
    writer.unless(Has.V4, six)
    _translate(writer, 4, PROTO_ICMP, done)
    asm.place(six)
    _translate(writer, 6, PROTO_ICMP6, done)
    asm.place(done)
    asm.mov(R0, 0)
    asm.exit()
    asm.place(failed)
    asm.mov(R0, 2)
    asm.exit()
    writer.drop = outside


def _translate(writer: Writer, version: int, icmp: int, done: Label) -> None:
    asm, plain, error, part = (
        writer.asm,
        *(writer.asm.label(name) for name in ("plain_ends", "error_ends", "part_ends")),
    )
    asm.load(4, R1, R9, CONN_FOUND)
    asm.jump_if(Jump.SET, R1, ERROR, error)
    asm.jump_if(Jump.SET, R1, PART, part)
    asm.place(plain)
    for place in (SRC, DST):
        copy(writer, CONN_BECOMES + place, KEY + place, 16)
    _readdress(writer, version)
    _checksum_place(writer, icmp)
    _address_checksum(writer, icmp)
    _replace_ports(writer, icmp)
    asm.jump(done)
    asm.place(part)
    copy(writer, CONN_BECOMES, KEY, 32)
    _readdress(writer, version)
    asm.jump(done)
    asm.place(error)
    _error_ends(writer, version)
    _readdress(writer, version)
    _checksum_place(writer, icmp)
    _address_checksum(writer, icmp)
    _about(writer, version, icmp)
    asm.jump(done)


def _readdress(writer: Writer, version: int) -> None:
    """The addresses at KEY (32 bytes) into the frame; their difference at the top of the stack."""
    asm = writer.asm
    old_addresses(writer, version)
    writer.scratch(R1, HEADERS)
    asm.mov(R2, 32)
    writer.scratch(R3, KEY)
    asm.mov(R4, 32)
    asm.mov(R5, 0)
    asm.call(Helper.CSUM_DIFF)
    asm.store(8, FP, -8, R0)
    if version == 6:
        writer.store_bytes(L3 + 8, KEY, 32)
        return
    for part in (0, 1):
        asm.load(4, R1, R9, KEY + 16 * part)
        asm.store(4, R9, BUFFER + L3 + 12 + 4 * part, R1)
    fix_v4(writer)


def _checksum_place(writer: Writer, icmp: int) -> None:
    """Where the checksum is, and how it is updated, to FP-16 and FP-24."""
    asm, told = writer.asm, writer.asm.label("checksum_told")
    asm.load(1, R1, R9, SLOT[Field.IP_PROTO])
    for proto in (PROTO_TCP, PROTO_UDP, icmp):
        asm.mov(R2, _CHECKSUM[proto])
        asm.mov(R3, _MAY_BE_ZERO if proto == PROTO_UDP else 0)
        asm.jump_if(Jump.EQ, R1, proto, told)
    asm.place(told)
    asm.load(4, R1, R9, layout.L4)
    asm.add(R1, R2)
    asm.store(8, FP, -16, R1)
    asm.store(8, FP, -24, R3)


def _address_checksum(writer: Writer, icmp: int) -> None:
    """ICMP of IPv4 has no pseudo header."""
    asm, none = writer.asm, writer.asm.label("no_pseudo_header")
    if icmp == PROTO_ICMP:
        asm.load(1, R1, R9, SLOT[Field.IP_PROTO])
        asm.jump_if(Jump.EQ, R1, PROTO_ICMP, none)
    asm.mov(R1, R6)
    asm.load(8, R2, FP, -16)
    asm.mov(R3, 0)
    asm.load(8, R4, FP, -8)
    asm.load(8, R5, FP, -24)
    asm.or_(R5, _PSEUDO)
    asm.call(Helper.L4_CSUM_REPLACE)
    asm.place(none)


def _replace_ports(writer: Writer, icmp: int) -> None:
    """The ports at CONN_BECOMES, or the identifier, into the frame."""
    asm, echo, written = writer.asm, writer.asm.label("write_echo"), writer.asm.label("ports_written")
    asm.load(4, R7, R9, layout.L4)
    asm.and_(R7, 511)
    asm.load(1, R1, R9, SLOT[Field.IP_PROTO])
    asm.jump_if(Jump.EQ, R1, icmp, echo)
    _new_ports(writer, turned=False)
    _write_l4(writer, 0, 4)
    asm.jump(written)
    asm.place(echo)
    _new_mark(writer)
    _write_l4(writer, 4, 2)
    asm.place(written)


def _new_ports(writer: Writer, *, turned: bool) -> None:
    """Both ports as they shall be to KEY + 32."""
    asm = writer.asm
    for at, place in enumerate((DPORT, SPORT) if turned else (SPORT, DPORT)):
        asm.load(2, R1, R9, CONN_BECOMES + place)
        asm.store(2, R9, KEY + 32 + 2 * at, R1)


def _new_mark(writer: Writer) -> None:
    asm = writer.asm
    asm.load(2, R1, R9, CONN_BECOMES + SPORT)
    asm.load(2, R2, R9, CONN_BECOMES + DPORT)
    asm.alu(Alu.OR, R1, R2)
    asm.store(4, R9, KEY + 32, R1)


def _write_l4(writer: Writer, at: int, size: int) -> None:
    """KEY + 32 to `at` behind the place r7, with the checksum at FP-16."""
    asm = writer.asm
    asm.mov(R1, R7)
    asm.add(R1, R9)
    asm.load(size, R3, R1, BUFFER + at)
    asm.load(size, R4, R9, KEY + 32)
    asm.mov(R1, R6)
    asm.load(8, R2, FP, -16)
    asm.load(8, R5, FP, -24)
    asm.or_(R5, size)
    asm.call(Helper.L4_CSUM_REPLACE)
    asm.mov(R2, R7)
    asm.add(R2, at)
    writer.scratch(R3, KEY + 32)
    asm.mov(R4, size)
    writer.stored()


def _error_ends(writer: Writer, version: int) -> None:
    """The addresses of an error to KEY: those of the frame, unless the connection changes that side."""
    asm = writer.asm
    old_addresses(writer, version)
    for place in (SRC, DST):
        changed, told = asm.label("changed_side"), asm.label("side")
        for word in range(0, 16, 4):
            asm.load(4, R1, R9, CONN_KEY + ENDS + place + word)
            asm.load(4, R2, R9, CONN_BECOMES + place + word)
            asm.jump_if(Jump.NE, R1, R2, changed)
        copy(writer, HEADERS + place, KEY + place, 16)
        asm.jump(told)
        asm.place(changed)
        copy(writer, CONN_BECOMES + place, KEY + place, 16)
        asm.place(told)


def _about(writer: Writer, version: int, icmp: int) -> None:
    """The packet that an error is about becomes what the other side sent. A right header of IPv4 adds nothing to a checksum."""
    asm, echo, written = writer.asm, writer.asm.label("about_echo"), writer.asm.label("about_written")
    asm.load(4, R7, R9, layout.ABOUT)
    asm.and_(R7, 511)
    size, at = (4, 12) if version == 4 else (16, 8)
    copy(writer, CONN_BECOMES + DST, KEY, size)
    copy(writer, CONN_BECOMES + SRC, KEY + size, size)
    asm.mov(R1, R7)
    asm.add(R1, R9)
    asm.add(R1, BUFFER + at)
    asm.mov(R2, 2 * size)
    writer.scratch(R3, KEY)
    asm.mov(R4, 2 * size)
    asm.mov(R5, 0)
    asm.call(Helper.CSUM_DIFF)
    asm.store(8, FP, -8, R0)
    asm.mov(R2, R7)
    asm.add(R2, at)
    writer.scratch(R3, KEY)
    asm.mov(R4, 2 * size)
    writer.stored()
    asm.mov(R1, R6)
    asm.mov(R2, R7)
    asm.add(R2, 10)
    if version == 6:
        asm.load(8, R2, FP, -16)
    asm.mov(R3, 0)
    asm.load(8, R4, FP, -8)
    asm.mov(R5, 0)
    asm.call(Helper.L3_CSUM_REPLACE if version == 4 else Helper.L4_CSUM_REPLACE)
    asm.load(4, R7, R9, layout.ABOUT_L4)
    asm.and_(R7, 511)
    asm.load(1, R1, R9, CONN_KEY + 2)
    asm.jump_if(Jump.EQ, R1, icmp, echo)
    _new_ports(writer, turned=True)
    _write_l4(writer, 0, 4)
    asm.jump(written)
    asm.place(echo)
    _new_mark(writer)
    _write_l4(writer, 4, 2)
    asm.place(written)
