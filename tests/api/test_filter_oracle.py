"""The filter language against a second, naive reading of its clause (SOL013 5.2), and the store against both.

The oracle is written from the table of operators alone: it builds every path of the value and compares texts or numbers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry.api import filters
from skerry.api.sol003.vnf_instances import COLUMNS
from skerry.model.queries import Place
from skerry.model.vnf import VnfInstance
from skerry.store import aggregates
from skerry.store.database import Database

NAMES = st.sampled_from(["a", "b", "c", "a b"])
TEXTS = st.text(alphabet="ab1,')( ;é~/", max_size=4)
LEAVES = st.one_of(TEXTS, st.integers(-3, 30), st.booleans(), st.floats(-3, 30, allow_nan=False, width=16))
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=8,
)
THINGS = st.dictionaries(NAMES, VALUES, max_size=3)
OPERATORS = st.sampled_from(filters.OPERATORS)
PATHS = st.lists(NAMES, min_size=1, max_size=3)


def quoted(value: str) -> str:
    """A value as a caller writes it when it has characters of the grammar."""
    return "'" + value.replace("'", "''") + "'"


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every simple value with the names that lead to it; lists have no names."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, (*path, name))
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner, path)
    else:
        yield path, value


def text(value: Any) -> str:
    """A simple value as JSON writes it, strings without quotes."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def compared(value: Any, operand: str) -> int | None:
    """-1, 0, 1; numbers with numbers, all else as text; None where a number cannot be compared."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            number = float(operand)
        except ValueError:
            return None
        return (value > number) - (value < number)
    return (text(value) > operand) - (text(value) < operand)


def holds(value: Any, operator: str, operands: list[str]) -> bool:
    """One operator and one simple value."""
    order = [compared(value, operand) for operand in operands]
    if operator in ("eq", "in"):
        return 0 in order
    if operator == "cont":
        return any(operand in text(value) for operand in operands)
    return {"gt": order[0] == 1, "gte": order[0] in (0, 1), "lt": order[0] == -1, "lte": order[0] in (0, -1)}[operator]


def oracle(thing: Any, operator: str, path: list[str], operands: list[str]) -> bool:
    """Negative operators say that the positive one holds for nothing there."""
    found = [value for names, value in leaves(thing) if names == tuple(path)]
    positive = {"neq": "eq", "nin": "in", "ncont": "cont"}.get(operator)
    hit = any(holds(value, positive or operator, operands) for value in found)
    return not hit if positive else hit


@settings(max_examples=400, deadline=None)
@given(THINGS, OPERATORS, PATHS, st.lists(st.one_of(TEXTS, st.integers(-3, 30).map(str)), min_size=1, max_size=3))
def test_filters_are_as_a_naive_reading_says(thing: Any, operator: str, path: list[str], operands: list[str]) -> None:
    if operator not in ("in", "nin", "cont", "ncont"):
        operands = operands[:1]
    written = ",".join([operator, "/".join(path)])
    query = f"({written},{','.join(quoted(operand) for operand in operands)})"
    (term,) = filters.parse(query)
    assert (term.operator, list(term.values)) == (operator, operands)
    assert filters.matches(thing, [term]) == oracle(thing, operator, path, operands)


WORDS = st.text(alphabet="abA1é%_'", max_size=3)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(WORDS, min_size=1, max_size=6),
    OPERATORS,
    st.lists(WORDS.filter(bool), min_size=1, max_size=3),
    st.integers(1, 3),
)
def test_the_store_finds_what_the_filter_means(names: list[str], operator: str, operands: list[str], size: int) -> None:
    if operator not in ("in", "nin", "cont", "ncont"):
        operands = operands[:1]
    term = filters.Term(operator, ("vnfInstanceName",), tuple(operands))
    wanted = [
        str(number)
        for number, name in enumerate(names)
        if filters.matches({"vnfInstanceName": name} if name else {}, [term])
    ]
    assert asyncio.run(pages(names, term, size)) == wanted


async def pages(names: list[str], term: filters.Term, size: int) -> list[str]:
    """The identifiers that the store finds, a page at a time."""
    store = Database(":memory:", inline=True)
    store.open()
    for number, name in enumerate(names):
        vnf = VnfInstance(
            id=str(number), tenant="t", created_at=f"2026-01-01T00:00:0{number}Z", vnfd_id="v", vnf_pkg_id="p",
            vnf_instance_name=name,
        )  # fmt: skip
        await store.write(lambda tx, new=vnf: aggregates.vnf_instances.insert(tx, new))  # type: ignore[misc]
    found: list[str] = []
    place = Place()
    conditions = filters.conditions([term], COLUMNS)
    assert conditions
    while page := aggregates.vnf_instances.page(store, tenant="t", after=place, limit=size, conditions=conditions):
        found += [vnf.id for vnf in page]
        place = Place(page[-1].created_at, page[-1].id)
    store.close()
    return found


def test_other_tenants_are_in_no_page() -> None:
    store = Database(":memory:", inline=True)
    store.open()
    assert aggregates.vnf_instances.page(store, tenant="t", after=Place(), limit=5) == []
    with pytest.raises(KeyError):
        aggregates.vnf_instances.page(
            store,
            tenant="t",
            after=Place(),
            limit=5,
            conditions=filters.conditions([filters.Term("eq", ("x",), ("1",))], {"x": "doc"}),
        )
    store.close()
