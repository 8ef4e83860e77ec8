"""The alarms of a node: one for each fault, durable, in the transaction that records the fault or its end.

A fault of a VNF that is a member of an NS raises two: that of the VNF is the root cause, that of the NS follows from it and
is acknowledged on its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from skerry.access.roles import NODE_TENANT
from skerry.engine.events import EventLog
from skerry.errors import ConflictError, InvalidError, NotFoundError
from skerry.model.alarms import AckState, Alarm, Cause, Faulty, Scope, Severity
from skerry.model.operations import Event
from skerry.model.time import Clock, Ids, stamp
from skerry.policy.faults import HOST_IS_LOST
from skerry.store import alarms as store
from skerry.store.database import Database, Transaction
from skerry.store.documents import Revs

RAISED, CHANGED, CLEARED, REBUILT = "RAISED", "CHANGED", "CLEARED", "REBUILT"
KEPT = 10_000
"""Cleared alarms that are kept at most."""


class AlarmBook:
    """Raises, clears, acknowledges and lists."""

    def __init__(self, database: Database, events: EventLog, clock: Clock, ids: Ids) -> None:
        self._database = database
        self._events = events
        self._clock = clock
        self._ids = ids

    # -- faults -------------------------------------------------------------------------------------------------------

    def report(self, tx: Transaction, faulty: Faulty, cause: Cause) -> Alarm:
        """A fault was found: raise its alarm, or change the one that stands; the same cause again changes nothing."""
        standing = self._standing(tx, faulty)
        if not standing:
            return self._raise(tx, faulty, cause)
        root = next(alarm for alarm in standing if not alarm.root)
        if root.cause != cause:
            for alarm in standing:
                self._change(tx, alarm, cause)
            self._tell(tx, msgspec.structs.replace(root, cause=cause, proposed=None), CHANGED, cause.probable_cause)
        return root

    def level(self, tx: Transaction, vnf_id: str, severity: Severity) -> None:
        """What the faults of a VNF's resources mean has changed with what else of it works."""
        for alarm in self.of(tx, vnf_id):
            if alarm.standing and alarm.faulty.resource_id and alarm.cause.severity is not severity:
                self.report(tx, alarm.faulty, msgspec.structs.replace(alarm.cause, severity=severity))

    def clear(self, tx: Transaction, alarm: Alarm) -> None:
        """The fault of a root alarm is over: it and what follows from it are cleared."""
        for one in self._standing(tx, alarm.faulty):
            store.alarms.put(tx, msgspec.structs.replace(one, cleared_at=self._now()))
        self._tell(tx, alarm, CLEARED, "it is well again")

    def report_host(self, tx: Transaction, host: str, detail: str) -> None:
        """A host does not answer any more; telling it again changes nothing. `Faulty.vnf_id` has the host's own key."""
        faulty = Faulty(vnf_id=f"{Scope.HOST}/{host}", key=host, tenant=NODE_TENANT)
        if self._standing(tx, faulty):
            return
        now = self._now()
        alarm = Alarm(
            id=self._ids.new(),
            tenant=NODE_TENANT,
            created_at=now,
            scope=Scope.HOST,
            managed_object=host,
            faulty=faulty,
            cause=HOST_IS_LOST,
            raised_at=now,
            event_at=now,
            details=(f"{host}: {detail}",),
        )
        store.alarms.insert(tx, alarm)

    def clear_host(self, tx: Transaction, host: str) -> None:
        """The host answers again."""
        for one in self._standing(tx, Faulty(vnf_id=f"{Scope.HOST}/{host}", key=host)):
            store.alarms.put(tx, msgspec.structs.replace(one, cleared_at=self._now()))

    def hosts(self) -> list[Alarm]:
        """The standing alarms of hosts, oldest first."""
        return store.alarms.select(self._database, scope=Scope.HOST.value, standing="yes")

    def roots(self, source: Database | Transaction | None = None) -> list[Alarm]:
        """The standing alarms of VNFs, oldest first."""
        return store.alarms.select(source or self._database, scope=Scope.VNF.value, standing="yes")

    def of(self, source: Database | Transaction, vnf_id: str) -> list[Alarm]:
        """The alarms of one VNF that are kept, oldest first, cleared ones included."""
        return store.alarms.select(source, vnf_id=vnf_id, scope=Scope.VNF.value)

    def restore(self, tx: Transaction) -> list[store.Lost]:
        """Drop the alarms that cannot be read, with what belongs to them; what was dropped. Whatever of it still stands is to
        be reported again, then `rebuilt` is to be called."""
        return store.drop_broken(tx)

    def remember(self, tx: Transaction, lost: Iterable[store.Lost]) -> None:
        """Say of alarms that were raised again what callers had said of those that were dropped."""
        for one in lost:
            same = {"scope": one.scope, "vnf_id": one.vnf_id, "managed_object": one.managed_object, "key": one.key}
            for alarm in store.alarms.select(tx, standing="yes", **same):
                said = msgspec.structs.replace(
                    alarm,
                    proposed=Severity(one.proposed) if one.proposed else None,
                    acknowledged_at=one.acknowledged_at,
                    ack_state=AckState.ACKNOWLEDGED if one.acknowledged_at else AckState.UNACKNOWLEDGED,
                )
                if said != alarm:
                    store.alarms.put(tx, said)

    def rebuilt(self, tx: Transaction, lists: Iterable[tuple[str, Scope]]) -> None:
        """The alarms of these tenants and scopes were made anew: whoever keeps a copy reads them again."""
        for tenant, scope in sorted(lists):
            detail = f"the list of alarms of {scope.value}s was rebuilt"
            self._events.add(tx, "alarms", name=scope.value, state=REBUILT, detail=detail, data={"tenant": tenant})

    # -- callers ------------------------------------------------------------------------------------------------------

    def alarms(self, scope: Scope, *, tenant: str) -> Sequence[Alarm]:
        """Every alarm that is kept, oldest first, cleared ones included."""
        return store.alarms.select(self._database, scope=scope.value, tenant=tenant)

    def alarm(self, id: str, scope: Scope, *, tenant: str) -> Alarm:
        """One alarm. `NotFoundError` also for one of the other scope."""
        return self._of_scope(store.alarms.get(self._database, id, tenant=tenant), scope)

    async def acknowledge(self, id: str, scope: Scope, state: AckState, *, match: Revs = None, tenant: str) -> Alarm:
        """Set the ackState (SOL003 7.4.3.3.4). `ConflictError` where it is so already; `PreconditionError` where the alarm
        is in none of the revisions `match`."""

        def work(tx: Transaction) -> Alarm:
            alarm = self._of_scope(store.alarms.matching(tx, id, tenant, match), scope)
            if alarm.ack_state is state:
                raise ConflictError(
                    f"cannot change alarm {id}: it is {state.value} already", suggestion="nothing to do"
                )
            at = self._now() if state is AckState.ACKNOWLEDGED else ""
            return store.alarms.put(tx, msgspec.structs.replace(alarm, ack_state=state, acknowledged_at=at))

        return await self._database.write(work)

    async def escalate(self, id: str, severity: Severity, *, tenant: str) -> None:
        """Take over the severity that an element manager perceives (SOL002 7.4.4). `ConflictError` for an alarm that is
        over, `InvalidError` for CLEARED."""
        if severity is Severity.CLEARED:
            raise InvalidError(
                "cannot escalate to CLEARED: an alarm is cleared when its fault is over",
                suggestion="propose another severity, or mend the fault",
            )

        def work(tx: Transaction) -> None:
            alarm = self._of_scope(store.alarms.get(tx, id, tenant=tenant), Scope.VNF)
            if alarm.cleared_at:
                raise ConflictError(f"cannot escalate alarm {id}: it was cleared", suggestion="nothing to do")
            if alarm.severity is severity:
                return
            for one in self._standing(tx, alarm.faulty):
                self._change(tx, one, alarm.cause, severity)
            self._tell(tx, msgspec.structs.replace(alarm, proposed=severity), CHANGED, f"it is {severity.value} now")

        await self._database.write(work)

    async def prune(self, cleared_before: str) -> int:
        """Keep the store bounded; the answer is how many old cleared alarms were removed."""
        return await self._database.write(lambda tx: store.prune(tx, cleared_before=cleared_before, keep=KEPT))

    # -- inside -------------------------------------------------------------------------------------------------------

    @staticmethod
    def _standing(tx: Transaction, faulty: Faulty) -> list[Alarm]:
        found = store.alarms.select(tx, vnf_id=faulty.vnf_id, standing="yes")
        return [alarm for alarm in found if alarm.faulty.key == faulty.key]

    def _raise(self, tx: Transaction, faulty: Faulty, cause: Cause) -> Alarm:
        id = self._ids.new()
        above = ((faulty.ns_id, ""), *faulty.above) if faulty.ns_id else ()
        followers = {ns: (self._ids.new(), nested) for ns, nested in above}
        now = self._now()
        root = Alarm(
            id=id,
            tenant=faulty.tenant,
            created_at=now,
            scope=Scope.VNF,
            managed_object=faulty.vnf_id,
            faulty=faulty,
            cause=cause,
            raised_at=now,
            event_at=now,
            correlated=tuple(follower for follower, _ in followers.values()),
            details=(f"{faulty.key}: {cause.probable_cause}",),
        )
        made = store.alarms.insert(tx, root)
        for ns, (follower, nested) in followers.items():
            fields = {
                "id": follower,
                "scope": Scope.NS,
                "managed_object": ns,
                "nested": nested,
                "root": id,
                "correlated": (id,),
            }
            store.alarms.insert(tx, msgspec.structs.replace(root, **fields))
        self._tell(tx, made, RAISED, cause.probable_cause)
        return made

    def _change(self, tx: Transaction, alarm: Alarm, cause: Cause, proposed: Severity | None = None) -> None:
        now = self._now()
        details = (f"{alarm.faulty.key}: {cause.probable_cause}",)
        changed = msgspec.structs.replace(
            alarm, cause=cause, proposed=proposed, changed_at=now, event_at=now, details=details
        )
        store.alarms.put(tx, changed)

    def _tell(self, tx: Transaction, alarm: Alarm, state: str, detail: str) -> None:
        data = {"alarm": alarm.id, "severity": alarm.rated.value}
        key = alarm.faulty.key
        self._events.add(
            tx, "alarm", subject=alarm.managed_object, name=key, state=state, detail=f"{key}: {detail}", data=data
        )

    @staticmethod
    def _of_scope(alarm: Alarm, scope: Scope) -> Alarm:
        if alarm.scope is not scope:
            raise NotFoundError(f"cannot find alarm {alarm.id}", suggestion="list the alarms to see which there are")
        return alarm

    def _now(self) -> str:
        return stamp(self._clock.now())


def as_event(alarm: Alarm) -> Event:
    """A standing alarm in the form in which it was told when it was raised; its number is 0."""
    return Event(
        seq=0,
        time=alarm.raised_at,
        kind="alarm",
        subject=alarm.managed_object,
        name=alarm.faulty.key,
        state=RAISED,
        detail=alarm.details[0],
        data={"alarm": alarm.id, "severity": alarm.severity.value, "ackState": alarm.ack_state.value},
    )
