"""Our own API: applications and MEC hosts as people want to see them."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from skerry.api.mec010 import app_instances
from skerry.api.mec010 import types as wire
from skerry.api.own import types as own
from skerry.api.route import Call, Endpoint
from skerry.client import views
from skerry.errors import InvalidError
from skerry.model.app import AppInstance, AppPkgInfo, MecHost


def view(call: Call, record: AppInstance) -> views.AppView:
    """An application for people."""
    services = call.services
    newest = max(
        services.engine.operations(subject=record.id, tenant=call.tenant),
        key=lambda operation: (operation.started_at, operation.id),
        default=None,
    )
    return views.AppView(
        id=record.id,
        name=record.app_instance_name or record.app_name or record.id,
        app_d_id=record.app_d_id,
        product=f"{record.app_name} {record.app_soft_version}".strip(),
        status=services.meo.status(record.id, tenant=call.tenant),
        instantiation_state=record.instantiation_state,
        host=record.host,
        vim=record.vim,
        addresses={one.cpd_id: one.ip for one in services.meo.addresses(record.id, tenant=call.tenant)},
        ns_id=services.meo.ns_id(record.id, tenant=call.tenant),
        vnf_ids=list(services.meo.vnf_ids(record.id, tenant=call.tenant)),
        description=record.app_instance_description,
        created_at=record.created_at,
        operation=newest.id if newest else "",
    )


def view_package(record: AppPkgInfo) -> views.PackageView:
    """An application package for people."""
    appd = record.package.appd if record.package else None
    return views.PackageView(
        id=record.id,
        kind="app",
        name=appd.app_name if appd else record.name,
        version=appd.app_d_version if appd else record.version,
        provider=appd.app_provider if appd else record.provider,
        descriptor=record.app_d_id,
        onboarding_state=record.onboarding_state,
        operational_state=record.operational_state,
        usage_state=record.usage_state,
        size_bytes=record.size_bytes,
        created_at=record.created_at,
        user_defined_data=record.user_defined_data,
        problem=record.problem,
    )


async def listing(call: Call) -> Response:
    """All applications."""
    return call.listed(call.services.meo.instances(tenant=call.tenant), lambda record: view(call, record))


async def show(call: Call) -> Response:
    """One application."""
    record = call.services.meo.instance(call.path("appId"), tenant=call.tenant)
    return call.show(view(call, record), rev=record.rev)


async def discard(call: Call) -> Response:
    """End whatever holds it, remove all that it has, and its record."""
    await call.services.meo.discard(call.path("appId"), tenant=call.tenant)
    return call.done()


async def relocate(call: Call) -> Response:
    """Bring it up on another host, lead its rules there, remove it where it was."""
    record = call.services.meo.instance(call.path("appId"), tenant=call.tenant)
    asked = wire.params(await wire.asked(call, wire.InstantiateAppRequest))
    params = app_instances.checked("app.instantiate", asked)
    operation = await call.services.meo.start("app.relocate", record.id, params, tenant=call.tenant)
    return call.accepted(call.href(f"/operations/{operation.id}"))


def _host(call: Call, record: MecHost) -> views.HostView:
    vims = [vim.id for vim in call.services.nfvo.vims() if vim.zone == record.zone]
    apps = [app.id for app in call.services.meo.instances(tenant=call.tenant) if app.host == record.id]
    return views.HostView(
        id=record.id,
        name=record.name or record.id,
        zone=record.zone,
        vims=vims,
        applications=apps,
        features=record.features,
        latency_ms=record.latency_ns / 1e6,
        orchestrator=record.orchestrator,
        country=record.country,
        civic_address=record.civic_address,
    )


async def hosts(call: Call) -> Response:
    """All MEC hosts."""
    return call.listed(call.services.meo.hosts.all(), lambda record: _host(call, record))


async def show_host(call: Call) -> Response:
    """One MEC host."""
    return call.show(_host(call, call.services.meo.hosts.get(call.path("hostId"))))


async def describe_host(call: Call) -> Response:
    """Say what is known of a host; attributes that are not given stay. An orchestrator takes the host over, unless another one
    has it."""
    asked = await call.body(own.HostRequest)
    given: dict[str, Any] = {name: value for name, value in msgspec.structs.asdict(asked).items() if value is not None}
    orchestrator = given.pop("orchestrator", None)
    if "latency_ms" in given:
        given["latency_ns"] = round(given.pop("latency_ms") * 1e6)
    if not given and orchestrator is None:
        raise InvalidError("cannot describe a host by nothing", suggestion="send at least one attribute")
    services, id = call.services.meo.hosts, call.path("hostId")
    record = await services.describe(id, **given) if given else services.get(id)
    if orchestrator is not None:
        record = await services.manage(id, orchestrator)
    return call.show(_host(call, record))


async def release_host(call: Call) -> Response:
    """Forget what was said of a host, its orchestrator included."""
    await call.services.meo.hosts.release(call.path("hostId"))
    return call.done()


ROUTES = (
    Endpoint("GET", "/apps", listing, "List applications", answer=list[views.AppView]),
    Endpoint("GET", "/apps/{appId}", show, "Read an application", answer=views.AppView),
    Endpoint("POST", "/apps/{appId}/discard", discard, "Remove an application in whatever state", status=204),
    Endpoint(
        "POST",
        "/apps/{appId}/relocate",
        relocate,
        "Move an application to another host",
        wire.InstantiateAppRequest,
        status=202,
    ),
    Endpoint("GET", "/hosts", hosts, "List MEC hosts", answer=list[views.HostView]),
    Endpoint("GET", "/hosts/{hostId}", show_host, "Read a MEC host", answer=views.HostView),
    Endpoint("PUT", "/hosts/{hostId}", describe_host, "Describe a MEC host", own.HostRequest, views.HostView),
    Endpoint("DELETE", "/hosts/{hostId}", release_host, "Release a MEC host", status=204),
)
