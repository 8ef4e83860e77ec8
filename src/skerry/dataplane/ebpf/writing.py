"""What all actions share when they write their code: registers, the way to end, functions that are written once.

Kept registers: r6 the frame, r9 the scratch, r7 the record of the rule, r8 what the frame has (when `fresh`).
"""

from __future__ import annotations

from collections.abc import Callable

from skerry.dataplane.ebpf import layout
from skerry.dataplane.ebpf.assembler import (
    FP,
    R0,
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
    R7,
    R8,
    R9,
    Assembler,
    Atomic,
    Jump,
    Label,
    Reg,
)
from skerry.dataplane.ebpf.layout import BUFFER, Has, Helper, Skb
from skerry.dataplane.ebpf.parse import Needs, emit_parse
from skerry.dataplane.flows import Reason

DROP, REDIRECTED = 2, 7
REASONS = tuple(Reason)
"""As the programs number them."""
PARAMETERS = 24
"""Where the parameters of a rule begin in its record."""


class Writer:
    """The state while a program is written.

    `probe` programs send nothing and remember nothing: they tell what they would send. `fresh` says that the scratch is what
    the frame is now, `tunnelled` that it has just left a tunnel or entered one; `mtu` is the shortest of the ports; `drop` is
    where a frame ends, `skip` where an action ends that has nothing to do.
    """

    def __init__(self, asm: Assembler, needs: Needs, *, probe: bool, mtu: int) -> None:
        self.asm, self.needs, self.probe, self.mtu = asm, needs, probe, mtu
        self.fresh = True
        self.copying = False
        self.tunnelled = False
        self.drop = asm.label("drop")
        self.skip = asm.label("skip")
        self.tables: dict[int, Label] = {}
        self.buckets = asm.label("buckets")
        self.at = PARAMETERS
        self._drops: dict[tuple[Reason, Label], Label] = {}
        self._functions: dict[str, tuple[Label, Callable[[Writer, Label], None]]] = {}

    def dropped(self, reason: Reason) -> Label:
        """Where a frame ends that is dropped for a reason, which is counted; not from inside a function."""
        return self._drops.setdefault((reason, self.drop), self.asm.label(f"dropped_{reason.name.lower()}"))

    def reasons(self) -> None:
        """Write the code of all `dropped`."""
        for (reason, end), label in self._drops.items():
            self.asm.place(label)
            if not self.probe:
                self.asm.store(4, R9, layout.REASON, REASONS.index(reason))
                self.call("count_drop", count_drop_function)
            self.asm.jump(end)

    def call(self, name: str, write: Callable[[Writer, Label], None]) -> None:
        """Call a function of the program with the frame and the scratch; it is written at the end."""
        if name not in self._functions:
            self._functions[name] = (self.asm.label(name), write)
        self.asm.mov(R1, R6)
        self.asm.mov(R2, R9)
        self.asm.call_local(self._functions[name][0])

    def functions(self) -> None:
        """Write the functions that were called."""
        written: set[str] = set()
        while len(written) < len(self._functions):
            for name, (label, write) in list(self._functions.items()):
                if name not in written:
                    written.add(name)
                    write(self, label)

    def read(self) -> None:
        """Make sure that the scratch is what the frame is now."""
        if not self.fresh:
            self.call("parse", parse_function)
            self.asm.mov(R8, R0)
            self.fresh = True

    def require(self, *wanted: Has, reason: Reason | None = None) -> None:
        """Read the frame; it ends where it has not all of these."""
        self.read()
        for one in wanted:
            self.unless(one, self.drop if reason is None else self.dropped(reason))

    def unless(self, wanted: Has, target: Label) -> None:
        """Go on at a label if the frame has not this."""
        self.asm.mov(R1, R8)
        self.asm.and_(R1, int(wanted))
        self.asm.jump_if(Jump.NE, R1, int(wanted), target)

    def checked(self) -> None:
        """The frame ends where a helper failed."""
        self.asm.jump_if(Jump.NE, R0, 0, self.drop)

    def parameter(self, register: Reg, at: int) -> None:
        """A register = the address of a parameter."""
        self.asm.mov(register, R7)
        self.asm.add(register, at)

    def scratch(self, register: Reg, at: int) -> None:
        """A register = an address in the scratch."""
        self.asm.mov(register, R9)
        self.asm.add(register, at)

    def store_bytes(self, at: int, source: int, size: int) -> None:
        """Write bytes of the scratch into the frame."""
        self.asm.mov(R2, at)
        self.scratch(R3, source)
        self.asm.mov(R4, size)
        self.stored()

    def opened(self, size: int) -> None:
        """r2 = the address of the frame, of which `size` bytes may be read and written; it ends where it is shorter."""
        asm = self.asm
        asm.load(4, R2, R6, Skb.DATA)
        asm.load(4, R1, R6, Skb.DATA_END)
        asm.mov(R3, R2)
        asm.add(R3, size)
        asm.jump_if(Jump.GT, R3, R1, self.drop)

    def stored(self) -> None:
        """The rest of writing r4 bytes at r3 to place r2 of the frame."""
        self.asm.mov(R1, R6)
        self.asm.mov(R5, 0)
        self.asm.call(Helper.STORE_BYTES)
        self.checked()
        self.fresh = False

    def lookup(self, map: str, key: int) -> None:
        """r0 = the value for a key in the scratch, 0 for none."""
        self.asm.map(R1, map)
        self.scratch(R2, key)
        self.asm.call(Helper.MAP_LOOKUP)

    def update(self, map: str, key: int, value: int) -> None:
        """Put a value of the scratch under a key of the scratch."""
        self.asm.map(R1, map)
        self.scratch(R2, key)
        self.scratch(R3, value)
        self.asm.mov(R4, 0)
        self.asm.call(Helper.MAP_UPDATE)

    def untag(self) -> None:
        """Take the VLAN tag off that the kernel keeps beside the frame, if there is one."""
        untagged = self.asm.label("untagged")
        self.asm.load(4, R1, R6, Skb.VLAN_PRESENT)
        self.asm.jump_if(Jump.EQ, R1, 0, untagged)
        self.asm.mov(R1, R6)
        self.asm.call(Helper.VLAN_POP)
        self.checked()
        self.asm.place(untagged)

    def tail(self, wanted: int) -> None:
        """Make the frame end where a number of the scratch says, if it is longer."""
        asm, right = self.asm, self.asm.label("right_length")
        asm.load(4, R2, R9, wanted)
        asm.load(4, R1, R6, Skb.LEN)
        asm.jump_if(Jump.EQ, R1, R2, right)
        if self.copying:
            asm.sub(R1, R2)
            asm.store(4, R9, layout.TRIMMED, R1)
        asm.mov(R1, R6)
        asm.mov(R3, 0)
        asm.call(Helper.CHANGE_TAIL)
        self.checked()
        asm.place(right)

    def back(self) -> None:
        """Send the frame out of where it came in, and end."""
        asm = self.asm
        if self.probe:
            asm.load(4, R3, R9, layout.IN_PORT)
            self.told()
        elif self.copying:
            self.cloned_to(Skb.IFINDEX)
        else:
            asm.load(4, R1, R6, Skb.IFINDEX)
            asm.mov(R2, 0)
            asm.call(Helper.REDIRECT)
            asm.exit()
            return
        asm.jump(self.drop)

    def cloned_to(self, at: int) -> None:
        """Send a copy to the interface whose number is in the context."""
        self.asm.load(4, R2, R6, at)
        self.asm.mov(R1, R6)
        self.asm.mov(R3, 0)
        self.asm.call(Helper.CLONE_REDIRECT)

    def told(self) -> None:
        """Tell a frame that would leave at port r3."""
        self.asm.store(4, R9, layout.EMITTED + 4, R3)
        self.call("tell", tell_function)

    def checksum_folded(self) -> None:
        """r0 = the Internet checksum of the sum r0 of 32 bits."""
        asm = self.asm
        for _ in range(2):
            asm.mov(R1, R0)
            asm.rsh(R1, 16)
            asm.and_(R0, 0xFFFF)
            asm.add(R0, R1)
        asm.mov(R1, R0)
        asm.rsh(R1, 16)
        asm.add(R0, R1)
        asm.mov(R1, 0xFFFF)
        asm.sub(R1, R0)
        asm.and_(R1, 0xFFFF)
        asm.mov(R0, R1)

    def frame_start(self, label: Label) -> None:
        """The first instructions of a function."""
        self.asm.place(label)
        self.asm.mov(R6, R1)
        self.asm.mov(R9, R2)


