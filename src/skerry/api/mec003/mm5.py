"""Mm5: how a platform manager configures the platform of its zone (MEC 003 clause 9; the standard leaves its form open).

The zone "" is written `default`. An application of another zone is not found here.
"""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from skerry.api.route import Call, Endpoint
from skerry.api.wire import Wire
from skerry.errors import Fault, InvalidError, NotFoundError
from skerry.mep.transports import offered
from skerry.model.mec import App, AppInfo, DnsRule, ServiceInfo, TrafficRule, TransportInfo
from skerry.model.platform import Offer

DEFAULT = "default"
ZONE = "/platforms/{zone}"
APP = ZONE + "/applications/{appInstanceId}"


class KnownApp(Wire, frozen=True, kw_only=True):
    """An application at the platform: its state there, and what it told of itself."""

    app_instance_id: str
    state: str
    app_info: AppInfo


def zone(call: Call) -> str:
    """The zone of the path. `NotFoundError` for one that there is not."""
    named = call.path("zone")
    known = {host.zone or DEFAULT: host.zone for host in call.services.meo.hosts.all()}
    known.setdefault(DEFAULT, "")
    if named not in known:
        raise NotFoundError(
            f"cannot find the platform of {named}", suggestion=f"there are those of {', '.join(sorted(known))}"
        )
    return known[named]


def app(call: Call) -> App:
    """The application of the path, if it is in the zone of the path."""
    where, id = zone(call), call.path("appInstanceId")
    found = call.services.mep.app_of(id, tenant=call.tenant, client=call.principal.client)
    if found.zone != where:
        raise NotFoundError(
            f"cannot find the application {id} at the platform of {call.path('zone')}",
            suggestion=f"ask at that of {found.zone or DEFAULT}",
        )
    return found


async def offer(call: Call) -> Response:
    """Services, features and transports that the platform has now, and the kinds of rules that it enforces."""
    zone(call)
    return call.show(await call.services.mep.offer())


async def applications(call: Call) -> Response:
    """The tenant's applications at the platform."""
    where = zone(call)
    found = [one for one in call.services.mep.apps.all(tenant=call.tenant) if one.zone == where]
    return call.show([KnownApp(app_instance_id=one.id, state=one.state.value, app_info=one.info) for one in found])


async def services(call: Call) -> Response:
    """The services of the tenant's applications at the platform."""
    where, mep = zone(call), call.services.mep
    there = {one.id for one in mep.apps.all(tenant=call.tenant) if one.zone == where}
    found = [one for one in mep.services.all(tenant=call.tenant) if one.app_id in there]
    return call.show([msgspec.structs.replace(one.info, ser_instance_id=one.id) for one in found])


async def transports(call: Call) -> Response:
    """What the platform itself carries."""
    zone(call)
    return call.show(offered(call.uri("")))


def _named(written: str, path: str, name: str) -> None:
    if written != path:
        fault = Fault(message=f"the path says {path}", code="value", path=f"/{name}", fix=f"write {path}")
        raise InvalidError(f"cannot change the rule: {name} is not that of the path", faults=[fault])


async def list_traffic(call: Call) -> Response:
    """An application's traffic rules, in the states that are in effect."""
    found: list[Any] = call.services.mep.rules.all("traffic", app_id=app(call).id)
    return call.show([rule.traffic for rule in found])


async def put_traffic(call: Call) -> Response:
    """Make or replace a traffic rule; its state is in effect when the answer comes."""
    known, wanted = app(call), await call.body(TrafficRule)
    _named(wanted.traffic_rule_id, call.path("trafficRuleId"), "trafficRuleId")
    made = await call.services.mep.rules.put_traffic(known, wanted, match=call.match)
    return call.show(made.traffic, rev=made.rev)


async def list_dns(call: Call) -> Response:
    """An application's DNS rules, in the states that are in effect."""
    found: list[Any] = call.services.mep.rules.all("dns", app_id=app(call).id)
    return call.show([rule.dns for rule in found])


async def put_dns(call: Call) -> Response:
    """Make or replace a DNS rule; names are answered so when the answer comes."""
    known, wanted = app(call), await call.body(DnsRule)
    _named(wanted.dns_rule_id, call.path("dnsRuleId"), "dnsRuleId")
    made = await call.services.mep.rules.put_dns(known, wanted, match=call.match)
    return call.show(made.dns, rev=made.rev)


ROUTES = (
    Endpoint("GET", ZONE + "/offer", offer, "Read what a platform offers", answer=Offer),
    Endpoint("GET", ZONE + "/applications", applications, "List applications of a platform", answer=list[KnownApp]),
    Endpoint("GET", ZONE + "/services", services, "List services of a platform", answer=list[ServiceInfo]),
    Endpoint("GET", ZONE + "/transports", transports, "List transports of a platform", answer=list[TransportInfo]),
    Endpoint("GET", APP + "/traffic_rules", list_traffic, "List traffic rules", answer=list[TrafficRule]),
    Endpoint(
        "PUT",
        APP + "/traffic_rules/{trafficRuleId}",
        put_traffic,
        "Configure a traffic rule",
        TrafficRule,
        TrafficRule,
    ),
    Endpoint("GET", APP + "/dns_rules", list_dns, "List DNS rules", answer=list[DnsRule]),
    Endpoint("PUT", APP + "/dns_rules/{dnsRuleId}", put_dns, "Configure a DNS rule", DnsRule, DnsRule),
)
