"""How applications reach the node that they run on: the gateway of their own network takes connections for it.

Instances on embedded infrastructure have no way to the machine's addresses. A door is a listening socket on the gateway of a
network, inside the networks' namespace; what comes in is passed to the node's own API. It is plain HTTP on a bridge that
only the application's own containers are on; towards the node it is TLS where the node serves TLS.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from skerry.errors import DriverError
from skerry.vim.driver import Driver, Inward

PORT = 80
_CHUNK = 1 << 16


class Doors:
    """The doors of a node. `profile` is the file in which the node tells this machine's users how to reach it."""

    def __init__(self, profile: Path) -> None:
        self._profile = profile
        self._open: dict[tuple[str, str], asyncio.Server] = {}

    async def open(self, vim: str, driver: Driver, gateway: str) -> str:
        """Let the network with this gateway in; the answer is the node's URL for its instances, "" where that cannot be. Again
        for one that is open: it is made anew, since its network may have been."""
        if not isinstance(driver, Inward) or not gateway or not self._profile.is_file():
            return ""
        self.close(vim, gateway)
        try:
            listening = await driver.inner_socket(gateway, PORT)
        except (OSError, DriverError):
            return ""
        self._open[vim, gateway] = await asyncio.start_server(self._serve, sock=listening)
        return f"http://{gateway}"

    def close(self, vim: str, gateway: str) -> None:
        """Let it in no more."""
        if server := self._open.pop((vim, gateway), None):
            server.close()

    def stop(self) -> None:
        """Close every door."""
        for vim, gateway in list(self._open):
            self.close(vim, gateway)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            inner, outer = await self._node()
            await asyncio.gather(_pump(reader, outer), _pump(inner, writer))
        writer.close()

    async def _node(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the node's own API."""
        known: dict[str, Any] = msgspec.json.decode(self._profile.read_bytes())
        parts = urlsplit(known["endpoint"])
        context = ssl.create_default_context(cafile=known["ca"]) if parts.scheme == "https" else None
        return await asyncio.open_connection(parts.hostname, parts.port, ssl=context)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass everything on, then the end."""
    try:
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
    finally:
        with contextlib.suppress(OSError):
            if writer.can_write_eof():
                writer.write_eof()
            else:
                writer.close()
