"""Forwarding graphs that are added, changed and removed while an NS runs (SOL005 6.5.3.36 to 6.5.3.44). Pure.

A connection point is named `VNF/POINT` (`vnfExtCpIds` is unique in a VNF only): VNF is the VNF's instance, its member or its
profile; the point alone will do where the NS has one profile.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any

import msgspec

from skerry.errors import ConflictError, Fault, InvalidError, NotFoundError
from skerry.model.descriptors import PROTOCOLS, Nfp, NfpElement, NfpPosition, NfpRule, NsDeploymentFlavour, Vnffg
from skerry.model.mec import TrafficRule
from skerry.model.ns import NsInstance
from skerry.model.pnfs import pnfs_of

Graphs = Mapping[str, Vnffg]
_LEAST_POSITIONS = 2


def added(graphs: Graphs, flavour: NsDeploymentFlavour, entries: Sequence[Mapping[str, Any]]) -> Graphs:
    """With these graphs of the NSD (AddVnffgData), as it describes them."""
    now = dict(graphs)
    for number, entry in enumerate(entries):
        id = entry["vnffgdId"]
        if id not in flavour.vnffgs:
            known = ", ".join(flavour.vnffgs) or "none"
            raise _wrong(f"/addVnffg/{number}/vnffgdId", f"the NSD has no VNFFGD {id}; there are: {known}")
        if id in now:
            raise ConflictError(f"cannot add the VNFFG {id}: it is there", suggestion="change it with UPDATE_VNFFG")
        now[id] = flavour.vnffgs[id]
    return now


def removed(graphs: Graphs, ids: Sequence[str]) -> Graphs:
    """Without these. `NotFoundError` for one that is not there."""
    for id in ids:
        _known(graphs, id)
    return {id: graph for id, graph in graphs.items() if id not in ids}


def updated(
    graphs: Graphs, instance: NsInstance, entries: Sequence[Mapping[str, Any]], *, saps: Container[str]
) -> Graphs:
    """With the paths of UpdateVnffgData changed, added and removed. `saps` are those that the NS has."""
    now = dict(graphs)
    for number, entry in enumerate(entries):
        graph = _known(now, entry["vnffgInfoId"])
        nfps = dict(graph.nfps)
        for id in entry.get("nfpInfoId", ()):
            if nfps.pop(id, None) is None:
                raise NotFoundError(f"cannot remove the NFP {id}: the VNFFG {graph.id} has no such path")
        for at, data in enumerate(entry.get("nfp", ())):
            nfp = _path(nfps, instance, data, f"/updateVnffg/{number}/nfp/{at}")
            _require_saps(nfp, saps, f"/updateVnffg/{number}/nfp/{at}")
            nfps[nfp.id] = nfp
        now[graph.id] = msgspec.structs.replace(graph, nfps=nfps)
    return now


def _require_saps(nfp: Nfp, saps: Container[str], at: str) -> None:
    elements = [element for position in nfp.positions for element in position.elements]
    if unknown := sorted({one.profile for one in elements if one.is_sap and one.profile not in saps}):
        raise _wrong(f"{at}/cpGroup", f"the NS has no SAP {', '.join(unknown)}; add it with ADD_SAP")


def _known(graphs: Graphs, id: str) -> Vnffg:
    if id not in graphs:
        raise NotFoundError(
            f"cannot find the VNFFG {id}", suggestion=f"the VNFFGs of the NS are: {', '.join(graphs) or 'none'}"
        )
    return graphs[id]


def _wrong(path: str, message: str) -> InvalidError:
    return InvalidError(
        f"cannot change the forwarding graphs: {message}", faults=[Fault(message=message, path=path, code="vnffg")]
    )


def _path(nfps: Mapping[str, Nfp], instance: NsInstance, data: Mapping[str, Any], at: str) -> Nfp:
    """A path as NfpData makes it: one that there is with what is given in place of its own, or a new one."""
    if known := data.get("nfpInfoId"):
        if known not in nfps:
            raise NotFoundError(
                f"cannot change the NFP {known}: there is none", suggestion="leave nfpInfoId out to add"
            )
        nfp = nfps[known]
    else:
        name = data.get("nfpName", "")
        if not name or name in nfps:
            raise _wrong(f"{at}/nfpName", f"a new NFP needs a name of its own{f', {name} is taken' if name else ''}")
        nfp = Nfp(id=name, positions=())
    if "cpGroup" in data:
        groups = enumerate(data["cpGroup"])
        positions = tuple(_position(instance, nfp.id, n, group, f"{at}/cpGroup/{n}") for n, group in groups)
        nfp = msgspec.structs.replace(nfp, positions=positions)
    if "nfpRule" in data:
        nfp = msgspec.structs.replace(nfp, rules=(_rule(nfp.id, data["nfpRule"], f"{at}/nfpRule"),))
    if "mecTrafficRule" in data:
        traffic = _traffic(data["mecTrafficRule"], f"{at}/mecTrafficRule")
        nfp = msgspec.structs.replace(nfp, traffic=traffic, rules=nfp.rules if "nfpRule" in data else ())
    if not nfp.traffic and len(nfp.positions) < _LEAST_POSITIONS:
        raise _wrong(f"{at}/cpGroup", "a path has at least two groups: where traffic comes from and where it goes")
    return nfp


def _position(instance: NsInstance, nfp: str, number: int, group: Mapping[str, Any], at: str) -> NfpPosition:
    pairs = enumerate(group.get("cpPairInfo", ()))
    elements = tuple(_element(instance, f"{nfp}-{number}-{n}", pair, f"{at}/cpPairInfo/{n}") for n, pair in pairs)
    if not elements:
        raise _wrong(f"{at}/cpPairInfo", "a group has at least one pair of connection points")
    behaviour = str(group.get("forwardingBehaviour", "LB")).lower()
    return NfpPosition(id=f"{nfp}-{number}", elements=elements, forwarding_behaviour=behaviour)


def _element(instance: NsInstance, id: str, pair: Mapping[str, Any], at: str) -> NfpElement:
    if saps := pair.get("sapIds"):
        return NfpElement(id=id, profile=saps[0], is_sap=True)
    points = [_point(instance, text, f"{at}/vnfExtCpIds") for text in pair.get("vnfExtCpIds", ())]
    points += [_machine(instance, text, f"{at}/pnfExtCpIds") for text in pair.get("pnfExtCpIds", ())]
    if not points:
        raise _wrong(at, "a pair names one or two of vnfExtCpIds or pnfExtCpIds, or a SAP")
    (profile, ingress), (other, egress) = points[0], points[-1]
    if profile != other:
        raise _wrong(at, f"traffic cannot enter {profile} and leave {other}: name connection points of one function")
    return NfpElement(id=id, profile=profile, ingress=ingress, egress=egress)


def _point(instance: NsInstance, text: str, at: str) -> tuple[str, str]:
    """Profile and connection point; extCpInfo's identifiers (`VNFC:POINT:ext`) are taken, too."""
    vnf, slash, point = text.rpartition("/")
    profiles = dict.fromkeys(member.profile for member in instance.members.values())
    names = {
        name: member.profile
        for id, member in instance.members.items()
        for name in (id, member.profile, member.vnf_instance_id)
    }
    if not slash and len(profiles) == 1:
        vnf = next(iter(profiles))
    if vnf not in names:
        known = ", ".join(f"{name}/POINT" for name in profiles) or "none, it has no VNFs"
        raise _wrong(at, f"{text} is no connection point of the NS; write one of {known}")
    parts = point.split(":")
    return names[vnf], parts[1] if len(parts) == 3 else point


