"""Functions of a program that change the whole frame: tags that the kernel keeps beside it, its start when it leaves, copies.

Checksums and lengths are the sender's affair: whoever attaches a program makes the other ends of its ports send whole frames.
"""

from __future__ import annotations

from skerry.dataplane.ebpf.assembler import FP, R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, Assembler, Jump, Label, Reg
from skerry.dataplane.ebpf.layout import Helper, Skb, big
from skerry.lvnf import configs
from skerry.lvnf.bytecode import slots
from skerry.lvnf.bytecode.coder import DEEPEST, LARGEST_COPY, Coder
from skerry.lvnf.graph import Graph

ETHERNET = 14
ADDRESSES = 12
MOST_TAGS = 3
_AT_MAC, _KEEP_SEGMENTS = 1, 1
_HEADER = ((8, 0), (4, 8), (2, 12))
_IPV4, _TAG = big(0x0800), big(0x8100)
_SHORTEST = 54  # with the smallest IPv6 header
MOST_ZEROED = 1024
_ZEROS = 64
COPY_ROOM = 8 + LARGEST_COPY


def copies_needed(graph: Graph) -> int:
    """How many frames a program may have to keep at once: one on each level of copies."""
    classes = {one.class_name for one in graph.elements.values()}
    devices = [one.config.device for one in graph.elements.values() if isinstance(one.config, configs.FromDevice)]
    copied = "Tee" in classes or len(set(devices)) < len(devices)
    return DEEPEST if copied else 0


def _fail(asm: Assembler, failed: Label) -> None:
    asm.place(failed)
    asm.mov(R0, -1)
    asm.exit()


def _read_start(asm: Assembler, failed: Label) -> None:
    """The Ethernet header at the frame's start to the stack, at -16."""
    _direct(asm, ETHERNET, failed)
    for width, at in _HEADER:
        asm.load(width, R1, R7, at)
        asm.store(width, FP, at - 16, R1)


def _write_start(asm: Assembler) -> None:
    """The way back, to r7."""
    for width, at in _HEADER:
        asm.load(width, R1, FP, at - 16)
        asm.store(width, R7, at, R1)


def _direct(asm: Assembler, size: int, failed: Label, start: Reg | None = None) -> None:
    """r7 = the frame's first byte, or that at `start`, with so many bytes."""
    asm.load(4, R7, R6, Skb.DATA)
    asm.load(4, R2, R6, Skb.DATA_END)
    if start is not None:
        asm.add(R7, start)
    asm.mov(R1, R7)
    asm.add(R1, size)
    asm.jump_if(Jump.GT, R1, R2, failed)


def _adjust(asm: Assembler, failed: Label) -> None:
    """r2 bytes more, or less, behind the Ethernet header."""
    asm.mov(R1, R6)
    asm.mov(R3, _AT_MAC)
    asm.mov(R4, _KEEP_SEGMENTS)
    asm.call(Helper.ADJUST_ROOM)
    asm.jump_if(Jump.NE, R0, 0, failed)


def disguise(coder: Coder, _: Label) -> None:
    """`r0 = disguise(frame)`: let the kernel believe that an IPv4 packet follows: else it would make no room behind the
    Ethernet header. What it believes comes from taking tags off, so two are put on for that."""
    asm, failed = coder.asm, coder.asm.label("not_disguised")
    asm.mov(R6, R1)
    _direct(asm, ETHERNET, failed)
    asm.load(2, R8, R7, ADDRESSES)
    asm.store(2, R7, ADDRESSES, _IPV4)
    for _turn in range(2):
        asm.mov(R1, R6)
        asm.mov(R2, _TAG)
        asm.mov(R3, 1)
        asm.call(Helper.VLAN_PUSH)
        asm.jump_if(Jump.NE, R0, 0, failed)
    for _turn in range(2):
        asm.mov(R1, R6)
        asm.call(Helper.VLAN_POP)
        asm.jump_if(Jump.NE, R0, 0, failed)
    _direct(asm, ETHERNET, failed)
    asm.store(2, R7, ADDRESSES, R8)
    asm.mov(R0, 0)
    asm.exit()
    _fail(asm, failed)


