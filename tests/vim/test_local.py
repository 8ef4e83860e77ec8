"""The embedded driver on real parts: what the suite for all drivers does not ask."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from pathlib import Path

import pytest

from skerry.errors import ConflictError, DriverError, InvalidError, RejectedError, UnsupportedError
from skerry.vim.driver import ComputeState, DriverContext, File, Mount, NetworkSpec, NicSpec, Port
from skerry.vim.drivers.local import Driver
from skerry.vim.local import cgroups, probe, supervise
from skerry.vim.local.links import Links
from skerry.vim.local.network import EdgeNetwork
from skerry.vim.local.settings import LocalSettings
from tests.vim.conftest import Local, eventually

pytestmark = pytest.mark.real

S = ComputeState


@pytest.mark.feature("A3", "A82")
async def test_an_instance_is_contained(local: Local) -> None:
    await local.run("one")
    status = await local.shell("one", "cat /proc/1/status")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert (fields["NoNewPrivs"], fields["Seccomp"]) == ("1", "2")
    assert int(fields["CapEff"], 16) & (1 << 21) == 0
    assert "Operation not permitted" in await local.shell("one", "unshare -U true")
    assert "permission denied" in await local.shell("one", "mount -t tmpfs x /tmp")
    assert "Read-only" in await local.shell("one", "echo 1 > /proc/sys/kernel/panic")
    assert "Operation not permitted" in await local.shell("one", "mknod /tmp/x b 254 0")
    assert (await local.shell("one", "stat -c %a /dev/shm")).strip() == "1777"


@pytest.mark.feature("A3", "D58")
async def test_sipp_calls_sipp_through_the_filter(local: Local) -> None:
    if not probe.tool("sipp"):
        pytest.skip("needs the package sip-tester")
    await local.image("host:sipp")
    await local.network("sip")
    server = await local.run("server", "sipp", "-sn", "uas", "-nostdin", image="host:sipp", networks=("sip",))
    target = f"{server.nics[0].ip}:5060"
    client = ("sipp", "-sn", "uac", target, "-m", "20", "-r", "50", "-d", "10", "-nostdin")
    await local.run("client", *client, image="host:sipp", networks=("sip",))
    ended = await local.reaches("client", S.EXITED, 20)
    assert ended.exit_code == 0
    printed = [line.text async for line in local.driver.logs("client")]
    assert any("Successful call" in line and line.split()[-1] == "20" for line in printed)


@pytest.mark.feature("A17", "A49")
async def test_memory_over_the_limit_is_killed_and_told(local: Local) -> None:
    events = local.driver.events()
    await local.run("hog", "sh", "-c", "tail /dev/zero", memory_bytes=16 << 20)
    ended = await local.reaches("hog", S.FAILED)
    assert ended.exit_code
    seen = [(await anext(events)).action for _ in range(4)]
    assert seen[:3] == ["created", "started", "oom"]


async def test_networks_can_be_read_while_others_are_made(tmp_path: Path) -> None:
    """The event loop reads the records in the middle of what a worker thread does."""
    edge = EdgeNetwork(f"t{os.getpid()}-race", "host1")
    links = Links(tmp_path / "networks", edge, "172.20.0.0/14")
    links.load()
    made = [NetworkSpec(name=f"n{number}", owner="o") for number in range(150)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        making = asyncio.get_running_loop().run_in_executor(None, lambda: [links.create(spec) for spec in made])
        while not making.done():
            for _ in range(20):
                links.all()
            await asyncio.sleep(0)
        assert len(await making) == len(links.all()) == 150
    finally:
        sys.setswitchinterval(interval)
        for spec in made:
            links.delete(spec.name)


@pytest.mark.feature("A17", "A49")
async def test_processor_time_is_capped(local: Local) -> None:
    await local.run("busy", "sh", "-c", "while :; do :; done", vcpus=0.2)
    first = await local.driver.stats("busy")
    began = time.monotonic()
    await asyncio.sleep(1.0)
    second = await local.driver.stats("busy")
    used = (second.cpu_seconds - first.cpu_seconds) / (time.monotonic() - began)
    assert 0.05 < used < 0.32
    await local.driver.resize("busy", vcpus=0.05)
    roots = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/cpu"))
    files = [path for root in roots for path in root.glob(f"skerry/{local.driver.network.tag}/*/cpu.*")]
    quotas = {path.name: path.read_text() for path in files if path.name in {"cpu.max", "cpu.cfs_quota_us"}}
    assert [quota.split()[0] for quota in quotas.values()] == ["5000"]


@pytest.mark.feature("A49", "A51")
@pytest.mark.parametrize("limited", ["ingress", "egress"])
async def test_bandwidth_is_capped_on_the_wire(local: Local, limited: str) -> None:
    await local.network("vl")
    down = NicSpec(network="vl", ingress_bps=8_000_000 if limited == "ingress" else 0)
    up = NicSpec(network="vl", egress_bps=8_000_000 if limited == "egress" else 0)
    sink = await local.run("sink", "sh", "-c", "tail -f /dev/null | nc -l -p 9 | wc -c", nics=(down,))
    await local.run("source", nics=(up,))
    await asyncio.sleep(0.2)
    began = time.monotonic()
    await local.shell("source", f"dd if=/dev/zero bs=64k count=32 | nc -w 20 {sink.nics[0].ip} 9")
    seconds = time.monotonic() - began
    received = await local.driver.stats("sink" if limited == "ingress" else "source")
    moved = received.rx_bytes["eth0"] if limited == "ingress" else received.tx_bytes["eth0"]
    assert moved > 2 << 20
    assert 1.7 < seconds < 6, "2 MiB at 8 Mbit/s take 2.1 s"


@pytest.mark.feature("A15", "A50")
async def test_addresses_come_back_over_real_cycles(local: Local) -> None:
    await local.network("vl", cidr="10.77.0.0/29")
    seen = set()
    for number in range(12):
        made = await local.driver.create_compute(local.spec(f"c{number}", networks=("vl",)))
        seen.add(made.nics[0].ip)
        await local.driver.delete_compute(made.name)
    assert seen == {"10.77.0.2"}


ECHO = """while :; do nc -l -p 7 -e cat; done &
exec perl -MSocket -e '
  socket(S, PF_INET, SOCK_DGRAM, 0); bind(S, sockaddr_in(8, INADDR_ANY));
  while (my $from = recv(S, my $data, 999, 0)) { send(S, $data, 0, $from) }'"""


