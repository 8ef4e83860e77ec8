"""Runs frames through the state of a device, to the letter of `skerry.dataplane.flows`. Pure but for its own `Memory`.

It is the reference of the other engines, the flow table of the simulated one, and what `path trace` walks with.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address
from typing import Any

import msgspec

from skerry.dataplane import connections, naming, packets, rewriting
from skerry.dataplane.flows import (
    Actions,
    ArpReply,
    Bridge,
    Conn,
    Connect,
    Copy,
    DecNshTtl,
    DecTtl,
    DeviceState,
    Domain,
    Field,
    Goto,
    Group,
    GtpDecap,
    GtpEncap,
    GtpLearn,
    GtpReply,
    Meter,
    Origin,
    Output,
    Pin,
    Police,
    PopNsh,
    PopVlan,
    PushNsh,
    PushVlan,
    Reason,
    Rule,
    Select,
    Session,
    SetField,
    Track,
    Tunnel,
    Way,
)
from skerry.dataplane.packets import Flow, Parsed

REGISTERS = (Field.REG0, Field.REG1, Field.REG2, Field.REG3)
LEARNED_IDLE_S = 600


class Memory(msgspec.Struct):
    """What a device remembers of the traffic: pinned flows (value, idle seconds, last seen), learned MACs (port, last seen),
    sessions by UE, what is left in the meters (bits, when), connections, what flows ask for."""

    pins: dict[Flow, tuple[int, int, float]] = {}
    macs: dict[tuple[int, int], tuple[int, float]] = {}
    sessions: dict[str, Session] = {}
    meters: dict[int, tuple[float, float]] = {}
    connections: connections.Table = msgspec.field(default_factory=connections.Table)
    names: dict[Flow, naming.Asked] = {}

    def copy(self) -> Memory:
        """One that may be changed without this one."""
        return Memory(
            dict(self.pins),
            dict(self.macs),
            dict(self.sessions),
            dict(self.meters),
            self.connections.copy(),
            dict(self.names),
        )


class Outcome(msgspec.Struct):
    """What became of a frame: what left where, the rules it passed (with the bytes it had there), and why it or a copy of it
    was dropped, if it was."""

    outputs: list[tuple[int, bytes]] = []
    rules: list[tuple[Rule, int]] = []
    notes: list[str] = []
    unknown_ues: list[str] = []
    dropped: list[Reason] = []


class Index:
    """The rules of a device, ready for looking up: for each table its sets of conditions, for each of those rules by value."""

    def __init__(self, state: DeviceState) -> None:
        self.state = state
        self.groups: Mapping[int, Group] = {group.id: group for group in state.groups}
        self.meters: Mapping[int, Meter] = {meter.id: meter for meter in state.meters}
        self.domains: Mapping[int, Domain] = {domain.id: domain for domain in state.domains}
        self.ports = frozenset(port.number for port in state.ports)
        tables: dict[int, dict[tuple[tuple[Field, int], ...], dict[tuple[int, ...], Rule]]] = {}
        for rule in state.rules:
            shape = tuple((term.field, term.mask) for term in rule.match)
            key = tuple(term.value for term in rule.match)
            same = tables.setdefault(rule.table, {}).setdefault(shape, {})
            if key not in same or same[key].priority < rule.priority:
                same[key] = rule
        self._tables = {table: list(shapes.items()) for table, shapes in tables.items()}

    def find(self, table: int, fields: Mapping[Field, int]) -> Rule | None:
        """The rule that decides."""
        best: Rule | None = None
        for shape, rules in self._tables.get(table, ()):
            if any(field not in fields for field, _ in shape):
                continue
            rule = rules.get(tuple(fields[field] & mask for field, mask in shape))
            if rule is not None and (best is None or rule.priority > best.priority):
                best = rule
        return best


class _Dropped(Exception):  # noqa: N818 - an end, no error
    """The list of actions ends here."""

    def __init__(self, why: str, reason: Reason | None = None) -> None:
        super().__init__(why)
        self.reason = reason


class Run:
    """One frame on its way through a device. `now` are seconds that never go back."""

    def __init__(self, index: Index, memory: Memory, in_port: int, frame: bytes, now: float) -> None:
        self._index, self._memory, self._now = index, memory, now
        self._in_port, self._frame = in_port, frame
        self._registers: dict[Field, int] = dict.fromkeys(REGISTERS, 0)
        self._registers[Field.CONN] = 0
        self._found: connections.Found | None = None
        self._parsed: Parsed | None = None
        self._pin = self._pinned()
        self._registers[Field.NAME] = self._named() if index.state.names else 0
        self.outcome = Outcome()

    def go(self) -> Outcome:
        """All of the way."""
        table: int | None = 0
        while table is not None:
            rule = self._index.find(table, self._fields())
            if rule is None:
                self.outcome.notes.append(f"no rule of table {table} matches")
                self.outcome.dropped.append(Reason.NO_MATCH)
                break
            self.outcome.rules.append((rule, len(self._frame)))
            self._seen(rule)
            if not rule.actions:
                self.outcome.dropped.append(Reason.POLICY)
            table = self._apply(rule.actions)
        return self.outcome

    def _seen(self, rule: Rule) -> None:
        """A pinned flow that a rule matched on lives on."""
        if self._pin and any(term.field is Field.PIN for term in rule.match):
            flow = packets.flow_of(self._read())
            if flow in self._memory.pins:
                value, idle_s, _ = self._memory.pins[flow]
                self._memory.pins[flow] = (value, idle_s, self._now)

    def _read(self) -> Parsed:
        if self._parsed is None or self._parsed.frame is not self._frame:
            self._parsed = packets.parse(self._frame)
        return self._parsed

    def _fields(self) -> dict[Field, int]:
        return {**self._read().fields, **self._registers, Field.IN_PORT: self._in_port, Field.PIN: self._pin}

    def _pinned(self) -> int:
        flow = packets.flow_of(self._read())
        if flow is None or flow not in self._memory.pins:
            return 0
        value, idle_s, last = self._memory.pins[flow]
        if self._now - last > idle_s:
            del self._memory.pins[flow]
            return 0
        return value

    def _named(self) -> int:
        """What the frame's flow asks for. Its first data says it."""
        flow = packets.flow_of(self._read())
        if flow is None:
            return 0
        if naming.opens(self._read()):
            self._memory.names.pop(flow, None)
        known, segment = self._memory.names.get(flow), naming.segment_of(self._read())
        if segment is not None and (known is None or known.left):
            found = naming.look(segment, known, self._index.state.names)
            known = self._memory.names[flow] = found or known or naming.Asked()
        return known.number if known else 0

    def _apply(self, actions: Sequence[Actions]) -> int | None:
        """The table to go on in."""
        try:
            for action in actions:
                if isinstance(action, Goto):
                    return action.table
                _DO[type(action)](self, action)
        except _Dropped as why:
            self.outcome.notes.append(str(why))
            if why.reason:
                self.outcome.dropped.append(why.reason)
        return None

    def _replace(self, frame: bytes | None, why: str, reason: Reason) -> None:
        if frame is None:
            raise _Dropped(why, reason)
        self._frame = frame

    def _send(self, port: int, frame: bytes) -> None:
        if port not in self._index.ports:
            self.outcome.notes.append(f"there is no port {port}")
            return
        self.outcome.outputs.append((port, frame))

    def _output(self, action: Output) -> None:
        if action.port == self._in_port and not action.hairpin:
            self.outcome.notes.append(f"not back out of port {action.port}")
            return
        self._send(action.port, self._frame)

    def _set(self, action: SetField) -> None:
        if action.field in self._registers:
            self._registers[action.field] = action.value
        else:
            self._frame = rewriting.set_field(self._frame, action.field, action.value)

    def _push_vlan(self, action: PushVlan) -> None:
        self._frame = rewriting.push_vlan(self._frame, action.vid)

    def _pop_vlan(self, action: PopVlan) -> None:
        self._frame = rewriting.pop_vlan(self._frame)

    def _dec_ttl(self, action: DecTtl) -> None:
        self._replace(rewriting.dec_ttl(self._frame), "its TTL is over", Reason.TTL)

    def _push_nsh(self, action: PushNsh) -> None:
        self._frame = rewriting.push_nsh(self._frame, action)

    def _pop_nsh(self, action: PopNsh) -> None:
        self._replace(rewriting.pop_nsh(self._frame), "it has no NSH header with a frame inside", Reason.NSH)

    def _dec_nsh_ttl(self, action: DecNshTtl) -> None:
        self._replace(rewriting.dec_nsh_ttl(self._frame), "its NSH TTL is over", Reason.TTL)

    def _gtp_decap(self, action: GtpDecap) -> None:
        self._replace(
            rewriting.gtp_decap(self._frame, action.eth_src, action.eth_dst),
            "it is no G-PDU with an IP packet",
            Reason.GTP,
        )

    def _gtp_encap(self, action: GtpEncap) -> None:
        tunnel = action.tunnel
        if action.way is not None:
            tunnel = self._tunnel(action.way)
        if tunnel is None:
            raise _Dropped("no tunnel of its UE is known", Reason.NO_SESSION)
        frame = rewriting.gtp_encap(self._frame, tunnel, down=action.way is not Way.UP)
        self._replace(frame, "it is no IP packet", Reason.NO_SESSION)

    def _tunnel(self, way: Way) -> Tunnel | None:
        found = self._read()
        if found.ip is None:
            return None
        source, target = packets.addresses(found.frame, found.ip)
        ue = str(ip_address(source if way is Way.UP else target))
        session = self._memory.sessions.get(ue)
        tunnel = (session.up if way is Way.UP else session.down) if session else None
        if tunnel is None:
            self.outcome.unknown_ues.append(ue)
        return tunnel

    def _gtp_learn(self, action: GtpLearn) -> None:
        learn(self._memory, self._read(), action.way)

    def _gtp_reply(self, action: GtpReply) -> None:
        make = rewriting.error_indication if action.error else rewriting.echo_response
        self._answer(make(self._frame))

    def _arp_reply(self, action: ArpReply) -> None:
        self._answer(rewriting.arp_reply(self._frame, action.mac))

    def _answer(self, frame: bytes | None) -> None:
        if frame is not None:
            self._send(self._in_port, frame)
        raise _Dropped("answered" if frame is not None else "there is nothing to answer")

    def _police(self, action: Police) -> None:
        meter = self._index.meters[action.meter]
        bits, when = self._memory.meters.get(meter.id, (float(meter.burst_bits), self._now))
        bits = min(float(meter.burst_bits), bits + (self._now - when) * meter.rate_bps)
        size = 8 * len(self._frame)
        self._memory.meters[meter.id] = (bits - size if bits >= size else bits, self._now)
        if bits < size:
            raise _Dropped("it exceeds its rate", Reason.METER)

    def _pin_flow(self, action: Pin) -> None:
        flow = packets.flow_of(self._read())
        if flow is None:
            return
        value, idle_s, last = self._memory.pins.get(flow, (0, 0, 0.0))
        kept = value and self._now - last <= idle_s
        self._memory.pins[flow] = (value if kept else action.value, idle_s if kept else action.idle_s, self._now)

    def _track(self, action: Track) -> None:
        found = self._found = self._memory.connections.track(action.zone, self._read(), self._now)
        self._registers[Field.CONN] = int(found.conn)
        if found.back:
            self._frame = connections.translated(self._read(), found)

    def _connect(self, action: Connect) -> None:
        found = self._found
        sound = found is not None and found.conn not in (Conn.NONE, Conn.INVALID) and found.zone == action.zone
        if found is None or not sound or not connections.fits(action, self._read()):
            raise _Dropped("it is of no connection that can be remembered", Reason.UNTRACKED)
        if found.back:
            return
        if self._memory.connections.connect(found, self._read(), action, self._now) is None:
            raise _Dropped("no port is free for its source", Reason.EXHAUSTED)
        self._frame = connections.translated(self._read(), found)

    def _copy(self, action: Copy) -> None:
        frame, registers = self._frame, dict(self._registers)
        self._apply(action.actions)
        self._frame, self._registers = frame, registers

    def _bridge(self, action: Bridge) -> None:
        domain = self._index.domains[action.domain]
        fields = self._read().fields
        target, source = fields.get(Field.ETH_DST), fields.get(Field.ETH_SRC)
        if target is None or source is None:
            raise _Dropped("it is no frame")
        if not source >> 40 & 1:
            self._memory.macs[(domain.id, source)] = (self._in_port, self._now)
        port, when = self._memory.macs.get((domain.id, target), (0, 0.0))
        known = port and not target >> 40 & 1 and self._now - when <= domain.age_s
        for member in domain.members:
            if member.port != self._in_port and (not known or member.port == port):
                self._send(member.port, rewriting.push_vlan(self._frame, member.vlan) if member.vlan else self._frame)

    def _select(self, action: Select) -> None:
        buckets = self._index.groups[action.group].buckets
        flow = packets.flow_of(self._read())
        draw = zlib.crc32(repr(flow).encode()) % sum(bucket.weight for bucket in buckets) if flow else 0
        for bucket in buckets:
            draw -= bucket.weight
            if draw < 0:
                self._apply(bucket.actions)
                return