def take_tags(coder: Coder, _: Label) -> None:
    """`r0 = take_tags(frame, buffer)`: the VLAN tags that the kernel keeps beside the frame, into the buffer of three times
    four bytes; how many bytes that are, negative for a frame with more."""
    asm, failed, taken = coder.asm, coder.asm.label("too_many_tags"), coder.asm.label("tags_taken")
    asm.mov(R6, R1)
    asm.mov(R7, R2)
    asm.mov(R8, 0)
    for number in range(MOST_TAGS):
        asm.load(4, R1, R6, Skb.VLAN_PRESENT)
        asm.jump_if(Jump.EQ, R1, 0, taken)
        asm.load(4, R1, R6, Skb.VLAN_PROTO)
        asm.store(2, R7, 4 * number, R1)
        asm.load(4, R1, R6, Skb.VLAN_TCI)
        asm.to_big(R1, 16)
        asm.store(2, R7, 4 * number + 2, R1)
        asm.mov(R1, R6)
        asm.call(Helper.VLAN_POP)
        asm.jump_if(Jump.NE, R0, 0, failed)
        asm.add(R8, 4)
    asm.load(4, R1, R6, Skb.VLAN_PRESENT)
    asm.jump_if(Jump.NE, R1, 0, failed)
    asm.place(taken)
    asm.mov(R0, R8)
    asm.exit()
    _fail(asm, failed)


def put_tags(coder: Coder, _: Label) -> None:
    """`r0 = put_tags(frame, buffer, size)`: tags into the frame, where they were on the wire."""
    asm, failed = coder.asm, coder.asm.label("not_tagged")
    asm.mov(R6, R1)
    asm.mov(R9, R2)
    asm.mov(R8, R3)
    asm.mov(R2, R3)
    _adjust(asm, failed)
    for size in range(4, 4 * MOST_TAGS + 1, 4):
        other = asm.label("more_tags")
        asm.jump_if(Jump.NE, R8, size, other)
        _direct(asm, ETHERNET + size, failed)
        asm.load(2, R1, R7, ADDRESSES)
        asm.store(2, R7, ADDRESSES + size, R1)
        for part in range(0, size, 4):
            asm.load(4, R1, R9, part)
            asm.store(4, R7, ADDRESSES + part, R1)
        asm.mov(R0, 0)
        asm.exit()
        asm.place(other)
    _fail(asm, failed)


def grow(coder: Coder, _: Label) -> None:
    """`r0 = grow(frame, size)`: so many bytes before the frame, undefined ones."""
    _grown(coder, zeroed=False)


def grow_zeroed(coder: Coder, _: Label) -> None:
    """The same with zeros, where they can be seen."""
    _grown(coder, zeroed=True)


def _grown(coder: Coder, *, zeroed: bool) -> None:
    asm, failed = coder.asm, coder.asm.label("not_grown")
    asm.mov(R6, R1)
    asm.mov(R8, R2)
    _read_start(asm, failed)
    asm.mov(R2, R8)
    _adjust(asm, failed)
    if zeroed:
        _zeroed(asm, failed)
    asm.jump_if(Jump.GT, R8, MOST_ZEROED, failed)
    _direct(asm, ETHERNET, failed, R8)
    _write_start(asm)
    asm.mov(R0, 0)
    asm.exit()
    _fail(asm, failed)


def _zeroed(asm: Assembler, failed: Label) -> None:
    """The first r8 bytes of the frame."""
    buffer = -16 - _ZEROS
    for part in range(0, _ZEROS, 8):
        asm.store(8, FP, buffer + part, 0)
    done = asm.label("zeroed")
    for at in range(0, MOST_ZEROED, _ZEROS):
        last = asm.label("last_zeros")
        asm.jump_if(Jump.LE, R8, at, done)
        asm.mov(R4, R8)
        asm.sub(R4, at)
        asm.jump_if(Jump.LE, R4, _ZEROS, last)
        asm.mov(R4, _ZEROS)
        asm.place(last)
        asm.mov(R1, R6)
        asm.mov(R2, at)
        asm.mov(R3, FP)
        asm.add(R3, buffer)
        asm.mov(R5, 0)
        asm.call(Helper.STORE_BYTES)
        asm.jump_if(Jump.NE, R0, 0, failed)
    asm.place(done)


def shorten(coder: Coder, _: Label) -> None:
    """`r0 = shorten(frame, start)`: take off the frame what is before the packet; 0 if it can be sent then. What is too short
    for the kernel is made longer meanwhile."""
    asm, failed, enough = coder.asm, coder.asm.label("too_short"), coder.asm.label("enough")
    asm.mov(R6, R1)
    asm.mov(R8, R2)
    _direct(asm, ETHERNET, failed, R8)
    for width, at in _HEADER:
        asm.load(width, R1, R7, at)
        asm.store(width, FP, at - 16, R1)
    asm.load(4, R9, R6, Skb.LEN)
    asm.sub(R9, R8)
    asm.jump_if(Jump.GE, R9, _SHORTEST, enough)
    asm.mov(R1, R6)
    asm.load(4, R2, R6, Skb.LEN)
    asm.add(R2, _SHORTEST)
    asm.mov(R3, 0)
    asm.call(Helper.CHANGE_TAIL)
    asm.jump_if(Jump.NE, R0, 0, failed)
    asm.place(enough)
    asm.mov(R2, R8)
    asm.neg(R2)
    _adjust(asm, failed)
    _direct(asm, ETHERNET, failed)
    _write_start(asm)
    asm.mov(R0, 0)
    whole = asm.label("whole")
    asm.load(4, R1, R6, Skb.LEN)
    asm.jump_if(Jump.EQ, R1, R9, whole)
    asm.mov(R1, R6)
    asm.mov(R2, R9)
    asm.mov(R3, 0)
    asm.call(Helper.CHANGE_TAIL)
    asm.place(whole)
    asm.exit()
    _fail(asm, failed)


