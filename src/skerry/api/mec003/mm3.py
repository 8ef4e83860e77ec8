"""Mm3*: what passes between the orchestrator of applications and the platform managers besides MEC 010-2 (MEC 017; the standard
leaves its form open): which managers there are, where an application's traffic is led, and its relocation."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import Response

from skerry.api.mec003.mm5 import DEFAULT
from skerry.api.route import Call, Endpoint
from skerry.api.wire import Wire
from skerry.model.ns import FORWARDING
from skerry.packages.appd_names import GRAPH


class Manager(Wire, frozen=True, kw_only=True):
    """A platform manager (MEPM-V): of which zone, on which MEC host, under which orchestrator ("" = this one's own)."""

    id: str
    zone: str
    host: str
    orchestrator: str = ""


class Redirection(Wire, frozen=True, kw_only=True):
    """Where an application's traffic rules are: the network service and its forwarding graph, and of each path whether its
    effect was seen."""

    app_instance_id: str
    ns_instance_id: str = ""
    vnffg_id: str = ""
    nfps: Mapping[str, bool] = {}


class RelocateRequest(Wire, frozen=True, kw_only=True):
    """What a manager knows: the application had better be there. Without a host the orchestrator chooses another."""

    target_host: str = ""


async def managers(call: Call) -> Response:
    """The platform managers, one for each zone."""
    found = [
        Manager(
            id=f"mepm-{host.zone or DEFAULT}",
            zone=host.zone or DEFAULT,
            host=host.id,
            orchestrator=host.orchestrator,
        )
        for host in call.services.meo.hosts.all()
    ]
    return call.show(found)


async def redirection(call: Call) -> Response:
    """Where the traffic of an application is led."""
    app = call.services.meo.instance(call.path("appInstanceId"), tenant=call.tenant)
    if not app.ns_id:
        return call.show(Redirection(app_instance_id=app.id))
    laid = call.services.nfvo.instance(app.ns_id, tenant=call.tenant).resources.get(FORWARDING)
    nfps: Mapping[str, bool] = laid.outputs.get("verified", {}) if laid else {}
    return call.show(Redirection(app_instance_id=app.id, ns_instance_id=app.ns_id, vnffg_id=GRAPH, nfps=nfps))


async def relocate(call: Call) -> Response:
    """Have an application moved to another host; its traffic and its names follow."""
    app = call.services.meo.instance(call.path("appInstanceId"), tenant=call.tenant)
    wanted = await call.body(RelocateRequest)
    hosts = [{"hostId": {"id": wanted.target_host}}] if wanted.target_host else []
    operation = await call.services.meo.start(
        "app.relocate", app.id, {"selectedMECHostInfo": hosts} if hosts else {}, tenant=call.tenant
    )
    return call.accepted(call.uri(f"/skerry/v1/operations/{operation.id}"))


ROUTES = (
    Endpoint("GET", "/platform_managers", managers, "List platform managers", answer=list[Manager]),
    Endpoint(
        "GET",
        "/applications/{appInstanceId}/redirection",
        redirection,
        "Read where an application's traffic is led",
        answer=Redirection,
    ),
    Endpoint(
        "POST",
        "/applications/{appInstanceId}/relocate",
        relocate,
        "Relocate an application",
        RelocateRequest,
        status=202,
    ),
)
