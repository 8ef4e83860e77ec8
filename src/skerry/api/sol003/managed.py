"""VNFs that another VNF manager has, as that one shows them. What a stranger writes is read as far as it can be: nothing in it
makes an answer of this node a wrong one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from skerry.api.sol003 import types as wire
from skerry.api.wire import ResourceHandle
from skerry.model.vnf import VnfInstance

MANAGED = "managed"
"""The one resource of such a VNF."""


def told_of(record: VnfInstance) -> Mapping[str, Any]:
    """Its `instantiatedVnfInfo` there."""
    return _map(_map(record.resources[MANAGED].outputs.get("shown")).get("instantiatedVnfInfo"))


def vnfcs(record: VnfInstance) -> list[wire.VnfcResourceInfo]:
    """Its VNFCs."""
    return [
        wire.VnfcResourceInfo(
            id=str(one.get("id", "")),
            vdu_id=str(one.get("vduId", "")),
            compute_resource=_handle(_map(one.get("computeResource"))),
        )
        for one in _maps(told_of(record).get("vnfcResourceInfo"))
    ]


def points(record: VnfInstance) -> list[wire.VnfExtCpInfo]:
    """Its external connection points."""
    return [
        wire.VnfExtCpInfo(
            id=str(one.get("id", "")),
            cpd_id=str(one.get("cpdId", "")),
            cp_config_id=str(one.get("cpConfigId", "")),
            cp_protocol_info=[_protocol(entry) for entry in _maps(one.get("cpProtocolInfo"))],
            associated_vnfc_cp_id=str(one.get("associatedVnfcCpId", "")),
        )
        for one in _maps(told_of(record).get("extCpInfo"))
    ]


def _protocol(entry: Mapping[str, Any]) -> wire.CpProtocolInfo:
    over = _map(entry.get("ipOverEthernet"))
    found: list[wire.IpAddressInfo] = []
    for one in _maps(over.get("ipAddresses")):
        listed = one.get("addresses")
        family: Literal["IPV4", "IPV6"] = "IPV6" if one.get("type") == "IPV6" else "IPV4"
        if isinstance(listed, list):
            found.append(wire.IpAddressInfo(type=family, addresses=[str(ip) for ip in listed]))
    first = next((ip for one in found for ip in one.addresses or ()), "")
    shown = wire.IpOverEthernetAddressInfo(
        mac_address=str(over.get("macAddress", "")), addresses=first, ip_addresses=found or None
    )
    return wire.CpProtocolInfo(layer_protocol="IP_OVER_ETHERNET", ip_over_ethernet=shown)


def _handle(given: Mapping[str, Any]) -> ResourceHandle:
    vim = str(given.get("vimConnectionId") or "") or None
    return ResourceHandle(
        resource_id=str(given.get("resourceId", "")),
        vim_connection_id=vim,
        vim_id=vim,
        vim_level_resource_type="compute",
    )


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _maps(value: Any) -> Iterable[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list | tuple) else ()
