"""The code of remembering connections, and of choosing what they become."""

from __future__ import annotations

from skerry.dataplane.connections import PROTO_ICMP6
from skerry.dataplane.ebpf import layout
from skerry.dataplane.ebpf.acting_track import keep_part, turned_key, unless_over
from skerry.dataplane.ebpf.acting_translate import translate_function
from skerry.dataplane.ebpf.assembler import FP, R0, R1, R2, R3, R4, R6, R7, R8, R9, Alu, Jump, Label
from skerry.dataplane.ebpf.entries import (
    BACK,
    BECOMES,
    CHANGES,
    DPORT,
    DST,
    ENDS,
    ENDS_SIZE,
    FLAGS,
    FRESH,
    IDLE,
    KEY_SIZE,
    OPENER,
    OTHER,
    SEEN,
    SPORT,
    SRC,
    TRANSLATED,
)
from skerry.dataplane.ebpf.layout import CONN_BECOMES, CONN_FOUND, CONN_KEY, HEADERS, KEY, Has, Helper
from skerry.dataplane.ebpf.shapes import Step
from skerry.dataplane.ebpf.writing import Writer
from skerry.dataplane.flows import PROTO_ICMP, PROTO_TCP, PROTO_UDP, Reason

_OTHER_KEY = HEADERS + 64
_NO_EXIST = 1
_TRIES = 48
_MIX = 0x9E3779B97F4A7C15
ZONE, IDLES, LOW, SIZE, BASE, HOSTS, TOTAL, TARGETS, TARGET_SIZE = 0, 4, 16, 20, 24, 40, 44, 48, 24
"""Places of the parameters: zone; idle seconds of TCP, UDP and echoes; ports; pool; targets of address, port and threshold."""


def connect(writer: Writer, step: Step, _: bool) -> None:
    """Parameters as above. The step says the version of the addresses (0: none), and how many targets there are."""
    asm, untracked = writer.asm, writer.dropped(Reason.UNTRACKED)
    version, targets = step.static & 7, step.static >> 3
    writer.read()
    asm.load(4, R1, R7, writer.at + ZONE)
    asm.load(4, R2, R9, layout.CONN_ZONE)
    asm.jump_if(Jump.NE, R1, R2, untracked)
    asm.load(4, R1, R9, CONN_FOUND)
    asm.jump_if(Jump.EQ, R1, 0, untracked)
    if version:
        writer.unless(Has.V4 if version == 4 else Has.V6, untracked)
        asm.load(4, R1, R9, CONN_FOUND)
    asm.jump_if(Jump.SET, R1, OTHER, writer.skip)

    def function(inside: Writer, label: Label) -> None:
        connect_function(inside, label, version, targets)

    asm.mov(R3, R7)
    asm.add(R3, writer.at)
    writer.call(f"connect{step.static}", function)
    asm.jump_if(Jump.EQ, R0, 1, writer.dropped(Reason.EXHAUSTED))
    asm.jump_if(Jump.NE, R0, 0, writer.dropped(Reason.FAILED))
    writer.fresh = False


def connect_function(writer: Writer, label: Label, version: int, targets: int) -> None:
    """`r0 = connect(frame, scratch, parameters)`: 0 done, 1 no port is free, 2 the frame cannot be changed."""
    asm, known, full, plain = writer.asm, *(writer.asm.label(name) for name in ("remembered", "full", "plain"))
    asm.place(label)
    asm.mov(R6, R1)
    asm.mov(R9, R2)
    asm.mov(R7, R3)
    asm.load(4, R1, R9, CONN_FOUND)
    asm.and_(R1, FRESH)
    asm.jump_if(Jump.EQ, R1, 0, known)
    for at in range(0, ENDS_SIZE, 4):
        asm.load(4, R1, R9, CONN_KEY + ENDS + at)
        asm.store(4, R9, CONN_BECOMES + at, R1)
    if version and targets:
        _aim(writer, version, targets)
        _claim(writer, full, version)
    elif version:
        _pool_address(writer, version)
        _ported(writer, full)
    else:
        _claim(writer, full, version)
    _remember(writer, version)
    asm.store(4, R9, CONN_FOUND, OPENER | (CHANGES if version else 0))
    keep_part(writer)
    if not version:
        asm.jump(plain)
    asm.place(known)
    asm.load(4, R1, R9, CONN_FOUND)
    asm.and_(R1, CHANGES)
    asm.jump_if(Jump.EQ, R1, 0, plain)
    writer.call("translate", translate_function)
    asm.exit()
    asm.place(plain)
    asm.mov(R0, 0)
    asm.exit()
    asm.place(full)
    asm.mov(R0, 1)
    asm.exit()


