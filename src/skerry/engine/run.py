"""Runs one operation: plan it, run its steps as a graph, or undo them; every move is journalled before it counts."""

from __future__ import annotations

import asyncio
import errno
import os
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from skerry.engine.frontier import Frontier, inverse
from skerry.engine.kinds import StepContext
from skerry.errors import ConflictError, DriverError, SkerryError
from skerry.model.operations import Operation, Plan, Step, StepRecord
from skerry.model.states import FINAL, OPERATION_MOVES, OperationState, StepState
from skerry.model.time import stamp
from skerry.store import journal
from skerry.store.database import Transaction

if TYPE_CHECKING:
    from skerry.engine.engine import Engine

BACKOFF_S = 0.2
BACKOFF_MAX_S = 10.0
STUCK = StepRecord(key="", error="cannot order the steps: they wait for each other", suggestion="fail or roll back")


@dataclass(frozen=True)
class _Ending:
    """How a step ended. `phase` is done or undone, "" when it failed."""

    step: Step
    record: StepRecord
    phase: str = ""


class Run:
    """One operation under way in this process."""

    def __init__(self, engine: Engine, operation: Operation) -> None:
        self.engine = engine
        self.operation = operation
        self.kind = engine.kind(operation.kind)
        self.cancelled = asyncio.Event()
        self.forced = asyncio.Event()
        if operation.cancel:
            self.cancel(operation.cancel)
        self._records = {record.key: record for record in journal.steps(engine.database, operation.id)}

    def cancel(self, mode: str) -> None:
        """Begin nothing more (GRACEFUL), and let go of what is under way (FORCEFUL, also after GRACEFUL)."""
        self.cancelled.set()
        if mode == "FORCEFUL":
            self.forced.set()

    async def drive(self) -> None:
        """Go on from the recorded state until the operation is final or waits for a decision."""
        if self.operation.state is OperationState.STARTING:
            await self._start()
        if self.operation.state is OperationState.PROCESSING:
            await self._forward()
        if self._turns_back():
            await self._move(OperationState.ROLLING_BACK)
        if self.operation.state is OperationState.ROLLING_BACK:
            await self._backward()

    def _turns_back(self) -> bool:
        """Whether a failure is rolled back without asking."""
        failed = self.operation.state is OperationState.FAILED_TEMP
        return failed and not self.cancelled.is_set() and self.kind.rolls_back(self.operation)

    async def _start(self) -> None:
        planning = asyncio.ensure_future(self._guard(lambda: self.kind.plan(self.operation)))
        stop = asyncio.ensure_future(self.cancelled.wait())
        try:
            await asyncio.wait({planning, stop}, return_when=asyncio.FIRST_COMPLETED)
            if self.cancelled.is_set():
                await self._move(OperationState.ROLLED_BACK, error="cancelled before anything was changed")
                return
            plan, failure = planning.result()
        finally:
            stop.cancel()
            planning.cancel()
        if failure is not None or plan is None:
            suggestion = failure.suggestion if failure else ""
            await self._move(OperationState.ROLLED_BACK, error=failure.error if failure else "", suggestion=suggestion)
        else:
            await self._move(OperationState.PROCESSING, plan=plan)

    # -- forward ------------------------------------------------------------------------------------------------------

    async def _forward(self) -> None:
        plan = self.operation.plan or Plan()
        waiting = {step.key: step for step in plan.steps if not self._is(step, StepState.DONE)}
        failed = await self._walk(waiting, needs={step.key: step.needs for step in plan.steps}, work=self._do)
        if not waiting and not failed:
            await self._move(OperationState.COMPLETED)
        elif self.cancelled.is_set() and not failed:
            await self._move(OperationState.FAILED_TEMP, error="cancelled", suggestion="retry, roll back or fail it")
        else:
            worst = next((record for key, record in self._records.items() if key in failed), STUCK)
            await self._move(OperationState.FAILED_TEMP, error=worst.error, suggestion=worst.suggestion)

    async def _do(self, step: Step) -> _Ending:
        handler = self.engine.handler(step.action)
        context = StepContext(operation=self.operation, step=step, args=step.args, engine=self.engine)
        result, failure = await self._attempts(step, lambda: handler(context))
        if failure is not None:
            return _Ending(step, failure)
        return _Ending(step, self._ended(step, StepState.DONE, result or {}), "done")

    # -- backward -----------------------------------------------------------------------------------------------------

    async def _backward(self) -> None:
        plan = self.operation.plan or Plan()
        touched = {
            step.key: step
            for step in plan.steps
            if step.key in self._records and not self._is(step, StepState.UNDONE, StepState.PENDING)
        }
        followers = inverse({key: step.needs for key, step in touched.items()})
        failed = await self._walk(touched, needs=followers, work=self._undo)
        if failed or touched:
            worst = next((record for key, record in self._records.items() if key in failed), None)
            error = worst.error if worst else "cancelled"
            await self._move(
                OperationState.FAILED_TEMP, error=f"cannot roll back: {error}", suggestion="retry or fail it"
            )
        else:
            await self._move(OperationState.ROLLED_BACK, error=self.operation.error)

    async def _undo(self, step: Step) -> _Ending:
        result: Mapping[str, Any] | None = {}
        if step.undo:
            handler = self.engine.handler(step.undo)
            context = StepContext(
                operation=self.operation, step=step, args=step.undo_args, engine=self.engine, undoing=True
            )
            result, failure = await self._attempts(step, lambda: handler(context))
            if failure is not None:
                return _Ending(step, failure)
        return _Ending(step, self._ended(step, StepState.UNDONE, result or {}), "undone")

    # -- the walk over the graph --------------------------------------------------------------------------------------

    async def _walk(
        self, waiting: dict[str, Step], needs: Mapping[str, tuple[str, ...]], work: Callable[[Step], Awaitable[_Ending]]
    ) -> set[str]:
        """Run what is ready until nothing is left, something failed or a cancel came. `waiting` keeps what did not end
        well; the answer holds what failed. The end of a step and the begin of those that it held up are one commit."""
        failed: set[str] = set()
        frontier = Frontier(waiting, needs)
        running: dict[asyncio.Task[_Ending], str] = {}
        ended: list[_Ending] = []
        force = asyncio.ensure_future(self.forced.wait())
        try:
            while True:
                halted = bool(failed) or self.cancelled.is_set()
                ready = [] if halted else [waiting[key] for key in frontier.take()]
                await self._record(ended, ready)
                running |= {asyncio.ensure_future(self._slot(step, work)): step.key for step in ready}
                if not running:
                    return failed
                await asyncio.wait({*running, force}, return_when=asyncio.FIRST_COMPLETED)
                ended = [task.result() for task in list(running) if task.done() and running.pop(task)]
                for ending in ended:
                    if ending.phase:
                        waiting.pop(ending.step.key, None)
                        frontier.done(ending.step.key)
                    else:
                        failed.add(ending.step.key)
                if force.done():
                    await self._record(ended, ())
                    left = set(running.values())
                    await _abandon(running)
                    await self._let_go(left)
                    return failed
        finally:
            force.cancel()
            await self._record(_endings(running), ())
            await _abandon(running)

    async def _let_go(self, keys: set[str]) -> None:
        """Record steps that were cut off."""

        def work(tx: Transaction) -> list[StepRecord]:
            records = journal.steps(tx, self.operation.id)
            if self.operation.state is not OperationState.PROCESSING:
                return records
            cut = [
                msgspec.structs.replace(
                    record, state=StepState.FAILED, ended_at=self._now(), error="cut off by a cancel"
                )
                for record in records
                if record.key in keys and record.state is StepState.RUNNING
            ]
            journal.put_steps(tx, self.operation.id, cut)
            return journal.steps(tx, self.operation.id)

        records = await self.engine.database.write(work)
        self._records = {record.key: record for record in records}

    async def _slot(self, step: Step, work: Callable[[Step], Awaitable[_Ending]]) -> _Ending:
        if self.engine.waits(step.action):
            return await work(step)
        async with self.engine.slots:
            return await work(step)

    # -- attempts -----------------------------------------------------------------------------------------------------

    async def _attempts(
        self, step: Step, call: Callable[[], Awaitable[Mapping[str, Any] | None]]
    ) -> tuple[Mapping[str, Any] | None, StepRecord | None]:
        delay = BACKOFF_S
        attempt = 0
        while True:
            attempt += 1
            result, failure = await self._guard(call, step)
            if failure is None or failure.attempt != -1 or attempt >= step.attempts or self.cancelled.is_set():
                return result, failure and msgspec.structs.replace(failure, attempt=attempt)
            await self.engine.events.say(
                "step", self.operation, step.key, "RETRYING", failure.error, {"attempt": attempt, "delay_s": delay}
            )
            await asyncio.sleep(delay)
            delay = min(delay * 2, BACKOFF_MAX_S)

    async def _guard(
        self, call: Callable[[], Awaitable[Any]], step: Step | None = None
    ) -> tuple[Any, StepRecord | None]:
        """The one place that turns any exception into a recorded failure. `attempt` -1 marks one worth repeating."""
        try:
            async with asyncio.timeout(step.timeout_s if step else self.engine.plan_timeout_s):
                return await call(), None
        except TimeoutError:
            limit = step.timeout_s if step else self.engine.plan_timeout_s
            return None, self._failure(step, f"no answer within {limit:g} s", "check the infrastructure, then retry")
        except DriverError as error:
            record = self._failure(step, error.detail, error.suggestion, error.call, error.answer)
            return None, msgspec.structs.replace(record, attempt=-1 if error.transient else 0)
        except SkerryError as error:
            faults = "".join(f"\n{fault}" for fault in error.faults)
            return None, self._failure(step, error.detail + faults, error.suggestion)
        except OSError as error:
            reference = uuid.uuid4().hex[:12]
            self.engine.report(reference, error)
            return None, self._failure(step, f"{_told(error)}, reference {reference}", _remedy(error))
        except Exception as error:  # noqa: BLE001 - an unknown error must end the step, not the engine
            reference = uuid.uuid4().hex[:12]
            self.engine.report(reference, error)
            return None, self._failure(step, f"internal error, reference {reference}", "see the node's log")

    def _failure(self, step: Step | None, error: str, suggestion: str, call: str = "", answer: str = "") -> StepRecord:
        record = self._ended(step, StepState.FAILED, {}) if step else StepRecord(key="plan", state=StepState.FAILED)
        return msgspec.structs.replace(record, error=error, suggestion=suggestion, call=call, answer=answer)

    # -- the journal --------------------------------------------------------------------------------------------------

    def _is(self, step: Step, *states: StepState) -> bool:
        record = self._records.get(step.key)
        return record is not None and record.state in states

    def _ended(self, step: Step, state: StepState, result: Mapping[str, Any]) -> StepRecord:
        begun = self._records.get(step.key)
        return StepRecord(
            key=step.key,
            state=state,
            attempt=begun.attempt if begun else 0,
            started_at=begun.started_at if begun else "",
            ended_at=self._now(),
            result=result,
        )

    async def _record(self, ended: Sequence[_Ending], ready: Sequence[Step]) -> None:
        """Journal what ended and what begins now, in one transaction."""
        if not ended and not ready:
            return
        undoing = self.operation.state is OperationState.ROLLING_BACK
        state = StepState.UNDOING if undoing else StepState.RUNNING
        now = self._now()
        records = [ending.record for ending in ended]
        for step in ready:
            before = self._records.get(step.key)
            attempt = (before.attempt if before else 0) + 1
            records.append(StepRecord(key=step.key, state=state, started_at=now, attempt=attempt))

        def work(tx: Transaction) -> None:
            journal.put_steps(tx, self.operation.id, records)
            for ending in ended:
                if ending.phase:
                    self.kind.stepped(tx, self.operation, ending.step, ending.phase, ending.record.result)
                self._announce(tx, ending.step, ending.record.state.value, ending.record.error)
            for step in ready:
                if not undoing:
                    self.kind.stepped(tx, self.operation, step, "begun", {})
                self._announce(tx, step, state.value)

        await self.engine.database.write(work)
        self._records.update({record.key: record for record in records})

    def _announce(self, tx: Transaction, step: Step, state: str, detail: str = "") -> None:
        self.engine.events.add(
            tx,
            "step",
            subject=self.operation.subject,
            operation=self.operation.id,
            name=step.key,
            state=state,
            detail=detail or step.note,
        )

    async def _move(self, state: OperationState, **changes: Any) -> None:
        self.operation = await move(self.engine, self.operation.id, state, **changes)

    def _now(self) -> str:
        return stamp(self.engine.clock.now())


