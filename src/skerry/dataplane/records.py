"""What the data plane keeps durably, and the protocol of who keeps it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from skerry.dataplane.compile import Retired
from skerry.dataplane.intents import Device, Intents, Link, Port, Topology

PROVEN = "proven/"


class DeviceRecord(msgspec.Struct, frozen=True, kw_only=True, tag="DEVICE"):
    """A device and the engine that serves it; `revision` is the last that was applied."""

    device: Device
    engine: str = ""
    revision: int = 0


class PortRecord(msgspec.Struct, frozen=True, kw_only=True, tag="PORT"):
    """A port, with its number."""

    port: Port


class LinkRecord(msgspec.Struct, frozen=True, kw_only=True, tag="LINK"):
    """A link."""

    link: Link


class IntentRecord(msgspec.Struct, frozen=True, kw_only=True, tag="INTENT"):
    """An intent, and when it last changed (RFC 3339)."""

    intent: Intents
    changed_at: str = ""


class RetiredRecord(msgspec.Struct, frozen=True, kw_only=True, tag="RETIRED"):
    """A former version of a sticky steering."""

    retired: Retired


class ProvenRecord(msgspec.Struct, frozen=True, kw_only=True, tag="PROVEN"):
    """Some of the rules of a device that were seen to work: when (RFC 3339), by cookie."""

    device: str
    part: int
    times: dict[int, str]


Body = DeviceRecord | PortRecord | LinkRecord | IntentRecord | RetiredRecord | ProvenRecord


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is kept. `id` begins with what it is, such as `port/uplink1`."""

    id: str
    body: Body
    tenant: str = ""
    rev: int = 0


class Ledger(Protocol):
    """Keeps records durably."""

    def load(self) -> Sequence[Record]:
        """Everything, in the order in which it came."""
        ...

    async def save(self, put: Iterable[Record], drop: Iterable[str]) -> None:
        """All of a change in one transaction."""
        ...


class Forgetful:
    """A ledger in memory: for tests, simulations and plans."""

    def __init__(self) -> None:
        self._records: dict[str, Record] = {}

    def load(self) -> Sequence[Record]:
        """Everything."""
        return list(self._records.values())

    async def save(self, put: Iterable[Record], drop: Iterable[str]) -> None:
        """Keep it as long as this object lives."""
        self._records.update((record.id, record) for record in put)
        for id in drop:
            self._records.pop(id, None)


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """All that was asked for. Changing it makes a new one."""

    devices: dict[str, DeviceRecord] = {}
    ports: dict[str, Port] = {}
    links: dict[str, Link] = {}
    intents: dict[str, IntentRecord] = {}
    retired: dict[str, Retired] = {}

    @property
    def topology(self) -> Topology:
        """What there is to steer over."""
        return Topology(
            devices=tuple(record.device for record in self.devices.values()),
            ports=tuple(self.ports.values()),
            links=tuple(self.links.values()),
        )

    def records(self) -> dict[str, Record]:
        """The same as records, by id."""
        found = (_MADE[word](id, one) for word, of in _KINDS.items() for id, one in of(self).items())
        return {record.id: record for record in found}


def wishes_of(records: Iterable[Record]) -> Wishes:
    """What was asked for, from what was kept."""
    wishes = Wishes()
    for record in records:
        name = record.id.partition("/")[2]
        match record.body:
            case DeviceRecord():
                wishes.devices[name] = record.body
            case PortRecord(port=port):
                wishes.ports[name] = port
            case LinkRecord(link=link):
                wishes.links[name] = link
            case IntentRecord():
                wishes.intents[name] = record.body
            case RetiredRecord(retired=retired):
                wishes.retired[name] = retired
            case ProvenRecord():
                continue
    return wishes


def copied(wishes: Wishes) -> Wishes:
    """One whose collections may be changed."""
    return Wishes(
        devices=dict(wishes.devices),
        ports=dict(wishes.ports),
        links=dict(wishes.links),
        intents=dict(wishes.intents),
        retired=dict(wishes.retired),
    )


def difference(old: Wishes, new: Wishes) -> tuple[list[Record], list[str]]:
    """What to put and what to drop."""
    put: list[Record] = []
    drop: list[str] = []
    for word, of in _KINDS.items():
        before, after = of(old), of(new)
        put += [_MADE[word](id, one) for id, one in after.items() if before.get(id) != one]
        drop += [f"{word}/{id}" for id in before if id not in after]
    return put, drop


_KINDS: Mapping[str, Callable[[Wishes], Mapping[str, Any]]] = {
    "device": lambda wishes: wishes.devices,
    "port": lambda wishes: wishes.ports,
    "link": lambda wishes: wishes.links,
    "intent": lambda wishes: wishes.intents,
    "retired": lambda wishes: wishes.retired,
}
_MADE: Mapping[str, Callable[[str, Any], Record]] = {
    "device": lambda name, one: Record(id=f"device/{name}", body=one),
    "port": lambda name, one: Record(id=f"port/{name}", body=PortRecord(port=one), tenant=one.tenant),
    "link": lambda name, one: Record(id=f"link/{name}", body=LinkRecord(link=one)),
    "intent": lambda name, one: Record(id=f"intent/{name}", body=one, tenant=one.intent.tenant),
    "retired": lambda name, one: Record(id=f"retired/{name}", body=RetiredRecord(retired=one)),
}
