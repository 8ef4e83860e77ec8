"""How a node speaks HTTP: what a parser in C would not refuse by itself."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

from tests.api.conftest import rig as rig  # noqa: PLC0414 - the fixture
from tests.api.rig import TOKEN, Rig
from tests.serving import served


async def exchanged(url: str, *parts: bytes) -> bytes:
    """Whatever comes back on one connection for these bytes, sent one after the other."""
    target = urlsplit(url)
    reader, writer = await asyncio.open_connection(target.hostname, target.port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.01)
    except ConnectionError:
        pass
    async with asyncio.timeout(5):
        answer = await reader.read(65536)
    writer.close()
    return answer


async def test_a_head_without_end_ends_the_connection(rig: Rig) -> None:
    async with served(rig) as url:
        endless = (b"X-Long: " + b"a" * 30_000 for _ in range(4))
        assert (await exchanged(url, b"GET /live HTTP/1.1\r\n", *endless)).startswith(b"HTTP/1.1 431 ")


async def test_large_bodies_and_many_requests_on_a_connection_are_no_large_heads(rig: Rig) -> None:
    async with served(rig) as url:
        body = b'{"appName": "' + b"a" * 200_000 + b'"}'
        head = (
            f"POST /mec_app_support/v1/registrations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode()
        for parts in ((head, body[:100_000], body[100_000:]), (head, body), (head + body,)):
            answer = await exchanged(url, *parts)
            assert answer.startswith(b"HTTP/1.1 400 "), "the name is too long; the request was read"
        one = b"GET /live HTTP/1.1\r\nHost: x\r\nX-Some: " + b"b" * 20_000 + b"\r\n\r\n"
        assert (await exchanged(url, *[one] * 10)).startswith(b"HTTP/1.1 200 ")


async def test_what_is_no_http_is_refused(rig: Rig) -> None:
    async with served(rig) as url:
        assert (await exchanged(url, b"\x16\x03\x01 nonsense\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
