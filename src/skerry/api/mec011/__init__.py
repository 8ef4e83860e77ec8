"""MEC 011 V3.1.1: application support (Mp1 clause 7) and service management (clause 8); and Mp1 beyond plain HTTP."""

from __future__ import annotations

from skerry.api.mec011 import (
    confirmations,
    liveness,
    mp1,
    registrations,
    rules,
    services,
    subscriptions,
    timing,
    transports,
)
from skerry.api.route import Api

APP_SUPPORT = Api(
    "mec_app_support",
    "MEC application support (MEC 011)",
    {1: "3.1.1"},
    (
        *registrations.ROUTES,
        *confirmations.ROUTES,
        *subscriptions.TERMINATION,
        *rules.ROUTES,
        *timing.ROUTES,
    ),
)
SERVICE_MGMT = Api(
    "mec_service_mgmt",
    "MEC service management (MEC 011)",
    {1: "3.1.1"},
    (*services.ROUTES, *liveness.ROUTES, *subscriptions.AVAILABILITY, *transports.ROUTES),
)
MP1 = Api("mp1", "Mp1 beyond plain requests: message bus, fetched notifications, credentials", {1: "1.0.0"}, mp1.ROUTES)
