"""The local gateway on a line between programs that others wrote: `sgsnemu` with a user, `osmo-ggsn` with a network behind it.

ran: sgsnemu 10.1.0.1, the user's interface ue0 | lgw: ports 1 (ran), 2 (core), 3 (app) | core: osmo-ggsn 10.1.0.2, web servers
203.0.113.10 and .20 | app: a web server 10.9.0.10, which also forwards what is not for it.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import pytest

from skerry.dataplane import packets
from skerry.dataplane.driver import DeviceSpec, EngineContext
from skerry.dataplane.drivers.ebpf import Driver
from skerry.dataplane.flows import (
    ArpReply,
    Change,
    Field,
    GtpDecap,
    GtpEncap,
    GtpLearn,
    GtpReply,
    Origin,
    Output,
    PortState,
    Rule,
    Way,
    mac,
    match,
)
from skerry.dataplane.gtp.snooping import Snooper
from skerry.dataplane.gtp.tracker import Sides
from skerry.engine.clock import SystemClock
from skerry.linux import namespaces
from skerry.linux.frames import Tap
from tests.dataplane.ovs.lab import pair, pin

NODE = f"lgw{os.getpid()}"
DEVICE = "gateway"
RAN_MAC, CORE_MAC, APP_MAC, OWN_MAC = (f"02:00:00:00:01:{number:02x}" for number in (1, 2, 3, 99))
SIDES = Sides(ran=mac(RAN_MAC), core=mac(CORE_MAC))
USERS, APP, FAR, MARKED = "172.16.0.0/24", "10.9.0.10", "203.0.113.10", "203.0.113.20"
GGSN = """log stderr
 logging level all notice
ggsn ggsn0
 gtp state-dir {folder}
 gtp bind-ip 10.1.0.2
 apn internet
  gtpu-mode tun
  tun-device tun0
  type-support v4
  ip prefix dynamic 172.16.0.0/24
  ip dns 0 8.8.8.8
  ip ifconfig 172.16.0.1/24
  no shutdown
 default-apn internet
 no shutdown ggsn
"""
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("sgsnemu"), reason="needs root and osmo-ggsn"),
]


def place(name: str) -> Path:
    return namespaces.place(f"{NODE}-{name}")


def ip(name: str, *arguments: str) -> None:
    subprocess.run(["ip", "-n", f"{NODE}-{name}", *arguments], check=True, capture_output=True)


@contextmanager
def running(name: str, *command: str) -> Iterator[None]:
    """A program in a namespace, until the end of the block."""
    process = subprocess.Popen(
        ["ip", "netns", "exec", f"{NODE}-{name}", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.kill()
        process.wait()


def wire() -> None:
    quiet = {"net/ipv4/conf/all/send_redirects": "0", "net/ipv4/conf/default/send_redirects": "0"}
    for name in ("lgw", "ran", "core", "app"):
        pin(f"{NODE}-{name}")
    for number, (name, address) in enumerate((("ran", RAN_MAC), ("core", CORE_MAC), ("app", APP_MAC)), 1):
        with namespaces.inside(place(name)):
            namespaces.sysctl({**quiet, "net/ipv4/ip_forward": str(int(name == "app"))})
        pair(place("lgw"), f"n{number}", place(name), f"f{number}", address)
    ip("ran", "addr", "add", "10.1.0.1/24", "dev", "f1")
    ip("core", "addr", "add", "10.1.0.2/24", "dev", "f2")
    for address in (FAR, MARKED):
        ip("core", "addr", "add", f"{address}/32", "dev", "lo")
    ip("app", "addr", "add", f"{APP}/24", "dev", "f3")
    ip("app", "route", "add", "default", "via", "10.9.0.1")


def rule(number: int, priority: int, conditions: dict[str, object], *actions: object) -> Rule:
    made = match(in_port=number, **conditions)  # type: ignore[arg-type]
    return Rule(table=0, priority=priority, match=made, actions=actions, cookie=1000 * number + priority)  # type: ignore[arg-type]


OUT = (GtpLearn(way=Way.UP), GtpDecap(eth_src=mac(OWN_MAC), eth_dst=mac(APP_MAC)), Output(port=3))
RULES = (
    rule(1, 1, {}, Output(port=2)),
    rule(2, 1, {}, Output(port=1)),
    rule(1, 10, {"gtp_type": 255}, GtpLearn(way=Way.UP), Output(port=2)),
    rule(2, 10, {"gtp_type": 255}, GtpLearn(way=Way.DOWN), Output(port=1)),
    rule(1, 20, {"gtp_type": 255, "inner_ipv4_dst": f"{APP}/32"}, *OUT),
    rule(1, 30, {"gtp_type": 255, "inner_ipv4_dst": f"{MARKED}/32"}, *OUT),
    rule(3, 10, {"ipv4_dst": USERS}, GtpEncap(way=Way.DOWN), Output(port=1)),
    rule(3, 20, {"ipv4_src": USERS}, GtpEncap(way=Way.UP), Output(port=2)),
    rule(3, 30, {"eth_type": 0x0806}, ArpReply(mac=mac(OWN_MAC))),
    rule(1, 50, {"ipv4_dst": "10.1.0.9", "gtp_type": 1}, GtpReply()),
)


class Line:
    """The gateway with a user on line. `at_core` sees what arrives at the core."""

    def __init__(self, engine: Driver, taps: dict[str, Tap]) -> None:
        self.engine, self.taps = engine, taps
        self.snooper = Snooper(engine, DEVICE, SIDES, SystemClock())

    def at_core(self) -> list[packets.Parsed]:
        """What came to the core since, of users."""
        seen = [packets.parse(frame) for left, frame in self.taps["core"].frames() if not left]
        return [one for one in seen if one.inner]


def fetch(name: str, url: str) -> bytes:
    """A web page, asked for in a namespace."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with namespaces.inside(place(name)), opener.open(url, timeout=5) as answer:
        body: bytes = answer.read()
        return body


