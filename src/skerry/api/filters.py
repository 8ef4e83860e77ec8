"""Attribute filters and selectors of queries (SOL013 clauses 5.2 and 5.3), as pure functions over plain JSON values."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from skerry.errors import MalformedError
from skerry.model.queries import Condition

OPERATORS = ("eq", "neq", "in", "nin", "gt", "gte", "lt", "lte", "cont", "ncont")
GRAMMAR = "write filter=(operator,attribute,value);(…) with one of the operators " + ", ".join(OPERATORS)
_TERM = re.compile(r"\(\s*([a-z]+)\s*,((?:[^()',]|'(?:[^']|'')*')+)((?:,(?:[^()',]|'(?:[^']|'')*')*)+)\)")
_VALUE = re.compile(r",((?:[^()',]|'(?:[^']|'')*')*)")


class Term(msgspec.Struct, frozen=True):
    """One simple expression: operator, path of the attribute, values."""

    operator: str
    path: tuple[str, ...]
    values: tuple[str, ...]


def parse(text: str) -> tuple[Term, ...]:
    """The terms of a `filter` parameter, all of which must hold. `MalformedError` for anything else."""
    terms: list[Term] = []
    position = 0
    while position < len(text):
        found = _TERM.match(text, position)
        if not found or found[1] not in OPERATORS:
            raise MalformedError(f"cannot read the filter at {text[position : position + 40]!r}", suggestion=GRAMMAR)
        values = tuple(_plain(value) for value in _VALUE.findall(found[3]))
        if len(values) > 1 and found[1] not in ("in", "nin", "cont", "ncont"):
            raise MalformedError(f"cannot use {found[1]} with {len(values)} values", suggestion=GRAMMAR)
        terms.append(Term(found[1], _path(found[2]), values))
        position = found.end()
        if position < len(text):
            if text[position] != ";" or position + 1 == len(text):
                raise MalformedError(
                    f"cannot read the filter at {text[position : position + 40]!r}", suggestion=GRAMMAR
                )
            position += 1
    return tuple(terms)


def conditions(terms: Iterable[Term], columns: Mapping[str, str]) -> tuple[Condition, ...]:
    """The terms that the store can look at itself: about text attributes that have a column. Empty values are left to
    `matches`, which knows what is absent."""
    return tuple(
        Condition(columns[term.path[0]], term.operator, term.values)
        for term in terms
        if len(term.path) == 1 and term.path[0] in columns and all(term.values)
    )


def among(terms: Iterable[Term], heads: Container[str]) -> tuple[Term, ...]:
    """The terms about these attributes and what is in them; `a/b` stands for an attribute of an attribute."""
    return tuple(term for term in terms if term.path[0] in heads or "/".join(term.path) in heads)


def _plain(value: str) -> str:
    value = value.strip()
    return value[1:-1].replace("''", "'") if len(value) > 1 and value[0] == value[-1] == "'" else value


def _path(text: str) -> tuple[str, ...]:
    """Segments separated by `/`; `~1` stands for a slash and `~0` for a tilde (RFC 6901)."""
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in _plain(text).strip("/").split("/"))


def matches(value: Any, terms: Iterable[Term]) -> bool:
    """Whether every term holds for the value."""
    return all(_holds(list(reach(value, term.path)), term) for term in terms)


def reach(value: Any, path: Sequence[str]) -> Iterable[Any]:
    """Every simple value at the path; lists on the way and at its end are spread out, `@key` names the keys of a map."""
    if isinstance(value, list):
        for item in value:
            yield from reach(item, path)
    elif not isinstance(value, dict):
        if not path:
            yield value
    elif path:
        if path[0] == "@key":
            yield from value.keys()
        elif path[0] in value:
            yield from reach(value[path[0]], path[1:])


def _holds(found: list[Any], term: Term) -> bool:
    # Negative operators say that no value at the path may do the positive thing (SOL013 table 5.2.2-1).
    negative = {"neq": "eq", "nin": "in", "ncont": "cont"}.get(term.operator)
    test = _TESTS[negative or term.operator]
    hit = any(test(value, term.values) for value in found)
    return not hit if negative else hit


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, tuple[str, ...]], bool]:
    def test(value: Any, wanted: tuple[str, ...]) -> bool:
        if isinstance(value, int | float) and not isinstance(value, bool):
            try:
                return compare(value, float(wanted[0]))
            except ValueError:
                return False
        return compare(_text(value), wanted[0])

    return test


def _equal(value: Any, wanted: tuple[str, ...]) -> bool:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return any(value == _number(text) for text in wanted)
    return _text(value) in wanted


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


_TESTS: Mapping[str, Callable[[Any, tuple[str, ...]], bool]] = {
    "eq": _equal,
    "in": _equal,
    "gt": _ordered(lambda a, b: a > b),
    "gte": _ordered(lambda a, b: a >= b),
    "lt": _ordered(lambda a, b: a < b),
    "lte": _ordered(lambda a, b: a <= b),
    "cont": lambda value, wanted: any(text in _text(value) for text in wanted),
}


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Which attributes of a list's entries to show (SOL013 5.3)."""

    fields: tuple[tuple[str, ...], ...] = ()
    exclude: tuple[tuple[str, ...], ...] = ()
    keep: tuple[str, ...] = ()


