"""HTTP/1.1 requests on connections of our own: each goes to an address that `targets` judged at the moment of connecting.

A general client resolves names by itself, follows redirects and proxies, and costs more than the rest of a delivery;
here h11 speaks the protocol, and nothing happens that is not asked for.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

import h11

from skerry.errors import UnavailableError

MOST_BYTES = 64 * 1024
KEPT = 64  # connections without work that stay open
KEPT_S = 15.0

Choose = Callable[[str, int], Awaitable[str]]
"""The address to connect to for a host and port."""


class Answer(NamedTuple):
    """What came back. The body is cut off at the limit."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _StaleError(Exception):
    """A kept connection was closed by the other side before it answered."""


class _Connection:
    """One connection to one origin."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, most: int) -> None:
        self.most = most
        self.reader = reader
        self.writer = writer
        self.protocol = h11.Connection(h11.CLIENT)
        self.used = False
        self.idle_since = 0.0
        self._received = 0  # bytes of one answer

    async def exchange(self, request: h11.Request, body: bytes) -> Answer:
        """One request and its answer."""
        parts = [self.protocol.send(request)]
        if body:
            parts.append(self.protocol.send(h11.Data(data=body)))
        parts.append(self.protocol.send(h11.EndOfMessage()))
        self.writer.write(b"".join(part for part in parts if part))
        self._received = 0
        answer = await self._answer()
        self.used = True
        return answer

    async def _answer(self) -> Answer:
        status, headers, size = 0, dict[str, str](), 0
        parts: list[bytes] = []
        while True:
            event = self.protocol.next_event()
            if event is h11.NEED_DATA:
                await self._more(begun=bool(status))
            elif isinstance(event, h11.Response):
                status = event.status_code
                headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in event.headers}
            elif isinstance(event, h11.Data):
                parts.append(bytes(event.data))
                size += len(event.data)
            if isinstance(event, h11.EndOfMessage) or size > self.most:
                return Answer(status, headers, b"".join(parts)[: self.most])
            if isinstance(event, h11.ConnectionClosed):
                raise h11.RemoteProtocolError("the connection ended too early")

    async def _more(self, *, begun: bool) -> None:
        try:
            data = await self.reader.read(MOST_BYTES)
        except ConnectionError:
            if self.used and not begun:
                raise _StaleError from None
            raise
        if not data and self.used and not begun:
            raise _StaleError
        self._received += len(data)
        if self._received > 4 * self.most:  # with heads, announcements of an answer (1xx) and the framing of pieces
            raise h11.RemoteProtocolError("its answer does not end")
        self.protocol.receive_data(data)

    def reusable(self) -> bool:
        """Make ready for the next request, if both sides agree."""
        done = self.protocol.our_state is h11.DONE and self.protocol.their_state is h11.DONE
        if not done or self.reader.at_eof() or self.writer.is_closing():
            return False
        self.protocol.start_next_cycle()
        return True

    def close(self) -> None:
        self.writer.close()


class Wire:
    """Makes requests; keeps some connections for the next ones. `ssl_context` is made with the first https address."""

    def __init__(self, choose: Choose, ssl_context: Callable[[], ssl.SSLContext], most_bytes: int = MOST_BYTES) -> None:
        self._most = most_bytes
        self._choose = choose
        self._make_context = ssl_context
        self._context: ssl.SSLContext | None = None
        self._kept: dict[tuple[str, str, int], list[_Connection]] = {}
        self._count = 0

    async def exchange(
        self, method: str, uri: str, headers: Mapping[str, str], body: bytes, timeout_s: float
    ) -> Answer:
        """One request and its answer. `UnavailableError` tells what went wrong; the errors of `choose` pass."""
        parts = urlsplit(uri)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme.lower() == "https" else 80)
        try:
            async with asyncio.timeout(timeout_s):
                return await self._exchange(
                    (parts.scheme.lower(), host, port), _request(method, parts, headers, body), body
                )
        except TimeoutError as error:
            raise UnavailableError(f"cannot reach {host}: no answer within {timeout_s:g} s") from error
        except (OSError, h11.RemoteProtocolError) as error:
            raise UnavailableError(f"cannot reach {host}: {_reason(error)}") from error

    async def close(self) -> None:
        """Close what is kept."""
        for connections in self._kept.values():
            for connection in connections:
                connection.close()
                with suppress(OSError):
                    await connection.writer.wait_closed()
        self._kept.clear()
        self._count = 0

    async def _exchange(self, origin: tuple[str, str, int], request: h11.Request, body: bytes) -> Answer:
        while True:
            connection = self._take(origin) or await self._connect(origin)
            try:
                answer = await connection.exchange(request, body)
            except _StaleError:  # another kept one, or at last a new one
                connection.close()
                continue
            except BaseException:
                connection.close()
                raise
            self._keep(origin, connection)
            return answer

    async def _connect(self, origin: tuple[str, str, int]) -> _Connection:
        scheme, host, port = origin
        address = await self._choose(host, port)
        if scheme != "https":
            return _Connection(*await asyncio.open_connection(address, port), self._most)
        self._context = self._context or self._make_context()
        opened = await asyncio.open_connection(address, port, ssl=self._context, server_hostname=host)
        return _Connection(*opened, self._most)

    def _take(self, origin: tuple[str, str, int]) -> _Connection | None:
        kept = self._kept.get(origin, [])
        now = asyncio.get_running_loop().time()
        while kept:
            connection = kept.pop()
            self._count -= 1
            if not kept:
                del self._kept[origin]
            if now - connection.idle_since < KEPT_S and not connection.reader.at_eof():
                return connection
            connection.close()
        return None

    def _keep(self, origin: tuple[str, str, int], connection: _Connection) -> None:
        if not connection.reusable():
            connection.close()
            return
        if self._count >= KEPT:
            oldest = next(iter(self._kept))
            if stale := self._kept[oldest]:
                stale.pop(0).close()
                self._count -= 1
            if not self._kept[oldest]:
                del self._kept[oldest]
        connection.idle_since = asyncio.get_running_loop().time()
        self._kept.setdefault(origin, []).append(connection)
        self._count += 1


def _request(method: str, parts: SplitResult, headers: Mapping[str, str], body: bytes) -> h11.Request:
    own = {"Host": parts.netloc, "User-Agent": "skerry", **headers}
    if body or method == "POST":
        own["Content-Length"] = str(len(body))
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return h11.Request(method=method, target=target, headers=list(own.items()))


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__)[:200]
