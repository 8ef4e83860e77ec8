"""A UE's flow in its GTP-U tunnel, and how fast a traffic rule of an application diverts it on the best engine of the machine.

Two network namespaces: one with the switch, one with the far ends of its ports (base stations, core, application). The
flow never stops; what arrives where is seen by raw sockets at the far ends.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import struct
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.figures import Figure, Scale, median
from skerry.dataplane.hosting import Hosting
from skerry.dataplane.intents import Device, Port, Side, Wire
from skerry.dataplane.records import DeviceRecord, Forgetful
from skerry.dataplane.service import DataPlane
from skerry.engine.clock import SystemClock
from skerry.linux import namespaces, netlink, syscalls
from skerry.linux.frames import Tap
from skerry.mep.plane import PlaneSteering
from skerry.model.mec import App, AppInfo, FilterType, RuleState, TrafficAction, TrafficFilter, TrafficRule

FIGURES: Mapping[str, Figure] = {
    "rule.divert_p50_ms": Figure("a UE's flow reaches the application after its traffic rule was asked for", 100),
}
Say = Callable[[str], None]
EVERY_S = 0.001
LIMIT_S = 20.0
DEVICE = "edge"
UE, APP_IP, SERVER = "10.45.0.7", "10.0.0.9", "203.0.113.5"
SIDES = {"ran": Side.RAN, "core": Side.CORE, "app": Side.VNFC, "back": Side.VNFC}
"""`app` and `back` are the two interfaces of the application."""

BACK_IP = "10.0.1.9"


def mac(number: int) -> str:
    """The address of a far end."""
    return f"02:00:00:00:00:{number:02x}"


def checksum(data: bytes) -> int:
    """The Internet checksum."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def ip(source: str, target: str, protocol: int, payload: bytes) -> bytes:
    """An IPv4 packet."""
    ends = bytes(int(part) for address in (source, target) for part in address.split("."))
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0, 64, protocol, 0) + ends
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def udp(source: int, target: int, payload: bytes) -> bytes:
    """A UDP datagram without a checksum, as GTP-U often has it."""
    return struct.pack("!HHHH", source, target, 8 + len(payload), 0) + payload


def uplink(payload: bytes = b"from the UE") -> bytes:
    """A frame of a base station with a packet of the UE in its tunnel."""
    inner = ip(UE, SERVER, 17, udp(40_000, 9_000, payload))
    gtp = struct.pack("!BBHI", 0x30, 255, len(inner), 4711) + inner
    outer = ip("192.0.2.101", "192.0.2.102", 17, udp(2152, 2152, gtp))
    return bytes.fromhex(mac(2).replace(":", "") + mac(1).replace(":", "")) + b"\x08\x00" + outer


class Stage:
    """The namespaces, the data plane, and the flow."""

    def __init__(self, folder: Path) -> None:
        tag = f"skd{os.getpid()}"
        self.here, self.there = f"{tag}-here", f"{tag}-there"
        clock = SystemClock()
        self.plane = DataPlane(Forgetful(), Hosting(tag, folder, clock), clock)
        self.taps: dict[str, Tap] = {}
        self.seen: dict[str, list[tuple[float, bytes]]] = {name: [] for name in SIDES}
        self._flowing: asyncio.Task[None] | None = None

    def wire(self) -> None:
        """Make the namespaces and the pairs between them."""
        quiet = {"net/ipv6/conf/default/disable_ipv6": "1", "net/ipv6/conf/all/disable_ipv6": "1"}
        places = [namespaces.place(name) for name in (self.here, self.there)]
        for place in places:
            namespaces.pin_new(place, quiet)
        for number, name in enumerate(SIDES, 1):
            pair(*places, f"v{name}", f"p{name}", mac(number))
        with namespaces.inside(places[1]):
            self.taps = {name: Tap(f"p{name}") for name in SIDES}

    async def start(self) -> None:
        """A device in the middle of the line between base stations and core."""
        await asyncio.to_thread(self.wire)
        await self.plane.start()
        await add_edge(self.plane, self.here)
        loop = asyncio.get_running_loop()
        for name, tap in self.taps.items():
            loop.add_reader(tap.socket, self._arrived, name, tap)
        self._flowing = loop.create_task(self._flow())

    async def stop(self) -> None:
        """Nothing stays."""
        if self._flowing:
            self._flowing.cancel()
        for tap in self.taps.values():
            asyncio.get_running_loop().remove_reader(tap.socket)
        await self.plane._hosting.teardown(DEVICE)
        await self.plane.stop()
        self.close()

    def close(self) -> None:
        """Let go of sockets and namespaces."""
        for tap in self.taps.values():
            tap.close()
        for name in (self.here, self.there):
            namespaces.unpin(namespaces.place(name))

    def _arrived(self, name: str, tap: Tap) -> None:
        now = time.perf_counter()
        self.seen[name] += [(now, frame) for left, frame in tap.frames() if not left]

    async def _flow(self) -> None:
        frame = uplink()
        while True:
            self.taps["ran"].socket.send(frame)
            await asyncio.sleep(EVERY_S)

    async def first(self, name: str, after: float) -> float:
        """When the first frame of the flow came to a far end after a moment."""
        async with asyncio.timeout(LIMIT_S):
            while True:
                for when, _ in self.seen[name]:
                    if when > after:
                        return when
                await asyncio.sleep(EVERY_S)


async def add_edge(plane: DataPlane, namespace: str) -> None:
    """The device with its ports and the line through it, in one change."""
    async with plane.changing() as draft:
        draft.devices[DEVICE] = DeviceRecord(device=Device(id=DEVICE, namespace=namespace))
        for number, (name, side) in enumerate(SIDES.items(), 1):
            ips = {"app": (APP_IP,), "back": (BACK_IP,)}.get(name, ())
            draft.ports[name] = Port(
                id=name, device=DEVICE, side=side, number=number, interface=f"v{name}", mac=mac(number), ips=ips
            )
    await plane.put(Wire(id="line", a="ran", b="core", learn_gtp=True))


def pair(near: Path, far: Path, name: str, peer: str, address: str) -> None:
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


@asynccontextmanager
async def staged() -> AsyncGenerator[Stage]:
    """A stage for the time of the block."""
    folder = Path(tempfile.mkdtemp(prefix="skbench", dir="/var/tmp"))
    stage = Stage(folder)
    try:
        await stage.start()
        yield stage
    finally:
        await stage.stop()
        shutil.rmtree(folder, ignore_errors=True)


RULE = TrafficRule(
    traffic_rule_id="users",
    filter_type=FilterType.FLOW,
    priority=10,
    traffic_filter=(TrafficFilter(src_address=(UE,), dst_port=("9000",), protocol=("UDP",)),),
    action=TrafficAction.FORWARD_DECAPSULATED,
    state=RuleState.ACTIVE,
)
APP = App(id="app-1", info=AppInfo(app_name="video"), ports=("app",))


async def measure(scale: Scale, say: Say) -> dict[str, float]:
    """Every figure of `FIGURES`."""
    async with staged() as stage:
        steering = PlaneSteering(stage.plane)
        times: list[float] = []
        for _ in range(max(scale.rounds, 3)):
            await stage.first("core", time.perf_counter())
            begun = time.perf_counter()
            proof = await steering.put(APP, [RULE])
            times.append(1000 * (await stage.first("app", begun) - begun))
            assert proof == {"users": True}, "the data plane has seen that it is so"
            await steering.remove(APP.id)
    say(f"{len(times)} diversions, {min(times):.0f} to {max(times):.0f} ms")
    return {"rule.divert_p50_ms": round(median(times), 3)}
