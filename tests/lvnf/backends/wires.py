"""A function's namespace with ports eth0 and eth1, and the other ends of both in a namespace of the test."""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from skerry.linux import namespaces, netlink, syscalls

LIMIT_S = 20.0


class Ends:
    """Where tests send and see frames: the far ends of eth0 and eth1."""

    def __init__(self, namespace: Path, outer: Path, sockets: tuple[socket.socket, socket.socket]) -> None:
        self.namespace, self.outer = namespace, outer
        self.left, self.right = sockets

    @staticmethod
    def next(end: socket.socket) -> bytes:
        """The next frame that arrives."""
        while True:
            data, address = end.recvfrom(1 << 16)
            if address[2] != socket.PACKET_OUTGOING:
                return data

    def passes(self, frame: bytes) -> bytes:
        """What comes out at the right of a frame that goes in at the left."""
        self.left.send(frame)
        return self.next(self.right)


@contextmanager
def wired(name: str) -> Iterator[Ends]:
    """Both namespaces, for as long as the block lasts."""
    if os.geteuid() or not shutil.which("ip", path=f"{os.environ['PATH']}:/usr/sbin:/sbin"):
        pytest.skip("needs root")
    inner, outer = (namespaces.place(f"skt-{os.getpid()}-{name}-{end}") for end in ("in", "out"))
    for place in (inner, outer):
        namespaces.unpin(place)
        namespaces.pin_new(place, {"net/ipv6/conf/default/disable_ipv6": "1"})
    ends: list[socket.socket] = []
    try:
        with syscalls.network_kept():
            namespaces.enter(inner)
            inside = syscalls.own_network()
            namespaces.enter(outer)
            ends.extend(_pair(index, inside) for index in (0, 1))
            os.close(inside)
            namespaces.enter(inner)
            with netlink.Netlink() as kernel:
                kernel.run([netlink.link_up("eth0"), netlink.link_up("eth1")])
            for index in (0, 1):
                _awake(ends[index], f"eth{index}")
        yield Ends(inner, outer, (ends[0], ends[1]))
    finally:
        for end in ends:
            end.close()
        for place in (inner, outer):
            namespaces.unpin(place)


def _pair(index: int, inside: int) -> socket.socket:
    name = f"far{index}"
    with netlink.Netlink() as kernel:
        kernel.run(
            [
                netlink.veth(
                    name,
                    peer=f"eth{index}",
                    peer_namespace=inside,
                    peer_mac=f"02:00:00:00:00:0{index}",
                    master=0,
                    mtu=1500,
                ),
                netlink.link_up(name),
            ]
        )
    end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    end.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)
    end.bind((name, 3))
    end.settimeout(LIMIT_S)
    return end


def _awake(far: socket.socket, near_name: str) -> None:
    """Wait until frames pass both ways: the kernel may take a second to notice that a new pair is up."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as near:
        near.bind((near_name, 3))
        for source, target in ((far, near), (near, far)):
            target.setblocking(False)
            until(lambda source=source, target=target: _crossed(source, target), "the pair is not up")  # type: ignore[misc]
            while _came(target):
                continue
    far.settimeout(LIMIT_S)


def _crossed(source: socket.socket, target: socket.socket) -> bool:
    source.send(bytes(12) + b"\x88\xb6" + bytes(46))
    return _came(target)


def _came(target: socket.socket) -> bool:
    """Whether a frame came from the other end; it is taken."""
    try:
        while target.recvfrom(1 << 16)[1][2] == socket.PACKET_OUTGOING:
            continue
    except BlockingIOError:
        return False
    return True


def until(true: Callable[[], bool], what: str) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + LIMIT_S
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.005)
