"""Micro network functions: how soon the first packet is through, what they weigh, how fast packets pass, swaps under load.

Every path has the same generator on the same core. A frame of a function crosses two pairs, the bare one a single pair.
"""

from __future__ import annotations

import asyncio
import os
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from benchmarks import lgw, packets
from benchmarks.figures import Figure, Scale
from skerry.linux import namespaces, netlink, syscalls
from skerry.lvnf.backend import Backend, Place
from skerry.lvnf.backends.ebpf import EbpfBackend
from skerry.lvnf.backends.process import ProcessBackend
from skerry.lvnf.checking import read

FIGURES: Mapping[str, Figure] = {
    "lvnf.boot_ebpf_ms": Figure("a function in the kernel: from its text to the first packet through it, ms", most=25),
    "lvnf.boot_process_ms": Figure("the same for one that is a process, ms", most=60),
    "lvnf.boot_process_p99_ms": Figure("the slowest of a hundred such starts, ms"),
    "lvnf.process_mb": Figure("what each of 20 processes takes, its share of what they share included, MB", most=6),
    "lvnf.ebpf_mb": Figure("what the kernel accounts for its maps and programs, MB", most=1),
    "lvnf.veth_mpps": Figure("a bare veth pair, million packets/s on one core"),
    "lvnf.decap_mpps": Figure("out of GTP-U, counted, forwarded: million packets/s on one core"),
    "lvnf.ratio_veth": Figure("the same against a bare pair", least=0.6),
    "lvnf.boot_500_s": Figure("500 functions in the kernel, each with two ports, one after the other, s", most=15),
    "lvnf.swap_lost": Figure("packets lost by 20 changes of the configuration under load", most=0),
}
MANY = 500
SWAPS = 20
_TOGETHER = 20
SWAP_SECONDS = 2.0
DECAP = """
FromDevice(eth0) -> Strip(14) -> CheckIPHeader -> Strip(28) -> GTPDecap -> counted :: Counter
    -> EtherEncap(0x0800, 02:00:00:00:00:01, 02:00:00:00:00:02) -> ToDevice(eth1);
"""
OTHER = DECAP.replace("-> counted", "-> Null -> counted")


class Function:
    """A function with its ports in a namespace, the far ends in two others, and what runs in it."""

    def __init__(self, backend: Backend, namespace: Path, source: Path, target: Path, folder: Path) -> None:
        self.backend, self.source, self.target = backend, source, target
        self.place = Place(name="bench", folder=folder, namespace=namespace)

    def boot(self) -> float:
        """Seconds until the first packet is through."""
        frame = lgw.tunnelled(1)
        with _raw(self.source, "far0") as near, _raw(self.target, "far0") as far:
            begun = time.perf_counter()
            running = self.backend.start(read(DECAP), self.place)
            try:
                near.send(frame)
                far.recv(1 << 16)
                return time.perf_counter() - begun
            finally:
                running.stop()

    def weight(self, count: int) -> float:
        """The bytes that each of so many functions takes."""
        running = [
            self.backend.start(read(DECAP), msgspec.structs.replace(self.place, folder=self.place.folder / str(number)))
            for number in range(count)
        ]
        try:
            return statistics.mean(one.usage().memory_bytes for one in running)
        finally:
            for one in running:
                one.stop()

    def rate(self, seconds: float) -> tuple[float, float]:
        """Packets a second that arrive, and the bytes of memory that it uses."""
        running = self.backend.start(read(DECAP), self.place)
        generator = lgw.Sweep(self.source, "far0", [lgw.tunnelled(one) for one in range(lgw.FLOWS)])
        try:
            return lgw._measured(generator, self.target, seconds), running.usage().memory_bytes
        finally:
            generator.close()
            running.stop()

    def lost(self) -> int:
        """Packets that did not come through while the configuration was changed again and again."""
        running = self.backend.start(read(DECAP), self.place)
        before, sent = packets.received(self.target, "far0"), 0
        done = threading.Event()

        def load() -> None:
            nonlocal sent
            with _raw(self.source, "far0") as near:
                frame = lgw.tunnelled(1)
                while not done.is_set():
                    near.send(frame)
                    sent += 1

        sender = threading.Thread(target=load)
        sender.start()
        try:
            for number in range(SWAPS):
                running.replace(read(DECAP if number % 2 else OTHER))
                time.sleep(SWAP_SECONDS / SWAPS)
        finally:
            done.set()
            sender.join()
        _settled(lambda: packets.received(self.target, "far0"), before + sent)
        arrived = packets.received(self.target, "far0") - before
        counted = int(running.read("counted", "count"))
        running.stop()
        return max(sent - arrived, sent - counted)


