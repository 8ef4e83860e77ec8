"""Checksum offload of interfaces (ethtool), also at the other end of a veth pair in whatever namespace.

The end of a pair that sends leaves checksums to be filled in by hardware, which a pair does not have. Programs that read
raw frames at the near end then pass on frames with wrong checksums; so the far end has to compute them itself.
"""

from __future__ import annotations

import ctypes
import fcntl
import socket
import struct

from skerry.linux.pairs import at_other_end

_SIOCETHTOOL = 0x8946
_GET_TX_CHECKSUM, _SET_TX_CHECKSUM = 0x16, 0x17


def transmit_checksums(interface: str) -> bool:
    """Whether an interface of the calling thread's namespace leaves checksums to its hardware. `OSError` if there is none."""
    return bool(_ethtool(interface, _GET_TX_CHECKSUM, 0))


def set_transmit_checksums(interface: str, on: bool) -> None:
    """Leave checksums to the interface, or compute them before."""
    _ethtool(interface, _SET_TX_CHECKSUM, int(on))


def set_peer_checksums(interface: str, on: bool) -> bool:
    """Do that at the other end of a veth pair. False where that changes nothing: it is so, is no pair, or is out of reach."""
    with at_other_end(interface) as far:
        return far is not None and _switch(far.name, on)


def _switch(interface: str, on: bool) -> bool:
    try:
        if transmit_checksums(interface) == on:
            return False
        set_transmit_checksums(interface, on)
    except OSError:
        return False
    return True


def _ethtool(interface: str, command: int, value: int) -> int:
    request = ctypes.create_string_buffer(struct.pack("II", command, value), 8)
    call = struct.pack("16sQ16x", interface.encode(), ctypes.addressof(request))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as any_socket:
        fcntl.ioctl(any_socket, _SIOCETHTOOL, call)
    return int(struct.unpack("II", request.raw)[1])
