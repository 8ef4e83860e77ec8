"""A simulated infrastructure: its resources, its faults, and a record of everything that was asked of it.

A world outlives the driver objects on it, as real infrastructure does, so that a test can let Skerry die and come back.
Worlds are found by name (`world`); a test takes a fresh name or calls `World.reset`.
"""

from __future__ import annotations

import asyncio
import fnmatch
import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import msgspec

from skerry.errors import NotFoundError
from skerry.model.time import Clock, stamp
from skerry.vim.cabling import PlugSpec
from skerry.vim.driver import (
    Compute,
    ComputeSpec,
    ComputeState,
    ComputeStats,
    ExecResult,
    Image,
    LogLine,
    Network,
    VimEvent,
)

_PIDS = itertools.count(1000)
_SERIALS = itertools.count()


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """What an instance's program does from `since` (monotonic) on: vCPUs, bytes of memory, bytes a second in and out on its
    first interface. `before` is what its counters had reached by then."""

    vcpus: float = 0.001
    memory_bytes: int = 8 << 20
    rx_bytes_s: int = 0
    tx_bytes_s: int = 0
    since: float = 0.0
    before: ComputeStats = ComputeStats(cpu_seconds=0.0, memory_bytes=0, pids=1)


PACKET = 1000
"""Bytes of each simulated packet."""


class Machine(msgspec.Struct, kw_only=True):
    """One simulated instance. `asked` is the spec as first asked for, `spec` with what was merged into it since."""

    node: str
    asked: ComputeSpec
    spec: ComputeSpec
    compute: Compute
    log: list[LogLine] = []
    written: dict[str, bytes] = {}  # files that programs inside wrote
    started: float = 0.0  # monotonic
    starts: int = 0
    load: ComputeStats | None = None
    work: Work = Work()


class CommandRun(msgspec.Struct, frozen=True, kw_only=True):
    """A command that was run inside an instance."""

    time: str
    instance: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = {}
    stdin: bytes = b""


class Trouble(msgspec.Struct, kw_only=True):
    """One thing that goes wrong with calls of `verb` on names that fit `pattern` (as in fnmatch), `times` more times.

    `kind` is fail, hang, late or twice.
    """

    kind: str
    verb: str
    pattern: str
    times: int = 1
    transient: bool = True
    after_effect: bool = False
    seconds: float = 0.0
    message: str = ""

    def fits(self, verb: str, name: str) -> bool:
        """Whether it meets this call."""
        return self.times > 0 and self.verb in (verb, "*") and fnmatch.fnmatchcase(name, self.pattern)


class Contents(msgspec.Struct, kw_only=True):
    """What a world has; the part of it that is kept in a file."""

    images: dict[str, Image] = {}
    snapshots: dict[str, dict[str, bytes]] = {}  # image -> the files that are in it
    networks: dict[str, Network] = {}
    network_nodes: dict[str, str] = {}
    machines: dict[str, Machine] = {}
    plugged: dict[str, PlugSpec] = {}
    calls: dict[str, dict[str, int]] = {}
    commands: list[CommandRun] = []


Responder = Callable[["CommandRun"], ExecResult]
Observer = Callable[[str, str, bool], None]
"""Told of (verb, name, whether the effect is there) twice a call: right before its effect and right after it."""


class _Stopped:
    """The clock of a world on which no driver was ever made."""

    def now(self) -> datetime:
        return datetime(1970, 1, 1, tzinfo=UTC)

    def monotonic(self) -> float:
        return 0.0


