"""Switches outlive the program that made them, are adopted, mended, and leave nothing behind."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from contextlib import aclosing
from pathlib import Path

import pytest

from skerry.dataplane.driver import DeviceSpec, EventKind
from skerry.dataplane.drivers.ovs import Driver
from skerry.dataplane.flows import (
    Change,
    DecTtl,
    Field,
    Goto,
    GtpDecap,
    Meter,
    Output,
    PortKind,
    PortState,
    Rule,
    SetField,
    match,
)
from skerry.dataplane.ovs import actions, instance, openflow, oxm, ports
from skerry.dataplane.ovs.channel import Channel
from skerry.errors import ConflictError, DriverError, InvalidError, NotFoundError, UnsupportedError
from skerry.linux import namespaces, netlink, offload
from tests.dataplane.ovs.conftest import MakeLab
from tests.dataplane.ovs.frames import udp
from tests.dataplane.ovs.lab import DEVICE, Lab, changes, mac, port, rule

pytestmark = pytest.mark.real

FORWARD = (rule(match(in_port=1), Output(port=2)), rule(match(in_port=2), Output(port=1)))
CONTROLLER = """
import asyncio, sys
from pathlib import Path
from tests.dataplane.ovs.lab import Lab
from tests.dataplane.ovs.test_life import FORWARD
from skerry.dataplane.drivers.ovs import Driver

async def main():
    lab = Lab(Path(sys.argv[1]), sys.argv[2], 4)
    lab.node, lab.here = sys.argv[3], sys.argv[4]
    lab.driver = Driver(lab.context())
    await lab.driver.open()
    await lab.driver.prepare(lab.spec)
    from tests.dataplane.ovs.lab import DEVICE, changes, port
    for number in lab.numbers:
        await lab.driver.attach(DEVICE, port(number))
    await lab.driver.apply(changes(FORWARD, 42))
    print("ready", flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


def _place(lab: Lab) -> instance.Instance:
    return instance.Instance(lab.node, lab.here)


def _dump(lab: Lab, what: str = "dump-flows") -> str:
    """What the switch's own tool says."""
    socket_ = _place(lab).management(_bridge(lab))
    call = ["ovs-ofctl", "-O", "OpenFlow13", what, f"unix:{socket_}"]
    return subprocess.run(call, capture_output=True, text=True, check=True).stdout


def _bridge(lab: Lab) -> str:
    return next(file.stem for file in _place(lab).folder.glob("*.mgmt"))


def _processes(lab: Lab) -> list[int]:
    folder = str(_place(lab).folder).encode()
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                line = (process / "cmdline").read_bytes()
            except OSError:
                continue
            if folder in line:
                found.append(int(process.name))
    return sorted(found)


def _links(namespace: str) -> set[str]:
    with namespaces.inside(namespaces.place(namespace)), netlink.Netlink() as kernel:
        return {link.name for link in kernel.links()}


@pytest.mark.feature("E71")
async def test_forwarding_goes_on_when_the_controller_is_killed_and_the_next_adopts_it(
    make_lab: MakeLab, tmp_path: Path
) -> None:
    lab = await make_lab("k", 4)
    await lab.driver.teardown(DEVICE)
    call = [sys.executable, "-c", CONTROLLER, str(tmp_path), lab.tag, lab.node, lab.here]
    controller = subprocess.Popen(call, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3])
    assert controller.stdout
    assert await asyncio.to_thread(controller.stdout.readline) == b"ready\n"
    before = _processes(lab)
    lab.drain()
    sent = out = 0
    for moment in range(60):
        if moment == 20:
            controller.send_signal(signal.SIGKILL)
            controller.wait()
        lab.send(1, udp(sport=1000 + moment))
        sent += 1
        out += len(await lab.collect(1, 3.0))
    controller.stdout.close()
    assert out == sent
    assert _processes(lab) == before
    heir = Driver(lab.context())
    await heir.open()
    await heir.prepare(lab.spec)
    seen = await heir.read_back(DEVICE)
    await heir.close()
    assert seen.revision == 42
    assert {one.rule for one in seen.rules} == set(FORWARD)
    assert [one.packets for one in seen.rules if one.rule == FORWARD[0]] == [sent]
    assert [one.number for one in seen.ports] == [1, 2, 3, 4]
    assert _processes(lab) == before


