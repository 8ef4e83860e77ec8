"""The resources that an operation affected: pure functions from its plan, its steps and the record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from skerry.model import nesting, pnfs
from skerry.model.configuration import shown
from skerry.model.nesting import NestedChange
from skerry.model.ns import NsInstance
from skerry.model.ns_changes import VnfChange, graphs_in, vnfs_in
from skerry.model.operations import Change, Operation, Step
from skerry.model.pnfs import PnfChange
from skerry.model.resources import Resource
from skerry.model.saps import SapChange, changes_in
from skerry.model.states import OperationState
from skerry.model.virtual_links import profile_of
from skerry.model.vnf import VnfInstance

NS_EFFECTS: Mapping[str, str] = {"create": "INSTANTIATE", "delete": "TERMINATE"}
LINK_EFFECTS: Mapping[str, str] = {"create": "ADD", "delete": "DELETE"}


def of_vnf(operation: Operation, record: VnfInstance | None, begun: frozenset[str]) -> dict[str, Any]:
    """`affectedVnfcs` and `affectedVirtualLinks`. `begun` are the resources of the steps that began: what was planned
    only was not affected."""
    kept = record.resources if record else {}
    vnfcs: list[dict[str, Any]] = []
    networks: list[dict[str, Any]] = []
    for change, type in _changes(operation, kept, begun):
        kind, _, name = change.resource.partition(":")
        handle = _handle(change.resource, kept, operation)
        if kind == "compute":
            vdu = str(_spec(change.resource, kept, operation).get("vdu") or name.rpartition("-")[0] or name)
            vnfcs.append({"id": name, "vduId": vdu, "changeType": type, "computeResource": handle})
        elif kind == "network":
            link = name.partition("@")[0]
            networks.append({"id": name, "vnfVirtualLinkDescId": link, "changeType": type, "networkResource": handle})
    found = {"affectedVnfcs": vnfcs, "affectedVirtualLinks": networks}
    return {name: entries for name, entries in found.items() if entries}


def of_ns(
    operation: Operation, state: OperationState, record: NsInstance | None, vnfs: Mapping[str, VnfInstance]
) -> dict[str, Any]:
    """`affectedVnf`, `affectedPnf`, `affectedVl` and the like. `vnfs` are the members' records by identifier: a
    plan of an older version does not say itself which VNFs it is about."""
    outcome = operation.plan.outcome if operation.plan else {}
    lines = operation.plan.changes if operation.plan else ()
    result = {"changeResult": _result(state)}
    found = {
        "affectedVnf": [_vnf(one) for one in vnfs_in(outcome) or _vnfs_of(operation, record, vnfs)],
        "affectedPnf": [_pnf(one) for one in pnfs.changes_in(operation)],
        "affectedVl": [
            _link(line, _spec(line.resource, record.resources if record else {}, operation))
            for line in lines
            if line.resource.startswith("network:") and line.effect != "reuse"
        ],
        "affectedVnffg": [
            {"vnffgInstanceId": one.id, "vnffgdId": one.id, "changeType": one.change_type} for one in graphs_in(outcome)
        ],
        "affectedNs": [_nested(one) for one in nesting.changes_in(outcome)],
        "affectedSap": [_sap(one) for one in changes_in(outcome)],
    }
    return {name: [{**entry, **result} for entry in entries] for name, entries in found.items() if entries}


def _vnf(one: VnfChange) -> dict[str, Any]:
    """AffectedVnf. The official V3.7.1 file asks for `changedExtConnectivity` beside `changedInfo`, where the text has it."""
    changed = {"vnfInstanceId": one.vnf_instance_id, **shown(one.changed)}
    return {
        "vnfInstanceId": one.vnf_instance_id,
        "vnfdId": one.vnfd_id,
        "vnfProfileId": one.profile,
        "vnfName": one.name,
        "changeType": one.change_type,
        "changedExtConnectivity": [],
        **({"changedInfo": {"changedVnfInfo": changed}} if one.changed else {}),
    }


def _vnfs_of(operation: Operation, record: NsInstance | None, vnfs: Mapping[str, VnfInstance]) -> Iterator[VnfChange]:
    for line in operation.plan.changes if operation.plan else ():
        kind, _, name = line.resource.partition(":")
        member = record.members.get(name) if record and kind == "vnf" and line.effect != "reuse" else None
        vnf = vnfs.get(member.vnf_instance_id) if member else None
        if member and vnf:
            yield VnfChange(
                vnf_instance_id=vnf.id,
                vnfd_id=vnf.vnfd_id,
                profile=member.profile,
                name=vnf.vnf_instance_name or name,
                change_type=NS_EFFECTS.get(line.effect, "MODIFY_INFORMATION"),
            )


def _pnf(one: PnfChange) -> dict[str, Any]:
    return {
        "pnfId": one.id,
        "pnfdId": one.pnf.pnfd_id,
        "pnfProfileId": one.pnf.profile,
        "pnfName": one.pnf.name,
        "cpInstanceId": [point.id for point in one.pnf.points],
        "changeType": one.change_type,
    }


def _link(line: Change, spec: Mapping[str, Any]) -> dict[str, Any]:
    name = line.resource.partition(":")[2]
    link = profile_of(name, spec)
    return {
        "nsVirtualLinkInstanceId": name,
        "nsVirtualLinkDescId": link,
        "vlProfileId": link,
        "changeType": LINK_EFFECTS.get(line.effect, "MODIFY"),
    }


def _nested(one: NestedChange) -> dict[str, Any]:
    return {"nsInstanceId": one.ns_instance_id, "nsdId": one.nsd_id, "changeType": one.change_type}


def _sap(one: SapChange) -> dict[str, Any]:
    return {"sapInstanceId": one.id, "sapdId": one.sapd_id, "sapName": one.name, "changeType": one.change_type}


def _result(state: OperationState) -> str:
    if state is OperationState.ROLLED_BACK:
        return "ROLLED_BACK"
    return "FAILED" if state in (OperationState.FAILED, OperationState.FAILED_TEMP) else "COMPLETED"


def _changes(operation: Operation, kept: Mapping[str, Resource], begun: frozenset[str]) -> list[tuple[Change, str]]:
    """The lines of the plan that took effect, with their changeType: what was made and is gone was TEMPORARY."""
    found: list[tuple[Change, str]] = []
    for change in operation.plan.changes if operation.plan else ():
        if change.resource not in begun or change.effect in ("reuse", "run"):
            continue
        there = change.resource in kept
        if change.effect == "create":
            found.append((change, "ADDED" if there else "TEMPORARY"))
        elif change.effect == "delete" and not there:
            found.append((change, "REMOVED"))
        else:
            found.append((change, "MODIFIED"))
    return found


def _handle(key: str, kept: Mapping[str, Resource], operation: Operation) -> dict[str, Any]:
    """ResourceHandle of what the record has, or of what the plan removed."""
    kind, _, name = key.partition(":")
    spec = _spec(key, kept, operation)
    outputs = kept[key].outputs if key in kept else {}
    id = str(outputs.get("id") or outputs.get("name") or spec.get("name") or name)
    handle = {"resourceId": id, "vimLevelResourceType": kind}
    return {"vimConnectionId": str(spec["vim"]), **handle} if spec.get("vim") else handle


def _spec(key: str, kept: Mapping[str, Resource], operation: Operation) -> Mapping[str, Any]:
    if key in kept:
        return kept[key].spec
    steps: tuple[Step, ...] = operation.plan.steps if operation.plan else ()
    spec: Mapping[str, Any] = next(
        (step.args["spec"] for step in steps if step.resource == key and "spec" in step.args), {}
    )
    return spec
