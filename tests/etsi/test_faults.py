"""Fault management of VNFs and NSs, from a kill behind the node's back until it is healed; every answer is checked against
the official OpenAPI files."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from skerry.vim.simulated.world import world
from tests.api.rig import Rig
from tests.etsi.judge import HOME, Judge
from tests.etsi.test_forwarding import put
from tests.etsi.test_nested import made
from tests.nfvo.nesting import BRANCH, CAMPUS, UNIT, nesting_folder
from tests.vnfm.builder import csar, vnf_folder
from tests.vnfm.watched import watched_folder

SOL002 = "nfv-sol002-sol003/SOL002/VNFFaultManagement/VNFFaultManagement.json"
SOL003 = "nfv-sol002-sol003/SOL003/VNFFaultManagement/VNFFaultManagement.json"
SOL005 = "nfv-sol005/SOL005/NSFaultManagement/NSFaultManagement.json"
VNFFM, NSFM = "/vnffm/v1", "/nsfm/v1"

pytestmark = pytest.mark.skipif(not HOME.is_dir(), reason=f"no official OpenAPI files in {HOME} (set SKERRY_ETSI)")


def official() -> dict[str, Any]:
    """The files of fault management. SOL003 describes its list of alarms with the schema of one; the escalation is
    SOL002's, below the same root."""
    vnf, ns, element = (json.loads((HOME / file).read_text()) for file in (SOL003, SOL005, SOL002))
    answer = vnf["paths"]["/alarms"]["get"]["responses"]["200"]["content"]["application/json"]
    answer["schema"] = {"type": "array", "items": answer["schema"]}
    vnf["paths"]["/alarms/{alarmId}/escalate"] = element["paths"]["/alarms/{alarmId}/escalate"]
    return {VNFFM: vnf, NSFM: ns}


@pytest.fixture
def judge(rig: Rig) -> Judge:
    judging = Judge()
    judging.documents = official()
    rig.client.event_hooks = {"response": [judging]}
    return judging


async def service(rig: Rig) -> str:
    """An NS that runs."""
    await rig.onboard_all()
    nsd = (await rig.client.get("/nsd/v2/ns_descriptors")).json()[0]["nsdId"]
    created = await rig.client.post(
        "/nslcm/v2/ns_instances", json={"nsdId": nsd, "nsName": "sip", "nsDescription": "calls"}
    )
    done = await rig.finished(
        await rig.client.post(f"{created.headers['Location']}/instantiate", json={"nsFlavourId": "default"})
    )
    assert done["operationState"] == "COMPLETED", done
    return str(created.json()["id"])


async def told(rig: Rig, state: str, after: int) -> None:
    async with asyncio.timeout(10):
        async for batch in rig.node.engine.events.follow(after):
            if any((event.kind, event.state) == ("alarm", state) for event in batch):
                return


async def killed(rig: Rig) -> tuple[str, str]:
    """An NS of which one VNFC was killed, with its alarm; the NS and the VNF."""
    ns = await service(rig)
    shown = (await rig.client.get(f"/nslcm/v2/ns_instances/{ns}")).json()
    vnf = next(one["id"] for one in shown["vnfInstance"] if one["vnfProductName"] == "sipp-server")
    calm = {"vnfConfigurableProperties": {"is_autoheal_enabled": False}}  # the node would mend it while the test looks
    await rig.finished(await rig.client.patch(f"/vnflcm/v2/vnf_instances/{vnf}", json=calm))
    after = rig.node.engine.events.last()
    record = next(one for one in rig.node.vnfm.instances(tenant="default") if one.id == vnf)
    world(str(rig.folder)).kill(record.resources["compute:server-0"].spec["name"])
    await told(rig, "RAISED", after)
    return ns, vnf


