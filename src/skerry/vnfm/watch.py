"""Holds records against reality: events of the drivers at once, a cheap sweep for whatever no event told.

A VNFC that is gone or does not run although it should is recorded as failed and alarmed; what follows from that is the matter
of `recovery`.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import msgspec

from skerry.errors import NotFoundError, SkerryError
from skerry.model.operations import Event
from skerry.model.resources import Resource, ResourceState
from skerry.model.vnf import VnfInstance
from skerry.policy.alarms import RAISED
from skerry.policy.faults import cause_of
from skerry.store import aggregates, journal
from skerry.store.database import Transaction
from skerry.vim.driver import Compute, ComputeState, Driver, Events
from skerry.vnfm.alarms import Alarms
from skerry.vnfm.desk import Desk
from skerry.vnfm.naming import instance_prefix
from skerry.vnfm.observe import none_works

log = logging.getLogger("skerry.watch")


class Watch:
    """Watches every VIM that is in use. `sweep_s` is the time between two sweeps."""

    def __init__(self, desk: Desk, *, sweep_s: float = 30.0) -> None:
        self._desk = desk
        self._sweep_s = sweep_s
        self._tasks: set[asyncio.Task[None]] = set()
        self._alarms = Alarms(desk.database, desk.alarms)
        self._alarmed: set[str] = set()  # VNFs with an alarm that stands

    async def restore(self) -> None:
        """Make a list of alarms that can be read, before anybody reads it; asks no VIM."""
        if lost := await self._alarms.restore():
            log.warning("%d alarms could not be read: the list was rebuilt from the records", lost)

    async def rebuild(self, *, tenant: str) -> None:
        """Make the list of alarms of a tenant anew from what the VIMs say now. Errors are those of a VIM that does not
        answer; what was found until then stays found, and asking again goes on."""
        await self.restore()
        await self.sweep(tenant)
        await self._alarms.rebuild(tenant)

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
        tasks = list(self._tasks)
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

    async def sweep(self, tenant: str | None = None) -> int:
        """Compare everything recorded, or what one tenant has; the answer is how many VNFCs were found broken."""
        found = 0
        for vnf in aggregates.vnf_instances.walk(self._desk.database):
            for key, resource in vnf.resources.items():
                if resource.kind == "compute" and tenant in (None, vnf.tenant):
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
        return bool(trouble) and await self._mark(vnf.id, key, compute, trouble)

    async def _mark(self, id: str, key: str, compute: Compute | None, trouble: str) -> bool:
        """Record and alarm it, unless an operation or an earlier look was faster."""

        def work(tx: Transaction) -> bool:
            vnf = aggregates.vnf_instances.find(tx, id)
            resource = vnf.resources.get(key) if vnf else None
            if vnf is None or resource is None or resource.state is not ResourceState.PRESENT or journal.holder(tx, id):
                return False
            failed = msgspec.structs.replace(resource, state=ResourceState.FAILED)
            resources = {**vnf.resources, key: failed}
            vnf = aggregates.vnf_instances.put(tx, msgspec.structs.replace(vnf, resources=resources))
            self._alarms.report(tx, vnf, failed, cause_of(compute, trouble, last=none_works(vnf)))
            self._alarms.level(tx, vnf)
            return True

        return await self._desk.database.write(work)


def diagnose(compute: Compute | None, *, powered: bool) -> str:
    """What is wrong with a compute resource; "" when it is as it should be. Pure."""
    if compute is None:
        return "it is gone"
    if compute.state is ComputeState.FAILED:
        return f"it ended with {compute.exit_code}" if compute.exit_code is not None else "it failed"
    if powered and compute.state in (ComputeState.EXITED, ComputeState.CREATED, ComputeState.UNAVAILABLE):
        return f"it should run and is {compute.state}"
    return ""