@pytest.mark.feature("E71")
async def test_a_teardown_leaves_nothing_and_gives_interfaces_back(lab: Lab) -> None:
    before = _links(lab.here)
    await lab.driver.attach(DEVICE, PortState(number=8, name="host", kind=PortKind.INTERNAL, mac=0x020000000808))
    tunnel = PortState(number=9, name="far", kind=PortKind.VXLAN, local="192.0.2.1", remote="192.0.2.2", vni=9)
    await lab.driver.attach(DEVICE, tunnel)
    await lab.rules(*FORWARD)
    assert len(_links(lab.here) - before) == 2
    assert len(_processes(lab)) == 2
    await lab.driver.teardown(DEVICE)
    assert _links(lab.here) == {"lo", "v1", "v2", "v3", "v4"}
    assert _processes(lab) == []
    assert not _place(lab).folder.exists()
    with namespaces.inside(namespaces.place(lab.there)):
        assert offload.transmit_checksums("p1")
    assert await lab.driver.devices() == []
    await lab.driver.teardown(DEVICE)


@pytest.mark.feature("E71")
async def test_programs_can_talk_through_the_switch_at_full_length(lab: Lab) -> None:
    """A pair leaves checksums to hardware that it does not have: without the engine's care no segment would arrive."""
    await lab.rules(*FORWARD)
    far = namespaces.place(lab.there)
    other = namespaces.place(f"{lab.node}-third")
    namespaces.unpin(other)
    namespaces.pin_new(other)
    try:
        _address(far, "p1", "198.51.100.1")
        _move(far, "p2", other)
        _address(other, "p2", "198.51.100.2")
        with namespaces.inside(other):
            server = socket.create_server(("198.51.100.2", 7000))
        received: list[int] = []

        def receive() -> None:
            peer, _ = server.accept()
            with peer:
                while data := peer.recv(1 << 16):
                    received.append(len(data))

        thread = threading.Thread(target=receive)
        thread.start()
        await asyncio.to_thread(_send_all, far, 3_000_000)
        await asyncio.to_thread(thread.join, 20)
        server.close()
        assert sum(received) == 3_000_000
    finally:
        namespaces.unpin(other)


def _send_all(place: Path, size: int) -> None:
    with namespaces.inside(place):
        peer = socket.create_connection(("198.51.100.2", 7000), timeout=15)
    with peer:
        peer.sendall(bytes(size))


def _address(place: Path, interface: str, ip: str) -> None:
    with namespaces.inside(place), netlink.Netlink() as kernel:
        index = next(link.index for link in kernel.links() if link.name == interface)
        kernel.run([netlink.link_up("lo"), netlink.link_up(interface), netlink.address(index, ip, 24)])


def _move(place: Path, interface: str, other: Path) -> None:
    subprocess.run(["ip", "-n", place.name, "link", "set", interface, "netns", other.name], check=True)


@pytest.mark.feature("E46")
async def test_rules_are_seen_by_the_switches_own_tool_and_gone_when_deleted(lab: Lab) -> None:
    mine = rule(match(in_port=1, ipv4_dst="10.9.0.0/24"), Output(port=3), cookie=0xCAFE)
    await lab.driver.apply(changes([mine, *FORWARD]))
    shown = _dump(lab)
    assert re.search(
        r"cookie=0xcafe,.*priority=100,ip,in_port=1,nw_dst=10\.9\.0\.0/24 actions=note:\S+,output:3", shown
    )
    await lab.driver.apply(Change(device=DEVICE, revision=2, drop_rules=(mine,)))
    assert "0xcafe" not in _dump(lab)
    assert {one.rule for one in (await lab.driver.read_back(DEVICE)).rules} == set(FORWARD)


@pytest.mark.feature("E46")
async def test_counters_tell_of_every_frame_and_go_on_when_actions_change(lab: Lab) -> None:
    await lab.rules(*FORWARD)
    frame = udp()
    assert len(await lab.exchange(1, [frame] * 25, 25)) == 25
    first = FORWARD[0]
    other = Rule(table=0, priority=100, match=first.match, actions=(Output(port=3),), cookie=first.cookie)
    await lab.driver.apply(changes([other], 7))
    assert [port for port, _ in await lab.exchange(1, [frame] * 5, 5)] == [3] * 5
    seen = {one.rule.cookie: one for one in (await lab.driver.read_back(DEVICE)).rules}
    assert (seen[first.cookie].packets, seen[first.cookie].bytes) == (30, 30 * len(frame))


