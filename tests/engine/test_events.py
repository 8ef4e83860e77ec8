"""Following the event log: each event once, in order, whether it comes from the store or from memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest

from skerry.engine.clock import SystemClock
from skerry.engine.events import MOST_PENDING, EventLog
from skerry.model.operations import Event
from skerry.store.database import Database, Transaction


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "skerry.db")
    opened.open()
    yield opened
    opened.close()


async def say(database: Database, log: EventLog, *kinds: str) -> None:
    def work(tx: Transaction) -> None:
        for kind in kinds:
            log.add(tx, kind)

    await database.write(work)


async def collect(batches: AsyncIterator[Sequence[Event]], count: int) -> list[int]:
    found: list[int] = []
    async with asyncio.timeout(30):
        async for batch in batches:
            found += [event.seq for event in batch]
            if len(found) >= count:
                break
    return found


async def test_a_follower_has_every_event_once_whether_it_came_before_or_comes_now(database: Database) -> None:
    log = EventLog(database, SystemClock())
    await say(database, log, "a", "b")
    following = asyncio.ensure_future(collect(log.follow(0), 6))
    await asyncio.sleep(0)
    await asyncio.gather(say(database, log, "c"), say(database, log, "d", "e"))
    await say(database, log, "f")
    assert await following == [1, 2, 3, 4, 5, 6]


async def test_a_follower_sees_only_the_kind_that_it_wants(database: Database) -> None:
    log = EventLog(database, SystemClock())
    await say(database, log, "a", "b", "a")
    following = asyncio.ensure_future(collect(log.follow(1, kind="a"), 2))
    await asyncio.sleep(0)
    await say(database, log, "b")
    await say(database, log, "b", "a")
    assert await following == [3, 6]


async def test_a_follower_that_falls_behind_reads_the_store_again(database: Database) -> None:
    log = EventLog(database, SystemClock())
    batches = log.follow(0)
    await say(database, log, "a")
    assert [event.seq for event in await anext(batches)] == [1]
    waiting = asyncio.ensure_future(anext(batches))
    await asyncio.sleep(0)
    await say(database, log, "a")
    assert [event.seq for event in await waiting] == [2]
    for _ in range(4):
        await say(database, log, *["a"] * (MOST_PENDING // 2))
    rest = await collect(batches, 2 * MOST_PENDING)
    assert rest == list(range(3, 2 * MOST_PENDING + 3))
