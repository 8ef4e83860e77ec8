"""Intents on the real switch: the service compiles, proves, applies and probes; the frames are real ones."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from scapy.layers.inet import ICMP, IP, TCP
from scapy.layers.l2 import Ether

from skerry.dataplane.hosting import Hosting
from skerry.dataplane.intents import (
    Chain,
    Device,
    Forward,
    Intents,
    NextHop,
    Port,
    RateLimit,
    Side,
    Steer,
    Steering,
    Topology,
    VirtualLink,
    Wire,
)
from skerry.dataplane.intents import LinkMember as Member
from skerry.dataplane.ovs import instance
from skerry.dataplane.records import Forgetful
from skerry.dataplane.service import DataPlane
from skerry.engine.clock import SystemClock
from tests.dataplane.nets import function, hop, to_port
from tests.dataplane.ovs.frames import ONE, TWO, udp
from tests.dataplane.ovs.lab import Lab

pytestmark = pytest.mark.real

LINE = Wire(id="line", a="ran", b="core")
NAMES = {"ran": Side.RAN, "core": Side.CORE, "app": Side.HOST, "in1": Side.VNFC, "out1": Side.VNFC, "in2": Side.VNFC}


class Site:
    """A service over the ports of a lab: ran 1, core 2, app 3, in1 4, out1 5, in2 6."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab = lab
        clock = SystemClock()
        self.plane = DataPlane(Forgetful(), Hosting(lab.node, folder, clock), clock)

    async def lay(self, *intents: Intents) -> None:
        self.lab.wire()
        await self.plane.start()
        ports = tuple(
            Port(id=name, device="site", side=side, number=number, interface=f"v{number}")
            for number, (name, side) in enumerate(NAMES.items(), 1)
        )
        device = Device(id="site", engine="ovs", namespace=self.lab.here)
        await self.plane.put_topology(Topology(devices=(device,), ports=ports))
        await self.plane.put(*intents)

    async def end(self) -> None:
        """Nothing stays, also where the test ended early."""
        await self.plane.remove(*(one.id for one in self.plane.intents()))
        await self.plane.put_topology(Topology())
        await self.plane.stop()
        for tap in self.lab.taps.values():
            tap.close()
        await self.lab.driver.teardown("site")
        await self.lab.end()

    async def go(self, port: str, frame: bytes, expected: int = 1) -> list[str]:
        """Where a frame really leaves."""
        number = list(NAMES).index(port) + 1
        got = await self.lab.exchange(number, [frame], expected)
        return sorted(list(NAMES)[out - 1] for out, _ in got)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    lacks = instance.missing()
    if lacks:
        pytest.skip(lacks)
    made = Site(Lab(tmp_path, "s", len(NAMES)), tmp_path)
    yield made
    await made.end()


def _tcp(port: int, sport: int = 4000, *, back: bool = False) -> bytes:
    ends = (TWO, ONE) if back else (ONE, TWO)
    ips = ("10.0.0.2", "10.0.0.1") if back else ("10.0.0.1", "10.0.0.2")
    ports = {"sport": port, "dport": sport} if back else {"sport": sport, "dport": port}
    return bytes(Ether(src=ends[0], dst=ends[1]) / IP(src=ips[0], dst=ips[1]) / TCP(**ports) / (b"x" * 20))


PING = bytes(Ether(src=ONE, dst=TWO) / IP(src="10.0.0.1", dst="10.0.0.2") / ICMP() / (b"x" * 40))


@pytest.mark.feature("E100", "E102")
async def test_a_node_in_the_middle_of_a_line_changes_no_byte(site: Site) -> None:
    await site.lay(LINE)
    for frame in (udp(), udp(vlan=7), PING, _tcp(80), bytes(range(12)) + b"\x12\x34" + bytes(60)):
        assert await site.lab.exchange(1, [frame], 1) == [(2, frame)]
        assert await site.lab.exchange(2, [frame], 1) == [(1, frame)]


@pytest.mark.feature("C34")
async def test_the_next_hop_of_a_port_is_set_on_a_flowspace(site: Site) -> None:
    """Web traffic takes the way through a function, everything else does not; without it, nothing does."""
    through = NextHop(id="next", port="ran", classifier=to_port(80), next="in1")
    after = Wire(id="after", a="out1", b="app")
    await site.lay(LINE, after, through)
    assert await site.go("ran", _tcp(80)) == ["in1"]
    assert await site.go("out1", _tcp(80)) == ["app"]
    assert await site.go("ran", PING) == ["core"]
    assert await site.go("ran", _tcp(81)) == ["core"]
    await site.plane.remove("next")
    assert await site.go("ran", _tcp(80)) == ["core"]


