"""Application life-cycle management (MEC 010-2 clause 7.4): operation occurrences."""

from __future__ import annotations

from starlette.responses import Response

from skerry.api.mec010 import types as wire
from skerry.api.occurrences import Occurrences
from skerry.api.route import LIST_QUERY, Call, Endpoint
from skerry.api.wire import links
from skerry.model.operations import Operation
from skerry.model.states import APP_OPERATION_STATES, FINAL, lcm_operation_type

HIDDEN = ("operationParams",)
MODES = {"GRACEFUL": "GRACEFUL", "FORCED": "FORCEFUL"}


def render(call: Call, operation: Operation) -> wire.AppLcmOpOcc:
    """The operation on the wire."""
    mode = next((word for word, ours in MODES.items() if ours == operation.cancel), "")
    return wire.AppLcmOpOcc(
        id=operation.id,
        operation_state=APP_OPERATION_STATES[operation.state],
        state_entered_time=wire.time_stamp(operation.state_entered_at),
        start_time=wire.time_stamp(operation.started_at),
        lcm_operation=lcm_operation_type(operation.kind),
        operation_params=operation.params,
        is_cancel_pending=bool(operation.cancel) and operation.state not in FINAL,
        cancel_mode={"CancelMode": mode} if mode else None,
        links=links(
            self_=call.href(f"/app_lcm_op_occs/{operation.id}"),
            appInstance=call.href(f"/app_instances/{operation.subject}"),
        ),
    )


async def listing(call: Call) -> Response:
    """All operations on applications of the tenant."""
    found = call.services.engine.operations(prefix="app.", tenant=call.tenant)
    return call.listed(found, lambda operation: render(call, operation), HIDDEN)


async def _mode(call: Call) -> str:
    asked = await call.body(wire.CancelMode)
    return MODES[asked.cancel_mode or asked.mode or "GRACEFUL"]


OPERATIONS = Occurrences("app", "application", render, _mode)
ONE = "/app_lcm_op_occs/{appLcmOpOccId}"
OCC = wire.AppLcmOpOcc
ROUTES = (
    Endpoint("GET", "/app_lcm_op_occs", listing, "List application operations", answer=list[OCC], query=LIST_QUERY),
    Endpoint("GET", ONE, OPERATIONS.show, "Read an application operation", answer=OCC),
    Endpoint("POST", f"{ONE}/retry", OPERATIONS.retry, "Retry an application operation", status=202),
    Endpoint("POST", f"{ONE}/fail", OPERATIONS.fail, "Give an application operation up", answer=OCC),
    Endpoint(
        "POST", f"{ONE}/cancel", OPERATIONS.cancel, "Cancel an application operation", wire.CancelMode, status=202
    ),
)
