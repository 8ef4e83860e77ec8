"""What every test of the suite uses: an open driver, short ways to make things, and waiting with a limit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from skerry.vim import catalogue
from skerry.vim.driver import (
    Compute,
    ComputeSpec,
    ComputeState,
    Driver,
    ExecResult,
    Network,
    NetworkSpec,
    NicSpec,
    VimEvent,
)
from tests.conformance.rigs import Rig

FOREVER = ("sleep", "100000")
OWNER = "owner-1"


class Bench:
    """`driver` is open and has the image `image`."""

    def __init__(self, rig: Rig, node: str, make: Callable[[], Driver]) -> None:
        self.rig, self.node, self._make = rig, node, make
        self.driver: Any = make()
        self.image = ""

    async def open(self) -> None:
        await self.driver.open()
        self.image = (await self.driver.ensure_image(self.rig.image())).name

    async def reopen(self) -> None:
        """A new driver object on the same node, as after a restart of Skerry."""
        await self.driver.close()
        self.driver = self._make()
        await self.driver.open()

    def need(self, ability: str) -> None:
        if ability not in catalogue.abilities(self.driver):
            pytest.skip(f"the driver {self.driver.type} has no {ability}")

    def name(self, name: str) -> str:
        return f"{self.node}-{name}"

    async def network(self, name: str = "net", **changes: Any) -> Network:
        network: Network = await self.driver.create_network(
            NetworkSpec(**{"name": self.name(name), "owner": OWNER, **changes})
        )
        return network

    def spec(self, name: str = "a", *, on: tuple[Network, ...] = (), **changes: Any) -> ComputeSpec:
        if not self.rig.programs and changes.keys() & {"command", "memory_bytes", "vcpus", "restart"}:
            pytest.skip(f"the driver {self.driver.type} runs no commands")
        nics = tuple(NicSpec(network=network.name) for network in on)
        given = {"name": self.name(name), "owner": OWNER, "image": self.image, "command": FOREVER, "nics": nics}
        return ComputeSpec(**{"grace_s": 0.2, **given, **changes})

    async def create(self, name: str = "a", **changes: Any) -> Compute:
        compute: Compute = await self.driver.create_compute(self.spec(name, **changes))
        return compute

    async def run(self, name: str = "a", **changes: Any) -> Compute:
        """Create and start."""
        await self.create(name, **changes)
        compute: Compute = await self.driver.start_compute(self.name(name))
        return compute

    async def ask(self, name: str, *argv: str, **options: Any) -> ExecResult:
        result: ExecResult = await self.driver.exec(self.name(name), argv, **options)
        return result

    async def read(self, name: str, path: str) -> str:
        """A file as the instance sees it."""
        result = await self.ask(name, "cat", path)
        assert result.exit_code == 0, result.stderr
        return result.stdout.decode()

    async def state(self, name: str = "a") -> ComputeState:
        compute: Compute = await self.driver.get_compute(self.name(name))
        return compute.state

    async def reaches(self, state: ComputeState, name: str = "a") -> Compute:
        """Wait until the instance is in a state."""

        async def there() -> bool:
            return await self.state(name) is state

        await eventually(there)
        compute: Compute = await self.driver.get_compute(self.name(name))
        return compute

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[list[VimEvent]]:
        """Events as they come in, from a moment at which the stream is known to work."""
        seen: list[VimEvent] = []

        async def collect() -> None:
            async for event in self.driver.events():
                seen.append(event)  # noqa: PERF401 - read while it grows

        collecting = asyncio.ensure_future(collect())
        try:
            for attempt in range(50):
                await self.create(f"mark{attempt}")
                await self.driver.delete_compute(self.name(f"mark{attempt}"))
                await asyncio.sleep(0.05)
                if seen:
                    break
            assert seen, "the stream of events brings nothing"
            yield seen
        finally:
            collecting.cancel()
            await asyncio.wait([collecting])

    async def clear(self) -> None:
        """Delete all instances and networks of this node."""
        for compute in await self.driver.list_compute():
            await self.driver.delete_compute(compute.name)
        for network in await self.driver.list_networks():
            await self.driver.delete_network(network.name)


async def eventually(check: Callable[[], Awaitable[bool]], limit_s: float = 10.0) -> None:
    """Wait until the check is true; fail at the limit."""
    async with asyncio.timeout(limit_s):
        while not await check():
            await asyncio.sleep(0.02)
