"""Fetching archives: what somebody answers is bounded in size and in time."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from skerry.errors import TooLargeError, UnavailableError
from skerry.model.notifications import Authentication
from skerry.nfvo.fetch import Fetcher
from skerry.notifications.targets import Policy


async def dripping(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A server that is never silent and never done."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    try:
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)
    except ConnectionError:
        writer.close()


@pytest.mark.feature("A25")
@pytest.mark.parametrize(("limit", "error"), [(10, TooLargeError), (1 << 20, UnavailableError)])
async def test_an_archive_that_never_ends_is_given_up(tmp_path: Path, limit: int, error: type[Exception]) -> None:
    server = await asyncio.start_server(dripping, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    fetcher = Fetcher(Policy(loopback=True), ssl.create_default_context, limit, longest_s=0.5)
    with pytest.raises(error):
        await asyncio.wait_for(
            fetcher.fetch(f"http://127.0.0.1:{port}/a.zip", tmp_path / "a.zip", Authentication()), 5.0
        )
    server.close()
