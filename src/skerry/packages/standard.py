"""The types of SOL001 that Skerry knows by itself, for packages that import them without carrying them.

An own, concise table: for each type its parent and the properties of all releases from 2.5.1 to 4.4.1 together. A property
is written `name:type`, with `!` where every release requires it; `[t]` is a list, `{t}` a map, `any` a type that differs
between releases. A line that begins with spaces goes on. Names without a dot are data types of
`tosca.datatypes.nfv.`; `size`, `time` and `frequency` are scalar units.
"""

from __future__ import annotations

from functools import cache
from typing import Any

_NODES = """
VNF tosca.nodes.Root descriptor_id:string! descriptor_version:string! provider:string! product_name:string!
  software_version:string! product_info_name:string product_info_description:string vnfm_info:[string]
  localization_languages:[string] default_localization_language:string
  lcm_operations_configuration:VnfLcmOperationsConfiguration monitoring_parameters:any flavour_id:string!
  flavour_description:string vnf_profile:VnfProfile configurable_properties:any modifiable_attributes:any
  ext_invariant_id:string
NS tosca.nodes.Root descriptor_id:string! designer:string! version:string! name:string! invariant_id:string!
  flavour_id:string ns_profile:any service_availability_level:integer priority:integer ext_invariant_id:string
  strict_nsd_constituent_onboarding:boolean
PNF tosca.nodes.Root descriptor_id:string! function_description:string provider:string version:string
  descriptor_invariant_id:string name:string geographical_location_info:any ext_invariant_id:string
  version_dependency:any
Cp tosca.nodes.Root layer_protocols:[string]! role:string description:string protocol:[CpProtocolData]
  trunk_mode:boolean ip_stack_mode:string
VduCp tosca.nodes.nfv.Cp bitrate_requirement:integer virtual_network_interface_requirements:any order:integer
  vnic_type:string
VduSubCp tosca.nodes.nfv.VduCp segmentation_type:string segmentation_id:integer
VnfExtCp tosca.nodes.nfv.Cp virtual_network_interface_requirements:any
VipCp tosca.nodes.nfv.Cp dedicated_ip_address:boolean vip_function:string!
VirtualCp tosca.nodes.nfv.Cp additionalServiceData:any address_pool_name_configurable:boolean
PnfExtCp tosca.nodes.nfv.Cp
Sap tosca.nodes.nfv.Cp
VnfVirtualLink tosca.nodes.Root connectivity_type:ConnectivityType! description:string test_access:[string]
  vl_profile:VlProfile! monitoring_parameters:any nfvi_maintenance_info:any externally_managed:string
NsVirtualLink tosca.nodes.Root connectivity_type:ConnectivityType! description:string test_access:[string]
  vl_profile:NsVlProfile!
Vdu.Compute tosca.nodes.Root name:string! description:string boot_order:any nfvi_constraints:any
  monitoring_parameters:any vdu_profile:VduProfile! sw_image_data:SwImageData boot_data:any
  configurable_properties:any
Vdu.VirtualBlockStorage tosca.nodes.Root virtual_block_storage_data:VirtualBlockStorageData!
  sw_image_data:SwImageData per_vnfc_instance:boolean nfvi_maintenance_info:any
Vdu.VirtualObjectStorage tosca.nodes.Root virtual_object_storage_data:any per_vnfc_instance:boolean
  nfvi_maintenance_info:any
Vdu.VirtualFileStorage tosca.nodes.Root virtual_file_storage_data:any per_vnfc_instance:boolean
  nfvi_maintenance_info:any
Vdu.OsContainer tosca.nodes.Root name:string! description:string requested_cpu_resources:integer
  cpu_resource_limit:integer requested_memory_resources:size memory_resource_limit:size
  requested_ephemeral_storage_resources:size ephemeral_storage_resource_limit:size extended_resource_requests:any
  huge_pages_resources:any cpu_pinning_requirements:any
Vdu.OsContainerDeployableUnit tosca.nodes.Root name:string! description:string logical_node:any
  requested_additional_capabilities:any nfvi_constraints:any vdu_profile:VduProfile! mcio_constraint_params:[string]
  configurable_properties:any mcio_identification_data:any monitoring_parameters:any
Mciop tosca.nodes.Root
NfpPositionElement tosca.nodes.Root
NfpPosition tosca.nodes.Root forwarding_behaviour:string forwarding_behaviour_input_parameters:any
NFP tosca.nodes.Root
Forwarding tosca.nodes.Root
"""

