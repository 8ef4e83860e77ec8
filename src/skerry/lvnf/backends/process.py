"""The back end `process`: each function is a small Python process of its own, forked from a warm one, on raw sockets.

It runs every element that the language has. The process holds its state and its configuration; this side finds it by its
folder, and asks it over a socket there. A process that was forked stays when this one dies.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from skerry.errors import ConflictError, DriverError
from skerry.lvnf import wire
from skerry.lvnf.backend import Handler, Place, Usage
from skerry.lvnf.backends import talk
from skerry.lvnf.backends.files import CONTROL, ENDED, GRAPH, LOCK, NODE, PROCESS, Identity, identify
from skerry.lvnf.backends.talk import Answer, Ask, Order
from skerry.lvnf.graph import Graph

_START_S = 20.0
_END_S = 5.0
_ENVIRONMENT = ("PATH", "PYTHONPATH", "LANG", "TZ")  # secrets of the node are none of theirs
_TICKS = os.sysconf("SC_CLK_TCK")


class Zygote:
    """The warm process, started when first needed. It ends with this process, or after `close`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._orders: socket.socket | None = None

    def fork(self, order: Order) -> Answer:
        """Let it fork a function; what the function says once it runs, or cannot."""
        near, far = socket.socketpair()
        with near:
            with far, self._lock:
                self._send(msgspec.json.encode(order), far.fileno())
            near.settimeout(_START_S)
            try:
                data = b"".join(iter(lambda: near.recv(1 << 16), b""))
            except TimeoutError as late:
                raise DriverError(f"cannot start {order.name}: its process does not answer", transient=True) from late
        if not data:
            raise DriverError(f"cannot start {order.name}: its process ended at once", transient=True)
        return msgspec.json.decode(data, type=Answer)

    def _send(self, data: bytes, answer: int) -> None:
        orders = self._orders
        if orders is not None and self._process is not None and self._process.poll() is None:
            try:
                socket.send_fds(orders, [data], [answer])
            except OSError:
                pass  # it has just died
            else:
                return
        socket.send_fds(self._begin(), [data], [answer])

    def _begin(self) -> socket.socket:
        self._end()
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with far:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "skerry.lvnf.backends.zygote", str(far.fileno())],
                pass_fds=[far.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={name: value for name, value in os.environ.items() if name in _ENVIRONMENT},
                start_new_session=True,
            )
        self._orders = near
        return near

    def _end(self) -> None:
        if self._orders is not None:
            self._orders.close()
        if self._process is not None:
            self._process.wait()
        self._orders = self._process = None

    def close(self) -> None:
        """End it. The functions go on."""
        with self._lock:
            self._end()


class ProcessRunning:
    """A function that runs as a process (fits `backend.Running`)."""

    def __init__(self, place: Place, identity: Identity, graph: Graph) -> None:
        self._place, self._identity, self._graph = place, identity, graph

    @property
    def graph(self) -> Graph:
        return self._graph

    @property
    def pid(self) -> int:
        """The number of its process."""
        return self._identity.pid

    def handlers(self) -> Sequence[Handler]:
        return msgspec.json.decode(talk.ask(self._place.folder, Ask(do="handlers")), type=list[Handler])

    def read(self, element: str, handler: str) -> str:
        return msgspec.json.decode(
            talk.ask(self._place.folder, Ask(do="read", element=element, handler=handler)), type=str
        )

    def write(self, element: str, handler: str, value: str) -> None:
        talk.ask(self._place.folder, Ask(do="write", element=element, handler=handler, value=value))

    def replace(self, graph: Graph) -> None:
        talk.ask(self._place.folder, Ask(do="replace", graph=msgspec.Raw(wire.packed(graph))))
        self._graph = graph

    def alive(self) -> bool:
        return identify(self._identity.pid) == self._identity

    def said_stop(self) -> bool:
        """Whether its own configuration ended it."""
        try:
            return bool((self._place.folder / ENDED).stat().st_size)
        except FileNotFoundError:
            return False

    def usage(self) -> Usage:
        return usage_of(self._identity.pid)

    def stop(self) -> None:
        kill(self._identity)
        for name in (PROCESS, NODE, CONTROL):
            (self._place.folder / name).unlink(missing_ok=True)

    def detach(self) -> None:
        """There is nothing to let go of: each question has a connection of its own."""


class ProcessBackend:
    """Runs graphs as processes (fits `backend.Backend`). `close` ends the warm process."""

    name = "process"

    def __init__(self) -> None:
        self._zygote = Zygote()

    def refusals(self, graph: Graph) -> Sequence[str]:
        return ()

    def start(self, graph: Graph, place: Place) -> ProcessRunning:
        place.folder.mkdir(parents=True, exist_ok=True)
        clear(place.folder)
        (place.folder / GRAPH).write_bytes(wire.packed(graph))
        order = Order(
            name=place.name,
            folder=str(place.folder.resolve()),
            namespace=str(place.namespace or ""),
            devices=dict(place.devices) or {device: device for device in graph.devices},
            memory_bytes=place.memory_bytes,
        )
        talk.value_of(self._zygote.fork(order))
        running = self.adopt(place)
        if running is None:
            raise DriverError(f"cannot start {place.name}: its process ended at once", transient=True)
        return running

    def adopt(self, place: Place) -> ProcessRunning | None:
        identity = recorded(place.folder)
        if identity is None or identify(identity.pid) != identity:
            return None
        with contextlib.suppress(ConflictError):
            return ProcessRunning(place, identity, wire.unpacked(talk.ask(place.folder, Ask(do="graph"))))
        return None

    def close(self) -> None:
        """End the warm process. The functions go on."""
        self._zygote.close()


def usage_of(pid: int) -> Usage:
    """What a process uses; of memory that it shares with others its share. `ConflictError` when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError) as gone:
        raise ConflictError("cannot measure the function: it has stopped", suggestion="start it again") from gone
    share = next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
    return Usage(memory_bytes=share << 10, cpu_seconds=(int(fields[11]) + int(fields[12])) / _TICKS, pids=1)


def recorded(folder: Path) -> Identity | None:
    """The process that runs, or ran, in a function's folder."""
    try:
        return msgspec.json.decode((folder / PROCESS).read_bytes(), type=Identity)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def clear(folder: Path) -> None:
    """End what an earlier start left in the folder, even one that has not written down yet who it is: it holds the lock."""
    deadline = time.monotonic() + _END_S
    with (folder / LOCK).open("w") as lock:
        while True:
            if identity := recorded(folder):
                kill(identity)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise DriverError(f"cannot end what runs in {folder}: it does not say who it is") from None
                time.sleep(0.005)
                continue
            break
        for name in (PROCESS, NODE, CONTROL):
            (folder / name).unlink(missing_ok=True)


def kill(identity: Identity) -> None:
    """Kill exactly this process and wait for its end."""
    try:
        descriptor = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return
    try:
        if identify(identity.pid) == identity:
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            if not select.select([descriptor], [], [], _END_S)[0]:
                raise DriverError(f"cannot end the process {identity.pid}: it does not die", transient=True)
    except ProcessLookupError:
        return
    finally:
        os.close(descriptor)
