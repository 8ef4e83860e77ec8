"""The functions of one agent: started, adopted, exchanged, stopped; what the node asks about them.

What is wanted is written down before it is done: an agent that was killed goes on where it was. Functions run while it is
gone. All calls block and may come from several threads.
"""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Callable, Generator, Mapping
from pathlib import Path

import msgspec

from skerry.errors import ConflictError, InvalidError, NotFoundError, SkerryError
from skerry.lvnf import checking
from skerry.lvnf.agent.messages import FUNCTIONS, FunctionSpec, PortStatus, State, Stats, Status, port_faults
from skerry.lvnf.agent.wiring import Wiring
from skerry.lvnf.backend import Place, Running
from skerry.lvnf.backends.choice import Backends
from skerry.lvnf.control import read_any, split_handler
from skerry.lvnf.graph import Graph

WANTED = "wanted.json"
GONE = "gone.json"
"""What `WANTED` is called from the moment that the function is to go."""
_SERVE_THEMSELVES = ("process", "click")


class Function:
    """One function in memory."""

    def __init__(self, spec: FunctionSpec) -> None:
        self.spec = spec
        self.lock = threading.RLock()
        self.state = State.STOPPED
        self.running: Running | None = None
        self.backend = ""
        self.why: tuple[str, ...] = ()
        self.ports: tuple[PortStatus, ...] = ()
        self.times: dict[str, float] = {}
        self.trouble = ""
        self.since = 0.0
        self.gone = False

    def status(self) -> Status:
        """How it is."""
        return Status(
            lvnf=self.spec.name,
            state=self.state,
            backend=self.backend,
            why=self.why,
            ports=self.ports,
            times_ms=dict(self.times),
            trouble=self.trouble,
            gone=self.gone,
        )


