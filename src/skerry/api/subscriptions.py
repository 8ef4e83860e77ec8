"""Subscriptions (SOL013 clause 8, SOL003 5.4.18 and its like): what every API with notifications has in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from starlette.responses import Response

from skerry.api import body
from skerry.api.route import Call, Endpoint, Query
from skerry.api.wire import Links, Wire, links
from skerry.errors import Fault, InvalidError
from skerry.model import notifications as model

AuthType = Literal["BASIC", "OAUTH2_CLIENT_CREDENTIALS", "TLS_CERT", "OAUTH2_CLIENT_CERT"]
Uri = Annotated[str, Meta(min_length=1, max_length=2048)]
Secret = Annotated[str, Meta(max_length=4096)]
Strings = list[str]
Verbosity = Literal["FULL", "SHORT"]

LIST_QUERY = (
    Query("filter", "Attribute filter (SOL013 5.2), such as `(eq,callbackUri,https://a.example/n)`."),
    Query("nextpage_opaque_marker", "Where the next page starts, from the Link header of the last one."),
)


class ParamsBasic(Wire, frozen=True, kw_only=True):
    """HTTP basic authentication (SOL013 8.3.4)."""

    user_name: Secret | None = None
    password: Secret | None = None


class ParamsOauth2ClientCredentials(Wire, frozen=True, kw_only=True):
    """OAuth2 client credentials (SOL013 8.3.4)."""

    client_id: Secret | None = None
    client_password: Secret | None = None
    token_endpoint: Uri | None = None


class SubscriptionAuthentication(Wire, frozen=True, kw_only=True):
    """SubscriptionAuthentication (SOL013 8.3.4): ways of authentication that the subscriber takes."""

    auth_type: Annotated[list[AuthType], Meta(min_length=1)]
    params_basic: ParamsBasic | None = None
    params_oauth2_client_credentials: ParamsOauth2ClientCredentials | None = None


class VnfdVersions(Wire, frozen=True, kw_only=True):
    """Versions of a product."""

    vnf_software_version: str
    vnfd_versions: Strings | None = None


class VnfProduct(Wire, frozen=True, kw_only=True):
    """A product of a provider."""

    vnf_product_name: str
    versions: list[VnfdVersions] | None = None


class VnfProvider(Wire, frozen=True, kw_only=True):
    """A provider and its products; the official files of package management call them like their providers."""

    vnf_provider: str
    vnf_products: list[VnfProduct] | None = None
    vnf_products_from_providers: list[VnfProduct] | None = None


class Shown(Wire, frozen=True, kw_only=True):
    """A subscription as answers show it: without what is secret."""

    id: str
    callback_uri: str
    links: Links = msgspec.field(name="_links")
    filter: Mapping[str, Any] | None = None
    verbosity: Verbosity | None = None


def exclusive(filter: Any, *names: str) -> None:
    """Refuse a filter that has two attributes of which the standard allows one (for `__post_init__`)."""
    given = [name for name in names if getattr(filter, name, None) is not None]
    if len(given) > 1:
        raise ValueError(f"a filter has only one of {', '.join(wire_names(filter, given))}")


def wire_names(of: msgspec.Struct, attributes: list[str]) -> list[str]:
    """Names on the wire."""
    return [field.encode_name for field in msgspec.structs.fields(of) if field.name in attributes]


def only_with(filter: Any, type: str, *names: str) -> None:
    """Refuse attributes that are about one type of notification in a filter that names others only."""
    types = filter.notification_types
    named = [types] if isinstance(types, str) else types
    given = [name for name in names if getattr(filter, name, None) is not None]
    if named and given and type not in named:
        raise ValueError(f"{', '.join(wire_names(filter, given))} is only allowed with {type}")


def authentication_of(asked: SubscriptionAuthentication | None) -> model.Authentication:
    """The strongest way that the subscriber takes: OAuth2, TLS certificate, basic."""
    if asked is None:
        return model.Authentication()
    basic, oauth = asked.params_basic, asked.params_oauth2_client_credentials
    certificate = "TLS_CERT" in asked.auth_type
    if "OAUTH2_CLIENT_CREDENTIALS" in asked.auth_type and oauth and oauth.client_id and oauth.token_endpoint:
        credentials = model.ClientCredentials(
            client_id=oauth.client_id, client_password=oauth.client_password or "", token_endpoint=oauth.token_endpoint
        )
        return model.Authentication(oauth2=credentials, certificate=certificate)
    if certificate:
        return model.Authentication(certificate=True)
    if "BASIC" in asked.auth_type and basic and basic.user_name is not None:
        return model.Authentication(basic=model.Basic(user_name=basic.user_name, password=basic.password or ""))
    fault = Fault(
        message="no way of authType has all that it needs",
        code="authentication",
        path="/authentication",
        fix="give paramsBasic or paramsOauth2ClientCredentials in full, or offer TLS_CERT",
    )
    raise InvalidError("cannot authenticate to the subscriber", faults=[fault], suggestion=fault.fix)


def routes(api: str, request: type[Any], *, until: int = 99) -> tuple[Endpoint, ...]:
    """The resources `/subscriptions` and `/subscriptions/{subscriptionId}` of an API. `request` is the type of its
    subscription requests, `until` the last major version that has them."""
    verbose = "verbosity" in request.__struct_fields__

    def render(call: Call, record: model.Subscription) -> Shown:
        return Shown(
            id=record.id,
            callback_uri=record.callback_uri,
            filter=record.filter or None,
            verbosity=("SHORT" if record.verbosity == "SHORT" else "FULL") if verbose else None,
            links=links(self_=call.href(f"/subscriptions/{record.id}")),
        )

    async def create(call: Call) -> Response:
        """Subscribe."""
        asked = body.convert(await call.json(), request)
        record, is_new = await call.services.notifications.subscribe(
            api,
            str(call.request.scope["skerry.version"]),
            asked.callback_uri,
            filter=msgspec.to_builtins(asked.filter) if asked.filter else {},
            verbosity=getattr(asked, "verbosity", None) or "FULL",
            authentication=authentication_of(asked.authentication),
            root=call.uri(""),
            tenant=call.tenant,
        )
        location = call.href(f"/subscriptions/{record.id}")
        if not is_new:
            return Response(b"", 303, {"Location": location})
        return call.show(render(call, record), status=201, location=location)

    async def listing(call: Call) -> Response:
        """The tenant's subscriptions."""
        found = call.services.notifications.subscriptions(api, tenant=call.tenant)
        return call.listed(found, lambda record: render(call, record))

    async def show(call: Call) -> Response:
        """One subscription."""
        id = call.path("subscriptionId")
        return call.show(render(call, call.services.notifications.subscription(id, api, tenant=call.tenant)))

    async def delete(call: Call) -> Response:
        """Unsubscribe."""
        await call.services.notifications.unsubscribe(call.path("subscriptionId"), api, tenant=call.tenant)
        return call.done()

    one = "/subscriptions/{subscriptionId}"
    made = (
        Endpoint("POST", "/subscriptions", create, "Subscribe to notifications", request, Shown, 201),
        Endpoint("GET", "/subscriptions", listing, "List subscriptions", answer=list[Shown], query=LIST_QUERY),
        Endpoint("GET", one, show, "Read a subscription", answer=Shown),
        Endpoint("DELETE", one, delete, "Unsubscribe", status=204),
    )
    return tuple(endpoint._replace(until=until) for endpoint in made)
