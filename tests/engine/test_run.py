"""One operation: order, parallel steps, retries, time-outs, cancel, retry, roll back, fail."""

from __future__ import annotations

import asyncio
import errno
import logging

import pytest

from skerry.errors import ConflictError, NotFoundError
from skerry.model.states import OperationState, StepState
from tests.engine.toys import Bench, bench, lasting, passing

S = OperationState


def test_steps_run_in_their_order_and_side_by_side_where_they_can() -> None:
    async def body(b: Bench) -> None:
        ended = await b.run(a={}, b={"needs": ["a"]}, c={"needs": ["a"]}, d={"needs": ["b", "c"]})
        assert ended.state is S.COMPLETED
        assert b.diary == [
            (0, "do", "a"), (1, "did", "a"), (1, "do", "b"), (1, "do", "c"),
            (2, "did", "b"), (2, "did", "c"), (2, "do", "d"), (3, "did", "d"),
        ]  # fmt: skip
        assert b.states(ended.id) == ["STARTING", "PROCESSING", "COMPLETED"]
        assert [record.state for record in b.engine.steps(ended.id)] == [StepState.DONE] * 4
        assert b.engine.steps(ended.id)[0].result == {"by": "a"}

    bench(body)


@pytest.mark.feature("D20")
def test_independent_steps_take_the_time_of_the_longest() -> None:
    async def body(b: Bench) -> None:
        await b.run(**{f"s{n}": {} for n in range(20)})
        assert b.most == 20
        assert b.virtual.clock.monotonic() == pytest.approx(1)

    bench(body)


def test_no_more_steps_than_slots_run_and_none_starves() -> None:
    async def body(b: Bench) -> None:
        first = await b.start("x", **{f"s{n}": {} for n in range(12)})
        second = await b.start("y", t={})
        await b.engine.wait(second.id, 100)
        assert b.engine.operation(second.id).state is S.COMPLETED
        await b.engine.wait(first.id, 100)
        assert b.most == 4
        assert b.virtual.clock.monotonic() == pytest.approx(4)

    bench(body, slots=4)


def test_waiting_for_children_takes_no_slot() -> None:
    async def body(b: Bench) -> None:
        child = {"steps": {"inner": {}}}
        ended = await b.run(**{f"p{n}": {"action": "toy.child", "child": child} for n in range(5)})
        assert ended.state is S.COMPLETED
        assert b.most == 1

    bench(body, slots=1)


def test_a_passing_fault_is_tried_again_with_growing_pauses() -> None:
    async def body(b: Bench) -> None:
        b.faults["do a"] = [passing() for _ in range(4)]
        b.takes["a"] = 0
        ended = await b.run(a={"attempts": 5})
        assert ended.state is S.COMPLETED
        assert [second for second, word, _ in b.diary if word == "do"] == pytest.approx([0, 0.2, 0.6, 1.4, 3.0])
        retries = [event for event in b.events(ended.id) if event.state == "RETRYING"]
        assert [event.data["attempt"] for event in retries] == [1, 2, 3, 4]
        assert retries[0].detail == "cannot reach it"

    bench(body)


def test_a_fault_that_stays_ends_the_step_with_its_reason() -> None:
    async def body(b: Bench) -> None:
        b.faults["do a"] = [passing() for _ in range(9)]
        b.faults["do b"] = [lasting()]
        first = await b.run("x", a={"attempts": 2})
        second = await b.run("y", b={})
        assert (first.state, first.error) == (S.FAILED_TEMP, "cannot reach it")
        record = b.engine.steps(first.id)[0]
        assert (record.state, record.attempt, record.call, record.answer) == (StepState.FAILED, 2, "create x", "503")
        assert (second.error, second.suggestion) == ("cannot do it", "mend it")
        assert b.words("do").count("do b") == 1

    bench(body)


def test_a_step_that_takes_too_long_is_ended() -> None:
    async def body(b: Bench) -> None:
        b.takes["a"] = 1e6
        ended = await b.run(a={"timeout_s": 7.5})
        assert ended.state is S.FAILED_TEMP
        assert ended.error == "no answer within 7.5 s"
        assert b.virtual.clock.monotonic() == pytest.approx(7.5)
        assert b.running == 0

    bench(body)


def test_an_unknown_error_ends_the_step_with_a_reference_and_not_its_text(caplog: pytest.LogCaptureFixture) -> None:
    async def body(b: Bench) -> str:
        b.faults["do a"] = [ZeroDivisionError("secret")]
        ended = await b.run(a={})
        assert ended.state is S.FAILED_TEMP
        assert "secret" not in ended.error
        return ended.error.rsplit(" ", 1)[1]

    with caplog.at_level(logging.ERROR, logger="skerry.engine"):
        reference = bench(body)
    assert reference in caplog.text
    assert "secret" in caplog.text


