"""The service: proof before, states after, restarts, refusals by engines, links that fail, scenarios switched under traffic."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from skerry.dataplane.driver import DeviceSpec, EngineEvent, EventKind
from skerry.dataplane.drivers import simulated
from skerry.dataplane.flows import Change, Field
from skerry.dataplane.hosting import Hosting
from skerry.dataplane.intents import (
    Chain,
    Classifier,
    Device,
    Forward,
    Intents,
    Port,
    Rewrite,
    Side,
    Steer,
    Steering,
    Topology,
    Wire,
)
from skerry.dataplane.planning import MANY, Planner
from skerry.dataplane.records import Forgetful
from skerry.dataplane.service import DataPlane
from skerry.dataplane.state import changed, difference
from skerry.dataplane.views import RuleState
from skerry.engine.clock import SystemClock
from skerry.errors import ConflictError, DriverError, InvalidError, NotFoundError, RefusedError
from tests.dataplane.nets import edge, function, hop, switches, to_port

A, B = "02:00:00:00:00:0a", "02:00:00:00:00:0b"
LINE = Wire(id="line", a="ran", b="core")


class Bench:
    """A service on the simulated engine; `again` is what a restart makes of it."""

    def __init__(self, folder: Path, many: int = MANY) -> None:
        self.folder, self.ledger, self.many = folder, Forgetful(), many
        self.told: list[tuple[str, str, Mapping[str, Any]]] = []
        self.plane = self._make()

    def _make(self) -> DataPlane:
        clock = SystemClock()
        hosting = Hosting("n", self.folder, clock, "simulated")
        return DataPlane(
            self.ledger, hosting, clock, tell=lambda *what: self.told.append(what), planner=Planner(self.many)
        )

    @property
    def world(self) -> simulated.World:
        return simulated.world(self.folder / "simulated")

    async def again(self) -> None:
        await self.plane.stop()
        self.plane = self._make()
        await self.plane.start()

    async def lay(self, topology: Topology, *intents: Intents) -> None:
        devices = tuple(Device(id=device.id, engine="simulated") for device in topology.devices)
        await self.plane.put_topology(Topology(devices=devices, ports=topology.ports, links=topology.links))
        ports = {port.id: (port.device, port.number) for port in topology.ports}
        for link in topology.links:
            self.world.connect(ports[link.a], ports[link.b])
        await self.plane.put(*intents)

    def send(self, port: str, frame: bytes) -> list[str]:
        """Really send a frame; where it left."""
        known = {(one.device, one.number): one.id for one in self.plane.ports()}
        here = self.plane.port(port)
        left = self.world.send(here.device, here.number, frame, time.monotonic())
        return sorted(known[(device, emitted.port)] for device, emitted in left)

    async def states(self) -> set[str]:
        return {view.state.value for view in await self.plane.rules() if view.rule.owner}


@pytest.fixture(params=[MANY, 0], ids=["whole", "incremental"])
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path, request.param)
    await made.plane.start()
    yield made
    await made.plane.stop()


def web(sport: int = 4000) -> bytes:
    return bytes(Ether(src=A, dst=B) / IP(src="10.0.0.1", dst="10.0.0.2") / TCP(sport=sport, dport=80))


@pytest.mark.feature("E46")
async def test_rules_are_verified_by_probes_and_found_again_after_a_restart(bench: Bench) -> None:
    await bench.lay(edge(), LINE, Steering(id="s", classifier=to_port(80, "ran"), actions=(Forward(port="app"),)))
    assert await bench.states() == {"VERIFIED"}
    assert bench.send("ran", web()) == ["app"]
    before = bench.world.devices["s1"].index
    (revision,) = [view.revision for view in bench.plane.devices()]
    await bench.again()
    assert bench.world.devices["s1"].index is before  # adopted as it was
    assert [view.revision for view in bench.plane.devices()] == [revision]
    views = {view.rule.owner: view for view in await bench.plane.rules() if view.packets}
    assert (views["s"].state, views["s"].packets) == (RuleState.VERIFIED, 1)
    assert {intent.id for intent in bench.plane.intents()} == {"line", "s"}


async def times(bench: Bench) -> dict[int, str]:
    """Since when the rules of intents are verified."""
    return {view.rule.cookie: view.verified_at for view in await bench.plane.rules() if view.rule.owner}


@pytest.mark.feature("E46", "E71")
async def test_what_was_verified_is_so_after_a_restart_unless_something_else_is_there(bench: Bench) -> None:
    steering = Steering(id="s", classifier=to_port(80, "ran"), actions=(Forward(port="app"),))
    await bench.lay(edge(), LINE, steering)
    before = await times(bench)
    assert all(before.values())
    await asyncio.sleep(0.002)  # a time of proof says more than that
    await bench.again()
    assert await times(bench) == before

    await bench.plane.stop()
    gone = next(rule for rule in bench.world.devices["s1"].index.state.rules if rule.owner == "s")
    device = bench.world.devices["s1"]
    device.install(changed(device.index.state, Change(device="s1", drop_rules=(gone,))))
    await bench.again()
    async with asyncio.timeout(30):
        while await bench.states() != {"VERIFIED"}:
            await asyncio.sleep(0.01)
    after = await times(bench)
    assert after.keys() == before.keys()
    assert all(after[cookie] > since for cookie, since in before.items())

    await bench.plane.put(msgspec.structs.replace(steering, actions=(Forward(port="mon"),)))
    async with asyncio.timeout(30):
        while (await times(bench))[gone.cookie] <= after[gone.cookie]:
            await asyncio.sleep(0.01)
    await bench.plane.remove("s")
    proven = {view.rule.cookie for view in await bench.plane.rules() if view.verified_at}
    await bench.plane.stop()
    kept = [record for record in bench.ledger.load() if record.id.startswith("proven/")]
    assert gone.cookie not in proven
    assert {cookie for record in kept for cookie in record.body.times} == proven  # type: ignore[union-attr]


@pytest.mark.feature("E46")
async def test_what_changed_behind_our_back_is_shown_and_mended(bench: Bench) -> None:
    await bench.lay(edge(), LINE)
    engine = simulated.Driver(bench.plane._hosting._context("simulated"))
    now = (await engine.read_back("s1")).state()
    foreign = msgspec.structs.replace(now.rules[0], priority=77, cookie=77, owner="")
    broken = msgspec.structs.replace(now, rules=(*(rule for rule in now.rules if rule.owner != "line"), foreign))
    await engine.apply(difference(now, broken, 1))
    assert bench.send("ran", web()) == []
    shown = {(view.rule.owner, view.state) for view in await bench.plane.rules()}
    assert {("line", RuleState.REQUESTED), ("", RuleState.FOREIGN)} <= shown
    bench.world.tell(EngineEvent(device="s1", kind=EventKind.LOST, detail="emptied"))
    for _ in range(100):
        await asyncio.sleep(0.01)
        if bench.send("ran", web()) == ["core"]:
            break
    assert bench.send("ran", web()) == ["core"]
    assert RuleState.FOREIGN not in {view.state for view in await bench.plane.rules()}
    assert ("dataplane.lost", "s1") in [what[:2] for what in bench.told]


async def test_devices_of_a_crash_are_removed(bench: Bench) -> None:
    await bench.lay(edge(), LINE)
    await simulated.Driver(bench.plane._hosting._context("simulated")).prepare(DeviceSpec(name="stray"))
    assert "stray" in bench.world.devices
    await bench.again()
    assert list(bench.world.devices) == ["s1"]


@pytest.mark.feature("E46")
async def test_a_refused_change_leaves_everything(bench: Bench) -> None:
    await bench.lay(
        edge(), LINE, Steering(id="all", classifier=Classifier(ports=("ran",)), actions=(Forward(port="app"),))
    )
    hidden = Steering(id="hidden", priority=400, classifier=to_port(80, "ran"), actions=(Forward(port="mon"),))
    with pytest.raises(RefusedError) as refused:
        await bench.plane.put(hidden)
    (fault,) = refused.value.faults
    assert (fault.code, fault.path) == ("shadowed", "all, hidden")
    witness = bytes.fromhex(fault.fix.split(": ")[1].split(";")[0])
    assert [rule.owner for rule in (await bench.plane.trace("ran", witness)).steps[0].rules][-1] == "all"
    with pytest.raises(NotFoundError):
        bench.plane.intent("hidden")
    with pytest.raises(InvalidError):
        await bench.plane.remove_port("ran")
    with pytest.raises(ConflictError):
        await bench.plane.put(Steering(id="all", tenant="blue", classifier=Classifier()))
    assert bench.send("ran", web()) == ["app"]


class Fussy(simulated.Driver):
    """Refuses every change that has a certain VLAN in it."""

    async def apply(self, change: Change) -> None:
        if any("vid=666" in repr(rule.actions) for rule in change.put_rules):
            raise DriverError("cannot do that: the machine refuses")
        await super().apply(change)


@pytest.mark.feature("E46")
async def test_what_an_engine_refuses_is_taken_back_everywhere(bench: Bench) -> None:
    topology = switches("a", "b", links=[("a", "b")])
    await bench.lay(topology, Wire(id="w", a="a.1", b="b.1"))
    hosting = bench.plane._hosting
    hosting._engines["simulated"] = Fussy(hosting._context("simulated"))
    chain = Chain(id="c", exit="b.1", hops=(hop(function("f", "b.3", "b.4")),))
    lead = Steering(id="s", classifier=to_port(80, "a.1"), actions=(Steer(chain="c"),))
    bad = Steering(id="bad", classifier=to_port(81, "b.2"), actions=(Forward(port="b.5", vlan=666),))
    with pytest.raises(DriverError):
        await bench.plane.put(chain, lead, bad)
    assert [intent.id for intent in bench.plane.intents()] == ["w"]
    assert bench.send("a.1", web()) == ["b.1"]
    owners = {view.rule.owner for view in await bench.plane.rules()}
    assert owners == {"", "w"}
    await bench.again()
    assert [intent.id for intent in bench.plane.intents()] == ["w"]


@pytest.mark.feature("E46")
async def test_an_engine_that_cannot_is_named(bench: Bench) -> None:
    with pytest.raises(InvalidError, match="cannot find the data-plane engine nowhere"):
        await bench.plane.put_topology(
            Topology(devices=(Device(id="d", engine="nowhere"),), ports=(Port(id="p", device="d", side=Side.HOST),))
        )
    assert bench.plane.devices() == []


@pytest.mark.feature("C35")
async def test_a_cut_link_is_led_around_within_a_second(bench: Bench) -> None:
    topology = switches("a", "b", "c", links=[("a", "b"), ("b", "c"), ("a", "c")])
    await bench.lay(topology, Steering(id="s", classifier=Classifier(ports=("a.1",)), actions=(Forward(port="c.1"),)))
    assert bench.send("a.1", web()) == ["c.1"]
    cut = next(port for port in topology.ports if port.id == "a-c")
    bench.world.wires.clear()
    ports = {port.id: (port.device, port.number) for port in topology.ports}
    for link in topology.links[:2]:
        bench.world.connect(ports[link.a], ports[link.b])
    begin = time.monotonic()
    bench.world.tell(EngineEvent(device="a", kind=EventKind.PORT_DOWN, port=cut.number))
    while bench.send("a.1", web()) != ["c.1"]:
        await asyncio.sleep(0.005)
        assert time.monotonic() - begin < 1.0
    assert [link.up for link in bench.plane.links()] == [True, True, False]
    bench.world.tell(EngineEvent(device="b", kind=EventKind.PORT_DOWN, port=12))
    while not bench.plane.unreachable:
        await asyncio.sleep(0.005)
    assert bench.plane.unreachable[0].path == "s"
    await bench.plane.put(Wire(id="w", a="b.1", b="b.2"))  # the rest can still be changed
    with pytest.raises(ConflictError):
        await bench.plane.put(Steering(id="t", classifier=Classifier(ports=("c.2",)), actions=(Forward(port="a.2"),)))


def scenario(*actions: Any) -> Steering:
    return Steering(id="scenario", classifier=to_port(80, "ran"), actions=actions, sticky_s=60)


@pytest.mark.feature("E102", "E103", "E104")
async def test_three_scenarios_are_switched_under_established_flows(bench: Bench) -> None:
    to_core, to_app = scenario(Forward(port="core")), scenario(Forward(port="app"))
    served_first = scenario(Steer(chain="served"))
    served = Chain(id="served", exit="core", hops=(hop(function("app", "f1i", "f1o")),))
    await bench.lay(edge(), LINE, served, to_core)
    assert bench.send("ran", web(1)) == ["core"]
    await bench.plane.put(to_app)
    assert (bench.send("ran", web(1)), bench.send("ran", web(2))) == (["core"], ["app"])
    await bench.plane.put(served_first)
    assert [bench.send("ran", web(flow)) for flow in (1, 2, 3)] == [["core"], ["app"], ["f1i"]]
    assert bench.send("f1o", web(3)) == ["core"]
    await bench.plane.put(to_core)
    assert [bench.send("ran", web(flow)) for flow in (1, 2, 3, 4)] == [["core"], ["app"], ["f1i"], ["core"]]
    await bench.again()
    assert [bench.send("ran", web(flow)) for flow in (1, 2, 3, 4)] == [["core"], ["app"], ["f1i"], ["core"]]


@pytest.mark.feature("E103")
async def test_former_scenarios_end_when_their_flows_do(bench: Bench) -> None:
    short = msgspec.structs.replace(scenario(Forward(port="app")), sticky_s=1)
    await bench.lay(edge(), LINE, short)
    assert bench.send("ran", web(1)) == ["app"]
    await bench.plane.remove("scenario")
    assert (bench.send("ran", web(1)), bench.send("ran", web(2))) == (["app"], ["core"])

    def pinned() -> bool:
        states = bench.plane.network.states["s1"].rules
        return any(term.field is Field.PIN for rule in states for term in rule.match)

    assert pinned()
    begin = time.monotonic()
    while pinned():
        await asyncio.sleep(0.05)
        assert time.monotonic() - begin < 6
    assert time.monotonic() - begin > 1.0
    assert bench.send("ran", web(1)) == ["core"]


async def test_a_former_scenario_ends_with_its_port(bench: Bench) -> None:
    await bench.lay(edge(), LINE, scenario(Forward(port="mon")))
    assert bench.send("ran", web(1)) == ["mon"]
    await bench.plane.remove("scenario")
    await bench.plane.remove_port("mon")
    assert bench.send("ran", web(1)) == ["core"]


async def test_all_intents_of_an_owner_are_replaced_at_once(bench: Bench) -> None:
    await bench.lay(edge(), LINE)
    first = Steering(id="a1", classifier=to_port(80, "ran"), actions=(Forward(port="app"),))
    second = Steering(id="a2", classifier=to_port(81, "ran"), actions=(Rewrite(dscp=1), Forward(port="mon")))
    await bench.plane.replace_owner("app:1", (first,))
    assert bench.send("ran", web()) == ["app"]
    await bench.plane.replace_owner("app:1", (second,))
    assert [intent.id for intent in bench.plane.intents(owner="app:1")] == ["a2"]
    assert bench.send("ran", web()) == ["core"]
    await bench.plane.replace_owner("app:1", ())
    assert [intent.id for intent in bench.plane.intents()] == ["line"]


@pytest.mark.feature("E46")
async def test_many_rules_are_verified_in_the_breaks(bench: Bench) -> None:
    many = [Steering(id=f"s{n}", classifier=to_port(n, "ran"), actions=(Forward(port="app"),)) for n in range(1, 201)]
    await bench.lay(edge(), LINE, *many)
    states = [view.state for view in await bench.plane.rules() if view.rule.owner]
    assert (states.count(RuleState.VERIFIED) < 200, RuleState.REQUESTED in states) == (True, False)
    begin = time.monotonic()
    while await bench.states() != {"VERIFIED"}:
        await asyncio.sleep(0.02)
        assert time.monotonic() - begin < 10


@pytest.mark.feature("A39", "E71")
async def test_a_refusal_and_a_trace_name_nothing_of_other_tenants(bench: Bench) -> None:
    ports = [*edge().ports, Port(id="blue1", device="s1", number=20, side=Side.HOST, tenant="blue")]
    secret = Steering(
        id="secret",
        tenant="red",
        classifier=Classifier(ports=("ran",), proto=6),
        actions=(Steer(chain="hush"),),
        priority=900,
    )
    hush = Chain(id="hush", tenant="red", hops=(hop(function("whisper", "f1i", "f1o")),), exit="app")
    await bench.lay(Topology(devices=edge().devices, ports=tuple(ports)), LINE, hush, secret)
    shadowed = Steering(id="mine", tenant="blue", classifier=to_port(80, "ran"), actions=(Forward(port="blue1"),))
    for all_seen in (False, True):
        with pytest.raises(RefusedError) as refused:
            await bench.plane.put(shadowed, tenant="blue", all_seen=all_seen)
        told = str((refused.value.detail, refused.value.faults, refused.value.suggestion))
        assert "mine" in told
        assert ("secret" in told) is all_seen
        assert "witness" in told  # a frame that it asked about itself

    seen = {tenant: await bench.plane.trace("ran", web(), tenant=tenant) for tenant in ("red", "blue", None)}
    assert seen[None] == seen["red"]
    assert seen["red"].functions == ("whisper",)
    assert any(sent.frame for step in seen["red"].steps for sent in step.sent)
    assert "whisper" not in str(seen["blue"].functions)
    assert not any(sent.frame or sent.function == "whisper" for step in seen["blue"].steps for sent in step.sent)
