"""Documents: revisions, tenants, columns; the journal and the event log."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from skerry.errors import ConflictError, NotFoundError, PreconditionError
from skerry.model.operations import Event, Operation, StepRecord
from skerry.model.states import OperationState, StepState
from skerry.model.vnf import VnfInstance
from skerry.store import journal
from skerry.store.aggregates import vnf_instances
from skerry.store.database import Database, Transaction


@pytest.fixture
def database(tmp_path: Path):
    opened = Database(tmp_path / "skerry.db")
    opened.open()
    yield opened
    opened.close()


def vnf(id: str, tenant: str = "red", pkg: str = "p") -> VnfInstance:
    return VnfInstance(id=id, tenant=tenant, vnfd_id="d", vnf_pkg_id=pkg)


async def test_the_revision_grows_and_guards(database: Database) -> None:
    made = await database.write(lambda tx: vnf_instances.insert(tx, vnf("a")))
    assert made.rev == 1
    renamed = msgspec.structs.replace(made, vnf_instance_name="new")
    second = await database.write(lambda tx: vnf_instances.put(tx, renamed))
    assert second.rev == 2
    with pytest.raises(PreconditionError, match="changed meanwhile"):
        await database.write(lambda tx: vnf_instances.put(tx, made))
    assert vnf_instances.get(database, "a") == second
    with pytest.raises(ConflictError, match="it exists"):
        await database.write(lambda tx: vnf_instances.insert(tx, vnf("a")))


async def test_what_is_gone_is_not_found(database: Database) -> None:
    made = await database.write(lambda tx: vnf_instances.insert(tx, vnf("a")))
    await database.write(lambda tx: vnf_instances.delete(tx, "a"))
    await database.write(lambda tx: vnf_instances.delete(tx, "a"))
    assert vnf_instances.find(database, "a") is None
    with pytest.raises(NotFoundError, match="cannot find VNF instance a"):
        await database.write(lambda tx: vnf_instances.put(tx, made))


async def test_a_change_that_changes_nothing_writes_nothing(database: Database) -> None:
    await database.write(lambda tx: vnf_instances.insert(tx, vnf("a")))
    same = await database.write(lambda tx: vnf_instances.change(tx, "a", lambda doc: doc))
    other = await database.write(
        lambda tx: vnf_instances.change(tx, "a", lambda doc: msgspec.structs.replace(doc, failed=True))
    )
    assert (same.rev, other.rev) == (1, 2)


@pytest.mark.feature("A39")
async def test_a_tenant_sees_only_its_own(database: Database) -> None:
    for document in (vnf("a", "red"), vnf("b", "blue"), vnf("c", "red")):
        await database.write(lambda tx, new=document: vnf_instances.insert(tx, new))
    assert [one.id for one in vnf_instances.select(database, tenant="red")] == ["a", "c"]
    assert vnf_instances.count(database, tenant="blue") == 1
    assert vnf_instances.get(database, "b", tenant="blue").id == "b"
    with pytest.raises(NotFoundError) as foreign:
        vnf_instances.get(database, "b", tenant="red")
    with pytest.raises(NotFoundError) as absent:
        vnf_instances.get(database, "x", tenant="red")
    assert str(foreign.value).replace(" b", " x") == str(absent.value)


async def test_columns_follow_the_document(database: Database) -> None:
    made = await database.write(lambda tx: vnf_instances.insert(tx, vnf("a", pkg="one")))
    await database.write(lambda tx: vnf_instances.put(tx, msgspec.structs.replace(made, vnf_pkg_id="two")))
    assert vnf_instances.select(database, vnf_pkg_id="one") == []
    assert [one.id for one in vnf_instances.select(database, vnf_pkg_id="two", tenant="red")] == ["a"]
    with pytest.raises(KeyError, match="colour"):
        vnf_instances.select(database, colour="red")
    assert [one.id for one in vnf_instances.starting(database, "a")] == ["a"]
    assert vnf_instances.starting(database, "b") == []


async def test_the_journal_knows_who_holds_an_instance_and_what_is_unfinished(database: Database) -> None:
    def work(tx: Transaction) -> None:
        for id, subject, state in (
            ("1", "x", OperationState.COMPLETED),
            ("2", "x", OperationState.FAILED_TEMP),
            ("3", "y", OperationState.PROCESSING),
            ("4", "z", OperationState.ROLLED_BACK),
        ):
            journal.operations.insert(tx, Operation(id=id, kind="k", subject=subject, state=state))

    await database.write(work)
    held = [journal.holder(database, subject) for subject in "xyz"]
    assert [one and one.id for one in held] == ["2", "3", None]
    assert [one.id for one in journal.unfinished(database)] == ["3"]


async def test_steps_are_replaced_and_belong_to_their_operation(database: Database) -> None:
    await database.write(lambda tx: journal.put_steps(tx, "1", [StepRecord(key="a"), StepRecord(key="b")]))
    done = StepRecord(key="a", state=StepState.DONE, result={"ip": "10.0.0.2"})
    await database.write(lambda tx: journal.put_steps(tx, "1", [done]))
    await database.write(lambda tx: journal.put_steps(tx, "2", [StepRecord(key="a")]))
    assert sorted(journal.steps(database, "1"), key=lambda one: one.key) == [done, StepRecord(key="b")]


async def test_events_are_numbered_without_reuse_and_filtered(database: Database) -> None:
    def say(subject: str, operation: str = ""):
        event = Event(seq=0, time="t", kind="audit", subject=subject, operation=operation)
        return database.write(lambda tx: journal.announce(tx, event))

    for subject, operation in (("x", ""), ("y", "o"), ("x", "o")):
        await say(subject, operation)
    assert [event.seq for event in journal.events(database, 0)] == [1, 2, 3]
    assert [event.seq for event in journal.events(database, 1, subject="x")] == [3]
    assert [event.seq for event in journal.events(database, 0, operation="o", limit=1)] == [2]
    await database.write(lambda tx: tx.execute("DELETE FROM events WHERE seq = 3"))
    await say("z")
    assert journal.last_event(database) == 4
