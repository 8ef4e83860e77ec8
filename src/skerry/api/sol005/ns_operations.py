"""NS life-cycle management (SOL005 clause 6): operation occurrences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
from skerry.model.operations import Change, Operation
from skerry.model.saps import changes_in
from skerry.model.states import FINAL, OperationState, lcm_operation_type

HIDDEN = ("operationParams", "error", "resourceChanges", "lcmCoordinations", "warnings")
VNF_CHANGES: Mapping[str, str] = {
    "ns.instantiate": "INSTANTIATE",
    "ns.terminate": "TERMINATE",
    "ns.scale": "SCALE",
    "ns.heal": "HEAL",
}
EFFECTS: Mapping[str, str] = {"create": "INSTANTIATE", "delete": "TERMINATE"}
LINK_EFFECTS: Mapping[str, str] = {"create": "ADD", "delete": "DELETE"}


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


def _result(operation: Operation) -> Any:
    if operation.state is OperationState.ROLLED_BACK:
        return "ROLLED_BACK"
    return "FAILED" if operation.state in (OperationState.FAILED, OperationState.FAILED_TEMP) else "COMPLETED"


def _changes(operation: Operation, record: NsInstance | None, call: Call) -> wire.ResourceChanges | None:
    """What the operation touched; told once it is over, because each change has a result."""
    lines = operation.plan.changes if operation.plan else ()
    if not lines or operation.state not in (*FINAL, OperationState.FAILED_TEMP):
        return None
    vnfs = [vnf for vnf in (_vnf(call, line, operation, record) for line in lines) if vnf]
    networks = [_link(line, operation) for line in lines if line.resource.startswith("network:")]
    saps = _saps(operation)
    if not vnfs and not networks and not saps:
        return None
    return wire.ResourceChanges(affected_vnfs=vnfs or None, affected_vls=networks or None, affected_saps=saps or None)


def _saps(operation: Operation) -> list[wire.AffectedSap]:
    return [
        wire.AffectedSap(
            sap_instance_id=one.id,
            sapd_id=one.sapd_id,
            sap_name=one.name,
            change_type=one.change_type,
            change_result=_result(operation),
        )
        for one in changes_in(operation.plan.outcome if operation.plan else {})
    ]


def _vnf(call: Call, line: Change, operation: Operation, record: NsInstance | None) -> wire.AffectedVnf | None:
    key = line.resource.partition(":")[2]
    member = record.members.get(key) if record and line.resource.startswith("vnf:") else None
    if member is None:
        return None
    try:
        vnf = call.services.vnfm.instance(member.vnf_instance_id, tenant=call.tenant)
    except NotFoundError:
        return None
    return wire.AffectedVnf(
        vnf_instance_id=vnf.id,
        vnfd_id=vnf.vnfd_id,
        vnf_profile_id=member.profile,
        vnf_name=vnf.vnf_instance_name or key,
        change_type=EFFECTS.get(line.effect) or VNF_CHANGES.get(operation.kind, "OPERATE"),
        change_result=_result(operation),
        changed_ext_connectivity=[],
    )


def _link(line: Change, operation: Operation) -> wire.AffectedVirtualLink:
    name = line.resource.partition(":")[2]
    descriptor = name.partition("@")[0]
    return wire.AffectedVirtualLink(
        ns_virtual_link_instance_id=name,
        ns_virtual_link_desc_id=descriptor,
        vl_profile_id=descriptor,
        change_type=LINK_EFFECTS.get(line.effect, "MODIFY"),
        change_result=_result(operation),
    )


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
