"""Connections as `Track` and `Connect` of `skerry.dataplane.flows` say: which there are, what they become. Pure but for the
table that is handed in; the reference of the engines."""

from __future__ import annotations

import zlib
from ipaddress import ip_address, ip_network
from typing import NamedTuple

import msgspec

from skerry.dataplane import packets, rewriting
from skerry.dataplane.flows import PROTO_ICMP, PROTO_TCP, PROTO_UDP, Conn, Connect, Frag
from skerry.dataplane.packets import Ip, Parsed, word

PROTO_ICMP6 = 58
TRACKED = {4: (PROTO_ICMP, PROTO_TCP, PROTO_UDP), 6: (PROTO_TCP, PROTO_UDP, PROTO_ICMP6)}
"""The protocols of connections."""
UNANSWERED_S, CLOSING_S, PARTS_S = 60, 10, 30
_ECHO = {PROTO_ICMP: (8, 0), PROTO_ICMP6: (128, 129)}
_ERRORS = {PROTO_ICMP: (3, 4, 5, 11, 12), PROTO_ICMP6: (1, 2, 3, 4)}
_FIN, _SYN, _RST, _PSH, _ACK, _URG = 1, 2, 4, 8, 16, 32
_CHECKSUM_AT = {PROTO_TCP: 16, PROTO_UDP: 6, PROTO_ICMP: 2, PROTO_ICMP6: 2}


class Ends(NamedTuple):
    """What one side sends: protocol, source and destination with ports. An echo has its identifier as the port of who asks,
    and 0 as the other."""

    proto: int
    src: bytes
    sport: int
    dst: bytes
    dport: int

    def back(self) -> Ends:
        """What the other side answers."""
        return Ends(self.proto, self.dst, self.dport, self.src, self.sport)


class Connection(msgspec.Struct):
    """A remembered connection: what opened it, and how its frames go on; when it was last seen, whether the other side has
    answered, whether it is being closed."""

    zone: int
    opened: Ends
    onward: Ends
    idle_s: int
    seen: float
    answered: bool = False
    closing: bool = False

    def over(self, now: float) -> bool:
        """Whether it was idle for too long."""
        most = CLOSING_S if self.closing else self.idle_s
        return now - self.seen > (most if self.answered else min(most, UNANSWERED_S))


def ends_told(proto: int, told: tuple[str, int, str, int]) -> Ends:
    """Ends from text: source, port, target, port."""
    source, sport, target, dport = told
    return Ends(proto, ip_address(source).packed, sport, ip_address(target).packed, dport)


def tell(ends: Ends) -> tuple[str, int, str, int]:
    """The way back."""
    return str(ip_address(ends.src)), ends.sport, str(ip_address(ends.dst)), ends.dport


class Found(msgspec.Struct):
    """What a frame is to a zone. `back`: it comes from the side that did not open the connection. `ends` are its own, or,
    of an error, those of the frame it is about, turned round. `part`: it is a later fragment of such a frame."""

    zone: int
    conn: Conn
    ends: Ends | None = None
    connection: Connection | None = None
    back: bool = False
    part: bool = False


