"""The code of actions that remember: flows that are pinned or shared out, meters, broadcast domains; and answers to ARP."""

from __future__ import annotations

from skerry.dataplane.ebpf import layout
from skerry.dataplane.ebpf.assembler import FP, R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, Alu, Atomic, Jump, Label
from skerry.dataplane.ebpf.layout import BUFFER, FLOW, HEADERS, KEY, SLOT, Has, Helper, Skb, big
from skerry.dataplane.ebpf.shapes import Step
from skerry.dataplane.ebpf.writing import Writer
from skerry.dataplane.flows import Field, Reason

FLOW_SIZE = 40
MOST_MEMBERS = 64
DOMAIN_HEAD, MEMBER_SIZE = 16, 16
MAC_KEY, MAC_VALUE = 12, 16
_KTIME = 5
_SECOND = 1_000_000_000
_TRIES = 4
_MIX = 0x9E3779B97F4A7C15


# -- flows ----------------------------------------------------------------------------------------------------------------


def flow(writer: Writer, none: Label) -> None:
    """What identifies the frame's flow, the same for both directions, to FLOW; to a label where there is none."""
    writer.read()
    writer.call("flow", flow_function)
    writer.asm.jump_if(Jump.EQ, R0, 0, none)


def flow_function(writer: Writer, label: Label) -> None:
    """`r0 = flow(frame, scratch)`: 1 if there is one."""
    asm, outer, none, done = writer.asm, *(writer.asm.label(name) for name in ("outer", "none", "flow_done"))
    writer.frame_start(label)
    asm.load(4, R8, R9, layout.FLAGS)
    for part in range(0, FLOW_SIZE, 8):
        asm.store(8, R9, FLOW + part, 0)
    writer.unless(Has.INNER, outer)
    _flow_of(writer, inner=True, none=none, done=done)
    asm.place(outer)
    writer.unless(Has.IP, none)
    _flow_of(writer, inner=False, none=none, done=done)
    asm.place(none)
    asm.mov(R0, 0)
    asm.exit()
    asm.place(done)
    asm.mov(R0, 1)
    asm.exit()


def _flow_of(writer: Writer, *, inner: bool, none: Label, done: Label) -> None:
    asm, six, unported, ready = writer.asm, *(writer.asm.label(name) for name in ("six", "unported", "ready"))
    later = Has.INNER_LATER if inner else Has.LATER
    asm.jump_if(Jump.SET, R8, int(later), none)
    asm.load(1, R1, R9, SLOT[Field.INNER_PROTO if inner else Field.IP_PROTO])
    asm.store(4, R9, FLOW, R1)
    asm.mov(R5, 0)
    asm.mov(R0, 0)
    writer.unless(Has.INNER_PORTS if inner else Has.PORTS, unported)
    asm.load(4, R7, R9, layout.INNER_L4 if inner else layout.L4)
    asm.and_(R7, 1023)
    asm.add(R7, R9)
    asm.load(2, R5, R7, BUFFER)
    asm.load(2, R0, R7, BUFFER + 2)
    asm.place(unported)
    if inner:
        asm.load(4, R7, R9, layout.INNER)
        asm.and_(R7, 511)
    else:
        asm.mov(R7, layout.L3)
    asm.add(R7, R9)
    writer.unless(Has.INNER_V4 if inner else Has.V4, six)
    asm.load(4, R1, R7, BUFFER + 12)
    asm.load(4, R3, R7, BUFFER + 16)
    asm.mov(R2, 0)
    asm.mov(R4, 0)
    asm.jump(ready)
    asm.place(six)
    for register, at in ((R1, 8), (R2, 16), (R3, 24), (R4, 32)):
        asm.load(8, register, R7, BUFFER + at)
    asm.place(ready)
    _ordered(writer, done)


def _ordered(writer: Writer, done: Label) -> None:
    """Both ends, r1 r2 with port r5 and r3 r4 with port r0, the smaller one first."""
    asm, swapped = writer.asm, writer.asm.label("swapped")
    straight = asm.label("straight")
    for one, other in ((R1, R3), (R2, R4), (R5, R0)):
        asm.jump_if(Jump.GT, one, other, swapped)
        asm.jump_if(Jump.LT, one, other, straight)
    asm.place(straight)
    for label, first, second in ((None, (R1, R2, R5), (R3, R4, R0)), (swapped, (R3, R4, R0), (R1, R2, R5))):
        if label:
            asm.place(label)
        for at, register in ((4, first[0]), (12, first[1]), (20, second[0]), (28, second[1])):
            asm.store(4, R9, FLOW + at, register)
            asm.mov(R7, register)
            asm.rsh(R7, 32)
            asm.store(4, R9, FLOW + at + 4, R7)
        asm.store(2, R9, FLOW + 36, first[2])
        asm.store(2, R9, FLOW + 38, second[2])
        asm.jump(done)


