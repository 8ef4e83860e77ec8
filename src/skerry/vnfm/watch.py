"""Holds records against reality: events of the drivers at once, a cheap sweep for whatever no event told.

A VNFC that is gone or does not run although it should is recorded as failed and alarmed. Where the VNF's configurable
property `is_autoheal_enabled` (SOL001 `VnfConfigurableProperties`) is true it is healed; a VNF that keeps failing is healed
at growing intervals, and never twice at a time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import msgspec

from skerry.engine.engine import Engine
from skerry.errors import ConflictError, NotFoundError, SkerryError
from skerry.model.operations import Event
from skerry.model.resources import Resource, ResourceState
from skerry.model.states import OperationState
from skerry.model.vnf import VnfInstance
from skerry.policy.alarms import RAISED
from skerry.policy.faults import cause_of
from skerry.store import aggregates, journal
from skerry.store.database import Transaction
from skerry.vim.driver import Compute, ComputeState, Driver, Events
from skerry.vnfm.alarms import Alarms
from skerry.vnfm.desk import Desk
from skerry.vnfm.naming import instance_prefix

log = logging.getLogger("skerry.watch")

HEAL_DELAY_S = 1.0
HEAL_DELAY_MAX_S = 60.0
STABLE_S = 300.0


class Watch:
    """Watches every VIM that is in use. `sweep_s` is the time between two sweeps."""

    def __init__(self, desk: Desk, engine: Engine, *, sweep_s: float = 30.0) -> None:
        self._desk = desk
        self._engine = engine
        self._sweep_s = sweep_s
        self._tasks: set[asyncio.Task[None]] = set()
        self._healing: dict[str, asyncio.Task[None]] = {}
        self._alarms = Alarms(desk.database, desk.alarms)
        self._alarmed: set[str] = set()  # VNFs with an alarm that stands
        self._heals: dict[str, tuple[float, float]] = {}  # VNF -> (when it was healed last, delay before the next)

    async def start(self) -> None:
        """Watch the VIMs that hold something, and each other one from its first use on."""
        self._desk.vims.on_open.append(self._opened)
        used = {vim for vnf in aggregates.vnf_instances.walk(self._desk.database) for vim in vnf.vim_ids}
        for vim in used & {connection.id for connection in self._desk.vims.connections()}:
            self._spawn(self._open(vim))
        self._spawn(self._sweeping())
        self._alarmed = {alarm.managed_object for alarm in self._alarms.raised()}
        self._desk.database.on_commit.append(self._committed)
        await self._alarms.settle()

    async def stop(self) -> None:
        if self._committed in self._desk.database.on_commit:
            self._desk.database.on_commit.remove(self._committed)
        tasks = [*self._tasks, *self._healing.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _committed(self, events: list[Event]) -> None:
        """An operation that ended may have mended what was alarmed."""
        if self._alarmed & self._alarms.told(events):
            self._spawn(self._settle())
        self._alarmed |= {event.subject for event in events if event.kind == "alarm" and event.state == RAISED}

    async def _settle(self) -> None:
        try:
            await self._alarms.settle()
        except SkerryError as error:
            log.warning("cannot clear alarms: %s", error.detail)
            return
        self._alarmed = {alarm.managed_object for alarm in self._alarms.raised()}

    def _spawn(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _opened(self, vim: str, driver: Driver) -> None:
        if isinstance(driver, Events):
            self._spawn(self._follow(vim, driver))

    async def _open(self, vim: str) -> None:
        try:
            await self._desk.vims.driver(vim)
        except SkerryError as error:
            log.warning("cannot watch VIM %s: %s", vim, error.detail)

    async def _follow(self, vim: str, driver: Events) -> None:
        try:
            async for event in driver.events():
                if event.kind == "compute":
                    await self.look(event.name)
        except SkerryError as error:
            log.warning("no more events of VIM %s, the sweep goes on: %s", vim, error.detail)

    async def _sweeping(self) -> None:
        while True:
            await asyncio.sleep(self._sweep_s)
            try:
                await self.sweep()
            except SkerryError as error:
                log.warning("cannot sweep: %s", error.detail)

    # -- looking ------------------------------------------------------------------------------------------------------

    async def look(self, name: str) -> None:
        """Compare one compute resource, by its name on the infrastructure, with its record."""
        for vnf in aggregates.vnf_instances.starting(self._desk.database, instance_prefix(name)):
            for key, resource in vnf.resources.items():
                if resource.kind == "compute" and resource.spec["name"] == name:
                    await self._compare(vnf, key, resource)

    async def sweep(self) -> int:
        """Compare everything recorded; the answer is how many VNFCs were found broken."""
        found = 0
        for vnf in aggregates.vnf_instances.walk(self._desk.database):
            for key, resource in vnf.resources.items():
                if resource.kind == "compute":
                    found += await self._compare(vnf, key, resource)
        return found

    async def _compare(self, vnf: VnfInstance, key: str, resource: Resource) -> bool:
        if resource.state is not ResourceState.PRESENT or journal.holder(self._desk.database, vnf.id):
            return False  # known already, or an operation is at work and looks itself
        driver = await self._desk.vims.driver(resource.spec["vim"])
        try:
            compute: Compute | None = await driver.get_compute(resource.spec["name"])
        except NotFoundError:
            compute = None
        trouble = diagnose(compute, powered=f"power:{key.removeprefix('compute:')}" in vnf.resources)
        if not trouble or not await self._mark(vnf.id, key, compute, trouble):
            return False
        if vnf.vnf_configurable_properties.get("is_autoheal_enabled") in (True, "true"):
            self._heal_later(vnf.id)
        return True

    async def _mark(self, id: str, key: str, compute: Compute | None, trouble: str) -> bool:
        """Record and alarm it, unless an operation or an earlier look was faster."""

        def work(tx: Transaction) -> bool:
            vnf = aggregates.vnf_instances.find(tx, id)
            resource = vnf.resources.get(key) if vnf else None
            if vnf is None or resource is None or resource.state is not ResourceState.PRESENT or journal.holder(tx, id):
                return False
            failed = msgspec.structs.replace(resource, state=ResourceState.FAILED)
            resources = {**vnf.resources, key: failed}
            aggregates.vnf_instances.put(tx, msgspec.structs.replace(vnf, resources=resources))
            last = len(failed_vnfcs(resources)) == sum(one.kind == "compute" for one in resources.values())
            self._alarms.report(tx, vnf, failed, cause_of(compute, trouble, last=last))
            return True

        return await self._desk.database.write(work)

    # -- healing ------------------------------------------------------------------------------------------------------

    def _heal_later(self, id: str) -> None:
        if id not in self._healing:
            task = asyncio.get_running_loop().create_task(self._heal(id))
            self._healing[id] = task
            task.add_done_callback(lambda _: self._healing.pop(id, None))

    async def _heal(self, id: str) -> None:
        """Heal until nothing recorded is broken. An attempt that fails is given up, so that it holds nobody up."""
        while True:
            await asyncio.sleep(self._delay(id))
            vnf = aggregates.vnf_instances.find(self._desk.database, id)
            if vnf is None or not (broken := failed_vnfcs(vnf.resources)):
                return
            params = {"vnfcInstanceId": broken, "cause": "found broken"}
            try:
                operation = await self._engine.submit("vnf.heal", id, params, tenant=vnf.tenant, automatic=True)
                ended = await self._engine.wait(operation.id)
                if ended.state is OperationState.FAILED_TEMP:
                    await self._engine.fail(ended.id)
            except (ConflictError, NotFoundError) as error:
                log.info("not healing VNF %s: %s", id, error.detail)
                return

    def _delay(self, id: str) -> float:
        """Seconds to wait before this VNF may be healed again; doubles while it does not stay well."""
        last, delay = self._heals.get(id, (-STABLE_S, 0.0))
        now = self._desk.clock.monotonic()
        if now - last > STABLE_S:
            delay = 0.0
        wait = max(0.0, last + delay - now)
        self._heals[id] = (now + wait, min(max(delay * 2, HEAL_DELAY_S), HEAL_DELAY_MAX_S))
        return wait


def diagnose(compute: Compute | None, *, powered: bool) -> str:
    """What is wrong with a compute resource; "" when it is as it should be. Pure."""
    if compute is None:
        return "it is gone"
    if compute.state is ComputeState.FAILED:
        return f"it ended with {compute.exit_code}" if compute.exit_code is not None else "it failed"
    if powered and compute.state in (ComputeState.EXITED, ComputeState.CREATED, ComputeState.UNAVAILABLE):
        return f"it should run and is {compute.state}"
    return ""


def failed_vnfcs(resources: Mapping[str, Resource]) -> list[str]:
    """The VNFCs recorded as failed."""
    return [
        key.removeprefix("compute:")
        for key, resource in resources.items()
        if resource.kind == "compute" and resource.state is ResourceState.FAILED
    ]
