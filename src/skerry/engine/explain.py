"""Says where an operation stands: which step, what it waits for, since when and until when, and what may be done. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from skerry.model.explanation import Explanation, Standing, masked, verdicts_of
from skerry.model.operations import Operation, Step, StepRecord
from skerry.model.states import FINAL, OperationState, StepState
from skerry.model.time import stamp

OPTIONS = {
    OperationState.STARTING: ("cancel",),
    OperationState.PROCESSING: ("cancel",),
    OperationState.ROLLING_BACK: ("cancel",),
    OperationState.FAILED_TEMP: ("retry", "rollback", "fail"),
}


def explain(
    operation: Operation,
    records: Sequence[StepRecord],
    *,
    revertible: bool,
    children: Sequence[Explanation] = (),
) -> Explanation:
    """Where this operation stands, from its journal alone."""
    steps = {step.key: step for step in (operation.plan.steps if operation.plan else ())}
    by_key = {record.key: record for record in records}
    done = [key for key in steps if (record := by_key.get(key)) and record.state is StepState.DONE]
    standing = tuple(
        _standing(step, by_key.get(key, StepRecord(key=key)), done) for key, step in steps.items() if key not in done
    )
    shown = () if operation.state in FINAL - {OperationState.FAILED} else standing
    options = tuple(o for o in OPTIONS.get(operation.state, ()) if o != "rollback" or revertible)
    return Explanation(
        operation=operation.id,
        kind=operation.kind,
        subject=operation.subject,
        state=operation.state.value,
        since=operation.state_entered_at,
        done=len(done),
        total=len(steps),
        summary=_summary(operation, shown),
        suggestion=operation.suggestion,
        options=options,
        steps=shown,
        verdicts=verdicts_of(operation.plan),
        children=tuple(children),
    )


def _standing(step: Step, record: StepRecord, done: Sequence[str]) -> Standing:
    active = record.state in (StepState.RUNNING, StepState.UNDOING)
    failed = record.state is StepState.FAILED
    return Standing(
        step=step.key,
        state=record.state.value,
        note=step.note,
        since=record.started_at,
        until=_later(record.started_at, step.timeout_s) if active and record.started_at else "",
        waits_for=() if active else tuple(need for need in step.needs if need not in done),
        attempt=record.attempt,
        error=record.error,
        suggestion=record.suggestion,
        call=record.call or (step.action if failed else ""),
        input=masked(step.args) if failed else {},
        answer=record.answer,
    )


def _later(moment: str, seconds: float) -> str:
    return stamp(datetime.fromisoformat(moment) + timedelta(seconds=seconds))


def _summary(operation: Operation, standing: Sequence[Standing]) -> str:
    """One sentence for people."""
    if operation.state is OperationState.STARTING:
        return f"{operation.kind} is being planned and waits for its grant"
    if operation.state in (OperationState.FAILED_TEMP, OperationState.FAILED):
        return operation.error or "it failed"
    at_work = [step for step in standing if step.state in (StepState.RUNNING.value, StepState.UNDOING.value)]
    if at_work:
        verb = "undoes" if operation.state is OperationState.ROLLING_BACK else "works on"
        return f"{operation.kind} {verb}: " + ", ".join(step.note or step.step for step in at_work)
    return f"{operation.kind} is {operation.state.value}" + (f": {operation.error}" if operation.error else "")
