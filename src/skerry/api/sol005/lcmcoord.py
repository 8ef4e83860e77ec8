"""LCM coordination (SOL005 clause 12 of NSs, SOL002 clause 10 of VNFs): may this operation go on?

Both specifications have the same root and resources; the body says whether it is about an NS or a VNF.
"""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from skerry.api.route import Api, Call, Endpoint
from skerry.api.wire import KeyValuePairs, Link, Links, Wire, links
from skerry.errors import ConflictError
from skerry.model.coordination import Coordination

NS = frozenset({"INSTANTIATE", "SCALE", "UPDATE", "TERMINATE", "HEAL"})
VNF = frozenset(
    {
        "INSTANTIATE", "SCALE", "SCALE_TO_LEVEL", "CHANGE_FLAVOUR", "TERMINATE", "HEAL", "OPERATE", "CHANGE_EXT_CONN",
        "MODIFY_INFO", "CREATE_SNAPSHOT", "REVERT_TO_SNAPSHOT", "CHANGE_VNFPKG",
    }
)  # fmt: skip


class RequestLinks(Wire, frozen=True, kw_only=True):
    """Links of a request: of an NS or of a VNF."""

    ns_lcm_op_occ: Link | None = None
    ns_instance: Link | None = None
    vnf_lcm_op_occ: Link | None = None
    vnf_instance: Link | None = None


class LcmCoordRequest(Wire, frozen=True, kw_only=True):
    """LcmCoordRequest (SOL005 12.5.2.3, SOL002 10.5.2.2)."""

    lcm_operation_type: str
    coordination_action_name: str
    links: RequestLinks = msgspec.field(name="_links")
    ns_instance_id: str | None = None
    ns_lcm_op_occ_id: str | None = None
    vnf_instance_id: str | None = None
    vnf_lcm_op_occ_id: str | None = None
    input_params: KeyValuePairs | None = None

    def __post_init__(self) -> None:
        of_ns = self.ns_instance_id is not None and self.ns_lcm_op_occ_id is not None
        of_vnf = self.vnf_instance_id is not None and self.vnf_lcm_op_occ_id is not None
        if of_ns == of_vnf:
            raise ValueError("give nsInstanceId and nsLcmOpOccId, or vnfInstanceId and vnfLcmOpOccId")
        if self.lcm_operation_type not in (NS if of_ns else VNF):
            raise ValueError(f"lcmOperationType is one of {', '.join(sorted(NS if of_ns else VNF))}")


class LcmCoord(Wire, frozen=True, kw_only=True):
    """LcmCoord (SOL005 12.5.2.2, SOL002 10.5.2.3)."""

    id: str
    coordination_result: str
    lcm_operation_type: str
    coordination_action_name: str
    links: Links = msgspec.field(name="_links")
    ns_instance_id: str | None = None
    ns_lcm_op_occ_id: str | None = None
    vnf_instance_id: str | None = None
    vnf_lcm_op_occ_id: str | None = None
    warnings: str | None = None


def render(call: Call, record: Coordination) -> LcmCoord:
    """What was decided, on the wire."""
    of: dict[str, Any] = {
        f"{record.scope}_instance_id": record.subject,
        f"{record.scope}_lcm_op_occ_id": record.operation,
    }
    return LcmCoord(
        id=record.id,
        coordination_result=record.result,
        lcm_operation_type=record.operation_type,
        coordination_action_name=record.action,
        warnings=record.warnings or None,
        links={
            **links(self_=call.href(f"/coordinations/{record.id}")),
            **msgspec.convert(record.links, dict[str, Link]),
        },
        **of,
    )


async def coordinate(call: Call) -> Response:
    """Decide at once (synchronous mode)."""
    asked = await call.body(LcmCoordRequest)
    scope = "ns" if asked.ns_instance_id is not None else "vnf"
    wished = Coordination(
        id="",
        tenant=call.tenant,
        scope=scope,
        subject=asked.ns_instance_id or asked.vnf_instance_id or "",
        operation=asked.ns_lcm_op_occ_id or asked.vnf_lcm_op_occ_id or "",
        operation_type=asked.lcm_operation_type,
        action=asked.coordination_action_name,
        input_params=asked.input_params or {},
        links=msgspec.to_builtins(asked.links),
    )
    made = render(call, await call.services.coordinations.decide(wished))
    return call.show(made, status=201, location=made.links["self"].href)


async def show(call: Call) -> Response:
    """What was decided."""
    record = call.services.coordinations.coordination(call.path("coordinationId"), tenant=call.tenant)
    return call.show(render(call, record))


async def cancel(call: Call) -> Response:
    """Every coordination is over when it was answered, so that there is none to cancel."""
    record = call.services.coordinations.coordination(call.path("coordinationId"), tenant=call.tenant)
    raise ConflictError(
        f"cannot cancel coordination {record.id}: it is finished",
        suggestion="cancel the operation itself, if that is what you want",
    )


ONE = "/coordinations/{coordinationId}"

API = Api(
    "lcmcoord",
    "SOL005 and SOL002 LCM coordination",
    {1: "1.1.0"},
    (
        Endpoint("POST", "/coordinations", coordinate, "Coordinate an operation", LcmCoordRequest, LcmCoord, 201),
        Endpoint("GET", ONE, show, "Read a coordination", answer=LcmCoord),
        Endpoint("POST", f"{ONE}/cancel", cancel, "Cancel a coordination", status=202),
    ),
)