class Table:
    """The connections of a device: both sides of each lead to it."""

    def __init__(self) -> None:
        self._by_ends: dict[tuple[int, Ends], Connection] = {}
        self._parts: dict[Whole, tuple[Found, float]] = {}

    def copy(self) -> Table:
        """One that may be changed without this one."""
        other = Table()
        known = {id(one): msgspec.structs.replace(one) for one in self._by_ends.values()}
        other._by_ends = {key: known[id(one)] for key, one in self._by_ends.items()}
        return other

    def every(self, now: float) -> list[Connection]:
        """Those that are not over."""
        return [one for (_, ends), one in self._by_ends.items() if ends == one.opened and not one.over(now)]

    def get(self, zone: int, ends: Ends, now: float) -> tuple[Connection, bool] | None:
        """The connection that a side belongs to, and whether it is the side that answers."""
        found = self._by_ends.get((zone, ends))
        if found is None:
            return None
        if found.over(now):
            self._forget(found)
            return None
        return found, ends != found.opened

    def _forget(self, one: Connection) -> None:
        self._by_ends.pop((one.zone, one.opened), None)
        self._by_ends.pop((one.zone, one.onward.back()), None)

    def put(self, one: Connection) -> None:
        """Remember a connection."""
        self._by_ends[one.zone, one.onward.back()] = one
        self._by_ends[one.zone, one.opened] = one

    # -- tracking ---------------------------------------------------------------------------------------------------------

    def track(self, zone: int, parsed: Parsed, now: float) -> Found:
        """What a frame is."""
        if parsed.ip is None or parsed.ip.proto not in TRACKED[parsed.ip.version]:
            return Found(zone, Conn.NONE)
        whole = whole_of(zone, parsed)
        if whole is not None and parsed.ip.frag is Frag.LATER:
            found, since = self._parts.get(whole, (Found(zone, Conn.INVALID), now))
            return msgspec.structs.replace(found, part=True) if now - since <= PARTS_S else Found(zone, Conn.INVALID)
        found = self._track(zone, parsed, now)
        if whole is not None and found.connection is not None:
            self._parts[whole] = (found, now)
        return found

    def _track(self, zone: int, parsed: Parsed, now: float) -> Found:
        about = error_of(parsed)
        if about is not None:
            known = self.get(zone, about.back(), now)
            if known is None:
                return Found(zone, Conn.INVALID)
            return Found(zone, Conn.RELATED, about.back(), known[0], known[1])
        ends = ends_of(parsed)
        if ends is None:
            return Found(zone, Conn.INVALID)
        known = self.get(zone, ends, now)
        if known is not None and known[0].closing and _opens(parsed):
            self._forget(known[0])
            known = None
        if known is None:
            return Found(zone, Conn.NEW if _may_open(parsed, ends) else Conn.INVALID, ends)
        connection, back = known
        self._seen(connection, parsed, back, now)
        conn = Conn.REPLY if back else Conn.ESTABLISHED if connection.answered else Conn.NEW
        return Found(zone, conn, ends, connection, back)

    @staticmethod
    def _seen(connection: Connection, parsed: Parsed, back: bool, now: float) -> None:
        connection.seen = now
        connection.answered = connection.answered or back
        connection.closing = connection.closing or bool(_flags(parsed) & (_FIN | _RST))

    def connect(self, found: Found, parsed: Parsed, action: Connect, now: float) -> Connection | None:
        """The connection of a frame, made where there is none; None where no port is free."""
        if found.connection is not None or found.ends is None:
            return found.connection
        onward = self._onward(found.zone, found.ends, action, now)
        if onward is None:
            return None
        idle = {PROTO_TCP: action.tcp_s, PROTO_UDP: action.udp_s}.get(found.ends.proto, action.icmp_s)
        found.connection = Connection(found.zone, found.ends, onward, idle, now)
        self.put(found.connection)
        whole = whole_of(found.zone, parsed)
        if whole is not None:
            self._parts[whole] = (found, now)
        return found.connection

    def _onward(self, zone: int, ends: Ends, action: Connect, now: float) -> Ends | None:
        draw = zlib.crc32(repr(ends).encode())
        if action.targets:
            onward = _aimed(ends, action, draw)
            return onward if self.get(zone, onward.back(), now) is None else None
        if not action.source:
            return ends
        pool = ip_network(action.source)
        # An address of the pool stays the same for all connections of a host.
        address = pool[zlib.crc32(ends.src) % pool.num_addresses].packed
        ports = _ports(ends, action, draw)
        choices = (ends._replace(src=address, sport=port) for port in ports)
        return next((one for one in choices if self.get(zone, one.back(), now) is None), None)


