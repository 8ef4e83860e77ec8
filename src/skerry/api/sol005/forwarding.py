"""Forwarding graphs on the wire (SOL005 6.5.3.26, 6.5.3.27 and 6.5.3.36 to 6.5.3.44): what is asked, and what is shown."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta

from skerry.api.sol003.types import Identifier
from skerry.api.wire import Wire
from skerry.model.descriptors import Nfp, NfpElement, NfpPosition, NfpRule, NsDeploymentFlavour
from skerry.model.ns import FORWARDING, NsInstance
from skerry.model.pnfs import pnfs_of

PortNumber = Annotated[int, Meta(ge=0, le=65535)]


class PortRange(Wire, frozen=True, kw_only=True):
    """PortRange (6.5.3.42)."""

    lower_port: PortNumber
    upper_port: PortNumber

    def __post_init__(self) -> None:
        if self.lower_port > self.upper_port:
            raise ValueError(f"lowerPort {self.lower_port} is above upperPort {self.upper_port}")


class Rule(Wire, frozen=True, kw_only=True):
    """NfpRule (6.5.3.40). Masks (`extendedCriteria`) are refused."""

    ether_destination_address: str | None = None
    ether_source_address: str | None = None
    ether_type: Literal["IPV4", "IPV6"] | None = None
    vlan_tag: list[str] | None = None
    protocol: str | None = None
    dscp: str | None = None
    source_port_range: PortRange | None = None
    destination_port_range: PortRange | None = None
    source_ip_address_prefix: str | None = None
    destination_ip_address_prefix: str | None = None
    extended_criteria: list[Mapping[str, Any]] | None = None

    def __post_init__(self) -> None:
        if all(getattr(self, name) is None for name in self.__struct_fields__):
            raise ValueError("an NfpRule has at least one attribute")


class CpPairInfo(Wire, frozen=True, kw_only=True):
    """CpPairInfo (6.5.3.71). A point of `vnfExtCpIds` is written `VNF/POINT`, one of `pnfExtCpIds` `PNF/POINT`, since its
    identifier is unique in its function only."""

    vnf_ext_cp_ids: Annotated[list[str], Meta(max_length=2)] | None = None
    pnf_ext_cp_ids: Annotated[list[str], Meta(max_length=2)] | None = None
    sap_ids: Annotated[list[str], Meta(max_length=2)] | None = None


class CpGroupInfo(Wire, frozen=True, kw_only=True):
    """CpGroupInfo (6.5.3.70)."""

    cp_pair_info: Annotated[list[CpPairInfo], Meta(min_length=1)] | None = None
    forwarding_behaviour: Literal["ALL", "LB"] | None = None


class NfpData(Wire, frozen=True, kw_only=True):
    """NfpData (6.5.3.38). Own: `mecTrafficRule`, the TrafficRule of MEC 011 that the path stands for, which says of tunnels and
    actions what an NfpRule cannot."""

    nfp_info_id: str | None = None
    nfp_name: str | None = None
    description: str | None = None
    cp_group: list[CpGroupInfo] | None = None
    nfp_rule: Rule | None = None
    mec_traffic_rule: Mapping[str, Any] | None = None


class AddVnffgData(Wire, frozen=True, kw_only=True):
    """AddVnffgData (6.5.3.36). The official V3.7.1 file requires `vnffgdId` and does not describe it."""

    vnffgd_id: Identifier
    vnffg_name: str = ""
    description: str = ""


class UpdateVnffgData(Wire, frozen=True, kw_only=True):
    """UpdateVnffgData (6.5.3.37): paths to change or add, and paths to remove."""

    vnffg_info_id: Identifier
    nfp: list[NfpData] | None = None
    nfp_info_id: list[str] | None = None


class NfpInfo(Wire, frozen=True, kw_only=True):
    """NfpInfo (6.5.3.27), which the official V3.7.1 file leaves out of VnffgInfo. Of several rules of an NSD's
    path the first is shown."""

    id: str
    nfp_name: str
    cp_group: list[CpGroupInfo]
    nfp_state: Literal["ENABLED", "DISABLED"]
    total_cp: int
    nfpd_id: str | None = None
    nfp_rule: Rule | None = None
    mec_traffic_rule: Mapping[str, Any] | None = None


class VnffgInfo(Wire, frozen=True, kw_only=True):
    """VnffgInfo (6.5.3.26)."""

    id: str
    vnffgd_id: str
    vnf_instance_id: list[str]
    pnf_info_id: list[str]
    ns_virtual_link_info_id: list[str]
    nfp_info: list[NfpInfo] | None = None


def shown(flavour: NsDeploymentFlavour, record: NsInstance) -> list[VnffgInfo] | None:
    """The forwarding graphs that an NS has."""
    if FORWARDING not in record.resources and record.vnffgs is None:
        return None
    graphs = flavour.vnffgs if record.vnffgs is None else record.vnffgs
    found: list[VnffgInfo] = []
    for vnffg in graphs.values():
        elements = [e for nfp in vnffg.nfps.values() for position in nfp.positions for e in position.elements]
        profiles = {*vnffg.profiles, *(element.profile for element in elements)}
        members = [one for one in record.members.values() if one.profile in profiles]
        on = {link for one in members for link in flavour.vnf_profiles[one.profile].links.values()}
        pnfs = {id: pnf for id, pnf in pnfs_of(record.resources).items() if pnf.profile in profiles}
        on |= {point.link for pnf in pnfs.values() for point in pnf.points}
        own = flavour.vnffgs.get(vnffg.id)
        found.append(
            VnffgInfo(
                id=vnffg.id,
                vnffgd_id=vnffg.id,
                vnf_instance_id=[one.vnf_instance_id for one in members],
                pnf_info_id=list(pnfs),
                ns_virtual_link_info_id=[
                    key.removeprefix("network:")
                    for key in sorted(record.resources)
                    if key.startswith("network:") and key.removeprefix("network:").split("@")[0] in on
                ],
                nfp_info=[
                    _nfp(nfp, flavour.pnf_profiles, described=bool(own and nfp.id in own.nfps))
                    for nfp in vnffg.nfps.values()
                ]
                or None,
            )
        )
    return found or None


def _nfp(nfp: Nfp, pnfs: Container[str], *, described: bool) -> NfpInfo:
    points = [point for position in nfp.positions for one in position.elements for point in _points(one)]
    return NfpInfo(
        id=nfp.id,
        nfpd_id=nfp.id if described else None,
        nfp_name=nfp.id,
        cp_group=[_group(position, pnfs) for position in nfp.positions],
        nfp_state="ENABLED",
        total_cp=len(points),
        nfp_rule=next((_rule(rule) for rule in nfp.rules), None),
        mec_traffic_rule=nfp.traffic or None,
    )


def _points(element: NfpElement) -> list[str]:
    points = dict.fromkeys((element.ingress, element.egress))
    return [f"{element.profile}/{point}" if point else element.profile for point in points]


def _pair(element: NfpElement, pnfs: Container[str]) -> CpPairInfo:
    if element.is_sap:
        return CpPairInfo(sap_ids=[element.profile])
    if element.profile in pnfs:
        return CpPairInfo(pnf_ext_cp_ids=_points(element))
    return CpPairInfo(vnf_ext_cp_ids=_points(element))


def _group(position: NfpPosition, pnfs: Container[str]) -> CpGroupInfo:
    pairs = [_pair(one, pnfs) for one in position.elements]
    return CpGroupInfo(
        cp_pair_info=pairs, forwarding_behaviour="ALL" if position.forwarding_behaviour == "all" else "LB"
    )


def _rule(rule: NfpRule) -> Rule:
    return Rule(
        ether_destination_address=rule.ether_destination_address or None,
        ether_source_address=rule.ether_source_address or None,
        ether_type={"ipv4": "IPV4", "ipv6": "IPV6"}.get(rule.ether_type),  # type: ignore[arg-type]
        vlan_tag=[str(rule.vlan_tag)] if rule.vlan_tag >= 0 else None,
        protocol=rule.protocol.upper() or None,
        dscp=f"{rule.dscp:06b}" if rule.dscp >= 0 else None,
        source_port_range=_range(rule.source_port_range),
        destination_port_range=_range(rule.destination_port_range),
        source_ip_address_prefix=rule.source_ip_address_prefix or None,
        destination_ip_address_prefix=rule.destination_ip_address_prefix or None,
    )


def _range(bounds: tuple[int, int] | None) -> PortRange | None:
    return PortRange(lower_port=bounds[0], upper_port=bounds[1]) if bounds else None
