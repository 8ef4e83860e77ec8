"""The services of a platform: kept durably, read from memory, each change told to whoever subscribed.

A change, the line of the event log and the notification share one transaction. Reads are of what is committed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from skerry.engine.events import EventLog
from skerry.errors import Fault, InvalidError, NotFoundError
from skerry.mep import selection
from skerry.mep.liveness import Liveness
from skerry.mep.telling import SERVICES, Teller
from skerry.mep.transports import Transports
from skerry.model.mec import ChangeType, Service, ServiceInfo, ServiceState
from skerry.model.time import Clock, Ids, stamp
from skerry.store import mec as store
from skerry.store.database import Database, Transaction
from skerry.store.documents import Revs

Note = Mapping[str, Any]
"""Fields of the audit's line about a call; written together with what the call changes."""

Among = Callable[[Service], bool]


class Registry:
    """Every service of the node's platform."""

    def __init__(
        self, database: Database, events: EventLog, clock: Clock, ids: Ids, teller: Teller, transports: Transports
    ) -> None:
        self._database = database
        self._events = events
        self._clock = clock
        self._ids = ids
        self._teller = teller
        self._transports = transports
        self._services: dict[str, Service] = {}
        self._of_app: dict[str, dict[str, None]] = {}
        self.liveness = Liveness(clock, self._silent)

    async def start(self) -> None:
        """Read what is recorded. Whoever has to show signs of life has a whole interval from now."""
        for service in store.services.select(self._database):
            self._keep(service)
        await self.liveness.start()

    async def stop(self) -> None:
        """Let go."""
        await self.liveness.stop()

    # -- reading ------------------------------------------------------------------------------------------------------

    def all(self, *, tenant: str, app_id: str = "", query: selection.Query = selection.EVERY) -> list[Service]:
        """The services that a query means, oldest first."""
        found = self._candidates(app_id, query)
        if query is selection.EVERY:
            return [service for service in found if service.tenant == tenant]
        return [service for service in found if service.tenant == tenant and query.matches(service)]

    def get(self, id: str, *, tenant: str, app_id: str = "") -> Service:
        """One; `NotFoundError` also for one of another tenant or application."""
        service = self._services.get(id)
        if service is None or service.tenant != tenant or app_id not in ("", service.app_id):
            raise store.services.missing(id)
        return service

    def active(self) -> Iterator[Service]:
        """Every service that is offered now."""
        return (service for service in self._services.values() if service.info.state is ServiceState.ACTIVE)

    def _candidates(self, app_id: str, query: selection.Query) -> Iterator[Service]:
        if query.ser_instance_id:
            ids = sorted(query.ser_instance_id & self._services.keys())
            return (one for one in map(self._services.__getitem__, ids) if app_id in ("", one.app_id))
        if app_id:
            return (self._services[id] for id in self._of_app.get(app_id, ()))
        return iter(self._services.values())

    # -- changing -----------------------------------------------------------------------------------------------------

    async def add(self, app_id: str, info: ServiceInfo, *, tenant: str, note: Note | None = None) -> Service:
        """Register a service. `InvalidError` names everything that is wrong with it."""
        new = Service(
            id=self._ids.new(),
            tenant=tenant,
            created_at=stamp(self._clock.now()),
            app_id=app_id,
            info=self._checked(info),
        )

        def work(tx: Transaction) -> Service:
            # That the application is still there when its service is recorded is decided here.
            store.require_app(tx, app_id, tenant)
            made = store.services.insert(tx, new)
            self._tell(tx, made, ChangeType.ADDED, note)
            return made

        return await self._teller.write(work, self._keep)

    async def replace(
        self, service: Service, info: ServiceInfo, *, match: Revs = None, note: Note | None = None
    ) -> tuple[Service, bool]:
        """Change a service; whether anything was to change. `PreconditionError` where it is in none of the revisions
        `match`."""
        return await self._put(service, self._checked(info, service), note, match)

    async def remove(self, service: Service, *, match: Revs = None, note: Note | None = None) -> None:
        """Remove a service. `PreconditionError` where it is in none of the revisions `match`."""

        def work(tx: Transaction) -> None:
            store.services.matching(tx, service.id, service.tenant, match)
            store.services.delete(tx, service.id)
            self._tell(tx, service, ChangeType.REMOVED, note)

        await self._teller.write(work, lambda _: self._forget(service))

    async def set_state(self, service: Service, state: ServiceState, *, note: Note | None = None) -> Service:
        """Change its state alone."""
        if service.info.state is state:
            return service
        info = msgspec.structs.replace(service.info, state=state)
        return (await self._put(service, info, note, frozenset({service.rev})))[0]

    async def beat(self, service: Service) -> Service:
        """A sign of life; a service that was suspended for its silence is active again."""
        self.liveness.beat(service.id)
        if service.info.state is ServiceState.SUSPENDED:
            return await self.set_state(service, ServiceState.ACTIVE)
        return service

    def removing(self, tx: Transaction, app_id: str) -> list[Service]:
        """Inside a transaction: remove all of an application's; hand the answer to `forget` when it is committed."""
        gone = store.services.select(tx, app=app_id)
        for service in gone:
            store.services.delete(tx, service.id)
            self._tell(tx, service, ChangeType.REMOVED, None)
        return gone

    def forget(self, gone: Sequence[Service]) -> None:
        """What `removing` removed is gone for good."""
        for service in gone:
            self._forget(service)

    async def _put(self, service: Service, info: ServiceInfo, note: Note | None, match: Revs) -> tuple[Service, bool]:
        def work(tx: Transaction) -> tuple[Service, bool]:
            known = store.services.matching(tx, service.id, service.tenant, match)
            if known.info == info:
                return known, False
            stated = msgspec.structs.replace(known.info, state=info.state)
            change = ChangeType.STATE_CHANGED if stated == info else ChangeType.ATTRIBUTES_CHANGED
            made = store.services.put(tx, msgspec.structs.replace(known, info=info))
            self._tell(tx, made, change, note)
            return made, True

        return await self._teller.write(work, lambda made: self._keep(made[0]))

    def _tell(self, tx: Transaction, service: Service, change: ChangeType, note: Note | None) -> None:
        """The lines of the event log, and the notification where somebody may want it."""
        data = {"tenant": service.tenant, "appInstanceId": service.app_id, "change": change.value}
        if note is not None:
            # One line tells who did it and what it was about.
            told = {**note, "data": {**note["data"], **data}}
            self._events.add(tx, "audit", subject=service.id, **told)
        else:
            self._events.add(
                tx,
                "mec",
                subject=service.id,
                name=service.info.ser_name,
                state=change.value,
                detail=service.info.state.value,
                data=data,
            )
        reference = {
            "serName": service.info.ser_name,
            "serInstanceId": service.id,
            "state": service.info.state.value,
            "changeType": change.value,
        }
        if change is not ChangeType.REMOVED:
            reference["path"] = f"/services/{service.id}"
        self._teller.tell(
            tx,
            api=SERVICES,
            type="SerAvailabilityNotification",
            resource=service.id,
            tenant=service.tenant,
            subject=selection.subject_of(service.id, service.info),
            body={"serviceReferences": [reference]},
        )

    def _checked(self, info: ServiceInfo, known: Service | None = None) -> ServiceInfo:
        """The service as it is recorded; every fault of it at once."""
        faults = [*self._identity_faults(info, known), *self._transport_faults(info)]
        if faults:
            raise InvalidError(
                "cannot accept the service: " + "; ".join(str(fault) for fault in faults),
                faults=faults,
                suggestion="correct every place named in faults",
            )
        transport = self._transports.provided(info.transport_id) if info.transport_id else info.transport_info
        interval = info.liveness_interval
        return msgspec.structs.replace(
            info,
            ser_instance_id=None,
            links=None,
            transport_id=None,
            transport_info=transport,
            liveness_interval=None if interval is None else self.liveness.interval(interval),
        )

    def _identity_faults(self, info: ServiceInfo, known: Service | None) -> Iterator[Fault]:
        if info.ser_instance_id and known is None:
            yield _fault("serInstanceId", "the platform gives it", "leave serInstanceId out")
        if known is not None and info.ser_instance_id not in (None, known.id):
            yield _fault("serInstanceId", f"this is the service {known.id}", "leave it out or write this one")
        if known is None and info.state is ServiceState.SUSPENDED:
            yield _fault("state", "only the platform suspends a service", "say ACTIVE or INACTIVE")

    def _transport_faults(self, info: ServiceInfo) -> Iterator[Fault]:
        if info.transport_id and info.transport_info:
            yield _fault("transportId", "transportId and transportInfo exclude each other", "keep one of them")
        if not info.transport_id and not info.transport_info:
            yield _fault("transportInfo", "neither transportId nor transportInfo is given", "describe the transport")
        if info.transport_id:
            try:
                self._transports.provided(info.transport_id)
            except NotFoundError as error:
                yield _fault("transportId", error.detail, error.suggestion)

    # -- signs of life ------------------------------------------------------------------------------------------------

    async def _silent(self, id: str) -> None:
        """Nothing was heard for a whole interval (MEC 011 8.2.10.3.3)."""
        service = self._services.get(id)
        if service is not None and service.info.state is ServiceState.ACTIVE:
            await self.set_state(service, ServiceState.SUSPENDED)

    # -- memory -------------------------------------------------------------------------------------------------------

    def _keep(self, service: Service) -> None:
        known = self._services.get(service.id)
        if known is not None and known.rev >= service.rev:
            return
        self._services[service.id] = service
        self._of_app.setdefault(service.app_id, {})[service.id] = None
        if service.info.liveness_interval and service.info.state is not ServiceState.INACTIVE:
            self.liveness.watch(service.id, service.info.liveness_interval)
        else:
            self.liveness.forget(service.id)

    def _forget(self, service: Service) -> None:
        self._services.pop(service.id, None)
        self.liveness.forget(service.id)
        mine = self._of_app.get(service.app_id, {})
        mine.pop(service.id, None)
        if not mine:
            self._of_app.pop(service.app_id, None)


def _fault(path: str, message: str, fix: str) -> Fault:
    return Fault(message=message, code="value", path=f"/{path}", fix=fix)