def test_a_full_disk_is_told_as_what_it_is_and_the_step_can_be_retried() -> None:
    async def body(b: Bench) -> None:
        b.faults["do a"] = [OSError(errno.ENOSPC, "secret", "/data/layer")]
        ended = await b.run(a={})
        assert ended.state is S.FAILED_TEMP
        assert ended.error.startswith("No space left on device: /data/layer, reference ")
        assert "secret" not in ended.error
        assert "make room" in ended.suggestion
        again = await b.engine.retry(ended.id)
        assert (await b.engine.wait(again.id, 10)).state is S.COMPLETED

    bench(body)


def test_a_failure_lets_what_runs_end_and_begins_nothing_more() -> None:
    async def body(b: Bench) -> None:
        b.faults["do a"] = [lasting()]
        b.takes["b"] = 5
        ended = await b.run(a={}, b={}, c={"needs": ["a"]}, d={"needs": ["b"]})
        assert ended.state is S.FAILED_TEMP
        states = {record.key: record.state for record in b.engine.steps(ended.id)}
        assert states == {"a": "FAILED", "b": "DONE", "c": "PENDING", "d": "PENDING"}

    bench(body)


@pytest.mark.feature("A27", "A70")
def test_a_retry_runs_only_what_is_not_done() -> None:
    async def body(b: Bench) -> None:
        b.faults["do b"] = [lasting()]
        first = await b.run(a={}, b={"needs": ["a"]}, c={"needs": ["b"]})
        assert first.state is S.FAILED_TEMP
        await b.engine.retry(first.id)
        ended = await b.engine.wait(first.id, 100)
        assert (ended.state, ended.error) == (S.COMPLETED, "")
        assert b.words("do") == ["do a", "do b", "do b", "do c"]
        assert b.states(first.id) == ["STARTING", "PROCESSING", "FAILED_TEMP", "PROCESSING", "COMPLETED"]

    bench(body)


def test_a_rollback_undoes_in_reverse_also_what_only_began() -> None:
    async def body(b: Bench) -> None:
        b.faults["do c"] = [lasting()]
        first = await b.run(a={}, b={"needs": ["a"]}, c={"needs": ["b"]}, d={"needs": ["c"]})
        await b.engine.rollback(first.id)
        ended = await b.engine.wait(first.id, 100)
        assert ended.state is S.ROLLED_BACK
        assert ended.error == "cannot do it"
        assert b.words("undid") == ["undid c", "undid b", "undid a"]
        states = {record.key: record.state for record in b.engine.steps(first.id)}
        assert states == {"a": "UNDONE", "b": "UNDONE", "c": "UNDONE", "d": "PENDING"}

    bench(body)


def test_a_rollback_that_fails_can_go_on_backward_or_forward() -> None:
    async def body(b: Bench) -> None:
        b.faults["do c"] = [lasting()]
        b.faults["undo b"] = [lasting("cannot undo")]
        first = await b.run(a={}, b={"needs": ["a"]}, c={"needs": ["b"]})
        await b.engine.rollback(first.id)
        stuck = await b.engine.wait(first.id, 100)
        assert (stuck.state, stuck.error) == (S.FAILED_TEMP, "cannot roll back: cannot undo")
        await b.engine.rollback(first.id)
        ended = await b.engine.wait(first.id, 100)
        assert ended.state is S.ROLLED_BACK
        assert b.words("undo") == ["undo c", "undo b", "undo b", "undo a"]

        b.faults["do f"] = [lasting()]
        b.faults["undo e"] = [lasting()]
        second = await b.run("y", e={}, f={"needs": ["e"]})
        await b.engine.rollback(second.id)
        assert (await b.engine.wait(second.id, 100)).state is S.FAILED_TEMP
        await b.engine.retry(second.id)
        assert (await b.engine.wait(second.id, 100)).state is S.COMPLETED
        assert b.words("do")[-2:] == ["do e", "do f"]
        assert b.legal()

    bench(body)


def test_a_kind_that_cannot_go_back_is_not_rolled_back() -> None:
    async def body(b: Bench) -> None:
        b.faults["do a"] = [lasting()]
        first = await b.run("x", "toy.stubborn", a={})
        with pytest.raises(ConflictError, match=r"cannot roll back toy\.stubborn"):
            await b.engine.rollback(first.id)
        assert (await b.engine.fail(first.id)).state is S.FAILED

    bench(body)