def parse_function(writer: Writer, label: Label) -> None:
    """`r0 = parse(frame, scratch)`."""
    emit_parse(writer.asm, label, writer.needs)


def tell_function(writer: Writer, label: Label) -> None:
    """`tell(frame, scratch)`: the frame to the ring of a probe, with port, length and tag before it."""
    asm, done = writer.asm, writer.asm.label("told")
    writer.frame_start(label)
    asm.store(4, R9, layout.EMITTED, 1)
    asm.load(4, R7, R6, Skb.LEN)
    asm.store(4, R9, layout.EMITTED + 8, R7)
    asm.mov(R2, 0)
    untagged = asm.label("untagged")
    asm.load(4, R1, R6, Skb.VLAN_PRESENT)
    asm.jump_if(Jump.EQ, R1, 0, untagged)
    asm.load(4, R2, R6, Skb.VLAN_TCI)
    asm.load(4, R1, R6, Skb.VLAN_PROTO)
    asm.lsh(R1, 16)
    asm.or_(R2, R1)
    asm.place(untagged)
    asm.store(4, R9, layout.EMITTED + 12, R2)
    asm.jump_if(Jump.GT, R7, layout.FRAME_ROOM, done)
    asm.jump_if(Jump.LT, R7, 1, done)
    asm.mov(R1, R6)
    asm.mov(R2, 0)
    writer.scratch(R3, layout.EMITTED + 16)
    asm.mov(R4, R7)
    asm.call(Helper.LOAD_BYTES)
    asm.jump_if(Jump.NE, R0, 0, done)
    _to_ring(writer, "told", R7, 16)
    asm.place(done)
    asm.mov(R0, 0)
    asm.exit()


