"""The connection to the node: where it is, what shows who the agent is, texts out and in."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from skerry.errors import InvalidError, UnavailableError
from skerry.lvnf.agent.messages import LARGEST
from skerry.websocket import NoWebSocketError, Socket

PATH = "/lvnf_agent/v1/connect"
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


class Channel:
    """A connection to the node."""

    def __init__(self, socket: Socket) -> None:
        self._socket = socket

    @classmethod
    async def connect(cls, target: Target) -> Channel:
        """Connect. `UnavailableError` where the node is not there or refuses; trying again may help."""
        path = urlsplit(target.url).path.rstrip("/") + PATH
        headers: list[tuple[bytes, bytes]] = []
        try:
            if target.token_file is not None:
                headers.append((b"Authorization", b"Bearer " + target.token_file.read_bytes().strip()))
            return cls(await Socket.connect(target.url, path, tls=target.tls(), headers=headers))
        except NoWebSocketError as error:
            raise UnavailableError(
                f"cannot open the connection: the node answers {error.status or 'nothing'}",
                suggestion="see that the token or certificate is of a client with the scope lvnf_agent:v1:all",
            ) from error
        except (OSError, TimeoutError) as error:
            raise UnavailableError(f"cannot reach the node at {target.url}: {error or 'no answer'}") from error

    async def texts(self) -> AsyncIterator[bytes]:
        """What comes, until the node closes."""
        async for text in self._socket.texts(largest=LARGEST):
            yield text.encode()

    async def send(self, text: bytes) -> None:
        """Send a text."""
        await self._socket.send(text.decode())

    async def close(self) -> None:
        """Close, without waiting for the other side for long."""
        await self._socket.close()
