"""Traffic and DNS rules of an application (MEC 011 7.2.7 to 7.2.10)."""

from __future__ import annotations

from starlette.responses import Response

from skerry.api.mec011.calls import app_of, strict
from skerry.api.route import Call, Endpoint
from skerry.errors import Fault, InvalidError, PreconditionError
from skerry.model.mec import DnsRule, Rule, TrafficRule

TRAFFIC = "/applications/{appInstanceId}/traffic_rules"
DNS = "/applications/{appInstanceId}/dns_rules"
ONE_TRAFFIC, ONE_DNS = TRAFFIC + "/{trafficRuleId}", DNS + "/{dnsRuleId}"


async def list_traffic(call: Call) -> Response:
    """The application's traffic rules, in the states that are in effect."""
    rules = call.services.mep.rules.all("traffic", app_id=app_of(call).id)
    return call.listed(rules, lambda rule: rule.traffic)


async def list_dns(call: Call) -> Response:
    """The application's DNS rules, in the states that are in effect."""
    rules = call.services.mep.rules.all("dns", app_id=app_of(call).id)
    return call.listed(rules, lambda rule: rule.dns)


async def show_traffic(call: Call) -> Response:
    """One traffic rule."""
    rule = call.services.mep.rules.get("traffic", app_of(call).id, call.path("trafficRuleId"))
    return call.show(rule.traffic, rev=rule.rev)


async def show_dns(call: Call) -> Response:
    """One DNS rule."""
    rule = call.services.mep.rules.get("dns", app_of(call).id, call.path("dnsRuleId"))
    return call.show(rule.dns, rev=rule.rev)


def _check(call: Call, kind: str, id: str) -> None:
    """An application that a descriptor describes has the descriptor's rules and no others; one that
    registered itself makes its own, and `If-Match` needs one that exists."""
    app = app_of(call)
    if app.info.is_ins_by_mec:
        rule: Rule | None = call.services.mep.rules.get(kind, app.id, id)
    else:
        rule = call.services.mep.rules.find(kind, app.id, id)
    if rule is None and call.request.headers.get("if-match"):
        raise PreconditionError(f"cannot change the rule {id}: it does not exist")


def _same(name: str, written: str, path: str) -> None:
    if written != path:
        fault = Fault(message=f"the path says {path}", code="value", path=f"/{name}", fix=f"write {path}")
        raise InvalidError(f"cannot change the rule: {name} is not that of the path", faults=[fault])


async def put_traffic(call: Call) -> Response:
    """Change a traffic rule; its state is in effect when the answer comes."""
    id = call.path("trafficRuleId")
    _check(call, "traffic", id)
    wanted = await call.body(TrafficRule)
    _same("trafficRuleId", wanted.traffic_rule_id, id)
    made = await call.services.mep.rules.put_traffic(app_of(call), wanted, match=call.match)
    return call.show(made.traffic, rev=made.rev)


async def put_dns(call: Call) -> Response:
    """Change a DNS rule; names are answered so when the answer comes."""
    id = call.path("dnsRuleId")
    _check(call, "dns", id)
    wanted = await call.body(DnsRule)
    _same("dnsRuleId", wanted.dns_rule_id, id)
    made = await call.services.mep.rules.put_dns(app_of(call), wanted, match=call.match)
    return call.show(made.dns, rev=made.rev)


ROUTES = (
    Endpoint("GET", TRAFFIC, list_traffic, "List traffic rules", answer=list[TrafficRule]),
    Endpoint("GET", ONE_TRAFFIC, show_traffic, "Read a traffic rule", answer=TrafficRule),
    Endpoint("PUT", ONE_TRAFFIC, strict(put_traffic), "Change a traffic rule", TrafficRule, TrafficRule),
    Endpoint("GET", DNS, list_dns, "List DNS rules", answer=list[DnsRule]),
    Endpoint("GET", ONE_DNS, show_dns, "Read a DNS rule", answer=DnsRule),
    Endpoint("PUT", ONE_DNS, strict(put_dns), "Change a DNS rule", DnsRule, DnsRule),
)
