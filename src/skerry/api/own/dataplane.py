"""Our own API: the data plane. Topology, intents, rules with their states, chains, next hops, graphs, traces."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from starlette.responses import Response

from skerry.access.roles import NODE_TENANT, Right, role_allows
from skerry.api import body
from skerry.api.own.types import Asked
from skerry.api.route import Call, Endpoint, Query
from skerry.client.dataplane import (
    ChainShown,
    ConnectionShown,
    DeviceShown,
    DropShown,
    HopShown,
    NextShown,
    RuleShown,
    SentShown,
    StepShown,
    TraceShown,
)
from skerry.dataplane import flows, making
from skerry.dataplane.chains import REVERSE, START, Stop
from skerry.dataplane.flows import Rule
from skerry.dataplane.graph_json import Graph, graph_of, intents_of, owner_of
from skerry.dataplane.intents import Device, Intents, Link, NextHop, Port, Topology
from skerry.dataplane.sheets import digest
from skerry.dataplane.trace import Sent
from skerry.dataplane.views import DeviceView, RuleView
from skerry.dataplane.wording import action_text, classifier_of, flowspace_of, match_text
from skerry.errors import ForbiddenError, InvalidError, NotFoundError


class NextRequest(Asked, frozen=True, kw_only=True):
    """A next hop: `match` is an OpenFlow match string ("" for everything), `next` a port."""

    match: Annotated[str, Meta(max_length=1000)] = ""
    next: str
    priority: Annotated[int, Meta(ge=0, le=999)] = 500


class TraceRequest(Asked, frozen=True, kw_only=True):
    """A frame that comes in at a port: its bytes in hexadecimal, or fields by name (`ipv4_dst`, `l4_dst`, `gtp_teid` …)."""

    port: str
    frame: Annotated[str, Meta(pattern="^([0-9A-Fa-f]{2})*$", max_length=20_000)] = ""
    fields: Mapping[str, int | str] = {}


# -- topology -------------------------------------------------------------------------------------------------------------


def _device(view: DeviceView) -> DeviceShown:
    return DeviceShown(
        id=view.device.id,
        engine=view.engine,
        namespace=view.device.namespace,
        revision=view.revision,
        served=view.served,
        trouble=view.trouble,
    )


async def devices(call: Call) -> Response:
    """Devices and the engines that serve them."""
    return call.listed([_device(view) for view in call.services.dataplane.devices()], lambda shown: shown)


async def ports(call: Call) -> Response:
    """The caller's ports, and those that all share."""
    return call.listed(call.services.dataplane.ports(tenant=call.tenant), lambda port: port)


async def links(call: Call) -> Response:
    """Links between devices."""
    return call.listed(call.services.dataplane.links(), lambda link: link)


async def put_topology(call: Call) -> Response:
    """Add or change devices, ports and links in one change."""
    await call.services.dataplane.put_topology(await call.body(Topology))
    return call.done()


async def put_device(call: Call) -> Response:
    """Add a device, or change it."""
    device = _named(await call.body(Device), call.path("deviceId"))
    await call.services.dataplane.put_topology(Topology(devices=(device,)))
    return call.show(device)


async def put_port(call: Call) -> Response:
    """Add a port, or change it; the answer has its number."""
    port = _named(await call.body(Port), call.path("portId"))
    await call.services.dataplane.put_topology(Topology(ports=(port,)))
    return call.show(call.services.dataplane.port(port.id))


async def put_link(call: Call) -> Response:
    """Add a link, or change it; one that is not `up` is avoided."""
    link = _named(await call.body(Link), call.path("linkId"))
    await call.services.dataplane.put_topology(Topology(links=(link,)))
    return call.show(link)


def _named(value: Any, id: str) -> Any:
    if value.id != id:
        raise InvalidError(f"cannot put {value.id} at the place of {id}", suggestion="use the same id in path and body")
    return value


async def delete_device(call: Call) -> Response:
    """Remove a device that has no ports."""
    await call.services.dataplane.remove_device(call.path("deviceId"))
    return call.done()


async def delete_port(call: Call) -> Response:
    """Remove a port that no intent names."""
    await call.services.dataplane.remove_port(call.path("portId"))
    return call.done()


async def delete_link(call: Call) -> Response:
    """Remove a link."""
    await call.services.dataplane.remove_link(call.path("linkId"))
    return call.done()


# -- intents --------------------------------------------------------------------------------------------------------------


async def intents(call: Call) -> Response:
    """The caller's intents."""
    found = call.services.dataplane.intents(tenant=call.tenant, owner=call.query("owner"))
    return call.listed(found, lambda intent: intent)


