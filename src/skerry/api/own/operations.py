"""Our own API: plans, operations with their steps."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from skerry.api import body
from skerry.api.mec010 import app_instances
from skerry.api.mec010.types import InstantiateAppRequest
from skerry.api.own import types as own
from skerry.api.own.lvnfs import MigrateRequest
from skerry.api.route import Call, Endpoint, Query
from skerry.api.sol003 import translate, vnf_instances
from skerry.api.sol003.types import CancelMode, VnfInfoModificationRequest
from skerry.api.sol005 import ns_instances, requests
from skerry.client import views
from skerry.errors import MalformedError
from skerry.model.configuration import shown
from skerry.model.explanation import Explanation, masked_plan
from skerry.model.operations import Operation, Plan, Step, StepRecord

SVG = "image/svg+xml"
PICTURED = ("application/json", SVG)
KINDS: dict[str, type[Any]] = {
    **{f"vnf.{vnf_instances.VERBS.get(name, name)}": kind for name, kind in vnf_instances.TASKS.items()},
    **{f"ns.{name}": kind for name, kind in ns_instances.TASKS.items()},
    **{kind: body for kind, body, _ in app_instances.TASKS.values()},
    "app.relocate": InstantiateAppRequest,
    "vnf.modify": VnfInfoModificationRequest,
    "vnf.migrate": MigrateRequest,
}


async def plan(call: Call) -> Response:
    """What an operation would do."""
    asked = await call.body(own.PlanRequest)
    if asked.kind.startswith("vnf."):
        made = await call.services.vnfm.plan(asked.kind, asked.subject, _vnf_params(call, asked), tenant=call.tenant)
    elif asked.kind.startswith("app."):
        app_params = app_instances.checked(asked.kind, body.params(dict(asked.params), KINDS[asked.kind]))
        made = await call.services.meo.plan(asked.kind, asked.subject, app_params, tenant=call.tenant)
    else:
        params = requests.checked(asked.kind.removeprefix("ns."), dict(asked.params), KINDS[asked.kind])
        made = await call.services.nfvo.plan(asked.kind, asked.subject, params, tenant=call.tenant)
    return _planned(call, made)


def _planned(call: Call, made: Plan) -> Response:
    """A plan as JSON, or drawn where the caller asks for a picture."""
    if call.prefers(SVG):
        return Response(call.services.engine.draw(made), media_type=SVG)
    return call.show(masked_plan(made))


def _vnf_params(call: Call, asked: own.PlanRequest) -> dict[str, Any]:
    given = dict(asked.params)
    if asked.kind == "vnf.modify":
        record = call.services.vnfm.instance(asked.subject, tenant=call.tenant)
        return vnf_instances.modification(given, record)
    checked: dict[str, Any] = translate.normal(
        vnf_instances.checked(asked.kind.removeprefix("vnf."), given, KINDS[asked.kind])
    )
    return checked


def view(call: Call, operation: Operation) -> views.OperationView:
    """An operation with its steps."""
    records = {record.key: record for record in call.services.engine.steps(operation.id)}
    planned = operation.plan.steps if operation.plan else ()
    return views.OperationView(
        operation=msgspec.structs.replace(operation, plan=None, params=shown(operation.params)),
        changes=operation.plan.changes if operation.plan else (),
        steps=[_step(step, records.get(step.key)) for step in planned],
        children=[child.id for child in call.services.engine.operations(parent=operation.id, tenant=call.tenant)],
    )


def _step(step: Step, record: StepRecord | None) -> views.StepView:
    return views.StepView(
        key=step.key,
        action=step.action,
        note=step.note,
        resource=step.resource,
        needs=step.needs,
        record=record or StepRecord(key=step.key),
    )


def find(call: Call) -> Operation:
    """The operation of the path."""
    return call.services.engine.operation(call.path("operationId"), tenant=call.tenant)


async def listing(call: Call) -> Response:
    """Operations, of all instances or of one."""
    found = call.services.engine.operations(subject=call.query("subject"), tenant=call.tenant)
    return call.listed(
        found, lambda operation: msgspec.structs.replace(operation, plan=None, params=shown(operation.params))
    )


async def show(call: Call) -> Response:
    """One operation; with `wait`, once it needs no more waiting or those seconds are over."""
    operation = find(call)
    if call.query("wait"):
        operation = await call.services.engine.wait(operation.id, min(number(call, "wait"), 60.0))
    return call.show(view(call, operation), rev=operation.rev)


async def explanation(call: Call) -> Response:
    """Where it stands and why: steps, what they wait for, what failed, what may be done, why this infrastructure."""
    return call.show(call.services.engine.explain(find(call).id))


async def show_plan(call: Call) -> Response:
    """The plan that it follows."""
    return _planned(call, find(call).plan or Plan())


def number(call: Call, name: str) -> float:
    """A query parameter that is a number, 0 where it is missing; `MalformedError` for anything else. No number of ours is
    beyond 2^53."""
    try:
        return min(max(0.0, float(call.query(name, "0"))), 2.0**53)
    except ValueError as error:
        raise MalformedError(f"cannot read {name}={call.query(name)!r}", suggestion="give a number") from error


async def retry(call: Call) -> Response:
    """Go on where it failed."""
    operation = find(call)
    await call.services.engine.retry(operation.id)
    return call.accepted(call.href(f"/operations/{operation.id}"))


async def rollback(call: Call) -> Response:
    """Undo what was done."""
    operation = find(call)
    await call.services.engine.rollback(operation.id)
    return call.accepted(call.href(f"/operations/{operation.id}"))


async def fail(call: Call) -> Response:
    """Give up."""
    operation = find(call)
    await call.services.engine.fail(operation.id)
    return call.accepted(call.href(f"/operations/{operation.id}"))


async def cancel(call: Call) -> Response:
    """Stop it."""
    operation = find(call)
    asked = await call.body(CancelMode)
    await call.services.engine.cancel(operation.id, asked.cancel_mode)
    return call.accepted(call.href(f"/operations/{operation.id}"))


ONE = "/operations/{operationId}"
WAIT = (Query("wait", "Seconds to wait for the end of the operation, at most 60."),)
ROUTES = (
    Endpoint("POST", "/plan", plan, "What an operation would do", own.PlanRequest, Plan, produces=PICTURED),
    Endpoint(
        "GET",
        "/operations",
        listing,
        "List operations",
        answer=list[Operation],
        query=(Query("subject", "Of one instance."),),
    ),
    Endpoint("GET", ONE, show, "Read an operation with its steps", answer=views.OperationView, query=WAIT),
    Endpoint("GET", f"{ONE}/explanation", explanation, "Explain an operation", answer=Explanation),
    Endpoint("GET", f"{ONE}/plan", show_plan, "Read or draw the plan of an operation", answer=Plan, produces=PICTURED),
    Endpoint("POST", f"{ONE}/retry", retry, "Retry an operation", status=202),
    Endpoint("POST", f"{ONE}/rollback", rollback, "Roll an operation back", status=202),
    Endpoint("POST", f"{ONE}/fail", fail, "Give an operation up", status=202),
    Endpoint("POST", f"{ONE}/cancel", cancel, "Cancel an operation", CancelMode, status=202),
)
