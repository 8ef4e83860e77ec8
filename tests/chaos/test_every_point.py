"""Every operation type, killed at every point: before and after each commit and each call of a driver. While people decide
at every fourth point, at every one with `SKERRY_CHAOS=full`."""

from __future__ import annotations

import os
from typing import Any

import pytest

from skerry.model.states import FINAL, OperationState
from tests.chaos.arena import Arena, Life, Situation
from tests.chaos.cases import CASES, Case, instantiated
from tests.chaos.checks import difference, faults, picture
from tests.chaos.decisions import DECISIONS, Decision

PLAIN = DECISIONS["none"]


class Trial:
    """One case with one decision, to be killed at each of its `points`."""

    def __init__(self, case: Case, decision: Decision) -> None:
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

        seen = self._must(self.arena.live(body))
        return seen

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


FULL = os.environ.get("SKERRY_CHAOS") == "full"


def killed_everywhere(case: Case, decision: Decision, *, each: int = 1) -> None:
    """A kill at each point (or every so many) leaves nothing wrong; every wrong thing of all points is told at once."""
    trial = Trial(case, decision)
    try:
        assert len(trial.points) > 6
        wrong = [
            f"killed at {number}, {point}: {fault}"
            for number, point in list(enumerate(trial.points, start=1))[len(case.name) % each :: each]
            for fault in trial.killed_at(number)
        ]
        assert wrong == []
    finally:
        trial.arena.close()


@pytest.mark.feature("A87", "A69", "D59")
@pytest.mark.parametrize("case", CASES, ids=str)
def test_killed_at_every_point(case: Case) -> None:
    killed_everywhere(case, PLAIN)


@pytest.mark.feature("A87", "A69")
@pytest.mark.parametrize("decision", [each for each in DECISIONS.values() if each is not PLAIN], ids=lambda each: each.name)
@pytest.mark.parametrize("case", [case for case in CASES if case.ends == "COMPLETED"], ids=str)
def test_killed_while_people_decide(case: Case, decision: Decision) -> None:
    if decision.breaks and case.name == "vnf-modify-idle":
        pytest.skip("it changes nothing of the infrastructure, so nothing of it can fail")
    killed_everywhere(case, decision, each=1 if FULL else 4)