_DATA = """
L2AddressData - mac_address_assignment:boolean
L3AddressData - ip_address_assignment:boolean floating_ip_activated:boolean ip_address_type:string
  number_of_ip_address:integer ip_address_assignment_subtype:string fixed_ip_address:[string]
AddressData - address_type:string l2_address_data:L2AddressData l3_address_data:L3AddressData
CpProtocolData - associated_layer_protocol:string address_data:[AddressData]
ConnectivityType - layer_protocols:[string]! flow_pattern:string
LinkBitrateRequirements - root:integer! leaf:integer
VlProfile - max_bitrate_requirements:LinkBitrateRequirements min_bitrate_requirements:LinkBitrateRequirements
  qos:any virtual_link_protocol_data:[VirtualLinkProtocolData]
NsVlProfile - max_bitrate_requirements:LinkBitrateRequirements min_bitrate_requirements:LinkBitrateRequirements
  qos:any service_availability:any service_availability_level:integer
  virtual_link_protocol_data:[VirtualLinkProtocolData] data_flow_mirroring:any
VirtualLinkProtocolData - associated_layer_protocol:string! l2_protocol_data:L2ProtocolData
  l3_protocol_data:L3ProtocolData
L2ProtocolData - name:string network_type:string vlan_transparent:boolean mtu:integer segmentation_id:string
L3ProtocolData - name:string ip_version:string cidr:string! ip_allocation_pools:any gateway_ip:string
  dhcp_enabled:boolean ipv6_address_mode:string
VnfProfile - instantiation_level:string min_number_of_instances:integer max_number_of_instances:integer
  service_availability_level:integer target_vnf_scale_level_info:any version_dependency:any
VduProfile - min_number_of_instances:integer! max_number_of_instances:integer! nfvi_maintenance_info:any
VduLevel - number_of_instances:integer!
ScaleInfo - scale_level:integer!
InstantiationLevel - description:string scale_info:{ScaleInfo}
ScalingAspect - name:string description:string max_scale_level:integer! step_deltas:[string]
VirtualMemory - virtual_mem_size:size! virtual_mem_oversubscription_policy:string vdu_mem_requirements:any
  numa_enabled:boolean huge_pages_requirements:any
VirtualCpu - cpu_architecture:string num_virtual_cpu:integer! virtual_cpu_clock:frequency
  virtual_cpu_oversubscription_policy:string vdu_cpu_requirements:any virtual_cpu_pinning:any
VirtualBlockStorageData - size_of_storage:size! vdu_storage_requirements:any rdma_enabled:boolean
ChecksumData - algorithm:string! hash:string!
SwImageData - name:string! version:string provider:string checksum:any container_format:string disk_format:string
  min_disk:size min_ram:size size:size operating_system:string supported_virtualisation_environments:[string]
BootData - vim_specific_properties:any kvp_data:any content_or_file_data:any
VnfLcmOperationsConfiguration - instantiate:any scale:any scale_to_level:any change_flavour:any heal:any
  terminate:any operate:any change_ext_connectivity:any change_current_package:any create_snapshot:any
  revert_to_snapshot:any
VnfConfigurableProperties - is_autoscale_enabled:boolean is_autoheal_enabled:boolean vnfm_interface_info:any
  vnfm_oauth_server_info:any vnf_oauth_server_info:any additional_configurable_properties:any
VnfcConfigurableProperties - additional_vnfc_configurable_properties:any
VnfAdditionalConfigurableProperties - is_writable_anytime:boolean
VnfcAdditionalConfigurableProperties -
VnfInfoModifiableAttributes - extensions:any metadata:any
VnfInfoModifiableAttributesExtensions -
VnfInfoModifiableAttributesMetadata -
VnfOperationAdditionalParameters -
VnfMonitoringParameter - name:string performance_metric:string collection_period:time
VnfcMonitoringParameter - name:string performance_metric:string collection_period:time
NsLevels - description:string
NsScalingAspect - name:string description:string ns_scale_levels:{NsLevels}!
"""

