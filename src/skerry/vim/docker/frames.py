"""The Engine's streams: standard output and error in one, log lines with their times, events. Pure but for the waiting."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

from skerry.model.time import stamp
from skerry.vim.driver import LogLine, VimEvent

_CHUNK = 1 << 16
_STREAMS = {1: "stdout", 2: "stderr"}
_ACTIONS = {
    "create": "created",
    "start": "started",
    "die": "exited",
    "destroy": "deleted",
    "oom": "oom",
    "update": "changed",
}


async def frames(pieces: AsyncIterator[bytes]) -> AsyncIterator[tuple[str, bytes]]:
    """(stream, bytes) out of a multiplexed stream: a header of 8 bytes with stream and length before each frame."""
    held = b""
    async for piece in pieces:
        held += piece
        while len(held) >= 8 and len(held) >= 8 + (size := int.from_bytes(held[4:8], "big")):
            yield _STREAMS.get(held[0], "stdout"), held[8 : 8 + size]
            held = held[8 + size :]


async def pieces(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """What comes by a hijacked connection, until it ends."""
    while piece := await reader.read(_CHUNK):
        yield piece


async def log_lines(pieces: AsyncIterator[bytes]) -> AsyncIterator[LogLine]:
    """Log lines, each of which the Engine prefixed with its time."""
    parts: dict[str, bytes] = {}
    async for stream, data in frames(pieces):
        whole, _, rest = (parts.get(stream, b"") + data).rpartition(b"\n")
        parts[stream] = rest
        for line in whole.split(b"\n") if whole else ():
            yield _log_line(stream, line)
    for stream, rest in parts.items():
        if rest:
            yield _log_line(stream, rest)


def _log_line(stream: str, line: bytes) -> LogLine:
    when, _, text = line.decode(errors="replace").partition(" ")
    return LogLine(time=when, stream=stream, text=text.rstrip("\r"))


async def documents(pieces: AsyncIterator[bytes]) -> AsyncIterator[dict[str, Any]]:
    """JSON objects, one a line."""
    held = b""
    async for piece in pieces:
        *lines, held = (held + piece).split(b"\n")
        for line in lines:
            if line.strip():
                yield json.loads(line)


def event_of(document: Mapping[str, Any], node: str) -> VimEvent | None:
    """What an Engine's event means for this node; None for what does not concern its instances."""
    labels = document.get("Actor", {}).get("Attributes", {})
    action = _ACTIONS.get(str(document.get("Action")))
    if not action or labels.get("skerry.node") != node or labels.get("skerry.role") != "compute":
        return None
    code = int(labels["exitCode"]) if action == "exited" and "exitCode" in labels else None
    if action == "exited" and code is not None and code > 128:
        action = "killed"
    if action == "created" and labels.get("skerry.generation", "0") != "0":
        action = "changed"
    moment = datetime.fromtimestamp(int(document["timeNano"]) / 1e9, UTC)
    return VimEvent(kind="compute", name=labels["skerry.name"], action=action, time=stamp(moment), exit_code=code)


def just_after(time: str) -> str:
    """The moment after a log line's time, as the Engine takes it."""
    whole, _, fraction = time.removesuffix("Z").partition(".")
    seconds = int(datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp())
    return just_after_nano(seconds * 10**9 + int((fraction or "0").ljust(9, "0")))


def just_after_nano(nanoseconds: int) -> str:
    """The nanosecond after, in seconds with fraction."""
    seconds, rest = divmod(nanoseconds + 1, 10**9)
    return f"{seconds}.{rest:09}"
