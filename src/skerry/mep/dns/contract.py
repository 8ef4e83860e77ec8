"""What a DNS server does for the platform, and the view of a zone: which clients get which answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Protocol

import msgspec

from skerry.model.mec import DnsRule, IpAddressType

LONG_S = 86_400
"""The TTL of a rule that has none: it does not expire by itself, but a removed answer must be forgotten some day."""


class Record(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One answer. `zone` "" is for every client; else for those of the zone's subnets alone. `type` is A or AAAA."""

    name: str
    type: str
    address: str
    ttl: int = LONG_S
    zone: str = ""


class Server(Protocol):
    """A running DNS server. What it serves is a set of records."""

    @property
    def address(self) -> tuple[str, int]:
        """Where it answers: host and port."""
        ...

    async def start(self) -> None:
        """Serve nothing yet. `UnavailableError` where it cannot."""
        ...

    async def change(self, add: Iterable[Record], remove: Iterable[Record]) -> None:
        """Add and remove records; returns when the server answers so. Adding what is there, or removing what is not, changes
        nothing."""
        ...

    async def holds(self, record: Record) -> bool:
        """Whether the server itself says that it serves a record."""
        ...

    async def ended(self) -> None:
        """Returns when a server that was not stopped answers no more."""
        ...

    async def stop(self) -> None:
        """Answer no more; nothing stays behind."""
        ...


class View(msgspec.Struct, frozen=True, kw_only=True):
    """A zone and the subnets of its clients."""

    zone: str
    subnets: tuple[str, ...]


def record_of(rule: DnsRule, zone: str) -> Record:
    """The record of a rule."""
    return Record(
        name=rule.domain_name.rstrip(".").lower(),
        type="A" if rule.ip_address_type is IpAddressType.IP_V4 else "AAAA",
        address=str(ip_address(rule.ip_address)),
        ttl=LONG_S if rule.ttl is None else rule.ttl,
        zone=zone,
    )


class Views:
    """Which zone a client is in, by the longest of the subnets that hold it. Pure."""

    def __init__(self, views: Sequence[View]) -> None:
        networks = [(ip_network(subnet, strict=False), view.zone) for view in views for subnet in view.subnets]
        self._networks: list[tuple[IPv4Network | IPv6Network, str]] = sorted(
            networks, key=lambda pair: pair[0].prefixlen, reverse=True
        )
        self._known: dict[str, str] = {}

    def zone_of(self, client: str) -> str:
        """The zone of an address, "" where it is in none."""
        zone = self._known.get(client)
        if zone is None:
            address = ip_address(client.partition("%")[0])
            zone = next((name for network, name in self._networks if address in network), "")
            if len(self._known) > 4096:
                self._known.clear()
            self._known[client] = zone
        return zone


class Book:
    """Records by name, as a responder reads them. Pure."""

    def __init__(self) -> None:
        self._records: dict[tuple[str, str], dict[Record, None]] = {}

    def add(self, record: Record) -> None:
        """One more answer."""
        self._records.setdefault((record.zone, record.name), {})[record] = None

    def remove(self, record: Record) -> None:
        """One answer less."""
        there = self._records.get((record.zone, record.name), {})
        there.pop(record, None)
        if not there:
            self._records.pop((record.zone, record.name), None)

    def holds(self, record: Record) -> bool:
        """Whether it is there."""
        return record in self._records.get((record.zone, record.name), {})

    def find(self, name: str, zone: str) -> Mapping[Record, None] | None:
        """The records of a name for the clients of a zone: those of their zone, else those for everybody; None where the name
        is not ours."""
        for place in dict.fromkeys((zone, "")):
            if found := self._records.get((place, name)):
                return found
        return None
