"""What the code of all elements shares: registers, the way through the graph, direct access to the packet, room in front of it.

Kept registers: r6 the frame's context, r7 the packet's first byte (made by `window`, lost with every change of room), r8
where in the frame the packet starts, r9 the function's slots of this processor. Bytes that are stripped only move r8; the frame
itself changes its length when it leaves.

Each element is written once for each context. A context is either the whole way of a frame, or that of a copy: then the frame's
end is not the end of the program, but the place where what was before the copy is put back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from skerry.dataplane.ebpf.assembler import FP, R0, R1, R2, R3, R6, R7, R8, R9, Assembler, Jump, Label, Reg
from skerry.dataplane.ebpf.layout import Helper, Skb
from skerry.lvnf.bytecode import slots as words
from skerry.lvnf.bytecode.slots import Slots
from skerry.lvnf.graph import Element, Graph

DROP, REDIRECT = 2, 7
FURTHEST = 0xFFF
"""How far into a frame a packet can start: the kernel takes off no more at once."""

DEEPEST = 4
"""How many copies can be within each other."""

LARGEST_COPY = 9216
"""The largest frame that is copied where a way changes it."""

# The stack.
PAINT, GROWN, LENGTH, TEMP, MORE = -8, -16, -24, -32, -40
LEVELS = -48
SPACE = LEVELS - 24 * DEEPEST - 168
"""168 bytes for the element that is at work."""


class Context(NamedTuple):
    """How many copies this way is in, and where it goes on when the frame ends; None: the program ends."""

    level: int = 0
    after: Label | None = None


class Block(NamedTuple):
    """A piece of code: an element that is entered by an input, in a context."""

    name: str
    input: int
    context: Context


Write = Callable[["Coder", Element, int], None]
Function = Callable[["Coder", Label], None]


class Coder:
    """The state while a program is written. `ports` are the interface numbers of devices; a `probe` sends nothing and tells
    what it would send, by the number of the device in the graph. `grow` writes the function that makes room."""

    def __init__(
        self,
        asm: Assembler,
        graph: Graph,
        slots: Slots,
        ports: Mapping[str, int],
        grow: Function,
        *,
        probe: bool = False,
    ) -> None:
        self.asm, self.graph, self.slots, self.ports, self.probe = asm, graph, slots, ports, probe
        self._grow = grow
        self.context = Context()
        self._following = {(one.source, one.output): one for one in graph.connections}
        self._blocks: dict[Block, Label] = {}
        self._waiting: list[Block] = []
        self._functions: dict[str, tuple[Label, Function]] = {}
        self._written: set[str] = set()
        self._dropped = asm.label("drop")
        self.shifted = _reached(graph, [name for name, one in graph.elements.items() if one.class_name in SHIFTING])

    # -- the way through the graph ----------------------------------------------------------------------------------------

    @property
    def drop(self) -> Label:
        """Where a frame ends that does not leave."""
        return self.context.after or self._dropped

    def out(self, name: str, output: int, context: Context | None = None) -> Label:
        """Where what leaves by an output goes; what leaves by one that leads nowhere is dropped."""
        found = self._following.get((name, output))
        if found is None:
            return self.drop if context is None else context.after or self._dropped
        return self.block(found.target, found.input, self.context if context is None else context)

    def block(self, name: str, input: int, context: Context) -> Label:
        """The code of an element, written later if it is not yet."""
        block = Block(name, input, context)
        if block not in self._blocks:
            self._blocks[block] = self.asm.label(name)
            self._waiting.append(block)
        return self._blocks[block]

    def go(self, name: str, output: int = 0) -> None:
        """End this element: what it has at hand leaves by an output."""
        self.asm.jump(self.out(name, output))

    def write_blocks(self, writers: Mapping[str, Write]) -> None:
        """Write all that is waiting, and what that leads to."""
        while self._waiting:
            block = self._waiting.pop()
            self.context = block.context
            element = self.graph.elements[block.name]
            self.asm.place(self._blocks[block])
            self.asm.note(f"{block.name} :: {element.class_name}")
            writers[element.class_name](self, element, block.input)
        self.context = Context()

    def finish(self) -> None:
        """The end of dropped frames, and the functions that were called."""
        self.asm.place(self._dropped)
        self.asm.mov(R0, DROP)
        self.asm.exit()
        while len(self._written) < len(self._functions):
            for name, (label, write) in list(self._functions.items()):
                if name not in self._written:
                    self._written.add(name)
                    self.asm.place(label)
                    write(self, label)

    def call(self, name: str, write: Function) -> None:
        """Call a function of the program, written at the end; arguments as for a helper. r7 is lost if it changes the frame."""
        if name not in self._functions:
            self._functions[name] = (self.asm.label(name), write)
        self.asm.call_local(self._functions[name][0])

    def changes(self, name: str, output: int) -> bool:
        """Whether what leaves by this output is changed on its way, so that a copy has to be put back afterwards."""
        found = self._following.get((name, output))
        if found is None:
            return False
        reached = _reached(self.graph, [found.target])
        return name in self.shifted or any(self.graph.elements[one].class_name not in READING for one in reached)

    # -- the packet -------------------------------------------------------------------------------------------------------

    def window(self, size: int, short: Label) -> None:
        """r7 = the packet's first byte, with `size` bytes that can be read and written; `short` if there are fewer. Loses r1
        and r2."""
        asm = self.asm
        asm.load(4, R7, R6, Skb.DATA)
        asm.load(4, R2, R6, Skb.DATA_END)
        asm.add(R7, R8)
        asm.mov(R1, R7)
        asm.add(R1, size)
        asm.jump_if(Jump.GT, R1, R2, short)

    def reach(self, pointer: Reg, size: int, short: Label) -> None:
        """Make sure that `size` bytes from a pointer into the packet on are there. Loses r1 and r2."""
        asm = self.asm
        asm.load(4, R2, R6, Skb.DATA_END)
        asm.mov(R1, pointer)
        asm.add(R1, size)
        asm.jump_if(Jump.GT, R1, R2, short)

    def length(self, register: Reg) -> None:
        """A register = the packet's length."""
        self.asm.load(4, register, R6, Skb.LEN)
        self.asm.sub(register, R8)

    def put(self, at: int, data: bytes, base: Reg = R7) -> None:
        """Write constant bytes at `base + at`."""
        for width, offset in _pieces(len(data)):
            value = int.from_bytes(data[offset : offset + width], "little")
            self.asm.store(width, base, at + offset, value)

    def move(self, source: tuple[Reg, int], target: tuple[Reg, int], size: int, by: Reg = R1) -> None:
        """Copy a few bytes, piece by piece upwards; on the stack, pieces are aligned (to four bytes at least)."""
        aligned = all(at % 8 == 0 for base, at in (source, target) if base is FP)
        for width, offset in _pieces(size, widest=8 if aligned else 4):
            self.asm.load(width, by, source[0], source[1] + offset)
            self.asm.store(width, target[0], target[1] + offset, by)

    def ahead(self, register: Reg) -> None:
        """r8 += register, kept within bounds that the kernel follows; the frame ends if it is beyond."""
        asm = self.asm
        asm.add(R8, register)
        self.joined()

    def checked(self) -> None:
        """The frame ends where a helper failed."""
        self.asm.jump_if(Jump.NE, R0, 0, self.drop)

    def prepend(self, element: Element, size: int) -> None:
        """The packet starts `size` bytes earlier; r7 is there afterwards. If the frame has to grow for it, then at once by all
        that the following elements will need."""
        asm, fits = self.asm, self.asm.label("room")
        whole = size + self._needed_after(element)
        asm.jump_if(Jump.GE, R8, size, fits)
        asm.mov(R2, whole)
        asm.sub(R2, R8)
        asm.load(8, R3, FP, GROWN)
        asm.add(R3, R2)
        asm.store(8, FP, GROWN, R3)
        asm.mov(R1, R6)
        self.call("grow", self._grow)
        self.checked()
        asm.mov(R8, whole)
        asm.place(fits)
        asm.sub(R8, size)
        self.window(size, self.drop)

    def _needed_after(self, element: Element) -> int:
        """How many more bytes the elements that follow in a line put in front."""
        most, now, seen = 0, 0, {element.name}
        while (found := self._following.get((element.name, 0))) and found.target not in seen:
            element = self.graph.elements[found.target]
            seen.add(element.name)
            if element.class_name in BRANCHING:
                break
            now += growth(element)
            most = max(most, now)
        return most

    def trim(self, wanted: Reg) -> None:
        """The packet ends after as many bytes as a register says; r7 is lost."""
        asm = self.asm
        asm.mov(R2, wanted)
        asm.add(R2, R8)
        asm.mov(R1, R6)
        asm.mov(R3, 0)
        asm.call(Helper.CHANGE_TAIL)
        self.checked()

    # -- what is remembered -----------------------------------------------------------------------------------------------

    def count(self, name: str, word: int, amount: int = 1) -> None:
        """Add to a word of this processor. Loses r1."""
        at = self.slots.at(name, word)
        self.asm.load(8, R1, R9, at)
        self.asm.add(R1, amount)
        self.asm.store(8, R9, at, R1)

    def control(self, register: Reg, name: str, word: int = words.SETTING) -> None:
        """A register = the address of a word that all processors share."""
        self.asm.map_value(register, words.CONTROL, self.slots.at(name, word))

    def folded(self, register: Reg, by: Reg = R1) -> None:
        """A register = a sum of 64 bits, as one of 16 in ones' complement. Loses `by`."""
        asm = self.asm
        asm.mov(by, register)
        asm.rsh(by, 32)
        asm.and_(register, -1, width=4)
        asm.add(register, by)
        for _ in range(3):
            asm.mov(by, register)
            asm.rsh(by, 16)
            asm.and_(register, 0xFFFF)
            asm.add(register, by)

    def joined(self) -> None:
        """Out of memory, where the packet starts is unknown to the kernel's verifier: it sees all ways to here as one."""
        self.asm.store(8, R9, words.SCRATCH, R8)
        self.asm.load(8, R8, R9, words.SCRATCH)
        self.asm.jump_if(Jump.GT, R8, FURTHEST, self.drop)


