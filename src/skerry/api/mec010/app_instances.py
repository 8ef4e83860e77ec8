"""Application life-cycle management (MEC 010-2 clause 7.4): application instances and the tasks on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from skerry.api.body import convert
from skerry.api.mec010 import types as wire
from skerry.api.route import LIST_QUERY, Call, Endpoint, Handler
from skerry.api.wire import Links, links
from skerry.errors import Fault, InvalidError, NotFoundError
from skerry.model.app import AppInstance
from skerry.model.appd import AppD
from skerry.model.states import InstantiationState

HIDDEN = ("vimConnectionInfo", "instantiatedAppState", "communicationInterface")


def render(call: Call, record: AppInstance) -> wire.AppInstanceInfo:
    """The instance on the wire."""
    there = record.instantiation_state is InstantiationState.INSTANTIATED
    vnfs = call.services.meo.vnf_ids(record.id, tenant=call.tenant)
    state = wire.InstantiatedAppState(operational_state=record.operational_state.value) if there else None
    return wire.AppInstanceInfo(
        id=record.id,
        app_instance_name=record.app_instance_name,
        app_instance_description=record.app_instance_description,
        app_d_id=record.app_d_id,
        app_provider=record.app_provider,
        app_name=record.app_name,
        app_soft_version=record.app_soft_version,
        app_d_version=record.app_d_version,
        app_pkg_id=record.app_pkg_id,
        vim_connection_info=_vims(call, record) or None,
        ns_instance_id=call.services.meo.ns_id(record.id, tenant=call.tenant) or None,
        vnf_instance_id=vnfs[0] if vnfs else None,
        instantiation_state=record.instantiation_state.value,
        instantiated_app_state=state,
        communication_interface=_entries(call, record) if there else None,
        links=_links(call, record, there),
    )


def _vims(call: Call, record: AppInstance) -> list[Mapping[str, Any]]:
    return [
        {vim.id: {"id": vim.id, "vimId": vim.id, "vimType": vim.vim_type}}
        for vim in call.services.nfvo.vims()
        if vim.id == record.vim
    ]


def _entries(call: Call, record: AppInstance) -> wire.CommunicationInterface | None:
    """Where the application is reached: the addresses of its connection points with the ports that its descriptor names."""
    appd = descriptor_of(call, record)
    if appd is None:
        return None
    ports = {
        point.cpd_id: [port.port for data in point.additional_service_data for port in data.port_data]
        for point in appd.app_ext_cpd
    }
    found = [
        wire.IpAddress(host=address.ip, port=port)
        for address in call.services.meo.addresses(record.id, tenant=call.tenant)
        for port in ports.get(address.cpd_id, ())
    ]
    return wire.CommunicationInterface(ip_addresses=found) if found else None


def descriptor_of(call: Call, record: AppInstance) -> AppD | None:
    """The AppD of an instance; None when its package is gone."""
    try:
        package = call.services.applications.package(record.app_pkg_id, tenant=call.tenant).package
    except NotFoundError:
        return None
    return package.appd if package else None


def _links(call: Call, record: AppInstance, there: bool) -> Links:
    base = call.href(f"/app_instances/{record.id}")
    return links(
        self_=base,
        instantiate="" if there else f"{base}/instantiate",
        terminate=f"{base}/terminate" if there else "",
        operate=f"{base}/operate" if there else "",
        configure_platform_for_app=f"{base}/configure_platform_for_app",
    )


def find(call: Call) -> AppInstance:
    """The instance of the path."""
    return call.services.meo.instance(call.path("appInstanceId"), tenant=call.tenant)


async def create(call: Call) -> Response:
    """Make a record; nothing is allocated yet."""
    asked = await wire.asked(call, wire.CreateAppInstanceRequest)
    placement = wire.params(asked.app_placement_info) if asked.app_placement_info else None
    record = await call.services.meo.create(
        asked.app_d_id,
        name=asked.app_instance_name,
        description=asked.app_instance_description,
        placement=placement,
        tenant=call.tenant,
    )
    return call.show(
        render(call, record), rev=record.rev, status=201, location=call.href(f"/app_instances/{record.id}")
    )


async def listing(call: Call) -> Response:
    """All instances of the tenant."""
    records = call.services.meo.instances(tenant=call.tenant)
    return call.listed(records, lambda record: render(call, record), HIDDEN)


async def show(call: Call) -> Response:
    """One instance."""
    record = find(call)
    return call.show(render(call, record), rev=record.rev)


async def delete(call: Call) -> Response:
    """Remove the record."""
    await call.services.meo.delete(find(call).id, match=call.match, tenant=call.tenant)
    return call.done()


REFUSED = ("virtualComputeDescriptor", "osContainerDescriptor", "virtualStorageDescriptor", "appTermCandsForCoord")
"""Attributes of InstantiateAppRequest that would not be obeyed."""


def checked(kind: str, params: dict[str, Any]) -> dict[str, Any]:
    """The parameters of an operation. `InvalidError` names attributes that would be ignored."""
    unheard = [name for name in REFUSED if kind == "app.instantiate" and name in params]
    if unheard:
        faults = [
            Fault(
                message=f"{name} cannot be given here", code="unsupported", path=f"/{name}", fix="put it into the AppD"
            )
            for name in unheard
        ]
        raise InvalidError(f"cannot obey {', '.join(unheard)}", faults=faults)
    return params


def task(kind: str, body: type[Any]) -> Handler:
    """The handler of one task resource (`POST …/{appInstanceId}/{task}`)."""

    async def handler(call: Call) -> Response:
        record = find(call)
        given = wire.unwrapped(await call.json(), body)
        params = wire.params(convert(given, body))
        # an empty list is an answer too: none of these any more
        params = checked(kind, {**params, **{name: [] for name, value in given.items() if value == []}})
        operation = await call.services.meo.start(kind, record.id, params, tenant=call.tenant)
        return call.accepted(call.href(f"/app_lcm_op_occs/{operation.id}"))

    return handler


TASKS: dict[str, tuple[str, type[Any], str]] = {
    "instantiate": ("app.instantiate", wire.InstantiateAppRequest, "Instantiate an application"),
    "operate": ("app.operate", wire.OperateAppRequest, "Start or stop an application"),
    "terminate": ("app.terminate", wire.TerminateAppRequest, "Terminate an application"),
    "configure_platform_for_app": (
        "app.configure",
        wire.ConfigPlatformForAppRequest,
        "Configure the platform for an application",
    ),
}
ONE = "/app_instances/{appInstanceId}"
INFO = wire.AppInstanceInfo
ROUTES = (
    Endpoint("POST", "/app_instances", create, "Create an application", wire.CreateAppInstanceRequest, INFO, 201),
    Endpoint("GET", "/app_instances", listing, "List applications", answer=list[INFO], query=LIST_QUERY),
    Endpoint("GET", ONE, show, "Read an application", answer=INFO),
    Endpoint("DELETE", ONE, delete, "Delete an application", status=204),
    *(
        Endpoint("POST", f"{ONE}/{name}", task(kind, body), summary, body, status=202)
        for name, (kind, body, summary) in TASKS.items()
    ),
)
