"""NFVI capacity (SOL005 clause 10): what each VIM has, has given away and has left, and who is told when that gets short."""

from __future__ import annotations

import asyncio
import logging

import msgspec

from skerry.engine.events import EventLog
from skerry.errors import Fault, InvalidError, SkerryError
from skerry.model.capacity import GIB, MIB, CapacityInfo, CapacityThreshold, Measurement, direction
from skerry.model.notifications import Authentication
from skerry.model.time import Clock, Ids, stamp
from skerry.policy.performance import Callback, Callbacks
from skerry.store import aggregates
from skerry.store.database import Database, Transaction
from skerry.store.documents import Revs
from skerry.vim.connections import Vims
from skerry.vim.driver import Capacity

log = logging.getLogger(__name__)
API = "nfvici"


class Capacities:
    """Measures when asked, and compares with thresholds every `every_s` seconds while there are any."""

    def __init__(
        self,
        database: Database,
        events: EventLog,
        vims: Vims,
        clock: Clock,
        ids: Ids,
        callbacks: Callbacks,
        *,
        every_s: float = 10.0,
    ) -> None:
        self._database = database
        self._events = events
        self._vims = vims
        self._clock = clock
        self._ids = ids
        self._callbacks = callbacks
        self._every_s = every_s
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Go on where the node stopped."""
        known = {one.id for one in aggregates.capacity_thresholds.select(self._database)}
        for source in self._callbacks.attached(API) - known:  # its threshold was never recorded, or is deleted
            await self._callbacks.detach(source)
        if known:
            self._watch()

    async def stop(self) -> None:
        """Stop comparing."""
        if self._task:
            self._task.cancel()
            await asyncio.wait({self._task})

    # -- capacity -----------------------------------------------------------------------------------------------------

    async def infos(self) -> list[CapacityInfo]:
        """Of every VIM that answers."""
        found = await asyncio.gather(*(self._try(vim.id) for vim in self._vims.connections()))
        return [one for one in found if one is not None]

    async def info(self, vim: str) -> CapacityInfo:
        """Of one VIM, now. `NotFoundError` where there is none, the driver's error where it does not answer."""
        connection = self._vims.get(vim)
        capacity = await (await self._vims.driver(vim)).capacity()
        now = stamp(self._clock.now())
        return CapacityInfo(id=vim, zone=connection.zone, created_at=now, measurements=measured(capacity))

    async def _try(self, vim: str) -> CapacityInfo | None:
        try:
            return await self.info(vim)
        except SkerryError as error:
            log.info("cannot tell the capacity of VIM %s: %s", vim, error.detail)
            return None

    # -- thresholds ---------------------------------------------------------------------------------------------------

    async def create(self, wished: CapacityThreshold, callback: Callback) -> CapacityThreshold:
        """Compare from now on. `InvalidError` names what is not measured."""
        known = {
            (one.type, one.name) for one in measured(Capacity(vcpus=0, memory_bytes=0, storage_bytes=0, instances=0))
        }
        faults = []
        if wished.vim not in {vim.id for vim in self._vims.connections()}:
            faults.append(Fault(message=f"no VIM {wished.vim}", code="vim", path="/objectInstanceId"))
        if (wished.type, wished.name) not in known:
            there = ", ".join(f"{name} of {type}" for type, name in sorted(known))
            path = "/criteria/capacityMetric"
            faults.append(Fault(message=f"not measured; there are: {there}", code="metric", path=path))
        if faults:
            raise InvalidError("cannot watch this capacity", faults=faults, suggestion="correct every place in faults")
        made = msgspec.structs.replace(wished, id=self._ids.new(), created_at=stamp(self._clock.now()))
        await self._callbacks.attach(made.id, API, {"thresholdId": made.id}, callback, tenant=made.tenant)
        made = await self._database.write(lambda tx: aggregates.capacity_thresholds.insert(tx, made))
        self._watch()
        return made

    async def modify(
        self, id: str, uri: str | None, authentication: Authentication | None, *, match: Revs = None, tenant: str
    ) -> CapacityThreshold:
        """Tell another address, or say otherwise who we are. `PreconditionError` where it is in none of the revisions
        `match`."""
        where = aggregates.capacity_thresholds
        where.get(self._database, id, tenant=tenant)
        made: list[CapacityThreshold] = []

        def work(tx: Transaction) -> None:
            known = where.matching(tx, id, tenant, match)
            made[:] = [where.put(tx, msgspec.structs.replace(known, callback_uri=uri or known.callback_uri))]

        await self._callbacks.redirect(id, uri, authentication, work)
        return made[0]

    async def delete(self, id: str, *, match: Revs = None, tenant: str) -> None:
        """Compare no longer. `PreconditionError` where it is in none of the revisions `match`."""

        def work(tx: Transaction) -> None:
            aggregates.capacity_thresholds.matching(tx, id, tenant, match)
            aggregates.capacity_thresholds.delete(tx, id)

        await self._database.write(work)
        await self._callbacks.detach(id)

    def thresholds(self, *, tenant: str) -> list[CapacityThreshold]:
        return aggregates.capacity_thresholds.select(self._database, tenant=tenant)

    def threshold(self, id: str, *, tenant: str) -> CapacityThreshold:
        return aggregates.capacity_thresholds.get(self._database, id, tenant=tenant)

    def _watch(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._comparing())

    async def _comparing(self) -> None:
        while thresholds := aggregates.capacity_thresholds.select(self._database):
            try:
                await self.compare(thresholds)
            except SkerryError as error:
                log.warning("cannot compare capacities: %s", error.detail)
            await asyncio.sleep(self._every_s)

    async def compare(self, thresholds: list[CapacityThreshold]) -> None:
        """Measure each VIM that is meant once, and tell what has crossed."""
        vims = dict.fromkeys(threshold.vim for threshold in thresholds)
        infos = {vim: await self._try(vim) for vim in vims}
        for threshold in thresholds:
            info = infos[threshold.vim]
            for one in info.measurements if info else ():
                if (one.type, one.name) == (threshold.type, threshold.name):
                    await self._tell(threshold, one)

    async def _tell(self, threshold: CapacityThreshold, measured: Measurement) -> None:
        way = direction(threshold, measured.of(threshold.kind))
        if not way:
            return

        def work(tx: Transaction) -> None:
            now = aggregates.capacity_thresholds.find(tx, threshold.id)
            if now is None or now.crossed != threshold.crossed:
                return
            aggregates.capacity_thresholds.put(tx, msgspec.structs.replace(now, crossed=way))
            data = {"tenant": now.tenant, "vim": now.vim, "measurement": msgspec.to_builtins(measured)}
            self._events.add(tx, "capacity", subject=now.id, name=measured.name, state=way, data=data)

        await self._database.write(work)


def measured(capacity: Capacity) -> tuple[Measurement, ...]:
    """What a driver tells, as measurements. Pure."""
    compute, storage = "VR_COMPUTE", "VR_STORAGE"
    return (
        Measurement(type=compute, name="vcpus", unit="", total=capacity.vcpus, allocated=capacity.used_vcpus),
        Measurement(
            type=compute,
            name="memory",
            unit="MiB",
            total=capacity.memory_bytes / MIB,
            allocated=capacity.used_memory_bytes / MIB,
        ),
        Measurement(
            type=compute, name="instances", unit="", total=capacity.instances, allocated=capacity.used_instances
        ),
        Measurement(
            type=storage,
            name="storage",
            unit="GiB",
            total=capacity.storage_bytes / GIB,
            allocated=capacity.used_storage_bytes / GIB,
        ),
    )