_POLICIES = """
InstantiationLevels levels:{InstantiationLevel}! default_level:string
VduInstantiationLevels levels:{VduLevel}!
VirtualLinkInstantiationLevels levels:any
ScalingAspects aspects:{ScalingAspect}!
VduScalingAspectDeltas aspect:string! deltas:{VduLevel}!
VirtualLinkBitrateScalingAspectDeltas aspect:string deltas:any
VduInitialDelta initial_delta:VduLevel!
VirtualLinkBitrateInitialDelta initial_delta:any
VipCpInstantiationLevels levels:any
VipCpScalingAspectDeltas aspect:string deltas:any
VipCpInitialDelta initial_delta:any
AffinityRule scope:string! nfvi_maintenance_group_info:any
AntiAffinityRule scope:string! nfvi_maintenance_group_info:any
NsAffinityRule scope:string!
NsAntiAffinityRule scope:string!
SupportedVnfInterface interface_name:string details:any
Abstract.SecurityGroupRule description:string direction:string ether_type:string protocol:string
  port_range_min:integer port_range_max:integer
SecurityGroupRule description:string direction:string ether_type:string protocol:string port_range_min:integer
  port_range_max:integer
NsSecurityGroupRule description:string direction:string ether_type:string protocol:string port_range_min:integer
  port_range_max:integer
PnfSecurityGroupRule description:string direction:string ether_type:string protocol:string port_range_min:integer
  port_range_max:integer
VnfIndicator source:string
VnfPackageChange selector:any modification_qualifier:string additional_modification_description:string
  component_mappings:any destination_flavour_id:string actions:any referenced_coordination_actions:any
LcmCoordinationAction action_name:string action:any
LcmCoordinationsForLcmOperation vnf_lcm_operation:string actions:any referenced_coordination_actions:any
NfpRule ether_destination_address:string ether_source_address:string ether_type:string vlan_tag:any protocol:string
  dscp:string source_port_range:any destination_port_range:any source_ip_address_prefix:string
  destination_ip_address_prefix:string extended_criteria:any
NsMonitoring ns_monitoring_parameters:any
VnfMonitoring vnf_monitoring_parameters:any
NsScalingAspects aspects:{NsScalingAspect}!
VnfToLevelMapping aspect:string! number_of_instances:{integer}!
NsToLevelMapping aspect:string! number_of_instances:{integer}!
VirtualLinkToLevelMapping aspect:string bit_rate_requirements:any
NsInstantiationLevels ns_levels:{NsLevels}! default_level:string
VnfToInstantiationLevelMapping number_of_instances:{integer}!
NsToInstantiationLevelMapping number_of_instances:{integer}!
VirtualLinkToInstantiationLevelMapping bit_rate_requirements:any
NsAutoScale
DataFlowInfo data_flow_info_id:string associated_mirroring_job_name:string direction:string
"""

_CAPABILITIES = """
VirtualCompute tosca.capabilities.Node logical_node:any requested_additional_capabilities:any
  compute_requirements:any virtual_memory:VirtualMemory! virtual_cpu:VirtualCpu!
  virtual_local_storage:[VirtualBlockStorageData]
VirtualBindable tosca.capabilities.Node
VirtualLinkable tosca.capabilities.Node
VirtualStorage tosca.capabilities.Root
TrunkBindable tosca.capabilities.Node
ContainerDeployable tosca.capabilities.Node
AssociableVdu tosca.capabilities.Node
Forwarding tosca.capabilities.Root
"""

