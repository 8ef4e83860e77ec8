"""Operations inside operations: found again, retried, cancelled, released and given up with their parent."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from skerry.engine.children import derive
from skerry.errors import ConflictError
from skerry.model.states import OperationState
from tests.engine.toys import Bench, bench, lasting

S = OperationState


def family(**inner: Any) -> dict[str, Any]:
    """Steps of a parent with one child."""
    return {"p": {"action": "toy.child", "child": {"steps": inner or {"c": {}}}, "timeout_s": 1e6}}


def test_identifiers_follow_from_their_parts() -> None:
    assert derive("a", "b") == derive("a", "b") != derive("a/b", "c")


def test_a_child_is_an_operation_of_its_own() -> None:
    async def body(b: Bench) -> None:
        ended = await b.run(**family())
        assert ended.state is S.COMPLETED
        (child,) = b.engine.operations(subject="child-p")
        assert (child.parent, child.state) == (ended.id, S.COMPLETED)
        assert b.engine.steps(ended.id)[0].result == {"child": child.id}

    bench(body)


def test_a_retry_of_the_parent_retries_the_child() -> None:
    async def body(b: Bench) -> None:
        b.faults["do d"] = [lasting("cannot do d")]
        parent = await b.run(**family(c={}, d={"needs": ["c"]}))
        assert parent.state is S.FAILED_TEMP
        assert parent.error == "cannot complete toy.run of child-p: cannot do d"
        await b.engine.retry(parent.id)
        assert (await b.engine.wait(parent.id, 100)).state is S.COMPLETED
        assert b.words("do") == ["do c", "do d", "do d"]
        assert len(b.engine.operations(subject="child-p")) == 1

    bench(body)


@pytest.mark.parametrize("ending", ["rollback", "fail"])
def test_a_child_that_is_over_is_started_anew(ending: str) -> None:
    async def body(b: Bench) -> None:
        b.faults["do c"] = [lasting()]
        parent = await b.run(**family())
        (child,) = b.engine.operations(subject="child-p")
        await getattr(b.engine, ending)(child.id)
        await b.engine.wait(child.id, 100)
        await b.engine.retry(parent.id)
        assert (await b.engine.wait(parent.id, 100)).state is S.COMPLETED
        assert len(b.engine.operations(subject="child-p")) == 2

    bench(body)


@pytest.mark.parametrize("mode", ["GRACEFUL", "FORCEFUL"])
def test_a_cancel_reaches_the_children(mode: str) -> None:
    async def body(b: Bench) -> None:
        b.takes["c"] = 10
        parent = await b.start(**family(c={}, d={"needs": ["c"]}))
        await asyncio.sleep(1)
        await b.engine.cancel(parent.id, mode)
        ended = await b.engine.wait(parent.id, 100)
        await asyncio.sleep(1)
        (child,) = b.engine.operations(subject="child-p")
        assert (ended.state, child.state) == (S.FAILED_TEMP, S.FAILED_TEMP)
        assert b.virtual.clock.monotonic() == pytest.approx(11 if mode == "GRACEFUL" else 2)
        assert b.words("do") == ["do c"]

    bench(body)


def test_giving_up_a_parent_frees_what_its_children_hold() -> None:
    async def body(b: Bench) -> None:
        b.takes["c"] = 10
        parent = await b.start(**family())
        await asyncio.sleep(1)
        await b.engine.cancel(parent.id, "FORCEFUL")
        await b.engine.wait(parent.id, 100)
        await b.engine.fail(parent.id)
        assert [one.state for one in b.engine.operations()] == [S.FAILED, S.FAILED]
        assert (await b.run("child-p", x={})).state is S.COMPLETED

    bench(body)


@pytest.mark.feature("A69")
@pytest.mark.parametrize("moment", ["planning", "running", "failed", "rolling back"])
def test_an_instance_is_released_in_every_state(moment: str) -> None:
    async def body(b: Bench) -> None:
        b.takes["a"] = 5
        if moment == "planning":
            b.toy.planning = lambda: asyncio.sleep(50)
        if moment in ("failed", "rolling back"):
            b.faults["do a"] = [lasting()]
        first = await b.start(a={}, b={"needs": ["a"]})
        await asyncio.sleep(1 if moment in ("planning", "running") else 6)
        if moment == "rolling back":
            await b.engine.rollback(first.id)
        await b.engine.children.release("x")
        assert b.engine.operation(first.id).state in (S.FAILED, S.ROLLED_BACK)
        b.toy.planning = None
        assert (await b.run("x", z={})).state is S.COMPLETED
        await b.engine.children.release("x")
        assert b.legal()

    bench(body)


def test_a_child_does_not_get_past_another_operation() -> None:
    async def body(b: Bench) -> None:
        b.takes["z"] = 50
        other = await b.start("child-p", z={})
        parent = await b.run(**family())
        assert parent.state is S.FAILED_TEMP
        assert other.id in parent.error
        with pytest.raises(ConflictError):
            await b.start("child-p", y={})

    bench(body)
