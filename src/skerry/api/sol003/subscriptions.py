"""VNF life-cycle management (SOL003 clause 5): subscriptions."""

from __future__ import annotations

from typing import Literal

from skerry.api import subscriptions as shared
from skerry.api.wire import Wire

NotificationType = Literal[
    "VnfLcmOperationOccurrenceNotification", "VnfIdentifierCreationNotification", "VnfIdentifierDeletionNotification"
]
OperationType = Literal[
    "INSTANTIATE",
    "SCALE",
    "SCALE_TO_LEVEL",
    "CHANGE_FLAVOUR",
    "TERMINATE",
    "HEAL",
    "OPERATE",
    "CHANGE_EXT_CONN",
    "MODIFY_INFO",
    "CREATE_SNAPSHOT",
    "REVERT_TO_SNAPSHOT",
    "CHANGE_VNFPKG",
]
OperationState = Literal["STARTING", "PROCESSING", "COMPLETED", "FAILED_TEMP", "FAILED", "ROLLING_BACK", "ROLLED_BACK"]


class VnfInstanceSubscriptionFilter(Wire, frozen=True, kw_only=True):
    """VnfInstanceSubscriptionFilter (4.4.1.5)."""

    vnfd_ids: shared.Strings | None = None
    vnf_products_from_providers: list[shared.VnfProvider] | None = None
    vnf_instance_ids: shared.Strings | None = None
    vnf_instance_names: shared.Strings | None = None

    def __post_init__(self) -> None:
        shared.exclusive(self, "vnfd_ids", "vnf_products_from_providers")
        shared.exclusive(self, "vnf_instance_ids", "vnf_instance_names")


class LifecycleChangeNotificationsFilter(Wire, frozen=True, kw_only=True):
    """LifecycleChangeNotificationsFilter (5.5.3.12)."""

    vnf_instance_subscription_filter: VnfInstanceSubscriptionFilter | None = None
    notification_types: list[NotificationType] | None = None
    operation_types: list[OperationType] | None = None
    operation_states: list[OperationState] | None = None

    def __post_init__(self) -> None:
        shared.only_with(self, "VnfLcmOperationOccurrenceNotification", "operation_types", "operation_states")


class LccnSubscriptionRequest(Wire, frozen=True, kw_only=True):
    """LccnSubscriptionRequest (5.5.2.15)."""

    callback_uri: shared.Uri
    filter: LifecycleChangeNotificationsFilter | None = None
    authentication: shared.SubscriptionAuthentication | None = None
    verbosity: shared.Verbosity | None = None


ROUTES = shared.routes("vnflcm", LccnSubscriptionRequest)
