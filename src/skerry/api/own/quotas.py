"""Our own API: quotas of tenants, for whoever runs the node."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.responses import Response

from skerry.api.own.types import Asked, Tenant
from skerry.api.route import LIST_QUERY, Call, Endpoint
from skerry.client.quotas import QuotaView
from skerry.errors import InvalidError, NotFoundError
from skerry.model.quotas import Limits, TenantQuota

Count = Annotated[int, Meta(ge=0, le=2**62)]


class LimitsRequest(Asked, frozen=True, kw_only=True):
    """The most that a tenant may have; what is left out or null is not limited. `instances` are VNFCs, `ns` network services
    that are no part of something else, `apps` edge applications."""

    vcpus: Annotated[float, Meta(ge=0, le=2**31)] | None = None
    memory_bytes: Count | None = None
    storage_bytes: Count | None = None
    instances: Count | None = None
    ns: Count | None = None
    apps: Count | None = None


def tenant(call: Call) -> str:
    """The tenant of the path. `InvalidError` for what cannot be the name of one."""
    name = call.path("tenant")
    try:
        return msgspec.convert(name, Tenant)
    except msgspec.ValidationError as error:
        raise InvalidError(
            f"cannot use {name[:64]} as the name of a tenant", suggestion="use small letters, digits and hyphens"
        ) from error


def view(call: Call, name: str, limits: Limits) -> QuotaView:
    """Limits with what counts towards them."""
    return QuotaView(tenant=name, limits=limits, usage=call.services.tenant_quotas.usage(name))


async def listing(call: Call) -> Response:
    """Every tenant that has limits."""

    def render(record: TenantQuota) -> QuotaView:
        return view(call, record.id, record.limits)

    return call.listed(call.services.tenant_quotas.all(), render)


async def show(call: Call) -> Response:
    """The limits of a tenant, if it has any, and what it uses."""
    name = tenant(call)
    try:
        record = call.services.tenant_quotas.get(name)
    except NotFoundError:
        return call.show(view(call, name, Limits()))
    return call.show(view(call, name, record.limits))


async def put(call: Call) -> Response:
    """Set the limits of a tenant; what it has stays."""
    name, asked = tenant(call), await call.body(LimitsRequest)
    limits = Limits(**msgspec.structs.asdict(asked))
    made = await call.services.tenant_quotas.put(name, limits, match=call.match)
    return call.show(view(call, name, made.limits), rev=made.rev)


async def delete(call: Call) -> Response:
    """Lift the limits of a tenant."""
    await call.services.tenant_quotas.remove(tenant(call), match=call.match)
    return call.done()


ALL, ONE = "/access/quotas", "/access/quotas/{tenant}"
ROUTES = (
    Endpoint("GET", ALL, listing, "List quotas of tenants", answer=list[QuotaView], query=LIST_QUERY),
    Endpoint("GET", ONE, show, "Read a tenant's quota and what it uses", answer=QuotaView),
    Endpoint("PUT", ONE, put, "Set a tenant's quota", LimitsRequest, QuotaView),
    Endpoint("DELETE", ONE, delete, "Lift a tenant's quota", status=204),
)