def _owned(call: Call, intent: Intents) -> Intents:
    """An intent of the caller's tenant."""
    if intent.tenant not in ("", call.tenant):
        raise ForbiddenError(
            f"cannot put an intent of the tenant {intent.tenant}",
            suggestion=f"leave the tenant out, or say {call.tenant}",
        )
    return msgspec.structs.replace(intent, tenant=call.tenant)


def _allowed(call: Call, *given: Intents) -> Sequence[Intents]:
    """The intents, if the caller may decide about all that they concern: what all tenants share is the node's."""
    shared = call.services.dataplane.shared(given) if call.tenant != NODE_TENANT else ()
    if shared:
        raise ForbiddenError(
            f"cannot decide about {', '.join(shared)}: all tenants share that",
            suggestion="name ports of your own, or ask an administrator of the node",
        )
    return given


async def put_intents(call: Call) -> Response:
    """Add or change several intents in one change: all of them, or none."""
    given: list[Intents] = body.convert(await call.json(), list[Intents])
    owned = _allowed(call, *(_owned(call, intent) for intent in given))
    await call.services.dataplane.put(*owned, tenant=call.tenant, all_seen=_all_seen(call))
    return call.done()


async def put_intent(call: Call) -> Response:
    """Add an intent, or change it. 409 with a witness frame where the proof forbids it."""
    given: Intents = body.convert(await call.json(), Intents)  # type: ignore[arg-type]
    intent = _named(_owned(call, given), call.path("intentId"))
    await call.services.dataplane.put(*_allowed(call, intent), tenant=call.tenant, all_seen=_all_seen(call))
    return show(call)


def show(call: Call) -> Response:
    """The intent of the path."""
    return call.show(call.services.dataplane.intent(call.path("intentId"), tenant=call.tenant))


async def show_intent(call: Call) -> Response:
    """One intent."""
    return show(call)


async def delete_intent(call: Call) -> Response:
    """Remove an intent."""
    await call.services.dataplane.remove(call.path("intentId"), tenant=call.tenant, all_seen=_all_seen(call))
    return call.done()


# -- what it became -------------------------------------------------------------------------------------------------------


def _rule(view: RuleView) -> RuleShown:
    rule = view.rule
    return RuleShown(
        id=f"{view.device}:{rule.cookie:016x}",
        device=view.device,
        table=rule.table,
        priority=rule.priority,
        match=match_text(rule.match),
        actions=tuple(action_text(action) for action in rule.actions),
        intent=rule.owner,
        tenant=rule.tenant,
        state=view.state.value,
        packets=view.packets,
        bytes=view.bytes,
        verified_at=view.verified_at,
    )


async def rules(call: Call) -> Response:
    """Rules of all devices or one, with what is requested, effective and verified."""
    found = await call.services.dataplane.rules(
        tenant=call.tenant, device=call.query("device"), owner=call.query("intent")
    )
    return call.show([_rule(view) for view in found])


async def drops(call: Call) -> Response:
    """Frames that were dropped at the caller's ports, by reason; all of them for who manages the node."""
    mine = {(port.device, port.number): port.id for port in call.services.dataplane.ports(tenant=call.tenant)}
    found = await call.services.dataplane.effective(call.query("device"))
    return call.show(
        [
            DropShown(
                device=one.device,
                port=mine.get((one.device, drop.port), ""),
                reason=drop.reason.value,
                packets=drop.packets,
            )
            for one in found
            for drop in one.dropped
            if call.tenant == NODE_TENANT or (one.device, drop.port) in mine
        ]
    )


async def connections(call: Call) -> Response:
    """The connections that devices remember in the caller's zones."""
    found = await call.services.dataplane.connections(tenant=call.tenant, device=call.query("device"))
    return call.show(
        [
            ConnectionShown(
                device=view.device,
                zone=view.zone,
                proto=view.connection.proto,
                opened=_ends(view.connection.opened),
                onward=_ends(view.connection.onward),
                answered=view.connection.answered,
            )
            for view in found
        ]
    )


def _ends(ends: tuple[str, int, str, int]) -> str:
    source, sport, target, dport = (f"[{one}]" if ":" in str(one) else str(one) for one in ends)
    return f"{source}:{sport} > {target}:{dport}"


async def chains(call: Call) -> Response:
    """Chains as they are laid out."""
    known = {intent.id for intent in call.services.dataplane.intents(tenant=call.tenant)}
    network = call.services.dataplane.network
    shown = [
        ChainShown(
            id=id,
            spi=layout.spi,
            reverse_spi=layout.spi | REVERSE if layout.back else 0,
            hops=_hops(layout.stops),
            reverse=_hops(layout.back),
            unreachable=tuple(fault for fault in network.unreachable if fault.path == id),
        )
        for id, layout in network.ways.items()
        if id in known
    ]
    return call.listed(shown, lambda chain: chain)


