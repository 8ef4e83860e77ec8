"""Virtual links that come into an NS on request and leave it so (SOL005 6.5.3.95), besides those that members bring along.

One is a network of its own, made of a profile of the NSD; a VNF comes onto it by CHANGE_EXTERNAL_VNF_CONNECTIVITY.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from skerry.errors import ConflictError, Fault, InvalidError
from skerry.model.descriptors import NsDeploymentFlavour, VirtualLink
from skerry.model.ns import NsInstance
from skerry.model.operations import Step
from skerry.model.resources import Wanted
from skerry.model.virtual_links import PREFIX
from skerry.nfvo.desk import NsDesk
from skerry.nfvo.goal import NsGoal, current
from skerry.nfvo.graph import network_on


def goal(desk: NsDesk, instance: NsInstance, params: Mapping[str, Any]) -> NsGoal:
    """The NS once the virtual links are as the request says."""
    now = current(instance)
    if params["updateType"] == "DELETE_NS_VIRTUAL_LINK":
        links = _removed(desk, instance, now.virtual_links, params["deleteNsVirtualLinkId"])
    else:
        links = _added(desk, instance, now.virtual_links, params["addNsVirtualLinkData"])
    return msgspec.structs.replace(now, virtual_links=links)


def _added(
    desk: NsDesk, instance: NsInstance, now: Mapping[str, str], entries: Sequence[Mapping[str, Any]]
) -> dict[str, str]:
    """With these (AddNsVirtualLinkData), on each VIM where the NS is."""
    flavour = desk.flavour(instance)
    wished = [entry["nsVirtualLinkProfileId"] for entry in entries]
    known = ", ".join(flavour.virtual_links) or "none"
    faults = [
        Fault(
            message=f"the NSD has no virtual link '{profile}'; there are: {known}",
            path=f"/addNsVirtualLinkData/{number}/nsVirtualLinkProfileId",
            code="link",
        )
        for number, profile in enumerate(wished)
        if profile not in flavour.virtual_links
    ]
    if faults:
        raise InvalidError("cannot add the virtual links: " + "; ".join(one.message for one in faults), faults=faults)
    after = dict(now)
    for profile in wished:
        taken = {key.removeprefix(PREFIX) for key in instance.resources} | after.keys()
        name = _free(profile, flavour, {id.partition("@")[0] for id in taken})
        after |= {f"{name}@{vim}": profile for vim in _vims(desk, instance)}
    return after


def _free(profile: str, flavour: NsDeploymentFlavour, taken: set[str]) -> str:
    """A link is called like its profile where nothing is, else with a number."""
    number, name = 1, profile
    while name in taken or (number > 1 and name in flavour.virtual_links):
        number += 1
        name = f"{profile}-{number}"
    return name


def _vims(desk: NsDesk, instance: NsInstance) -> list[str]:
    """Where the NS is; the first VIM of the node where it has nothing yet."""
    places = [
        vim
        for resource in instance.resources.values()
        for vim in (resource.spec.get("vim"), *resource.spec.get("placement", {}).values())
        if vim
    ]
    found = sorted(set(places)) or [one.id for one in desk.vims.connections()][:1]
    if not found:
        raise ConflictError("cannot add a virtual link: the node has no VIM", suggestion="add one first")
    return found


def _removed(desk: NsDesk, instance: NsInstance, now: Mapping[str, str], ids: Sequence[str]) -> dict[str, str]:
    """Without these. `ConflictError` names who is on one."""
    links = [key.removeprefix(PREFIX) for key in instance.resources if key.startswith(PREFIX)]
    faults = [
        Fault(
            message=f"no virtual link '{id}'; there are: {', '.join(links) or 'none'}",
            path=f"/deleteNsVirtualLinkId/{number}",
            code="link",
        )
        for number, id in enumerate(ids)
        if id not in links
    ]
    if faults:
        raise InvalidError("cannot delete the virtual links: " + "; ".join(f.message for f in faults), faults=faults)
    if users := [f"{name} on {id}" for id in ids for name in _users(desk, instance, id)]:
        raise ConflictError(
            f"cannot delete the virtual links: there are {', '.join(users)}",
            suggestion="give them other links or take them out of the NS first",
        )
    return {id: profile for id, profile in now.items() if id not in ids}


def _users(desk: NsDesk, instance: NsInstance, id: str) -> list[str]:
    """Who is on a virtual link: what was made on it, and the VNFs that were moved to it."""
    key = f"{PREFIX}{id}"
    network = (instance.resources[key].spec["vim"], instance.resources[key].spec["name"])
    built = {name for name, resource in instance.resources.items() if key in resource.needs}
    for name, member in instance.members.items():
        vnf = desk.vnfm.instance(member.vnf_instance_id, tenant=instance.tenant)
        if any((link.vim or network[0], link.network) == network for link in vnf.ext_links.values()):
            built.add(f"vnf:{name}")
    return sorted(name.partition(":")[2] for name in built)


def with_links(
    graph: Mapping[str, Wanted], instance: NsInstance, flavour: NsDeploymentFlavour, links: Mapping[str, str]
) -> dict[str, Wanted]:
    """The graph with the networks of virtual links that were asked for."""
    found = dict(graph)
    for id, profile in links.items():
        name, _, vim = id.partition("@")
        described = flavour.virtual_links.get(profile, VirtualLink(id=profile))
        network = network_on(instance.id, msgspec.structs.replace(described, id=name), vim)
        found[network.key] = msgspec.structs.replace(network, spec={**network.spec, "profile": profile})
    return found


def after_members(steps: Sequence[Step]) -> list[Step]:
    """A virtual link that was asked for goes after the members that go: they may have moved to it."""
    members = tuple(step.key for step in steps if step.action == "member.delete")
    return [
        msgspec.structs.replace(step, needs=(*step.needs, *members))
        if step.action == "network.delete" and "profile" in step.args["spec"]
        else step
        for step in steps
    ]


def resolved(instance: NsInstance, entry: Mapping[str, Any]) -> dict[str, Any]:
    """ChangeExtVnfConnectivityData with the networks of the NS as its VIM calls them: a client knows their identifiers."""
    known = {
        resource.outputs.get("id"): resource.spec
        for key, resource in instance.resources.items()
        if key.startswith(PREFIX)
    }
    links = [
        {**link, "resourceId": known[id]["name"], "vimConnectionId": known[id]["vim"]}
        if (id := link.get("resourceId")) in known
        else link
        for link in entry["extVirtualLinks"]
    ]
    return {**entry, "extVirtualLinks": links}
