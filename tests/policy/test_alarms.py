"""Alarms: one for each fault, changed while it stands, cleared once, and the store stays bounded."""

from __future__ import annotations

import msgspec
import pytest

from skerry.engine.clock import Virtual, run_virtual
from skerry.engine.events import EventLog
from skerry.errors import ConflictError, InvalidError, NotFoundError, PreconditionError
from skerry.model.alarms import AckState, Cause, EventType, Faulty, Scope, Severity
from skerry.policy.alarms import AlarmBook
from skerry.policy.faults import cause_of
from skerry.store import alarms as store
from skerry.store.database import Database, Transaction
from skerry.vim.driver import Compute, ComputeState

FAULTY = Faulty(vnf_id="vnf", key="compute:a-0", tenant="t", ns_id="ns", vim="sim", resource_id="r")
GONE = cause_of(None, "it is gone", last=False)
ENDED = cause_of(
    Compute(id="r", name="r", owner="vnf", state=ComputeState.FAILED, image="i"), "it ended with 1", last=True
)


def book(virtual: Virtual) -> tuple[Database, AlarmBook]:
    database = Database(":memory:", inline=True)
    database.open()
    return database, AlarmBook(database, EventLog(database, virtual.clock), virtual.clock, virtual.ids)


def told(database: Database) -> list[str]:
    rows = database.read("SELECT json_extract(doc, '$.state') FROM events ORDER BY seq")
    return [row[0] for row in rows]


@pytest.mark.feature("A104")
def test_one_alarm_for_each_fault_raised_changed_and_cleared() -> None:
    async def body(virtual: Virtual) -> None:
        database, alarms = book(virtual)
        raised = await database.write(lambda tx: alarms.report(tx, FAULTY, GONE))
        again = await database.write(lambda tx: alarms.report(tx, FAULTY, GONE))
        assert again == raised
        virtual_start = raised.raised_at
        await database.write(lambda tx: alarms.report(tx, FAULTY, ENDED))
        (one,) = alarms.alarms(Scope.VNF, tenant="t")
        assert (one.id, one.severity, one.cause.fault_type) == (raised.id, Severity.CRITICAL, "COMPUTE_FAILED")
        assert (one.raised_at, one.changed_at) == (virtual_start, virtual_start)
        await database.write(lambda tx: alarms.clear(tx, one))
        (over,) = alarms.alarms(Scope.VNF, tenant="t")
        assert (over.severity, over.cleared_at) == (Severity.CLEARED, virtual_start)
        assert alarms.roots() == []
        assert told(database) == ["RAISED", "CHANGED", "CLEARED"]
        fresh = await database.write(lambda tx: alarms.report(tx, FAULTY, GONE))
        assert fresh.id != raised.id

    run_virtual(body)


@pytest.mark.feature("A104")
def test_an_alarm_of_a_member_has_one_of_its_ns_that_follows_it() -> None:
    async def body(virtual: Virtual) -> None:
        database, alarms = book(virtual)
        root = await database.write(lambda tx: alarms.report(tx, FAULTY, GONE))
        (follower,) = alarms.alarms(Scope.NS, tenant="t")
        assert (follower.managed_object, follower.root) == ("ns", root.id)
        assert (root.correlated, follower.correlated) == ((follower.id,), (root.id,))
        await alarms.escalate(root.id, Severity.CRITICAL, tenant="t")
        assert alarms.alarm(follower.id, Scope.NS, tenant="t").severity is Severity.CRITICAL
        with pytest.raises(NotFoundError):
            alarms.alarm(follower.id, Scope.VNF, tenant="t")
        with pytest.raises(NotFoundError):
            alarms.alarm(root.id, Scope.VNF, tenant="other")
        await database.write(lambda tx: alarms.clear(tx, root))
        assert alarms.alarm(follower.id, Scope.NS, tenant="t").severity is Severity.CLEARED
        alone = Faulty(vnf_id="vnf", key="compute:b-0", tenant="t")
        await database.write(lambda tx: alarms.report(tx, alone, GONE))
        assert len(alarms.alarms(Scope.NS, tenant="t")) == 1

    run_virtual(body)