def _hops(stops: Sequence[Sequence[Stop]]) -> tuple[tuple[HopShown, ...], ...]:
    return tuple(
        tuple(
            HopShown(
                function=stop.function,
                si=START - place,
                entry=f"{stop.entry[0]}:{stop.entry[1]}",
                leave=f"{stop.leave[0]}:{stop.leave[1]}",
                aware=stop.aware,
            )
            for stop in hop
        )
        for place, hop in enumerate(stops)
    )


# -- next hops of a port --------------------------------------------------------------------------------------------------


def _next_hops(call: Call) -> list[NextHop]:
    port = call.services.dataplane.port(call.path("portId"), tenant=call.tenant)
    found = call.services.dataplane.intents(tenant=call.tenant)
    return [intent for intent in found if isinstance(intent, NextHop) and intent.port == port.id]


async def show_next(call: Call) -> Response:
    """Where frames of a port go, by flowspace."""
    return call.show(
        [
            NextShown(match=flowspace_of(hop.classifier), next=hop.next, priority=hop.priority)
            for hop in _next_hops(call)
        ]
    )


async def put_next(call: Call) -> Response:
    """Set the next hop of a port on a flowspace; one on the same flowspace is replaced."""
    asked = await call.body(NextRequest)
    try:
        classifier = classifier_of(asked.match)
    except ValueError as why:
        raise InvalidError(f"cannot read the match: {why}", suggestion="write it as tcp,nw_dst=10.0.0.0/8") from why
    same = [hop for hop in _next_hops(call) if hop.classifier == classifier]
    port = call.path("portId")
    name = f"{digest(flowspace_of(classifier)):08x}"
    hop = NextHop(
        id=same[0].id if same else f"next:{port}:{name}",
        tenant=call.tenant,
        owner=f"port:{port}",
        port=port,
        classifier=classifier,
        next=asked.next,
        priority=asked.priority,
    )
    await call.services.dataplane.put(*_allowed(call, hop), tenant=call.tenant, all_seen=_all_seen(call))
    return call.show(NextShown(match=flowspace_of(classifier), next=hop.next, priority=hop.priority))


async def delete_next(call: Call) -> Response:
    """Remove the next hops of a port, or with `match` the one on that flowspace."""
    wanted = call.request.query_params.get("match")
    found = _next_hops(call)
    if wanted is not None:
        found = [hop for hop in found if flowspace_of(hop.classifier) == flowspace_of(_read(wanted))]
    if not found:
        raise NotFoundError(f"cannot find a next hop of {call.path('portId')}", suggestion="see which there are")
    ids = (hop.id for hop in found)
    await call.services.dataplane.remove(*ids, tenant=call.tenant, all_seen=_all_seen(call))
    return call.done()


def _read(text: str) -> Any:
    try:
        return classifier_of(text)
    except ValueError as why:
        raise InvalidError(f"cannot read the match: {why}", suggestion="write it as tcp,nw_dst=10.0.0.0/8") from why


# -- graphs and traces ----------------------------------------------------------------------------------------------------


async def show_graph(call: Call) -> Response:
    """The forwarding graph of all the caller's intents, or with `owner` of some of them."""
    found = call.services.dataplane.intents(tenant=call.tenant, owner=call.query("owner"))
    name = call.query("owner").removeprefix("graph:") or "all"
    return call.show(graph_of(name, found))


async def put_graph(call: Call) -> Response:
    """Do as a forwarding graph says; it replaces the one of the same name in one change."""
    graph = await call.body(Graph)
    await call.services.dataplane.replace_owner(
        owner_of(graph.name),
        _allowed(call, *intents_of(graph, call.tenant)),
        tenant=call.tenant,
        all_seen=_all_seen(call),
    )
    return call.done()


async def trace(call: Call) -> Response:
    """Where a frame goes: rules, functions, ports. Nothing is sent. What is another tenant's is told only to administrators."""
    asked = await call.body(TraceRequest)
    frame = bytes.fromhex(asked.frame) if asked.frame else _frame(asked.fields)
    viewer = None if _all_seen(call) else call.tenant
    found = await call.services.dataplane.trace(asked.port, frame, tenant=viewer)
    return call.show(
        TraceShown(
            frame=frame.hex(),
            steps=tuple(
                StepShown(
                    device=step.device,
                    port=step.port,
                    rules=tuple(_line(rule, viewer) for rule in step.rules),
                    sent=_sent(step.sent),
                    notes=step.notes,
                )
                for step in found.steps
            ),
            functions=found.functions,
            outputs=_sent(found.outputs),
            looped=found.looped,
        )
    )


