"""Micro network functions of the embedded driver, between real containers on the same networks."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from skerry.errors import ConflictError, DriverError, InvalidError, NotFoundError, UnsupportedError
from skerry.lvnf.backends import talk
from skerry.lvnf.backends.choice import Backends
from skerry.lvnf.described import graph_of
from skerry.vim.driver import Compute, ComputeSpec, ComputeState, FunctionState, ImageSpec, NicSpec
from tests.vim.conftest import Local, eventually

pytestmark = pytest.mark.real

BRIDGE = """
FromDevice(eth0) -> there :: Counter -> ToDevice(eth1);
FromDevice(eth1) -> back :: Counter -> ToDevice(eth0);
"""
ANSWER = """
c :: Classifier(12/0806 20/0001, 12/0800, -);
FromDevice(eth0) -> seen :: Counter -> c;
c [0] -> ARPResponder($ETH0_IP $ETH0_MAC) -> ToDevice(eth0);
c [1] -> Strip(14) -> CheckIPHeader -> ICMPPingResponder -> EtherEncap(0x0800, $ETH0_MAC, $PEER_MAC) -> ToDevice(eth0);
c [2] -> Discard;
"""
OPTIONS = {"lvnf": {"backend": "process"}}
NAMED = {"lvnf": {"backend": "process", "handlers": {"seen": "seen.count"}}}


async def script(local: Local, text: str, name: str = "script") -> str:
    path = local.folder / f"{name}.click"
    path.write_text(text)
    await local.driver.ensure_image(ImageSpec(name=name, source=str(path)))
    return name


def spec(local: Local, name: str, image: str, *networks: str, **changes: Any) -> ComputeSpec:
    nics = tuple(NicSpec(network=network) for network in networks)
    return ComputeSpec(name=name, owner="owner", image=image, nics=nics, **{"options": OPTIONS, **changes})


async def run(local: Local, name: str, image: str, *networks: str, **changes: Any) -> Compute:
    await local.driver.create_compute(spec(local, name, image, *networks, **changes))
    return await local.driver.start_compute(name)


async def pings(local: Local, source: str, address: str) -> bool:
    return (await local.ask(source, "ping", "-c", "1", "-W", "2", address)).exit_code == 0


async def reaches(local: Local, source: str, address: str) -> None:
    """In the end it gets there: new interfaces may take a second to carry frames."""
    await eventually(lambda: pings(local, source, address), 40)


def tool_says(folder: Path, line: bytes) -> bytes:
    """What the ControlSocket in a folder answers."""
    with talk.connect(folder, "control") as tool:
        tool.sendall(line + b"QUIT\r\n")
        return b"".join(iter(lambda: tool.recv(4096), b""))


async def bridged(local: Local, backend: str = "process") -> tuple[Compute, str]:
    """A function between the containers `a` and `b`, which have one subnet on two networks; it, and the address of b."""
    await local.network("left", cidr="10.9.0.0/24", gateway="10.9.0.1")
    await local.network("right", cidr="10.9.0.0/24", gateway="10.9.0.254")
    await local.run("a", nics=(NicSpec(network="left", ip="10.9.0.11"),))
    await local.run("b", nics=(NicSpec(network="right", ip="10.9.0.12"),))
    options = {"lvnf": {"backend": backend}}
    made = await run(local, "f", await script(local, BRIDGE), "left", "right", options=options)
    return made, "10.9.0.12"


@pytest.mark.feature("C28", "C36", "C37", "C38")
@pytest.mark.parametrize("backend", ["ebpf", "process"])
async def test_a_function_carries_what_containers_say(local: Local, backend: str) -> None:
    made, address = await bridged(local, backend)
    assert made.state is ComputeState.RUNNING
    assert [nic.device for nic in made.nics] == ["eth0", "eth1"]
    await reaches(local, "a", address)
    before = int(await local.driver.read_handler("f", "there.count"))
    assert before > 0
    # TCP with its large segments and unfinished checksums goes through, too
    serve = (
        "dd if=/dev/urandom of=/tmp/x bs=1k count=500 2>&-; (nc -l -p 80 < /tmp/x > /dev/null 2>&1 &); md5sum < /tmp/x"
    )
    made_there = await local.shell("b", serve)
    # the input stays open, else the server of busybox ends at once
    fetch = (
        f"tail -f /dev/null | (until nc {address} 80 > /tmp/y; do sleep 0.1; done 2>&-; killall tail); md5sum < /tmp/y"
    )
    assert (await local.shell("a", fetch)).split()[0] == made_there.split()[0]
    stats = await local.driver.stats("f")
    assert stats.rx_packets["eth0"] > before
    assert stats.tx_bytes["eth0"] > 500_000
    assert stats.memory_bytes > 0
    said = await asyncio.to_thread(
        tool_says, local.folder / "functions" / made.id / "run", b"CHECKREAD there.count\r\n"
    )
    assert said == b"Click::ControlSocket/1.3\r\n200 Read handler 'there.count' OK\r\n200 Goodbye!\r\n"
    await local.driver.stop_compute("f")
    assert not await pings(local, "a", address)
    with pytest.raises(ConflictError, match="stopped"):
        await local.driver.read_handler("f", "there.count")
    await local.driver.start_compute("f")
    await reaches(local, "a", address)


@pytest.mark.feature("C28", "C30")
async def test_states_and_their_times(local: Local) -> None:
    await local.network("net")
    await local.driver.create_compute(spec(local, "f", await script(local, "FromDevice(eth0) -> Discard;"), "net"))
    shown = await local.driver.get_function("f")
    assert (shown.state, shown.backend) == (FunctionState.STOPPED, "")
    assert (await local.driver.get_compute("f")).state is ComputeState.CREATED
    await local.driver.start_compute("f")
    shown = await local.driver.get_function("f")
    assert (shown.state, shown.backend) == (FunctionState.RUNNING, "process")
    assert shown.why == ("process: the descriptor asks for it",)
    assert 0 < shown.times_ms["spawning"] < 60_000
    await local.driver.stop_compute("f")
    shown = await local.driver.get_function("f")
    assert shown.state is FunctionState.STOPPED
    assert {"spawning", "running", "stopping"} <= set(shown.times_ms)
    assert (await local.driver.get_compute("f")).state is ComputeState.EXITED


@pytest.mark.feature("C28")
async def test_values_of_addresses_and_environment_are_in_the_configuration(local: Local) -> None:
    await local.network("net")
    peer = await local.run("a", networks=("net",))
    made = spec(local, "f", await script(local, ANSWER), "net", options=NAMED)

    created = await local.driver.create_compute(made)
    await local.driver.set_environment("f", {"PEER_MAC": peer.nics[0].mac})
    await local.driver.start_compute("f")
    await reaches(local, "a", created.nics[0].ip)
    assert int(await local.driver.read_handler("f", "seen")) > 0
    await local.driver.stop_compute("f")
    await local.driver.set_environment("f", {"PEER_MAC": "no mac; FromDevice(eth1)"})
    with pytest.raises(InvalidError, match="PEER_MAC"):
        await local.driver.start_compute("f")


@pytest.mark.feature("C28")
async def test_it_outlives_the_node_and_is_adopted(local: Local) -> None:
    made, address = await bridged(local)
    count = int(await local.driver.read_handler("f", "there.count"))
    await local.reopen()
    assert (await local.driver.get_compute("f")).pid == made.pid
    await reaches(local, "a", address)
    assert int(await local.driver.read_handler("f", "there.count")) > count
    assert await local.driver.start_compute("f") == await local.driver.get_compute("f")


@pytest.mark.feature("C28")
async def test_one_that_dies_is_failed_or_starts_again(local: Local) -> None:
    await local.network("net")
    image = await script(local, "FromDevice(eth0) -> Discard;")
    dies = await run(local, "dies", image, "net")
    again = await run(local, "again", image, "net", restart=True)
    events = local.driver.events()
    for one in (dies, again):
        os.kill(one.pid or 0, signal.SIGKILL)
    await local.reaches("dies", ComputeState.FAILED)
    with pytest.raises(ConflictError, match="FAILED"):
        await local.driver.start_compute("dies")

    async def back() -> bool:
        now = await local.driver.get_compute("again")
        return now.state is ComputeState.RUNNING and now.pid != again.pid

    await eventually(back, 20)
    killed = {event.name async for event in _first(events, 3) if event.action == "killed"}
    assert killed == {"dies", "again"}


async def _first(events: Any, count: int) -> Any:
    for _ in range(count):
        event = await asyncio.wait_for(anext(events), 20)
        yield event


@pytest.mark.feature("C28")
async def test_a_start_that_nobody_waits_for_is_found(local: Local) -> None:
    await local.network("net")
    image = await script(local, "FromDevice(eth0) -> Discard;")
    await local.driver.create_compute(spec(local, "f", image, "net"))
    starting = asyncio.ensure_future(local.driver.start_compute("f"))

    async def begun() -> bool:
        return (await local.driver.get_function("f")).state is not FunctionState.STOPPED

    await eventually(begun, 20)
    starting.cancel()
    await asyncio.wait([starting])
    stopped = await local.driver.stop_compute("f")
    assert stopped.state is ComputeState.EXITED
    assert not [pid for pid in os.listdir("/proc") if pid.isdecimal() and runs_in(int(pid), local.folder)]


def runs_in(pid: int, folder: Path) -> bool:
    """Whether a process has its place below a folder."""
    try:
        return os.readlink(f"/proc/{pid}/cwd").startswith(str(folder))
    except OSError:
        return False


@pytest.mark.feature("C28", "C29")
async def test_a_swap_keeps_the_count_and_survives_a_restart(local: Local) -> None:
    _, address = await bridged(local)
    await reaches(local, "a", address)
    before = int(await local.driver.read_handler("f", "there.count"))
    changed = BRIDGE.replace("-> back", "-> Null -> back")
    swapped = await local.driver.swap_function("f", changed)
    assert swapped.configuration == changed
    assert int(await local.driver.read_handler("f", "there.count")) >= before
    with pytest.raises(InvalidError) as refused:
        await local.driver.swap_function("f", "FromDevice(eth0) -> Nosuch -> ToDevice(eth9);")
    assert refused.value.faults
    with pytest.raises(InvalidError, match="eth9"):
        await local.driver.swap_function("f", "FromDevice(eth0) -> ToDevice(eth9);")
    await reaches(local, "a", address)
    await local.reopen()
    assert (await local.driver.get_function("f")).configuration == changed
    await local.driver.stop_compute("f")
    await local.driver.start_compute("f")
    await reaches(local, "a", address)


@pytest.mark.feature("C28")
async def test_what_cannot_work_is_refused_at_creation(local: Local) -> None:
    await local.network("net")
    bad = await script(local, "FromDevice(eth0) -> Nosuch;", "bad")
    with pytest.raises(InvalidError):
        await local.driver.create_compute(spec(local, "f", bad, "net"))
    with pytest.raises(NotFoundError):
        await local.driver.get_compute("f")
    good = await script(local, "FromDevice(eth0) -> c :: Counter -> Discard;", "good")
    for options, said in (
        ({"nosuch": 1}, "options of the function"),
        ({"state_handlers": ["x"]}, "x is no name in handlers"),
        ({"control": "10.0.0.1:7777"}, "no address of loopback"),
        ({"control": "127.example.com:7777"}, "no address of loopback"),
        ({"control": "127.0.0.1:80"}, "no address of loopback"),
        ({"control": "127.0.0.1:²²²²"}, "no address of loopback"),
        ({"nb_ports": 2}, "nb_ports is 2"),
        ({"handlers": {"x": "d.count"}}, "there is no such element"),
    ):
        with pytest.raises(InvalidError, match=said):
            await local.driver.create_compute(spec(local, "f", good, "net", options={"lvnf": options}))
    made = await run(local, "f", good, "net")
    assert made == await run(local, "f", good, "net")
    with pytest.raises(ConflictError, match="another specification"):
        await local.driver.create_compute(spec(local, "f", good))
    with pytest.raises(ConflictError, match="use it"):
        await local.driver.delete_image("good")
    with pytest.raises(ConflictError, match="attached"):
        await local.driver.delete_network("net")
    with pytest.raises(UnsupportedError):
        await local.driver.exec("f", ("true",))
    with pytest.raises(UnsupportedError):
        await local.driver.snapshot_compute("f", "image")
    await local.driver.delete_compute("f")
    await local.driver.delete_image("good")
    assert "good" not in {image.name for image in await local.driver.list_images()}


@pytest.mark.feature("C37")
async def test_what_is_printed_is_its_log(local: Local) -> None:
    await local.network("net")
    await local.run("a", networks=("net",))
    image = await script(local, "FromDevice(eth0) -> Print(seen) -> Discard;")
    made = await run(local, "f", image, "net")

    async def printed() -> bool:
        await local.ask("a", "ping", "-c", "1", "-W", "1", made.nics[0].ip)
        return any([line.text.startswith("seen:") async for line in local.driver.logs("f")])

    await eventually(printed, 40)


@pytest.mark.feature("C38")
async def test_a_control_socket_on_loopback_where_the_descriptor_asks(local: Local, unused_tcp_port: int) -> None:
    await local.network("net")
    control = f"127.0.0.1:{unused_tcp_port}"
    options = {"lvnf": {"backend": "process", "control": control}}
    await run(local, "f", await script(local, "FromDevice(eth0) -> c :: Counter -> Discard;"), "net", options=options)
    reader, writer = await asyncio.open_connection("127.0.0.1", unused_tcp_port)
    writer.write(b"CHECKREAD c.count\r\nQUIT\r\n")
    answer = await asyncio.wait_for(reader.read(), 20)
    assert answer == b"Click::ControlSocket/1.3\r\n200 Read handler 'c.count' OK\r\n200 Goodbye!\r\n"
    writer.close()
    await local.driver.stop_compute("f")
    with pytest.raises(OSError, match="Connect"):
        await asyncio.open_connection("127.0.0.1", unused_tcp_port)


@pytest.mark.feature("C31", "C30")
@pytest.mark.parametrize("backends", [("ebpf", "process"), ("process", "ebpf")], ids=">".join)
async def test_it_moves_to_another_vim_with_its_state(
    local: Local, tmp_path: Path, local_images: Path, backends: tuple[str, str]
) -> None:
    other = Local(tmp_path / "other", local_images)
    await other.driver.open()
    text = "FromDevice(eth0) -> c :: Counter -> s :: Switch(0); s [0] -> Discard; s [1] -> Discard;"
    moves = {"handlers": {"way": "s.switch", "count": "c.count"}, "state_handlers": ["way", "count"]}
    try:
        for one, backend in ((local, backends[0]), (other, backends[1])):
            await one.network("net")
            options = {"lvnf": {"backend": backend, **moves}}
            await one.driver.create_compute(spec(one, "f", await script(one, text), "net", options=options))
        await local.driver.start_compute("f")
        await local.run("a", networks=("net",))
        await local.driver.write_handler("f", "way", "1")

        async def counted() -> bool:
            await local.ask("a", "arping", "-c", "1", "-w", "1", "-I", "eth0", "-b", "172.20.0.99")
            return int(await local.driver.read_handler("f", "count")) > 0

        await eventually(counted, 40)
        seen = int(await local.driver.read_handler("f", "count"))
        state = await local.driver.hand_over("f")
        assert state.state["way"] == "1"
        assert int(state.state["count"]) >= seen
        assert await local.driver.hand_over("f") == state
        left = await local.driver.get_function("f")
        assert left.state is FunctionState.STOPPED
        assert left.times_ms["migrating_stop"] > 0
        arrived = await other.driver.take_over("f", state)
        assert arrived.state is FunctionState.RUNNING
        assert arrived.times_ms["migrating_start"] > 0
        assert await other.driver.read_handler("f", "way") == "1"
        assert await other.driver.read_handler("f", "count") == state.state["count"]
        assert (await other.driver.take_over("f", state)).state is FunctionState.RUNNING
    finally:
        await other.clear()
        await other.driver.close()
    assert other.left() == []


def lived(local: Local, pid: int | None, **changes: Any) -> None:
    """What is on the disk when the node was killed just after the function's end, before that was written down."""
    os.kill(pid or 0, signal.SIGKILL)
    (file,) = (local.folder / "functions").glob("*/life.json")
    file.write_bytes(msgspec.json.encode({**msgspec.json.decode(file.read_bytes()), **changes}))