@pytest.mark.feature("E103")
async def test_what_is_served_at_the_site_never_reaches_the_core(site: Site) -> None:
    local = Steering(id="local", classifier=to_port(80, "ran"), actions=(Forward(port="app"),))
    back = Steering(id="back", classifier=to_port(4000, "app"), actions=(Forward(port="ran"),))
    await site.lay(LINE, local, back)
    for sport in range(4000, 4020):
        assert await site.go("ran", _tcp(80, sport)) == ["app"]
    assert await site.go("app", _tcp(80, back=True)) == ["ran"]
    assert await site.go("ran", _tcp(443)) == ["core"]


@pytest.mark.feature("E95", "E107")
async def test_a_symmetric_chain_leads_both_directions_through_its_function(site: Site) -> None:
    chain = Chain(id="chain", hops=(hop(function("f1", "in1", "out1")),), exit="core", symmetric=True)
    await site.lay(LINE, chain, Steering(id="in", classifier=to_port(80, "ran"), actions=(Steer(chain="chain"),)))
    assert await site.go("ran", _tcp(80)) == ["in1"]
    assert await site.go("out1", _tcp(80)) == ["core"]
    assert await site.go("core", _tcp(80, back=True)) == ["out1"]
    assert await site.go("in1", _tcp(80, back=True)) == ["ran"]
    assert await site.go("ran", PING) == ["core"]
    views = [view for view in await site.plane.rules() if view.rule.owner == "in"]
    assert views
    assert {view.state.value for view in views} == {"VERIFIED"}


@pytest.mark.feature("E98")
async def test_a_group_of_functions_shares_the_flows(site: Site) -> None:
    group = hop(function("f1", "in1"), function("f2", "in2"))
    chain = Chain(id="chain", hops=(group,), exit="core")
    await site.lay(LINE, chain, Steering(id="in", classifier=to_port(80, "ran"), actions=(Steer(chain="chain"),)))
    frames = [_tcp(80, 5000 + number) for number in range(400)]
    first: dict[bytes, int] = {}
    for at in range(
        0, 400, 50
    ):  # more at once would fill the queue of the switch, which sees each flow for the first time
        first |= {frame: port for port, frame in await site.lab.exchange(1, frames[at : at + 50], 50)}
    again = {frame: port for port, frame in await site.lab.exchange(1, frames[:50], 50)}
    assert len(first) == 400
    assert {frame: first[frame] for frame in frames[:50]} == again
    assert set(first.values()) == {4, 6}
    assert list(first.values()).count(4) == pytest.approx(200, rel=0.15)


@pytest.mark.feature("E71")
async def test_a_virtual_link_learns_and_tags(site: Site) -> None:
    link = VirtualLink(id="lan", members=(Member(port="app"), Member(port="in1"), Member(port="in2", vlan=30)))
    await site.lay(link)
    assert await site.go("app", udp(), 2) == ["in1", "in2"]
    assert await site.lab.exchange(6, [udp(vlan=30, back=True)], 1) == [(3, udp(back=True))]
    assert await site.lab.exchange(3, [udp()], 1) == [(6, udp(vlan=30))]


@pytest.mark.feature("A49")
async def test_a_rate_is_limited(site: Site) -> None:
    slow = RateLimit(rate_bps=80_000, burst_bits=16_000)
    await site.lay(LINE, Steering(id="slow", classifier=to_port(53, "ran", proto=17), actions=(slow,)))
    await asyncio.sleep(0.3)  # the probe of the service took its part of the burst
    site.lab.drain()
    site.lab.send(1, *[udp(size=458)] * 20)
    assert 3 <= len(await site.lab.collect(20, 0.3)) <= 8
    assert len(await site.lab.exchange(1, [PING] * 20, 20)) == 20


@pytest.mark.feature("E46")
async def test_a_switch_that_died_is_whole_again_without_anybody_asking(site: Site) -> None:
    await site.lay(LINE)
    folder = instance.Instance(site.lab.node, site.lab.here).folder
    for name in ("ovs-vswitchd", "ovsdb-server"):
        os.kill(int((folder / f"{name}.pid").read_text()), signal.SIGKILL)
    for _ in range(60):
        await asyncio.sleep(0.1)
        if await site.lab.exchange(1, [PING], 1) == [(2, PING)]:
            break
    assert await site.lab.exchange(1, [PING], 1) == [(2, PING)]
