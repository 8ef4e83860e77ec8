"""What an instance is given, and the optional abilities of drivers."""

from __future__ import annotations

import asyncio
import subprocess
import time
from pathlib import Path

import pytest

from skerry.errors import ConflictError, DriverError, InvalidError, NotFoundError
from skerry.vim import catalogue
from skerry.vim.driver import ComputeState, File, LogLine, Mount, NicSpec, Port, Tap, VimEvent
from tests.conformance.bench import Bench, eventually

_S = ComputeState
_MB = 1 << 20


@pytest.mark.feature("A51", "A82", "A83")
async def test_files_hostname_names_and_dns(bench: Bench) -> None:
    bench.need("exec")
    network = await bench.network()
    await bench.create(
        on=(network,),
        hostname="edge-1",
        dns=("10.1.2.3", "10.1.2.4"),
        hosts={"peer.example": "10.9.8.7"},
        files=(
            File(path="/etc/app/first.conf", content=b"a\x00b\n"),
            File(path="/opt/run.sh", content=b"#!", mode=0o755),
        ),
    )
    await bench.driver.set_environment(bench.name("a"), {}, [File(path="/etc/app/second.conf", content=b"second")])
    await bench.driver.start_compute(bench.name("a"))
    assert (await bench.ask("a", "hostname")).stdout.strip() == b"edge-1"
    assert (await bench.ask("a", "cat", "/etc/app/first.conf")).stdout == b"a\x00b\n"
    assert await bench.read("a", "/etc/app/second.conf") == "second"
    servers = [
        line.split()[1] for line in (await bench.read("a", "/etc/resolv.conf")).splitlines() if "nameserver" in line
    ]
    assert servers == ["10.1.2.3", "10.1.2.4"]
    assert ["10.9.8.7", "peer.example"] in [line.split() for line in (await bench.read("a", "/etc/hosts")).splitlines()]
    if bench.rig.real:
        assert (await bench.ask("a", "stat", "-c", "%a", "/opt/run.sh")).stdout.strip() == b"755"


@pytest.mark.feature("A82")
async def test_mounts_are_read_only_unless_asked(bench: Bench, scratch: Path) -> None:
    bench.need("exec")
    if not bench.rig.real:
        pytest.skip("the simulated driver has no file systems")
    (scratch / "note").write_text("from the host")
    await bench.run(
        mounts=(
            Mount(source=str(scratch), target="/ro"),
            Mount(source=str(scratch), target="/rw", read_only=False),
        )
    )
    assert await bench.read("a", "/ro/note") == "from the host"
    assert (await bench.ask("a", "touch", "/ro/new")).exit_code != 0
    assert (await bench.ask("a", "touch", "/rw/new")).exit_code == 0
    assert (scratch / "new").exists()


@pytest.mark.feature("A82")
async def test_a_read_only_root_has_its_files_all_the_same(bench: Bench) -> None:
    bench.need("exec")
    await bench.run("ro", read_only=True, files=(File(path="/etc/app.conf", content=b"x"),))
    await bench.run("rw")
    assert await bench.read("ro", "/etc/app.conf") == "x"
    assert (await bench.ask("ro", "touch", "/new")).exit_code != 0
    assert (await bench.ask("rw", "touch", "/new")).exit_code == 0


@pytest.mark.feature("A82")
async def test_capabilities_are_few_unless_asked(bench: Bench) -> None:
    bench.need("exec")
    if not bench.rig.real:
        pytest.skip("the simulated driver has no kernel")
    await bench.run("plain")
    await bench.run("net", capabilities=("NET_ADMIN",))
    assert (await bench.ask("plain", "ip", "link", "set", "lo", "mtu", "9000")).exit_code != 0
    assert (await bench.ask("net", "ip", "link", "set", "lo", "mtu", "9000")).exit_code == 0
    assert (await bench.ask("net", "mount", "-t", "tmpfs", "none", "/tmp")).exit_code != 0


@pytest.mark.feature("A17", "A49")
async def test_limits_are_enforced(bench: Bench) -> None:
    await bench.run(vcpus=0.5, memory_bytes=64 * _MB, pids=77)
    limits = await bench.rig.limits(bench.driver, bench.name("a"))
    assert (limits.memory_bytes, limits.vcpus, limits.pids) == (64 * _MB, 0.5, 77)


