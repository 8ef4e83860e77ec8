"""MEC hosts: each zone of the registered infrastructures is one, with one platform and one platform manager (MEPM-V).

A host is there as soon as an infrastructure names its zone; what is known of it besides (latency, features, place, who
manages it) is a record.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from skerry.errors import ConflictError, NotFoundError, SkerryError
from skerry.meo.placement import Host
from skerry.model.app import MecHost
from skerry.model.platform import NullPlatform, Offer, Platform, Platforms
from skerry.model.time import Clock, stamp
from skerry.store import applications
from skerry.store.database import Database, Transaction
from skerry.vim.connections import Vims

DEFAULT = "default"
"""The host of infrastructures that name no zone."""


class NullPlatforms:
    """No platform anywhere (fits `model.platform.Platforms`)."""

    def __init__(self) -> None:
        self._none = NullPlatform()

    def at(self, zone: str) -> Platform:
        """The same for every zone."""
        return self._none


class Hosts:
    """The hosts of one node."""

    def __init__(
        self,
        database: Database,
        vims: Vims,
        platforms: Platforms,
        clock: Clock,
        elsewhere: Mapping[str, str] | None = None,
    ) -> None:
        """`elsewhere`: NFVO of somebody else -> the zone in which it has infrastructures."""
        self._elsewhere = elsewhere or {}
        self._database = database
        self._vims = vims
        self.platforms = platforms
        self._clock = clock

    def all(self) -> list[MecHost]:
        """Every host, those without a record included, by identifier."""
        recorded = {host.id: host for host in applications.hosts.select(self._database)}
        zones = dict.fromkeys([*(one.zone for one in self._vims.connections()), *self._elsewhere.values()])
        for zone in zones:
            recorded.setdefault(zone or DEFAULT, MecHost(id=zone or DEFAULT, zone=zone, name=zone or DEFAULT))
        return [recorded[id] for id in sorted(recorded)]

    def get(self, id: str) -> MecHost:
        """One host. `NotFoundError` lists those that there are."""
        found = {host.id: host for host in self.all()}
        if id not in found:
            raise NotFoundError(f"cannot find MEC host {id}", suggestion=f"the hosts are: {', '.join(found) or 'none'}")
        return found[id]

    def vims_of(self, host: MecHost) -> tuple[str, ...]:
        """The infrastructures of a host, then NFVOs that have some there."""
        own = [connection.id for connection in self._vims.connections() if connection.zone == host.zone]
        return (*own, *(id for id, zone in self._elsewhere.items() if zone == host.zone))

    def platform(self, host: MecHost) -> Platform:
        """The platform of a host."""
        return self.platforms.at(host.zone)

    async def candidates(self) -> list[Host]:
        """Every host as placement sees it: what it has, and what its platform offers now."""
        return [await self._candidate(host) for host in self.all()]

    async def _candidate(self, host: MecHost) -> Host:
        problem, offer = "", Offer()
        try:
            offer = await self.platform(host).offer()
        except SkerryError as error:
            problem = f"its platform does not answer: {error.detail}"
        return Host(
            id=host.id,
            zone=host.zone,
            name=host.name,
            vims=self.vims_of(host),
            offer=msgspec.structs.replace(offer, features={**offer.features, **host.features}),
            latency_ns=host.latency_ns,
            country=host.country,
            civic_address=host.civic_address,
            problem=problem,
        )

    async def describe(self, id: str, **changes: Any) -> MecHost:
        """Record what is known of a host; a new one if it has no record yet."""

        def work(tx: Transaction) -> MecHost:
            known = applications.hosts.find(tx, id)
            if known is not None:
                return applications.hosts.put(tx, msgspec.structs.replace(known, **changes))
            zone = "" if id == DEFAULT else id
            fresh = MecHost(id=id, zone=zone, name=id, created_at=stamp(self._clock.now()))
            return applications.hosts.insert(tx, msgspec.structs.replace(fresh, **changes))

        return await self._database.write(work)

    async def manage(self, id: str, orchestrator: str) -> MecHost:
        """Put the platform manager of a host under an orchestrator. It has one: `ConflictError` for another."""
        known = self.get(id)
        if known.orchestrator not in ("", orchestrator):
            raise ConflictError(
                f"cannot put MEC host {id} under {orchestrator}: {known.orchestrator} manages it",
                suggestion="release it there first",
            )
        return await self.describe(id, orchestrator=orchestrator)

    async def release(self, id: str) -> None:
        """Take a host out of its orchestrator's hands and forget what was recorded. A zone that infrastructures name stays a
        host. `ConflictError` while applications are on it."""
        self.get(id)
        used = [app.id for app in applications.instances.select(self._database) if app.host == id]
        if used:
            raise ConflictError(
                f"cannot forget MEC host {id}: {len(used)} applications are on it",
                suggestion=f"terminate them first: {used[0]} …",
            )
        await self._database.write(lambda tx: applications.hosts.delete(tx, id))

    def named(self, given: Mapping[str, Any]) -> str:
        """The host that MECHostInformation or MepInformation (MEC 010-2 6.2.2) mean. `NotFoundError` for an unknown one."""
        wanted = _texts(given.get("hostId", given.get("mepId")))
        name = given.get("hostName", given.get("mepName", ""))
        for host in self.all():
            if {host.id, host.zone, host.name} & {text for text in wanted if text}:
                return host.id
            if not wanted and name and name in (host.name, host.id):
                return host.id
        known = ", ".join(host.id for host in self.all()) or "none"
        raise NotFoundError(
            f"cannot find the MEC host {(wanted or [str(name)])[0]}", suggestion=f"the hosts are: {known}"
        )


def _texts(value: Any) -> list[str]:
    """`hostId` is an object that each deployment shapes; a plain text is taken too."""
    if isinstance(value, Mapping):
        return [str(inner) for inner in value.values() if isinstance(inner, str | int)]
    return [str(value)] if value is not None else []
