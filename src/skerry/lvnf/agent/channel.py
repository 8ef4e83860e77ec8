"""A WebSocket to the node (RFC 6455), over TLS: texts out, texts in."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Ping, RejectConnection, Request, TextMessage
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from skerry.errors import InvalidError, UnavailableError
from skerry.lvnf.agent.messages import LARGEST

PATH = "/lvnf_agent/v1/connect"
_READ = 1 << 16
_PATIENCE_S = 10.0
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """The node, and what shows who the agent is: a certificate with its key, or a file with a token. `ca` is the authority
    of the node's own certificate."""

    url: str
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    token_file: Path | None = None

    def checked(self) -> Target:
        """Itself. `InvalidError` for a URL that is none, or that leads over a network without TLS."""
        parts = urlsplit(self.url)
        if parts.scheme not in ("wss", "ws") or not parts.hostname:
            raise InvalidError(f"cannot connect to {self.url[:80]}", suggestion="write it as wss://HOST:PORT")
        if parts.scheme == "ws" and parts.hostname not in _LOOPBACK:
            raise InvalidError("cannot connect over a network without TLS", suggestion="write wss:// for ws://")
        if (self.certificate is None) != (self.key is None):
            raise InvalidError("cannot use a certificate without its key", suggestion="give both --cert and --key")
        return self

    def tls(self) -> ssl.SSLContext | None:
        """How to check the node, and what to show it."""
        if urlsplit(self.url).scheme == "ws":
            return None
        context = ssl.create_default_context(cafile=str(self.ca) if self.ca else None)
        if self.certificate is not None:
            context.load_cert_chain(self.certificate, self.key)
        return context


class RefusedError(UnavailableError):
    """The node answered, and does not want this agent; trying again helps when somebody changes that."""


class Channel:
    """A connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._protocol = WSConnection(ConnectionType.CLIENT)

    @classmethod
    async def connect(cls, target: Target) -> Channel:
        """Connect. `UnavailableError` where the node is not there, `RefusedError` where it refuses."""
        parts = urlsplit(target.url)
        port = parts.port or (443 if parts.scheme == "wss" else 80)
        headers: list[tuple[bytes, bytes]] = []
        try:
            if target.token_file is not None:
                headers.append((b"Authorization", b"Bearer " + target.token_file.read_bytes().strip()))
            async with asyncio.timeout(_PATIENCE_S):
                made = cls(*await asyncio.open_connection(parts.hostname, port, ssl=target.tls()))
                try:
                    made._write(Request(host=parts.netloc, target=parts.path.rstrip("/") + PATH, extra_headers=headers))
                    await made._handshake()
                except BaseException:
                    await made.close()
                    raise
        except (OSError, TimeoutError, RemoteProtocolError) as error:
            raise UnavailableError(f"cannot reach the node at {target.url}: {error or 'no answer'}") from error
        return made

    async def _handshake(self) -> None:
        async for event in self._events():
            if isinstance(event, AcceptConnection):
                return
            if isinstance(event, RejectConnection):
                raise RefusedError(
                    f"cannot open the connection: the node answers {event.status_code}",
                    suggestion="see that the token or certificate is of a client with the scope lvnf_agent:v1:all",
                )
        raise UnavailableError("cannot open the connection: the node closed it")

    async def texts(self) -> AsyncIterator[bytes]:
        """What comes, until the node closes."""
        parts: list[str] = []
        async for event in self._events():
            if isinstance(event, TextMessage):
                parts.append(event.data)
                if sum(map(len, parts)) > LARGEST:
                    return
                if event.message_finished:
                    yield "".join(parts).encode()
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
            self._protocol.receive_data(data or None)
            if not data:
                for event in self._protocol.events():
                    yield event
                return

    async def send(self, text: bytes) -> None:
        """Send a text."""
        self._write(TextMessage(data=text.decode()))
        await self._writer.drain()

    def _write(self, event: Any) -> None:
        self._writer.write(self._protocol.send(event))

    async def close(self) -> None:
        """Close, without waiting for the other side for long."""
        with contextlib.suppress(LocalProtocolError, OSError):
            self._write(CloseConnection(code=1000))
        self._writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(1):
                await self._writer.wait_closed()
