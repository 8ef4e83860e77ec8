"""Checksum offload of interfaces (ethtool), also at the other end of a veth pair in whatever namespace.

The end of a pair that sends leaves checksums to be filled in by hardware, which a pair does not have. Programs that read
raw frames at the near end then pass on frames with wrong checksums; so the far end has to compute them itself.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

from skerry.linux import namespaces, netlink, syscalls

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
    with netlink.Netlink() as kernel:
        links = kernel.links()
        near = next((one for one in links if one.name == interface), None)
        if near is None or not near.peer:
            return False
        if near.peer_namespace < 0:
            far = next((one.name for one in links if one.index == near.peer), "")
            return _switch(far, on)
        place = _place(kernel, near.peer_namespace)
    if place is None:
        return False
    with syscalls.network_kept():
        namespaces.enter(place)
        try:
            return _switch(socket.if_indextoname(near.peer), on)
        except OSError:
            return False


def _switch(interface: str, on: bool) -> bool:
    try:
        if transmit_checksums(interface) == on:
            return False
        set_transmit_checksums(interface, on)
    except OSError:
        return False
    return True


def _place(kernel: netlink.Netlink, number: int) -> Path | None:
    """Where the namespace of a number can be entered: by its name, or by a process that lives in it."""
    seen: set[int] = set()
    for place in _places():
        try:
            descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            inode = os.fstat(descriptor).st_ino
            if inode not in seen and kernel.namespace_number(descriptor) == number:
                return place
            seen.add(inode)
        finally:
            os.close(descriptor)
    return None


def _places() -> Iterator[Path]:
    yield from namespaces.FOLDER.glob("*")
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            yield process / "ns/net"


def _ethtool(interface: str, command: int, value: int) -> int:
    request = ctypes.create_string_buffer(struct.pack("II", command, value), 8)
    call = struct.pack("16sQ16x", interface.encode(), ctypes.addressof(request))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as any_socket:
        fcntl.ioctl(any_socket, _SIOCETHTOOL, call)
    return int(struct.unpack("II", request.raw)[1])
