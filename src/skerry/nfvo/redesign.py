"""Another flavour of the NSD (SOL005 6.5.3.39), or another version of it (6.5.3.34), for an NS that runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from skerry.errors import ConflictError, Fault, InvalidError
from skerry.model.descriptors import NsDeploymentFlavour, NsProfile, VnfProfile
from skerry.model.ns import NsInstance
from skerry.model.operations import Operation
from skerry.model.resources import Resource, Wanted
from skerry.model.saps import access_points
from skerry.model.states import OperationState
from skerry.nfvo import nested
from skerry.nfvo.desk import NsDesk
from skerry.nfvo.goal import NsGoal, counts_at, current, flavour_of, grown
from skerry.nfvo.graph import vnffgs_of
from skerry.store import aggregates, journal
from skerry.store.database import Database, Transaction
from skerry.vnfm.goal import require_inputs

BECOMING = ("vnf.change_package", "vnf.change_flavour", "vnf.scale_to_level")
"""The operations with which a VNF becomes what another descriptor wants it to be, without being made anew."""


def reflavoured(desk: NsDesk, instance: NsInstance, params: Mapping[str, Any]) -> NsGoal:
    """CHANGE_NS_DF: what both flavours have stays, the rest goes or comes, in the numbers of the level that is asked for or the
    flavour's default one. `InvalidError` names everything that is wrong."""
    data = params["changeNsFlavourData"]
    wished, level = data["newNsFlavourId"], data.get("instantiationLevelId", "")
    nsd = desk.descriptor(instance.nsd_info_id, instance.inputs)
    faults: list[Fault] = []
    if wished not in nsd.flavours:
        known = ", ".join(sorted(nsd.flavours))
        faults.append(_fault("newNsFlavourId", f"there is no NS flavour '{wished}'; there are: {known}", "flavour"))
    elif wished == instance.flavour_id:
        faults.append(_fault("newNsFlavourId", f"the NS has flavour '{wished}' already", "flavour"))
    elif level and level not in nsd.flavours[wished].levels:
        known = ", ".join(sorted(nsd.flavours[wished].levels)) or "none"
        faults.append(_fault("instantiationLevelId", f"there is no level '{level}'; there are: {known}", "level"))
    if faults:
        raise InvalidError("cannot change the flavour: " + "; ".join(one.message for one in faults), faults=faults)
    flavour = nsd.flavours[wished]
    require_inputs(flavour.inputs, instance.inputs)
    goal = msgspec.structs.replace(
        fitting(current(instance), flavour),
        level_id=level or flavour.default_level_id,
        scale_status=dict.fromkeys(flavour.scaling_aspects, 0),
    )
    return grown(goal, flavour, counts_at(flavour, level))


def _fault(name: str, message: str, code: str) -> Fault:
    return Fault(message=message, path=f"/changeNsFlavourData/{name}", code=code)


def reversioned(desk: NsDesk, instance: NsInstance, params: Mapping[str, Any]) -> NsGoal:
    """ASSOC_NEW_NSD_VERSION: with `sync` the NS becomes what the new version says; without, it stays as it is, and the new
    version says what comes from now on."""
    data = params["assocNewNsdVersionData"]
    new, sync = data["newNsdId"], bool(data.get("sync"))
    info = nested.onboarded(desk, new, instance.tenant)
    nsd = info.package.nsd if info and info.package else None
    old = desk.descriptor(instance.nsd_info_id, instance.inputs)
    problem = ""
    if info is None or nsd is None:
        problem = f"there is no enabled NSD {new}"
    elif (nsd.invariant_id or nsd.id) != (old.invariant_id or old.id):
        problem = f"NSD {new} is no version of {old.invariant_id or old.id} but of {nsd.invariant_id or nsd.id}"
    elif new == instance.nsd_id and not (sync and instance.kept):
        problem = f"the NS follows NSD {new} already"
    elif instance.flavour_id not in nsd.flavours:
        problem = f"NSD {new} has no flavour '{instance.flavour_id}'"
    if info is None or problem:
        fault = Fault(message=problem, path="/assocNewNsdVersionData/newNsdId", code="nsd")
        raise InvalidError(f"cannot use the new version: {problem}", faults=[fault])
    if instance.kept and new != instance.nsd_id:
        raise ConflictError(
            f"cannot associate NSD {new}: the NS is not in step with {instance.nsd_id} yet",
            suggestion=f"associate {instance.nsd_id} with sync true first",
        )
    flavour = flavour_of(desk.descriptor(info.id, instance.inputs), instance.flavour_id)
    now = msgspec.structs.replace(current(instance), nsd_id=new, nsd_info_id=info.id)
    if not sync:
        kept = desk.flavour(instance)
        points = access_points(kept, instance.saps)
        return msgspec.structs.replace(now, kept=kept, saps=points, vnffgs=vnffgs_of(kept, instance))
    require_inputs(flavour.inputs, instance.inputs)
    return _synchronized(now, flavour)


