"""HTTP connections that strangers cannot make dear: uvicorn's own, with bounds for what its parser leaves open.

A head, a trailer or the framing of a body has a largest size, requests that wait on one connection have a largest number,
and whoever lets the node wait, for a head, for more of a body or for the reading of an answer, is cut off in time.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import sys
import termios
from collections.abc import Generator, Mapping
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.wsproto_impl import WSProtocol
from uvicorn.server import Server

from skerry.access.authority import Peer

MOST_HEAD_BYTES = 64 << 10
MOST_WAITING = 128  # requests on one connection that wait for the answer to an earlier one
LEAST_READ_BYTES = 16 << 10  # of an answer, in the time of `stall_s`
TICKS = 10  # of a tenth of a second each, between two looks at the connections
TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
NO_HTTP = (
    b'{"status":400,"type":"urn:skerry:problem:malformed","title":"Bad Request",'
    b'"detail":"cannot read this as an HTTP request","suggestion":"send HTTP/1.1 with one Host header"}'
)
REFUSED = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/problem+json\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(NO_HTTP), NO_HTTP)
)


class NoRequestError(Exception):
    """What came is no request that this node answers; the parser takes it for its own error."""


class Bounded(HttpToolsProtocol):
    """HTTP with bounds. `head_s`: how long a head may take; `body_s`: how long nothing of a body may come, and how long the
    rest of one may come whose request is answered; `stall_s`: how long nearly nothing of an answer may be read."""

    head_s = 30.0
    body_s = 60.0
    stall_s = 60.0

    _in_head = True
    _moved = False  # whether the data at hand held the end of a head, a piece of a body or the end of a message
    _quiet = 0  # bytes since something moved
    _open = 0  # requests without their whole answer
    _since = 0.0
    _answered = 0.0
    _unsent = 0
    _unsent_at = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The time for the first head begins."""
        super().connection_made(transport)
        self._since = self._unsent_at = self.loop.time()

    def data_received(self, data: bytes) -> None:
        """A part of a request. A head, trailer or framing that is too large ends the connection."""
        self._moved = False
        super().data_received(data)
        if self._moved:
            self._quiet, self._since = 0, self.loop.time()
            return
        self._quiet += len(data)
        if self._quiet > MOST_HEAD_BYTES:
            self.transport.write(TOO_LARGE)
            self.transport.close()

    def on_headers_complete(self) -> None:
        """The head was whole."""
        self._in_head, self._moved = False, True
        parser = self.parser
        assert parser is not None  # noqa: S101  # it is calling
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts > 1 or (hosts == 0 and parser.get_http_version() == "1.1"):
            raise NoRequestError("a request names its host once (RFC 9112 3.2)")
        if len(self.pipeline) >= MOST_WAITING:
            raise NoRequestError("too many requests wait on this connection")
        self._open += 1
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of a body."""
        self._moved = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The next head may come."""
        self._in_head = self._moved = True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The time for the next head begins."""
        self._answered = self.loop.time()
        self._open -= 1
        if self._in_head:
            self._since = self._answered
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request."""
        self.transport.write(REFUSED)
        self.transport.close()

    def tend(self, now: float) -> None:
        """End the connection where the other side lets the node wait too long. To be called now and then."""
        if self.flow.read_paused:
            self._since = now  # it is the node that lets the other side wait
        if self._stalled(now):
            self.transport.abort()
        elif not self.transport.is_closing() and self._late(now):
            self.transport.close()

    def _stalled(self, now: float) -> bool:
        """Whether too little of what was answered was read for too long."""
        unsent = self._unread()
        if unsent == 0 or unsent > self._unsent or unsent <= self._unsent - LEAST_READ_BYTES:
            self._unsent, self._unsent_at = unsent, now
            return False
        return now - self._unsent_at > self.stall_s

    def _unread(self) -> int:
        """Bytes that wait for the other side, those of the kernel included: over a slow line it takes minutes until the kernel
        wants more. 0 where all are with the kernel."""
        here = self.transport.get_write_buffer_size()
        line = self.transport.get_extra_info("socket")
        if here == 0 or line is None:
            return here
        with contextlib.suppress(OSError):  # it has just been closed
            here += int.from_bytes(fcntl.ioctl(line.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)
        return here

    def _late(self, now: float) -> bool:
        """Whether a head or the rest of a body is overdue."""
        if self._in_head:
            return not self._open and now - self._since > self.head_s
        if not self._open:
            return now - self._answered > self.body_s
        return now - self._since > self.body_s


class Mutual(Bounded):
    """HTTP that tells the application which client certificate TLS has verified."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """TLS is up: note whose certificate the caller showed."""
        super().connection_made(transport)
        self.app = _knowing(self.app, peer_of(transport.get_extra_info("peercert") or {}))


class MutualSocket(WSProtocol):
    """A WebSocket that tells the application the same."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The handshake begins on a connection that TLS has verified."""
        super().connection_made(transport)
        self.app = _knowing(self.app, peer_of(transport.get_extra_info("peercert") or {}))


def _knowing(inner: Any, peer: Peer | None) -> Any:
    """The application, told whose certificate the caller showed."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["skerry.peer"] = peer
        await inner(scope, receive, send)

    return inner if peer is None else app


def peer_of(certificate: Mapping[str, Any]) -> Peer | None:
    """The subject and serial number of a certificate, as `ssl` gives it; None where there is none."""
    names = [value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
    if len(names) != 1:
        return None
    return Peer(name=names[0], serial=str(certificate.get("serialNumber", "")).lstrip("0").upper())


class Quiet(Server):
    """uvicorn's server, told by us when to stop: its own handling of signals would end the process before the node. It looks
    after its connections."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave signals alone."""
        yield

    async def on_tick(self, counter: int) -> bool:
        """Called every tenth of a second."""
        if counter % TICKS == 0:
            now = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                if isinstance(connection, Bounded):
                    connection.tend(now)
        return await super().on_tick(counter)