async def move(engine: Engine, id: str, state: OperationState, *, decision: bool = False, **changes: Any) -> Operation:
    """Bring an operation to `state` by compare-and-set: `ConflictError` if the table of moves forbids it, or for a
    `decision` of the operator when it does not wait for one (FAILED_TEMP)."""

    def work(tx: Transaction) -> Operation:
        current = journal.operations.get(tx, id)
        allowed = OPERATION_MOVES[current.state]
        if decision and current.state is not OperationState.FAILED_TEMP:
            allowed = frozenset()
        if state not in allowed:
            told = ", ".join(sorted(allowed)) or ("nothing, it is final" if current.state in FINAL else "cancel it")
            raise ConflictError(
                f"cannot bring operation {id} from {current.state} to {state}", suggestion=f"allowed now: {told}"
            )
        now = stamp(engine.clock.now())
        moved = journal.operations.put(
            tx, msgspec.structs.replace(current, state=state, state_entered_at=now, **changes)
        )
        engine.kind(moved.kind).moved(tx, moved, state)
        engine.events.add(
            tx,
            "operation",
            subject=moved.subject,
            operation=moved.id,
            name=moved.kind,
            state=state.value,
            detail=moved.error,
            data={"from": current.state.value},
        )
        return moved

    return await engine.database.write(work)


def _told(error: OSError) -> str:
    """What the system said, without the error's own text, which may hold anything."""
    reason = os.strerror(error.errno) if error.errno else "a system call failed"
    return f"{reason}: {error.filename}" if isinstance(error.filename, str) else reason


def _remedy(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "make room on that disk, then retry"
    return "mend that on the node's machine (its log has the details under the reference), then retry"


def _endings(running: Iterable[asyncio.Task[_Ending]]) -> list[_Ending]:
    """The steps that ended in the moment in which the engine stopped."""
    return [task.result() for task in running if task.done() and not task.cancelled() and task.exception() is None]


async def _abandon(running: dict[asyncio.Task[_Ending], str]) -> None:
    tasks = list(running)
    running.clear()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