ALWAYS = ("id", "_links")
KEPT = frozenset((name,) for name in ALWAYS)


def selection(query: Mapping[str, str], default_exclusions: Sequence[str]) -> Selection:
    """What the query's `all_fields`, `fields`, `exclude_fields` and `exclude_default` ask for."""
    if "all_fields" in query:
        return Selection()
    fields = _paths(query.get("fields", ""))
    excluded = _paths(query.get("exclude_fields", ""))
    defaults = tuple((name,) for name in default_exclusions)
    if "exclude_default" in query and fields:
        # 5.3: the default exclusions, except what `fields` names explicitly.
        wanted = {path[0] for path in fields}
        return Selection(exclude=tuple(path for path in defaults if path[0] not in wanted))
    if fields:
        return Selection(fields=fields, keep=ALWAYS)
    if excluded and "exclude_default" not in query:
        return Selection(exclude=excluded)
    return Selection(exclude=(*defaults, *excluded))


def _paths(text: str) -> tuple[tuple[str, ...], ...]:
    return tuple(_path(part) for part in text.split(",") if part.strip())


class Attributes(Protocol):
    """Which attributes of a value are mandatory (`skerry.api.shapes`)."""

    @property
    def required(self) -> frozenset[str]: ...
    def inside(self, name: str) -> Attributes | None: ...


def select(value: dict[str, Any], chosen: Selection, shape: Attributes | None = None) -> dict[str, Any]:
    """The value with only the chosen attributes, and those that are mandatory by `shape`."""
    if chosen.fields:
        return _only(value, chosen.fields, shape, chosen.keep)
    shown = value
    for path in (path for path in chosen.exclude if path not in KEPT):
        shown = _without(shown, path, shape)
    return shown


def _only(
    value: dict[str, Any], paths: Sequence[Sequence[str]], shape: Attributes | None, keep: Sequence[str] = ()
) -> dict[str, Any]:
    """What the paths name, and what is mandatory on the way."""
    required = shape.required if shape else frozenset[str]()
    deeper: dict[str, list[Sequence[str]]] = {}
    whole = {*keep, *required}
    for path in paths:
        if len(path) == 1:
            whole.add(path[0])
        else:
            deeper.setdefault(path[0], []).append(path[1:])
    kept: dict[str, Any] = {}
    for name, item in value.items():
        if name in whole:
            kept[name] = item
        elif name in deeper:
            part = _inner(item, deeper[name], shape.inside(name) if shape else None)
            kept.update({} if part is None else {name: part})
    return kept


def _inner(item: Any, paths: Sequence[Sequence[str]], shape: Attributes | None) -> Any:
    if isinstance(item, list):
        return [_only(one, paths, shape) if isinstance(one, dict) else one for one in item]
    return _only(item, paths, shape) if isinstance(item, dict) else None


def _without(value: Any, path: Sequence[str], shape: Attributes | None) -> Any:
    if isinstance(value, list):
        return [_without(item, path, shape) for item in value]
    if not isinstance(value, dict) or path[0] not in value:
        return value
    if len(path) == 1:
        if shape is not None and path[0] in shape.required:
            return value
        return {key: item for key, item in value.items() if key != path[0]}
    inside = shape.inside(path[0]) if shape else None
    return {key: _without(item, path[1:], inside) if key == path[0] else item for key, item in value.items()}
