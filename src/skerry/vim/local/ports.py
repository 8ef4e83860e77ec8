"""Published ports: forwards from this host's addresses to instances. Works in the event loop, stops while Skerry is down.

Connections to an instance are made from the edge host's namespace, which holds an address in each of its networks. Nothing
in the host's packet filter is touched.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import cast

from skerry.errors import DriverError
from skerry.vim.driver import Port

_CHUNK = 1 << 16
_UDP_IDLE_S = 60.0
_UDP_PEERS = 1024

Maker = Callable[[int], Awaitable[socket.socket]]
"""Makes a non-blocking socket of a kind (SOCK_STREAM …) in the edge host's namespace."""


class Ports:
    """Everything that is published, by instance."""

    def __init__(self, make: Maker) -> None:
        self._make = make
        self._open: dict[str, list[asyncio.Server | asyncio.DatagramTransport]] = {}

    async def publish(self, instance: str, address: str, ports: Sequence[Port]) -> None:
        """Listen on all of an instance's ports; `DriverError` when one is in use, none is open then."""
        self.withdraw(instance)
        opened = self._open.setdefault(instance, [])
        for port in ports:
            try:
                opened.append(await self._listen(address, port))
            except OSError as wrong:
                self.withdraw(instance)
                raise DriverError(
                    f"cannot publish port {port.host}/{port.protocol}: {wrong.strerror or wrong}",
                    suggestion="choose a host port that nothing listens on",
                ) from wrong

    async def _listen(self, address: str, port: Port) -> asyncio.Server | asyncio.DatagramTransport:
        if port.protocol == "udp":
            loop = asyncio.get_running_loop()
            transport, _ = await loop.create_datagram_endpoint(
                lambda: _UdpFront(self._make, (address, port.instance)),
                local_addr=("0.0.0.0", port.host),  # noqa: S104
            )
            return transport

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await _forward(self._make, (address, port.instance), reader, writer)

        return await asyncio.start_server(serve, "0.0.0.0", port.host)  # noqa: S104 - published on every address

    def withdraw(self, instance: str) -> None:
        """Listen no more for an instance; connections that are open go on until either side ends them."""
        for listener in self._open.pop(instance, ()):
            listener.close()

    def close(self) -> None:
        """Withdraw everything."""
        for instance in list(self._open):
            self.withdraw(instance)


async def _forward(
    make: Maker, target: tuple[str, int], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    try:
        inside = await make(socket.SOCK_STREAM)
        try:
            await asyncio.get_running_loop().sock_connect(inside, target)
        except OSError:
            inside.close()
            raise
        far_reader, far_writer = await asyncio.open_connection(sock=inside)
    except OSError:
        writer.close()
        return
    await asyncio.gather(_pipe(reader, far_writer), _pipe(far_reader, writer))
    far_writer.close()
    writer.close()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy one direction to its end; a broken connection is an end."""
    try:
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        writer.close()


class _UdpFront(asyncio.DatagramProtocol):
    """The host's side of a UDP port: one socket inside for each peer, so that answers find their way back."""

    def __init__(self, make: Maker, target: tuple[str, int]) -> None:
        self._make, self._target = make, target
        self._peers: dict[tuple[str, int], _UdpBack] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        peer = self._peers.get(addr)
        if peer is not None:
            peer.send(data)
        elif len(self._peers) < _UDP_PEERS:
            peer = self._peers[addr] = _UdpBack(self, addr)
            peer.send(data)
            task = asyncio.create_task(self._connect(peer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _connect(self, peer: _UdpBack) -> None:
        try:
            inside = await self._make(socket.SOCK_DGRAM)
            inside.connect(self._target)
            await asyncio.get_running_loop().create_datagram_endpoint(lambda: peer, sock=inside)
        except OSError:
            self._peers.pop(peer.addr, None)

    def answer(self, data: bytes, addr: tuple[str, int]) -> None:
        if self._transport is not None:
            self._transport.sendto(data, addr)

    def forget(self, addr: tuple[str, int]) -> None:
        self._peers.pop(addr, None)

    def connection_lost(self, exc: Exception | None) -> None:
        for peer in list(self._peers.values()):
            peer.end()


class _UdpBack(asyncio.DatagramProtocol):
    """The instance's side for one peer; it ends when nothing came or went for a minute."""

    def __init__(self, front: _UdpFront, addr: tuple[str, int]) -> None:
        self._front, self.addr = front, addr
        self._waiting: list[bytes] = []
        self._transport: asyncio.DatagramTransport | None = None
        self._idle = asyncio.get_running_loop().call_later(_UDP_IDLE_S, self.end)

    def _again(self) -> None:
        self._idle.cancel()
        self._idle = asyncio.get_running_loop().call_later(_UDP_IDLE_S, self.end)

    def send(self, data: bytes) -> None:
        self._again()
        if self._transport is None:
            self._waiting.append(data)
        else:
            self._transport.sendto(data)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)
        for data in self._waiting:
            self._transport.sendto(data)
        self._waiting.clear()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._again()
        self._front.answer(data, self.addr)

    def end(self) -> None:
        self._idle.cancel()
        self._front.forget(self.addr)
        if self._transport is not None:
            self._transport.close()
