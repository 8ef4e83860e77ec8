"""Update an NS (SOL005 6.4.6): add or remove a member VNF, or do something to one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import msgspec

from skerry.errors import Fault, InvalidError
from skerry.model.descriptors import VnfProfile
from skerry.model.ns import NsInstance
from skerry.model.operations import Operation, Plan, Step
from skerry.model.saps import access_points
from skerry.nfvo import moving, nested, pnfs, redesign, requested, saps, virtual_links, vnffgs, wan
from skerry.nfvo.desk import NsDesk
from skerry.nfvo.goal import NsGoal, adopting, current, without
from skerry.nfvo.graph import vnffgs_of
from skerry.nfvo.operation import NsOperation, member_named, member_step
from skerry.nfvo.requested import terminations
from skerry.nfvo.sap_addresses import links_of
from skerry.vnfm.goal import check_level

ON_MEMBERS: Mapping[str, tuple[str, str]] = {
    "OPERATE_VNF": ("operateVnfData", "vnf.operate"),
    "MODIFY_VNF_INFORMATION": ("modifyVnfInfoData", "vnf.modify"),
    "CHANGE_VNF_DF": ("changeVnfFlavourData", "vnf.change_flavour"),
    "CHANGE_EXTERNAL_VNF_CONNECTIVITY": ("changeExtVnfConnectivityData", "vnf.change_ext_conn"),
    "CHANGE_VNFPKG": ("changeVnfPackageData", "vnf.change_package"),
    "CREATE_VNF_SNAPSHOT": ("createSnapshotData", "vnf.create_snapshot"),
    "REVERT_VNF_TO_SNAPSHOT": ("revertVnfToSnapshotData", "vnf.revert_to_snapshot"),
}
"""Updates that are an operation of one or more members: where its data is, and the operation."""

ON_PATHS = ("ADD_VNFFG", "UPDATE_VNFFG", "REMOVE_VNFFG")
"""Updates of forwarding graphs. One whose paths cannot be laid is rolled back: the paths that were there stay."""

ON_SAPS = ("ADD_SAP", "REMOVE_SAP")
"""Updates of service access points. Paths that begin or end at one are laid again."""

ON_PNFS = ("ADD_PNF", "MODIFY_PNF", "REMOVE_PNF")
"""Updates of physical network functions. One that cannot be connected is rolled back."""

ON_LINKS = ("CREATE_NS_VIRTUAL_LINK", "DELETE_NS_VIRTUAL_LINK")
"""Updates of virtual links that nobody is on yet, or any more."""

WAN = "MODIFY_WAN_CONNECTION_INFO"
"""What is known of the WAN below virtual links changes; nothing is done."""

ON_NESTED = ("ADD_NESTED_NS", "REMOVE_NESTED_NS")
"""Updates of nested NSs: existing ones come in, whichever is there goes."""

ON_DESIGN: Mapping[str, Callable[[NsDesk, NsInstance, Mapping[str, Any]], NsGoal]] = {
    "CHANGE_NS_DF": redesign.reflavoured,
    "ASSOC_NEW_NSD_VERSION": redesign.reversioned,
}
"""Updates to another flavour or version of the NSD. One that fails is rolled back: the NS is as it was."""

MOVE = "MOVE_VNF"
"""Members go to another NS."""

SUPPORTED = (
    "INSTANTIATE_VNF",
    "ADD_VNF",
    "REMOVE_VNF",
    "TERMINATE_VNF",
    *ON_MEMBERS,
    "DELETE_VNF_SNAPSHOT_INFO",
    *ON_PATHS,
    *ON_SAPS,
    *ON_NESTED,
    *ON_DESIGN,
    *ON_PNFS,
    *ON_LINKS,
    WAN,
    MOVE,
)
BY_ITSELF = (MOVE, *ON_PATHS, *ON_SAPS, *ON_PNFS, *ON_LINKS, *ON_DESIGN)
"""Updates that are rolled back without asking."""

LEAVING = ("REMOVE_VNF", "TERMINATE_VNF")
"""One update under two names: V3.7.1 has the first, with `terminateVnfData` for how; older clients send the second."""


class UpdateNs(NsOperation):
    """Parameters: UpdateNsRequest (6.5.2.12) with `updateType` one of `SUPPORTED`."""

    name: ClassVar[str] = "ns.update"

    def goal(self, instance: NsInstance, params: Mapping[str, Any]) -> NsGoal:
        kind = params["updateType"]
        if kind not in SUPPORTED:
            fault = Fault(message=f"supported are: {', '.join(SUPPORTED)}", path="/updateType", code="update-type")
            raise InvalidError(f"cannot update an NS by {kind}", faults=[fault])
        change = CHANGES.get(kind)
        return change(self.desk, instance, params) if change else current(instance)

    def rolls_back(self, operation: Operation) -> bool:
        return operation.params["updateType"] in BY_ITSELF or super().rolls_back(operation)

    async def plan(self, operation: Operation) -> Plan:
        plan = await super().plan(operation)
        return moving.departed(plan) if operation.params["updateType"] == MOVE else plan

    async def besides(self, instance: NsInstance, params: Mapping[str, Any]) -> list[Step]:
        kind = params["updateType"]
        if kind == MOVE:
            return moving.handing_over(instance, params)
        if kind == "DELETE_VNF_SNAPSHOT_INFO":
            return [_forgetting(instance, params["deleteVnfSnapshotData"])]
        name, operation = ON_MEMBERS.get(kind, ("", ""))
        given = params.get(name, ())
        return [
            member_step(instance, entry["vnfInstanceId"], operation, _request(instance, operation, entry))
            for entry in ([given] if isinstance(given, Mapping) else given)
        ]


def _graphs(desk: NsDesk, instance: NsInstance, params: Mapping[str, Any]) -> NsGoal:
    """The forwarding graphs once they are as the request says."""
    flavour = desk.flavour(instance)
    now = vnffgs_of(flavour, instance)
    if params["updateType"] == "ADD_VNFFG":
        graphs = vnffgs.added(now, flavour, params["addVnffg"])
    elif params["updateType"] == "REMOVE_VNFFG":
        graphs = vnffgs.removed(now, params["removeVnffgId"])
    else:
        points = access_points(flavour, instance.saps)
        graphs = vnffgs.updated(now, instance, params["updateVnffg"], saps=points)
    return msgspec.structs.replace(current(instance), vnffgs=graphs)


def _points(desk: NsDesk, instance: NsInstance, params: Mapping[str, Any]) -> NsGoal:
    """The service access points once they are as the request says."""
    flavour = desk.flavour(instance)
    now = access_points(flavour, instance.saps)
    if params["updateType"] == "ADD_SAP":
        points = saps.added(now, flavour, params["addSap"], links_of(desk, instance, flavour))
    else:
        points = saps.removed(now, vnffgs_of(flavour, instance), params["removeSapId"])
    return msgspec.structs.replace(current(instance), saps=points)


def _machines(desk: NsDesk, instance: NsInstance, params: Mapping[str, Any]) -> NsGoal:
    """The physical network functions once they are as the request says."""
    goal, flavour = current(instance), desk.flavour(instance)
    if params["updateType"] == "ADD_PNF":
        after = pnfs.added(goal.pnfs, flavour, desk.pnfds(instance.tenant), params["addPnfData"])
    elif params["updateType"] == "MODIFY_PNF":
        after = pnfs.modified(goal.pnfs, params["modifyPnfData"])
    else:
        after = pnfs.removed(goal.pnfs, vnffgs_of(flavour, instance), params["removePnfId"])
    return msgspec.structs.replace(goal, pnfs=after)


def _wan(desk: NsDesk, instance: NsInstance, params: Mapping[str, Any]) -> NsGoal:
    goal = current(instance)
    return msgspec.structs.replace(
        goal, wan=wan.modified(goal.wan, desk.vim_ids(), params["modifyWanConnectionInfoData"])
    )


def _instantiated(desk: NsDesk, instance: NsInstance, params: Mapping[str, Any]) -> NsGoal:
    goal, flavour = current(instance), desk.flavour(instance)

    def chosen(profile: VnfProfile) -> tuple[str, str]:
        found = desk.vnf_flavour(profile, instance.tenant)[1]
        return found.id, profile.instantiation_level or check_level(found, "")

    for number, entry in enumerate(params.get("instantiateVnfData", ())):
        goal = requested.one_more(goal, flavour, entry, chosen, f"/instantiateVnfData/{number}")
    return goal


def _added(desk: NsDesk, instance: NsInstance, params: Mapping[str, Any]) -> NsGoal:
    goal = current(instance)
    for entry in params.get("addVnfInstance", params.get("addVnfIstance", ())):
        flavour = desk.flavour(instance)
        goal = adopting(goal, flavour, entry["vnfProfileId"], entry["vnfInstanceId"], instance.members)
    return goal


def _removed(_desk: NsDesk, instance: NsInstance, params: Mapping[str, Any]) -> NsGoal:
    named = dict.fromkeys((*params.get("removeVnfInstanceId", ()), *terminations(params)))
    return without(current(instance), [member_named(instance, id) for id in named])


def _nested(desk: NsDesk, instance: NsInstance, params: Mapping[str, Any]) -> NsGoal:
    goal = current(instance)
    if params["updateType"] == "REMOVE_NESTED_NS":
        return nested.leaving(goal, instance, params["removeNestedNsId"])
    entries = params["addNestedNsData"]
    return nested.taking_in(desk, instance, goal, desk.flavour(instance), entries, "addNestedNsData")


def _request(instance: NsInstance, operation: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """The member's request in an entry of the NS's."""
    if "additionalParam" in entry:  # the standard's spelling in this one place
        entry = {**entry, "additionalParams": entry["additionalParam"]}
    if operation == "vnf.change_ext_conn":
        entry = virtual_links.resolved(instance, entry)
    return {k: v for k, v in entry.items() if k not in ("vnfInstanceId", "additionalParam")}


def _forgetting(instance: NsInstance, entry: Mapping[str, Any]) -> Step:
    name, id = member_named(instance, entry["vnfInstanceId"]), entry["vnfSnapshotInfoId"]
    return Step(
        key=f"forget:{id}",
        action="member.forget_snapshot",
        note=f"snapshot {id} of VNF {name} goes",
        args={"snapshot": id, "vnf": entry["vnfInstanceId"]},
        timeout_s=600.0,
    )


CHANGES: Mapping[str, Callable[[NsDesk, NsInstance, Mapping[str, Any]], NsGoal]] = {
    "INSTANTIATE_VNF": _instantiated,
    "ADD_VNF": _added,
    **dict.fromkeys(LEAVING, _removed),
    **dict.fromkeys(ON_PATHS, _graphs),
    **dict.fromkeys(ON_SAPS, _points),
    **dict.fromkeys(ON_NESTED, _nested),
    **ON_DESIGN,
    MOVE: moving.departing,
    **dict.fromkeys(ON_PNFS, _machines),
    **dict.fromkeys(ON_LINKS, virtual_links.goal),
    WAN: _wan,
}
"""What the NS shall become by each update that changes what it consists of."""
