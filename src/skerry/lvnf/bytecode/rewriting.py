"""The code of IPRewriter: flows in a map of the kernel, both directions each, which a program makes, uses and forgets alone.

A flow's key is protocol, addresses and ports as they are in packets (16 bytes). Besides, a ring has a place for each flow that
can be: a new flow takes the place of one whose time is over. So the map is never full of what nobody uses.
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
    R5,
    R6,
    R7,
    R8,
    R9,
    Alu,
    Atomic,
    Jump,
    Label,
    Reg,
)
from skerry.dataplane.ebpf.layout import Helper, big
from skerry.lvnf import configs
from skerry.lvnf.bytecode import slots
from skerry.lvnf.bytecode.coder import SPACE, Coder, Write
from skerry.lvnf.bytecode.internet import complement
from skerry.lvnf.graph import Element

MOST_FLOWS = 8192
MOST_INPUTS = 32
KEY, VALUE = 16, 56
RING = 8 * (MOST_INPUTS + 1)
"""Where the ring begins, behind the next port of each input and the ring's next place."""
ROOM = RING + KEY * MOST_FLOWS

# Of a value: what replaces addresses and ports, where packets leave, what changes of checksums, whether this direction is
# finished and whether it was the first, when it was seen, the key of the other direction, the place in the ring.
PORTS, OUTPUT, ADDRESS_CHANGE, CHANGE, FLAGS, SEEN, OTHER, PLACE = 8, 12, 16, 18, 20, 24, 32, 48
FINISHED, FORWARD = 1, 2

_TCP, _UDP = 6, 17
_FIN, _RST = 1, 4
_DONE = 240.0
_TRIES, _PLACES = 16, 4
"""How many ports, and places in the ring, a packet tries. The next packet goes on where this one gave up."""
_KEY, _NEW, _BACK, _NOW, _HEADER, _PLACE, _TURN, _PORT, _VALUE = (
    SPACE + at for at in (0, 16, 32, 48, 56, 64, 72, 80, 88)
)
_FLOW = SPACE + 88 + VALUE


def ip_rewriter(coder: Coder, element: Element, input: int) -> None:
    """Find the flow, or make it; rewrite."""
    _Rewriter(coder, element, input).write()