def _mixed(writer: Writer, start: int, size: int) -> None:
    """r0 = a hash of bytes of the scratch, of 31 bits."""
    asm = writer.asm
    asm.mov(R0, 0)
    asm.constant(R2, _MIX)
    for part in range(0, size, 4):
        asm.load(4, R1, R9, start + part)
        asm.alu(Alu.XOR, R0, R1)
        asm.alu(Alu.MUL, R0, R2)
        asm.mov(R1, R0)
        asm.rsh(R1, 29)
        asm.alu(Alu.XOR, R0, R1)
    asm.rsh(R0, 33)


def _aim(writer: Writer, version: int, targets: int) -> None:
    """One of the targets at r7, by the flow and their thresholds."""
    asm, chosen = writer.asm, writer.asm.label("target_chosen")
    _mixed(writer, CONN_KEY, KEY_SIZE)
    asm.load(4, R1, R7, TOTAL)
    asm.alu(Alu.MOD, R0, R1)
    asm.mov(R3, R7)
    for _ in range(targets - 1):
        asm.load(4, R1, R3, TARGETS + 20)
        asm.jump_if(Jump.LT, R0, R1, chosen)
        asm.add(R3, TARGET_SIZE)
    asm.place(chosen)
    for word in range(0, 4 if version == 4 else 16, 4):
        asm.load(4, R1, R3, TARGETS + word)
        asm.store(4, R9, CONN_BECOMES + DST + word, R1)
    kept = asm.label("port_kept")
    asm.load(2, R1, R3, TARGETS + 16)
    asm.jump_if(Jump.EQ, R1, 0, kept)
    asm.load(1, R2, R9, CONN_KEY + 2)
    for proto in (PROTO_ICMP, PROTO_ICMP6):
        asm.jump_if(Jump.EQ, R2, proto, kept)
    asm.store(2, R9, CONN_BECOMES + DPORT, R1)
    asm.place(kept)


def _pool_address(writer: Writer, version: int) -> None:
    """The address of the pool at r7 that a host has for all its connections."""
    asm = writer.asm
    _mixed(writer, CONN_KEY + ENDS + SRC, 16)
    asm.load(4, R1, R7, HOSTS)
    asm.and_(R1, -1, width=4)
    asm.alu(Alu.AND, R0, R1)
    last = 0 if version == 4 else 12
    for word in range(0, 4 if version == 4 else 16, 4):
        asm.load(4, R1, R7, BASE + word)
        if word == last:
            asm.alu(Alu.OR, R1, R0)
        asm.store(4, R9, CONN_BECOMES + SRC + word, R1)


def _ported(writer: Writer, full: Label) -> None:
    """The first free port of those at r7: the connection's own, then one after the other from one that the flow chooses."""
    asm, claimed, own, loop = writer.asm, *(writer.asm.label(name) for name in ("claimed", "own", "next_port"))
    asm.load(1, R1, R9, CONN_KEY + 2)
    for proto in (PROTO_ICMP, PROTO_ICMP6):
        asm.jump_if(Jump.EQ, R1, proto, own)
    asm.load(2, R1, R9, CONN_KEY + ENDS + SPORT)
    asm.to_big(R1, 16)
    asm.load(4, R2, R7, LOW)
    asm.sub(R1, R2)
    asm.load(4, R2, R7, SIZE)
    others = asm.label("others")
    asm.jump_if(Jump.GE, R1, R2, others)
    _claim(writer, others, 4)
    asm.jump(claimed)
    asm.place(own)
    _claim(writer, full, 4)
    asm.jump(claimed)
    asm.place(others)
    _mixed(writer, CONN_KEY, KEY_SIZE)
    asm.store(8, FP, -8, R0)
    asm.mov(R8, 0)
    asm.place(loop)
    asm.jump_if(Jump.GE, R8, _TRIES, full)
    asm.load(4, R2, R7, SIZE)
    asm.jump_if(Jump.GE, R8, R2, full)
    asm.load(8, R1, FP, -8)
    asm.add(R1, R8)
    asm.alu(Alu.MOD, R1, R2)
    asm.load(4, R2, R7, LOW)
    asm.add(R1, R2)
    asm.to_big(R1, 16)
    asm.store(2, R9, CONN_BECOMES + SPORT, R1)
    asm.add(R8, 1)
    _claim(writer, loop, 4)
    asm.place(claimed)


