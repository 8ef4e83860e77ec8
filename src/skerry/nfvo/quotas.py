"""Virtualised resources quota available (SOL003 clause 11): who was refused resources is told once there is room for them.

A refusal is recorded. Whenever an operation ends, and at intervals, the VIMs of what is recorded are asked again; where the
same would fit now, an event says so, in the transaction that forgets the refusal.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

import msgspec

from skerry.engine.children import derive
from skerry.engine.events import EventLog
from skerry.errors import SkerryError
from skerry.model.operations import Event
from skerry.model.quotas import Needed, ResourceType, Shortage
from skerry.model.states import FINAL
from skerry.model.time import Clock, stamp
from skerry.placement.solve import Demand, Site
from skerry.store import journal
from skerry.store.database import Database, Transaction
from skerry.store.quotas import shortages
from skerry.vim.connections import Vims
from skerry.vim.driver import Capacity

log = logging.getLogger(__name__)

_FINAL = frozenset(state.value for state in FINAL)


Limiting = Callable[[str, Needed], set[ResourceType]]
"""The types of resources of which a tenant's quota leaves too little for something."""


def _unlimited(_tenant: str, _needed: Needed) -> set[ResourceType]:
    return set()


def lacking(capacity: Capacity, needed: Needed) -> set[ResourceType]:
    """The types of resources of which there is too little. Pure."""
    compute = (
        needed.vcpus > capacity.vcpus - capacity.used_vcpus
        or needed.memory_bytes > capacity.memory_bytes - capacity.used_memory_bytes
        or needed.instances > capacity.instances - capacity.used_instances
    )
    storage = needed.storage_bytes > capacity.storage_bytes - capacity.used_storage_bytes
    return {type for type, lacks in ((ResourceType.COMPUTE, compute), (ResourceType.STORAGE, storage)) if lacks}


def needed_at(site: str, demands: Sequence[Demand]) -> Needed:
    """What demands want of a site, those included that leave the choice open. Pure."""
    wanted = [demand for demand in demands if demand.site in ("", site)]
    return Needed(
        vcpus=sum(demand.vcpus for demand in wanted),
        memory_bytes=sum(demand.memory_bytes for demand in wanted),
        storage_bytes=sum(demand.storage_bytes for demand in wanted),
        instances=len(wanted),
    )


class Quotas:
    """Remembers refusals and tells when they are over. `period_s` is how often it looks where nothing happens."""

    def __init__(
        self,
        database: Database,
        events: EventLog,
        vims: Vims,
        clock: Clock,
        *,
        limits: Limiting = _unlimited,
        period_s: float = 30.0,
    ) -> None:
        self._limits = limits
        self._database = database
        self._events = events
        self._vims = vims
        self._clock = clock
        self._period_s = period_s
        self._short = False
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Go on where the node stopped."""
        self._short = shortages.count(self._database) > 0
        self._database.on_commit.append(self._committed)
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Look no more."""
        if self._committed in self._database.on_commit:
            self._database.on_commit.remove(self._committed)
        if self._task:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def refused(self, tenant: str, sites: Sequence[Site], demands: Sequence[Demand], operation: str = "") -> None:
        """These demands found no room on these sites. An operation that is not recorded was only planned."""
        if operation and journal.operations.find(self._database, operation) is None:
            return
        now = stamp(self._clock.now())
        found: list[Shortage] = []
        for site in sites:
            needed = needed_at(site.id, demands)
            if site.problem or not needed.instances:
                continue
            found += [
                Shortage(
                    id=derive("shortage", tenant, site.id, type),
                    tenant=tenant,
                    created_at=now,
                    vim=site.id,
                    type=type,
                    needed=needed,
                )
                for type in sorted(lacking(site.capacity, needed))
            ]
        await self._remember(found)

    async def over_quota(self, tenant: str, needed: Needed, operation: str = "") -> None:
        """A tenant's quota refused this. An operation that is not recorded was only planned."""
        if operation and journal.operations.find(self._database, operation) is None:
            return
        now = stamp(self._clock.now())
        await self._remember(
            [
                Shortage(
                    id=derive("shortage", tenant, "", type),
                    tenant=tenant,
                    created_at=now,
                    vim="",
                    type=type,
                    needed=needed,
                )
                for type in sorted(self._limits(tenant, needed))
            ]
        )

    async def _remember(self, found: Sequence[Shortage]) -> None:
        if found:
            await self._database.write(lambda tx: _record(tx, found))
            self._short = True
            self._news.set()

    def changed(self) -> None:
        """Limits were changed: there may be room now."""
        self._news.set()

    def _committed(self, events: list[Event]) -> None:
        if self._short and any(event.kind == "operation" and event.state in _FINAL for event in events):
            self._news.set()

    async def _run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._period_s if self._short else None):
                    await self._news.wait()
            except TimeoutError:
                pass
            self._news.clear()
            try:
                await self.look()
            except SkerryError as error:
                log.warning("cannot look for room: %s", error.detail)

    async def look(self) -> int:
        """Compare every recorded shortage with what there is now; the answer is how many are over."""
        known = shortages.select(self._database)
        capacities = {vim: await self._capacity(vim) for vim in {one.vim for one in known if one.vim}}
        over = [one for one in known if not self._still(one, capacities)]
        if over:
            await self._database.write(lambda tx: self._tell(tx, over))
        self._short = len(over) < len(known)
        return len(over)

    def _still(self, one: Shortage, capacities: Mapping[str, Capacity | None]) -> bool:
        """Whether there still is too little, as far as can be said."""
        if not one.vim:
            return one.type in self._limits(one.tenant, one.needed)
        capacity = capacities[one.vim]
        return capacity is None or one.type in lacking(capacity, one.needed)

    async def _capacity(self, vim: str) -> Capacity | None:
        try:
            return await (await self._vims.driver(vim)).capacity()
        except SkerryError as error:
            log.debug("cannot ask VIM %s what it has: %s", vim, error.detail)
            return None

    def _tell(self, tx: Transaction, over: Sequence[Shortage]) -> None:
        for one in over:
            if shortages.find(tx, one.id) is None:
                continue
            shortages.delete(tx, one.id)
            data = {"tenant": one.tenant, "group": one.tenant or "default"}
            detail = f"VIM {one.vim} has room again" if one.vim else "the quota of the tenant has room again"
            self._events.add(tx, "quota", subject=one.vim, state=one.type.value, detail=detail, data=data)


def _record(tx: Transaction, found: Sequence[Shortage]) -> None:
    """The newest refusal of a tenant counts."""
    for one in found:
        before = shortages.find(tx, one.id)
        if before is None:
            shortages.insert(tx, one)
        else:
            shortages.put(tx, msgspec.structs.replace(one, rev=before.rev))
