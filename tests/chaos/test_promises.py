"""Promises of the engine that only show under trouble: removal in every state, one healing at a time, one event for each
transition, no fixed sleep, a kill that is known in under a second."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from skerry.model.states import FINAL, OPERATION_MOVES, OperationState
from skerry.settings import Settings, Vim
from skerry.vim.driver import ComputeState
from skerry.wiring import Node
from tests.chaos import packages
from tests.chaos.arena import Arena, Life
from tests.chaos.cases import CASES, created, shop_created
from tests.chaos.checks import faults
from tests.chaos.trial import Trial
from tests.chaos.victim import package
from tests.conformance.rigs import RIGS, Rig

FLAPPING = "{id: flap, vdus: {one: {nics: {port: lan}}}, links: {lan: ''}, properties: {is_autoheal_enabled: true}}"


@pytest.mark.feature("A69")
@pytest.mark.parametrize("kind", ["vnf", "ns"])
def test_removal_during_instantiation_leaves_nothing(kind: str) -> None:
    """Discarded at every tenth of a second of it, with the node killed on the way each time, and once more afterwards."""
    arena = Arena()
    id = arena.live(created if kind == "vnf" else shop_created)
    assert id is not None
    start = arena.save()
    for tenths, point in itertools.product(range(12), (5, 25)):
        arena.back_to(start)

        async def remove(life: Life, tenths: int = tenths, point: int = point) -> None:
            await life.start(f"{kind}.instantiate", id)
            await asyncio.sleep(tenths / 10)
            life.arena.arm(point)
            await (life.node.vnfm if kind == "vnf" else life.node.nfvo).discard(id)

        async def remove_again(life: Life) -> list[str]:
            """What is left."""
            node = life.node
            known = node.vnfm.instances() if kind == "vnf" else node.nfvo.instances()
            if id in {each.id for each in known}:
                await (node.vnfm if kind == "vnf" else node.nfvo).discard(id)
            await life.quiet()
            left = [*node.vnfm.instances(), *node.nfvo.instances()]
            return [f"{each.id} is left" for each in left] + ([] if life.nothing_left() else ["infrastructure is left"])

        arena.live(remove)
        assert arena.live(remove_again) == [], f"after {tenths / 10} s, killed at {point}"
    arena.close()


@pytest.mark.feature("A107")
def test_flapping_does_not_start_two_healings() -> None:
    """A VNF that heals itself is killed every 0.3 s for a minute: one healing at a time, and what failed is cleaned up."""

    async def body(life: Life) -> tuple[int, int]:
        vnf = await life.vnf(FLAPPING)
        most = 0
        for _ in range(200):
            for name in life.machines():
                life.world.kill(name)
            await asyncio.sleep(0.3)
            alive = [o for o in life.node.engine.operations(subject=vnf.id) if o.state not in FINAL]
            most = max(most, len(alive))
        await asyncio.sleep(200)
        await life.quiet()
        assert await faults(life, set()) == []
        assert [machine.state for machine in life.machines().values()] == [ComputeState.RUNNING]
        healed = [o for o in life.node.engine.operations(subject=vnf.id) if o.kind == "vnf.heal"]
        return most, len(healed)

    arena = Arena({"sim": {"latency": {"*": 0.2}}})
    answer = arena.live(body)
    arena.close()
    assert answer is not None
    most, healed = answer
    assert most == 1
    assert 3 <= healed <= 20, "the interval grows while it does not stay well"


@pytest.mark.feature("D31")
@pytest.mark.parametrize("name", ["vnf-instantiate", "vnf-scale-in", "ns-scale-out"])
def test_one_event_for_each_transition_however_it_is_killed(name: str) -> None:
    trial = Trial(next(case for case in CASES if case.name == name))
    ended = 0
    for point in range(1, len(trial.points) + 1, 3):
        assert trial.killed_at(point) == []
        events = trial.arena.live(_events)
        assert events is not None
        for operation, states in _moves(events).items():
            pairs = [(OperationState(one), OperationState(two)) for one, two in itertools.pairwise(states)]
            assert all(two in OPERATION_MOVES[one] for one, two in pairs), (operation, states)
        done = Counter((e.operation, e.name) for e in events if e.kind == "step" and e.state == "DONE")
        assert set(done.values()) <= {1}
        ended += len(done)
    assert ended > len(trial.points)
    trial.arena.close()


async def _events(life: Life) -> list[Any]:
    return list(life.node.engine.events.since(0, limit=100_000))


def _moves(events: list[Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for event in events:
        if event.kind == "operation":
            found.setdefault(event.operation, []).append(event.state)
    return found


@pytest.mark.feature("D59")
def test_nothing_sleeps_a_fixed_time() -> None:
    """On infrastructure that answers at once, a whole network service comes, grows and goes in no time at all."""

    async def body(life: Life) -> float:
        await life.onboard(packages.two_flavours())
        begun = life.virtual.clock.monotonic()
        ns = await life.ns(packages.SHOP, packages.DB)
        await life.done(
            "ns.scale", ns.id, next(case for case in CASES if case.name == "ns-scale-out").request(life, ns.id)
        )
        await life.done("ns.terminate", ns.id, {})
        return life.virtual.clock.monotonic() - begun

    arena = Arena({"sim": {}})
    assert arena.live(body) == 0.0
    arena.close()


@pytest.mark.real
@pytest.mark.feature("A4")
@pytest.mark.parametrize("type", ["LOCAL", "DOCKER"])
async def test_a_kill_outside_is_known_in_under_a_second(type: str, tmp_path: Path) -> None:
    if reason := RIGS[type].missing():
        pytest.skip(reason)
    tmp_path.chmod(0o755)
    rig = RIGS[type](tmp_path)
    vims = (Vim(id="real", type=type.lower(), settings=rig.settings()),)
    node = Node(Settings(data_dir=tmp_path / "node", node=f"prom{os.getpid() % 100000}", vims=vims))
    await node.start()
    try:
        await _noticed(node, rig, package(tmp_path / "package"))
    finally:
        await node.stop()
        rig.stop()


async def _noticed(node: Node, rig: Rig, csar: Path) -> None:
    info = await node.catalogue.create_vnf_package({})
    await node.catalogue.upload_vnf_package(info.id, csar)
    vnf = await node.vnfm.create("tiny")
    begun = await node.vnfm.start("vnf.instantiate", vnf.id, {"flavourId": "default"})
    ended = await node.engine.wait(begun.id, 60)
    assert ended.state is OperationState.COMPLETED, ended.error
    try:
        name = node.vnfm.instance(vnf.id).resources["compute:one-0"].spec["name"]
        seq, killed = node.engine.events.last(), time.monotonic()
        await rig.kill(await node.vims.driver("real"), name)
        async with asyncio.timeout(10):
            async for batch in node.engine.events.follow(seq, subject=vnf.id):
                if any(event.kind == "alarm" for event in batch):
                    break
        assert time.monotonic() - killed < 1.0
        assert node.vnfm.instance(vnf.id).resources["compute:one-0"].state == "FAILED"
    finally:
        await node.vnfm.discard(vnf.id)
