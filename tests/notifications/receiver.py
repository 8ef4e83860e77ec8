"""A subscriber: a real HTTP server on loopback, which remembers what it got and can be told to misbehave."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import h11


class Got(NamedTuple):
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Reply(NamedTuple):
    """One answer."""

    status: int = 204
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


class Receiver:
    """`answer` decides on each request; the default is 204 for all."""

    def __init__(self) -> None:
        self.got: list[Got] = []
        self.peers: list[Any] = []
        self.answer: Callable[[Got], Reply] = lambda _: Reply()
        self.port = 0
        self._news = asyncio.Condition()
        self._serving: set[asyncio.Task[None]] = set()

    def uri(self, path: str = "/n", scheme: str = "http") -> str:
        return f"{scheme}://127.0.0.1:{self.port}{path}"

    @property
    def posted(self) -> list[Any]:
        """The bodies of all notifications that were answered 204."""
        return [got.json for got in self.got if got.method == "POST" and self.answer(got).status == 204]

    async def until(self, condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
        """Wait until requests made it true."""
        async with asyncio.timeout(timeout_s), self._news:
            await self._news.wait_for(condition)

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A connection came."""
        task = asyncio.ensure_future(self.serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._serving)

    async def close(self) -> None:
        """Cut every connection."""
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.peers.append(writer.get_extra_info("peercert"))
        connection = h11.Connection(h11.SERVER)
        try:
            while await self._one(connection, reader, writer):
                connection.start_next_cycle()
        except (ConnectionError, h11.RemoteProtocolError):
            pass
        finally:
            writer.close()

    async def _one(
        self, connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        request: h11.Request | None = None
        body = b""
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await reader.read(65536))
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                return False
        assert request is not None
        headers = {key.decode().lower(): value.decode() for key, value in request.headers}
        got = Got(request.method.decode(), request.target.decode(), headers, body)
        reply = self.answer(got)
        self.got.append(got)
        length = [] if reply.status == 204 else [("content-length", str(len(reply.body)))]
        writer.write(connection.send(h11.Response(status_code=reply.status, headers=[*reply.headers, *length])) or b"")
        if reply.body:
            writer.write(connection.send(h11.Data(data=reply.body)) or b"")
        writer.write(connection.send(h11.EndOfMessage()) or b"")
        await writer.drain()
        async with self._news:
            self._news.notify_all()
        return connection.our_state is h11.DONE and connection.their_state is h11.DONE


@asynccontextmanager
async def receiving(context: ssl.SSLContext | None = None) -> AsyncGenerator[Receiver]:
    receiver = Receiver()
    server = await asyncio.start_server(receiver.accept, "127.0.0.1", 0, ssl=context)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        await receiver.close()
