"""One SQLite file: a single writer with group commit, and reads that never wait for it.

Writes are functions of a `Transaction`. They queue to one thread, which commits as many as are waiting with one sync to
disk; each is atomic on its own (a savepoint) and its future resolves after the commit, so that whoever awaited it can
read its own write. Reads use a second connection (WAL) directly on the event loop: a point read costs microseconds.

To wake another thread and to be woken by it costs more than a commit on a fast disk. Writes that say they are brief gather
until the loop has done what it was at, and are committed there and then, while the disk answers within `QUICK_S` and nobody
else writes; on a slow disk they queue like all others.

With `inline=True` (virtual time, tests of pure logic) writes run at once on the caller's thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from skerry.errors import UnavailableError
from skerry.model.operations import Event
from skerry.store.migrations import MIGRATIONS

T = TypeVar("T")

GROUP = 256  # writes that share one commit at most
QUICK_S = 0.002  # a disk that commits in less, by and large, may be waited for on the event loop
INERTIA = 0.1  # what one commit changes in what is known of the disk


class Transaction:
    """What a write function gets. `announced` collects the events to publish once it is durable."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.announced: list[Event] = []

    def execute(self, sql: str, parameters: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        return self.connection.execute(sql, parameters)


class _Write:
    """A queued write and where its answer goes."""

    def __init__(
        self,
        work: Callable[[Transaction], Any],
        loop: asyncio.AbstractEventLoop,
        then: Callable[[Any], None] | None = None,
    ) -> None:
        self.work = work
        self.then = then
        self.loop = loop
        self.future: asyncio.Future[Any] = loop.create_future()
        self.transaction: Transaction | None = None
        self.result: Any = None
        self.error: BaseException | None = None

    def resolve(self) -> None:
        """Tell whoever waits. What depends on the commit is done even where nobody waits any more."""
        if self.then is not None and self.error is None:
            try:
                self.then(self.result)
            except Exception as error:  # noqa: BLE001 - not swallowed: it is raised where the write was awaited
                self.error = error
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class Database:
    """The open store. `path` ":memory:" is allowed with `inline` only."""

    def __init__(self, path: Path | str, *, inline: bool = False) -> None:
        self.path = str(path)
        self.inline = inline
        self.on_commit: list[Callable[[list[Event]], None]] = []
        self._queue: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        self._thread: threading.Thread | None = None
        self._brief: list[_Write] = []
        self._queued = 0  # writes that the thread has not answered yet
        self._pace_s = 0.0  # how long a commit takes, by and large

    def open(self) -> None:
        """Open, check the integrity, migrate. `UnavailableError` names what is wrong with the file."""
        try:
            self._keep_private()
            self._writer = self._connect()
            self._check(self._writer)
            migrate(self._writer)
            self._reader = self._writer if self.path == ":memory:" else self._connect()
        except sqlite3.Error as error:
            self._let_go()
            raise UnavailableError(f"cannot open the store {self.path}: {error}", suggestion=_way_out(error)) from error
        if not self.inline:
            self._thread = threading.Thread(target=self._run, name="store", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Finish what is queued and close."""
        if self._thread:
            self._enqueue(*self._gathered())
            self._queue.put(None)
            self._thread.join()
            self._thread = None
        self._let_go()

    def _let_go(self) -> None:
        for connection in {self._writer, self._reader} - {None}:
            connection.close()  # type: ignore[union-attr]
        self._writer = self._reader = None

    async def write(
        self, work: Callable[[Transaction], T], *, brief: bool = False, then: Callable[[T], None] | None = None
    ) -> T:
        """Run `work` atomically; return its result once it is on disk. Its `SkerryError`s come back unchanged.

        It may be run again when it, or one that shares its commit, is refused: it must change nothing but the store. `brief`
        work is a few statements by key. `then` gets the result before the caller does, and even where the caller is
        cancelled meanwhile.
        """
        if self._writer is None:
            raise UnavailableError("cannot write: the store is closed", suggestion="start the node")
        write = _Write(work, asyncio.get_running_loop(), then)
        if self.inline:
            self._commit([write])
            self._answer([write])
        elif brief and self._pace_s < QUICK_S:
            self._brief.append(write)
            if len(self._brief) == 1:
                write.loop.call_soon(self._settle)
        else:
            self._enqueue(*self._gathered(), write)
        result: T = await write.future
        return result

    def _enqueue(self, *writes: _Write) -> None:
        """Hand writes to the thread."""
        for write in writes:
            self._queued += 1
            self._queue.put(write)

    def _gathered(self) -> list[_Write]:
        gathered, self._brief = self._brief, []
        return gathered

    def _settle(self) -> None:
        """Commit the brief writes that gathered, unless the thread is at work: what it has came first."""
        group = self._gathered()
        if self._queued or len(group) > GROUP:
            self._enqueue(*group)
        elif group:
            self._commit(group)
            self._answer(group)

    def read(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Rows as committed now."""
        if self._reader is None:
            raise UnavailableError("cannot read: the store is closed", suggestion="start the node")
        try:
            return self._reader.execute(sql, parameters).fetchall()
        except sqlite3.DatabaseError as error:
            raise UnavailableError(
                f"cannot read the store {self.path}: {error}", suggestion="check the disk, or restore a backup"
            ) from error

    def _keep_private(self) -> None:
        """Secrets of infrastructures and subscribers are in the store: nobody but its owner reads it, wherever its folder is.
        The files beside it get the rights of the first."""
        if self.path == ":memory:":
            return
        try:
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            for file in (self.path, f"{self.path}-wal", f"{self.path}-shm"):
                with contextlib.suppress(FileNotFoundError):
                    Path(file).chmod(0o600)
        except OSError:
            return  # opening it says what is wrong

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=10.0)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA cache_size=-2048")
        # Folding the log into the file costs several syncs: a fourth as often is a fourth of the slow commits (16 MB of log).
        connection.execute("PRAGMA wal_autocheckpoint=4000")
        return connection

    @staticmethod
    def _check(connection: sqlite3.Connection) -> None:
        answer = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if answer != "ok":
            raise sqlite3.DatabaseError(f"integrity check says: {answer}")

    def _run(self) -> None:
        last = False
        while not last:
            group, last = self._gather()
            if group:
                self._commit(group)
                # a loop that closed meanwhile has nobody left to tell
                with contextlib.suppress(RuntimeError):
                    group[0].loop.call_soon_threadsafe(self._answer_queued, group)

    def _gather(self) -> tuple[list[_Write], bool]:
        """Wait for one write and take what else is queued; True when closing was asked for."""
        write = self._queue.get()
        group: list[_Write] = []
        while write is not None:
            group.append(write)
            if len(group) == GROUP:
                return group, False
            try:
                write = self._queue.get_nowait()
            except queue.Empty:
                return group, False
        return group, True

    def _commit(self, group: list[_Write]) -> None:
        begun = time.perf_counter()
        self._record(group)
        self._pace_s += INERTIA * (time.perf_counter() - begun - self._pace_s)

    def _record(self, group: list[_Write]) -> None:
        connection = self._writer
        if connection is None:
            for write in group:
                write.error = UnavailableError("cannot write: the store is closed", suggestion="start the node")
            return
        try:
            connection.execute("BEGIN IMMEDIATE")
            if not self._together(connection, group):
                connection.execute("ROLLBACK")
                connection.execute("BEGIN IMMEDIATE")
                for write in group:
                    write.transaction = None
                    self._apply(connection, write)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            for write in group:
                write.transaction = write.error = None
            if len(group) > 1:  # whoever is to blame shall fail alone
                for write in group:
                    self._record([write])
                return
            for write in group:
                write.error = UnavailableError(
                    f"cannot write to the store {self.path}: {error}", suggestion="check the disk's space and rights"
                )

    @staticmethod
    def _together(connection: sqlite3.Connection, group: list[_Write]) -> bool:
        """Do them without a savepoint each, which is fast and right as long as none is refused; False when one is."""
        for write in group:
            transaction = Transaction(connection)
            try:
                write.result = write.work(transaction)
            except sqlite3.OperationalError:
                raise  # the disk or the file: it concerns the whole group
            except Exception:  # noqa: BLE001 - not swallowed: it is done again and raised where the write was awaited
                return False
            write.transaction = transaction
        return True

    @staticmethod
    def _apply(connection: sqlite3.Connection, write: _Write) -> None:
        connection.execute("SAVEPOINT w")
        transaction = Transaction(connection)
        try:
            write.result = write.work(transaction)
        except sqlite3.OperationalError:
            raise  # the disk or the file: it concerns the whole group
        except Exception as error:  # noqa: BLE001 - not swallowed: it is raised where the write was awaited
            connection.execute("ROLLBACK TO w")
            connection.execute("RELEASE w")
            write.error = error
            return
        connection.execute("RELEASE w")
        write.transaction = transaction

    def _answer_queued(self, group: list[_Write]) -> None:
        self._queued -= len(group)
        self._answer(group)

    def _answer(self, group: list[_Write]) -> None:
        announced = [event for write in group if write.transaction for event in write.transaction.announced]
        if announced:
            for tell in self.on_commit:
                tell(announced)
        for write in group:
            write.resolve()


class NewerError(sqlite3.DatabaseError):
    """The store was written by a newer release."""


def _way_out(error: sqlite3.Error) -> str:
    if isinstance(error, NewerError):
        return "start it with the release that wrote it or a newer one, or choose another folder with --data-dir"
    if isinstance(error, sqlite3.OperationalError):
        return "make room on the disk, and make the folder writable"
    return "put a backup in its place: `skerry restore FILE`"


def migrate(connection: sqlite3.Connection, target: int = len(MIGRATIONS)) -> None:
    """Bring the store to version `target`, one transaction a step."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > target:
        raise NewerError(f"the store has version {version}, this program knows {target}")
    for number in range(version, target):
        connection.executescript(f"BEGIN; {MIGRATIONS[number]} PRAGMA user_version = {number + 1}; COMMIT;")