def _synchronized(now: NsGoal, flavour: NsDeploymentFlavour) -> NsGoal:
    """The numbers stay as far as the profiles allow, those of new profiles are the level's."""
    level = now.level_id if now.level_id in flavour.levels else ""
    there = {**now.groups, **now.nested}
    counts = counts_at(flavour, level)
    profiles: dict[str, VnfProfile | NsProfile] = {**flavour.vnf_profiles, **flavour.nested_profiles}
    counts |= {id: min(len(there[id]), profiles[id].max_instances) for id in counts if id in there}
    aspects = flavour.scaling_aspects
    status = {id: min(now.scale_status.get(id, 0), aspects[id].max_scale_level) for id in aspects}
    goal = msgspec.structs.replace(
        fitting(now, flavour), level_id=level or flavour.default_level_id, scale_status=status
    )
    return grown(goal, flavour, counts)


def fitting(now: NsGoal, flavour: NsDeploymentFlavour) -> NsGoal:
    """The goal with what this flavour has too. Its access points and forwarding graphs are the flavour's."""
    groups = {id: names for id, names in now.groups.items() if id in flavour.vnf_profiles}
    inside = {id: names for id, names in now.nested.items() if id in flavour.nested_profiles}
    members = {name for names in groups.values() for name in names}
    services = {name for names in inside.values() for name in names}
    return msgspec.structs.replace(
        now,
        flavour_id=flavour.id,
        groups=groups,
        adopted={name: id for name, id in now.adopted.items() if name in members},
        nested=inside,
        taken_in={name: id for name, id in now.taken_in.items() if name in services},
        pnfs={name: pnf for name, pnf in now.pnfs.items() if pnf.profile in flavour.pnf_profiles},
        virtual_links={id: one for id, one in now.virtual_links.items() if one in flavour.virtual_links},
        steered={id: points for id, points in now.steered.items() if id in flavour.vnf_profiles},
        vnffgs=None,
        saps=None,
        kept=None,
    )


def returning_to(source: Database | Transaction, nsd_info_id: str) -> int:
    """How many NSs are on their way from this NSD to another version of it, and may be rolled back to it, or wait until they
    go to it."""
    under_way = (OperationState.PROCESSING, OperationState.FAILED_TEMP, OperationState.ROLLING_BACK)
    found = [
        one for state in under_way for one in journal.operations.select(source, kind="ns.update", state=state.value)
    ]
    return sum(_on_its_way(source, one, nsd_info_id) for one in found)


def _on_its_way(source: Database | Transaction, update: Operation, nsd_info_id: str) -> bool:
    """Whether an update ends with this NSD, and the NS's record does not say so now."""
    outcome = update.plan.outcome if update.plan else {}
    ends = {outcome.get(name, {}).get("nsd_info_id") for name in ("before", "goal")}
    if nsd_info_id not in ends or len(ends) == 1:
        return False
    instance = aggregates.ns_instances.find(source, update.subject)
    return instance is not None and instance.nsd_info_id != nsd_info_id


# -- members that become others ----------------------------------------------------------------------------------------


def keeping(
    desk: NsDesk, graph: Mapping[str, Wanted], recorded: Mapping[str, Resource], tenant: str
) -> dict[str, Wanted]:
    """The graph, where a member whose profile names another VNFD of the same product becomes that instead of being replaced."""

    def kept(want: Wanted) -> Wanted:
        have = recorded.get(want.key)
        if want.kind != "member" or have is None or have.spec["vnfd_id"] == want.spec["vnfd_id"]:
            return want
        vnf = aggregates.vnf_instances.find(desk.database, str(have.outputs.get("vnf_instance_id", "")))
        vnfd = desk.vnfd(want.spec["vnfd_id"], tenant)
        if vnf is None or (vnf.vnf_provider, vnf.vnf_product_name) != (vnfd.provider, vnfd.product_name):
            return want
        return msgspec.structs.replace(want, in_place=(*want.in_place, "vnfd_id"))

    return {key: kept(want) for key, want in graph.items()}


def becoming(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The operation that makes a VNF of one member's spec into that of another, with its request; ("", {}) where none is
    needed."""
    level = {"instantiationLevelId": after["level_id"]} if after["level_id"] != before["level_id"] else {}
    level = {name: id for name, id in level.items() if id}
    if after["vnfd_id"] != before["vnfd_id"]:
        return "vnf.change_package", {"vnfdId": after["vnfd_id"], **level}
    if after["flavour_id"] != before["flavour_id"]:
        return "vnf.change_flavour", {"newFlavourId": after["flavour_id"], **level}
    return ("vnf.scale_to_level", level) if level else ("", {})
