"""The DNS answers of one node: starts its server with the first answer, and says whether an answer is really given."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from skerry.mep.dns.contract import Record, Server, View
from skerry.mep.dns.responder import Responder
from skerry.mep.dns.sockets import free_port
from skerry.mep.dns.unbound import Unbound, program


class Names:
    """`make` makes the server; nothing runs on a node whose applications have no DNS rules."""

    def __init__(self, make: Callable[[], Server]) -> None:
        self._make = make
        self._server: Server | None = None
        self._starting = asyncio.Lock()
        self._changing = asyncio.Lock()

    @property
    def address(self) -> tuple[str, int] | None:
        """Where names are resolved, None while nobody needs it."""
        return self._server.address if self._server else None

    async def start(self) -> Server:
        """The server, running."""
        async with self._starting:
            if self._server is None:
                server = self._make()
                await server.start()
                self._server = server
        return self._server

    async def change(self, add: Sequence[Record], remove: Sequence[Record]) -> bool:
        """Put answers in force and take others out; True when the server says that it gives them so."""
        if not add and self._server is None:
            return True
        server = await self.start()
        async with self._changing:
            await server.change(add, remove)
            there = [await server.holds(record) for record in add]
        return all(there)

    async def load(self, records: Sequence[Record]) -> None:
        """What is to be answered after a start of the node."""
        if records:
            server = await self.start()
            await server.change(records, ())

    async def stop(self) -> None:
        """Answer no more."""
        server, self._server = self._server, None
        if server:
            await server.stop()


def dns_server(
    kind: str,
    folder: Path,
    address: tuple[str, int],
    *,
    views: Sequence[View] = (),
    forward: Sequence[str] = (),
    namespace: str = "",
) -> Server:
    """The server of a setting: `unbound`, `builtin`, or `auto`: unbound where it is installed. Port 0 takes any free
    one."""
    if kind == "builtin" or (kind == "auto" and not program()):
        return Responder(*address, views=views, forward=forward, namespace=namespace)
    host, port = address[0], address[1] or free_port(namespace, address[0])
    return Unbound(folder, host, port, views=views, forward=forward, namespace=namespace)
