"""The platform's message bus and Mp1 on one WebSocket."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import suppress
from types import TracebackType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
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
from wsproto.utilities import LocalProtocolError

from skerry.mecapp.session import PlatformError, Session

READ = 64 * 1024
TIMEOUT_S = 10.0
WAITING = 1024


class Message(NamedTuple):
    """A message of the bus; `sender` is the application that published it, "" for another program."""

    topic: str
    body: Any
    sender: str


class Socket:
    """A WebSocket as a client sees it: texts out, texts in."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._protocol = WSConnection(ConnectionType.CLIENT)

    @classmethod
    async def connect(cls, session: Session, path: str) -> Socket:
        """Connect with the session's token. `PlatformError` where the platform refuses."""
        target = urlsplit(session.endpoint)
        port = target.port or (443 if target.scheme == "https" else 80)
        headers = [(name.encode(), value.encode()) for name, value in (await session.authorization()).items()]
        try:
            async with asyncio.timeout(TIMEOUT_S):
                made = cls(*await asyncio.open_connection(target.hostname, port, ssl=session.tls))
                made._send(Request(host=target.netloc, target=path, extra_headers=headers))
                await made._handshake()
        except (OSError, TimeoutError) as error:
            raise PlatformError(0, f"cannot reach the platform: {error or 'no answer'}") from error
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
        await self.close()
        raise PlatformError(refused, f"cannot open the bus: the platform answers {refused or 'nothing'}")

    async def texts(self) -> AsyncIterator[str]:
        """What comes, until the platform closes."""
        parts: list[str] = []
        async for event in self._events():
            if isinstance(event, TextMessage):
                parts.append(event.data)
                if event.message_finished:
                    yield "".join(parts)
                    parts.clear()
            elif isinstance(event, Ping):
                self._send(event.response())
            elif isinstance(event, CloseConnection):
                return

    async def _events(self) -> AsyncIterator[Any]:
        while True:
            for event in self._protocol.events():
                yield event
            data = await self._reader.read(READ)
            self._protocol.receive_data(data or None)
            if not data:
                for event in self._protocol.events():
                    yield event
                return

    async def send(self, text: str) -> None:
        """Send a text."""
        self._send(TextMessage(data=text))
        await self._writer.drain()

    def _send(self, event: Any) -> None:
        self._writer.write(self._protocol.send(event))

    async def close(self) -> None:
        """Close, without waiting for the other side."""
        with suppress(LocalProtocolError, OSError):
            self._send(CloseConnection(code=1000))
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()


class Bus:
    """Publish, subscribe, and ask what HTTP would answer."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._socket: Socket | None = None
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._heard: asyncio.Queue[Message | None] = asyncio.Queue(WAITING)
        self._reading: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Bus:
        self._socket = await Socket.connect(self._session, "/mp1/v1/bus")
        self._reading = asyncio.get_running_loop().create_task(self._read(self._socket))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._reading:
            self._reading.cancel()
            await asyncio.wait({self._reading})
        if self._socket:
            await self._socket.close()

    async def publish(self, topic: str, body: Any) -> int:
        """Send a message; how many listeners it reached."""
        told = await self.ask({"publish": topic, "body": body})
        return int(told["body"]["receivers"])

    async def subscribe(self, pattern: str) -> None:
        """Hear the topics of a pattern: `+` is one level, `#` at the end all that follow."""
        await self.ask({"subscribe": pattern})

    async def unsubscribe(self, pattern: str) -> None:
        """Hear them no more."""
        await self.ask({"unsubscribe": pattern})

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        """A request of Mp1 over the bus; its answer's `status`, `headers` and `body`."""
        return await self.ask({"method": method, "path": path, **({} if body is None else {"body": body})})

    async def messages(self) -> AsyncIterator[Message]:
        """What is heard, until the platform closes."""
        while (message := await self._heard.get()) is not None:
            yield message

    async def ask(self, frame: dict[str, Any]) -> Any:
        """Send a frame and wait for its answer. `PlatformError` for a refusal."""
        if self._socket is None:
            raise PlatformError(
                0, "cannot use the bus: it is not open", suggestion="use it as an async context manager"
            )
        number = next(self._numbers)
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            await self._socket.send(msgspec.json.encode({"id": number, **frame}).decode())
            async with asyncio.timeout(TIMEOUT_S):
                told = await answer
        except (OSError, TimeoutError) as error:
            raise PlatformError(0, "cannot use the bus: the platform does not answer") from error
        finally:
            del self._asked[number]
        if told["status"] >= 400:
            raise PlatformError(told["status"], str(told.get("body", {}).get("detail", "the platform refuses")))
        return told

    async def _read(self, socket: Socket) -> None:
        try:
            async for text in socket.texts():
                frame = msgspec.json.decode(text)
                if "topic" in frame:
                    await self._heard.put(Message(frame["topic"], frame["body"], frame["from"]))
                elif waiting := self._asked.get(frame.get("id", 0)):
                    waiting.set_result(frame)
        finally:
            for waiting in self._asked.values():
                if not waiting.done():
                    waiting.set_exception(ConnectionResetError("the platform closed the bus"))
            with suppress(asyncio.QueueFull):
                self._heard.put_nowait(None)