def _to_ring(writer: Writer, ring: str, size: Reg, more: int) -> None:
    asm = writer.asm
    asm.map(R1, ring)
    writer.scratch(R2, layout.EMITTED)
    asm.mov(R3, size)
    asm.add(R3, more)
    asm.mov(R4, 0)
    asm.call(Helper.RINGBUF_OUTPUT)


def count_drop_function(writer: Writer, label: Label) -> None:
    """`count_drop(frame, scratch)`: one more for the port where the frame came in and the reason in the scratch."""
    asm, known = writer.asm, writer.asm.label("counted_before")
    writer.frame_start(label)
    asm.load(4, R1, R9, layout.IN_PORT)
    asm.lsh(R1, 8)
    asm.load(4, R2, R9, layout.REASON)
    asm.or_(R1, R2)
    asm.store(4, R9, layout.TEMP, R1)
    writer.lookup("drops", layout.TEMP)
    asm.jump_if(Jump.NE, R0, 0, known)
    asm.mov(R1, 0)
    asm.store(8, R9, layout.TEMP + 8, R1)
    writer.update("drops", layout.TEMP, layout.TEMP + 8)
    writer.lookup("drops", layout.TEMP)
    out = asm.label("out")
    asm.jump_if(Jump.EQ, R0, 0, out)
    asm.place(known)
    asm.mov(R1, 1)
    asm.atomic(Atomic.ADD, 8, R0, 0, R1)
    asm.place(out)
    asm.mov(R0, 0)
    asm.exit()


def event(writer: Writer, kind: int, key: int) -> None:
    """Tell whoever listens that something happened about the UE whose key is in the scratch."""
    if writer.probe:
        return
    asm = writer.asm
    asm.store(4, FP, -24, kind)
    asm.load(4, R1, R9, layout.IN_PORT)
    asm.store(4, FP, -20, R1)
    for part in (0, 8):
        asm.load(8, R1, R9, key + part)
        asm.store(8, FP, -16 + part, R1)
    asm.map(R1, "events")
    asm.mov(R2, FP)
    asm.add(R2, -24)
    asm.mov(R3, 24)
    asm.mov(R4, 0)
    asm.call(Helper.RINGBUF_OUTPUT)


def fix_v4_function(writer: Writer, label: Label) -> None:
    """`r0 = fix_v4(frame, scratch)`: the IPv4 header of the window, with its checksum computed anew, into the frame."""
    asm, out = writer.asm, writer.asm.label("out")
    writer.frame_start(label)
    asm.store(2, R9, BUFFER + 24, 0)
    asm.load(1, R7, R9, BUFFER + 14)
    asm.and_(R7, 15)
    asm.lsh(R7, 2)
    asm.mov(R0, 1)
    asm.jump_if(Jump.LT, R7, 20, out)
    asm.mov(R1, 0)
    asm.mov(R2, 0)
    writer.scratch(R3, BUFFER + 14)
    asm.mov(R4, R7)
    asm.mov(R5, 0)
    asm.call(Helper.CSUM_DIFF)
    asm.and_(R0, -1, width=4)
    writer.checksum_folded()
    asm.store(2, R9, BUFFER + 24, R0)
    asm.mov(R1, R6)
    asm.mov(R2, layout.L3)
    writer.scratch(R3, BUFFER + 14)
    asm.mov(R4, R7)
    asm.mov(R5, 0)
    asm.call(Helper.STORE_BYTES)
    asm.place(out)
    asm.exit()
