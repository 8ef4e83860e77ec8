"""ControlSockets that a node or an agent serves for functions: on a Unix socket for those that have no process of their own to
do it, and on an address of loopback where one is asked for. They stop while the node or agent is down.

Every user of the machine reaches loopback, so connections are limited for each function and for all, and end when idle.
"""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

from skerry.errors import DriverError
from skerry.lvnf.backends.files import CONTROL
from skerry.lvnf.control import BANNER, Handled, Session

CLIENTS = 16
"""Connections that one function has at most."""
CLIENTS_OF_ALL = 128
IDLE_S = 300.0
"""So long may a client say nothing, or not take its answers, before its connection ends."""
_CHUNK = 1 << 16
_FULL = BANNER + b"530 Too many connections\r\n"


class Fronts:
    """Everything that is served, by function. `idle_s`: how long a connection may be idle."""

    def __init__(self, idle_s: float = IDLE_S) -> None:
        self._idle_s = idle_s
        self._open: dict[str, list[asyncio.Server]] = {}
        self._clients: dict[asyncio.StreamWriter, str] = {}

    async def serve(self, function: str, target: Handled, *, folder: Path | None, address: str) -> None:
        """Listen for a function: in `folder` (None: it does so itself), and at `address` ("" = nowhere). `DriverError` where
        the address is taken."""
        self.withdraw(function)
        opened = self._open.setdefault(function, [])

        async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._talk(function, target, reader, writer)

        if folder is not None:
            opened.append(await asyncio.start_unix_server(client, sock=_unix(folder)))
        if address:
            host, _, port = address.rpartition(":")
            try:
                opened.append(await asyncio.start_server(client, host, int(port)))
            except (OSError, OverflowError) as wrong:
                self.withdraw(function)
                raise DriverError(
                    f"cannot serve a ControlSocket at {address}: {getattr(wrong, 'strerror', None) or wrong}",
                    suggestion="choose a port that nothing listens on",
                ) from wrong

    def withdraw(self, function: str) -> None:
        """Stop listening for a function."""
        for server in self._open.pop(function, ()):
            server.close()

    def close(self) -> None:
        """Stop listening for all."""
        for function in list(self._open):
            self.withdraw(function)
        for writer in list(self._clients):
            writer.close()

    async def _talk(
        self, function: str, target: Handled, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if len(self._clients) >= CLIENTS_OF_ALL or list(self._clients.values()).count(function) >= CLIENTS:
            writer.write(_FULL)
            writer.close()
            return
        self._clients[writer] = function
        session, data = Session(target), b""
        try:
            while True:
                writer.write(await asyncio.to_thread(session.feed, data))
                async with asyncio.timeout(self._idle_s):
                    await writer.drain()
                    data = b"" if session.closed else await reader.read(_CHUNK)
                if not data:
                    break
        except TimeoutError:
            writer.transport.abort()  # what it does not take would be kept for it for ever
        except ConnectionError:
            pass  # the client has gone
        finally:
            del self._clients[writer]
            writer.close()


def _unix(folder: Path) -> socket.socket:
    """A socket in a folder whose path may be longer than such addresses can be."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONTROL).unlink(missing_ok=True)
    place = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        made.bind(f"/proc/self/fd/{place}/{CONTROL}")
    except OSError:
        made.close()
        raise
    finally:
        os.close(place)
    (folder / CONTROL).chmod(0o600)
    return made
