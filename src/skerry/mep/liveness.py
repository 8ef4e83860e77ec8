"""Signs of life of services (MEC 011 clause 8.2.10): who was not heard for a whole interval is told once.

The last sign is kept in memory: after a restart of the platform everybody has a whole interval again.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime

from skerry.errors import SkerryError
from skerry.model.time import Clock

log = logging.getLogger(__name__)

DEFAULT_S = 30
"""The interval where an application leaves it to the platform (livenessInterval 0)."""

GRACE = 1.25
"""How much later than the interval a sign may come, as a factor: networks and processors are late, too."""


AGAIN_S = 1.0


class _Watched:
    """One service: its interval, the latest second at which a sign must come, when the last one came."""

    __slots__ = ("due", "heard", "interval", "told")

    def __init__(self, interval: int, now: float, heard: datetime) -> None:
        self.interval = interval
        self.due = now + interval * GRACE
        self.heard = heard
        self.told = False


class Liveness:
    """Watches any number of services with one timer. `silent` is called once for each silence."""

    def __init__(self, clock: Clock, silent: Callable[[str], Awaitable[None]]) -> None:
        self._clock = clock
        self._silent = silent
        self._watched: dict[str, _Watched] = {}
        self._queue: list[tuple[float, str]] = []
        self._news = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Watch."""
        self._watching = asyncio.get_running_loop().create_task(self._watch())

    async def stop(self) -> None:
        """Watch no more."""
        if self._watching:
            self._watching.cancel()
            await asyncio.wait({self._watching})

    @staticmethod
    def interval(asked: int) -> int:
        """The interval in seconds that the platform decides on for one that is proposed."""
        return asked or DEFAULT_S

    def watch(self, id: str, interval: int) -> None:
        """Expect signs of a service from now on; one that is watched with this interval already goes on as it is."""
        known = self._watched.get(id)
        if known is not None and known.interval == interval:
            return
        watched = self._watched[id] = _Watched(interval, self._clock.monotonic(), self._clock.now())
        self._expect(id, watched)

    def forget(self, id: str) -> None:
        """Expect nothing any more."""
        self._watched.pop(id, None)

    def beat(self, id: str) -> None:
        """A sign came. Nothing happens for a service that is not watched."""
        if watched := self._watched.get(id):
            watched.heard = self._clock.now()
            watched.due = self._clock.monotonic() + watched.interval * GRACE
            if watched.told:
                watched.told = False
                self._expect(id, watched)

    def heard(self, id: str) -> datetime | None:
        """When the last sign came, or None for a service that is not watched."""
        watched = self._watched.get(id)
        return watched.heard if watched else None

    def _later(self, id: str) -> None:
        """What could not be told is told again, unless a sign comes before."""
        if watched := self._watched.get(id):
            watched.told = False
            watched.due = self._clock.monotonic() + AGAIN_S
            self._expect(id, watched)

    def _expect(self, id: str, watched: _Watched) -> None:
        heapq.heappush(self._queue, (watched.due, id))
        self._news.set()

    async def _watch(self) -> None:
        while True:
            self._news.clear()
            for id in self._overdue():
                try:
                    await self._silent(id)
                except SkerryError as error:
                    log.warning("cannot suspend the silent service %s yet: %s", id, error.detail)
                    self._later(id)
            wait = self._queue[0][0] - self._clock.monotonic() if self._queue else None
            try:
                await asyncio.wait_for(self._news.wait(), None if wait is None else max(0.0, wait))
            except TimeoutError:
                continue

    def _overdue(self) -> list[str]:
        """Those whose time is over; an entry of the queue that a later sign overtook goes back with its new time."""
        now = self._clock.monotonic()
        silent: list[str] = []
        while self._queue and self._queue[0][0] <= now:
            _, id = heapq.heappop(self._queue)
            watched = self._watched.get(id)
            if watched is None or watched.told:
                continue
            if watched.due > now:
                heapq.heappush(self._queue, (watched.due, id))
            else:
                watched.told = True
                silent.append(id)
        return silent
