"""NS life-cycle management (SOL005 clause 6): NS instances and the tasks on them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec
from starlette.responses import Response

from skerry.api.route import LIST_QUERY, Call, Endpoint, Handler
from skerry.api.sol003 import vnf_instances
from skerry.api.sol005 import forwarding, pnfs, saps, wan
from skerry.api.sol005 import types as wire
from skerry.api.sol005.requests import checked
from skerry.api.wire import Links, ResourceHandle, links
from skerry.errors import NotFoundError
from skerry.model.descriptors import NsDeploymentFlavour
from skerry.model.ns import NsInstance
from skerry.model.resources import Resource
from skerry.model.saps import access_points
from skerry.model.states import InstantiationState
from skerry.model.versions import standing
from skerry.model.virtual_links import profile_of
from skerry.model.vnf import VnfInstance

HIDDEN = (
    "vnfInstance",
    "pnfInfo",
    "virtualLinkInfo",
    "vnffgInfo",
    "sapInfo",
    "nsScaleStatus",
    "wanConnectionInfo",
)


def render(call: Call, record: NsInstance) -> wire.NsInstance:
    """The instance on the wire, with its VNFs."""
    resources = sorted(record.resources.items())
    networks = [_link(key, resource) for key, resource in resources if key.startswith("network:")]
    flavour = _flavour(call, record)
    running = record.ns_state is InstantiationState.INSTANTIATED
    levels = [
        wire.NsScaleInfo(ns_scaling_aspect_id=aspect, ns_scale_level_id=str(level))
        for aspect, level in sorted(record.scale_status.items())
    ]
    return wire.NsInstance(
        id=record.id,
        ns_instance_name=record.ns_instance_name,
        ns_instance_description=record.ns_instance_description,
        nsd_id=record.nsd_id,
        nsd_info_id=record.nsd_info_id,
        ns_state=record.ns_state,
        links=_links(call, record),
        flavour_id=record.flavour_id or None,
        vnf_instance=[vnf for vnf in (_vnf(call, m.vnf_instance_id) for m in record.members.values()) if vnf] or None,
        pnf_info=pnfs.shown(record),
        virtual_link_info=networks or None,
        vnffg_info=forwarding.shown(flavour, record) if flavour else None,
        sap_info=saps.shown(access_points(flavour, record.saps)) if flavour and running else None,
        nested_ns_instance_id=[inner.ns_instance_id for inner in record.nested.values()] or None,
        ns_scale_status=levels or None,
        monitoring_parameter=_monitored(flavour) if flavour and running else None,
        additional_affinity_or_anti_affinity_rule=[_rule(one) for one in record.affinity] or None,
        wan_connection_info=wan.shown(record, _members(call, record)) if record.wan else None,
    )


def _members(call: Call, record: NsInstance) -> list[VnfInstance]:
    found: list[VnfInstance] = []
    for member in record.members.values():
        with suppress(NotFoundError):
            found.append(call.services.vnfm.instance(member.vnf_instance_id, tenant=call.tenant))
    return found


def _monitored(flavour: NsDeploymentFlavour) -> list[wire.NsMonitoringParameter] | None:
    return [
        wire.NsMonitoringParameter(id=one.id, name=one.name or None, performance_metric=one.performance_metric)
        for one in flavour.monitoring_parameters
    ] or None


def _rule(rule: Mapping[str, Any]) -> wire.AffinityOrAntiAffinityRule:
    """With both spellings of the same attribute."""
    return msgspec.convert(
        {**rule, "affinityOrAntiAffiinty": rule["affinityOrAntiAffinity"]}, wire.AffinityOrAntiAffinityRule
    )


def _flavour(call: Call, record: NsInstance) -> NsDeploymentFlavour | None:
    try:
        package = call.services.catalogue.nsd(record.nsd_info_id, tenant=call.tenant).package
    except NotFoundError:
        return None
    flavour = package.nsd.flavours.get(record.flavour_id) if package else None
    return standing(flavour, record.kept, record.resources) if flavour else None


def _vnf(call: Call, id: str) -> Mapping[str, Any] | None:
    """A member as SOL005 6.5.3.57 shows it: with its package, without links."""
    try:
        record = call.services.vnfm.instance(id, tenant=call.tenant)
    except NotFoundError:
        return None
    return without_links(msgspec.to_builtins(vnf_instances.render(call, record)), record)


def without_links(shown: Mapping[str, Any], record: VnfInstance) -> Mapping[str, Any]:
    """A VNF as SOL003 shows it, in the form of SOL005 6.5.3.57: with its package, without links and connections."""
    plain = {name: value for name, value in shown.items() if name not in ("_links", "vimConnectionInfo")}
    plain["vnfPkgId"] = record.vnf_pkg_id
    if info := plain.get("instantiatedVnfInfo"):
        plain["instantiatedVnfInfo"] = {name: part for name, part in info.items() if name != "extVirtualLinkInfo"}
    return plain


def _link(key: str, resource: Resource) -> wire.NsVirtualLinkInfo:
    name = key.partition(":")[2]
    vim = str(resource.spec.get("vim", "")) or None
    id = str(resource.outputs.get("id") or resource.spec.get("name", name))
    return wire.NsVirtualLinkInfo(
        id=name,
        ns_virtual_link_desc_id=profile_of(name, resource.spec),
        ns_virtual_link_profile_id=profile_of(name, resource.spec),
        resource_handle=[ResourceHandle(resource_id=id, vim_id=vim, vim_level_resource_type="network")],
    )


def _links(call: Call, record: NsInstance) -> Links:
    base = call.href(f"/ns_instances/{record.id}")
    if record.ns_state is InstantiationState.NOT_INSTANTIATED:
        return links(self_=base, instantiate=f"{base}/instantiate")
    tasks = {name: f"{base}/{name}" for name in ("terminate", "update", "scale", "heal")}
    return links(self_=base, **tasks)


def find(call: Call) -> NsInstance:
    """The instance of the path."""
    return call.services.nfvo.instance(call.path("nsInstanceId"), tenant=call.tenant)


async def create(call: Call) -> Response:
    """Make a record; nothing is allocated yet."""
    asked = await call.body(wire.CreateNsRequest)
    record = await call.services.nfvo.create(
        asked.nsd_id, name=asked.ns_name, description=asked.ns_description, tenant=call.tenant
    )
    return call.show(render(call, record), rev=record.rev, status=201, location=call.href(f"/ns_instances/{record.id}"))


async def listing(call: Call) -> Response:
    """All instances of the tenant."""
    records = call.services.nfvo.instances(tenant=call.tenant)
    return call.listed(records, lambda record: render(call, record), HIDDEN)


async def show(call: Call) -> Response:
    """One instance."""
    record = find(call)
    return call.show(render(call, record), rev=record.rev)


async def delete(call: Call) -> Response:
    """Remove the record."""
    await call.services.nfvo.delete(find(call).id, match=call.match, tenant=call.tenant)
    return call.done()


def task(name: str, kind: type[Any]) -> Handler:
    """The handler of one task resource (`POST …/{nsInstanceId}/{name}`)."""

    async def handler(call: Call) -> Response:
        record = find(call)
        given = checked(name, await call.json(), kind)
        operation = await call.services.nfvo.start(f"ns.{name}", record.id, given, tenant=call.tenant)
        return call.accepted(call.href(f"/ns_lcm_op_occs/{operation.id}"))

    return handler


ONE = "/ns_instances/{nsInstanceId}"
TASKS: dict[str, type[Any]] = {
    "instantiate": wire.InstantiateNsRequest,
    "scale": wire.ScaleNsRequest,
    "heal": wire.HealNsRequest,
    "update": wire.UpdateNsRequest,
    "terminate": wire.TerminateNsRequest,
}

ROUTES = (
    Endpoint("POST", "/ns_instances", create, "Create an NS instance", wire.CreateNsRequest, wire.NsInstance, 201),
    Endpoint("GET", "/ns_instances", listing, "List NS instances", answer=list[wire.NsInstance], query=LIST_QUERY),
    Endpoint("GET", ONE, show, "Read an NS instance", answer=wire.NsInstance),
    Endpoint("DELETE", ONE, delete, "Delete an NS instance", status=204),
    *(
        Endpoint("POST", f"{ONE}/{name}", task(name, kind), f"{name.capitalize()} an NS", kind, status=202)
        for name, kind in TASKS.items()
    ),
)