def _all_seen(call: Call) -> bool:
    """Whether the caller may read of all tenants."""
    return role_allows(call.principal, Right.NODE)


def _line(rule: Rule, viewer: str | None) -> str:
    if viewer is not None and rule.tenant not in ("", viewer):
        return f"{rule.table}/{rule.priority} of another tenant"
    actions = ", ".join(action_text(action) for action in rule.actions) or "drop"
    return f"{rule.table}/{rule.priority} {rule.owner or '-'}: {match_text(rule.match)} -> {actions}"


def _sent(sent: Iterable[Sent]) -> tuple[SentShown, ...]:
    return tuple(SentShown(port=one.port, to=one.to, frame=one.frame.hex(), function=one.function) for one in sent)


def _frame(fields: Mapping[str, int | str]) -> bytes:
    try:
        return making.frame({term.field: term.value for term in flows.match(**fields)})
    except (KeyError, ValueError, OverflowError) as why:
        known = ", ".join(field.name.lower() for field in flows.Field if field >= flows.Field.ETH_DST)
        raise InvalidError(f"cannot make such a frame: {why}", suggestion=f"fields are: {known}") from why


ROOT = "/dataplane"
DEVICE, PORT, LINK = f"{ROOT}/devices/{{deviceId}}", f"{ROOT}/ports/{{portId}}", f"{ROOT}/links/{{linkId}}"
INTENT, NEXT = f"{ROOT}/intents/{{intentId}}", f"{ROOT}/ports/{{portId}}/next"
OWNER = (Query("owner", "Only of this owner."),)
RULES = (Query("device", "Only of this device."), Query("intent", "Only of this intent."))
MATCH = (Query("match", "Only on this flowspace."),)
ROUTES = (
    Endpoint("GET", f"{ROOT}/devices", devices, "List devices", answer=list[DeviceShown]),
    Endpoint("PUT", DEVICE, put_device, "Add or change a device", Device, Device),
    Endpoint("DELETE", DEVICE, delete_device, "Remove a device", status=204),
    Endpoint("GET", f"{ROOT}/ports", ports, "List ports", answer=list[Port]),
    Endpoint("PUT", PORT, put_port, "Add or change a port", Port, Port),
    Endpoint("DELETE", PORT, delete_port, "Remove a port", status=204),
    Endpoint("GET", f"{ROOT}/links", links, "List links", answer=list[Link]),
    Endpoint("PUT", LINK, put_link, "Add or change a link", Link, Link),
    Endpoint("DELETE", LINK, delete_link, "Remove a link", status=204),
    Endpoint("PUT", f"{ROOT}/topology", put_topology, "Add devices, ports and links at once", Topology, status=204),
    Endpoint("GET", f"{ROOT}/intents", intents, "List intents", answer=list[Intents], query=OWNER),
    Endpoint("POST", f"{ROOT}/intents", put_intents, "Put several intents at once", list[Intents], status=204),
    Endpoint("GET", INTENT, show_intent, "Read an intent", answer=Intents),
    Endpoint("PUT", INTENT, put_intent, "Add or change an intent", Intents, Intents),
    Endpoint("DELETE", INTENT, delete_intent, "Remove an intent", status=204),
    Endpoint("GET", f"{ROOT}/rules", rules, "List rules with their states", answer=list[RuleShown], query=RULES),
    Endpoint("GET", f"{ROOT}/drops", drops, "List dropped frames", answer=list[DropShown], query=RULES[:1]),
    Endpoint(
        "GET",
        f"{ROOT}/connections",
        connections,
        "List remembered connections",
        answer=list[ConnectionShown],
        query=RULES[:1],
    ),
    Endpoint("GET", f"{ROOT}/chains", chains, "List chains as laid out", answer=list[ChainShown]),
    Endpoint("GET", NEXT, show_next, "Read the next hops of a port", answer=list[NextShown]),
    Endpoint("PUT", NEXT, put_next, "Set the next hop of a port on a flowspace", NextRequest, NextShown),
    Endpoint("DELETE", NEXT, delete_next, "Remove next hops of a port", status=204, query=MATCH),
    Endpoint("GET", f"{ROOT}/graph", show_graph, "Read the forwarding graph", answer=Graph, query=OWNER),
    Endpoint("PUT", f"{ROOT}/graph", put_graph, "Do as a forwarding graph says", Graph, status=204),
    Endpoint("POST", f"{ROOT}/trace", trace, "Follow a frame without sending it", TraceRequest, TraceShown),
)