def _machine(instance: NsInstance, text: str, at: str) -> tuple[str, str]:
    """Profile and connection point of a PNF, written `PNF/POINT`; a PNF alone where it has one point."""
    pnfs = pnfs_of(instance.resources)
    names = {name: pnf.profile for id, pnf in pnfs.items() for name in (pnf.profile, id)}
    if text in names:
        return names[text], ""
    pnf, _, point = text.rpartition("/")
    if pnf not in names:
        known = ", ".join(f"{id}/{point.id}" for id, pnf in pnfs.items() for point in pnf.points) or "none"
        raise _wrong(at, f"{text} is no connection point of a PNF of the NS; there are: {known}")
    return names[pnf], point


def _rule(nfp: str, given: Mapping[str, Any], at: str) -> NfpRule:
    """NfpRule (6.5.3.40) as the information model has it."""
    if "extendedCriteria" in given:
        raise _wrong(f"{at}/extendedCriteria", "bits of a frame cannot be matched by mask; use the other attributes")
    tags = given.get("vlanTag", ())
    if len(tags) > 1:
        raise _wrong(f"{at}/vlanTag", "one VLAN tag can be matched")
    protocol = str(given.get("protocol", "")).lower()
    if protocol and protocol not in PROTOCOLS and not (protocol.isdecimal() and int(protocol) <= 255):
        raise _wrong(f"{at}/protocol", f"{protocol} is no protocol")
    try:
        vlan, dscp = int(tags[0]) if tags else -1, int(given["dscp"], 2) if given.get("dscp") else -1
    except ValueError as error:
        raise _wrong(at, "vlanTag is a number, dscp six bits") from error
    return NfpRule(
        id=f"{nfp}-rule",
        ether_source_address=given.get("etherSourceAddress", ""),
        ether_destination_address=given.get("etherDestinationAddress", ""),
        ether_type=given.get("etherType", "").lower(),
        vlan_tag=vlan,
        protocol=protocol,
        dscp=dscp,
        source_port_range=_range(given.get("sourcePortRange")),
        destination_port_range=_range(given.get("destinationPortRange")),
        source_ip_address_prefix=given.get("sourceIpAddressPrefix", ""),
        destination_ip_address_prefix=given.get("destinationIpAddressPrefix", ""),
    )


def _range(given: Mapping[str, Any] | None) -> tuple[int, int] | None:
    return (given["lowerPort"], given["upperPort"]) if given else None


def _traffic(given: Mapping[str, Any], at: str) -> Mapping[str, Any]:
    try:
        plain: Mapping[str, Any] = msgspec.to_builtins(msgspec.convert(given, TrafficRule))
    except msgspec.ValidationError as error:
        raise _wrong(at, f"this is no TrafficRule of MEC 011: {error}") from error
    return plain
