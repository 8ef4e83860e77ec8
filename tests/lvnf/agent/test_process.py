"""Agents as processes: functions on bridges and taps, lost and found agents, crashes, certificates, what an agent needs."""

from __future__ import annotations

import asyncio
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from skerry.dataplane.ovs.instance import Instance, missing
from skerry.linux import namespaces
from tests.api.rig import TOKEN, running
from tests.lvnf.agent.site import ECHO, FAR, LIMIT_S, NEAR, Site, ping, responder
from tests.serving import served

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(
        os.geteuid() != 0 or not shutil.which("ip", path="/usr/sbin:/sbin:/usr/bin:/bin"), reason="needs root"
    ),
]


@pytest.fixture(scope="module")
def switch() -> Iterator[Instance]:
    """A private Open vSwitch."""
    if missing():
        pytest.skip(missing())
    instance = Instance(f"agent-{os.getpid()}", "")
    asyncio.run(instance.ensure())
    yield instance
    asyncio.run(instance.stop())


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """A node and an agent without a bridge."""
    async with running(tmp_path) as rig, served(rig) as url:
        made = Site(rig.client, url, tmp_path, TOKEN, None)
        made.start()
        await made.connected()
        try:
            yield made
        finally:
            await made.close()


@pytest.fixture
async def bridged(tmp_path: Path, switch: Instance) -> AsyncIterator[Site]:
    """A node and an agent with a bridge."""
    async with running(tmp_path) as rig, served(rig) as url:
        made = Site(rig.client, url, tmp_path, TOKEN, switch)
        made.start()
        await made.connected()
        try:
            yield made
        finally:
            await made.close()


@pytest.mark.feature("C36", "C37", "C38")
async def test_functions_on_a_bridge(bridged: Site) -> None:
    agent = await bridged.connected()
    assert {"process", "ebpf"} <= set(agent["backends"])
    assert (agent["bridge"], agent["ports"]) == (bridged.bridge, ["bridge", "tap"])
    one = await bridged.add("one", ECHO, {"device": "eth0"})
    two = await bridged.add("two", ECHO, {"device": "eth0"}, {"device": "eth1"}, backend="process")
    assert (one["state"], one["times_ms"]["start"] > 0) == ("running", True)
    interfaces = [port["interface"] for made in (one, two) for port in made["ports"]]
    assert len(set(interfaces)) == 3
    shown = bridged.vsctl("show")
    for interface in interfaces:
        assert f"Port {interface}" in shown
        assert "NO_FLOOD" in bridged.port(interface)
        assert (
            bridged.vsctl("get", "interface", interface, "external_ids:skerry-lvnf")
            .strip()
            .strip('"')
            .startswith(bridged.name)
        )
    for name in ("one", "two"):
        answer = await bridged.client.delete(bridged.at(name), timeout=LIMIT_S)
        assert answer.status_code == 204
    left = bridged.vsctl("show")
    assert not any(interface in left for interface in interfaces)
    assert not any(interface in {name for _, name in socket.if_nameindex()} for interface in interfaces)
    await bridged.sees(lambda: bridged.states("two"), ["spawning", "running", "stopping", "deleted"])
    events = await bridged.get("/skerry/v1/events?kind=lvnf-agent")
    stopped = [event["data"]["times_ms"]["stop"] > 0 for event in events if event["state"] == "deleted"]
    assert stopped == [True, True]


@pytest.mark.feature("C38")
async def test_ports_stay_silent_when_the_switch_is_started_anew(bridged: Site) -> None:
    made = await bridged.add("one", ECHO, {"device": "eth0"}, backend="process")
    interface = made["ports"][0]["interface"]
    assert bridged.switch is not None
    pid = int((bridged.switch.folder / "ovs-vswitchd.pid").read_text())
    ended = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    await asyncio.to_thread(select.select, [ended], [], [], LIMIT_S)
    os.close(ended)
    await bridged.switch.ensure()

    async def silent() -> bool:
        return "NO_FLOOD" in bridged.port(interface)

    await bridged.sees(silent, True)


