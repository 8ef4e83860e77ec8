"""The MEC platform as its operator sees it: every application, with what is in force and proven of its rules."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from skerry.api.route import Call, Endpoint
from skerry.client.mep import AppView, NamesView, NameView, PlatformView, RuleView, ServiceView
from skerry.model.mec import App, EndPointInfo, Rule, Service, TrafficFilter, TrafficRule
from skerry.model.time import stamp


async def platforms(call: Call) -> Response:
    """The platform of each zone, with its manager."""
    mep, tenant = call.services.mep, call.tenant
    zones = {app.id: app.zone for app in mep.apps.all(tenant=tenant)}
    hosts = {host.zone: host for host in call.services.meo.hosts.all()}
    found = [
        PlatformView(
            id=hosts[zone].id if zone in hosts else zone or "default",
            zone=zone,
            manager=f"mepm-{zone or 'default'}",
            orchestrator=hosts[zone].orchestrator if zone in hosts else "",
            apps=list(zones.values()).count(zone),
            services=sum(zones.get(one.app_id) == zone for one in mep.services.all(tenant=tenant)),
            traffic_rules=sum(rule.zone == zone for rule in mep.rules.all("traffic", tenant=tenant)),
            dns_rules=sum(rule.zone == zone for rule in mep.rules.all("dns", tenant=tenant)),
        )
        for zone in sorted({*hosts, *zones.values()})
    ]
    return call.show(found)


def _app(call: Call, app: App) -> AppView:
    return AppView(
        id=app.id,
        name=app.info.app_name,
        provider=app.info.app_provider or "",
        state=app.state.value,
        zone=app.zone,
        by_mec=app.info.is_ins_by_mec,
        services=len(call.services.mep.services.all(tenant=call.tenant, app_id=app.id)),
        subscriptions=len(call.services.mep.subscriptions(app)),
    )


async def apps(call: Call) -> Response:
    """The tenant's applications."""
    return call.show([_app(call, app) for app in call.services.mep.apps.all(tenant=call.tenant)])


def _service(call: Call, service: Service) -> ServiceView:
    info = service.info
    heard = call.services.mep.services.liveness.heard(service.id)
    transport = info.transport_info
    return ServiceView(
        id=service.id,
        name=info.ser_name,
        version=info.version,
        state=info.state.value,
        app=service.app_id,
        category=info.ser_category.name if info.ser_category else "",
        transport=transport.type.value if transport else "",
        endpoint=_place(transport.endpoint) if transport else "",
        interval_s=info.liveness_interval or 0,
        heard_at=stamp(heard) if heard else "",
    )


def _place(endpoint: EndPointInfo) -> str:
    """An endpoint in one word."""
    if endpoint.uris:
        return endpoint.uris[0]
    if endpoint.addresses:
        return f"{endpoint.addresses[0].host}:{endpoint.addresses[0].port}"
    return endpoint.fqdn[0] if endpoint.fqdn else ""


async def services(call: Call) -> Response:
    """The tenant's services."""
    return call.show([_service(call, one) for one in call.services.mep.services.all(tenant=call.tenant)])


def _filter(filter: TrafficFilter) -> str:
    """A filter in one line."""
    plain: dict[str, Any] = msgspec.to_builtins(filter)
    parts = (
        f"{name}={','.join(map(str, value)) if isinstance(value, tuple | list) else value}"
        for name, value in plain.items()
    )
    return " ".join(parts) or "everything"


def _to(rule: TrafficRule) -> str:
    told = [
        one.dst_ip_address or one.dst_mac_address or (one.tunnel_info.tunnel_dst_address if one.tunnel_info else "")
        for one in rule.interfaces
    ]
    return ", ".join(one for one in told if one)


def _rule(rule: Rule, traffic: TrafficRule) -> RuleView:
    return RuleView(
        app=rule.app_id,
        id=traffic.traffic_rule_id,
        state=traffic.state.value,
        verified=rule.verified,
        changing=rule.wanted_traffic is not None,
        zone=rule.zone,
        priority=traffic.priority,
        action=traffic.action.value,
        filters=[_filter(one) for one in traffic.traffic_filter],
        to=_to(traffic),
    )


async def traffic_rules(call: Call) -> Response:
    """The traffic rules of the tenant's applications."""
    found = call.services.mep.rules.all("traffic", tenant=call.tenant)
    return call.show([_rule(rule, rule.traffic) for rule in found if rule.traffic])


async def dns_rules(call: Call) -> Response:
    """The DNS rules of the tenant's applications."""
    address = call.services.mep.names.address
    found = [
        NameView(
            app=rule.app_id,
            id=rule.dns.dns_rule_id,
            state=rule.dns.state.value,
            verified=rule.verified,
            changing=rule.wanted_dns is not None,
            name=rule.dns.domain_name,
            address=rule.dns.ip_address,
            ttl=rule.dns.ttl,
            zone=rule.zone,
        )
        for rule in call.services.mep.rules.all("dns", tenant=call.tenant)
        if rule.dns
    ]
    return call.show(NamesView(server=f"{address[0]}#{address[1]}" if address else "", rules=found))


ROUTES = (
    Endpoint("GET", "/mep/platforms", platforms, "List the platform of each zone", answer=list[PlatformView]),
    Endpoint("GET", "/mep/apps", apps, "List applications at the MEC platform", answer=list[AppView]),
    Endpoint("GET", "/mep/services", services, "List services of the MEC platform", answer=list[ServiceView]),
    Endpoint("GET", "/mep/traffic_rules", traffic_rules, "List traffic rules and their proof", answer=list[RuleView]),
    Endpoint("GET", "/mep/dns_rules", dns_rules, "List DNS rules and their proof", answer=NamesView),
)
