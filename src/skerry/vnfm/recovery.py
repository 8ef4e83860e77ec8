"""Recovers VNFs by themselves: what `policy.recovery` decides about their alarms becomes operations, one at a time for all
VNFs of a network service. One that keeps failing is recovered at growing intervals.

What was tried is in the journal, what stands in the alarms: a restart goes on where it was.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from weakref import WeakValueDictionary

from skerry.engine.engine import Engine
from skerry.errors import ConflictError, SkerryError
from skerry.model.operations import Event
from skerry.model.states import InstantiationState, OperationState
from skerry.model.vnf import VnfInstance
from skerry.policy.alarms import CHANGED, RAISED
from skerry.policy.recovery import SERVICE_DOWN, Decision, Remedy, Situation, decide, service_alarm
from skerry.store import aggregates, journal
from skerry.vnfm.alarms import Alarms
from skerry.vnfm.desk import Desk
from skerry.vnfm.goal import stand_ins
from skerry.vnfm.membership import ns_of
from skerry.vnfm.observe import failed_vnfcs

log = logging.getLogger("skerry.recovery")

HEAL_DELAY_S = 1.0
HEAL_DELAY_MAX_S = 60.0
STABLE_S = 300.0


class Recovery:
    """The recovery of all VNFs of a node. `refresh` finds out the indicators of one VNF; `grace_s` is how long its service
    must be down, without an alarm of a resource, before it is healed."""

    def __init__(
        self, desk: Desk, engine: Engine, refresh: Callable[[str], Awaitable[None]], *, grace_s: float = 30.0
    ) -> None:
        self._desk = desk
        self._engine = engine
        self._refresh = refresh
        self._grace_s = grace_s
        self._alarmed: set[str] = set()  # VNFs that were alarmed and may have to be looked at again
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._heals: dict[str, tuple[float, float]] = {}  # VNF -> (when it was healed last, delay before the next)

    async def start(self) -> None:
        """Look at whatever is alarmed, and at each alarm from now on."""
        self._desk.database.on_commit.append(self._committed)
        for alarm in self._desk.alarms.roots():
            self._look(alarm.managed_object)

    async def stop(self) -> None:
        """Begin no more."""
        if self._committed in self._desk.database.on_commit:
            self._desk.database.on_commit.remove(self._committed)
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _committed(self, events: list[Event]) -> None:
        raised = {event.subject for event in events if event.kind == "alarm" and event.state in (RAISED, CHANGED)}
        ended = self._alarmed & Alarms.told(events) if self._alarmed else set[str]()
        for id in raised | ended:
            self._look(id)

    def _look(self, id: str) -> None:
        self._alarmed.add(id)
        running = self._tasks.get(id)
        if running is None or running.done():
            task = self._tasks[id] = asyncio.get_running_loop().create_task(self._recover(id))
            task.add_done_callback(lambda ended: self._forget(id, ended))

    def _forget(self, id: str, ended: asyncio.Task[None]) -> None:
        if self._tasks.get(id) is ended:
            del self._tasks[id]

    async def _recover(self, id: str) -> None:
        """Act until there is nothing more to do, or somebody else is at work on the VNF: his end is looked at again."""
        while (decision := self._decision(id)) is not None:
            await asyncio.sleep(decision.wait_s or self._delay(id))
            if not decision.wait_s and not await self._in_turn(id, decision):
                return
        if not any(alarm.managed_object == id for alarm in self._desk.alarms.roots()):
            self._alarmed.discard(id)

    def _decision(self, id: str) -> Decision | None:
        vnf = aggregates.vnf_instances.find(self._desk.database, id)
        if vnf is None or vnf.instantiation_state is not InstantiationState.INSTANTIATED:
            return None
        return decide(self._situation(vnf), self._desk.clock.now(), self._grace_s)

    def _situation(self, vnf: VnfInstance) -> Situation:
        alarms = self._desk.alarms.of(self._desk.database, vnf.id)
        down = service_alarm(alarms)
        broken = tuple(failed_vnfcs(vnf.resources))
        return Situation(
            alarms=alarms,
            broken=broken,
            covered=tuple(stand_ins(vnf, broken)),
            heals_itself=vnf.vnf_configurable_properties.get("is_autoheal_enabled") in (True, "true"),
            repairs=down is not None and "heal" in self._desk.flavour(vnf).scripts,
            tried=self._tried(vnf.id, down.raised_at) if down else (),
        )

    def _tried(self, id: str, since: str) -> tuple[datetime, ...]:
        """When each healing of the service ended that began since then."""
        found = self._engine.operations(subject=id, prefix="vnf.heal")
        healed = [one for one in found if one.params.get("cause") == SERVICE_DOWN and one.started_at >= since]
        return tuple(datetime.fromisoformat(one.state_entered_at) for one in healed)

    async def _in_turn(self, id: str, decision: Decision) -> bool:
        """Carry it out when no other VNF of the network service is being recovered, if it is still what is to be done."""
        vnf = self._desk.instance(id)
        ns = ns_of(self._desk.database, vnf)
        turn = self._turns.setdefault(ns or id, asyncio.Lock())
        async with turn:
            if decision.params["cause"] == SERVICE_DOWN:
                await self._refresh(id)
            return self._decision(id) != decision or await self._act(vnf, ns, decision)

    async def _act(self, vnf: VnfInstance, ns: str, decision: Decision) -> bool:
        """Whether to go on. An attempt that fails is given up, so that it holds nobody up. A switch is the matter of the
        network service: whoever depends on the VNF must learn the address of the standby."""
        kind, subject, params = "vnf.heal", vnf.id, decision.params
        if ns and decision.remedy is Remedy.SWITCH:
            kind, subject, params = "ns.heal", ns, {"healVnfData": [{"vnfInstanceId": vnf.id, **decision.params}]}
        log.info("recovering VNF %s: %s", vnf.id, decision.remedy)
        try:
            operation = await self._engine.submit(kind, subject, params, tenant=vnf.tenant, automatic=True)
            ended = await self._engine.wait(operation.id)
            if ended.state is OperationState.FAILED_TEMP:
                await self._engine.fail(ended.id)
        except SkerryError as error:
            log.info("not healing VNF %s: %s", vnf.id, error.detail)
            return isinstance(error, ConflictError) and journal.holder(self._desk.database, vnf.id) is None
        return True

    def _delay(self, id: str) -> float:
        """Seconds to wait before this VNF may be healed again; doubles while it does not stay well."""
        last, delay = self._heals.get(id, (-STABLE_S, 0.0))
        now = self._desk.clock.monotonic()
        if now - last > STABLE_S:
            delay = 0.0
        wait = max(0.0, last + delay - now)
        self._heals[id] = (now + wait, min(max(delay * 2, HEAL_DELAY_S), HEAL_DELAY_MAX_S))
        return wait