@pytest.mark.feature("E46")
async def test_a_change_with_an_error_in_its_middle_changes_nothing(lab: Lab) -> None:
    await lab.rules(*FORWARD)
    before = _dump(lab, "dump-flows").count("cookie")
    channel = await Channel.open(_place(lab).management(_bridge(lab)), "lab")
    good = [
        openflow.flow_add(60, number, 1, oxm.match(()), actions.apply(actions.output(1))) for number in range(1, 2000)
    ]
    wrong = openflow.flow_add(60, 9, 1, oxm.match(()), actions.apply(actions.set_field("tcp_dst", 5)))
    with pytest.raises(DriverError, match="cannot change the switch lab: an action does not fit the match") as refused:
        await channel.commit([*good, wrong, *good])
    assert refused.value.suggestion
    assert _dump(lab).count("cookie") == before
    await channel.commit(good)
    await channel.close()
    assert _dump(lab).count("cookie") == before + len(good)


@pytest.mark.feature("E46")
async def test_a_refused_change_leaves_the_state_before(lab: Lab) -> None:
    await lab.rules(*FORWARD)
    before = await lab.driver.read_back(DEVICE)
    gtp = rule(match(in_port=3), GtpDecap(eth_src=1, eth_dst=2))
    with pytest.raises(UnsupportedError, match="GtpDecap"):
        await lab.driver.apply(changes([rule(match(in_port=4), Output(port=1)), gtp]))
    with pytest.raises(UnsupportedError, match="gtp_teid"):
        await lab.driver.apply(changes([rule(match(gtp_teid=5), Output(port=1))]))
    with pytest.raises(InvalidError) as wrong:
        await lab.driver.apply(changes([rule(match(in_port=4), Output(port=77))]))
    assert "no port 77" in str(wrong.value.faults[0])
    assert await lab.driver.read_back(DEVICE) == before


async def test_what_others_did_to_the_switch_is_seen_and_mended(lab: Lab) -> None:
    await lab.rules(*FORWARD)
    bridge = f"unix:{_place(lab).management(_bridge(lab))}"
    for call in (
        ["add-flow", bridge, "table=10,priority=7,in_port=3,actions=output:4"],
        ["add-flow", bridge, "table=10,priority=8,in_port=3,ct_state=+trk,ip,actions=output:4"],
        ["--strict", "mod-flows", bridge, "table=10,priority=100,in_port=1,actions=drop"],
        ["--strict", "del-flows", bridge, "table=10,priority=100,in_port=2"],
    ):
        subprocess.run(["ovs-ofctl", "-O", "OpenFlow13", *call], check=True)
    seen = {one.rule.key: one.rule.actions for one in (await lab.driver.read_back(DEVICE)).rules}
    assert seen == {(0, 7, match(in_port=3)): (), FORWARD[0].key: ()}
    await lab.rules(*FORWARD)
    assert {one.rule for one in (await lab.driver.read_back(DEVICE)).rules} == set(FORWARD)
    assert [out for out, _ in await lab.inject(3, udp())] == []
    assert "ct_state" not in _dump(lab)


@pytest.mark.feature("E71")
async def test_a_tunnel_that_never_became_a_port_goes_with_its_device(lab: Lab) -> None:
    """As when Skerry is killed between the two."""
    tunnel = PortState(number=9, name="far", kind=PortKind.VXLAN, local="192.0.2.1", remote="192.0.2.2", vni=9)
    owner = ports.note(lab.node, DEVICE)
    before = _links(lab.here)
    ports.make_ready(_place(lab), ports.interface(lab.node, DEVICE, tunnel), tunnel, owner)
    assert len(_links(lab.here) - before) == 1
    await lab.driver.teardown(DEVICE)
    assert _links(lab.here) == {"lo", "v1", "v2", "v3", "v4"}


async def test_devices_of_a_namespace_share_a_switch(lab: Lab) -> None:
    second = DeviceSpec(name="second", namespace=lab.here)
    await lab.driver.prepare(second)
    await lab.driver.detach(DEVICE, 4)
    await lab.driver.attach("second", port(4))
    await lab.driver.attach("second", PortState(number=1, name="host", kind=PortKind.INTERNAL, interface="host0"))
    assert len(_processes(lab)) == 2
    assert {one.name for one in await lab.driver.devices()} == {DEVICE, "second"}
    await lab.rules(*FORWARD)
    await lab.driver.teardown("second")
    assert [out for out, _ in await lab.inject(1, udp())] == [2]
    assert [one.name for one in await lab.driver.devices()] == [DEVICE]


