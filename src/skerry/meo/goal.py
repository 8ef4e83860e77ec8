"""What an application instance shall have: pure functions from a record, its descriptor and a request to a resource graph.

Three resources: `platform:mep` (its platform knows it), `ns:HOST` (the network service that it is to the NFVO there, running
or not), `rules:mep` (its traffic and DNS rules are in force). A stopped application has no rules in force.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from skerry.engine.children import derive
from skerry.errors import Fault, InvalidError
from skerry.model.app import AppInstance
from skerry.model.appd import AppD, PlatformPart
from skerry.model.platform import AppAddress
from skerry.model.resources import Wanted
from skerry.model.states import AppOperationalState, InstantiationState

PLATFORM, SERVICES, RULES = "platform:mep", "ns:", "rules:mep"
PATIENCE_S = 3600.0
"""How long a graceful end waits where neither request nor descriptor says it."""

LONGEST_S = 86_400.0


class AppGoal(msgspec.Struct, frozen=True, kw_only=True):
    """The part of an application's record that an operation decides. `host` "" = it has nothing."""

    host: str = ""
    zone: str = ""
    vim: str = ""
    running: bool = False
    config: PlatformPart | None = None  # what overrides the descriptor


def current(instance: AppInstance, zone: str = "") -> AppGoal:
    """The goal that the record stands for now."""
    recorded = instance.resources.get(PLATFORM)
    return AppGoal(
        host=instance.host,
        zone=zone or (str(recorded.spec["zone"]) if recorded else ""),
        vim=instance.vim,
        running=instance.operational_state is AppOperationalState.STARTED,
        config=instance.config,
    )


def applied(instance: AppInstance, goal: AppGoal) -> AppInstance:
    """The record with the goal's part of it replaced."""
    ns_id = service_id(instance.id, goal.host) if goal.host else ""
    return msgspec.structs.replace(instance, host=goal.host, vim=goal.vim, config=goal.config, ns_id=ns_id)


def service_id(app_instance_id: str, host: str) -> str:
    """The network service that an application instance is to the NFVO on a host."""
    return derive(app_instance_id, host)


def settled(instance: AppInstance, goal: AppGoal) -> AppInstance:
    """The record once the goal is reached."""
    there = InstantiationState.INSTANTIATED if goal.host else InstantiationState.NOT_INSTANTIATED
    state = AppOperationalState.STARTED if goal.running else AppOperationalState.STOPPED
    done = applied(instance, goal)
    return msgspec.structs.replace(done, instantiation_state=there, operational_state=state, failed=False)


def effective(appd: AppD, config: PlatformPart | None) -> PlatformPart:
    """What the application asks of its platform: what was configured, else what its descriptor says."""
    return config if config is not None else appd.platform


def overridden(base: PlatformPart, given: Mapping[str, Any]) -> PlatformPart:
    """The platform part with the attributes of a ConfigPlatformForAppRequest (6.2.2.28) in place of its own."""
    asked = msgspec.convert(given, PlatformPart)
    names = {field.encode_name: field.name for field in msgspec.structs.fields(PlatformPart)}
    return msgspec.structs.replace(base, **{names[key]: getattr(asked, names[key]) for key in given if key in names})


def wanted(instance: AppInstance, appd: AppD, nsd_id: str, goal: AppGoal) -> dict[str, Wanted]:
    """Every resource of the application at this goal, by key."""
    if not goal.host:
        return {}
    config = effective(appd, goal.config)
    place = {"host": goal.host, "zone": goal.zone}
    plain = msgspec.to_builtins(config)
    platform = Wanted(
        key=PLATFORM,
        kind="mec.platform",
        spec={**place, "config": plain},
        in_place=(*place, "config"),
        note="the platform",
    )
    ns = service_id(instance.id, goal.host)
    service = Wanted(
        key=f"{SERVICES}{goal.host}",
        kind="mec.service",
        spec={**place, "ns": ns, "nsd": nsd_id, "vim": goal.vim, "running": goal.running},
        needs=(PLATFORM,),
        in_place=("running",),
        note=f"{instance.app_name} on {goal.vim}",
        timeout_s=LONGEST_S,
    )
    graph = {PLATFORM: platform, service.key: service}
    if goal.running:
        rules = {name: plain.get(name, []) for name in ("appTrafficRule", "appDNSRule")}
        graph[RULES] = Wanted(
            key=RULES,
            kind="mec.rules",
            spec={**place, "ns": ns, **rules},
            needs=(service.key,),
            in_place=(*place, "ns", *rules),
            note="its rules",
        )
    return graph


def patience(asked: Any, least: float, recommended: float, path: str) -> float:
    """Seconds that a graceful end waits. `InvalidError` for less than the descriptor's minimum."""
    if asked is None:
        return min(recommended or least or PATIENCE_S, LONGEST_S)
    if asked < least:
        fault = Fault(message=f"the descriptor wants at least {least:g} s", path=path, code="timeout")
        raise InvalidError(f"cannot wait for {asked:g} s only: {fault.message}", faults=[fault])
    return min(float(asked), LONGEST_S)


def placed(config: PlatformPart, addresses: Sequence[AppAddress]) -> PlatformPart:
    """The platform part with connection point ids in its rules replaced by the addresses that they have. `InvalidError` for one
    that has none."""
    by_point = {address.cpd_id: address.ip for address in reversed(addresses)}
    dns = tuple(
        msgspec.structs.replace(rule, ip_address=by_point.get(rule.ip_address, rule.ip_address))
        for rule in config.app_dns_rule
    )
    traffic = tuple(
        msgspec.structs.replace(
            rule,
            dst_interface=msgspec.structs.replace(
                rule.dst_interface,
                dst_ip_address=by_point.get(rule.dst_interface.dst_ip_address, rule.dst_interface.dst_ip_address),
            ),
        )
        if rule.dst_interface is not None
        else rule
        for rule in config.app_traffic_rule
    )
    return msgspec.structs.replace(config, app_dns_rule=dns, app_traffic_rule=traffic)