class Functions:
    """All of them. `changed` is told of each new state; `monotonic` is the time in seconds."""

    def __init__(
        self,
        folder: Path,
        wiring: Wiring,
        backends: Backends,
        *,
        changed: Callable[[Status], None],
        monotonic: Callable[[], float],
    ) -> None:
        self._folder = folder
        self._wiring = wiring
        self._backends = backends
        self._changed = changed
        self._monotonic = monotonic
        self._known: dict[str, Function] = {}
        self._lock = threading.Lock()
        self._mending = False

    # -- life of the agent --------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Adopt what runs, start what should run, finish what was being deleted."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for folder in sorted(self._folder.iterdir()):
            for name in (GONE, WANTED):
                with contextlib.suppress(OSError, msgspec.DecodeError):
                    spec = msgspec.json.decode((folder / name).read_bytes(), type=FunctionSpec)
                    self._resume(spec, gone=name == GONE)
                    break

    def _resume(self, spec: FunctionSpec, *, gone: bool) -> None:
        one = self._known[spec.name] = Function(spec)
        one.running, one.backend = self._found(one)
        if gone:
            self.delete(spec.name)
            return
        try:
            if one.running is None:
                self._start(one, checking.read(spec.configuration))
            else:
                one.ports = self._wiring.wire(spec)
                one.since = self._monotonic()
                self._enter(one, State.RUNNING)
        except SkerryError as error:
            self._fail(one, error.detail)

    def _found(self, one: Function) -> tuple[Running | None, str]:
        for name in self._backends.names():
            running = self._backends.get(name).adopt(self._place(one.spec))
            if running is not None:
                return running, name
        return None, ""

    def close(self) -> None:
        """Let go of all; they go on."""
        for one in list(self._known.values()):
            with one.lock:
                if one.running is not None:
                    one.running.detach()
        self._backends.close()

    def look(self) -> None:
        """Find out which have ended by themselves."""
        for one in list(self._known.values()):
            with one.lock:
                if one.state is State.RUNNING and one.running is not None and not one.running.alive():
                    self._ended(one, one.running)
        if self._wiring.forgotten() or self._mending:
            self._mending = not self._mended()

    def _ended(self, one: Function, running: Running) -> None:
        stopped = getattr(running, "said_stop", lambda: False)()
        one.running = None
        if stopped:
            self._enter(one, State.STOPPED)
        else:
            self._fail(one, "it ended by itself")

    def _mended(self) -> bool:
        """Tell the switch about the ports of all again: it was started anew and has forgotten what is not in its database.
        Whether it is done with that."""
        for one in list(self._known.values()):
            with one.lock:
                if one.state is State.RUNNING:
                    try:
                        one.ports = self._wiring.wire(one.spec)
                    except SkerryError:
                        return False  # it is not up yet
                    self._changed(one.status())
        return True

    # -- what the node asks for ---------------------------------------------------------------------------------------

    def statuses(self) -> list[Status]:
        """Of all."""
        return [one.status() for one in list(self._known.values())]

    def status(self, name: str) -> Status:
        """Of one."""
        return self._one(name).status()

    def add(self, spec: FunctionSpec) -> Status:
        """Run it. One that runs with the same ports gets the new configuration."""
        graph = self._checked(spec)
        with self._held(spec) as one:
            if one.running is not None and one.running.alive():
                if one.spec != spec:
                    self._replace(one, spec, graph)
                return one.status()
            if one.spec.ports != spec.ports:
                self._wiring.unwire(one.spec)
            one.spec = spec
            try:
                self._start(one, graph)
            except SkerryError as error:
                self._take_away(one)
                self._enter(one, State.STOPPED)
                raise error from None
            return one.status()

    def _checked(self, spec: FunctionSpec) -> Graph:
        wrong = port_faults(spec.ports)
        if wrong:
            raise InvalidError(f"cannot run {spec.name}: {wrong[0]}", suggestion="name each device and interface once")
        self._wiring.refuse(spec)
        graph = checking.read(spec.configuration)
        lacking = sorted(set(graph.devices) - {port.device for port in spec.ports})
        if lacking:
            raise InvalidError(
                f"cannot run {spec.name}: it has no port {', '.join(lacking)}",
                suggestion="give a port for each device of the configuration",
            )
        return graph

    @contextlib.contextmanager
    def _held(self, spec: FunctionSpec) -> Generator[Function]:
        """The function, new if there is none, for one thread at a time."""
        while True:
            with self._lock:
                if spec.name not in self._known and len(self._known) >= FUNCTIONS:
                    raise ConflictError(f"cannot run more than {FUNCTIONS} functions", suggestion="delete some")
                one = self._known.setdefault(spec.name, Function(spec))
            with one.lock:
                if not one.gone:
                    yield one
                    return

    def _start(self, one: Function, graph: Graph) -> None:
        spec, begun = one.spec, self._monotonic()
        backend, one.why = self._backends.choose(graph, spec.backend)
        one.backend, one.trouble = backend.name, ""
        self._enter(one, State.SPAWNING)
        self._write(spec)
        one.ports = self._wiring.wire(spec)
        one.running = backend.start(graph, self._place(spec))
        one.since = self._monotonic()
        one.times["start"] = round((one.since - begun) * 1000, 3)
        self._enter(one, State.RUNNING)

    def _replace(self, one: Function, spec: FunctionSpec, graph: Graph) -> None:
        fixed = [(one.ports, one.backend, one.control) for one in (spec, one.spec)]
        if fixed[0] != fixed[1]:
            raise ConflictError(
                f"cannot change more than the configuration of {spec.name} while it runs", suggestion="delete it first"
            )
        refused = self._backends.get(one.backend).refusals(graph)
        if refused:
            raise ConflictError(
                f"cannot run the new configuration with {one.backend}: {refused[0]}", suggestion="delete it first"
            )
        before = one.spec
        self._write(spec)
        try:
            if one.running is not None:
                one.running.replace(graph)
        except SkerryError:
            self._write(before)
            raise
        one.spec = spec
        self._changed(one.status())

    def delete(self, name: str) -> Status:
        """Stop it and forget it."""
        one = self._known.get(name)
        if one is None:
            return Status(lvnf=name, state=State.STOPPED, gone=True)
        with one.lock:
            if not one.gone:
                begun = self._monotonic()
                self._enter(one, State.STOPPING)
                self._take_away(one)
                one.times["stop"] = round((self._monotonic() - begun) * 1000, 3)
                self._enter(one, State.STOPPED)
            return one.status()

    def _take_away(self, one: Function) -> None:
        """Everything of it, in an order that can be gone on with."""
        folder = self._home(one.spec.name)
        with contextlib.suppress(FileNotFoundError):
            (folder / WANTED).rename(folder / GONE)
        running = one.running or self._found(one)[0]
        if running is not None:
            running.stop()
        one.running = None
        self._wiring.unwire(one.spec)
        shutil.rmtree(folder, ignore_errors=True)
        one.gone = True
        with self._lock:
            if self._known.get(one.spec.name) is one:
                del self._known[one.spec.name]

    def stats(self, name: str) -> Stats:
        """What it uses."""
        one = self._one(name)
        usage = self._running(one).usage()
        return Stats(
            memory_bytes=usage.memory_bytes,
            cpu_seconds=usage.cpu_seconds,
            pids=usage.pids,
            uptime_s=round(self._monotonic() - one.since, 3),
        )

    def get(self, name: str, handler: str) -> str:
        """A handler's value."""
        return read_any(self._running(self._one(name)), *split_handler(handler))

    def set(self, name: str, handler: str, value: str) -> None:
        """Write a handler."""
        self._running(self._one(name)).write(*split_handler(handler), value)

    def front(self, name: str) -> tuple[Running, Path | None, str] | None:
        """What to serve a ControlSocket for: the function, the folder for the socket (None: the function has one itself) and
        the address; None where there is nothing to serve."""
        one = self._known.get(name)
        if one is None or one.running is None:
            return None
        folder = None if one.backend in _SERVE_THEMSELVES else self._place(one.spec).folder
        return (one.running, folder, one.spec.control) if folder or one.spec.control else None

    # -- inside -------------------------------------------------------------------------------------------------------

    def _one(self, name: str) -> Function:
        one = self._known.get(name)
        if one is None:
            raise NotFoundError(f"cannot find the function {name}", suggestion="list the functions of the agent")
        return one

    @staticmethod
    def _running(one: Function) -> Running:
        running = one.running
        if running is None:
            raise ConflictError(f"cannot ask {one.spec.name}: it is {one.state.value}", suggestion="start it again")
        return running

    def _home(self, name: str) -> Path:
        return self._folder / self._wiring.id(name)

    def _place(self, spec: FunctionSpec) -> Place:
        devices: Mapping[str, str] = {port.device: port.device for port in spec.ports}
        return Place(
            name=self._wiring.id(spec.name),
            folder=self._home(spec.name) / "run",
            namespace=self._wiring.namespace(spec.name),
            devices=devices,
        )

    def _write(self, spec: FunctionSpec) -> None:
        folder = self._home(spec.name)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = folder / f"{WANTED}.new"
        new.write_bytes(msgspec.json.encode(spec))
        new.rename(folder / WANTED)

    def _enter(self, one: Function, state: State) -> None:
        one.state = state
        self._changed(one.status())

    def _fail(self, one: Function, trouble: str) -> None:
        one.trouble = trouble
        self._enter(one, State.FAILED)
