"""On which MEC host an application may run: a pure function of what its descriptor asks and what the hosts have.

Services, features, transports, latency, rules and place decide; of the hosts that fit, those with more of the optional
services and features come first, then the nearer, then the name. Capacity is the NFVO's to judge, in that order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from skerry.model.appd import FeatureDependency, PlatformPart, ServiceDependency, TransportDependency
from skerry.model.operations import Constraint, Verdict
from skerry.model.platform import Offer, OfferedService

_UNKNOWN_NS = 2**62


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """A MEC host. `latency_ns` is one way, 0 = unknown; `problem` says why it cannot be asked."""

    id: str
    zone: str = ""
    name: str = ""
    vims: tuple[str, ...] = ()
    offer: Offer = Offer()
    latency_ns: int = 0
    country: str = ""
    civic_address: Mapping[str, str] = {}
    problem: str = ""


class Wish(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a request says of the place: hosts to choose from (none named: any), country (ISO 3166), civic address elements."""

    hosts: tuple[str, ...] = ()
    country: str = ""
    civic_address: Mapping[str, str] = {}


def judged(config: PlatformPart, hosts: Sequence[Host], wish: Wish) -> tuple[list[str], list[Verdict]]:
    """The hosts that fit, best first, and what was said of each."""
    verdicts = [_judge(config, host, wish) for host in hosts]
    fitting = [host for host, verdict in zip(hosts, verdicts, strict=True) if verdict.fits]
    fitting.sort(key=lambda host: (missing_options(config, host), host.latency_ns or _UNKNOWN_NS, host.id))
    return [host.id for host in fitting], verdicts


def missing_options(config: PlatformPart, host: Host) -> int:
    """How many of the optional services and features the host lacks."""
    services = sum(not serves(one, host.offer.services) for one in config.app_service_optional)
    return services + sum(not has_feature(one, host.offer) for one in config.app_feature_optional)


def _judge(config: PlatformPart, host: Host, wish: Wish) -> Verdict:
    constraints = () if host.problem else tuple(_constraints(config, host, wish))
    lacking = [constraint.name for constraint in constraints if not constraint.holds]
    reason = host.problem or "; ".join(lacking)
    fits = not reason
    return Verdict(site=host.id, fits=fits, reason=reason or "it has all that is required", constraints=constraints)


def _constraints(config: PlatformPart, host: Host, wish: Wish) -> list[Constraint]:
    found = [
        _yes("it has no infrastructure", bool(host.vims)),
        _yes("the request chose another host", not wish.hosts or host.id in wish.hosts),
        _yes(f"it is not in {wish.country}", not wish.country or host.country == wish.country),
    ]
    found += [
        _yes(f"its address has not {value} (type {type})", host.civic_address.get(type) == value)
        for type, value in wish.civic_address.items()
    ]
    found += [
        _yes(f"no service {one.ser_name} {one.version}", serves(one, host.offer.services))
        for one in config.app_service_required
    ]
    found += [
        _yes(f"no feature {one.feature_name} {one.version}", has_feature(one, host.offer))
        for one in config.app_feature_required
    ]
    if config.transport_dependencies:
        found.append(_yes("none of the groups of transports", carries(config.transport_dependencies, host.offer)))
    for kind, rules in (("traffic", config.app_traffic_rule), ("dns", config.app_dns_rule)):
        if rules:
            found.append(_yes(f"no {kind} rules are enforced there", kind in host.offer.enforces))
    if config.app_latency is not None and (latest := config.app_latency.max_latency):
        near = bool(host.latency_ns) and host.latency_ns <= latest
        told = f"{host.latency_ns / 1e6:g} ms away" if host.latency_ns else "at an unknown distance"
        name = f"it is {told}, at most {latest / 1e6:g} ms are tolerated"
        found.append(Constraint(name=name, needed=host.latency_ns / 1e6, free=latest / 1e6, holds=near))
    return found


def _yes(lack: str, holds: bool) -> Constraint:
    """A constraint that holds or not; its name says what is wrong where it does not."""
    return Constraint(name=lack, needed=1, free=1 if holds else 0, holds=holds)


def at_least(offered: str, wanted: str) -> bool:
    """Whether a version serves where another is wanted: the same first number, and not older. "" is any."""
    if not offered or not wanted:
        return True
    have, need = _numbers(offered), _numbers(wanted)
    return have[:1] == need[:1] and have >= need


def _numbers(version: str) -> list[int]:
    return [int(part) if part.isdigit() else 0 for part in version.lower().removeprefix("v").split(".")]


def serves(wanted: ServiceDependency, offered: Sequence[OfferedService]) -> bool:
    """Whether one of the offered services is the wanted one, over a transport that the consumer can use."""
    for service in offered:
        if service.name != wanted.ser_name or not at_least(service.version, wanted.version):
            continue
        bindings = [
            (one.transport.type, serializer)
            for one in wanted.ser_transport_dependencies
            for serializer in one.serializers
        ]
        if not bindings or (service.transport, service.serializer) in bindings:
            return True
    return False


def has_feature(wanted: FeatureDependency, offer: Offer) -> bool:
    """Whether the platform has a feature."""
    return wanted.feature_name in offer.features and at_least(offer.features[wanted.feature_name], wanted.version)


def carries(wanted: Sequence[TransportDependency], offer: Offer) -> bool:
    """Whether the platform provides one whole group of transports: those that share a label."""
    labels = dict.fromkeys(label for one in wanted for label in one.labels)
    return any(all(_carried(one, offer) for one in wanted if label in one.labels) for label in labels)


def _carried(one: TransportDependency, offer: Offer) -> bool:
    provided = offer.transports.get(one.transport.type, ())
    return any(serializer in provided for serializer in one.serializers)
