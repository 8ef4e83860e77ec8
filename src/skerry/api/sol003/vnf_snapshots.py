"""VNF life-cycle management (SOL003 clause 5): VNF snapshots. Creating one and reverting to it are tasks of the VNF."""

from __future__ import annotations

from starlette.responses import Response

from skerry.api.route import LIST_QUERY, Call, Endpoint
from skerry.api.sol003 import types as wire
from skerry.api.sol003 import vnf_instances
from skerry.api.wire import ResourceHandle, links
from skerry.model.vnf import VnfcSnapshot, VnfSnapshotInfo

HIDDEN = ("vnfSnapshot",)


def render(call: Call, record: VnfSnapshotInfo) -> wire.VnfSnapshotInfo:
    """The record on the wire."""
    base = call.href(f"/vnf_snapshots/{record.id}")
    vnf = record.vnf_instance_id
    return wire.VnfSnapshotInfo(
        id=record.id,
        vnf_snapshot=_snapshot(call, record) if record.finished_at else None,
        links=links(self_=base, takenFrom=call.href(f"/vnf_instances/{vnf}") if vnf else ""),
    )


def _snapshot(call: Call, record: VnfSnapshotInfo) -> wire.VnfSnapshot | None:
    vnf = record.vnf_instance
    if vnf is None:
        return None
    shown = vnf_instances.render(call, vnf)
    return wire.VnfSnapshot(
        id=record.id,
        vnf_instance_id=record.vnf_instance_id,
        triggered_at=record.started_at,
        creation_started_at=record.started_at,
        creation_finished_at=record.finished_at,
        vnfd_id=vnf.vnfd_id,
        vnf_instance=shown,
        vnf_info=shown,
        vnfc_snapshots=[_vnfc(name, one) for name, one in sorted(record.vnfcs.items())],
        user_defined_data=record.user_defined_data or None,
    )


def _vnfc(name: str, one: VnfcSnapshot) -> wire.VnfcSnapshotInfo:
    return wire.VnfcSnapshotInfo(
        id=name,
        vnfc_instance_id=name,
        triggered_at=one.started_at,
        creation_started_at=one.started_at,
        creation_finished_at=one.finished_at,
        vnfc_resource_id=name,
        vnfc_resource_info_id=name,
        compute_snapshot_resource=ResourceHandle(
            resource_id=one.id or one.image, vim_connection_id=one.vim, vim_id=one.vim, vim_level_resource_type="image"
        ),
    )


async def create(call: Call) -> Response:
    """Make an empty record, for a create_snapshot task to fill."""
    await call.body(wire.CreateVnfSnapshotInfoRequest)
    record = await call.services.vnfm.snapshots.create(tenant=call.tenant)
    href = call.href(f"/vnf_snapshots/{record.id}")
    return call.show(render(call, record), rev=record.rev, status=201, location=href)


async def listing(call: Call) -> Response:
    """All snapshots of the tenant."""
    records = call.services.vnfm.snapshots.all(tenant=call.tenant)
    return call.listed(records, lambda record: render(call, record), HIDDEN)


def find(call: Call) -> VnfSnapshotInfo:
    """The snapshot of the path."""
    return call.services.vnfm.snapshots.get(call.path("vnfSnapshotInfoId"), tenant=call.tenant)


async def show(call: Call) -> Response:
    """One snapshot."""
    record = find(call)
    return call.show(render(call, record), rev=record.rev)


async def delete(call: Call) -> Response:
    """Remove it with its images."""
    await call.services.vnfm.snapshots.delete(find(call).id, tenant=call.tenant)
    return call.done()


ALL, ONE = "/vnf_snapshots", "/vnf_snapshots/{vnfSnapshotInfoId}"
INFO = wire.VnfSnapshotInfo
ROUTES = (
    Endpoint("POST", ALL, create, "Create a VNF snapshot", wire.CreateVnfSnapshotInfoRequest, INFO, 201, since=2),
    Endpoint("GET", ALL, listing, "List VNF snapshots", answer=list[INFO], query=LIST_QUERY, since=2),
    Endpoint("GET", ONE, show, "Read a VNF snapshot", answer=INFO, since=2),
    Endpoint("DELETE", ONE, delete, "Delete a VNF snapshot", status=204, since=2),
)