def _settled(value: Callable[[], int], wanted: int) -> None:
    deadline = time.monotonic() + 2
    while value() < wanted and time.monotonic() < deadline:
        time.sleep(0.01)


@contextmanager
def _raw(place: Path, interface: str) -> Iterator[socket.socket]:
    with namespaces.inside(place):
        found = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        found.bind((interface, 3))
    found.settimeout(5)
    try:
        yield found
    finally:
        found.close()


@contextmanager
def function(backend: Backend) -> Iterator[Function]:
    """Namespaces and pairs for one function."""
    with (
        packets.places("lvnf", "from", "to") as (inside, source, target),
        tempfile.TemporaryDirectory() as folder,
    ):
        packets.pair(inside, "eth0", source, "far0")
        packets.pair(inside, "eth1", target, "far0")
        yield Function(backend, inside, source, target, Path(folder))


def boot_many(backend: Backend, count: int) -> float:
    """Seconds for so many functions, each in a namespace of its own with two ports; all far ends are together in one."""
    graph = read(DECAP)
    names = ["outside", *(f"many{number}" for number in range(count))]
    with packets.places(*names) as (outside, *insides), tempfile.TemporaryDirectory() as folder:
        for number, inside in enumerate(insides):
            _ports(outside, inside, number)
        begun = time.monotonic()
        running = []
        try:
            for number, inside in enumerate(insides):
                place = Place(name=f"bench{number}", folder=Path(folder) / str(number), namespace=inside)
                running.append(backend.start(graph, place))
            return time.monotonic() - begun
        finally:
            for one in running:
                one.stop()


def _ports(outside: Path, inside: Path, number: int) -> None:
    with syscalls.network_kept():
        namespaces.enter(inside)
        within = syscalls.own_network()
        try:
            namespaces.enter(outside)
            with netlink.Netlink() as kernel:
                for port in (0, 1):
                    name, mac = f"f{number}-{port}", f"02:00:00:00:00:0{port}"
                    kernel.run(
                        [
                            netlink.veth(
                                name, peer=f"eth{port}", peer_namespace=within, peer_mac=mac, master=0, mtu=1500
                            ),
                            netlink.link_up(name),
                        ]
                    )
        finally:
            os.close(within)


async def measure(scale: Scale, tell: Callable[[str], None]) -> dict[str, float]:
    """All figures; paths are measured in turn, several times, and the medians are compared."""
    return await asyncio.to_thread(_measure, scale, tell)


def _processes(scale: Scale) -> dict[str, float]:
    backend = ProcessBackend()
    try:
        with function(backend) as one:
            one.boot()  # the first one warms up what all are forked from
            boots = sorted(one.boot() for _ in range(9 * scale.rounds))
            weight = one.weight(_TOGETHER)
    finally:
        backend.close()
    return {
        "lvnf.boot_process_ms": round(statistics.median(boots) * 1e3, 2),
        "lvnf.boot_process_p99_ms": round(boots[int(len(boots) * 0.99)] * 1e3, 2),
        "lvnf.process_mb": round(weight / 1e6, 2),
    }


def _measure(scale: Scale, tell: Callable[[str], None]) -> dict[str, float]:
    backend = EbpfBackend()
    boots: list[float] = []
    bare: list[float] = []
    through: list[float] = []
    memory = 0.0
    with function(backend) as one:
        tell(f"micro functions: {3 * scale.rounds} boots")
        boots += [one.boot() for _ in range(3 * scale.rounds)]
        for number in range(min(scale.rounds, 5)):
            tell(f"micro functions: packets/s, round {number + 1}")
            bare.append(asyncio.run(lgw.bare([lgw.tunnelled(flow) for flow in range(lgw.FLOWS)], 0.5)))
            rate, memory = one.rate(0.5)
            through.append(rate)
        tell(f"micro functions: {SWAPS} swaps under load")
        lost = one.lost()
    many = MANY if scale.rounds > 1 else 10
    tell(f"micro functions: {many} at once")
    seconds = boot_many(backend, many)
    tell(f"micro functions: {9 * scale.rounds} boots of processes")
    return {
        **_processes(scale),
        "lvnf.boot_ebpf_ms": round(statistics.median(boots) * 1e3, 2),
        "lvnf.ebpf_mb": round(memory / 1e6, 3),
        "lvnf.veth_mpps": round(statistics.median(bare) / 1e6, 3),
        "lvnf.decap_mpps": round(statistics.median(through) / 1e6, 3),
        "lvnf.ratio_veth": round(statistics.median(through) / statistics.median(bare), 3),
        "lvnf.boot_500_s": round(seconds * MANY / many, 2),
        "lvnf.swap_lost": lost,
    }
