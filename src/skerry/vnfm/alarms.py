"""When alarms of VNFs are over: the VNFC is well again or gone from the records, or the service is up, whoever mended it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from skerry.model.alarms import Alarm, Cause, Faulty
from skerry.model.operations import Event
from skerry.model.resources import Resource, ResourceState
from skerry.model.states import FINAL, InstantiationState, VnfOperationalState
from skerry.model.vnf import VnfInstance
from skerry.policy.alarms import AlarmBook
from skerry.policy.faults import SERVICE_IS_DOWN
from skerry.policy.recovery import SERVICE, is_down, service_alarm
from skerry.store import aggregates
from skerry.store.database import Database, Transaction
from skerry.store.indicators import indicators

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
        )
        self._book.report(tx, faulty, cause)

    def service(self, tx: Transaction, id: str, value: Any) -> None:
        """Somebody told the state of a VNF's service: raise or clear its alarm."""
        vnf = aggregates.vnf_instances.find(tx, id)
        if vnf is not None and is_down(value) and _serves(vnf):
            faulty = Faulty(vnf_id=id, key=SERVICE, tenant=vnf.tenant, ns_id=vnf.ns_id)
            self._book.report(tx, faulty, SERVICE_IS_DOWN)
        elif alarm := service_alarm(self._book.of(tx, id)):
            self._book.clear(tx, alarm)

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
        return len(over)


def _broken(tx: Transaction, alarm: Alarm) -> bool:
    vnf = aggregates.vnf_instances.find(tx, alarm.managed_object)
    if alarm.faulty.key == SERVICE:
        told = indicators.find(tx, alarm.managed_object)
        return vnf is not None and _serves(vnf) and told is not None and is_down(told.values.get(SERVICE))
    resource = vnf.resources.get(alarm.faulty.key) if vnf else None
    return resource is not None and resource.state is ResourceState.FAILED


def _serves(vnf: VnfInstance) -> bool:
    """Whether the VNF is meant to run."""
    return vnf.instantiation_state is InstantiationState.INSTANTIATED and vnf.vnf_state is VnfOperationalState.STARTED