def _copy(asm: Assembler, failed: Label) -> None:
    """r7 = where copy number r2 is kept."""
    asm.store(4, FP, -20, R2)
    asm.map(R1, slots.COPIES)
    asm.mov(R2, FP)
    asm.add(R2, -20)
    asm.call(Helper.MAP_LOOKUP)
    asm.jump_if(Jump.EQ, R0, 0, failed)
    asm.mov(R7, R0)


def keep(coder: Coder, _: Label) -> None:
    """`r0 = keep(frame, number)`: remember the whole frame; 0 if that went well."""
    asm, failed = coder.asm, coder.asm.label("not_kept")
    asm.mov(R6, R1)
    _copy(asm, failed)
    asm.load(4, R4, R6, Skb.LEN)
    asm.jump_if(Jump.LT, R4, 1, failed)
    asm.jump_if(Jump.GT, R4, LARGEST_COPY, failed)
    asm.store(4, R7, 0, R4)
    asm.mov(R1, R6)
    asm.mov(R2, 0)
    asm.mov(R3, R7)
    asm.add(R3, 8)
    asm.call(Helper.LOAD_BYTES)
    asm.exit()
    _fail(asm, failed)


def restore(coder: Coder, _: Label) -> None:
    """`r0 = restore(frame, number, grown)`: make the frame what it was. `grown` bytes were put before it since then."""
    asm, failed, same, level = (
        coder.asm,
        *(coder.asm.label(name) for name in ("not_restored", "same_length", "level")),
    )
    asm.mov(R6, R1)
    asm.mov(R8, R2)
    asm.jump_if(Jump.SLE, R3, 0, level)
    asm.mov(R2, R3)
    coder.call("shorten", shorten)
    asm.jump_if(Jump.NE, R0, 0, failed)
    asm.place(level)
    asm.mov(R2, R8)
    _copy(asm, failed)
    asm.load(4, R2, R7, 0)
    asm.load(4, R1, R6, Skb.LEN)
    asm.jump_if(Jump.EQ, R1, R2, same)
    asm.mov(R1, R6)
    asm.mov(R3, 0)
    asm.call(Helper.CHANGE_TAIL)
    asm.jump_if(Jump.NE, R0, 0, failed)
    asm.place(same)
    asm.load(4, R4, R7, 0)
    asm.jump_if(Jump.LT, R4, 1, failed)
    asm.jump_if(Jump.GT, R4, LARGEST_COPY, failed)
    asm.mov(R1, R6)
    asm.mov(R2, 0)
    asm.mov(R3, R7)
    asm.add(R3, 8)
    asm.mov(R5, 0)
    asm.call(Helper.STORE_BYTES)
    asm.exit()
    _fail(asm, failed)


def tell(coder: Coder, _: Label) -> None:
    """`tell(frame, device)`: what would leave, to the ring of a probe."""
    asm, failed = coder.asm, coder.asm.label("not_told")
    asm.mov(R6, R1)
    asm.mov(R8, R2)
    asm.store(4, FP, -4, 0)
    asm.map(R1, slots.FRAMES)
    asm.mov(R2, FP)
    asm.add(R2, -4)
    asm.call(Helper.MAP_LOOKUP)
    asm.jump_if(Jump.EQ, R0, 0, failed)
    asm.mov(R7, R0)
    asm.load(4, R4, R6, Skb.LEN)
    asm.jump_if(Jump.LT, R4, 1, failed)
    asm.jump_if(Jump.GT, R4, LARGEST_COPY, failed)
    asm.store(4, R7, 0, R8)
    asm.mov(R8, R4)
    asm.mov(R1, R6)
    asm.mov(R2, 0)
    asm.mov(R3, R7)
    asm.add(R3, 8)
    asm.call(Helper.LOAD_BYTES)
    asm.jump_if(Jump.NE, R0, 0, failed)
    asm.map(R1, slots.TOLD)
    asm.mov(R2, R7)
    asm.mov(R3, R8)
    asm.add(R3, 8)
    asm.mov(R4, 0)
    asm.call(Helper.RINGBUF_OUTPUT)
    asm.mov(R0, 0)
    asm.exit()
    _fail(asm, failed)