def pinned(writer: Writer) -> None:
    """What the flow of a frame that entered is pinned to, into the slot of PIN."""
    asm, none = writer.asm, writer.asm.label("not_pinned")
    asm.store(4, R9, SLOT[Field.PIN], 0)
    flow(writer, none)
    writer.lookup("pins", FLOW)
    asm.jump_if(Jump.EQ, R0, 0, none)
    asm.store(8, FP, -16, R0)
    asm.call(Helper.KTIME_COARSE)
    asm.load(8, R1, FP, -16)
    _over(writer, none)
    asm.load(4, R2, R1, 0)
    asm.store(4, R9, SLOT[Field.PIN], R2)
    asm.place(none)


def _over(writer: Writer, target: Label) -> None:
    """To a label if the pin at r1 is too old at the time r0."""
    asm = writer.asm
    asm.mov(R3, R0)
    asm.load(8, R2, R1, 8)
    asm.sub(R3, R2)
    asm.load(4, R4, R1, 4)
    asm.alu(Alu.MUL, R4, _SECOND)
    asm.jump_if(Jump.SGT, R3, R4, target)


def seen(writer: Writer, _: Step, __: bool) -> None:
    """A rule matched on the pin: the flow lives on."""
    if writer.probe:
        return
    asm = writer.asm
    flow(writer, writer.skip)
    writer.lookup("pins", FLOW)
    asm.jump_if(Jump.EQ, R0, 0, writer.skip)
    asm.store(8, FP, -16, R0)
    asm.call(Helper.KTIME_COARSE)
    asm.load(8, R1, FP, -16)
    asm.store(8, R1, 8, R0)


def pin(writer: Writer, _: Step, __: bool) -> None:
    """Parameters: value, seconds."""
    if writer.probe:
        return
    asm, fresh = writer.asm, writer.asm.label("fresh_pin")
    flow(writer, writer.skip)
    asm.call(Helper.KTIME_COARSE)
    asm.store(8, FP, -8, R0)
    writer.lookup("pins", FLOW)
    asm.jump_if(Jump.EQ, R0, 0, fresh)
    asm.mov(R1, R0)
    asm.load(8, R0, FP, -8)
    _over(writer, fresh)
    asm.store(8, R1, 8, R0)
    asm.jump(writer.skip)
    asm.place(fresh)
    asm.load(8, R1, R7, writer.at)
    asm.store(8, R9, KEY, R1)
    asm.load(8, R1, FP, -8)
    asm.store(8, R9, KEY + 8, R1)
    writer.update("pins", FLOW, KEY)


def select(writer: Writer, _: Step, __: bool) -> None:
    """Parameters: first slot, number of slots. The record of the bucket takes the place of the rule's."""
    asm, none = writer.asm, writer.asm.label("no_flow")
    asm.mov(R0, 0)
    asm.store(8, FP, -8, R0)
    flow(writer, none)
    asm.mov(R0, 0)
    asm.constant(R2, _MIX)
    for part in range(0, FLOW_SIZE, 8):
        asm.load(8, R1, R9, FLOW + part)
        asm.alu(Alu.XOR, R0, R1)
        asm.alu(Alu.MUL, R0, R2)
        asm.mov(R1, R0)
        asm.rsh(R1, 29)
        asm.alu(Alu.XOR, R0, R1)
    asm.rsh(R0, 33)
    asm.load(4, R1, R7, writer.at + 4)
    asm.alu(Alu.MOD, R0, R1)
    asm.store(8, FP, -8, R0)
    asm.place(none)
    asm.load(8, R0, FP, -8)
    asm.load(4, R1, R7, writer.at)
    asm.add(R0, R1)
    asm.store(4, R9, layout.TEMP, R0)
    writer.lookup("slots", layout.TEMP)
    asm.jump_if(Jump.EQ, R0, 0, writer.drop)
    asm.load(4, R1, R0, 0)
    asm.store(4, R9, layout.TEMP, R1)
    writer.lookup("rules", layout.TEMP)
    asm.jump_if(Jump.EQ, R0, 0, writer.drop)
    asm.mov(R7, R0)
    asm.jump(writer.buckets)


