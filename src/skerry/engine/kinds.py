"""What the engine asks of a kind of operation and of a step handler."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from skerry.model.operations import Operation, Plan, Step
from skerry.model.states import OperationState
from skerry.store.database import Transaction

if TYPE_CHECKING:
    from skerry.engine.engine import Engine


class Kind(Protocol):
    """A kind of operation, such as `vnf.scale`.

    `revertible` says whether FAILED_TEMP may be rolled back (the specification excludes it for some). The three hooks with
    a transaction run inside the journal's own: the instance's record and the journal can never disagree.
    """

    name: ClassVar[str]
    revertible: ClassVar[bool]

    def rolls_back(self, operation: Operation) -> bool:
        """Whether a failed operation is rolled back without asking."""
        ...

    def admit(self, tx: Transaction, operation: Operation) -> None:
        """Check that the instance's state allows it (`ConflictError`) and its parameters fit (`InvalidError`)."""
        ...

    async def plan(self, operation: Operation) -> Plan:
        """The plan, from what is recorded now. Changes nothing; `RejectedError` when the grant is refused."""
        ...

    def stepped(self, tx: Transaction, operation: Operation, step: Step, phase: str, result: Mapping[str, Any]) -> None:
        """`step` was begun, done or undone: bring the instance's record up to date."""
        ...

    def moved(self, tx: Transaction, operation: Operation, state: OperationState) -> None:
        """The operation reached `state`: bring the instance's record up to date."""
        ...


@dataclass(frozen=True)
class StepContext:
    """What a step handler gets: its operation and step, the arguments of this direction, and the engine for children."""

    operation: Operation
    step: Step
    args: Mapping[str, Any]
    engine: Engine
    undoing: bool = False

    async def child(
        self, kind: str, subject: str, params: Mapping[str, Any], name: str = "", *, undone: bool = False
    ) -> Operation:
        """Run another operation as this step's child and wait for it. Idempotent; raises when it did not complete. With
        `undone` the caller has seen that the effect of an earlier child is not there: one that completed does not count."""
        return await self.engine.children.run(self, kind, subject, params, name, undone=undone)

    async def say(self, text: str, **data: Any) -> None:
        """Put a line about this step into the event log."""
        await self.engine.events.say("step", self.operation, self.step.key, "", text, data)


Handler = Callable[[StepContext], Awaitable[Mapping[str, Any] | None]]
"""Does a step. Must be idempotent. Returns what to record (the resource's outputs)."""
