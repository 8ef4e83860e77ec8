"""What a caller asks of a long list, so that the store need not read all of it. Pure."""

from __future__ import annotations

from typing import NamedTuple

OPERATORS = frozenset({"eq", "neq", "in", "nin", "gt", "gte", "lt", "lte", "cont", "ncont"})


class Condition(NamedTuple):
    """One simple expression of an attribute filter (SOL013 5.2) about an attribute that the store has as a column."""

    attribute: str
    operator: str
    values: tuple[str, ...]


class Place(NamedTuple):
    """Where an entry stands in its list: time of creation, then identifier. The default is before the first."""

    created_at: str = ""
    id: str = ""