class World:
    """A simulated infrastructure and the levers to make it fail. `reachable = False` is a cut connection to it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.clock: Clock = _Stopped()
        self.reset()

    def reset(self) -> None:
        """Empty it, as new."""
        self.has = Contents()
        self.reachable = True
        self.path: Path | None = None
        self.troubles: list[Trouble] = []
        self.answers: list[tuple[str, ExecResult | Responder]] = []
        self.observers: list[Observer] = []
        self.listeners: WeakValueDictionary[int, asyncio.Queue[VimEvent]] = WeakValueDictionary()
        self.changed = asyncio.Event()
        self.history: list[VimEvent] = []

    def calls(self, verb: str = "*", pattern: str = "*") -> Counter[tuple[str, str]]:
        """How often each (verb, name) was asked for, failed calls included. Verbs are the contract's method names."""
        return Counter(
            {
                (one, name): count
                for one, names in self.has.calls.items()
                for name, count in names.items()
                if verb in (one, "*") and fnmatch.fnmatchcase(name, pattern)
            }
        )

    def commands(self, pattern: str = "*") -> Sequence[CommandRun]:
        """The commands that were run inside instances whose name fits, oldest first."""
        return [run for run in self.has.commands if fnmatch.fnmatchcase(run.instance, pattern)]

    def inventory(self) -> Mapping[str, Sequence[str]]:
        """The names of all there is, by kind: compute, network, plugged port, image."""
        return {
            "compute": sorted(self.has.machines),
            "network": sorted(self.has.networks),
            "port": sorted(self.has.plugged),
            "image": sorted(self.has.images),
        }

    def fail(
        self,
        verb: str,
        pattern: str = "*",
        *,
        times: int = 1,
        transient: bool = True,
        after_effect: bool = False,
        message: str = "",
    ) -> None:
        """Let calls fail with a `DriverError`, before the effect or after it (the answer is lost)."""
        self.troubles.append(
            Trouble(
                kind="fail",
                verb=verb,
                pattern=pattern,
                times=times,
                transient=transient,
                after_effect=after_effect,
                message=message,
            )
        )

    def hang(self, verb: str, pattern: str = "*", *, times: int = 1, after_effect: bool = False) -> None:
        """Let calls never return (until cancelled)."""
        self.troubles.append(Trouble(kind="hang", verb=verb, pattern=pattern, times=times, after_effect=after_effect))

    def late(self, verb: str, seconds: float, pattern: str = "*", *, times: int = 1) -> None:
        """Let the answers come `seconds` after the effect."""
        self.troubles.append(Trouble(kind="late", verb=verb, pattern=pattern, times=times, seconds=seconds))

    def twice(self, verb: str, pattern: str = "*", *, times: int = 1) -> None:
        """Let the infrastructure carry calls out twice, as when a request is repeated on the way."""
        self.troubles.append(Trouble(kind="twice", verb=verb, pattern=pattern, times=times))

    def trouble(self, verb: str, name: str, kind: str, *, after_effect: bool = False) -> Trouble | None:
        """Take the next trouble of this kind for this call, if there is one."""
        for one in self.troubles:
            if one.kind == kind and one.after_effect == after_effect and one.fits(verb, name):
                one.times -= 1
                return one
        return None

    def observe(self, verb: str, name: str, *, after: bool) -> None:
        """Tell the observers where a call stands. One that raises keeps the effect, or its answer, from the caller."""
        for tell in self.observers:
            tell(verb, name, after)

    def answer(self, pattern: str, result: ExecResult | Responder) -> None:
        """Script what commands answer whose words, joined by spaces, fit the pattern. The first that fits wins."""
        self.answers.append((pattern, result))

    def scripted(self, run: CommandRun) -> ExecResult | None:
        """What the script says to this command, if anything."""
        for pattern, result in self.answers:
            if fnmatch.fnmatchcase(" ".join(run.argv), pattern):
                return result if isinstance(result, ExecResult) else result(run)
        return None

    def machine(self, name: str) -> Machine:
        """The instance of that name; `NotFoundError` if there is none."""
        found = self.has.machines.get(name)
        if found is None:
            raise NotFoundError(f"cannot find the instance {name}", suggestion="list the instances to see their names")
        return found

    def kill(self, name: str, *, exit_code: int = 137) -> None:
        """Let the instance's program die behind Skerry's back. One with `restart` comes back at once."""
        machine = self.machine(name)
        if machine.compute.state is not ComputeState.RUNNING:
            return
        if machine.spec.restart:
            self.emit("compute", name, "killed", exit_code)
            machine.compute = msgspec.structs.replace(machine.compute, pid=next(_PIDS), exit_code=exit_code)
            machine.starts += 1
            self.emit("compute", name, "started")
        else:
            self.end(machine, "killed" if exit_code > 128 else "exited", exit_code)
        self.save()

    def work(self, name: str, **does: Any) -> None:
        """Let the instance's program do something from now on (see `Work`)."""
        machine = self.machine(name)
        now = self.clock.monotonic()
        machine.work = Work(**does, since=now, before=counters(machine, now))
        self.save()

    def remove(self, name: str) -> None:
        """Take the instance or network away behind Skerry's back."""
        if self.has.machines.pop(name, None) is not None:
            self.emit("compute", name, "deleted")
        elif self.has.networks.pop(name, None) is not None:
            self.has.network_nodes.pop(name, None)
            self.emit("network", name, "deleted")
        else:
            raise NotFoundError(f"cannot find {name} to remove it")
        self.save()

    def drop(self, name: str) -> None:
        """Remove the instance or network on request; one that is gone is no error."""
        if name in self.has.machines or name in self.has.networks:
            self.remove(name)

    def begin(self, machine: Machine) -> None:
        """The instance's program starts."""
        machine.starts += 1
        machine.started = self.clock.monotonic()
        machine.work = msgspec.structs.replace(machine.work, since=machine.started, before=Work().before)
        machine.compute = msgspec.structs.replace(
            machine.compute,
            state=ComputeState.RUNNING,
            pid=next(_PIDS),
            exit_code=None,
            started_at=stamp(self.clock.now()),
        )
        self.emit("compute", machine.compute.name, "started")

    def end(self, machine: Machine, action: str, exit_code: int, *, asked: bool = False) -> None:
        """The instance's program ended, because it was `asked` to or by itself."""
        state = ComputeState.EXITED if asked or exit_code == 0 else ComputeState.FAILED
        machine.compute = msgspec.structs.replace(machine.compute, state=state, pid=None, exit_code=exit_code)
        self.emit("compute", machine.compute.name, action, exit_code)

    def log(self, name: str, text: str, stream: str = "stdout") -> None:
        """Let the instance's program print a line."""
        line = LogLine(time=stamp(self.clock.now()), stream=stream, text=text)
        self.machine(name).log.append(line)
        self.wake()

    def emit(self, kind: str, name: str, action: str, exit_code: int | None = None) -> None:
        """Tell every listener what happened."""
        event = VimEvent(kind=kind, name=name, action=action, time=stamp(self.clock.now()), exit_code=exit_code)
        self.history.append(event)
        for listener in list(self.listeners.values()):
            listener.put_nowait(event)
        self.wake()

    def listen(self) -> asyncio.Queue[VimEvent]:
        """A queue that gets every event from now on, for as long as someone holds it."""
        queue: asyncio.Queue[VimEvent] = asyncio.Queue()
        self.listeners[next(_SERIALS)] = queue
        return queue

    def wake(self) -> None:
        """Let those who wait for a change look again."""
        self.changed.set()
        self.changed = asyncio.Event()

    def count(self, verb: str, name: str) -> None:
        """Record a call."""
        names = self.has.calls.setdefault(verb, {})
        names[name] = names.get(name, 0) + 1

    def keep_in(self, path: Path) -> None:
        """Keep the contents in a file from now on, starting with what is in it: the world survives a killed process."""
        if self.path == path:
            return
        self.path = path
        if path.exists():
            self.has = msgspec.json.decode(path.read_bytes(), type=Contents)
        else:
            self.save()

    def save(self) -> None:
        """Write the contents to their file, if they are kept in one. A reader sees the old or the new, never a part."""
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode(self.has))
        fresh.replace(self.path)


