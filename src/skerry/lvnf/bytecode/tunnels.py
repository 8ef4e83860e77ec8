"""The code of elements that put packets into tunnels and take them out: GTP-U and NSH."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from skerry.dataplane.ebpf.assembler import FP, R1, R2, R3, R4, R5, R7, R9, Jump, Label
from skerry.lvnf import configs
from skerry.lvnf.bytecode import slots
from skerry.lvnf.bytecode.coder import FURTHEST, LENGTH, Coder, Write
from skerry.lvnf.graph import Element

_LARGEST = 0xFFFF
_G_PDU = 255
_PDU_SESSION = 0x85
_MOST_EXTENSIONS = 32


def gtp_encap(coder: Coder, element: Element, _: int) -> None:
    """A header in front, with the tunnel that is set."""
    asm, config = coder.asm, cast("configs.GTPEncap", element.config)
    options = b"" if config.qfi is None else bytes((0, 0, 0, _PDU_SESSION, 1, config.pdu_type << 4, config.qfi, 0))
    coder.length(R1)
    asm.add(R1, len(options))
    asm.jump_if(Jump.GT, R1, _LARGEST, coder.drop)
    asm.store(8, FP, LENGTH, R1)
    coder.prepend(element, 8 + len(options))
    coder.put(0, bytes((0x34 if options else 0x30, _G_PDU)))
    asm.load(8, R1, FP, LENGTH)
    asm.to_big(R1, 16)
    asm.store(2, R7, 2, R1)
    coder.control(R2, element.name)
    asm.load(8, R1, R2)
    asm.to_big(R1, 32)
    asm.store(4, R7, 4, R1)
    coder.put(8, options)
    coder.go(element.name)


def gtp_decap(coder: Coder, element: Element, _: int) -> None:
    """Find the end of the header; remember the tunnel."""
    asm, name = coder.asm, element.name
    other, plain = coder.out(name, 1), asm.label("no_options")
    config = cast("configs.GTPDecap", element.config)
    coder.window(8, other)
    asm.load(1, R3, R7, 0)
    asm.mov(R1, R3)
    asm.and_(R1, 0xF0)
    asm.jump_if(Jump.NE, R1, 0x30, other)
    asm.load(1, R1, R7, 1)
    asm.jump_if(Jump.NE, R1, _G_PDU, other)
    asm.load(4, R4, R7, 4)
    asm.to_big(R4, 32)
    if config.teid is not None:
        asm.jump_if(Jump.NE, R4, config.teid, other, width=4)
    asm.mov(R5, 8)
    asm.and_(R3, 7)
    asm.jump_if(Jump.EQ, R3, 0, plain)
    _options(coder, other, plain)
    asm.place(plain)
    coder.control(R1, name, slots.LAST)
    asm.store(8, R1, 0, R4)
    coder.count(name, slots.PACKETS)
    coder.ahead(R5)
    coder.go(name)


def _options(coder: Coder, other: Label, done: Label) -> None:
    """r5 = the header's length with its options, whose flags are in r3. r4 stays."""
    asm, again = coder.asm, coder.asm.label("extension")
    coder.joined()
    coder.window(12, other)
    asm.mov(R5, 12)
    asm.and_(R3, 4)
    asm.jump_if(Jump.EQ, R3, 0, done)
    asm.load(1, R3, R7, 11)
    asm.store(8, FP, LENGTH, 0)
    asm.place(again)
    asm.jump_if(Jump.EQ, R3, 0, done)
    asm.mov(R3, R7)
    asm.add(R3, R5)
    coder.reach(R3, 1, other)
    asm.load(1, R1, R3, 0)
    asm.jump_if(Jump.EQ, R1, 0, other)
    asm.lsh(R1, 2)
    asm.add(R5, R1)
    # Out of memory, the length is unknown to the verifier: all turns of the loop are then alike but for their number.
    asm.store(8, R9, slots.SCRATCH, R5)
    asm.load(8, R5, R9, slots.SCRATCH)
    asm.jump_if(Jump.GT, R5, FURTHEST, other)
    asm.jump_if(Jump.LT, R5, 12, other)
    asm.mov(R1, R5)
    asm.sub(R1, 1)
    asm.mov(R3, R7)
    asm.add(R3, R1)
    coder.reach(R3, 1, other)
    asm.load(1, R3, R3, 0)
    asm.load(8, R1, FP, LENGTH)
    asm.add(R1, 1)
    asm.store(8, FP, LENGTH, R1)
    asm.jump_if(Jump.LT, R1, _MOST_EXTENSIONS, again)
    asm.jump_if(Jump.NE, R3, 0, other)
    asm.jump(done)


def nsh_encap(coder: Coder, element: Element, _: int) -> None:
    """A header in front."""
    config = cast("configs.NSHEncap", element.config)
    head = config.ttl << 6 | 2 + len(config.metadata) // 4
    kind = bytes((1 if config.metadata else 2, config.next_protocol))
    service = (config.path << 8 | config.index).to_bytes(4, "big")
    coder.prepend(element, 8 + len(config.metadata))
    coder.put(0, head.to_bytes(2, "big") + kind + service + config.metadata)
    coder.go(element.name)


def nsh_decap(coder: Coder, element: Element, _: int) -> None:
    """Read the header's length, remember path and index."""
    asm, name = coder.asm, element.name
    other = coder.out(name, 1)
    config = cast("configs.NSHDecap", element.config)
    coder.window(8, other)
    asm.load(1, R1, R7, 0)
    asm.rsh(R1, 6)
    asm.jump_if(Jump.NE, R1, 0, other)
    asm.load(1, R5, R7, 1)
    asm.and_(R5, 0x3F)
    asm.lsh(R5, 2)
    asm.jump_if(Jump.LT, R5, 8, other)
    coder.length(R1)
    asm.jump_if(Jump.GT, R5, R1, other)
    asm.load(4, R4, R7, 4)
    asm.to_big(R4, 32)
    asm.mov(R3, R4)
    asm.rsh(R3, 8)
    if config.path is not None:
        asm.jump_if(Jump.NE, R3, config.path, other)
    coder.control(R1, name, slots.LAST)
    asm.store(8, R1, 0, R3)
    asm.and_(R4, 0xFF)
    asm.store(8, R1, (slots.LAST_INDEX - slots.LAST) * slots.WORD, R4)
    coder.count(name, slots.PACKETS)
    coder.ahead(R5)
    coder.go(name)


WRITERS: Mapping[str, Write] = {
    "GTPEncap": gtp_encap,
    "GTPDecap": gtp_decap,
    "NSHEncap": nsh_encap,
    "NSHDecap": nsh_decap,
}
