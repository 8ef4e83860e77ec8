"""The code of elements that measure. Averages are Click's: every epoch of a millisecond counts a sixteenth.

Counters use the kernel's coarse clock, which costs least, and an average for each processor; the sum of these is the average.
A Meter decides by the average of all, and uses the exact clock.
"""

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
    R6,
    R7,
    R9,
    Alu,
    Assembler,
    Atomic,
    Jump,
    Label,
)
from skerry.dataplane.ebpf.layout import Helper
from skerry.lvnf import configs
from skerry.lvnf.bytecode import slots
from skerry.lvnf.bytecode.coder import LENGTH, Coder, Write
from skerry.lvnf.graph import Element

EPOCH_NS = 1_000_000
EPOCHS = 1000
PACKET_SCALE, BYTE_SCALE = 10, 4
_STABILITY, _HALF = 4, 8
_FORGOTTEN = 100
_ONE = 1 << 16


def _stepped(asm: Assembler, at: int, scale: int) -> None:
    """r1 = the average at `r6 + at` with what was counted in the epoch that is over."""
    asm.load(8, R1, R6, at)
    asm.load(8, R2, R6, at + 8)
    asm.lsh(R2, scale)
    asm.sub(R2, R1)
    asm.add(R2, _HALF)
    asm.alu(Alu.ARSH, R2, _STABILITY)
    asm.add(R1, R2)


def advance_two(coder: Coder, _: Label) -> None:
    """`advance(averages, idle)`: those of packets and of bytes, after so many epochs of nothing; without a loop, which
    would cost time to verify for each counter: to the power of two, of four, and so on."""
    asm = coder.asm
    asm.mov(R6, R1)
    asm.mov(R7, R2)
    for at, scale in ((0, PACKET_SCALE), (16, BYTE_SCALE)):
        far, done = asm.label("forgotten"), asm.label("averaged")
        _stepped(asm, at, scale)
        asm.jump_if(Jump.GT, R7, _FORGOTTEN, far)
        for bit in range(_FORGOTTEN.bit_length()):
            unset = asm.label("unset")
            asm.mov(R2, R7)
            asm.and_(R2, 1 << bit)
            asm.jump_if(Jump.EQ, R2, 0, unset)
            asm.alu(Alu.MUL, R1, round((15 / 16) ** (1 << bit) * _ONE))
            asm.rsh(R1, _ONE.bit_length() - 1)
            asm.place(unset)
        asm.jump(done)
        asm.place(far)
        asm.mov(R1, 0)
        asm.place(done)
        asm.store(8, R6, at, R1)
        asm.store(8, R6, at + 8, 0)
    asm.mov(R0, 0)
    asm.exit()


def advance_one(coder: Coder, _: Label) -> None:
    """`advance(average, idle)`: exactly, epoch by epoch."""
    asm = coder.asm
    again, done, far = asm.label("idle"), asm.label("averaged"), asm.label("forgotten")
    asm.mov(R6, R1)
    asm.mov(R7, R2)
    _stepped(asm, 0, PACKET_SCALE)
    asm.jump_if(Jump.GT, R7, _FORGOTTEN, far)
    asm.mov(R4, 0)
    asm.place(again)
    asm.jump_if(Jump.GE, R4, R7, done)
    asm.mov(R2, _HALF)
    asm.sub(R2, R1)
    asm.alu(Alu.ARSH, R2, _STABILITY)
    asm.add(R1, R2)
    asm.add(R4, 1)
    asm.jump_if(Jump.LE, R4, _FORGOTTEN, again)
    asm.place(far)
    asm.mov(R1, 0)
    asm.place(done)
    asm.store(8, R6, 0, R1)
    asm.store(8, R6, 8, 0)
    asm.mov(R0, 0)
    asm.exit()