_ARTIFACTS = """
SwImage tosca.artifacts.Deployment.Image name:string version:string provider:string checksum:any
  container_format:string disk_format:string min_disk:size min_ram:size size:size operating_system:string
  supported_virtualisation_environments:[string]
HelmChart tosca.artifacts.File
"""

_ROOTS = {
    "node_types": "tosca.nodes.Root",
    "data_types": "tosca.datatypes.Root",
    "policy_types": "tosca.policies.Root",
    "capability_types": "tosca.capabilities.Root",
    "artifact_types": "tosca.artifacts.Root",
    "group_types": "tosca.groups.Root",
    "interface_types": "tosca.interfaces.Root",
}
_UNITS = {"size": "scalar-unit.size", "time": "scalar-unit.time", "frequency": "scalar-unit.frequency"}
_PLAIN = {"string", "integer", "float", "boolean", "any"}


def _type(text: str) -> dict[str, Any]:
    if text[0] in "[{":
        return {"type": "list" if text[0] == "[" else "map", "entry_schema": _type(text[1:-1])}
    return {"type": text if text in _PLAIN else _UNITS.get(text, f"tosca.datatypes.nfv.{text}")}


def _properties(words: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for word in words:
        name, _, kind = word.partition(":")
        found[name] = {**_type(kind.removesuffix("!")), "required": kind.endswith("!")}
    return found


def _rows(text: str, prefix: str, parent: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for line in text.replace("\n  ", " ").strip().splitlines():
        name, *words = line.split()
        above = parent or words.pop(0).replace("-", "tosca.datatypes.Root")
        found[f"{prefix}{name}"] = {"derived_from": above, "properties": _properties(words)}
    return found


@cache
def standard_types() -> dict[str, dict[str, Any]]:
    """Section (`node_types` …) → type name → definition in TOSCA's own form."""
    types: dict[str, dict[str, Any]] = {section: {root: {}} for section, root in _ROOTS.items()}
    types["node_types"] |= _rows(_NODES, "tosca.nodes.nfv.")
    types["data_types"] |= _rows(_DATA, "tosca.datatypes.nfv.")
    types["policy_types"] |= _rows(_POLICIES, "tosca.policies.nfv.", "tosca.policies.Root")
    types["policy_types"]["tosca.policies.Placement"] = {"derived_from": "tosca.policies.Root"}
    types["policy_types"]["tosca.policies.Scaling"] = {"derived_from": "tosca.policies.Root"}
    types["capability_types"] |= _rows(_CAPABILITIES, "tosca.capabilities.nfv.")
    types["capability_types"]["tosca.capabilities.Node"] = {"derived_from": "tosca.capabilities.Root"}
    types["artifact_types"] |= _rows(_ARTIFACTS, "tosca.artifacts.nfv.")
    for name in (
        "File",
        "Deployment",
        "Deployment.Image",
        "Implementation",
        "Implementation.Bash",
        "Implementation.Python",
        "Implementation.nfv.Mistral",
    ):
        types["artifact_types"][f"tosca.artifacts.{name}"] = {"derived_from": "tosca.artifacts.Root"}
    for name in ("PlacementGroup", "NsPlacementGroup", "VNFFG"):
        types["group_types"][f"tosca.groups.nfv.{name}"] = {
            "derived_from": "tosca.groups.Root",
            "properties": _properties(["description:string"]),
        }
    for name in ("Vnflcm", "Nslcm", "VnfIndicator", "NsVnfIndicator", "ChangeCurrentVnfPackage"):
        types["interface_types"][f"tosca.interfaces.nfv.{name}"] = {"derived_from": "tosca.interfaces.Root"}
    return types
