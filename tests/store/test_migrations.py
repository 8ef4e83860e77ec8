"""Stores of earlier versions: what real nodes wrote is all there after the migration."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from skerry.model.queries import Condition, Place
from skerry.model.vnf import VnfSnapshotInfo
from skerry.settings import Settings, Vim
from skerry.store import aggregates, journal
from skerry.store.database import Database, migrate
from skerry.store.migrations import MIGRATIONS
from tests.api.rig import VNFD, running

TENANT = "default"


def aged(new: Path, old: Path, version: int) -> None:
    """A store of an earlier version with what a new one has of its tables."""
    connection = sqlite3.connect(old, isolation_level=None)
    migrate(connection, version)
    connection.execute("ATTACH DATABASE ? AS new", (str(new),))
    tables = [row[0] for row in connection.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'")]
    for table in tables:
        if not table.startswith("sqlite_"):
            columns = ", ".join(row[1] for row in connection.execute(f"PRAGMA main.table_info({table})"))
            connection.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM new.{table}")  # noqa: S608
    connection.close()


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
async def test_a_store_of_an_earlier_version_is_taken_over(tmp_path: Path, version: int) -> None:
    async with running(tmp_path / "before") as rig:
        await rig.onboard_all()
        id = await rig.vnf()
        events = rig.node.engine.events.last()
    (tmp_path / "after").mkdir()
    store = tmp_path / "after/skerry.db"
    aged(tmp_path / "before/node/skerry.db", store, version)
    opened = Database(store)
    opened.open()
    assert opened.read("PRAGMA user_version")[0][0] == len(MIGRATIONS)
    vnf = aggregates.vnf_instances.get(opened, id, tenant=TENANT)
    assert (vnf.vnfd_id, vnf.instantiation_state, set(vnf.vnfcs)) == (VNFD, "INSTANTIATED", {"server"})
    named = [Condition("vnfd_id", "eq", (VNFD,)), Condition("vnf_instance_name", "cont", ("on",))]
    page = aggregates.vnf_instances.page(opened, tenant=TENANT, after=Place(), limit=9, conditions=named)
    assert [found.id for found in page] == [id]
    assert aggregates.vnf_packages.count(opened) == 2
    assert aggregates.nsds.count(opened) == 1
    done = journal.operations.select(opened, subject=id)
    assert [operation.state for operation in done] == ["COMPLETED"]
    assert all(record.state == "DONE" for record in journal.steps(opened, done[0].id))
    assert journal.last_event(opened) == events
    made = await opened.write(lambda tx: aggregates.vnf_snapshots.insert(tx, VnfSnapshotInfo(id="s")))
    assert aggregates.vnf_snapshots.get(opened, "s") == made
    opened.close()


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
async def test_a_node_goes_on_with_a_store_of_an_earlier_version(tmp_path: Path, version: int) -> None:
    from skerry.wiring import Node

    async with running(tmp_path / "before") as rig:
        await rig.onboard("server")
        id = await rig.vnf()
    (tmp_path / "after").mkdir()
    aged(tmp_path / "before/node/skerry.db", tmp_path / "after/skerry.db", version)
    vims = (Vim(id="sim", type="simulated", settings={"world": str(tmp_path / "before")}),)
    node = Node(Settings(data_dir=tmp_path / "after", vims=vims))
    await node.start()
    assert node.vnfm.status(id, tenant=TENANT) == "ACTIVE"
    begun = await node.vnfm.start("vnf.operate", id, {"changeStateTo": "STOPPED"}, tenant=TENANT)
    ended = await node.engine.wait(begun.id, 10)
    assert (ended.state, ended.error) == ("COMPLETED", "")
    await node.stop()