@pytest.mark.feature("A104")
async def test_a_fault_from_its_alarm_to_its_end(rig: Rig, judge: Judge) -> None:
    ns, vnf = await killed(rig)
    (alarm,) = (await rig.client.get(f"{VNFFM}/alarms")).json()
    assert (alarm["managedObjectId"], alarm["vnfcInstanceIds"]) == (vnf, ["server-0"])
    assert (alarm["perceivedSeverity"], alarm["isRootCause"]) == ("CRITICAL", True)
    assert alarm["rootCauseFaultyResource"]["faultyResource"]["vimConnectionId"] == "sim"
    (follower,) = (await rig.client.get(f"{NSFM}/alarms")).json()
    assert (follower["managedObjectId"], follower["isRootCause"]) == (ns, False)
    assert follower["rootCauseFaultyComponent"] == {"faultyVnfInstanceId": vnf}
    assert follower["correlatedAlarmIds"] == [alarm["id"]]
    assert (await rig.client.get(f"{NSFM}/alarms/{alarm['id']}")).status_code == 404
    after = rig.node.engine.events.last()
    healed = await rig.client.post(f"/vnflcm/v2/vnf_instances/{vnf}/heal", json={"cause": "alarm"})
    assert (await rig.finished(healed))["operationState"] == "COMPLETED"
    await told(rig, "CLEARED", after)
    for url in (f"{VNFFM}/alarms/{alarm['id']}", f"{NSFM}/alarms/{follower['id']}"):
        over = (await rig.client.get(url)).json()
        assert (over["perceivedSeverity"], bool(over["alarmClearedTime"])) == ("CLEARED", True)
    assert (await rig.client.get("/skerry/v1/alarms")).json() == []


@pytest.mark.feature("A104")
async def test_an_alarm_stands_until_a_healing_succeeds(rig: Rig, judge: Judge) -> None:
    _, vnf = await killed(rig)
    (alarm,) = (await rig.client.get(f"{VNFFM}/alarms")).json()
    one, heal = f"{VNFFM}/alarms/{alarm['id']}", f"/vnflcm/v2/vnf_instances/{vnf}/heal"
    assert (await rig.client.patch(one, json={"ackState": "ACKNOWLEDGED"})).status_code == 200
    world(str(rig.folder)).fail("create_compute", transient=False, message="no room")
    broken = await rig.client.post(heal, json={"cause": "alarm"})
    assert (await rig.finished(broken))["operationState"] == "FAILED_TEMP"
    assert "alarmClearedTime" not in (await rig.client.get(one)).json()
    given_up = await rig.client.post(f"{broken.headers['Location']}/fail")
    assert given_up.status_code == 200, given_up.text
    await rig.client.post("/skerry/v1/alarms/rebuild")
    standing = (await rig.client.get(one)).json()
    assert (standing["perceivedSeverity"], standing["ackState"]) == ("CRITICAL", "ACKNOWLEDGED")
    after = rig.node.engine.events.last()
    assert (await rig.finished(await rig.client.post(heal, json={"cause": "alarm"})))["operationState"] == "COMPLETED"
    await told(rig, "CLEARED", after)
    over = (await rig.client.get(one)).json()
    assert (over["perceivedSeverity"], over["ackState"]) == ("CLEARED", "ACKNOWLEDGED")


@pytest.mark.feature("A104")
async def test_what_callers_do_with_alarms(rig: Rig, judge: Judge) -> None:
    await killed(rig)
    for root in (VNFFM, NSFM):
        (alarm,) = (await rig.client.get(f"{root}/alarms?filter=(eq,perceivedSeverity,CRITICAL)")).json()
        one = f"{root}/alarms/{alarm['id']}"
        assert (await rig.client.get(f"{root}/alarms?filter=(eq,perceivedSeverity,MINOR)")).json() == []
        tag = (await rig.client.get(one)).headers["etag"]
        known = {"ackState": "ACKNOWLEDGED"}
        assert (await rig.client.patch(one, json=known, headers={"If-Match": '"99"'})).status_code == 412
        done = await rig.client.patch(
            one,
            content=json.dumps(known),
            headers={"If-Match": tag, "Content-Type": "application/merge-patch+json"},
        )
        assert (done.status_code, done.json()) == (200, known)
        assert (await rig.client.patch(one, json=known)).status_code == 409
        shown = (await rig.client.get(one)).json()
        assert (shown["ackState"], bool(shown["alarmAcknowledgedTime"])) == ("ACKNOWLEDGED", True)
        assert (await rig.client.get(f"{root}/alarms/none")).status_code == 404
        assert (await rig.client.get(f"{root}/api_versions")).status_code == 200
    (alarm,) = (await rig.client.get(f"{VNFFM}/alarms")).json()
    one = f"{VNFFM}/alarms/{alarm['id']}"
    proposed = {"proposedPerceivedSeverity": "MINOR"}
    assert (await rig.client.post(f"{one}/escalate", json=proposed)).status_code == 204
    shown = (await rig.client.get(one)).json()
    assert (shown["perceivedSeverity"], bool(shown["alarmChangedTime"])) == ("MINOR", True)
    (follower,) = (await rig.client.get(f"{NSFM}/alarms")).json()
    assert (follower["perceivedSeverity"], follower["id"]) == ("MINOR", shown["correlatedAlarmIds"][0])
    assert (await rig.client.patch(one, json={"ackState": "MAYBE"})).status_code == 422


