"""DNS zones that are kept by hand, beside the names of applications: zones, their records, and dynamic names (DynDNS).

What a zone has is recorded first, then answered; a start answers what is recorded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from skerry.engine.events import EventLog
from skerry.errors import InvalidError, NotFoundError, SkerryError
from skerry.mep.dns.contract import Record
from skerry.mep.dns.names import Names
from skerry.mep.ownership import nearest, plain, require_records, require_zone, within
from skerry.mep.rules import answers_of
from skerry.model.mec import DnsZone, ZoneRecord
from skerry.model.time import Clock, stamp
from skerry.store import mec as store
from skerry.store.database import Database, Transaction

MOST = 10_000
"""Most records of a zone."""


class Zones:
    """The zones of all tenants. No name belongs to two of them."""

    def __init__(self, database: Database, events: EventLog, clock: Clock, names: Names) -> None:
        self._database, self._events, self._clock, self._names = database, events, clock, names
        self._changing = asyncio.Lock()

    def answers(self) -> list[Record]:
        """What is answered of all zones."""
        return [_answer(one) for zone in store.zones.select(self._database) for one in zone.records]

    def all(self, *, tenant: str) -> list[DnsZone]:
        """A tenant's zones."""
        return store.zones.select(self._database, tenant=tenant)

    def get(self, name: str, *, tenant: str) -> DnsZone:
        """One. `NotFoundError` also for another tenant's."""
        return store.zones.get(self._database, plain(name), tenant=tenant)

    def of(self, name: str, *, tenant: str) -> DnsZone:
        """The nearest zone that a name is in. `NotFoundError` where the tenant has none."""
        wanted = plain(name)
        found = nearest(wanted, self.all(tenant=tenant))
        if found is None:
            raise NotFoundError(f"cannot find a zone for {wanted}", suggestion="make one with POST /api/ZONE")
        return found

    async def create(self, name: str, records: Sequence[ZoneRecord], *, tenant: str, assigned: bool = False) -> DnsZone:
        """A new zone, answered when this returns. `ConflictError` where it is there, or its names are another tenant's.
        `assigned`: who runs the node gives it to the tenant."""
        id = plain(name)
        new = DnsZone(id=id, tenant=tenant, created_at=stamp(self._clock.now()))

        def work(tx: Transaction) -> DnsZone:
            require_zone(tx, id, tenant, assigned=assigned)
            return store.zones.insert(tx, new)

        async with self._changing:
            made = await self._database.write(work)
            try:
                return await self._put(made, tuple(records)) if records else made
            except SkerryError:
                await self._database.write(lambda tx: store.zones.delete(tx, id))
                raise

    async def delete(self, name: str, *, tenant: str) -> None:
        """Remove a zone with all of its records."""
        async with self._changing:
            zone = await self._put(self.get(name, tenant=tenant), ())
            await self._database.write(lambda tx: store.zones.delete(tx, zone.id))

    async def put(self, zone: str, record: ZoneRecord, *, tenant: str) -> ZoneRecord:
        """Answer a name so; the answer of the same type that it had goes."""
        async with self._changing:
            known = self.get(zone, tenant=tenant)
            new = msgspec.structs.replace(record, name=plain(record.name))
            kept = tuple(one for one in known.records if (one.name, one.type) != (new.name, new.type))
            await self._put(known, (*kept, new))
            return new

    async def remove(self, zone: str, name: str, *, tenant: str, type: str = "") -> None:
        """Answer a name no more. `NotFoundError` where it has no record."""
        async with self._changing:
            known, wanted = self.get(zone, tenant=tenant), plain(name)
            gone = [one for one in known.records if one.name == wanted and type in ("", one.type)]
            if not gone:
                raise NotFoundError(f"cannot remove {wanted}: it has no record in {known.id}")
            await self._put(known, tuple(one for one in known.records if one not in gone))

    async def _put(self, zone: DnsZone, records: tuple[ZoneRecord, ...]) -> DnsZone:
        """Make these the records of a zone: recorded, then answered."""
        outside = [one.name for one in records if not within(plain(one.name), zone.id)]
        if outside or len(records) > MOST:
            message = f"{outside[0]} is outside of it" if outside else f"{MOST} records are the most"
            raise InvalidError(f"cannot change the zone {zone.id}: {message}")
        settled = tuple(msgspec.structs.replace(one, name=plain(one.name)) for one in records)
        before, after = {_answer(one) for one in zone.records}, {_answer(one) for one in settled}
        data = {"tenant": zone.tenant, "records": len(settled)}

        def work(tx: Transaction) -> DnsZone:
            require_records(tx, {one.name for one in after - before}, zone)
            self._events.add(tx, "mec", subject=zone.id, name="dns zone", state="CHANGED", data=data)
            return store.zones.put(tx, msgspec.structs.replace(zone, records=settled))

        made = await self._database.write(work)
        given = _answered(self._database)
        try:
            await self._names.change(sorted(after - before), sorted(before - after - given))
        except SkerryError:
            await self._database.write(
                lambda tx: store.zones.put(tx, msgspec.structs.replace(made, records=zone.records))
            )
            raise
        return made


def _answer(record: ZoneRecord) -> Record:
    return Record(name=record.name, type=record.type, address=record.ip_address, ttl=record.ttl)


def _answered(database: Database) -> set[Record]:
    """Answers that applications' rules for every zone give, too."""
    return answers_of(store.rules.select(database, kind="dns"))
