"""A trial: one operation, to be killed at each of its points, and what must be so afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from skerry.model.states import FINAL, OperationState
from tests.chaos.arena import Arena, Life
from tests.chaos.cases import Case, instantiated
from tests.chaos.checks import difference, faults, picture
from tests.chaos.decisions import DECISIONS, Decision

PLAIN = DECISIONS["none"]


class Trial:
    """One case with one decision, to be killed at each of its `points`. `plant` puts a bug into the arena once all is known
    of how it goes without."""

    def __init__(self, case: Case, decision: Decision = PLAIN, plant: Callable[[Arena], None] = lambda _: None) -> None:
        self.case = case
        self.decision = decision
        self.arena = Arena()
        self.subject = self._must(self.arena.live(case.before))
        self.before = self._must(self.arena.live(_look))
        self.start = self.arena.save()
        self.older = self._must(self.arena.live(_operations)) if not decision.breaks else set()
        self.after: dict[str, Any] = {"": self.before, "ROLLED_BACK": self.before}
        self.after[case.ends] = self._undisturbed(PLAIN)
        calls = [point for point in self.arena.points if point.startswith("before ") and point != "before commit"]
        if decision.breaks:
            self.arena.back_to(self.start)
            self._must(self.arena.live(lambda life: decision.prepare(life, case, self.subject, calls)))
            self.start = self.arena.save()
        self._undisturbed(decision)
        self.points = list(self.arena.points)
        plant(self.arena)

    @staticmethod
    def _must(answer: Any) -> Any:
        assert answer is not None
        return answer

    def _undisturbed(self, decision: Decision) -> Any:
        """The picture after a run without a kill. It must be right too."""
        self.arena.back_to(self.start)
        self.acknowledged: set[str] = set()

        async def body(life: Life) -> Any:
            life.arena.arm(0)
            await decision.act(life, self.case, self.subject, self.acknowledged)
            points = list(life.arena.points)
            await decision.settle(life, self.acknowledged)
            await self._state(life)
            assert await faults(life, self.acknowledged) == []
            life.arena.points = points
            return await _look(life)

        return self._must(self.arena.live(body))

    async def _state(self, life: Life) -> tuple[str, str]:
        """How the case's operation ended ("" = it never came to be), and why."""
        mine = [each for each in life.node.engine.operations(subject=self.subject) if each.id not in self.older]
        state = mine[-1].state.value if mine else ""
        if self.case.mends and state != self.case.ends:
            await life.node.watch.sweep()  # what was broken before is broken still, and nobody looked so far
        return state, mine[-1].error if mine else ""

    def killed_at(self, point: int) -> list[str]:
        """Everything that is wrong after a kill at this point and a new life."""
        self.arena.back_to(self.start)
        acknowledged: set[str] = set()

        async def first(life: Life) -> None:
            life.arena.arm(point)
            await self.decision.act(life, self.case, self.subject, acknowledged)

        async def second(life: Life) -> list[str]:
            """Everything that is wrong once it has settled."""
            engine = life.node.engine
            waiting = [o.id for o in engine.operations() if o.state not in FINAL | {OperationState.FAILED_TEMP}]
            asleep = [id for id in waiting if id not in engine._tasks]
            await life.quiet()
            await self.decision.settle(life, acknowledged)
            state, why = await self._state(life)
            found = [f"operation {id} was not resumed" for id in asleep] + await faults(life, acknowledged)
            if self.decision.word == "fail":
                return found + left_over(life, self.subject)
            if state not in self.after:
                return [*found, f"it ended {state}: {why}"]
            if self.case.mends and state != self.case.ends:
                return found
            return found + difference(self.after[state], await _look(life))

        assert self.arena.live(first) is None
        assert self.arena.kills == 1, f"no such point: {point}"
        return self._must(self.arena.live(second))


def left_over(life: Life, subject: str) -> list[str]:
    """What an instance that was terminated after it had failed still has."""
    owners = {subject} | {vnf.id for vnf in life.node.vnfm.instances() if vnf.ns_id == subject}
    mine = [name for name, machine in life.machines().items() if machine.owner in owners]
    kept = [f"{id} is still recorded with something" for id in instantiated(life) if id in owners]
    return kept + [f"{name} is left over" for name in mine]


async def _operations(life: Life) -> set[str]:
    return {each.id for each in life.node.engine.operations()}


async def _look(life: Life) -> dict[str, Any]:
    return picture(life)
