"""Makes a name lead to itself and diverts the traffic of its users, for some seconds."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import suppress

from started import start

from skerry.mecapp import PlatformError
from skerry.model.mec import TrafficFilter

ME = "10.0.0.9"


async def main(seconds: float) -> None:
    async with await start("steering") as app:
        name = await app.answer("video.example.com", ME, ttl=10)
        print(f"{name.domain_name} leads to {name.ip_address}: {name.state}", flush=True)
        users = TrafficFilter(src_address=("10.45.0.0/16",), dst_port=("80",), protocol=("TCP",))
        try:
            rule = await app.divert("users", users, to=ME)
            print(f"traffic of users: {rule.state}", flush=True)
        except PlatformError as error:
            print(f"traffic of users: {error.detail}", flush=True)
        over = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
        with suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), seconds)
        await app.answer("video.example.com", ME, ttl=10, active=False)
        await app.deregister()


asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else 60))
