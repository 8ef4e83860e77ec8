"""Our own API: events, read or followed as they happen. A caller sees those of its tenant only."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from functools import lru_cache

import msgspec
from starlette.responses import Response, StreamingResponse

from skerry.access.roles import Right, role_allows
from skerry.api.lasting import while_known
from skerry.api.own.operations import number
from skerry.api.route import Call, Endpoint, Query
from skerry.errors import NotFoundError
from skerry.model.operations import EVENT_KINDS, Event

AUDIT, SUBSCRIPTION = "audit", "subscription"
WINDOW = 1000
Wanted = Callable[[Event], bool]


def visible(call: Call) -> Wanted:
    """Which events the caller may see: the node's administrators all, others those of their tenant's instances and
    operations, and audits of their tenant if they are its administrators."""
    who = call.principal
    if role_allows(who, Right.NODE):
        return lambda _: True
    audits = role_allows(who, Right.ADMINISTER)

    @lru_cache(maxsize=4096)
    def ours(operation: str, subject: str) -> bool:
        return _is_of(call, operation, subject)

    def sees(event: Event) -> bool:
        if event.kind == AUDIT:
            return audits and event.data.get("tenant") == who.tenant
        if event.kind == SUBSCRIPTION:
            return event.data.get("tenant") == who.tenant
        return ours(event.operation, event.subject)

    return sees


def _is_of(call: Call, operation: str, subject: str) -> bool:
    services, tenant = call.services, call.tenant
    if operation:
        lookups: tuple[Callable[[], object], ...] = (lambda: services.engine.operation(operation, tenant=tenant),)
    else:
        lookups = (
            lambda: services.vnfm.instance(subject, tenant=tenant),
            lambda: services.nfvo.instance(subject, tenant=tenant),
            lambda: services.catalogue.vnf_package(subject, tenant=tenant),
            lambda: services.catalogue.nsd(subject, tenant=tenant),
        )
    return bool(subject or operation) and any(_found(lookup) for lookup in lookups)


def _found(lookup: Callable[[], object]) -> bool:
    try:
        lookup()
    except NotFoundError:
        return False
    return True


async def events(call: Call) -> Response:
    """Events over a number; with `follow` as they happen (server-sent events, whose id is the number to go on from)."""
    log = call.services.engine.events
    wanted = visible(call)
    seq = int(number(call, "since"))
    resumed = call.request.headers.get("last-event-id", "")
    seq = int(resumed) if resumed.isascii() and resumed.isdigit() and len(resumed) < 17 else seq

    upto = log.last()
    newest = await _newest(call, seq, wanted, int(number(call, "last"))) if call.query("last") else None
    if not call.flag("follow"):
        if newest is None:
            newest = await _oldest(call, seq, wanted, int(number(call, "limit")) or WINDOW)
        return call.show(newest)
    if newest is not None:
        # What comes after the reading is followed from the newest event that was read.
        seq = newest[-1].seq if newest else upto
    # A number of another log (the node was restored, say) is no reason to hear nothing until this one has grown so long.
    batches = log.follow(min(seq, upto), **_asked(call))
    stream = while_known(call, _sse(newest or (), batches, wanted))
    return StreamingResponse(stream, media_type="text/event-stream", headers={"Cache-Control": "no-store"})


def _asked(call: Call) -> dict[str, str]:
    return {name: call.query(name) for name in ("subject", "operation", "kind")}


async def _oldest(call: Call, seq: int, wanted: Wanted, limit: int) -> list[Event]:
    """The first `limit` that are wanted over a number."""
    found: list[Event] = []
    while batch := call.services.engine.events.since(seq, limit=WINDOW, **_asked(call)):
        found += [event for event in batch if wanted(event)]
        if len(found) >= limit:
            break
        seq = batch[-1].seq
        await asyncio.sleep(0)  # a long log must not hold up everyone else
    return found[:limit]


async def _newest(call: Call, seq: int, wanted: Wanted, count: int) -> list[Event]:
    """The last `count` that are wanted over a number, oldest first; read backwards, window by window."""
    log = call.services.engine.events
    found: deque[Event] = deque()
    upper = log.last()
    while upper > seq and len(found) < count:
        lower = max(seq, upper - WINDOW)
        batch = log.since(lower, limit=upper - lower, **_asked(call))
        found.extendleft(event for event in reversed(batch) if event.seq <= upper and wanted(event))
        upper = lower
        await asyncio.sleep(0)
    return list(found)[-count:] if count else []


async def _sse(
    first: Sequence[Event], batches: AsyncIterator[Sequence[Event]], wanted: Wanted
) -> AsyncGenerator[bytes, None]:
    # The first bytes tell the client at once that it is connected.
    yield b": following\n\n" + _lines(first)
    async for batch in batches:
        if lines := _lines([event for event in batch if wanted(event)]):
            yield lines


def _lines(batch: Sequence[Event]) -> bytes:
    return b"".join(b"id: %d\ndata: %s\n\n" % (event.seq, msgspec.json.encode(event)) for event in batch)


EVENTS = (
    Query("since", "Only events over this number."),
    Query("last", "Only this many of the newest."),
    Query("kind", f"Only of this kind: {', '.join(EVENT_KINDS)}."),
    Query("subject", "Only of this instance."),
    Query("operation", "Only of this operation."),
    Query("limit", "At most so many."),
    Query("follow", "Go on as they happen."),
)
ROUTES = (
    Endpoint(
        "GET",
        "/events",
        events,
        "Read or follow events",
        answer=list[Event],
        produces=("application/json", "text/event-stream"),
        query=EVENTS,
    ),
)
