"""Delivers what waits: at least once, in order for each resource, as many at once as is bearable.

A subscriber has a courier only while something waits for it. What was delivered is settled in the store; a crash between
the two repeats the last few. A subscriber that fails is tried again with growing pauses, then parked.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec

from skerry.engine.events import EventLog
from skerry.errors import MalformedError, UnavailableError
from skerry.model.notifications import Message, Progress, Subscription
from skerry.model.time import Clock, stamp
from skerry.notifications import backoff
from skerry.notifications.building import notification
from skerry.notifications.filters import matches
from skerry.notifications.sending import Outcome, Sender
from skerry.store import subscriptions as store
from skerry.store.database import Database, Transaction

log = logging.getLogger(__name__)

BATCH = 32  # what may be repeated after a crash, for each subscriber
LANES = 4  # resources that one subscriber is told of at the same time
REFUSALS = 3  # tries of a notification that the subscriber understands and refuses
AGAIN_S = 5.0

_encode = msgspec.json.Encoder().encode


@dataclass
class Line:
    """One subscriber in this process. `delivered` are the numbers over the position that have arrived already."""

    subscription: Subscription
    progress: Progress
    attempts: int = 0
    delivered: set[int] = field(default_factory=set[int])
    refusals: dict[int, int] = field(default_factory=dict[int, int])
    courier: asyncio.Task[None] | None = None
    news: asyncio.Event = field(default_factory=asyncio.Event)


class Delivery:
    """`slots` bounds the notifications that are under way at the same time; those of one tenant are three quarters at most, so
    that subscribers that let the node wait hold up no other tenant. `park_after_s`: how long trouble may last."""

    def __init__(
        self, database: Database, events: EventLog, clock: Clock, sender: Sender, *, slots: int, park_after_s: float
    ) -> None:
        self._database = database
        self._events = events
        self._clock = clock
        self._sender = sender
        self._slots = asyncio.Semaphore(slots)
        self._share = max(1, slots * 3 // 4)
        self._shares: dict[str, asyncio.Semaphore] = {}  # by tenant
        self._park_after_s = park_after_s
        self.lines: dict[str, Line] = {}
        self.apis: Counter[str] = Counter()  # how many subscribers each API has

    # -- who is served ------------------------------------------------------------------------------------------------

    def add(self, subscription: Subscription, progress: Progress) -> None:
        """Serve a subscriber from where it is."""
        line = self.lines[subscription.id] = Line(subscription, progress)
        self.apis[subscription.api] += 1
        self._begin(line)

    async def drop(self, id: str) -> None:
        """Serve it no more; what is under way is cut off."""
        line = self.lines.pop(id, None)
        if line is None:
            return
        self.apis[line.subscription.api] -= 1
        line.news.set()
        if line.courier:
            line.courier.cancel()
            await asyncio.wait({line.courier})

    async def stop(self) -> None:
        """Let go of everything; what was not settled is delivered after the next start."""
        for id in list(self.lines):
            await self.drop(id)

    def wake(self, messages: Sequence[Message]) -> None:
        """New notifications wait. Who wants none of them is past them at once."""
        for line in self.lines.values():
            if line.courier is None and not line.progress.parked_at:
                if any(self._concerns(line.subscription, message) for message in messages):
                    line.news.set()
                    self._begin(line)
                elif not line.subscription.pull:  # of one that fetches, older ones may wait
                    line.progress = msgspec.structs.replace(line.progress, position=messages[-1].number)

    async def resume(self, id: str) -> None:
        """Try a parked subscriber again, from where it was."""
        line = self.lines[id]
        if not line.progress.parked_at:
            return
        line.attempts = 0
        free = msgspec.structs.replace(line.progress, parked_at="", failing_since="", error="")
        await self._record(line, free, "RESUMED", "")
        self._begin(line)

    def _begin(self, line: Line) -> None:
        if line.courier is None and not line.progress.parked_at and not line.subscription.pull:
            line.courier = asyncio.get_running_loop().create_task(self._carry(line))
            line.courier.add_done_callback(_report)

    @staticmethod
    def _concerns(subscription: Subscription, message: Message) -> bool:
        if (message.api, message.tenant) != (subscription.api, subscription.tenant):
            return False
        return message.event > subscription.after and matches(subscription.filter, message)

    # -- one that fetches ---------------------------------------------------------------------------------------------

    async def fetch(self, id: str, after: int, wait_s: float) -> list[tuple[int, bytes]]:
        """What waits for a subscriber that fetches, with its numbers, at most a batch; everything up to number `after` has
        arrived there and is settled. Waits so long for something to come. `NotFoundError` when it is gone, `MalformedError`
        for a number that was never given: what comes later would count as arrived."""
        line = self._line(id)
        if after > (newest := max(store.newest_message(self._database), line.progress.position)):
            raise MalformedError(
                f"cannot settle up to notification {after}: the newest is {newest}",
                suggestion="name the number of the last one that arrived, or 0",
            )
        if after > line.progress.position:
            await self._record(line, msgspec.structs.replace(line.progress, position=after))
        until = self._clock.monotonic() + wait_s
        while True:
            line.news.clear()
            batch = self._next(self._line(id))
            left = until - self._clock.monotonic()
            if batch or left <= 0:
                return [(one.number, _encode(notification(one, line.subscription))) for one in batch]
            with suppress(TimeoutError):
                await asyncio.wait_for(line.news.wait(), left)

    def _line(self, id: str) -> Line:
        line = self.lines.get(id)
        if line is None:
            raise store.subscriptions.missing(id)
        return line

    def _next(self, line: Line) -> list[Message]:
        """The first messages that it wants; what it does not want before them is settled."""
        while batch := store.messages(self._database, line.subscription, line.progress.position, BATCH):
            if wanted := [one for one in batch if matches(line.subscription.filter, one)]:
                return wanted
            line.progress = msgspec.structs.replace(line.progress, position=batch[-1].number)
        return []

    # -- one subscriber -----------------------------------------------------------------------------------------------

    async def _carry(self, line: Line) -> None:
        """Deliver until nothing waits or the subscriber is parked. Nothing is held while it waits for the next try."""
        try:
            while not line.progress.parked_at:
                try:
                    pause = await self._round(line)
                except UnavailableError as error:
                    log.warning("notifications wait for the store: %s", error)
                    pause = AGAIN_S
                if pause is None:
                    return
                if pause:
                    await asyncio.sleep(pause)
        finally:
            line.courier = None

    async def _round(self, line: Line) -> float | None:
        """Try what waits once. The answer is how long to wait before the next try; None where nothing waits. Of what waits
        for a subscriber in trouble, little is read: there may be thousands of them."""
        most = LANES if line.progress.failing_since else BATCH
        batch = store.messages(self._database, line.subscription, line.progress.position, most)
        if not batch:
            return None
        waiting = [m for m in batch if m.number not in line.delivered and matches(line.subscription.filter, m)]
        trouble = await self._deliver(line, waiting)
        if trouble is None:
            line.attempts = 0
            done = msgspec.structs.replace(line.progress, position=batch[-1].number, failing_since="", error="")
            await self._record(line, done)
            return 0.0
        line.attempts += 1
        open = {message.number for message in waiting} - line.delivered
        position = max((m.number for m in batch if m.number < min(open)), default=line.progress.position)
        return await self._fail(line, position, trouble)

    async def _fail(self, line: Line, position: int, trouble: Outcome) -> float:
        """Record the trouble; park the subscriber, or say how long to wait for the next try."""
        now = self._clock.now()
        since = line.progress.failing_since or stamp(now)
        failing = msgspec.structs.replace(line.progress, position=position, failing_since=since, error=trouble.detail)
        if backoff.is_over(since, now, self._park_after_s):
            parked = msgspec.structs.replace(failing, parked_at=stamp(now))
            log.warning("subscriber of %s is parked: %s", line.subscription.id, trouble.detail)
            await self._record(line, parked, "PARKED", trouble.detail)
            return 0.0
        await self._record(line, failing)
        pause = backoff.delay(line.attempts, trouble.retry_after_s)
        return min(pause, backoff.until_over(since, now, self._park_after_s))

    async def _deliver(self, line: Line, waiting: Sequence[Message]) -> Outcome | None:
        """Send each resource's notifications one after the other, some resources side by side. The first trouble ends
        the round and is the answer."""
        resources: dict[str, list[Message]] = {}
        for message in waiting:
            resources.setdefault(message.resource, []).append(message)
        queue = list(reversed(resources.values()))
        troubles: list[Outcome] = []

        async def lane() -> None:
            while queue and not troubles:
                for message in queue.pop():
                    if troubles:
                        return
                    if trouble := await self._send(line, message):
                        troubles.append(trouble)

        ends = await asyncio.gather(*(lane() for _ in range(min(LANES, len(queue)))), return_exceptions=True)
        for end in ends:  # none of them is at work any more
            if end is not None:
                raise end
        return troubles[0] if troubles else None

    async def _send(self, line: Line, message: Message) -> Outcome | None:
        """Send one; trouble is the answer. One that the subscriber refuses again and again is given up."""
        body = _encode(notification(message, line.subscription))
        share = self._shares.setdefault(line.subscription.tenant, asyncio.Semaphore(self._share))
        async with share, self._slots:
            outcome = await self._sender.send(line.subscription, body)
        if not outcome.ok and outcome.refused:
            line.refusals[message.number] = line.refusals.get(message.number, 0) + 1
        if not outcome.ok and line.refusals.get(message.number, 0) < REFUSALS:
            return outcome
        if not outcome.ok:
            await self._say(line.subscription, "REFUSED", f"{message.type} {message.id}: {outcome.detail}")
        line.refusals.pop(message.number, None)
        line.delivered.add(message.number)
        return None

    # -- the record ---------------------------------------------------------------------------------------------------

    async def _record(self, line: Line, progress: Progress, state: str = "", detail: str = "") -> None:
        """Settle; `state` puts a line into the event log."""
        if progress == line.progress:
            return

        def work(tx: Transaction) -> None:
            store.put_progress(tx, [progress])
            if state:
                self._announce(tx, line.subscription, state, detail)

        await self._database.write(work)
        line.progress = progress
        line.delivered = {number for number in line.delivered if number > progress.position}

    async def _say(self, subscription: Subscription, state: str, detail: str) -> None:
        await self._database.write(lambda tx: self._announce(tx, subscription, state, detail))

    def _announce(self, tx: Transaction, subscription: Subscription, state: str, detail: str) -> None:
        data: dict[str, Any] = {"tenant": subscription.tenant, "callbackUri": subscription.callback_uri}
        self._events.add(
            tx, "subscription", subject=subscription.id, name=subscription.api, state=state, detail=detail, data=data
        )


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        log.error("a subscriber is notified no more until the next event", exc_info=error)
