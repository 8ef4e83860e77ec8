"""The DNS answers of one node: starts its server with the first answer, and says whether an answer is really given."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from skerry.errors import SkerryError
from skerry.mep.dns.contract import Record, Server, View
from skerry.mep.dns.responder import Responder
from skerry.mep.dns.sockets import free_port
from skerry.mep.dns.unbound import Unbound, program

log = logging.getLogger(__name__)

AGAIN_S = 1.0


class Names:
    """`make` makes the server; nothing runs on a node whose applications have no DNS rules. A server that dies is started again
    with all it had."""

    def __init__(self, make: Callable[[], Server]) -> None:
        self._make = make
        self._server: Server | None = None
        self._records: dict[Record, None] = {}
        self._changing = asyncio.Lock()
        self._supervising: asyncio.Task[None] | None = None

    @property
    def address(self) -> tuple[str, int] | None:
        """Where names are resolved, None while nobody needs it."""
        return self._server.address if self._server else None

    async def start(self) -> tuple[str, int]:
        """The server runs; where it answers."""
        async with self._changing:
            return (await self._running()).address

    async def change(self, add: Sequence[Record], remove: Sequence[Record]) -> bool:
        """Put answers in force and take others out; True when the server says that it gives them so."""
        async with self._changing:
            if not add and self._server is None:
                return True
            server = await self._running()
            await server.change(add, remove)
            self._records = {one: None for one in self._records if one not in remove} | dict.fromkeys(add)
            there = [await server.holds(record) for record in add]
        return all(there)

    async def load(self, records: Sequence[Record]) -> None:
        """What is to be answered after a start of the node, as soon as the server runs."""
        self._records = dict.fromkeys(records)
        if records:
            try:
                await self.start()
            except SkerryError as error:
                log.warning("DNS rules are not answered yet: %s", error.detail)
                self._supervise_it()

    async def stop(self) -> None:
        """Answer no more."""
        if self._supervising:
            self._supervising.cancel()
            await asyncio.wait({self._supervising})
        server, self._server = self._server, None
        if server:
            await server.stop()

    async def _running(self) -> Server:
        if self._server is None:
            server = self._make()
            await server.start()
            try:
                await server.change(list(self._records), ())
            except SkerryError:
                await server.stop()
                raise
            self._server = server
            self._supervise_it()
        return self._server

    def _supervise_it(self) -> None:
        if self._supervising is None:
            self._supervising = asyncio.get_running_loop().create_task(self._supervise())

    async def _supervise(self) -> None:
        """Whoever dies is started again, at once or as soon as that is possible."""
        while True:
            if self._server is not None:
                await self._server.ended()
                log.warning("the DNS server ended by itself; it is started again")
            try:
                async with self._changing:
                    dead, self._server = self._server, None
                    if dead:
                        await dead.stop()
                    await self._running()
            except SkerryError as error:
                log.warning("the DNS server does not start: %s", error.detail)
                await asyncio.sleep(AGAIN_S)


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
