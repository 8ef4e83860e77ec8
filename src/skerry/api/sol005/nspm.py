"""NS performance management (SOL005 clause 7)."""

from __future__ import annotations

from skerry.api import performance
from skerry.api import subscriptions as shared
from skerry.api.route import Api
from skerry.api.sol005.subscriptions import NsInstanceSubscriptionFilter
from skerry.api.wire import Wire


class PmNotificationsFilter(Wire, frozen=True, kw_only=True):
    """PmNotificationsFilter (SOL005 V2.6.1 7.5.3.2)."""

    ns_instance_subscription_filter: NsInstanceSubscriptionFilter | None = None
    notification_types: list[performance.NotificationType] | None = None


class PmSubscriptionRequest(Wire, frozen=True, kw_only=True):
    """PmSubscriptionRequest (SOL005 V2.6.1 7.5.2.2)."""

    callback_uri: shared.Uri
    filter: PmNotificationsFilter | None = None
    authentication: shared.SubscriptionAuthentication | None = None


API = Api(
    "nspm",
    "SOL005 NS performance management",
    {2: "2.3.0", 1: "1.3.0"},
    (*performance.routes("NSs"), *shared.routes("nspm", PmSubscriptionRequest, until=1)),
)
