"""A connection to a bridge: requests and replies over the bridge's management socket, on the event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from skerry.dataplane.ovs import openflow
from skerry.errors import DriverError, UnavailableError

_ANSWER_S = 30.0
_CHUNK = 1 << 17
_BUNDLE = 1
_TABLE_FULL = (5, 1)


class Channel:
    """An OpenFlow connection. One request or bundle runs at a time; `open` makes it, `close` ends it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str) -> None:
        self._reader, self._writer, self._name = reader, writer, name
        self._turn = asyncio.Lock()
        self._xid = 0
        self._inbox: asyncio.Queue[tuple[int, int, bytes] | None] = asyncio.Queue()
        self.lost: Callable[[], None] | None = None
        self._pump = asyncio.create_task(self._receive())

    @classmethod
    async def open(cls, path: Path, name: str) -> Channel:
        """Connect to the management socket of the bridge `name`. `UnavailableError` when nothing answers."""
        try:
            reader, writer = await asyncio.open_unix_connection(path)
        except OSError as error:
            raise UnavailableError(
                f"cannot reach the switch {name}: {error.strerror}", suggestion="prepare the device again"
            ) from error
        channel = cls(reader, writer, name)
        writer.write(openflow.hello() + openflow.set_config())
        await channel.barrier()
        return channel

    @property
    def alive(self) -> bool:
        """Whether the switch is still there."""
        return not self._pump.done()

    async def close(self) -> None:
        """Hang up. The switch keeps its rules."""
        self.lost = None
        self._pump.cancel()
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
        await asyncio.gather(self._pump, return_exceptions=True)

    async def barrier(self) -> None:
        """Wait until all that was sent is done."""
        await self.send(())

    async def send(self, messages: Iterable[bytes]) -> None:
        """Send messages one by one and wait until all are done. `DriverError` for the first that was refused."""
        async with self._turn:
            await self._send([openflow.numbered(one, self._next()) for one in messages])

    async def ask(self, request: bytes) -> list[bytes]:
        """All parts of the reply to a multipart request."""
        async with self._turn:
            xid = self._next()
            self._writer.write(openflow.numbered(request, xid))
            parts: list[bytes] = []
            while True:
                kind, answer, data = await self._answer()
                if answer != xid:
                    continue
                self._check(kind, data)
                parts.append(data)
                if openflow.last_part(data):
                    return parts

    async def commit(self, messages: Sequence[bytes]) -> None:
        """Do all messages at one moment, or none: then a `DriverError` says which was refused and why."""
        if not messages:
            return
        async with self._turn:
            try:
                await self._bundle(messages)
            except DriverError:
                with contextlib.suppress(DriverError):
                    await self._send(
                        [openflow.numbered(openflow.bundle_control(_BUNDLE, openflow.BUNDLE_DISCARD), self._next())]
                    )
                raise

    async def _bundle(self, messages: Sequence[bytes]) -> None:
        opened = openflow.bundle_control(_BUNDLE, openflow.BUNDLE_OPEN)
        self._writer.write(openflow.numbered(opened, self._next()))
        first = self._xid + 1
        chunk: list[bytes] = []
        size = 0
        for xid, one in enumerate(messages, first):
            added = openflow.bundle_add(_BUNDLE, one, xid)
            chunk.append(added)
            size += len(added)
            if size > _CHUNK:
                await self._write(b"".join(chunk))
                chunk, size = [], 0
        self._xid += len(messages)
        # A message that cannot be read is refused when it is added; the others are tried at the end.
        await self._send(chunk)
        done = openflow.bundle_control(_BUNDLE, openflow.BUNDLE_COMMIT)
        await self._send([openflow.numbered(done, self._next())])

    async def _send(self, messages: Sequence[bytes]) -> None:
        xid = self._next()
        await self._write(b"".join(messages) + openflow.numbered(openflow.barrier(), xid))
        refused: DriverError | None = None
        while True:
            kind, answer, data = await self._answer()
            if kind == openflow.ERROR:
                refused = refused or self._refused(data)
            if kind == openflow.BARRIER_REPLY and answer == xid:
                break
        if refused:
            raise refused

    async def _write(self, data: bytes) -> None:
        self._writer.write(data)
        try:
            await self._writer.drain()
        except OSError as error:
            raise self._hung_up() from error

    def _next(self) -> int:
        self._xid = self._xid % 0x7FFFFFFF + 1
        return self._xid

    def _check(self, kind: int, data: bytes) -> None:
        if kind == openflow.ERROR:
            raise self._refused(data)

    def _refused(self, data: bytes) -> DriverError:
        failure = openflow.failure(data)
        return DriverError(
            f"cannot change the switch {self._name}: {failure.text}",
            transient=(failure.kind, failure.code) == _TABLE_FULL,
            call=failure.data[:64].hex(),
            answer=f"{failure.kind}/{failure.code}",
            suggestion="the state before is in effect; mend the rule that is refused",
        )

    async def _answer(self) -> tuple[int, int, bytes]:
        try:
            async with asyncio.timeout(_ANSWER_S):
                got = await self._inbox.get()
        except TimeoutError as error:
            raise DriverError(f"cannot get an answer from the switch {self._name}", transient=True) from error
        if got is None:
            self._inbox.put_nowait(None)
            raise self._hung_up()
        return got

    def _hung_up(self) -> DriverError:
        return DriverError(
            f"cannot talk to the switch {self._name}: it hung up", transient=True, suggestion="prepare the device again"
        )

    async def _receive(self) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                start = await self._reader.readexactly(8)
                kind, size, xid = openflow.head(start)
                data = start + await self._reader.readexactly(size - 8)
                self._sort(kind, xid, data)
        self._inbox.put_nowait(None)
        if self.lost:
            self.lost()

    def _sort(self, kind: int, xid: int, data: bytes) -> None:
        if kind == openflow.ECHO_REQUEST:
            reply = openflow.message(openflow.ECHO_REPLY, data[8:])
            self._writer.write(openflow.numbered(reply, xid))
        elif kind in (openflow.ERROR, openflow.BARRIER_REPLY, openflow.MULTIPART_REPLY):
            self._inbox.put_nowait((kind, xid, data))
