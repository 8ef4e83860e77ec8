"""What a switch remembers or shares: broadcast domains, groups, pins, meters; and all of it read back."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import msgspec
import pytest

from skerry.dataplane.flows import (
    Bridge,
    Bucket,
    Domain,
    Group,
    Member,
    Meter,
    Output,
    Pin,
    Police,
    PopVlan,
    Select,
    match,
)
from tests.dataplane.ovs.frames import all_kinds, udp
from tests.dataplane.ovs.lab import DEVICE, Lab, rule

pytestmark = pytest.mark.real

BROADCAST = all_kinds()["broadcast"]
FLOWS = 600


def _ports(got: list[tuple[int, bytes]]) -> list[int]:
    return sorted(port for port, _ in got)


@pytest.mark.feature("E71", "E106")
async def test_a_domain_learns_where_addresses_are_and_forgets_them(lab: Lab) -> None:
    domain = Domain(id=7, members=(Member(port=1), Member(port=2), Member(port=3, vlan=20)), age_s=1)
    tagged = rule(match(in_port=3, vlan_vid=0x1014), PopVlan(), Bridge(domain=7), priority=200)
    state = lab.state(tagged, rule(match(vlan_vid=0), Bridge(domain=7)))
    await lab.put(msgspec.structs.replace(state, domains=(domain,)))
    assert _ports(await lab.inject(1, BROADCAST)) == [2, 3]
    assert _ports(await lab.inject(1, udp())) == [2, 3]
    assert _ports(await lab.inject(2, udp(back=True))) == [1]
    [(port, frame)] = await lab.inject(3, udp(vlan=20, back=True))
    assert (port, frame) == (1, udp(back=True))
    [(port, frame)] = await lab.inject(1, udp())
    assert (port, frame) == (3, udp(vlan=20))
    await asyncio.sleep(2.1)
    assert _ports(await lab.inject(2, udp(back=True))) == [1, 3]


@pytest.mark.feature("E71")
async def test_what_a_domain_learned_survives_a_change_of_its_members(lab: Lab) -> None:
    before = lab.state(rule(match(), Bridge(domain=1)))
    members = tuple(Member(port=port) for port in (1, 2, 3))
    await lab.put(msgspec.structs.replace(before, domains=(Domain(id=1, members=members),)))
    await lab.inject(1, udp())
    await lab.put(msgspec.structs.replace(before, domains=(Domain(id=1, members=(*members, Member(port=4))),)))
    assert _ports(await lab.inject(2, udp(back=True))) == [1]
    assert _ports(await lab.inject(4, BROADCAST)) == [1, 2, 3]


def _group(*weights: int) -> Group:
    places = enumerate(weights, 2)
    return Group(id=9, buckets=tuple(Bucket(actions=(Output(port=port),), weight=weight) for port, weight in places))


@pytest.mark.feature("E98")
@pytest.mark.parametrize("weights", [(1, 1, 1), (2, 1, 1)])
async def test_flows_are_spread_by_weight_and_stay(lab: Lab, weights: tuple[int, ...]) -> None:
    state = lab.state(rule(match(), Select(group=9)))
    await lab.put(msgspec.structs.replace(state, groups=(_group(*weights),)))
    chosen: Counter[int] = Counter()
    for flow in range(FLOWS):
        ports = _ports(await lab.inject(1, udp(sport=2000 + flow)))
        chosen.update(ports)
        if flow < 50:
            assert _ports(await lab.inject(1, udp(sport=2000 + flow, size=99))) == ports
            assert _ports(await lab.inject(1, udp(sport=53, dport=2000 + flow, back=True))) == ports
    assert chosen.total() == FLOWS
    shares = [chosen[port] / FLOWS for port in (2, 3, 4)]
    assert shares == [pytest.approx(weight / sum(weights), rel=0.1) for weight in weights]


@pytest.mark.feature("E98")
async def test_frames_without_a_flow_take_the_first_bucket(lab: Lab) -> None:
    state = lab.state(rule(match(), Select(group=9)))
    await lab.put(msgspec.structs.replace(state, groups=(_group(1, 1, 1),)))
    for kind in ("arp", "later fragment", "unknown"):
        assert _ports(await lab.inject(1, all_kinds()[kind])) == [2]


@pytest.mark.feature("E97")
async def test_a_pinned_flow_keeps_its_way_in_both_directions_until_it_is_idle(lab: Lab) -> None:
    mark = rule(match(eth_type=0x0800, ip_proto=17, l4_dst=53), Pin(value=5, idle_s=1), Output(port=4))
    await lab.rules(
        rule(match(pin=5), Output(port=2), priority=300),
        msgspec.structs.replace(mark, priority=200),
        rule(match(), Output(port=3)),
    )
    assert _ports(await lab.inject(1, udp(sport=1234, dport=53))) == [4]
    assert _ports(await lab.inject(1, udp(sport=1234, dport=53))) == [2]
    assert _ports(await lab.inject(1, udp(sport=53, dport=1234, back=True))) == [2]
    assert _ports(await lab.inject(1, udp(sport=1234, dport=54))) == [3]
    await asyncio.sleep(2.1)
    assert _ports(await lab.inject(1, udp(sport=53, dport=1234, back=True))) == [3]


@pytest.mark.feature("E97")
async def test_a_pin_is_kept_by_what_comes_later(lab: Lab) -> None:
    await lab.rules(
        rule(
            match(in_port=1),
            Pin(value=5, idle_s=60),
            Pin(value=6, idle_s=60),
        ),
        rule(match(in_port=2, pin=5), Output(port=3)),
        rule(match(in_port=2, pin=6), Output(port=4)),
    )
    for kind in ("tcp", "udp", "sctp", "icmp", "tcp over IPv6"):
        await lab.inject(1, all_kinds()[kind])
        assert _ports(await lab.inject(2, all_kinds()[kind])) == [3], kind
    assert _ports(await lab.inject(2, all_kinds()["later fragment"])) == []


@pytest.mark.feature("A49")
async def test_a_meter_holds_its_rate(lab: Lab) -> None:
    meter = Meter(id=3, rate_bps=4_000_000, burst_bits=40_000)
    state = lab.state(rule(match(in_port=1), Police(meter=3), Output(port=2)))
    await lab.put(msgspec.structs.replace(state, meters=(meter,)))
    frame = udp(size=958)
    start, passed, sent = time.monotonic(), 0, 0
    while (elapsed := time.monotonic() - start) < 1.5:
        due = int(elapsed * 1500) - sent  # three times what may pass
        lab.send(1, *[frame] * min(due, 100))
        sent += due
        await asyncio.sleep(0.004)
        passed += sum(len(out) for _, out in lab.came_out())
    taken = time.monotonic() - start
    passed += sum(len(out) for _, out in await lab.collect(10_000, 0.1))
    assert passed * 8 == pytest.approx(meter.rate_bps * taken + meter.burst_bits, rel=0.05)


@pytest.mark.feature("A49")
async def test_what_comes_before_a_meter_is_not_limited(lab: Lab) -> None:
    meter = Meter(id=3, rate_bps=1000, burst_bits=2000)
    rules = rule(match(in_port=1), Output(port=2), Police(meter=3), Output(port=3))
    await lab.put(msgspec.structs.replace(lab.state(rules), meters=(meter,)))
    out = [port for _ in range(10) for port, _ in await lab.inject(1, udp(size=100))]
    assert out.count(2) == 10
    assert out.count(3) == 1


@pytest.mark.feature("E46")
async def test_all_parts_are_read_back_from_the_switch_by_another(lab: Lab) -> None:
    state = lab.state(
        rule(match(in_port=1), Police(meter=3), Select(group=9)),
        rule(match(in_port=2, ipv6_dst="fd00::/64"), Pin(value=1, idle_s=10), Bridge(domain=7)),
    )
    parts = {
        "groups": (_group(2, 1, 1),),
        "meters": (Meter(id=3, rate_bps=1_234_567, burst_bits=54_321, owner="tests"),),
        "domains": (Domain(id=7, members=(Member(port=1), Member(port=2, vlan=5)), owner="tests"),),
    }
    await lab.put(msgspec.structs.replace(state, **parts))
    other = type(lab.driver)(lab.context())
    await other.open()
    assert await other.devices() == [lab.spec]
    await other.prepare(lab.spec)
    seen = await other.read_back(DEVICE)
    await other.close()
    assert seen.revision == 1
    assert set(seen.state().rules) == set(state.rules)
    assert {name: getattr(seen, name) for name in parts} == parts
    assert seen.ports == state.ports
