"""Looks at a bridge of the embedded driver from outside Skerry and counts SIP calls: the proof that traffic really flows.

Uses a packet socket inside the network namespace that holds the bridge; nothing of Skerry is asked.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import socket
import struct
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path

ETH_P_ALL = 3
SOL_PACKET, PACKET_ADD_MEMBERSHIP, PACKET_MR_PROMISC = 263, 1, 1
CLONE_NEWNET = 0x40000000
SIP_PORT = 5060


def namespace_of(bridge: str) -> str:
    """The network namespace (as in `ip netns`) that has this bridge."""
    for file in Path("/run/netns").iterdir():
        shown = subprocess.run(
            ["ip", "-n", file.name, "link", "show", bridge], capture_output=True, text=True, check=False
        )
        if shown.returncode == 0:
            return file.name
    raise LookupError(f"no network namespace has the bridge {bridge}")


class SipTap:
    """Counts completed calls (the 200 to a BYE) by client address, with the time of each."""

    def __init__(self, bridge: str) -> None:
        self.calls: list[tuple[float, str]] = []
        self.messages: Counter[str] = Counter()
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._listen, args=(namespace_of(bridge), bridge), daemon=True)

    def __enter__(self) -> SipTap:
        self._thread.start()
        self._ready.wait(5)
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stop.set()
        self._thread.join(2)

    def count(self, since: float) -> int:
        """Calls completed since a moment of `time.monotonic()`."""
        return sum(moment >= since for moment, _ in self.calls)

    def rate(self, seconds: float) -> float:
        """Calls completed per second over the next `seconds`."""
        start = time.monotonic()
        time.sleep(seconds)
        return self.count(start) / (time.monotonic() - start)

    def clients(self, since: float) -> set[str]:
        """The clients that completed calls since a moment."""
        return {client for moment, client in self.calls if moment >= since}

    def outage(self, since: float) -> float:
        """The longest time without a completed call since a moment."""
        moments = [since, *(moment for moment, _ in self.calls if moment >= since)]
        return max((later - earlier for earlier, later in itertools.pairwise(moments)), default=0.0)

    def wait(self, calls: int, timeout_s: float) -> float:
        """Seconds until so many more calls completed. `TimeoutError` if they do not."""
        start = time.monotonic()
        while self.count(start) < calls:
            if time.monotonic() - start > timeout_s:
                raise TimeoutError(f"saw {self.count(start)} of {calls} calls on the wire within {timeout_s:g} s")
            time.sleep(0.01)
        return time.monotonic() - start

    def _listen(self, namespace: str, bridge: str) -> None:
        with Path("/run/netns", namespace).open() as file:
            if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as tap:
            tap.bind((bridge, 0))
            request = struct.pack("IHH8s", socket.if_nametoindex(bridge), PACKET_MR_PROMISC, 0, b"")
            tap.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, request)
            tap.settimeout(0.2)
            self._ready.set()
            while not self._stop.is_set():
                try:
                    self._see(tap.recv(65535))
                except TimeoutError:
                    continue

    def _see(self, frame: bytes) -> None:
        if frame[12:14] != b"\x08\x00" or frame[23] != socket.IPPROTO_UDP:
            return
        header = 14 + (frame[14] & 15) * 4
        source, target = struct.unpack("!HH", frame[header : header + 4])
        if SIP_PORT not in (source, target):
            return
        text = frame[header + 8 :]
        first = text.split(b"\r\n", 1)[0]
        self.messages[first.split(b" ", 2)[1 if first.startswith(b"SIP/") else 0].decode("ascii", "replace")] += 1
        if first.startswith(b"SIP/2.0 200") and b"\nCSeq: " in text and b" BYE" in text.split(b"\nCSeq: ", 1)[1][:40]:
            self.calls.append((time.monotonic(), socket.inet_ntoa(frame[30:34])))
