"""VNFs that move from one NS to another of the same tenant (SOL005 6.5.3.35).

The NS that they leave asks the other to receive them, by an operation of that one's own: so both are held meanwhile. The
connection points of each VNF go to the virtual links of its new NS; then, in one transaction, it is in that one's record and
no longer in this one's. Until then the old record has it, and a rollback puts it back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from skerry.engine.children import derive
from skerry.errors import ConflictError, Fault, InvalidError, NotFoundError
from skerry.model.descriptors import NsDeploymentFlavour
from skerry.model.ns import FORWARDING, NsInstance
from skerry.model.ns_changes import VNFS
from skerry.model.operations import Plan, Step
from skerry.model.resources import Resource
from skerry.model.states import InstantiationState
from skerry.model.vnf import VnfInstance
from skerry.nfvo.desk import NsDesk
from skerry.nfvo.goal import NsGoal, current, grown, without
from skerry.nfvo.graph import members_of
from skerry.store import aggregates
from skerry.store.database import Transaction

MEMBER = "vnf:"
TIMEOUT_S = 7200.0


# -- the NS that they leave --------------------------------------------------------------------------------------------


def departing(desk: NsDesk, instance: NsInstance, params: Mapping[str, Any]) -> NsGoal:
    """The goal without the VNFs that move. Everything that is wrong is told at once: `NotFoundError` for NSs that this tenant
    does not have, `InvalidError` for VNFs that cannot move there, `ConflictError` for NSs whose state forbids it."""
    missing: list[Fault] = []
    wrong: list[Fault] = []
    unfit: list[Fault] = []
    names = {member.vnf_instance_id: name for name, member in instance.members.items()}
    going: list[str] = []
    for number, entry in enumerate(params["moveVnfInstanceData"]):
        at, id = f"/moveVnfInstanceData/{number}", entry["targetNsInstanceId"]
        target = aggregates.ns_instances.find(desk.database, id)
        if target is None or target.tenant != instance.tenant:
            path = f"{at}/targetNsInstanceId"
            missing.append(Fault(message=f"cannot find NS instance {id}", path=path, code="not-found"))
            continue
        if target.id == instance.id:
            message = "the VNFs are in this NS already"
            wrong.append(Fault(message=message, path=f"{at}/targetNsInstanceId", code="target"))
        elif target.ns_state is not InstantiationState.INSTANTIATED:
            unfit.append(
                Fault(message=f"NS {id} is {target.ns_state}", path=at, code="state", fix="instantiate it first")
            )
        else:
            wrong += _unmovable(desk, target, names, going, entry.get("vnfInstanceId", ()), at)
        going += entry.get("vnfInstanceId", ())
    for kind, faults in ((NotFoundError, missing), (InvalidError, wrong), (ConflictError, unfit)):
        if faults:
            raise kind("cannot move the VNFs: " + "; ".join(one.message for one in faults), faults=faults)
    return without(current(instance), [names[id] for id in going])


def _unmovable(
    desk: NsDesk, target: NsInstance, names: Mapping[str, str], going: Sequence[str], ids: Sequence[str], at: str
) -> list[Fault]:
    flavour = desk.flavour(target)
    faults: list[Fault] = []
    if not ids:
        faults.append(Fault(message="no VNF is named", path=f"{at}/vnfInstanceId", code="missing", fix="name one"))
    for number, id in enumerate(ids):
        problem = ""
        if id not in names:
            problem = f"VNF {id} is not in this NS; there are: {', '.join(names) or 'none'}"
        elif id in (*going, *ids[:number]):
            problem = f"VNF {id} cannot move twice"
        else:
            vnf = aggregates.vnf_instances.get(desk.database, id)
            if not _profile(flavour, vnf):
                problem = f"NS {target.id} has no profile for VNFD {vnf.vnfd_id} in flavour '{vnf.flavour_id}'"
        if problem:
            faults.append(Fault(message=problem, path=f"{at}/vnfInstanceId/{number}", code="vnf"))
    return faults


def _profile(flavour: NsDeploymentFlavour, vnf: VnfInstance) -> str:
    """The profile of a flavour that a VNF fits; "" for none."""
    fits = [
        one.id
        for one in flavour.vnf_profiles.values()
        if one.vnfd_id == vnf.vnfd_id and one.flavour_id in ("", vnf.flavour_id)
    ]
    return next(iter(fits), "")


def handing_over(instance: NsInstance, params: Mapping[str, Any]) -> list[Step]:
    """One step for each NS that VNFs move to."""
    names = {member.vnf_instance_id: name for name, member in instance.members.items()}
    steps: list[Step] = []
    for number, entry in enumerate(params["moveVnfInstanceData"]):
        vnfs = {
            id: msgspec.to_builtins(instance.resources[f"{MEMBER}{names[id]}"]) for id in entry.get("vnfInstanceId", ())
        }
        target = entry["targetNsInstanceId"]
        if vnfs:
            steps.append(
                Step(
                    key=f"move:{number}",
                    action="member.hand_over",
                    note=f"move {', '.join(names[id] for id in vnfs)} to NS {target}",
                    args={"target": target, "from": instance.id, "vnfs": vnfs},
                    undo="member.take_home",
                    undo_args={"target": target, "from": instance.id, "vnfs": vnfs},
                    timeout_s=TIMEOUT_S,
                    attempts=1,
                )
            )
    return steps


def departed(plan: Plan) -> Plan:
    """The plan of the NS that they leave: nothing is done to them, and what they were on goes after they have gone."""
    moves = {f"delete:{one['key']}": step.key for step in plan.steps for one in step.args.get("vnfs", {}).values()}
    paths = tuple(step.key for step in plan.steps if step.resource == FORWARDING)  # laid without them before they go

    def changed(step: Step) -> Step:
        if step.key in moves:
            needs = (*step.needs, moves[step.key])
            return Step(key=step.key, action="member.left", note=f"{step.resource} has left", needs=needs)
        hands = step.action == "member.hand_over"
        return msgspec.structs.replace(step, needs=(*step.needs, *paths)) if hands else step

    steps = [changed(step) for step in plan.steps]
    gone = {id for step in plan.steps for id in step.args.get("vnfs", {})}
    return msgspec.structs.replace(plan, steps=tuple(steps), outcome=_renamed(plan.outcome, gone, "REMOVE"))


def _renamed(outcome: Mapping[str, Any], vnfs: set[str], verb: str) -> dict[str, Any]:
    """What a plan says of VNFs that move: they are neither made nor terminated."""
    told = [{**one, "change_type": verb} if one["vnf_instance_id"] in vnfs else one for one in outcome.get(VNFS, ())]
    return {**outcome, VNFS: told} if told else dict(outcome)


# -- the NS that they come to ------------------------------------------------------------------------------------------


def arriving(desk: NsDesk, instance: NsInstance, params: Mapping[str, Any]) -> NsGoal:
    """The goal with the VNFs of another NS, those that existed before that one marked as such."""
    goal, flavour = current(instance), desk.flavour(instance)
    for id, origin in params["vnfs"].items():
        vnf = desk.vnfm.instance(id, tenant=instance.tenant)
        profile = _profile(flavour, vnf)
        if not profile:
            raise InvalidError(f"cannot receive VNF {id}: NS {instance.id} has no profile for VNFD {vnf.vnfd_id}")
        names = goal.groups.get(profile, ())
        goal = grown(goal, flavour, {profile: len(names) + 1})
        name = next(name for name in goal.groups[profile] if name not in names)
        if origin["spec"]["existing"]:
            goal = msgspec.structs.replace(goal, adopted={**goal.adopted, name: id})
        else:
            goal = msgspec.structs.replace(goal, identities={**goal.identities, name: id})
    return goal


def received(plan: Plan, params: Mapping[str, Any]) -> Plan:
    """The plan of the NS that they come to: they are not made but taken over."""

    def taken(step: Step) -> Step:
        spec = step.args.get("spec", {})
        id = spec.get("existing") or spec.get("vnf_id", "")
        if step.action != "member.create" or id not in params["vnfs"]:
            return step
        origin = {"from": params["from"], "origin": params["vnfs"][id], "vnf": id}
        return msgspec.structs.replace(
            step,
            action="member.receive",
            args={**step.args, **origin},
            undo="member.send_back",
            undo_args={**step.undo_args, **origin},
            attempts=1,
        )

    steps = tuple(taken(step) for step in plan.steps)
    return msgspec.structs.replace(plan, steps=steps, outcome=_renamed(plan.outcome, set(params["vnfs"]), "ADD"))


def returning(instance: NsInstance, params: Mapping[str, Any]) -> NsGoal:
    """The goal of the NS that they came to, without them."""
    return without(
        current(instance), [name for name, one in instance.members.items() if one.vnf_instance_id in params["vnfs"]]
    )


def returned(instance: NsInstance, plan: Plan, params: Mapping[str, Any]) -> Plan:
    """The plan of the NS that they came to when they go home."""

    def sent(step: Step) -> Step:
        member = instance.members.get(step.resource.removeprefix(MEMBER))
        if step.action != "member.delete" or member is None:
            return step
        id = member.vnf_instance_id
        origin = {"from": params["from"], "origin": params["vnfs"][id], "vnf": id}
        return msgspec.structs.replace(
            step, action="member.send_back", args={**step.args, **origin}, undo="", attempts=1
        )

    steps = tuple(sent(step) for step in plan.steps)
    return msgspec.structs.replace(plan, steps=steps, outcome=_renamed(plan.outcome, set(params["vnfs"]), "REMOVE"))


# -- the records -------------------------------------------------------------------------------------------------------


def take(tx: Transaction, args: Mapping[str, Any], ns_id: str) -> None:
    """The VNF is the NS's now: the other one's record has it no more."""
    key = args["origin"]["key"]
    _change(tx, args["from"], lambda has: {other: one for other, one in has.items() if other != key})
    _belong(tx, args, ns_id)


def give_back(tx: Transaction, args: Mapping[str, Any]) -> None:
    """The VNF is again what it was before it moved."""
    origin = msgspec.convert(args["origin"], Resource)
    _change(tx, args["from"], lambda has: {**has, origin.key: has.get(origin.key, origin)})
    _belong(tx, args, args["from"])


def _change(tx: Transaction, ns_id: str, how: Callable[[Mapping[str, Resource]], Mapping[str, Resource]]) -> None:
    def record(ns: NsInstance) -> NsInstance:
        resources = how(ns.resources)
        return msgspec.structs.replace(ns, resources=resources, members=members_of(resources))

    aggregates.ns_instances.change(tx, ns_id, record)


def _belong(tx: Transaction, args: Mapping[str, Any], ns_id: str) -> None:
    """A VNF that an NS made is its; one that existed before is nobody's."""
    if not args["origin"]["spec"]["existing"]:
        aggregates.vnf_instances.change(tx, args["vnf"], lambda vnf: msgspec.structs.replace(vnf, ns_id=ns_id))


