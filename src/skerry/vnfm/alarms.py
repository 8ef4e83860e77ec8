"""Which alarms of VNFs should stand: over are those of VNFCs that are well again or gone, and of services that are up."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from skerry.model.alarms import Alarm, Cause, Faulty, Scope, Severity
from skerry.model.operations import Event
from skerry.model.resources import Resource, ResourceState
from skerry.model.states import FINAL, InstantiationState, VnfOperationalState
from skerry.model.vnf import VnfInstance
from skerry.policy.alarms import AlarmBook
from skerry.policy.faults import SERVICE_IS_DOWN, cause_on_record
from skerry.policy.recovery import SERVICE, is_down, service_alarm
from skerry.store import aggregates, journal
from skerry.store.database import Database, Transaction
from skerry.store.indicators import indicators
from skerry.vnfm.observe import failed_vnfcs, none_works

_FINAL = frozenset(state.value for state in FINAL)


class Alarms:
    """The alarms of the VNFs of one node."""

    def __init__(self, database: Database, book: AlarmBook) -> None:
        self._database = database
        self._book = book

    def raised(self) -> list[Alarm]:
        """The alarms that stand, oldest first."""
        return self._book.roots()

    def report(self, tx: Transaction, vnf: VnfInstance, resource: Resource, cause: Cause) -> None:
        """A VNFC was found broken."""
        faulty = Faulty(
            vnf_id=vnf.id,
            key=resource.key,
            tenant=vnf.tenant,
            ns_id=vnf.ns_id,
            vim=str(resource.spec.get("vim", "")),
            resource_id=str(resource.outputs.get("id", "")) or str(resource.spec["name"]),
            above=_above(tx, vnf.ns_id),
        )
        self._book.report(tx, faulty, cause)

    def service(self, tx: Transaction, id: str, value: Any) -> None:
        """Somebody told the state of a VNF's service: raise or clear its alarm."""
        vnf = aggregates.vnf_instances.find(tx, id)
        if vnf is not None and is_down(value) and _serves(vnf):
            faulty = Faulty(vnf_id=id, key=SERVICE, tenant=vnf.tenant, ns_id=vnf.ns_id, above=_above(tx, vnf.ns_id))
            self._book.report(tx, faulty, SERVICE_IS_DOWN)
        elif alarm := service_alarm(self._book.of(tx, id)):
            self._book.clear(tx, alarm)

    async def restore(self) -> int:
        """Drop the alarms that cannot be read, and raise again those of the same VNFs whose fault is on record; the answer is
        how many were dropped."""

        def work(tx: Transaction) -> int:
            lost = self._book.restore(tx)
            for vnf_id in sorted({one.vnf_id for one in lost}):
                self._again(tx, vnf_id)
            self._book.remember(tx, lost)
            self._book.rebuilt(tx, {(one.tenant, Scope(one.scope)) for one in lost if one.scope != Scope.HOST})
            return len(lost)

        return await self._database.write(work)

    async def rebuild(self, tenant: str) -> None:
        """Raise the alarms of a tenant that are missing, clear those that are over, and say that the lists are new."""
        down = {one.id for one in indicators.walk(self._database) if is_down(one.values.get(SERVICE))}
        vnfs = aggregates.vnf_instances.walk(self._database)
        ids = [vnf.id for vnf in vnfs if vnf.tenant == tenant and (vnf.id in down or failed_vnfcs(vnf.resources))]

        def work(tx: Transaction) -> None:
            for id in ids:
                self._again(tx, id)
            self._settle(tx)
            self._book.rebuilt(tx, ((tenant, Scope.VNF), (tenant, Scope.NS)))

        await self._database.write(work)

    def _again(self, tx: Transaction, id: str) -> None:
        """Raise every alarm of a VNF that its record and its indicators ask for and that does not stand."""
        vnf = aggregates.vnf_instances.find(tx, id)
        if vnf is None:
            return
        known = {alarm.faulty.key for alarm in self._book.of(tx, id) if alarm.standing}
        last = none_works(vnf)
        for key, resource in vnf.resources.items():
            if resource.kind == "compute" and resource.state is ResourceState.FAILED and key not in known:
                self.report(tx, vnf, resource, cause_on_record(last=last))
        if SERVICE not in known and (told := indicators.find(tx, id)):
            self.service(tx, id, told.values.get(SERVICE))

    @staticmethod
    def told(events: Iterable[Event]) -> set[str]:
        """The instances on which an operation has just ended, or that are gone: their alarms may be over."""
        return {
            event.subject
            for event in events
            if (event.kind == "operation" and event.state in _FINAL)
            or (event.kind == "resource" and event.name == "vnf" and event.state == "DELETED")
        }

    async def settle(self) -> int:
        """Clear every alarm whose VNFC is well again or gone from the records; the answer is how many."""
        return await self._database.write(self._settle)

    def _settle(self, tx: Transaction) -> int:
        over = [alarm for alarm in self._book.roots(tx) if not _broken(tx, alarm)]
        for alarm in over:
            self._book.clear(tx, alarm)
        for id in {alarm.managed_object for alarm in over}:
            self.level(tx, aggregates.vnf_instances.find(tx, id))
        return len(over)

    def level(self, tx: Transaction, vnf: VnfInstance | None) -> None:
        """The faults of a VNF are critical while nothing of it works, and major when something does."""
        if vnf is not None:
            self._book.level(tx, vnf.id, Severity.CRITICAL if none_works(vnf) else Severity.MAJOR)


def _broken(tx: Transaction, alarm: Alarm) -> bool:
    """Whether a fault lasts. While an operation is at work nobody knows: what it replaces is not there for a moment."""
    if journal.holder(tx, alarm.managed_object):
        return True
    vnf = aggregates.vnf_instances.find(tx, alarm.managed_object)
    if alarm.faulty.key == SERVICE:
        told = indicators.find(tx, alarm.managed_object)
        return vnf is not None and _serves(vnf) and told is not None and is_down(told.values.get(SERVICE))
    if vnf is None or vnf.instantiation_state is not InstantiationState.INSTANTIATED:
        return False
    resource = vnf.resources.get(alarm.faulty.key)
    if resource is None:  # it was removed on purpose, or a healing that was given up did not bring it back
        return vnf.failed
    return resource.state is not ResourceState.PRESENT


def _above(tx: Transaction, ns_id: str) -> tuple[tuple[str, str], ...]:
    """The NSs that an NS is nested in, however deep, each with the one directly inside it."""
    found: dict[str, str] = {}
    inner = [ns_id] if ns_id else []
    while inner:
        ns = aggregates.ns_instances.find(tx, inner.pop())
        outer = [id for id in (ns.users if ns else ()) if id not in found and id != ns_id]
        found |= dict.fromkeys(outer, ns.id if ns else "")
        inner += outer
    return tuple(found.items())


def _serves(vnf: VnfInstance) -> bool:
    """Whether the VNF is meant to run."""
    return vnf.instantiation_state is InstantiationState.INSTANTIATED and vnf.vnf_state is VnfOperationalState.STARTED
