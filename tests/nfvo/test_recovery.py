"""The process dies while a network service is made, changed or removed: it goes on, and nothing happens twice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from skerry.model.states import FINAL, OperationState
from tests.nfvo.packages import SIP, VNFS
from tests.vnfm.builder import Lab, lab
from tests.vnfm.crashes import Camera, effects, reborn

S = OperationState
SCALE = {
    "scaleType": "SCALE_NS",
    "scaleNsData": {"scaleNsByStepsData": {"scalingDirection": "SCALE_OUT", "aspectId": "size", "numberOfSteps": 1}},
}
CASES: Mapping[str, list[tuple[str, Mapping[str, Any]]]] = {
    "instantiate": [("ns.instantiate", {})],
    "scale": [("ns.instantiate", {}), ("ns.scale", SCALE)],
    "heal": [("ns.instantiate", {}), ("ns.heal", {})],
    "terminate": [("ns.instantiate", {}), ("ns.terminate", {})],
}
STRIDE = 4  # each operation has about a hundred moments; those in between are alike


def shape(it: Lab, id: str) -> dict[str, Any]:
    """What matters of an NS, its members and its infrastructure at the end."""
    ns = it.node.nfvo.instance(id)
    vnfs = {vnf.id: vnf for vnf in it.node.vnfm.instances()}
    return {
        "ns": (ns.ns_state, ns.members, ns.counts, ns.scale_status, ns.failed),
        "links": sorted(key for key, r in ns.resources.items() if r.state == "PRESENT"),
        "vnfs": {id: (vnf.instantiation_state, vnf.vnfcs, vnf.failed) for id, vnf in vnfs.items()},
        "given": {id: sorted(vnf.dependencies) for id, vnf in vnfs.items()},
        "machines": {name: (m.state, sorted(m.env)) for name, m in it.machines().items()},
        "networks": sorted(it.world.has.networks),
        "scripts": sorted((run.instance, run.argv[4]) for run in it.scripts.runs),
    }


@pytest.mark.feature("A87")
@pytest.mark.parametrize("case", CASES)
def test_a_crash_at_every_kind_of_moment(case: str) -> None:
    async def body(it: Lab) -> None:
        ns = await it.ns(SIP, *VNFS, instantiate=False)
        *before, (kind, params) = CASES[case]
        for earlier, its in before:
            await it.done(earlier, ns.id, its)
        if case == "heal":
            it.world.kill(next(name for name, m in it.machines().items() if "SERVER_ADDRESS" not in m.env))
        camera = Camera(it)
        await it.done(kind, ns.id, params)
        expected, happened = shape(it, ns.id), effects(it.world)
        for moment in camera.moments[::STRIDE]:
            for again in reborn(it, moment):
                await again.node.start()
                newest = again.node.engine.newest(ns.id)
                assert newest is not None
                if newest.kind == kind:
                    ended = await again.node.engine.wait(newest.id, 10_000)
                    assert ended.state is S.COMPLETED, f"{moment.name}: {ended.error}"
                    assert shape(again, ns.id) == expected, moment.name
                    assert all(effects(again.world)[key] <= count for key, count in happened.items()), moment.name
                    assert all(one.state in FINAL for one in again.node.engine.operations())
                await again.node.stop()

    lab(body)


@pytest.mark.feature("A69", "A87")
def test_after_a_crash_in_any_moment_the_service_can_be_discarded() -> None:
    async def body(it: Lab) -> None:
        ns = await it.ns(SIP, *VNFS, instantiate=False)
        camera = Camera(it)
        await it.done("ns.instantiate", ns.id)
        for moment in camera.moments[::STRIDE]:
            for again in reborn(it, moment):
                await again.node.start()
                await again.node.nfvo.discard(ns.id)
                assert again.nothing_left(), moment.name
                assert again.node.vnfm.instances() == []
                await again.node.stop()

    lab(body)