@pytest.mark.real
@pytest.mark.feature("A17", "A49")
async def test_too_much_memory_is_fatal(bench: Bench) -> None:
    if not bench.rig.real:
        pytest.skip("the simulated driver has no memory")
    await bench.run(memory_bytes=16 * _MB, command=("tail", "-c", "200m", "/dev/zero"))
    assert (await bench.reaches(_S.FAILED)).exit_code == 137


@pytest.mark.real
@pytest.mark.feature("A49", "A51")
@pytest.mark.parametrize("direction", ["egress", "ingress"])
async def test_bandwidth_is_capped(bench: Bench, direction: str) -> None:
    bench.need("exec")
    if not bench.rig.real:
        pytest.skip("nothing travels in a simulated network")
    network = await bench.network()
    limit = {"egress_bps": 8_000_000} if direction == "egress" else {}
    back = {"ingress_bps": 8_000_000} if direction == "ingress" else {}
    receiver = await bench.run(
        "r",
        nics=(NicSpec(network=network.name, **back),),
        command=("sh", "-c", "while true; do sleep 1000 | nc -l -p 9 >/dev/null; done"),
    )
    await bench.run("s", nics=(NicSpec(network=network.name, **limit),))

    async def listening() -> bool:
        return b":9 " in (await bench.ask("r", "netstat", "-ltn")).stdout

    await eventually(listening)
    await bench.ask("s", "sh", "-c", f"cat /dev/zero | timeout 2 nc {receiver.nics[0].ip} 9")
    received = (await bench.driver.stats(receiver.name)).rx_bytes["eth0"]
    assert 800_000 < received < 4_000_000, "8 Mbit/s are two million bytes in two seconds"


@pytest.mark.feature("A32", "A76")
async def test_exec_hands_everything_over(bench: Bench) -> None:
    bench.need("exec")
    await bench.run(env={"BASE": "base"})
    result = await bench.ask("a", "sh", "-c", "echo $BASE; echo $X >&2; exit 3", env={"X": "extra"})
    assert (result.exit_code, result.stdout, result.stderr) == (3, b"base\n", b"extra\n")
    data = bytes(range(256)) * 2000
    assert (await bench.ask("a", "cat", stdin=data)).stdout == data
    assert (await bench.ask("a", "true")).exit_code == 0


async def test_exec_ends_at_its_timeout(bench: Bench) -> None:
    bench.need("exec")
    await bench.run()
    async with asyncio.timeout(10):
        with pytest.raises(DriverError, match="sleep"):
            await bench.ask("a", "sleep", "4321", timeout_s=0.4)
    assert await bench.state() is _S.RUNNING
    if bench.rig.real:

        async def gone() -> bool:
            return b"4321" not in (await bench.ask("a", "ps")).stdout

        await eventually(gone)


async def test_exec_needs_a_running_instance(bench: Bench) -> None:
    bench.need("exec")
    with pytest.raises(NotFoundError):
        await bench.ask("missing", "true")
    await bench.create()
    with pytest.raises(ConflictError, match="CREATED"):
        await bench.ask("a", "true")


async def test_a_program_that_is_not_there(bench: Bench) -> None:
    bench.need("exec")
    if not bench.rig.real:
        pytest.skip("a simulated instance knows every program")
    await bench.run()
    assert (await bench.ask("a", "/no/such/program")).exit_code in (126, 127)
    await bench.create("b", command=("/no/such/program",))
    with pytest.raises(DriverError, match="/no/such/program"):
        await bench.driver.start_compute(bench.name("b"))
    await bench.driver.delete_compute(bench.name("b"))


@pytest.mark.feature("A88")
async def test_logs_show_both_streams(bench: Bench) -> None:
    bench.need("logs")
    await bench.run(command=("sh", "-c", "echo one; echo two >&2; echo three; exit 0"))
    await bench.reaches(_S.EXITED)

    async def printed() -> list[LogLine]:
        return [line async for line in bench.driver.logs(bench.name("a"))]

    async def whole() -> bool:
        return len(await printed()) == 3

    await eventually(whole)
    lines = await printed()
    assert sorted((line.stream, line.text) for line in lines) == [
        ("stderr", "two"),
        ("stdout", "one"),
        ("stdout", "three"),
    ]
    assert all(line.time[:2] == "20" and line.time.endswith("Z") for line in lines)
    assert [line.text async for line in bench.driver.logs(bench.name("a"), tail=1)] == [lines[-1].text]


