"""From the node's event log to notifications that wait: each event once, in order, whatever is interrupted.

What an event is worth is written together with the event's number. Where nobody subscribed to anything, nothing is
written: the log alone goes on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection

from skerry.engine.events import EventLog
from skerry.errors import UnavailableError
from skerry.model.alarms import Alarm, Scope
from skerry.model.notifications import Message
from skerry.model.ns import NsInstance
from skerry.model.operations import Event, Operation
from skerry.model.states import StepState
from skerry.model.time import Ids
from skerry.model.vnf import VnfInstance
from skerry.notifications import building, facts, watched
from skerry.notifications.building import Scene
from skerry.store import aggregates, alarms, applications, journal
from skerry.store import subscriptions as store
from skerry.store.database import Database, Transaction

log = logging.getLogger(__name__)

AGAIN_S = 5.0  # how long to wait when the store does not answer
STRIDE = 5000  # events that are looked at again after a start, at most


class Capture:
    """`wanted` tells the APIs that somebody subscribed to; `tell` gets what was written."""

    def __init__(
        self,
        database: Database,
        events: EventLog,
        ids: Ids,
        wanted: Callable[[], Collection[str]],
        tell: Callable[[list[Message]], None],
    ) -> None:
        self._database = database
        self._events = events
        self._ids = ids
        self._wanted = wanted
        self._tell = tell
        self._recorded = 0
        self._watched: dict[str, Callable[[Event], list[Message]]] = {
            "alarm": self._alarms,
            "alarms": lambda event: [watched.rebuilt(event, self._ids.new())],
            "performance": self._performance,
            "indicator": self._indicators,
            "capacity": lambda event: [watched.capacity(event, self._ids.new())],
            "quota": lambda event: [watched.quota(event, self._ids.new())],
        }

    async def run(self, position: int) -> None:
        """Follow the log from an event on, without end."""
        self._recorded = position
        while True:
            try:
                async for batch in self._events.follow(position):
                    await self.take(batch)
                    position = batch[-1].seq
            except UnavailableError as error:
                log.warning("notifications wait for the store: %s", error)
                await asyncio.sleep(AGAIN_S)

    async def take(self, batch: Collection[Event]) -> None:
        """Write what some events are worth."""
        wanted = self._wanted()
        made = [message for event in batch for message in self._made(event) if message.api in wanted] if wanted else []
        last = max(event.seq for event in batch)
        if not made and (not wanted or last < self._recorded + STRIDE):
            return

        def work(tx: Transaction) -> list[Message]:
            store.set_captured(tx, last)
            return store.add_messages(tx, made)

        written = await self._database.write(work)
        self._recorded = last
        if written:
            self._tell(written)

    def _made(self, event: Event) -> list[Message]:
        if event.kind in self._watched:
            return self._watched[event.kind](event)
        if event.kind not in ("operation", "resource", "package"):
            return []
        scene = self._scene(event)
        return building.messages(event, scene, self._ids.new()) if scene else []

    # -- what is watched over ------------------------------------------------------------------------------------------

    def _alarms(self, event: Event) -> list[Message]:
        """A fault of a VNF is told of the VNF, and of the NS that the VNF is a member of."""
        root = alarms.alarms.find(self._database, str(event.data.get("alarm", "")))
        if root is None:
            return []
        found = [root, *(one for id in root.correlated if (one := alarms.alarms.find(self._database, id)))]
        return [watched.alarm(event, one, self._owner(one), self._ids.new()) for one in found]

    def _owner(self, alarm: Alarm) -> dict[str, object]:
        """The facts of whom an alarm concerns; of one that is gone, what the alarm knows."""
        of_vnf = alarm.scope is Scope.VNF
        known = {"vnfInstanceId" if of_vnf else "nsInstanceId": alarm.managed_object}
        return {**known, **self._facts(alarm.managed_object, ns=not of_vnf), "tenant": alarm.tenant}

    def _facts(self, id: str, *, ns: bool = False) -> dict[str, object]:
        """The facts of a VNF or NS by its identifier; nothing of one that is gone."""
        if not ns:
            vnf = aggregates.vnf_instances.find(self._database, id)
            return facts.of_vnf(vnf) if vnf else {}
        record = aggregates.ns_instances.find(self._database, id)
        return facts.of_ns(record, self._vnfds(record)) if record else {}

    def _vnfds(self, ns: NsInstance) -> tuple[str, ...]:
        nsd = aggregates.nsds.find(self._database, ns.nsd_info_id)
        return nsd.package.nsd.vnfd_ids if nsd and nsd.package else ()

    def _performance(self, event: Event) -> list[Message]:
        ns = event.data["api"] == "nspm"
        if event.state == "REPORT":
            known = {id: self._facts(id, ns=ns) for id in event.data["objects"]}
            return watched.report(event, known, self._ids.new())
        return [watched.crossing(event, self._facts(str(event.data["object"]), ns=ns), self._ids.new())]

    def _indicators(self, event: Event) -> list[Message]:
        known = self._facts(event.subject)
        if not known:
            return []
        make = watched.supported if event.state == "SUPPORTED" else watched.indicator
        return [make(event, known, self._ids.new())]

    # -- what operations do --------------------------------------------------------------------------------------------

    def _scene(self, event: Event) -> Scene | None:
        """What is recorded of the event's subject now."""
        if event.kind != "operation":
            return Scene(facts=event.data) if "tenant" in event.data else None
        operation = journal.operations.find(self._database, event.operation)
        if operation is None:
            return None
        if event.name.startswith("vnf."):
            return self._vnf_scene(event, operation)
        if event.name.startswith("app."):
            app = applications.instances.find(self._database, event.subject)
            return Scene(facts.of_app(app) if app else self._last_facts(event, operation), operation)
        return self._ns_scene(event, operation) if event.name.startswith("ns.") else None

    def _vnf_scene(self, event: Event, operation: Operation) -> Scene:
        vnf = aggregates.vnf_instances.find(self._database, event.subject)
        known = facts.of_vnf(vnf) if vnf else self._last_facts(event, operation)
        ns_id = str(known.get("nsInstanceId", ""))
        return Scene(
            facts=known,
            operation=operation,
            vnf=vnf,
            ns=aggregates.ns_instances.find(self._database, ns_id) if ns_id else None,
            begun=self._begun(operation),
        )

    def _ns_scene(self, event: Event, operation: Operation) -> Scene:
        ns = aggregates.ns_instances.find(self._database, event.subject)
        if ns is None:
            return Scene(facts=self._last_facts(event, operation), operation=operation)
        vnfs: dict[str, VnfInstance] = {}
        for member in ns.members.values():
            if vnf := aggregates.vnf_instances.find(self._database, member.vnf_instance_id):
                vnfs[vnf.id] = vnf
        return Scene(facts=facts.of_ns(ns, self._vnfds(ns)), operation=operation, ns=ns, vnfs=vnfs)

    def _last_facts(self, event: Event, operation: Operation) -> dict[str, object]:
        """An instance that is gone meanwhile: the event of its deletion tells what it was."""
        for later in self._events.since(event.seq, subject=event.subject):
            if later.kind == "resource" and later.state == "DELETED":
                return dict(later.data)
        return {"tenant": operation.tenant}

    def _begun(self, operation: Operation) -> frozenset[str]:
        """The resources of the steps that began."""
        records = journal.steps(self._database, operation.id)
        begun = {record.key for record in records if record.state is not StepState.PENDING}
        steps = operation.plan.steps if operation.plan else ()
        return frozenset(step.resource for step in steps if step.key in begun)
