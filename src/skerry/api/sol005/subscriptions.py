"""SOL005: subscriptions to notifications about NSDs (clause 5), NSs (clause 6) and VNF packages (clause 9)."""

from __future__ import annotations

from typing import Literal

from skerry.api import subscriptions as shared
from skerry.api.wire import Wire

Operational = Literal["ENABLED", "DISABLED"]
Usage = Literal["IN_USE", "NOT_IN_USE"]
Onboarding = Literal["CREATED", "UPLOADING", "PROCESSING", "ONBOARDED", "ONBOARDING", "ERROR"]

PackageType = Literal["VnfPackageOnboardingNotification", "VnfPackageChangeNotification"]
NsdType = Literal[
    "NsdOnBoardingNotification",
    "NsdOnboardingFailureNotification",
    "NsdOnBoardingFailureNotification",
    "NsdChangeNotification",
    "NsdDeletionNotification",
    "PnfdOnBoardingNotification",
    "PnfdOnBoardingFailureNotification",
    "PnfdDeletionNotification",
]
NsType = Literal[
    "NsLcmOperationOccurrenceNotification",
    "NsLcmOperationOccurenceNotification",
    "NsIdentifierCreationNotification",
    "NsIdentifierDeletionNotification",
    "NsChangeNotification",
]
"""Types in the text's spelling and in that of the official V3.7.1 files."""

OperationType = Literal["INSTANTIATE", "SCALE", "UPDATE", "TERMINATE", "HEAL"]
OperationState = Literal[
    "PROCESSING", "COMPLETED", "PARTIALLY_COMPLETED", "FAILED_TEMP", "FAILED", "ROLLING_BACK", "ROLLED_BACK"
]


class PkgmNotificationsFilter(Wire, frozen=True, kw_only=True):
    """PkgmNotificationsFilter (9.5.3.4). One type of notification may stand alone, as the official file has it."""

    notification_types: list[PackageType] | PackageType | None = None
    vnf_products_from_providers: list[shared.VnfProvider] | None = None
    vnfd_id: shared.Strings | None = None
    vnf_pkg_id: shared.Strings | None = None
    operational_state: list[Operational] | None = None
    usage_state: list[Usage] | None = None
    vnfm_info: shared.Strings | None = None

    def __post_init__(self) -> None:
        shared.exclusive(self, "vnf_products_from_providers", "vnfd_id", "vnf_pkg_id")
        shared.only_with(self, "VnfPackageChangeNotification", "operational_state", "usage_state")


class PkgmSubscriptionRequest(Wire, frozen=True, kw_only=True):
    """PkgmSubscriptionRequest (9.5.2.6)."""

    callback_uri: shared.Uri
    filter: PkgmNotificationsFilter | None = None
    authentication: shared.SubscriptionAuthentication | None = None


class NsdmNotificationsFilter(Wire, frozen=True, kw_only=True):
    """NsdmNotificationsFilter (5.5.3.2)."""

    notification_types: list[NsdType] | None = None
    nsd_info_id: shared.Strings | None = None
    nsd_id: shared.Strings | None = None
    nsd_name: shared.Strings | None = None
    nsd_version: shared.Strings | None = None
    nsd_designer: shared.Strings | None = None
    nsd_invariant_id: shared.Strings | None = None
    vnf_pkg_ids: shared.Strings | None = None
    pnfd_info_ids: shared.Strings | None = None
    nested_nsd_info_ids: shared.Strings | None = None
    nsd_onboarding_state: list[Onboarding] | None = None
    nsd_operational_state: list[Operational] | None = None
    nsd_usage_state: list[Usage] | None = None
    pnfd_id: shared.Strings | None = None
    pnfd_name: shared.Strings | None = None
    pnfd_version: shared.Strings | None = None
    pnfd_provider: shared.Strings | None = None
    pnfd_invariant_id: shared.Strings | None = None
    pnfd_onboarding_state: list[Onboarding] | None = None
    pnfd_usage_state: list[Usage] | None = None

    def __post_init__(self) -> None:
        shared.exclusive(self, "nsd_id", "nsd_info_id")
        shared.exclusive(self, "pnfd_id", "pnfd_info_ids")


class NsdmSubscriptionRequest(Wire, frozen=True, kw_only=True):
    """NsdmSubscriptionRequest (5.5.2.7)."""

    callback_uri: shared.Uri
    filter: NsdmNotificationsFilter | None = None
    authentication: shared.SubscriptionAuthentication | None = None


class NsInstanceSubscriptionFilter(Wire, frozen=True, kw_only=True):
    """NsInstanceSubscriptionFilter (6.5.3.9)."""

    nsd_ids: shared.Strings | None = None
    vnfd_ids: shared.Strings | None = None
    pnfd_ids: shared.Strings | None = None
    ns_instance_ids: shared.Strings | None = None
    ns_instance_names: shared.Strings | None = None

    def __post_init__(self) -> None:
        shared.exclusive(self, "nsd_ids", "vnfd_ids", "pnfd_ids")
        shared.exclusive(self, "ns_instance_ids", "ns_instance_names")


class LifecycleChangeNotificationsFilter(Wire, frozen=True, kw_only=True):
    """LifecycleChangeNotificationsFilter (6.5.3.8)."""

    ns_instance_subscription_filter: NsInstanceSubscriptionFilter | None = None
    notification_types: list[NsType] | None = None
    operation_types: list[OperationType] | None = None
    operation_states: list[OperationState] | None = None
    affected_ns_instance_ids: shared.Strings | None = None
    ns_component_types: list[Literal["VNF", "PNF", "NS"]] | None = None
    lcm_op_name_impacting_ns_component: shared.Strings | None = None
    lcm_op_occ_status_impacting_ns_component: shared.Strings | None = None


class LccnSubscriptionRequest(Wire, frozen=True, kw_only=True):
    """LccnSubscriptionRequest (6.5.2.2)."""

    callback_uri: shared.Uri
    filter: LifecycleChangeNotificationsFilter | None = None
    authentication: shared.SubscriptionAuthentication | None = None
    verbosity: shared.Verbosity | None = None


NSD = shared.routes("nsd", NsdmSubscriptionRequest)
VNFPKGM = shared.routes("vnfpkgm", PkgmSubscriptionRequest)
NSLCM = shared.routes("nslcm", LccnSubscriptionRequest)
