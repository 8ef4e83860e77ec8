"""Sets of headers: cubes of fixed bits less other cubes. Pure; the arithmetic of `verify`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

from skerry.dataplane import flows
from skerry.dataplane.flows import Field, Match
from skerry.dataplane.making import DEFAULTS

Cube = dict[Field, tuple[int, int]]
"""For each constrained field, value and mask; all other bits are free."""

SHADOW = 100
"""Fields from this number on stand for what others became on the way: of any value, of the same width."""


def shadow(field: Field) -> Field:
    """What a field became."""
    return cast("Field", field + SHADOW)


def full(field: int) -> int:
    """The mask that compares all bits of a field, or of its shadow."""
    return flows.full(Field(field % SHADOW))


UNLIKELY = {**DEFAULTS, Field.ETH_TYPE: 0x88B5, Field.IP_PROTO: 253, Field.GTP_TYPE: 255}
"""What free fields get first: values that few rules ask for."""
TRIES, BUDGET = 3, 4000


def narrowed(cube: Cube, match: Iterable[tuple[Field, int, int]]) -> Cube | None:
    """A cube and the conditions of a match; None if nothing fits both."""
    found = dict(cube)
    for field, value, mask in match:
        mine = found.get(field)
        if mine is None:
            found[field] = (value, mask)
        elif (mine[0] ^ value) & mine[1] & mask:
            return None
        else:
            found[field] = (mine[0] | value, mine[1] | mask)
    return found


def meets(cube: Cube, match: Match) -> bool:
    """Whether something of a cube fits a match."""
    for field, value, mask in match:
        mine = cube.get(field)
        if mine is not None and (mine[0] ^ value) & mine[1] & mask:
            return False
    return True


def covered(cube: Cube, match: Match) -> bool:
    """Whether all of a cube fits a match."""
    for field, value, mask in match:
        mine = cube.get(field)
        if mine is None or mask & ~mine[1] or (mine[0] ^ value) & mask:
            return False
    return True


def point(cube: Cube, excluded: Sequence[Match]) -> dict[Field, int] | None:
    """Values that lie in a cube and in none of the excluded matches; None if there are none.

    A few likely points are tried first; then the search is exact, cutting one excluded match after the other. After thousands
    of cuts it gives up and takes a point of the cube, so that nothing is held to be impossible without proof.
    """
    inside = [match for match in excluded if meets(cube, match)]
    for seed in range(TRIES if inside else 1):
        values = _fill(cube, inside, seed)
        if not any(_fits(values, match) for match in inside):
            return values
    budget = [BUDGET]
    return _search(cube, inside, budget)


def _fill(cube: Cube, excluded: Sequence[Match], seed: int) -> dict[Field, int]:
    fields = {field for match in excluded for field, _, _ in match} | set(cube)
    values: dict[Field, int] = {}
    for field in fields:
        value, mask = cube.get(field, (0, 0))
        free = UNLIKELY.get(field, 0) ^ (0 if not seed else (0x9E3779B97F4A7C15F39CC0605CEDC835 >> (7 * seed + field)))
        values[field] = value | free & ~mask & full(field)
    return values


def _fits(values: dict[Field, int], match: Match) -> bool:
    return all(values[field] & mask == value for field, value, mask in match)


def _search(cube: Cube, excluded: Sequence[Match], budget: list[int]) -> dict[Field, int] | None:
    """Cut off the first excluded match bit by bit: what is left is that much smaller each time."""
    budget[0] -= 1
    if budget[0] < 0:
        return _fill(cube, (), 0)
    remaining = [match for match in excluded if meets(cube, match)]
    if not remaining:
        return _fill(cube, (), 0)
    if any(covered(cube, match) for match in remaining):
        return None
    first = min(remaining, key=len)
    for field, value, mask in first:
        have = cube.get(field, (0, 0))
        free = mask & ~have[1]
        while free:
            bit = free & -free
            free ^= bit
            side = {**cube, field: (have[0] | (~value & bit), have[1] | bit)}
            found = _search(side, remaining, budget)
            if found is not None:
                return found
            have = (have[0] | value & bit, have[1] | bit)
            cube = {**cube, field: have}
    return None
