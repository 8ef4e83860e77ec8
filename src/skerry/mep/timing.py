"""The time that the platform has, and where it has it from (MEC 011 7.1.2.4 and 7.1.2.5), as this machine says.

The kernel knows whether its clock is disciplined; the files of the usual clients name the servers.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from itertools import pairwise
from pathlib import Path

import msgspec

STA_UNSYNC = 0x0040
TIME_ERROR = 5
ROOM = 512  # bytes for the kernel's `struct timex`, which has 208 on a 64-bit machine
STATUS = 40  # offset of its field `status`
NTP = ("etc/chrony/chrony.conf", "etc/chrony/sources.d", "etc/chrony.conf", "etc/ntpsec/ntp.conf", "etc/ntp.conf")
TIMESYNCD = "etc/systemd/timesyncd.conf"
PTP = ("etc/linuxptp/ptp4l.conf", "etc/ptp4l.conf")
POLL = (6, 10)
"""Exponents of two of the shortest and longest polling interval in seconds, where the file does not say (RFC 5905)."""


class NtpServer(msgspec.Struct, frozen=True, kw_only=True):
    """A time server by NTP. Polling intervals are exponents of two of seconds."""

    address: str
    min_poll: int = POLL[0]
    max_poll: int = POLL[1]
    preferred: bool = False
    key: int | None = None

    @property
    def address_type(self) -> str:
        """IP_ADDRESS or DNS_NAME, as MEC 011 writes it."""
        try:
            ip_address(self.address)
        except ValueError:
            return "DNS_NAME"
        return "IP_ADDRESS"


class PtpMaster(msgspec.Struct, frozen=True, kw_only=True):
    """A PTP master and the most Delay_Req messages a second, as an exponent of two."""

    address: str
    delay_req_rate: int = 0


class Sources(msgspec.Struct, frozen=True, kw_only=True):
    """Where the time is from."""

    ntp: tuple[NtpServer, ...] = ()
    ptp: tuple[PtpMaster, ...] = ()


def sources(root: Path = Path("/")) -> Sources:
    """The time servers that this machine's configuration names."""
    ntp = [server for name in NTP for line in _lines(root / name) if (server := ntp_line(line))]
    ntp += [NtpServer(address=address) for line in _lines(root / TIMESYNCD) for address in _timesyncd(line)]
    return Sources(ntp=tuple(dict.fromkeys(ntp)), ptp=tuple(_masters(root)))


def ntp_line(line: str) -> NtpServer | None:
    """A `server`, `pool` or `peer` line of chrony or ntpd; None for any other."""
    words = line.split()
    if len(words) < 2 or words[0] not in ("server", "pool", "peer"):
        return None
    options = dict(pairwise(words))
    return NtpServer(
        address=words[1],
        min_poll=_number(options, "minpoll", POLL[0]),
        max_poll=_number(options, "maxpoll", POLL[1]),
        preferred="prefer" in words[2:],
        key=_number(options, "key", 0) if "key" in options else None,
    )


def _number(options: Mapping[str, str], name: str, default: int) -> int:
    text = options.get(name, "")
    return int(text) if text.lstrip("-").isdigit() else default


def _timesyncd(line: str) -> list[str]:
    name, _, value = line.partition("=")
    return value.split() if name.strip() in ("NTP", "FallbackNTP") else []


def _masters(root: Path) -> Iterable[PtpMaster]:
    for name in PTP:
        for line in _lines(root / name):
            words = line.split()
            if len(words) >= 2 and words[0] in ("UDPv4", "UDPv6"):
                yield PtpMaster(address=words[1])


def _lines(path: Path) -> list[str]:
    """The lines of a file, or of all files of a folder, without comments; none where there is nothing to read."""
    try:
        files = sorted(path.glob("*.sources")) if path.is_dir() else [path]
        texts = [file.read_text(errors="replace") for file in files]
    except OSError:
        return []
    stripped = (line.strip() for text in texts for line in text.splitlines())
    return [line for line in stripped if line and line[0] not in "#;!"]


def traceable() -> bool:
    """Whether the kernel's clock is disciplined by a time source (adjtimex(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    told = ctypes.create_string_buffer(ROOM)
    state = int(libc.adjtimex(told))
    if state < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    status = int.from_bytes(told.raw[STATUS : STATUS + 4], "little")
    return state != TIME_ERROR and not status & STA_UNSYNC


def current() -> tuple[int, int]:
    """Seconds and nanoseconds of Unix time."""
    return divmod(time.time_ns(), 1_000_000_000)
