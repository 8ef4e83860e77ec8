"""Virtualised resources quota available notification (SOL003 clause 11)."""

from __future__ import annotations

from typing import Literal

from skerry.api import subscriptions as shared
from skerry.api.route import Api
from skerry.api.wire import Wire


class VrQuotaAvailNotificationsFilter(Wire, frozen=True, kw_only=True):
    """VrQuotaAvailNotificationsFilter (11.5.3.2)."""

    vim_ids: shared.Strings | None = None
    resource_provider_ids: shared.Strings | None = None
    resource_types: list[Literal["COMPUTE", "STORAGE", "NETWORK"]] | None = None
    resource_group_ids: shared.Strings | None = None


class VrQuotaAvailSubscriptionRequest(Wire, frozen=True, kw_only=True):
    """VrQuotaAvailSubscriptionRequest (11.5.2.2)."""

    callback_uri: shared.Uri
    filter: VrQuotaAvailNotificationsFilter | None = None
    authentication: shared.SubscriptionAuthentication | None = None


API = Api(
    "vrqan",
    "SOL003 quota available notification",
    {1: "1.3.0"},
    shared.routes("vrqan", VrQuotaAvailSubscriptionRequest),
)
