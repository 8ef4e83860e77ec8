"""Service access points on the wire (SOL005 clause 6.5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from skerry.api.sol003.types import CpProtocolData, Identifier
from skerry.api.wire import Wire
from skerry.model.saps import AccessPoint


class SapData(Wire, frozen=True, kw_only=True):
    """SapData (6.5.3.10)."""

    sapd_id: Identifier
    sap_name: str
    description: str
    sap_protocol_data: list[CpProtocolData] | None = None


class SapIpAddresses(Wire, frozen=True, kw_only=True):
    """Addresses of one family; `is_dynamic` where the node chose them."""

    type: Literal["IPV4", "IPV6"]
    addresses: list[str]
    is_dynamic: bool


class SapAddresses(Wire, frozen=True, kw_only=True):
    """IpOverEthernetAddressInfo (6.5.3.19) of an access point."""

    mac_address: str | None = None
    ip_addresses: list[SapIpAddresses] | None = None


class SapProtocolInfo(Wire, frozen=True, kw_only=True):
    """CpProtocolInfo (6.5.3.18) of an access point."""

    layer_protocol: Literal["IP_OVER_ETHERNET"]
    ip_over_ethernet: SapAddresses


class SapInfo(Wire, frozen=True, kw_only=True):
    """SapInfo (6.5.3.67). One of which it is not known who is connected there has no `sap_protocol_info`."""

    id: str
    sapd_id: str
    sap_name: str
    sap_protocol_info: list[SapProtocolInfo]
    description: str | None = None


def shown(points: Mapping[str, AccessPoint]) -> list[SapInfo] | None:
    """The access points of an instance."""
    return [
        SapInfo(
            id=id,
            sapd_id=point.sapd_id,
            sap_name=point.name,
            sap_protocol_info=_protocol(point),
            description=point.description or None,
        )
        for id, point in points.items()
    ] or None


def _protocol(point: AccessPoint) -> list[SapProtocolInfo]:
    """Who is connected at an access point, where that is known."""
    families: dict[Literal["IPV4", "IPV6"], list[str]] = {}
    for address in point.addresses:
        families.setdefault("IPV6" if ":" in address else "IPV4", []).append(address)
    told = [SapIpAddresses(type=type, addresses=ips, is_dynamic=point.dynamic) for type, ips in families.items()]
    if not told and not point.mac:
        return []
    over = SapAddresses(mac_address=point.mac or None, ip_addresses=told or None)
    return [SapProtocolInfo(layer_protocol="IP_OVER_ETHERNET", ip_over_ethernet=over)]