MOVES = {"lvnf": {"backend": "process", "handlers": {"way": "s.switch"}, "state_handlers": ["way"]}}
SWITCH = "FromDevice(eth0) -> s :: Switch(0); s [0] -> Discard; s [1] -> Discard;"


@pytest.mark.feature("C31", "C28")
async def test_a_kill_at_the_end_of_a_move_loses_no_state(local: Local) -> None:
    await local.network("net")
    made = await run(local, "f", await script(local, SWITCH), "net", options=MOVES)
    await local.driver.close()
    handed = {"state": {"way": "1"}, "configuration": ""}
    lived(local, made.pid, state="migrating_stop", handed=handed)
    await local.reopen()
    left = await local.driver.hand_over("f")
    assert left.state == {"way": "1"}
    assert (await local.driver.get_compute("f")).state is ComputeState.EXITED
    await local.driver.start_compute("f")  # it goes back
    assert await local.driver.read_handler("f", "way") == "1"


@pytest.mark.feature("C31", "C28")
async def test_a_start_that_fails_keeps_the_state_that_was_brought(local: Local, unused_tcp_port: int) -> None:
    await local.network("net")
    options = {"lvnf": {**MOVES["lvnf"], "control": f"127.0.0.1:{unused_tcp_port}"}}
    await run(local, "f", await script(local, SWITCH), "net", options=options)
    await local.driver.write_handler("f", "way", "1")
    await local.driver.hand_over("f")
    taken = await asyncio.start_server(lambda *_: None, "127.0.0.1", unused_tcp_port)
    with pytest.raises(DriverError, match="ControlSocket"):
        await local.driver.start_compute("f")
    taken.close()
    await taken.wait_closed()
    await local.driver.start_compute("f")
    assert await local.driver.read_handler("f", "way") == "1"


