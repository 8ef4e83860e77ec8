"""The node's event log: appended in the transaction of what it tells, followed without polling."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from skerry.model.operations import Event, Operation
from skerry.model.time import Clock, stamp
from skerry.store import journal
from skerry.store.database import Database, Transaction

MOST_PENDING = 1000  # events that wait in memory for one follower


class Follower:
    """Somebody who follows the log. Whoever has read all there is gets what comes from memory; who falls far behind reads
    the store again. `seq` is the last event that it has or does not want."""

    def __init__(self, seq: int, **wanted: str) -> None:
        self.seq = seq
        self.current = False
        self.pending: list[Event] = []
        self.news = asyncio.Event()
        self._wanted = [(name, value) for name, value in wanted.items() if value]

    def offer(self, events: Sequence[Event]) -> None:
        """These were committed."""
        if self.current:
            self.pending += [event for event in events if event.seq > self.seq and self._wants(event)]
            if len(self.pending) > MOST_PENDING:
                self.pending, self.current = [], False
            if self.current and not self.pending:
                self.seq = max(self.seq, events[-1].seq)
                return
        self.news.set()

    def _wants(self, event: Event) -> bool:
        return all(getattr(event, name) == value for name, value in self._wanted)

    def take(self) -> list[Event]:
        """What came since the last time."""
        batch, self.pending = self.pending, []
        self.seq = batch[-1].seq
        return batch


class EventLog:
    """Appends to and follows the log of one node."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._followers: set[Follower] = set()
        database.on_commit.append(self._wake)

    def add(self, tx: Transaction, kind: str, **fields: Any) -> None:
        """Append one event inside a transaction."""
        journal.announce(tx, Event(seq=0, time=stamp(self._clock.now()), kind=kind, **fields))

    async def say(
        self, kind: str, operation: Operation, name: str, state: str, detail: str, data: Mapping[str, Any]
    ) -> None:
        """Append one event about an operation in a transaction of its own."""
        await self._database.write(
            lambda tx: self.add(
                tx,
                kind,
                subject=operation.subject,
                operation=operation.id,
                name=name,
                state=state,
                detail=detail,
                data=data,
            )
        )

    def since(
        self, seq: int, *, subject: str = "", operation: str = "", kind: str = "", limit: int = 1000
    ) -> Sequence[Event]:
        """Events with a number over `seq`, oldest first."""
        return journal.events(self._database, seq, subject=subject, operation=operation, kind=kind, limit=limit)

    def last(self) -> int:
        """The newest number."""
        return journal.last_event(self._database)

    async def follow(
        self, seq: int, *, subject: str = "", operation: str = "", kind: str = ""
    ) -> AsyncIterator[Sequence[Event]]:
        """Batches of events over `seq`, as they are committed, without end."""
        follower = Follower(seq, subject=subject, operation=operation, kind=kind)
        self._followers.add(follower)
        try:
            while True:
                if follower.pending:
                    yield follower.take()
                elif follower.current:
                    follower.news.clear()
                    await follower.news.wait()
                elif batch := self.since(follower.seq, subject=subject, operation=operation, kind=kind):
                    follower.seq = batch[-1].seq
                    yield batch
                else:
                    # What is committed from here on is offered, since nothing happens in between.
                    follower.current = True
        finally:
            self._followers.discard(follower)

    def _wake(self, events: list[Event]) -> None:
        for follower in self._followers:
            follower.offer(events)
