"""The other end of a veth pair, in whatever namespace that is."""

from __future__ import annotations

import os
import socket
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

from skerry.linux import namespaces, netlink, syscalls


@contextmanager
def at_other_end(interface: str) -> Generator[netlink.Link | None]:
    """While entered, the calling thread is where the other end of an interface is, which is what it is given. None, without
    going anywhere, where there is no other end or none within reach."""
    with netlink.Netlink() as kernel:
        near = _named(kernel, interface)
        here = near is not None and near.peer_namespace < 0
        place = _place(kernel, near.peer_namespace) if near is not None and near.peer and not here else None
        far = kernel.link(near.peer) if near is not None and near.peer and here else None
    if place is None or near is None:
        yield far
        return
    with syscalls.network_kept():
        namespaces.enter(place)
        with netlink.Netlink() as kernel:
            far = kernel.link(near.peer)
        yield far


def _named(kernel: netlink.Netlink, interface: str) -> netlink.Link | None:
    try:
        return kernel.link(socket.if_nametoindex(interface))
    except OSError:
        return None


def _place(kernel: netlink.Netlink, number: int) -> Path | None:
    """Where the namespace of a number can be entered: by its name, or by a process that lives in it."""
    seen: set[int] = set()
    for place in _places():
        try:
            descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            inode = os.fstat(descriptor).st_ino
            if inode not in seen and kernel.namespace_number(descriptor) == number:
                return place
            seen.add(inode)
        finally:
            os.close(descriptor)
    return None


def _places() -> Iterator[Path]:
    yield from namespaces.FOLDER.glob("*")
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            yield process / "ns/net"