@pytest.mark.feature("A82", "A83")
async def test_published_ports_forward_both_protocols(local: Local) -> None:
    await local.network("vl")
    tcp, udp = free_port(socket.SOCK_STREAM), free_port(socket.SOCK_DGRAM)
    ports = (Port(host=tcp, instance=7), Port(host=udp, instance=8, protocol="udp"))
    await local.image("host:perl")
    await local.run("echo", "sh", "-c", ECHO, image="host:perl", networks=("vl",), ports=ports)
    assert await talk_tcp(tcp) == b"hello"
    assert await talk_udp(udp) == b"hello"
    await local.reopen()
    assert await talk_tcp(tcp) == b"hello"
    with pytest.raises(DriverError, match=f"{tcp}/tcp"):
        await local.run("other", networks=("vl",), ports=(Port(host=tcp, instance=7),))
    await local.driver.delete_compute("echo")
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", tcp)
    await local.driver.start_compute("other")


def free_port(kind: int) -> int:
    with socket.socket(socket.AF_INET, kind) as probe_socket:
        probe_socket.bind(("127.0.0.1", 0))
        return int(probe_socket.getsockname()[1])


async def talk_tcp(port: int) -> bytes:
    """Send a word and read it back; the program inside may need a moment to listen."""
    async with asyncio.timeout(5):
        while True:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(b"hello")
                answer = await reader.readexactly(5)
            except (OSError, asyncio.IncompleteReadError):
                await asyncio.sleep(0.02)
                continue
            finally:
                writer.close()
            return answer


async def talk_udp(port: int) -> bytes:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setblocking(False)
        client.connect(("127.0.0.1", port))
        for _ in range(50):
            await loop.sock_sendall(client, b"hello")
            try:
                return await asyncio.wait_for(loop.sock_recv(client, 100), 0.1)
            except (TimeoutError, ConnectionRefusedError):
                continue
    return b""


@pytest.mark.feature("A13", "A82")
async def test_restart_brings_it_back_until_it_is_stopped(local: Local) -> None:
    await local.run("phoenix", restart=True)
    first = await local.driver.get_compute("phoenix")
    assert first.pid
    os.kill(first.pid, signal.SIGKILL)

    async def again() -> bool:
        now = await local.driver.get_compute("phoenix")
        return now.state is S.RUNNING and now.pid != first.pid

    await eventually(again)
    stopped = await local.driver.stop_compute("phoenix")
    assert stopped.state is S.EXITED
    await asyncio.sleep(0.4)
    assert (await local.driver.get_compute("phoenix")).state is S.EXITED


async def test_deletion_ends_a_stop_that_waits(local: Local) -> None:
    await local.run("deaf", "sh", "-c", "trap '' TERM; while :; do sleep 1; done", grace_s=60.0)
    stopping = asyncio.create_task(local.driver.stop_compute("deaf"))
    await local.reaches("deaf", S.STOPPING)
    async with asyncio.timeout(5):
        await local.driver.delete_compute("deaf")
        await asyncio.wait([stopping])
    assert stopping.exception() is None or isinstance(stopping.exception(), DriverError | ConflictError)


