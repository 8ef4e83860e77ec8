"""What all operations on applications share: from a goal to a plan, and from the journal to the record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from skerry.engine.diff import diff
from skerry.engine.graph import settle
from skerry.errors import ConflictError
from skerry.meo.desk import MeoDesk
from skerry.meo.goal import RULES, SERVICES, AppGoal, applied, current, settled, wanted
from skerry.model.app import AppInstance
from skerry.model.operations import Operation, Plan, Step, Verdict
from skerry.model.platform import Action
from skerry.model.states import APP_MOVES, InstantiationState, OperationState
from skerry.model.time import stamp
from skerry.store import applications
from skerry.store.database import Transaction

NOTICE = "notice:app"


def state_of(instance: AppInstance) -> str:
    """The state by which the table of moves goes."""
    if instance.instantiation_state is InstantiationState.NOT_INSTANTIATED:
        return instance.instantiation_state.value
    return instance.operational_state.value


def require(instance: AppInstance, task: str) -> None:
    """`ConflictError` if the table of moves does not have this task in the application's state."""
    state = state_of(instance)
    if task not in APP_MOVES[state]:
        allowed = ", ".join(sorted(APP_MOVES[state]))
        raise ConflictError(
            f"cannot {task} application {instance.id}: it is {state}", suggestion=f"allowed now: {allowed}"
        )


class AppOperation:
    """A kind of operation on application instances (fits `engine.kinds.Kind`)."""

    name: ClassVar[str]
    revertible: ClassVar[bool] = True

    def __init__(self, desk: MeoDesk) -> None:
        self.desk = desk

    # -- what an operation says of itself -----------------------------------------------------------------------------

    def task(self, params: Mapping[str, Any]) -> str:
        """Its name in the table of moves."""
        return self.name.partition(".")[2]

    def goal(self, instance: AppInstance, params: Mapping[str, Any]) -> AppGoal:
        """What the application shall become. Pure; `InvalidError` for parameters that do not fit."""
        return current(instance)

    async def located(
        self, instance: AppInstance, goal: AppGoal, params: Mapping[str, Any]
    ) -> tuple[AppGoal, tuple[Verdict, ...]]:
        """The goal with a place, and why there."""
        return goal, ()

    def notice(self, instance: AppInstance, params: Mapping[str, Any]) -> tuple[Action, float] | None:
        """What the application is told before anything happens to it, and for how many seconds its answer is awaited."""
        return None

    def adjust(self, step: Step, params: Mapping[str, Any]) -> Step:
        """A last word about one step."""
        return step

    def between(self, instance: AppInstance, goal: AppGoal, steps: list[Step]) -> list[Step]:
        """The steps with what else is to be done among them."""
        return steps

    # -- the engine's questions ---------------------------------------------------------------------------------------

    def rolls_back(self, operation: Operation) -> bool:
        return False

    def admit(self, tx: Transaction, operation: Operation) -> None:
        instance = applications.instances.get(tx, operation.subject)
        require(instance, self.task(operation.params))
        self.goal(instance, operation.params)

    async def plan(self, operation: Operation) -> Plan:
        instance = self.desk.instance(operation.subject)
        before = current(instance)
        goal, verdicts = await self.located(instance, self.goal(instance, operation.params), operation.params)
        graph = wanted(instance, self.desk.appd(instance), self.desk.nsd_id(instance), goal)
        steps, changes = diff(graph, instance.resources)
        steps = [self.adjust(step, operation.params) for step in _rules_first(steps)]
        steps = self.between(instance, goal, steps)
        notice = self.notice(instance, operation.params)
        if notice is not None and steps:
            steps = _after(_notice(before, *notice), steps)
        outcome = {"goal": msgspec.to_builtins(goal), "before": msgspec.to_builtins(before)}
        if verdicts:
            outcome["verdicts"] = msgspec.to_builtins(verdicts)
        return Plan(steps=tuple(steps), changes=tuple(changes), outcome=outcome)

    def stepped(self, tx: Transaction, operation: Operation, step: Step, phase: str, result: Mapping[str, Any]) -> None:
        if not step.resource:
            return
        now = stamp(self.desk.clock.now())
        applications.instances.change(
            tx,
            operation.subject,
            lambda doc: msgspec.structs.replace(doc, resources=settle(doc.resources, step, phase, result, now)),
        )

    def moved(self, tx: Transaction, operation: Operation, state: OperationState) -> None:
        outcome = operation.plan.outcome if operation.plan else {}
        change = applications.instances.change
        if state is OperationState.PROCESSING:
            goal = msgspec.convert(outcome["goal"], AppGoal)
            change(tx, operation.subject, lambda doc: self.begun(doc, goal))
        elif state is OperationState.COMPLETED:
            goal = msgspec.convert(outcome["goal"], AppGoal)
            change(tx, operation.subject, lambda doc: settled(doc, goal))
        elif state in (OperationState.FAILED_TEMP, OperationState.FAILED):
            change(tx, operation.subject, lambda doc: msgspec.structs.replace(doc, failed=True))
        elif state is OperationState.ROLLED_BACK and outcome:
            before = msgspec.convert(outcome["before"], AppGoal)
            change(tx, operation.subject, lambda doc: msgspec.structs.replace(applied(doc, before), failed=False))

    def begun(self, instance: AppInstance, goal: AppGoal) -> AppInstance:
        """The record once steps are under way: a place counts from now on, an emptied one until everything is gone."""
        return applied(instance, goal if goal.host else current(instance))


def _notice(before: AppGoal, action: Action, timeout_s: float) -> Step:
    return Step(
        key=NOTICE,
        action="mec.notice",
        note="tell the application and wait for its answer",
        args={"zone": before.zone, "action": action, "timeout_s": timeout_s},
        timeout_s=timeout_s + 60.0,
        attempts=1,
    )


def _after(first: Step, steps: Sequence[Step]) -> list[Step]:
    return [first, *(step if step.needs else msgspec.structs.replace(step, needs=(first.key,)) for step in steps)]


def _rules_first(steps: Sequence[Step]) -> list[Step]:
    """Rules lead elsewhere, or leave the data plane, before the application that they lead to stops."""
    leaving = [step.key for step in steps if step.key in (f"delete:{RULES}", f"update:{RULES}")]
    ending = [
        step.key
        for step in steps
        if step.key.startswith(f"delete:{SERVICES}")
        or (step.action == "mec.service.update" and f"delete:{RULES}" in leaving)
    ]
    return [
        msgspec.structs.replace(step, needs=tuple(dict.fromkeys((*step.needs, *leaving))))
        if step.key in ending
        else step
        for step in steps
    ]
