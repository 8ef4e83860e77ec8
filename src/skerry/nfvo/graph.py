"""From an NS goal to the resource graph that it shall have: virtual links and member VNFs. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from skerry.errors import Fault, InvalidError
from skerry.model.descriptors import (
    ConnectionPoint,
    DeploymentFlavour,
    NsDeploymentFlavour,
    VirtualLink,
    VnfDependency,
    Vnffg,
    VnfProfile,
)
from skerry.model.ns import FORWARDING, Member, NsInstance
from skerry.model.operations import Verdict
from skerry.model.pnfs import Pnf
from skerry.model.resources import Resource, Wanted
from skerry.model.saps import saps_of
from skerry.nfvo.goal import NsGoal
from skerry.vnfm.naming import link_key, resource_name

MEMBER_IN_PLACE = ("values", "depends", "flavour_id", "level_id")


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """What the graph is made from besides the goal.

    `places` is member → VDU → VIM; `borrowed` virtual link → (VIM, network) of an existing VNF that is on it;
    `pnfs` has the PNFs with the VIMs that they are cabled to;
    `order` the dependencies that order the start, `pairs` all of them.
    """

    places: Mapping[str, Mapping[str, str]]
    flavours: Mapping[str, DeploymentFlavour]
    pairs: tuple[VnfDependency, ...] = ()
    order: tuple[VnfDependency, ...] = ()
    borrowed: Mapping[str, tuple[str, str]] = {}
    pnfs: Mapping[str, Pnf] = {}
    verdicts: tuple[Verdict, ...] = ()  # why these places


def wanted(instance_id: str, flavour: NsDeploymentFlavour, goal: NsGoal, layout: Layout) -> dict[str, Wanted]:
    """Every resource of the NS at this goal, by key."""
    graph: dict[str, Wanted] = {}
    for profile_id, names in goal.groups.items():
        profile = flavour.vnf_profiles[profile_id]
        for name in names:
            vims = sorted(set(layout.places.get(name, {}).values()))
            points = steered_points(flavour, profile_id).union(goal.steered.get(profile_id, ()))
            links, networks = _links(instance_id, flavour, profile, vims, layout, points)
            graph.update(networks)
            member = _member(profile, name, goal, layout, links, tuple(networks))
            graph[member.key] = member
    laid = {id: vnffg for id, vnffg in vnffgs_of(flavour, goal).items() if vnffg.nfps}
    if graph and (laid or goal.steered):
        graph[FORWARDING] = _forwarding(flavour, goal, laid)
    return graph


def members_of(resources: Mapping[str, Resource]) -> dict[str, Member]:
    """The member VNFs that the resource graph has."""
    return {
        key.removeprefix("vnf:"): Member(
            profile=resource.spec["profile"],
            vnf_instance_id=resource.outputs["vnf_instance_id"],
            existing=bool(resource.spec["existing"]),
        )
        for key, resource in resources.items()
        if resource.kind == "member" and "vnf_instance_id" in resource.outputs
    }


def vnffgs_of(flavour: NsDeploymentFlavour, now: NsGoal | NsInstance) -> Mapping[str, Vnffg]:
    """The forwarding graphs of an NS: the NSD's until one was added, changed or removed."""
    return flavour.vnffgs if now.vnffgs is None else now.vnffgs


def _forwarding(flavour: NsDeploymentFlavour, goal: NsGoal, laid: Mapping[str, Vnffg]) -> Wanted:
    """The forwarding graphs: laid when the members are there, changed when other members are."""
    members = [name for names in goal.groups.values() for name in names]
    spec: dict[str, Any] = {
        "vnffgs": msgspec.to_builtins(laid),
        "saps": msgspec.to_builtins(saps_of(flavour, goal.saps)),
        "members": members,
    }
    if goal.steered:
        spec["steered"] = msgspec.to_builtins(goal.steered)
    return Wanted(
        key=FORWARDING,
        kind="forwarding",
        spec=spec,
        after=tuple(f"vnf:{name}" for name in members),
        in_place=("vnffgs", "saps", "members", "steered"),
        note="forwarding paths " + ", ".join(nfp for graph in laid.values() for nfp in graph.nfps),
    )


def _links(
    instance_id: str,
    flavour: NsDeploymentFlavour,
    profile: VnfProfile,
    vims: list[str],
    layout: Layout,
    alone: set[str],
) -> tuple[list[dict[str, Any]], dict[str, Wanted]]:
    """Where each external connection point of a member goes, and the networks that the NS makes for it. `alone` are those that
    the data plane alone serves."""
    entries: list[dict[str, Any]] = []
    networks: dict[str, Wanted] = {}
    vnf = layout.flavours[profile.id]
    for point, link_id in external_points(profile, vnf).items():
        steered = {"steered": True} if alone & {"", point, vnf.ext_cps[point].external} else {}
        link = flavour.virtual_links.get(link_id, VirtualLink(id=link_id))
        if link_id in layout.borrowed:
            vim, network = layout.borrowed[link_id]
            entries.append(
                {"cp": point, "link": link_id, "vim": vim, "network": network, **_qualities(link), **steered}
            )
            continue
        for vim in vims:
            made = network_on(instance_id, link, vim)
            networks[made.key] = made
            network = made.spec["name"]
            entries.append(
                {"cp": point, "link": link_id, "vim": vim, "network": network, **_qualities(link), **steered}
            )
    return entries, networks