@pytest.mark.feature("A104")
@pytest.mark.parametrize("doc", [b"", b"{", b'{"id": "\xff"}', b"\x00" * 40, b'{"scope": 1}'])
def test_only_alarms_that_cannot_be_read_are_dropped_and_what_belongs_to_them(doc: bytes) -> None:
    async def body(virtual: Virtual) -> None:
        database, alarms = book(virtual)
        faulty = [msgspec.structs.replace(FAULTY, key=f"compute:a-{number}") for number in range(3)]
        roots = [await database.write(lambda tx, one=one: alarms.report(tx, one, GONE)) for one in faulty]  # type: ignore[misc]
        followers = [root.correlated[0] for root in roots]
        assert await database.write(alarms.restore) == []
        sql = "UPDATE alarms SET doc = ? WHERE id IN (?, ?)"
        await database.write(lambda tx: tx.execute(sql, (doc, followers[1], roots[2].id)).rowcount)
        lost = await database.write(alarms.restore)
        assert {one.id for one in lost} == {roots[1].id, followers[1], roots[2].id, followers[2]}
        assert {one[1:4] for one in lost} == {("t", Scope.VNF, "vnf"), ("t", Scope.NS, "vnf")}
        assert [alarm.id for alarm in alarms.alarms(Scope.NS, tenant="t")] == [followers[0]]
        assert list(alarms.alarms(Scope.VNF, tenant="t")) == [roots[0]]
        assert await database.write(alarms.restore) == []

    run_virtual(body)


def test_acknowledging() -> None:
    async def body(virtual: Virtual) -> None:
        database, alarms = book(virtual)
        root = await database.write(lambda tx: alarms.report(tx, FAULTY, GONE))
        known = AckState.ACKNOWLEDGED
        done = await alarms.acknowledge(root.id, Scope.VNF, known, match={root.rev}, tenant="t")
        assert (done.ack_state, bool(done.acknowledged_at)) == (known, True)
        (follower,) = alarms.alarms(Scope.NS, tenant="t")
        assert follower.ack_state is AckState.UNACKNOWLEDGED
        with pytest.raises(PreconditionError):
            await alarms.acknowledge(root.id, Scope.VNF, AckState.UNACKNOWLEDGED, match={root.rev}, tenant="t")
        with pytest.raises(ConflictError):
            await alarms.acknowledge(root.id, Scope.VNF, known, match={done.rev}, tenant="t")
        back = await alarms.acknowledge(root.id, Scope.VNF, AckState.UNACKNOWLEDGED, match={done.rev}, tenant="t")
        assert back.acknowledged_at == ""

    run_virtual(body)


def test_escalating() -> None:
    async def body(virtual: Virtual) -> None:
        database, alarms = book(virtual)
        root = await database.write(lambda tx: alarms.report(tx, FAULTY, GONE))
        with pytest.raises(InvalidError):
            await alarms.escalate(root.id, Severity.CLEARED, tenant="t")
        await alarms.escalate(root.id, root.severity, tenant="t")
        assert alarms.alarm(root.id, Scope.VNF, tenant="t").rev == root.rev
        await database.write(lambda tx: alarms.clear(tx, root))
        with pytest.raises(ConflictError):
            await alarms.escalate(root.id, Severity.CRITICAL, tenant="t")

    run_virtual(body)


@pytest.mark.feature("A104")
def test_what_callers_said_survives_a_rebuilt_list_and_a_changed_fault() -> None:
    async def body(virtual: Virtual) -> None:
        database, alarms = book(virtual)
        nested = msgspec.structs.replace(FAULTY, above=(("outer", "ns"),))
        root = await database.write(lambda tx: alarms.report(tx, nested, GONE))
        second = alarms.alarms(Scope.NS, tenant="t")[1]
        await alarms.acknowledge(root.id, Scope.VNF, AckState.ACKNOWLEDGED, tenant="t")
        await alarms.acknowledge(second.id, Scope.NS, AckState.ACKNOWLEDGED, tenant="t")
        await alarms.escalate(root.id, Severity.WARNING, tenant="t")
        await database.write(lambda tx: tx.execute("UPDATE alarms SET doc = ?", (b"{",)).rowcount)

        def again(tx: Transaction) -> None:
            lost = alarms.restore(tx)
            alarms.report(tx, nested, GONE)
            alarms.remember(tx, lost)

        await database.write(again)
        (fresh,) = alarms.alarms(Scope.VNF, tenant="t")
        assert (fresh.ack_state, fresh.severity) == (AckState.ACKNOWLEDGED, Severity.WARNING)
        assert fresh.acknowledged_at
        states = {one.managed_object: one.ack_state for one in alarms.alarms(Scope.NS, tenant="t")}
        assert states == {"ns": AckState.UNACKNOWLEDGED, "outer": AckState.ACKNOWLEDGED}
        await database.write(lambda tx: alarms.report(tx, nested, GONE))  # the same again takes nothing back
        assert alarms.alarm(fresh.id, Scope.VNF, tenant="t").severity is Severity.WARNING
        await database.write(lambda tx: alarms.report(tx, nested, ENDED))
        changed = alarms.alarm(fresh.id, Scope.VNF, tenant="t")
        assert (changed.ack_state, changed.severity) == (AckState.ACKNOWLEDGED, Severity.CRITICAL)

    run_virtual(body)


