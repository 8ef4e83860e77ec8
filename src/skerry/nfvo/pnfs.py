"""Physical network functions that come into an NS, change and leave it (SOL005 6.5.3.14 to 6.5.3.17). Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from skerry.errors import ConflictError, Fault, InvalidError
from skerry.model.descriptors import NsDeploymentFlavour, PnfProfile, Vnffg
from skerry.model.ns import PnfdInfo
from skerry.model.pnfs import Pnf, PnfPoint, Pnfs
from skerry.nfvo.graph import points_on

_MAC = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}")


def added(
    now: Pnfs,
    flavour: NsDeploymentFlavour,
    descriptors: Mapping[str, PnfdInfo],
    entries: Sequence[Mapping[str, Any]],
) -> Pnfs:
    """With these (AddPnfData). `descriptors` are the onboarded PNFDs by pnfdId. `InvalidError` names everything that is
    wrong."""
    after = dict(now)
    faults: list[Fault] = []
    for number, entry in enumerate(entries):
        at = f"/addPnfData/{number}"
        found = _faults(after, flavour, descriptors, entry, at)
        if not found:
            profile = flavour.pnf_profiles[entry["pnfProfileId"]]
            info = descriptors[entry["pnfdId"]]
            points, found = _points(entry.get("cpData", ()), _known(profile, info), f"{at}/cpData")
            after[entry["pnfId"]] = Pnf(
                profile=profile.id,
                pnfd_id=profile.pnfd_id,
                pnfd_info_id=info.id,
                name=entry["pnfName"],
                points=points,
            )
        faults += found
    if faults:
        raise _wrong("add", faults)
    return after


def modified(now: Pnfs, entries: Sequence[Mapping[str, Any]]) -> Pnfs:
    """With other names and addresses (ModifyPnfData). A connection point that is named has the addresses that are given and no
    others."""
    after = dict(now)
    faults: list[Fault] = []
    for number, entry in enumerate(entries):
        at = f"/modifyPnfData/{number}"
        pnf = after.get(entry["pnfId"])
        if pnf is None:
            faults.append(_unknown(now, entry["pnfId"], f"{at}/pnfId"))
            continue
        names = {point.cpd: point.link for point in pnf.points}
        ids = {point.id: point.cpd for point in pnf.points}
        given = [
            {**cp, "cpdId": ids.get(cp.get("cpInstanceId", ""), cp.get("cpdId"))} for cp in entry.get("cpData", ())
        ]
        asked, found = _points(given, names, f"{at}/cpData")
        faults += found
        named = {cp["cpdId"] for cp in given}
        fresh = {point.cpd: point for point in asked if point.cpd in named}
        points = tuple(_readdressed(point, fresh.get(point.cpd)) for point in pnf.points)
        after[entry["pnfId"]] = msgspec.structs.replace(pnf, name=entry.get("pnfName", pnf.name), points=points)
    if faults:
        raise _wrong("change", faults)
    return after


def removed(now: Pnfs, graphs: Mapping[str, Vnffg], ids: Sequence[str]) -> Pnfs:
    """Without these. `ConflictError` names the paths that lead over one."""
    faults = [_unknown(now, id, f"/removePnfId/{number}") for number, id in enumerate(ids) if id not in now]
    if faults:
        raise _wrong("remove", faults)
    after = {id: pnf for id, pnf in now.items() if id not in ids}
    gone = {pnf.profile for pnf in now.values()} - {pnf.profile for pnf in after.values()}
    if users := sorted(_paths(graphs, gone)):
        raise ConflictError(
            f"cannot remove the PNFs: forwarding paths lead over them: {', '.join(users)}",
            suggestion="change or remove these paths with UPDATE_VNFFG first",
        )
    return after


def _readdressed(point: PnfPoint, asked: PnfPoint | None) -> PnfPoint:
    return msgspec.structs.replace(point, mac=asked.mac, ips=asked.ips) if asked else point


def _paths(graphs: Mapping[str, Vnffg], profiles: set[str]) -> set[str]:
    return {
        nfp.id
        for graph in graphs.values()
        for nfp in graph.nfps.values()
        for position in nfp.positions
        for element in position.elements
        if not element.is_sap and element.profile in profiles
    }


def _wrong(verb: str, faults: Sequence[Fault]) -> InvalidError:
    return InvalidError(f"cannot {verb} the PNFs: " + "; ".join(fault.message for fault in faults), faults=faults)


def _unknown(now: Pnfs, id: str, path: str) -> Fault:
    return Fault(message=f"no PNF '{id}'; there are: {', '.join(now) or 'none'}", path=path, code="pnf")


def _faults(
    now: Pnfs,
    flavour: NsDeploymentFlavour,
    descriptors: Mapping[str, PnfdInfo],
    entry: Mapping[str, Any],
    at: str,
) -> list[Fault]:
    """What is wrong with the identity of a PNF that comes."""
    faults: list[Fault] = []
    profile = flavour.pnf_profiles.get(entry["pnfProfileId"])
    if entry["pnfId"] in now:
        faults.append(Fault(message=f"the PNF {entry['pnfId']} is in the NS already", path=f"{at}/pnfId", code="pnf"))
    if profile is None:
        known = ", ".join(flavour.pnf_profiles) or "none"
        message = f"the NSD has no PNF profile '{entry['pnfProfileId']}'; there are: {known}"
        faults.append(Fault(message=message, path=f"{at}/pnfProfileId", code="profile"))
    elif entry["pnfdId"] != profile.pnfd_id:
        message = f"the profile {profile.id} is of PNFD {profile.pnfd_id}, not {entry['pnfdId']}"
        faults.append(Fault(message=message, path=f"{at}/pnfdId", code="pnfd"))
    elif entry["pnfdId"] not in descriptors:
        message = f"the PNFD {entry['pnfdId']} is not onboarded"
        faults.append(Fault(message=message, path=f"{at}/pnfdId", code="pnfd", fix="onboard it first"))
    return faults


def _known(profile: PnfProfile, info: PnfdInfo) -> dict[str, str]:
    """Connection point → the virtual link that it is on, "" for none."""
    cps = info.package.pnfd.ext_cps if info.package else {}
    if not cps:
        return dict(profile.links)
    return {**dict.fromkeys(cps, ""), **points_on(profile.id, profile.links, cps)}


def _points(
    entries: Sequence[Mapping[str, Any]], links: Mapping[str, str], at: str
) -> tuple[tuple[PnfPoint, ...], list[Fault]]:
    """The connection points of a PNF with the addresses of PnfExtCpData, and what is wrong with these."""
    points = {cpd: PnfPoint(id=cpd, cpd=cpd, link=link) for cpd, link in links.items()}
    faults: list[Fault] = []
    for number, entry in enumerate(entries):
        cpd, here = entry.get("cpdId") or entry.get("cpInstanceId", ""), f"{at}/{number}"
        if cpd not in points:
            known = ", ".join(points) or "none"
            message = f"the PNF has no connection point '{cpd}'; there are: {known}"
            faults.append(Fault(message=message, path=f"{here}/cpdId", code="cp"))
            continue
        mac, ips = "", list[str]()
        for index, protocol in enumerate(entry["cpProtocolData"]):
            data = protocol.get("ipOverEthernet", {})
            faults += _address_faults(data, f"{here}/cpProtocolData/{index}/ipOverEthernet")
            mac = data.get("macAddress") or mac
            ips += [ip for one in data.get("ipAddresses", ()) for ip in one.get("fixedAddresses", ())]
        id = entry.get("cpInstanceId") or cpd
        points[cpd] = msgspec.structs.replace(points[cpd], id=id, mac=mac.lower(), ips=tuple(dict.fromkeys(ips)))
    return tuple(points.values()), faults


def _address_faults(data: Mapping[str, Any], at: str) -> list[Fault]:
    faults: list[Fault] = []
    if data.get("segmentationId") or data.get("segmentationType") not in (None, "INHERIT"):
        message = "a physical port is plugged as a whole, whatever tags frames have"
        faults.append(Fault(message=message, path=f"{at}/segmentationId", code="segment", fix="leave it out"))
    mac = data.get("macAddress")
    if mac and not _MAC.fullmatch(mac):
        faults.append(Fault(message=f"{mac} is no MAC address", path=f"{at}/macAddress", code="mac"))
    entries: Sequence[Mapping[str, Any]] = data.get("ipAddresses", [])
    for number, one in enumerate(entries):
        here = f"{at}/ipAddresses/{number}"
        if one.get("subnetId"):
            message = "a PNF is in the subnet of its virtual link"
            faults.append(Fault(message=message, path=f"{here}/subnetId", code="address", fix="leave it out"))
        if one.get("numDynamicAddresses") or one.get("addressRange"):
            message = "a PNF has the addresses that it was given where it is"
            faults.append(Fault(message=message, path=here, code="address", fix="name them in fixedAddresses"))
        faults += [
            Fault(message=f"{ip} is no address of {one['type']}", path=f"{here}/fixedAddresses", code="address")
            for ip in one.get("fixedAddresses", ())
            if _family(ip) != one["type"]
        ]
    return faults


def _family(text: str) -> str:
    try:
        return f"IPV{ipaddress.ip_address(text).version}"
    except ValueError:
        return ""
