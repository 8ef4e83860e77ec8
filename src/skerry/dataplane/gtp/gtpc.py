"""GTPv1-C (TS 29.060): PDP contexts between SGSN and GGSN, UDP port 2123. Pure; bytes that are none of it say nothing."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from skerry.dataplane.gtp.facts import End, Fact, Packet, pair

PORT = 2123
_CREATE, _CREATED, _UPDATE, _UPDATED, _DELETE = 16, 17, 18, 19, 20
_TEID_DATA, _TEID_CONTROL, _CAUSE, _END_USER, _GSN = 16, 17, 1, 128, 133
_ACCEPTED = 128
# Lengths of the values of elements that have none of their own (types below 128).
_FIXED = {
    1: 1, 2: 8, 3: 6, 4: 4, 5: 4, 8: 1, 9: 3, 11: 1, 12: 3, 13: 1, 14: 1, 15: 1, 16: 4, 17: 4, 18: 5, 19: 1, 20: 1,
    21: 1, 22: 1, 23: 1, 24: 1, 25: 2, 26: 2, 27: 2, 28: 2, 29: 1, 127: 4,
}  # fmt: skip


def facts(packet: Packet) -> list[Fact]:
    """What a message says."""
    data = packet.data
    if len(data) < 8 or data[0] >> 4 != 3:
        return []
    kind, teid = data[1], int.from_bytes(data[4:8], "big")
    options = data[0] & 7
    body = data[12 if options else 8 : 8 + int.from_bytes(data[2:4], "big")]
    sequence = int.from_bytes(data[8:10], "big") if options else 0
    found = _elements(body)
    key = f"gtpc:{pair(packet)}:{sequence}:{'u' if kind in (_UPDATE, _UPDATED) else 'c'}"
    if kind in (_CREATE, _UPDATE):
        also = (f"gtpc:{packet.target}:{teid}",) if kind == _UPDATE else ()
        return [Fact(keys=(*also, key), ran=_end(found), opens=kind == _CREATE)]
    if kind in (_CREATED, _UPDATED):
        return _answer(packet, key, found)
    if kind == _DELETE:
        return [Fact(keys=(f"gtpc:{packet.target}:{teid}",), gone=True)]
    return []


def _answer(packet: Packet, key: str, found: dict[int, list[bytes]]) -> list[Fact]:
    if found.get(_CAUSE, [b"\0"])[0][0] != _ACCEPTED:
        return [Fact(keys=(key,), gone=True)] if key.endswith("c") else []
    control = found.get(_TEID_CONTROL)
    also = (f"gtpc:{packet.source}:{int.from_bytes(control[0], 'big')}",) if control else ()
    return [Fact(keys=(key, *also), ue=_ue(found), core=_end(found))]


def _elements(body: bytes) -> dict[int, list[bytes]]:
    found: dict[int, list[bytes]] = {}
    for kind, value in _each(body):
        found.setdefault(kind, []).append(value)
    return found


def _each(body: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(body):
        kind = body[at]
        if kind < 128:
            size, start = _FIXED.get(kind, -1), at + 1
        else:
            size, start = int.from_bytes(body[at + 1 : at + 3], "big"), at + 3
        if size < 0 or start + size > len(body):
            return
        yield kind, body[start : start + size]
        at = start + size


def _end(found: dict[int, list[bytes]]) -> End | None:
    """TEID of user data and the address for it, which is the second one."""
    teids, addresses = found.get(_TEID_DATA), found.get(_GSN, [])
    if not teids or not addresses or len(addresses[-1]) not in (4, 16):
        return None
    user = addresses[1] if len(addresses) > 1 and len(addresses[1]) in (4, 16) else addresses[-1]
    return End(str(ip_address(user)), int.from_bytes(teids[0], "big"))


def _ue(found: dict[int, list[bytes]]) -> str:
    """The end user address: organisation and type, then the address."""
    for value in found.get(_END_USER, []):
        if len(value) in (6, 18):
            return str(ip_address(value[2:]))
    return ""
