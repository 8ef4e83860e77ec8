"""What the kernel tells of interfaces: that they went up or down, came or are gone (rtnetlink). Never blocks."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

import msgspec

_LINKS = 1
_NEW, _GONE = 16, 17
_HEAD, _LINK = struct.Struct("<IHHII"), struct.Struct("<BxHiII")
_NAME = 3
_UP, _RUNNING = 0x1, 0x40
_ROOM = 1 << 16


class Told(msgspec.Struct, frozen=True):
    """An interface as it is now. `works` says that it is up and has a carrier."""

    name: str
    index: int
    works: bool
    gone: bool = False


class LinkWatch:
    """Listens in the calling thread's namespace from the moment it is made."""

    def __init__(self) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        self.socket = socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE)
        self.socket.bind((0, _LINKS))

    def close(self) -> None:
        """Stop listening."""
        self.socket.close()

    def news(self) -> Iterator[Told]:
        """What was told since. When there was too much to keep, what was lost is passed over."""
        while True:
            try:
                data = self.socket.recv(_ROOM)
            except BlockingIOError:
                return
            except OSError:
                continue
            yield from read(data)


def read(data: bytes) -> Iterator[Told]:
    """The messages of one datagram."""
    at = 0
    while at + _HEAD.size + _LINK.size <= len(data):
        size, kind, *_ = _HEAD.unpack_from(data, at)
        if size < _HEAD.size:
            return
        if kind in (_NEW, _GONE):
            _, _, index, flags, _ = _LINK.unpack_from(data, at + _HEAD.size)
            name = _name(data[at + _HEAD.size + _LINK.size : at + size])
            works = bool(flags & _UP and flags & _RUNNING) and kind == _NEW
            yield Told(name, index, works, kind == _GONE)
        at += size + 3 & ~3


def _name(data: bytes) -> str:
    at = 0
    while at + 4 <= len(data):
        size, kind = struct.unpack_from("<HH", data, at)
        if size < 4:
            break
        if kind == _NAME:
            return data[at + 4 : at + size].rstrip(b"\0").decode(errors="replace")
        at += size + 3 & ~3
    return ""