def test_failing_gives_up_and_frees_the_instance() -> None:
    async def body(b: Bench) -> None:
        b.faults["do a"] = [lasting()]
        first = await b.run(a={})
        with pytest.raises(ConflictError, match=f"operation {first.id} .toy.run. is FAILED_TEMP"):
            await b.start(b={})
        assert (await b.engine.fail(first.id)).state is S.FAILED
        for decide in (b.engine.retry, b.engine.rollback, b.engine.fail, b.engine.cancel):
            with pytest.raises(ConflictError, match="FAILED"):
                await decide(first.id)
        assert (await b.run(b={})).state is S.COMPLETED

    bench(body)


def test_a_graceful_cancel_lets_steps_end() -> None:
    async def body(b: Bench) -> None:
        first = await b.start(a={}, b={"needs": ["a"]})
        await asyncio.sleep(0.5)
        await b.engine.cancel(first.id)
        ended = await b.engine.wait(first.id, 100)
        assert (ended.state, ended.error) == (S.FAILED_TEMP, "cancelled")
        assert b.virtual.clock.monotonic() == pytest.approx(1)
        assert {record.key: record.state for record in b.engine.steps(first.id)} == {"a": "DONE", "b": "PENDING"}
        await b.engine.retry(first.id)
        assert (await b.engine.wait(first.id, 100)).state is S.COMPLETED
        assert b.words("do") == ["do a", "do b"]

    bench(body)


def test_a_forceful_cancel_cuts_steps_off_also_after_a_graceful_one() -> None:
    async def body(b: Bench) -> None:
        b.takes["a"] = 1000
        for subject, modes in (("x", ["FORCEFUL"]), ("y", ["GRACEFUL", "FORCEFUL"])):
            first = await b.start(subject, a={"timeout_s": 2000})
            for mode in modes:
                await asyncio.sleep(0.5)
                await b.engine.cancel(first.id, mode)
            ended = await b.engine.wait(first.id, 100)
            assert ended.state is S.FAILED_TEMP
            assert b.engine.steps(first.id)[0].state is StepState.FAILED
            assert b.running == 0
            await b.engine.rollback(first.id)
            assert (await b.engine.wait(first.id, 100_000)).state is S.ROLLED_BACK
        assert b.virtual.clock.monotonic() < 2100

    bench(body)


def test_a_cancel_while_planning_changes_nothing() -> None:
    async def body(b: Bench) -> None:
        b.toy.planning = lambda: asyncio.sleep(50)
        first = await b.start(a={})
        await asyncio.sleep(1)
        assert b.engine.operation(first.id).state is S.STARTING
        await b.engine.cancel(first.id)
        ended = await b.engine.wait(first.id, 100)
        assert ended.state is S.ROLLED_BACK
        assert b.diary == []
        assert b.virtual.clock.monotonic() == pytest.approx(1)

    bench(body)


def test_planning_that_takes_too_long_is_rolled_back() -> None:
    async def body(b: Bench) -> None:
        b.toy.planning = lambda: asyncio.sleep(500)
        ended = await b.run(a={})
        assert (ended.state, ended.error) == (S.ROLLED_BACK, "no answer within 60 s")

    bench(body)


def test_one_operation_holds_an_instance_and_others_go_on_beside_it() -> None:
    async def body(b: Bench) -> None:
        first = await b.start("x", a={})
        with pytest.raises(ConflictError, match=f"cannot start toy.run of x: operation {first.id}") as caught:
            await b.start("x", b={})
        assert "cancel" in caught.value.suggestion
        other = await b.start("y", c={})
        await b.engine.wait(first.id, 10)
        assert b.engine.operation(other.id).state is S.COMPLETED
        assert (await b.run("x", b={})).state is S.COMPLETED

    bench(body)


def test_what_is_not_admitted_leaves_no_trace() -> None:
    async def body(b: Bench) -> None:
        with pytest.raises(ConflictError, match="cannot do that now"):
            await b.engine.submit("toy.run", "x", {"refuse": True})
        assert b.engine.operations() == []
        assert b.events() == []
        with pytest.raises(NotFoundError):
            b.engine.operation("nothing")

    bench(body)


def test_a_preview_changes_nothing() -> None:
    async def body(b: Bench) -> None:
        plan = await b.engine.preview("toy.run", "x", {"steps": {"a": {}, "b": {"needs": ["a"]}}})
        assert [step.key for step in plan.steps] == ["a", "b"]
        assert (b.engine.operations(), b.events(), b.diary) == ([], [], [])
        with pytest.raises(ConflictError):
            await b.engine.preview("toy.run", "x", {"refuse": True})

    bench(body)


def test_steps_that_wait_for_each_other_end_the_operation() -> None:
    async def body(b: Bench) -> None:
        ended = await b.run(a={"needs": ["b"]}, b={"needs": ["a"]})
        assert ended.state is S.FAILED_TEMP
        assert "wait for each other" in ended.error

    bench(body)