SERVED: dict[str, Any] = {
    "id": "served",
    "vdus": {"one": {"nics": {"pub": "ext"}}},
    "properties": {"is_autoheal_enabled": True},
    "indicators": {"service": {}},
    "scripts": {"heal": {"run": "true"}},
}


@pytest.mark.feature("A104", "A106")
async def test_a_service_that_is_down_is_no_fault_of_a_resource(rig: Rig, judge: Judge) -> None:
    created = await rig.client.post("/vnfpkgm/v2/vnf_packages", json={})
    content = f"/vnfpkgm/v2/vnf_packages/{created.json()['id']}/package_content"
    archive = csar(watched_folder(SERVED)).read_bytes()
    await rig.client.put(content, content=archive, headers={"Content-Type": "application/zip"})
    made = await rig.client.post("/vnflcm/v2/vnf_instances", json={"vnfdId": "served"})
    begun = await rig.client.post(f"{made.headers['Location']}/instantiate", json={"flavourId": "default"})
    await rig.finished(begun)
    id = made.json()["id"]
    for _ in range(100):
        if rig.node.indicators.all(tenant="default", vnf=id):
            break
        await asyncio.sleep(0.01)
    path, after = f"/skerry/v1/vnfs/{id}/indicators/service", rig.node.engine.events.last()
    assert (await rig.client.put(path, json={"value": "down"})).status_code == 200
    await told(rig, "RAISED", after)
    (alarm,) = (await rig.client.get(f"{VNFFM}/alarms")).json()
    assert (alarm["managedObjectId"], alarm["perceivedSeverity"]) == (id, "CRITICAL")
    assert (alarm["faultType"], "rootCauseFaultyResource" in alarm) == ("SERVICE_DOWN", False)
    await rig.node.store.write(lambda tx: tx.execute("DELETE FROM alarms").rowcount)
    assert (await rig.client.post("/skerry/v1/alarms/rebuild")).status_code == 200
    (alarm,) = (await rig.client.get(f"{VNFFM}/alarms")).json()
    assert (alarm["managedObjectId"], alarm["faultType"]) == (id, "SERVICE_DOWN")
    assert (await rig.client.put(path, json={"value": "up"})).status_code == 200
    over = (await rig.client.get(f"{VNFFM}/alarms/{alarm['id']}")).json()
    assert over["perceivedSeverity"] == "CLEARED"


@pytest.mark.feature("A104")
async def test_services_above_a_nested_one_have_its_alarm(rig: Rig, judge: Judge) -> None:
    await put(rig, "/vnfpkgm/v2/vnf_packages", "package_content", csar(vnf_folder(UNIT)))
    for text in (BRANCH, CAMPUS):
        await put(rig, "/nsd/v2/ns_descriptors", "nsd_content", csar(nesting_folder(text)))
    branch = await made(rig, "branch")
    campus = await made(rig, "campus", nestedNsInstanceData=[{"nestedNsInstanceId": branch, "nsProfileId": "wing"}])
    vnf = next(one for one in rig.node.vnfm.instances(tenant="default") if one.ns_id == branch)
    calm = {"vnfConfigurableProperties": {"is_autoheal_enabled": False}}
    await rig.finished(await rig.client.patch(f"/vnflcm/v2/vnf_instances/{vnf.id}", json=calm))
    after = rig.node.engine.events.last()
    compute = next(one for one in vnf.resources.values() if one.kind == "compute")
    world(str(rig.folder)).kill(compute.spec["name"])
    await told(rig, "RAISED", after)
    (root,) = (await rig.client.get(f"{VNFFM}/alarms")).json()
    alarms = {one["managedObjectId"]: one for one in (await rig.client.get(f"{NSFM}/alarms")).json()}
    assert set(root["correlatedAlarmIds"]) == {one["id"] for one in alarms.values()}
    components = {ns: one["rootCauseFaultyComponent"] for ns, one in alarms.items()}
    assert components == {
        branch: {"faultyVnfInstanceId": vnf.id},
        campus: {"faultyNestedNsInstanceId": branch},
    }