def counters(machine: Machine, now: float) -> ComputeStats:
    """What the instance's counters say at a time: the same in every run that does the same."""
    work, seconds = machine.work, max(0.0, now - machine.work.since)
    first = next((nic.device for nic in machine.compute.nics), "")
    names = [nic.device for nic in machine.compute.nics]

    def moved(before: Mapping[str, int], rate: float) -> dict[str, int]:
        return {name: before.get(name, 0) + (round(rate * seconds) if name == first else 0) for name in names}

    return ComputeStats(
        cpu_seconds=work.before.cpu_seconds + work.vcpus * seconds,
        memory_bytes=min(machine.spec.memory_bytes or work.memory_bytes, work.memory_bytes),
        pids=1,
        rx_bytes=moved(work.before.rx_bytes, work.rx_bytes_s),
        tx_bytes=moved(work.before.tx_bytes, work.tx_bytes_s),
        rx_packets=moved(work.before.rx_packets, work.rx_bytes_s / PACKET),
        tx_packets=moved(work.before.tx_packets, work.tx_bytes_s / PACKET),
    )


_WORLDS: dict[str, World] = {}


def world(name: str) -> World:
    """The world of that name; it comes into being when first asked for."""
    found = _WORLDS.get(name)
    if found is None:
        found = _WORLDS[name] = World(name)
    return found
