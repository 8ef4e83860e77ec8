"""Finds a service, waits for it where it is not there yet, and leaves when it is gone."""

from __future__ import annotations

import asyncio

from started import start

from skerry.model.mec import ServiceInfo


def where(service: ServiceInfo) -> str:
    """The address of a service."""
    endpoint = service.transport_info.endpoint if service.transport_info else None
    return endpoint.uris[0] if endpoint and endpoint.uris else "nowhere"


async def main() -> None:
    async with await start("consumer") as app:
        changes = app.watch(names=["greeting"])
        following = asyncio.ensure_future(anext(changes))
        for service in await app.discover(ser_name="greeting"):
            print(f"found {service.ser_name} at {where(service)}", flush=True)
        while True:
            change = await following
            print(f"{change.name}: {change.change}, {change.state}", flush=True)
            if change.change == "REMOVED":
                break
            following = asyncio.ensure_future(anext(changes))
        await changes.aclose()
        await app.deregister()


asyncio.run(main())
