"""JSON-RPC 1.0 over a unix socket, as ovsdb-server (RFC 7047, 4) and the control sockets of Open vSwitch speak it.

The Python library of Open vSwitch copies whole tables, polls by itself and so holds up the event loop; what an engine
needs of the protocol is less than a page.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from skerry.errors import DriverError, UnavailableError

_ANSWER_S = 30.0
_READ = 1 << 16


class Peer:
    """A connection. Calls may overlap; `notified` gets what the other side tells by itself."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str) -> None:
        self._reader, self._writer, self._name = reader, writer, name
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._number = 0
        self.notified: Callable[[str, Any], None] | None = None
        self._pump = asyncio.create_task(self._receive())

    @classmethod
    async def open(cls, path: Path, name: str) -> Peer:
        """Connect. `UnavailableError` when nothing answers."""
        try:
            reader, writer = await asyncio.open_unix_connection(path)
        except OSError as error:
            raise UnavailableError(
                f"cannot reach {name}: {error.strerror}", suggestion="prepare the device again"
            ) from error
        return cls(reader, writer, name)

    @property
    def alive(self) -> bool:
        """Whether the other side is still there."""
        return not self._pump.done()

    async def close(self) -> None:
        """Hang up."""
        self._pump.cancel()
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
        await asyncio.gather(self._pump, return_exceptions=True)

    async def call(self, method: str, *params: Any) -> Any:
        """The result of a call. `DriverError` for an error or no answer."""
        if not self.alive:
            raise self._hung_up()
        self._number += 1
        number = self._number
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        self._send({"id": number, "method": method, "params": params})
        try:
            async with asyncio.timeout(_ANSWER_S):
                return await future
        except TimeoutError as error:
            raise DriverError(f"cannot get an answer from {self._name}", transient=True, call=method) from error
        finally:
            del self._waiting[number]

    def _send(self, message: Any) -> None:
        self._writer.write(json.dumps(message).encode())

    async def _receive(self) -> None:
        decoder, text = json.JSONDecoder(), ""
        try:
            while data := await self._reader.read(_READ):
                text = (text + data.decode(errors="replace")).lstrip()
                while text:
                    try:
                        message, end = decoder.raw_decode(text)
                    except json.JSONDecodeError:
                        break  # the rest has yet to come
                    text = text[end:].lstrip()
                    self._take(message)
        except OSError:
            pass
        finally:
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(self._hung_up())
            if self.notified:
                self.notified("", None)

    def _take(self, message: dict[str, Any]) -> None:
        if message.get("method") == "echo":
            self._send({"id": message["id"], "result": message["params"], "error": None})
        elif "method" in message:
            if self.notified:
                self.notified(message["method"], message["params"])
        elif (future := self._waiting.get(message["id"])) and not future.done():
            if message["error"] is None:
                future.set_result(message["result"])
            else:
                future.set_exception(self._refused(message["error"]))

    def _refused(self, error: Any) -> DriverError:
        text = error if isinstance(error, str) else json.dumps(error)
        return DriverError(f"cannot get this from {self._name}: {text.strip()}", answer=text)

    def _hung_up(self) -> DriverError:
        return DriverError(
            f"cannot talk to {self._name}: it hung up", transient=True, suggestion="prepare the device again"
        )
