"""Every crash that one run could have had: copies of store and infrastructure, taken around each commit."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec

from skerry.model.operations import Event
from skerry.vim.driver import VimEvent
from skerry.vim.simulated.world import Contents, World
from tests.vnfm.builder import Lab


class Moment(msgspec.Struct, frozen=True):
    """What a process that died then would have left: the store's file, the infrastructure, and what had happened there."""

    name: str
    store: Path
    contents: bytes
    history: tuple[VimEvent, ...]
    ran: int


class Camera:
    """Takes the moments of a run: after each commit, and just before the next (when effects are there that no journal
    knows of). Steps that run side by side make each of these a state that a crash can leave."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._folder = lab.folder / "moments"
        self._folder.mkdir()
        self._last: Path | None = None
        self.moments: list[Moment] = []
        lab.node.store.on_commit.append(self._commit)

    def _commit(self, events: list[Event]) -> None:
        label = f"{len(self.moments):03} {events[-1].kind} {events[-1].name} {events[-1].state}"
        if self._last is not None:
            self._take(f"before {label}", self._last)
        self._last = self._folder / f"{len(self.moments):03}.db"
        with sqlite3.connect(self._lab.node.store.path) as source, sqlite3.connect(self._last) as target:
            source.backup(target)
        source.close()
        target.close()
        self._take(f"after {label}", self._last)

    def _take(self, name: str, store: Path) -> None:
        world = self._lab.world
        contents = msgspec.msgpack.encode(world.has)
        self.moments.append(Moment(name, store, contents, tuple(world.history), len(self._lab.scripts.runs)))


def reborn(lab: Lab, moment: Moment) -> Iterator[Lab]:
    """A lab that comes to life in that moment."""
    folder = lab.folder / "again"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    shutil.copyfile(moment.store, folder / "skerry.db")
    if (lab.folder / "packages").exists():
        (folder / "packages").symlink_to(lab.folder / "packages")
    vims = {vim.id: {k: v for k, v in vim.settings.items() if k != "world"} for vim in lab.vims}
    again = Lab(lab.virtual, folder, vims)
    again.world.has = msgspec.msgpack.decode(moment.contents, type=Contents)
    again.world.history = list(moment.history)
    again.scripts.remember(lab.scripts, moment.ran)
    yield again


def effects(world: World) -> dict[tuple[str, str], int]:
    """How often each thing really happened to each resource."""
    found: dict[tuple[str, str], int] = {}
    for event in world.history:
        key = (event.action, event.name)
        found[key] = found.get(key, 0) + 1
    return found
