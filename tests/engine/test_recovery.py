"""A crash at any moment: the operation goes on, what was done is not done again, what was decided stays decided."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry.model.states import FINAL, OperationState, StepState
from tests.engine.toys import Bench, bench, lasting

S = OperationState
STEPS = {"a": {}, "b": {"needs": ["a"]}, "c": {"needs": ["a"]}, "d": {"needs": ["b", "c"]}}


async def reborn(b: Bench) -> Bench:
    """The process dies here and a new one starts on the same file."""
    await b.engine.stop()
    b.database.close()
    b.database.on_commit.clear()
    b.database.open()
    again = Bench(b.virtual, b.database)
    again.diary, again.takes, again.faults, again.toy.planning = b.diary, b.takes, b.faults, None
    await again.engine.start()
    return again


@pytest.mark.feature("A87")
@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0.01, 3.5), min_size=1, max_size=4).map(sorted))
def test_an_operation_ends_well_however_often_the_process_dies(moments: list[float]) -> None:
    async def body(b: Bench) -> None:
        operation = await b.start(**STEPS)
        for moment in moments:
            await asyncio.sleep(max(0.0, moment - b.virtual.clock.monotonic()))
            done = {record.key for record in b.engine.steps(operation.id) if record.state is StepState.DONE}
            before = len(b.diary)
            b = await reborn(b)
            await asyncio.sleep(0.001)
            assert not [key for _, word, key in b.diary[before:] if word == "do" and key in done]
        ended = await b.engine.wait(operation.id, 1000)
        assert ended.state is S.COMPLETED
        assert sorted(b.words("did")) == ["did a", "did b", "did c", "did d"]
        assert b.legal()
        await b.engine.stop()

    bench(body)


@settings(max_examples=25, deadline=None)
@given(st.floats(2.1, 6.0))
def test_a_rollback_goes_on_backward(moment: float) -> None:
    async def body(b: Bench) -> None:
        b.faults["do d"] = [lasting()]
        failed = await b.run(**STEPS)
        assert failed.state is S.FAILED_TEMP
        await b.engine.rollback(failed.id)
        await asyncio.sleep(moment - 2)
        b = await reborn(b)
        ended = await b.engine.wait(failed.id, 1000)
        assert ended.state is S.ROLLED_BACK
        assert sorted(b.words("undid")) == ["undid a", "undid b", "undid c", "undid d"]
        assert b.words("undid")[-1] == "undid a"
        await b.engine.stop()

    bench(body)


def test_a_crash_while_planning_plans_again() -> None:
    async def body(b: Bench) -> None:
        b.toy.planning = lambda: asyncio.sleep(50)
        operation = await b.start(**STEPS)
        await asyncio.sleep(1)
        b = await reborn(b)
        assert (await b.engine.wait(operation.id, 1000)).state is S.COMPLETED
        await b.engine.stop()

    bench(body)


@pytest.mark.parametrize("mode", ["GRACEFUL", "FORCEFUL"])
def test_a_cancel_outlives_the_crash(mode: str) -> None:
    async def body(b: Bench) -> None:
        b.takes["a"] = 10
        operation = await b.start(**STEPS)
        await asyncio.sleep(1)
        await b.engine.cancel(operation.id, "GRACEFUL")
        if mode == "FORCEFUL":
            await b.engine.cancel(operation.id, mode)
        b = await reborn(b)
        ended = await b.engine.wait(operation.id, 1000)
        assert ended.state is S.FAILED_TEMP
        assert b.words("do") == ["do a"]
        await b.engine.rollback(operation.id)
        assert (await b.engine.wait(operation.id, 1000)).state is S.ROLLED_BACK
        await b.engine.stop()

    bench(body)


def test_what_waits_for_a_decision_waits_on() -> None:
    async def body(b: Bench) -> None:
        b.faults["do b"] = [lasting()]
        failed = await b.run(**STEPS)
        b = await reborn(b)
        await asyncio.sleep(100)
        assert b.engine.operation(failed.id).state is S.FAILED_TEMP
        await b.engine.retry(failed.id)
        assert (await b.engine.wait(failed.id, 1000)).state is S.COMPLETED
        assert b.words("do").count("do a") == 1
        await b.engine.stop()

    bench(body)


@settings(max_examples=25, deadline=None)
@given(st.floats(0.1, 4.5))
def test_a_parent_finds_its_child_again(moment: float) -> None:
    async def body(b: Bench) -> None:
        steps = {
            "before": {},
            "p": {"needs": ["before"], "action": "toy.child", "child": {"steps": {"c": {}, "d": {}}}},
        }
        parent = await b.start(**steps, after={"needs": ["p"]})
        await asyncio.sleep(moment)
        b = await reborn(b)
        assert (await b.engine.wait(parent.id, 1000)).state is S.COMPLETED
        assert len(b.engine.operations(subject="child-p")) == 1
        assert sorted(b.words("did")) == ["did after", "did before", "did c", "did d"]
        assert all(one.state in FINAL for one in b.engine.operations())
        await b.engine.stop()

    bench(body)


def test_many_operations_are_taken_up_together() -> None:
    async def body(b: Bench) -> None:
        for number in range(30):
            await b.start(f"s{number}", **{f"{number}-{key}": {} for key in "abc"})
        await asyncio.sleep(0.5)
        b = await reborn(b)
        await asyncio.sleep(100)
        assert {one.state for one in b.engine.operations()} == {S.COMPLETED}
        assert len(b.words("did")) == 90
        await b.engine.stop()

    bench(body)
