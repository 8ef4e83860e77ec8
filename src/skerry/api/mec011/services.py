"""Services (MEC 011 8.2.3, 8.2.4, 8.2.6, 8.2.7)."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from skerry.api.mec011.calls import app_of, note, noted, strict
from skerry.api.route import JSON, LIST_QUERY, Call, Endpoint, Query, etag
from skerry.mep import selection
from skerry.model.mec import Link, Service, ServiceInfo, ServiceLinks

ALL, ONE = "/services", "/services/{serviceId}"
OF_APP = "/applications/{appInstanceId}/services"
ONE_OF_APP = OF_APP + "/{serviceId}"
QUERY = (
    Query("ser_instance_id", "Identifiers of services, separated by commas; excludes the next two."),
    Query("ser_name", "Names of services, separated by commas."),
    Query("ser_category_id", "Identifier of a category."),
    Query("scope_of_locality", "LocalityType, such as `MEC_HOST`."),
    Query("consumed_local_only", "`true` or `false`."),
    Query("is_local", "`true` or `false`."),
    *LIST_QUERY,
)
OURS = frozenset(query.name for query in QUERY if query not in LIST_QUERY)

_encode = msgspec.json.Encoder().encode


def rendered(service: Service, root: str) -> ServiceInfo:
    """A service as it is answered: with its identifier and links. `root` is that of the API as the caller sees it."""
    path = f"{root}/applications/{service.app_id}/services/{service.id}"
    alive = Link(href=path + "/liveness") if service.info.liveness_interval else None
    links = ServiceLinks(self_=Link(href=path), liveness=alive)
    return msgspec.structs.replace(service.info, ser_instance_id=service.id, links=links)


def _listed(call: Call, app_id: str) -> Response:
    parameters = call.request.query_params.multi_items() if call.request.scope["query_string"] else []
    chosen = selection.query(parameters) if parameters else selection.EVERY
    found = call.services.mep.services.all(tenant=call.tenant, app_id=app_id, query=chosen)
    root = call.href("")
    plain = all(name in OURS for name, _ in parameters)
    if plain and len(found) <= call.services.settings.page_size:
        return Response(_encode([rendered(one, root) for one in found]), 200, media_type=JSON)
    return call.listed(found, lambda one: rendered(one, root))


async def everything(call: Call) -> Response:
    """Every service that the query means."""
    return _listed(call, "")


async def of_app(call: Call) -> Response:
    """The services of an application."""
    return _listed(call, app_of(call).id)


async def show(call: Call) -> Response:
    """One service."""
    service = call.services.mep.services.get(call.path("serviceId"), tenant=call.tenant)
    return call.show(rendered(service, call.href("")), rev=service.rev)


def _mine(call: Call) -> Service:
    app = app_of(call)
    return call.services.mep.services.get(call.path("serviceId"), tenant=call.tenant, app_id=app.id)


async def show_mine(call: Call) -> Response:
    """One service of an application."""
    service = _mine(call)
    return call.show(rendered(service, call.href("")), rev=service.rev)


async def create(call: Call) -> Response:
    """Register a service."""
    app = app_of(call)
    info = await call.body(ServiceInfo)
    service = await call.services.mep.services.add(app.id, info, tenant=call.tenant, note=note(call, 201))
    noted(call)
    shown = rendered(service, call.href(""))
    location = call.href(f"/applications/{app.id}/services/{service.id}")
    headers = {"ETag": etag(service.rev), "Location": location}
    return Response(_encode(shown), 201, headers, media_type=JSON)


async def replace(call: Call) -> Response:
    """Change a service."""
    service = _mine(call)
    info = await call.body(ServiceInfo)
    made, changed = await call.services.mep.services.replace(service, info, match=call.match, note=note(call, 200))
    if changed:
        noted(call)
    return call.show(rendered(made, call.href("")), rev=made.rev)


async def remove(call: Call) -> Response:
    """Deregister a service."""
    await call.services.mep.services.remove(_mine(call), match=call.match, note=note(call, 204))
    noted(call)
    return call.done()


ROUTES = (
    Endpoint("GET", ALL, strict(everything), "List services", answer=list[ServiceInfo], query=QUERY),
    Endpoint("GET", ONE, show, "Read a service", answer=ServiceInfo),
    Endpoint("GET", OF_APP, strict(of_app), "List an application's services", answer=list[ServiceInfo], query=QUERY),
    Endpoint("POST", OF_APP, strict(create), "Register a service", ServiceInfo, ServiceInfo, 201),
    Endpoint("GET", ONE_OF_APP, show_mine, "Read an application's service", answer=ServiceInfo),
    Endpoint("PUT", ONE_OF_APP, strict(replace), "Change a service", ServiceInfo, ServiceInfo),
    Endpoint("DELETE", ONE_OF_APP, remove, "Deregister a service", status=204),
)
