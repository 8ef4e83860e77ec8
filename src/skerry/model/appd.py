"""AppD: the descriptor of an edge application (ETSI GS MEC 010-2 V3.1.1 clause 6.2.1).

Field names follow the standard; the JSON of a struct is the standard's own form. Sizes are as the standard has them:
memory in MB, storage in GB, CPU of containers in thousandths of a vCPU, `max_latency` in nanoseconds, one way.
Enumerations are those of MEC 011, which lists the same words.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, field

from skerry.model.mec import (
    FilterType,
    InterfaceType,
    IpAddressType,
    SerializerType,
    TrafficAction,
    TransportType,
)


class Described(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel", forbid_unknown_fields=True
):
    """Base of all parts of an AppD: camelCase on the wire, unknown attributes are faults."""


Text = Annotated[str, Meta(min_length=1)]
Count = Annotated[int, Meta(ge=0)]
Amount = Annotated[float, Meta(ge=0)]
Pairs = Mapping[str, Any]


class TunnelType(enum.StrEnum):
    """tunnelType (6.2.1.16)."""

    GTP_U = "GTP-U"
    GRE = "GRE"


class ChecksumData(Described, frozen=True, kw_only=True):
    """ChecksumData."""

    algorithm: str
    hash: str


class MonitoringParameter(Described, frozen=True, kw_only=True):
    """MonitoringParameter."""

    monitoring_parameter_id: Text
    performance_metric: Text
    name: str = ""
    collection_period: str = ""


class SwImageDescriptor(Described, frozen=True, kw_only=True):
    """SwImageDescriptor (6.2.1.3). `sw_image` is a path inside the package, or `host:…`, `docker://…`."""

    id: Text
    name: Text
    version: str
    container_format: str
    sw_image: Text
    checksum: ChecksumData | None = None
    disk_format: str = ""
    min_disk: Amount = 0
    min_ram: Amount = 0
    size: Amount = 0
    operating_system: str = ""
    supported_virtualisation_environment: tuple[str, ...] = ()


class LogicalNode(Described, frozen=True, kw_only=True):
    """LogicalNodeRequirements."""

    id: Text
    logical_node_requirement_detail: tuple[Any, ...] = ()


class AdditionalCapability(Described, frozen=True, kw_only=True):
    """RequestedAdditionalCapabilityData."""

    requested_additional_capability_name: Text
    support_mandatory: bool
    target_performance_parameters: tuple[Pairs, ...] = ()
    min_requested_additional_capability_version: str = ""
    preferred_requested_additional_capability_version: str = ""


class CpuPinning(Described, frozen=True, kw_only=True):
    """VirtualCpuPinningData."""

    virtual_cpu_pinning_policy: Literal["STATIC", "DYNAMIC"] = "DYNAMIC"
    virtual_cpu_pinning_rule: tuple[str, ...] = ()


class VirtualMemory(Described, frozen=True, kw_only=True):
    """VirtualMemoryData."""

    virtual_mem_size: Amount
    virtual_mem_oversubscription_policy: str = ""
    vdu_mem_requirements: tuple[Pairs, ...] = ()
    numa_enabled: bool = False
    huge_pages_requirements: str = ""


class VirtualCpu(Described, frozen=True, kw_only=True):
    """VirtualCpuData."""

    num_virtual_cpu: Annotated[int, Meta(ge=1)]
    cpu_architecture: str = ""
    virtual_cpu_clock: Amount = 0
    virtual_cpu_oversubscription_policy: str = ""
    vdu_cpu_requirements: tuple[Pairs, ...] = ()
    virtual_cpu_pinning: CpuPinning | None = None


class BlockStorage(Described, frozen=True, kw_only=True):
    """BlockStorageData."""

    size_of_storage: Amount
    vdu_storage_requirements: tuple[Pairs, ...] = ()
    rdma_enabled: bool = False
    sw_image_desc: SwImageDescriptor | None = None


class VirtualCompute(Described, frozen=True, kw_only=True):
    """VirtualComputeDescriptor (6.2.1.2)."""

    virtual_compute_desc_id: Text
    virtual_memory: VirtualMemory
    virtual_cpu: VirtualCpu
    logical_node: tuple[LogicalNode, ...] = ()
    request_additional_capabilities: tuple[AdditionalCapability, ...] = ()
    compute_requirements: tuple[Any, ...] = ()
    virtual_disk: tuple[BlockStorage, ...] = ()


class OsContainer(Described, frozen=True, kw_only=True):
    """OsContainerDescriptor. `boot_data` is JSON or YAML with the keys of SOL001's boot data (`kvp_data`,
    `content_or_file_data`, `vim_specific_properties`), or plain user data."""

    os_container_desc_id: Text
    name: str
    description: str = ""
    sw_image_desc: SwImageDescriptor
    requested_cpu_resources: Count = 0
    requested_memory_resources: Amount = 0
    requested_ephemeral_storage_resources: Amount = 0
    extended_resource_requests: tuple[Pairs, ...] = ()
    additional_properties: str = ""
    cpu_resource_limit: Count = 0
    memory_resource_limit: Amount = 0
    ephemeral_storage_resource_limit: Amount = 0
    huge_page_resources: Pairs = {}
    cpu_pinning_requirements: CpuPinning | None = None
    boot_data: str = ""
    monitoring_parameters: tuple[MonitoringParameter, ...] = ()


class ObjectStorage(Described, frozen=True, kw_only=True):
    """ObjectStorageData."""

    max_size_of_storage: Amount = 0


class FileStorage(Described, frozen=True, kw_only=True):
    """FileStorageData."""

    size_of_storage: Amount = 0
    file_system_protocol: str = ""
    int_virtual_link_desc: Pairs = {}


class VirtualStorage(Described, frozen=True, kw_only=True):
    """VirtualStorageDescriptor (6.2.1.4)."""

    id: Text
    type_of_storage: Literal["BLOCK", "OBJECT", "FILE"]
    block_storage_data: BlockStorage | None = None
    object_storage_data: ObjectStorage | None = None
    file_storage_data: FileStorage | None = None
    nfvi_maintenance_info: Pairs = {}
    per_vnfc_instance: bool = False


class ServicePort(Described, frozen=True, kw_only=True):
    """ServicePortData."""

    name: str
    protocol: Literal["TCP", "UDP", "SCTP"]
    port: Annotated[int, Meta(ge=1, le=65535)]
    port_configurable: bool = False


class AdditionalServiceData(Described, frozen=True, kw_only=True):
    """AdditionalServiceData: the ports that a connection point serves."""

    port_data: Annotated[tuple[ServicePort, ...], Meta(min_length=1)]
    service_data: str = ""


class NetworkInterface(Described, frozen=True, kw_only=True):
    """VirtualNetworkInterfaceRequirements."""

    name: str = ""
    description: str = ""
    standardized_network_interface_requirements: Any = None
    network_interface_requirements: Any = None
    nic_io_requirements: Any = None


class AppExternalCpd(Described, frozen=True, kw_only=True):
    """AppExternalCpd (6.2.1.5) with what it inherits of Cpd (NFV IFA 011)."""

    cpd_id: Text
    layer_protocol: tuple[str, ...] = ("IPV4",)
    cp_role: str = ""
    description: str = ""
    trunk_mode: bool = False
    security_group_rule_id: tuple[str, ...] = ()
    cp_protocol: tuple[Pairs, ...] = ()
    address_data: tuple[Pairs, ...] = ()
    virtual_network_interface_requirements: tuple[NetworkInterface, ...] = ()
    additional_service_data: tuple[AdditionalServiceData, ...] = ()


class CategoryRef(Described, frozen=True, kw_only=True):
    """CategoryRef (MEC 011)."""

    href: str
    id: str
    name: str
    version: str


class OAuth2Info(Described, frozen=True, kw_only=True):
    """OAuth2Info."""

    grant_types: Annotated[tuple[str, ...], Meta(min_length=1)]
    token_endpoint: str = ""


class SecurityInfo(Described, frozen=True, kw_only=True):
    """SecurityInfo."""

    o_auth2_info: OAuth2Info | None = field(name="oAuth2Info", default=None)
    extensions: Any = None


class TransportDescriptor(Described, frozen=True, kw_only=True):
    """TransportDescriptor (6.2.1.19)."""

    name: str
    type: TransportType
    protocol: str
    version: str
    security: SecurityInfo = SecurityInfo()
    description: str = ""
    impl_specific_info: Any = None


class TransportDependency(Described, frozen=True, kw_only=True):
    """TransportDependency (6.2.1.18). Those that share a label are one group; one whole group is enough."""

    transport: TransportDescriptor
    serializers: Annotated[tuple[SerializerType, ...], Meta(min_length=1)]
    labels: Annotated[tuple[str, ...], Meta(min_length=1)]


class TransportsSupported(Described, frozen=True, kw_only=True):
    """One transport binding of a produced service."""

    transport: TransportDescriptor
    serializers: Annotated[tuple[SerializerType, ...], Meta(min_length=1)]


class ServiceDescriptor(Described, frozen=True, kw_only=True):
    """ServiceDescriptor (6.2.1.7): a service that the application produces."""

    ser_name: Text
    version: str
    ser_category: CategoryRef | None = None
    transports_supported: tuple[TransportsSupported, ...] = ()


class ServiceDependency(Described, frozen=True, kw_only=True):
    """ServiceDependency (6.2.1.6): a service that the application consumes. Without transports it is REST with JSON."""

    ser_name: Text
    version: str
    ser_category: CategoryRef | None = None
    ser_transport_dependencies: tuple[TransportDependency, ...] = ()
    requested_permissions: tuple[Any, ...] = ()


class FeatureDependency(Described, frozen=True, kw_only=True):
    """FeatureDependency (6.2.1.8), such as UserApps, UEIdentity, RNIS."""

    feature_name: Text
    version: str


class TrafficFilter(Described, frozen=True, kw_only=True):
    """TrafficFilter (6.2.1.14). Addresses, ports and tunnels may be ranges (`a-b`) or prefixes (`a/n`)."""

    src_address: tuple[str, ...] = ()
    dst_address: tuple[str, ...] = ()
    src_port: tuple[str, ...] = ()
    dst_port: tuple[str, ...] = ()
    protocol: tuple[str, ...] = ()
    tag: tuple[str, ...] = ()
    uri: tuple[str, ...] = ()
    packet_label: tuple[str, ...] = ()
    src_tunnel_address: tuple[str, ...] = ()
    tgt_tunnel_address: tuple[str, ...] = ()
    src_tunnel_port: tuple[str, ...] = ()
    dst_tunnel_port: tuple[str, ...] = ()
    q_ci: int | None = field(name="qCI", default=None)
    d_scp: Annotated[int, Meta(ge=0, le=63)] | None = field(name="dSCP", default=None)
    t_c: Annotated[int, Meta(ge=0, le=255)] | None = field(name="tC", default=None)


class TunnelInfo(Described, frozen=True, kw_only=True):
    """TunnelInfo (6.2.1.16)."""

    tunnel_type: TunnelType
    tunnel_dst_address: Text
    tunnel_src_address: Text
    tunnel_specific_data: Any = None


class InterfaceDescriptor(Described, frozen=True, kw_only=True):
    """InterfaceDescriptor (6.2.1.15)."""

    interface_type: InterfaceType
    tunnel_info: TunnelInfo | None = None
    src_mac_address: str = field(name="srcMACAddress", default="")
    dst_mac_address: str = field(name="dstMACAddress", default="")
    dst_ip_address: str = field(name="dstIPAddress", default="")


class TrafficRule(Described, frozen=True, kw_only=True):
    """TrafficRuleDescriptor (6.2.1.13). Priority 0 is the highest."""

    traffic_rule_id: Text
    filter_type: FilterType
    priority: Annotated[int, Meta(ge=0, le=255)]
    traffic_filter: Annotated[tuple[TrafficFilter, ...], Meta(min_length=1)]
    action: TrafficAction
    dst_interface: InterfaceDescriptor | None = None


class DnsRule(Described, frozen=True, kw_only=True):
    """DNSRuleDescriptor (6.2.1.17). `ip_address` may be the id of one of the application's connection points: it stands for
    the address that it has then. `ttl` is seconds."""

    dns_rule_id: Text
    domain_name: Text
    ip_address_type: IpAddressType
    ip_address: Text
    ttl: Count | None = None


class Latency(Described, frozen=True, kw_only=True):
    """LatencyDescriptor (6.2.1.12): nanoseconds, one way."""

    max_latency: Count


class TerminateConfig(Described, frozen=True, kw_only=True):
    """TerminateAppInstanceOpConfig (6.2.1.10): seconds."""

    min_graceful_termination_timeout: Amount
    max_recommended_graceful_termination_timeout: Amount = 0
    parameter: tuple[Any, ...] = ()


class OperateConfig(Described, frozen=True, kw_only=True):
    """ChangeAppInstanceStateOpConfig (6.2.1.11): seconds."""

    min_graceful_stop_timeout: Amount
    max_recommended_graceful_stop_timeout: Amount = 0
    parameter: tuple[Any, ...] = ()


class ContextTransfer(Described, frozen=True, kw_only=True):
    """UserContextTransferCapability (6.2.1.20)."""

    stateful_application: bool
    user_context_transfer_support: bool | None = None


class SteeredNetwork(Described, frozen=True, kw_only=True):
    """Access networks whose traffic is steered to the application."""

    cellular_network: bool = False
    wifi_network: bool = field(name="wi-fiNetwork", default=False)
    fixed_access_network: bool = False


class NetworkPolicy(Described, frozen=True, kw_only=True):
    """AppNetworkPolicy (6.2.1.21)."""

    steered_network: SteeredNetwork


class Mcio(Described, frozen=True, kw_only=True):
    """McioIdentificationData."""

    name: str
    type: str


class PlatformPart(Described, frozen=True, kw_only=True):
    """What an AppD asks of the MEC platform: these attributes have no counterpart in a VNFD (ConfigPlatformForAppRequest,
    6.2.2.28)."""

    app_service_required: tuple[ServiceDependency, ...] = ()
    app_service_optional: tuple[ServiceDependency, ...] = ()
    app_service_produced: tuple[ServiceDescriptor, ...] = ()
    app_feature_required: tuple[FeatureDependency, ...] = ()
    app_feature_optional: tuple[FeatureDependency, ...] = ()
    transport_dependencies: tuple[TransportDependency, ...] = ()
    app_traffic_rule: tuple[TrafficRule, ...] = ()
    app_dns_rule: tuple[DnsRule, ...] = field(name="appDNSRule", default=())
    app_latency: Latency | None = None
    user_context_transfer_capability: ContextTransfer | None = None
    app_network_policy: NetworkPolicy | None = None


class AppD(PlatformPart, frozen=True, kw_only=True):
    """AppD (6.2.1.1)."""

    app_d_id: Text = field(name="appDId")
    app_name: Text
    app_provider: Text
    app_soft_version: Text
    app_d_version: Text = field(name="appDVersion")
    mec_version: Annotated[tuple[str, ...], Meta(min_length=1)]
    app_description: str
    sw_image_descriptor: Annotated[tuple[SwImageDescriptor, ...], Meta(min_length=1)]
    app_info_name: str = ""
    virtual_compute_descriptor: VirtualCompute | None = None
    os_container_descriptor: tuple[OsContainer, ...] = ()
    virtual_storage_descriptor: tuple[VirtualStorage, ...] = ()
    app_ext_cpd: tuple[AppExternalCpd, ...] = ()
    terminate_app_instance_op_config: TerminateConfig | None = None
    change_app_instance_state_op_config: OperateConfig | None = None
    mciop_id: str = ""
    mcio_identification_data: Mcio | None = None
    logical_node: tuple[LogicalNode, ...] = ()
    request_additional_capabilities: tuple[AdditionalCapability, ...] = ()
    mcio_constraint_params: tuple[str, ...] = ()

    @property
    def platform(self) -> PlatformPart:
        """The part for the platform alone."""
        names = PlatformPart.__struct_fields__
        return PlatformPart(**{name: getattr(self, name) for name in names})
