"""Hands events to whoever listens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from skerry.model.time import Clock, stamp
from skerry.vim.driver import VimEvent


class News:
    """Events of one driver: each listener gets every event from the moment on at which it began to listen."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._listeners: set[asyncio.Queue[VimEvent | None]] = set()

    def tell(self, kind: str, name: str, action: str, exit_code: int | None = None) -> None:
        """Something happened now."""
        event = VimEvent(kind=kind, name=name, action=action, time=stamp(self._clock.now()), exit_code=exit_code)
        for listener in self._listeners:
            listener.put_nowait(event)

    def listen(self) -> AsyncIterator[VimEvent]:
        """Every event from this call on, until `end`."""
        queue: asyncio.Queue[VimEvent | None] = asyncio.Queue()
        self._listeners.add(queue)
        return self._from(queue)

    async def _from(self, queue: asyncio.Queue[VimEvent | None]) -> AsyncIterator[VimEvent]:
        try:
            while event := await queue.get():
                yield event
        finally:
            self._listeners.discard(queue)

    def end(self) -> None:
        """Tell every listener that no more comes."""
        for listener in self._listeners:
            listener.put_nowait(None)
