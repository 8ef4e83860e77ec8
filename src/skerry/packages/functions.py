"""TOSCA functions in values: `get_input`, `get_property`, `get_attribute`, `concat`, `join`, `token` (TOSCA 1.3 clause 4).

A function is a map with exactly one of these keys. Everything here is pure: what names stand for comes from the caller.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from skerry.errors import Fault, InvalidError

Lookup = Callable[[str, tuple[Any, ...]], Any]
"""`lookup("get_attribute", ("server", "address"))` gives the value, or raises `LookupError` if there is none (yet)."""

REFERENCES = frozenset({"get_input", "get_property", "get_attribute", "get_artifact"})
COMPUTED = frozenset({"concat", "join", "token"})
_LONGEST = 1024 * 1024
FUNCTIONS = REFERENCES | COMPUTED


def is_function(value: Any) -> bool:
    """Whether the value itself is a function (not whether one stands deeper inside it)."""
    return isinstance(value, dict) and len(value) == 1 and next(iter(value)) in FUNCTIONS


def has_function(value: Any) -> bool:
    """Whether a function stands anywhere in the value."""
    if isinstance(value, dict):
        return is_function(value) or any(has_function(item) for item in value.values())
    return isinstance(value, list | tuple) and any(has_function(item) for item in value)


def references(value: Any) -> list[tuple[str, tuple[Any, ...]]]:
    """Every `get_…` in the value with its arguments."""
    if isinstance(value, dict):
        if is_function(value) and next(iter(value)) in REFERENCES:
            name = next(iter(value))
            return [(name, _arguments(value[name]))]
        return [found for item in value.values() for found in references(item)]
    if isinstance(value, list | tuple):
        return [found for item in value for found in references(item)]
    return []


def resolve(value: Any, lookup: Lookup) -> Any:
    """The value with every function answered.

    Raises `InvalidError` with one fault for each reference that `lookup` does not know and each function used wrongly.
    """
    faults: list[Fault] = []
    result = evaluate(value, lookup, faults)
    if faults:
        raise InvalidError(f"cannot resolve a value: {faults[0].message}", suggestion=faults[0].fix, faults=faults)
    return result


def evaluate(value: Any, lookup: Lookup, faults: list[Fault] | None = None) -> Any:
    """The value with every function answered that can be.

    What `lookup` does not know stays as it is; with `faults`, a fault is added for it.
    """
    if isinstance(value, dict):
        if is_function(value):
            return _call(value, lookup, faults)
        return {key: evaluate(item, lookup, faults) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [evaluate(item, lookup, faults) for item in value]
    return value


def _arguments(raw: Any) -> tuple[Any, ...]:
    return tuple(raw) if isinstance(raw, list | tuple) else (raw,)


def _call(call: dict[str, Any], lookup: Lookup, faults: list[Fault] | None) -> Any:
    name, raw = next(iter(call.items()))
    if name in COMPUTED:
        return _compute(name, evaluate(raw, lookup, faults), faults)
    try:
        return lookup(name, _arguments(raw))
    except LookupError:
        if faults is not None:
            what = f"{{ {name}: {raw} }}"[:200]
            faults.append(
                Fault(
                    message=f"cannot find what {what} refers to",
                    code="unresolved",
                    fix="check the names; give the input a value",
                )
            )
        return call


def _compute(name: str, arguments: Any, faults: list[Fault] | None) -> Any:
    if has_function(arguments):
        return {name: arguments}
    try:
        return _COMPUTE[name](arguments)
    except (TypeError, ValueError, IndexError):
        if faults is not None:
            faults.append(
                Fault(
                    message=f"cannot use {name} with these arguments", code="bad-function", fix=f"write {_USAGE[name]}"
                )
            )
        return {name: arguments}


def text_of(value: Any) -> str:
    """A plain value as TOSCA prints it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError
    return value


def _concat(arguments: Any) -> Any:
    items = _listed(arguments)
    if items and all(isinstance(item, list) for item in items):
        return [part for item in items for part in item]
    return _bounded("".join(text_of(item) for item in items))


def _bounded(text: str) -> str:
    if len(text) > _LONGEST:
        raise ValueError
    return text


def _join(arguments: Any) -> str:
    items, *rest = _listed(arguments)
    return _bounded(text_of(rest[0] if rest else "").join(text_of(item) for item in _listed(items)))


def _token(arguments: Any) -> str:
    text, separators, index = _listed(arguments)
    parts = [text_of(text)]
    for separator in text_of(separators):
        parts = [piece for part in parts for piece in part.split(separator)]
    if int(index) < 0:
        raise IndexError
    return parts[int(index)]


_COMPUTE: dict[str, Callable[[Any], Any]] = {"concat": _concat, "join": _join, "token": _token}
_USAGE = {
    "concat": "concat: [a, b, …]",
    "join": "join: [[a, b, …], separator]",
    "token": "token: [text, separators, index]",
}
