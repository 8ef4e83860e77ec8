"""GTPGateway: a local gateway on the line between base stations and core. It ends users' tunnels for what shall be served at
the edge, and makes them again for the answers, with the identifiers of both directions, which it learns."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address

import msgspec

from skerry.dataplane import packets
from skerry.dataplane.flows import Field, Tunnel
from skerry.dataplane.gtp import gtpc, pfcp
from skerry.dataplane.gtp.facts import Packet as Message
from skerry.dataplane.gtp.tracker import Sides, Tracker
from skerry.errors import InvalidError
from skerry.lvnf import configs
from skerry.lvnf.elements.behaviour import Behaviour, Push, Read, Write, button
from skerry.lvnf.elements.classifying import compiled
from skerry.lvnf.elements.packet import Packet, adjusted, difference, internet_checksum

RAN, CORE, EDGE = 0, 1, 2
MAX_SESSIONS = 65_536
"""How many users are known at most; the one that was learned first is forgotten for a new one."""

_IPV4, _ARP = b"\x08\x00", b"\x08\x06"
_UDP, _TCP = 17, 6
_SYN = b"\x02"
_G_PDU = 255
_PORT = 2152
_LARGEST = 65_535 - 44  # with its tunnel around it, it must still be an IPv4 packet
_WAITING = 64
_ASK_S = 1.0
_BROADCAST = b"\xff" * 6
_PLANES = {gtpc.PORT: gtpc.facts, pfcp.PORT: pfcp.facts}


class Way(msgspec.Struct, frozen=True):
    """One direction of a user's tunnel: where its packets go, from where, under which identifier."""

    teid: int
    source: str
    target: str
    qfi: int | None = None


class User(msgspec.Struct):
    """What is known of a user's tunnel: towards the core, and towards the base station."""

    up: Way | None = None
    down: Way | None = None


_TABLE = dict[str, User]


