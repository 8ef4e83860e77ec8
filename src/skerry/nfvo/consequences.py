"""What a plan means for VNFs, forwarding graphs and service access points, for the occurrence and its notifications. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from skerry.engine.children import derive
from skerry.model.descriptors import NsDeploymentFlavour, Vnffg
from skerry.model.ns import NsInstance
from skerry.model.ns_changes import GRAPHS, VERBS, VNFS, GraphChange, VnfChange
from skerry.model.operations import Change, Step
from skerry.model.resources import Wanted
from skerry.model.saps import OUTCOME as SAPS
from skerry.model.saps import AccessPoints, access_points, changes
from skerry.model.states import InstantiationState
from skerry.nfvo.goal import NsGoal
from skerry.nfvo.graph import vnffgs_of

_MEMBER = "vnf:"


def member_label(instance: NsInstance, name: str, told: Mapping[str, Any]) -> str:
    """How a VNF that the NS makes is called: as the request says, else after the NS."""
    return str(told.get("vnfInstanceName") or f"{instance.ns_instance_name or instance.id[:8]}-{name}")


def of_members(
    instance: NsInstance,
    graph: Mapping[str, Wanted],
    lines: Iterable[Change],
    besides: Sequence[Step],
    called: Callable[[str], str],
) -> dict[str, Any]:
    """The VNFs of a plan's lines and of operations on members. `called` is VNF instance -> its name, "" for none."""
    found: dict[str, VnfChange] = {}
    for line in lines:
        name = line.resource.removeprefix(_MEMBER)
        if line.resource.startswith(_MEMBER) and line.effect != "reuse":
            found[name] = _member(instance, graph, name, line.effect, called)
    for step in besides:
        verb, id = VERBS.get(str(step.args.get("kind"))), step.args.get("vnf")
        known = [(name, member) for name, member in instance.members.items() if member.vnf_instance_id == id]
        for name, _ in known if verb else ():
            one = _member(instance, graph, name, "update", called)
            changed = step.args["params"] if verb == "MODIFY_INFORMATION" else {}
            found[name] = msgspec.structs.replace(one, change_type=verb, changed=changed)
    return {VNFS: msgspec.to_builtins(list(found.values()))} if found else {}


def _member(
    instance: NsInstance, graph: Mapping[str, Wanted], name: str, effect: str, called: Callable[[str], str]
) -> VnfChange:
    key = f"{_MEMBER}{name}"
    spec = instance.resources[key].spec if key in instance.resources else graph[key].spec
    verbs = {"create": ("INSTANTIATE", "ADD"), "delete": ("TERMINATE", "REMOVE")}
    own, existing = verbs.get(effect, ("MODIFY_INFORMATION", "MODIFY_INFORMATION"))
    id = spec["existing"] or spec.get("vnf_id") or derive(instance.id, name)
    return VnfChange(
        vnf_instance_id=id,
        vnfd_id=spec["vnfd_id"],
        profile=spec["profile"],
        name=called(id) or member_label(instance, name, spec.get("told", {})),
        change_type=existing if spec["existing"] else own,
    )


def of_service(
    instance: NsInstance, before: NsDeploymentFlavour | None, after: NsDeploymentFlavour | None, goal: NsGoal
) -> dict[str, Any]:
    """The access points and forwarding graphs that come, go or change. `before` is the flavour that runs and `after` the one
    that shall; None stands for an NS of which nothing runs."""
    had: AccessPoints = access_points(before, instance.saps) if before else {}
    has: AccessPoints = access_points(after, goal.saps) if after else {}
    told: dict[str, Any] = {}
    if points := changes(had, has):
        told[SAPS] = msgspec.to_builtins(points)
    graphs = _graphs(vnffgs_of(before, instance) if before else {}, vnffgs_of(after, goal) if after else {})
    return {**told, GRAPHS: msgspec.to_builtins(graphs)} if graphs else told


def runs(instance: NsInstance) -> bool:
    """Whether the NS has access points and graphs at all."""
    return instance.ns_state is InstantiationState.INSTANTIATED


def _graphs(before: Mapping[str, Vnffg], after: Mapping[str, Vnffg]) -> list[GraphChange]:
    gone = [GraphChange(id=id, change_type="DELETE") for id in before if id not in after]
    new = [GraphChange(id=id, change_type="ADD") for id in after if id not in before]
    other = [GraphChange(id=id, change_type="MODIFY") for id in after if id in before and before[id] != after[id]]
    return [*gone, *new, *other]


def lines_of(told: Mapping[str, Any]) -> list[Change]:
    """The access points that come and go as lines of a plan, for people."""
    effects = {"ADD": "create", "REMOVE": "delete", "MODIFY": "update"}
    return [
        Change(resource=f"sap:{one['id']}", effect=effects[one["change_type"]], detail=one["name"])
        for one in told.get(SAPS, ())
    ]
