"""A WebSocket as a client has it (RFC 6455): texts out, texts in."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    CloseConnection,
    Ping,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

_READ = 1 << 16
_PATIENCE_S = 10.0
_SECURE = ("wss", "https")


class NoWebSocketError(OSError):
    """The server answered something else. `status` is its HTTP status, 0 if it only closed."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the server answers {status or 'nothing'}")
        self.status = status


class Socket:
    """A connection. Whatever goes wrong with it is an `OSError`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._protocol = WSConnection(ConnectionType.CLIENT)

    @classmethod
    async def connect(
        cls, url: str, path: str, *, tls: ssl.SSLContext | None, headers: Sequence[tuple[bytes, bytes]] = ()
    ) -> Socket:
        """Connect to a path of the server of a URL (ws, wss, http, https), within ten seconds. `NoWebSocketError` where it
        refuses, `TimeoutError` where it does not answer."""
        server = urlsplit(url)
        port = server.port or (443 if server.scheme in _SECURE else 80)
        async with asyncio.timeout(_PATIENCE_S):
            made = cls(*await asyncio.open_connection(server.hostname, port, ssl=tls))
            try:
                made._write(Request(host=server.netloc, target=path, extra_headers=list(headers)))
                await made._handshake()
            except BaseException:
                await made.close()
                raise
        return made

    async def _handshake(self) -> None:
        refused = 0
        async for event in self._events():
            if isinstance(event, AcceptConnection):
                return
            if isinstance(event, RejectConnection):
                refused = event.status_code
            if isinstance(event, RejectData) and event.body_finished:
                break
        raise NoWebSocketError(refused)

    async def texts(self, *, largest: int | None = None) -> AsyncIterator[str]:
        """What comes, until the server closes, or sends a text of more characters than the largest."""
        parts: list[str] = []
        async for event in self._events():
            if isinstance(event, TextMessage):
                parts.append(event.data)
                if largest is not None and sum(map(len, parts)) > largest:
                    return
                if event.message_finished:
                    yield "".join(parts)
                    parts.clear()
            elif isinstance(event, Ping):
                self._write(event.response())
            elif isinstance(event, CloseConnection):
                return

    async def _events(self) -> AsyncIterator[Any]:
        while True:
            for event in self._protocol.events():
                yield event
            data = await self._reader.read(_READ)
            try:
                self._protocol.receive_data(data or None)
            except RemoteProtocolError as error:
                raise ConnectionError(f"the server breaks the protocol: {error}") from error
            if not data:
                for event in self._protocol.events():
                    yield event
                return

    async def send(self, text: str) -> None:
        """Send a text."""
        self._write(TextMessage(data=text))
        await self._writer.drain()

    def _write(self, event: Any) -> None:
        try:
            self._writer.write(self._protocol.send(event))
        except LocalProtocolError as error:
            raise ConnectionError(f"the connection is closed: {error}") from error

    async def close(self) -> None:
        """Close, without waiting for the other side for long."""
        with contextlib.suppress(OSError):
            self._write(CloseConnection(code=1000))
        self._writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(1):
                await self._writer.wait_closed()
