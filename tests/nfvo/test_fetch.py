"""Fetching archives: what somebody answers is bounded in size and in time."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from pathlib import Path

import pytest

from skerry.errors import InvalidError, TooLargeError, UnavailableError
from skerry.model.notifications import Authentication
from skerry.nfvo.fetch import AT_ONCE, Fetcher
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


@pytest.mark.feature("A25")
async def test_archives_are_fetched_some_at_a_time(tmp_path: Path) -> None:
    there, most, go_on = 0, 0, asyncio.Event()

    async def holding(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal there, most
        there += 1
        most = max(most, there)
        if there == AT_ONCE:
            go_on.set()
        await reader.readuntil(b"\r\n\r\n")
        await go_on.wait()
        there -= 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(holding, "127.0.0.1", 0)
    uri = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/a"
    fetcher = Fetcher(Policy(loopback=True), ssl.create_default_context, 10)
    async with asyncio.timeout(30):
        sizes = await asyncio.gather(
            *(fetcher.fetch(uri, tmp_path / str(number), Authentication()) for number in range(3 * AT_ONCE))
        )
    assert (sizes, most) == ([1] * 3 * AT_ONCE, AT_ONCE)
    server.close()


async def test_archives_of_one_tenant_hold_up_no_other(tmp_path: Path) -> None:
    async def drip_or_serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if b"GET /good" not in await reader.readuntil(b"\r\n\r\n"):
            await dripping(reader, writer)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(drip_or_serve, "127.0.0.1", 0)
    uri = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    fetcher = Fetcher(Policy(loopback=True), ssl.create_default_context, 1 << 20)
    who = Authentication()
    slow = [
        asyncio.create_task(fetcher.fetch(f"{uri}/slow", tmp_path / str(number), who, tenant="red"))
        for number in range(10)
    ]
    async with asyncio.timeout(30):
        assert await fetcher.fetch(f"{uri}/good", tmp_path / "good", who, tenant="blue") == 1
    for task in slow:
        task.cancel()
    await asyncio.gather(*slow, return_exceptions=True)
    server.close()


@pytest.mark.parametrize(
    ("head", "piece", "why"),
    [
        (b"", b"HTTP/1.1 102 Wait\r\n\r\n" * 100, "again and again"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 1000, "too small pieces"),
    ],
)
async def test_an_answer_that_is_mostly_work_is_given_up(tmp_path: Path, head: bytes, piece: bytes, why: str) -> None:
    async def busy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(piece)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(busy, "127.0.0.1", 0)
    fetcher = Fetcher(Policy(loopback=True), ssl.create_default_context, 1 << 30)
    uri = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/a"
    with pytest.raises(UnavailableError, match=why):
        await asyncio.wait_for(fetcher.fetch(uri, tmp_path / "a", Authentication()), 60)
    server.close()


@pytest.mark.parametrize("uri", ["ftp://a/x", "http://10.0.0.1/x"])
async def test_what_cannot_be_fetched_is_not_told_of_as_a_subscriber(uri: str) -> None:
    with pytest.raises(InvalidError, match="cannot fetch from"):
        await Fetcher(Policy(), ssl.create_default_context, 10).judge(uri)
