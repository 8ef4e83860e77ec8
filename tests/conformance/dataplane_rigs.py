"""How the behaviour suite of the data plane builds each engine: ports with far ends from which frames are sent and at which
they are seen. A new engine is found by itself; one that needs more than namespaces and veth pairs gets a rig here."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

from skerry.dataplane import catalogue
from skerry.dataplane.driver import Capabilities, DeviceSpec, Driver, EngineContext
from skerry.dataplane.drivers import simulated
from skerry.dataplane.flows import DeviceState, PortState
from skerry.dataplane.state import difference
from skerry.engine.clock import SystemClock
from skerry.linux import namespaces, netlink, syscalls
from skerry.linux.frames import Tap

DEVICE = "cf"
PORTS = range(1, 6)
QUIET_S = 0.02
Left = list[tuple[int, bytes]]


class Rig(ABC):
    """A device `cf` with ports 1 to 5 on one engine."""

    def __init__(self, type: str, folder: Path) -> None:
        self.type, self.folder = type, folder
        self.node = f"cf{os.getpid()}{type[:2]}"
        self.engine: Driver = self.another()
        self._revision = 0

    def another(self) -> Driver:
        """A new driver object on the same machine, as after a restart."""
        return catalogue.load(self.type)(EngineContext(node=self.node, data_dir=self.folder, clock=SystemClock()))

    @property
    def capabilities(self) -> Capabilities:
        """What the engine can."""
        return self.engine.capabilities()

    @property
    def spec(self) -> DeviceSpec:
        """The device."""
        return DeviceSpec(name=DEVICE, owner="suite")

    async def start(self) -> None:
        """The device with its ports."""
        await self.engine.open()
        await self.engine.prepare(self.spec)
        for number in PORTS:
            await self.engine.attach(DEVICE, self.port(number))

    async def stop(self) -> None:
        """Nothing stays."""
        await self.engine.teardown(DEVICE)
        assert DEVICE not in [spec.name for spec in await self.engine.devices()]
        await self.engine.close()

    async def restart(self) -> None:
        """What a restart of Skerry does."""
        await self.engine.close()
        self.engine = self.another()
        await self.engine.open()
        await self.engine.prepare(self.spec)

    def port(self, number: int) -> PortState:
        """A port as the engine gets it."""
        return PortState(number=number, name=f"p{number}", interface=f"n{number}")

    async def put(self, state: DeviceState) -> None:
        """This state and nothing else."""
        self._revision += 1
        now = (await self.engine.read_back(DEVICE)).state()
        await self.engine.apply(difference(now, state, self._revision))

    @abstractmethod
    async def send(self, port: int, frame: bytes, expect: int = 1) -> Left:
        """Send a frame from the far end of a port; what comes out, in the order of ports. At least `expect` are waited for."""


class SimulatedRig(Rig):
    """A world of its own."""

    async def send(self, port: int, frame: bytes, expect: int = 1) -> Left:
        left = simulated.world(self.folder).send(DEVICE, port, frame, time.monotonic())
        return sorted((emitted.port, emitted.frame) for _, emitted in left)


class RealRig(Rig):
    """Two namespaces: n1 … n5 of the device, f1 … f5 at the far ends."""

    def __init__(self, type: str, folder: Path) -> None:
        super().__init__(type, folder)
        self.taps: Mapping[int, Tap] = {}

    @property
    def spec(self) -> DeviceSpec:
        return DeviceSpec(name=DEVICE, namespace=f"{self.node}-n", owner="suite")

    async def start(self) -> None:
        await asyncio.to_thread(self._wire)
        await super().start()
        await asyncio.sleep(0.05)

    def _wire(self) -> None:
        quiet = {"net/ipv6/conf/default/disable_ipv6": "1", "net/ipv6/conf/all/disable_ipv6": "1"}
        near, far = (namespaces.place(f"{self.node}-{end}") for end in "nf")
        for place in (near, far):
            namespaces.unpin(place)
            namespaces.pin_new(place, quiet)
        for number in PORTS:
            self._pair(near, far, number)
        with namespaces.inside(far):
            self.taps = {number: Tap(f"f{number}") for number in PORTS}

    @staticmethod
    def _pair(near: Path, far: Path, number: int) -> None:
        with syscalls.network_kept():
            namespaces.enter(far)
            inside = syscalls.own_network()
            namespaces.enter(near)
            with netlink.Netlink() as kernel:
                peer_mac = f"02:00:00:00:0f:{number:02x}"
                made = netlink.veth(
                    f"n{number}", peer=f"f{number}", peer_namespace=inside, peer_mac=peer_mac, master=0, mtu=1500
                )
                kernel.run([netlink.link_up("lo"), made])
            namespaces.enter(far)
            with netlink.Netlink() as kernel:
                kernel.run([netlink.link_up("lo"), netlink.link_up(f"f{number}")])
            os.close(inside)

    async def stop(self) -> None:
        await super().stop()
        for tap in self.taps.values():
            tap.close()
        for end in "nf":
            namespaces.unpin(namespaces.place(f"{self.node}-{end}"))

    async def send(self, port: int, frame: bytes, expect: int = 1) -> Left:
        self._came_out()
        self.taps[port].socket.send(frame)
        found: Left = []
        limit = time.monotonic() + 2.0
        while len(found) < expect and time.monotonic() < limit:
            await asyncio.sleep(0.002)
            found += self._came_out()
        await asyncio.sleep(QUIET_S)
        return sorted(found + self._came_out())

    def _came_out(self) -> Left:
        return [(number, frame) for number, tap in self.taps.items() for left, frame in tap.frames() if not left]


def lacking(type: str) -> str:
    """Why an engine cannot be tried here; "" if it can."""
    if type == catalogue.SIMULATED:
        return ""
    if os.geteuid() != 0 or not shutil.which("ip", path=os.environ["PATH"] + ":/usr/sbin:/sbin"):
        return "needs root and iproute2"
    context = EngineContext(node="cf", data_dir=Path(os.devnull), clock=SystemClock())
    return catalogue.load(type)(context).capabilities().missing


def rig_of(type: str, folder: Path) -> Rig:
    """The rig of an engine."""
    return SimulatedRig(type, folder) if type == catalogue.SIMULATED else RealRig(type, folder)
