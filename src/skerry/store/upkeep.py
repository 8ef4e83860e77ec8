"""Upkeep of the store: online backup, restore, and bounded growth."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

from skerry.errors import ConflictError, InvalidError, UnavailableError
from skerry.store.database import Database, Transaction
from skerry.store.migrations import MIGRATIONS

FINAL_STATES = ("COMPLETED", "PARTIALLY_COMPLETED", "FAILED", "ROLLED_BACK")


def backup(source: Path, target: Path) -> int:
    """Copy a store that may be in use, consistently; the answer is the copy's size in bytes. The copy appears whole or
    not at all; `ConflictError` if `target` exists, `UnavailableError` where the disk refuses."""
    if target.exists():
        raise ConflictError(f"cannot back up to {target}: it exists", suggestion="name a new file")
    partial = target.with_name(target.name + ".part")
    partial.unlink(missing_ok=True)
    reader = sqlite3.connect(f"file:{source}?mode=ro", uri=True)
    writer = sqlite3.connect(partial)
    try:
        reader.backup(writer)
        writer.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.Error as error:
        partial.unlink(missing_ok=True)
        raise UnavailableError(
            f"cannot write the backup {target}: {error}", suggestion="check the disk's space and rights"
        ) from error
    finally:
        writer.close()
        reader.close()
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.rename(target)
    return target.stat().st_size


def verify(file: Path) -> int:
    """The version of a backup. `InvalidError` if it is no store, is damaged, or is newer than this program."""
    try:
        connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
        try:
            healthy = connection.execute("PRAGMA integrity_check(1)").fetchone()[0] == "ok"
            version: int = connection.execute("PRAGMA user_version").fetchone()[0]
            named = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise InvalidError(f"cannot use {file} as a backup: {error}", suggestion="choose another backup") from error
    if not healthy or not {"operations", "events"} <= named:
        raise InvalidError(
            f"cannot use {file} as a backup: it is damaged or no store", suggestion="choose another backup"
        )
    if version > len(MIGRATIONS):
        raise InvalidError(
            f"cannot use {file}: it has version {version}, this program knows {len(MIGRATIONS)}",
            suggestion="install a newer Skerry",
        )
    return version


def restore(file: Path, target: Path) -> None:
    """Put a backup in place of the store of a node that is stopped; the old store is kept beside it as `.before`."""
    verify(file)
    if _in_use(target):
        raise ConflictError(f"cannot restore {target}: a node has it open", suggestion="stop the node first")
    fresh = target.with_name(target.name + ".part")
    fresh.unlink(missing_ok=True)
    backup(file, fresh)
    if target.exists():
        target.replace(target.with_name(target.name + ".before"))
    for suffix in ("-wal", "-shm"):
        target.with_name(target.name + suffix).unlink(missing_ok=True)
    fresh.rename(target)


def _in_use(target: Path) -> bool:
    """Whether another process holds a lock on the store."""
    if not target.exists():
        return False
    connection = sqlite3.connect(target, timeout=0, isolation_level=None)
    try:
        # leaving WAL mode needs the file for oneself alone
        return bool(connection.execute("PRAGMA journal_mode=DELETE").fetchone()[0] != "delete")
    except sqlite3.OperationalError:
        return True
    finally:
        connection.close()


async def prune(database: Database, *, keep_events: int, finished_before: str) -> tuple[int, int]:
    """Remove the oldest events beyond `keep_events`; finished operations (with their steps) that entered their last state
    before the time given (RFC 3339); grants and coordinations that were answered before it. An operation whose parent is
    not finished stays. Answers how many events and operations."""

    def work(tx: Transaction) -> tuple[int, int]:
        newest = tx.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()[0]
        events = tx.execute("DELETE FROM events WHERE seq <= ?", (newest - keep_events,)).rowcount
        marks = ", ".join("?" * len(FINAL_STATES))
        old = (
            f"SELECT id FROM operations WHERE state IN ({marks}) AND json_extract(doc, '$.state_entered_at') < ? "  # noqa: S608
            f"AND (parent = '' OR parent NOT IN (SELECT id FROM operations WHERE state NOT IN ({marks})))"
        )
        parameters = (*FINAL_STATES, finished_before, *FINAL_STATES)
        tx.execute(f"DELETE FROM steps WHERE operation IN ({old})", parameters)  # noqa: S608
        operations = tx.execute(f"DELETE FROM operations WHERE id IN ({old})", parameters).rowcount  # noqa: S608
        for table in ("grants", "app_grants", "coordinations"):
            # Whoever asked has long had the answer.
            sql = f"DELETE FROM {table} WHERE json_extract(CAST(doc AS TEXT), '$.created_at') < ?"  # noqa: S608
            tx.execute(sql, (finished_before,))
        return events, operations

    return await database.write(work)


def sweep(data: Path) -> int:
    """Remove what a node that was killed left behind of contents on their way to it or from it; the answer is how many
    files and folders. For the start alone: later they belong to callers."""
    left = [*(data / "uploads").glob("*"), *data.glob(".sending-*"), *data.glob(".backup-*")]
    for one in left:
        if one.is_dir() and not one.is_symlink():
            shutil.rmtree(one, ignore_errors=True)
        else:
            one.unlink(missing_ok=True)
    return len(left)