@pytest.mark.feature("A88")
async def test_logs_are_followed_until_the_deletion(bench: Bench) -> None:
    bench.need("logs")
    text = "echo early; sleep 0.3; echo late; sleep 100" if bench.rig.real else "echo early; sleep 100"
    await bench.run(command=("sh", "-c", text))
    seen: list[str] = []

    async def follow() -> None:
        async for line in bench.driver.logs(bench.name("a"), follow=True):
            seen.append(line.text)  # noqa: PERF401 - read while it grows

    following = asyncio.ensure_future(follow())

    async def has(count: int) -> bool:
        return len(seen) >= count

    await eventually(lambda: has(2 if bench.rig.real else 1))
    assert not following.done()
    await bench.driver.delete_compute(bench.name("a"))
    async with asyncio.timeout(5):
        await following
    assert seen[0] == "early"


async def test_logs_of_unknown_instances(bench: Bench) -> None:
    bench.need("logs")
    with pytest.raises(NotFoundError):
        _ = [line async for line in bench.driver.logs(bench.name("missing"))]


@pytest.mark.feature("A76")
async def test_counters(bench: Bench) -> None:
    bench.need("stats")
    await bench.create("idle", on=(await bench.network(),))
    with pytest.raises(ConflictError):
        await bench.driver.stats(bench.name("idle"))
    await bench.driver.start_compute(bench.name("idle"))
    idle = await bench.driver.stats(bench.name("idle"))
    assert idle.pids >= 1
    assert idle.memory_bytes > 0
    assert set(idle.rx_bytes) == set(idle.tx_packets) == {"eth0"}
    if bench.rig.real:
        await bench.run("busy", command=("sh", "-c", "while true; do :; done"))

        async def burnt() -> bool:
            return bool((await bench.driver.stats(bench.name("busy"))).cpu_seconds > 0.2)

        await eventually(burnt)


@pytest.mark.feature("A76")
async def test_what_an_instance_wrote(bench: Bench) -> None:
    bench.need("written")
    await bench.run()
    assert await bench.driver.written_bytes(bench.name("a")) < _MB
    if bench.rig.real:
        done = await bench.ask("a", "sh", "-c", "head -c 3000000 /dev/urandom > /written && sync")
        assert done.exit_code == 0, done.stderr
        assert 3_000_000 <= await bench.driver.written_bytes(bench.name("a")) < 4_000_000
    with pytest.raises(NotFoundError):
        await bench.driver.written_bytes(bench.name("missing"))


@pytest.mark.real
async def test_counters_of_interfaces_are_those_of_the_instance(bench: Bench) -> None:
    bench.need("stats")
    bench.need("exec")
    if not bench.rig.real:
        pytest.skip("nothing travels in a simulated network")
    one, two = await bench.network("one"), await bench.network("two")
    peer = await bench.run("peer", on=(two,))
    await bench.run(on=(one, two))
    before = await bench.driver.stats(bench.name("a"))
    await bench.ask("a", "ping", "-c", "3", "-i", "0.1", "-s", "1000", peer.nics[0].ip)
    after = await bench.driver.stats(bench.name("a"))
    assert after.tx_bytes["eth1"] - before.tx_bytes["eth1"] > 3000
    assert after.tx_packets["eth1"] - before.tx_packets["eth1"] >= 3
    assert after.tx_bytes["eth0"] - before.tx_bytes["eth0"] < 1000


def actions(seen: list[VimEvent], name: str) -> list[str]:
    return [event.action for event in seen if (event.kind, event.name) == ("compute", name)]


@pytest.mark.feature("A4", "A76")
async def test_events_tell_what_happens_behind_the_back(bench: Bench) -> None:
    bench.need("events")
    async with bench.watching() as seen:
        await bench.run()
        name = bench.name("a")

        async def told(action: str) -> bool:
            return action in actions(seen, name)

        await eventually(lambda: told("started"))
        began = time.monotonic()
        await bench.rig.kill(bench.driver, name)

        async def ended() -> bool:
            return bool({"killed", "exited"} & set(actions(seen, name)))

        await eventually(ended)
        assert time.monotonic() - began < 1
        last = [event for event in seen if event.name == name][-1]
        assert last.exit_code == 137
        assert await bench.state() is _S.FAILED
        await bench.driver.delete_compute(name)
        await eventually(lambda: told("deleted"))


async def test_events_of_other_nodes_are_not_told(bench: Bench) -> None:
    bench.need("events")
    async with bench.watching() as seen:
        assert all(event.name.startswith(bench.node) for event in seen)


