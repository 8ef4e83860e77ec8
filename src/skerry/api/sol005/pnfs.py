"""Physical network functions of NSs on the wire (SOL005 6.5.3.3 and 6.5.3.13 to 6.5.3.17): what is asked, and what is shown."""

from __future__ import annotations

from typing import Literal

from skerry.api.sol003.types import Identifier, IpAddresses
from skerry.api.wire import Wire
from skerry.model.ns import NsInstance
from skerry.model.pnfs import PnfPoint, pnfs_of


class PnfAddresses(Wire, frozen=True, kw_only=True):
    """IpOverEthernetAddressData (6.5.3.20)."""

    mac_address: str | None = None
    segmentation_type: Literal["VLAN", "INHERIT"] | None = None
    segmentation_id: str | None = None
    ip_addresses: list[IpAddresses] | None = None

    def __post_init__(self) -> None:
        if self.mac_address is None and self.ip_addresses is None:
            raise ValueError("give macAddress or ipAddresses")


class PnfProtocolData(Wire, frozen=True, kw_only=True):
    """CpProtocolData (6.5.3.19)."""

    layer_protocol: Literal["IP_OVER_ETHERNET"]
    ip_over_ethernet: PnfAddresses | None = None


class PnfExtCpData(Wire, frozen=True, kw_only=True):
    """PnfExtCpData (6.5.3.16)."""

    cp_protocol_data: list[PnfProtocolData]
    cp_instance_id: str | None = None
    cpd_id: str | None = None

    def __post_init__(self) -> None:
        if not self.cp_instance_id and not self.cpd_id:
            raise ValueError("give cpdId for a new connection point, cpInstanceId for one that is there")


class AddPnfData(Wire, frozen=True, kw_only=True):
    """AddPnfData (6.5.3.14)."""

    pnf_id: Identifier
    pnf_name: str
    pnfd_id: Identifier
    pnf_profile_id: Identifier
    cp_data: list[PnfExtCpData] | None = None


class ModifyPnfData(Wire, frozen=True, kw_only=True):
    """ModifyPnfData (6.5.3.15)."""

    pnf_id: Identifier
    pnf_name: str | None = None
    cp_data: list[PnfExtCpData] | None = None

    def __post_init__(self) -> None:
        if self.pnf_name is None and self.cp_data is None:
            raise ValueError("give pnfName or cpData")


class PnfExtCpInfo(Wire, frozen=True, kw_only=True):
    """PnfExtCpInfo (6.5.3.17)."""

    cp_instance_id: str
    cpd_id: str
    cp_protocol_data: list[PnfProtocolData] | None = None


class PnfInfo(Wire, frozen=True, kw_only=True):
    """PnfInfo (6.5.3.13). The text has 1 to N connection points, the official V3.7.1 file has one: it is a list here."""

    pnf_id: str
    pnfd_id: str
    pnfd_info_id: str
    pnf_profile_id: str
    pnf_name: str
    cp_info: list[PnfExtCpInfo]


def shown(record: NsInstance) -> list[PnfInfo] | None:
    """The PNFs that an NS has."""
    return [
        PnfInfo(
            pnf_id=id,
            pnfd_id=pnf.pnfd_id,
            pnfd_info_id=pnf.pnfd_info_id,
            pnf_profile_id=pnf.profile,
            pnf_name=pnf.name,
            cp_info=[_point(point) for point in pnf.points],
        )
        for id, pnf in pnfs_of(record.resources).items()
    ] or None


def _point(point: PnfPoint) -> PnfExtCpInfo:
    families = {"IPV4": [ip for ip in point.ips if ":" not in ip], "IPV6": [ip for ip in point.ips if ":" in ip]}
    addresses = [
        IpAddresses(type=family, fixed_addresses=ips)  # type: ignore[arg-type]
        for family, ips in families.items()
        if ips
    ]
    if not point.mac and not addresses:
        return PnfExtCpInfo(cp_instance_id=point.id, cpd_id=point.cpd)
    data = PnfAddresses(mac_address=point.mac or None, ip_addresses=addresses or None)
    protocol = PnfProtocolData(layer_protocol="IP_OVER_ETHERNET", ip_over_ethernet=data)
    return PnfExtCpInfo(cp_instance_id=point.id, cpd_id=point.cpd, cp_protocol_data=[protocol])
