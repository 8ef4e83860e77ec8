"""Network services inside network services (SOL005 6.5.3.19a): which a composite NS has, makes and takes in.

Those that it makes come and go with it; those that were there before it are used and left. Pure but for `require_sound`, which
looks at the NSDs and instances that are named.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from skerry.engine.children import derive
from skerry.errors import ConflictError, Fault, InvalidError, NotFoundError
from skerry.model.descriptors import NsDeploymentFlavour
from skerry.model.nesting import NestedChange
from skerry.model.ns import NestedNs, NsdInfo, NsInstance
from skerry.model.operations import Step
from skerry.model.resources import Resource, Wanted
from skerry.model.states import InstantiationState, OperationalState
from skerry.nfvo.desk import NsDesk
from skerry.nfvo.goal import NsGoal, flavour_of, grown
from skerry.nfvo.joining import Joints, inner_links
from skerry.nfvo.nesting import require_alone
from skerry.store import aggregates

PREFIX = "ns:"
"""Begins the keys of nested NSs in the resource graph."""


def nested_of(resources: Mapping[str, Resource]) -> dict[str, NestedNs]:
    """The nested NSs that the resource graph has."""
    return {
        key.removeprefix(PREFIX): NestedNs(
            profile=resource.spec["profile"],
            ns_instance_id=resource.outputs["ns_instance_id"],
            existing=bool(resource.spec["existing"]),
        )
        for key, resource in resources.items()
        if resource.kind == "nested" and "ns_instance_id" in resource.outputs
    }


def wanted(goal: NsGoal, joints: Joints) -> dict[str, Wanted]:
    """The resources that stand for the nested NSs of a goal, with the networks that they are on. One that is there keeps the
    parameters that it was made with."""
    graph: dict[str, Wanted] = {}
    for profile_id, names in goal.nested.items():
        for name in names:
            spec, networks = _spec(goal, joints, profile_id, name)
            graph |= networks
            graph[f"{PREFIX}{name}"] = Wanted(
                key=f"{PREFIX}{name}",
                kind="nested",
                spec=spec,
                needs=tuple(networks),
                note=f"nested NS {name}",
                timeout_s=7200.0,
            )
    return graph


def _spec(goal: NsGoal, joints: Joints, profile_id: str, name: str) -> tuple[dict[str, Any], dict[str, Wanted]]:
    profile = joints.flavour.nested_profiles[profile_id]
    have = joints.recorded.get(f"{PREFIX}{name}")
    params = have.spec["params"] if have else goal.nested_params.get(profile_id, {})
    spec = {
        "profile": profile_id,
        "nsd_id": profile.nsd_id,
        "flavour_id": profile.flavour_id,
        "level_id": profile.instantiation_level,
        "existing": goal.taken_in.get(name, ""),
        "params": params,
    }
    if spec["existing"] or not profile.links:
        return spec, {}  # one that was there before keeps its own networks
    if have and (links := have.spec.get("links", {})).keys() == set(profile.links.values()):
        return {**spec, "links": links}, joints.again(links)
    links, networks = joints.join(profile, str(params.get("placement", {}).get("*", "")))
    return {**spec, "links": links}, networks


def parameters(params: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """NS profile → `additionalParamsForNs` of the nested NSs of it: ParamsForNestedNs, and the place where they shall be."""
    found: dict[str, dict[str, Any]] = {}
    for entry in params.get("additionalParamsForNestedNs", ()):
        for given in entry.get("additionalParam", ()):
            found.setdefault(entry["nsProfileId"], {}).update(given)
    for entry in params.get("nestedNsLocationConstraints", ()):
        if vim := (entry.get("locationConstraints") or {}).get("vimId"):
            own = found.setdefault(entry["nsProfileId"], {})
            own["placement"] = {"*": vim, **own.get("placement", {})}
    return found


def require_profiles(flavour: NsDeploymentFlavour, params: Mapping[str, Any]) -> None:
    """`InvalidError` names every NS profile of parameters for nested NSs that the NSD does not have."""
    known = ", ".join(flavour.nested_profiles) or "none"
    faults = [
        Fault(
            message=f"no NS profile '{entry['nsProfileId']}'; there are: {known}",
            path=f"/{name}/{number}",
            code="profile",
        )
        for name in ("additionalParamsForNestedNs", "nestedNsLocationConstraints")
        for number, entry in enumerate(params.get(name, ()))
        if entry["nsProfileId"] not in flavour.nested_profiles
    ]
    if faults:
        raise InvalidError("cannot use the parameters: " + "; ".join(one.message for one in faults), faults=faults)


def taking_in(
    desk: NsDesk,
    instance: NsInstance,
    goal: NsGoal,
    flavour: NsDeploymentFlavour,
    entries: Sequence[Mapping[str, Any]],
    at: str,
) -> NsGoal:
    """The goal with existing NSs (NestedNsInstanceData) as nested ones: each in place of one that is still to be made, else
    besides. Everything that is wrong with them is told at once: `NotFoundError` for those that this tenant does not have,
    `InvalidError` for those that do not fit, `ConflictError` for those whose state forbids it."""
    missing: list[Fault] = []
    wrong: list[Fault] = []
    unfit: list[Fault] = []
    for number, entry in enumerate(entries):
        id, path = entry["nestedNsInstanceId"], f"/{at}/{number}"
        found = aggregates.ns_instances.find(desk.database, id)
        if found is None or found.tenant != instance.tenant:
            missing.append(
                Fault(message=f"cannot find NS instance {id}", path=f"{path}/nestedNsInstanceId", code="not-found")
            )
            continue
        profile = entry.get("nsProfileId") or _profile_for(flavour, found.nsd_id)
        if problem := _misfit(desk, instance, goal, flavour, found, profile):
            wrong.append(Fault(message=problem, path=path, code="nested"))
        elif found.ns_state is not InstantiationState.INSTANTIATED:
            unfit.append(
                Fault(message=f"NS {id} is {found.ns_state}", path=path, code="state", fix="instantiate it first")
            )
        else:
            goal = _with(goal, flavour, instance, profile, id)
    for kind, faults in ((NotFoundError, missing), (InvalidError, wrong), (ConflictError, unfit)):
        if faults:
            raise kind("cannot take in nested NSs: " + "; ".join(one.message for one in faults), faults=faults)
    return goal


def _profile_for(flavour: NsDeploymentFlavour, nsd_id: str) -> str:
    return next((one.id for one in flavour.nested_profiles.values() if one.nsd_id == nsd_id), "")


def _misfit(
    desk: NsDesk, instance: NsInstance, goal: NsGoal, flavour: NsDeploymentFlavour, found: NsInstance, profile: str
) -> str:
    """Why an NS cannot be nested here; "" when it can."""
    if profile not in flavour.nested_profiles:
        known = ", ".join(flavour.nested_profiles) or "none"
        named = f"no NS profile '{profile}'" if profile else f"no NS profile for NSD {found.nsd_id}"
        return f"{named}; there are: {known}"
    if (nsd := flavour.nested_profiles[profile].nsd_id) != found.nsd_id:
        return f"NS {found.id} is of NSD {found.nsd_id}, not of {nsd}"
    if found.id in goal.taken_in.values() or found.id in _inner(instance):
        return f"NS {found.id} is nested in this NS already"
    if circle := cycle(desk, instance.id, found):
        return f"NS {found.id} would be nested in itself: {' -> '.join(circle)}"
    return ""


def cycle(desk: NsDesk, outer: str, inner: NsInstance) -> list[str]:
    """The way from `inner` down to the NS that shall contain it; empty when there is none."""

    def down(ns: NsInstance, path: list[str]) -> list[str]:
        way = [*path, ns.id]
        if ns.id == outer:
            return way
        below = (aggregates.ns_instances.find(desk.database, id) for id in _inner(ns) if id not in way)
        return next((found for one in below if one is not None and (found := down(one, way))), [])

    way = down(inner, [])
    return [outer, *way] if way else []


def _inner(ns: NsInstance) -> list[str]:
    """The NSs that are nested in this one, also those that it is only about to take in or make."""
    return [
        resource.spec["existing"] or derive(ns.id, key.removeprefix(PREFIX))
        for key, resource in ns.resources.items()
        if resource.kind == "nested"
    ]


def _with(goal: NsGoal, flavour: NsDeploymentFlavour, instance: NsInstance, profile: str, id: str) -> NsGoal:
    names = goal.nested.get(profile, ())
    there = {name for name in names if name in instance.nested}
    free = next((name for name in names if name not in goal.taken_in and name not in there), "")
    if not free:
        goal = grown(goal, flavour, {profile: len(names) + 1})
        free = next(name for name in goal.nested[profile] if name not in names)
    return msgspec.structs.replace(goal, taken_in={**goal.taken_in, free: id})


def leaving(goal: NsGoal, instance: NsInstance, ids: Iterable[str]) -> NsGoal:
    """The goal without these nested NSs. `InvalidError` names those that are not there."""
    names = {one.ns_instance_id: name for name, one in instance.nested.items()}
    known = ", ".join(names) or "none"
    faults = [
        Fault(message=f"no nested NS '{id}'; there are: {known}", path=f"/removeNestedNsId/{number}", code="nested")
        for number, id in enumerate(ids)
        if id not in names
    ]
    if faults:
        raise InvalidError("cannot remove nested NSs: " + "; ".join(one.message for one in faults), faults=faults)
    gone = {names[id] for id in ids}
    return msgspec.structs.replace(
        goal,
        nested={id: tuple(name for name in inside if name not in gone) for id, inside in goal.nested.items()},
        taken_in={name: id for name, id in goal.taken_in.items() if name not in gone},
    )


def step(ns: NsInstance, kind: str, params: Mapping[str, Any]) -> Step:
    """A step that runs one NS operation on a nested NS."""
    return Step(
        key=f"{kind}:{ns.id}",
        action="nested.run",
        note=f"{kind} of nested NS {ns.id}",
        args={"ns": ns.id, "nsd": ns.nsd_id, "kind": kind, "params": params},
        undo="nested.revert",
        undo_args={"ns": ns.id},
        timeout_s=7200.0,
        attempts=1,
    )


def changes(instance: NsInstance, steps: Iterable[Step]) -> list[NestedChange]:
    """What the steps of a plan do to nested NSs."""
    found: list[NestedChange] = []
    for one in steps:
        if one.action == "nested.run":
            nsd, type = str(one.args["nsd"]), str(one.args["kind"]).removeprefix("ns.").upper()
            found.append(NestedChange(ns_instance_id=one.args["ns"], nsd_id=nsd, change_type=type))
        elif one.action in ("nested.create", "nested.delete"):
            spec, name = one.args["spec"], one.resource.removeprefix(PREFIX)
            made = one.action == "nested.create"
            kinds = ("ADD", "REMOVE") if spec["existing"] else ("INSTANTIATE", "TERMINATE")
            id = spec["existing"] or derive(instance.id, name)
            found.append(NestedChange(ns_instance_id=id, nsd_id=spec["nsd_id"], change_type=kinds[0 if made else 1]))
    return found


# -- what the NSDs say -------------------------------------------------------------------------------------------------


def onboarded(desk: NsDesk, nsd_id: str, tenant: str) -> NsdInfo | None:
    """The tenant's enabled NSD of that identifier."""
    found = [one for one in aggregates.nsds.select(desk.database, nsd_id=nsd_id) if one.tenant == tenant]
    usable = [one for one in found if one.operational_state is OperationalState.ENABLED and one.package is not None]
    return usable[-1] if usable else None


