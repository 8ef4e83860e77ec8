"""Sessions as they are in the kernel's map. Pure."""

from __future__ import annotations

import struct
from ipaddress import IPv6Address, ip_address

from skerry.dataplane.ebpf.acting_gtp import LEARNED, SEEN, TUNNELS
from skerry.dataplane.ebpf.shapes import TUNNEL_SIZE, tunnel, untunnel
from skerry.dataplane.flows import Origin, Session, Tunnel

_HEAD = struct.Struct("<IIQII")  # origin, idle seconds, last seen, up is there, down is there
_ORIGINS = (Origin.STATIC, Origin.SNOOPED, Origin.LEARNED)
assert _ORIGINS[LEARNED] is Origin.LEARNED  # noqa: S101 - the program writes that number
assert _HEAD.size == TUNNELS  # noqa: S101
assert SEEN == 8  # noqa: S101


def key(ue: str) -> bytes:
    """The key of a UE: its address as IPv6. `ValueError` if it is no address."""
    found = ip_address(ue)
    return found.packed if found.version == 6 else bytes(10) + b"\xff\xff" + found.packed


def ue(data: bytes) -> str:
    """The way back."""
    found = IPv6Address(data[:16])
    return str(found.ipv4_mapped or found)


def value(session: Session, now_ns: int) -> bytes:
    """A session as it is in the map, last seen now."""
    head = _HEAD.pack(
        _ORIGINS.index(session.origin), session.idle_s, now_ns, session.up is not None, session.down is not None
    )
    return head + _tunnel(session.up, down=False) + _tunnel(session.down, down=True)


def _tunnel(given: Tunnel | None, *, down: bool) -> bytes:
    return tunnel(given, down=down) if given else bytes(TUNNEL_SIZE)


def session(key_data: bytes, data: bytes, now_ns: int) -> Session | None:
    """The way back; None for one that is over or has no tunnels."""
    origin, idle_s, seen, up, down = _HEAD.unpack_from(data)
    if not (up or down) or (idle_s and now_ns - seen > idle_s * 10**9):
        return None
    return Session(
        ue=ue(key_data),
        up=untunnel(data[TUNNELS : TUNNELS + TUNNEL_SIZE]) if up else None,
        down=untunnel(data[TUNNELS + TUNNEL_SIZE :]) if down else None,
        origin=_ORIGINS[origin],
        idle_s=idle_s,
    )


def origin(data: bytes) -> Origin:
    """Where a session is known from."""
    return _ORIGINS[_HEAD.unpack_from(data)[0]]
