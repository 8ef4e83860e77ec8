"""Classifier, IPClassifier and IPFilter: configurations become functions over a packet's bytes, made once."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence

from skerry.lvnf import configs
from skerry.lvnf.elements.behaviour import Behaviour, C, Due, Pull, Push, drop
from skerry.lvnf.elements.packet import Packet

Test = Callable[[bytes], bool]
Field = Callable[[bytes], int]

_ABSENT = -1
_PORTS = frozenset({6, 17, 132})
_ORDER: Mapping[str, Callable[[int, int], bool]] = {
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}


class _Branching(Behaviour[C]):
    """Sends each packet to the output of the first test that is true."""

    def tests(self) -> Sequence[tuple[Test, int | None]]:
        """The tests in order, each with its output; None drops."""
        return ()

    def prepare(self) -> None:
        self._branches: list[tuple[Test, Push]] = []

    def wire(self, out: Sequence[Push], source: Pull, due: Due) -> None:
        super().wire(out, source, due)
        self._branches = [
            (test, drop if output is None or output >= len(out) else out[output]) for test, output in self.tests()
        ]

    def push(self, packet: Packet) -> None:
        data = packet.data
        for test, out in self._branches:
            if test(data):
                out(packet)
                return


class Classifier(_Branching[configs.Classifier]):
    """Bytes at offsets decide."""

    def tests(self) -> Sequence[tuple[Test, int | None]]:
        return [(_pattern(clauses), output) for output, clauses in enumerate(self.config.patterns)]


class IPClassifier(_Branching[configs.IPClassifier]):
    """Expressions over the IPv4 header decide."""

    def tests(self) -> Sequence[tuple[Test, int | None]]:
        return [(compiled(one), output) for output, one in enumerate(self.config.expressions)]


class IPFilter(_Branching[configs.IPFilter]):
    """Rules over the IPv4 header decide."""

    def tests(self) -> Sequence[tuple[Test, int | None]]:
        return [(compiled(rule.expression), rule.output) for rule in self.config.rules]


def _always(_data: bytes) -> bool:
    return True


def _never(_data: bytes) -> bool:
    return False


def _pattern(clauses: Sequence[configs.ClassifierClause]) -> Test:
    tests = [_clause(one) for one in clauses]
    return _conjunction(tests)


def _clause(clause: configs.ClassifierClause) -> Test:
    start, end = clause.offset, clause.offset + len(clause.value)
    mask = int.from_bytes(clause.mask, "big")
    wanted = int.from_bytes(clause.value, "big") & mask
    negated = clause.negated
    whole = clause.mask == b"\xff" * len(clause.value)
    value = clause.value

    def equal(data: bytes) -> bool:
        return data[start:end] == value

    def masked(data: bytes) -> bool:
        if len(data) < end:
            return False
        return (int.from_bytes(data[start:end], "big") & mask == wanted) != negated

    return equal if whole and not negated else masked


def _conjunction(tests: Sequence[Test]) -> Test:
    if not tests:
        return _always
    if len(tests) == 1:
        return tests[0]

    def every(data: bytes) -> bool:
        return all(test(data) for test in tests)

    return every


def _disjunction(tests: Sequence[Test]) -> Test:
    if not tests:
        return _never
    if len(tests) == 1:
        return tests[0]

    def some(data: bytes) -> bool:
        return any(test(data) for test in tests)

    return some


def compiled(expression: configs.IPExpression) -> Test:
    """The expression as a function over an IPv4 packet. A test of bytes that the packet does not have is false."""
    if isinstance(expression, configs.IPTest):
        return _comparison(expression)
    if isinstance(expression, configs.IPAll):
        return _conjunction([compiled(part) for part in expression.parts])
    if isinstance(expression, configs.IPAny):
        return _disjunction([compiled(part) for part in expression.parts])
    inner = compiled(expression.part)
    return lambda data: not inner(data)


def _comparison(test: configs.IPTest) -> Test:
    field = _field(test)
    mask = test.mask or -1
    wanted = test.value & mask
    if test.comparison == "==":
        return lambda data: (number := field(data)) != _ABSENT and number & mask == wanted
    if test.comparison == "!=":
        return lambda data: (number := field(data)) != _ABSENT and number & mask != wanted
    order = _ORDER[test.comparison]
    value = test.value
    return lambda data: (number := field(data)) != _ABSENT and order(number, value)


def _bytes(offset: int, length: int) -> Field:
    """A number of the header; shifts and masks are the caller's."""
    end = offset + length
    if length == 1:
        return lambda data: data[offset] if len(data) > offset else _ABSENT
    return lambda data: int.from_bytes(data[offset:end], "big") if len(data) >= end else _ABSENT


def _fragment(data: bytes) -> int:
    return _ABSENT if len(data) < 8 else int(bool(data[6] & 0x3F or data[7]))


def _unfragmented(data: bytes) -> int:
    return _ABSENT if len(data) < 8 else int(not (data[6] & 0x1F or data[7]))


def _transport(protocols: frozenset[int] | None, offset: int, length: int) -> Field:
    """A number of the header after the IPv4 header, in the first fragments of these protocols (None: of all)."""

    def field(data: bytes) -> int:
        if len(data) < 20 or data[6] & 0x1F or data[7] or (protocols is not None and data[9] not in protocols):
            return _ABSENT
        start = (data[0] & 0x0F) * 4 + offset
        if start < 20 + offset or len(data) < start + length:
            return _ABSENT
        return int.from_bytes(data[start : start + length], "big")

    return field


def _scaled(field: Field, scale: Callable[[int], int]) -> Field:
    return lambda data: number if (number := field(data)) == _ABSENT else scale(number)


_FIELDS: Mapping[str, Field] = {
    "src host": _bytes(12, 4),
    "dst host": _bytes(16, 4),
    "proto": _bytes(9, 1),
    "src port": _transport(_PORTS, 0, 2),
    "dst port": _transport(_PORTS, 2, 2),
    "tos": _bytes(1, 1),
    "dscp": _scaled(_bytes(1, 1), lambda number: number >> 2),
    "ttl": _bytes(8, 1),
    "len": _bytes(2, 2),
    "id": _bytes(4, 2),
    "hl": _scaled(_bytes(0, 1), lambda number: (number & 0x0F) * 4),
    "vers": _scaled(_bytes(0, 1), lambda number: number >> 4),
    "ip frag": _fragment,
    "ip unfrag": _unfragmented,
    "tcp opt": _transport(frozenset({6}), 13, 1),
    "icmp type": _transport(frozenset({1}), 0, 1),
}


def _field(test: configs.IPTest) -> Field:
    if test.field == "ip bytes":
        return _bytes(test.offset, 1)
    if test.field == "transp bytes":
        return _transport(None, test.offset, 1)
    return _FIELDS[test.field]
