"""The built-in DNS server: asyncio, UDP and TCP, for machines where no package can be installed.

Names of rules are answered here; every other name is asked of the configured servers, or does not exist where there are none.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from skerry.errors import UnavailableError
from skerry.mep.dns import messages
from skerry.mep.dns.contract import Book, Record, View, Views
from skerry.mep.dns.sockets import bound

FORWARD_S = 2.0
IDLE_S = 10.0
TRIES = 16
MOST_FORWARDED = 512


class Responder:
    """Fits `contract.Server`. `namespace` names a network namespace ("" = the node's own); `forward` are addresses of servers
    that are asked for names of nobody here, on port 53 unless `address#port` says another."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        views: Sequence[View] = (),
        forward: Sequence[str] = (),
        namespace: str = "",
    ) -> None:
        self._wanted = (host, port)
        self._namespace = namespace
        self._forward = [_target(one) for one in forward]
        self._views = Views(views)
        self._book = Book()
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None
        self._asked: set[asyncio.Task[None]] = set()
        self._turn = itertools.count()

    @property
    def address(self) -> tuple[str, int]:
        """Where it answers."""
        if self._udp is None:
            return self._wanted
        name: tuple[Any, ...] = self._udp.get_extra_info("sockname")
        return str(name[0]), int(name[1])

    async def start(self) -> None:
        """Bind UDP and TCP on the same port."""
        loop = asyncio.get_running_loop()
        udp, tcp = await asyncio.to_thread(self._bind)
        self._udp, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), sock=udp)
        self._tcp = await asyncio.start_server(self._stream, sock=tcp)

    async def ended(self) -> None:
        """Never by itself."""
        await asyncio.Event().wait()

    def _bind(self) -> tuple[socket.socket, socket.socket]:
        """Both sockets. A free port for UDP may be another's for TCP: then the next one is tried."""
        host, port = self._wanted
        left = 1 if port else TRIES
        while True:
            left -= 1
            udp = bound(self._namespace, host, port, socket.SOCK_DGRAM)
            try:
                return udp, bound(self._namespace, host, udp.getsockname()[1], socket.SOCK_STREAM)
            except UnavailableError:
                udp.close()
                if not left:
                    raise

    async def stop(self) -> None:
        """Close the sockets."""
        if self._tcp:
            self._tcp.close()
        if self._udp:
            self._udp.close()
        for task in list(self._asked):
            task.cancel()
        self._tcp = self._udp = None

    async def change(self, add: Iterable[Record], remove: Iterable[Record]) -> None:
        """Effective with the next query."""
        for record in remove:
            self._book.remove(record)
        for record in add:
            self._book.add(record)

    async def holds(self, record: Record) -> bool:
        """Whether it is served."""
        return self._book.holds(record)

    # -- queries ------------------------------------------------------------------------------------------------------

    def local(self, question: messages.Question, client: str, size: int = 0) -> bytes | None:
        """The answer that needs nobody else; None where another server is to be asked."""
        if question.flags & 0x7800:
            return messages.answer(question, (), code=messages.NOTIMP, size=size)
        if question.klass not in (messages.IN, messages.ANY_CLASS):
            return messages.answer(question, (), code=messages.REFUSED, size=size)
        found = self._book.find(question.name, self._views.zone_of(client))
        if found is not None:
            return messages.answer(question, found, size=size)
        return None if self._forward else messages.answer(question, (), code=messages.NXDOMAIN, size=size)

    def datagram(self, packet: bytes, peer: tuple[Any, ...]) -> None:
        """A query over UDP."""
        question = messages.parse(packet)
        if question is None or self._udp is None:
            return
        told = self.local(question, str(peer[0]))
        if told is not None:
            self._udp.sendto(told, peer)
        elif len(self._asked) < MOST_FORWARDED:
            task = asyncio.get_running_loop().create_task(self._relay(packet, peer))
            self._asked.add(task)
            task.add_done_callback(self._asked.discard)

    async def _relay(self, packet: bytes, peer: tuple[Any, ...]) -> None:
        answer = await self._ask(packet)
        if answer and self._udp:
            self._udp.sendto(answer, peer)

    async def _ask(self, packet: bytes) -> bytes | None:
        """The answer of the next of the configured servers; None where none comes."""
        loop = asyncio.get_running_loop()
        for _ in self._forward:
            host, port = self._forward[next(self._turn) % len(self._forward)]
            answer: asyncio.Future[bytes] = loop.create_future()
            try:
                transport, _ = await loop.create_datagram_endpoint(
                    lambda waiting=answer: _Answer(waiting, packet[:2]),  # type: ignore[misc]
                    remote_addr=(host, port),
                )
            except OSError:
                continue
            try:
                transport.sendto(packet)
                async with asyncio.timeout(FORWARD_S):
                    return await answer
            except (TimeoutError, OSError):
                continue
            finally:
                transport.close()
        return None

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Queries over TCP (RFC 7766): one after the other on a connection."""
        client = str(writer.get_extra_info("peername")[0])
        with suppress(asyncio.IncompleteReadError, TimeoutError, ConnectionError):
            while True:
                async with asyncio.timeout(IDLE_S):
                    length = int.from_bytes(await reader.readexactly(2))
                    packet = await reader.readexactly(length)
                question = messages.parse(packet)
                if question is None:
                    break
                told = self.local(question, client, size=65_535) or await self._ask(packet)
                if told is None:
                    break
                writer.write(len(told).to_bytes(2) + told)
                await writer.drain()
        writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    """Hands on what comes."""

    def __init__(self, responder: Responder) -> None:
        self._responder = responder

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        self._responder.datagram(data, addr)


class _Answer(asyncio.DatagramProtocol):
    """Waits for the answer with the query's number."""

    def __init__(self, waiting: asyncio.Future[bytes], id: bytes) -> None:
        self._waiting = waiting
        self._id = id

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        if data[:2] == self._id and not self._waiting.done():
            self._waiting.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self._waiting.done():
            self._waiting.set_exception(exc)


def _target(text: str) -> tuple[str, int]:
    host, _, port = text.partition("#")
    return host, int(port or 53)
