"""Subscribers to alarms of VNFs and NSs: what arrives fits the official OpenAPI files, in the order of what happened."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from tests.api.rig import Rig
from tests.etsi.test_faults import NSFM, VNFFM, judge, killed
from tests.etsi.test_responses import HOME, Judge
from tests.notifications.receiver import Receiver, receiving

SOL003 = "nfv-sol002-sol003/SOL003/VNFFaultManagementNotification/VNFFaultManagementNotification.json"
SOL005 = "nfv-sol005/SOL005/NSFaultManagementNotification/NSFaultManagementNotification.json"

pytestmark = pytest.mark.skipif(not HOME.is_dir(), reason=f"no official OpenAPI files in {HOME} (set SKERRY_ETSI)")
__all__ = ["judge"]


@pytest.fixture
async def receiver() -> AsyncGenerator[Receiver]:
    async with receiving() as made:
        yield made


def faults(file: str, kind: str, body: Any) -> list[str]:
    """What a schema of an official file finds wrong."""
    document = json.loads((HOME / file).read_text())
    schema = {"$ref": f"#/components/schemas/{kind}", "components": document["components"]}
    if (file, kind) == (SOL005, "AlarmNotification"):
        # the file gives the name of another notification as the only value
        schema["components"]["schemas"][kind]["properties"]["notificationType"]["enum"] = [kind]
    return [fault.message[:300] for fault in jsonschema.Draft202012Validator(schema).iter_errors(body)]


def notes(receiver: Receiver, path: str) -> list[dict[str, Any]]:
    return [got.json for got in receiver.got if got.path == path and got.body]


@pytest.mark.feature("A41", "A104")
async def test_an_alarm_is_told_from_its_raise_to_its_end(rig: Rig, receiver: Receiver) -> None:
    wanted = {"notificationTypes": ["AlarmNotification", "AlarmClearedNotification"]}
    for root, path in ((VNFFM, "/vnf"), (NSFM, "/ns")):
        made = await rig.client.post(
            f"{root}/subscriptions", json={"callbackUri": receiver.uri(path), "filter": wanted}
        )
        assert made.status_code == 201, made.text
    other = {"perceivedSeverities": ["WARNING"], "notificationTypes": ["AlarmNotification"]}
    await rig.client.post(f"{VNFFM}/subscriptions", json={"callbackUri": receiver.uri("/never"), "filter": other})
    ns, vnf = await killed(rig)
    (shown,) = (await rig.client.get(f"{VNFFM}/alarms")).json()
    await receiver.until(lambda: bool(notes(receiver, "/vnf")) and bool(notes(receiver, "/ns")))
    healed = await rig.client.post(f"/vnflcm/v2/vnf_instances/{vnf}/heal", json={"cause": "alarm"})
    assert (await rig.finished(healed))["operationState"] == "COMPLETED"
    await receiver.until(lambda: len(notes(receiver, "/vnf")) > 1 and len(notes(receiver, "/ns")) > 1)
    for file, path, subject in ((SOL003, "/vnf", vnf), (SOL005, "/ns", ns)):
        raised, cleared = notes(receiver, path)
        assert faults(file, "AlarmNotification", raised) == []
        assert faults(file, "AlarmClearedNotification", cleared) == []
        assert raised["alarm"]["managedObjectId"] == subject
        assert (await rig.client.get(cleared["_links"]["alarm"]["href"])).json()["id"] == raised["alarm"]["id"]
        assert (await rig.client.get(raised["alarm"]["_links"]["self"]["href"])).status_code == 200
        assert (await rig.client.get(raised["_links"]["subscription"]["href"])).status_code == 200
    # what is told of an alarm is what reading it shows
    assert notes(receiver, "/vnf")[0]["alarm"] == shown
    assert not notes(receiver, "/never")


@pytest.mark.feature("A41")
async def test_a_changed_alarm_is_told_again(rig: Rig, receiver: Receiver) -> None:
    await rig.client.post(f"{NSFM}/subscriptions", json={"callbackUri": receiver.uri("/ns")})
    await killed(rig)
    # a notification shows the alarm as it is when the notification is made
    await receiver.until(lambda: bool(notes(receiver, "/ns")))
    (alarm,) = (await rig.client.get(f"{VNFFM}/alarms")).json()
    proposed = {"proposedPerceivedSeverity": "MINOR"}
    assert (await rig.client.post(f"{VNFFM}/alarms/{alarm['id']}/escalate", json=proposed)).status_code == 204
    await receiver.until(lambda: len(notes(receiver, "/ns")) > 1)
    raised, changed = notes(receiver, "/ns")
    assert (raised["alarm"]["perceivedSeverity"], changed["alarm"]["perceivedSeverity"]) == ("CRITICAL", "MINOR")


@pytest.mark.feature("A41")
@pytest.mark.parametrize("root", [VNFFM, NSFM])
async def test_subscriptions_to_alarms(rig: Rig, receiver: Receiver, judge: Judge, root: str) -> None:
    for answer in (judge.documents[VNFFM]["paths"]["/subscriptions"]["get"]["responses"]["200"],):
        content = answer["content"]["application/json"]
        content["schema"] = {"type": "array", "items": content["schema"]}  # the file has the schema of one entry
    body = {"callbackUri": receiver.uri(), "filter": {"eventTypes": ["EQUIPMENT_ALARM"]}}
    made = await rig.client.post(f"{root}/subscriptions", json=body)
    assert made.status_code == 201
    assert made.json()["filter"] == body["filter"]
    assert (await rig.client.post(f"{root}/subscriptions", json=body)).status_code == 303
    bad = {"callbackUri": receiver.uri(), "filter": {"eventTypes": ["NOISE"]}}
    assert (await rig.client.post(f"{root}/subscriptions", json=bad)).status_code == 422
    assert len((await rig.client.get(f"{root}/subscriptions")).json()) == 1
    one = made.headers["Location"]
    assert (await rig.client.get(one)).status_code == 200
    assert (await rig.client.delete(one)).status_code == 204
    assert (await rig.client.get(one)).status_code == 404
