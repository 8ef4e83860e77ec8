"""The code of sending: out of a port, or past it into the other end of its pair."""

from __future__ import annotations

from skerry.dataplane.ebpf import layout
from skerry.dataplane.ebpf.assembler import FP, R0, R1, R2, R3, R6, R7, R9, Jump
from skerry.dataplane.ebpf.layout import Helper, Skb
from skerry.dataplane.ebpf.shapes import Step
from skerry.dataplane.ebpf.writing import Writer

_FOR_US, _MOST_STRAIGHT = 0, 8


def output(writer: Writer, step: Step, last: bool) -> None:
    """Parameters: port, interface."""
    asm, done = writer.asm, writer.asm.label("sent")
    asm.load(4, R3, R7, writer.at)
    if not step.static:
        asm.load(4, R1, R9, layout.IN_PORT)
        asm.jump_if(Jump.EQ, R1, R3, done)
    if writer.probe:
        writer.told()
    elif last and not writer.copying:
        if writer.tunnelled:
            _straight(writer)
        asm.load(4, R1, R7, writer.at + 4)
        asm.mov(R2, 0)
        asm.call(Helper.REDIRECT)
        asm.exit()
    else:
        asm.mov(R1, R6)
        asm.load(4, R2, R7, writer.at + 4)
        asm.mov(R3, 0)
        asm.call(Helper.CLONE_REDIRECT)
    asm.place(done)


def _straight(writer: Writer) -> None:
    """Right into the other end of port r3's pair, which saves half of the way over it. Only frames for the owner of that end
    go so, since the kernel does not look again for whom a frame is, and only a few times, since it does nothing else in
    between. What is no user's packet stays visible at the interface, where the control plane may be read."""
    asm, around = writer.asm, writer.asm.label("around")
    asm.store(4, FP, -8, R3)
    asm.map(R1, "straight")
    asm.mov(R2, FP)
    asm.add(R2, -8)
    asm.call(Helper.MAP_LOOKUP)
    asm.jump_if(Jump.EQ, R0, 0, around)
    asm.load(4, R1, R0, 0)
    asm.load(4, R2, R6, Skb.LEN)
    asm.jump_if(Jump.GT, R2, R1, around)
    asm.load(4, R2, R6, Skb.DATA)
    asm.load(4, R3, R6, Skb.DATA_END)
    asm.mov(R1, R2)
    asm.add(R1, 14)
    asm.jump_if(Jump.GT, R1, R3, around)
    for width, at in ((4, 0), (2, 4)):
        asm.load(width, R1, R2, at)
        asm.load(width, R3, R0, 8 + at)
        asm.jump_if(Jump.NE, R1, R3, around)
    asm.load(2, R1, R2, 12)
    asm.load(4, R3, R6, Skb.PROTOCOL)
    asm.jump_if(Jump.NE, R1, R3, around)
    asm.load(4, R1, R6, Skb.TC_INDEX)
    asm.jump_if(Jump.GE, R1, _MOST_STRAIGHT, around)
    asm.add(R1, 1)
    asm.store(4, R6, Skb.TC_INDEX, R1)
    ours = asm.label("ours")
    asm.load(4, R1, R6, Skb.KIND)
    asm.jump_if(Jump.EQ, R1, _FOR_US, ours)
    asm.mov(R1, R6)
    asm.mov(R2, _FOR_US)
    asm.call(Helper.CHANGE_TYPE)
    asm.place(ours)
    asm.load(4, R1, R7, writer.at + 4)
    asm.mov(R2, 0)
    asm.call(Helper.REDIRECT_PEER)
    asm.exit()
    asm.place(around)