async def test_a_switch_that_died_is_told_and_made_again(lab: Lab) -> None:
    async with aclosing(lab.driver.events()) as events:
        waiting = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0)
        for process in _processes(lab):
            os.kill(process, signal.SIGKILL)
        event = await asyncio.wait_for(waiting, 5)
    assert (event.device, event.kind) == (DEVICE, EventKind.LOST)
    with pytest.raises(DriverError, match=r"cannot (reach the device|talk to the switch)") as lost:
        await lab.driver.apply(changes(FORWARD))
    assert lost.value.transient
    assert (await lab.driver.read_back(DEVICE)).ports == lab.state().ports
    await lab.rules(*FORWARD)
    assert [out for out, _ in await lab.inject(1, udp())] == [2]


async def test_a_database_that_died_is_told_and_started_again_under_the_same_switch(lab: Lab) -> None:
    await lab.rules(*FORWARD)
    before = _processes(lab)
    async with aclosing(lab.driver.events()) as events:
        waiting = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0)
        os.kill(int((_place(lab).folder / "ovsdb-server.pid").read_text()), signal.SIGKILL)
        event = await asyncio.wait_for(waiting, 5)
    assert (event.device, event.kind) == (DEVICE, EventKind.LOST)
    await lab.driver.prepare(lab.spec)
    await lab.driver.attach(DEVICE, PortState(number=8, name="host", kind=PortKind.INTERNAL))
    assert {one.rule for one in (await lab.driver.read_back(DEVICE)).rules} == set(FORWARD)
    assert len(set(_processes(lab)) & set(before)) == 1
    assert [out for out, _ in await lab.exchange(1, [udp()], 1)] == [2]


async def test_a_namespace_that_was_made_anew_gets_a_switch_of_its_own(lab: Lab) -> None:
    old = _processes(lab)
    for tap in lab.taps.values():
        tap.close()
    lab.wire()
    assert await lab.driver.devices() == []
    await lab.driver.prepare(lab.spec)
    assert (await lab.driver.read_back(DEVICE)).ports == ()
    assert not set(_processes(lab)) & set(old)


async def test_a_link_that_goes_down_is_told(lab: Lab) -> None:
    async with aclosing(lab.driver.events()) as events:
        waiting = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0)
        subprocess.run(["ip", "-n", lab.there, "link", "set", "p2", "down"], check=True)
        event = await asyncio.wait_for(waiting, 5)
    assert (event.device, event.kind, event.port) == (DEVICE, EventKind.PORT_DOWN, 2)


async def test_ports_are_attached_once_and_conflicts_are_told(lab: Lab) -> None:
    await lab.driver.attach(DEVICE, port(1))
    with pytest.raises(ConflictError, match="number 1 is port1"):
        await lab.driver.attach(DEVICE, PortState(number=1, name="other", interface="v9"))
    with pytest.raises(NotFoundError, match="cannot find the interface v9"):
        await lab.driver.attach(DEVICE, PortState(number=9, name="other", interface="v9"))
    with pytest.raises(NotFoundError, match="cannot find the device nowhere"):
        await lab.driver.attach("nowhere", port(1))
    await lab.driver.detach(DEVICE, 1)
    await lab.driver.detach(DEVICE, 1)
    assert [one.number for one in (await lab.driver.read_back(DEVICE)).ports] == [2, 3, 4]
    await lab.driver.attach(DEVICE, port(1))
    with pytest.raises(ConflictError, match="cannot make the device lab"):
        await lab.driver.prepare(DeviceSpec(name=DEVICE, namespace=lab.there))


async def test_a_namespace_that_is_not_there_is_told(lab: Lab) -> None:
    with pytest.raises(NotFoundError, match="cannot find the network namespace gone"):
        await lab.driver.prepare(DeviceSpec(name="x", namespace="gone"))
    assert list(instance.instances(lab.node)) != []


