"""Operations that are steps of other operations: one tree, found again after a crash by derived identifiers."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from skerry.engine.kinds import StepContext
from skerry.errors import ConflictError, SkerryError
from skerry.model.operations import Operation
from skerry.model.states import FINAL, OperationState
from skerry.store import journal

if TYPE_CHECKING:
    from skerry.engine.engine import Engine

NAMESPACE = uuid.UUID("6b7c6f0e-58a8-5f36-9f3b-0d6a3a0f1f77")


def derive(*parts: str) -> str:
    """The identifier that follows from these parts, always the same."""
    return str(uuid.uuid5(NAMESPACE, "/".join(parts)))


def identity(context: StepContext, kind: str, name: str, generation: int) -> str:
    """The identifier of a step's child, the same after a crash."""
    direction = "undo" if context.undoing else "do"
    return derive(context.operation.id, context.step.key, direction, kind, name, str(generation))


class Children:
    """Starts, finds again and ends child operations."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def run(
        self,
        context: StepContext,
        kind: str,
        subject: str,
        params: Mapping[str, Any],
        name: str,
        *,
        undone: bool = False,
    ) -> Operation:
        """Start the child or take up the one that this step started before; wait until it completed."""
        parent = context.operation
        over = {OperationState.FAILED, OperationState.ROLLED_BACK} | ({OperationState.COMPLETED} if undone else set())
        generation = 0
        while True:
            id = identity(context, kind, name, generation)
            child = journal.operations.find(self._engine.database, id)
            if child is None or child.state not in over:
                break
            generation += 1  # that attempt is over for good: this is the parent's retry
        if child is None:
            await self._engine.submit(kind, subject, params, tenant=parent.tenant, parent=parent.id, id=id)
        elif child.state is OperationState.FAILED_TEMP:
            await self._engine.retry(id)
        child = await self._engine.wait(id)
        if child.state not in (OperationState.COMPLETED, OperationState.PARTIALLY_COMPLETED):
            raise SkerryError(
                f"cannot complete {kind} of {subject}: {child.error or child.state.value}",
                suggestion=child.suggestion or f"see operation {id}",
            )
        return child

    def begun(self, context: StepContext, kind: str, name: str = "") -> bool:
        """Whether this step has started such a child before (and then has to see to its end)."""
        id = identity(context, kind, name, 0)
        return journal.operations.find(self._engine.database, id) is not None

    async def revert(self, parent: str, subject: str) -> None:
        """Roll back what an operation started on this instance and did not complete; give it up where it cannot go back."""
        for child in self.alive(parent):
            if child.subject != subject:
                continue
            ended = await self._engine.wait(child.id)
            if ended.state is not OperationState.FAILED_TEMP:
                continue
            if not self._engine.kind(ended.kind).revertible:
                await self._engine.fail(ended.id)
                continue
            await self._engine.rollback(ended.id)
            ended = await self._engine.wait(ended.id)
            if ended.state is not OperationState.ROLLED_BACK:
                raise SkerryError(
                    f"cannot roll back {ended.kind} of {subject}: {ended.error}", suggestion=ended.suggestion
                )

    def effective(self, parent: str, subject: str, kind: str) -> list[Operation]:
        """The children of this kind with which an operation changed this instance (completed, or given up half-way), newest
        first; none before one that somebody else changed the instance after."""
        found: list[Operation] = []
        for operation in reversed(journal.operations.select(self._engine.database, subject=subject)):
            if operation.parent != parent:
                if _changed_nothing(operation):
                    continue
                break
            ended = operation.state in (OperationState.COMPLETED, OperationState.FAILED)
            if operation.kind == kind and ended and operation.plan is not None:
                found.append(operation)
        return found

    async def release(self, subject: str, *, keep: str = "") -> None:
        """End whatever operation holds this instance, so that it can be removed in every state; children of `keep` stay."""
        while (held := journal.holder(self._engine.database, subject)) and not (keep and held.parent == keep):
            if held.state is OperationState.FAILED_TEMP:
                with contextlib.suppress(ConflictError):  # its parent has begun to roll it back
                    await self._engine.fail(held.id)
                continue
            if held.state is not OperationState.ROLLING_BACK:
                with contextlib.suppress(ConflictError):  # it ended meanwhile
                    await self._engine.cancel(held.id, "FORCEFUL")
            ended = await self._engine.wait(held.id)
            if ended.state not in FINAL and ended.state is not OperationState.FAILED_TEMP:
                raise SkerryError(f"cannot end operation {held.id} of {subject}: it is still {ended.state.value}")

    def alive(self, parent: str) -> list[Operation]:
        """The children of an operation that are not final."""
        found = journal.operations.select(self._engine.database, parent=parent)
        return [child for child in found if child.state not in FINAL]


def _changed_nothing(operation: Operation) -> bool:
    """Whether an instance is after an operation what it was before: it was rolled back, or repaired what should be."""
    outcome = operation.plan.outcome if operation.plan else {}
    same = outcome.get("goal") == outcome.get("before") and outcome.get("named") is None
    return operation.state is OperationState.ROLLED_BACK or (operation.state is OperationState.COMPLETED and same)
