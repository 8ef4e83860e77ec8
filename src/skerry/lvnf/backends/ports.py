"""A port of a function that runs as a process: whole frames of one interface, with the VLAN tag that the kernel took off."""

from __future__ import annotations

import errno
import select
import socket
import struct

_ETH_P_ALL = 0x0003
_SOL_PACKET, _PACKET_AUXDATA, _PACKET_IGNORE_OUTGOING = 263, 8, 23
_SO_RCVBUFFORCE, _SO_SNDBUFFORCE = 33, 32
_VLAN_VALID, _TPID_VALID = 0x10, 0x40
_LARGEST = 1 << 16
_BUFFER = 8 << 20
_PATIENCE_MS = 5
_AUXILIARY = socket.CMSG_SPACE(20)


class Port:
    """Sends and receives frames of `interface` in the namespace that the calling thread is in.

    It is made with privileges and needs none afterwards. Nothing arrives before `listen`. `OSError` if there is no such
    interface.
    """

    def __init__(self, interface: str) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        self.interface = interface
        self.lost = 0  # frames that could not be sent
        self.socket = socket.socket(socket.AF_PACKET, kind, 0)
        try:
            self.socket.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
            self.socket.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
            for option in (_SO_RCVBUFFORCE, _SO_SNDBUFFORCE):
                self.socket.setsockopt(socket.SOL_SOCKET, option, _BUFFER)
            self.socket.bind((interface, 0))
        except OSError:
            self.socket.close()
            raise

    def fileno(self) -> int:
        return self.socket.fileno()

    def listen(self) -> None:
        """From now on frames arrive."""
        self.socket.bind((self.interface, _ETH_P_ALL))

    def take(self, most: int) -> list[bytes]:
        """What has arrived, up to so many frames."""
        frames: list[bytes] = []
        receive = self.socket.recvmsg
        while len(frames) < most:
            try:
                data, extra, _, _ = receive(_LARGEST, _AUXILIARY)
            except BlockingIOError:
                break
            except OSError as wrong:
                if wrong.errno in (errno.ENETDOWN, errno.ENXIO, errno.ENODEV):
                    break  # the interface is down or gone: nothing comes, and it may come up again
                raise
            frames.append(_tagged(data, extra))
        return frames

    def send(self, frame: bytes) -> None:
        """Send a frame; one that the interface does not take (too long, down, still full after a moment) is lost."""
        try:
            self.socket.send(frame)
        except BlockingIOError:
            self._send_soon(frame)
        except OSError:
            self.lost += 1

    def _send_soon(self, frame: bytes) -> None:
        waiting = select.poll()
        waiting.register(self.socket, select.POLLOUT)
        try:
            if waiting.poll(_PATIENCE_MS):
                self.socket.send(frame)
                return
        except OSError:
            pass
        self.lost += 1


def _tagged(data: bytes, extra: list[tuple[int, int, bytes]]) -> bytes:
    for level, kind, value in extra:
        if level == _SOL_PACKET and kind == _PACKET_AUXDATA and len(value) >= 20:
            status, _, _, _, _, tag, protocol = struct.unpack_from("IIIHHHH", value)
            if status & _VLAN_VALID:
                tpid = protocol if status & _TPID_VALID else 0x8100
                return data[:12] + struct.pack("!HH", tpid, tag) + data[12:]
    return data
