"""DNS support: zones and records that are kept by hand, and dynamic names. Own; its paths are those of earlier platforms."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta
from starlette.responses import Response

from skerry.access.roles import NODE_TENANT, Right, role_allows
from skerry.api.route import Api, Call, Endpoint, Query
from skerry.api.wire import Wire
from skerry.errors import Fault, ForbiddenError, InvalidError
from skerry.model.mec import DnsZone, Mec, ZoneRecord

ZONE, RECORD, DYNAMIC = "/api/{zone}", "/api/{zone}/record", "/record"
NAMED = Query("name", "The whole domain name.")
TYPED = Query("type", "A or AAAA; both without.")
WHOSE = Query("tenant", "Another tenant's, for who runs the node.")


class NewZone(Wire, frozen=True, kw_only=True):
    """The records that a zone begins with. `tenant`: who runs the node assigns the zone to it; "" is the caller's own."""

    records: list[ZoneRecord] = []
    tenant: Annotated[str, Meta(pattern="^([a-z0-9][a-z0-9-]{0,62})?$")] = ""


class Zone(Wire, frozen=True, kw_only=True):
    """A zone with its tenant and its records, and where names are resolved ("" while nothing is)."""

    name: str
    tenant: str
    records: list[ZoneRecord]
    server: str = ""


class DynamicName(Mec, frozen=True, kw_only=True):
    """A name that leads to whoever asks. Without an address it is the caller's own."""

    name: str
    ip_address: str | None = None
    ttl: int = 60


def _shown(call: Call, zone: DnsZone) -> Zone:
    address = call.services.mep.names.address
    server = f"{address[0]}#{address[1]}" if address else ""
    return Zone(name=zone.id, tenant=zone.tenant, records=list(zone.records), server=server)


def _tenant(call: Call, named: str) -> str:
    """Whose zones a call is about. `ForbiddenError` where they are another tenant's and the caller does not run the node."""
    if named not in ("", call.tenant) and not role_allows(call.principal, Right.NODE):
        raise ForbiddenError(
            f"cannot see to zones of the tenant {named}",
            suggestion=f"it needs the role admin in the tenant {NODE_TENANT}",
        )
    return named or call.tenant


async def zones(call: Call) -> Response:
    """The tenant's zones."""
    tenant = _tenant(call, call.query("tenant"))
    return call.show([_shown(call, zone) for zone in call.services.mep.zones.all(tenant=tenant)])


async def show(call: Call) -> Response:
    """One zone."""
    tenant = _tenant(call, call.query("tenant"))
    return call.show(_shown(call, call.services.mep.zones.get(call.path("zone"), tenant=tenant)))


async def create(call: Call) -> Response:
    """Make a zone; it is answered when the answer comes. Who runs the node may make one for another tenant: then names in it
    are that tenant's to answer, and no other's."""
    given = call.request.headers.get("content-length", "0") != "0" or "transfer-encoding" in call.request.headers
    asked = await call.body(NewZone) if given else NewZone()
    tenant = _tenant(call, asked.tenant)
    assigned = bool(asked.tenant) and role_allows(call.principal, Right.NODE)
    made = await call.services.mep.zones.create(call.path("zone"), asked.records, tenant=tenant, assigned=assigned)
    return call.show(_shown(call, made), status=201, location=call.href(f"/api/{made.id}"))


async def delete(call: Call) -> Response:
    """Remove a zone with its records."""
    await call.services.mep.zones.delete(call.path("zone"), tenant=_tenant(call, call.query("tenant")))
    return call.done()


async def put(call: Call) -> Response:
    """Add or replace a record; it is answered when the answer comes."""
    wanted = await call.body(ZoneRecord)
    made = await call.services.mep.zones.put(call.path("zone"), wanted, tenant=call.tenant)
    return call.show(made, status=201)


def _name(call: Call) -> str:
    if name := call.query("name"):
        return name
    fault = Fault(message="the name is missing", code="query", path="?name", fix="add ?name=NAME")
    raise InvalidError("cannot tell which record is meant", faults=[fault])


async def remove(call: Call) -> Response:
    """Remove a name's records."""
    await call.services.mep.zones.remove(
        call.path("zone"), _name(call), tenant=call.tenant, type=call.query("type").upper()
    )
    return call.done()


async def show_dynamic(call: Call) -> Response:
    """What a name leads to; without one, what all of them do."""
    name = call.query("name")
    if not name:
        return call.show([one for zone in call.services.mep.zones.all(tenant=call.tenant) for one in zone.records])
    zone = call.services.mep.zones.of(name, tenant=call.tenant)
    return call.show([one for one in zone.records if one.name == name.rstrip(".").lower()])


async def put_dynamic(call: Call) -> Response:
    """Lead a name to an address, or to the caller's own."""
    asked = await call.body(DynamicName)
    own = call.request.client.host if call.request.client else ""
    try:
        record = ZoneRecord(name=asked.name, ip_address=asked.ip_address or own, ttl=asked.ttl)
    except ValueError as error:
        fault = Fault(message="this is no IP address", code="value", path="/ipAddress")
        raise InvalidError(
            "cannot lead the name there", faults=[fault], suggestion="write an IPv4 or IPv6 address"
        ) from error
    zone = call.services.mep.zones.of(asked.name, tenant=call.tenant)
    return call.show(await call.services.mep.zones.put(zone.id, record, tenant=call.tenant))


async def remove_dynamic(call: Call) -> Response:
    """The name leads nowhere any more."""
    name = _name(call)
    zone = call.services.mep.zones.of(name, tenant=call.tenant)
    await call.services.mep.zones.remove(zone.id, name, tenant=call.tenant, type=call.query("type").upper())
    return call.done()


API = Api(
    "dns_support",
    "DNS zones kept by hand, and dynamic names",
    {1: "1.0.0"},
    (
        Endpoint("GET", "/api", zones, "List zones", answer=list[Zone], query=(WHOSE,)),
        Endpoint("GET", ZONE, show, "Read a zone", answer=Zone, query=(WHOSE,)),
        Endpoint("POST", ZONE, create, "Make a zone", NewZone, Zone, 201),
        Endpoint("DELETE", ZONE, delete, "Remove a zone", status=204, query=(WHOSE,)),
        Endpoint("POST", RECORD, put, "Add or replace a record", ZoneRecord, ZoneRecord, 201),
        Endpoint("DELETE", RECORD, remove, "Remove a name's records", status=204, query=(NAMED, TYPED)),
        Endpoint("GET", DYNAMIC, show_dynamic, "Read a dynamic name", answer=list[ZoneRecord], query=(NAMED,)),
        Endpoint("PUT", DYNAMIC, put_dynamic, "Lead a dynamic name", DynamicName, ZoneRecord),
        Endpoint("DELETE", DYNAMIC, remove_dynamic, "Remove a dynamic name", status=204, query=(NAMED, TYPED)),
    ),
)
