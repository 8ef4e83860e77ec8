"""A process to be killed: captures and delivers from the store that it is given until then."""

from __future__ import annotations

import asyncio
import sys

from skerry.engine.clock import RandomIds, SystemClock
from skerry.notifications.http import HttpSender
from skerry.notifications.targets import Policy
from tests.notifications.bench import Bench


async def main(path: str, uri: str) -> None:
    sender = HttpSender(Policy(loopback=True), SystemClock())
    bench = Bench(SystemClock(), RandomIds(), path=path, sender=sender)
    await bench.start()
    if not bench.service.subscriptions("vnflcm", tenant="t"):
        await bench.subscribe(uri)
    begin = bench.events.last()
    for number in range(begin, begin + 100_000):
        await bench.create(f"{number:06}")
        sys.stdout.write(f"{number:06}\n")
        sys.stdout.flush()
        await asyncio.sleep(0.001)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
