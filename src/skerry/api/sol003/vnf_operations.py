"""VNF life-cycle management (SOL003 clause 5): operation occurrences."""

from __future__ import annotations

from starlette.responses import Response

from skerry.api.occurrences import Occurrences
from skerry.api.route import LIST_QUERY, Call, Endpoint
from skerry.api.sol003 import told, translate
from skerry.api.sol003 import types as wire
from skerry.api.wire import Links, links
from skerry.errors import NotFoundError
from skerry.model.configuration import shown
from skerry.model.operations import Operation
from skerry.model.states import OperationState, lcm_operation_type
from skerry.model.vnf import VnfInstance

HIDDEN = ("operationParams", "error", "resourceChanges", "changedExtConnectivity", "lcmCoordinations", "warnings")
"""The standard hides `changedInfo` and `modificationsTriggeredByVnfPkgChange` too, of which its own official file requires one:
they stay."""

INFO = ("vnfInstanceName", "vnfInstanceDescription", "vnfConfigurableProperties", "metadata", "extensions")


def render(call: Call, operation: Operation) -> wire.VnfLcmOpOcc:
    """The operation on the wire."""
    changed = {key: operation.params[key] for key in INFO if key in operation.params}
    record = _instance(call, operation)
    package = told.of_new_package(operation, record)
    asked = call.services.engine.steps(operation.id) if told.asks(operation) else ()
    return wire.VnfLcmOpOcc(
        id=operation.id,
        operation_state=operation.state,
        state_entered_time=operation.state_entered_at,
        start_time=operation.started_at,
        vnf_instance_id=operation.subject,
        operation=lcm_operation_type(operation.kind),
        is_automatic_invocation=operation.automatic or bool(operation.parent),
        is_cancel_pending=translate.is_cancel_pending(operation),
        operation_params=shown(operation.params),
        changed_info=None if package else shown(changed) if operation.kind == "vnf.modify" else {},
        links=_links(call, operation),
        cancel_mode=operation.cancel or None,
        error=translate.problem(operation),
        resource_changes=translate.changes(operation, record),
        changed_ext_connectivity=told.connections(operation, record, call.version) or None,
        modifications_triggered_by_vnf_pkg_change=package,
        vnf_snapshot_info_id=told.snapshot(operation) or None,
        lcm_coordinations=told.coordinations(operation, asked) or None,
        warnings=told.warnings(asked) or None,
    )


def _instance(call: Call, operation: Operation) -> VnfInstance | None:
    try:
        return call.services.vnfm.instance(operation.subject, tenant=call.tenant)
    except NotFoundError:
        return None


def _links(call: Call, operation: Operation) -> Links:
    base = call.href(f"/vnf_lcm_op_occs/{operation.id}")
    of_snapshot = told.snapshot(operation)
    others = links(
        vnfInstance=call.href(f"/vnf_instances/{operation.subject}"),
        vnfSnapshot=call.href(f"/vnf_snapshots/{of_snapshot}") if of_snapshot else "",
    )
    return {**others, **actions(base, operation)}


def actions(base: str, operation: Operation) -> Links:
    """`self` and what may be done about the operation in its state."""
    failed = operation.state is OperationState.FAILED_TEMP
    running = operation.state in (OperationState.STARTING, OperationState.PROCESSING, OperationState.ROLLING_BACK)
    return links(
        self_=base,
        retry=f"{base}/retry" if failed else "",
        rollback=f"{base}/rollback" if failed else "",
        fail=f"{base}/fail" if failed else "",
        cancel=f"{base}/cancel" if running else "",
    )


async def listing(call: Call) -> Response:
    """All operations on VNFs of the tenant."""
    found = call.services.engine.operations(prefix="vnf.", tenant=call.tenant)
    return call.listed(found, lambda operation: render(call, operation), HIDDEN)


async def _mode(call: Call) -> str:
    return (await call.body(wire.CancelMode)).cancel_mode


OPERATIONS = Occurrences("vnf", "VNF", render, _mode)
ONE = "/vnf_lcm_op_occs/{vnfLcmOpOccId}"
ROUTES = (
    Endpoint(
        "GET", "/vnf_lcm_op_occs", listing, "List VNF operations", answer=list[wire.VnfLcmOpOcc], query=LIST_QUERY
    ),
    Endpoint("GET", ONE, OPERATIONS.show, "Read a VNF operation", answer=wire.VnfLcmOpOcc),
    Endpoint("POST", f"{ONE}/retry", OPERATIONS.retry, "Retry a VNF operation", status=202),
    Endpoint("POST", f"{ONE}/rollback", OPERATIONS.rollback, "Roll a VNF operation back", status=202),
    Endpoint("POST", f"{ONE}/fail", OPERATIONS.fail, "Give a VNF operation up", answer=wire.VnfLcmOpOcc),
    Endpoint("POST", f"{ONE}/cancel", OPERATIONS.cancel, "Cancel a VNF operation", wire.CancelMode, status=202),
)
