"""Zones of connections as rules: what is tracked where it enters, what is connected as a steering says. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_network
from typing import Protocol

from skerry.dataplane import flows, matching
from skerry.dataplane.connections import TRACKED
from skerry.dataplane.flows import ETH_IPV4, ETH_IPV6, Actions, Field, Match, Named, Term, full, match
from skerry.dataplane.intents import Classifier, Connect, Intents, NextHop, Port, Source, Steering, Zone
from skerry.dataplane.sheets import ARRIVE, Ports, Sheet, allot, goto

_ARRIVAL = 90
_FAMILIES = {4: ETH_IPV4, 6: ETH_IPV6}


class Compiling(Protocol):
    """What of a compilation is needed here."""

    ports: Ports
    sheets: dict[str, Sheet]


class Zones:
    """The zones of a network, and the steerings that connect in them."""

    def __init__(self, compiling: Compiling, zones: Sequence[Zone], steerings: Sequence[Steering]) -> None:
        self._compiling = compiling
        self._zones = {zone.id: zone for zone in zones}
        self._numbers = allot(self._zones, 1, 65535)
        self._connecting = [(one, action) for one in steerings for action in one.actions if isinstance(action, Connect)]

    def lay_out(self, following: int) -> None:
        """Track what enters at the ports of zones, then go on in a table."""
        crowded = [id for zone in self._zones.values() for id in zone.ports]
        for zone in self._zones.values():
            for id in zone.ports:
                port = self._compiling.ports[id]
                narrowed = self._prefixes(zone) if crowded.count(id) > 1 else [""]
                for prefix in narrowed:
                    self._arrivals(zone, port, prefix, following)

    def _arrivals(self, zone: Zone, port: Port, prefix: str, following: int) -> None:
        sheet = self._compiling.sheets[port.device]
        track = flows.Track(zone=self._numbers[zone.id])
        for version, protocols in TRACKED.items():
            if prefix and ip_network(prefix).version != version:
                continue
            to: dict[str, str] = {f"ipv{version}_dst": prefix} if prefix else {}
            for proto in protocols:
                one = match(in_port=port.number, eth_type=_FAMILIES[version], ip_proto=proto, **to)
                sheet.add(ARRIVE, _ARRIVAL, one, (track, *goto(following)), zone.id, zone.tenant)

    def _prefixes(self, zone: Zone) -> list[str]:
        """What is sent to connections of a zone: the addresses that they seem to come from, or that they asked for."""
        found: set[str] = set()
        for steering, action in self._connecting:
            if action.zone == zone.id and action.source is not None:
                found |= set(self.sources(action.source))
            elif action.zone == zone.id and action.targets and steering.classifier.ip_dst:
                found.add(str(ip_network(steering.classifier.ip_dst)))
        return sorted(found)

    def sources(self, source: Source) -> list[str]:
        """The prefixes of a source."""
        if source.behind:
            return [str(ip_network(ip)) for ip in self._compiling.ports[source.behind].ips]
        return [str(ip_network(source.address))]

    # -- steering ---------------------------------------------------------------------------------------------------------

    def of_family(self, steering: Steering, matches: Iterable[Match]) -> Iterator[Match]:
        """The matches of a steering; of one that connects, for each family of its addresses, since nothing else can be."""
        action = next((one for one in steering.actions if isinstance(one, Connect)), None)
        for one in matches:
            if action is None or steering.classifier.gtp is not None:
                yield one
                continue
            told = next((term.value for term in one if term.field is Field.ETH_TYPE), None)
            for version in self._versions(action):
                if told is None:
                    yield tuple(sorted((*one, Term(Field.ETH_TYPE, _FAMILIES[version], full(Field.ETH_TYPE)))))
                elif told == _FAMILIES[version]:
                    yield one

    def _versions(self, action: Connect) -> list[int]:
        told = [target.address for target in action.targets]
        told += self.sources(action.source) if action.source is not None else []
        return sorted({ip_network(one).version for one in told}) or [4, 6]

    def connect(self, steering: Steering, action: Connect, one: Match) -> tuple[Actions, ...]:
        """What connects frames of a match; of what comes out of GTP-U, that is tracked first."""
        zone = self._zones[action.zone]
        number = self._numbers[zone.id]
        tunnelled = steering.classifier.gtp is not None
        version = self._version(one)
        source = ""
        if action.source is not None:
            source = next((one for one in self.sources(action.source) if ip_network(one).version == version), "")
        ports = action.source.ports if action.source is not None else None
        made = flows.Connect(
            zone=number,
            source=source,
            low=ports.low if ports else 0,
            high=ports.high if ports else 0,
            targets=tuple(_target(target.address, target.port, target.weight) for target in action.targets),
            tcp_s=zone.tcp_s,
            udp_s=zone.udp_s,
            icmp_s=zone.icmp_s,
        )
        return (flows.Track(zone=number), made) if tunnelled else (made,)

    @staticmethod
    def _version(one: Match) -> int:
        """The family of what is connected: of the packet inside GTP-U, where one is."""
        fields = {term.field: term.value for term in one}
        if Field.GTP_TYPE in fields:
            return 6 if Field.INNER_IPV6_SRC in fields or Field.INNER_IPV6_DST in fields else 4
        return 6 if fields.get(Field.ETH_TYPE) == ETH_IPV6 else 4

    def asked_at(self, steering: Steering, action: Connect) -> list[str]:
        """The ports where the addresses of connections are asked for."""
        if action.source is not None and action.source.behind:
            return [action.source.behind]
        entered = set(steering.classifier.ports)
        if action.source is not None:
            return [id for id in self._zones[action.zone].ports if id not in entered]
        return sorted(entered) if action.targets else []


def _target(address: str, port: int | None, weight: int) -> flows.Target:
    return flows.Target(address=str(ip_network(address).network_address), port=port or 0, weight=weight)


def names_of(intents: Iterable[Intents]) -> tuple[Named, ...]:
    """Every name that classifiers ask for."""
    classifiers: list[Classifier] = [one.classifier for one in intents if isinstance(one, (Steering, NextHop))]
    hosts = {host.lower() for classifier in classifiers for host in classifier.hosts}
    return tuple(Named(id=matching.name_number(host), name=host) for host in sorted(hosts))
