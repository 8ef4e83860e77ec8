"""A lab for each test that asks for one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from skerry.dataplane.ovs import instance
from tests.dataplane.ovs.lab import Lab

MakeLab = Callable[..., Awaitable[Lab]]


@pytest.fixture
async def make_lab(tmp_path: Path) -> AsyncIterator[MakeLab]:
    """Makes labs; all are gone at the end."""
    lacks = instance.missing()
    if lacks:
        pytest.skip(lacks)
    async with AsyncExitStack() as stack:

        async def make(tag: str = "a", ports: int = 4) -> Lab:
            lab = Lab(tmp_path, tag, ports)
            stack.push_async_callback(lab.end)
            await lab.make()
            return lab

        yield make


@pytest.fixture
async def lab(make_lab: MakeLab) -> Lab:
    """A device with four ports."""
    return await make_lab()
