"""Our own API: instances as people want to see them, and what can be done inside of them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import msgspec
from starlette.responses import Response, StreamingResponse

from skerry.api.lasting import while_known
from skerry.api.own import types as own
from skerry.api.route import Call, Endpoint, Query
from skerry.api.sol003 import translate
from skerry.client import views
from skerry.errors import InvalidError, MalformedError, NotFoundError
from skerry.model import states
from skerry.model.ns import NestedNs, NsInstance
from skerry.model.operations import Event, Operation
from skerry.model.pnfs import Pnf, pnfs_of
from skerry.model.resources import Resource, ResourceState
from skerry.model.states import FINAL, InstantiationState, VnfOperationalState
from skerry.model.vnf import VnfInstance
from skerry.vim.driver import ComputeStats, LogLine


def _latest(call: Call, subject: str) -> Operation | None:
    """The newest operation on an instance."""
    return max(
        call.services.engine.operations(subject=subject, tenant=call.tenant),
        key=lambda operation: (operation.started_at, operation.id),
        default=None,
    )


BUSY = {"scale": "SCALING", "scale_to_level": "SCALING", "heal": "RESUMING"}


def vnf_status(record: VnfInstance, latest: Operation | None) -> str:
    """The record's state in one word: ERROR, NULL, INITIALIZED, INACTIVE, SCALING, ACTIVE, TERMINATED or RESUMING."""
    if record.failed:
        return "ERROR"
    verb = latest.kind.partition(".")[2] if latest else ""
    if latest and latest.state not in FINAL:
        return BUSY.get(verb) or ("INITIALIZED" if verb == "instantiate" else _resting(record))
    if record.instantiation_state is InstantiationState.NOT_INSTANTIATED:
        return "TERMINATED" if verb == "terminate" else "NULL"
    return _resting(record)


def _resting(record: VnfInstance) -> str:
    if record.instantiation_state is InstantiationState.NOT_INSTANTIATED:
        return "NULL"
    return "ACTIVE" if record.vnf_state is VnfOperationalState.STARTED else "INACTIVE"


def view_vnf(call: Call, record: VnfInstance) -> views.VnfView:
    """A VNF for people."""
    latest = _latest(call, record.id)
    computes = [resource for key, resource in sorted(record.resources.items()) if key.startswith("compute:")]
    return views.VnfView(
        id=record.id,
        name=record.vnf_instance_name or record.vnf_product_name or record.id,
        vnfd_id=record.vnfd_id,
        product=f"{record.vnf_product_name} {record.vnf_software_version}".strip(),
        status=vnf_status(record, latest),
        instantiation_state=record.instantiation_state,
        vnfcs=[_vnfc(record, resource) for resource in computes],
        scale=record.scale_status,
        ns_id=record.ns_id,
        description=record.vnf_instance_description,
        flavour_id=record.flavour_id,
        created_at=record.created_at,
        operation=latest.id if latest else "",
    )


def _vnfc(record: VnfInstance, resource: Resource) -> views.VnfcView:
    name = translate.vnfc_name(resource)
    powered = record.resources.get(f"power:{name}")
    state = "FAILED" if resource.state is ResourceState.FAILED else "STARTED" if powered else "STOPPED"
    return views.VnfcView(
        name=name,
        vdu=str(resource.spec.get("vdu", "")),
        vim=str(resource.spec.get("vim", "")),
        state=state,
        host=str(resource.outputs.get("host", "")),
        id=str(resource.outputs.get("id", "")),
        addresses=[str(nic.get("ip", "")) for nic in resource.outputs.get("nics", ())],
    )


def view_ns(call: Call, record: NsInstance) -> views.NsView:
    """An NS for people."""
    members = [view for view in (_member(call, record, key) for key in sorted(record.members)) if view]
    nested = [view for view in (_nested(call, key, one) for key, one in sorted(record.nested.items())) if view]
    latest = _latest(call, record.id)
    networks = {
        key.partition(":")[2]: str(resource.outputs.get("cidr", resource.spec.get("cidr", "")))
        for key, resource in sorted(record.resources.items())
        if key.startswith("network:")
    }
    return views.NsView(
        id=record.id,
        name=record.ns_instance_name or record.id,
        nsd_id=record.nsd_id,
        status=_ns_status(record, latest, [*(member.vnf.status for member in members), *(ns.status for ns in nested)]),
        ns_state=record.ns_state,
        members=members,
        nested=nested,
        machines={id: _machine(pnf) for id, pnf in pnfs_of(record.resources).items()},
        networks=networks,
        scale=record.scale_status,
        description=record.ns_instance_description,
        flavour_id=record.flavour_id,
        created_at=record.created_at,
        operation=latest.id if latest else "",
    )


def _machine(pnf: Pnf) -> str:
    return " ".join((pnf.name, *(ip for point in pnf.points for ip in point.ips)))


def _nested(call: Call, key: str, one: NestedNs) -> views.NestedView | None:
    try:
        record = call.services.nfvo.instance(one.ns_instance_id, tenant=call.tenant)
    except NotFoundError:
        return None
    shown = view_ns(call, record)
    return views.NestedView(
        key=key, profile=one.profile, existing=one.existing, id=shown.id, name=shown.name, status=shown.status
    )


def _ns_status(record: NsInstance, latest: Operation | None, members: list[str]) -> str:
    if record.failed:
        return "ERROR"
    verb = latest.kind.partition(".")[2] if latest else ""
    if latest and latest.state not in FINAL and verb in BUSY:
        return BUSY[verb]
    if not members and verb == "terminate" and latest and latest.state in FINAL:
        return "TERMINATED"
    return states.summary(members)