@pytest.mark.feature("A88")
async def test_following_goes_on_over_a_restart_and_ends_with_the_instance(local: Local) -> None:
    await local.driver.create_compute(local.spec("talker", "sh", "-c", "echo up $N; exec sleep 99", env={"N": "1"}))
    seen: list[str] = []

    async def read() -> None:
        async for line in local.driver.logs("talker", follow=True):
            seen.append(line.text)  # noqa: PERF401 - seen while it grows

    reading = asyncio.create_task(read())

    async def has(count: int) -> None:
        async with asyncio.timeout(5):
            while len(seen) < count:
                await asyncio.sleep(0.01)

    await local.driver.start_compute("talker")
    await has(1)
    await local.driver.stop_compute("talker")
    await local.driver.set_environment("talker", {"N": "2"})
    await local.driver.start_compute("talker")
    await has(2)
    await local.driver.delete_compute("talker")
    await asyncio.wait_for(reading, 5)
    assert seen == ["up 1", "up 2"]


async def test_a_command_that_does_not_exist_or_run(local: Local) -> None:
    await local.run("one", files=(File(path="/data", content=b"no program"),))
    assert (await local.ask("one", "no-such-program")).exit_code == 127
    assert (await local.ask("one", "/data")).exit_code == 126
    assert (await local.ask("one", "sh", "-c", "exit 255")).exit_code == 255
    with pytest.raises(InvalidError):
        await local.ask("one")


@pytest.mark.feature("A76")
async def test_what_is_more_than_there_is_gets_rejected(local: Local) -> None:
    await local.reopen(instances=2, vcpus=1.0, memory_bytes=64 << 20)
    await local.driver.create_compute(local.spec("a", vcpus=0.6, memory_bytes=32 << 20))
    with pytest.raises(RejectedError, match="vCPUs"):
        await local.driver.create_compute(local.spec("b", vcpus=0.6))
    with pytest.raises(RejectedError, match="memory"):
        await local.driver.create_compute(local.spec("b", memory_bytes=33 << 20))
    await local.driver.create_compute(local.spec("b"))
    with pytest.raises(RejectedError, match="instances"):
        await local.driver.create_compute(local.spec("c"))
    assert (await local.driver.capacity()).used_instances == 2


async def test_every_fault_of_a_spec_is_told_at_once(local: Local) -> None:
    wrong = local.spec("x", dns=("here",), capabilities=("FLY",), mounts=(Mount(source="/no/such", target="/t"),))
    with pytest.raises(InvalidError) as caught:
        await local.driver.create_compute(wrong)
    assert {fault.path for fault in caught.value.faults} == {"dns", "capabilities", "mounts"}


async def test_fifty_at_once(local: Local) -> None:
    await local.network("a")
    await local.network("b")
    names = [f"i{number}" for number in range(50)]
    began = time.monotonic()
    made = await asyncio.gather(*(local.run(name, networks=("a", "b")) for name in names))
    assert time.monotonic() - began < 30
    assert {one.state for one in made} == {S.RUNNING}
    assert len({nic.ip for one in made for nic in one.nics}) == 100
    assert len({nic.mac for one in made for nic in one.nics}) == 100


def test_the_probe_says_what_works_here() -> None:
    found = probe.probe()
    names = {ability.name for ability in found.abilities}
    assert {"oci-runtime", "conmon", "busybox", "overlay", "cgroups", "seccomp", "kvm", "skopeo"} <= names
    assert found.usable
    assert Path(found.runtime).name in {"runc", "crun"}
    assert all(ability.remedy for ability in found.abilities)
    assert not probe.choose("no-such-runtime", cgroups.this_machine())[0]


async def test_a_runtime_that_is_missing_is_told_with_a_way_out(tmp_path: Path, local: Local) -> None:
    context = DriverContext(node="none", data_dir=tmp_path / "other", clock=local.driver.context.clock)
    with pytest.raises(UnsupportedError, match="no-such-runtime") as caught:
        await Driver(LocalSettings(runtime="no-such-runtime"), context).open()
    assert "apt-get" in caught.value.suggestion


def test_a_process_is_not_mistaken_for_a_later_one() -> None:
    own = supervise.identify(os.getpid())
    assert own
    assert supervise.alive(own)
    later = type(own)(pid=own.pid, started=own.started + 1)
    assert not supervise.alive(later)
    assert supervise.descriptor(later) is None
    assert not supervise.send(later, 0)
