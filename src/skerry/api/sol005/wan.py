"""Connections of virtual links to a WAN on the wire (SOL005 6.5.3.80 to 6.5.3.93): what is said of them, and shown again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from skerry.api.sol003.types import Identifier
from skerry.api.wire import KeyValuePairs, Wire
from skerry.model.ns import NsInstance
from skerry.model.virtual_links import PREFIX
from skerry.model.vnf import VnfInstance
from skerry.model.wan import WanConnection


class MscsEndpoint(Wire, frozen=True, kw_only=True):
    """MscsEndpointInfo (6.5.3.83). The standard spells `connectivityServiceEndpoinId`."""

    mscs_endpoint_id: Identifier
    directionality: Literal["INBOUND", "OUTBOUND", "BOTH"]
    connectivity_service_endpoin_id: list[Identifier]


class Mscs(Wire, frozen=True, kw_only=True):
    """MscsInfo (6.5.3.82): a multi-site connectivity service that is there."""

    mscs_id: Identifier
    mscs_type: Literal["L2VPN", "L3VPN"]
    mscs_name: str | None = None
    mscs_description: str | None = None
    mscs_layer_protocol: Literal["EVPN_BGP_MPLS", "EVPN_VPWS", "VPLS_BGP", "VPLS_LDP", "VPWS", "BGP_IP_VPN"] | None = (
        None
    )
    site_access_protection_schemes: list[KeyValuePairs] | None = None
    mtu_mscs: float | None = None
    mscs_endpoints: list[MscsEndpoint] | None = None


class Layer2Connection(Wire, frozen=True, kw_only=True):
    """`layer2ConnectionInfo` of SiteToWanLayer2ProtocolData (6.5.3.85)."""

    connection_type: Literal["CSE", "AGGREGATE_CSE"]
    interface_type: Literal["PARENT", "LOGICAL"]
    interface_tagging: Literal["UNTAGGED", "TAGGED"]
    encapsulation_type: Literal["ETH", "VLAN", "VXLAN"]
    vlan_tagging_type: Literal["DOT1Q", "QINQ", "QINANY"] | None = None
    wan_segment_ids: KeyValuePairs | None = None
    vxlan_config: KeyValuePairs | None = None
    lag_interface_data: KeyValuePairs | None = None
    layer2_control_protocol: str | None = msgspec.field(name="layer2ControlProtocol", default=None)


class Layer2(Wire, frozen=True, kw_only=True):
    """SiteToWanLayer2ProtocolData (6.5.3.85)."""

    connection: Layer2Connection = msgspec.field(name="layer2ConnectionInfo")
    mtu_l2: float | None = msgspec.field(name="mtuL2", default=None)
    virtual_routing_and_forwarding: KeyValuePairs | None = None
    forwarding_config: KeyValuePairs | None = None


class Layer3(Wire, frozen=True, kw_only=True):
    """SiteToWanLayer3ProtocolData (6.5.3.86)."""

    routing_info: KeyValuePairs
    logical_interface_ip_address: KeyValuePairs | None = None
    mtu_l3: float | None = msgspec.field(name="mtuL3", default=None)
    virtual_routing_and_forwarding: KeyValuePairs | None = None
    bfd_config: KeyValuePairs | None = None


class Endpoint(Wire, frozen=True, kw_only=True):
    """ConnectivityServiceEndpointInfo (6.5.3.84)."""

    connectivity_service_endpoint_id: Identifier
    vim_id: Identifier
    layer2: Layer2 | None = msgspec.field(name="siteToWanLayer2ProtocolData", default=None)
    layer3: Layer3 | None = msgspec.field(name="siteToWanLayer3ProtocolData", default=None)


class NsLink(Wire, frozen=True, kw_only=True):
    """`nsVirtualLink` of WanConnectionData."""

    ns_virtual_link_desc_id: Identifier
    ns_virtual_link_profile_id: Identifier


class VnfLink(Wire, frozen=True, kw_only=True):
    """`vnfVirtualLink` of WanConnectionData."""

    vnf_profile_id: Identifier
    vnf_virtual_link_desc_id: Identifier
    vnf_virtual_link_profile_id: Identifier


class Protocol(Wire, frozen=True, kw_only=True):
    """WanConnectionProtocolData (6.5.3.87)."""

    mscs_info: Mscs | None = None
    connectivity_service_endpoint_config_datas: list[Endpoint] | None = None

    def __post_init__(self) -> None:
        if self.mscs_info is None and self.connectivity_service_endpoint_config_datas is None:
            raise ValueError("give mscsInfo or connectivityServiceEndpointConfigDatas")


class WanConnectionData(Wire, frozen=True, kw_only=True):
    """WanConnectionData (6.5.3.86)."""

    protocol_data: Protocol
    ns_virtual_link: NsLink | None = None
    vnf_virtual_link: VnfLink | None = None

    def __post_init__(self) -> None:
        if (self.ns_virtual_link is None) == (self.vnf_virtual_link is None):
            raise ValueError("give either nsVirtualLink or vnfVirtualLink")


class ModifyWanConnectionInfoData(Wire, frozen=True, kw_only=True):
    """ModifyWanConnectionInfoData (6.5.3.93). A null takes an attribute away."""

    wan_connection_info_id: Identifier
    mscs_name: str | UnsetType | None = UNSET
    mscs_description: str | UnsetType | None = UNSET
    mscs_endpoints: list[MscsEndpoint] | None = None
    remove_mscs_endpoint_ids: list[Identifier] | None = None
    connectivity_service_endpoints: list[Endpoint] | None = None
    remove_connectivity_service_endpoints: list[Identifier] | None = None


class ProtocolInfo(Wire, frozen=True, kw_only=True):
    """WanConnectionProtocolInfo (6.5.3.81)."""

    mscs_info: KeyValuePairs | None = None
    connectivity_service_endpoints: list[KeyValuePairs] | None = None


class WanConnectionInfo(Wire, frozen=True, kw_only=True):
    """WanConnectionInfo (6.5.3.80)."""

    wan_connection_info_id: str
    protocol_info: ProtocolInfo
    ns_virtual_link_info_id: str | None = None
    vnf_virtual_link_resource_info_id: str | None = None


def shown(record: NsInstance, vnfs: Iterable[VnfInstance]) -> list[WanConnectionInfo] | None:
    """The WAN connections that an NS has; `vnfs` are its VNFs."""
    members = {one.vnf_instance_id: one.profile for one in record.members.values()}
    inside = [(members.get(vnf.id, ""), vnf.resources) for vnf in vnfs]
    found: list[WanConnectionInfo] = []
    for id, one in record.wan.items():
        graphs = (
            [graph for profile, graph in inside if profile == one.vnf_profile]
            if one.vnf_profile
            else [record.resources]
        )
        link = next((name for graph in graphs for name in _links(graph, one.link)), one.link)
        found.append(
            WanConnectionInfo(
                wan_connection_info_id=id,
                protocol_info=_protocol(one),
                ns_virtual_link_info_id=None if one.vnf_profile else link,
                vnf_virtual_link_resource_info_id=link if one.vnf_profile else None,
            )
        )
    return found or None


def _links(graph: Iterable[str], link: str) -> list[str]:
    """What a virtual link is called in a resource graph, one name for each VIM."""
    names = sorted(key.removeprefix(PREFIX) for key in graph if key.startswith(PREFIX))
    return [name for name in names if name.partition("@")[0] == link]


def _protocol(one: WanConnection) -> ProtocolInfo:
    endpoints: list[Any] = list(one.endpoints.values())
    return ProtocolInfo(mscs_info=one.mscs or None, connectivity_service_endpoints=endpoints or None)
