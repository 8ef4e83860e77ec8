"""Reads the control plane as it passes an interface, and tells an engine of the tunnels: bytes of frames to sessions.

`messages` finds the messages in a frame (GTPv1-C and PFCP in UDP, S1AP and NGAP in SCTP); `Snooper` listens to an interface.
"""

from __future__ import annotations

import asyncio
import ctypes
import socket
import struct
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from typing import Protocol

import msgspec

from skerry.dataplane import packets
from skerry.dataplane.flows import PROTO_SCTP, PROTO_UDP, Field, Session
from skerry.dataplane.gtp import gtpc, pfcp, ranap
from skerry.dataplane.gtp.facts import Fact, Packet
from skerry.dataplane.gtp.tracker import Changes, Sides, Tracker
from skerry.errors import SkerryError, UnsupportedError
from skerry.linux import namespaces
from skerry.linux.frames import Tap
from skerry.model.time import Clock

S1AP_PORT, NGAP_PORT = 36412, 38412
_DATA, _WHOLE = 0, 3
_UDP_READERS = {gtpc.PORT: gtpc.facts, pfcp.PORT: pfcp.facts}
_SCTP_READERS = {S1AP_PORT: ranap.s1ap, NGAP_PORT: ranap.ngap}


class Sessions(Protocol):
    """Where sessions go: an engine."""

    async def put_sessions(self, device: str, sessions: list[Session], gone: list[str]) -> None:
        """Add or replace snooped sessions, forget others."""
        ...


class Seen(msgspec.Struct, frozen=True):
    """A message of a control plane: its well-known port, and the message with its addresses."""

    port: int
    packet: Packet


def messages(frame: bytes) -> Iterator[Seen]:
    """The messages of control planes in a frame; nothing for any other."""
    found = packets.parse(frame)
    ip = found.ip
    if ip is None or Field.L4_SRC not in found.fields:
        return
    ports = {found.fields[Field.L4_SRC], found.fields[Field.L4_DST]}
    source, target = (str(ip_address(one)) for one in packets.addresses(frame, ip))
    if ip.proto == PROTO_UDP:
        for port in ports & _UDP_READERS.keys():
            yield Seen(port, Packet(source, target, frame[ip.payload + 8 : ip.end]))
    elif ip.proto == PROTO_SCTP:
        for port in ports & _SCTP_READERS.keys():
            for data in _chunks(frame[ip.payload + 12 : ip.end]):
                yield Seen(port, Packet(source, target, data))


def _chunks(data: bytes) -> Iterator[bytes]:
    """The user data of whole DATA chunks of SCTP (RFC 9260, 3.3.1)."""
    at = 0
    while at + 4 <= len(data):
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        if size < 4 or at + size > len(data):
            return
        if data[at] == _DATA and data[at + 1] & _WHOLE == _WHOLE and size > 16:
            yield data[at + 16 : at + size]
        at += size + 3 & ~3


def read(seen: Seen) -> list[Fact]:
    """What a message says. `UnsupportedError` for S1AP and NGAP without pycrate."""
    if seen.port in _UDP_READERS:
        return _UDP_READERS[seen.port](seen.packet)
    return _SCTP_READERS[seen.port](seen.packet.data)


class Snooper:
    """Listens where the control plane passes, and keeps the snooped sessions of a device right.

    `failed` is the last error: an engine that refused, or a protocol that cannot be read here; listening goes on. `told` hears
    of each change at once, before the engine does.
    """

    def __init__(self, engine: Sessions, device: str, sides: Sides, clock: Clock) -> None:
        self.tracker = Tracker(sides)
        self.failed: SkerryError | None = None
        self.told: Callable[[Changes], None] = lambda _: None
        self._engine, self._device, self._clock = engine, device, clock
        self._tap: Tap | None = None
        self._waiting: asyncio.Queue[Changes] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def start(self, namespace: str, interface: str) -> None:
        """Listen to an interface of a namespace ("" the own one). `OSError` if there is none."""
        self._tap = await asyncio.to_thread(_listen, namespace, interface)
        asyncio.get_running_loop().add_reader(self._tap.socket, self._read)
        self._task = asyncio.create_task(self._tell())

    async def stop(self) -> None:
        """Stop listening; sessions stay."""
        if self._tap and self._task:
            asyncio.get_running_loop().remove_reader(self._tap.socket)
            self._tap.close()
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._tap = self._task = None

    def learned(self, sessions: list[Session]) -> None:
        """What the engine learned from user data: it says whose the ends are that a ciphered control plane names."""
        self._waiting.put_nowait(self.tracker.learned(sessions))

    def _read(self) -> None:
        assert self._tap is not None  # noqa: S101 - the reader is there only while it listens
        for _, frame in self._tap.frames():
            for seen in messages(frame):
                try:
                    facts = read(seen)
                except UnsupportedError as error:
                    self.failed = error
                    continue
                changes = self.tracker.feed(facts, self._clock.monotonic())
                if changes.put or changes.gone:
                    self.told(changes)
                self._waiting.put_nowait(changes)

    async def _tell(self) -> None:
        while True:
            changes = await self._waiting.get()
            if not changes.put and not changes.gone:
                continue
            try:
                await self._engine.put_sessions(self._device, list(changes.put.values()), sorted(changes.gone))
            except SkerryError as error:
                self.failed = error


def _listen(namespace: str, interface: str) -> Tap:
    if not namespace:
        return _narrow(Tap(interface))
    with namespaces.inside(namespaces.place(namespace)):
        return _narrow(Tap(interface))


_ACCEPT, _REFUSE = 23, 22
_FILTER = (
    (0x28, 12, 0, 0),  # 0: the Ethernet type
    (0x15, 0x0800, 0, 10),
    (0x30, 23, 0, 0),  # 2: IPv4: the protocol
    (0x15, PROTO_SCTP, _ACCEPT - 4, 0),
    (0x15, PROTO_UDP, 0, _REFUSE - 5),
    (0xB1, 14, 0, 0),  # 5: the length of the header
    (0x48, 14, 0, 0),
    (0x15, gtpc.PORT, _ACCEPT - 8, 0),
    (0x15, pfcp.PORT, _ACCEPT - 9, 0),
    (0x48, 16, 0, 0),
    (0x15, gtpc.PORT, _ACCEPT - 11, 0),
    (0x15, pfcp.PORT, _ACCEPT - 12, _REFUSE - 12),
    (0x15, 0x86DD, 0, _REFUSE - 13),  # 12: IPv6: the protocol
    (0x30, 20, 0, 0),
    (0x15, PROTO_SCTP, _ACCEPT - 15, 0),
    (0x15, PROTO_UDP, 0, _REFUSE - 16),
    (0x28, 54, 0, 0),
    (0x15, gtpc.PORT, _ACCEPT - 18, 0),
    (0x15, pfcp.PORT, _ACCEPT - 19, 0),
    (0x28, 56, 0, 0),
    (0x15, gtpc.PORT, _ACCEPT - 21, 0),
    (0x15, pfcp.PORT, _ACCEPT - 22, 0),
    (0x06, 0, 0, 0),
    (0x06, 0xFFFF, 0, 0),
)
"""Classic BPF: what the kernel hands up. User data would be far too much for this process."""
_ATTACH_FILTER = 26


def _narrow(tap: Tap) -> Tap:
    """Let the kernel pass control planes only."""
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", code, jt, jf, k) for code, k, jt, jf in _FILTER))
    tap.socket.setsockopt(
        socket.SOL_SOCKET, _ATTACH_FILTER, struct.pack("HxxxxxxQ", len(_FILTER), ctypes.addressof(program))
    )
    return tap