_DO: Mapping[type, Callable[[Run, Any], None]] = {
    Output: Run._output,  # noqa: SLF001 - the table of its own methods
    SetField: Run._set,  # noqa: SLF001
    PushVlan: Run._push_vlan,  # noqa: SLF001
    PopVlan: Run._pop_vlan,  # noqa: SLF001
    DecTtl: Run._dec_ttl,  # noqa: SLF001
    PushNsh: Run._push_nsh,  # noqa: SLF001
    PopNsh: Run._pop_nsh,  # noqa: SLF001
    DecNshTtl: Run._dec_nsh_ttl,  # noqa: SLF001
    GtpDecap: Run._gtp_decap,  # noqa: SLF001
    GtpEncap: Run._gtp_encap,  # noqa: SLF001
    GtpLearn: Run._gtp_learn,  # noqa: SLF001
    GtpReply: Run._gtp_reply,  # noqa: SLF001
    ArpReply: Run._arp_reply,  # noqa: SLF001
    Police: Run._police,  # noqa: SLF001
    Pin: Run._pin_flow,  # noqa: SLF001
    Track: Run._track,  # noqa: SLF001
    Connect: Run._connect,  # noqa: SLF001
    Copy: Run._copy,  # noqa: SLF001
    Bridge: Run._bridge,  # noqa: SLF001
    Select: Run._select,  # noqa: SLF001
}


