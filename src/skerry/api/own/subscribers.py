"""Our own API: how the subscribers of all APIs fare, and another try for those that were given up."""

from __future__ import annotations

from starlette.responses import Response

from skerry.api.route import Call, Endpoint
from skerry.client.views import SubscriptionView
from skerry.model.notifications import Standing


def view(one: Standing) -> SubscriptionView:
    """A subscriber for people."""
    return SubscriptionView(
        id=one.subscription.id,
        api=one.subscription.api,
        callback_uri=one.subscription.callback_uri,
        state=one.state,
        waiting=one.waiting,
        failing_since=one.failing_since,
        parked_at=one.parked_at,
        error=one.error,
        created_at=one.subscription.created_at,
    )


async def listing(call: Call) -> Response:
    """Every subscriber of the tenant, callbacks of PM jobs and thresholds included."""
    found = [view(one) for one in call.services.notifications.standings(tenant=call.tenant)]
    return call.listed(sorted(found, key=lambda one: one.created_at), lambda one: one)


async def resume(call: Call) -> Response:
    """Try again at once, from where it was."""
    return call.show(view(await call.services.notifications.resume(call.path("subscriptionId"), tenant=call.tenant)))


ROUTES = (
    Endpoint("GET", "/subscriptions", listing, "List subscribers and how they fare", answer=list[SubscriptionView]),
    Endpoint(
        "POST", "/subscriptions/{subscriptionId}/resume", resume, "Try a subscriber again", answer=SubscriptionView
    ),
)