@pytest.mark.feature("A76")
async def test_limits_change_while_it_runs(bench: Bench) -> None:
    bench.need("resize")
    first = await bench.run(vcpus=0.25, memory_bytes=32 * _MB)
    await bench.driver.resize(first.name, vcpus=1.5, memory_bytes=96 * _MB)
    limits = await bench.rig.limits(bench.driver, first.name)
    assert (limits.memory_bytes, limits.vcpus) == (96 * _MB, 1.5)
    await bench.driver.resize(first.name, memory_bytes=48 * _MB)
    limits = await bench.rig.limits(bench.driver, first.name)
    assert (limits.memory_bytes, limits.vcpus) == (48 * _MB, 1.5)
    assert (await bench.driver.get_compute(first.name)).pid == first.pid


@pytest.mark.feature("A82", "A83")
async def test_published_ports_keep_the_interfaces(bench: Bench) -> None:
    bench.need("exec")
    network = await bench.network()
    made = await bench.run(on=(network,), ports=(Port(host=18099, instance=80),), command=("sh", "-c", "sleep 100000"))
    shown = (await bench.ask("a", "ip", "-4", "-o", "addr", "show")).stdout.decode()
    assert made.nics[0].ip in next(line for line in shown.splitlines() if "eth0" in line)


@pytest.mark.feature("A83")
async def test_an_exposed_port_is_reached_in_its_network(bench: Bench) -> None:
    network = await bench.network()
    exposed = (Port(host=0, instance=8080), Port(host=0, instance=81, protocol="sctp"))
    if not (bench.rig.real and bench.rig.programs):
        assert (await bench.run(on=(network,), ports=exposed)).state is _S.RUNNING
        return
    bench.need("exec")
    serve = ("sh", "-c", "while :; do echo hello | nc -l -p 8080; done")
    made = await bench.run(on=(network,), ports=exposed, command=serve)
    await bench.run("b", on=(network,))
    await bench.run("alone", ports=exposed)

    async def answers() -> bool:
        return b"hello" in (await bench.ask("b", "nc", "-w", "1", made.nics[0].ip, "8080")).stdout

    await eventually(answers)


@pytest.mark.feature("A76", "E71")
async def test_taps_are_where_the_traffic_is(bench: Bench) -> None:
    bench.need("taps")
    left, right = await bench.network("left"), await bench.network("right")
    made = await bench.create(on=(left, right))
    taps = await bench.driver.taps(made.name)
    assert [(tap.network, tap.mac, tap.ip) for tap in taps] == [(nic.network, nic.mac, nic.ip) for nic in made.nics]
    assert len({tap.interface for tap in taps}) == 2
    await bench.driver.start_compute(made.name)
    if bench.rig.real and bench.rig.programs:
        before = _received(taps[0])
        await bench.ask("a", "ping", "-c", "3", "-i", "0.2", "-W", "1", "-I", "eth0", left.gateway)
        assert _received(taps[0]) >= before + 3
    await bench.driver.delete_compute(made.name)
    again = await bench.create(on=(left, right))
    assert [tap.interface for tap in await bench.driver.taps(again.name)] == [tap.interface for tap in taps]
    with pytest.raises(NotFoundError):
        await bench.driver.taps("nobody")


@pytest.mark.feature("A76", "A57")
async def test_a_steered_interface_is_on_no_switch(bench: Bench) -> None:
    network = await bench.network()
    if "taps" not in catalogue.abilities(bench.driver):
        with pytest.raises(InvalidError, match="no data plane can steer"):
            await bench.create("steered", nics=(NicSpec(network=network.name, steered=True),))
        return
    made = await bench.create("steered", nics=(NicSpec(network=network.name, steered=True),))
    assert made.nics[0].ip
    if bench.rig.real:
        (tap,) = await bench.driver.taps(made.name)
        where = f"/sys/class/net/{tap.interface}/master"
        call = ["ip", "netns", "exec", tap.namespace, "test", "-e", where]
        assert subprocess.run(call, check=False).returncode == 1


def _received(tap: Tap) -> int:
    """How many frames the host's end of an interface has got from the instance."""
    call = ["ip", "netns", "exec", tap.namespace, "cat", f"/sys/class/net/{tap.interface}/statistics/rx_packets"]
    return int(subprocess.run(call, check=True, capture_output=True).stdout)
