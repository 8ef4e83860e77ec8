"""Forwarding goes on while nobody controls it; who comes next finds everything; what is torn down is gone from the kernel."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from skerry.dataplane.driver import DeviceSpec, EngineContext, EventKind
from skerry.dataplane.drivers.ebpf import Driver
from skerry.dataplane.ebpf.kernel import BPFFS, Program
from skerry.dataplane.flows import Change, GtpEncap, Origin, Output, PortState, Rule, Session, Tunnel, Way, match
from skerry.dataplane.rewriting import gtp_encap
from skerry.engine.clock import SystemClock
from skerry.linux import namespaces, offload
from skerry.linux.frames import Tap
from tests.dataplane.ebpf.forwarder import DEVICE, FORWARD
from tests.dataplane.ovs.lab import pair, pin

pytestmark = [pytest.mark.real, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]
NODE = f"life{os.getpid()}"
FRAME = bytes.fromhex("02000000000b02000000000a0800") + b"\x45" + bytes(45)
UE = bytes.fromhex("02000000000b02000000000a08004500001c00010000401100000a0900010a2d00020001000200080000")


@pytest.fixture
def wires() -> Iterator[dict[int, Tap]]:
    """Two ports n1 and n2, and taps at their far ends."""
    near, far = pin(f"{NODE}-n"), pin(f"{NODE}-f")
    for number in (1, 2):
        pair(near, f"n{number}", far, f"f{number}", f"02:00:00:00:00:{number:02x}")
    with namespaces.inside(far):
        taps = {number: Tap(f"f{number}") for number in (1, 2)}
    yield taps
    for tap in taps.values():
        tap.close()
    for place in (near, far):
        namespaces.unpin(place)


def driver() -> Driver:
    return Driver(EngineContext(node=NODE, data_dir=Path(), clock=SystemClock()))


async def arrives(taps: dict[int, Tap], frame: bytes = FRAME, changed: bytes | None = None) -> bool:
    """Whether what is sent at port 1 comes out of port 2 at once, maybe changed."""
    list(taps[2].frames())
    taps[1].socket.send(frame)
    for _ in range(50):
        if any(seen == (changed or frame) for left, seen in taps[2].frames() if not left):
            return True
        await asyncio.sleep(0.005)
    return False


@pytest.mark.feature("E43", "E102")
async def test_a_killed_process_does_not_interrupt_and_the_next_one_adopts(wires: dict[int, Tap]) -> None:
    command = (sys.executable, "-m", "tests.dataplane.ebpf.forwarder", NODE, f"{NODE}-n")
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout
    assert await asyncio.wait_for(process.stdout.readline(), 30) == b"ready\n"
    assert await arrives(wires)
    process.send_signal(signal.SIGKILL)
    await process.wait()
    assert all([await arrives(wires) for _ in range(5)])
    engine = driver()
    await engine.open()
    assert [spec.name for spec in await engine.devices()] == [DEVICE]
    effective = await engine.read_back(DEVICE)
    assert (effective.revision, [one.rule for one in effective.rules]) == (3, [FORWARD])
    assert effective.rules[0].packets >= 6
    assert [port.name for port in effective.ports] == ["p1", "p2"]
    await engine.apply(Change(device=DEVICE, revision=4, drop_rules=(FORWARD,)))
    assert not await arrives(wires)
    await engine.teardown(DEVICE)
    await engine.close()


@pytest.mark.feature("E43")
async def test_nothing_is_left_after_a_teardown(wires: dict[int, Tap]) -> None:
    engine = driver()
    await engine.open()
    await engine.prepare(DeviceSpec(name=DEVICE, namespace=f"{NODE}-n"))
    for number in (1, 2):
        await engine.attach(DEVICE, PortState(number=number, name=f"p{number}", interface=f"n{number}"))
    await engine.apply(Change(device=DEVICE, put_rules=(FORWARD,)))
    await engine.probe(DEVICE, 1, FRAME)
    device = engine._devices[DEVICE]
    assert device._generation
    number, folder = device._generation.main.id, device.folder
    assert Program.lives(number)
    with namespaces.inside(namespaces.place(f"{NODE}-f")):
        assert not offload.transmit_checksums("f1")
    await engine.teardown(DEVICE)
    await engine.teardown(DEVICE)
    await engine.close()
    assert not folder.exists()
    assert not list((BPFFS / "skerry").glob(f"{folder.parent.name}*"))
    for _ in range(200):
        if not Program.lives(number):
            break
        await asyncio.sleep(0.02)
    assert not Program.lives(number)
    with namespaces.inside(namespaces.place(f"{NODE}-f")):
        assert offload.transmit_checksums("f1")
    assert not await arrives(wires)


@pytest.mark.feature("E109", "C39")
async def test_a_ue_without_tunnel_is_told_and_a_snooped_one_is_served(wires: dict[int, Tap]) -> None:
    engine = driver()
    await engine.open()
    await engine.prepare(DeviceSpec(name=DEVICE, namespace=f"{NODE}-n"))
    events = engine.events()
    try:
        for number in (1, 2):
            await engine.attach(DEVICE, PortState(number=number, name=f"p{number}", interface=f"n{number}"))
        into = Rule(
            table=0,
            priority=1,
            match=match(eth_type=0x800),
            actions=(GtpEncap(way=Way.DOWN), Output(port=2)),
            cookie=9,
        )
        await engine.apply(Change(device=DEVICE, put_rules=(into,)))
        waiting = asyncio.ensure_future(anext(aiter(events)))
        await asyncio.sleep(0.01)
        assert not await arrives(wires, UE)
        event = await asyncio.wait_for(waiting, 5)
        assert (event.kind, event.detail, event.port) == (EventKind.NO_SESSION, "10.45.0.2", 1)
        tunnel = Tunnel(teid=0x22, src="10.1.0.2", dst="10.1.0.1", eth_src=1, eth_dst=2)
        session = Session(ue="10.45.0.2", down=tunnel, origin=Origin.SNOOPED)
        await engine.put_sessions(DEVICE, [session])
        probed = await engine.probe(DEVICE, 1, UE)
        assert [one.port for one in probed.outputs] == [2]
        assert (await engine.read_back(DEVICE)).sessions == (session,)
        await engine.put_sessions(DEVICE, [], ["10.45.0.2"])
        assert (await engine.probe(DEVICE, 1, UE)).outputs == ()
    finally:
        await events.aclose()
        await engine.teardown(DEVICE)
        await engine.close()


@pytest.mark.feature("E105", "E106")
async def test_ten_thousand_rules_take_effect_at_one_moment(wires: dict[int, Tap]) -> None:
    engine = driver()
    await engine.open()
    await engine.prepare(DeviceSpec(name=DEVICE, namespace=f"{NODE}-n"))
    try:
        for number in (1, 2):
            await engine.attach(DEVICE, PortState(number=number, name=f"p{number}", interface=f"n{number}"))
        many = tuple(
            Rule(
                table=0,
                priority=5,
                match=match(in_port=1, ipv4_dst=(0x0B000000 + number, 0xFFFFFFFF)),
                actions=(Output(port=2),),
                cookie=100 + number,
            )
            for number in range(10_000)
        )
        begun = asyncio.get_running_loop().time()
        await engine.apply(Change(device=DEVICE, revision=1, put_rules=many))
        assert asyncio.get_running_loop().time() - begun < 10
        back = await engine.read_back(DEVICE)
        assert {one.rule.key for one in back.rules} == {one.key for one in many}
        assert not await arrives(wires)
        assert await arrives(wires, FRAME[:30] + bytes([11, 0, 0x27, 0x0F]) + FRAME[34:])
    finally:
        await engine.teardown(DEVICE)
        await engine.close()


@pytest.mark.feature("C35")
async def test_a_cut_link_is_told_and_an_interface_that_comes_back_is_served(wires: dict[int, Tap]) -> None:
    engine = driver()
    await engine.open()
    await engine.prepare(DeviceSpec(name=DEVICE, namespace=f"{NODE}-n"))
    events = engine.events()
    near, far = (namespaces.place(f"{NODE}-{end}") for end in "nf")
    try:
        for number in (1, 2):
            await engine.attach(DEVICE, PortState(number=number, name=f"p{number}", interface=f"n{number}"))
        await engine.apply(Change(device=DEVICE, put_rules=(FORWARD,)))
        waiting = asyncio.ensure_future(anext(aiter(events)))
        await asyncio.sleep(0.01)
        subprocess.run(["ip", "-n", far.name, "link", "set", "f2", "down"], check=True)
        event = await asyncio.wait_for(waiting, 5)
        assert (event.kind, event.port) == (EventKind.PORT_DOWN, 2)
        wires[2].close()
        subprocess.run(["ip", "-n", far.name, "link", "del", "f2"], check=True)
        pair(near, "n2", far, "f2", "02:00:00:00:00:02")
        with namespaces.inside(far):
            wires[2] = Tap("f2")
        up = await asyncio.wait_for(anext(aiter(events)), 5)
        assert (up.kind, up.port) == (EventKind.PORT_UP, 2)
        assert await arrives(wires)
    finally:
        await events.aclose()
        await engine.teardown(DEVICE)
        await engine.close()


@pytest.mark.feature("E43")
async def test_a_namespace_that_went_away_is_no_obstacle(wires: dict[int, Tap]) -> None:
    engine = driver()
    await engine.open()
    await engine.prepare(DeviceSpec(name=DEVICE, namespace=f"{NODE}-n"))
    await engine.attach(DEVICE, PortState(number=1, name="p1", interface="n1"))
    await engine.close()
    near, far = (namespaces.place(f"{NODE}-{end}") for end in "nf")
    namespaces.unpin(near)
    again = driver()
    await again.open()
    assert [spec.name for spec in await again.devices()] == [DEVICE]
    pin(near.name)
    for number in (1, 2):
        pair(near, f"n{number}", far, f"g{number}", f"02:00:00:00:01:{number:02x}")
    await again.prepare(DeviceSpec(name=DEVICE, namespace=near.name))
    await again.attach(DEVICE, PortState(number=2, name="p2", interface="n2"))
    await again.apply(Change(device=DEVICE, put_rules=(FORWARD,)))
    with namespaces.inside(far):
        taps = {number: Tap(f"g{number}") for number in (1, 2)}
    try:
        assert await arrives(taps)
        namespaces.unpin(near)
    finally:
        for tap in taps.values():
            tap.close()
        await again.teardown(DEVICE)
        await again.close()
    assert await driver().devices() == []


SHORT = Tunnel(teid=7, src="10.1.0.2", dst="10.1.0.1", eth_src=0x020000000B0B, eth_dst=0x020000000002)


@pytest.mark.feature("E109")
async def test_users_packets_pass_by_the_near_end_of_a_pair_unless_it_is_shaped_or_observed(
    wires: dict[int, Tap],
) -> None:
    def shaped(how: str, *kind: str) -> None:
        subprocess.run(["tc", "-n", f"{NODE}-n", "qdisc", how, "dev", "n2", "root", *kind], check=True)

    async def passes_by() -> bool:
        list(near.frames())
        assert await arrives(wires, UE, entunnelled)
        return not any(left for left, _ in near.frames())

    engine = driver()
    await engine.open()
    await engine.prepare(DeviceSpec(name=DEVICE, namespace=f"{NODE}-n"))
    for number in (1, 2):
        await engine.attach(DEVICE, PortState(number=number, name=f"p{number}", interface=f"n{number}"))
    into = Rule(table=0, priority=1, match=match(in_port=1), actions=(GtpEncap(tunnel=SHORT), Output(port=2)), cookie=1)
    await engine.apply(Change(device=DEVICE, put_rules=(into,)))
    entunnelled = gtp_encap(UE, SHORT, down=True)
    with namespaces.inside(namespaces.place(f"{NODE}-n")):
        near = Tap("n2")
    assert await passes_by()
    async with engine.observe(DEVICE, [2]) as seen:
        assert not await passes_by()
        assert (await anext(seen)).frame == entunnelled
    assert await passes_by()
    await asyncio.to_thread(shaped, "add", "tbf", "rate", "1gbit", "burst", "100000", "latency", "100ms")
    async with asyncio.timeout(30):
        while await passes_by():
            await asyncio.sleep(0.01)
    await asyncio.to_thread(shaped, "del")
    async with asyncio.timeout(30):
        while not await passes_by():
            await asyncio.sleep(0.01)
    near.close()
    await engine.teardown(DEVICE)
    await engine.close()
