"""The process of one function: frames in, frames out, and its sockets for the node and for tools that speak ControlSocket.

It is forked from the zygote, enters its namespace, opens what it needs, gives its privileges away and goes on until it is
killed, whatever becomes of the node. Only this process knows which configuration really runs.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import random
import resource
import select
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from skerry.errors import ConflictError, DriverError, InvalidError, SkerryError
from skerry.linux import syscalls
from skerry.lvnf import configs, wire
from skerry.lvnf.backend import Handler
from skerry.lvnf.backends import talk
from skerry.lvnf.backends.files import CONTROL, ENDED, GRAPH, LOCK, LOG, NODE, PROCESS, TROUBLE, identify
from skerry.lvnf.backends.logs import Log
from skerry.lvnf.backends.ports import Port
from skerry.lvnf.backends.talk import Answer, Ask, Order
from skerry.lvnf.control import Session
from skerry.lvnf.graph import Graph
from skerry.lvnf.router import Router

_NOBODY = 65534
_FIRST_USER = 0x70000000  # from here on ids are nobody's on any system: neither people's nor containers'
_BATCH = 64
_CLIENTS = 16
_CHUNK = 1 << 16
_OPEN_FILES = 128
_BACKLOG_MAX = 8 << 20
_LONGEST_WAIT_S = 3600.0
_PR_SET_NO_NEW_PRIVS = 38
_OWN_NEEDS = 16 << 20  # what the interpreter itself may come to have, whatever its function does


class Worker:
    """A function at work. It has handlers (fits `control.Handled`)."""

    def __init__(self, graph: Graph, ports: dict[str, Port], log: Log) -> None:
        self._ports, self._log = ports, log
        self._poll = select.epoll()
        self._ready: dict[int, Callable[[int], None]] = {}
        self._listening: set[str] = set()
        self.clients = 0
        self._router = self._routing(graph, None)
        self._listen(graph)

    # -- handlers -----------------------------------------------------------------------------------------------------

    @property
    def graph(self) -> Graph:
        return self._router.graph

    def handlers(self) -> Sequence[Handler]:
        return self._router.handlers()

    def read(self, element: str, handler: str) -> str:
        return self._router.read(element, handler)

    def write(self, element: str, handler: str, value: str) -> None:
        self._router.write(element, handler, value)

    # -- configuration ------------------------------------------------------------------------------------------------

    def replace(self, graph: Graph) -> None:
        """The new configuration takes over between two frames; those that arrive meanwhile wait in their sockets."""
        self._router = self._routing(graph, self._router)
        self._listen(graph)

    def _routing(self, graph: Graph, old: Router | None) -> Router:
        self._need(graph)
        return Router(graph, time.monotonic, random.random, self._log.say, self._send, old=old)

    def _send(self, device: str, frame: bytes) -> None:
        self._ports[device].send(frame)

    def _need(self, graph: Graph) -> None:
        missing = [device for device in graph.devices if device not in self._ports]
        if missing:
            raise InvalidError(
                f"cannot run the configuration: the function has no port {', '.join(missing)}",
                suggestion=f"it has: {', '.join(self._ports) or 'none'}",
            )

    def _listen(self, graph: Graph) -> None:
        """Ports from which no configuration took anything yet are not listened at: nobody would take their frames."""
        found = (one.config for one in graph.elements.values())
        wanted = {config.device for config in found if isinstance(config, configs.FromDevice)}
        for device in sorted(wanted - self._listening):
            port = self._ports[device]
            port.listen()
            self.watch(port.fileno(), lambda _, device=device, port=port: self._arrived(device, port))  # type: ignore[misc]
            self._listening.add(device)

    # -- the loop -----------------------------------------------------------------------------------------------------

    def watch(self, descriptor: int, call: Callable[[int], None]) -> None:
        """Call with what is ready when something is: EPOLLIN, EPOLLHUP …"""
        self._ready[descriptor] = call
        self._poll.register(descriptor, select.EPOLLIN)

    def mind(self, descriptor: int, events: int) -> None:
        """Look for other events."""
        self._poll.modify(descriptor, events)

    def forget(self, descriptor: int) -> None:
        """Look at it no more."""
        self._poll.unregister(descriptor)
        del self._ready[descriptor]

    def work(self) -> None:
        """Go on until the configuration itself says stop."""
        while not self._router.stopped:
            for descriptor, events in self._poll.poll(self._wait_s()):
                if call := self._ready.get(descriptor):
                    call(events)
            self._router.tick()

    def _wait_s(self) -> float:
        due = self._router.wake()
        return _LONGEST_WAIT_S if due is None else max(0.0, min(due - time.monotonic(), _LONGEST_WAIT_S))

    def _arrived(self, device: str, port: Port) -> None:
        receive = self._router.receiver(device)
        for frame in port.take(_BATCH):
            receive(frame)

    # -- what the node asks -------------------------------------------------------------------------------------------

    def answer(self, ask: Ask) -> Answer:
        """One question of the node."""
        try:
            return Answer(value=msgspec.Raw(msgspec.json.encode(self._answer(ask))))
        except SkerryError as wrong:
            return talk.told(wrong)

    def _answer(self, ask: Ask) -> object:
        match ask.do:
            case "graph":
                return self.graph
            case "handlers":
                return self.handlers()
            case "read":
                return self.read(ask.element, ask.handler)
            case "write":
                self.write(ask.element, ask.handler, ask.value)
            case "replace":
                self.replace(wire.unpacked(bytes(ask.graph)))
            case _:
                raise InvalidError(f"cannot do {ask.do!r}: this function is of another release")
        return None


class Line:
    """One connection: what comes in goes to `feed`, which answers; `ended` says that it has had enough."""

    def __init__(self, worker: Worker, made: socket.socket, feed: Callable[[bytes], bytes], ended: Callable[[], bool]):
        self._worker, self._socket, self._feed, self._ended = worker, made, feed, ended
        self._unsent = bytearray()
        made.setblocking(False)
        worker.clients += 1
        worker.watch(made.fileno(), self._ready)

    def say(self, data: bytes) -> None:
        """Send as much as the other end takes; the rest when it does, and nothing is read meanwhile."""
        self._unsent += data
        try:
            while self._unsent:
                del self._unsent[: self._socket.send(self._unsent)]
        except BlockingIOError:
            if len(self._unsent) > _BACKLOG_MAX:
                self._close()
            else:
                self._worker.mind(self._socket.fileno(), select.EPOLLOUT)
            return
        except OSError:
            self._close()
            return
        if self._ended():
            self._close()
        else:
            self._worker.mind(self._socket.fileno(), select.EPOLLIN)

    def _ready(self, events: int) -> None:
        if events & select.EPOLLOUT:
            self.say(b"")
            return
        try:
            data = self._socket.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._close()
            return
        try:
            answer = self._feed(data)
        except ValueError:
            self._close()
            return
        if answer or self._ended():
            self.say(answer)

    def _close(self) -> None:
        if self._socket.fileno() >= 0:
            self._worker.forget(self._socket.fileno())
            self._worker.clients -= 1
            self._socket.close()


def tools(worker: Worker, listener: socket.socket) -> None:
    """Let tools that speak ControlSocket connect."""

    def accept(_: int) -> None:
        made = _accepted(listener)
        if made is None:
            return
        session = Session(worker)
        line = Line(worker, made, session.feed, lambda: session.closed)
        line.say(session.feed(b""))
        if worker.clients > _CLIENTS:
            line.say(session.feed(b"QUIT\n"))

    worker.watch(listener.fileno(), accept)


def node(worker: Worker, listener: socket.socket) -> None:
    """Let the node ask."""

    def accept(_: int) -> None:
        made = _accepted(listener)
        if made is None:
            return
        buffer = bytearray()

        def feed(data: bytes) -> bytes:
            buffer.extend(data)
            answers = b""
            while (message := talk.unframed(buffer)) is not None:
                answers += talk.framed(worker.answer(msgspec.json.decode(message, type=Ask)))
            return answers

        Line(worker, made, feed, lambda: False)

    worker.watch(listener.fileno(), accept)


def _accepted(listener: socket.socket) -> socket.socket | None:
    try:
        return listener.accept()[0]
    except OSError:
        return None


# -- the making ---------------------------------------------------------------------------------------------------------


def run(order: Order, answer: int) -> None:
    """Become the function of this order; tell over the descriptor `answer` that it runs, or why it cannot."""
    os.chdir(order.folder)
    try:
        ended = _opened(ENDED, os.O_TRUNC)
        worker = _made(order)
    except SkerryError as wrong:
        _tell(answer, talk.told(wrong))
        return
    except OSError as wrong:
        _tell(answer, talk.told(DriverError(f"cannot start {order.name}: {wrong}", answer=str(wrong))))
        return
    _tell(answer, Answer())
    worker.work()
    os.write(ended, b"stopped")


def _tell(descriptor: int, answer: Answer) -> None:
    with socket.socket(fileno=descriptor) as line:
        line.sendall(msgspec.json.encode(answer))


def _made(order: Order) -> Worker:
    _hold()
    os.dup2(_opened(TROUBLE, os.O_TRUNC), 2)
    log = Log(_opened(LOG))
    graph = wire.unpacked(Path(GRAPH).read_bytes())
    if order.namespace:
        _enter(order.namespace)
    ports = {device: Port(interface) for device, interface in order.devices.items()}
    line, control = _listening(NODE), _listening(CONTROL)
    Path(PROCESS).write_bytes(msgspec.json.encode(identify(os.getpid())))
    _drop_privileges(order.memory_bytes)
    worker = Worker(graph, ports, log)
    node(worker, line)
    tools(worker, control)
    return worker


def _hold() -> None:
    """Hold the folder's lock for as long as this process lives: there is one function in it at most."""
    lock = os.open(LOCK, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as held:
        raise ConflictError("cannot start the function: it runs already") from held


def _opened(name: str, flags: int = os.O_APPEND) -> int:
    return os.open(name, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | flags, 0o600)


def _enter(namespace: str) -> None:
    descriptor = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscalls.enter_network(descriptor)
    finally:
        os.close(descriptor)


def _listening(name: str) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    mask = os.umask(0o177)
    try:
        made.bind(name)
    finally:
        os.umask(mask)
    made.listen(_CLIENTS)
    return made


def _drop_privileges(memory_bytes: int) -> None:
    """From here on hostile frames are read: as a user that is no other process's, for ever, without a way to start programs,
    and with `memory_bytes` at most of its own (0: no limit); who wants more ends, and is healed."""
    ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, _OPEN_FILES))
    if memory_bytes:
        most = _data_bytes() + _OWN_NEEDS + memory_bytes
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
        own = _FIRST_USER + os.getpid()
        os.setresuid(own, own, own)


def _data_bytes() -> int:
    """What counts against the limit of data already: what the warm process had."""
    return int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