# -- meters ---------------------------------------------------------------------------------------------------------------


def police(writer: Writer, _: Step, __: bool) -> None:
    """Parameter: place of the meter. A token bucket kept as the time at which it would be full again (GCRA)."""
    asm = writer.asm
    asm.load(4, R1, R7, writer.at)
    asm.store(4, R9, layout.TEMP, R1)
    writer.lookup("meters", layout.TEMP)
    asm.jump_if(Jump.EQ, R0, 0, writer.drop)
    asm.store(8, FP, -16, R0)
    asm.call(_KTIME)
    asm.store(8, FP, -8, R0)
    asm.load(8, R5, FP, -16)
    _frame_time(writer)
    passed = asm.label("passed")
    for _try in range(_TRIES):
        _take(writer, passed)
    asm.jump(writer.dropped(Reason.METER))
    asm.place(passed)


def _frame_time(writer: Writer) -> None:
    """r4 = the nanoseconds that the frame takes at the rate of the meter at r5."""
    asm, untagged = writer.asm, writer.asm.label("meter_untagged")
    asm.load(4, R4, R6, Skb.LEN)
    asm.load(4, R1, R6, Skb.VLAN_PRESENT)
    asm.jump_if(Jump.EQ, R1, 0, untagged)
    asm.add(R4, 4)
    asm.place(untagged)
    asm.lsh(R4, 3)
    asm.alu(Alu.MUL, R4, _SECOND)
    asm.load(8, R1, R5, 8)
    asm.alu(Alu.DIV, R4, R1)


def _take(writer: Writer, passed: Label) -> None:
    asm, later = writer.asm, writer.asm.label("later")
    asm.load(8, R0, R5, 0)
    asm.load(8, R2, FP, -8)
    asm.mov(R1, R0)
    asm.jump_if(Jump.GT, R1, R2, later)
    asm.mov(R1, R2)
    asm.place(later)
    asm.add(R1, R4)
    asm.mov(R3, R1)
    asm.sub(R3, R2)
    asm.load(8, R2, R5, 16)
    asm.jump_if(Jump.GT, R3, R2, writer.dropped(Reason.METER))
    if writer.probe:
        asm.jump(passed)
        return
    asm.mov(R3, R0)
    asm.atomic(Atomic.CMPXCHG, 8, R5, 0, R1)
    asm.jump_if(Jump.EQ, R0, R3, passed)


# -- broadcast domains ----------------------------------------------------------------------------------------------------


def bridge(writer: Writer, _: Step, __: bool, members: int = MOST_MEMBERS) -> None:
    """Parameters: place of the domain, its id."""
    asm = writer.asm
    asm.load(4, R1, R7, writer.at + 4)
    asm.store(4, R9, KEY, R1)
    asm.load(4, R1, R7, writer.at)
    asm.store(4, R9, layout.TEMP, R1)
    writer.read()
    _learn_source(writer)
    writer.lookup("domains", layout.TEMP)
    asm.jump_if(Jump.EQ, R0, 0, writer.drop)
    asm.mov(R7, R0)
    _find_target(writer)
    for at in range(members):
        _member(writer, DOMAIN_HEAD + at * MEMBER_SIZE, at)
    asm.jump(writer.drop)


def _mac_key(writer: Writer, at: int) -> None:
    asm = writer.asm
    for part in (0, 2, 4):
        asm.load(2, R1, R9, BUFFER + at + part)
        asm.store(2, R9, KEY + 4 + part, R1)
    asm.store(2, R9, KEY + 10, 0)


def _learn_source(writer: Writer) -> None:
    if writer.probe:
        return
    asm, group = writer.asm, writer.asm.label("from_group")
    asm.load(1, R1, R9, BUFFER + 6)
    asm.jump_if(Jump.SET, R1, 1, group)
    _mac_key(writer, 6)
    asm.call(Helper.KTIME_COARSE)
    asm.store(8, R9, KEY + 24, R0)
    asm.load(4, R1, R9, layout.IN_PORT)
    asm.store(8, R9, KEY + 16, R1)
    writer.update("macs", KEY, KEY + 16)
    asm.place(group)


