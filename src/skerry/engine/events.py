"""The node's event log: appended in the transaction of what it tells, followed without polling."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from skerry.model.operations import Event, Operation
from skerry.model.time import Clock, stamp
from skerry.store import journal
from skerry.store.database import Database, Transaction


class EventLog:
    """Appends to and follows the log of one node."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._followers: set[asyncio.Event] = set()
        self._newest = 0  # as far as this process announced; 0 before the first
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
        news = asyncio.Event()
        self._followers.add(news)
        try:
            while True:
                news.clear()
                newest = self._newest
                # Who has everything that was announced need not look.
                batch = (
                    self.since(seq, subject=subject, operation=operation, kind=kind) if not 0 < newest <= seq else []
                )
                if batch:
                    seq = batch[-1].seq
                    yield batch
                else:
                    seq = max(seq, newest)
                    await news.wait()
        finally:
            self._followers.discard(news)

    def _wake(self, events: list[Event]) -> None:
        self._newest = max(self._newest, events[-1].seq)
        for follower in self._followers:
            follower.set()
