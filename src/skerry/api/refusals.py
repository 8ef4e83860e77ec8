"""Attributes of the standard that a request may have and that nothing here obeys: they are refused, not dropped in silence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from skerry.errors import Fault, InvalidError

Unserved = Mapping[str, str]
"""Path of an attribute (names joined with "/", entries of lists left out, of maps written "*") -> why it is not obeyed."""


def refuse(value: Any, unserved: Unserved) -> Any:
    """The request as it is. `InvalidError` names each of these attributes that it has; absent, null and empty are no wish."""
    faults = [
        Fault(
            message=f"{path.rpartition('/')[2]} is not served: {why}", path=place, code="unserved", fix="leave it out"
        )
        for path, why in unserved.items()
        for place in _places(value, path.split("/"), "")
    ]
    if faults:
        told = "; ".join(fault.message for fault in faults[:3])
        raise InvalidError(f"cannot accept the body: {told}", faults=faults, suggestion="leave these attributes out")
    return value


def _places(value: Any, names: list[str], at: str) -> Iterator[str]:
    """Where the attribute is, as JSON pointers."""
    if isinstance(value, list):
        rest = names[1:] if names[0] == "*" else names  # what is a map in version 2 and a list in version 1
        for number, entry in enumerate(value):
            yield from _places(entry, rest, f"{at}/{number}")
    elif isinstance(value, dict) and names[0] == "*":
        for key, entry in value.items():
            yield from _places(entry, names[1:], f"{at}/{key}")
    elif isinstance(value, dict) and (found := value.get(names[0])) not in (None, [], {}, ""):
        if len(names) == 1:
            yield f"{at}/{names[0]}"
        else:
            yield from _places(found, names[1:], f"{at}/{names[0]}")


def below(prefix: str, unserved: Unserved) -> dict[str, str]:
    """The same attributes where they are in a part of a larger request."""
    return {f"{prefix}/{path}": why for path, why in unserved.items()}
