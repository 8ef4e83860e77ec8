"""The store: atomic group commit, visibility, broken files, full disks."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import threading
import time
from pathlib import Path

import pytest

from skerry.errors import ConflictError, UnavailableError
from skerry.model.operations import Event
from skerry.model.vnf import VimConnection
from skerry.store import aggregates, journal
from skerry.store.database import GROUP, Database, Transaction, migrate
from skerry.store.migrations import MIGRATIONS


@pytest.fixture
def database(tmp_path: Path):
    opened = Database(tmp_path / "skerry.db")
    opened.open()
    yield opened
    opened.close()


def vim(id: str, **fields: object) -> VimConnection:
    return VimConnection(id=id, vim_type="SIMULATED", **fields)


async def put(database: Database, id: str) -> VimConnection:
    return await database.write(lambda tx: aggregates.vims.insert(tx, vim(id)))


def ids(database: Database) -> list[str]:
    return [one.id for one in aggregates.vims.select(database)]


async def test_a_writer_reads_its_own_write_and_others_see_only_what_is_committed(database: Database) -> None:
    seen_inside: list[int] = []

    def work(tx: Transaction) -> None:
        aggregates.vims.insert(tx, vim("a"))
        seen_inside.append(aggregates.vims.count(tx))
        seen_inside.append(aggregates.vims.count(database))

    await database.write(work)
    assert seen_inside == [1, 0]
    assert ids(database) == ["a"]


async def test_many_writes_share_commits_and_all_arrive_in_order(database: Database) -> None:
    commits: list[int] = []
    database.on_commit.append(lambda events: commits.append(len(events)))

    def one(number: int):
        def work(tx: Transaction) -> int:
            aggregates.vims.insert(tx, vim(f"{number:04}"))
            journal.announce(tx, Event(seq=0, time="", kind="audit", name=str(number)))
            return number

        return work

    count = GROUP * 2 + 7
    answers = await asyncio.gather(*(database.write(one(number)) for number in range(count)))
    assert answers == list(range(count))
    assert ids(database) == [f"{number:04}" for number in range(count)]
    assert sum(commits) == count
    assert len(commits) < count / 10
    assert max(commits) <= GROUP
    assert [int(event.name) for event in journal.events(database, 0)] == list(range(count))


async def test_a_write_that_fails_leaves_nothing_and_its_neighbours_alone(database: Database) -> None:
    told: list[str] = []
    database.on_commit.append(lambda events: told.extend(event.name for event in events))

    def bad(tx: Transaction) -> None:
        aggregates.vims.insert(tx, vim("bad"))
        journal.announce(tx, Event(seq=0, time="", kind="audit", name="bad"))
        raise ConflictError("cannot do it")

    def wrong(tx: Transaction) -> None:
        aggregates.vims.insert(tx, vim("wrong"))
        raise ZeroDivisionError

    results = await asyncio.gather(
        put(database, "a"), database.write(bad), put(database, "b"), database.write(wrong), put(database, "c"),
        return_exceptions=True,
    )  # fmt: skip
    assert [type(result) for result in results] == [
        VimConnection, ConflictError, VimConnection, ZeroDivisionError, VimConnection,
    ]  # fmt: skip
    assert ids(database) == ["a", "b", "c"]
    assert told == []
    assert journal.last_event(database) == 0


async def test_an_error_of_the_database_itself_fails_only_who_caused_it(database: Database) -> None:
    results = await asyncio.gather(
        put(database, "a"), database.write(lambda tx: tx.execute("SELECT * FROM nothing")), put(database, "b"),
        return_exceptions=True,
    )  # fmt: skip
    assert isinstance(results[1], UnavailableError)
    assert "nothing" in str(results[1])
    assert ids(database) == ["a", "b"]


async def test_a_cancelled_caller_does_not_stop_the_others(database: Database) -> None:
    hurried = asyncio.ensure_future(put(database, "hurried"))
    await asyncio.sleep(0)
    hurried.cancel()
    await put(database, "patient")
    assert ids(database) == ["hurried", "patient"]


async def test_close_finishes_what_is_queued_and_the_file_can_be_opened_again(tmp_path: Path) -> None:
    first = Database(tmp_path / "skerry.db")
    first.open()
    queued = [asyncio.ensure_future(put(first, str(number))) for number in range(10)]
    await asyncio.sleep(0)
    first.close()
    await asyncio.gather(*queued)
    with pytest.raises(UnavailableError, match="cannot write: the store is closed"):
        await put(first, "late")
    with pytest.raises(UnavailableError, match="cannot read: the store is closed"):
        first.read("SELECT 1")
    again = Database(tmp_path / "skerry.db")
    again.open()
    assert len(ids(again)) == 10
    again.close()


async def test_a_full_disk_is_told_and_loses_nothing(tmp_path: Path) -> None:
    database = Database(tmp_path / "skerry.db")
    database.open()
    await put(database, "first")
    pages = database.read("PRAGMA page_count")[0][0]
    assert database._writer is not None
    database._writer.execute(f"PRAGMA max_page_count={pages + 2}")
    big = vim("big", name="x" * 100_000)
    with pytest.raises(UnavailableError, match="full") as caught:
        await database.write(lambda tx: aggregates.vims.insert(tx, big))
    assert "disk" in caught.value.suggestion
    assert ids(database) == ["first"]
    await put(database, "small")
    database._writer.execute(f"PRAGMA max_page_count={pages + 1000}")
    await database.write(lambda tx: aggregates.vims.insert(tx, big))
    assert ids(database) == ["first", "small", "big"]
    database.close()


async def test_a_read_only_store_is_told_and_still_read(database: Database) -> None:
    await put(database, "first")
    assert database._writer is not None
    database._writer.execute("PRAGMA query_only=ON")
    with pytest.raises(UnavailableError, match="readonly"):
        await put(database, "second")
    assert ids(database) == ["first"]
    database._writer.execute("PRAGMA query_only=OFF")
    await put(database, "second")
    assert ids(database) == ["first", "second"]


@pytest.mark.parametrize(
    "content", [b"this is no database at all, but long enough" * 200, b"SQLite format 3\0" + b"\xff" * 5000]
)
def test_a_file_that_is_no_store_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "skerry.db"
    path.write_bytes(content)
    with pytest.raises(UnavailableError, match=f"cannot open the store {path}") as caught:
        Database(path).open()
    assert "backup" in caught.value.suggestion
    assert path.read_bytes() == content


async def test_a_damaged_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "skerry.db"
    database = Database(path)
    database.open()
    for number in range(200):
        await put(database, f"{number}" * 50)
    database.read("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    content = bytearray(path.read_bytes())
    size = len(content)
    content[8192 : size // 2] = bytes(size // 2 - 8192)
    path.write_bytes(content)
    with pytest.raises(UnavailableError, match="cannot open the store"):
        Database(path).open()


def test_a_store_of_a_newer_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "skerry.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(UnavailableError, match=f"version 99, this program knows {len(MIGRATIONS)}"):
        Database(path).open()


def test_every_step_of_the_migrations_keeps_what_is_there() -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for version in range(len(MIGRATIONS) + 1):
        migrate(connection, version)
        assert connection.execute("PRAGMA user_version").fetchone()[0] == version
    connection.execute("INSERT INTO vims VALUES ('a', 1, '', '{}')")
    migrate(connection)
    assert connection.execute("SELECT id FROM vims").fetchall() == [("a",)]
    connection.close()


async def test_brief_writes_share_a_commit_and_keep_their_place_among_others(database: Database) -> None:
    threads: set[int] = set()
    order: list[str] = []

    def one(name: str):
        def work(tx: Transaction) -> None:
            threads.add(threading.get_ident())
            order.append(name)
            aggregates.vims.insert(tx, vim(name))

        return work

    commits: list[int] = []
    database.on_commit.append(lambda events: commits.append(len(events)))

    def telling(tx: Transaction) -> None:
        journal.announce(tx, Event(seq=0, time="", kind="audit"))

    await asyncio.gather(*(database.write(one(str(number)), brief=True) for number in range(5)))
    assert threads == {threading.get_ident()}, "nobody else was woken"
    await asyncio.gather(*(database.write(telling, brief=True) for _ in range(5)))
    assert commits == [5], "one commit for all"
    await asyncio.gather(
        database.write(one("a"), brief=True), database.write(one("b")), database.write(one("c"), brief=True)
    )
    assert order[5:] == ["a", "b", "c"]


async def test_the_loop_does_not_wait_for_a_slow_disk(database: Database) -> None:
    threads: list[int] = []

    async def brief(slow_s: float) -> None:
        def work(tx: Transaction) -> None:
            threads.append(threading.get_ident())
            time.sleep(slow_s)  # stands for a disk that takes its time

        await database.write(work, brief=True)

    own = threading.get_ident()
    await brief(0.2)
    assert threads[-1] == own
    await brief(0.0)
    assert threads[-1] != own
    async with asyncio.timeout(60):
        while threads[-1] != own:
            await brief(0.0)


@pytest.mark.parametrize("brief", [True, False])
async def test_what_depends_on_a_commit_is_done_before_the_caller_goes_on_and_without_it(
    database: Database, brief: bool
) -> None:
    kept: list[str] = []

    def then(made: VimConnection) -> None:
        assert made.id in ids(database), "it is committed"
        kept.append(made.id)

    async def put_kept(id: str) -> VimConnection:
        return await database.write(lambda tx: aggregates.vims.insert(tx, vim(id)), brief=brief, then=then)

    await put_kept("a")
    assert kept == ["a"]
    hurried = asyncio.ensure_future(put_kept("b"))
    await asyncio.sleep(0)
    hurried.cancel()
    await put(database, "c")
    assert kept == ["a", "b"]
    with pytest.raises(ConflictError):
        await put_kept("a")
    assert kept == ["a", "b"]


async def test_closing_finishes_what_gathered(tmp_path: Path) -> None:
    first = Database(tmp_path / "skerry.db")
    first.open()
    gathered = asyncio.ensure_future(first.write(lambda tx: aggregates.vims.insert(tx, vim("a")), brief=True))
    asyncio.get_running_loop().call_soon(first.close)
    await gathered
    again = Database(tmp_path / "skerry.db")
    again.open()
    assert ids(again) == ["a"]
    again.close()


async def test_inline_writes_need_no_thread() -> None:
    database = Database(":memory:", inline=True)
    database.open()
    await put(database, "a")
    with pytest.raises(ConflictError):
        await put(database, "a")
    assert ids(database) == ["a"]
    database.close()


async def test_nobody_else_reads_a_store_wherever_its_folder_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    file = tmp_path / "skerry.db"
    for before in (None, 0o644):  # a new one, and one of an older version
        if before:
            file.chmod(before)
        database = Database(file)
        database.open()
        await put(database, f"vim-{before}")
        rights = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
        assert rights == {"skerry.db": 0o600, "skerry.db-wal": 0o600, "skerry.db-shm": 0o600}
        database.close()
