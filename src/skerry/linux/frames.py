"""Raw frames of an interface: what leaves it or comes in, whole, with the VLAN tag that the kernel had taken off."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

_ETH_P_ALL = 0x0003
_SOL_PACKET, _AUXDATA = 263, 8
_VLAN_VALID, _TPID_VALID = 0x10, 0x40
_OUTGOING = 4
_LARGEST = 1 << 16


class Tap:
    """A socket that sees every frame of one interface of the calling thread's namespace. `OSError` if there is none."""

    def __init__(self, interface: str) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        self.socket = socket.socket(socket.AF_PACKET, kind, 0)
        try:
            self.socket.setsockopt(_SOL_PACKET, _AUXDATA, 1)
            self.socket.bind((interface, _ETH_P_ALL))
        except OSError:
            self.socket.close()
            raise

    def close(self) -> None:
        """Stop seeing."""
        self.socket.close()

    def frames(self) -> Iterator[tuple[bool, bytes]]:
        """What has been seen since: whether it left, and the frame."""
        while True:
            try:
                data, extra, _, address = self.socket.recvmsg(_LARGEST, socket.CMSG_SPACE(20))
            except BlockingIOError:
                return
            yield address[2] == _OUTGOING, _tagged(data, extra)


def _tagged(data: bytes, extra: list[tuple[int, int, bytes]]) -> bytes:
    for level, kind, value in extra:
        if (level, kind) == (_SOL_PACKET, _AUXDATA) and len(value) >= 20:
            status, _, _, _, _, tag, protocol = struct.unpack("IIIHHHH", value[:20])
            if status & _VLAN_VALID:
                tpid = protocol if status & _TPID_VALID else 0x8100
                return data[:12] + struct.pack("!HH", tpid, tag) + data[12:]
    return data
