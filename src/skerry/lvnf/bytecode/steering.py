"""The code of elements that send packets one way or another, and of the function's ports."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import cast

from skerry.dataplane.ebpf.assembler import FP, R0, R1, R2, R3, R6, R7, R8, Alu, Atomic, Jump, Label
from skerry.dataplane.ebpf.layout import Helper
from skerry.lvnf import configs
from skerry.lvnf.bytecode import framing, slots
from skerry.lvnf.bytecode.coder import GROWN, LEVELS, PAINT, Coder, Context, Write
from skerry.lvnf.graph import Element


def from_device(coder: Coder, element: Element, _: int) -> None:
    """A frame has come in."""
    coder.count(element.name, slots.PACKETS)
    coder.go(element.name)


def to_device(coder: Coder, element: Element, _: int) -> None:
    """The packet leaves: at the end of the program for good, else as a copy of what it is now."""
    asm, whole = coder.asm, coder.asm.label("at_start")
    device = cast("configs.ToDevice", element.config).device
    if element.name in coder.shifted:
        coder.length(R1)
        asm.jump_if(Jump.EQ, R1, 0, coder.drop)
        coder.count(element.name, slots.PACKETS)
        asm.jump_if(Jump.EQ, R8, 0, whole)
        asm.mov(R1, R6)
        asm.mov(R2, R8)
        coder.call("shorten", framing.shorten)
        coder.checked()
        asm.load(8, R1, FP, GROWN)
        asm.sub(R1, R8)
        asm.store(8, FP, GROWN, R1)
        asm.place(whole)
    else:
        coder.count(element.name, slots.PACKETS)
    if coder.probe:
        asm.mov(R1, R6)
        asm.mov(R2, coder.graph.devices.index(device))
        coder.call("tell", framing.tell)
    elif coder.context.after is None:
        asm.mov(R1, coder.ports[device])
        asm.mov(R2, 0)
        asm.call(Helper.REDIRECT)
        asm.exit()
        return
    else:
        asm.mov(R1, R6)
        asm.mov(R2, coder.ports[device])
        asm.mov(R3, 0)
        asm.call(Helper.CLONE_REDIRECT)
    asm.jump(coder.drop)


def discard(coder: Coder, element: Element, _: int) -> None:
    """Count and drop."""
    coder.count(element.name, slots.PACKETS)
    coder.asm.jump(coder.drop)


def idle(coder: Coder, _element: Element, _: int) -> None:
    """Drop."""
    coder.asm.jump(coder.drop)


def null(coder: Coder, element: Element, _: int) -> None:
    """Go on."""
    coder.go(element.name)


def copies(coder: Coder, ways: Sequence[Callable[[Context], Label]], changes: Sequence[bool]) -> None:
    """A copy each way, the last one for good. After a way that changes the frame, it is put back."""
    asm, context = coder.asm, coder.context
    place, kept = LEVELS - 24 * context.level, False
    for way, change in zip(ways[:-1], changes, strict=False):
        after = asm.label("after_copy")
        asm.store(8, FP, place, R8)
        asm.load(8, R1, FP, PAINT)
        asm.store(8, FP, place - 8, R1)
        asm.load(8, R1, FP, GROWN)
        asm.store(8, FP, place - 16, R1)
        if change and not kept:
            kept = True
            asm.mov(R1, R6)
            asm.mov(R2, context.level)
            coder.call("keep", framing.keep)
            coder.checked()
        asm.jump(way(Context(context.level + 1, after)))
        asm.place(after)
        if change:
            asm.mov(R2, context.level)
            asm.load(8, R3, FP, GROWN)
            asm.load(8, R1, FP, place - 16)
            asm.store(8, FP, GROWN, R1)
            asm.sub(R3, R1)
            asm.mov(R1, R6)
            coder.call("restore", framing.restore)
            coder.checked()
        asm.load(8, R8, FP, place)
        asm.load(8, R1, FP, place - 8)
        asm.store(8, FP, PAINT, R1)
    asm.jump(ways[-1](context) if ways else coder.drop)


def tee(coder: Coder, element: Element, _: int) -> None:
    """To each output."""
    name, outputs = element.name, range(element.outputs)
    ways = [lambda context, output=output: coder.out(name, output, context) for output in outputs]
    copies(coder, ways, [coder.changes(name, output) for output in outputs])


def switch(coder: Coder, element: Element, _: int) -> None:
    """To the output that is set."""
    coder.control(R1, element.name)
    coder.asm.load(8, R1, R1)
    _choose(coder, element)


def round_robin_switch(coder: Coder, element: Element, _: int) -> None:
    """To the next output."""
    coder.control(R2, element.name)
    coder.asm.mov(R1, 1)
    coder.asm.atomic(Atomic.FETCH_ADD, 8, R2, 0, R1)
    coder.asm.alu(Alu.MOD, R1, max(element.outputs, 1))
    _choose(coder, element)


def _choose(coder: Coder, element: Element) -> None:
    """r1 is the output."""
    for output in range(element.outputs):
        coder.asm.jump_if(Jump.EQ, R1, output, coder.out(element.name, output))
    coder.asm.jump(coder.drop)


def paint(coder: Coder, element: Element, _: int) -> None:
    """Set the colour."""
    coder.control(R1, element.name)
    coder.asm.load(8, R1, R1)
    coder.asm.store(8, FP, PAINT, R1)
    coder.go(element.name)


def check_paint(coder: Coder, element: Element, _: int) -> None:
    """Compare the colour."""
    coder.control(R1, element.name)
    coder.asm.load(8, R1, R1)
    coder.asm.load(8, R2, FP, PAINT)
    coder.asm.jump_if(Jump.NE, R1, R2, coder.out(element.name, 1))
    coder.go(element.name)


def random_sample(coder: Coder, element: Element, _: int) -> None:
    """Compare a number by chance with the threshold (in parts of 2 to the power of 32)."""
    asm, rejected, passed = coder.asm, coder.asm.label("rejected"), coder.asm.label("passed")
    asm.call(Helper.PRANDOM)
    asm.and_(R0, -1, width=4)
    coder.control(R2, element.name)
    asm.load(8, R1, R2, slots.ACTIVE * slots.WORD)
    asm.jump_if(Jump.EQ, R1, 0, passed)
    asm.load(8, R1, R2, slots.SETTING * slots.WORD)
    asm.jump_if(Jump.GE, R0, R1, rejected)
    asm.place(passed)
    coder.count(element.name, slots.PACKETS)
    coder.go(element.name)
    asm.place(rejected)
    coder.count(element.name, slots.DROPS)
    coder.go(element.name, 1)


def classifier(coder: Coder, element: Element, _: int) -> None:
    """Each pattern in turn."""
    asm = coder.asm
    for output, clauses in enumerate(cast("configs.Classifier", element.config).patterns):
        other = asm.label("other")
        if clauses:
            coder.window(max(one.offset + len(one.value) for one in clauses), other)
        for clause in clauses:
            _clause(coder, clause, other)
        coder.go(element.name, output)
        asm.place(other)
    asm.jump(coder.drop)


def _clause(coder: Coder, clause: configs.ClassifierClause, other: Label) -> None:
    """Go to `other` unless it matches."""
    asm, differs = coder.asm, coder.asm.label("differs")
    target = differs if clause.negated else other
    at, size = 0, len(clause.value)
    while at < size:
        width = next(one for one in (4, 2, 1) if one <= size - at)
        mask = int.from_bytes(clause.mask[at : at + width], "little")
        if mask:
            asm.load(width, R1, R7, clause.offset + at)
            if mask != (1 << 8 * width) - 1:
                asm.and_(R1, mask, width=4)
            wanted = int.from_bytes(clause.value[at : at + width], "little") & mask
            asm.jump_if(Jump.NE, R1, wanted, target, width=4)
        at += width
    if clause.negated:
        asm.jump(other)
    asm.place(differs)


WRITERS: Mapping[str, Write] = {
    "FromDevice": from_device,
    "ToDevice": to_device,
    "Discard": discard,
    "Idle": idle,
    "Null": null,
    "Classifier": classifier,
    "Tee": tee,
    "Switch": switch,
    "RoundRobinSwitch": round_robin_switch,
    "Paint": paint,
    "CheckPaint": check_paint,
    "RandomSample": random_sample,
}
