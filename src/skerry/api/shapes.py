"""Which attributes of an answer are mandatory: selectors never leave them out (SOL013 clause 5.3.2 is about attributes of
cardinality 0..1 and 0..N only). Read off the wire types; pure."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints

import msgspec


class Shape:
    """The attributes of one wire type. Of those in its `ONE_OF` one is mandatory, whichever it is."""

    def __init__(self, kind: type[msgspec.Struct]) -> None:
        fields = msgspec.structs.fields(kind)
        self._hints = get_type_hints(kind, include_extras=True)
        self._names = {field.encode_name: field.name for field in fields}
        either: frozenset[str] = getattr(kind, "ONE_OF", frozenset())
        self.required = frozenset(field.encode_name for field in fields if field.required) | either

    def inside(self, name: str) -> Shape | None:
        """The shape of an attribute's value, or of the entries that it lists; None where it has no attributes of ours."""
        hint = self._hints.get(self._names.get(name, ""))
        return shape_of(hint) if hint is not None else None


@cache
def shape_of(kind: Any) -> Shape | None:
    """The shape of a type, of what a list or map of it has, or of the only struct among several types."""
    origin = get_origin(kind)
    if origin is typing.Annotated:
        return shape_of(get_args(kind)[0])
    if origin in (typing.Union, types.UnionType):
        found = [shape for shape in map(shape_of, get_args(kind)) if shape is not None]
        return found[0] if len(found) == 1 else None
    if origin in (list, tuple):
        return shape_of(get_args(kind)[0])
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return None
    return Shape(kind) if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else None