def _find_target(writer: Writer) -> None:
    """The port where the destination is, 0 for all, to TEMP + 4."""
    asm, unknown = writer.asm, writer.asm.label("unknown_target")
    asm.store(4, R9, layout.TEMP + 4, 0)
    asm.load(1, R1, R9, BUFFER)
    asm.jump_if(Jump.SET, R1, 1, unknown)
    _mac_key(writer, 0)
    writer.lookup("macs", KEY)
    asm.jump_if(Jump.EQ, R0, 0, unknown)
    asm.store(8, FP, -16, R0)
    asm.call(Helper.KTIME_COARSE)
    asm.load(8, R1, FP, -16)
    asm.load(8, R2, R1, 8)
    asm.sub(R0, R2)
    asm.load(4, R2, R7, 8)
    asm.alu(Alu.MUL, R2, _SECOND)
    asm.jump_if(Jump.SGT, R0, R2, unknown)
    asm.load(4, R1, R1, 0)
    asm.store(4, R9, layout.TEMP + 4, R1)
    asm.place(unknown)


def _member(writer: Writer, at: int, number: int) -> None:
    """Send to a member: port, interface, tag."""
    asm, following, wanted = writer.asm, writer.asm.label("following"), writer.asm.label("wanted")
    plain = asm.label("plain")
    asm.load(4, R1, R7, 0)
    asm.jump_if(Jump.LE, R1, number, writer.drop)
    asm.load(4, R3, R7, at)
    asm.load(4, R1, R9, layout.IN_PORT)
    asm.jump_if(Jump.EQ, R1, R3, following)
    asm.load(4, R1, R9, layout.TEMP + 4)
    asm.jump_if(Jump.EQ, R1, 0, wanted)
    asm.jump_if(Jump.NE, R1, R3, following)
    asm.place(wanted)
    asm.load(4, R3, R7, at + 8)
    asm.jump_if(Jump.EQ, R3, 0, plain)
    asm.mov(R1, R6)
    asm.mov(R2, big(0x8100))
    asm.call(Helper.VLAN_PUSH)
    writer.checked()
    _send(writer, at)
    asm.mov(R1, R6)
    asm.call(Helper.VLAN_POP)
    writer.checked()
    asm.jump(following)
    asm.place(plain)
    _send(writer, at)
    asm.place(following)


def _send(writer: Writer, at: int) -> None:
    asm = writer.asm
    if writer.probe:
        asm.load(4, R3, R7, at)
        writer.told()
        return
    asm.mov(R1, R6)
    asm.load(4, R2, R7, at + 4)
    asm.mov(R3, 0)
    asm.call(Helper.CLONE_REDIRECT)


# -- ARP ------------------------------------------------------------------------------------------------------------------


def arp_reply(writer: Writer, _: Step, __: bool) -> None:
    """Parameter: the MAC."""
    asm = writer.asm
    writer.read()
    asm.load(2, R1, R9, BUFFER + 12)
    asm.jump_if(Jump.NE, R1, big(0x0806), writer.drop)
    asm.load(4, R1, R9, layout.CAP)
    asm.jump_if(Jump.LT, R1, 42, writer.drop)
    for at, value in ((14, 0x00010800), (18, 0x06040001)):
        asm.load(4, R1, R9, BUFFER + at)
        asm.jump_if(Jump.NE, R1, big(value, 4), writer.drop, width=4)
    for part in (0, 2, 4):
        asm.load(2, R1, R7, writer.at + part)
        asm.store(2, R9, HEADERS + 6 + part, R1)
        asm.store(2, R9, HEADERS + 22 + part, R1)
        asm.load(2, R1, R9, BUFFER + 22 + part)
        asm.store(2, R9, HEADERS + part, R1)
    for to, source, size in ((12, 12, 8), (28, 38, 4), (32, 22, 10)):
        for part in range(0, size, 2):
            asm.load(2, R1, R9, BUFFER + source + part)
            asm.store(2, R9, HEADERS + to + part, R1)
    asm.store(2, R9, HEADERS + 20, big(2))
    asm.store(4, R9, layout.NEW_LEN, 42)
    writer.tail(layout.NEW_LEN)
    writer.store_bytes(0, HEADERS, 42)
    writer.back()
    asm.jump(writer.drop)
