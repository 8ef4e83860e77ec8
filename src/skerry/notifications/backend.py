"""Connections of httpcore that go only where the policy allows: the address is chosen and judged at the moment of
connecting, and is the one that is connected to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import httpcore

from skerry.notifications import targets


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """TCP to judged addresses; nothing else."""

    def __init__(self, policy: targets.Policy, resolve: targets.Resolve) -> None:
        self._policy = policy
        self._resolve = resolve
        self._inner = cast("httpcore.AsyncNetworkBackend", httpcore.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - as httpcore has it
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the address that was judged."""
        address = await targets.choose(host, port, self._policy, self._resolve)
        return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        """Between httpcore's own tries."""
        await self._inner.sleep(seconds)
