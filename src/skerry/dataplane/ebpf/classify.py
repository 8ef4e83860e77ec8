"""Rules of a table as tuples: sets of rules that look at the same bits. Each needs one look into a hash map. Pure.

What is equal in all rules of a tuple is compared by the program itself, before any look-up; where nothing else remains, the
tuple is one rule and needs no map. So the length of a program depends on the kinds of rules, never on their number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from skerry.dataplane.ebpf import layout
from skerry.dataplane.flows import Field, Rule, Term, full

_SPLIT = (Field.IN_PORT, Field.ETH_TYPE, Field.IP_PROTO, Field.GTP_TYPE)
_MOST_SPLITS = 8
Shape = tuple[tuple[Field, int], ...]


class Tuple(msgspec.Struct, frozen=True):
    """Rules of one table that look at the same bits: `fixed` is what all of them have in common, `keyed` what differs. `rules`
    maps the key to the place of a rule in the list of all. `low` and `high` are the priorities that occur."""

    table: int
    fixed: tuple[Term, ...]
    keyed: Shape
    rules: dict[bytes, int]
    low: int
    high: int

    @property
    def needs(self) -> layout.Has:
        """What a frame must have."""
        fields = [term.field for term in self.fixed] + [field for field, _ in self.keyed]
        found = layout.Has(0)
        for field in fields:
            found |= layout.NEEDED.get(field, layout.Has.FRAME)
        return found

    @property
    def key_size(self) -> int:
        """Bytes of a key."""
        return sum(layout.slot_size(field) for field, _ in self.keyed)


def tuples(rules: Sequence[Rule]) -> list[Tuple]:
    """All rules, by table, then by the highest priority first."""
    shapes: dict[tuple[int, Shape, int], list[int]] = {}
    times: dict[tuple[int, tuple[Term, ...]], int] = {}
    for at, rule in enumerate(rules):
        shape = tuple([(term[0], term[2]) for term in rule.match])
        # Rules of equal matches, of which only the highest can ever be chosen, are kept too: in tuples of their own.
        again = times[rule.table, rule.match] = times.get((rule.table, rule.match), -1) + 1
        shapes.setdefault((rule.table, shape, again), []).append(at)
    found = [_tuple(table, rules, part) for (table, _, _), same in shapes.items() for part in _parts(rules, same)]
    return sorted(found, key=lambda one: (one.table, -one.high, -one.low))


def _parts(rules: Sequence[Rule], same: list[int]) -> Iterable[list[int]]:
    """Rules of one shape, apart by the fields that say what kind of frame it is, unless there are too many kinds."""
    first = rules[same[0]].match
    places = [at for at, term in enumerate(first) if term[0] in _SPLIT]
    parts: dict[tuple[int, ...], list[int]] = {}
    for at in same:
        match = rules[at].match
        parts.setdefault(tuple([match[place][1] for place in places]), []).append(at)
    return parts.values() if len(parts) <= _MOST_SPLITS else [same]


def _tuple(table: int, rules: Sequence[Rule], part: list[int]) -> Tuple:
    first = rules[part[0]].match
    differs = [place for place, term in enumerate(first) if any(rules[at].match[place][1] != term[1] for at in part)]
    keyed = tuple((first[place][0], first[place][2]) for place in differs)
    sizes = [
        (place, layout.octets(field), layout.slot_size(field)) for place, (field, _) in zip(differs, keyed, strict=True)
    ]
    keys: dict[bytes, int] = {}
    for at in part:
        match = rules[at].match
        keys[b"".join([match[p][1].to_bytes(n, "big").ljust(size, b"\0") for p, n, size in sizes])] = at
    priorities = {rules[at].priority for at in part}
    fixed = tuple(Term(*term) for place, term in enumerate(first) if place not in differs)
    return Tuple(table, fixed, keyed, keys, min(priorities), max(priorities))


class Reader:
    """Reads the matches of a tuple's rules: what they have in common is known, the rest is in their keys."""

    def __init__(self, fixed: Iterable[Term], keyed: Iterable[tuple[int, int]]) -> None:
        self._fixed = [Term(Field(term[0]), term[1], term[2]) for term in fixed]
        self._keyed: list[tuple[Field, int, int, int]] = []
        at = 0
        for number, mask in keyed:
            field = Field(number)
            self._keyed.append((field, mask, at, at + layout.octets(field)))
            at += layout.slot_size(field)

    def match(self, key: bytes) -> tuple[Term, ...]:
        """The match of the rule of a key."""
        found = [Term(field, int.from_bytes(key[at:end], "big"), mask) for field, mask, at, end in self._keyed]
        return tuple(sorted([*self._fixed, *found]))


def comparisons(term: Term) -> Iterator[tuple[int, int | None, int]]:
    """How the program compares a fixed term: place in the scratch, mask (None: all bits) and value of each word."""
    values, masks = layout.words(term.field, term.value), layout.words(term.field, term.mask)
    whole = layout.words(term.field, full(term.field))
    for at, (value, mask, every) in enumerate(zip(values, masks, whole, strict=True)):
        if mask:
            yield layout.SLOT[term.field] + 4 * at, None if mask == every else mask, value
