"""How a node speaks HTTP: what a parser in C would not refuse by itself."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from skerry.api import openapi
from skerry.api.app import APIS
from skerry.connection import MOST_WAITING, Bounded
from skerry.errors import InvalidError
from skerry.settings import load
from tests.api.conftest import rig as rig  # noqa: PLC0414 - the fixture
from tests.api.rig import TOKEN, Rig, running
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


async def test_a_request_names_its_host_once(rig: Rig) -> None:
    async with served(rig) as url:
        one = b"GET /live HTTP/1.%d\r\n%b\r\n"
        host = b"Host: x\r\n"
        assert (await exchanged(url, one % (1, host))).startswith(b"HTTP/1.1 200 ")
        assert (await exchanged(url, one % (0, b""))).startswith(b"HTTP/1.1 200 ")
        for head in (one % (1, b""), one % (1, host + host), one % (0, host + host)):
            answer = await exchanged(url, head)
            assert answer.startswith(b"HTTP/1.1 400 ")
            assert b"application/problem+json" in answer


@pytest.mark.parametrize("piece", [b"a: " + b"b" * 1000 + b"\r\n", b"x" * 1000], ids=["trailer", "extension"])
async def test_what_follows_a_body_has_a_largest_size(rig: Rig, piece: bytes) -> None:
    head = b"POST /oauth2/token HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"
    async with served(rig) as url:
        target = urlsplit(url)
        reader, writer = await asyncio.open_connection(target.hostname, target.port)
        writer.write(head + (b"0\r\n" if piece.endswith(b"\r\n") else b"5;"))
        await reader.readuntil(b"\r\n\r\n")
        sent = 0
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(30):
                while sent < 20_000_000 and not reader.at_eof():
                    writer.write(piece * 100)
                    await writer.drain()
                    sent += len(piece) * 100
                    await asyncio.sleep(0)
        assert sent < 20_000_000
        writer.close()


async def test_requests_that_wait_on_one_connection_are_bounded_in_number(rig: Rig) -> None:
    one = b"GET /live HTTP/1.1\r\nHost: x\r\n%b\r\n"
    async with served(rig) as url:
        target = urlsplit(url)
        for number in (MOST_WAITING // 2, MOST_WAITING * 4):
            reader, writer = await asyncio.open_connection(target.hostname, target.port)
            writer.write(one % b"" * number + one % b"Connection: close\r\n")
            async with asyncio.timeout(30):
                answers = await reader.read(-1)
            writer.close()
            assert (b" 400 " in answers) == (number > MOST_WAITING)
            assert (answers.count(b"200 OK") == number + 1) == (number < MOST_WAITING)


async def test_who_goes_away_in_the_middle_is_no_defect(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    async with served(rig) as url:
        target = urlsplit(url)
        _, writer = await asyncio.open_connection(target.hostname, target.port)
        writer.write(
            b"POST /vnfpkgm/v2/vnf_packages HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: 100\r\nAuthorization: Bearer " + TOKEN.encode() + b"\r\n\r\n{"
        )
        await writer.drain()
        await asyncio.sleep(0.1)
        writer.close()
        async with asyncio.timeout(30):
            while not (told := [one for one in rig.node.engine.events.since(0) if one.kind == "audit"]):
                await asyncio.sleep(0.01)
    assert [one.state for one in told] == ["400"]
    assert not [line for line in caplog.records if line.levelname == "ERROR"]


class Hasty(Bounded):
    """Waits no longer than tests may take."""

    head_s = body_s = stall_s = 0.5


POST = b"POST /oauth2/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"


@pytest.mark.parametrize(
    ("begun", "answered"),
    [
        (b"", 0),
        (b"GET /live HTTP/1.1\r\n", 0),
        (b"GET /live HTTP/1.1\r\nHost: x\r\n\r\nGET /live", 1),
        (POST + b"Content-Length: 100\r\n\r\ngrant_type=", 0),
        (b"POST /vnflcm/v2/vnf_instances HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{", 1),
    ],
    ids=["nothing", "head", "second head", "body", "body of a refused request"],
)
async def test_who_lets_the_node_wait_is_cut_off(rig: Rig, begun: bytes, answered: int) -> None:
    async with served(rig, http=Hasty) as url:
        target = urlsplit(url)
        reader, writer = await asyncio.open_connection(target.hostname, target.port)
        writer.write(begun)
        async with asyncio.timeout(20):
            answers = await reader.read(-1)
        assert answers.count(b"HTTP/1.1 ") == answered
        writer.close()


class Impatient(Bounded):
    """Waits a little, and no longer."""

    stall_s = 2.0


async def test_who_reads_slowly_all_the_time_gets_the_whole_answer(rig: Rig) -> None:
    """The kernel takes much at once and then nothing for a while: that is no pause of the reader."""

    async def large(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % (8 << 20))]})
        for left in reversed(range(128)):
            await send({"type": "http.response.body", "body": bytes(1 << 16), "more_body": left > 0})

    async with served(rig, http=Impatient, app=large) as url:
        target = urlsplit(url)
        line = socket.socket()
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        line.connect((target.hostname, target.port))
        reader, writer = await asyncio.open_connection(sock=line, limit=1 << 14)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        got = 0
        begun = asyncio.get_running_loop().time()
        while asyncio.get_running_loop().time() < begun + 5:
            got += len(await reader.read(1 << 12))
            await asyncio.sleep(0.04)
        while part := await reader.read(1 << 16):
            got += len(part)
        assert got > 8 << 20
        writer.close()


class Patient(Bounded):
    """Waits much longer than between two bytes of the test, and not as long as for all of them."""

    body_s = 2.0


async def test_who_is_slow_but_there_is_served(rig: Rig) -> None:
    async with served(rig, http=Patient) as url:
        body = b"grant_type=client_credentials&client_id=a&client_secret=b"
        target = urlsplit(url)
        reader, writer = await asyncio.open_connection(target.hostname, target.port)
        writer.write(POST + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(body))
        for byte in body[:30]:
            writer.write(bytes([byte]))
            await asyncio.sleep(0.1)
        writer.write(body[30:])
        async with asyncio.timeout(20):
            assert (await reader.read(-1)).startswith(b"HTTP/1.1 401 ")
        writer.close()


class Untended(Bounded):
    """Looked after by the test alone."""

    made: ClassVar[list[Untended]] = []
    got = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.made.append(self)

    def data_received(self, data: bytes) -> None:
        self.got += len(data)
        super().data_received(data)

    def tend(self, now: float) -> None:
        """Nothing."""


async def test_who_waits_for_the_node_to_read_on_is_not_cut_off(rig: Rig) -> None:
    """The time in which the node itself does not read does not count."""
    begin = asyncio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await begin.wait()
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    other = Rig(rig.node, rig.client, rig.folder, Starlette(routes=[Mount("/", slow)]))
    async with served(other, http=Untended) as url, asyncio.timeout(60):
        target = urlsplit(url)
        reader, writer = await asyncio.open_connection(target.hostname, target.port)
        head, size = b"PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n", 0
        writer.write(head)
        while not Untended.made or not Untended.made[-1].flow.read_paused:
            writer.write(b"a" * 1000)
            size += 1000
            while not Untended.made or Untended.made[-1].got < len(head) + size:
                await asyncio.sleep(0)
        connection, now = Untended.made[-1], asyncio.get_running_loop().time()
        Bounded.tend(connection, now + 1000)
        begin.set()
        while connection.flow.read_paused:
            await asyncio.sleep(0)
        Bounded.tend(connection, now + 1001)
        writer.write(b"a" * (1_000_000 - size))
        assert (await reader.read(100)).startswith(b"HTTP/1.1 204 ")
        writer.close()


async def ask_forever(url: str) -> None:
    """Send requests and read no answer."""
    target = urlsplit(url)
    with socket.create_connection((target.hostname or "", target.port or 0)) as greedy:
        greedy.setblocking(False)
        while True:
            request = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
            await asyncio.get_running_loop().sock_sendall(greedy, request)
            await asyncio.sleep(0.05)


async def test_who_does_not_read_the_answer_is_cut_off(rig: Rig) -> None:
    async with served(rig, http=Hasty) as url:
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(ask_forever(url), 30)


async def test_an_address_that_a_caller_claims_does_not_dodge_its_limit(tmp_path: Path) -> None:
    form = {"grant_type": "client_credentials", "client_id": "a", "client_secret": "b"}
    async with (
        running(tmp_path, client_rate_per_s=0.01, client_burst=3.0) as rig,
        served(rig) as url,
        httpx.AsyncClient(base_url=url) as stranger,
    ):
        statuses: list[int] = []
        for number in range(6):
            claimed = {"X-Forwarded-For": f"192.0.2.{number}", "Forwarded": f"for=192.0.2.{number}"}
            statuses.append((await stranger.post("/oauth2/token", data=form, headers=claimed)).status_code)
        assert statuses == [401] * 3 + [429] * 3


async def test_what_a_proxy_of_the_node_says_counts(tmp_path: Path) -> None:
    form = {"grant_type": "client_credentials", "client_id": "a", "client_secret": "b"}
    async with (
        running(tmp_path, proxies=("127.0.0.0/8",), client_rate_per_s=0.01, client_burst=1.0) as rig,
        served(rig) as url,
        httpx.AsyncClient(base_url=url) as proxy,
    ):
        for number, status in ((1, 401), (2, 401), (1, 429)):
            said = {"X-Forwarded-For": f"192.0.2.{number}", "X-Forwarded-Proto": "https"}
            assert (await proxy.post("/oauth2/token", data=form, headers=said)).status_code == status
        said = {"X-Forwarded-Proto": "https", "Authorization": f"Bearer {TOKEN}"}
        made = await proxy.post("/vnfpkgm/v2/vnf_packages", json={}, headers=said)
        assert made.headers["location"].startswith("https://127.0.0.1:")
    with pytest.raises(InvalidError):
        load(None, {"SKERRY_PROXIES": "*"})


async def test_the_open_description_of_all_apis_is_made_once(rig: Rig) -> None:
    async with served(rig) as url, httpx.AsyncClient(base_url=url) as stranger:
        first = (await stranger.get("/openapi.json")).content
        begun = time.process_time()
        assert len(openapi.document(APIS)["paths"]) == len(json.loads(first)["paths"])
        making = time.process_time() - begun
        begun = time.process_time()
        for _ in range(20):
            assert (await stranger.get("/openapi.json")).content == first
        assert time.process_time() - begun < making * 20 / 3