def learn(memory: Memory, found: Parsed, way: Way) -> None:
    """What `GtpLearn` says."""
    if found.ip is None or found.gtp < 0:
        return
    tunnel = _tunnel_of(found)
    if found.fields[Field.GTP_TYPE] == packets.END_MARKER:
        _forget(memory, tunnel, way)
    if found.inner is None:
        return
    source, target = packets.addresses(found.frame, found.inner)
    ue = str(ip_address(source if way is Way.UP else target))
    session = memory.sessions.get(ue)
    if session is None:
        session = Session(ue=ue, origin=Origin.LEARNED, idle_s=LEARNED_IDLE_S)
    if session.origin is not Origin.LEARNED:
        return
    changed = {"up": tunnel} if way is Way.UP else {"down": tunnel}
    memory.sessions[ue] = msgspec.structs.replace(session, **changed)


def _tunnel_of(found: Parsed) -> Tunnel:
    assert found.ip is not None  # noqa: S101 - the caller looked
    source, target = packets.addresses(found.frame, found.ip)
    fields = found.fields
    return Tunnel(
        teid=fields[Field.GTP_TEID],
        src=str(ip_address(source)),
        dst=str(ip_address(target)),
        eth_src=fields[Field.ETH_SRC],
        eth_dst=fields[Field.ETH_DST],
        qfi=fields.get(Field.GTP_QFI),
    )


def _forget(memory: Memory, ended: Tunnel, way: Way) -> None:
    for ue, session in list(memory.sessions.items()):
        tunnel = session.up if way is Way.UP else session.down
        same = tunnel and (tunnel.teid, tunnel.src, tunnel.dst) == (ended.teid, ended.src, ended.dst)
        if same and session.origin is Origin.LEARNED:
            changed: dict[str, None] = {"up": None} if way is Way.UP else {"down": None}
            memory.sessions[ue] = msgspec.structs.replace(session, **changed)
