"""Connections as they are in the kernel's map. Pure."""

from __future__ import annotations

import struct
from ipaddress import ip_address

from skerry.dataplane.connections import CLOSING_S, UNANSWERED_S
from skerry.dataplane.driver import Remembered
from skerry.dataplane.ebpf.entries import ANSWERED, BACK, BECOMES, CLOSING, ENDS

_KEY = struct.Struct("<HBB")  # zone, protocol, IP version
_HEAD = struct.Struct("<IIQ")  # flags, idle seconds, last seen
_SECOND = 1_000_000_000


def connection(key: bytes, value: bytes, now_ns: int) -> Remembered | None:
    """The connection of an entry; None for one of answers, or one that is over."""
    zone, proto, version = _KEY.unpack_from(key)
    flags, idle_s, seen = _HEAD.unpack_from(value)
    most = CLOSING_S if flags & CLOSING else idle_s if flags & ANSWERED else min(idle_s, UNANSWERED_S)
    if flags & BACK or now_ns - seen > most * _SECOND:
        return None
    return Remembered(
        zone=zone,
        proto=proto,
        opened=_ends(key[ENDS:], version),
        onward=_ends(value[BECOMES:], version),
        answered=bool(flags & ANSWERED),
    )


def _ends(data: bytes, version: int) -> tuple[str, int, str, int]:
    size = 4 if version == 4 else 16
    ports = struct.unpack_from("!HH", data, 32)
    return str(ip_address(data[:size])), ports[0], str(ip_address(data[16 : 16 + size])), ports[1]