READING = frozenset(
    {
        "FromDevice",
        "ToDevice",
        "Discard",
        "Idle",
        "Null",
        "Classifier",
        "IPClassifier",
        "IPFilter",
        "Counter",
        "AverageCounter",
        "Switch",
        "RoundRobinSwitch",
        "Paint",
        "CheckPaint",
        "RandomSample",
        "Meter",
        "Tee",
    }
)
"""Classes that leave packets as they are."""

SHIFTING = frozenset(
    {
        "Strip",
        "Unstrip",
        "EtherEncap",
        "VLANEncap",
        "VLANDecap",
        "IPEncap",
        "UDPIPEncap",
        "GTPEncap",
        "GTPDecap",
        "NSHEncap",
        "NSHDecap",
    }
)
"""Classes behind which a packet may start elsewhere in its frame."""

BRANCHING = frozenset(
    {"Classifier", "IPClassifier", "IPFilter", "Tee", "Switch", "RoundRobinSwitch", "Meter", "IPRewriter", "ToDevice"}
)
_NSH_METADATA = 16


def growth(element: Element) -> int:
    """How many bytes an element puts in front; negative for what it takes off."""
    config = element.config
    name = element.class_name
    if name == "Unstrip":
        return int(getattr(config, "length", 0))
    if name == "Strip":
        return -int(getattr(config, "length", 0))
    if name == "GTPEncap":
        return 8 if getattr(config, "qfi", None) is None else 16
    if name == "NSHEncap":
        return 8 + len(getattr(config, "metadata", b""))
    return {"EtherEncap": 14, "VLANEncap": 4, "VLANDecap": -4, "IPEncap": 20, "UDPIPEncap": 28}.get(name, 0)


def _reached(graph: Graph, names: Sequence[str]) -> frozenset[str]:
    """Elements that packets get to from these, and these."""
    after: dict[str, set[str]] = {}
    for one in graph.connections:
        after.setdefault(one.source, set()).add(one.target)
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += after.get(name, ())
    return frozenset(found)


def _pieces(size: int, widest: int = 4) -> list[tuple[int, int]]:
    """Widths and offsets that cover so many bytes."""
    found: list[tuple[int, int]] = []
    at = 0
    while at < size:
        width = widest
        while width > size - at:
            width //= 2
        found.append((width, at))
        at += width
    return found
