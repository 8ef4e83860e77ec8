"""Which matches overlap: an index that answers without comparing each with each. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from skerry.dataplane.flows import Field, Match, Term

T = TypeVar("T")
Shape = tuple[tuple[Field, int], ...]
Cube = dict[Field, tuple[int, int]]
"""A set of headers: for each field that is constrained, value and mask."""


class Overlaps(Generic[T]):
    """Things by match. Matches of one shape (the same fields with the same masks) are found through what it has in common
    with that of the question, so a question costs one look for each shape."""

    def __init__(self) -> None:
        self._shapes: dict[Shape, dict[int, tuple[Match, T]]] = {}
        self._views: dict[tuple[Shape, Shape], dict[tuple[int, ...], list[tuple[Match, T]]]] = {}
        self._of: dict[Shape, list[Shape]] = {}
        self._common: dict[tuple[Shape, Shape], Shape] = {}

    def add(self, match: Match, thing: T) -> None:
        """Note a match."""
        shape = shape_of(match)
        entry = (match, thing)
        self._shapes.setdefault(shape, {})[id(entry)] = entry
        for common in self._of.get(shape, ()):
            key = values_of(match, common)
            self._views[(shape, common)].setdefault(key, []).append(entry)

    def remove(self, match: Match, thing: T) -> None:
        """Forget a match of this very thing. `KeyError` if it was not noted."""
        shape = shape_of(match)
        same = self._view(shape, shape).get(values_of(match, shape), [])
        entry = next((one for one in same if one[1] is thing), None)
        if entry is None:
            raise KeyError(match)
        del self._shapes[shape][id(entry)]
        for common in self._of[shape]:
            view = self._views[(shape, common)]
            key = values_of(match, common)
            left = [one for one in view[key] if one is not entry]
            if left:
                view[key] = left
            else:
                del view[key]

    def find(self, match: Match) -> Iterator[tuple[Match, T]]:
        """Every noted match that some frame fits together with this one."""
        asked = shape_of(match)
        for shape in self._shapes:
            common = self._in_common(shape, asked)
            yield from self._view(shape, common).get(values_of(match, common), ())

    def _in_common(self, shape: Shape, asked: Shape) -> Shape:
        found = self._common.get((shape, asked))
        if found is None:
            masks = dict(asked)
            both = ((field, mask & masks[field]) for field, mask in shape if field in masks)
            found = self._common[(shape, asked)] = tuple((field, mask) for field, mask in both if mask)
        return found

    def _view(self, shape: Shape, common: Shape) -> dict[tuple[int, ...], list[tuple[Match, T]]]:
        view = self._views.get((shape, common))
        if view is None:
            view = self._views[(shape, common)] = {}
            self._of.setdefault(shape, []).append(common)
            for entry in self._shapes[shape].values():
                view.setdefault(values_of(entry[0], common), []).append(entry)
        return view


def shape_of(match: Match) -> Shape:
    """Fields and masks of a match."""
    return tuple((field, mask) for field, _, mask in match)


def values_of(match: Match, shape: Shape) -> tuple[int, ...]:
    """The values of a match under the masks of a shape whose fields it has."""
    if len(shape) == len(match):
        return tuple(term.value & mask for term, (_, mask) in zip(match, shape, strict=True))
    values = {field: value for field, value, _ in match}
    return tuple(values[field] & mask for field, mask in shape)


def both(one: Match, other: Match) -> Match | None:
    """What fits both; None if nothing can."""
    found = {term.field: term for term in one}
    for field, value, mask in other:
        mine = found.get(field)
        if mine is None:
            found[field] = Term(field, value, mask)
        elif (mine.value ^ value) & mine.mask & mask:
            return None
        else:
            found[field] = Term(field, mine.value | value, mine.mask | mask)
    return tuple(found[field] for field in sorted(found))


def covers(wide: Match, narrow: Match) -> bool:
    """Whether whatever fits `narrow` fits `wide`."""
    terms = {field: (value, mask) for field, value, mask in narrow}
    for field, value, mask in wide:
        have = terms.get(field)
        if have is None or mask & ~have[1] or (have[0] ^ value) & mask:
            return False
    return True
