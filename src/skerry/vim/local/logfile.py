"""Reads the log that `conmon` writes (the CRI format: time, stream, P or F, text), to its end or on and on."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from skerry.linux import syscalls
from skerry.vim.driver import LogLine

_BLOCK = 1 << 16
_WATCHED = syscalls.IN_MODIFY | syscalls.IN_MOVE_SELF | syscalls.IN_DELETE_SELF


class Parser:
    """Turns bytes into lines; keeps what is not whole yet, also the parts of a long line of each stream."""

    def __init__(self) -> None:
        self._rest = b""
        self._parts: dict[str, str] = {}

    def feed(self, data: bytes) -> list[LogLine]:
        """The lines that these bytes complete."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        return [line for line in map(self._line, whole) if line]

    def _line(self, raw: bytes) -> LogLine | None:
        fields = raw.decode(errors="replace").split(" ", 3)
        if len(fields) < 4:
            return None
        time, stream, tag, text = fields
        text = self._parts.pop(stream, "") + text
        time = time.removesuffix("+00:00") + "Z" if time.endswith("+00:00") else time
        if tag == "P":
            self._parts[stream] = text
            return None
        return LogLine(time=time, stream=stream, text=text)


def last(path: Path, count: int | None) -> tuple[list[LogLine], int, Parser]:
    """The last `count` lines (all when None), where reading stopped, and the parser to go on with."""
    try:
        with path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            size = end if count is None else min(end, _BLOCK)
            while True:
                lines, parser = _parsed(os.pread(file.fileno(), size, end - size), size == end)
                if count is None or size == end or len(lines) >= count:
                    break
                size = min(end, size * 4)
    except FileNotFoundError:
        return [], 0, Parser()
    return (lines if count is None else lines[max(0, len(lines) - count) :]), end, parser


def _parsed(data: bytes, from_start: bool) -> tuple[list[LogLine], Parser]:
    parser = Parser()
    whole = data if from_start else data.partition(b"\n")[2]
    return parser.feed(whole), parser


async def follow(path: Path, tail: int | None, gone: Callable[[], bool], wake: asyncio.Event) -> AsyncIterator[LogLine]:
    """The last lines and then every new one, woken by the kernel, until `gone()`; `wake` interrupts the waiting."""
    lines, at, parser = await asyncio.to_thread(last, path, tail)
    for line in lines:
        yield line
    while True:
        with _Changes(path, wake) as changes:
            inode = changes.inode
            while True:
                data = await asyncio.to_thread(_from, path, at, inode)
                if data is None:
                    break
                at += len(data)
                for line in parser.feed(data):
                    yield line
                if data:
                    continue
                if gone():
                    return
                await changes.wait()
        if gone():
            return
        at, parser = 0, Parser()
        await asyncio.sleep(0)


class _Changes:
    """Waits for the log to change, to be replaced or removed. Without a log yet it waits for `wake` alone."""

    def __init__(self, path: Path, wake: asyncio.Event) -> None:
        self._wake = wake
        self._descriptor = -1
        self.inode = 0
        try:
            self._descriptor = syscalls.inotify(path, _WATCHED)
            self.inode = path.stat().st_ino
        except FileNotFoundError:
            self.inode = 0

    def __enter__(self) -> _Changes:
        if self._descriptor >= 0:
            asyncio.get_running_loop().add_reader(self._descriptor, self._readable)
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor >= 0:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)

    def _readable(self) -> None:
        try:
            os.read(self._descriptor, 4096)
        except BlockingIOError:
            return
        self._wake.set()

    async def wait(self) -> None:
        await self._wake.wait()
        self._wake.clear()


def _from(path: Path, at: int, inode: int) -> bytes | None:
    """New bytes; None when the file at `path` is another one now (rotated, or made after we began)."""
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_ino != inode:
                return None
            return os.pread(file.fileno(), _BLOCK, at)
    except FileNotFoundError:
        return b"" if inode == 0 else None
