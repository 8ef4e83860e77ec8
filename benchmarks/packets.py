"""Packets a second: a generator that needs nothing but Python, and the rates of a bare pair and of Open vSwitch with it.

The generator hands the kernel many frames with one call, past any queueing discipline; one core fills a pair with
more than what any of the measured paths takes.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from skerry.dataplane.driver import DeviceSpec, EngineContext
from skerry.dataplane.drivers.ovs import Driver
from skerry.dataplane.flows import Change, Output, PortState, Rule, match
from skerry.engine.clock import SystemClock
from skerry.linux import namespaces, netlink, syscalls

BATCH = 64
_SOL_PACKET, _QDISC_BYPASS = 263, 20
_libc = ctypes.CDLL(None, use_errno=True)


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Header(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint),
        ("vector", ctypes.POINTER(_Vector)),
        ("vector_length", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Message(ctypes.Structure):
    _fields_ = (("header", _Header), ("sent", ctypes.c_uint))


class Rate(msgspec.Struct, frozen=True):
    """What was sent and what arrived, in packets a second."""

    sent: float
    arrived: float


class Generator:
    """Sends frames, over and over, out of an interface of a namespace."""

    def __init__(self, place: Path, interface: str, frames: Sequence[bytes]) -> None:
        with namespaces.inside(place):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.setsockopt(_SOL_PACKET, _QDISC_BYPASS, 1)
        with namespaces.inside(place):
            self._socket.bind((interface, 0))
        self._buffers = [ctypes.create_string_buffer(frame, len(frame)) for frame in frames]
        chosen = [self._buffers[number % len(frames)] for number in range(BATCH)]
        self._vectors = (_Vector * BATCH)(*((ctypes.addressof(one), len(one)) for one in chosen))
        self._messages = (_Message * BATCH)()
        for number, message in enumerate(self._messages):
            message.header.vector = ctypes.pointer(self._vectors[number])
            message.header.vector_length = 1

    def run(self, seconds: float) -> int:
        """Send for so long; how many went. It blocks: call it in a thread."""
        sent, end, descriptor = 0, time.monotonic() + seconds, self._socket.fileno()
        while time.monotonic() < end:
            done = _libc.sendmmsg(descriptor, self._messages, BATCH, 0)
            if done < 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), "sendmmsg")
            sent += done
        return sent

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()


def received(place: Path, interface: str) -> int:
    """The packets that came in at an interface."""
    with namespaces.inside(place):
        lines = Path("/proc/thread-self/net/dev").read_text().splitlines()
    return next(int(line.split(":")[1].split()[1]) for line in lines if line.strip().startswith(f"{interface}:"))


async def rate(near: Path, interface: str, far: Path, counted: str, frames: Sequence[bytes], seconds: float) -> Rate:
    """Send at `interface` of `near` and count at `counted` of `far`."""
    generator = await asyncio.to_thread(Generator, near, interface, frames)
    try:
        await asyncio.to_thread(generator.run, seconds / 4)
        before = await asyncio.to_thread(received, far, counted)
        begun = time.monotonic()
        sent = await asyncio.to_thread(generator.run, seconds)
        taken = time.monotonic() - begun
        arrived = await asyncio.to_thread(received, far, counted) - before
    finally:
        generator.close()
    return Rate(sent / taken, arrived / taken)


def pair(near: Path, name: str, far: Path, peer: str) -> None:
    """A veth pair between two namespaces, both ends up and without IPv6 chatter."""
    with syscalls.network_kept():
        namespaces.enter(far)
        inside = syscalls.own_network()
        try:
            namespaces.enter(near)
            with netlink.Netlink() as kernel:
                mac = "02:00:00:00:00:01"
                kernel.run([netlink.veth(name, peer=peer, peer_namespace=inside, peer_mac=mac, master=0, mtu=1500)])
            namespaces.enter(far)
            with netlink.Netlink() as kernel:
                kernel.run([netlink.link_up(peer)])
        finally:
            os.close(inside)


@contextmanager
def places(*names: str) -> Iterator[tuple[Path, ...]]:
    """Fresh namespaces for a measurement."""
    found = tuple(namespaces.place(f"skb-{os.getpid()}-{name}") for name in names)
    quiet = {"net/ipv6/conf/default/disable_ipv6": "1", "net/ipv6/conf/all/disable_ipv6": "1"}
    try:
        for place in found:
            namespaces.unpin(place)
            namespaces.pin_new(place, quiet)
        yield found
    finally:
        for place in found:
            namespaces.unpin(place)


async def veth_rate(frames: Sequence[bytes], seconds: float = 1.0) -> Rate:
    """A bare pair."""
    with places("a", "b") as (a, b):
        await asyncio.to_thread(pair, a, "a0", b, "b0")
        return await rate(a, "a0", b, "b0", frames, seconds)


async def ovs_rate(frames: Sequence[bytes], folder: Path, seconds: float = 1.0) -> Rate:
    """From one pair to another through the userspace switch, with one rule. The switch has a core for itself."""
    context = EngineContext(node=f"bench{os.getpid()}", data_dir=folder, clock=SystemClock())
    driver = Driver(context)
    with places("from", "switch", "to") as (source, switch, target):
        await asyncio.to_thread(pair, switch, "in0", source, "out0")
        await asyncio.to_thread(pair, switch, "in1", target, "out1")
        await driver.open()
        await driver.prepare(DeviceSpec(name="bench", namespace=switch.name))
        try:
            for number in (1, 2):
                await driver.attach("bench", PortState(number=number, name=f"p{number}", interface=f"in{number - 1}"))
            forward = Rule(table=0, priority=1, match=match(in_port=1), actions=(Output(port=2),), cookie=1)
            await driver.apply(Change(device="bench", revision=1, put_rules=(forward,)))
            return await rate(source, "out0", target, "out1", frames, seconds)
        finally:
            await driver.teardown("bench")
            await driver.close()
