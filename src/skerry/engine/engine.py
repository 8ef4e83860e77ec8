"""The engine: takes operations in, runs them, takes them up again after a restart, and lets people decide.

One operation at a time holds an instance; any number run side by side. Steps take one of `slots` each, first come first
served, so that no operation starves another; steps that only wait for a child operation take none.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

import msgspec

from skerry.engine.children import Children
from skerry.engine.events import EventLog
from skerry.engine.explain import explain
from skerry.engine.kinds import Handler, Kind
from skerry.engine.picture import picture
from skerry.engine.run import Run, move
from skerry.errors import ConflictError, SkerryError, UnavailableError
from skerry.model.explanation import Explanation
from skerry.model.operations import Operation, Plan, StepRecord
from skerry.model.states import FINAL, OperationState
from skerry.model.time import Clock, Ids, stamp
from skerry.store import journal
from skerry.store.database import Database, Transaction

log = logging.getLogger("skerry.engine")

RESUME_S = 5.0  # how long to wait before an operation is taken up again that the store stopped

ACTIVE = (OperationState.STARTING, OperationState.PROCESSING, OperationState.ROLLING_BACK)


class Engine:
    """`slots` is how many steps may run at the same time; `plan_timeout_s` bounds planning and granting."""

    def __init__(
        self, database: Database, clock: Clock, ids: Ids, *, slots: int = 64, plan_timeout_s: float = 60.0
    ) -> None:
        self.database = database
        self.clock = clock
        self.ids = ids
        self.slots = asyncio.Semaphore(slots)
        self.plan_timeout_s = plan_timeout_s
        self.events = EventLog(database, clock)
        self.children = Children(self)
        self._kinds: dict[str, Kind] = {}
        self._handlers: dict[str, Handler] = {}
        self._waiting_actions: set[str] = set()
        self._runs: dict[str, Run] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._closing = False

    # -- what it can do -----------------------------------------------------------------------------------------------

    def add_kind(self, kind: Kind) -> None:
        self._kinds[kind.name] = kind

    def add_handler(self, action: str, handler: Handler, *, waits: bool = False) -> None:
        """`waits`: it only waits for a child operation and takes no slot."""
        self._handlers[action] = handler
        if waits:
            self._waiting_actions.add(action)

    def kind(self, name: str) -> Kind:
        return self._kinds[name]

    def kinds(self) -> list[str]:
        return sorted(self._kinds)

    def handler(self, action: str) -> Handler:
        return self._handlers[action]

    def waits(self, action: str) -> bool:
        return action in self._waiting_actions

    # -- running ------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Take up every operation that a stop or crash interrupted."""
        for operation in journal.unfinished(self.database):
            self._spawn(operation)

    async def stop(self) -> None:
        """Let go of what runs, where it is; the next start goes on."""
        self._closing = True
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def submit(
        self,
        kind: str,
        subject: str,
        params: Mapping[str, Any],
        *,
        tenant: str = "",
        parent: str = "",
        id: str = "",
        automatic: bool = False,
        check: Callable[[Transaction], object] | None = None,
    ) -> Operation:
        """Record a new operation and begin it. `ConflictError` names the operation that holds the instance; `check` may refuse
        it in the same transaction."""
        now = stamp(self.clock.now())
        operation = Operation(
            id=id or self.ids.new(),
            kind=kind,
            subject=subject,
            tenant=tenant,
            parent=parent,
            params=params,
            started_at=now,
            state_entered_at=now,
            automatic=automatic,
        )

        def work(tx: Transaction) -> Operation:
            if held := journal.holder(tx, subject):
                raise ConflictError(
                    f"cannot start {kind} of {subject}: operation {held.id} ({held.kind}) is {held.state}",
                    suggestion="wait for it, or cancel, retry, roll back or fail it",
                )
            if check is not None:
                check(tx)
            self._kinds[kind].admit(tx, operation)
            inserted = journal.operations.insert(tx, operation)
            self.events.add(
                tx, "operation", subject=subject, operation=operation.id, name=kind, state=operation.state.value
            )
            return inserted

        return await self._begin(self.database.write(work))

    async def complete(self, kind: str, subject: str, params: Mapping[str, Any], *, tenant: str = "") -> Operation:
        """Submit an operation and wait until it completed; `SkerryError` with its reason when it did not."""
        operation = await self.submit(kind, subject, params, tenant=tenant)
        ended = await self.wait(operation.id)
        if ended.state not in (OperationState.COMPLETED, OperationState.PARTIALLY_COMPLETED):
            raise SkerryError(
                f"cannot complete {kind} of {subject}: {ended.error or ended.state.value}",
                suggestion=ended.suggestion or f"see operation {ended.id}",
            )
        return ended

    async def preview(self, kind: str, subject: str, params: Mapping[str, Any], *, tenant: str = "") -> Plan:
        """The plan of an operation that is not started: the same checks, no change."""
        operation = Operation(id=self.ids.new(), kind=kind, subject=subject, tenant=tenant, params=params)
        await self.database.write(lambda tx: self._kinds[kind].admit(tx, operation))
        return await self._kinds[kind].plan(operation)

    async def _begin(self, written: Coroutine[Any, Any, Operation]) -> Operation:
        """Write an operation that shall run and begin it: both or nothing, also when the caller is cancelled meanwhile."""

        async def both() -> Operation:
            operation = await written
            self._spawn(operation)
            return operation

        return await asyncio.shield(asyncio.ensure_future(both()))

    def _spawn(self, operation: Operation) -> None:
        if self._closing:
            return
        run = Run(self, operation)
        before = self._tasks.get(operation.id)
        task = asyncio.get_running_loop().create_task(_after(before, run.drive), name=f"operation-{operation.id}")
        self._runs[operation.id] = run
        self._tasks[operation.id] = task
        task.add_done_callback(lambda done: self._ended(operation.id, done))

    def _ended(self, id: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(id) is not task:
            return
        del self._runs[id], self._tasks[id]
        if not task.cancelled() and (error := task.exception()) and not self._closing:
            log.error("operation %s stopped and is taken up again: %s", id, error, exc_info=error)
            asyncio.get_running_loop().call_later(RESUME_S, self._resume, id)

    def _resume(self, id: str) -> None:
        """Take up an operation that stopped because the store was full or gone."""
        if self._closing or id in self._tasks:
            return
        try:
            operation = journal.operations.find(self.database, id)
        except UnavailableError as error:
            log.warning("operation %s waits: %s", id, error.detail)
            asyncio.get_running_loop().call_later(RESUME_S, self._resume, id)
            return
        if operation is not None and operation.state in ACTIVE:
            self._spawn(operation)

    def report(self, reference: str, error: BaseException) -> None:
        """Log an unknown error under its reference."""
        log.error("internal error, reference %s", reference, exc_info=error)

    # -- asking -------------------------------------------------------------------------------------------------------

    def operation(self, id: str, *, tenant: str | None = None) -> Operation:
        return journal.operations.get(self.database, id, tenant=tenant)

    def operations(
        self, *, subject: str = "", parent: str = "", prefix: str = "", tenant: str | None = None
    ) -> list[Operation]:
        """Operations, oldest first, of an instance, of a parent or of the kinds that start with `prefix`."""
        wanted = (("subject", subject), ("parent", parent), ("tenant", tenant))
        equal = {name: value for name, value in wanted if value}
        found = journal.operations.select(self.database, **equal)
        return [operation for operation in found if operation.kind.startswith(prefix)]

    def newest(self, subject: str) -> Operation | None:
        """The last operation of an instance, over or not."""
        return journal.newest(self.database, subject)

    def steps(self, id: str) -> list[StepRecord]:
        """The journal of an operation's steps, in the plan's order; those not begun are PENDING."""
        operation = journal.operations.get(self.database, id)
        begun = {record.key: record for record in journal.steps(self.database, id)}
        planned = operation.plan.steps if operation.plan else ()
        return [begun.get(step.key, StepRecord(key=step.key)) for step in planned]

    @staticmethod
    def draw(plan: Plan) -> str:
        """The plan as an SVG document."""
        return picture(plan)

    def explain(self, id: str) -> Explanation:
        """Where an operation stands, with its children that did not complete."""
        operation = journal.operations.get(self.database, id)
        open_ones = [
            self.explain(child.id)
            for child in journal.operations.select(self.database, parent=id)
            if child.state is not OperationState.COMPLETED
        ]
        records = journal.steps(self.database, id)
        return explain(operation, records, revertible=self.kind(operation.kind).revertible, children=open_ones)

    async def wait(self, id: str, timeout_s: float | None = None) -> Operation:
        """The operation once it is final or FAILED_TEMP, or as it is after `timeout_s`."""
        task = self._tasks.get(id)
        if task is not None:
            await asyncio.wait({task}, timeout=timeout_s)
        return journal.operations.get(self.database, id)

    # -- deciding -----------------------------------------------------------------------------------------------------

    async def retry(self, id: str) -> Operation:
        """Go on where it failed (SOL003 5.4.14): completed steps do not run again."""
        return await self._again(id, OperationState.PROCESSING)

    async def rollback(self, id: str) -> Operation:
        """Undo what was done (SOL003 5.4.15)."""
        operation = journal.operations.get(self.database, id)
        if operation.state is OperationState.FAILED_TEMP and not self.kind(operation.kind).revertible:
            raise ConflictError(f"cannot roll back {operation.kind}", suggestion="retry or fail it")
        return await self._again(id, OperationState.ROLLING_BACK)

    async def _again(self, id: str, state: OperationState) -> Operation:
        forgotten = {"error": "", "suggestion": ""} if state is OperationState.PROCESSING else {}
        return await self._begin(move(self, id, state, decision=True, cancel="", **forgotten))

    async def fail(self, id: str) -> Operation:
        """Give up (SOL003 5.4.16): FAILED_TEMP becomes FAILED, what exists stays recorded. Its children are given up too."""
        if journal.operations.get(self.database, id).state is OperationState.FAILED_TEMP:
            for child in self.children.alive(id):
                ended = await self.wait(child.id)  # one that was cancelled with it may be about to end
                if ended.state is OperationState.FAILED_TEMP:
                    await self.fail(child.id)
        return await move(self, id, OperationState.FAILED, decision=True)

    async def cancel(self, id: str, mode: str = "GRACEFUL") -> Operation:
        """Stop it (SOL003 5.4.17): GRACEFUL lets the steps under way end, FORCEFUL does not. Children follow."""
        return await asyncio.shield(asyncio.ensure_future(self._cancel(id, mode)))

    async def _cancel(self, id: str, mode: str) -> Operation:
        changed = await self.database.write(lambda tx: self._mark_cancelled(tx, id, mode))
        for child in self.children.alive(id):
            if child.state in ACTIVE:
                with contextlib.suppress(ConflictError):  # it ended meanwhile
                    await self._cancel(child.id, mode)
        if run := self._runs.get(id):
            run.cancel(mode)
        return changed

    @staticmethod
    def _mark_cancelled(tx: Transaction, id: str, mode: str) -> Operation:
        current = journal.operations.get(tx, id)
        if current.state not in ACTIVE:
            final = "it is final" if current.state in FINAL else "retry, roll back or fail it"
            raise ConflictError(f"cannot cancel operation {id}: it is {current.state}", suggestion=final)
        return journal.operations.put(tx, msgspec.structs.replace(current, cancel=mode))


async def _after(before: asyncio.Task[None] | None, work: Callable[[], Awaitable[None]]) -> None:
    """Begin once the run before has let go; how that ended was told already."""
    if before is not None:
        await asyncio.wait({before})
    await work()
