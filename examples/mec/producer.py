"""Offers a service as long as it runs; takes it back when the platform announces the end."""

from __future__ import annotations

import asyncio
import signal

from started import start


async def main() -> None:
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, over.set)
    async with await start("producer") as app:
        service = await app.offer("greeting", "http://10.0.0.9:8080/hello", heartbeat_s=10)
        print(f"offering {service.ser_name} as {service.ser_instance_id}", flush=True)

        async def before_end(action: str, seconds: int) -> None:
            print(f"{action} in {seconds} s", flush=True)
            over.set()

        await app.before_end(before_end)
        await over.wait()
        await app.withdraw(service)
        await app.deregister()


asyncio.run(main())