def test_a_decision_in_the_moment_of_the_failure_is_not_lost() -> None:
    async def body(b: Bench) -> None:
        b.faults["do a"] = [lasting()]
        first = await b.start(a={})
        async for batch in b.engine.events.follow(0, operation=first.id):
            if any(event.state == "FAILED_TEMP" for event in batch):
                await b.engine.retry(first.id)
                break
        assert (await b.engine.wait(first.id, 100)).state is S.COMPLETED

    bench(body)


def test_a_caller_that_goes_away_does_not_leave_an_operation_behind() -> None:
    async def body(b: Bench) -> None:
        caller = asyncio.ensure_future(b.start(a={}))
        await asyncio.sleep(0)
        caller.cancel()
        await asyncio.sleep(5)
        assert [one.state for one in b.engine.operations()] == [S.COMPLETED]

    bench(body)


@pytest.mark.feature("A62")
def test_the_event_log_tells_every_move_in_order_and_can_be_followed() -> None:
    async def body(b: Bench) -> None:
        live: list[int] = []

        async def follow() -> None:
            async for batch in b.engine.events.follow(0):
                live.extend(event.seq for event in batch)

        follower = asyncio.ensure_future(follow())
        b.faults["do b"] = [lasting()]
        first = await b.run(a={}, b={"needs": ["a"]})
        await b.engine.rollback(first.id)
        await b.engine.wait(first.id, 100)
        await asyncio.sleep(1)
        follower.cancel()
        told = [(event.kind, event.name, event.state) for event in b.events(first.id)]
        assert told == [
            ("operation", "toy.run", "STARTING"), ("operation", "toy.run", "PROCESSING"),
            ("step", "a", "RUNNING"), ("step", "a", "DONE"), ("step", "b", "RUNNING"), ("step", "b", "FAILED"),
            ("operation", "toy.run", "FAILED_TEMP"), ("operation", "toy.run", "ROLLING_BACK"),
            ("step", "b", "UNDOING"), ("step", "b", "UNDONE"), ("step", "a", "UNDOING"), ("step", "a", "UNDONE"),
            ("operation", "toy.run", "ROLLED_BACK"),
        ]  # fmt: skip
        assert live == [event.seq for event in b.events()]
        assert live == sorted(set(live))
        assert b.toy.phases == [
            ("a", "begun"), ("a", "done"), ("b", "begun"), ("b", "undone"), ("a", "undone"),
        ]  # fmt: skip

    bench(body)


def test_a_full_store_stops_an_operation_until_there_is_room() -> None:
    async def body(b: Bench) -> None:
        writer = b.database._writer
        assert writer is not None
        first = await b.start(a={}, b={"needs": ["a"]})
        await asyncio.sleep(0.5)
        writer.execute("PRAGMA query_only=ON")
        await asyncio.sleep(10)
        assert b.engine.operation(first.id).state is S.PROCESSING
        writer.execute("PRAGMA query_only=OFF")
        await asyncio.sleep(20)
        assert b.engine.operation(first.id).state is S.COMPLETED
        assert b.words("did") == ["did a"] * (len(b.words("did")) - 1) + ["did b"]

    logging.getLogger("skerry.engine").disabled = True
    try:
        bench(body)
    finally:
        logging.getLogger("skerry.engine").disabled = False


def test_a_careful_operation_rolls_back_by_itself() -> None:
    async def body(b: Bench) -> None:
        b.faults["do b"] = [lasting()]
        started = await b.engine.submit("toy.run", "x", {"careful": True, "steps": {"a": {}, "b": {"needs": ["a"]}}})
        ended = await b.engine.wait(started.id, 100)
        assert (ended.state, ended.error) == (S.ROLLED_BACK, "cannot do it")
        assert b.words("undid") == ["undid b", "undid a"]
        assert b.legal()

    bench(body)


@pytest.mark.parametrize("moment", [0.0, 0.5])
def test_only_what_failed_waits_for_a_decision(moment: float) -> None:
    async def body(b: Bench) -> None:
        if not moment:
            b.toy.planning = lambda: asyncio.sleep(5)
        first = await b.start(a={})
        await asyncio.sleep(moment)
        state = b.engine.operation(first.id).state
        assert state is (S.PROCESSING if moment else S.STARTING)
        for decide in (b.engine.retry, b.engine.rollback, b.engine.fail):
            with pytest.raises(ConflictError, match=f"from {state}"):
                await decide(first.id)
        assert (await b.engine.wait(first.id, 100)).state is S.COMPLETED

    bench(body)