class GTPGateway(Behaviour[configs.GTPGateway]):
    """Passes the line on, and takes out of it what belongs to the edge."""

    def prepare(self) -> None:
        self.users: dict[bytes, User] = {}
        self.passed: dict[bytes, None] = {}
        self.counts: dict[str, int] = dict.fromkeys(("diverted", "returned", "inserted", "dropped"), 0)
        self._wanted = compiled(self.config.expression)
        self.tracker = Tracker(Sides(ran=0, core=0))
        self.hardware: dict[str, bytes] = {}
        self.next_hop: bytes = b""
        self._asked = float("-inf")
        self._waiting: list[bytes] = []
        own = self.config.mac + self.config.address
        self._ask = _BROADCAST + own[:6] + _ARP + bytes.fromhex("0001080006040001") + own + bytes(6) + self.config.via

    def entry(self, input: int) -> Push:
        return (self._from_ran, self._from_core, self._from_edge)[input]

    # -- the line -----------------------------------------------------------------------------------------------------

    def _from_ran(self, packet: Packet) -> None:
        if not self._diverted(packet.data):
            self.out[CORE](packet)

    def _from_core(self, packet: Packet) -> None:
        found = self._looked_at(packet.data)
        if found is not None and (inner := _inner(found, Field.INNER_IPV4_DST)):
            self._learn(inner, "down", found)
        self.out[RAN](packet)

    def _diverted(self, frame: bytes) -> bool:
        """Learn from a frame of the base stations; True if it left for the edge."""
        found = self._looked_at(frame)
        if found is None or not (inner := _inner(found, Field.INNER_IPV4_SRC)):
            return False
        user = self._learn(inner, "up", found)
        packet = frame[found.gtp_payload : found.inner.end if found.inner else None]
        if not self._wanted(packet) or self._stays(packet, user):
            return False
        self.counts["diverted"] += 1
        self._to_edge(self._clamped(packet))
        return True

    def _stays(self, packet: bytes, user: User) -> bool:
        """Whether a flow goes on to the core: the way back is not known, or was not when the flow began."""
        at = (packet[0] & 15) * 4
        flow = packet[9:10] + packet[12:20] + packet[at : at + 4]
        if user.down is None:
            self.passed[flow] = None
            if len(self.passed) > MAX_SESSIONS:
                del self.passed[next(iter(self.passed))]
            return True
        opens = packet[9] == _TCP and packet[at + 13 : at + 14] == _SYN
        if opens:
            self.passed.pop(flow, None)
        return flow in self.passed

    def _looked_at(self, frame: bytes) -> packets.Parsed | None:
        """A G-PDU; of other frames, what the control plane says is taken in."""
        if frame[12:14] != _IPV4 or frame[23:24] != b"\x11":
            return None
        found = packets.parse(frame)
        if found.ip is None:
            return None
        source, _ = packets.addresses(frame, found.ip)
        self.hardware[str(IPv4Address(source))] = frame[6:12]
        if len(self.hardware) > MAX_SESSIONS:
            del self.hardware[next(iter(self.hardware))]
        if found.fields.get(Field.GTP_TYPE) == _G_PDU and found.inner:
            return found
        self._control(found, found.ip)
        return None

    def _control(self, found: packets.Parsed, ip: packets.Ip) -> None:
        ports = {found.fields.get(Field.L4_SRC, 0), found.fields.get(Field.L4_DST, 0)}
        for port in ports & _PLANES.keys():
            source, target = (str(IPv4Address(one)) for one in packets.addresses(found.frame, ip))
            message = Message(source, target, found.frame[ip.payload + 8 : ip.end])
            changes = self.tracker.feed(_PLANES[port](message), self.context.now())
            for gone in changes.gone:
                self.users.pop(_packed(gone), None)
            for address, session in changes.put.items():
                self._know(_packed(address), User(_way(session.up), _way(session.down)))

    def _learn(self, address: bytes, side: str, found: packets.Parsed) -> User:
        """What a packet of a user says of the tunnel that it is in."""
        known = self.users.get(address) or User()
        ip = found.ip
        if ip is not None:
            source, target = (str(IPv4Address(one)) for one in packets.addresses(found.frame, ip))
            way = Way(found.fields[Field.GTP_TEID], source, target, found.fields.get(Field.GTP_QFI))
            if getattr(known, side) != way:
                setattr(known, side, way)
                self._know(address, known)
        return known

    def _know(self, address: bytes, user: User) -> None:
        if not address:
            return
        self.users.pop(address, None)
        self.users[address] = user
        if len(self.users) > MAX_SESSIONS:
            del self.users[next(iter(self.users))]

    # -- the edge -----------------------------------------------------------------------------------------------------

    def _to_edge(self, packet: bytes) -> None:
        """To the next hop; while its hardware address is not known, packets wait."""
        if self.next_hop:
            self.out[EDGE](Packet(self.next_hop + self.config.mac + _IPV4 + packet))
            return
        if len(self._waiting) < _WAITING:
            self._waiting.append(packet)
        now = self.context.now()
        if now - self._asked >= _ASK_S:
            self._asked = now
            self.out[EDGE](Packet(self._ask))

    def _from_edge(self, packet: Packet) -> None:
        frame = packet.data
        if frame[12:14] == _ARP and len(frame) >= 42:
            self._arp(frame)
        elif frame[12:14] == _IPV4 and len(frame) >= 34 and frame[14] >> 4 == 4:
            self._into_tunnel(frame[14:])

    def _arp(self, frame: bytes) -> None:
        sender, asked = frame[28:32], frame[38:42]
        if sender == self.config.via:
            self.next_hop = frame[22:28]
            waiting, self._waiting = self._waiting, []
            for one in waiting:
                self._to_edge(one)
        if frame[20:22] == b"\x00\x01" and asked == self.config.address:
            own = self.config.mac + self.config.address
            answer = frame[6:12] + self.config.mac + _ARP + bytes.fromhex("0001080006040002")
            self.out[EDGE](Packet(answer + own + frame[22:32]))

    def _into_tunnel(self, packet: bytes) -> None:
        """To the base station of the user that it is for, or to the core for the user that it is from."""
        packet = packet[: max(20, int.from_bytes(packet[2:4], "big"))]
        to, by = self.users.get(packet[16:20]), self.users.get(packet[12:16])
        if to is not None and to.down is not None:
            self._send(RAN, "returned", to.down, self._clamped(packet))
        elif by is not None and by.up is not None:
            self._send(CORE, "inserted", by.up, packet)
        else:
            self.counts["dropped"] += 1

    def _send(self, output: int, counted: str, way: Way, packet: bytes) -> None:
        near, far = self.hardware.get(way.source), self.hardware.get(way.target)
        if near is None or far is None or len(packet) > _LARGEST:
            self.counts["dropped"] += 1
            return
        self.counts[counted] += 1
        options = b"" if way.qfi is None else bytes((0, 0, 0, 0x85, 1, 0x10 if output == CORE else 0, way.qfi, 0))
        gtp = struct.pack(">BBHI", 0x34 if options else 0x30, _G_PDU, len(options) + len(packet), way.teid)
        payload = gtp + options + packet
        udp = struct.pack(">HHHH", _PORT, _PORT, 8 + len(payload), 0)
        head = struct.pack(">BBHHHBBH", 0x45, packet[1], 28 + len(payload), 0, 0, 64, _UDP, 0)
        head += _packed(way.source) + _packed(way.target)
        head = head[:10] + internet_checksum(head).to_bytes(2) + head[12:]
        self.out[output](Packet(far + near + _IPV4 + head + udp + payload))

    def _clamped(self, packet: bytes) -> bytes:
        """With a segment size in it that leaves room for the tunnel, where it opens a TCP connection."""
        at = (packet[0] & 15) * 4
        if packet[9] != _TCP or len(packet) < at + 20 or not packet[at + 13] & 2:
            return packet
        place = _segment_size(packet, at + 20, min(len(packet), at + (packet[at + 12] >> 4) * 4))
        if not place or int.from_bytes(packet[place : place + 2], "big") <= self.config.mss:
            return packet
        # The checksum is of words from the header's start: an option at an odd place is in two of them.
        start = place - ((place - at) & 1)
        end = place + 2 + ((place - at) & 1)
        changed = packet[:place] + self.config.mss.to_bytes(2) + packet[place + 2 :]
        delta = difference(packet[start:end], changed[start:end])
        total = adjusted(int.from_bytes(packet[at + 16 : at + 18], "big"), delta)
        return changed[: at + 16] + total.to_bytes(2) + changed[at + 18 :]

    # -- handlers -----------------------------------------------------------------------------------------------------

    def reads(self) -> Mapping[str, Read]:
        found: dict[str, Read] = {"sessions": self._sessions}
        return found | {name: self._counted(name) for name in self.counts}

    def _counted(self, name: str) -> Callable[[], str]:
        return lambda: str(self.counts[name])

    def writes(self) -> Mapping[str, Write]:
        return {"sessions": self._restore, "reset_counts": button(self._reset)}

    def _sessions(self) -> str:
        """Every user with both directions, as JSON that `sessions` takes back."""
        table = {str(IPv4Address(address)): user for address, user in self.users.items()}
        return msgspec.json.encode(
            {"users": table, "hardware": {k: v.hex() for k, v in self.hardware.items()}}
        ).decode()

    def _restore(self, value: str) -> None:
        try:
            told = msgspec.json.decode(value, type=_Told)
            users = {IPv4Address(address).packed: user for address, user in told.users.items()}
            hardware = {str(IPv4Address(address)): bytes.fromhex(mac) for address, mac in told.hardware.items()}
        except (msgspec.MsgspecError, ValueError) as wrong:
            raise InvalidError(f"cannot take the sessions: {wrong}", suggestion="write what `sessions` reads") from None
        for address, user in users.items():
            self._know(address, user)
        self.hardware |= hardware

    def _reset(self) -> None:
        self.counts = dict.fromkeys(self.counts, 0)

    def adopt(self, old: Behaviour[configs.GTPGateway]) -> None:
        if isinstance(old, GTPGateway):
            self.users, self.passed, self.counts = old.users, old.passed, old.counts
            self.tracker, self.hardware = old.tracker, old.hardware
            if old.config.via == self.config.via:
                self.next_hop = old.next_hop


class _Told(msgspec.Struct):
    users: _TABLE
    hardware: dict[str, str]


def _packed(address: str) -> bytes:
    """An IPv4 address in bytes; nothing for any other."""
    return IPv4Address(address).packed if "." in address else b""


def _way(tunnel: Tunnel | None) -> Way | None:
    return None if tunnel is None else Way(tunnel.teid, tunnel.src, tunnel.dst, tunnel.qfi)


def _inner(found: packets.Parsed, field: Field) -> bytes:
    """An inner IPv4 address of a G-PDU; nothing where it carries another kind of packet."""
    value = found.fields.get(field)
    return b"" if value is None else value.to_bytes(4)


def _segment_size(packet: bytes, at: int, end: int) -> int:
    """Where the largest segment size stands in the options of a TCP header; 0: nowhere."""
    while at + 4 <= end:
        kind = packet[at]
        if kind == 2:
            return at + 2
        if kind == 0:
            return 0
        size = 1 if kind == 1 else packet[at + 1]
        if not size:
            return 0
        at += size
    return 0
