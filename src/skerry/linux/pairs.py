"""The other end of a veth pair, in whatever namespace that is."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

from skerry.linux import namespaces, netlink, syscalls


@contextmanager
def at_other_end(interface: str) -> Generator[netlink.Link | None]:
    """While entered, the calling thread is where the other end of an interface is, which is what it is given. None, without
    going anywhere, where there is no other end or none within reach."""
    with netlink.Netlink() as kernel:
        links = kernel.links()
        near = next((one for one in links if one.name == interface), None)
        here = near is not None and near.peer_namespace < 0
        place = _place(kernel, near.peer_namespace) if near is not None and near.peer and not here else None
    if near is None or not near.peer or (place is None and not here):
        yield None
        return
    if place is None:
        yield next((one for one in links if one.index == near.peer), None)
        return
    with syscalls.network_kept():
        namespaces.enter(place)
        with netlink.Netlink() as kernel:
            far = next((one for one in kernel.links() if one.index == near.peer), None)
        yield far


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
