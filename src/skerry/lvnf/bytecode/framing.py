"""Functions of a program that change the whole frame: tags that the kernel keeps beside it, its start when it leaves, copies.

Checksums and lengths are the sender's affair: whoever attaches a program makes the other ends of its ports send whole frames.
"""

from __future__ import annotations

from skerry.dataplane.ebpf.assembler import FP, R0, R1, R2, R3, R4, R5, R6, R7, R8, Assembler, Jump, Label
from skerry.dataplane.ebpf.layout import Helper, Skb
from skerry.lvnf import configs
from skerry.lvnf.bytecode import slots
from skerry.lvnf.bytecode.coder import DEEPEST, LARGEST_COPY, SHIFTING, Coder
from skerry.lvnf.graph import Graph

ETHERNET = 14
ADDRESSES = 12
MOST_TAGS = 3
_AT_MAC, _KEEP_SEGMENTS = 1, 1
COPY_ROOM = 8 + LARGEST_COPY


def copies_needed(graph: Graph) -> int:
    """How many frames a program may have to keep at once: one that is moved, and one on each level of copies."""
    classes = {one.class_name for one in graph.elements.values()}
    devices = [one.config.device for one in graph.elements.values() if isinstance(one.config, configs.FromDevice)]
    copied = "Tee" in classes or len(set(devices)) < len(devices)
    return 1 + DEEPEST * copied if copied or classes & SHIFTING else 0


def _fail(asm: Assembler, failed: Label) -> None:
    asm.place(failed)
    asm.mov(R0, -1)
    asm.exit()


def untag(coder: Coder, _: Label) -> None:
    """`r0 = untag(frame)`: the VLAN tags that the kernel took off go back into the frame; how many bytes it grew by, negative
    for a frame with too many."""
    asm, failed = coder.asm, coder.asm.label("untag_failed")
    whole = [asm.label(f"tags_{number}") for number in range(MOST_TAGS + 1)]
    asm.mov(R6, R1)
    for number in range(MOST_TAGS):
        asm.load(4, R1, R6, Skb.VLAN_PRESENT)
        asm.jump_if(Jump.EQ, R1, 0, whole[number])
        asm.load(4, R1, R6, Skb.VLAN_PROTO)
        asm.store(2, FP, 4 * number - 16, R1)
        asm.load(4, R1, R6, Skb.VLAN_TCI)
        asm.to_big(R1, 16)
        asm.store(2, FP, 4 * number - 14, R1)
        asm.mov(R1, R6)
        asm.call(Helper.VLAN_POP)
        asm.jump_if(Jump.NE, R0, 0, failed)
    asm.load(4, R1, R6, Skb.VLAN_PRESENT)
    asm.jump_if(Jump.NE, R1, 0, failed)
    asm.jump(whole[MOST_TAGS])
    asm.place(whole[0])
    asm.mov(R0, 0)
    asm.exit()
    for number in range(1, MOST_TAGS + 1):
        asm.place(whole[number])
        _retag(asm, 4 * number, failed)
    _fail(asm, failed)


def _retag(asm: Assembler, size: int, failed: Label) -> None:
    asm.mov(R1, R6)
    asm.mov(R2, size)
    asm.mov(R3, 0)
    asm.call(Helper.CHANGE_HEAD)
    asm.jump_if(Jump.NE, R0, 0, failed)
    asm.load(4, R7, R6, Skb.DATA)
    asm.load(4, R2, R6, Skb.DATA_END)
    asm.mov(R1, R7)
    asm.add(R1, ETHERNET + size)
    asm.jump_if(Jump.GT, R1, R2, failed)
    for part in range(0, ADDRESSES, 4):
        asm.load(4, R1, R7, size + part)
        asm.store(4, R7, part, R1)
    for part in range(0, size, 4):
        asm.load(4, R1, FP, part - 16)
        asm.store(4, R7, ADDRESSES + part, R1)
    asm.mov(R0, size)
    asm.exit()


def shorten(coder: Coder, _: Label) -> None:
    """`r0 = shorten(frame, start, grown)`: take off the frame what is before the packet; 0 if it can be sent then.

    The kernel can take bytes out behind the Ethernet header, if that is where it believes it to be (not `grown`) and
    if it knows what follows; else everything is moved. Copy 0 is for that.
    """
    asm = coder.asm
    slow, failed = asm.label("move_all"), asm.label("too_short")
    asm.mov(R6, R1)
    asm.mov(R8, R2)
    asm.load(4, R1, R6, Skb.LEN)
    asm.sub(R1, R8)
    asm.jump_if(Jump.SLT, R1, ETHERNET, failed)
    asm.jump_if(Jump.NE, R3, 0, slow)
    asm.load(4, R7, R6, Skb.DATA)
    asm.load(4, R2, R6, Skb.DATA_END)
    asm.add(R7, R8)
    asm.mov(R1, R7)
    asm.add(R1, ETHERNET)
    asm.jump_if(Jump.GT, R1, R2, slow)
    for width, at in ((8, 0), (4, 8), (2, 12)):
        asm.load(width, R1, R7, at)
        asm.store(width, FP, at - 16, R1)
    asm.mov(R1, R6)
    asm.mov(R2, R8)
    asm.neg(R2)
    asm.mov(R3, _AT_MAC)
    asm.mov(R4, _KEEP_SEGMENTS)
    asm.call(Helper.ADJUST_ROOM)
    asm.jump_if(Jump.NE, R0, 0, slow)
    asm.load(4, R7, R6, Skb.DATA)
    asm.load(4, R2, R6, Skb.DATA_END)
    asm.mov(R1, R7)
    asm.add(R1, ETHERNET)
    asm.jump_if(Jump.GT, R1, R2, failed)
    for width, at in ((8, 0), (4, 8), (2, 12)):
        asm.load(width, R1, FP, at - 16)
        asm.store(width, R7, at, R1)
    asm.mov(R0, 0)
    asm.exit()
    asm.place(slow)
    _move_all(asm, failed)
    _fail(asm, failed)


def _move_all(asm: Assembler, failed: Label) -> None:
    """The packet to the frame's start, by way of a copy."""
    asm.mov(R2, 0)
    _copy(asm, failed)
    asm.load(4, R4, R6, Skb.LEN)
    asm.sub(R4, R8)
    asm.jump_if(Jump.LT, R4, ETHERNET, failed)
    asm.jump_if(Jump.GT, R4, LARGEST_COPY, failed)
    asm.mov(R8, R4)
    asm.mov(R3, R7)
    asm.mov(R1, R6)
    asm.load(4, R2, R6, Skb.LEN)
    asm.sub(R2, R8)
    asm.call(Helper.LOAD_BYTES)
    asm.jump_if(Jump.NE, R0, 0, failed)
    asm.mov(R1, R6)
    asm.mov(R2, 0)
    asm.mov(R3, R7)
    asm.mov(R4, R8)
    asm.mov(R5, 0)
    asm.call(Helper.STORE_BYTES)
    asm.jump_if(Jump.NE, R0, 0, failed)
    asm.mov(R1, R6)
    asm.mov(R2, R8)
    asm.mov(R3, 0)
    asm.call(Helper.CHANGE_TAIL)
    asm.exit()


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
    """`r0 = restore(frame, number)`: make the frame what it was."""
    asm, failed = coder.asm, coder.asm.label("not_restored")
    asm.mov(R6, R1)
    _copy(asm, failed)
    asm.load(4, R2, R7, 0)
    asm.load(4, R1, R6, Skb.LEN)
    same = asm.label("same_length")
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
