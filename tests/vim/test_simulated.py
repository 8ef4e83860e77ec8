"""The simulated driver: capacity, latencies in virtual time, scripted faults, a world that outlives the driver.

What every driver does is in tests/conformance.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from skerry.engine.clock import SystemClock, Virtual, run_virtual
from skerry.errors import ConflictError, DriverError, InvalidError, NotFoundError, RejectedError, UnavailableError
from skerry.vim.driver import (
    ComputeSpec,
    ComputeState,
    ComputeStats,
    DriverContext,
    ExecResult,
    ImageSpec,
    NetworkSpec,
    NicSpec,
    VimEvent,
)
from skerry.vim.drivers.simulated import Driver, SimulatedSettings
from skerry.vim.simulated.world import CommandRun, world

_FRESH = itertools.count()


def make(tmp_path: Path, **settings: object) -> Driver:
    chosen = SimulatedSettings(**{"world": f"test-{next(_FRESH)}", **settings})  # type: ignore[arg-type]
    return Driver(chosen, DriverContext(node="node-a", data_dir=tmp_path, clock=SystemClock()))


def again(driver: Driver, tmp_path: Path, node: str = "node-a", **settings: object) -> Driver:
    chosen = SimulatedSettings(**{"world": driver.world.name, **settings})  # type: ignore[arg-type]
    return Driver(chosen, DriverContext(node=node, data_dir=tmp_path, clock=SystemClock()))


@pytest.fixture
async def driver(tmp_path: Path) -> Driver:
    made = make(tmp_path)
    await made.open()
    await made.ensure_image(ImageSpec(name="img", source="host:busybox"))
    await made.create_network(NetworkSpec(name="net", owner="o"))
    return made


def spec(name: str = "a", **changes: object) -> ComputeSpec:
    return ComputeSpec(**{"name": name, "owner": "o", "image": "img", **changes})  # type: ignore[arg-type]


async def test_capacity_is_counted_and_enforced(tmp_path: Path) -> None:
    driver = make(tmp_path, vcpus=2.0, memory_bytes=100, storage_bytes=50, instances=2)
    await driver.ensure_image(ImageSpec(name="img", source="host:busybox"))
    await driver.create_compute(spec("a", vcpus=1.5, memory_bytes=60, storage_bytes=10))
    have = await driver.capacity()
    assert (have.used_vcpus, have.used_memory_bytes, have.used_storage_bytes, have.used_instances) == (1.5, 60, 10, 1)
    with pytest.raises(RejectedError, match="vCPUs, bytes of memory, bytes of storage"):
        await driver.create_compute(spec("b", vcpus=1, memory_bytes=41, storage_bytes=41))
    with pytest.raises(RejectedError, match="vCPUs"):
        await driver.resize("a", vcpus=2.5)
    await driver.create_compute(spec("b"))
    with pytest.raises(RejectedError, match="instances"):
        await driver.create_compute(spec("c"))
    await driver.delete_compute("a")
    assert (await driver.capacity()).used_vcpus == 0


def test_latency_follows_virtual_time_and_its_seed(tmp_path: Path) -> None:
    def timed(seed: int) -> list[float]:
        async def body(virtual: Virtual) -> list[float]:
            settings = SimulatedSettings(
                world=f"slow-{next(_FRESH)}", latency={"create_network": 600, "*": 1}, jitter=0.5, seed=seed
            )
            driver = Driver(settings, DriverContext(node="n", data_dir=tmp_path, clock=virtual.clock))
            stamps: list[float] = []
            for name in ("a", "b"):
                await driver.create_network(NetworkSpec(name=name, owner="o"))
                stamps.append(virtual.clock.monotonic())
            return stamps

        return run_virtual(body)

    first = timed(1)
    assert first == timed(1)
    assert first != timed(2)
    assert 600 <= first[0] <= 900
    assert 1200 <= first[1] <= 1800


async def test_faults_before_and_after_the_effect(driver: Driver) -> None:
    driver.world.fail("create_compute", "x*", times=2, transient=True)
    for _ in range(2):
        with pytest.raises(DriverError) as caught:
            await driver.create_compute(spec("x1"))
        assert caught.value.transient
    assert driver.world.inventory()["compute"] == []
    driver.world.fail("create_compute", "x*", transient=False, after_effect=True, message="no answer")
    with pytest.raises(DriverError, match="no answer") as caught:
        await driver.create_compute(spec("x1"))
    assert not caught.value.transient
    assert driver.world.inventory()["compute"] == ["x1"]
    await driver.create_compute(spec("x1"))
    assert driver.world.calls("create_compute")["create_compute", "x1"] == 4


def test_hanging_calls_end_only_by_cancellation(tmp_path: Path) -> None:
    made = make(tmp_path)
    made.world.hang("create_network", "h", after_effect=True)

    async def body(_: Virtual) -> bool:
        try:
            async with asyncio.timeout(1000):
                await made.create_network(NetworkSpec(name="h", owner="o"))
        except TimeoutError:
            return True
        return False

    assert run_virtual(body)
    assert made.world.inventory()["network"] == ["h"]


def test_late_answers_come_after_the_effect(tmp_path: Path) -> None:
    made = make(tmp_path)
    made.world.late("create_network", 50)

    async def body(virtual: Virtual) -> tuple[list[str], float]:
        call = asyncio.ensure_future(made.create_network(NetworkSpec(name="n", owner="o")))
        await asyncio.sleep(1)
        there = list(made.world.inventory()["network"])
        await call
        return there, virtual.clock.monotonic()

    there, now = run_virtual(body)
    assert there == ["n"]
    assert now == pytest.approx(50)


async def test_calls_carried_out_twice_have_one_effect(driver: Driver) -> None:
    for verb in ("create_compute", "start_compute", "stop_compute", "delete_compute"):
        driver.world.twice(verb)
    await driver.create_compute(spec(nics=(NicSpec(network="net"),)))
    await driver.start_compute("a")
    assert driver.world.machine("a").starts == 1
    assert (await driver.stop_compute("a")).state is ComputeState.EXITED
    await driver.delete_compute("a")
    assert driver.world.troubles == [one for one in driver.world.troubles if one.times == 0]
    assert driver.world.inventory()["compute"] == []


async def test_a_cut_connection(driver: Driver) -> None:
    driver.world.reachable = False
    with pytest.raises(UnavailableError, match="does not answer"):
        await driver.list_compute()
    driver.world.reachable = True
    assert await driver.list_compute() == []


async def test_a_world_outlives_the_driver(driver: Driver, tmp_path: Path) -> None:
    await driver.create_compute(spec())
    await driver.start_compute("a")
    await driver.close()
    second = again(driver, tmp_path)
    await second.open()
    assert [one.state for one in await second.list_compute()] == [ComputeState.RUNNING]


async def test_a_persistent_world_survives_the_process(tmp_path: Path) -> None:
    first = make(tmp_path, persist=True)
    await first.open()
    await first.ensure_image(ImageSpec(name="img", source="host:busybox"))
    await first.create_network(NetworkSpec(name="net", owner="o"))
    made = await first.create_compute(spec(nics=(NicSpec(network="net"),), labels={"k": "v"}))
    await first.start_compute("a")
    await first.exec("a", ["/bin/script", "1"], env={"X": "y"}, stdin=b"\x00\xff")
    second = make(tmp_path, persist=True)  # another world, as in a fresh process
    await second.open()
    found = await second.get_compute("a")
    assert (found.state, found.nics, found.labels) == (ComputeState.RUNNING, made.nics, {"k": "v"})
    assert [run.stdin for run in second.world.commands()] == [b"\x00\xff"]
    assert second.world.calls("start_compute")["start_compute", "a"] == 1


async def test_nodes_see_their_own_only(driver: Driver, tmp_path: Path) -> None:
    await driver.create_compute(spec())
    other = again(driver, tmp_path, node="node-b")
    await other.create_network(NetworkSpec(name="theirs", owner="o"))
    assert await other.list_compute() == []
    assert [network.name for network in await other.list_networks()] == ["theirs"]
    assert [network.name for network in await driver.list_networks()] == ["net"]


@pytest.mark.feature("A4")
async def test_what_happens_behind_the_back_is_told(driver: Driver) -> None:
    events = driver.events()
    await driver.create_compute(spec())
    await driver.start_compute("a")
    driver.world.kill("a")
    assert (await driver.get_compute("a")).state is ComputeState.FAILED
    driver.world.remove("a")
    driver.world.remove("net")
    seen = await take(events, 5)
    assert [(event.kind, event.action, event.exit_code) for event in seen] == [
        ("compute", "created", None),
        ("compute", "started", None),
        ("compute", "killed", 137),
        ("compute", "deleted", None),
        ("network", "deleted", None),
    ]
    with pytest.raises(NotFoundError):
        driver.world.remove("a")


async def take(events: AsyncIterator[VimEvent], count: int) -> list[VimEvent]:
    async with asyncio.timeout(5):
        return [await anext(events) for _ in range(count)]


async def test_an_instance_that_restarts_comes_back(driver: Driver) -> None:
    await driver.create_compute(spec(restart=True))
    first = await driver.start_compute("a")
    driver.world.kill("a")
    now = await driver.get_compute("a")
    assert now.state is ComputeState.RUNNING
    assert now.pid != first.pid


@pytest.mark.parametrize(
    ("command", "state", "code", "printed"),
    [
        (
            ("sh", "-c", "echo one; echo two >&2; exit 3"),
            ComputeState.FAILED,
            3,
            [("stdout", "one"), ("stderr", "two")],
        ),
        (("true",), ComputeState.EXITED, 0, []),
        (("sh", "-c", "echo up; sleep 9"), ComputeState.RUNNING, None, [("stdout", "up")]),
        (("/usr/bin/sipp", "-sn", "uas"), ComputeState.RUNNING, None, []),
        ((), ComputeState.RUNNING, None, []),
    ],
)
async def test_programs_end_or_go_on(
    driver: Driver, command: tuple[str, ...], state: ComputeState, code: int | None, printed: list[tuple[str, str]]
) -> None:
    await driver.create_compute(spec(command=command))
    now = await driver.start_compute("a")
    assert (now.state, now.exit_code) == (state, code)
    assert sorted([(line.stream, line.text) async for line in driver.logs("a")]) == sorted(printed)


@pytest.mark.feature("A32")
async def test_commands_are_recorded_and_answered_by_the_script(driver: Driver) -> None:
    await driver.create_compute(spec(env={"BASE": "1"}))
    await driver.start_compute("a")

    def count(run: CommandRun) -> ExecResult:
        return ExecResult(exit_code=0, stdout=str(len(run.argv)).encode())

    driver.world.answer("/scripts/start.sh *", ExecResult(exit_code=4, stdout=b"no"))
    driver.world.answer("count *", count)
    assert await driver.exec("a", ["/scripts/start.sh", "x"], stdin=b"in", env={"P": "2"}) == ExecResult(
        exit_code=4, stdout=b"no"
    )
    assert (await driver.exec("a", ["count", "1", "2"])).stdout == b"3"
    assert (await driver.exec("a", ["/scripts/other.sh"])).exit_code == 0
    assert [(run.argv, dict(run.env), run.stdin) for run in driver.world.commands("a")] == [
        (("/scripts/start.sh", "x"), {"P": "2"}, b"in"),
        (("count", "1", "2"), {}, b""),
        (("/scripts/other.sh",), {}, b""),
    ]
    assert driver.world.calls("exec")["exec", "a"] == 3


async def test_the_load_can_be_told(driver: Driver) -> None:
    await driver.create_compute(spec())
    with pytest.raises(ConflictError):
        await driver.stats("a")
    await driver.start_compute("a")
    driver.world.machine("a").load = ComputeStats(cpu_seconds=5, memory_bytes=6, pids=7)
    assert (await driver.stats("a")).pids == 7


def test_stopping_is_a_state_while_it_lasts(tmp_path: Path) -> None:
    made = make(tmp_path, latency={"stop_compute": 60})

    async def body(virtual: Virtual) -> tuple[ComputeState, ComputeState, float]:
        await made.ensure_image(ImageSpec(name="img", source="host:busybox"))
        await made.create_compute(spec(grace_s=20))
        await made.start_compute("a")
        stopping = asyncio.ensure_future(made.stop_compute("a"))
        await asyncio.sleep(1)
        during = (await made.get_compute("a")).state
        return during, (await stopping).state, virtual.clock.monotonic()

    during, after, now = run_virtual(body)
    assert (during, after) == (ComputeState.STOPPING, ComputeState.EXITED)
    assert now == pytest.approx(20)


async def test_images_from_files_are_checked(driver: Driver, tmp_path: Path) -> None:
    file = tmp_path / "image.tar"
    file.write_bytes(b"content")
    good = hashlib.sha256(b"content").hexdigest()
    wrong = ImageSpec(name="w", source=str(file), checksum="0" * 64, checksum_algorithm="sha-256")
    with pytest.raises(InvalidError, match=good):
        await driver.ensure_image(wrong)
    with pytest.raises(InvalidError, match="does not exist"):
        await driver.ensure_image(ImageSpec(name="m", source=str(tmp_path / "missing")))
    right = ImageSpec(name="r", source=str(file), checksum=good, checksum_algorithm="sha-256")
    assert (await driver.ensure_image(right)).size_bytes == 7


@pytest.mark.parametrize("verb", ["create_compute", "create_network"])
async def test_a_name_stands_for_one_specification(driver: Driver, verb: str) -> None:
    calls: dict[str, Callable[[], object]] = {
        "create_compute": lambda: driver.create_compute(spec(vcpus=2.0)),
        "create_network": lambda: driver.create_network(NetworkSpec(name="net", owner="other")),
    }
    await driver.create_compute(spec(vcpus=1.0))
    with pytest.raises(ConflictError, match="exists with another"):
        await calls[verb]()  # type: ignore[misc]


def test_worlds_are_found_by_name_and_reset() -> None:
    mine = world("reset-me")
    assert world("reset-me") is mine
    mine.fail("*")
    mine.reset()
    assert mine.troubles == []
