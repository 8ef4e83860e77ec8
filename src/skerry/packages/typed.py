"""A document with places to a struct: every fault at once, each with its file, line, column and path.

Where a text is wanted, a number is read as it was written; where a list is wanted, one value alone is a list of one.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from skerry.packages.functions import text_of
from skerry.packages.report import PathParts, Report
from skerry.packages.yaml_nodes import plain

S = TypeVar("S", bound=msgspec.Struct)


def shaped(value: Any, kind: type[S], file: str, report: Report, path: PathParts = ()) -> S | None:
    """The struct, or None with its faults in the report."""
    reader = _Reader(file, report)
    found = reader.value(value, kind, path)
    return None if reader.faulty else msgspec.convert(found, kind, strict=False)


class _Reader:
    """One reading of one document; `faulty` once something was wrong."""

    def __init__(self, file: str, report: Report) -> None:
        self.file = file
        self.report = report
        self.faulty = False

    def value(self, value: Any, kind: Any, path: PathParts) -> Any:
        """The value as plain JSON that fits `kind`; what does not fit is a fault."""
        inner = _inner(kind)
        origin = get_origin(inner)
        if value is None and _optional(kind):
            return None
        if inner is Any:
            return plain(value)
        if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            return self._struct(value, inner, path)
        if origin is tuple:
            return self._list(value, kind, get_args(inner)[0], path)
        if isinstance(origin, type) and issubclass(origin, Mapping):
            return self._map(value, path)
        return self._leaf(value, kind, inner, path)

    def _struct(self, value: Any, kind: type[msgspec.Struct], path: PathParts) -> dict[str, Any]:
        if not isinstance(value, dict):
            self._fault("wrong-type", f"cannot read {_name(path)} as a map", path, "write a map")
            return {}
        fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
        hints = get_type_hints(kind, include_extras=True)
        for name in value:
            if name not in fields:
                close = get_close_matches(str(name), fields, n=1)
                fix = f"did you mean {close[0]}?" if close else "remove it; known are: " + ", ".join(sorted(fields))
                self._fault("unknown-attribute", f"cannot use the attribute {str(name)[:60]}", (*path, name), fix)
        found: dict[str, Any] = {}
        for name, field in fields.items():
            if value.get(name) is not None:
                found[name] = self.value(value[name], hints[field.name], (*path, name))
            elif field.required:
                self._fault("missing-attribute", f"cannot do without {name}", path, f"add `{name}:` with a value")
        return found

    def _list(self, value: Any, kind: Any, item: Any, path: PathParts) -> list[Any]:
        items = value if isinstance(value, list) else [value]
        whole = isinstance(value, list)
        found = [self.value(one, item, (*path, index) if whole else path) for index, one in enumerate(items)]
        least = next((meta.min_length for meta in _metas(kind) if meta.min_length), 0)
        if len(found) < least:
            self._fault("too-few", f"cannot do with an empty {_name(path)}", path, "add an entry")
        return found

    def _map(self, value: Any, path: PathParts) -> Any:
        if not isinstance(value, dict):
            self._fault("wrong-type", f"cannot read {_name(path)} as a map", path, "write a map")
            return {}
        return plain(value)

    def _leaf(self, value: Any, kind: Any, inner: Any, path: PathParts) -> Any:
        wants_text = inner is str or (isinstance(inner, type) and issubclass(inner, str))
        if wants_text and isinstance(value, int | float) and not isinstance(value, bool):
            value = text_of(value)
        try:
            msgspec.convert(value, kind, strict=wants_text)
        except (msgspec.ValidationError, ValueError) as error:
            told = str(error).partition(" - at ")[0]
            self._fault("wrong-value", f"cannot read {_name(path)}: {told[:200]}", path, _allowed(inner))
        return value

    def _fault(self, code: str, message: str, path: PathParts, fix: str) -> None:
        self.faulty = True
        self.report.error(code, message, file=self.file, path=path, fix=fix)


def _name(path: PathParts) -> str:
    return str(next((part for part in reversed(path) if isinstance(part, str)), "the document"))


def _inner(kind: Any) -> Any:
    """What is inside `Annotated[X]` and `X | None`."""
    if get_origin(kind) is typing.Annotated:
        return _inner(get_args(kind)[0])
    if get_origin(kind) in (typing.Union, types.UnionType):
        members = [member for member in get_args(kind) if member is not type(None)]
        return _inner(members[0])
    return kind


def _metas(kind: Any) -> list[msgspec.Meta]:
    return [meta for meta in get_args(kind)[1:] if isinstance(meta, msgspec.Meta)]


def _optional(kind: Any) -> bool:
    return get_origin(kind) in (typing.Union, types.UnionType) and type(None) in get_args(kind)


def _allowed(inner: Any) -> str:
    if get_origin(inner) is typing.Literal:
        return "write one of " + ", ".join(map(str, get_args(inner)))
    members = getattr(inner, "__members__", None)
    if members:
        return "write one of " + ", ".join(str(member.value) for member in members.values())
    words = {str: "write a text", int: "write a whole number", float: "write a number", bool: "write true or false"}
    return words.get(inner, "correct the value")