@pytest.mark.feature("E95")
async def test_a_probe_names_the_rules_it_passed_and_what_left(lab: Lab) -> None:
    first = rule(match(in_port=1), SetField(field=Field.ETH_DST, value=9), Output(port=2), Goto(table=1), cookie=0xABC)
    await lab.rules(first, rule(match(), DecTtl(), Output(port=3), table=1, cookie=0xABD), *FORWARD[1:])
    got = await lab.driver.probe(DEVICE, 1, udp())
    changed = bytes.fromhex("000000000009") + udp()[6:]
    assert [(one.port, one.frame[:14]) for one in got.outputs] == [(2, changed[:14]), (3, changed[:14])]
    assert got.outputs[0].frame == changed
    assert got.cookies == (0xABC, 0xABD)
    assert not got.dry


async def test_what_leaves_can_be_observed(lab: Lab) -> None:
    await lab.driver.attach(DEVICE, PortState(number=8, name="host", kind=PortKind.INTERNAL, mac=0x020000000808))
    tagged = udp(vlan=100)
    await lab.driver.apply(changes([rule(match(in_port=1), Output(port=2), Output(port=3), Output(port=8))]))
    async with lab.driver.observe(DEVICE, [2, 8]) as leaving:
        lab.send(1, tagged)
        seen = [await asyncio.wait_for(anext(leaving), 2) for _ in range(2)]
    assert sorted((one.port, one.frame) for one in seen) == [(2, tagged), (8, tagged)]


@pytest.mark.feature("E46")
async def test_no_frame_is_lost_or_doubled_while_rules_change(lab: Lab) -> None:
    """The way leads through two tables that change together: a mixture of old and new would lose frames."""
    ways = [
        [
            rule(match(in_port=1), SetField(field=Field.REG0, value=number), Goto(table=1)),
            rule(match(reg0=number), Output(port=2 + number), table=1),
        ]
        for number in (1, 2)
    ]
    await lab.rules(*ways[0])
    sent, running = 0, True

    async def traffic() -> None:
        nonlocal sent
        while running:
            lab.send(1, udp(sport=1000 + sent % 5000))
            sent += 1
            await asyncio.sleep(0.0005)

    sending = asyncio.create_task(traffic())
    for change in range(1, 31):
        old, new = ways[(change + 1) % 2], ways[change % 2]
        drop = tuple(one for one in old if one.key not in {other.key for other in new})
        await lab.driver.apply(Change(device=DEVICE, revision=change, put_rules=tuple(new), drop_rules=drop))
    running = False
    await sending
    out = await lab.collect(sent)
    assert len(out) == sent > 20
    assert {port for port, _ in out} == {3, 4}


async def test_ten_thousand_rules_at_one_moment(lab: Lab) -> None:
    many = [
        rule(match(in_port=1, ipv4_dst=f"10.{n >> 8}.{n & 255}.0/24"), Output(port=2 + n % 2), cookie=n + 1)
        for n in range(10_000)
    ]
    loop = asyncio.get_running_loop()
    start = loop.time()
    await lab.driver.apply(changes(many))
    taken = loop.time() - start
    assert len((await lab.driver.read_back(DEVICE)).rules) == len(many)
    assert taken < 3.0


async def test_a_meter_that_is_gone_and_one_that_changed(lab: Lab) -> None:
    both = (Meter(id=1, rate_bps=8000, burst_bits=1000), Meter(id=2, rate_bps=8000, burst_bits=1000))
    await lab.driver.apply(Change(device=DEVICE, revision=1, put_meters=both))
    faster = Meter(id=2, rate_bps=16_000, burst_bits=1000)
    await lab.driver.apply(Change(device=DEVICE, revision=2, put_meters=(faster,), drop_meters=(1,)))
    assert (await lab.driver.read_back(DEVICE)).meters == (faster,)
    assert "rate=16" in _dump(lab, "dump-meters")
    assert "meter=1 " not in _dump(lab, "dump-meters")


async def test_the_kernel_says_nothing_by_itself_on_ports(lab: Lab) -> None:
    for name in ("v1", "v2"):
        with namespaces.inside(namespaces.place(lab.here)):
            assert Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").read_text().strip() == "1"
    with namespaces.inside(namespaces.place(lab.there)):
        assert not offload.transmit_checksums("p1")
        with netlink.Netlink() as kernel:
            assert {link.name for link in kernel.links()} >= {"p1", "p2"}
    assert mac(1) == "02:00:00:00:00:01"