# -- which VNF a member is ---------------------------------------------------------------------------------------------


def identity(ns_id: str, name: str, spec: Mapping[str, Any]) -> str:
    """The VNF instance of a member that the NS made or took over."""
    return str(spec.get("vnf_id") or derive(ns_id, name))


def distinct(desk: NsDesk, instance: NsInstance, goal: NsGoal) -> NsGoal:
    """The goal, where a new member whose identifier a VNF has that moved away gets another."""
    found = dict(goal.identities)
    for names in goal.groups.values():
        for name in names:
            if name not in found and name not in goal.adopted and f"{MEMBER}{name}" not in instance.resources:
                id = _free(desk, instance.id, name)
                found |= {name: id} if id != derive(instance.id, name) else {}
    return msgspec.structs.replace(goal, identities=found)


def _free(desk: NsDesk, ns_id: str, name: str) -> str:
    id, number = derive(ns_id, name), 1
    while (vnf := aggregates.vnf_instances.find(desk.database, id)) is not None and vnf.ns_id != ns_id:
        number += 1
        id = derive(ns_id, name, str(number))
    return id


def placed(desk: NsDesk, vnf_id: str) -> dict[str, str]:
    """VDU → VIM of a VNF that is there; nothing for one that is not."""
    vnf = aggregates.vnf_instances.find(desk.database, vnf_id) if vnf_id else None
    computes = [one.spec for one in vnf.resources.values() if one.kind == "compute"] if vnf else []
    return {str(spec["vdu"]): str(spec["vim"]) for spec in computes}
