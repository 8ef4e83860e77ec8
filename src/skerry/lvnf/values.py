"""Values in arguments: numbers, addresses, rates, times, probabilities. Pure. `ValueError` says what is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import IPv4Network

from skerry.lvnf.arguments import unquoted
from skerry.lvnf.configs import ClassifierClause
from skerry.lvnf.expressions import PORTS, PROTOCOLS, address, number

_DEVICE = re.compile(r"[^\s/:\x00-\x1f]{1,15}")
_RATE = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)\s*([kKmMgG]?)(bps|b/s|Bps|B/s|baud|ps|/s)?")
_TIME = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*([a-z]*)")
_CLAUSE = re.compile(r"(!?)(\d{1,5})/([0-9A-Fa-f?]+)(?:%([0-9A-Fa-f]+))?")
_UNITS = {
    "": 1.0,
    "s": 1.0,
    "sec": 1.0,
    "ms": 1e-3,
    "msec": 1e-3,
    "us": 1e-6,
    "usec": 1e-6,
    "ns": 1e-9,
    "m": 60.0,
    "min": 60.0,
    "h": 3600.0,
    "hr": 3600.0,
    "d": 86400.0,
    "day": 86400.0,
}
_TENS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
_TRUE = ("1", "true", "yes")
_FALSE = ("0", "false", "no")


def integer(low: int, high: int) -> Callable[[str], int]:
    """A reader of integers in a range."""

    def read(text: str) -> int:
        value = number(unquoted(text))
        if not low <= value <= high:
            raise ValueError(f"{text} is out of range; write a number from {low} to {high}")
        return value

    return read


def boolean(text: str) -> bool:
    """true, false, yes, no, 1, 0."""
    lowered = unquoted(text).lower()
    if lowered not in _TRUE + _FALSE:
        raise ValueError(f'"{text}" is no truth value; write true or false')
    return lowered in _TRUE


def string(text: str) -> str:
    """A string, with or without quotes."""
    return unquoted(text)


def device(text: str) -> str:
    """A device name as Linux takes it."""
    name = unquoted(text)
    if not _DEVICE.fullmatch(name) or name in (".", ".."):
        raise ValueError(f'"{name[:40]}" is no device name; write a port of the function such as eth0')
    return name


def ethernet(text: str) -> bytes:
    """An Ethernet address."""
    parts = re.split("[:-]", unquoted(text))
    if len(parts) != 6 or not all(re.fullmatch("[0-9A-Fa-f]{1,2}", part) for part in parts):
        raise ValueError(f'"{text}" is no Ethernet address; write one such as 02:00:00:00:00:01')
    return bytes(int(part, 16) for part in parts)


def ip(text: str) -> bytes:
    """An IPv4 address."""
    return address(unquoted(text))


def prefix(text: str) -> tuple[bytes, int]:
    """An IPv4 network, or an address as a network of itself."""
    try:
        found = IPv4Network(unquoted(text), strict=False)
    except ValueError:
        raise ValueError(f'"{text}" is no network; write one such as 10.0.0.0/8') from None
    return found.network_address.packed, found.prefixlen


def addresses(text: str) -> tuple[bytes, ...]:
    """IPv4 addresses, blanks between them."""
    return tuple(address(word) for word in unquoted(text).split())


def protocol(text: str) -> int:
    """An IP protocol by name or number."""
    name = unquoted(text).lower()
    return PROTOCOLS[name] if name in PROTOCOLS else integer(0, 255)(name)


def port(text: str) -> int:
    """A port by name or number."""
    name = unquoted(text).lower()
    return PORTS[name] if name in PORTS else integer(0, 0xFFFF)(name)


def ethertype(text: str) -> int:
    """An Ethernet type, 0x0800 or 2048."""
    return integer(0, 0xFFFF)(text)


def dscp(text: str) -> int:
    """The upper six bits of the type of service."""
    return integer(0, 63)(text)


def rate(text: str) -> float:
    """Packets a second, with k, M or G."""
    found = _RATE.fullmatch(unquoted(text))
    if not found or found[3] not in (None, "ps", "/s"):
        raise ValueError(f'"{text}" is no rate; write packets a second such as 1000 or 10k')
    return float(found[1]) * _TENS[found[2].lower()]


def whole_rate(text: str) -> int:
    """Whole packets a second."""
    return int(rate(text))


def bandwidth(text: str) -> float:
    """Bytes a second: 125000, 1MBps, 10Mbps (bits)."""
    found = _RATE.fullmatch(unquoted(text))
    if not found:
        raise ValueError(f'"{text}" is no bandwidth; write one such as 10Mbps (bits) or 1MBps (bytes)')
    bits = found[3] in ("bps", "b/s", "baud")
    return float(found[1]) * _TENS[found[2].lower()] / (8 if bits else 1)


def time(text: str) -> float:
    """Seconds: 5, 0.5s, 200ms, 2min."""
    found = _TIME.fullmatch(unquoted(text))
    if not found or found[2] not in _UNITS:
        raise ValueError(f'"{text}" is no time; write seconds, or a unit such as 200ms or 2min')
    return float(found[1]) * _UNITS[found[2]]


def probability(text: str) -> float:
    """0 to 1, or a percentage."""
    plain = unquoted(text).strip()
    found = re.fullmatch(r"(\d{1,3}(?:\.\d{1,12})?|\.\d{1,12})(%?)", plain)
    value = float(found[1]) / (100 if found[2] else 1) if found else 2.0
    if value > 1:
        raise ValueError(f'"{text}" is no probability; write one from 0 to 1, or such as 5%')
    return value


def data(text: str) -> bytes:
    """Bytes as hex digits."""
    digits = "".join(unquoted(text).split())
    if len(digits) % 2 or not re.fullmatch("[0-9A-Fa-f]*", digits):
        raise ValueError(f'"{text[:40]}" is no data; write pairs of hex digits')
    return bytes.fromhex(digits)


def metadata(text: str) -> bytes:
    """The 16 bytes of NSH metadata type 1, or none."""
    found = data(text)
    if len(found) not in (0, 16):
        raise ValueError(f"metadata of {len(found)} bytes does not fit; write 16 bytes")
    return found


def clauses(text: str) -> tuple[ClassifierClause, ...]:
    """A pattern of Classifier: `12/0800 20/0001%00ff !23/06`, "?" for any digit; "-" for all."""
    if text in ("-", "any", "all"):
        return ()
    return tuple(_clause(word) for word in text.split())


def _clause(word: str) -> ClassifierClause:
    found = _CLAUSE.fullmatch(word)
    if not found:
        raise ValueError(f'"{word[:40]}" is no clause; write OFFSET/HEX or OFFSET/HEX%MASK such as 12/0800, or "-"')
    negated, offset, value, mask = found.groups()
    if len(value) % 2:
        raise ValueError(f'"{word[:40]}" has an odd number of digits; write two for each byte')
    if mask is not None and len(mask) != len(value):
        raise ValueError(f'the mask of "{word[:40]}" is not as long as its value; write as many digits')
    wild = bytes.fromhex("".join("0" if digit == "?" else "f" for digit in value))
    given = bytes.fromhex(mask) if mask else b"\xff" * len(wild)
    kept = bytes(a & b for a, b in zip(wild, given, strict=True))
    plain = bytes.fromhex(value.replace("?", "0"))
    return ClassifierClause(
        offset=int(offset),
        value=bytes(a & b for a, b in zip(plain, kept, strict=True)),
        mask=kept,
        negated=bool(negated),
    )
