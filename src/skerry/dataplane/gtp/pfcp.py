"""PFCP (TS 29.244): sessions between SMF and UPF, UDP port 8805. Pure; bytes that are none of it say nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import ip_address

from skerry.dataplane.gtp.facts import End, Fact, Packet, pair

PORT = 8805
_ESTABLISH, _ESTABLISHED, _MODIFY, _MODIFIED, _DELETE = 50, 51, 52, 53, 54
_CREATE_PDR, _PDI, _CREATE_FAR, _FORWARDING, _CREATED_PDR, _UPDATE_FAR, _UPDATE_FORWARDING = 1, 2, 3, 4, 8, 10, 11
_CAUSE, _F_TEID, _F_SEID, _HEADER_CREATION, _UE_ADDRESS, _QFI = 19, 21, 57, 84, 93, 124
_GROUPED = {_CREATE_PDR, _PDI, _CREATE_FAR, _FORWARDING, _CREATED_PDR, _UPDATE_FAR, _UPDATE_FORWARDING}
_ACCEPTED = 1
_DEPTH = 4


def facts(packet: Packet) -> list[Fact]:
    """What a message says."""
    data = packet.data
    if len(data) < 16 or data[0] >> 5 != 1 or not data[0] & 1:
        return []
    kind, seid = data[1], int.from_bytes(data[4:12], "big")
    end = 4 + int.from_bytes(data[2:4], "big")
    found = _Found()
    _walk(data[16:end], found, 0)
    key = f"pfcp:{pair(packet)}:{int.from_bytes(data[12:15], 'big')}"
    if kind == _ESTABLISH:
        return [found.fact((key,), opens=True)]
    if kind == _ESTABLISHED:
        also = (f"pfcp:{packet.source}:{found.seid}",) if found.seid else ()
        return [found.fact((key, *also))] if found.cause == _ACCEPTED else [Fact(keys=(key,), gone=True)]
    if kind == _MODIFY:
        return [found.fact((f"pfcp:{packet.target}:{seid}",))]
    if kind == _DELETE:
        return [Fact(keys=(f"pfcp:{packet.target}:{seid}",), gone=True)]
    return []


class _Found:
    """What the elements of a message say, wherever they are in it."""

    def __init__(self) -> None:
        self.ue, self.seid, self.cause = "", 0, _ACCEPTED
        self.core: End | None = None
        self.ran: End | None = None
        self.qfi: int | None = None

    def fact(self, keys: tuple[str, ...], *, opens: bool = False) -> Fact:
        """All of it."""
        return Fact(keys=keys, ue=self.ue, core=self.core, ran=self.ran, qfi=self.qfi, opens=opens)

    def note(self, kind: int, value: bytes) -> None:
        """One element."""
        if kind == _CAUSE and value:
            self.cause = value[0]
        elif kind == _F_SEID and len(value) >= 9:
            self.seid = int.from_bytes(value[1:9], "big")
        elif kind == _QFI and value:
            self.qfi = value[0] & 63
        elif kind == _UE_ADDRESS and value:
            self.ue = _addresses(value[1:], v4=bool(value[0] & 2), v6=bool(value[0] & 1)) or self.ue
        elif kind == _F_TEID and len(value) >= 5 and not value[0] & 4:
            address = _addresses(value[5:], v4=bool(value[0] & 1), v6=bool(value[0] & 2))
            self.core = End(address, int.from_bytes(value[1:5], "big")) if address else self.core
        elif kind == _HEADER_CREATION and len(value) >= 6:
            address = _addresses(value[6:], v4=bool(value[0] & 1), v6=bool(value[0] & 2))
            self.ran = End(address, int.from_bytes(value[2:6], "big")) if address else self.ran


def _walk(body: bytes, found: _Found, depth: int) -> None:
    for kind, value in _each(body):
        if kind in _GROUPED and depth < _DEPTH:
            _walk(value, found, depth + 1)
        else:
            found.note(kind, value)


def _each(body: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(body):
        kind, size = int.from_bytes(body[at : at + 2], "big"), int.from_bytes(body[at + 2 : at + 4], "big")
        if at + 4 + size > len(body):
            return
        yield kind, body[at + 4 : at + 4 + size]
        at += 4 + size


def _addresses(data: bytes, *, v4: bool, v6: bool) -> str:
    """The first address of those that are there: IPv4 comes before IPv6."""
    sizes: Iterable[int] = (4,) if v4 else (16,) if v6 else ()
    for size in sizes:
        if len(data) >= size:
            return str(ip_address(data[:size]))
    return ""
