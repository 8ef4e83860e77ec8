"""Instances: creation, environment, start, stop, states, deletion."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from skerry.errors import ConflictError, InvalidError, NotFoundError
from skerry.vim.driver import ComputeState, File, ImageSpec, NicSpec
from tests.conformance.bench import OWNER, Bench

_S = ComputeState


@pytest.mark.feature("A3", "A8", "A76", "D58")
async def test_from_creation_to_deletion(bench: Bench) -> None:
    network = await bench.network()
    made = await bench.create(on=(network,), labels={"colour": "green"})
    assert (made.state, made.owner, made.image) == (_S.CREATED, OWNER, bench.image)
    assert made.id
    assert made.labels["colour"] == "green"
    started = await bench.driver.start_compute(made.name)
    assert started.state is _S.RUNNING
    assert started.id
    assert started.pid
    stopped = await bench.driver.stop_compute(made.name)
    assert stopped.state is _S.EXITED
    again = await bench.driver.start_compute(made.name)
    assert again.state is _S.RUNNING
    assert [nic.ip for nic in again.nics] == [nic.ip for nic in made.nics]
    await bench.driver.delete_compute(made.name)
    with pytest.raises(NotFoundError):
        await bench.driver.get_compute(made.name)


async def test_creating_twice_is_creating_once(bench: Bench) -> None:
    network = await bench.network()
    first = await bench.create(on=(network,))
    second = await bench.create(on=(network,))
    assert (first.id, first.nics) == (second.id, second.nics)
    await bench.driver.start_compute(first.name)
    assert (await bench.create(on=(network,))).state is _S.RUNNING
    assert len(await bench.driver.list_compute()) == 1


async def test_a_name_stands_for_one_specification(bench: Bench) -> None:
    await bench.create(command=("sleep", "1000"))
    with pytest.raises(ConflictError, match=bench.name("a")):
        await bench.create(command=("sleep", "2000"))


async def test_starting_and_stopping_twice_changes_nothing(bench: Bench) -> None:
    first = await bench.run()
    assert (await bench.driver.start_compute(first.name)).pid == first.pid
    await bench.driver.stop_compute(first.name)
    assert (await bench.driver.stop_compute(first.name)).state is _S.EXITED
    created = await bench.create("b")
    assert (await bench.driver.stop_compute(created.name)).state is _S.CREATED


@pytest.mark.feature("A12")
async def test_the_environment_is_merged_until_the_start(bench: Bench) -> None:
    bench.need("exec")
    await bench.create(env={"KEEP": "1", "GONE": "x"})
    name = bench.name("a")
    await bench.driver.set_environment(name, {"ADDED": "two words", "A": "b"})
    shown = await bench.driver.set_environment(name, {"GONE": "", "A": ""})
    assert (shown.env["KEEP"], shown.env["ADDED"]) == ("1", "two words")
    await bench.driver.start_compute(name)
    env = (await bench.ask("a", "env")).stdout.decode().splitlines()
    assert {"KEEP=1", "ADDED=two words"} <= set(env)
    assert not [line for line in env if line.startswith(("GONE=", "A="))]
    assert (await bench.create(env={"KEEP": "1", "GONE": "x"})).state is _S.RUNNING


@pytest.mark.feature("A12")
async def test_a_change_while_it_runs_is_for_the_next_start(bench: Bench) -> None:
    bench.need("exec")
    made = await bench.run(env={"V": "1"}, on=(await bench.network("n1"), await bench.network("n2")))
    await bench.driver.set_environment(made.name, {"V": "2"}, [File(path="/etc/late", content=b"late")])
    await bench.driver.stop_compute(made.name)
    again = await bench.driver.start_compute(made.name)
    assert again.nics == made.nics
    assert "V=2" in (await bench.ask("a", "env")).stdout.decode().splitlines()
    assert await bench.read("a", "/etc/late") == "late"


@pytest.mark.feature("A12", "A82")
async def test_command_and_names_may_come_with_the_start(bench: Bench) -> None:
    bench.need("exec")
    bench.need("logs")
    made = await bench.create(command=("sleep", "77"), on=(await bench.network("n1"), await bench.network("n2")))
    late = ["sh", "-c", "echo late; sleep 88"]
    await bench.driver.set_environment(made.name, {}, command=late, hosts={"peer": "10.1.2.3"})
    await bench.driver.start_compute(made.name)
    async for line in bench.driver.logs(made.name, follow=True):
        assert line.text == "late"
        break
    assert "10.1.2.3 peer" in (await bench.read("a", "/etc/hosts")).replace("\t", " ")


@pytest.mark.feature("A13")
@pytest.mark.parametrize(("code", "state"), [(0, _S.EXITED), (3, _S.FAILED)])
async def test_how_a_program_ends_is_its_state(bench: Bench, code: int, state: ComputeState) -> None:
    await bench.run(command=("sh", "-c", f"exit {code}"))
    ended = await bench.reaches(state)
    assert ended.exit_code == code
    assert ended.pid is None


@pytest.mark.feature("A13")
async def test_what_failed_can_only_be_deleted(bench: Bench) -> None:
    await bench.run()
    await bench.rig.kill(bench.driver, bench.name("a"))
    failed = await bench.reaches(_S.FAILED)
    assert failed.exit_code == 137
    calls: tuple[Callable[[], Awaitable[object]], ...] = (
        lambda: bench.driver.start_compute(failed.name),
        lambda: bench.driver.stop_compute(failed.name),
        lambda: bench.driver.set_environment(failed.name, {"A": "b"}),
    )
    for call in calls:
        with pytest.raises(ConflictError, match="FAILED"):
            await call()
    assert await bench.state() is _S.FAILED
    await bench.driver.delete_compute(failed.name)
    assert await bench.driver.list_compute() == []


async def test_an_exited_instance_starts_again(bench: Bench) -> None:
    await bench.run(command=("sh", "-c", "exit 0"))
    await bench.reaches(_S.EXITED)
    await bench.driver.start_compute(bench.name("a"))
    assert (await bench.reaches(_S.EXITED)).exit_code == 0


async def test_a_restarting_instance_comes_back(bench: Bench) -> None:
    first = await bench.run(restart=True)
    await bench.rig.kill(bench.driver, first.name)
    async with asyncio.timeout(10):
        while (now := await bench.driver.get_compute(first.name)).pid in (None, first.pid):
            assert now.state is not _S.FAILED
            await asyncio.sleep(0.05)
    assert now.state is _S.RUNNING


async def test_a_stubborn_program_is_killed_after_the_grace(bench: Bench) -> None:
    await bench.run(command=("sh", "-c", "trap '' TERM; while true; do sleep 1; done"))
    async with asyncio.timeout(8):
        stopped = await bench.driver.stop_compute(bench.name("a"), grace_s=0.3)
    assert stopped.state is _S.EXITED


@pytest.mark.feature("A13", "A31", "D58")
async def test_deletion_works_in_every_state(bench: Bench) -> None:
    network = await bench.network()
    await bench.create("created", on=(network,))
    await bench.run("running", on=(network,))
    await bench.run("exited", on=(network,), command=("sh", "-c", "exit 0"))
    await bench.run("failed", on=(network,), command=("sh", "-c", "exit 7"))
    await bench.reaches(_S.EXITED, "exited")
    await bench.reaches(_S.FAILED, "failed")
    for name in ("created", "running", "exited", "failed"):
        await bench.driver.delete_compute(bench.name(name))
    assert await bench.driver.list_compute() == []
    await bench.driver.delete_network(network.name)
    assert list(bench.rig.leftovers(bench.node)) == []


async def test_deleting_what_is_gone_succeeds(bench: Bench) -> None:
    await bench.create()
    for _ in range(2):
        await bench.driver.delete_compute(bench.name("a"))
        await bench.driver.delete_network(bench.name("none"))
        await bench.driver.delete_image("no-such-image")


async def test_unknown_names_are_not_found(bench: Bench) -> None:
    missing = bench.name("missing")
    for call in (
        lambda: bench.driver.get_compute(missing),
        lambda: bench.driver.start_compute(missing),
        lambda: bench.driver.stop_compute(missing),
        lambda: bench.driver.set_environment(missing, {"A": "b"}),
    ):
        with pytest.raises(NotFoundError, match=missing):
            await call()


async def test_a_spec_that_cannot_work_is_refused_and_leaves_nothing(bench: Bench) -> None:
    with pytest.raises(NotFoundError, match="no-such-image"):
        await bench.create(image="no-such-image")
    with pytest.raises(InvalidError, match="no-such-net"):
        await bench.create(nics=(NicSpec(network="no-such-net"),))
    assert await bench.driver.list_compute() == []


@pytest.mark.feature("A80")
async def test_an_image_that_cannot_be_had_is_a_clear_error(bench: Bench) -> None:
    with pytest.raises(InvalidError, match="/no/such/file") as caught:
        await bench.driver.ensure_image(ImageSpec(name="none", source="/no/such/file.tar"))
    assert caught.value.suggestion
    assert "none" not in [image.name for image in await bench.driver.list_images()]


async def test_images_are_listed_kept_while_used_and_deleted(bench: Bench) -> None:
    extra = ImageSpec(name=f"{bench.image}-{bench.node}", source=bench.rig.image().source)
    first = await bench.driver.ensure_image(extra)
    assert (await bench.driver.ensure_image(extra)).id == first.id
    assert extra.name in [image.name for image in await bench.driver.list_images()]
    await bench.create(image=extra.name)
    with pytest.raises(ConflictError, match=bench.name("a")):
        await bench.driver.delete_image(extra.name)
    await bench.driver.delete_compute(bench.name("a"))
    await bench.driver.delete_image(extra.name)
    names = [image.name for image in await bench.driver.list_images()]
    assert extra.name not in names
    assert bench.image in names


async def test_many_at_once(bench: Bench) -> None:
    network = await bench.network()
    names = [f"p{number}" for number in range(8)]
    made = await asyncio.gather(*(bench.create(name, on=(network,)) for name in names))
    addresses = [compute.nics[0].ip for compute in made]
    assert len(set(addresses)) == len(names)
    started = await asyncio.gather(*(bench.driver.start_compute(compute.name) for compute in made))
    assert {compute.state for compute in started} == {_S.RUNNING}
    assert sorted(c.name for c in await bench.driver.list_compute()) == sorted(bench.name(name) for name in names)
    await asyncio.gather(*(bench.driver.delete_compute(compute.name) for compute in made))
    assert await bench.driver.list_compute() == []


async def test_the_same_creation_at_once_makes_one(bench: Bench) -> None:
    network = await bench.network()
    made = await asyncio.gather(*(bench.create(on=(network,)) for _ in range(4)))
    assert len({(compute.id, compute.nics) for compute in made}) == 1
    assert len(await bench.driver.list_compute()) == 1


async def test_a_reopened_driver_adopts_what_runs(bench: Bench) -> None:
    network = await bench.network(cidr="10.91.7.0/24")
    running = await bench.run("run", on=(network,), labels={"k": "v"}, env={"E": "1"})
    created = await bench.create("new", on=(network,))
    await bench.reopen()
    found = {compute.name: compute for compute in await bench.driver.list_compute()}
    assert set(found) == {running.name, created.name}
    same = found[running.name]
    assert (same.state, same.pid, same.nics) == (_S.RUNNING, running.pid, running.nics)
    assert (same.owner, same.labels["k"], same.env["E"]) == (OWNER, "v", "1")
    assert await bench.driver.list_networks() == [network]
    await bench.rig.kill(bench.driver, running.name)
    await bench.reaches(_S.FAILED, "run")
    assert (await bench.driver.start_compute(created.name)).nics == created.nics


async def test_capacity_is_that_of_a_machine(bench: Bench) -> None:
    before = await bench.driver.capacity()
    assert before.vcpus > 0
    assert before.memory_bytes > 64 << 20
    assert before.instances > 0
    await bench.create(vcpus=0.5, memory_bytes=32 << 20)
    after = await bench.driver.capacity()
    assert after.used_instances == before.used_instances + 1
    assert after.used_vcpus == pytest.approx(before.used_vcpus + 0.5)
    assert after.used_memory_bytes == before.used_memory_bytes + (32 << 20)
