"""Scripts of the package: which run, in which order, how often; what happens when one fails."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from skerry.model.states import OperationState, StepState
from skerry.vnfm.scripts import WRAPPER
from tests.vnfm.builder import Lab, lab, loaded, short
from tests.vnfm.packages import EVENTS, SCRIPTED

S = OperationState


def events(it: Lab) -> list[str]:
    """The scripts that ran since the last question, as `vnfc event`."""
    ran = [f"{vnfc} {line.removeprefix('echo ')}" for vnfc, line in it.scripts.ran()]
    it.scripts.runs.clear()
    return ran


def named(vnfc: str, *names: str) -> list[str]:
    return [f"{vnfc} {name}" for name in names]


@pytest.mark.feature("A63")
def test_every_event_runs_its_scripts_once_and_in_order() -> None:
    async def body(it: Lab) -> None:
        vnf = await it.vnf(SCRIPTED)
        assert events(it) == named("one-0", "instantiate", "instantiate_end")
        await it.done("vnf.scale", vnf.id, {"type": "SCALE_OUT", "aspectId": "more"})
        assert events(it) == [
            "one-0 scale_start", *named("one-1", "instantiate", "instantiate_end"), "one-0 scale", "one-0 scale_end",
        ]  # fmt: skip
        await it.done("vnf.modify", vnf.id, {"vnfConfigurableProperties": {"a": "2"}})
        assert sorted(events(it)) == sorted(
            f"one-{n} modify_information{end}" for n in (0, 1) for end in ("_start", "", "_end")
        )
        await it.done("vnf.operate", vnf.id, {"changeStateTo": "STOPPED", "vnfcInstanceId": ["one-1"]})
        ran = events(it)
        assert sorted(ran[:2]) == ["one-0 operate_start", "one-1 operate_start"]
        assert ran[2:] == named("one-0", "operate", "operate_end")
        await it.done("vnf.operate", vnf.id, {"changeStateTo": "STARTED"})
        ran = events(it)
        assert ran[0] == "one-0 operate_start"
        assert sorted(ran[1:3]) == ["one-0 operate", "one-1 operate"]
        assert sorted(ran[3:]) == ["one-0 operate_end", "one-1 operate_end"]
        await it.done("vnf.heal", vnf.id, {"vnfcInstanceId": ["one-1"]})
        ran = events(it)
        assert sorted(ran[:2]) == ["one-0 heal_start", "one-1 heal_start"]
        assert ran[2:] == [*named("one-1", "instantiate", "instantiate_end"), *named("one-0", "heal", "heal_end")]
        await it.done("vnf.scale_to_level", vnf.id, {"scaleInfo": [{"aspectId": "more", "scaleLevel": 0}]})
        ran = events(it)
        assert sorted(ran[:2]) == ["one-0 scale_to_level_start", "one-1 scale_to_level_start"]
        assert ran[2:] == ["one-0 scale_to_level_end"]
        await it.done("vnf.terminate", vnf.id)
        assert events(it) == named("one-0", "terminate_start", "terminate")
        assert it.nothing_left()

    lab(body)


@pytest.mark.feature("A63")
@pytest.mark.parametrize("restarted", [False, True])
def test_a_vnfc_replaced_while_stopped_runs_its_first_scripts_when_it_starts(restarted: bool) -> None:
    async def body(it: Lab) -> None:
        vnf = await it.vnf(SCRIPTED)
        await it.done("vnf.operate", vnf.id, {"changeStateTo": "STOPPED"})
        await it.done("vnf.heal", vnf.id, {"vnfcInstanceId": ["one-0"]})
        it.scripts.runs.clear()
        if restarted:
            await it.restart()
        it.scripts.fails["echo instantiate_end"] = 1
        ended = await it.run("vnf.operate", vnf.id, {"changeStateTo": "STARTED"})
        assert ended.state is S.FAILED_TEMP
        await it.node.engine.rollback(ended.id)
        assert (await it.node.engine.wait(ended.id, 1000)).state is S.ROLLED_BACK
        assert it.node.vnfm.instance(vnf.id).unborn == ("one-0",)
        it.scripts.runs.clear()
        await it.done("vnf.operate", vnf.id, {"changeStateTo": "STARTED"})
        assert events(it) == named("one-0", "instantiate", "instantiate_end")
        await it.done("vnf.operate", vnf.id, {"changeStateTo": "STOPPED"})
        it.scripts.runs.clear()
        await it.done("vnf.operate", vnf.id, {"changeStateTo": "STARTED"})
        assert events(it) == named("one-0", "operate", "operate_end")

    lab(body)


@pytest.mark.feature("A63")
def test_scripts_of_a_healing_know_its_cause() -> None:
    async def body(it: Lab) -> None:
        vnf = await it.vnf(SCRIPTED)
        await it.done("vnf.scale", vnf.id, {"type": "SCALE_OUT", "aspectId": "more"})
        assert {run.env.get("cause") for run in it.scripts.runs} == {None}
        it.scripts.runs.clear()
        await it.done("vnf.heal", vnf.id, {"vnfcInstanceId": ["one-1"], "cause": "serviceDown"})
        assert {run.env.get("cause") for run in it.scripts.runs} == {"serviceDown"}

    lab(body)


@pytest.mark.feature("A33", "A32")
def test_what_a_script_printed_is_kept() -> None:
    async def body(it: Lab) -> None:
        vnf = await it.vnf(SCRIPTED)
        (operation,) = it.node.engine.operations(subject=vnf.id)
        record = next(r for r in it.node.engine.steps(operation.id) if r.key == "script:instantiate:one-0")
        assert record.result["stdout"].startswith("ran in sk-")
        assert (record.result["exit_code"], record.result["script"]) == (0, "Scripts/instantiate.sh")

    lab(body)


@pytest.mark.feature("A71", "A84")
def test_scripts_get_arguments_inputs_and_the_environment_of_their_vnfc() -> None:
    package = {
        "id": "told",
        "vdus": {"a": {"nics": {"pub": "ext"}, "env": {"OWN": "x"}}, "b": {"nics": {"other": "ext"}}},
        "scripts": {
            "instantiate_end": {
                "run": "true",
                "args": [{"get_attribute": ["b", "ip_address"]}, 7, True],
                "inputs": {"extra": {"concat": ["<", {"get_attribute": ["pub", "ip_address"]}, ">"]}},
                "vdus": ["a"],
            }
        },
    }

    async def body(it: Lab) -> None:
        await it.vnf(package)
        (run,) = it.scripts.runs
        address = {short(n): m.nics[0].ip for n, m in it.machines().items()}
        assert run.argv[5:] == (address["b-0"], "7", "true")
        assert run.env["extra"] == f"<{address['a-0']}>"
        assert (run.env["OWN"], run.env["hostname"], run.env["pub"]) == ("x", "a-0", address["a-0"])

    lab(body)


@pytest.mark.feature("A27", "A70")
def test_a_failed_script_stops_there_and_a_retry_begins_there() -> None:
    async def body(it: Lab) -> None:
        it.scripts.fails["instantiate_end"] = 1
        made = await it.vnf(SCRIPTED, instantiate=False)
        ended = await it.run("vnf.instantiate", made.id)
        assert ended.state is S.FAILED_TEMP
        assert (
            ended.error == "cannot complete instantiate_end in one-0: Scripts/instantiate_end.sh ended with 3: it broke"
        )
        assert "retry" in ended.suggestion
        assert it.node.vnfm.status(made.id) == "ERROR"
        told = [event for event in it.node.engine.events.since(0, operation=ended.id) if event.data.get("stderr")]
        assert told[0].data["stderr"] == "it broke"
        assert events(it) == named("one-0", "instantiate", "instantiate_end")
        await it.node.engine.retry(ended.id)
        assert (await it.node.engine.wait(ended.id, 1000)).state is S.COMPLETED
        assert events(it) == named("one-0", "instantiate_end")
        assert it.node.vnfm.status(made.id) == "ACTIVE"
        assert sum(it.world.calls("create_compute").values()) == 1

    lab(body)


def test_a_failed_operation_can_be_rolled_back_whatever_failed() -> None:
    async def body(it: Lab) -> None:
        vnf = await it.vnf(SCRIPTED)
        before = it.node.vnfm.instance(vnf.id)
        for kind, params, word in (
            ("vnf.scale", {"type": "SCALE_OUT", "aspectId": "more"}, "echo scale\n"),
            ("vnf.heal", {"vnfcInstanceId": ["one-0"]}, "instantiate_end"),
            ("vnf.operate", {"changeStateTo": "STOPPED"}, "operate_start"),
            ("vnf.modify", {"vnfConfigurableProperties": {"a": "9"}}, "modify_information_end"),
        ):
            it.scripts.fails[word] = 1
            ended = await it.run(kind, vnf.id, params)
            assert ended.state is S.FAILED_TEMP, kind
            await it.node.engine.rollback(ended.id)
            assert (await it.node.engine.wait(ended.id, 1000)).state is S.ROLLED_BACK
            after = it.node.vnfm.instance(vnf.id)
            assert after.vnfcs == before.vnfcs
            assert after.scale_status == before.scale_status
            assert after.vnf_configurable_properties == before.vnf_configurable_properties
            assert after.vnf_state == before.vnf_state
            assert sorted(after.resources) == sorted(before.resources)
            (machine,) = it.machines().values()
            assert machine.state == "RUNNING"
            assert machine.env["A"] == "1"
            old = before.resources["compute:one-0"].outputs["nics"]
            assert msgspec.to_builtins(machine.nics)[0] == old[0]

    lab(body)


def test_scripts_before_a_healing_are_left_out_where_nothing_runs() -> None:
    async def body(it: Lab) -> None:
        vnf = await it.vnf(SCRIPTED)
        it.world.kill(next(iter(it.machines())))
        events(it)
        healed = await it.done("vnf.heal", vnf.id)
        assert events(it) == named("one-0", "instantiate", "instantiate_end")
        record = next(r for r in it.node.engine.steps(healed.id) if r.key == "script:heal_start:one-0")
        assert (record.state, record.result["skipped"]) == (StepState.DONE, "the VNFC does not run")
        it.world.remove(next(iter(it.machines())))
        await it.done("vnf.terminate", vnf.id)
        assert events(it) == []
        assert it.nothing_left()

    lab(body)


def test_a_forceful_end_runs_no_scripts() -> None:
    async def body(it: Lab) -> None:
        vnf = await it.vnf(SCRIPTED)
        events(it)
        it.scripts.fails["terminate"] = 99
        assert (await it.run("vnf.terminate", vnf.id)).state is S.FAILED_TEMP
        await it.node.engine.fail(it.node.engine.operations(subject=vnf.id)[-1].id)
        await it.done("vnf.terminate", vnf.id, {"terminationType": "FORCEFUL"})
        assert it.nothing_left()

    lab(body)


def test_every_event_of_these_tests_is_one_that_is_read() -> None:
    assert len(set(EVENTS)) == len(EVENTS)
    assert loaded(SCRIPTED)["scripts"].keys() == set(EVENTS)


# -- the wrapper, in a real shell -------------------------------------------------------------------------------------


@pytest.fixture
def key() -> Iterator[str]:
    name = f"test-{uuid.uuid4()}"
    yield name
    for base in ("/run/skerry", "/tmp/skerry"):
        shutil.rmtree(Path(base) / name, ignore_errors=True)


async def sh(key: str, script: str, *args: str) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        "/bin/sh", "-c", WRAPPER, "skerry", key, *args,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(script.encode())
    process.stdin.close()
    return process


async def said(process: asyncio.subprocess.Process) -> tuple[Any, ...]:
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


@pytest.mark.feature("A63")
async def test_the_same_key_runs_once_and_gives_the_same_answer(key: str, tmp_path: Path) -> None:
    script = f'#!/bin/sh\necho "$1" >> {tmp_path}/ran\necho out; echo err >&2\n'
    first = await said(await sh(key, script, "a b"))
    again = await said(await sh(key, script, "a b"))
    assert first == again == (0, "out\n", "err\n")
    assert (tmp_path / "ran").read_text() == "a b\n"


async def test_two_at_once_run_once(key: str, tmp_path: Path) -> None:
    (tmp_path / "pipe").touch()
    script = f"#!/bin/sh\necho x >> {tmp_path}/ran\nwhile [ ! -f {tmp_path}/go ]; do sleep 0.01; done\necho done\n"
    both = [await sh(key, script) for _ in range(2)]
    while not (tmp_path / "ran").exists():
        await asyncio.sleep(0.01)
    (tmp_path / "go").touch()
    assert [await said(one) for one in both] == [(0, "done\n", "")] * 2
    assert (tmp_path / "ran").read_text() == "x\n"


async def test_who_has_not_yet_said_which_process_it_is_was_not_killed(key: str, tmp_path: Path) -> None:
    folder = next(base / "skerry" / key for base in (Path("/run"), Path("/tmp")) if os.access(base, os.W_OK))
    (folder / "lock").mkdir(parents=True)
    second = await sh(key, f"#!/bin/sh\necho x >> {tmp_path}/ran\n")
    await asyncio.sleep(0.4)
    assert second.returncode is None
    (folder / "lock" / "pid").write_text(str(os.getpid()))
    for name, text in (("out", "first\n"), ("err", ""), ("rc", "0")):
        (folder / name).write_text(text)
    assert await said(second) == (0, "first\n", "")
    assert not (tmp_path / "ran").exists()


@pytest.mark.feature("A70")
async def test_one_that_failed_runs_again(key: str, tmp_path: Path) -> None:
    script = f"#!/bin/sh\necho x >> {tmp_path}/ran\n[ -f {tmp_path}/mended ] || exit 7\n"
    assert (await said(await sh(key, script)))[0] == 7
    (tmp_path / "mended").touch()
    assert (await said(await sh(key, script)))[0] == 0
    assert (await said(await sh(key, script)))[0] == 0
    assert (tmp_path / "ran").read_text() == "x\nx\n"


async def test_one_that_was_killed_is_told_and_runs_again(key: str, tmp_path: Path) -> None:
    script = f"#!/bin/sh\necho $$ >> {tmp_path}/ran\n[ -f {tmp_path}/go ] || exec sleep 100\n"
    first = await sh(key, script)
    while not (tmp_path / "ran").exists() or not (tmp_path / "ran").read_text().strip():
        await asyncio.sleep(0.01)
    first.send_signal(signal.SIGKILL)
    await first.wait()
    assert (await said(await sh(key, script)))[0] == 75
    (tmp_path / "go").touch()
    assert (await said(await sh(key, script)))[0] == 0
    os.kill(int((tmp_path / "ran").read_text().split()[0]), signal.SIGKILL)


@pytest.mark.feature("A32")
def test_scripts_know_the_additional_parameters_of_their_operation() -> None:
    async def body(it: Lab) -> None:
        vnf = await it.vnf(SCRIPTED)
        it.scripts.runs.clear()
        params = {"why": "night", "list": [1, 2], "no name": 1, "replace": True, "hostname": "other"}
        await it.done("vnf.operate", vnf.id, {"changeStateTo": "STOPPED", "additionalParams": params})
        assert it.scripts.runs
        for run in it.scripts.runs:
            told = {name: run.env.get(name) for name in (*params, "cause")}
            assert told == {
                "why": "night", "list": "1,2", "no name": None, "replace": None, "hostname": "other", "cause": None
            }  # fmt: skip

    lab(body)
