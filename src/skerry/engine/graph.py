"""How a step's journal entry changes the recorded resource graph: pure functions, run in the journal's transaction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skerry.model.operations import Step
from skerry.model.resources import Resource, ResourceState


def settle(
    resources: Mapping[str, Resource], step: Step, phase: str, result: Mapping[str, Any], now: str
) -> Mapping[str, Resource]:
    """The graph after `step` reached `phase`: begun, done, or undone.

    A creation is recorded as PLANNED before its effect, so that nothing can exist without a record; a deletion removes
    the record only after its effect.
    """
    if not step.resource:
        return resources
    effect = step.key.split(":", 1)[0]
    rule = _RULES.get((effect, phase))
    return resources if rule is None else rule(resources, step, result, now)


def _planned(
    resources: Mapping[str, Resource], step: Step, _result: Mapping[str, Any], now: str
) -> dict[str, Resource]:
    return {**resources, step.resource: _resource(step, step.args, ResourceState.PLANNED, {}, now)}


def _made(resources: Mapping[str, Resource], step: Step, result: Mapping[str, Any], now: str) -> dict[str, Resource]:
    return {**resources, step.resource: _resource(step, step.args, ResourceState.PRESENT, result, now)}


def _remade(resources: Mapping[str, Resource], step: Step, result: Mapping[str, Any], now: str) -> dict[str, Resource]:
    return {**resources, step.resource: _resource(step, step.undo_args, ResourceState.PRESENT, result, now)}


def _gone(resources: Mapping[str, Resource], step: Step, _result: Mapping[str, Any], _now: str) -> dict[str, Resource]:
    return {key: value for key, value in resources.items() if key != step.resource}


def _updated(resources: Mapping[str, Resource], step: Step, result: Mapping[str, Any], now: str) -> dict[str, Resource]:
    return _respec(resources, step, step.args, result, now)


def _restored(
    resources: Mapping[str, Resource], step: Step, result: Mapping[str, Any], now: str
) -> dict[str, Resource]:
    return _respec(resources, step, step.undo_args, result, now)


def _respec(
    resources: Mapping[str, Resource], step: Step, args: Mapping[str, Any], result: Mapping[str, Any], _now: str
) -> dict[str, Resource]:
    have = resources.get(step.resource)
    if have is None:
        return dict(resources)
    changed = Resource(
        key=have.key,
        kind=have.kind,
        spec=args["spec"],
        needs=have.needs,
        after=have.after,
        outputs={**have.outputs, **result},
        created_at=have.created_at,
        note=have.note,
    )
    return {**resources, step.resource: changed}


def _resource(
    step: Step, args: Mapping[str, Any], state: ResourceState, outputs: Mapping[str, Any], now: str
) -> Resource:
    return Resource(
        key=step.resource,
        kind=args["kind"],
        spec=args["spec"],
        needs=tuple(args["needs"]),
        after=tuple(args["after"]),
        state=state,
        outputs=outputs,
        created_at=now,
        note=step.note.split(" ", 1)[-1],
    )


_RULES = {
    ("create", "begun"): _planned,
    ("create", "done"): _made,
    ("create", "undone"): _gone,
    ("delete", "done"): _gone,
    ("delete", "undone"): _remade,
    ("update", "done"): _updated,
    ("update", "undone"): _restored,
}
