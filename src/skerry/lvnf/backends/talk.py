"""What a node and the processes of its functions say to each other, over a Unix socket that only the node's user may open:
a length of four bytes, then JSON."""

from __future__ import annotations

import os
import socket
import struct
import time
from pathlib import Path

import msgspec

from skerry.errors import ConflictError, DriverError, InvalidError, NotFoundError, SkerryError

MOST = 32 << 20
_HEAD = struct.Struct("!I")
_WAIT_S = 10.0
_ERRORS: dict[str, type[SkerryError]] = {
    "not-found": NotFoundError,
    "invalid": InvalidError,
    "conflict": ConflictError,
    "driver": DriverError,
}


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What the zygote shall fork: a function whose graph is in `folder`."""

    name: str
    folder: str
    namespace: str = ""
    devices: dict[str, str] = {}
    memory_bytes: int = 0


class Ask(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One question. `do` is graph, handlers, read, write or replace."""

    do: str
    element: str = ""
    handler: str = ""
    value: str = ""
    graph: msgspec.Raw = msgspec.Raw(b"")


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Its answer, or why not: `error` is the kind of error."""

    value: msgspec.Raw = msgspec.Raw(b"null")
    error: str = ""
    detail: str = ""
    suggestion: str = ""


def told(error: SkerryError) -> Answer:
    """An error as an answer."""
    kind = next((name for name, one in _ERRORS.items() if isinstance(error, one)), "driver")
    return Answer(error=kind, detail=error.detail, suggestion=error.suggestion)


def value_of(answer: Answer) -> msgspec.Raw:
    """What was answered; the error, where it is one."""
    if answer.error:
        raise _ERRORS.get(answer.error, DriverError)(answer.detail, suggestion=answer.suggestion)
    return answer.value


def framed(message: msgspec.Struct) -> bytes:
    """A message as it is sent."""
    data = msgspec.json.encode(message)
    return _HEAD.pack(len(data)) + data


def unframed(buffer: bytearray) -> bytes | None:
    """Take one whole message out of what has arrived; None while there is none. `ValueError` when it is too long."""
    if len(buffer) < _HEAD.size:
        return None
    (size,) = _HEAD.unpack_from(buffer)
    if size > MOST:
        raise ValueError(f"a message of {size} bytes")
    if len(buffer) < _HEAD.size + size:
        return None
    data = bytes(buffer[_HEAD.size : _HEAD.size + size])
    del buffer[: _HEAD.size + size]
    return data


def connect(folder: Path, name: str, timeout_s: float = _WAIT_S) -> socket.socket:
    """Connect to the Unix socket `name` in `folder`, whose path may be longer than such addresses can be."""
    place = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    deadline = time.monotonic() + timeout_s
    try:
        made.settimeout(timeout_s)
        while True:
            try:
                made.connect(f"/proc/self/fd/{place}/{name}")
                break
            except BlockingIOError:  # others are waiting before us
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.002)
    except OSError:
        made.close()
        raise
    finally:
        os.close(place)
    return made


def ask(folder: Path, question: Ask) -> msgspec.Raw:
    """Ask the function in `folder`. `ConflictError` when none answers there."""
    buffer = bytearray()
    try:
        with connect(folder, "node") as line:
            line.sendall(framed(question))
            while (data := unframed(buffer)) is None:
                chunk = line.recv(1 << 16)
                if not chunk:
                    raise ConnectionResetError
                buffer += chunk
    except TimeoutError as late:
        raise DriverError("cannot reach the function: it does not answer", transient=True) from late
    except OSError as gone:
        raise ConflictError("cannot reach the function: it has stopped", suggestion="start it again") from gone
    return value_of(msgspec.json.decode(data, type=Answer))
