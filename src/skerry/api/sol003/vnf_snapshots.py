"""VNF life-cycle management (SOL003 clause 5): VNF snapshots. Creating one and reverting to it are tasks of the VNF.

The state snapshot (5.4.25) is what the VNFM itself knows of the VNF besides its images: a JSON file that `snapshots.state`
writes; it says what the VNF shall be, and reverting puts it back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.responses import Response

from skerry.api import archive
from skerry.api.route import LIST_QUERY, Call, Endpoint
from skerry.api.sol003 import types as wire
from skerry.api.sol003 import vnf_instances
from skerry.api.wire import ResourceHandle, links
from skerry.errors import ConflictError, Fault, NotFoundError
from skerry.model.vnf import VnfcSnapshot, VnfSnapshotInfo

HIDDEN = ("vnfSnapshot",)


def render(call: Call, record: VnfSnapshotInfo) -> wire.VnfSnapshotInfo:
    """The record on the wire."""
    base = call.href(f"/vnf_snapshots/{record.id}")
    vnf = record.vnf_instance_id
    return wire.VnfSnapshotInfo(
        id=record.id,
        vnf_snapshot_pkg_id=record.snapshot_package or None,
        vnf_snapshot=_snapshot(call, record) if record.finished_at else None,
        links=links(self_=base, takenFrom=call.href(f"/vnf_instances/{vnf}") if vnf else ""),
    )


def _snapshot(call: Call, record: VnfSnapshotInfo) -> wire.VnfSnapshot | None:
    vnf = record.vnf_instance
    if vnf is None:
        return None
    shown = vnf_instances.render(call, vnf)
    state = call.services.vnfm.snapshots.state(record)
    base = call.href(f"/vnf_snapshots/{record.id}")
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
        vnf_state_snapshot_info=wire.VnfStateSnapshotInfo(
            checksum={"algorithm": "sha-256", "hash": hashlib.sha256(state).hexdigest()},
            is_encrypted=False,
            metadata={"contentType": "application/json", "size": str(len(state))},
        ),
        user_defined_data=record.user_defined_data or None,
        links=links(self_=base, vnfStateSnapshot=f"{base}/vnf_state_snapshot"),
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


async def modify(call: Call) -> Response:
    """Change the package that it belongs to, or the user-defined data of a finished one."""
    asked = await call.body(wire.VnfSnapshotInfoModificationRequest)
    record = find(call)
    changed = await call.services.vnfm.snapshots.modify(
        record.id,
        snapshot_package=asked.vnf_snapshot_pkg_id,
        user_defined_data=_own_data(call, record, asked.vnf_snapshot),
        match=call.match,
        tenant=call.tenant,
    )
    done = wire.VnfSnapshotInfoModifications(
        vnf_snapshot_pkg_id=changed.snapshot_package if asked.vnf_snapshot_pkg_id is not None else None,
        vnf_snapshot=_snapshot(call, changed) if asked.vnf_snapshot is not None else None,
    )
    return call.show(done, rev=changed.rev)


def _own_data(call: Call, record: VnfSnapshotInfo, asked: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The user-defined data of a VnfSnapshot; `ConflictError` names what else it would change, for that is what was taken."""
    if asked is None:
        return None
    taken = _snapshot(call, record) if record.finished_at else None
    if taken is None:
        raise ConflictError(
            f"cannot change the content of VNF snapshot {record.id}: it has none",
            suggestion="fill it first, by a create_snapshot task of the VNF",
        )
    now = msgspec.to_builtins(taken)
    faults = [
        Fault(message="it is what was taken and does not change", path=f"/vnfSnapshot/{name}", code="read-only")
        for name, value in asked.items()
        if name not in ("userDefinedData", "_links") and value != now.get(name)
    ]
    if faults:
        raise ConflictError(f"cannot change VNF snapshot {record.id}: {faults[0].path} is read-only", faults=faults)
    data: Mapping[str, Any] = asked.get("userDefinedData") or {}
    return data


async def state(call: Call) -> Response:
    """The VNFM's own knowledge of the VNF in this snapshot, whole or a range."""
    record = find(call)
    if record.vnf_instance is None or not record.finished_at:
        raise NotFoundError(
            f"cannot find a state in VNF snapshot {record.id}: it is not filled",
            suggestion="fill it first, by a create_snapshot task of the VNF",
        )
    return archive.part(call, call.services.vnfm.snapshots.state(record), "application/json")


async def delete(call: Call) -> Response:
    """Remove it with its images."""
    await call.services.vnfm.snapshots.delete(find(call).id, match=call.match, tenant=call.tenant)
    return call.done()


ALL, ONE = "/vnf_snapshots", "/vnf_snapshots/{vnfSnapshotInfoId}"
INFO = wire.VnfSnapshotInfo
CHANGE, CHANGED = wire.VnfSnapshotInfoModificationRequest, wire.VnfSnapshotInfoModifications
ROUTES = (
    Endpoint("POST", ALL, create, "Create a VNF snapshot", wire.CreateVnfSnapshotInfoRequest, INFO, 201, since=2),
    Endpoint("GET", ALL, listing, "List VNF snapshots", answer=list[INFO], query=LIST_QUERY, since=2),
    Endpoint("GET", ONE, show, "Read a VNF snapshot", answer=INFO, since=2),
    Endpoint("PATCH", ONE, modify, "Modify a VNF snapshot", CHANGE, CHANGED, since=2),
    Endpoint("GET", f"{ONE}/vnf_state_snapshot", state, "Download the state of a VNF snapshot", since=2),
    Endpoint("DELETE", ONE, delete, "Delete a VNF snapshot", status=204, since=2),
)