def steered_points(flavour: NsDeploymentFlavour, profile_id: str) -> set[str]:
    """The connection points of a VNF or PNF that are a function's on a path of the NSD; "" is its only one. Paths that come
    later take over the interfaces that there are."""
    return {
        point
        for vnffg in flavour.vnffgs.values()
        for nfp in vnffg.nfps.values()
        for position in nfp.positions[1:-1]
        for element in position.elements
        if element.profile == profile_id
        for point in (element.ingress, element.egress)
    }


def _qualities(link: VirtualLink) -> dict[str, Any]:
    """What a link says of the interfaces on it; nothing where it says nothing."""
    told = {"dns": list(link.dns), "maxBitrate": link.max_bitrate_bps}
    return {name: value for name, value in told.items() if value}


def external_points(profile: VnfProfile, flavour: DeploymentFlavour) -> dict[str, str]:
    """External connection point of the VNFD → NS virtual link.

    The NSD names the requirements that the VNFD maps to its points, or the points themselves; a name that is neither is
    given to the points that are left, in order.
    """
    return points_on(profile.id, profile.links, flavour.ext_cps)


def points_on(id: str, links: Mapping[str, str], cps: Mapping[str, ConnectionPoint]) -> dict[str, str]:
    """The same of anything with these external connection points, where the NSD calls it `id` and connects it so."""
    names = {name: cp.id for cp in cps.values() for name in (cp.external, cp.id) if name}
    named = {names[name]: link for name, link in links.items() if name in names}
    rest = [cp for cp in cps if cp not in named]
    others = [link for name, link in links.items() if name not in names]
    if len(others) > len(rest):
        points = ", ".join(cps) or "none"
        message = f"{len(links)} links for the external connection points {points}"
        raise InvalidError(f"cannot connect {id}: {message}", faults=[Fault(message=message, path=id, code="links")])
    return named | dict(zip(rest, others, strict=False))


def network_on(instance_id: str, link: VirtualLink, vim: str) -> Wanted:
    """The network that a virtual link of the NS is on one VIM."""
    key = link_key(link.id, vim)
    spec = {
        "vim": vim,
        "name": resource_name(instance_id, key),
        "owner": instance_id,
        "cidr": link.cidr,
        "gateway": link.gateway,
        "mtu": link.mtu,
    }
    return Wanted(key=key, kind="network", spec=spec, note=f"virtual link {link.id} on {vim}")


def _told(goal: NsGoal, profile: str, name: str) -> Mapping[str, Any]:
    """What a member is told when it is made; of a name for a whole profile the first has it, the others with a number."""
    told, number = goal.told.get(profile, {}), name.rpartition("-")[2]
    if told.get("vnfInstanceName") and number != "0":
        told = {**told, "vnfInstanceName": f"{told['vnfInstanceName']}-{number}"}
    return goal.told.get(name) or told


def _member(
    profile: VnfProfile,
    name: str,
    goal: NsGoal,
    layout: Layout,
    links: list[dict[str, Any]],
    networks: tuple[str, ...],
) -> Wanted:
    sources = {pair.source for pair in layout.order if pair.target == profile.id}
    spec: dict[str, Any] = {
        "profile": profile.id,
        "vnfd_id": profile.vnfd_id,
        "flavour_id": profile.flavour_id,
        "level_id": profile.instantiation_level,
        "links": links,
        "placement": dict(layout.places.get(name, {})),
        "existing": goal.adopted.get(name, ""),
        "values": {
            **profile.properties,
            **goal.properties.get(profile.id, {}),
            **goal.properties.get(name, {}),
        },
        "depends": [msgspec.to_builtins(pair) for pair in layout.pairs if pair.target == profile.id],
    }
    if name in goal.identities:
        spec["vnf_id"] = goal.identities[name]
    if goal.ssh_keys:
        spec["ssh_keys"] = list(goal.ssh_keys)
    if told := _told(goal, profile.id, name):
        spec["told"] = told
    return Wanted(
        key=f"vnf:{name}",
        kind="member",
        spec=spec,
        needs=networks,
        after=tuple(f"vnf:{other}" for source in sorted(sources) for other in goal.groups.get(source, ())),
        in_place=MEMBER_IN_PLACE,
        quiet=("told",),
        note=f"VNF {name}",
        timeout_s=3600.0,
    )
