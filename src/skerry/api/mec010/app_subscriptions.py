"""Subscriptions of MEC 010-2 (clauses 7.3.4 and 7.4.14): to packages, application instances and their operations.

A filter is kept as it was asked (for answers) and, beside that, as the lists of values that the delivery compares.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from msgspec import field
from starlette.responses import Response

from skerry.api.body import convert
from skerry.api.mec010 import types as wire
from skerry.api.route import Call, Endpoint, Handler
from skerry.api.wire import Links, Wire, links
from skerry.model.notifications import Subscription
from skerry.notifications.facts import products

PackageType = Literal[
    "AppPackageOnBoardingSubscription", "AppPackageChangeSubscription", "AppPackageDeletionSubscription"
]
InstanceType = Literal[
    "AppInstanceStateChangeSubscription",
    "AppLcmOpOccStateChangeSubscription",
    "AppIdentifierCreationSubscription",
    "AppIdentifierDeletionSubscription",
]
State = Literal["NOT_INSTANTIATED", "STARTED", "STOPPED"]
OperationType = Literal["INSTANTIATE", "OPERATE", "TERMINATE"]
OperationState = Literal["STARTING", "PROCESSING", "COMPLETED", "FAILED", "FAILED_TEMP"]
VERSION = "1.0"
"""Of the API in its URI (`v1`), as links in notifications need it."""

SELECTORS = {1: "appInstanceId", 2: "appInstanceName", 3: "appDId"}


class AppPkgFilter(Wire, frozen=True, kw_only=True):
    """AppPkgFilter (6.2.3.9)."""

    app_pkg_info_id: str | None = None
    app_d_id: str | None = None
    app_provider: str | None = None
    app_name: str | None = None
    app_software_version: str | None = None
    app_d_version: str | None = None
    operational_state: Literal["ENABLED", "DISABLED"] | None = None
    usage_state: Literal["IN_USE", "NOT_IN_USE"] | None = None


class AppPkgSubscription(Wire, frozen=True, kw_only=True):
    """AppPkgSubscription (6.2.3.7)."""

    callback_uri: wire.Uri
    subscription_type: PackageType
    app_pkg_filter: list[AppPkgFilter] | None = None


class Versions(Wire, frozen=True, kw_only=True):
    """versions of AppInstanceSubscriptionFilter."""

    app_soft_version: str
    app_d_version: list[str] | None = None


class AppProducts(Wire, frozen=True, kw_only=True):
    """appProducts of AppInstanceSubscriptionFilter."""

    app_name: str
    versions: list[Versions] | None = None


class AppsFromProviders(Wire, frozen=True, kw_only=True):
    """appsFromProviders of AppInstanceSubscriptionFilter."""

    app_provider: str
    app_products: list[AppProducts] | None = None


class AppInstanceSubscriptionFilter(Wire, frozen=True, kw_only=True):
    """AppInstanceSubscriptionFilter: `app_inst_selector_type` 1 identity, 2 name, 3 AppD, 4 provider."""

    app_inst_selector_type: Literal[0, 1, 2, 3, 4]
    app_instances: list[str] | None = None
    apps_from_providers: list[AppsFromProviders] | None = None


class AppLcmOpOccSubscriptionFilter(Wire, frozen=True, kw_only=True):
    """AppLcmOpOccSubscriptionFilter; one value or a list of them."""

    app_instance_subscription_filter: AppInstanceSubscriptionFilter | None = None
    notification_types: str | None = None
    operation_types: OperationType | list[OperationType] | None = None
    operation_states: OperationState | list[OperationState] | None = None


class AppInstSubscriptionRequest(Wire, frozen=True, kw_only=True):
    """The subscription requests of application life-cycle management (6.2.2.11 and its like), told apart by
    `subscription_type`."""

    subscription_type: InstanceType
    callback_uri: wire.Uri
    app_instance_state: State | None = None
    app_instance_subscription_filter: AppInstanceSubscriptionFilter | None = None
    app_lcm_op_occ_subscription_filter: AppLcmOpOccSubscriptionFilter | None = None


WRAPPERS = (
    "AppInstSubscriptionRequest",
    "AppLcmOpOccSubscriptionRequest",
    "AppInstIdCreationSubscriptionRequest",
    "AppInstIdDeletionSubscriptionRequest",
    "AppPkgSubscription",
)


class Shown(Wire, frozen=True, kw_only=True):
    """AppPkgSubscriptionInfo (6.2.3.4), AppInstSubscriptionInfo (6.2.2.12) and its like."""

    id: str
    subscription_type: str
    callback_uri: str
    app_pkg_filter: list[Any] | None = None
    app_instance_state: str | None = None
    app_instance_subscription_filter: Mapping[str, Any] | None = None
    app_lcm_op_occ_subscription_filter: Mapping[str, Any] | None = None
    links: Links = field(name="_links")


class Listed(Wire, frozen=True, kw_only=True):
    """AppPkgSubscriptionLinkList and AppInstanceSubscriptionLinkList."""

    links: Mapping[str, Any] = field(name="_links")


def compared(request: AppPkgSubscription | AppInstSubscriptionRequest) -> dict[str, Any]:
    """What the delivery compares: the type, and lists of values by attribute of the subject."""
    found: dict[str, Any] = {"notificationTypes": [request.subscription_type]}
    if isinstance(request, AppPkgSubscription):
        if request.app_pkg_filter:
            found["anyOf"] = [msgspec.to_builtins(one) for one in request.app_pkg_filter]
        return found
    if request.app_instance_state:
        found["appInstanceState"] = [request.app_instance_state]
    operations = request.app_lcm_op_occ_subscription_filter
    if operations:
        found |= _listed("operationTypes", operations.operation_types)
        found |= _listed("operationStates", operations.operation_states)
    for chosen in (
        request.app_instance_subscription_filter,
        operations and operations.app_instance_subscription_filter,
    ):
        if chosen:
            found |= _selected(chosen)
    return found


def _listed(name: str, value: str | list[Any] | None) -> dict[str, list[Any]]:
    return {name: [value] if isinstance(value, str) else list(value)} if value else {}


def _selected(chosen: AppInstanceSubscriptionFilter) -> dict[str, list[str]]:
    if name := SELECTORS.get(chosen.app_inst_selector_type):
        return {name: chosen.app_instances or []}
    if chosen.app_inst_selector_type != 4:
        return {}
    found = [path for provider in chosen.apps_from_providers or () for path in _paths(provider)]
    return {"products": found}


def _paths(provider: AppsFromProviders) -> list[str]:
    """Provider, product and versions as the paths that `facts.products` makes."""
    found: list[str] = []
    for product in provider.app_products or ():
        start = (provider.app_provider, product.app_name)
        for version in product.versions or ():
            named = (*start, version.app_soft_version)
            found += [products(*named, one)[-1] for one in version.app_d_version or ()] or [products(*named)[-1]]
        if not product.versions:
            found.append(products(*start)[-1])
    return found if provider.app_products else [provider.app_provider]


def routes(api: str, request: type[AppPkgSubscription] | type[AppInstSubscriptionRequest]) -> tuple[Endpoint, ...]:
    """The subscription resources of an API."""

    def render(call: Call, record: Subscription) -> Shown:
        asked = dict(record.filter["asked"])
        own = links(self_=call.href(f"/subscriptions/{record.id}"))
        return convert({**asked, "id": record.id, "_links": msgspec.to_builtins(own)}, Shown)

    async def create(call: Call) -> Response:
        """Subscribe."""
        given = await call.json()
        for name in WRAPPERS:
            if isinstance(given, dict) and list(given) == [name]:
                given = given[name]
        asked = convert(given, request)
        record, is_new = await call.services.notifications.subscribe(
            api,
            VERSION,
            asked.callback_uri,
            filter={**compared(asked), "asked": msgspec.to_builtins(asked)},
            root=call.uri(""),
            tenant=call.tenant,
        )
        location = call.href(f"/subscriptions/{record.id}")
        if not is_new:
            return Response(b"", 303, {"Location": location})
        return call.show(render(call, record), rev=record.rev, status=201, location=location)

    async def listing(call: Call) -> Response:
        """The tenant's subscriptions, as links."""
        found = call.services.notifications.subscriptions(api, tenant=call.tenant)
        entries = [
            {
                "href": call.href(f"/subscriptions/{one.id}"),
                "subscriptionType": one.filter["asked"]["subscriptionType"],
            }
            for one in found
        ]
        own = {"href": call.href("/subscriptions")}
        return call.show(Listed(links={"self": own, "subscriptions": entries}))

    async def show(call: Call) -> Response:
        """One subscription."""
        record = call.services.notifications.subscription(call.path("subscriptionId"), api, tenant=call.tenant)
        return call.show(render(call, record), rev=record.rev)

    async def delete(call: Call) -> Response:
        """Unsubscribe."""
        id = call.path("subscriptionId")
        await call.services.notifications.unsubscribe(id, api, match=call.match, tenant=call.tenant)
        return call.done()

    return _endpoints(request, create, listing, show, delete)


def _endpoints(request: Any, create: Handler, listing: Handler, show: Handler, delete: Handler) -> tuple[Endpoint, ...]:
    one = "/subscriptions/{subscriptionId}"
    return (
        Endpoint("POST", "/subscriptions", create, "Subscribe to notifications", request, Shown, 201),
        Endpoint("GET", "/subscriptions", listing, "List subscriptions", answer=Listed),
        Endpoint("GET", one, show, "Read a subscription", answer=Shown),
        Endpoint("DELETE", one, delete, "Unsubscribe", status=204),
    )


PACKAGE_ROUTES = routes("app_pkgm", AppPkgSubscription)
INSTANCE_ROUTES = routes("app_lcm", AppInstSubscriptionRequest)
