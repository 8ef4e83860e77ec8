"""Where nodes live and die: one simulated infrastructure, one store file, any number of lives of a node on them.

A life ends by its body, or by a kill at a chosen point: before or after any commit of the store, before or after the effect
of any call of a driver. A killed node does nothing more: its tasks are never run again, its store and infrastructure refuse
it. All the while the arena holds what is done against what was journalled (`faults`).
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from skerry.engine.clock import EPOCH, Virtual, VirtualLoop
from skerry.model.operations import Event
from skerry.model.states import StepState
from skerry.settings import Settings, Vim
from skerry.store.database import Database
from skerry.vim.simulated.world import Contents, Trouble, World, world
from skerry.vnfm.naming import resource_name
from skerry.wiring import Node
from tests.vnfm.builder import Lab, Once

T = TypeVar("T")

BUSY = frozenset({StepState.RUNNING.value, StepState.UNDOING.value})
READS = frozenset(
    {
        "open",
        "capacity",
        "list_images",
        "list_networks",
        "list_plugged",
        "list_compute",
        "taps",
        "get_compute",
        "list_strangers",
        "logs",
        "stats",
    }
)
_FOLDERS = Path(tempfile.mkdtemp(prefix="skerry-chaos-"))


class KilledError(SystemExit):
    """The node is dead. A SystemExit leaves the event loop at once, with nothing else run."""


class Mortal(Database):
    """A store whose commits are points at which the node may be killed. Nothing is synced: the machine does not fail."""

    def __init__(self, path: Path, arena: Arena) -> None:
        super().__init__(path, inline=True)
        self._arena = arena

    def _connect(self) -> sqlite3.Connection:
        connection = super()._connect()
        connection.execute("PRAGMA synchronous=OFF")
        return connection

    def _commit(self, group: list[Any]) -> None:
        self._arena.reach("before commit")
        super()._commit(group)
        for write in group:
            self._arena.journalled(write.transaction.announced if write.transaction else ())
        self._arena.reach("after commit")

    def drop(self) -> None:
        """As the system closes the files of a killed process: what is not committed is gone."""
        self._let_go()


class Arena:
    """`vims` maps id to settings of the simulated driver. `make_store` gives another store to test (a planted fault)."""

    def __init__(self, vims: Mapping[str, Mapping[str, Any]] | None = None, *, seed: int = 0, **settings: Any) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=_FOLDERS))
        name = self.folder.name
        wished = vims or {"sim": {"latency": {"*": 0.1}, "ports": ["till-1/lan", "till-2/lan"]}}
        self.vims = tuple(
            Vim(id=id, type="simulated", settings={"world": f"{name}-{id}", **own}) for id, own in wished.items()
        )
        self.worlds: dict[str, World] = {vim.id: world(vim.settings["world"]) for vim in self.vims}
        self.scripts = Once()
        self.settings = settings
        self.seed = seed
        self.now = EPOCH
        self.lives = 0
        self.make_store: Callable[[Path, Arena], Mortal] = Mortal
        self.furnish: Callable[[Node], None] = lambda _: None
        self.reset()

    def reset(self) -> None:
        """Forget what was observed, as before the first life."""
        self.faults: list[str] = []
        self.points: list[str] = []
        self.kill_at = 0
        self.dead = False
        self.kills = 0
        self.restarts = 0
        self.decisions = 0
        self.script_failures = 0
        self.states: dict[tuple[str, str], str] = {}
        self.begun: dict[tuple[str, str], int] = {}
        self.moves: dict[str, list[str]] = {}
        self.retried: dict[tuple[str, str], int] = {}
        self._subjects: dict[str, str] = {}
        self._busy: Counter[str] = Counter()  # driver's name -> steps under way that may touch it

    # -- the points ---------------------------------------------------------------------------------------------------

    def arm(self, point: int) -> None:
        """Kill at the point of this number from here on (from 1; 0 = never)."""
        self.points = []
        self.kill_at = point

    def reach(self, what: str) -> None:
        """A point: a kill comes here if it was asked for."""
        if self.dead:
            raise KilledError
        self.points.append(what)
        if len(self.points) == self.kill_at:
            self.dead = True
            raise KilledError

    def _called(self, verb: str, name: str, after: bool) -> None:
        if self.dead:
            raise KilledError
        if verb not in READS and not after and not self._under_way(name):
            self.faults.append(f"{verb} {name} without a step that is under way")
        self.reach(f"{'after' if after else 'before'} {verb} {name}")

    def _under_way(self, name: str) -> bool:
        """Whether a step is under way that may touch this; the image of a snapshot is its VNFC's."""
        if not name.startswith("snapshot:"):
            return self._busy[name] > 0
        return any(count and one.endswith(name.rpartition("/")[2]) for one, count in self._busy.items())

    # -- what was journalled ------------------------------------------------------------------------------------------

    def journalled(self, events: Sequence[Event]) -> None:
        """Follow the steps by what became durable."""
        for event in events:
            if event.kind == "operation":
                self.moves.setdefault(event.operation, []).append(event.state)
            if event.kind != "step" or not event.state:
                continue
            key = (event.operation, event.name)
            self._subjects[event.operation] = event.subject
            if event.state == "RETRYING":
                self.retried[key] = self.retried.get(key, 0) + 1
                continue
            if event.state == StepState.RUNNING:
                self.begun[key] = self.begun.get(key, 0) + 1
                if self.states.get(key) == StepState.DONE:
                    self.faults.append(f"completed step {event.name} of {event.operation} was begun again")
            name = self.touched(key)
            self._busy[name] += (event.state in BUSY) - (self.states.get(key) in BUSY)
            self.states[key] = event.state

    def touched(self, step: tuple[str, str]) -> str:
        """The driver's name that a step (operation, key) is about."""
        return _name(self._subjects[step[0]], step[1])

    # -- lives --------------------------------------------------------------------------------------------------------

    def live(self, body: Callable[[Life], Awaitable[T]]) -> T | None:
        """One life of the node; None when it was killed."""
        loop = VirtualLoop()
        loop.set_exception_handler(lambda *_: None)
        life = Life(self, Virtual(loop, self.now, self.seed * 1000 + self.lives))
        self.lives += 1
        self.restarts += 1
        self.dead = False

        async def lived() -> T:
            await life.node.start()
            result = await body(life)
            await life.node.stop()
            return result

        for one in self.worlds.values():
            one.observers = [self._called]
            one.answers = [("/bin/sh -c * skerry *", self.scripts)]
            one.listeners.clear()
        asyncio.set_event_loop(loop)
        try:
            return loop.run_until_complete(lived())
        except KilledError:
            self.kills += 1
            return None
        finally:
            self.dead = True
            self.kill_at = 0
            self.now += timedelta(seconds=loop.time() + 1)
            _discard(loop)
            life.store.drop()
            asyncio.set_event_loop(None)

    def close(self) -> None:
        """Remove the files."""
        shutil.rmtree(self.folder, ignore_errors=True)
        for one in self.worlds.values():
            one.reset()

    # -- keeping a situation ------------------------------------------------------------------------------------------

    def save(self) -> Situation:
        """The whole situation between two lives, to come back to."""
        copy = Path(tempfile.mkdtemp(dir=_FOLDERS))
        shutil.copytree(self.folder, copy, dirs_exist_ok=True)
        return Situation(
            folder=copy,
            contents={id: msgspec.msgpack.encode(one.has) for id, one in self.worlds.items()},
            scripts=dict(self.scripts._done),
            runs=list(self.scripts.runs),
            troubles={id: msgspec.msgpack.encode(one.troubles) for id, one in self.worlds.items()},
            states=dict(self.states),
            begun=dict(self.begun),
            subjects=dict(self._subjects),
            now=self.now,
        )

    def back_to(self, then: Situation) -> None:
        """Make it as it was."""
        shutil.rmtree(self.folder)
        shutil.copytree(then.folder, self.folder)
        for id, one in self.worlds.items():
            one.reset()
            one.has = msgspec.msgpack.decode(then.contents[id], type=Contents)
            one.troubles = msgspec.msgpack.decode(then.troubles[id], type=list[Trouble])
        self.scripts._done = dict(then.scripts)
        self.scripts.runs = list(then.runs)
        self.reset()
        self.states, self.begun, self._subjects = dict(then.states), dict(then.begun), dict(then.subjects)
        self._busy = Counter(self.touched(key) for key, state in self.states.items() if state in BUSY)
        self.now = then.now


