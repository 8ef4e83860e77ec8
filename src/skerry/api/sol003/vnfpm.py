"""VNF performance management (SOL003 clause 6; the same for EM and VNF in SOL002 clause 6)."""

from __future__ import annotations

from skerry.api import performance
from skerry.api import subscriptions as shared
from skerry.api.route import Api
from skerry.api.sol003.subscriptions import VnfInstanceSubscriptionFilter
from skerry.api.wire import Wire


class PmNotificationsFilter(Wire, frozen=True, kw_only=True):
    """PmNotificationsFilter (SOL003 V2.6.1 6.5.3.2)."""

    vnf_instance_subscription_filter: VnfInstanceSubscriptionFilter | None = None
    notification_types: list[performance.NotificationType] | None = None


class PmSubscriptionRequest(Wire, frozen=True, kw_only=True):
    """PmSubscriptionRequest (SOL003 V2.6.1 6.5.2.2)."""

    callback_uri: shared.Uri
    filter: PmNotificationsFilter | None = None
    authentication: shared.SubscriptionAuthentication | None = None


API = Api(
    "vnfpm",
    "SOL003 VNF performance management",
    {2: "2.2.0", 1: "1.3.0"},
    (*performance.routes("VNFs"), *shared.routes("vnfpm", PmSubscriptionRequest, until=1)),
)
