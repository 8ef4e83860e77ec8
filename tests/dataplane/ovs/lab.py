"""A namespace with a device, and one with the far ends of its ports: p1, p2 … there are the ports 1, 2 … here."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from skerry.dataplane.driver import DeviceSpec, EngineContext
from skerry.dataplane.drivers.ovs import Driver
from skerry.dataplane.flows import Actions, Change, DeviceState, Match, PortState, Rule
from skerry.dataplane.state import difference
from skerry.engine.clock import SystemClock
from skerry.linux import namespaces, netlink, syscalls
from skerry.linux.frames import Tap

DEVICE = "lab"


def mac(number: int) -> str:
    """The address of a far end."""
    return f"02:00:00:00:00:{number:02x}"


def pin(name: str) -> Path:
    """A fresh namespace of this name that speaks no IPv6 by itself."""
    place = namespaces.place(name)
    namespaces.unpin(place)
    namespaces.pin_new(place, {"net/ipv6/conf/default/disable_ipv6": "1", "net/ipv6/conf/all/disable_ipv6": "1"})
    return place


def pair(near: Path, name: str, far: Path, peer: str, address: str) -> None:
    """A veth pair between two namespaces, both ends up."""
    with syscalls.network_kept():
        namespaces.enter(far)
        inside = syscalls.own_network()
        try:
            namespaces.enter(near)
            with netlink.Netlink() as kernel:
                made = netlink.veth(name, peer=peer, peer_namespace=inside, peer_mac=address, master=0, mtu=1500)
                kernel.run([netlink.link_up("lo"), made])
            namespaces.enter(far)
            with netlink.Netlink() as kernel:
                kernel.run([netlink.link_up("lo"), netlink.link_up(peer)])
        finally:
            os.close(inside)


class Lab:
    """Use `make` and `end` around a test, or several."""

    def __init__(self, folder: Path, tag: str, ports: int) -> None:
        self.tag, self.folder = tag, folder
        self.numbers = range(1, ports + 1)
        self.node = f"lab-{tag}-{os.getpid()}"
        self.here, self.there = f"{self.node}-here", f"{self.node}-there"
        self.driver = Driver(self.context())
        self.taps: dict[int, Tap] = {}
        self._revision = 0

    def context(self) -> EngineContext:
        """What the engine gets."""
        return EngineContext(node=self.node, data_dir=self.folder, clock=SystemClock())

    def wire(self) -> None:
        """The namespaces and the pairs; no switch yet."""
        near, far = pin(self.here), pin(self.there)
        for number in self.numbers:
            pair(near, f"v{number}", far, f"p{number}", mac(number))
        with namespaces.inside(far):
            self.taps = {number: Tap(f"p{number}") for number in self.numbers}

    async def make(self) -> None:
        """All of it."""
        self.wire()
        await self.driver.open()
        await self.driver.prepare(self.spec)
        for number in self.numbers:
            await self.driver.attach(DEVICE, port(number))

    @property
    def spec(self) -> DeviceSpec:
        """The device."""
        return DeviceSpec(name=DEVICE, namespace=self.here, owner="tests")

    async def end(self) -> None:
        """Nothing stays."""
        await self.driver.teardown(DEVICE)
        await self.driver.close()
        for tap in self.taps.values():
            tap.close()
        for name in (self.here, self.there):
            namespaces.unpin(namespaces.place(name))

    async def put(self, state: DeviceState) -> None:
        """This state and nothing else."""
        self._revision += 1
        now = (await self.driver.read_back(DEVICE)).state()
        await self.driver.apply(difference(now, state, self._revision))
        self.drain()

    async def rules(self, *rules: Rule) -> None:
        """These rules and nothing else."""
        await self.put(self.state(*rules))

    def state(self, *rules: Rule) -> DeviceState:
        """A state with the ports of the lab."""
        return DeviceState(device=DEVICE, ports=tuple(port(number) for number in self.numbers), rules=rules)

    def drain(self) -> None:
        """Forget what has come out so far."""
        for tap in self.taps.values():
            list(tap.frames())

    def came_out(self) -> list[tuple[int, bytes]]:
        """What has come out since, by port."""
        return [(number, frame) for number, tap in self.taps.items() for left, frame in tap.frames() if not left]

    async def inject(self, number: int, frame: bytes) -> list[tuple[int, bytes]]:
        """What comes out for a frame that the switch is told came in."""
        self.drain()
        await self.driver.inject(DEVICE, number, frame)
        return self.came_out()

    def send(self, number: int, *frames: bytes) -> None:
        """Send frames from the far end of a port."""
        for frame in frames:
            self.taps[number].socket.send(frame)

    async def exchange(
        self, number: int, frames: Sequence[bytes], expected: int, seconds: float = 2.0
    ) -> list[tuple[int, bytes]]:
        """Send real frames and wait for as many as are expected; more may come."""
        self.drain()
        self.send(number, *frames)
        return await self.collect(expected, seconds)

    async def collect(self, expected: int, seconds: float = 2.0) -> list[tuple[int, bytes]]:
        """Wait for frames to come out."""
        found: list[tuple[int, bytes]] = []
        end = time.monotonic() + seconds
        while len(found) < expected and time.monotonic() < end:
            await asyncio.sleep(0.002)
            found += self.came_out()
        return found


def port(number: int) -> PortState:
    """A port of the lab."""
    return PortState(number=number, name=f"port{number}", interface=f"v{number}")


def rule(match: Match, *actions: Actions, table: int = 0, priority: int = 100, cookie: int = 0) -> Rule:
    """A rule; its cookie is derived where none is given."""
    derived = cookie or (abs(hash((table, priority, match))) % (1 << 62)) + 1
    return Rule(table=table, priority=priority, match=match, actions=actions, cookie=derived, owner="tests", tenant="t")


def changes(rules: Iterable[Rule], revision: int = 1) -> Change:
    """A change that puts rules."""
    return Change(device=DEVICE, revision=revision, put_rules=tuple(rules))