def _claim(writer: Writer, taken: Label, version: int) -> None:
    """The entry of the answers to what the frame becomes; to a label where another connection has it."""
    asm, free, over = writer.asm, writer.asm.label("free"), writer.asm.label("left_over")
    turned_key(writer, KEY, CONN_BECOMES)
    _entry(writer, BACK | (TRANSLATED if version else 0), turned=True)
    if writer.probe:
        writer.lookup("conns", KEY)
        asm.jump_if(Jump.EQ, R0, 0, free)
    else:
        asm.map(R1, "conns")
        writer.scratch(R2, KEY)
        writer.scratch(R3, HEADERS)
        asm.mov(R4, _NO_EXIST)
        asm.call(Helper.MAP_UPDATE)
        asm.jump_if(Jump.EQ, R0, 0, free)
        writer.lookup("conns", KEY)
        asm.jump_if(Jump.EQ, R0, 0, taken)
    _holder(writer, over)
    unless_over(writer, R0, over)
    asm.jump(taken)
    asm.place(over)
    if not writer.probe:
        writer.update("conns", KEY, HEADERS)
    asm.place(free)


def _holder(writer: Writer, over: Label) -> None:
    """r0 = the entry that has the state of the connection whose answers have the entry r0; `over` where there is none, or
    where it is ours."""
    asm, other = writer.asm, writer.asm.label("not_ours")
    asm.load(4, R1, R9, CONN_KEY)
    asm.store(4, R9, _OTHER_KEY, R1)
    for source, target in ((SRC, DST), (DST, SRC)):
        for word in range(0, 16, 4):
            asm.load(4, R1, R0, BECOMES + source + word)
            asm.store(4, R9, _OTHER_KEY + ENDS + target + word, R1)
    for source, target in ((SPORT, DPORT), (DPORT, SPORT)):
        asm.load(2, R1, R0, BECOMES + source)
        asm.store(2, R9, _OTHER_KEY + ENDS + target, R1)
    for part in range(0, KEY_SIZE, 8):
        asm.load(8, R1, R9, _OTHER_KEY + part)
        asm.load(8, R2, R9, CONN_KEY + part)
        asm.jump_if(Jump.NE, R1, R2, other)
    asm.jump(over)
    asm.place(other)
    writer.lookup("conns", _OTHER_KEY)
    asm.jump_if(Jump.EQ, R0, 0, over)


def _entry(writer: Writer, flags: int, *, turned: bool) -> None:
    """A value to HEADERS: what frames become; of answers, the ends of the opener turned round."""
    asm, told = writer.asm, writer.asm.label("idle_told")
    asm.store(4, R9, HEADERS + FLAGS, flags)
    asm.load(8, R1, R9, layout.NOW)
    asm.store(8, R9, HEADERS + SEEN, R1)
    asm.load(1, R1, R9, CONN_KEY + 2)
    asm.load(4, R2, R7, IDLES)
    asm.jump_if(Jump.EQ, R1, PROTO_TCP, told)
    asm.load(4, R2, R7, IDLES + 4)
    asm.jump_if(Jump.EQ, R1, PROTO_UDP, told)
    asm.load(4, R2, R7, IDLES + 8)
    asm.place(told)
    asm.store(4, R9, HEADERS + IDLE, R2)
    asm.store(4, R9, HEADERS + BECOMES + ENDS_SIZE, 0)
    if not turned:
        for at in range(0, ENDS_SIZE, 4):
            asm.load(4, R1, R9, CONN_BECOMES + at)
            asm.store(4, R9, HEADERS + BECOMES + at, R1)
        return
    for source, target in ((SRC, DST), (DST, SRC)):
        for word in range(0, 16, 4):
            asm.load(4, R1, R9, CONN_KEY + ENDS + source + word)
            asm.store(4, R9, HEADERS + BECOMES + target + word, R1)
    for source, target in ((SPORT, DPORT), (DPORT, SPORT)):
        asm.load(2, R1, R9, CONN_KEY + ENDS + source)
        asm.store(2, R9, HEADERS + BECOMES + target, R1)


def _remember(writer: Writer, version: int) -> None:
    """The entry of what the opener sends."""
    if not writer.probe:
        _entry(writer, TRANSLATED if version else 0, turned=False)
        writer.update("conns", CONN_KEY, HEADERS)
