"""What a network service shall become: pure functions from a record, its descriptor and a request."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from skerry.engine.children import derive
from skerry.errors import Fault, InvalidError
from skerry.model.descriptors import Nsd, NsDeploymentFlavour, NsProfile, Vnffg, VnfProfile
from skerry.model.ns import NsInstance
from skerry.model.pnfs import Pnf, pnfs_of
from skerry.model.saps import AccessPoint
from skerry.model.virtual_links import own_links
from skerry.model.wan import WanConnections
from skerry.vnfm.goal import populate


class NsGoal(msgspec.Struct, frozen=True, kw_only=True):
    """The part of an NS's record that an operation decides. `groups` is VNF profile → its members' names, `adopted` member
    name → the VNF instance that existed before, `identities` member name → the VNF instance where that does not follow from
    the name. `nested` is NS profile → names of nested NSs, `taken_in` name → the NS instance that existed before,
    `nested_params` NS profile → additional parameters of those that are made."""

    flavour_id: str
    nsd_id: str = ""  # "" as recorded
    nsd_info_id: str = ""
    kept: NsDeploymentFlavour | None = None
    level_id: str = ""
    scale_status: Mapping[str, int] = {}
    groups: Mapping[str, tuple[str, ...]] = {}
    adopted: Mapping[str, str] = {}
    identities: Mapping[str, str] = {}
    nested: Mapping[str, tuple[str, ...]] = {}
    taken_in: Mapping[str, str] = {}
    nested_params: Mapping[str, Mapping[str, Any]] = {}
    joined: Mapping[str, tuple[str, str]] = {}  # virtual link -> (VIM, network) of the NS that it is nested in
    pnfs: Mapping[str, Pnf] = {}
    virtual_links: Mapping[str, str] = {}  # those asked for by themselves -> their profiles
    placement: Mapping[str, str] = {}
    inputs: Mapping[str, Any] = {}
    properties: Mapping[str, Mapping[str, Any]] = {}
    affinity: tuple[Mapping[str, Any], ...] = ()  # rules of the request, as AffinityOrAntiAffinityRule
    told: Mapping[str, Mapping[str, Any]] = {}  # profile or member -> what its VNFs are told when they are made
    vnffgs: Mapping[str, Vnffg] | None = None  # None: those of the NSD
    saps: Mapping[str, AccessPoint] | None = None  # None: those of the NSD
    steered: Mapping[str, tuple[str, ...]] = {}
    ssh_keys: tuple[str, ...] = ()  # names of keys that open every VNFC of every member
    wan: WanConnections = {}


def current(instance: NsInstance) -> NsGoal:
    """The goal that the record stands for now."""
    groups: dict[str, tuple[str, ...]] = {}
    for name, member in instance.members.items():
        groups[member.profile] = (*groups.get(member.profile, ()), name)
    nested: dict[str, tuple[str, ...]] = {}
    for name, inner in instance.nested.items():
        nested[inner.profile] = (*nested.get(inner.profile, ()), name)
    return NsGoal(
        flavour_id=instance.flavour_id,
        nsd_id=instance.nsd_id,
        nsd_info_id=instance.nsd_info_id,
        kept=instance.kept,
        level_id=instance.level_id,
        scale_status=instance.scale_status,
        groups=groups,
        adopted={name: m.vnf_instance_id for name, m in instance.members.items() if m.existing},
        identities={
            name: m.vnf_instance_id
            for name, m in instance.members.items()
            if not m.existing and m.vnf_instance_id != derive(instance.id, name)
        },
        nested=nested,
        taken_in={name: one.ns_instance_id for name, one in instance.nested.items() if one.existing},
        nested_params=instance.nested_params,
        joined=instance.joined,
        pnfs=pnfs_of(instance.resources),
        virtual_links=own_links(instance.resources),
        placement=instance.placement,
        inputs=instance.inputs,
        properties=instance.properties,
        told=instance.told,
        affinity=instance.affinity,
        vnffgs=instance.vnffgs,
        saps=instance.saps,
        steered=instance.steered,
        ssh_keys=instance.ssh_keys,
        wan=instance.wan,
    )


def flavour_of(nsd: Nsd, flavour_id: str) -> NsDeploymentFlavour:
    """The flavour, or the default one for ""."""
    chosen = flavour_id or nsd.default_flavour or (next(iter(nsd.flavours)) if len(nsd.flavours) == 1 else "")
    if chosen in nsd.flavours:
        return nsd.flavours[chosen]
    known = ", ".join(sorted(nsd.flavours)) or "none"
    fault = Fault(message=f"the flavours are: {known}", path="/nsFlavourId", code="flavour", fix="choose one of them")
    raise InvalidError(f"cannot use deployment flavour '{flavour_id}' of NSD {nsd.id}", faults=[fault])


def counts_at(flavour: NsDeploymentFlavour, level_id: str) -> dict[str, int]:
    """VNF or NS profile → number of its instances at an NS level (profiles that it does not name have their minimum)."""
    chosen = level_id or flavour.default_level_id
    if chosen and chosen not in flavour.levels:
        known = ", ".join(sorted(flavour.levels)) or "none"
        fault = Fault(message=f"the levels are: {known}", path="/nsInstantiationLevelId", code="level")
        raise InvalidError(f"cannot use NS instantiation level '{chosen}'", faults=[fault])
    profiles: dict[str, VnfProfile | NsProfile] = {**flavour.vnf_profiles, **flavour.nested_profiles}
    counts = {id: profile.min_instances for id, profile in profiles.items()}
    return counts | (dict(flavour.levels[chosen].vnf_counts) if chosen else {})


def grown(goal: NsGoal, flavour: NsDeploymentFlavour, counts: Mapping[str, int]) -> NsGoal:
    """The goal with other counts of members and nested NSs. `InvalidError` names every count that the profiles forbid."""
    faults = []
    for profile_id, count in counts.items():
        if profile_id not in flavour.vnf_profiles and profile_id not in flavour.nested_profiles:
            known = ", ".join(sorted((*flavour.vnf_profiles, *flavour.nested_profiles))) or "none"
            faults.append(Fault(message=f"no VNF profile '{profile_id}'; there are: {known}", code="profile"))
        elif count < 0:
            faults.append(Fault(message=f"'{profile_id}' cannot have {count} members", code="bounds"))
    if faults:
        raise InvalidError("cannot size the NS: " + "; ".join(fault.message for fault in faults), faults=faults)
    nested = {id: count for id, count in counts.items() if id in flavour.nested_profiles}
    members = {id: count for id, count in counts.items() if id not in nested}
    return msgspec.structs.replace(
        goal, groups=_populated(goal.groups, members), nested=_populated(goal.nested, nested, last=goal.taken_in)
    )


def _populated(
    have: Mapping[str, tuple[str, ...]], counts: Mapping[str, int], last: Mapping[str, str] | None = None
) -> dict[str, tuple[str, ...]]:
    """With other counts. Where some have to go, those of `last` go last."""
    first = [name for names in have.values() for name in reversed(names) if name not in last] if last else []
    return populate(have, {**{id: len(names) for id, names in have.items()}, **counts}, first)


def scaled(goal: NsGoal, flavour: NsDeploymentFlavour, aspect_id: str, level: int) -> NsGoal:
    """The goal with one NS scaling aspect at another level."""
    aspect = flavour.scaling_aspects.get(aspect_id)
    known = ", ".join(sorted(flavour.scaling_aspects)) or "none"
    if aspect is None:
        fault = Fault(message=f"no NS scaling aspect '{aspect_id}'; there are: {known}", code="aspect")
        raise InvalidError(f"cannot scale: {fault.message}", faults=[fault])
    top = max(aspect.max_scale_level, len(aspect.vnf_counts) - 1)
    if not 0 <= level <= top:
        fault = Fault(message=f"level of '{aspect_id}' goes from 0 to {top}, asked is {level}", code="scale-level")
        raise InvalidError(f"cannot scale: {fault.message}", faults=[fault])
    status = {**goal.scale_status, aspect_id: level}
    return msgspec.structs.replace(grown(goal, flavour, aspect.vnf_counts[level]), scale_status=status)


def without(goal: NsGoal, members: Sequence[str]) -> NsGoal:
    """The goal without these members."""
    groups = {id: tuple(name for name in names if name not in members) for id, names in goal.groups.items()}
    adopted = {name: id for name, id in goal.adopted.items() if name not in members}
    return msgspec.structs.replace(goal, groups=groups, adopted=adopted)


def adopting(
    goal: NsGoal, flavour: NsDeploymentFlavour, profile: str, vnf_instance_id: str, there: Collection[str] = ()
) -> NsGoal:
    """The goal with an existing VNF as one more member: in place of one that is to be made, else besides. `there` are the
    members that run."""
    names = goal.groups.get(profile, ())
    free = next((name for name in names if name not in goal.adopted and name not in there), "")
    if not free:
        goal = grown(goal, flavour, {profile: len(names) + 1})
        free = next(name for name in goal.groups[profile] if name not in names)
    return msgspec.structs.replace(goal, adopted={**goal.adopted, free: vnf_instance_id})
