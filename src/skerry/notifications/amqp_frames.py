"""Frames and methods of AMQP 0-9-1, as far as a publisher needs them. Pure: bytes in, bytes out."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import NamedTuple

HEADER = b"AMQP\x00\x00\x09\x01"
METHOD, CONTENT, BODY, HEARTBEAT = 1, 2, 3, 8
END = 0xCE
FRAME_MAX = 131072
OVERHEAD = 8  # bytes of a frame around its payload

Key = tuple[int, int]
Value = str | bool | Mapping[str, bool]
START, START_OK, TUNE, TUNE_OK = (10, 10), (10, 11), (10, 30), (10, 31)
OPEN, OPEN_OK, CLOSE, CLOSE_OK = (10, 40), (10, 41), (10, 50), (10, 51)
CHANNEL_OPEN, CHANNEL_OPEN_OK, CHANNEL_CLOSE = (20, 10), (20, 11), (20, 40)
EXCHANGE, EXCHANGE_OK, QUEUE, QUEUE_OK = (40, 10), (40, 11), (50, 10), (50, 11)
PUBLISH, RETURN, ACK, NACK = (60, 40), (60, 50), (60, 80), (60, 120)
SELECT, SELECT_OK = (85, 10), (85, 11)


class Frame(NamedTuple):
    """One frame; `key` is the method's class and number for methods, else (0, 0)."""

    type: int
    channel: int
    payload: bytes

    @property
    def key(self) -> Key:
        if self.type != METHOD or len(self.payload) < 4:
            return (0, 0)
        first, second = struct.unpack_from(">HH", self.payload)
        return (first, second)


def short(text: str) -> bytes:
    """A short string. `ValueError` for more than 255 bytes."""
    raw = text.encode()
    if len(raw) > 255:
        raise ValueError("longer than 255 bytes")
    return bytes((len(raw),)) + raw


def long(raw: bytes) -> bytes:
    """A long string."""
    return struct.pack(">I", len(raw)) + raw


def table(values: Mapping[str, Value]) -> bytes:
    """A field table of texts, truths and tables."""
    parts = b""
    for name, value in values.items():
        if isinstance(value, bool):
            parts += short(name) + b"t" + bytes((value,))
        elif isinstance(value, str):
            parts += short(name) + b"S" + long(value.encode())
        else:
            parts += short(name) + b"F" + table(value)
    return long(parts)


def frame(type: int, channel: int, payload: bytes) -> bytes:
    """A frame on the wire."""
    return struct.pack(">BHI", type, channel, len(payload)) + payload + bytes((END,))


def method(channel: int, key: Key, arguments: bytes = b"") -> bytes:
    """A method on the wire."""
    return frame(METHOD, channel, struct.pack(">HH", *key) + arguments)


def start_ok(mechanism: str, response: bytes) -> bytes:
    """Who we are. A wrong password is to be told, not only the connection closed."""
    told: dict[str, Value] = {"product": "skerry", "capabilities": {"authentication_failure_close": True}}
    return method(0, START_OK, table(told) + short(mechanism) + long(response) + short("en_US"))


def tune_ok(tune: Frame) -> tuple[bytes, int]:
    """Agree to what the broker proposes, without heartbeats; and the largest frame then."""
    _channels, most, _heartbeat = struct.unpack_from(">HIH", tune.payload, 4)
    agreed = min(most or FRAME_MAX, FRAME_MAX)
    return method(0, TUNE_OK, struct.pack(">HIH", 1, agreed, 0)), agreed


def connection_open(host: str) -> bytes:
    """Open a virtual host."""
    return method(0, OPEN, short(host) + b"\x00\x00")


def exchange_exists(name: str) -> bytes:
    """Ask whether an exchange is there."""
    return method(1, EXCHANGE, b"\x00\x00" + short(name) + short("") + b"\x01" + long(b""))


def queue_exists(name: str) -> bytes:
    """Ask whether a queue is there."""
    return method(1, QUEUE, b"\x00\x00" + short(name) + b"\x01" + long(b""))


def publish(exchange: str, routing_key: str, body: bytes, id: str, kind: str, largest: int) -> bytes:
    """A durable JSON message that some queue must take."""
    arguments = b"\x00\x00" + short(exchange) + short(routing_key) + b"\x01"
    flags = 1 << 15 | 1 << 12 | 1 << 7 | 1 << 5 | 1 << 3
    properties = short("application/json") + b"\x02" + short(id) + short(kind) + short("skerry")
    head = struct.pack(">HHQH", 60, 0, len(body), flags) + properties
    step = largest - OVERHEAD
    parts = (frame(BODY, 1, body[at : at + step]) for at in range(0, len(body), step))
    return method(1, PUBLISH, arguments) + frame(CONTENT, 1, head) + b"".join(parts)


def reason(told: Frame) -> str:
    """Why the broker closed a connection or channel, or returned a message."""
    (code,) = struct.unpack_from(">H", told.payload, 4)
    size = told.payload[6]
    return f"{code} {told.payload[7 : 7 + size].decode(errors='replace')}"
