"""Bodies of requests: JSON into typed structs with every fault at once, and archives streamed to a file within a limit."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import json
import types
import typing
from collections import Counter
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from starlette.requests import ClientDisconnect, Request

from skerry.api.problem import HttpError
from skerry.errors import Fault, InvalidError, MalformedError, TooLargeError

T = TypeVar("T")

PATIENCE_S = 30.0
SLOWEST_BYTES_S = 4096
CLOSE = {"Connection": "close"}
DEEPEST = 64
"""No request of any API comes near this nesting; what works on bodies may recurse."""


async def read(request: Request, limit: int, patience_s: float = PATIENCE_S) -> bytes:
    """The whole body. `TooLargeError` as soon as it is over the limit; 408 where it takes longer than `patience_s` and the
    time that the slowest of lines needs for that much."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise TooLargeError(f"cannot take a body of {declared} bytes: the limit is {limit}")
    try:
        async with asyncio.timeout(patience_s + limit / SLOWEST_BYTES_S):
            return await _whole(request, limit)
    except TimeoutError as error:
        raise HttpError(
            408, "cannot wait any longer for the rest of the body", suggestion="send it in one go", headers=CLOSE
        ) from error


async def _whole(request: Request, limit: int) -> bytes:
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = await request.receive()
        if message["type"] != "http.request":
            raise ClientDisconnect
        chunk: bytes = message.get("body", b"")
        more = message.get("more_body", False)
        size += len(chunk)
        if size > limit:
            raise TooLargeError(f"cannot take a body of more than {limit} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


async def save(request: Request, target: Path, limit: int) -> int:
    """Stream the body into a file; returns its size. `TooLargeError` leaves what came so far for the caller to remove."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise TooLargeError(
            f"cannot take an archive of {declared} bytes: the limit is {limit} (setting max_upload_bytes)"
        )
    size = 0
    with target.open("wb") as out:  # chunks are small, the page cache takes them without waiting
        async for chunk in request.stream():
            size += len(chunk)
            if size > limit:
                raise TooLargeError(f"cannot take an archive of more than {limit} bytes (setting max_upload_bytes)")
            out.write(chunk)
    if not size:
        raise MalformedError("cannot take an empty archive", suggestion="send the package as the body of the request")
    return size


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind, strict=True)


def decode(raw: bytes, kind: type[T]) -> T:
    """A body as a struct: at once where it is right, with every fault of it where it is not."""
    if _flat(raw):
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
            found: T = _decoder(kind).decode(raw or b"{}")  # type: ignore[arg-type]  # kinds are hashable
            return found
    return convert(parse(raw), kind)


def _flat(raw: bytes) -> bool:
    """Whether the body has so few brackets that it cannot be nested too deep."""
    return raw.count(b"{") + raw.count(b"[") <= DEEPEST


def parse(raw: bytes) -> Any:
    """JSON as plain values. `MalformedError` names line and column of what is wrong."""
    try:
        value = msgspec.json.decode(raw or b"{}")
    except msgspec.DecodeError as error:
        raise _unreadable(raw, str(error), _offset(raw, str(error)), "send valid JSON") from error
    except UnicodeDecodeError as error:
        raise _unreadable(raw, "it is not UTF-8 here", _not_utf8(raw), "send JSON in UTF-8") from error
    except RecursionError as error:
        raise _too_deep() from error
    if not _flat(raw) and _depth_over(value, DEEPEST):
        raise _too_deep()
    return value


def require_unique(raw: bytes) -> None:
    """`MalformedError` for JSON with a map that has a name twice: readers would disagree about which counts (RFC 8259 4). What
    is no JSON is for others to refuse."""
    twice: list[str] = []

    def look(pairs: list[tuple[str, Any]]) -> None:
        counts = Counter(name for name, _ in pairs)
        twice.extend(name for name, count in counts.items() if count > 1)

    with contextlib.suppress(ValueError, RecursionError):
        json.loads(raw or b"{}", object_pairs_hook=look)
    if twice:
        fault = Fault(message=f"{twice[0][:64]} comes twice in a map", code="json", fix="write each name once")
        raise MalformedError(f"cannot read the body: {fault.message}", faults=[fault], suggestion=fault.fix)


def _too_deep() -> MalformedError:
    return MalformedError(f"cannot read a body nested deeper than {DEEPEST} levels", suggestion="flatten it")


def _depth_over(value: Any, limit: int) -> bool:
    """Whether maps and lists are nested deeper than `limit`; level by level, so that no input can exhaust the stack."""
    level = [value]
    for _ in range(limit + 1):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return False
    return True


def _unreadable(raw: bytes, message: str, offset: int, suggestion: str) -> MalformedError:
    before = raw[:offset]
    line, column = before.count(b"\n") + 1, offset - (before.rfind(b"\n") + 1) + 1
    fault = Fault(message=message, code="json", line=line, column=column)
    return MalformedError("cannot read the body as JSON", faults=[fault], suggestion=suggestion)


def _offset(raw: bytes, message: str) -> int:
    digits = message.partition("(byte ")[2].rstrip(")")
    return int(digits) if digits.isdigit() else len(raw)


def _not_utf8(raw: bytes) -> int:
    """Where the first byte is that is not UTF-8: the decoder counts from the beginning of the string that it is in."""
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return error.start
    return len(raw)


def convert(value: Any, kind: type[T]) -> T:
    """Plain JSON values as a struct. `InvalidError` lists every fault, each with its path and what to do."""
    try:
        return msgspec.convert(value, kind, strict=True)
    except msgspec.ValidationError as error:
        faults = list(_faults(value, kind, "")) or [Fault(message=str(error), code="schema")]
        raise InvalidError(
            "cannot accept the body: " + "; ".join(str(fault) for fault in faults[:3]),
            faults=faults,
            suggestion="correct every place named in faults",
        ) from error


def params(value: Any, kind: type[Any]) -> dict[str, Any]:
    """A checked body as plain JSON values again: what `kind` knows, without nulls. What it does not know is dropped, so
    that nothing unchecked goes on."""
    plain: dict[str, Any] = msgspec.to_builtins(convert(value, kind))
    return plain


def _faults(value: Any, kind: Any, path: str) -> typing.Iterator[Fault]:
    inner = _unwrap(kind, value)
    origin = get_origin(inner)
    if isinstance(inner, type) and issubclass(inner, msgspec.Struct) and isinstance(value, dict):
        yield from _struct_faults(value, inner, path)
    elif origin in (list, tuple) and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _faults(item, get_args(inner)[0], f"{path}/{index}")
    elif isinstance(origin, type) and issubclass(origin, typing.Mapping) and isinstance(value, dict):
        for key, item in value.items():
            yield from _faults(item, get_args(inner)[1], f"{path}/{key}")
    else:
        yield from _leaf_fault(value, kind, path)


def _leaf_fault(value: Any, kind: Any, path: str) -> typing.Iterator[Fault]:
    try:
        msgspec.convert(value, kind, strict=True)
    except msgspec.ValidationError as error:
        message = str(error).partition(" - at ")[0]
        yield Fault(message=message, code="schema", path=path or "/", fix=_choice(_unwrap(kind, value)))


def _choice(kind: Any) -> str:
    """Which values there are, where the kind is one of a few."""
    if get_origin(kind) is typing.Literal:
        found = list(get_args(kind))
    elif isinstance(kind, type) and issubclass(kind, enum.Enum):
        found = [member.value for member in kind]
    else:
        return ""
    return "write one of " + ", ".join(map(str, found))


def _struct_faults(value: dict[str, Any], kind: type[msgspec.Struct], path: str) -> typing.Iterator[Fault]:
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    hints = get_type_hints(kind, include_extras=True)
    for name, field in fields.items():
        if name in value:
            yield from _faults(value[name], hints[field.name], f"{path}/{name}")
        elif field.required:
            yield Fault(message=f"{name} is missing", code="missing", path=f"{path}/{name}", fix=f"add {name}")
    if kind.__struct_config__.forbid_unknown_fields:
        for name in value.keys() - fields.keys():
            close = get_close_matches(name, fields, n=1)
            fix = f"did you mean {close[0]}?" if close else "remove it; known are: " + ", ".join(fields)
            yield Fault(message=f"{name} is not known here", code="unknown", path=f"{path}/{name}", fix=fix)


def _unwrap(kind: Any, value: Any) -> Any:
    """The interesting member of `Annotated[X]`, `X | None` and, by the form of the value, of a map or list."""
    if get_origin(kind) is typing.Annotated:
        return _unwrap(get_args(kind)[0], value)
    if get_origin(kind) in (typing.Union, types.UnionType):
        members = [member for member in get_args(kind) if member is not type(None) and member is not msgspec.UnsetType]
        if len(members) > 1:
            members = [member for member in members if (get_origin(member) in (list, tuple)) == isinstance(value, list)]
        return _unwrap(members[0], value) if len(members) == 1 else kind
    return kind
