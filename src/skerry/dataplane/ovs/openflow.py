"""OpenFlow 1.3 messages, only those that an engine needs (OpenFlow 1.3.5, 7; bundles: ONF extension 230).

Encoders return a whole message with the transaction id 0; `numbered` writes the real one. Decoders take a whole message.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

import msgspec

from skerry.dataplane.ovs import oxm
from skerry.dataplane.ovs.oxm import Condition

VERSION = 4
HELLO, ERROR, ECHO_REQUEST, ECHO_REPLY, EXPERIMENTER, SET_CONFIG = 0, 1, 2, 3, 4, 9
PACKET_OUT, FLOW_MOD, MULTIPART_REQUEST, MULTIPART_REPLY, BARRIER_REQUEST, BARRIER_REPLY, METER_MOD = (
    13, 14, 18, 19, 20, 21, 29,
)  # fmt: skip
_ONF, _BUNDLE_CONTROL, _BUNDLE_ADD = 0x4F4E4600, 2300, 2301
BUNDLE_OPEN, BUNDLE_COMMIT, BUNDLE_DISCARD = 0, 4, 6
_ATOMIC_ORDERED = 3
_ADD, _DELETE, _DELETE_STRICT = 0, 3, 4
_METER_ADD, _METER_MODIFY, _METER_DELETE = 0, 1, 2
_MP_FLOW, _MP_TABLE, _MP_METER, _MP_METER_CONFIG = 1, 3, 9, 10
_MORE = 1
_KBPS, _BURST, _STATS = 1, 4, 8
_DROP_BAND = 1
_ANY = 0xFFFFFFFF
ALL_TABLES = 0xFF
_NO_BUFFER = 0xFFFFFFFF
_FRAGMENTS_NX_MATCH = 3
_HEADER = struct.Struct("!BBHI")
_FLOW_MOD = struct.Struct("!QQBBHHHIIIH2x")
_FLOW_STATS = struct.Struct("!HBxIIHHHH4xQQQ")


class FlowStats(msgspec.Struct, frozen=True):
    """A rule as the switch has it. `match` is the body of the match (without header and padding)."""

    table: int
    priority: int
    cookie: int
    packets: int
    octets: int
    match: bytes
    instructions: bytes
    idle_s: int = 0
    hard_s: int = 0

    def conditions(self) -> tuple[Condition, ...] | None:
        """The match, read; None where it has a field that is not known."""
        return oxm.conditions(self.match)


class MeterConfig(msgspec.Struct, frozen=True):
    """A meter with one band that drops. Rates are in kilobits a second, the burst in kilobits."""

    id: int
    rate_kbps: int
    burst_kbit: int


class Failure(msgspec.Struct, frozen=True):
    """An error message: its type and code, and the head of the message that it answers."""

    kind: int
    code: int
    data: bytes

    @property
    def text(self) -> str:
        """What the switch says in words."""
        return _FAILURES.get((self.kind, self.code), f"error {self.kind}/{self.code}")


_FAILURES: Mapping[tuple[int, int], str] = {
    (1, 0): "it does not speak this version",
    (1, 1): "it does not know this kind of message",
    (1, 6): "the message has a wrong length",
    (2, 0): "it does not know this action",
    (2, 4): "the port does not exist",
    (2, 5): "an argument of an action is wrong",
    (2, 9): "the group does not exist",
    (2, 10): "an action does not fit the match: a prerequisite is missing",
    (2, 13): "a field that is set does not exist",
    (2, 15): "a value that is set is wrong",
    (4, 6): "it does not know a field",
    (4, 7): "a value does not fit its field",
    (4, 8): "a mask does not fit its field or value",
    (4, 9): "a prerequisite of a field is missing",
    (4, 10): "a field is there twice",
    (5, 1): "the table of rules is full",
    (5, 2): "the table does not exist",
    (12, 1): "the meter exists already",
    (12, 2): "the meter does not exist",
    (12, 3): "the meter does not exist",
    (12, 6): "the rate is wrong",
    (12, 10): "there are too many meters",
}


def message(kind: int, body: bytes = b"") -> bytes:
    """A message around a body."""
    return _HEADER.pack(VERSION, kind, 8 + len(body), 0) + body


def numbered(data: bytes, xid: int) -> bytes:
    """The message with its transaction id."""
    return data[:4] + xid.to_bytes(4, "big") + data[8:]


def head(data: bytes) -> tuple[int, int, int]:
    """Kind, length and transaction id of the message that starts here."""
    _, kind, size, xid = _HEADER.unpack_from(data)
    return kind, size, xid


def hello() -> bytes:
    """The first message: this version and no other."""
    return message(HELLO)


def barrier() -> bytes:
    """All before it is done when the reply comes."""
    return message(BARRIER_REQUEST)


def set_config() -> bytes:
    """First fragments have their ports, later ones zeros; no frame is sent to the controller."""
    return message(SET_CONFIG, struct.pack("!HH", _FRAGMENTS_NX_MATCH, 0))


def flow_add(table: int, priority: int, cookie: int, match: bytes, instructions: bytes) -> bytes:
    """Add a rule or replace its like, keeping counters. `match` is a whole match structure."""
    body = _FLOW_MOD.pack(cookie, 0, table, _ADD, 0, 0, priority, _NO_BUFFER, _ANY, _ANY, 0) + match + instructions
    return _HEADER.pack(VERSION, FLOW_MOD, 8 + len(body), 0) + body


def flow_delete(table: int, priority: int, match: bytes) -> bytes:
    """Delete this very rule; one that is gone is no error."""
    body = _FLOW_MOD.pack(0, 0, table, _DELETE_STRICT, 0, 0, priority, _NO_BUFFER, _ANY, _ANY, 0)
    return message(FLOW_MOD, body + match)


def flow_delete_within(table: int, match: bytes) -> bytes:
    """Delete every rule of a table (`ALL_TABLES`: of all) that matches no more than this."""
    return message(FLOW_MOD, _FLOW_MOD.pack(0, 0, table, _DELETE, 0, 0, 0, _NO_BUFFER, _ANY, _ANY, 0) + match)


def _meter(command: int, meter: MeterConfig) -> bytes:
    band = struct.pack("!HHII4x", _DROP_BAND, 16, meter.rate_kbps, meter.burst_kbit)
    return message(METER_MOD, struct.pack("!HHI", command, _KBPS | _BURST | _STATS, meter.id) + band)


def meter_add(meter: MeterConfig) -> bytes:
    """Make a meter; one of that id is an error."""
    return _meter(_METER_ADD, meter)


def meter_modify(meter: MeterConfig) -> bytes:
    """Change a meter."""
    return _meter(_METER_MODIFY, meter)


def meter_delete(meter: int) -> bytes:
    """Delete a meter, and the rules that use it; one that is gone is no error."""
    return message(METER_MOD, struct.pack("!HHI", _METER_DELETE, 0, meter))


def bundle_control(bundle: int, step: int) -> bytes:
    """Open, commit or discard a bundle that is atomic and ordered."""
    head_ = struct.pack("!II", _ONF, _BUNDLE_CONTROL)
    return message(EXPERIMENTER, head_ + struct.pack("!IHH", bundle, step, _ATOMIC_ORDERED))


def bundle_add(bundle: int, inner: bytes, xid: int) -> bytes:
    """Put a message into a bundle. Both carry the same transaction id, which is final."""
    size = 24 + len(inner)
    return b"".join(
        (
            _HEADER.pack(VERSION, EXPERIMENTER, size, xid),
            struct.pack("!IIIHH", _ONF, _BUNDLE_ADD, bundle, 0, _ATOMIC_ORDERED),
            inner[:4],
            xid.to_bytes(4, "big"),
            inner[8:],
        )
    )


def packet_out(port: int, actions: bytes, frame: bytes) -> bytes:
    """Apply actions to a frame as if it had come in at a port."""
    head_ = struct.pack("!IIH6x", _NO_BUFFER, port, len(actions))
    return message(PACKET_OUT, head_ + actions + frame)


def flows_request(table: int = ALL_TABLES) -> bytes:
    """Ask for the rules of a table, or of all."""
    body = struct.pack("!HH4x", _MP_FLOW, 0) + struct.pack("!B3xII4xQQ", table, _ANY, _ANY, 0, 0)
    return message(MULTIPART_REQUEST, body + oxm.match(()))


def meters_request() -> bytes:
    """Ask for all meters."""
    return message(MULTIPART_REQUEST, struct.pack("!HH4x", _MP_METER_CONFIG, 0) + struct.pack("!I4x", _ANY))


def tables_request() -> bytes:
    """Ask how often each table was looked into, and how often in vain."""
    return message(MULTIPART_REQUEST, struct.pack("!HH4x", _MP_TABLE, 0))


def tables_missed(data: bytes) -> Iterator[tuple[int, int]]:
    """Tables and how many frames fitted no rule of theirs, in one part of the reply."""
    for at in range(16, len(data) - 23, 24):
        table, looked, matched = struct.unpack_from("!B7xQQ", data, at)
        yield table, looked - matched


def meter_stats_request() -> bytes:
    """Ask what all meters did."""
    return message(MULTIPART_REQUEST, struct.pack("!HH4x", _MP_METER, 0) + struct.pack("!I4x", _ANY))


def metered(data: bytes) -> Iterator[tuple[int, int]]:
    """Meters and how many frames each dropped, in one part of the reply."""
    at = 16
    while at + 40 <= len(data):
        meter, size = struct.unpack_from("!IH", data, at)
        yield meter, struct.unpack_from("!Q", data, at + 40)[0] if size >= 56 else 0
        at += max(size, 40)


def last_part(data: bytes) -> bool:
    """Whether no more parts follow this multipart reply."""
    return not int.from_bytes(data[10:12], "big") & _MORE


def flows(data: bytes) -> Iterator[FlowStats]:
    """The rules in one part of the reply to `flows_request`."""
    at, end = 16, len(data)
    unpack = _FLOW_STATS.unpack_from
    while at < end:
        size, table, _, _, priority, idle, hard, _, cookie, packets, octets = unpack(data, at)
        matched = int.from_bytes(data[at + 50 : at + 52], "big")
        instructions = data[at + 48 + (matched + 7 & ~7) : at + size]
        body = data[at + 52 : at + 48 + matched]
        yield FlowStats(table, priority, cookie, packets, octets, body, instructions, idle, hard)
        at += size


def meters(data: bytes) -> Iterator[MeterConfig]:
    """The meters in one part of the reply to `meters_request`; other bands than the first are not looked at."""
    at = 16
    while at < len(data):
        size, _, meter = struct.unpack_from("!HHI", data, at)
        rate, burst = struct.unpack_from("!II", data, at + 12) if size > 8 else (0, 0)
        yield MeterConfig(meter, rate, burst)
        at += size


def failure(data: bytes) -> Failure:
    """An error message, read."""
    kind, code = struct.unpack_from("!HH", data, 8)
    return Failure(kind, code, data[12:])