def _aimed(ends: Ends, action: Connect, draw: int) -> Ends:
    left = draw % sum(target.weight for target in action.targets)
    for target in action.targets:
        left -= target.weight
        if left < 0:
            port = target.port if target.port and ends.proto in (PROTO_TCP, PROTO_UDP) else ends.dport
            return ends._replace(dst=ip_address(target.address).packed, dport=port)
    return ends


def _ports(ends: Ends, action: Connect, draw: int) -> list[int]:
    """Ports to try, the connection's own first."""
    if ends.proto not in (PROTO_TCP, PROTO_UDP):
        return [ends.sport]
    size = action.high - action.low + 1
    others = [action.low + (draw + at) % size for at in range(size)]
    return [ends.sport, *others] if action.low <= ends.sport <= action.high else others


def fits(action: Connect, parsed: Parsed) -> bool:
    """Whether the addresses of an action are of a frame's family."""
    told = [ip_network(one).version for one in (action.source, *(target.address for target in action.targets)) if one]
    return parsed.ip is not None and all(version == parsed.ip.version for version in told)


Whole = tuple[int, int, bytes, bytes, bytes]
"""What fragments of one packet have in common: zone, protocol, addresses, identification."""


def whole_of(zone: int, parsed: Parsed) -> Whole | None:
    """What a fragment is part of; None for a frame in one piece."""
    ip = parsed.ip
    if ip is None or ip.frag is Frag.NO:
        return None
    return zone, ip.proto, *packets.addresses(parsed.frame, ip), packets.identification(parsed.frame, ip)


# -- reading frames -------------------------------------------------------------------------------------------------------


def ends_of(parsed: Parsed) -> Ends | None:
    """The ends of a frame that can be tracked: TCP, UDP, echoes."""
    ip = parsed.ip
    return _ends(parsed.frame, ip) if ip is not None and ip.frag is not Frag.LATER else None


def _ends(data: bytes, ip: Ip) -> Ends | None:
    src, dst = packets.addresses(data, ip)
    if len(data) < ip.payload + 8 or ip.payload < 0:
        return None
    if ip.proto in (PROTO_TCP, PROTO_UDP):
        return Ends(ip.proto, src, word(data, ip.payload), dst, word(data, ip.payload + 2))
    kinds = _ECHO.get(ip.proto, (-1, -1))
    if data[ip.payload] not in kinds:
        return None
    mark = word(data, ip.payload + 4)
    asks = data[ip.payload] == kinds[0]
    return Ends(ip.proto, src, mark if asks else 0, dst, 0 if asks else mark)


def inside(parsed: Parsed) -> Ip | None:
    """The packet that an ICMP error is about, inside it."""
    ip = parsed.ip
    if ip is None or ip.frag is not Frag.NO or len(parsed.frame) < ip.payload + 8:
        return None
    if parsed.frame[ip.payload] not in _ERRORS.get(ip.proto, ()):
        return None
    found = packets.read_ip(parsed.frame, ip.payload + 8)
    return found if found is not None and found.version == ip.version and found.frag is not Frag.LATER else None


def error_of(parsed: Parsed) -> Ends | None:
    """The ends of the packet that an ICMP error is about."""
    about = inside(parsed)
    return _ends(parsed.frame, about) if about is not None else None


def _flags(parsed: Parsed) -> int:
    ip = parsed.ip
    if ip is None or ip.proto != PROTO_TCP or len(parsed.frame) < ip.payload + 14:
        return 0
    return parsed.frame[ip.payload + 13]


def _opens(parsed: Parsed) -> bool:
    return _flags(parsed) & (_SYN | _ACK) == _SYN


def _may_open(parsed: Parsed, ends: Ends) -> bool:
    """Whether a frame may be the first that is seen of a connection: no answer, and of TCP nothing that makes no sense."""
    if ends.proto in _ECHO:
        return ends.dport == 0 and parsed.frame[parsed.ip.payload if parsed.ip else 0] == _ECHO[ends.proto][0]
    if ends.proto != PROTO_TCP:
        return True
    flags = _flags(parsed)
    if flags & _SYN:
        return not flags & (_ACK | _RST | _FIN)
    return bool(flags & _ACK) or flags & (_RST | _FIN | _PSH | _URG) == _RST


