"""The code of IPClassifier and IPFilter: expressions as jumps. A test of bytes that the packet does not have is false."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

from skerry.dataplane.ebpf.assembler import R1, R2, R3, R4, R7, Jump, Label
from skerry.dataplane.ebpf.layout import big
from skerry.lvnf import configs
from skerry.lvnf.bytecode.coder import Coder, Write
from skerry.lvnf.configs import IPAll, IPAny, IPExpression, IPNot, IPTest
from skerry.lvnf.graph import Element

_HEADER = 20
_JUMPS = {"==": Jump.EQ, "!=": Jump.NE, "<": Jump.LT, ">": Jump.GT, "<=": Jump.LE, ">=": Jump.GE}


class _Place(NamedTuple):
    """A field of the header: where, how wide, how far it is shifted right, what is kept, how far it is shifted left."""

    at: int
    width: int
    right: int = 0
    kept: int = 0
    left: int = 0


_FIELDS: Mapping[str, _Place] = {
    "src host": _Place(12, 4),
    "dst host": _Place(16, 4),
    "proto": _Place(9, 1),
    "tos": _Place(1, 1),
    "dscp": _Place(1, 1, right=2),
    "ttl": _Place(8, 1),
    "len": _Place(2, 2),
    "id": _Place(4, 2),
    "hl": _Place(0, 1, kept=15, left=2),
    "vers": _Place(0, 1, right=4),
}
# Behind the IP header: of which protocols (none: of all), where, how wide.
_TRANSPORT: Mapping[str, tuple[tuple[int, ...], int, int]] = {
    "src port": ((6, 17, 132), 0, 2),
    "dst port": ((6, 17, 132), 2, 2),
    "tcp opt": ((6,), 13, 1),
    "icmp type": ((1,), 0, 1),
}
_FRAGMENTS = {"ip frag": big(0x3FFF), "ip unfrag": big(0x1FFF)}


def ip_classifier(coder: Coder, element: Element, _: int) -> None:
    """The output of the first expression that is true."""
    expressions = cast("configs.IPClassifier", element.config).expressions
    _branches(coder, element, list(enumerate(expressions)))


def ip_filter(coder: Coder, element: Element, _: int) -> None:
    """The output of the first rule whose expression is true."""
    rules = cast("configs.IPFilter", element.config).rules
    _branches(coder, element, [(rule.output, rule.expression) for rule in rules])


def _branches(coder: Coder, element: Element, branches: Sequence[tuple[int | None, IPExpression]]) -> None:
    """Written twice: for packets that have a whole header, and with more care for those that have not."""
    short = coder.asm.label("short_packet")
    coder.window(_HEADER, short)
    _tests(coder, element, branches, _HEADER)
    coder.asm.place(short)
    _tests(coder, element, branches, 0)


def _tests(coder: Coder, element: Element, branches: Sequence[tuple[int | None, IPExpression]], have: int) -> None:
    asm = coder.asm
    for output, expression in branches:
        other = asm.label("other")
        yes = coder.drop if output is None else coder.out(element.name, output)
        _Condition(coder, have).write(expression, yes, other)
        asm.place(other)
    asm.jump(coder.drop)


class _Condition:
    """Writes expressions for packets (at r7) of which so many bytes are known to be there."""

    def __init__(self, coder: Coder, have: int) -> None:
        self._coder, self._asm, self._have = coder, coder.asm, have

    def write(self, expression: IPExpression, yes: Label, no: Label) -> None:
        """Go on at one label or the other."""
        if isinstance(expression, IPTest):
            self._test(expression, yes, no)
        elif isinstance(expression, IPNot):
            self.write(expression.part, no, yes)
        elif isinstance(expression, IPAll):
            for part in expression.parts:
                following = self._asm.label("and")
                self.write(part, following, no)
                self._asm.place(following)
            self._asm.jump(yes)
        else:
            self._any(expression, yes, no)

    def _any(self, expression: IPAny, yes: Label, no: Label) -> None:
        for part in expression.parts:
            following = self._asm.label("or")
            self.write(part, yes, following)
            self._asm.place(following)
        self._asm.jump(no)

    def _test(self, test: IPTest, yes: Label, no: Label) -> None:
        if test.field in _FRAGMENTS:
            self._fragment(test, no)
            width = 1
        elif test.field in _TRANSPORT:
            width = self._transport(*_TRANSPORT[test.field], no)
        elif test.field == "transp bytes":
            width = self._transport((), test.offset, 1, no)
        else:
            width = self._header(_FIELDS.get(test.field) or _Place(test.offset, 1), no)
        self._compare(test, width, yes)
        self._asm.jump(no)

    def _there(self, size: int, no: Label) -> None:
        if size > self._have:
            self._coder.window(size, no)

    def _header(self, place: _Place, no: Label) -> int:
        """r3 = a field of the header; its bytes."""
        asm = self._asm
        self._there(place.at + place.width, no)
        asm.load(place.width, R3, R7, place.at)
        if place.width > 1:
            asm.to_big(R3, 8 * place.width)
        if place.right:
            asm.rsh(R3, place.right)
        if place.kept:
            asm.and_(R3, place.kept)
        if place.left:
            asm.lsh(R3, place.left)
        return place.width

    def _fragment(self, test: IPTest, no: Label) -> None:
        """r3 = 1 if the mask finds something ("ip frag") or nothing ("ip unfrag"), else 0."""
        asm, found = self._asm, self._asm.label("fragment")
        self._there(8, no)
        asm.load(2, R1, R7, 6)
        asm.mov(R3, int(test.field == "ip frag"))
        asm.and_(R1, _FRAGMENTS[test.field])
        asm.jump_if(Jump.NE, R1, 0, found)
        asm.mov(R3, int(test.field == "ip unfrag"))
        asm.place(found)

    def _transport(self, protocols: tuple[int, ...], at: int, width: int, no: Label) -> int:
        """r3 = a field of the header behind the IPv4 header, in first fragments of these protocols; its bytes."""
        asm, wanted = self._asm, self._asm.label("protocol")
        self._there(_HEADER, no)
        asm.load(2, R1, R7, 6)
        asm.and_(R1, big(0x1FFF))
        asm.jump_if(Jump.NE, R1, 0, no)
        if protocols:
            asm.load(1, R1, R7, 9)
            for protocol in protocols:
                asm.jump_if(Jump.EQ, R1, protocol, wanted)
            asm.jump(no)
        asm.place(wanted)
        asm.load(1, R4, R7, 0)
        asm.and_(R4, 15)
        asm.lsh(R4, 2)
        asm.jump_if(Jump.LT, R4, _HEADER, no)
        asm.add(R4, R7)
        self._coder.reach(R4, at + width, no)
        asm.load(width, R3, R4, at)
        if width > 1:
            asm.to_big(R3, 8 * width)
        return width

    def _compare(self, test: IPTest, width: int, yes: Label) -> None:
        """Go to `yes` if r3, a number of so many bytes, compares as wanted."""
        asm = self._asm
        value = test.value
        if test.comparison in ("==", "!=") and test.mask:
            value &= test.mask
            asm.and_(R3, test.mask & 0xFFFFFFFF, width=4)
        asm.mov(R2, value)
        asm.jump_if(_JUMPS[test.comparison], R3, R2, yes)


WRITERS: Mapping[str, Write] = {"IPClassifier": ip_classifier, "IPFilter": ip_filter}
