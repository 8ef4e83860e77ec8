"""The process dies at any moment of any operation: it ends as if nothing had been, and nothing happens twice."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from skerry.model.states import OPERATION_MOVES, OperationState
from tests.vnfm.builder import Lab, lab
from tests.vnfm.crashes import Camera, Moment, effects, reborn
from tests.vnfm.packages import SCRIPTED, WEB

S = OperationState

OUT = {"type": "SCALE_OUT", "aspectId": "more", "numberOfSteps": 2}
CASES: Mapping[str, tuple[Any, list[tuple[str, Mapping[str, Any]]]]] = {
    "instantiate": (WEB, [("vnf.instantiate", {})]),
    "scripts": (SCRIPTED, [("vnf.instantiate", {})]),
    "scale out": (SCRIPTED, [("vnf.instantiate", {}), ("vnf.scale", OUT)]),
    "scale in": (
        WEB,
        [
            ("vnf.instantiate", {"instantiationLevelId": "large"}),
            ("vnf.scale", {"type": "SCALE_IN", "aspectId": "backs"}),
        ],
    ),
    "heal": (WEB, [("vnf.instantiate", {}), ("vnf.heal", {"vnfcInstanceId": ["front-0"]})]),
    "stop": (WEB, [("vnf.instantiate", {}), ("vnf.operate", {"changeStateTo": "STOPPED"})]),
    "terminate": (WEB, [("vnf.instantiate", {}), ("vnf.terminate", {})]),
}  # fmt: skip


def shape(it: Lab, id: str) -> dict[str, Any]:
    """What matters of a VNF and its infrastructure at the end. Which of two new instances gets which address depends on
    the order of parallel steps, so that only the addresses together count."""
    vnf = it.node.vnfm.instance(id)
    for key, resource in vnf.resources.items():
        if resource.kind == "compute":
            there = it.world.has.machines[resource.spec["name"]].compute
            assert list(msgspec.to_builtins(there.nics)) == list(resource.outputs["nics"]), key
    nics = [nic for machine in it.machines().values() for nic in machine.nics]
    return {
        "vnfcs": vnf.vnfcs,
        "states": (vnf.instantiation_state, vnf.vnf_state, vnf.scale_status, vnf.failed),
        "resources": {key: (r.state, r.spec) for key, r in vnf.resources.items()},
        "machines": {n: (m.state, [nic.network for nic in m.nics], sorted(m.env)) for n, m in it.machines().items()},
        "addresses": sorted((nic.network, nic.ip) for nic in nics),
        "networks": sorted(it.world.has.networks),
    }


async def go_on(it: Lab, id: str, moment: Moment, expected: dict[str, Any], done: dict[tuple[str, str], int]) -> None:
    await it.node.start()
    try:
        last = it.node.engine.newest(id)
        assert last is not None
        ended = await it.node.engine.wait(last.id, 10_000)
        assert ended.state is S.COMPLETED, f"{moment.name}: {ended.error}"
        assert shape(it, id) == expected, moment.name
        assert effects(it.world) == done, moment.name
        keys = [(run.instance, run.argv[4]) for run in it.scripts.runs]
        assert len(keys) == len(set(keys))
        states: dict[str, list[S]] = {}
        for event in it.node.engine.events.since(0, limit=10_000):
            if event.kind == "operation":
                states.setdefault(event.operation, []).append(S(event.state))
        for moves in states.values():
            assert all(b in OPERATION_MOVES[a] for a, b in itertools.pairwise(moves))
    finally:
        await it.node.stop()


@pytest.mark.feature("A87", "A63")
@pytest.mark.parametrize("case", CASES)
def test_a_crash_at_every_commit(case: str) -> None:
    package, operations = CASES[case]

    async def body(it: Lab) -> None:
        made = await it.vnf(package, instantiate=False)
        *before, (kind, params) = operations
        for earlier, its in before:
            await it.done(earlier, made.id, its)
        camera = Camera(it)
        await it.done(kind, made.id, params)
        expected, done, runs = shape(it, made.id), effects(it.world), len(it.scripts.runs)
        assert len(camera.moments) >= 7
        for moment in camera.moments[:-1]:
            for again in reborn(it, moment):
                await go_on(again, made.id, moment, expected, done)
                assert len(again.scripts.runs) == runs

    lab(body)


def test_a_crash_while_rolling_back() -> None:
    async def body(it: Lab) -> None:
        vnf = await it.vnf(SCRIPTED)
        expected = shape(it, vnf.id)
        it.scripts.fails["echo scale\n"] = 1
        ended = await it.run("vnf.scale", vnf.id, {"type": "SCALE_OUT", "aspectId": "more", "numberOfSteps": 2})
        assert ended.state is S.FAILED_TEMP
        camera = Camera(it)
        await it.node.engine.rollback(ended.id)
        assert (await it.node.engine.wait(ended.id, 1000)).state is S.ROLLED_BACK
        assert shape(it, vnf.id) == expected
        for moment in camera.moments:
            for again in reborn(it, moment):
                await again.node.start()
                assert (await again.node.engine.wait(ended.id, 1000)).state is S.ROLLED_BACK
                assert shape(again, vnf.id) == expected
                await again.node.stop()

    lab(body)


@pytest.mark.feature("A87", "A69")
def test_after_a_crash_in_any_moment_everything_can_be_removed() -> None:
    async def body(it: Lab) -> None:
        made = await it.vnf(WEB, instantiate=False)
        camera = Camera(it)
        await it.done("vnf.instantiate", made.id)
        for moment in camera.moments:
            for again in reborn(it, moment):
                await again.node.start()
                await again.node.vnfm.discard(made.id)
                assert again.nothing_left(), moment.name
                assert again.node.vnfm.instances() == []
                await again.node.stop()

    lab(body)


@pytest.mark.feature("A69")
@pytest.mark.parametrize("tenths", range(0, 14, 2))
def test_a_vnf_is_discarded_at_any_moment_of_its_life(tenths: int) -> None:
    async def body(it: Lab) -> None:
        made = await it.vnf(WEB, instantiate=False)
        await it.start("vnf.instantiate", made.id)
        await asyncio.sleep(tenths / 10 + 0.05)
        await it.node.vnfm.discard(made.id)
        assert it.nothing_left()
        assert it.node.vnfm.instances() == []

    lab(body)


@pytest.mark.parametrize("kind", ["lost answer", "answered twice", "passing fault", "late"])
@pytest.mark.parametrize("verb", ["create_network", "create_compute", "set_environment", "start_compute", "exec"])
def test_troubles_on_the_way_change_nothing_in_the_end(kind: str, verb: str) -> None:
    async def body(it: Lab, trouble: bool) -> dict[str, Any]:
        if trouble and kind == "lost answer":
            it.world.fail(verb, after_effect=True)
        elif trouble and kind == "answered twice":
            it.world.twice(verb, times=9)
        elif trouble and kind == "passing fault":
            it.world.fail(verb, times=1)
        elif trouble:
            it.world.late(verb, 50, times=9)
        vnf = await it.vnf(SCRIPTED)
        found = shape(it, vnf.id)
        await it.done("vnf.terminate", vnf.id)
        assert it.nothing_left()
        return found

    assert lab(lambda it: body(it, True)) == lab(lambda it: body(it, False))


def test_an_infrastructure_that_is_cut_off_for_a_while_is_waited_for() -> None:
    async def body(it: Lab) -> None:
        made = await it.vnf(WEB, instantiate=False)
        it.world.reachable = False
        refused = await it.run("vnf.instantiate", made.id)
        assert refused.state is S.ROLLED_BACK
        assert "does not answer" in refused.error
        it.world.reachable = True
        operation = await it.start("vnf.instantiate", made.id)
        await asyncio.sleep(0.25)
        it.world.reachable = False
        ended = await it.node.engine.wait(operation.id, 1000)
        assert ended.state is S.FAILED_TEMP
        it.world.reachable = True
        await it.node.engine.retry(ended.id)
        assert (await it.node.engine.wait(ended.id, 1000)).state is S.COMPLETED

    lab(body)


def test_calls_that_never_return_are_given_up() -> None:
    async def body(it: Lab) -> None:
        it.world.hang("create_compute", "*front*")
        made = await it.vnf(WEB, instantiate=False)
        ended = await it.run("vnf.instantiate", made.id)
        assert ended.state is S.FAILED_TEMP
        assert "no answer within 300 s" in ended.error
        await it.node.engine.retry(ended.id)
        assert (await it.node.engine.wait(ended.id, 1000)).state is S.COMPLETED

    lab(body)
