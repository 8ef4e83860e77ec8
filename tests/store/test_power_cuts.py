"""Power cuts: whatever part of the last writes reached the disk, the store opens and holds whole transactions only."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from skerry.store.database import Database
from tests.store.test_backups import Kept, pairs

WAL_HEADER = 32
CUTS = 40


@pytest.fixture
def kept(tmp_path: Path):
    made = Kept(tmp_path / "data")
    yield made
    made.database.close()


def copied(source: Path, target: Path, *, wal: int | None = None) -> Path:
    """The store's files as a disk would have them after a cut: the write-ahead log up to so many bytes."""
    target.mkdir()
    shutil.copyfile(source, target / "skerry.db")
    content = source.with_name("skerry.db-wal").read_bytes()
    (target / "skerry.db-wal").write_bytes(content if wal is None else content[:wal])
    return target / "skerry.db"


def opened(path: Path) -> list[int]:
    database = Database(path)
    database.open()  # checks the integrity
    found = pairs(database)
    database.close()
    return found


async def test_a_cut_at_any_byte_of_the_log_leaves_whole_transactions(kept: Kept, tmp_path: Path) -> None:
    store = kept.folder / "skerry.db"
    sizes = []
    for number in range(60):
        await kept.pair(number)
        sizes.append(store.with_name("skerry.db-wal").stat().st_size)
    chance = random.Random(7)
    cuts = [0, WAL_HEADER - 1, WAL_HEADER, sizes[-1] - 1, *(chance.randrange(sizes[-1]) for _ in range(CUTS))]
    for index, cut in enumerate(cuts):
        if cut < sizes[0]:  # before the first transaction: an empty or a new store, but one that opens
            database = Database(copied(store, tmp_path / f"cut{index}", wal=cut))
            database.open()
            database.close()
            continue
        found = opened(copied(store, tmp_path / f"cut{index}", wal=cut))
        synced = sum(size <= cut for size in sizes)
        assert found == list(range(synced)), f"cut at byte {cut}"  # everything that was answered, nothing torn


async def test_what_was_never_written_counts_as_nothing(kept: Kept, tmp_path: Path) -> None:
    """Blocks at the end of the log that hold something else."""
    store = kept.folder / "skerry.db"
    for number in range(30):
        await kept.pair(number)
    size = store.with_name("skerry.db-wal").stat().st_size
    await kept.pair(30)
    chance = random.Random(8)
    for index in range(20):
        path = copied(store, tmp_path / f"torn{index}")
        log = bytearray(path.with_name("skerry.db-wal").read_bytes())
        at = chance.randrange(size, len(log))
        log[at:] = chance.randbytes(len(log) - at) if index % 2 else bytes(len(log) - at)
        path.with_name("skerry.db-wal").write_bytes(log)
        assert opened(path) in ([*range(30)], [*range(31)])


async def test_a_cut_while_the_log_is_written_back(kept: Kept, tmp_path: Path) -> None:
    """Some pages of the store are new and some are old; the log is still there."""
    store = kept.folder / "skerry.db"
    for number in range(80):
        await kept.pair(number)
    before = copied(store, tmp_path / "before")
    kept.database.read("PRAGMA wal_checkpoint(FULL)")
    new = store.read_bytes()
    old = before.read_bytes().ljust(len(new), b"\0")
    chance = random.Random(9)
    for index in range(20):
        pages = [
            new[at : at + 4096] if chance.random() < 0.5 else old[at : at + 4096] for at in range(0, len(new), 4096)
        ]
        path = copied(before, tmp_path / f"back{index}")
        path.write_bytes(b"".join(pages))
        assert opened(path) == list(range(80))