@pytest.mark.feature("A104")
def test_a_nested_service_has_the_alarm_in_every_service_above_it() -> None:
    async def body(virtual: Virtual) -> None:
        database, alarms = book(virtual)
        nested = msgspec.structs.replace(FAULTY, above=(("middle", "ns"), ("top", "middle")))
        root = await database.write(lambda tx: alarms.report(tx, nested, GONE))
        followers = {one.managed_object: one for one in alarms.alarms(Scope.NS, tenant="t")}
        assert {name: one.nested for name, one in followers.items()} == {"ns": "", "middle": "ns", "top": "middle"}
        assert set(root.correlated) == {one.id for one in followers.values()}
        assert all(one.root == root.id for one in followers.values())
        await database.write(lambda tx: alarms.clear(tx, root))
        assert all(one.severity is Severity.CLEARED for one in alarms.alarms(Scope.NS, tenant="t"))

    run_virtual(body)


@pytest.mark.feature("A104")
def test_the_severity_follows_what_else_works() -> None:
    async def body(virtual: Virtual) -> None:
        database, alarms = book(virtual)
        root = await database.write(lambda tx: alarms.report(tx, FAULTY, GONE))
        for severity, changes in ((Severity.MAJOR, 0), (Severity.CRITICAL, 1), (Severity.CRITICAL, 1)):
            await database.write(lambda tx, wanted=severity: alarms.level(tx, "vnf", wanted))  # type: ignore[misc]
            assert alarms.alarm(root.id, Scope.VNF, tenant="t").severity is severity
            assert told(database).count("CHANGED") == changes
        (follower,) = alarms.alarms(Scope.NS, tenant="t")
        assert follower.severity is Severity.CRITICAL

    run_virtual(body)


def test_old_cleared_alarms_go_standing_ones_stay() -> None:
    async def body(virtual: Virtual) -> None:
        database, alarms = book(virtual)
        for number in range(5):
            faulty = Faulty(vnf_id="vnf", key=f"compute:a-{number}", tenant="t")
            raised = await database.write(lambda tx, one=faulty: alarms.report(tx, one, GONE))  # type: ignore[misc]
            if number:
                await database.write(lambda tx, one=raised: alarms.clear(tx, one))  # type: ignore[misc]
        assert await alarms.prune("2030-01-01T00:00:00.000Z") == 0
        assert await database.write(lambda tx: store.prune(tx, cleared_before="", keep=3)) == 1
        keys = [alarm.faulty.key for alarm in alarms.alarms(Scope.VNF, tenant="t")]
        assert keys == ["compute:a-0", "compute:a-2", "compute:a-3", "compute:a-4"]
        assert await alarms.prune("2031-01-01T00:00:00.000Z") == 3
        assert [alarm.faulty.key for alarm in alarms.alarms(Scope.VNF, tenant="t")] == ["compute:a-0"]

    run_virtual(body)


def test_causes() -> None:
    stopped = Compute(id="r", name="r", owner="vnf", state=ComputeState.EXITED, image="i")
    wanted = Cause(
        event_type=EventType.PROCESSING_ERROR_ALARM,
        fault_type="COMPUTE_NOT_RUNNING",
        probable_cause="it should run",
        severity=Severity.MAJOR,
    )
    assert cause_of(stopped, "it should run", last=False) == wanted
    assert (GONE.event_type, GONE.fault_type) == (EventType.EQUIPMENT_ALARM, "COMPUTE_GONE")
