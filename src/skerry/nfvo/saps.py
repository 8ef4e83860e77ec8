"""Service access points that a request names, when an NS is made or while it runs (SOL005 6.5.3.10). Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from skerry.errors import ConflictError, Fault, InvalidError
from skerry.model.descriptors import NsDeploymentFlavour, Vnffg
from skerry.model.saps import AccessPoint, AccessPoints, access_points
from skerry.nfvo.sap_addresses import Links, addressed


def named(
    flavour: NsDeploymentFlavour, entries: Sequence[Mapping[str, Any]], links: Links
) -> Mapping[str, AccessPoint] | None:
    """The access points at instantiation: those that `sapData` makes, and the NSD's own where it names none of a SAPD. None
    stands for all of the NSD."""
    if not entries:
        return None
    asked = {entry["sapdId"] for entry in entries}
    points = {id: point for id, point in access_points(flavour, None).items() if id not in asked}
    return added(points, flavour, entries, links, at="/sapData")


def added(
    points: AccessPoints,
    flavour: NsDeploymentFlavour,
    entries: Sequence[Mapping[str, Any]],
    links: Links,
    *,
    at: str = "/addSap",
) -> AccessPoints:
    """With these (SapData). One is called like its SAPD where that is free, else with a number; it leads to the virtual link
    that its SAPD names, and nobody else gets its addresses there. `InvalidError` names everything that is wrong."""
    now = dict(points)
    faults: list[Fault] = []
    for number, entry in enumerate(entries):
        found = _faults(flavour, entry, {point.name for point in now.values()}, f"{at}/{number}")
        if not found:
            sapd, name = entry["sapdId"], entry["sapName"]
            point = AccessPoint(sapd_id=sapd, name=name, description=entry.get("description", ""))
            told = entry.get("sapProtocolData", ())
            link = flavour.saps[sapd].virtual_link
            taken = {ip for other in now.values() if other.virtual_link == link for ip in other.addresses}
            point, found = addressed(point, told, link, links, taken, f"{at}/{number}/sapProtocolData")
            now[_free(now, sapd)] = point
        faults += found
    if faults:
        raise InvalidError("cannot add the SAPs: " + "; ".join(fault.message for fault in faults), faults=faults)
    return now


def removed(points: AccessPoints, graphs: Mapping[str, Vnffg], ids: Sequence[str]) -> AccessPoints:
    """Without these. `InvalidError` names those that are not there; `ConflictError` the paths that begin or end at one."""
    known = ", ".join(points) or "none"
    faults = [
        Fault(message=f"no SAP '{id}'; there are: {known}", path=f"/removeSapId/{number}", code="sap")
        for number, id in enumerate(ids)
        if id not in points
    ]
    if faults:
        raise InvalidError("cannot remove the SAPs: " + "; ".join(fault.message for fault in faults), faults=faults)
    if users := sorted(nfp for id in ids for nfp in _paths(graphs, id)):
        raise ConflictError(
            f"cannot remove the SAPs: forwarding paths begin or end there: {', '.join(dict.fromkeys(users))}",
            suggestion="change or remove these paths with UPDATE_VNFFG first",
        )
    return {id: point for id, point in points.items() if id not in ids}


def _faults(flavour: NsDeploymentFlavour, entry: Mapping[str, Any], taken: set[str], at: str) -> list[Fault]:
    faults: list[Fault] = []
    sapd, name = entry["sapdId"], entry["sapName"]
    if sapd not in flavour.saps:
        known = ", ".join(flavour.saps) or "none"
        message = f"the NSD has no SAPD '{sapd}'; there are: {known}"
        faults.append(Fault(message=message, path=f"{at}/sapdId", code="sapd"))
    if not name or name in taken:
        message = f"a SAP needs a name of its own{f', {name} is taken' if name else ''}"
        faults.append(Fault(message=message, path=f"{at}/sapName", code="name"))
    return faults


def _free(points: AccessPoints, sapd: str) -> str:
    number, id = 1, sapd
    while id in points:
        number += 1
        id = f"{sapd}-{number}"
    return id


def _paths(graphs: Mapping[str, Vnffg], sap: str) -> set[str]:
    return {
        nfp.id
        for graph in graphs.values()
        for nfp in graph.nfps.values()
        for position in nfp.positions
        for element in position.elements
        if element.is_sap and element.profile == sap
    }
