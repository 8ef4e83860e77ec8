"""Backups: whole under load, refused when damaged, put back only where nobody works."""

from __future__ import annotations

import asyncio
import os
import stat
import tarfile
from pathlib import Path

import pytest

from skerry.errors import ConflictError, InvalidError, UnavailableError
from skerry.model.coordination import Coordination
from skerry.model.grants import Asked, GrantRecord
from skerry.model.vnf import VimConnection
from skerry.store import aggregates, backups, journal, upkeep
from skerry.store.database import Database, Transaction
from skerry.store.journal import Event

NOW = "2026-01-01T00:00:00Z"


class Kept:
    """A data folder with an open store and packages."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "packages").mkdir(parents=True)
        (folder / "packages/one.csar").write_bytes(b"one")
        self.database = Database(folder / "skerry.db")
        self.database.open()

    async def pair(self, number: int) -> None:
        """Two documents and an event that belong together."""

        def work(tx: Transaction) -> None:
            for side in ("left", "right"):
                aggregates.vims.insert(tx, VimConnection(id=f"{number:05}-{side}", vim_type="SIMULATED"))
            journal.announce(tx, Event(seq=0, time="", kind="audit", name=str(number)))

        await self.database.write(work)

    def take(self, target: Path) -> int:
        return backups.take(self.folder, target, node="n", now=NOW)


@pytest.fixture
def kept(tmp_path: Path):
    made = Kept(tmp_path / "data")
    yield made
    made.database.close()


def pairs(database: Database) -> list[int]:
    """The numbers of the pairs; a torn one fails the test."""
    ids = [one.id for one in aggregates.vims.select(database)]
    numbers = [int(id.partition("-")[0]) for id in ids]
    assert len(ids) % 2 == 0
    assert numbers[::2] == numbers[1::2]
    assert [int(event.name) for event in journal.events(database, 0, limit=100_000)] == numbers[::2]
    return numbers[::2]


async def test_a_backup_under_load_is_a_moment_of_the_whole(kept: Kept, tmp_path: Path) -> None:
    for number in range(200):
        await kept.pair(number)
    going = True

    async def load() -> int:
        number = 200
        while going:
            await asyncio.gather(*(kept.pair(number + n) for n in range(20)))
            number += 20
        return number

    busy = asyncio.create_task(load())
    taken = []
    for index in range(4):
        taken.append(tmp_path / f"{index}.tar")
        await asyncio.to_thread(kept.take, taken[-1])
    going = False
    last = await busy
    counts = []
    for index, file in enumerate(taken):
        contents = backups.restore(file, tmp_path / f"restored{index}")
        assert contents.node == "n"
        opened = Database(tmp_path / f"restored{index}/skerry.db")
        opened.open()
        found = pairs(opened)
        assert found == list(range(len(found)))  # what is there has no gap
        counts.append(len(found))
        opened.close()
        assert (tmp_path / f"restored{index}/packages/one.csar").read_bytes() == b"one"
    assert 200 <= counts[0] <= counts[-1] <= last
    assert counts == sorted(counts)


async def test_a_backup_is_for_its_owner_and_never_overwrites(kept: Kept, tmp_path: Path) -> None:
    target = tmp_path / "b.tar"
    assert kept.take(target) == target.stat().st_size
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    with pytest.raises(ConflictError, match="it exists"):
        kept.take(target)
    with pytest.raises(UnavailableError, match="cannot write the backup"):
        kept.take(tmp_path / "no/such/folder/b.tar")
    assert sorted(path.name for path in kept.folder.iterdir() if path.name.startswith(".")) == []


async def test_every_damage_is_found_before_anything_is_touched(kept: Kept, tmp_path: Path) -> None:
    await kept.pair(0)
    whole = tmp_path / "whole.tar"
    kept.take(whole)
    content = whole.read_bytes()
    with tarfile.open(whole) as tar:
        spots = [member.offset_data + member.size // 2 for member in tar.getmembers()]
        ends = [member.offset_data for member in tar.getmembers()]
    target = tmp_path / "target"
    target.mkdir()
    (target / "skerry.db").write_bytes(b"as it was")
    damaged = tmp_path / "damaged.tar"
    for number, spoilt in enumerate(
        [content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :] for at in spots]
        + [content[:at] for at in (*ends, 10, 0)]
        + [b"this is no archive" * 100]
    ):
        damaged.write_bytes(spoilt)
        with pytest.raises(InvalidError, match="as a backup"):
            backups.restore(damaged, target)
        assert (target / "skerry.db").read_bytes() == b"as it was", number
        assert os.listdir(target) == ["skerry.db"]
    with pytest.raises(InvalidError, match="does not exist"):
        backups.check(tmp_path / "nothing.tar")
    assert backups.check(whole).taken_at == NOW


async def test_names_that_lead_elsewhere_are_refused(kept: Kept, tmp_path: Path) -> None:
    evil = tmp_path / "evil.tar"
    (tmp_path / "list").write_text(
        '{"format":1,"node":"n","taken_at":"","files":{"skerry.db":"0","packages/../../x":"0"}}'
    )
    with tarfile.open(evil, "w") as tar:
        tar.add(tmp_path / "list", "backup.json")
    with pytest.raises(InvalidError, match="names files that no backup has"):
        backups.check(evil)
    (tmp_path / "list").write_text('{"format":99,"node":"n","taken_at":"","files":{"skerry.db":"0"}}')
    with tarfile.open(evil, "w") as tar:
        tar.add(tmp_path / "list", "backup.json")
    with pytest.raises(InvalidError, match="format 99"):
        backups.check(evil)


async def test_a_store_in_use_is_not_replaced(kept: Kept, tmp_path: Path) -> None:
    await kept.pair(0)
    file = tmp_path / "b.tar"
    kept.take(file)
    await kept.pair(1)
    with pytest.raises(ConflictError, match="a node has it open"):
        backups.restore(file, kept.folder)
    assert pairs(kept.database) == [0, 1]
    kept.database.close()
    backups.restore(file, kept.folder)
    kept.database.open()
    assert pairs(kept.database) == [0]
    before = Database(kept.folder / "skerry.db.before")
    before.open()
    assert pairs(before) == [0, 1]  # what was there is kept beside it
    before.close()


async def test_pruning_forgets_old_answers_to_requests(kept: Kept) -> None:
    def coordination(id: str, at: str) -> Coordination:
        return Coordination(
            id=id, created_at=at, scope="vnf", subject="v", operation="o", operation_type="SCALE", action="a"
        )

    def grant(id: str, at: str) -> GrantRecord:
        asked = Asked(vnf_instance_id="v", vnf_lcm_op_occ_id="o", vnfd_id="d", operation="SCALE")
        return GrantRecord(id=id, created_at=at, asked=asked)

    old, new = "2020-01-01T00:00:00Z", "2030-01-01T00:00:00Z"

    def work(tx: Transaction) -> None:
        for id, at in (("old", old), ("new", new)):
            aggregates.coordinations.insert(tx, coordination(id, at))
            aggregates.grants.insert(tx, grant(id, at))

    await kept.database.write(work)
    await upkeep.prune(kept.database, keep_events=10, finished_before="2025-01-01T00:00:00Z")
    assert [one.id for one in aggregates.coordinations.select(kept.database)] == ["new"]
    assert [one.id for one in aggregates.grants.select(kept.database)] == ["new"]


async def test_pruning_keeps_the_newest_events(kept: Kept) -> None:
    for number in range(30):
        await kept.pair(number)
    assert await upkeep.prune(kept.database, keep_events=10, finished_before=NOW) == (20, 0)
    assert [int(event.name) for event in journal.events(kept.database, 0)] == list(range(20, 30))
