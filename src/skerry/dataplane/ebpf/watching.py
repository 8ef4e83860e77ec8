"""What the kernel tells of interfaces: that they went up or down, came or are gone, are shaped (rtnetlink). Never blocks."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

import msgspec

_LINKS, _QUEUES = 1, 8
_NEW, _GONE, _QUEUE_NEW, _QUEUE_GONE = 16, 17, 36, 37
_HEAD, _LINK = struct.Struct("<IHHII"), struct.Struct("<BxHiII")
_QUEUE = struct.Struct("<4xi")
_NAME = 3
_UP, _RUNNING = 0x1, 0x40
_ROOM = 1 << 16


class Told(msgspec.Struct, frozen=True):
    """An interface as it is now. `works` says that it is up and has a carrier. `shaped`: only its queueing discipline, and no
    more is known here than its index."""

    name: str
    index: int
    works: bool
    gone: bool = False
    shaped: bool = False


class LinkWatch:
    """Listens in the calling thread's namespace from the moment it is made."""

    def __init__(self) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        self.socket = socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE)
        self.socket.bind((0, _LINKS | _QUEUES))

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
        elif kind in (_QUEUE_NEW, _QUEUE_GONE):
            yield Told("", _QUEUE.unpack_from(data, at + _HEAD.size)[0], works=True, shaped=True)
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