@pytest.mark.feature("C38")
@pytest.mark.parametrize("backend", ["process", "ebpf"])
async def test_a_control_socket_on_the_agents_machine(site: Site, backend: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    tap = {"device": "eth0", "kind": "tap", "name": site.tap}
    wanted = {"configuration": ECHO, "ports": [tap], "backend": backend, "control": address}
    answer = await site.client.put(site.at("spoken"), json=wanted, timeout=LIMIT_S)
    assert answer.status_code == 200, answer.text
    host, _, port = address.rpartition(":")
    async with asyncio.timeout(LIMIT_S):
        while True:
            try:
                reader, writer = await asyncio.open_connection(host, int(port))
                break
            except ConnectionRefusedError:
                await asyncio.sleep(0.02)
        assert await reader.readline() == b"Click::ControlSocket/1.3\r\n"
        writer.write(b"READ c.class\r\nWRITE c.reset\r\nQUIT\r\n")
        said = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert b"Counter" in said
    assert b"200 Write handler 'c.reset' OK" in said


@pytest.mark.feature("C37", "C38")
async def test_a_function_on_a_tap_of_the_machine(site: Site) -> None:
    tap = {"device": "eth0", "kind": "tap", "name": site.tap, "address": f"{NEAR}/30"}
    made = await site.add("pong", responder(FAR), tap, backend="process")
    assert made["ports"][0]["interface"] == site.tap
    assert await ping(FAR, 1)
    counted = await site.count("pong")
    assert counted >= 2  # ARP and the echo request
    stats = await site.get(f"{site.at('pong')}/stats")
    assert 0 < stats["memory_bytes"] < 60 << 20
    assert (stats["pids"], stats["uptime_s"] > 0) == (1, True)
    answer = await site.client.put(f"{site.at('pong')}/handlers", json={"handler": "c.reset"})
    assert answer.status_code == 204
    assert await site.count("pong") < counted
    listed = await site.get(f"{site.at('pong')}/handlers?handler=list")
    assert "ICMPPingResponder" in (await site.get(f"{site.at('pong')}/handlers?handler=p.class"))["value"]
    assert "p\n" in listed["value"]
    await site.add("pong", responder(FAR).replace("ICMPPingResponder", "ICMPPingResponder -> Null"), tap,
                   backend="process")  # fmt: skip
    assert await ping(FAR, 2)


@pytest.mark.feature("C37")
async def test_what_an_agent_refuses_comes_back_as_a_refusal(site: Site) -> None:
    bad = await site.client.put(site.at("bad"), json={"configuration": "FromDevice(eth0) -> Nothing"})
    assert bad.status_code in (400, 422)
    assert "Nothing" in bad.text
    deaf = await site.client.put(site.at("deaf"), json={"configuration": ECHO})
    assert "no port eth0" in deaf.json()["detail"]
    bare = await site.client.put(site.at("bare"), json={"configuration": ECHO, "ports": [{"device": "eth0"}]})
    assert "--bridge" in bare.json()["suggestion"]
    taken = {"device": "eth0", "kind": "tap", "name": "lo"}
    other = await site.client.put(site.at("other"), json={"configuration": ECHO, "ports": [taken]})
    assert (other.status_code, "not ours" in other.json()["detail"]) == (409, True)
    assert (await site.client.get(f"{site.at('none')}/stats")).status_code == 404
    odd = await site.client.put(
        site.at("odd"), json={"configuration": ECHO, "ports": [{"device": "eth0", "adress": ""}]}
    )
    assert odd.status_code in (400, 422)
    await site.sees(site.lvnfs, [])


@pytest.mark.feature("C37")
async def test_a_silent_agent_is_lost_and_found(site: Site) -> None:
    await site.add("pong", responder(FAR), {"device": "eth0", "kind": "tap", "name": site.tap})
    assert await site.alarms() == []
    site.send_signal(signal.SIGSTOP)
    try:
        await site.is_so(lambda one: one["state"] == "DOWN")
        await site.sees(site.events, ["UP", "DOWN"])
        await site.sees(site.alarms, ["RAISED"])
        refused = await site.client.get(f"{site.at('pong')}/stats")
        assert refused.status_code == 503
        assert (await site.get(site.at("pong")))["state"] == "running"  # as it was told last
    finally:
        site.send_signal(signal.SIGCONT)
    await site.connected()
    await site.sees(site.events, ["UP", "DOWN", "UP"])
    await site.sees(site.alarms, [])
    await site.sees(site.lvnfs, [("pong", "running")])


@pytest.mark.feature("C37")
@pytest.mark.parametrize("backend", ["process", "ebpf"])
async def test_functions_go_on_without_their_agent(site: Site, backend: str) -> None:
    tap = {"device": "eth0", "kind": "tap", "name": site.tap, "address": f"{NEAR}/30"}
    answering = ECHO if backend == "ebpf" else responder(FAR)
    await site.add("pong", answering, tap, backend=backend)
    if backend == "process":
        assert await ping(FAR, 1)
    before = await site.count("pong")
    await site.stop(signal.SIGKILL)
    if backend == "process":
        assert await ping(FAR, 2)
    site.start()
    await site.connected()
    await site.sees(site.lvnfs, [("pong", "running")])
    assert (await site.get(site.at("pong")))["backend"] == backend
    assert await site.count("pong") >= before + (backend == "process")


@pytest.mark.feature("C37")
async def test_functions_go_on_without_their_node(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    tap = {"device": "eth0", "kind": "tap", "name": f"sklt{os.getpid()}", "address": f"{NEAR}/30"}
    async with running(tmp_path) as rig:
        site = Site(rig.client, f"http://127.0.0.1:{port}", tmp_path, TOKEN, None)
        site.start()
        async with asyncio.timeout(LIMIT_S):
            while "cannot reach the node" not in (tmp_path / "agent.log").read_text():
                await asyncio.sleep(0.02)
        async with served(rig, port):
            await site.connected()
            await site.add("pong", responder(FAR), tap, backend="process")
    assert await ping(FAR, 1)
    async with running(tmp_path) as rig, served(rig, port):
        site.client = rig.client
        await site.connected()
        await site.sees(site.lvnfs, [("pong", "running")])
        assert await site.count("pong") >= 2
        await site.sees(site.events, ["UP", "UP"])
        await site.close()


@pytest.mark.feature("C37")
async def test_a_function_that_dies_is_told(site: Site) -> None:
    tap = {"device": "eth0", "kind": "tap", "name": site.tap}
    await site.add("short", responder(FAR), tap, backend="process")
    (identity,) = (site.folder / "agent/functions").glob("*/run/process.json")
    pid = int(identity.read_text().split(":")[1].split(",")[0])
    os.kill(pid, signal.SIGKILL)
    async with asyncio.timeout(LIMIT_S):
        while (found := await site.get(site.at("short")))["state"] != "failed":
            await asyncio.sleep(0.02)
    assert found["trouble"]
    await site.add("short", responder(FAR), tap, backend="process")
    assert (await site.get(site.at("short")))["state"] == "running"


@pytest.mark.feature("C37", "C38")
async def test_an_agent_is_small_tells_of_its_machine_and_leaves_nothing(site: Site) -> None:
    agent = await site.is_so(lambda one: one.get("cpu_busy", 0) > 0)
    assert agent["cpu_count"] == os.cpu_count()
    assert 0 < agent["cpu_busy"] <= 1
    assert 0 < agent["memory_free_bytes"] < agent["memory_bytes"]
    resident = int(Path(f"/proc/{site.pid}/status").read_text().partition("VmRSS:")[2].split()[0])
    assert resident < 60_000
    await site.add("gone", ECHO, {"device": "eth0", "kind": "tap", "name": site.tap})
    pinned = {place.name for place in namespaces.FOLDER.iterdir()}
    (folder,) = (site.folder / "agent/functions").iterdir()
    assert folder.name in pinned
    answer = await site.client.delete(site.at("gone"), timeout=LIMIT_S)
    assert answer.status_code == 204
    assert folder.name not in {place.name for place in namespaces.FOLDER.iterdir()}
    assert site.tap not in {name for _, name in socket.if_nameindex()}
    assert list((site.folder / "agent/functions").iterdir()) == []


@pytest.mark.feature("C37")
def test_an_agent_imports_nothing_of_a_node() -> None:
    program = (
        "import sys, skerry.cli.lvnf_agent, skerry.lvnf.agent.run; "
        "print(*(name for name in sys.modules if name.split('.')[0] in ('starlette', 'uvicorn', 'httpx', 'sqlite3', 'yaml')"
        " or name.startswith(('skerry.api', 'skerry.wiring', 'skerry.engine', 'skerry.store', 'skerry.vim'))))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
