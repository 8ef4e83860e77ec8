"""Alarms: raised when a VNFC is found broken, cleared when it is well again, whoever mended it."""

from __future__ import annotations

from collections.abc import Iterable

from skerry.engine.events import EventLog
from skerry.model.operations import Event
from skerry.model.resources import ResourceState
from skerry.model.states import FINAL
from skerry.store import aggregates, journal
from skerry.store.database import Database, Transaction

RAISED, CLEARED = "RAISED", "CLEARED"
_FINAL = frozenset(state.value for state in FINAL)


def open_alarms(events: Iterable[Event]) -> dict[tuple[str, str], Event]:
    """What was raised and not cleared, by instance and resource. Pure."""
    found: dict[tuple[str, str], Event] = {}
    for event in events:
        if event.state == RAISED:
            found[event.subject, event.name] = event
        else:
            found.pop((event.subject, event.name), None)
    return found


class Alarms:
    """The alarms of one node."""

    def __init__(self, database: Database, events: EventLog) -> None:
        self._database = database
        self._events = events

    def raised(self) -> list[Event]:
        """The alarms that stand, oldest first."""
        return list(open_alarms(journal.of_kind(self._database, "alarm")).values())

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
        over = [event for event in open_alarms(journal.of_kind(tx, "alarm")).values() if not _broken(tx, event)]
        for event in over:
            self._events.add(
                tx, "alarm", subject=event.subject, name=event.name, state=CLEARED, detail=f"{event.name} is well again"
            )
        return len(over)


def _broken(tx: Transaction, event: Event) -> bool:
    vnf = aggregates.vnf_instances.find(tx, event.subject)
    resource = vnf.resources.get(event.name) if vnf else None
    return resource is not None and resource.state is ResourceState.FAILED
