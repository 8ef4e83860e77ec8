"""Data types of VNF LCM on the wire (SOL003 clauses 4.4 and 5.5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from skerry.api.wire import KeyValuePairs, Links, ResourceHandle, Wire

Identifier = Annotated[str, Meta(min_length=1)]
Positive = Annotated[int, Meta(ge=1)]
NotNegative = Annotated[int, Meta(ge=0)]


class VimConnectionInfo(Wire, frozen=True, kw_only=True):
    """VimConnectionInfo (4.4.1.6). `id` is only there in version 1, where connections are a list."""

    vim_type: str
    id: str | None = None
    vim_id: str | None = None
    interface_info: KeyValuePairs | None = None
    access_info: KeyValuePairs | None = None
    extra: KeyValuePairs | None = None


VimConnections = Mapping[str, VimConnectionInfo] | list[VimConnectionInfo]


class IpAddresses(Wire, frozen=True, kw_only=True):
    """Fixed addresses of one family (4.4.1.10c)."""

    type: Literal["IPV4", "IPV6"]
    fixed_addresses: list[str] | None = None
    num_dynamic_addresses: int | None = None
    address_range: Mapping[str, str] | None = None
    subnet_id: str | None = None


class IpOverEthernetAddressData(Wire, frozen=True, kw_only=True):
    """IpOverEthernetAddressData (4.4.1.10c). The official V3.7.1 file asks for one of the last two here, one level above
    the place that the text gives them: answers have them in both."""

    mac_address: str | None = None
    segmentation_id: str | None = None
    ip_addresses: list[IpAddresses] | None = None
    fixed_addresses: list[str] | None = None
    num_dynamic_addresses: int | None = None


class CpProtocolData(Wire, frozen=True, kw_only=True):
    """CpProtocolData (4.4.1.10b)."""

    layer_protocol: Literal["IP_OVER_ETHERNET"]
    ip_over_ethernet: IpOverEthernetAddressData | None = None


class VnfExtCpConfig(Wire, frozen=True, kw_only=True):
    """VnfExtCpConfig (4.4.1.10a)."""

    parent_cp_config_id: str | None = None
    cp_instance_id: str | None = None
    link_port_id: str | None = None
    create_ext_link_port: bool | None = None
    cp_protocol_data: list[CpProtocolData] | None = None


class VnfExtCpData(Wire, frozen=True, kw_only=True):
    """VnfExtCpData (4.4.1.10). `cp_config` is a map in version 2, a list in version 1."""

    cpd_id: Identifier
    cp_config: Mapping[str, VnfExtCpConfig] | list[VnfExtCpConfig] | None = None


class ExtVirtualLinkData(Wire, frozen=True, kw_only=True):
    """ExtVirtualLinkData (4.4.1.11)."""

    id: Identifier
    resource_id: Identifier
    ext_cps: list[VnfExtCpData]
    vim_connection_id: str | None = None
    resource_provider_id: str | None = None
    ext_link_ports: list[KeyValuePairs] | None = None


class ExtManagedVirtualLinkData(Wire, frozen=True, kw_only=True):
    """ExtManagedVirtualLinkData (4.4.1.12)."""

    id: Identifier
    vnf_virtual_link_desc_id: Identifier
    resource_id: Identifier
    vim_connection_id: str | None = None


class ScaleInfo(Wire, frozen=True, kw_only=True):
    """ScaleInfo (4.4.1.9). The official V3.7.1 file requires `scaleLevel` and describes `scaleToLevel`: both are sent,
    either is taken."""

    aspect_id: Identifier
    scale_level: NotNegative | None = None
    scale_to_level: Annotated[str, Meta(pattern=r"^[0-9]{1,6}$")] | Annotated[int, Meta(ge=0)] | None = None
    vnfd_id: str | None = None


class CreateVnfRequest(Wire, frozen=True, kw_only=True):
    """CreateVnfRequest (5.5.2.3)."""

    vnfd_id: Identifier
    vnf_instance_name: str = ""
    vnf_instance_description: str = ""
    metadata: KeyValuePairs = {}


class TaskRequest(Wire, frozen=True, kw_only=True):
    """What requests of tasks on VNFs have in common (5.5.2.4 to 5.5.2.26)."""

    additional_params: KeyValuePairs | None = None


class ConnectingRequest(TaskRequest, frozen=True, kw_only=True):
    """What those of them have in common that say how a VNF is connected, and may change its values."""

    ext_virtual_links: list[ExtVirtualLinkData] | None = None
    ext_managed_virtual_links: list[ExtManagedVirtualLinkData] | None = None
    vim_connection_info: VimConnections | None = None
    extensions: KeyValuePairs | None = None
    vnf_configurable_properties: KeyValuePairs | None = None


class InstantiateVnfRequest(ConnectingRequest, frozen=True, kw_only=True):
    """InstantiateVnfRequest (5.5.2.4); `target_scale_level_info` is of V4."""

    flavour_id: Identifier
    instantiation_level_id: str | None = None
    target_scale_level_info: list[ScaleInfo] | None = None
    localization_language: str | None = None


class ScaleVnfRequest(TaskRequest, frozen=True, kw_only=True):
    """ScaleVnfRequest (5.5.2.5)."""

    type: Literal["SCALE_OUT", "SCALE_IN"]
    aspect_id: Identifier
    number_of_steps: Positive | None = None


class ScaleVnfToLevelRequest(TaskRequest, frozen=True, kw_only=True):
    """ScaleVnfToLevelRequest (5.5.2.6)."""

    instantiation_level_id: str | None = None
    scale_info: list[ScaleInfo] | None = None

    def __post_init__(self) -> None:
        if (self.instantiation_level_id is None) == (self.scale_info is None):
            raise ValueError("give either instantiationLevelId or scaleInfo")


class OperateVnfRequest(TaskRequest, frozen=True, kw_only=True):
    """OperateVnfRequest (5.5.2.10). `vnfc_instance_id` is of SOL002: only these VNFCs."""

    change_state_to: Literal["STARTED", "STOPPED"]
    stop_type: Literal["FORCEFUL", "GRACEFUL"] | None = None
    graceful_stop_timeout: NotNegative | None = None
    vnfc_instance_id: list[str] | None = None


class HealVnfRequest(TaskRequest, frozen=True, kw_only=True):
    """HealVnfRequest (5.5.2.9). `vnfc_instance_id` is of SOL002: only these VNFCs."""

    cause: str | None = None
    vnfc_instance_id: list[str] | None = None


class TerminateVnfRequest(TaskRequest, frozen=True, kw_only=True):
    """TerminateVnfRequest (5.5.2.8)."""

    termination_type: Literal["FORCEFUL", "GRACEFUL"]
    graceful_termination_timeout: NotNegative | None = None


class ChangeVnfFlavourRequest(ConnectingRequest, frozen=True, kw_only=True):
    """ChangeVnfFlavourRequest (5.5.2.7)."""

    new_flavour_id: Identifier
    instantiation_level_id: str | None = None


class ChangeExtVnfConnectivityRequest(TaskRequest, frozen=True, kw_only=True):
    """ChangeExtVnfConnectivityRequest (5.5.2.11)."""

    ext_virtual_links: list[ExtVirtualLinkData]
    vim_connection_info: VimConnections | None = None


class ChangeCurrentVnfPkgRequest(ConnectingRequest, frozen=True, kw_only=True):
    """ChangeCurrentVnfPkgRequest (5.5.2.11a)."""

    vnfd_id: Identifier


class VnfInfoModificationRequest(Wire, frozen=True, kw_only=True):
    """VnfInfoModificationRequest (5.5.2.12); null removes a value (RFC 7396)."""

    vnf_instance_name: str | None = None
    vnf_instance_description: str | None = None
    vnf_pkg_id: str | None = None
    vnfd_id: str | None = None
    vnf_configurable_properties: KeyValuePairs | None = None
    metadata: KeyValuePairs | None = None
    extensions: KeyValuePairs | None = None
    vim_connection_info: VimConnections | None = None


class CancelMode(Wire, frozen=True, kw_only=True):
    """CancelMode (5.5.2.14)."""

    cancel_mode: Literal["GRACEFUL", "FORCEFUL"]


class IpAddressInfo(Wire, frozen=True, kw_only=True):
    """Addresses in use (4.5.3.10)."""

    type: Literal["IPV4", "IPV6"]
    addresses: list[str]


class IpOverEthernetAddressInfo(Wire, frozen=True, kw_only=True):
    """IpOverEthernetAddressInfo (5.5.3.10). The official V3.7.1 file asks for `addresses` here, one level above the
    place that the text gives it: both have it."""

    mac_address: str
    addresses: str
    ip_addresses: list[IpAddressInfo] | None = None


class CpProtocolInfo(Wire, frozen=True, kw_only=True):
    """CpProtocolInfo (5.5.3.9b)."""

    layer_protocol: Literal["IP_OVER_ETHERNET"]
    ip_over_ethernet: IpOverEthernetAddressInfo


class VnfExtCpInfo(Wire, frozen=True, kw_only=True):
    """VnfExtCpInfo (5.5.3.9)."""

    id: str
    cpd_id: str
    cp_config_id: str
    cp_protocol_info: list[CpProtocolInfo]
    associated_vnfc_cp_id: str
    ext_link_port_id: str | None = None


class ExtLinkPortInfo(Wire, frozen=True, kw_only=True):
    """ExtLinkPortInfo (5.5.3.3a)."""

    id: str
    resource_handle: ResourceHandle
    cp_instance_id: str


class ExtVirtualLinkInfo(Wire, frozen=True, kw_only=True):
    """ExtVirtualLinkInfo (5.5.3.2)."""

    id: str
    resource_handle: ResourceHandle
    current_vnf_ext_cp_data: list[VnfExtCpData]
    ext_link_ports: list[ExtLinkPortInfo] | None = None


class ExtManagedVirtualLinkInfo(Wire, frozen=True, kw_only=True):
    """ExtManagedVirtualLinkInfo (5.5.3.3)."""

    id: str
    vnf_virtual_link_desc_id: str
    network_resource: ResourceHandle


class VnfcCpInfo(Wire, frozen=True, kw_only=True):
    """One connection point of a VNFC (5.5.3.5)."""

    id: str
    cpd_id: str
    cp_protocol_info: list[CpProtocolInfo]
    vnf_ext_cp_id: str | None = None
    vnf_link_port_id: str | None = None


class VnfcResourceInfo(Wire, frozen=True, kw_only=True):
    """VnfcResourceInfo (5.5.3.5)."""

    id: str
    vdu_id: str
    compute_resource: ResourceHandle
    zone_id: str | None = None
    vnfc_cp_info: list[VnfcCpInfo] | None = None
    metadata: KeyValuePairs | None = None


class VnfLinkPortInfo(Wire, frozen=True, kw_only=True):
    """VnfLinkPortInfo (5.5.3.8)."""

    id: str
    resource_handle: ResourceHandle
    cp_instance_id: str
    cp_instance_type: Literal["VNFC_CP", "EXT_CP"]


class VnfVirtualLinkResourceInfo(Wire, frozen=True, kw_only=True):
    """VnfVirtualLinkResourceInfo (5.5.3.6)."""

    id: str
    vnf_virtual_link_desc_id: str
    network_resource: ResourceHandle
    vnf_link_ports: list[VnfLinkPortInfo] | None = None


class MonitoringParameter(Wire, frozen=True, kw_only=True):
    """MonitoringParameter (5.5.3.4)."""

    id: str
    performance_metric: str
    name: str | None = None


class VnfcInfo(Wire, frozen=True, kw_only=True):
    """VnfcInfo (SOL002 5.5.3.21)."""

    id: str
    vdu_id: str
    vnfc_resource_info_id: str
    vnfc_state: str


class InstantiatedVnfInfo(Wire, frozen=True, kw_only=True):
    """`instantiatedVnfInfo` of VnfInstance (5.5.2.2)."""

    flavour_id: str
    vnf_state: str
    ext_cp_info: list[VnfExtCpInfo]
    scale_status: list[ScaleInfo] | None = None
    max_scale_levels: list[ScaleInfo] | None = None
    ext_virtual_link_info: list[ExtVirtualLinkInfo] | None = None
    ext_managed_virtual_link_info: list[ExtManagedVirtualLinkInfo] | None = None
    monitoring_parameters: list[MonitoringParameter] | None = None
    vnfc_resource_info: list[VnfcResourceInfo] | None = None
    vnf_virtual_link_resource_info: list[VnfVirtualLinkResourceInfo] | None = None
    vnfc_info: list[VnfcInfo] | None = None


class VnfInstance(Wire, frozen=True, kw_only=True):
    """VnfInstance (5.5.2.2)."""

    id: str
    vnfd_id: str
    vnf_provider: str
    vnf_product_name: str
    vnf_software_version: str
    vnfd_version: str
    instantiation_state: str
    vnf_instance_name: str | None = None
    vnf_instance_description: str | None = None
    vnf_configurable_properties: KeyValuePairs | None = None
    vim_connection_info: VimConnections | None = None
    instantiated_vnf_info: InstantiatedVnfInfo | None = None
    metadata: KeyValuePairs | None = None
    extensions: KeyValuePairs | None = None
    links: Links | None = msgspec.field(name="_links", default=None)


class AffectedVnfc(Wire, frozen=True, kw_only=True):
    """AffectedVnfc (5.5.3.13)."""

    id: str
    vdu_id: str
    change_type: Literal["ADDED", "REMOVED", "MODIFIED"]
    compute_resource: ResourceHandle


class AffectedVirtualLink(Wire, frozen=True, kw_only=True):
    """AffectedVirtualLink (5.5.3.14)."""

    id: str
    vnf_virtual_link_desc_id: str
    change_type: Literal["ADDED", "REMOVED", "MODIFIED"]
    network_resource: ResourceHandle


class ResourceChanges(Wire, frozen=True, kw_only=True):
    """`resourceChanges` of VnfLcmOpOcc (5.5.2.13)."""

    affected_vnfcs: list[AffectedVnfc] | None = None
    affected_virtual_links: list[AffectedVirtualLink] | None = None


class OperationError(Wire, frozen=True, kw_only=True):
    """ProblemDetails of a failed operation, with what to do."""

    status: int
    detail: str
    title: str | None = None
    suggestion: str | None = None


class LcmCoordination(Wire, frozen=True, kw_only=True):
    """An entry of `lcmCoordinations` (5.5.2.13)."""

    id: str
    coordination_action_name: str
    start_time: str
    endpoint_type: Literal["VNF", "MGMT"]
    coordination_result: str | None = None
    end_time: str | None = None


class VnfLcmOpOcc(Wire, frozen=True, kw_only=True):
    """VnfLcmOpOcc (5.5.2.13). The official V3.7.1 file requires `changedInfo` where there is no
    `modificationsTriggeredByVnfPkgChange`: it is empty where nothing was modified."""

    ONE_OF: ClassVar[frozenset[str]] = frozenset({"changedInfo", "modificationsTriggeredByVnfPkgChange"})
    id: str
    operation_state: str
    state_entered_time: str
    start_time: str
    vnf_instance_id: str
    operation: str
    is_automatic_invocation: bool
    is_cancel_pending: bool
    operation_params: Mapping[str, Any]
    links: Links = msgspec.field(name="_links")
    changed_info: Mapping[str, Any] | None = None
    cancel_mode: str | None = None
    error: OperationError | None = None
    resource_changes: ResourceChanges | None = None
    changed_ext_connectivity: list[ExtVirtualLinkInfo] | None = None
    modifications_triggered_by_vnf_pkg_change: KeyValuePairs | None = None
    vnf_snapshot_info_id: str | None = None
    lcm_coordinations: list[LcmCoordination] | None = None
    warnings: list[str] | None = None


class CreateVnfSnapshotInfoRequest(Wire, frozen=True, kw_only=True):
    """CreateVnfSnapshotInfoRequest (5.5.2.20): nothing, for a record that an operation of ours fills."""


class VnfSnapshotInfoModificationRequest(Wire, frozen=True, kw_only=True):
    """VnfSnapshotInfoModificationRequest (5.5.2.24). Of `vnfSnapshot` only `userDefinedData` may differ from what it is."""

    vnf_snapshot_pkg_id: Identifier | None = None
    vnf_snapshot: Mapping[str, Any] | None = None


class VnfStateSnapshotInfo(Wire, frozen=True, kw_only=True):
    """VnfStateSnapshotInfo (5.5.3.22): the checksum is `sha-256` and lower-case hex."""

    checksum: Mapping[str, str]
    is_encrypted: bool
    metadata: KeyValuePairs | None = None


class CreateVnfSnapshotRequest(TaskRequest, frozen=True, kw_only=True):
    """CreateVnfSnapshotRequest (5.5.2.21). `vnfc_instance_id` is of SOL002: only this VNFC."""

    vnf_snapshot_info_id: Identifier
    vnfc_instance_id: str | None = None
    user_defined_data: KeyValuePairs | None = None


class RevertToVnfSnapshotRequest(TaskRequest, frozen=True, kw_only=True):
    """RevertToVnfSnapshotRequest (5.5.2.26). `vnfc_instance_id` is of SOL002: only this VNFC."""

    vnf_snapshot_info_id: Identifier
    vnfc_instance_id: str | None = None


class VnfcSnapshotInfo(Wire, frozen=True, kw_only=True):
    """VnfcSnapshotInfo (5.5.3.21). The official file asks for `vnfcResourceId` and describes `vnfcResourceInfoId`."""

    id: str
    vnfc_instance_id: str
    triggered_at: str
    vnfc_resource_id: str
    creation_started_at: str | None = None
    creation_finished_at: str | None = None
    vnfc_resource_info_id: str | None = None
    compute_snapshot_resource: ResourceHandle | None = None


class VnfSnapshot(Wire, frozen=True, kw_only=True):
    """VnfSnapshot (5.5.2.23). The official file asks for `vnfInfo` and describes `vnfInstance`."""

    id: str
    vnf_instance_id: str
    triggered_at: str
    vnfd_id: str
    vnf_info: VnfInstance
    vnfc_snapshots: list[VnfcSnapshotInfo]
    creation_started_at: str | None = None
    creation_finished_at: str | None = None
    vnf_instance: VnfInstance | None = None
    vnf_state_snapshot_info: VnfStateSnapshotInfo | None = None
    user_defined_data: KeyValuePairs | None = None
    links: Annotated[Links | None, Meta(description="Links")] = msgspec.field(default=None, name="_links")


class VnfSnapshotInfoModifications(Wire, frozen=True, kw_only=True):
    """VnfSnapshotInfoModifications (5.5.2.25): what was asked for and is so now."""

    vnf_snapshot_pkg_id: str | None = None
    vnf_snapshot: VnfSnapshot | None = None


class VnfSnapshotInfo(Wire, frozen=True, kw_only=True):
    """VnfSnapshotInfo (5.5.2.22)."""

    id: str
    vnf_snapshot_pkg_id: str | None = None
    vnf_snapshot: VnfSnapshot | None = None
    links: Annotated[Links | None, Meta(description="Links")] = msgspec.field(default=None, name="_links")
