"""Who is at the other end of a port: where frames may go straight into that end, past the near one. Blocking calls."""

from __future__ import annotations

import struct

from skerry.linux import netlink
from skerry.linux.pairs import at_other_end

MOST_STRAIGHT = 1024
"""Ports of higher numbers are never reached so."""
STRAIGHT = struct.Struct("<II6s2x")
"""Length of the longest frame (0: none goes straight), nothing, address of the owner."""
_HEADERS = 18


def straight(interface: str) -> bytes:
    """What the programs have to know of an interface of the calling thread's namespace. Only an end of a pair can be passed by
    whose other end is in another namespace, and only one that neither delays nor shapes what leaves there."""
    with netlink.Netlink() as kernel:
        near = next((one for one in kernel.links() if one.name == interface), None)
    if near is None or near.kind != "veth" or near.peer_namespace < 0 or near.queue != "noqueue":
        return STRAIGHT.pack(0, 0, b"")
    with at_other_end(interface) as far:
        if far is None or len(far.mac) != 6:
            return STRAIGHT.pack(0, 0, b"")
        return STRAIGHT.pack(far.mtu + _HEADERS, 0, far.mac)
