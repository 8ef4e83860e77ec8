"""The local gateway: packets a second that leave tunnels and enter them, against a bare veth pair and the userspace switch.

Every path has the same generator on the same core. A frame of the gateway crosses two pairs, the bare one a single pair.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
import statistics
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from ipaddress import ip_address
from pathlib import Path

from benchmarks import packets
from benchmarks.figures import Figure, Scale
from skerry.dataplane import rewriting
from skerry.dataplane.driver import DeviceSpec, EngineContext
from skerry.dataplane.drivers.ebpf import Driver
from skerry.dataplane.ebpf.assembler import R0, Assembler
from skerry.dataplane.ebpf.kernel import Link, Program
from skerry.dataplane.flows import (
    Change,
    GtpDecap,
    GtpEncap,
    Output,
    PortState,
    Rule,
    Session,
    Tunnel,
    Way,
    match,
)
from skerry.engine.clock import SystemClock
from skerry.linux import namespaces
from skerry.linux.frames import Tap

FIGURES: Mapping[str, Figure] = {
    "lgw.veth_mpps": Figure("a bare veth pair, million packets/s on one core"),
    "lgw.decap_mpps": Figure("GTP-U in, plain IP out, million packets/s on one core"),
    "lgw.encap_mpps": Figure("plain IP in, GTP-U out, million packets/s on one core"),
    "lgw.ovs_mpps": Figure("Open vSwitch in userspace, one rule, plain forwarding, million packets/s on one core"),
    "lgw.decap_ratio_veth": Figure("taking packets out of GTP-U against a bare pair", least=0.65),
    "lgw.encap_ratio_veth": Figure("putting packets into GTP-U against a bare pair", least=0.65),
    "lgw.ratio_veth_10k": Figure("the same with 10,000 tunnels, a rule each, the worse way", least=0.5),
    "lgw.added_latency_us": Figure(
        "what the gateway adds to the way of a frame that it passes on, microseconds", most=100
    ),
    "lgw.ratio_ovs": Figure("taking packets out of GTP-U against the userspace switch forwarding them", least=4.0),
}
MANY = 10_000
FLOWS = 64
_RAN, _CORE = "10.1.0.1", "10.1.0.2"
_SINK, _DROP = 0x020000000001, 2
_LOST_S, _TRIES = 10.0, 1000
_libc = ctypes.CDLL(None, use_errno=True)


class Sweep(packets.Generator):
    """A generator of any number of different frames, each sent in its turn."""

    def __init__(self, place: Path, interface: str, frames: Sequence[bytes]) -> None:
        super().__init__(place, interface, frames)
        self._kept = [ctypes.create_string_buffer(frame, len(frame)) for frame in frames]
        self._all = (packets._Vector * len(frames))(*((ctypes.addressof(one), len(one)) for one in self._kept))
        self._each = (packets._Message * len(frames))()
        for number, message in enumerate(self._each):
            message.header.vector = ctypes.pointer(self._all[number])
            message.header.vector_length = 1

    def run(self, seconds: float) -> int:
        sent, end, descriptor = 0, time.monotonic() + seconds, self._socket.fileno()
        size, total = ctypes.sizeof(packets._Message), len(self._each)
        start = ctypes.addressof(self._each)
        at = 0
        while time.monotonic() < end:
            count = min(packets.BATCH, total - at)
            done = _libc.sendmmsg(descriptor, ctypes.c_void_p(start + at * size), count, 0)
            if done < 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), "sendmmsg")
            sent += done
            at = (at + done) % total
        return sent


def ue(number: int) -> str:
    """The address of a UE."""
    return str(ip_address(0x0A2D0002 + number))


def plain(number: int, *, down: bool) -> bytes:
    """A frame of 64 bytes without tunnel."""
    ends = (ip_address("10.9.0.10").packed, ip_address(ue(number)).packed)
    source, target = ends if down else ends[::-1]
    head = bytes.fromhex("4500003200004000401100 00".replace(" ", "")) + source + target
    head = rewriting.splice(head, 10, rewriting.checksum(head).to_bytes(2, "big"))
    udp = bytes.fromhex("03e80009001e0000") + bytes(22)
    return _SINK.to_bytes(6, "big") + bytes.fromhex("020000000910") + b"\x08\0" + head + udp


def tunnel(number: int) -> Tunnel:
    """The tunnel of a UE towards the core."""
    return Tunnel(teid=0x100 + number, src=_RAN, dst=_CORE, eth_src=0x020000000101, eth_dst=_SINK)


def tunnelled(number: int) -> bytes:
    """The same frame in GTP-U."""
    return rewriting.gtp_encap(plain(number, down=False), tunnel(number), down=False) or b""


def rules(count: int) -> tuple[Rule, ...]:
    """A rule for each tunnel out of it, and one that puts what comes from the application into tunnels."""
    out = (GtpDecap(eth_src=0x020000009999, eth_dst=_SINK), Output(port=2))
    back = Rule(
        table=0,
        priority=1,
        match=match(in_port=3, eth_type=0x0800),
        actions=(GtpEncap(way=Way.DOWN), Output(port=2)),
        cookie=1,
    )
    each = tuple(
        Rule(
            table=0,
            priority=10,
            match=match(in_port=1, gtp_teid=0x100 + number, inner_ipv4_dst="10.9.0.10"),
            actions=out,
            cookie=2 + number,
        )
        for number in range(count)
    )
    return (back, *each)


def sessions(count: int) -> tuple[Session, ...]:
    """The tunnels towards the RAN."""
    return tuple(Session(ue=ue(number), down=tunnel(number)) for number in range(count))


class Gateway:
    """An L-GW with three ports in namespaces of its own, for one measurement."""

    def __init__(self, count: int) -> None:
        self.count = count

    async def rates(self, seconds: float) -> tuple[float, float]:
        """Out of tunnels, into tunnels: packets/s that arrived."""
        async with _gateway(rules(self.count), sessions(self.count)) as (ran, target, app):
            out = await self._rate(ran, target, tunnelled, seconds)
            back = await self._rate(app, target, lambda number: plain(number, down=True), seconds)
        return out, back

    async def _rate(self, near: Path, far: Path, made: Callable[[int], bytes], seconds: float) -> float:
        frames = [made(number) for number in range(self.count)]
        generator = await asyncio.to_thread(Sweep, near, "far0", frames)
        try:
            return await asyncio.to_thread(_measured, generator, far, seconds)
        finally:
            generator.close()


@asynccontextmanager
async def _gateway(put: tuple[Rule, ...], known: tuple[Session, ...]) -> AsyncGenerator[tuple[Path, Path, Path]]:
    """A device with these rules; the namespaces behind its ports 1 to 3."""
    context = EngineContext(node=f"bench{os.getpid()}", data_dir=Path(tempfile.gettempdir()), clock=SystemClock())
    driver = Driver(context)
    with packets.places("ran", "lgw", "to", "app") as (ran, lgw, target, app):
        for number, place in enumerate((ran, target, app), 1):
            await asyncio.to_thread(packets.pair, lgw, f"in{number}", place, "far0")
        await driver.open()
        await driver.prepare(DeviceSpec(name="bench", namespace=lgw.name))
        try:
            for number in (1, 2, 3):
                await driver.attach("bench", PortState(number=number, name=f"p{number}", interface=f"in{number}"))
            await driver.apply(Change(device="bench", revision=1, put_rules=put, put_sessions=known))
            yield ran, target, app
        finally:
            await driver.teardown("bench")
            await driver.close()


async def added_latency(frames: int) -> float:
    """Microseconds by which a gateway that passes everything on is later than a bare pair: the middle of as many frames, one
    at a time. Every frame arrives byte for byte."""
    everything = Rule(table=0, priority=1, match=match(in_port=1), actions=(Output(port=2),), cookie=1)
    async with _gateway((everything,), ()) as (ran, target, _):
        through = await asyncio.to_thread(_latency, ran, target, frames)
    with packets.places("a", "b") as (a, b):
        await asyncio.to_thread(packets.pair, a, "far0", b, "far0")
        alone = await asyncio.to_thread(_latency, a, b, frames)
    return (through - alone) * 1e6


def _latency(near: Path, far: Path, frames: int) -> float:
    """Seconds from sending a frame until it is read at the other end, in the middle of many."""
    with namespaces.inside(near):
        source = Tap("far0")
    with namespaces.inside(far):
        target = Tap("far0")
    try:
        _until_there(source, target)
        return statistics.median([_once(source, target, tunnelled(number)) for number in range(frames)])
    finally:
        source.close()
        target.close()


def _until_there(source: Tap, target: Tap) -> None:
    """A pair takes a moment until it carries frames."""
    for _ in range(_TRIES):
        source.socket.send(tunnelled(0))
        if any(True for _ in target.frames()):
            return
        time.sleep(_LOST_S / _TRIES)
    raise TimeoutError("no frame arrives")


def _once(source: Tap, target: Tap, frame: bytes) -> float:
    for _ in target.frames():
        continue
    begun = time.perf_counter()
    source.socket.send(frame)
    while time.perf_counter() - begun < _LOST_S:
        for _, seen in target.frames():
            if seen == frame:
                return time.perf_counter() - begun
    raise TimeoutError("a frame did not arrive as it was sent")


def _measured(generator: packets.Generator, far: Path, seconds: float) -> float:
    """Packets/s that arrive, generator and kernel on one core."""
    before_affinity = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before_affinity)})
    try:
        with sink(far, "far0"):
            generator.run(seconds / 4)
            before, begun = packets.received(far, "far0"), time.monotonic()
            generator.run(seconds)
            taken = time.monotonic() - begun
            return (packets.received(far, "far0") - before) / taken
    finally:
        os.sched_setaffinity(0, before_affinity)


@contextmanager
def _one_core() -> Generator[None]:
    """All threads of this process, and the processes that it starts, on one core."""
    every = os.sched_getaffinity(0)
    try:
        _pinned({max(every)})
        yield
    finally:
        _pinned(every)


def _pinned(cores: set[int]) -> None:
    for task in Path("/proc/self/task").iterdir():
        os.sched_setaffinity(int(task.name), cores)


@contextmanager
def sink(place: Path, interface: str) -> Generator[None]:
    """Where frames end: they are for this interface, and nothing is done with them but counting."""
    asm = Assembler("sink")
    asm.mov(R0, _DROP)
    asm.exit()
    program = Program.load(asm.assemble(), "bench_sink")
    with namespaces.inside(place):
        link = Link.attach(program, socket.if_nametoindex(interface))
    program.close()
    try:
        yield
    finally:
        link.close()


async def bare(frames: Sequence[bytes], seconds: float) -> float:
    """A single pair."""
    with packets.places("a", "b") as (a, b):
        await asyncio.to_thread(packets.pair, a, "near0", b, "far0")
        generator = await asyncio.to_thread(Sweep, a, "near0", frames)
        try:
            return await asyncio.to_thread(_measured, generator, b, seconds)
        finally:
            generator.close()


async def measure(scale: Scale, tell: Callable[[str], None]) -> dict[str, float]:
    """All figures; every path is measured in turn, several times."""
    rounds, seconds = min(scale.rounds, 5), 0.5
    found: dict[str, list[float]] = {}
    for number in range(rounds):
        tell(f"local gateway: round {number + 1} of {rounds}")
        few, many = [tunnelled(one) for one in range(FLOWS)], [tunnelled(one) for one in range(MANY)]
        values = {"veth": await bare(few, seconds), "veth_many": await bare(many, seconds)}
        values["decap"], values["encap"] = await Gateway(FLOWS).rates(seconds)
        values["decap_many"], values["encap_many"] = await Gateway(MANY).rates(seconds)
        with tempfile.TemporaryDirectory() as folder, _one_core():
            values["ovs"] = (await packets.ovs_rate(few, Path(folder), seconds)).arrived
        values["added"] = await added_latency(200)
        for name, value in values.items():
            found.setdefault(name, []).append(value)
    middle = {name: statistics.median(values) for name, values in found.items()}

    def ratio(name: str, to: str) -> float:
        """In the middle of the rounds: what disturbs the machine disturbs both of a round."""
        return statistics.median(one / other for one, other in zip(found[name], found[to], strict=True))

    return {
        **{f"lgw.{name}_mpps": round(middle[name] / 1e6, 3) for name in ("veth", "decap", "encap", "ovs")},
        "lgw.decap_ratio_veth": round(ratio("decap", "veth"), 3),
        "lgw.encap_ratio_veth": round(ratio("encap", "veth"), 3),
        "lgw.ratio_veth_10k": round(min(ratio("decap_many", "veth_many"), ratio("encap_many", "veth_many")), 3),
        "lgw.added_latency_us": round(middle["added"], 1),
        "lgw.ratio_ovs": round(ratio("decap", "ovs"), 2),
    }
