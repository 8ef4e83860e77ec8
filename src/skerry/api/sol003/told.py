"""What a VNF operation's occurrence tells besides its state: coordination, snapshots, and what a change of package or of
connections brought."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from skerry.api.sol003 import translate
from skerry.api.sol003.types import ExtVirtualLinkInfo, LcmCoordination
from skerry.api.wire import KeyValuePairs
from skerry.model.operations import Operation, StepRecord
from skerry.model.states import OperationState
from skerry.model.vnf import VnfInstance

ASKING = "coordinate.ask"
"""The action of the steps that ask the VNF or its EM."""

SNAPSHOTS = ("vnf.create_snapshot", "vnf.revert_to_snapshot")


def asks(operation: Operation) -> bool:
    """Whether the operation has coordination at all."""
    return any(step.action == ASKING for step in (operation.plan.steps if operation.plan else ()))


def coordinations(operation: Operation, records: Iterable[StepRecord]) -> list[LcmCoordination]:
    """`lcmCoordinations`: those that were begun, with the answer where there was one."""
    names = {
        step.key: step.args["action"]
        for step in (operation.plan.steps if operation.plan else ())
        if step.action == ASKING
    }
    return [
        LcmCoordination(
            id=str(record.result.get("id") or names[record.key]),
            coordination_action_name=names[record.key],
            coordination_result=record.result.get("result"),
            start_time=record.started_at,
            end_time=record.ended_at or None,
            endpoint_type="VNF",
        )
        for record in records
        if record.key in names and record.started_at
    ]


def warnings(records: Iterable[StepRecord]) -> list[str]:
    """`warnings` of those who were asked."""
    found = [record.result.get("warnings") for record in records]
    return [str(one) for one in found if one]


def snapshot(operation: Operation) -> str:
    """`vnfSnapshotInfoId` of an operation that takes or brings back a snapshot."""
    return str(operation.params.get("vnfSnapshotInfoId", "")) if operation.kind in SNAPSHOTS else ""


def of_new_package(operation: Operation, record: VnfInstance | None) -> KeyValuePairs | None:
    """`modificationsTriggeredByVnfPkgChange`, once the package was changed; what a later change made of it is not told."""
    if operation.kind != "vnf.change_package" or operation.state is not OperationState.COMPLETED:
        return None
    if record is None or record.vnfd_id != operation.params.get("vnfdId"):
        return {"vnfdId": operation.params["vnfdId"]}
    return {
        "vnfdId": record.vnfd_id,
        "vnfProvider": record.vnf_provider,
        "vnfProductName": record.vnf_product_name,
        "vnfSoftwareVersion": record.vnf_software_version,
        "vnfdVersion": record.vnfd_version,
    }


def connections(operation: Operation, record: VnfInstance | None, version: int) -> list[ExtVirtualLinkInfo]:
    """`changedExtConnectivity`: the external virtual links that the request changed, as they are."""
    if record is None or operation.kind == "vnf.instantiate" or operation.state is not OperationState.COMPLETED:
        return []
    asked: Iterable[Mapping[str, Any]] = operation.params.get("extVirtualLinks", ())
    meant = {cp["cpdId"] for link in asked for cp in link.get("extCps", ())}
    return translate.ext_links({cp: link for cp, link in record.ext_links.items() if cp in meant}, version)