@pytest.mark.feature("C28")
async def test_a_kill_at_the_end_of_a_stop_is_no_failure(local: Local) -> None:
    await local.network("net")
    made = await run(local, "f", await script(local, SWITCH), "net")
    await local.driver.close()
    lived(local, made.pid, state="stopping")
    await local.reopen()
    assert (await local.driver.stop_compute("f")).state is ComputeState.EXITED
    assert (await local.driver.start_compute("f")).state is ComputeState.RUNNING


@pytest.mark.feature("C28", "C38")
async def test_an_address_that_another_took_meanwhile_does_not_stop_the_vim(local: Local, unused_tcp_port: int) -> None:
    await local.network("net")
    options = {"lvnf": {"backend": "process", "control": f"127.0.0.1:{unused_tcp_port}"}}
    made = await run(local, "f", await script(local, SWITCH), "net", options=options)
    await local.driver.close()
    taken = await asyncio.start_server(lambda *_: None, "127.0.0.1", unused_tcp_port)
    try:
        await local.reopen()
    finally:
        taken.close()
        await taken.wait_closed()
    assert (await local.driver.get_compute("f")).pid == made.pid


@pytest.mark.feature("C28", "C36")
async def test_configurations_are_not_read_on_the_nodes_own_thread(local: Local) -> None:
    """A long one takes seconds."""
    await local.network("net")
    image = await script(local, "FromDevice(eth0) -> Discard;")
    here: set[str] = set()
    sys.setprofile(lambda frame, _event, _argument: here.add(frame.f_code.co_qualname))  # of this thread alone
    try:
        await run(local, "f", image, "net")
        await local.driver.swap_function("f", "FromDevice(eth0) -> Counter -> Discard;")
    finally:
        sys.setprofile(None)
    assert "Lives.start" in here
    assert not here & {graph_of.__qualname__, Backends.choose.__qualname__}
