"""The platform's message bus and Mp1 on one WebSocket."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import suppress
from types import TracebackType
from typing import Any, NamedTuple

import msgspec

from skerry.mecapp.session import PlatformError, Session
from skerry.websocket import NoWebSocketError, Socket

TIMEOUT_S = 10.0
WAITING = 1024


class Message(NamedTuple):
    """A message of the bus; `sender` is the application that published it, "" for another program."""

    topic: str
    body: Any
    sender: str


async def connect(session: Session, path: str) -> Socket:
    """A WebSocket to a path of the platform with the session's token. `PlatformError` where the platform refuses."""
    headers = [(name.encode(), value.encode()) for name, value in (await session.authorization()).items()]
    try:
        return await Socket.connect(session.endpoint, path, tls=session.tls, headers=headers)
    except NoWebSocketError as error:
        told = error.status or "nothing"
        raise PlatformError(error.status, f"cannot open the bus: the platform answers {told}") from error
    except (OSError, TimeoutError) as error:
        raise PlatformError(0, f"cannot reach the platform: {error or 'no answer'}") from error


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
        self._socket = await connect(self._session, "/mp1/v1/bus")
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
                frame = _read(text)
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


def _read(text: str) -> dict[str, Any]:
    """A frame; nothing that anybody waits for where the platform sends something else."""
    try:
        frame = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return {}
    return frame if isinstance(frame, dict) else {}
