"""What a request says of the VNFs that it makes: ParamsForVnf, InstantiateVnfData, VnfLocationConstraint (SOL005 6.5.3). Pure.

It is kept by VNF profile, or by member where later members of the profile are not meant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from skerry.errors import Fault, InvalidError
from skerry.model.descriptors import NsDeploymentFlavour, VnfProfile
from skerry.nfvo.goal import NsGoal, grown

TOLD = ("vnfInstanceName", "vnfInstanceDescription", "metadata", "extensions")
"""What is told to a VNF's record when it is made."""


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of VNFs of some profiles or members: their values, their places, and `TOLD`."""

    properties: Mapping[str, Mapping[str, Any]] = {}
    placement: Mapping[str, str] = {}
    told: Mapping[str, Mapping[str, Any]] = {}


def said(
    flavour: NsDeploymentFlavour,
    entries: Sequence[Mapping[str, Any]],
    names: Mapping[str, Sequence[str]] | None = None,
    *,
    at: str = "/additionalParamsForVnf",
) -> Said:
    """What ParamsForVnf says of whole profiles, or of the members `names` of each (profile -> members). `InvalidError` for
    profiles that there are not, or of which nothing is made."""
    faults: list[Fault] = []
    properties: dict[str, dict[str, Any]] = {}
    placement: dict[str, str] = {}
    told: dict[str, dict[str, Any]] = {}
    for number, entry in enumerate(entries):
        profile = entry["vnfProfileId"]
        targets = [profile] if names is None else names.get(profile, ())
        if profile not in flavour.vnf_profiles or not targets:
            message = (
                f"no VNF of profile '{profile}' is made" if profile in flavour.vnf_profiles else _none(flavour, profile)
            )
            faults.append(Fault(message=message, path=f"{at}/{number}/vnfProfileId", code="profile"))
        extra = dict(entry.get("additionalParams", {}))
        places = extra.pop("placement", {})
        for target in targets:
            placement |= {f"{target}/{vdu}" if vdu != "*" else target: vim for vdu, vim in places.items()}
            properties[target] = {**extra, **entry.get("vnfConfigurableProperty", {})}
            if words := {name: entry[name] for name in TOLD if entry.get(name)}:
                told[target] = _numbered(words, target) if len(targets) > 1 else words
    if faults:
        raise InvalidError("cannot take what is said of VNFs: " + "; ".join(f.message for f in faults), faults=faults)
    return Said(properties=properties, placement=placement, told=told)


def _numbered(words: Mapping[str, Any], member: str) -> dict[str, Any]:
    """What one of several members is told: names differ."""
    name = words.get("vnfInstanceName")
    return {**words, "vnfInstanceName": f"{name}-{member.rpartition('-')[2]}"} if name else dict(words)


def _none(flavour: NsDeploymentFlavour, profile: str) -> str:
    return f"no VNF profile '{profile}'; there are: {', '.join(sorted(flavour.vnf_profiles)) or 'none'}"


def fresh(before: NsGoal, after: NsGoal) -> dict[str, list[str]]:
    """Profile -> the members that the goal makes besides those that were there."""
    return {
        profile: new
        for profile, names in after.groups.items()
        if (new := [name for name in names if name not in before.groups.get(profile, ())])
    }


def with_said(before: NsGoal, after: NsGoal, what: Said, places: Mapping[str, str] | None = None) -> NsGoal:
    """The goal with what is said of the members that it makes; `places` is profile (or profile/VDU) -> infrastructure. What was
    said of members of the same names that are gone does not count for them."""
    new = {name: profile for profile, names in fresh(before, after).items() for name in names}
    chosen = {
        "/".join((name, *rest)): vim
        for key, vim in (places or {}).items()
        for profile, *rest in [key.split("/")]
        for name, own in new.items()
        if own == profile
    }
    return msgspec.structs.replace(
        after,
        properties={**_without(after.properties, new), **what.properties},
        placement={**_without(after.placement, new), **chosen, **what.placement},
        told={**_without(after.told, new), **what.told},
    )


def _without(known: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    gone = set(names)
    return {key: value for key, value in known.items() if key.partition("/")[0] not in gone}


def adopted(before: NsGoal, after: NsGoal, entries: Sequence[Mapping[str, Any]], at: str) -> NsGoal:
    """The goal with existing VNFs (VnfInstanceData) in the places of some that it would make."""
    free = fresh(before, after)
    taken = dict(after.adopted)
    for number, entry in enumerate(entries):
        names = free.get(entry.get("vnfProfileId", ""), [])
        if not names:
            message = f"no VNF of profile '{entry.get('vnfProfileId', '')}' comes whose place this one could take"
            fault = Fault(message=message, path=f"{at}/{number}/vnfProfileId", code="profile")
            raise InvalidError(f"cannot use VNF {entry['vnfInstanceId']}: {message}", faults=[fault])
        taken[names.pop(0)] = entry["vnfInstanceId"]
    return msgspec.structs.replace(after, adopted=taken)


def leaving_first(before: NsGoal, after: NsGoal, names: Sequence[str], at: str) -> NsGoal:
    """The goal with these members gone, in place of others of their profiles. `InvalidError` where so many do not go."""
    groups = dict(after.groups)
    for profile, had in before.groups.items():
        meant = [name for name in had if name in names]
        count = len(groups.get(profile, ()))
        if meant and len(had) - count < len(meant):
            message = f"{max(len(had) - count, 0)} of {profile} go, and {len(meant)} are named"
            raise InvalidError(f"cannot scale: {message}", faults=[Fault(message=message, path=at, code="members")])
        if meant:
            staying = [name for name in had if name not in meant][:count]
            groups[profile] = tuple(staying)
    kept = {name for names_ in groups.values() for name in names_}
    adopted_ = {name: id for name, id in after.adopted.items() if name in kept}
    return msgspec.structs.replace(after, groups=groups, adopted=adopted_)


def one_more(goal: NsGoal, flavour: NsDeploymentFlavour, entry: Mapping[str, Any], chosen: Chosen, at: str) -> NsGoal:
    """The goal with one more member, of the profile that InstantiateVnfData means. `chosen` tells which flavour and level of
    its VNFD the NSD chose for a profile: a request may name them, and no others."""
    profile = entry.get("vnfProfileId") or next(
        (p.id for p in flavour.vnf_profiles.values() if p.vnfd_id == entry.get("vnfdId")), ""
    )
    if profile not in flavour.vnf_profiles:
        fault = Fault(message=_none(flavour, profile), path=f"{at}/vnfProfileId", code="profile")
        raise InvalidError(f"cannot add a VNF of profile '{profile}'", faults=[fault])
    _require_same(entry, (flavour.vnf_profiles[profile].vnfd_id, *chosen(flavour.vnf_profiles[profile])), at)
    after = grown(goal, flavour, {profile: len(goal.groups.get(profile, ())) + 1})
    ((name,),) = fresh(goal, after).values()
    places = {"/".join((profile, vdu) if vdu else (profile,)): vim for vdu, vim in entry.get("placement", {}).items()}
    what = said(flavour, [{**entry, "vnfProfileId": profile}], {profile: [name]}, at=at)
    return with_said(goal, after, what, places)


Chosen = Callable[[VnfProfile], tuple[str, str]]


def _require_same(entry: Mapping[str, Any], chosen: tuple[str, str, str], at: str) -> None:
    names = ("vnfdId", "vnfFlavourId", "vnfInstantiationLevelId")
    faults = [
        Fault(message=f"the NSD chose {own or 'none'}", path=f"{at}/{name}", code="choice", fix="leave it out")
        for name, own in zip(names, chosen, strict=True)
        if entry.get(name) not in (None, own)
    ]
    if faults:
        raise InvalidError("cannot add a VNF otherwise than the NSD describes it", faults=faults)


def terminations(params: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """VNF → the TerminateVnfRequest that TerminateVnfData (6.5.3.57) asks for."""
    names = ("terminationType", "gracefulTerminationTimeout", "additionalParams")
    return {
        entry["vnfInstanceId"]: {"terminationType": "GRACEFUL", **{k: entry[k] for k in names if k in entry}}
        for entry in params.get("terminateVnfData", ())
    }