class _Rewriter:
    """The code for packets that come in by one input."""

    def __init__(self, coder: Coder, element: Element, input: int) -> None:
        self._coder, self._asm, self._element, self._input = coder, coder.asm, element, input
        config = cast("configs.IPRewriter", element.config)
        self._config, self._rule = config, config.rules[input]
        number = coder.slots.places[element.name]
        self._flows, self._state = slots.flows(number), slots.ring(number)
        self._failed = coder.asm.label("no_mapping")
        self._leave = coder.out(element.name, self._rule.forward) if self._rule.kind == "pass" else coder.drop

    def write(self) -> None:
        """All of it."""
        asm, new, use, forget = self._asm, *(self._asm.label(name) for name in ("new_flow", "use_flow", "forget"))
        self._read()
        self._lookup(_KEY)
        asm.jump_if(Jump.EQ, R0, 0, new)
        asm.store(8, FP, _FLOW, R0)
        self._stale()
        asm.jump_if(Jump.NE, R0, 0, forget)
        asm.load(8, R1, FP, _FLOW)
        asm.load(4, R2, R1, OUTPUT)
        asm.jump_if(Jump.LT, R2, max(self._element.outputs, 1), use)
        asm.place(forget)
        asm.load(8, R1, FP, _FLOW)
        self._coder.move((R1, OTHER), (FP, _BACK), KEY, by=R2)
        for key in (_KEY, _BACK):
            self._delete(key)
        asm.place(new)
        if self._rule.kind in ("pass", "drop"):
            asm.jump(self._leave)
        else:
            self._made()
        asm.place(use)
        self._watched()
        self._rewritten()
        self._sent()
        asm.place(self._failed)
        self._coder.count(self._element.name, slots.PACKETS)
        asm.jump(self._coder.drop)

    # -- flows ------------------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        """The packet's key, its header's length and the time to the stack; what has no ports leaves."""
        asm, coder, ported = self._asm, self._coder, self._asm.label("ported")
        coder.window(28, self._leave)
        asm.load(1, R4, R7, 0)
        asm.and_(R4, 15)
        asm.lsh(R4, 2)
        asm.jump_if(Jump.LT, R4, 20, self._leave)
        asm.mov(R3, R7)
        asm.add(R3, R4)
        coder.reach(R3, 8, self._leave)
        asm.load(2, R1, R7, 6)
        asm.and_(R1, big(0x1FFF))
        asm.jump_if(Jump.NE, R1, 0, self._leave)
        asm.load(1, R5, R7, 9)
        asm.jump_if(Jump.EQ, R5, _TCP, ported)
        asm.jump_if(Jump.NE, R5, _UDP, self._leave)
        asm.place(ported)
        asm.store(4, FP, _KEY, R5)
        coder.move((R7, 12), (FP, _KEY + 4), 8)
        coder.move((R3, 0), (FP, _KEY + 12), 4)
        asm.store(8, FP, _HEADER, R4)
        asm.call(Helper.KTIME_COARSE)
        asm.store(8, FP, _NOW, R0)

    def _key(self, key: int) -> None:
        self._asm.map(R1, self._flows)
        self._asm.mov(R2, FP)
        self._asm.add(R2, key)

    def _lookup(self, key: int) -> None:
        """r0 = the flow of a key on the stack, or 0."""
        self._key(key)
        self._asm.call(Helper.MAP_LOOKUP)

    def _delete(self, key: int) -> None:
        self._key(key)
        self._asm.call(Helper.MAP_DELETE)

    def _stale(self) -> None:
        """r0 = whether the time of the flow at r0 is over."""
        self._asm.mov(R1, R0)
        self._asm.load(8, R2, FP, _NOW)
        self._coder.call(f"stale {self._element.name}", self._stale_function)

    def _stale_function(self, coder: Coder, _: Label) -> None:
        """`r0 = stale(flow, now)`."""
        asm, alone, compare = coder.asm, *(coder.asm.label(name) for name in ("alone", "compare"))
        config, younger, lasting = self._config, asm.label("younger"), asm.label("lasting")
        asm.mov(R6, R1)
        asm.mov(R7, R2)
        asm.load(8, R8, R6, SEEN)
        asm.load(4, R9, R6, FLAGS)
        asm.map(R1, self._flows)
        asm.mov(R2, R6)
        asm.add(R2, OTHER)
        asm.call(Helper.MAP_LOOKUP)
        asm.jump_if(Jump.EQ, R0, 0, alone)
        asm.load(4, R1, R0, FLAGS)
        asm.alu(Alu.AND, R9, R1)
        asm.load(8, R1, R0, SEEN)
        asm.jump_if(Jump.GE, R8, R1, younger)
        asm.mov(R8, R1)
        asm.place(younger)
        asm.place(alone)
        asm.sub(R7, R8)
        asm.load(4, R1, R6, OTHER)
        asm.mov(R2, lifetime(config, _UDP, finished=False))
        asm.jump_if(Jump.EQ, R1, _UDP, compare)
        asm.mov(R2, lifetime(config, _TCP, finished=False))
        asm.and_(R9, FINISHED)
        asm.jump_if(Jump.EQ, R9, 0, compare)
        asm.mov(R2, lifetime(config, _TCP, finished=True))
        asm.place(compare)
        asm.mov(R0, 0)
        asm.jump_if(Jump.SLE, R7, R2, lasting)
        asm.mov(R0, 1)
        asm.place(lasting)
        asm.exit()

    def _taken(self) -> None:
        """r0 = whether the key at _BACK is that of a flow; one whose time is over is forgotten."""
        self._asm.mov(R1, FP)
        self._asm.add(R1, _BACK)
        self._asm.load(8, R2, FP, _NOW)
        self._coder.call(f"taken {self._element.name}", self._taken_function)

    def _taken_function(self, coder: Coder, _: Label) -> None:
        """`r0 = taken(key, now)`."""
        asm, free, lasting = coder.asm, coder.asm.label("free_key"), coder.asm.label("taken_key")
        asm.mov(R6, R1)
        asm.mov(R7, R2)
        asm.mov(R2, R1)
        asm.map(R1, self._flows)
        asm.call(Helper.MAP_LOOKUP)
        asm.jump_if(Jump.EQ, R0, 0, free)
        asm.mov(R8, R0)
        asm.mov(R1, R0)
        asm.mov(R2, R7)
        coder.call(f"stale {self._element.name}", self._stale_function)
        asm.jump_if(Jump.EQ, R0, 0, lasting)
        coder.move((R8, OTHER), (FP, -KEY), KEY)
        asm.map(R1, self._flows)
        asm.mov(R2, R6)
        asm.call(Helper.MAP_DELETE)
        asm.map(R1, self._flows)
        asm.mov(R2, FP)
        asm.add(R2, -KEY)
        asm.call(Helper.MAP_DELETE)
        asm.place(free)
        asm.mov(R0, 0)
        asm.exit()
        asm.place(lasting)
        asm.mov(R0, 1)
        asm.exit()

    # -- new flows --------------------------------------------------------------------------------------------------------

    def _made(self) -> None:
        """A mapping for the key: as the rule says, with a free key for replies and a place in the ring."""
        asm, rule = self._asm, self._rule
        self._coder.move((FP, _KEY), (FP, _NEW), KEY)
        first, last = rule.source_port, rule.source_port_last
        if rule.kind == "pattern":
            self._patterned()
        if rule.kind == "pattern" and first is not None and last is not None and last > first:
            self._next_port(first, last)
        else:
            self._reverse()
            self._taken()
            asm.jump_if(Jump.NE, R0, 0, self._failed)
        self._placed()
        self._value(_KEY, _NEW, _BACK, rule.forward, FORWARD)
        self._put(_KEY)
        self._reversed_key()
        self._value(_BACK, _NEW, _KEY, rule.reverse, 0)
        self._put(_BACK)
        self._lookup(_KEY)
        asm.jump_if(Jump.EQ, R0, 0, self._failed)
        asm.store(8, FP, _FLOW, R0)

    def _patterned(self) -> None:
        rule, put = self._rule, self._coder.put
        if rule.source is not None:
            put(_NEW + 4, rule.source, base=FP)
        if rule.destination is not None:
            put(_NEW + 8, rule.destination, base=FP)
        if rule.source_port is not None:
            put(_NEW + 12, rule.source_port.to_bytes(2, "big"), base=FP)
        if rule.destination_port is not None:
            put(_NEW + 14, rule.destination_port.to_bytes(2, "big"), base=FP)

    def _swapped(self, source: int, target: int) -> None:
        """A key the other way round."""
        asm = self._asm
        for width, at, to in ((4, 0, 0), (4, 4, 8), (4, 8, 4), (2, 12, 14), (2, 14, 12)):
            asm.load(width, R1, FP, source + at)
            asm.store(width, FP, target + to, R1)

    def _reverse(self) -> None:
        """_BACK = the key of replies."""
        self._swapped(_NEW, _BACK)

    def _reversed_key(self) -> None:
        """_NEW = what replaces addresses and ports of replies."""
        self._swapped(_KEY, _NEW)

    def _next_port(self, first: int, last: int) -> None:
        """The next port whose replies are not another flow's."""
        asm, again, got, inside = self._asm, *(self._asm.label(name) for name in ("next_port", "got_port", "port"))
        wrapped = asm.label("wrapped")
        asm.map_value(R1, self._state, 8 * self._input)
        asm.load(8, R2, R1)
        asm.jump_if(Jump.GE, R2, first, inside)
        asm.mov(R2, first)
        asm.place(inside)
        asm.store(8, FP, _PORT, R2)
        asm.store(8, FP, _TURN, 0)
        asm.place(again)
        asm.load(8, R2, FP, _PORT)
        asm.jump_if(Jump.LE, R2, last, wrapped)
        asm.mov(R2, first)
        asm.place(wrapped)
        asm.mov(R1, R2)
        asm.to_big(R1, 16)
        asm.store(2, FP, _NEW + 12, R1)
        asm.add(R2, 1)
        # By way of the map, the port is any number to the verifier, and all turns are alike but for their number.
        asm.store(8, R9, slots.SCRATCH, R2)
        asm.load(8, R2, R9, slots.SCRATCH)
        asm.store(8, FP, _PORT, R2)
        self._reverse()
        self._taken()
        asm.jump_if(Jump.EQ, R0, 0, got)
        asm.load(8, R1, FP, _TURN)
        asm.add(R1, 1)
        asm.store(8, FP, _TURN, R1)
        asm.jump_if(Jump.LT, R1, min(_TRIES, last - first + 1), again)
        if last - first >= _TRIES:
            self._remember_port()
        asm.jump(self._failed)
        asm.place(got)
        self._remember_port()

    def _remember_port(self) -> None:
        asm = self._asm
        asm.map_value(R1, self._state, 8 * self._input)
        asm.load(8, R2, FP, _PORT)
        asm.store(8, R1, 0, R2)

    def _placed(self) -> None:
        """A place in the ring whose flow is no more, or whose time is over."""
        asm, again, free, following = self._asm, *(self._asm.label(name) for name in ("place", "free", "following"))
        asm.store(8, FP, _TURN, 0)
        asm.place(again)
        asm.map_value(R1, self._state, 8 * MOST_INPUTS)
        asm.mov(R2, 1)
        asm.atomic(Atomic.FETCH_ADD, 8, R1, 0, R2)
        asm.and_(R2, MOST_FLOWS - 1)
        asm.store(8, FP, _PLACE, R2)
        self._ring(R2)
        asm.map(R1, self._flows)
        asm.call(Helper.MAP_LOOKUP)
        asm.jump_if(Jump.EQ, R0, 0, free)
        asm.load(4, R1, R0, PLACE)
        asm.load(8, R2, FP, _PLACE)
        asm.jump_if(Jump.NE, R1, R2, free)
        asm.store(8, FP, _FLOW, R0)
        self._stale()
        asm.jump_if(Jump.EQ, R0, 0, following)
        asm.load(8, R1, FP, _FLOW)
        self._coder.move((R1, OTHER), (FP, _VALUE), KEY, by=R2)
        self._delete(_VALUE)
        self._ring(R2)
        asm.map(R1, self._flows)
        asm.call(Helper.MAP_DELETE)
        asm.jump(free)
        asm.place(following)
        asm.load(8, R1, FP, _TURN)
        asm.add(R1, 1)
        asm.store(8, FP, _TURN, R1)
        asm.jump_if(Jump.LT, R1, _PLACES, again)
        asm.jump(self._failed)
        asm.place(free)
        self._ring(R2)
        self._coder.move((FP, _KEY), (R2, 0), KEY)

    def _ring(self, register: Reg) -> None:
        """A register = the address of the place in the ring. Loses r3."""
        asm = self._asm
        asm.load(8, R3, FP, _PLACE)
        asm.and_(R3, MOST_FLOWS - 1)
        asm.lsh(R3, 4)
        asm.map_value(register, self._state, RING)
        asm.add(register, R3)

    def _value(self, key: int, new: int, other: int, output: int, flags: int) -> None:
        """_VALUE = one direction of the flow."""
        asm, move = self._asm, self._coder.move
        move((FP, new + 4), (FP, _VALUE), 12)
        asm.store(4, FP, _VALUE + OUTPUT, output)
        self._changes(key, new)
        asm.store(4, FP, _VALUE + FLAGS, flags)
        move((FP, _NOW), (FP, _VALUE + SEEN), 8)
        move((FP, other), (FP, _VALUE + OTHER), KEY)
        move((FP, _PLACE), (FP, _VALUE + PLACE), 8)

    def _changes(self, key: int, new: int) -> None:
        """What to add to the sum of addresses, and to that of addresses and ports."""
        asm = self._asm
        asm.mov(R0, 0)
        for parts, to in (((4, 6, 8, 10), ADDRESS_CHANGE), ((12, 14), CHANGE)):
            same = asm.label("changed")
            for at in parts:
                asm.load(2, R1, FP, new + at)
                asm.add(R0, R1)
                asm.load(2, R1, FP, key + at)
                asm.alu(Alu.XOR, R1, 0xFFFF)
                asm.add(R0, R1)
            self._coder.folded(R0)
            asm.jump_if(Jump.NE, R0, 0xFFFF, same)
            asm.mov(R0, 0)
            asm.place(same)
            asm.store(2, FP, _VALUE + to, R0)

    def _put(self, key: int) -> None:
        asm = self._asm
        self._key(key)
        asm.mov(R3, FP)
        asm.add(R3, _VALUE)
        asm.mov(R4, 0)
        asm.call(Helper.MAP_UPDATE)
        asm.jump_if(Jump.NE, R0, 0, self._failed)

    # -- packets ----------------------------------------------------------------------------------------------------------

    def _transport(self) -> None:
        """r7 = the IP header, r5 = what is behind it (8 bytes), r0 = the flow."""
        asm, coder = self._asm, self._coder
        coder.window(28, coder.drop)
        asm.load(8, R4, FP, _HEADER)
        asm.jump_if(Jump.GT, R4, 60, coder.drop)
        asm.mov(R5, R7)
        asm.add(R5, R4)
        coder.reach(R5, 8, coder.drop)
        asm.load(8, R0, FP, _FLOW)

    def _watched(self) -> None:
        """The flow was seen; the end of a connection is noted: a FIN of each side, or a reset."""
        asm, coder, done, running = self._asm, self._coder, self._asm.label("watched"), self._asm.label("no_fin")
        self._transport()
        asm.load(8, R1, FP, _NOW)
        asm.store(8, R0, SEEN, R1)
        asm.load(4, R1, FP, _KEY)
        asm.jump_if(Jump.NE, R1, _TCP, done)
        coder.reach(R5, 14, done)
        asm.load(1, R3, R5, 13)
        asm.mov(R1, R3)
        asm.and_(R1, _FIN | _RST)
        asm.jump_if(Jump.EQ, R1, 0, running)
        asm.mov(R1, FINISHED)
        asm.atomic(Atomic.OR, 4, R0, FLAGS, R1)
        asm.place(running)
        asm.and_(R3, _RST)
        asm.jump_if(Jump.EQ, R3, 0, done)
        asm.map(R1, self._flows)
        asm.mov(R2, R0)
        asm.add(R2, OTHER)
        asm.call(Helper.MAP_LOOKUP)
        asm.jump_if(Jump.EQ, R0, 0, done)
        asm.mov(R1, FINISHED)
        asm.atomic(Atomic.OR, 4, R0, FLAGS, R1)
        asm.place(done)

    def _rewritten(self) -> None:
        """Addresses, ports, checksums."""
        asm, coder = self._asm, self._coder
        udp, done = asm.label("udp"), asm.label("rewritten")
        self._transport()
        self._adjusted(R7, 10, ADDRESS_CHANGE)
        coder.move((R0, 0), (R7, 12), 8)
        coder.move((R0, PORTS), (R5, 0), 4)
        asm.load(4, R1, FP, _KEY)
        asm.jump_if(Jump.NE, R1, _TCP, udp)
        coder.reach(R5, 18, done)
        self._adjusted(R5, 16, CHANGE)
        asm.jump(done)
        asm.place(udp)
        asm.load(2, R1, R5, 6)
        asm.jump_if(Jump.EQ, R1, 0, done)
        self._adjusted(R5, 6, CHANGE)
        asm.jump_if(Jump.NE, R3, 0, done)
        asm.store(2, R5, 6, 0xFFFF)
        asm.place(done)

    def _adjusted(self, base: Reg, at: int, change: int) -> None:
        """A checksum after the flow's change; it stays in r3."""
        asm = self._asm
        asm.load(2, R3, base, at)
        asm.alu(Alu.XOR, R3, 0xFFFF)
        asm.load(2, R1, R0, change)
        asm.add(R3, R1)
        complement(self._coder, R3)
        asm.store(2, base, at, R3)

    def _sent(self) -> None:
        asm, name = self._asm, self._element.name
        asm.load(8, R0, FP, _FLOW)
        asm.load(4, R1, R0, OUTPUT)
        for output in range(self._element.outputs):
            asm.jump_if(Jump.EQ, R1, output, self._coder.out(name, output))
        asm.jump(self._coder.drop)


def lifetime(config: configs.IPRewriter, protocol: int, *, finished: bool) -> int:
    """Nanoseconds after which a flow that was not seen is forgotten."""
    seconds = config.udp_timeout if protocol == _UDP else config.tcp_timeout
    if finished and protocol == _TCP:
        seconds = min(_DONE, seconds)
    return min(int(seconds * 1e9), (1 << 62) - 1)


WRITERS: Mapping[str, Write] = {"IPRewriter": ip_rewriter}
