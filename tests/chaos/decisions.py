"""What people decide about an operation, as part of a trial: nothing, or retry, roll back, fail and cancel it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from skerry.errors import ConflictError
from skerry.model.operations import Operation
from skerry.model.states import FINAL, OperationState
from tests.chaos.arena import Life
from tests.chaos.cases import Case, instantiated


@dataclass(frozen=True)
class Decision:
    """`breaks`: the operation fails first, at its last change of the infrastructure. `word` is what is decided then;
    `cancel` the mode in which it is cancelled `after_s` seconds on its way."""

    name: str
    breaks: bool = False
    word: str = ""
    cancel: str = ""
    after_s: float = 0.35

    def __str__(self) -> str:
        return self.name

    async def prepare(self, life: Life, case: Case, subject: str, calls: Sequence[str]) -> str:
        """Let it fail and wait for a decision."""
        changes = [call.split(" ")[1:] for call in calls if not call.split(" ")[1].startswith(("get_", "list_", "cap"))]
        verb, name = changes[-1]
        life.world.fail(verb, name, transient=False)
        params = dict(case.request(life, subject))
        if case.kind == "vnf.change_package":
            params["additionalParams"] = {"rollbackOnFailure": False}
        operation = await life.run(case.kind, subject, params)
        life.world.troubles.clear()
        assert operation.state is OperationState.FAILED_TEMP, operation
        return operation.id

    async def act(self, life: Life, case: Case, subject: str, acknowledged: set[str]) -> None:
        """Start it, or decide about the one that failed, and wait until nothing moves."""
        if self.breaks:
            await self._decide(life, _top(life))
        else:
            operation = await life.start(case.kind, subject, case.request(life, subject))
            acknowledged.add(operation.id)
            if self.cancel:
                await asyncio.sleep(self.after_s)
                try:
                    await life.node.engine.cancel(operation.id, self.cancel)
                except ConflictError:
                    assert life.node.engine.operation(operation.id).state in FINAL
        await life.quiet()
        await self._clear(life, acknowledged)

    async def settle(self, life: Life, acknowledged: set[str]) -> None:
        """Decide about what waits for a decision, until nothing does."""
        for _ in range(4):
            waiting = _top(life)
            if waiting is None or waiting.state is not OperationState.FAILED_TEMP:
                await self._clear(life, acknowledged)
                return
            await self._decide(life, waiting)
            await life.quiet()

    async def _clear(self, life: Life, acknowledged: set[str]) -> None:
        """Terminate what an operation that was given up left behind."""
        last = _top(life)
        if self.word != "fail" or last is None or last.state is not OperationState.FAILED:
            return
        for subject in instantiated(life):
            if subject == last.subject:
                kind = f"{last.kind.split('.')[0]}.terminate"
                acknowledged.add((await life.start(kind, subject, {"terminationType": "FORCEFUL"})).id)
                await life.quiet()

    async def _decide(self, life: Life, operation: Operation | None) -> None:
        if operation is None or operation.state is not OperationState.FAILED_TEMP:
            return
        engine = life.node.engine
        word = self.word or "rollback"
        if word == "rollback" and not engine.kind(operation.kind).revertible:
            word = "retry"
        life.arena.decisions += 1
        await {"rollback": engine.rollback, "retry": engine.retry, "fail": engine.fail}[word](operation.id)


def _top(life: Life) -> Operation | None:
    """The newest operation that is nobody's child."""
    found = [each for each in life.node.engine.operations() if not each.parent]
    return found[-1] if found else None


DECISIONS: Mapping[str, Decision] = {
    each.name: each
    for each in (
        Decision("none"),
        Decision("rollback", breaks=True, word="rollback"),
        Decision("retry", breaks=True, word="retry"),
        Decision("fail", breaks=True, word="fail"),
        Decision("cancel", cancel="GRACEFUL"),
        Decision("cancel-forceful", cancel="FORCEFUL"),
    )
}