def counter(coder: Coder, element: Element, _: int) -> None:
    """Count, and average."""
    asm, name, same = coder.asm, element.name, coder.asm.label("same_epoch")
    base = coder.slots.at(name)
    coder.length(R2)
    asm.store(8, FP, LENGTH, R2)
    coder.count(name, slots.PACKETS)
    asm.load(8, R1, R9, base + 8 * slots.BYTES)
    asm.add(R1, R2)
    asm.store(8, R9, base + 8 * slots.BYTES, R1)
    asm.call(Helper.KTIME_COARSE)
    asm.alu(Alu.DIV, R0, EPOCH_NS)
    asm.load(8, R2, R9, base + 8 * slots.EPOCH)
    asm.jump_if(Jump.EQ, R0, R2, same)
    asm.store(8, R9, base + 8 * slots.EPOCH, R0)
    asm.sub(R0, R2)
    asm.sub(R0, 1)
    asm.mov(R2, R0)
    asm.mov(R1, R9)
    asm.add(R1, base + 8 * slots.PACKET_RATE)
    coder.call("advance_two", advance_two)
    asm.place(same)
    coder.count(name, slots.PACKET_RATE + 1)
    asm.load(8, R2, FP, LENGTH)
    coder.count(name, slots.BYTE_RATE + 1, R2)
    coder.go(name)


def average_counter(coder: Coder, element: Element, _: int) -> None:
    """Count from the first packet on, unless that is to be ignored for a while."""
    asm, name, ignored = coder.asm, element.name, coder.asm.label("ignored")
    ignore = int(cast("configs.AverageCounter", element.config).ignore * 1e9)
    known = asm.label("not_first")
    coder.length(R2)
    asm.store(8, FP, LENGTH, R2)
    asm.call(Helper.KTIME_COARSE)
    asm.store(8, R9, coder.slots.at(name, slots.LAST_SEEN), R0)
    asm.mov(R3, R0)
    coder.control(R2, name, slots.FIRST_SEEN)
    asm.load(8, R1, R2)
    asm.jump_if(Jump.NE, R1, 0, known)
    asm.mov(R0, 0)
    asm.mov(R1, R3)
    asm.atomic(Atomic.CMPXCHG, 8, R2, 0, R1)
    asm.load(8, R1, R2)
    asm.place(known)
    if ignore:
        asm.sub(R3, R1)
        asm.mov(R1, ignore)
        asm.jump_if(Jump.SLT, R3, R1, ignored)
    coder.count(name, slots.PACKETS)
    asm.load(8, R2, FP, LENGTH)
    coder.count(name, slots.BYTES, R2)
    asm.place(ignored)
    coder.go(name)


def limits(config: configs.Meter) -> list[int]:
    """The rates as the averages are kept."""
    return [(rate << PACKET_SCALE) // EPOCHS for rate in config.rates]


def meter(coder: Coder, element: Element, _: int) -> None:
    """One processor puts an epoch to an end; all count."""
    asm, name, same = coder.asm, element.name, coder.asm.label("same_epoch")
    asm.call(Helper.KTIME)
    asm.alu(Alu.DIV, R0, EPOCH_NS)
    coder.control(R2, name, slots.METER_EPOCH)
    asm.load(8, R3, R2)
    asm.jump_if(Jump.EQ, R0, R3, same)
    asm.mov(R4, R0)
    asm.mov(R0, R3)
    asm.atomic(Atomic.CMPXCHG, 8, R2, 0, R4)
    asm.jump_if(Jump.NE, R0, R3, same)
    asm.sub(R4, R3)
    asm.sub(R4, 1)
    coder.control(R1, name, slots.METER_RATE)
    asm.mov(R2, R4)
    coder.call("advance_one", advance_one)
    asm.place(same)
    coder.control(R2, name, slots.METER_RATE)
    asm.mov(R1, 1)
    asm.atomic(Atomic.ADD, 8, R2, 8, R1)
    asm.load(8, R2, R2)
    for output, limit in enumerate(limits(cast("configs.Meter", element.config))):
        asm.mov(R1, limit)
        asm.jump_if(Jump.SLT, R2, R1, coder.out(name, output))
    coder.go(name, element.outputs - 1)


WRITERS: Mapping[str, Write] = {"Counter": counter, "AverageCounter": average_counter, "Meter": meter}
