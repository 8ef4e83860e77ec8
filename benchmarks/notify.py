"""What notifications cost: one change told to 1,000 subscribers over HTTP, from the commit to the last arrival.

The store is on disk and synced; the subscribers are real sockets on loopback in this process, so that the figure holds
their share, too. Every subscriber has a filter, and one of ten wants something else.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.figures import Figure, Scale, median, rounded
from skerry.engine.clock import RandomIds, SystemClock
from skerry.engine.events import EventLog
from skerry.notifications.http import HttpSender
from skerry.notifications.service import Notifications, Rules
from skerry.notifications.targets import Policy
from skerry.store.database import Database

FIGURES: Mapping[str, Figure] = {
    "notify.fanout_s": Figure("1,000 subscribers are notified of one change", 2),
    "notify.per_s": Figure("notifications a second of many changes to the same 1,000"),
}
SUBSCRIBERS, CHANGES, PORTS = 1000, 5, 20
WISH = {"vnfInstanceSubscriptionFilter": {"vnfdIds": ["vnfd"]}}
OTHER = {"vnfInstanceSubscriptionFilter": {"vnfdIds": ["another"]}}
Say = Callable[[str], None]


class Arrivals(asyncio.Protocol):
    """Answers every complete request with 204 and counts the POSTs."""

    def __init__(self, count: Callable[[], None]) -> None:
        self._count = count
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0] or b"0")
            if len(self._buffer) < end + 4 + length:
                return
            self._buffer = self._buffer[end + 4 + length :]
            assert isinstance(self._transport, asyncio.WriteTransport)
            self._transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            if head.startswith(b"post"):
                self._count()


class Stage:
    """The service, its subscribers, and how many notifications arrived."""

    def __init__(self, folder: Path) -> None:
        clock = SystemClock()
        self.store = Database(folder / "notify.db")
        self.store.open()
        self.events = EventLog(self.store, clock)
        sender = HttpSender(Policy(loopback=True), clock)
        self.service = Notifications(self.store, self.events, clock, RandomIds(), sender, Rules(test=False))
        self.arrived = 0
        self._goal = 0
        self._there = asyncio.Event()

    def count(self) -> None:
        self.arrived += 1
        if self.arrived >= self._goal:
            self._there.set()

    async def subscribe(self) -> list[asyncio.Server]:
        loop = asyncio.get_running_loop()
        servers = [await loop.create_server(lambda: Arrivals(self.count), "127.0.0.1", 0) for _ in range(PORTS)]
        for number in range(SUBSCRIBERS + SUBSCRIBERS // 10):
            port = servers[number % PORTS].sockets[0].getsockname()[1]
            filter = OTHER if number % 11 == 10 else WISH
            uri = f"http://127.0.0.1:{port}/{number}"
            await self.service.subscribe("vnflcm", "2.3.0", uri, filter=filter, root="https://node:8443", tenant="t")
        return servers

    async def tell(self, changes: int) -> float:
        """Seconds from the first commit until everybody has all."""
        self._goal = self.arrived + changes * SUBSCRIBERS
        self._there.clear()
        begun = time.perf_counter()
        for number in range(changes):
            data = {"tenant": "t", "vnfdId": "vnfd", "vnfInstanceId": str(number)}
            await self.store.write(
                lambda tx, data=data: self.events.add(  # type: ignore[misc]
                    tx, "resource", subject=data["vnfInstanceId"], name="vnf", state="CREATED", data=data
                )
            )
        async with asyncio.timeout(120):
            await self._there.wait()
        return time.perf_counter() - begun


async def measure(scale: Scale, say: Say) -> dict[str, float]:
    """Every figure of `FIGURES`."""
    folder = Path(tempfile.mkdtemp(prefix="skbench", dir="/var/tmp"))
    try:
        stage = Stage(folder)
        await stage.service.start()
        servers = await stage.subscribe()
        say(f"{SUBSCRIBERS} subscribers")
        await stage.tell(1)  # connections and code are warm afterwards
        fanout = median([await stage.tell(1) for _ in range(scale.rounds)])
        rate = median([CHANGES * SUBSCRIBERS / await stage.tell(CHANGES) for _ in range(scale.bursts)])
        for server in servers:
            server.close()
        await stage.service.stop()
        stage.store.close()
        return rounded([("notify.fanout_s", fanout), ("notify.per_s", rate)])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
