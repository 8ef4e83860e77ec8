"""What the data plane costs: ten thousand rules proven and applied, one rule from its request to its proof, the local gateway.

Rules are applied to each engine that works here, on a veth pair in a namespace of its own; the figure is that of the engine
that a node would choose. A rule is accepted when it is kept durably, verified when a probe was seen where it should be.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks import lgw
from benchmarks.calm import calm
from benchmarks.figures import Figure, Scale, median, rounded
from skerry.dataplane import catalogue
from skerry.dataplane.compile import Network, compile_network
from skerry.dataplane.driver import DeviceSpec, EngineContext
from skerry.dataplane.flows import DeviceState, PortState
from skerry.dataplane.hosting import Hosting
from skerry.dataplane.intents import (
    Classifier,
    Device,
    Forward,
    Intents,
    Port,
    PortRange,
    Side,
    Steering,
    Topology,
    Wire,
)
from skerry.dataplane.planning import Planner
from skerry.dataplane.records import DeviceRecord, IntentRecord, Wishes, copied
from skerry.dataplane.service import DataPlane
from skerry.dataplane.state import difference
from skerry.dataplane.verify import verify
from skerry.dataplane.views import RuleState
from skerry.engine.clock import SystemClock
from skerry.linux import namespaces, netlink, syscalls
from skerry.store.database import Database
from skerry.store.dataplane import Ledger

RULES = 10_000
CALM_S = 1.0
FIGURES: Mapping[str, Figure] = {
    "rules.compile_10k_s": Figure("10,000 intents to the state of a device"),
    "rules.verify_10k_s": Figure("the proof of 10,000 rules", 1),
    "rules.apply_10k_s": Figure("10,000 rules applied at one moment, on the engine that a node chooses", 0.5),
    "rules.apply_10k_ovs_s": Figure("the same on Open vSwitch"),
    "rules.apply_10k_ebpf_s": Figure("the same on eBPF"),
    "rules.verified_p50_ms": Figure("one rule among 100: kept, applied, read back, probed", 50),
    "rules.verified_p99_ms": Figure("the same, the slowest of a hundred"),
    "rules.change_10k_p50_ms": Figure("one rule among 10,000: compiled, proven, told apart from the others", 50),
    "rules.verified_10k_p50_ms": Figure("one rule among 10,000: kept, applied, read back, probed"),
    **lgw.FIGURES,
}
Say = Callable[[str], None]


async def measure(scale: Scale, say: Say) -> Mapping[str, float]:
    """All figures; those of engines that do not work here are left out."""
    found: dict[str, float] = {}
    await calm(CALM_S)
    found.update(_pure(max(3, scale.rounds // 3)))
    network = compile_network(TOPOLOGY, _intents(RULES))
    for engine in catalogue.rank(catalogue.engine_types()):
        if engine == catalogue.SIMULATED or not _works(engine):
            continue
        say(f"{engine}: 10,000 rules")
        seconds = await _applied(engine, network, max(3, scale.rounds // 3))
        found[f"rules.apply_10k_{engine}_s"] = seconds
        found.setdefault("rules.apply_10k_s", seconds)
    say("single rules")
    found["rules.change_10k_p50_ms"] = median(await _planned(scale.rounds)) * 1000
    found["rules.verified_10k_p50_ms"] = median(await _single(scale.rounds, RULES)) * 1000
    times = sorted(await _single(100, 100))
    found["rules.verified_p50_ms"], found["rules.verified_p99_ms"] = median(times) * 1000, times[-2] * 1000
    if _works("ebpf") and _works("ovs"):
        found.update(await lgw.measure(scale, say))
    return rounded(found.items())


TOPOLOGY = Topology(
    devices=(Device(id="d"),),
    ports=tuple(Port(id=f"p{n}", device="d", side=Side.HOST, number=n, interface=f"n{n}") for n in (1, 2)),
)


def _intents(count: int) -> list[Intents]:
    return [
        Steering(
            id=f"s{number}",
            classifier=Classifier(
                ports=("p1",), proto=17, ip_src=f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
            ),
            actions=(Forward(port="p2"),),
        )
        for number in range(count)
    ]


def _pure(rounds: int) -> Mapping[str, float]:
    intents = [*_intents(RULES), Wire(id="w", a="p1", b="p2")]
    compiling: list[float] = []
    proving: list[float] = []
    for _ in range(rounds):
        begin = time.perf_counter()
        network = compile_network(TOPOLOGY, intents)
        middle = time.perf_counter()
        assert verify(network) == []
        compiling.append(middle - begin)
        proving.append(time.perf_counter() - middle)
    return {"rules.compile_10k_s": median(compiling), "rules.verify_10k_s": median(proving)}


def _works(engine: str) -> bool:
    context = EngineContext(node="bench", data_dir=Path(tempfile.gettempdir()), clock=SystemClock())
    return not catalogue.load(engine)(context).capabilities().missing


@asynccontextmanager
async def _namespace() -> AsyncGenerator[str]:
    """A namespace with the interfaces n1 and n2, the ends of two pairs."""
    name = f"bench-{os.getpid()}"
    place = namespaces.place(name)
    await asyncio.to_thread(_make, place)
    try:
        yield name
    finally:
        namespaces.unpin(place)


def _make(place: Path) -> None:
    namespaces.unpin(place)
    namespaces.pin_new(place, {"net/ipv6/conf/default/disable_ipv6": "1", "net/ipv6/conf/all/disable_ipv6": "1"})
    with namespaces.inside(place), netlink.Netlink() as kernel:
        own = syscalls.own_network()
        for number in (1, 2):
            mac = f"02:00:00:00:0b:{number:02x}"
            pair = netlink.veth(f"n{number}", peer=f"f{number}", peer_namespace=own, peer_mac=mac, master=0, mtu=1500)
            kernel.run([pair, netlink.link_up(f"f{number}")])
        os.close(own)


async def _applied(engine: str, network: Network, rounds: int) -> float:
    state = network.states["d"]
    ports = tuple(PortState(number=n, name=f"p{n}", interface=f"n{n}") for n in (1, 2))
    empty = DeviceState(device="d", ports=ports)
    times: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        context = EngineContext(node=f"bench{os.getpid()}", data_dir=Path(folder), clock=SystemClock())
        async with _namespace() as namespace:
            driver = catalogue.load(engine)(context)
            await driver.open()
            await driver.prepare(DeviceSpec(name="d", namespace=namespace))
            try:
                for port in ports:
                    await driver.attach("d", port)
                for number in range(rounds):
                    put = difference(empty, state, 2 * number + 1)
                    begin = time.perf_counter()
                    await driver.apply(put)
                    times.append(time.perf_counter() - begin)
                    await driver.apply(difference(state, empty, 2 * number + 2))
            finally:
                await driver.teardown("d")
                await driver.close()
    return median(times)


async def _planned(count: int) -> list[float]:
    """Seconds for a plan of what one rule more changes among all."""
    planner, now = Planner(), Wishes()
    for device in TOPOLOGY.devices:
        now.devices[device.id] = DeviceRecord(device=device)
    now.ports.update((port.id, port) for port in TOPOLOGY.ports)
    now.intents.update((intent.id, IntentRecord(intent=intent)) for intent in _intents(RULES))
    network, _ = await planner.plan(Wishes(), now, Network(topology=Topology(), states={}), failing=False)
    times: list[float] = []
    for number in range(count):
        draft = copied(now)
        draft.intents[f"t{number}"] = IntentRecord(intent=_other(number))
        begin = time.perf_counter()
        network, plan = await planner.plan(now, draft, network, failing=False)
        times.append(time.perf_counter() - begin)
        assert plan is not None
        now = draft
    return times


async def _single(count: int, among: int) -> list[float]:
    """Seconds from the request of a rule to its proof."""
    with tempfile.TemporaryDirectory() as folder:
        clock = SystemClock()
        store = Database(Path(folder) / "skerry.db")
        store.open()
        async with _namespace() as namespace:
            plane = DataPlane(Ledger(store), Hosting(f"bench{os.getpid()}", Path(folder), clock), clock)
            await plane.start()
            try:
                await plane.put_topology(_in(namespace))
                await plane.put(*_intents(among))
                await _settled(plane)
                return [await _verified(plane, number) for number in range(count)]
            finally:
                await plane.remove(*(intent.id for intent in plane.intents()))
                for port in plane.ports():
                    await plane.remove_port(port.id)
                await plane.remove_device("d")
                await plane.stop()
                store.close()


def _in(namespace: str) -> Topology:
    return Topology(devices=(Device(id="d", namespace=namespace),), ports=TOPOLOGY.ports)


async def _settled(plane: DataPlane) -> None:
    """Until all rules that can be verified are."""
    unseen = -1
    while True:
        before, unseen = unseen, sum(not view.verified_at for view in await plane.rules())
        if unseen == before:
            return
        await asyncio.sleep(1.0)


def _other(number: int) -> Steering:
    one = PortRange(low=number + 1, high=number + 1)
    return Steering(
        id=f"t{number}", classifier=Classifier(ports=("p2",), proto=6, dst_ports=(one,)), actions=(Forward(port="p1"),)
    )


async def _verified(plane: DataPlane, number: int) -> float:
    steering = _other(number)
    begin = time.perf_counter()
    await plane.put(steering)
    views = await plane.rules(owner=steering.id)
    taken = time.perf_counter() - begin
    assert views
    assert {view.state for view in views} == {RuleState.VERIFIED}, views
    await plane.remove(steering.id)
    return taken