def _member(call: Call, record: NsInstance, key: str) -> views.MemberView | None:
    member = record.members[key]
    try:
        vnf = call.services.vnfm.instance(member.vnf_instance_id, tenant=call.tenant)
    except NotFoundError:
        return None
    return views.MemberView(key=key, profile=member.profile, existing=member.existing, vnf=view_vnf(call, vnf))


def find_vnf(call: Call) -> VnfInstance:
    """The VNF of the path."""
    return call.services.vnfm.instance(call.path("vnfId"), tenant=call.tenant)


async def vnfs(call: Call) -> Response:
    """All VNFs."""
    return call.listed(call.services.vnfm.instances(tenant=call.tenant), lambda record: view_vnf(call, record))


async def show_vnf(call: Call) -> Response:
    """One VNF."""
    record = find_vnf(call)
    return call.show(view_vnf(call, record), rev=record.rev)


async def alarms(call: Call) -> Response:
    """What was found broken and is not mended yet."""
    return call.show(call.services.vnfm.alarms(tenant=call.tenant))


async def rebuild_alarms(call: Call) -> Response:
    """Make the list of alarms anew from what the infrastructures say; the answer is what stands then."""
    await call.services.watch.rebuild(tenant=call.tenant)
    return await alarms(call)


async def nss(call: Call) -> Response:
    """All NSs."""
    return call.listed(call.services.nfvo.instances(tenant=call.tenant), lambda record: view_ns(call, record))


async def show_ns(call: Call) -> Response:
    """One NS."""
    record = call.services.nfvo.instance(call.path("nsId"), tenant=call.tenant)
    return call.show(view_ns(call, record), rev=record.rev)


async def discard_vnf(call: Call) -> Response:
    """End whatever holds it, remove all that it has, and its record: the way out of every state."""
    await call.services.vnfm.discard(find_vnf(call).id, tenant=call.tenant)
    return call.done()


async def discard_ns(call: Call) -> Response:
    """The same for a network service with all its VNFs."""
    record = call.services.nfvo.instance(call.path("nsId"), tenant=call.tenant)
    await call.services.nfvo.discard(record.id, tenant=call.tenant)
    return call.done()


async def run(call: Call) -> Response:
    """Run a command inside a VNFC."""
    record = find_vnf(call)
    asked = await call.body(own.ExecRequest)
    if not asked.argv:
        raise InvalidError("cannot run nothing", suggestion="give the command as argv")
    result = await call.services.vnfm.exec(
        record.id, asked.vnfc, asked.argv, stdin=asked.stdin.encode(), tenant=call.tenant
    )
    return call.show(
        views.ExecAnswer(
            exit_code=result.exit_code,
            stdout=result.stdout.decode(errors="replace"),
            stderr=result.stderr.decode(errors="replace"),
        )
    )


async def logs(call: Call) -> Response:
    """What a VNFC printed, one JSON object a line; with `follow` as it is printed."""
    record = find_vnf(call)
    tail = call.query("tail")
    if tail and not (tail.isascii() and tail.isdigit() and len(tail) < 10):
        raise MalformedError(f"cannot read tail={tail!r}", suggestion="give a number of lines")
    lines = await call.services.vnfm.logs(
        record.id, call.query("vnfc"), follow=call.flag("follow"), tail=int(tail) if tail else None, tenant=call.tenant
    )
    first = await anext(aiter(lines), None) if not call.flag("follow") else None
    return StreamingResponse(while_known(call, _ndjson(first, lines)), media_type="application/x-ndjson")


async def _ndjson(first: LogLine | None, lines: AsyncIterator[LogLine]) -> AsyncGenerator[bytes, None]:
    # The first line is read before the answer begins, so that an error can still be told as one.
    if first is not None:
        yield msgspec.json.encode(first) + b"\n"
    async for line in lines:
        yield msgspec.json.encode(line) + b"\n"


async def stats(call: Call) -> Response:
    """Counters of a VNFC."""
    record = find_vnf(call)
    return call.show(await call.services.vnfm.stats(record.id, call.query("vnfc"), tenant=call.tenant))


VNFC = Query("vnfc", "Name of the VNFC, such as server-0; may be left out where there is only one.")
FOLLOW = (VNFC, Query("tail", "Only so many of the last lines."), Query("follow", "Go on as lines are printed."))
LINES: Any = LogLine
ROUTES = (
    Endpoint("GET", "/vnfs", vnfs, "List VNFs", answer=list[views.VnfView]),
    Endpoint("GET", "/vnfs/{vnfId}", show_vnf, "Read a VNF", answer=views.VnfView),
    Endpoint("POST", "/vnfs/{vnfId}/discard", discard_vnf, "Remove a VNF in whatever state", status=204),
    Endpoint("POST", "/vnfs/{vnfId}/exec", run, "Run a command in a VNFC", own.ExecRequest, views.ExecAnswer),
    Endpoint(
        "GET",
        "/vnfs/{vnfId}/logs",
        logs,
        "Read or follow what a VNFC prints",
        answer=LINES,
        produces=("application/x-ndjson",),
        query=FOLLOW,
    ),
    Endpoint("GET", "/vnfs/{vnfId}/stats", stats, "Counters of a VNFC", answer=ComputeStats, query=(VNFC,)),
    Endpoint("GET", "/alarms", alarms, "List alarms that stand", answer=list[Event]),
    Endpoint("POST", "/alarms/rebuild", rebuild_alarms, "Rebuild the list of alarms", answer=list[Event]),
    Endpoint("GET", "/nss", nss, "List NSs", answer=list[views.NsView]),
    Endpoint("GET", "/nss/{nsId}", show_ns, "Read an NS", answer=views.NsView),
    Endpoint("POST", "/nss/{nsId}/discard", discard_ns, "Remove an NS in whatever state", status=204),
)
