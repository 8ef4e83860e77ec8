"""The list of alarms is made anew: after a row of it was destroyed, and when an operator asks. Who subscribed is told."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from skerry.vim.simulated.world import world
from tests.api.rig import Rig, running
from tests.etsi.judge import HOME
from tests.etsi.test_fault_notifications import SOL003, SOL005, faults, notes
from tests.etsi.test_faults import NSFM, VNFFM, killed
from tests.notifications.receiver import Receiver, receiving

SOL002 = "nfv-sol002-sol003/SOL002/VNFFaultManagementNotification/VNFFaultManagementNotification.json"
REBUILT = "AlarmListRebuiltNotification"
REBUILD = "/skerry/v1/alarms/rebuild"
NO_SWEEP: dict[str, Any] = {"sweep_s": 3600.0}  # what is found is found by the rebuilding

pytestmark = pytest.mark.skipif(not HOME.is_dir(), reason=f"no official OpenAPI files in {HOME} (set SKERRY_ETSI)")


@pytest.fixture
async def receiver() -> AsyncGenerator[Receiver]:
    async with receiving() as made:
        yield made


async def subscribe(rig: Rig, receiver: Receiver) -> None:
    """One subscriber of each API to rebuilt lists, another one to the instances of somebody else, a third to alarms only."""
    for root, path, nested, ids in (
        (VNFFM, "/vnf", "vnfInstanceSubscriptionFilter", "vnfInstanceIds"),
        (NSFM, "/ns", "nsInstanceSubscriptionFilter", "nsInstanceIds"),
    ):
        for end, filter in (
            ("", {"notificationTypes": [REBUILT]}),
            ("/other", {"notificationTypes": [REBUILT], nested: {ids: ["of-somebody-else"]}}),
            ("/alarms", {"notificationTypes": ["AlarmNotification"]}),
        ):
            body = {"callbackUri": receiver.uri(path + end), "filter": filter}
            made = await rig.client.post(f"{root}/subscriptions", json=body)
            assert made.status_code == 201, made.text


def destroy(folder: Path, scope: str) -> None:
    """Write nonsense over the alarms of a scope, as a broken disk does."""
    with sqlite3.connect(folder / "node" / "skerry.db") as database:
        changed = database.execute("UPDATE alarms SET doc = ? WHERE scope = ?", (b'{"id": "\xff', scope)).rowcount
    database.close()
    assert changed == 1


async def listed(rig: Rig, root: str) -> list[dict[str, Any]]:
    return list((await rig.client.get(f"{root}/alarms")).json())


async def told(rig: Rig, receiver: Receiver) -> None:
    """Each subscriber who wants it has got it once, in the standard's form, with a link that leads to the list."""
    wanted = ("/vnf", "/vnf/other", "/ns", "/ns/other")
    await receiver.until(lambda: all(notes(receiver, path) for path in wanted))
    for path, root, files in (("/vnf", VNFFM, (SOL002, SOL003)), ("/ns", NSFM, (SOL005,))):
        (note,) = notes(receiver, path)
        assert [fault for file in files for fault in faults(file, REBUILT, note)] == []
        assert note["notificationType"] == REBUILT
        assert note["_links"]["alarms"]["href"].endswith(f"{root}/alarms")
        read = await rig.client.get(note["_links"]["alarms"]["href"])
        assert (read.status_code, read.json()) == (200, await listed(rig, root))
        assert len(notes(receiver, f"{path}/other")) == 1


@pytest.mark.feature("A41", "A104")
@pytest.mark.parametrize("scope", ["VNF", "NS"])
async def test_a_destroyed_alarm_is_raised_again_at_the_next_start(
    tmp_path: Path, receiver: Receiver, scope: str
) -> None:
    async with running(tmp_path, **NO_SWEEP) as rig:
        await subscribe(rig, receiver)
        ns, vnf = await killed(rig)
        (old,), (follower,) = await listed(rig, VNFFM), await listed(rig, NSFM)
        known = {"ackState": "ACKNOWLEDGED"}
        assert (await rig.client.patch(f"{VNFFM}/alarms/{old['id']}", json=known)).status_code == 200
    destroy(tmp_path, scope)
    async with running(tmp_path, **NO_SWEEP) as rig:
        await told(rig, receiver)
        (fresh,), (followed,) = await listed(rig, VNFFM), await listed(rig, NSFM)
        assert fresh["id"] != old["id"]
        assert followed["id"] != follower["id"]
        assert (fresh["managedObjectId"], fresh["vnfcInstanceIds"]) == (vnf, ["server-0"])
        assert (fresh["ackState"], followed["ackState"]) == ("ACKNOWLEDGED", "UNACKNOWLEDGED")
        assert fresh["alarmAcknowledgedTime"]
        assert (fresh["perceivedSeverity"], fresh["faultType"]) == ("CRITICAL", "COMPUTE_FAILED")
        assert (followed["managedObjectId"], followed["correlatedAlarmIds"]) == (ns, [fresh["id"]])
        await receiver.until(lambda: fresh["id"] in [note["alarm"]["id"] for note in notes(receiver, "/vnf/alarms")])
        healed = await rig.client.post(f"/vnflcm/v2/vnf_instances/{vnf}/heal", json={"cause": "alarm"})
        assert (await rig.finished(healed))["operationState"] == "COMPLETED"
    async with running(tmp_path, **NO_SWEEP) as rig:  # a whole list is left as it is
        assert [one["id"] for one in await listed(rig, VNFFM)] == [fresh["id"]]
        assert len(notes(receiver, "/vnf")) == 1


@pytest.mark.feature("A104")
async def test_an_operator_has_the_list_made_anew(tmp_path: Path, receiver: Receiver) -> None:
    async with running(tmp_path, **NO_SWEEP) as rig:
        _, vnf = await killed(rig)
        await subscribe(rig, receiver)
        (kept,) = await listed(rig, VNFFM)
        other = next(one for one in rig.node.vnfm.instances(tenant="default") if one.id != vnf)
        calm = {"vnfConfigurableProperties": {"is_autoheal_enabled": False}}
        await rig.finished(await rig.client.patch(f"/vnflcm/v2/vnf_instances/{other.id}", json=calm))
    machine = next(one for one in other.resources.values() if one.kind == "compute")
    world(str(tmp_path)).kill(machine.spec["name"])  # while no node looks
    async with running(tmp_path, **NO_SWEEP) as rig:
        assert [one["id"] for one in await listed(rig, VNFFM)] == [kept["id"]]
        answer = await rig.client.post(REBUILD)
        assert answer.status_code == 200, answer.text
        assert {event["subject"] for event in answer.json()} == {vnf, other.id}
        await told(rig, receiver)
        before = await listed(rig, VNFFM)
        assert before[0] == kept  # what stood still stands, as it was
        assert [one["managedObjectId"] for one in before] == [vnf, other.id]
        assert (await rig.client.post(REBUILD)).json() == answer.json()
        assert await listed(rig, VNFFM) == before
        await rig.node.store.write(lambda tx: tx.execute("DELETE FROM alarms").rowcount)
        assert {event["subject"] for event in (await rig.client.post(REBUILD)).json()} == {vnf, other.id}
