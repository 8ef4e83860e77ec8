"""Our own API: VNF snapshots for people."""

from __future__ import annotations

from starlette.responses import Response

from skerry.api.route import Call, Endpoint, Query
from skerry.client.views import SnapshotView
from skerry.model.vnf import VnfSnapshotInfo


def view(record: VnfSnapshotInfo) -> SnapshotView:
    """A snapshot for people."""
    vnf = record.vnf_instance
    name = record.user_defined_data.get("name", "")
    return SnapshotView(
        id=record.id,
        name=str(name) or record.id,
        vnf=record.vnf_instance_id,
        vnf_name=(vnf.vnf_instance_name or vnf.vnf_product_name) if vnf else "",
        vnfd_id=vnf.vnfd_id if vnf else "",
        state="READY" if record.finished_at else "CREATING" if record.vnf_instance_id else "EMPTY",
        taken_at=record.started_at,
        vnfcs={vnfc: one.image for vnfc, one in record.vnfcs.items()},
        size_bytes=sum(one.size_bytes for one in record.vnfcs.values()),
        brought=bool(record.finished_at) and not record.operation,
    )


async def listing(call: Call) -> Response:
    """Snapshots, of all VNFs or of one."""
    of = call.query("vnf")
    records = call.services.vnfm.snapshots.all(tenant=call.tenant)
    return call.listed([record for record in records if of in ("", record.vnf_instance_id)], view)


ROUTES = (
    Endpoint(
        "GET",
        "/snapshots",
        listing,
        "List VNF snapshots",
        answer=list[SnapshotView],
        query=(Query("vnf", "Only of this VNF."),),
    ),
)
