"""A thousand operations at once on simulated infrastructure: all complete, fair, at a cost that grows with their number."""

from __future__ import annotations

import asyncio
import os
import time
from datetime import datetime
from pathlib import Path

import pytest

from skerry.model.states import OperationState
from skerry.settings import Settings, Vim
from skerry.wiring import Node
from tests.chaos.arena import Arena, Life
from tests.chaos.victim import package
from tests.conformance.rigs import RIGS
from tests.vnfm.builder import csar, vnf_folder

TINY = "{id: tiny, vdus: {one: {nics: {port: net}, vcpus: 0.01, memory: 1 MB}}, links: {net: ''}}"
VIMS = {"sim": {"latency": {"*": 0.05}, "instances": 100_000, "pool": "10.0.0.0/8"}}


async def instantiate(life: Life, count: int) -> list[float]:
    """When each ended, in the order of submission: one a millisecond."""
    await life.onboard(csar(vnf_folder(TINY)))
    made = [await life.node.vnfm.create("tiny") for _ in range(count)]
    begun = []
    for vnf in made:
        begun.append(await life.node.vnfm.start("vnf.instantiate", vnf.id, {}))
        await asyncio.sleep(0.001)
    await life.quiet()
    ended = [life.node.engine.operation(operation.id) for operation in begun]
    assert {operation.state for operation in ended} == {OperationState.COMPLETED}, ended[0].error
    return [datetime.fromisoformat(operation.state_entered_at).timestamp() for operation in ended]


@pytest.mark.feature("A87")
def test_a_thousand_operations_are_served_in_turn() -> None:
    arena = Arena(VIMS)
    times = arena.live(lambda life: instantiate(life, 1000))
    arena.close()
    assert times is not None
    order = sorted(range(len(times)), key=times.__getitem__)
    overtaken = [place - number for place, number in enumerate(order)]
    assert max(map(abs, overtaken)) <= 64, "whoever comes first is served first, but for a round of the 64 slots"


@pytest.mark.feature("A87")
def test_an_operation_that_comes_late_is_not_starved() -> None:
    """One more after five hundred that wait ends no later than the last of them."""

    async def body(life: Life) -> tuple[float, float]:
        await life.onboard(csar(vnf_folder(TINY)))
        made = [await life.node.vnfm.create("tiny") for _ in range(501)]
        for vnf in made[:-1]:
            await life.node.vnfm.start("vnf.instantiate", vnf.id, {})
        await asyncio.sleep(0.2)
        clock = life.virtual.clock
        begun = clock.monotonic()
        last = await life.node.vnfm.start("vnf.instantiate", made[-1].id, {})
        await life.node.engine.wait(last.id)
        mine = clock.monotonic() - begun
        await life.quiet()
        return mine, clock.monotonic() - begun

    arena = Arena(VIMS)
    times = arena.live(body)
    arena.close()
    assert times is not None
    mine, everybody = times
    assert mine <= everybody * 1.01


def test_the_cost_of_one_does_not_grow_with_their_number() -> None:
    """Processor time of an operation among 1,000 against one among 100, by the best of three.

    A cost that grew with their number would be ten times as much; a neighbour on the machine costs half as much again.
    """

    def cost(count: int) -> float:
        best = float("inf")
        for _ in range(3):
            arena = Arena(VIMS)
            begun = time.process_time()
            arena.live(lambda life: instantiate(life, count))
            best = min(best, (time.process_time() - begun) / count)
            arena.close()
        return best

    few, many = cost(100), cost(1000)
    assert many < 3 * few, f"{few * 1e3:.2f} ms each of 100, {many * 1e3:.2f} ms each of 1,000"


@pytest.mark.real
@pytest.mark.feature("A87")
async def test_a_hundred_at_once_on_real_containers(tmp_path: Path) -> None:
    rig = RIGS["LOCAL"]
    if reason := rig.missing():
        pytest.skip(reason)
    tmp_path.chmod(0o755)
    name = f"many{os.getpid() % 100000}"
    vims = (Vim(id="local", type="local", settings={"cpu_ratio": 1000.0}),)
    node = Node(Settings(data_dir=tmp_path / "node", node=name, vims=vims))
    await node.start()
    try:
        info = await node.catalogue.create_vnf_package({})
        await node.catalogue.upload_vnf_package(info.id, package(tmp_path / "package"))
        vnfs = [(await node.vnfm.create("tiny")).id for _ in range(100)]
        try:
            await run_all(node, "vnf.instantiate", vnfs)
            running = [
                each for each in await (await node.vims.driver("local")).list_compute() if each.state == "RUNNING"
            ]
            assert len(running) == 100
        finally:
            await run_all(node, "vnf.terminate", vnfs)
        assert (await node.orphans.find()).orphans == ()
        assert list(rig(tmp_path).leftovers(name)) == []
    finally:
        await node.stop()


async def run_all(node: Node, kind: str, vnfs: list[str]) -> None:
    """Start the operation on all at once; every one completes."""
    begun = [await node.vnfm.start(kind, id, {"terminationType": "FORCEFUL"}) for id in vnfs]
    ended = [await node.engine.wait(operation.id, 120) for operation in begun]
    assert [(each.state, each.error) for each in ended if each.state != OperationState.COMPLETED] == []
