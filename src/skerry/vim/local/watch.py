"""Learns of the end of processes from the kernel: a pidfd becomes readable, nothing is polled."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from skerry.vim.local import supervise
from skerry.vim.local.records import Process


class Exits:
    """Calls back once when a watched process has ended. Works for processes of an earlier Skerry, too."""

    def __init__(self) -> None:
        self._descriptors: dict[str, int] = {}

    def watch(self, key: str, process: Process, ended: Callable[[], None]) -> None:
        """Call `ended` in the event loop when exactly this process is gone, at once if it is already."""
        self.forget(key)
        loop = asyncio.get_running_loop()
        descriptor = supervise.descriptor(process)
        if descriptor is None:
            loop.call_soon(ended)
            return

        def readable() -> None:
            self.forget(key)
            ended()

        self._descriptors[key] = descriptor
        loop.add_reader(descriptor, readable)

    def forget(self, key: str) -> None:
        """Stop watching."""
        descriptor = self._descriptors.pop(key, None)
        if descriptor is not None:
            asyncio.get_running_loop().remove_reader(descriptor)
            os.close(descriptor)

    def close(self) -> None:
        """Stop watching everything."""
        for key in list(self._descriptors):
            self.forget(key)


async def ended(process: Process | None, timeout_s: float) -> bool:
    """Wait until a process is gone; False when it is still there after `timeout_s`."""
    descriptor = supervise.descriptor(process) if process else None
    if descriptor is None:
        return True
    loop, gone = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, gone.set)
    try:
        await asyncio.wait_for(gone.wait(), timeout_s)
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
    return True
