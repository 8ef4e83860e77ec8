"""NS life-cycle management (SOL005 clause 6): operation occurrences."""

from __future__ import annotations

from contextlib import suppress

import msgspec
from starlette.responses import Response

from skerry.api.occurrences import Occurrences
from skerry.api.route import LIST_QUERY, Call, Endpoint
from skerry.api.sol003 import translate
from skerry.api.sol003.types import CancelMode
from skerry.api.sol003.vnf_operations import actions
from skerry.api.sol005 import types as wire
from skerry.api.wire import Links, links
from skerry.errors import NotFoundError
from skerry.model.configuration import shown
from skerry.model.ns import NsInstance
from skerry.model.operations import Operation
from skerry.model.states import FINAL, OperationState, lcm_operation_type
from skerry.model.vnf import VnfInstance
from skerry.notifications import affected

HIDDEN = ("operationParams", "error", "resourceChanges", "lcmCoordinations", "warnings")


def render(call: Call, operation: Operation) -> wire.NsLcmOpOcc:
    """The operation on the wire."""
    # SOL005 has no STARTING: an operation is PROCESSING from its first moment.
    state = OperationState.PROCESSING if operation.state is OperationState.STARTING else operation.state
    first = call.version == 1
    return wire.NsLcmOpOcc(
        id=operation.id,
        operation_state=state,
        ns_instance_id=operation.subject,
        lcm_operation_type=lcm_operation_type(operation.kind),
        start_time=operation.started_at,
        is_automatic_invocation=operation.automatic or bool(operation.parent),
        is_cancel_pending=translate.is_cancel_pending(operation),
        links=_links(call, operation),
        state_entered_time=operation.state_entered_at,
        status_entered_time=operation.state_entered_at,
        operation_params=shown(operation.params) if first or _asked_for_params(call) else None,
        cancel_mode=operation.cancel or None,
        error=translate.problem(operation),
        resource_changes=_changes(operation, _instance(call, operation), call),
    )


def _asked_for_params(call: Call) -> bool:
    return "all_fields" in call.request.query_params or "operationParams" in call.query("fields")


def _instance(call: Call, operation: Operation) -> NsInstance | None:
    try:
        return call.services.nfvo.instance(operation.subject, tenant=call.tenant)
    except NotFoundError:
        return None


def _changes(operation: Operation, record: NsInstance | None, call: Call) -> wire.ResourceChanges | None:
    """What the operation touched; told once it is over, because each change has a result."""
    if operation.state not in (*FINAL, OperationState.FAILED_TEMP):
        return None
    told = affected.of_ns(operation, operation.state, record, _members(call, record))
    # the occurrence has them in the plural, a notification in the singular
    plain = {f"{name}s": entries for name, entries in told.items()}
    return msgspec.convert(plain, wire.ResourceChanges) if plain else None


def _members(call: Call, record: NsInstance | None) -> dict[str, VnfInstance]:
    found: dict[str, VnfInstance] = {}
    for member in record.members.values() if record else ():
        with suppress(NotFoundError):
            found[member.vnf_instance_id] = call.services.vnfm.instance(member.vnf_instance_id, tenant=call.tenant)
    return found


def _links(call: Call, operation: Operation) -> Links:
    base = call.href(f"/ns_lcm_op_occs/{operation.id}")
    again = f"{base}/continue" if operation.state is OperationState.FAILED_TEMP else ""
    return {
        **actions(base, operation),
        **links(nsInstance=call.href(f"/ns_instances/{operation.subject}"), continue_=again),
    }


async def listing(call: Call) -> Response:
    """All operations on NSs of the tenant."""
    found = call.services.engine.operations(prefix="ns.", tenant=call.tenant)
    hidden = tuple(name for name in HIDDEN if name != "operationParams") if call.version == 1 else HIDDEN
    return call.listed(found, lambda operation: render(call, operation), hidden)


async def _mode(call: Call) -> str:
    return (await call.body(CancelMode)).cancel_mode


OPERATIONS = Occurrences("ns", "NS", render, _mode)
ONE = "/ns_lcm_op_occs/{nsLcmOpOccId}"
ROUTES = (
    Endpoint("GET", "/ns_lcm_op_occs", listing, "List NS operations", answer=list[wire.NsLcmOpOcc], query=LIST_QUERY),
    Endpoint("GET", ONE, OPERATIONS.show, "Read an NS operation", answer=wire.NsLcmOpOcc),
    Endpoint("POST", f"{ONE}/retry", OPERATIONS.retry, "Retry an NS operation", status=202),
    Endpoint("POST", f"{ONE}/rollback", OPERATIONS.rollback, "Roll an NS operation back", status=202),
    Endpoint("POST", f"{ONE}/continue", OPERATIONS.retry, "Continue an NS operation", status=202),
    Endpoint("POST", f"{ONE}/fail", OPERATIONS.fail, "Give an NS operation up", answer=wire.NsLcmOpOcc),
    Endpoint("POST", f"{ONE}/cancel", OPERATIONS.cancel, "Cancel an NS operation", CancelMode, status=202),
)
