"""VNF indicators (SOL003 clause 8; the same for the EM in SOL002 clause 8)."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from starlette.responses import Response

from skerry.api import subscriptions as shared
from skerry.api.paging import MARKER
from skerry.api.route import LIST_QUERY, Api, Call, Endpoint
from skerry.api.sol003.subscriptions import VnfInstanceSubscriptionFilter
from skerry.api.wire import Links, Wire, links
from skerry.model.indicators import Indicator

QUERY = tuple(one for one in LIST_QUERY if one.name in ("filter", MARKER))
"""Lists of indicators have no attribute selectors (SOL003 8.4.2.3.2)."""

NotificationType = Literal["VnfIndicatorValueChangeNotification", "SupportedIndicatorsChangeNotification"]


class VnfIndicator(Wire, frozen=True, kw_only=True):
    """VnfIndicator (SOL003 8.5.2.2); the value is null until somebody tells it."""

    id: str
    value: Any
    vnf_instance_id: str
    links: Links = msgspec.field(name="_links")
    name: str | None = None


class VnfIndicatorNotificationsFilter(Wire, frozen=True, kw_only=True):
    """VnfIndicatorNotificationsFilter (SOL003 8.5.3.2). One type may stand alone, as the official file has it."""

    vnf_instance_subscription_filter: VnfInstanceSubscriptionFilter | None = None
    notification_types: list[NotificationType] | NotificationType | None = None
    indicator_ids: shared.Strings | None = None


class VnfIndicatorSubscriptionRequest(Wire, frozen=True, kw_only=True):
    """VnfIndicatorSubscriptionRequest (SOL003 8.5.2.3)."""

    callback_uri: shared.Uri
    filter: VnfIndicatorNotificationsFilter | None = None
    authentication: shared.SubscriptionAuthentication | None = None


def render(call: Call, one: Indicator) -> VnfIndicator:
    """The indicator on the wire."""
    own = call.href(f"/indicators/{one.vnf}/{one.indicator}")
    return VnfIndicator(
        id=one.indicator,
        name=one.name or None,
        value=one.value,
        vnf_instance_id=one.vnf,
        links=links(self_=own, vnfInstance=call.uri(f"/vnflcm/v1/vnf_instances/{one.vnf}")),
    )


async def listing(call: Call) -> Response:
    """The indicators of all VNFs of the tenant."""
    return call.listed(call.services.indicators.all(tenant=call.tenant), lambda one: render(call, one))


async def of_vnf(call: Call) -> Response:
    """The indicators of one VNF."""
    found = call.services.indicators.all(tenant=call.tenant, vnf=call.path("vnfInstanceId"))
    return call.listed(found, lambda one: render(call, one))


async def show(call: Call) -> Response:
    """One indicator."""
    vnf, indicator = call.path("vnfInstanceId"), call.path("indicatorId")
    return call.show(render(call, call.services.indicators.get(vnf, indicator, tenant=call.tenant)))


SUBSCRIPTIONS = shared.routes("vnfind", VnfIndicatorSubscriptionRequest)
MISPLACED = tuple(one._replace(path=f"/indicators{one.path}") for one in SUBSCRIPTIONS if "{" in one.path)
"""The official file of SOL003 has single subscriptions here, for clients made from it."""

OF_VNF = "/indicators/{vnfInstanceId}"
API = Api(
    "vnfind",
    "SOL003 VNF indicators",
    {1: "1.4.0"},
    (
        Endpoint("GET", "/indicators", listing, "List indicators", answer=list[VnfIndicator], query=QUERY),
        Endpoint("GET", OF_VNF, of_vnf, "List indicators of a VNF", answer=list[VnfIndicator], query=QUERY),
        Endpoint("GET", f"{OF_VNF}/{{indicatorId}}", show, "Read an indicator", answer=VnfIndicator),
        *MISPLACED,
        *SUBSCRIPTIONS,
    ),
)
