"""Waits for a quiet machine: the namespaces that the kernel still frees for the side before are not the next one's to pay."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

SAMPLE_S = 0.1
QUIET = 0.15


async def calm(limit_s: float) -> bool:
    """Return once the processors are hardly used, or after `limit_s`; False in that case."""
    deadline = time.monotonic() + limit_s
    before = used(_stat())
    while time.monotonic() < deadline:
        await asyncio.sleep(SAMPLE_S)
        now = used(_stat())
        busy, whole = now[0] - before[0], now[1] - before[1]
        if busy <= QUIET * whole:
            return True
        before = now
    return False


def _stat() -> str:
    return Path("/proc/stat").read_text()


def used(stat: str) -> tuple[int, int]:
    """Ticks of all processors out of /proc/stat: those that were used, and all."""
    ticks = [int(word) for word in stat.splitlines()[0].split()[1:]]
    whole = sum(ticks[:8])  # guests are in the user's ticks
    return whole - ticks[3] - ticks[4], whole
