"""TOSCA functions in values: get_input, get_property, get_attribute, concat, join and token, answered by a lookup. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from skerry.errors import Fault, InvalidError


class _Unknown:
    """The type of `UNKNOWN`."""

    def __repr__(self) -> str:
        return "UNKNOWN"

    def __bool__(self) -> bool:
        return False


UNKNOWN: Final[Any] = _Unknown()
"""What a lookup answers when it has no such value (None is a value)."""


class Lookup(Protocol):
    """Answers references; each gets the function's arguments as a sequence and may answer `UNKNOWN`."""

    def get_input(self, path: Sequence[Any]) -> Any: ...

    def get_property(self, path: Sequence[Any]) -> Any: ...

    def get_attribute(self, path: Sequence[Any]) -> Any: ...


REFERENCES: Final = ("get_input", "get_property", "get_attribute")
FUNCTIONS: Final = (*REFERENCES, "concat", "join", "token")


def is_function(value: Any) -> bool:
    """Whether this value is a call: a map with a function's name as its only key."""
    return isinstance(value, Mapping) and len(value) == 1 and next(iter(value)) in FUNCTIONS


def resolve(value: Any, lookup: Lookup) -> Any:
    """The value with every function in it answered. `InvalidError` lists every reference that has no answer."""
    faults: list[Fault] = []
    answer = _resolve(value, lookup, faults)
    if faults:
        raise InvalidError("cannot evaluate: " + "; ".join(fault.message for fault in faults), faults=faults)
    return answer


def _resolve(value: Any, lookup: Lookup, faults: list[Fault]) -> Any:
    if is_function(value):
        name, argument = next(iter(value.items()))
        return _call(name, argument, lookup, faults)
    if isinstance(value, Mapping):
        return {key: _resolve(item, lookup, faults) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return [_resolve(item, lookup, faults) for item in value]
    return value


def _call(name: str, argument: Any, lookup: Lookup, faults: list[Fault]) -> Any:
    listed = isinstance(argument, Sequence) and not isinstance(argument, str)
    path = [_resolve(part, lookup, faults) for part in (argument if listed else [argument])]
    if name in REFERENCES:
        found = getattr(lookup, name)(path)
        if found is UNKNOWN:
            shown = ", ".join(str(part) for part in path)
            faults.append(Fault(message=f"{name} [{shown}] has no value", code="reference", fix="give it or correct the name"))
            return None
        return found
    return _COMBINERS[name](path)


def _concat(path: Sequence[Any]) -> str:
    return "".join(str(part) for part in path)


def _join(path: Sequence[Any]) -> str:
    return (str(path[1]) if len(path) > 1 else "").join(str(part) for part in path[0])


def _token(path: Sequence[Any]) -> str:
    return str(path[0]).split(str(path[1]))[int(path[2])]


_COMBINERS = {"concat": _concat, "join": _join, "token": _token}