class Situation(msgspec.Struct, kw_only=True):
    """What `Arena.save` kept."""

    folder: Any
    contents: dict[str, bytes]
    scripts: dict[Any, Any]
    runs: list[Any]
    troubles: dict[str, bytes]
    states: dict[Any, Any]
    begun: dict[Any, Any]
    subjects: dict[str, str]
    now: Any


class Life(Lab):
    """One life of a node in the arena: the lab of the VNFM's tests, on a store and an infrastructure that stay."""

    def __init__(self, arena: Arena, virtual: Virtual) -> None:
        self.arena = arena
        self.virtual = virtual
        self.folder = arena.folder
        self.vims = arena.vims
        self.worlds = arena.worlds
        self.scripts = arena.scripts
        self.store = arena.make_store(arena.folder / "skerry.db", arena)
        settings = Settings(data_dir=arena.folder, vims=arena.vims, **arena.settings)
        self.node = Node(settings, clock=virtual.clock, ids=virtual.ids, store=self.store)
        arena.furnish(self.node)

    async def quiet(self, limit_s: float = 100_000.0) -> None:
        """Wait until every operation has ended or waits for a decision."""
        engine = self.node.engine
        async with asyncio.timeout(limit_s):
            while engine._tasks:
                await asyncio.wait(set(engine._tasks.values()))
                await asyncio.sleep(0)


def remove_folders() -> None:
    """Remove what all arenas kept."""
    shutil.rmtree(_FOLDERS, ignore_errors=True)


def _name(subject: str, key: str) -> str:
    """The driver's name that a step touches."""
    effect, _, rest = key.partition(":")
    if effect == "image":
        return rest.split(":", 1)[1]
    if effect in ("script", "check", "snapshot"):
        return resource_name(subject, f"compute:{rest.rsplit(':', 1)[-1]}")
    return resource_name(subject, rest) if ":" in rest else ""


def _discard(loop: VirtualLoop) -> None:
    """Let nothing of a dead node run: its coroutines are closed where they stand, and what they try in passing is refused
    (the arena is `dead`)."""
    for task in asyncio.all_tasks(loop):
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        with contextlib.suppress(BaseException):
            task.get_coro().close()  # type: ignore[union-attr]
    loop._ready.clear()  # type: ignore[attr-defined]
    loop._scheduled.clear()  # type: ignore[attr-defined]
    loop.close()