# -- changing frames ------------------------------------------------------------------------------------------------------


def translated(parsed: Parsed, found: Found) -> bytes:
    """A frame of a connection as it goes on, or comes back."""
    connection = found.connection
    if connection is None:
        return parsed.frame
    was, becomes = connection.opened, connection.onward
    if found.back:
        was, becomes = becomes.back(), was.back()
    if was == becomes or parsed.ip is None:
        return parsed.frame
    if found.part:
        return _addressed(parsed.frame, parsed.ip, becomes.src, becomes.dst)
    return _error(parsed, was, becomes) if found.conn is Conn.RELATED else _plain(parsed, becomes)


def _plain(parsed: Parsed, becomes: Ends) -> bytes:
    ip = parsed.ip
    assert ip is not None  # noqa: S101 - it was tracked
    old = parsed.frame
    new = _addressed(old, ip, becomes.src, becomes.dst)
    ported = b"".join(port.to_bytes(2, "big") for port in (becomes.sport, becomes.dport))
    if ip.proto in _ECHO:
        new = rewriting.splice(new, ip.payload + 4, (becomes.sport | becomes.dport).to_bytes(2, "big"))
    else:
        new = rewriting.splice(new, ip.payload, ported)
    return _checked(old, new, ip)


def _addressed(frame: bytes, ip: Ip, src: bytes, dst: bytes) -> bytes:
    """With other addresses, and the right checksum of an IPv4 header."""
    at = ip.start + (12 if ip.version == 4 else 8)
    return rewriting.header_fixed(rewriting.splice(frame, at, src + dst), ip)


def _checked(old: bytes, new: bytes, ip: Ip) -> bytes:
    """With the checksum of TCP, UDP or ICMP updated for all that changed behind and, but in ICMP of IPv4, in the addresses."""
    at = ip.payload + _CHECKSUM_AT[ip.proto]
    first = ip.payload if ip.proto == PROTO_ICMP else ip.start + (12 if ip.version == 4 else 8)
    spans = [(first, ip.payload)] if ip.version == 4 or ip.proto == PROTO_ICMP else [(first, ip.start + 40)]
    spans.append((ip.payload, len(new) - (len(new) - ip.payload) % 2))
    was, total = word(old, at), 0
    if ip.proto == PROTO_UDP and was == 0:
        return new
    total = ~was & 0xFFFF
    for start, end in spans:
        for place in range(start, end - 1, 2):
            if place != at and old[place : place + 2] != new[place : place + 2]:
                total += (~word(old, place) & 0xFFFF) + word(new, place)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    fixed = ~total & 0xFFFF
    return rewriting.splice(new, at, (fixed or (0xFFFF if ip.proto == PROTO_UDP else 0)).to_bytes(2, "big"))


def _error(parsed: Parsed, was: Ends, becomes: Ends) -> bytes:
    """An error from the side of `was`: the packet inside becomes what the other side sent, the addresses outside change with
    those of the connection."""
    ip, about, old = parsed.ip, inside(parsed), parsed.frame
    assert ip is not None  # noqa: S101 - it was tracked
    assert about is not None  # noqa: S101
    src, dst = packets.addresses(old, ip)
    src = becomes.src if becomes.src != was.src else src
    dst = becomes.dst if becomes.dst != was.dst else dst
    new = _addressed(old, ip, src, dst)
    sent = becomes.back()
    new = _addressed(new, about, sent.src, sent.dst)
    if about.proto in _ECHO:
        new = rewriting.splice(new, about.payload + 4, (sent.sport | sent.dport).to_bytes(2, "big"))
    else:
        ported = sent.sport.to_bytes(2, "big") + sent.dport.to_bytes(2, "big")
        new = rewriting.splice(new, about.payload, ported)
    return _checked(old, new, ip)
