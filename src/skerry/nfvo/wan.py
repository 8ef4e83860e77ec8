"""What a client says of the WAN below virtual links, when an NS is instantiated and later (SOL005 6.5.3.86 and 6.5.3.93). Pure.

Nothing is configured by it: the WAN belongs to others, and there is no manager of it to ask.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from skerry.errors import Fault, InvalidError
from skerry.model.descriptors import NsDeploymentFlavour
from skerry.model.wan import WanConnection, WanConnections


def added(
    flavour: NsDeploymentFlavour, vims: Collection[str], entries: Sequence[Mapping[str, Any]]
) -> dict[str, WanConnection]:
    """These (WanConnectionData). `InvalidError` names everything that is wrong."""
    found: dict[str, WanConnection] = {}
    faults: list[Fault] = []
    for number, entry in enumerate(entries):
        at, data = f"/wanConnectionData/{number}", entry["protocolData"]
        endpoints = data.get("connectivityServiceEndpointConfigDatas", ())
        faults += _link_faults(flavour, entry, at)
        faults += _site_faults(vims, endpoints, f"{at}/protocolData/connectivityServiceEndpointConfigDatas")
        link = entry.get("nsVirtualLink", {}).get("nsVirtualLinkProfileId", "")
        inside = entry.get("vnfVirtualLink", {})
        found[f"wan-{number + 1}"] = WanConnection(
            link=link or inside.get("vnfVirtualLinkProfileId", ""),
            vnf_profile=inside.get("vnfProfileId", ""),
            mscs=data.get("mscsInfo", {}),
            endpoints=_by_id(endpoints, "connectivityServiceEndpointId"),
        )
    if faults:
        raise _wrong("record", faults)
    return found


def modified(now: WanConnections, vims: Collection[str], entries: Sequence[Mapping[str, Any]]) -> WanConnections:
    """With the attributes of ModifyWanConnectionInfoData: entries of lists are changed by their identifiers, new ones come."""
    after = dict(now)
    faults: list[Fault] = []
    for number, entry in enumerate(entries):
        at, id = f"/modifyWanConnectionInfoData/{number}", entry["wanConnectionInfoId"]
        one = after.get(id)
        if one is None:
            message = f"no WAN connection '{id}'; there are: {', '.join(now) or 'none'}"
            faults.append(Fault(message=message, path=f"{at}/wanConnectionInfoId", code="wan"))
            continue
        changes = [name for name in ("mscsName", "mscsDescription", "mscsEndpoints") if entry.get(name)]
        if changes and not one.mscs:
            faults += [Fault(message=f"{id} has no MSCS", path=f"{at}/{name}", code="wan") for name in changes]
        given = entry.get("connectivityServiceEndpoints", ())
        faults += _site_faults(vims, given, f"{at}/connectivityServiceEndpoints")
        endpoints = _merged(
            one.endpoints,
            _by_id(given, "connectivityServiceEndpointId"),
            entry.get("removeConnectivityServiceEndpoints", ()),
        )
        after[id] = msgspec.structs.replace(one, mscs=_mscs(one.mscs, entry), endpoints=endpoints)
    if faults:
        raise _wrong("change", faults)
    return after


def _mscs(now: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    """MscsInfo with another name, description and endpoints; a null takes an attribute away."""
    after = {**now, **{name: entry[name] for name in ("mscsName", "mscsDescription") if name in entry}}
    endpoints = _merged(
        _by_id(now.get("mscsEndpoints", ()), "mscsEndpointId"),
        _by_id(entry.get("mscsEndpoints", ()), "mscsEndpointId"),
        entry.get("removeMscsEndpointIds", ()),
    )
    after["mscsEndpoints"] = list(endpoints.values()) or None
    return {name: value for name, value in after.items() if value is not None}


def _merged(
    now: Mapping[str, Mapping[str, Any]], given: Mapping[str, Mapping[str, Any]], gone: Collection[str]
) -> dict[str, Mapping[str, Any]]:
    after = {**now, **{id: {**now.get(id, {}), **one} for id, one in given.items()}}
    return {id: one for id, one in after.items() if id not in gone}


def _by_id(entries: Sequence[Mapping[str, Any]], name: str) -> dict[str, Mapping[str, Any]]:
    return {entry[name]: entry for entry in entries}


def _link_faults(flavour: NsDeploymentFlavour, entry: Mapping[str, Any], at: str) -> list[Fault]:
    """Links of an NS and profiles of VNFs are the NSD's."""
    if link := entry.get("nsVirtualLink"):
        asked, known = link["nsVirtualLinkProfileId"], list(flavour.virtual_links)
        path = "nsVirtualLink/nsVirtualLinkProfileId"
    else:
        asked, known = entry["vnfVirtualLink"]["vnfProfileId"], list(flavour.vnf_profiles)
        path = "vnfVirtualLink/vnfProfileId"
    if asked in known:
        return []
    message = f"the NSD has no '{asked}'; there are: {', '.join(known) or 'none'}"
    return [Fault(message=message, path=f"{at}/{path}", code="link")]


def _site_faults(vims: Collection[str], endpoints: Sequence[Mapping[str, Any]], at: str) -> list[Fault]:
    known = ", ".join(vims) or "none"
    return [
        Fault(message=f"no VIM '{one['vimId']}'; there are: {known}", path=f"{at}/{number}/vimId", code="vim")
        for number, one in enumerate(endpoints)
        if one["vimId"] not in vims
    ]


def _wrong(verb: str, faults: Sequence[Fault]) -> InvalidError:
    return InvalidError(
        f"cannot {verb} the WAN connections: " + "; ".join(fault.message for fault in faults), faults=faults
    )