async def until(happens: object, seconds: float = 15.0) -> None:
    limit = time.monotonic() + seconds
    while not happens():  # type: ignore[operator]
        assert time.monotonic() < limit
        await asyncio.sleep(0.02)


def has_interface(name: str, interface: str) -> bool:
    shown = subprocess.run(
        ["ip", "-n", f"{NODE}-{name}", "-4", "addr", "show", "dev", interface], capture_output=True, check=False
    )
    return b"inet " in shown.stdout


def serve(stack: AsyncExitStack, name: str, address: str, folder: Path, size: int) -> None:
    folder.mkdir()
    (folder / "page").write_bytes(name.encode() * size)
    command = (sys.executable, "-m", "http.server", "80", "--bind", address, "--directory", str(folder))
    stack.enter_context(running(name, *command))


def listens(name: str) -> bool:
    shown = subprocess.run(
        ["ip", "netns", "exec", f"{NODE}-{name}", "cat", "/proc/net/tcp"], capture_output=True, check=True
    )
    return b":0050 00000000:0000 0A" in shown.stdout


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[Line]:
    engine = Driver(EngineContext(node=NODE, data_dir=tmp_path, clock=SystemClock()))
    await asyncio.to_thread(wire)
    async with AsyncExitStack() as stack:
        for name in ("lgw", "ran", "core", "app"):
            stack.callback(namespaces.unpin, place(name))
        await engine.open()
        stack.push_async_callback(engine.close)
        stack.push_async_callback(engine.teardown, DEVICE)
        await engine.prepare(DeviceSpec(name=DEVICE, namespace=f"{NODE}-lgw"))
        for number in (1, 2, 3):
            await engine.attach(DEVICE, PortState(number=number, name=f"p{number}", interface=f"n{number}"))
        await engine.apply(Change(device=DEVICE, put_rules=RULES))
        taps: dict[str, Tap] = {}
        for name, where, interface in (("core", "core", "f2"), ("ran", "ran", "f1")):
            with namespaces.inside(place(where)):
                taps[name] = Tap(interface)
            stack.callback(taps[name].close)
        found = Line(engine, taps)
        await found.snooper.start(f"{NODE}-lgw", "n1")
        stack.push_async_callback(found.snooper.stop)
        (tmp_path / "ggsn.cfg").write_text(GGSN.format(folder=tmp_path))
        stack.enter_context(running("core", "osmo-ggsn", "-c", str(tmp_path / "ggsn.cfg")))
        await until(lambda: has_interface("core", "tun0"))
        serve(stack, "app", APP, tmp_path / "app", 40_000)
        serve(stack, "core", "0.0.0.0", tmp_path / "core", 40_000)
        ends = ("-l", "10.1.0.1", "-r", "10.1.0.2", "--createif", "--tun-device=ue0", "--defaultroute")
        files = (f"--statedir={tmp_path}", f"--pidfile={tmp_path / 'sgsn.pid'}")
        stack.enter_context(running("ran", "sgsnemu", *ends, *files))
        await until(lambda: has_interface("ran", "ue0"))
        await until(lambda: listens("app") and listens("core"))
        yield found


@pytest.mark.feature("C39", "E43", "E102", "E103", "E104", "E109")
async def test_a_user_is_served_by_the_core_at_the_edge_and_by_both(line: Line) -> None:
    (session,) = line.snooper.tracker.sessions()
    assert session.origin is Origin.SNOOPED
    user = session.ue

    # Passed on: nothing is changed on the way.
    list(line.taps["ran"].frames())
    line.at_core()
    assert await asyncio.to_thread(fetch, "ran", f"http://{FAR}/page") == b"core" * 40_000
    sent = [frame for left, frame in line.taps["ran"].frames() if left]
    arrived = [one.frame for one in line.at_core()]
    assert arrived
    assert set(arrived) <= set(sent)

    # Served at the edge: not one frame of the flow at the core, and full segments fit into the tunnel back.
    assert await asyncio.to_thread(fetch, "ran", f"http://{APP}/page") == b"app" * 40_000
    edge = int.from_bytes(bytes(map(int, APP.split("."))), "big")
    assert [one for one in line.at_core() if one.fields[Field.INNER_IPV4_DST] == edge] == []

    # Through the edge and then on: the core sees that it was there, in the user's own tunnel.
    assert await asyncio.to_thread(fetch, "ran", f"http://{MARKED}/page") == b"core" * 40_000
    beyond = int.from_bytes(bytes(map(int, MARKED.split("."))), "big")
    marked = [one for one in line.at_core() if one.fields[Field.INNER_IPV4_DST] == beyond]
    assert marked
    assert session.up
    assert {one.fields[Field.GTP_TEID] for one in marked} == {session.up.teid}
    assert {one.frame[one.gtp_payload + 8] for one in marked} == {63}
    known = {one.ue: one for one in (await line.engine.read_back(DEVICE)).sessions}
    assert known[user] == session
