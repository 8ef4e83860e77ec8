"""NS life-cycle management (SOL005 clause 6.4.20 f.): VNF snapshots, taken by updates of the NS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.responses import Response

from skerry.api.route import LIST_QUERY, Call, Endpoint
from skerry.api.sol003 import vnf_snapshots as of_vnfs
from skerry.api.sol005.ns_instances import without_links
from skerry.api.wire import Links, Wire, links
from skerry.model.vnf import VnfSnapshotInfo as Record


class VnfSnapshotInfo(Wire, frozen=True, kw_only=True):
    """VnfSnapshotInfo (6.5.2.20). The VNF in it is shown as NS instances show theirs."""

    id: str
    links: Links = msgspec.field(name="_links")
    vnf_snapshot: Mapping[str, Any] | None = None


def render(call: Call, record: Record) -> VnfSnapshotInfo:
    """The record on the wire."""
    base = call.href(f"/vnf_snapshots/{record.id}")
    vnf = record.vnf_instance_id
    taken_from = call.uri(f"/vnflcm/v{call.version}/vnf_instances/{vnf}") if vnf else ""
    shown: dict[str, Any] = msgspec.to_builtins(of_vnfs.render(call, record))
    snapshot = shown.get("vnfSnapshot")
    if snapshot and record.vnf_instance:
        snapshot.pop("vnfInfo", None)
        snapshot.pop("vnfStateSnapshotInfo", None)
        snapshot["createdAt"] = record.started_at
        snapshot["vnfInstance"] = without_links(snapshot["vnfInstance"], record.vnf_instance)
        for one in snapshot["vnfcSnapshots"]:
            one |= {"createdAt": one["creationStartedAt"], "vnfcInfoId": one["vnfcInstanceId"]}
    return VnfSnapshotInfo(id=record.id, vnf_snapshot=snapshot, links=links(self_=base, takenFrom=taken_from))


async def listing(call: Call) -> Response:
    """All snapshots of the tenant."""
    records = call.services.vnfm.snapshots.all(tenant=call.tenant)
    return call.listed(records, lambda record: render(call, record), of_vnfs.HIDDEN)


async def show(call: Call) -> Response:
    """One snapshot."""
    record = of_vnfs.find(call)
    return call.show(render(call, record), rev=record.rev)


ROUTES = (
    Endpoint(
        "GET", of_vnfs.ALL, listing, "List VNF snapshots", answer=list[VnfSnapshotInfo], query=LIST_QUERY, since=2
    ),
    Endpoint("GET", of_vnfs.ONE, show, "Read a VNF snapshot", answer=VnfSnapshotInfo, since=2),
    Endpoint("DELETE", of_vnfs.ONE, of_vnfs.delete, "Delete a VNF snapshot", status=204, since=2),
)
