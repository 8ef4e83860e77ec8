"""Subscriptions of applications: to their own termination (MEC 011 7.2.3, 7.2.4) and to services (8.2.8, 8.2.9)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, field
from starlette.responses import Response

from skerry.api.mec011.calls import app_of, strict
from skerry.api.route import Call, Endpoint, Handler
from skerry.errors import Fault, InvalidError
from skerry.mep.selection import Criteria, filter_of
from skerry.mep.telling import APPLICATIONS, SERVICES
from skerry.model import notifications as model
from skerry.model.mec import App, Id, Link, Mec, Uri

ALL = "/applications/{appInstanceId}/subscriptions"
ONE = ALL + "/{subscriptionId}"
TERMINATION_TYPE = "AppTerminationNotificationSubscription"
AVAILABILITY_TYPE = "SerAvailabilityNotificationSubscription"


class WebsockNotifConfig(Mec, frozen=True, kw_only=True):
    """WebsockNotifConfig (MEC 009 6.12): the platform allocates the URI when it is asked to."""

    websocket_uri: Uri | None = None
    request_websocket_uri: bool = False


class SelfLink(Mec, frozen=True, kw_only=True):
    """`_links` of a subscription."""

    self_: Link = field(name="self")


class Subscription(Mec, frozen=True, kw_only=True):
    """What all subscriptions have: an address that is called, or the wish to fetch, or both: then the address is tried first
    where `requestTestNotification` asks for that (MEC 009 6.12a)."""

    callback_reference: Uri | None = None
    request_test_notification: bool = False
    websock_notif_config: WebsockNotifConfig | None = None
    links: SelfLink | None = field(name="_links", default=None)

    def __post_init__(self) -> None:
        wanted = self.websock_notif_config is not None and self.websock_notif_config.request_websocket_uri
        if self.callback_reference is None and not wanted:
            raise ValueError("callbackReference is missing, and websockNotifConfig asks for no WebSocket")


class AppTerminationNotificationSubscription(Subscription, frozen=True, kw_only=True):
    """AppTerminationNotificationSubscription (MEC 011 7.1.3.2)."""

    subscription_type: Literal["AppTerminationNotificationSubscription"]
    app_instance_id: Id


class SerAvailabilityNotificationSubscription(Subscription, frozen=True, kw_only=True):
    """SerAvailabilityNotificationSubscription (MEC 011 8.1.3.2)."""

    subscription_type: Literal["SerAvailabilityNotificationSubscription"]
    filtering_criteria: Criteria | None = None


class SubscriptionRef(Mec, frozen=True, kw_only=True):
    """An entry of SubscriptionLinkList."""

    href: str
    subscription_type: str


class ListLinks(Mec, frozen=True, kw_only=True):
    """`_links` of SubscriptionLinkList."""

    self_: Link = field(name="self")
    subscriptions: Annotated[tuple[SubscriptionRef, ...], Meta(max_length=1_000_000)] = ()


class SubscriptionLinkList(Mec, frozen=True, kw_only=True):
    """SubscriptionLinkList (MEC 011 6.2.2)."""

    links: ListLinks = field(name="_links")


def _path(app: App, id: str = "") -> str:
    return f"/applications/{app.id}/subscriptions" + (f"/{id}" if id else "")


def _shown(call: Call, app: App, record: model.Subscription) -> dict[str, Any]:
    """A subscription as it was written, with its links."""
    kept = {name: value for name, value in record.filter.items() if name != "serCategoryIds"}
    told: dict[str, Any] = {"callbackReference": record.callback_uri}
    if record.pull:
        root = call.uri("")
        uri = (
            f"{'wss' if root.startswith('https') else 'ws'}{root[root.find('://') :]}/mp1/v1/notifications/{record.id}"
        )
        # The official file demands a callbackReference; the WebSocket is where notifications are.
        told = {"callbackReference": uri, "websockNotifConfig": {"websocketUri": uri}}
    if record.api == APPLICATIONS:
        told |= {"subscriptionType": TERMINATION_TYPE, **kept}
    else:
        told |= {"subscriptionType": AVAILABILITY_TYPE} | ({"filteringCriteria": kept} if kept else {})
    return {**told, "_links": {"self": {"href": call.href(_path(app, record.id))}}}


def _creating(api: str, kind: type[Any]) -> Handler:
    async def create(call: Call) -> Response:
        """Subscribe."""
        app = app_of(call)
        asked = await call.body(kind)
        if api == APPLICATIONS:
            call.services.mep.app_of(asked.app_instance_id, tenant=call.tenant, client=call.principal.client)
            filter = {"appInstanceId": asked.app_instance_id}
        else:
            filter = filter_of(asked.filtering_criteria)
        record = await _made(call, app, api, asked, filter)
        return call.show(
            _shown(call, app, record), rev=record.rev, status=201, location=call.href(_path(app, record.id))
        )

    return strict(create)


async def _made(call: Call, app: App, api: str, asked: Any, filter: Mapping[str, Any]) -> model.Subscription:
    """With the callback where there is one that works, else with a WebSocket where that is asked for."""
    mep, root, callback = call.services.mep, call.uri(""), asked.callback_reference or ""
    record = await mep.subscribe(app, api, callback, filter, root=root, pull=not callback)
    if not callback or not asked.request_test_notification:
        return record
    trouble = await mep.try_out(app, record)
    if not trouble:
        return record
    config = asked.websock_notif_config
    if config is not None and config.request_websocket_uri:
        return await mep.subscribe(app, api, "", filter, root=root, pull=True)
    fault = Fault(
        message=trouble, code="callback", path="/callbackReference", fix="take the test, or ask for a WebSocket"
    )
    raise InvalidError("cannot subscribe: the callback does not take the test notification", faults=[fault])


def _listing(api: str, type: str) -> Handler:
    async def listing(call: Call) -> Response:
        """The application's subscriptions."""
        app = app_of(call)
        found = call.services.mep.subscriptions(app, api)
        refs = tuple(SubscriptionRef(href=call.href(_path(app, one.id)), subscription_type=type) for one in found)
        links = ListLinks(self_=Link(href=call.href(_path(app))), subscriptions=refs)
        return call.show(SubscriptionLinkList(links=links))

    return listing


def _showing(api: str) -> Handler:
    async def show(call: Call) -> Response:
        """One subscription."""
        app = app_of(call)
        record = call.services.mep.subscription(app, api, call.path("subscriptionId"))
        return call.show(_shown(call, app, record), rev=record.rev)

    return show


def _removing(api: str) -> Handler:
    async def remove(call: Call) -> Response:
        """Unsubscribe."""
        await call.services.mep.unsubscribe(app_of(call), api, call.path("subscriptionId"), match=call.match)
        return call.done()

    return remove


def _routes(api: str, kind: type[msgspec.Struct], type: str, what: str) -> tuple[Endpoint, ...]:
    return (
        Endpoint("POST", ALL, _creating(api, kind), f"Subscribe to {what}", kind, kind, 201),
        Endpoint("GET", ALL, _listing(api, type), f"List subscriptions to {what}", answer=SubscriptionLinkList),
        Endpoint("GET", ONE, _showing(api), f"Read a subscription to {what}", answer=kind),
        Endpoint("DELETE", ONE, _removing(api), f"End a subscription to {what}", status=204),
    )


TERMINATION = _routes(
    APPLICATIONS, AppTerminationNotificationSubscription, TERMINATION_TYPE, "the application's termination"
)
AVAILABILITY = _routes(SERVICES, SerAvailabilityNotificationSubscription, AVAILABILITY_TYPE, "changes of services")
