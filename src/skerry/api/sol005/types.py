"""Data types of NS LCM on the wire (SOL005 clause 6.5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from skerry.api.sol003.types import (
    Identifier,
    NotNegative,
    OperationError,
    Positive,
    ScaleInfo,
)
from skerry.api.sol005.affected import (
    AffectedNs,
    AffectedPnf,
    AffectedSap,
    AffectedVirtualLink,
    AffectedVnf,
    AffectedVnffg,
)
from skerry.api.sol005.designs import AssocNewNsdVersionData, ChangeNsFlavourData, MoveVnfInstanceData
from skerry.api.sol005.forwarding import AddVnffgData, UpdateVnffgData, VnffgInfo
from skerry.api.sol005.links import ExtManagedVirtualLinkData, ExtVirtualLinkData
from skerry.api.sol005.nested import NestedNsInstanceData, ParamsForNestedNs
from skerry.api.sol005.pnfs import AddPnfData, ModifyPnfData, PnfInfo
from skerry.api.sol005.saps import SapData, SapInfo
from skerry.api.sol005.wan import ModifyWanConnectionInfoData, WanConnectionData, WanConnectionInfo
from skerry.api.wire import KeyValuePairs, Links, ResourceHandle, Wire


class CreateNsRequest(Wire, frozen=True, kw_only=True):
    """CreateNsRequest (6.5.2.9)."""

    nsd_id: Identifier
    ns_name: str = ""
    ns_description: str = ""


class VnfInstanceData(Wire, frozen=True, kw_only=True):
    """VnfInstanceData (6.5.3.24): an existing VNF to use."""

    vnf_instance_id: Identifier
    vnf_profile_id: str | None = None


class LocationConstraints(Wire, frozen=True, kw_only=True):
    """LocationConstraints (6.5.3.26); `vim_id` chooses a registered infrastructure."""

    vim_id: str | None = None
    zone: str | None = None
    country_code: str | None = None
    civic_address_element: list[KeyValuePairs] | None = None
    area: KeyValuePairs | None = None


class VnfLocationConstraint(Wire, frozen=True, kw_only=True):
    """VnfLocationConstraint (6.5.3.25). `vdu_id` narrows it to one VDU of the profile."""

    vnf_profile_id: Identifier
    location_constraints: LocationConstraints | None = None
    vdu_id: str | None = None


class NestedNsLocationConstraint(Wire, frozen=True, kw_only=True):
    """NestedNsLocationConstraint (6.5.3.96): where the VNFs of a nested NS that is made shall be."""

    ns_profile_id: Identifier
    location_constraints: LocationConstraints


class ParamsForVnf(Wire, frozen=True, kw_only=True):
    """ParamsForVnf (6.5.3.22)."""

    vnf_profile_id: Identifier
    vnf_instance_name: str | None = None
    vnf_instance_description: str | None = None
    vnf_configurable_properties: KeyValuePairs | None = None
    metadata: KeyValuePairs | None = None
    extensions: KeyValuePairs | None = None
    additional_params: KeyValuePairs | None = None


class AffinityOrAntiAffinityRule(Wire, frozen=True, kw_only=True):
    """AffinityOrAntiAffinityRule (6.5.3.23). The official V3.7.1 file misspells `affinityOrAntiAffiinty`: both are taken and
    shown."""

    scope: Literal["NFVI_POP", "ZONE", "ZONE_GROUP", "NFVI_NODE"]
    affinity_or_anti_affiinty: Literal["AFFINITY", "ANTI_AFFINITY"] | None = None
    affinity_or_anti_affinity: Literal["AFFINITY", "ANTI_AFFINITY"] | None = None
    vnfd_id: list[Identifier] | None = None
    vnf_profile_id: list[Identifier] | None = None
    vnf_instance_id: list[Identifier] | None = None

    def __post_init__(self) -> None:
        if not (self.affinity_or_anti_affiinty or self.affinity_or_anti_affinity):
            raise ValueError("a rule needs affinityOrAntiAffinity")


class InstantiateNsRequest(Wire, frozen=True, kw_only=True):
    """InstantiateNsRequest (6.5.2.11)."""

    ns_flavour_id: Identifier
    ns_instantiation_level_id: str | None = None
    sap_data: list[SapData] | None = None
    vnf_instance_data: list[VnfInstanceData] | None = None
    nested_ns_instance_data: list[NestedNsInstanceData] | None = None
    addpnf_data: list[AddPnfData] | None = None  # so the standard spells it here
    add_pnf_data: list[AddPnfData] | None = None
    wan_connection_data: list[WanConnectionData] | None = None
    location_constraints: list[VnfLocationConstraint] | None = None
    nested_ns_location_constraints: list[NestedNsLocationConstraint] | None = None
    additional_params_for_ns: KeyValuePairs | None = None
    additional_params_for_nested_ns: list[ParamsForNestedNs] | None = None
    additional_params_for_vnf: list[ParamsForVnf] | None = None
    additional_param_for_vnf: list[ParamsForVnf] | None = None  # its name in version 1
    additional_affinity_or_anti_affinity_rule: list[AffinityOrAntiAffinityRule] | None = None
    start_time: str | None = None


class ScaleNsByStepsData(Wire, frozen=True, kw_only=True):
    """ScaleNsByStepsData (6.5.3.28)."""

    scaling_direction: Literal["SCALE_IN", "SCALE_OUT"]
    aspect_id: Identifier
    number_of_steps: Positive | None = None


class NsScaleInfo(Wire, frozen=True, kw_only=True):
    """NsScaleInfo (6.5.3.31)."""

    ns_scaling_aspect_id: str
    ns_scale_level_id: str


class ScaleNsToLevelData(Wire, frozen=True, kw_only=True):
    """ScaleNsToLevelData (6.5.3.29)."""

    ns_instantiation_level: str | None = None
    ns_scale_info: list[NsScaleInfo] | None = None


class ScaleNsData(Wire, frozen=True, kw_only=True):
    """ScaleNsData (6.5.3.27)."""

    scale_ns_by_steps_data: ScaleNsByStepsData | None = None
    scale_ns_to_level_data: ScaleNsToLevelData | None = None
    vnf_instance_to_be_added: list[VnfInstanceData] | None = None
    vnf_instance_to_be_removed: list[str] | None = None
    additional_params_for_ns: KeyValuePairs | None = None
    additional_params_for_vnf: list[ParamsForVnf] | None = None
    location_constraints: list[VnfLocationConstraint] | None = None
    nested_ns_location_constraints: list[NestedNsLocationConstraint] | None = None


class ScaleByStepData(Wire, frozen=True, kw_only=True):
    """ScaleByStepData (6.5.3.34)."""

    aspect_id: Identifier
    number_of_steps: Positive | None = None
    additional_params: KeyValuePairs | None = None


class ScaleToLevelData(Wire, frozen=True, kw_only=True):
    """ScaleToLevelData (6.5.3.33)."""

    vnf_instantiation_level_id: str | None = None
    vnf_scale_info: list[ScaleInfo] | None = None
    additional_params: KeyValuePairs | None = None


class ScaleVnfData(Wire, frozen=True, kw_only=True):
    """ScaleVnfData (6.5.3.32)."""

    vnf_instance_id: Identifier
    scale_vnf_type: Literal["SCALE_OUT", "SCALE_IN", "SCALE_TO_INSTANTIATION_LEVEL", "SCALE_TO_SCALE_LEVEL(S)"]
    scale_to_level_data: ScaleToLevelData | None = None
    scale_by_step_data: ScaleByStepData | None = None


class ScaleNsRequest(Wire, frozen=True, kw_only=True):
    """ScaleNsRequest (6.5.2.14)."""

    scale_type: Literal["SCALE_NS", "SCALE_VNF"]
    scale_ns_data: ScaleNsData | None = None
    scale_vnf_data: list[ScaleVnfData] | None = None
    scale_time: str | None = None

    def __post_init__(self) -> None:
        _only(self.scale_type, {"SCALE_NS": self.scale_ns_data, "SCALE_VNF": self.scale_vnf_data}, "scaleType")


class HealVnfData(Wire, frozen=True, kw_only=True):
    """HealVnfData (6.5.3.44)."""

    vnf_instance_id: Identifier
    cause: str | None = None
    vnfc_instance_id: list[str] | None = None
    additional_params: KeyValuePairs | None = None


class HealNsData(Wire, frozen=True, kw_only=True):
    """HealNsData (6.5.3.43)."""

    degree_healing: Literal["HEAL_RESTORE", "HEAL_QOS", "HEAL_RESET", "PARTIAL_HEALING"]
    actions_healing: list[str] | None = None
    heal_script: str | None = None
    additional_paramsfor_ns: KeyValuePairs | None = None


class HealNsRequest(Wire, frozen=True, kw_only=True):
    """HealNsRequest (6.5.2.13)."""

    heal_ns_data: HealNsData | None = None
    heal_vnf_data: list[HealVnfData] | None = None

    def __post_init__(self) -> None:
        if (self.heal_ns_data is None) == (self.heal_vnf_data is None):
            raise ValueError("give either healNsData or healVnfData")


class InstantiateVnfData(Wire, frozen=True, kw_only=True):
    """InstantiateVnfData (6.5.3.35)."""

    vnfd_id: str | None = None
    vnf_flavour_id: str | None = None
    vnf_instantiation_level_id: str | None = None
    vnf_profile_id: str | None = None
    vnf_instance_name: str | None = None
    vnf_instance_description: str | None = None
    vnf_configurable_properties: KeyValuePairs | None = None
    additional_params: KeyValuePairs | None = None
    metadata: KeyValuePairs | None = None
    extensions: KeyValuePairs | None = None
    location_constraints: VnfLocationConstraint | None = None


class TerminateVnfData(Wire, frozen=True, kw_only=True):
    """TerminateVnfData (6.5.3.57)."""

    vnf_instance_id: Identifier
    termination_type: Literal["FORCEFUL", "GRACEFUL"] | None = None
    graceful_termination_timeout: NotNegative | None = None
    additional_params: KeyValuePairs | None = None


class OperateVnfData(Wire, frozen=True, kw_only=True):
    """OperateVnfData (6.5.3.38)."""

    vnf_instance_id: Identifier
    change_state_to: Literal["STARTED", "STOPPED"]
    stop_type: Literal["FORCEFUL", "GRACEFUL"] | None = None
    graceful_stop_timeout: NotNegative | None = None
    additional_param: KeyValuePairs | None = None


class ModifyVnfInfoData(Wire, frozen=True, kw_only=True):
    """ModifyVnfInfoData (6.5.3.39)."""

    vnf_instance_id: Identifier
    vnf_instance_name: str | None = None
    vnf_instance_description: str | None = None
    vnf_configurable_properties: KeyValuePairs | None = None
    metadata: KeyValuePairs | None = None
    extensions: KeyValuePairs | None = None


class ChangeVnfFlavourData(Wire, frozen=True, kw_only=True):
    """ChangeVnfFlavourData (6.5.3.23)."""

    vnf_instance_id: Identifier
    new_flavour_id: str
    instantiation_level_id: str | None = None
    ext_virtual_links: list[ExtVirtualLinkData] | None = None
    ext_managed_virtual_links: list[ExtManagedVirtualLinkData] | None = None
    additional_params: KeyValuePairs | None = None
    extensions: KeyValuePairs | None = None
    vnf_configurable_properties: KeyValuePairs | None = None


class ChangeVnfPackageData(Wire, frozen=True, kw_only=True):
    """ChangeVnfPackageData (6.5.3.61)."""

    vnf_instance_id: Identifier
    vnfd_id: Identifier
    ext_virtual_links: list[ExtVirtualLinkData] | None = None
    ext_managed_virtual_links: list[ExtManagedVirtualLinkData] | None = None
    additional_params: KeyValuePairs | None = None
    extensions: KeyValuePairs | None = None
    vnf_configurable_properties: KeyValuePairs | None = None


class ChangeExtVnfConnectivityData(Wire, frozen=True, kw_only=True):
    """ChangeExtVnfConnectivityData (6.5.3.33)."""

    vnf_instance_id: Identifier
    ext_virtual_links: list[ExtVirtualLinkData]
    additional_params: KeyValuePairs | None = None


class CreateVnfSnapshotData(Wire, frozen=True, kw_only=True):
    """CreateVnfSnapshotData (6.5.3.71)."""

    vnf_instance_id: Identifier
    additional_params: KeyValuePairs | None = None
    user_defined_data: KeyValuePairs | None = None


class VnfSnapshotData(Wire, frozen=True, kw_only=True):
    """RevertVnfToSnapshotData and DeleteVnfSnapshotData (6.5.3.72 f.)."""

    vnf_instance_id: Identifier
    vnf_snapshot_info_id: Identifier
    additional_params: KeyValuePairs | None = None


class AddNsVirtualLinkData(Wire, frozen=True, kw_only=True):
    """AddNsVirtualLinkData (6.5.3.95)."""

    ns_virtual_link_profile_id: Identifier


UPDATES = {
    "ADD_VNF": "addVnfInstance",
    "REMOVE_VNF": "removeVnfInstanceId",
    "INSTANTIATE_VNF": "instantiateVnfData",
    "TERMINATE_VNF": "terminateVnfData",
    "OPERATE_VNF": "operateVnfData",
    "MODIFY_VNF_INFORMATION": "modifyVnfInfoData",
    "CHANGE_VNF_DF": "changeVnfFlavourData",
    "CHANGE_VNFPKG": "changeVnfPackageData",
    "CHANGE_EXTERNAL_VNF_CONNECTIVITY": "changeExtVnfConnectivityData",
    "CREATE_VNF_SNAPSHOT": "createSnapshotData",
    "REVERT_VNF_TO_SNAPSHOT": "revertVnfToSnapshotData",
    "DELETE_VNF_SNAPSHOT_INFO": "deleteVnfSnapshotData",
    "ADD_VNFFG": "addVnffg",
    "UPDATE_VNFFG": "updateVnffg",
    "REMOVE_VNFFG": "removeVnffgId",
    "ADD_SAP": "addSap",
    "ADD SAP": "addSap",
    "REMOVE_SAP": "removeSapId",
    "ADD_NESTED_NS": "addNestedNsData",
    "REMOVE_NESTED_NS": "removeNestedNsId",
    "CHANGE_NS_DF": "changeNsFlavourData",
    "ASSOC_NEW_NSD_VERSION": "assocNewNsdVersionData",
    "MOVE_VNF": "moveVnfInstanceData",
    "ADD_PNF": "addPnfData",
    "MODIFY_PNF": "modifyPnfData",
    "REMOVE_PNF": "removePnfId",
    "CREATE_NS_VIRTUAL_LINK": "addNsVirtualLinkData",
    "DELETE_NS_VIRTUAL_LINK": "deleteNsVirtualLinkId",
    "MODIFY_WAN_CONNECTION_INFO": "modifyWanConnectionInfoData",
}
"""updateType -> the attribute that it needs, for the updates that are served."""


class UpdateNsRequest(Wire, frozen=True, kw_only=True):
    """UpdateNsRequest (6.5.2.12). The official V3.7.1 file spells `addVnfIstance` and `ADD SAP`: both spellings are taken."""

    update_type: Literal[
        "ADD_VNF",
        "REMOVE_VNF",
        "INSTANTIATE_VNF",
        "TERMINATE_VNF",
        "OPERATE_VNF",
        "MODIFY_VNF_INFORMATION",
        "CHANGE_VNF_DF",
        "CHANGE_VNFPKG",
        "CHANGE_EXTERNAL_VNF_CONNECTIVITY",
        "CREATE_VNF_SNAPSHOT",
        "REVERT_VNF_TO_SNAPSHOT",
        "DELETE_VNF_SNAPSHOT_INFO",
        "ADD_VNFFG",
        "UPDATE_VNFFG",
        "REMOVE_VNFFG",
        "ADD_SAP",
        "ADD SAP",
        "REMOVE_SAP",
        "ADD_NESTED_NS",
        "REMOVE_NESTED_NS",
        "CHANGE_NS_DF",
        "ASSOC_NEW_NSD_VERSION",
        "MOVE_VNF",
        "ADD_PNF",
        "MODIFY_PNF",
        "REMOVE_PNF",
        "CREATE_NS_VIRTUAL_LINK",
        "DELETE_NS_VIRTUAL_LINK",
        "MODIFY_WAN_CONNECTION_INFO",
    ]
    add_vnf_instance: list[VnfInstanceData] | None = None
    add_vnf_istance: list[VnfInstanceData] | None = None
    remove_vnf_instance_id: list[Identifier] | None = None
    instantiate_vnf_data: list[InstantiateVnfData] | None = None
    terminate_vnf_data: list[TerminateVnfData] | None = None
    operate_vnf_data: list[OperateVnfData] | None = None
    modify_vnf_info_data: list[ModifyVnfInfoData] | None = None
    change_vnf_flavour_data: list[ChangeVnfFlavourData] | None = None
    change_vnf_package_data: list[ChangeVnfPackageData] | None = None
    change_ext_vnf_connectivity_data: list[ChangeExtVnfConnectivityData] | None = None
    create_snapshot_data: CreateVnfSnapshotData | None = None
    revert_vnf_to_snapshot_data: VnfSnapshotData | None = None
    delete_vnf_snapshot_data: VnfSnapshotData | None = None
    add_vnffg: list[AddVnffgData] | None = None
    update_vnffg: list[UpdateVnffgData] | None = None
    remove_vnffg_id: list[Identifier] | None = None
    add_sap: list[SapData] | None = None
    remove_sap_id: list[str] | None = None
    add_nested_ns_data: list[NestedNsInstanceData] | None = None
    remove_nested_ns_id: list[Identifier] | None = None
    change_ns_flavour_data: ChangeNsFlavourData | None = None
    assoc_new_nsd_version_data: AssocNewNsdVersionData | None = None
    move_vnf_instance_data: list[MoveVnfInstanceData] | None = None
    add_pnf_data: list[AddPnfData] | None = None
    modify_pnf_data: list[ModifyPnfData] | None = None
    remove_pnf_id: list[Identifier] | None = None
    add_ns_virtual_link_data: list[AddNsVirtualLinkData] | None = None
    delete_ns_virtual_link_id: list[Identifier] | None = None
    modify_wan_connection_info_data: list[ModifyWanConnectionInfoData] | None = None
    update_time: str | None = None

    def __post_init__(self) -> None:
        given = {name: getattr(self, field) for name, field in _UPDATE_FIELDS.items()}
        given["ADD_VNF"] = given["ADD_VNF"] or self.add_vnf_istance
        if not given[self.update_type]:
            raise ValueError(f"updateType {self.update_type} needs {UPDATES[self.update_type]}")


_UPDATE_FIELDS = {
    "ADD_VNF": "add_vnf_instance",
    "REMOVE_VNF": "remove_vnf_instance_id",
    "INSTANTIATE_VNF": "instantiate_vnf_data",
    "TERMINATE_VNF": "terminate_vnf_data",
    "OPERATE_VNF": "operate_vnf_data",
    "MODIFY_VNF_INFORMATION": "modify_vnf_info_data",
    "CHANGE_VNF_DF": "change_vnf_flavour_data",
    "CHANGE_VNFPKG": "change_vnf_package_data",
    "CHANGE_EXTERNAL_VNF_CONNECTIVITY": "change_ext_vnf_connectivity_data",
    "CREATE_VNF_SNAPSHOT": "create_snapshot_data",
    "REVERT_VNF_TO_SNAPSHOT": "revert_vnf_to_snapshot_data",
    "DELETE_VNF_SNAPSHOT_INFO": "delete_vnf_snapshot_data",
    "ADD_VNFFG": "add_vnffg",
    "UPDATE_VNFFG": "update_vnffg",
    "REMOVE_VNFFG": "remove_vnffg_id",
    "ADD_SAP": "add_sap",
    "ADD SAP": "add_sap",
    "REMOVE_SAP": "remove_sap_id",
    "ADD_NESTED_NS": "add_nested_ns_data",
    "REMOVE_NESTED_NS": "remove_nested_ns_id",
    "CHANGE_NS_DF": "change_ns_flavour_data",
    "ASSOC_NEW_NSD_VERSION": "assoc_new_nsd_version_data",
    "MOVE_VNF": "move_vnf_instance_data",
    "ADD_PNF": "add_pnf_data",
    "MODIFY_PNF": "modify_pnf_data",
    "REMOVE_PNF": "remove_pnf_id",
    "CREATE_NS_VIRTUAL_LINK": "add_ns_virtual_link_data",
    "DELETE_NS_VIRTUAL_LINK": "delete_ns_virtual_link_id",
    "MODIFY_WAN_CONNECTION_INFO": "modify_wan_connection_info_data",
}


def _only(chosen: str, given: Mapping[str, Any], name: str) -> None:
    """One of several attributes, chosen by another."""
    wrong = [key for key, value in given.items() if (value is not None) != (key == chosen)]
    if wrong:
        raise ValueError(f"{name} {chosen} needs its own data and no other")


class TerminateNsRequest(Wire, frozen=True, kw_only=True):
    """TerminateNsRequest (6.5.2.15). `termination_type` FORCEFUL stops the VNFs at once."""

    termination_time: str | None = None
    terminate_ns_data: KeyValuePairs | None = None
    terminate_vnf_data: list[TerminateVnfData] | None = None
    termination_type: Literal["FORCEFUL", "GRACEFUL"] | None = None
    graceful_termination_timeout: NotNegative | None = None


class NsVirtualLinkInfo(Wire, frozen=True, kw_only=True):
    """NsVirtualLinkInfo (6.5.3.53)."""

    id: str
    ns_virtual_link_desc_id: str
    ns_virtual_link_profile_id: str
    resource_handle: list[ResourceHandle] | None = None


class NsMonitoringParameter(Wire, frozen=True, kw_only=True):
    """NsMonitoringParameter (6.5.3.68)."""

    id: str
    performance_metric: str
    name: str | None = None


class NsInstance(Wire, frozen=True, kw_only=True):
    """NsInstance (6.5.2.10). A VNF instance in it has the form of SOL003, with `vnfPkgId`."""

    id: str
    ns_instance_name: str
    ns_instance_description: str
    nsd_id: str
    nsd_info_id: str
    ns_state: str
    links: Links = msgspec.field(name="_links")
    flavour_id: str | None = None
    vnf_instance: list[Mapping[str, Any]] | None = None
    pnf_info: list[PnfInfo] | None = None
    virtual_link_info: list[NsVirtualLinkInfo] | None = None
    vnffg_info: list[VnffgInfo] | None = None
    sap_info: list[SapInfo] | None = None
    nested_ns_instance_id: list[str] | None = None
    ns_scale_status: list[NsScaleInfo] | None = None
    monitoring_parameter: list[NsMonitoringParameter] | None = None
    additional_affinity_or_anti_affinity_rule: list[AffinityOrAntiAffinityRule] | None = None
    wan_connection_info: list[WanConnectionInfo] | None = None


class ResourceChanges(Wire, frozen=True, kw_only=True):
    """`resourceChanges` of NsLcmOpOcc (6.5.2.3)."""

    affected_vnfs: list[AffectedVnf] | None = None
    affected_pnfs: list[AffectedPnf] | None = None
    affected_vls: list[AffectedVirtualLink] | None = None
    affected_vnffgs: list[AffectedVnffg] | None = None
    affected_saps: list[AffectedSap] | None = None
    affected_nss: list[AffectedNs] | None = None


class NsLcmOpOcc(Wire, frozen=True, kw_only=True):
    """NsLcmOpOcc (6.5.2.3). Version 1 has `status_entered_time`, version 2 `state_entered_time`; the official V3.7.1 file
    describes the one and requires the other: both are always sent.

    The official V3.7.1 file types `operationParams` as a string; the text of the standard, and we, as the request's own
    type. Version 2 shows it when it is asked for (`fields`, `all_fields`), version 1 always.
    """

    id: str
    operation_state: str
    ns_instance_id: str
    lcm_operation_type: str
    start_time: str
    state_entered_time: str
    status_entered_time: str
    is_automatic_invocation: bool
    is_cancel_pending: bool
    links: Links = msgspec.field(name="_links")
    operation_params: Mapping[str, Any] | None = None
    cancel_mode: str | None = None
    error: OperationError | None = None
    resource_changes: ResourceChanges | None = None
