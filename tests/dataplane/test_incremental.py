"""A few intents more or less among many: what comes out is what compiling and proving everything gives."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import pytest

from skerry.dataplane.compile import Network, compile_network
from skerry.dataplane.flows import Change, DeviceState
from skerry.dataplane.intents import (
    Chain,
    Classifier,
    Count,
    Device,
    Drop,
    Duplicate,
    Forward,
    Intents,
    LinkMember,
    NextHop,
    Pass,
    Port,
    PortRange,
    RateLimit,
    Rewrite,
    Side,
    Steer,
    Steering,
    Topology,
    VirtualLink,
    Wire,
)
from skerry.dataplane.planning import Planner
from skerry.dataplane.proof import Tables
from skerry.dataplane.records import DeviceRecord, IntentRecord, Wishes, copied, difference
from skerry.dataplane.state import changed
from skerry.dataplane.verify import verify
from skerry.errors import SkerryError
from tests.dataplane.nets import edge, function, hop, switches

PREFIXES = ("", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.3", "192.168.0.0/16")
PORTS = (("ran",), ("core",), ("ran", "core"), ("app",), ("mon",), ())
CHAIN = Chain(id="chain", hops=(hop(function("f", "f1i", "f1o")),))


def classifier(chance: random.Random) -> Classifier:
    low = chance.randrange(1, 200)
    ranges = (PortRange(low=low, high=low + chance.randrange(40)),)
    proto = chance.choice((None, 6, 17))
    return Classifier(
        ports=chance.choice(PORTS),
        proto=proto,
        dst_ports=ranges if proto and chance.random() < 0.5 else (),
        ip_src=chance.choice(PREFIXES),
        ip_dst=chance.choice(PREFIXES),
    )


def actions(chance: random.Random) -> tuple[Any, ...]:
    usual: Sequence[tuple[Any, ...]] = (
        (Drop(),),
        (Pass(),),
        (Count(),),
        (Forward(port="app"),),
        (Forward(port="mon", vlan=7),),
        (Rewrite(dscp=9), Forward(port="core")),
    )
    rare: Sequence[tuple[Any, ...]] = (
        (Steer(chain="chain"),),
        (RateLimit(rate_bps=10_000),),
        (Duplicate(port="mon"),),
        (Forward(port="f1i"),),
        (Forward(port="nowhere"),),
    )
    return chance.choice(rare if chance.random() < 0.06 else usual)


def intent(chance: random.Random, id: str) -> Intents:
    if chance.random() < 0.15:
        hops = ("app", "mon", "core")
        return NextHop(id=id, port="ran", classifier=classifier(chance), next=chance.choice(hops))
    return Steering(
        id=id,
        classifier=classifier(chance),
        actions=actions(chance),
        priority=chance.choice((100, 500, 900)),
        sticky_s=30 if chance.random() < 0.005 else 0,
    )


def line() -> Wishes:
    """A device in the middle of a line, with a chain."""
    return wishes(edge(), Wire(id="line", a="ran", b="core"), CHAIN)


WIDE = ("s1.1", "s1.2", "s1.3", "s1.4", "s1.5", "s1.6", "s2.1", "s2.2", "s2.5")


def wide() -> Wishes:
    """Two devices with a link, a virtual link, a chain, a light function at s1.3, ports of a tenant."""
    known = switches("s1", "s2", links=(("s1", "s2"),))
    changes: Mapping[str, Mapping[str, Any]] = {
        "s1.3": {"side": Side.LVNF},
        **{id: {"tenant": "blue"} for id in ("s1.5", "s1.6", "s2.5")},
    }
    ports = tuple(msgspec.structs.replace(port, **changes.get(port.id, {})) for port in known.ports)
    wires = (Wire(id="w1", a="s1.1", b="s1.2"), Wire(id="w2", a="s2.1", b="s2.6"))
    chain = Chain(id="chain", hops=(hop(function("f", "s2.3", "s2.4")),))
    joined = VirtualLink(id="vl", members=(LinkMember(port="s1.4"), LinkMember(port="s2.2")))
    return wishes(Topology(devices=known.devices, ports=ports, links=known.links), *wires, chain, joined)


def wide_intent(chance: random.Random, id: str) -> Intents:
    tenant = chance.choice(("", "", "blue"))
    chosen = Classifier(
        ports=tuple(chance.sample(WIDE, chance.choice((0, 1, 1, 2)))),
        proto=chance.choice((None, 6)),
        ip_src=chance.choice(PREFIXES),
        ip_dst=chance.choice(PREFIXES),
    )
    if chance.random() < 0.1:
        alone = msgspec.structs.replace(chosen, ports=())
        return NextHop(id=id, tenant=tenant, port=chance.choice(WIDE), classifier=alone, next=chance.choice(WIDE))
    out = Forward(port=chance.choice(WIDE))
    kinds: Sequence[tuple[Any, ...]] = ((Drop(),), (Pass(),), (out,), (out,), (Rewrite(dscp=3), out), (Drop(),))
    some = (Steer(chain="chain"),) if chance.random() < 0.03 else chance.choice(kinds)
    return Steering(id=id, tenant=tenant, classifier=chosen, actions=some, priority=chance.choice((100, 500, 900)))


def wishes(topology: Topology, *intents: Intents) -> Wishes:
    return Wishes(
        devices={device.id: DeviceRecord(device=device) for device in topology.devices},
        ports={port.id: port for port in topology.ports},
        links={link.id: link for link in topology.links},
        intents={one.id: IntentRecord(intent=one) for one in intents},
    )


def full(draft: Wishes) -> Network | None:
    """Everything compiled and proven, None where it is refused."""
    try:
        network = compile_network(draft.topology, [record.intent for record in draft.intents.values()])
    except SkerryError:
        return None
    return None if verify(network) else network


def sorted_states(states: Mapping[str, DeviceState]) -> dict[str, DeviceState]:
    def ordered(state: DeviceState) -> DeviceState:
        return msgspec.structs.replace(state, rules=tuple(sorted(state.rules, key=lambda rule: rule.key)))

    return {name: ordered(state) for name, state in states.items()}


def done(states: Mapping[str, DeviceState], plan: Sequence[Change]) -> dict[str, DeviceState]:
    """States after a plan."""
    found = dict(states)
    for change in plan:
        found[change.device] = changed(found[change.device], change)
    return found


def _above(tables: Tables) -> dict[int, set[int]]:
    return {key: {id(rule) for rule in above} for key, above in tables.higher.items()}


@pytest.mark.feature("E71", "E118")
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("base", "made"), [(line, intent), (wide, wide_intent)])
async def test_any_sequence_of_changes_comes_out_as_if_all_was_done_anew(
    base: Callable[[], Wishes], made: Callable[[random.Random, str], Intents], seed: int
) -> None:
    chance = random.Random(seed)
    planner = Planner(many=0)
    now = base()
    network, _ = await planner.plan(Wishes(), now, Network(topology=Topology(), states={}), failing=False)
    short = refused = 0
    for _ in range(60):
        draft = copied(now)
        for _ in range(chance.choice((1, 1, 1, 2, 3))):
            id = f"i{chance.randrange(20)}"
            if id in draft.intents and chance.random() < 0.4:
                del draft.intents[id]
            else:
                draft.intents[id] = IntentRecord(intent=made(chance, id))
        wanted = full(draft)
        try:
            found, plan = await planner.plan(now, draft, network, failing=False)
        except SkerryError:
            assert wanted is None
            refused += 1
            continue
        assert wanted is not None
        assert sorted_states(found.states) == sorted_states(wanted.states)
        assert (found.entries, found.taps, found.ways) == (wanted.entries, wanted.taps, wanted.ways)
        if plan is not None:
            short += 1
            assert sorted_states(done(network.states, plan)) == sorted_states(wanted.states)
            for device, state in found.states.items():
                tables, fresh = planner.tables(found, device), Tables(state)
                assert tables is not None
                assert _above(tables) == _above(fresh)
        put, drop = difference(now, draft)
        assert {record.id for record in put} | set(drop) == {
            f"intent/{id}" for id in {*now.intents, *draft.intents} if now.intents.get(id) != draft.intents.get(id)
        }
        now, network = draft, found
    assert short
    assert refused


@pytest.mark.feature("E71")
async def test_what_reaches_a_port_by_another_way_than_from_outside_is_proven_in_full() -> None:
    topology = switches("s1", "s2", links=(("s1", "s2"),))
    planner = Planner(many=0)
    now = wishes(topology, Wire(id="w", a="s1.1", b="s1.2"))
    network, _ = await planner.plan(Wishes(), now, Network(topology=Topology(), states={}), failing=False)
    for target, known in (("s1.3", True), ("s2.1", False)):
        draft = copied(now)
        rule = Steering(id="s", classifier=Classifier(ports=("s1.1",), proto=6), actions=(Forward(port=target),))
        draft.intents["s"] = IntentRecord(intent=rule)
        found, plan = await planner.plan(now, draft, network, failing=False)
        assert (plan is not None) is known
        wanted = full(draft)
        assert wanted is not None
        assert sorted_states(found.states) == sorted_states(wanted.states)


@pytest.mark.feature("E118")
async def test_one_among_ten_thousand_costs_a_small_part_of_all() -> None:
    ports = tuple(Port(id=f"p{n}", device="d", side=Side.HOST, number=n) for n in (1, 2))
    topology = Topology(devices=(Device(id="d"),), ports=ports)
    many = [
        Steering(
            id=f"s{n}",
            classifier=Classifier(ports=("p1",), proto=17, ip_src=f"10.0.{n >> 8}.{n & 255}"),
            actions=(Forward(port="p2"),),
        )
        for n in range(3000)
    ]
    planner = Planner()
    now = wishes(topology, *many)
    begun = time.perf_counter()
    network, _ = await planner.plan(Wishes(), now, Network(topology=Topology(), states={}), failing=False)
    whole = time.perf_counter() - begun
    taken: list[float] = []
    for n in range(9):
        draft = copied(now)
        one = msgspec.structs.replace(many[n], actions=(Drop(),))
        draft.intents[one.id] = IntentRecord(intent=one)
        begun = time.perf_counter()
        network, plan = await planner.plan(now, draft, network, failing=False)
        taken.append(time.perf_counter() - begun)
        assert plan is not None
        assert [len(change.put_rules) for change in plan] == [1]
        now = draft
    assert min(taken) < whole / 5  # usually a hundredth
