"""Operations that shall begin later wait for their time, over restarts too, until they are cancelled."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import msgspec
import pytest

from skerry.api.sol005.ns_instances import TASKS
from skerry.api.sol005.requests import checked
from skerry.errors import ConflictError, InvalidError
from skerry.model.operations import Operation
from skerry.model.states import OperationState
from skerry.model.time import stamp
from tests.nfvo.looking import ns_scale
from tests.vnfm.builder import Lab, lab

VNF = "{id: host, vdus: {box: {nics: {eth: ext}}}}"
SERVICE = """
id: shed
vnfs: {one: {vnfd: host, links: {eth: lan}, max: 2}}
links: {lan: 10.81.0.0/24}
aspects: {size: {one: [1, 2]}}
levels: {start: {one: 1}}
"""
HOUR = 3600.0


def later(it: Lab, seconds: float) -> str:
    return stamp(it.node.engine.clock.now() + timedelta(seconds=seconds))


async def begun(it: Lab, id: str, task: str, **request: object) -> Operation:
    return await it.start(f"ns.{task}", id, checked(task, request, TASKS[task]))


def now(it: Lab, operation: Operation) -> OperationState:
    found = it.node.engine.operation(operation.id)
    return found.state


@pytest.mark.feature("A26", "A27")
def test_operations_begin_when_the_request_says() -> None:
    async def body(it: Lab) -> None:
        ns = await it.ns(SERVICE, VNF, instantiate=False)
        start = await begun(it, ns.id, "instantiate", nsFlavourId="default", startTime=later(it, HOUR))
        await asyncio.sleep(HOUR - 5)
        assert (now(it, start), it.machines()) == (OperationState.PROCESSING, {})
        with pytest.raises(ConflictError):
            await begun(it, ns.id, "terminate")
        await it.restart()
        assert it.machines() == {}
        ended = await it.node.engine.wait(start.id, 60)
        assert (ended.state, len(it.machines())) == (OperationState.COMPLETED, 1)
        for task, name, request in (
            ("scale", "scaleTime", ns_scale("SCALE_OUT")),
            ("terminate", "terminationTime", {}),
        ):
            at = later(it, 100)
            over = await it.node.engine.wait((await begun(it, ns.id, task, **request, **{name: at})).id, HOUR)
            assert over.state is OperationState.COMPLETED
            assert over.state_entered_at >= at
        assert it.nothing_left()

    lab(body)


@pytest.mark.feature("A27")
@pytest.mark.parametrize("mode", ["GRACEFUL", "FORCEFUL"])
def test_a_cancel_ends_the_waiting(mode: str) -> None:
    async def body(it: Lab) -> None:
        ns = await it.ns(SERVICE, VNF, instantiate=False)
        start = await begun(it, ns.id, "instantiate", nsFlavourId="default", startTime=later(it, HOUR))
        await asyncio.sleep(10)
        await it.node.engine.cancel(start.id, mode)
        stopped = await it.node.engine.wait(start.id, 60)
        assert stopped.state is OperationState.FAILED_TEMP
        assert it.machines() == {}
        await it.node.engine.retry(start.id)
        await asyncio.sleep(60)
        assert (now(it, start), it.machines()) == (OperationState.PROCESSING, {})
        ended = await it.node.engine.wait(start.id, HOUR)
        assert (ended.state, len(it.machines())) == (OperationState.COMPLETED, 1)

    lab(body)


@pytest.mark.feature("A27")
def test_times_that_are_over_are_now_and_no_times_are_refused() -> None:
    async def body(it: Lab) -> None:
        ns = await it.ns(SERVICE, VNF, instantiate=False)
        for wrong in ("soon", "2026-13-01T00:00:00Z", "2026-01-01T00:00:00", "20260101T000000Z"):
            with pytest.raises(InvalidError, match="no date-time") as refusal:
                await begun(it, ns.id, "instantiate", nsFlavourId="default", startTime=wrong)
            assert [fault.path for fault in refusal.value.faults] == ["/startTime"]
        start = await begun(it, ns.id, "instantiate", nsFlavourId="default", startTime="2001-01-01t00:00:00z")
        assert (await it.node.engine.wait(start.id, 60)).state is OperationState.COMPLETED

    lab(body)


@pytest.mark.feature("A27")
def test_an_ns_is_what_it_was_until_its_time_has_come_and_where_that_never_comes() -> None:
    async def body(it: Lab) -> None:
        ns = await it.ns(SERVICE, VNF, instantiate=False)
        await it.done("ns.instantiate", ns.id, {"nsFlavourId": "default"})
        before = it.node.nfvo.instance(ns.id)
        for task, request in (
            ("terminate", {"terminationTime": later(it, HOUR)}),
            ("scale", {**ns_scale("SCALE_OUT"), "scaleTime": later(it, HOUR)}),
        ):
            waiting = await begun(it, ns.id, task, **request)
            await asyncio.sleep(10)
            assert now(it, waiting) is OperationState.PROCESSING
            assert msgspec.structs.replace(it.node.nfvo.instance(ns.id), rev=before.rev) == before
            await it.node.engine.cancel(waiting.id)
            await it.node.engine.wait(waiting.id, 60)
            await it.node.engine.fail(waiting.id)
            assert msgspec.structs.replace(it.node.nfvo.instance(ns.id), rev=before.rev) == before

    lab(body)


@pytest.mark.feature("A26", "A27")
def test_what_waited_and_failed_is_rolled_back() -> None:
    async def body(it: Lab) -> None:
        ns = await it.ns(SERVICE, VNF, instantiate=False)
        await it.done("ns.instantiate", ns.id, {"nsFlavourId": "default"})
        before = it.node.nfvo.instance(ns.id)
        waiting = await begun(it, ns.id, "scale", **ns_scale("SCALE_OUT"), scaleTime=later(it, HOUR))
        it.world.fail("create_compute", "*", times=1000)
        stuck = await it.node.engine.wait(waiting.id, 2 * HOUR)
        assert (stuck.state, it.node.nfvo.instance(ns.id).scale_status) == (OperationState.FAILED_TEMP, {"size": 1})
        await it.node.engine.rollback(stuck.id)
        assert (await it.node.engine.wait(stuck.id)).state is OperationState.ROLLED_BACK
        assert msgspec.structs.replace(it.node.nfvo.instance(ns.id), rev=before.rev) == before

    lab(body)
