"""Our own API: micro network functions of VNFs. States and times, handlers, another configuration, another VIM."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.responses import Response

from skerry.api.own.types import Asked
from skerry.api.route import Call, Endpoint, Query
from skerry.api.services import SeenFunction
from skerry.api.sol003 import translate
from skerry.api.sol003.types import ExtVirtualLinkData
from skerry.client.lvnf import HandlerValue, HandlerView, LvnfView
from skerry.errors import MalformedError

UNKNOWN = "unknown"


class WriteRequest(Asked, frozen=True, kw_only=True):
    """What to write to a handler: "element.handler", or a name that the descriptor gives."""

    handler: Annotated[str, Meta(min_length=1, max_length=1000)]
    value: Annotated[str, Meta(max_length=1_000_000)] = ""


class SwapRequest(Asked, frozen=True, kw_only=True):
    """A Click configuration, in which `$ETH0_IP` and the like stand for the function's values."""

    configuration: Annotated[str, Meta(min_length=1, max_length=1_000_000)]


class MigrateRequest(Asked, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Where to move; networks there for connection points whose networks are elsewhere. `vnfcInstanceId` names the function of
    a VNF in a plan."""

    vim_id: Annotated[str, Meta(min_length=1, max_length=255)]
    vnfc_instance_id: str | None = None
    ext_virtual_links: list[ExtVirtualLinkData] | None = None


def _view(one: SeenFunction, *, whole: bool = False) -> LvnfView:
    shown, stats = one.function, one.stats
    made = one.vnf.resources[f"compute:{one.vnfc}"]
    vnf_name = one.vnf.vnf_instance_name or one.vnf.vnf_product_name
    return LvnfView(
        id=one.id,
        name=f"{vnf_name}/{one.vnfc}",
        vnf=one.vnf.id,
        vnf_name=vnf_name,
        vnfc=one.vnfc,
        vim=one.vim,
        state=shown.state.value if shown else UNKNOWN,
        since=shown.since if shown else "",
        backend=shown.backend if shown else "",
        why=shown.why if shown else (),
        times_ms=shown.times_ms if shown else {},
        downtime_ms=one.downtime_ms,
        memory_bytes=stats.memory_bytes if stats else 0,
        cpu_seconds=stats.cpu_seconds if stats else 0.0,
        rx_packets=stats.rx_packets if stats else {},
        tx_packets=stats.tx_packets if stats else {},
        addresses=tuple(str(nic.get("ip", "")) for nic in made.outputs.get("nics", ())),
        handlers=shown.handlers if shown else {},
        state_handlers=shown.state_handlers if shown else (),
        configuration=shown.configuration if shown and whole else "",
        problem=one.problem,
    )


async def listing(call: Call) -> Response:
    """All functions of the caller's tenant."""
    return call.listed(await call.services.vnfm.functions.all(tenant=call.tenant), _view)


async def show(call: Call) -> Response:
    """One function with its configuration."""
    one = await call.services.vnfm.functions.get(call.path("lvnfId"), tenant=call.tenant)
    return call.show(_view(one, whole=True))


async def handlers(call: Call) -> Response:
    """Its handlers, also those that every element has."""
    found = await call.services.vnfm.functions.handlers(call.path("lvnfId"), tenant=call.tenant)
    return call.show(
        [
            HandlerView(handler=f"{one.element}.{one.name}" if one.element else one.name, kind=one.kind.value)
            for one in found
        ]
    )


async def read(call: Call) -> Response:
    """The value of a handler."""
    handler = call.query("handler")
    if not handler:
        raise MalformedError("cannot read no handler", suggestion="give the query parameter handler")
    value = await call.services.vnfm.functions.read(call.path("lvnfId"), handler, tenant=call.tenant)
    return call.show(HandlerValue(handler=handler, value=value))


async def write(call: Call) -> Response:
    """Write a handler."""
    asked = await call.body(WriteRequest)
    await call.services.vnfm.functions.write(call.path("lvnfId"), asked.handler, asked.value, tenant=call.tenant)
    return call.done()


async def swap(call: Call) -> Response:
    """Exchange the configuration: no packet is lost, and elements of the same name and class keep their state."""
    asked = await call.body(SwapRequest)
    one = await call.services.vnfm.functions.swap(call.path("lvnfId"), asked.configuration, tenant=call.tenant)
    return call.show(_view(one, whole=True))


async def migrate(call: Call) -> Response:
    """Move it to another VIM with its state."""
    asked = await call.body(MigrateRequest)
    vnf, vnfc = call.services.vnfm.functions.place(call.path("lvnfId"), tenant=call.tenant)
    params = translate.normal({**msgspec.to_builtins(asked), "vnfcInstanceId": vnfc})
    operation = await call.services.vnfm.start("vnf.migrate", vnf, params, tenant=call.tenant)
    return call.accepted(call.href(f"/operations/{operation.id}"))


HANDLER = (Query("handler", 'The handler, as "element.handler" or as the descriptor names it.'),)
ROUTES = (
    Endpoint("GET", "/lvnfs", listing, "List micro network functions", answer=list[LvnfView]),
    Endpoint("GET", "/lvnfs/{lvnfId}", show, "Read a micro network function", answer=LvnfView),
    Endpoint("GET", "/lvnfs/{lvnfId}/handlers", handlers, "List handlers of a function", answer=list[HandlerView]),
    Endpoint("GET", "/lvnfs/{lvnfId}/value", read, "Read a handler", answer=HandlerValue, query=HANDLER),
    Endpoint("PUT", "/lvnfs/{lvnfId}/value", write, "Write a handler", WriteRequest, status=204),
    Endpoint("PUT", "/lvnfs/{lvnfId}/configuration", swap, "Exchange a configuration", SwapRequest, LvnfView),
    Endpoint("POST", "/lvnfs/{lvnfId}/migrate", migrate, "Move a function to another VIM", MigrateRequest, status=202),
)
