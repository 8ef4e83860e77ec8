"""Who was refused resources is told once there is room, in virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from skerry.errors import RejectedError
from skerry.model.operations import Event
from skerry.model.quotas import Needed, ResourceType
from skerry.model.states import OperationState
from skerry.nfvo.quotas import lacking, needed_at
from skerry.placement.solve import Demand
from skerry.store.quotas import shortages
from skerry.vim.driver import Capacity
from tests.vnfm.builder import Lab, lab

BIG = "{id: big, vdus: {one: {nics: {pub: ext}, vcpus: 3}}}"
SMALL: dict[str, Any] = {"sim": {"vcpus": 4}}


def told(it: Lab) -> list[Event]:
    return list(it.node.engine.events.since(0, kind="quota"))


async def refused(it: Lab) -> None:
    """A second VNF finds no room beside the first."""
    second = await it.vnf(BIG, instantiate=False, name="second")
    operation = await it.run("vnf.instantiate", second.id, {})
    assert operation.state is OperationState.ROLLED_BACK


def test_room_that_another_vnf_left_is_told_once() -> None:
    async def body(it: Lab) -> None:
        first = await it.vnf(BIG, name="first")
        await refused(it)
        (short,) = shortages.select(it.node.store)
        assert (short.vim, short.type, short.needed.vcpus) == ("sim", ResourceType.COMPUTE, 3.0)
        await asyncio.sleep(100)
        assert told(it) == []
        await it.done("vnf.terminate", first.id, {"terminationType": "FORCEFUL"})
        await asyncio.sleep(1)
        (event,) = told(it)
        assert (event.subject, event.state) == ("sim", "COMPUTE")
        assert shortages.select(it.node.store) == []
        await asyncio.sleep(100)
        assert len(told(it)) == 1

    lab(body, SMALL)


def test_a_refusal_is_remembered_over_a_restart_and_over_an_absent_vim() -> None:
    async def body(it: Lab) -> None:
        first = await it.vnf(BIG, name="first")
        await refused(it)
        await refused(it)  # again: remembered once
        assert len(shortages.select(it.node.store)) == 1
        await it.restart()
        it.world.reachable = False
        await asyncio.sleep(100)
        assert told(it) == []
        it.world.reachable = True
        it.world.remove(next(iter(it.machines())))  # behind the node's back: no operation tells
        await asyncio.sleep(100)
        assert [event.state for event in told(it)] == ["COMPUTE"]
        assert first.id

    lab(body, SMALL)


def test_a_service_that_finds_no_room_is_remembered_too() -> None:
    async def body(it: Lab) -> None:
        await it.vnf(BIG, name="first")
        ns = await it.ns("{id: pair, vnfs: {a: {vnfd: big, links: {pub: net}}}, links: {net: ''}}", instantiate=False)
        with pytest.raises(RejectedError):
            await it.node.nfvo.plan("ns.instantiate", ns.id, {})
        assert shortages.select(it.node.store) == []
        operation = await it.run("ns.instantiate", ns.id, {})
        assert operation.state is not OperationState.COMPLETED
        assert [short.vim for short in shortages.select(it.node.store)] == ["sim"]

    lab(body, SMALL)


def test_a_plan_that_finds_no_room_changes_nothing() -> None:
    async def body(it: Lab) -> None:
        await it.vnf(BIG, name="first")
        second = await it.vnf(BIG, instantiate=False, name="second")
        with pytest.raises(RejectedError):
            await it.node.vnfm.plan("vnf.instantiate", second.id, {})
        assert shortages.select(it.node.store) == []

    lab(body, SMALL)


@pytest.mark.parametrize(
    ("needed", "types"),
    [
        (Needed(instances=1), set()),
        (Needed(vcpus=2.5, instances=1), {ResourceType.COMPUTE}),
        (Needed(memory_bytes=51, instances=1), {ResourceType.COMPUTE}),
        (Needed(storage_bytes=101, instances=1), {ResourceType.STORAGE}),
        (Needed(instances=3), {ResourceType.COMPUTE}),
    ],
)
def test_what_lacks(needed: Needed, types: set[ResourceType]) -> None:
    capacity = Capacity(
        vcpus=4, used_vcpus=2, memory_bytes=100, used_memory_bytes=50, storage_bytes=100, instances=4, used_instances=2
    )
    assert lacking(capacity, needed) == types


def test_what_is_meant_for_another_site_is_not_needed_here() -> None:
    demands = [
        Demand(name="a", vcpus=1, site="here"),
        Demand(name="b", vcpus=2),
        Demand(name="c", vcpus=4, site="there"),
    ]
    assert needed_at("here", demands) == Needed(vcpus=3, instances=2)
