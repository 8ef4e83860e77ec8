"""Long lists read in pieces: conditions on columns, in the order of creation, from a place on."""

from __future__ import annotations

from collections.abc import Sequence

from skerry.model.queries import Condition, Place

SIMPLE = {"eq": "=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
ORDERED = "created_at, id"


def where(tenant: str, after: Place, conditions: Sequence[Condition]) -> tuple[str, tuple[str, ...]]:
    """The condition in SQL and its parameters. Columns are literals of this package, values never part of the text."""
    parts = ["tenant = ?", "(created_at, id) > (?, ?)"]
    values = [tenant, after.created_at, after.id]
    for condition in conditions:
        text, given = _sql(condition)
        parts.append(text)
        values += given
    return " AND ".join(parts), tuple(values)


def _sql(condition: Condition) -> tuple[str, Sequence[str]]:
    """One condition. An attribute that a record does not have is "" in its column: no positive condition holds for it."""
    column, operator, values = condition.attribute, condition.operator, condition.values
    if operator in SIMPLE:
        return f"({column} <> '' AND {column} {SIMPLE[operator]} ?)", values[:1]
    if operator == "neq":
        return f"{column} <> ?", values[:1]
    marks = ", ".join("?" * len(values))
    if operator == "in":
        return f"({column} <> '' AND {column} IN ({marks}))", values
    if operator == "nin":
        return f"{column} NOT IN ({marks})", values
    found = " OR ".join([f"instr({column}, ?) > 0"] * len(values))
    return (f"({column} <> '' AND ({found}))" if operator == "cont" else f"NOT ({found})"), values