def require_unshared(desk: NsDesk, instance: NsInstance, goal: NsGoal) -> None:
    """`ConflictError` when nested NSs that were made for this NS are to go while others use them too."""
    staying = {name for names in goal.nested.values() for name in names}
    for name, one in instance.nested.items():
        inner = aggregates.ns_instances.find(desk.database, one.ns_instance_id)
        if inner is not None and not one.existing and name not in staying:
            require_alone(inner, "terminate", within=instance.id)


def require_sound(desk: NsDesk, instance: NsInstance, flavour: NsDeploymentFlavour, goal: NsGoal) -> None:
    """`InvalidError` names every nested NS to be made that cannot be: its NSD is not onboarded, has no such flavour, or
    contains itself."""
    new = [
        profile
        for profile, names in goal.nested.items()
        if any(name not in instance.nested and name not in goal.taken_in for name in names)
    ]
    faults = [fault for id in new for fault in _unsound(desk, instance.tenant, flavour, id, (instance.nsd_id,))]
    if faults:
        raise InvalidError("cannot make nested NSs: " + "; ".join(one.message for one in faults), faults=faults)


def _unsound(
    desk: NsDesk, tenant: str, flavour: NsDeploymentFlavour, profile_id: str, above: tuple[str, ...]
) -> Iterator[Fault]:
    profile = flavour.nested_profiles[profile_id]
    way = (*above, profile.nsd_id)
    at = " -> ".join(way)
    if profile.nsd_id in above:
        yield Fault(message=f"NSDs are nested in a circle: {at}", path=profile_id, code="cycle", fix="correct one NSD")
        return
    info = onboarded(desk, profile.nsd_id, tenant)
    if info is None or info.package is None:
        message = f"there is no enabled NSD {profile.nsd_id} (nested by {at})"
        yield Fault(message=message, path=profile_id, code="nsd", fix="onboard and enable it")
        return
    try:
        inner = flavour_of(info.package.nsd, profile.flavour_id)
        inner_links(profile, inner)
    except InvalidError as error:
        yield from (msgspec.structs.replace(fault, path=profile_id) for fault in error.faults)
        return
    for id, below in inner.nested_profiles.items():
        if below.min_instances or below.nsd_id in way:
            yield from _unsound(desk, tenant, inner, id, way)
