"""Performance management of VNFs and NSs through the API: every answer and notification is checked against the official
OpenAPI files."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from skerry.vim.simulated.world import world
from tests.api.rig import Rig, running
from tests.api.test_access import as_client
from tests.etsi.test_faults import service
from tests.etsi.test_responses import HOME, Judge
from tests.notifications.receiver import Receiver, receiving

FILES = {
    "/vnfpm/v2": "nfv-sol002-sol003/SOL003/VNFPerformanceManagement",
    "/nspm/v2": "nfv-sol005/SOL005/NSPerformanceManagement",
}
METRIC = "VCpuUsageMeanVnf"

pytestmark = pytest.mark.skipif(not HOME.is_dir(), reason=f"no official OpenAPI files in {HOME} (set SKERRY_ETSI)")


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncGenerator[Rig]:
    async with running(tmp_path, performance_threshold_s=1.0) as started:
        yield started


@pytest.fixture
async def receiver() -> AsyncGenerator[Receiver]:
    async with receiving() as made:
        yield made


def official(root: str, suffix: str = "") -> Any:
    """An official file, mended where it contradicts the text of its own specification."""
    name = FILES[root].rpartition("/")[2] + suffix
    document = json.loads((HOME / f"{FILES[root]}{suffix}" / f"{name}.json").read_text())
    schemas = document["components"]["schemas"]
    if "PmJob" in schemas:
        # 0..N reports, and the links of the job are inside of them in SOL005
        reports = schemas["PmJob"]["properties"]["reports"]
        reports["required"] = [name for name in reports["required"] if name != "_links"]
        schemas["PmJob"]["properties"]["reports"] = {"type": "array", "items": reports}
        # a value has the type that its metric says, and a part of an object is one part
        entry = schemas["PerformanceReport"]["properties"]["entries"]["items"]
        value = entry["properties"]["performanceValues"]["items"]
        value["properties"]["value"] = {}
        value["required"] = [name.replace("performanceValue", "value") for name in value["required"]]
        entry["properties"]["subObjectInstanceId"] = {"type": "string"}
        entry["required"] = [name.replace("performanceValue", "performanceValues") for name in entry["required"]]
    if "ThresholdCrossedNotification" in schemas:
        schemas["ThresholdCrossedNotification"]["properties"]["performanceValue"] = {}
    return document


@pytest.fixture
def judge(rig: Rig) -> Judge:
    made = Judge()
    made.documents = {root: official(root) for root in FILES}
    rig.client.event_hooks = {"response": [made]}
    return made


def faults(root: str, body: Any) -> list[str]:
    document = official(root, "Notification")
    schema = {"$ref": f"#/components/schemas/{body['notificationType']}", "components": document["components"]}
    return [fault.message[:300] for fault in jsonschema.Draft202012Validator(schema).iter_errors(body)]


def notes(receiver: Receiver, path: str) -> list[dict[str, Any]]:
    return [got.json for got in receiver.got if got.path == path and got.body]


def job(object: str, uri: str, type: str, **criteria: Any) -> dict[str, Any]:
    asked = {"performanceMetric": [METRIC], "collectionPeriod": 1, "reportingPeriod": 1, **criteria}
    return {"objectType": type, "objectInstanceIds": [object], "criteria": asked, "callbackUri": uri}


def threshold(object: str, uri: str, type: str, value: float) -> dict[str, Any]:
    details = {"thresholdValue": value, "hysteresis": 1}
    criteria = {"performanceMetric": METRIC, "thresholdType": "SIMPLE", "simpleThresholdDetails": details}
    return {"objectType": type, "objectInstanceId": object, "criteria": criteria, "callbackUri": uri}


async def objects(rig: Rig) -> dict[str, tuple[str, str]]:
    """What each API measures: its type and a running one, all of whose VNFCs are busy."""
    ns = await service(rig)
    vnf = (await rig.client.get(f"/nslcm/v2/ns_instances/{ns}")).json()["vnfInstance"][0]["id"]
    for name in world(str(rig.folder)).has.machines:
        world(str(rig.folder)).work(name, vcpus=8.0)
    return {"/vnfpm/v2": ("Vnf", vnf), "/nspm/v2": ("Ns", ns)}


@pytest.mark.feature("A41")
async def test_jobs_and_thresholds_from_their_making_to_their_end(rig: Rig, judge: Judge, receiver: Receiver) -> None:
    made: dict[str, Any] = {}
    for root, (type, object) in (await objects(rig)).items():
        path = f"/{root[1:5]}"
        made[root] = await rig.client.post(f"{root}/pm_jobs", json=job(object, receiver.uri(path), type))
        assert made[root].status_code == 201, made[root].text
        limit = await rig.client.post(f"{root}/thresholds", json=threshold(object, receiver.uri(path), type, 10))
        assert limit.status_code == 201, limit.text
        assert (await rig.client.get(limit.headers["Location"])).json() == limit.json()
        assert len((await rig.client.get(f"{root}/thresholds")).json()) == 1
        await receiver.until(lambda path=path: len(notes(receiver, path)) > 1)  # type: ignore[misc]
        await receiver.until(
            lambda path=path: any("crossingDirection" in one for one in notes(receiver, path))  # type: ignore[misc]
        )
        assert (await rig.client.delete(limit.headers["Location"])).status_code == 204
    for root, answer in made.items():
        told = notes(receiver, f"/{root[1:5]}")
        assert [fault for note in told for fault in faults(root, note)] == []
        crossed = next(note for note in told if "crossingDirection" in note)
        assert (crossed["crossingDirection"], crossed["performanceMetric"]) == ("UP", METRIC)
        available = next(note for note in told if "pmJobId" in note)
        report = await rig.client.get(available["_links"]["performanceReport"]["href"])
        (entry,) = report.json()["entries"]
        assert (entry["performanceMetric"], entry["objectInstanceId"]) == (METRIC, available["objectInstanceId"])
        assert entry["performanceValues"][0]["value"] > 10
        one = answer.headers["Location"]
        shown = (await rig.client.get(one)).json()
        assert report.request.url in [listed["href"] for listed in shown["reports"]]
        assert "reports" not in (await rig.client.get(f"{root}/pm_jobs")).json()[0]
        assert (await rig.client.get(f"{root}/pm_jobs?all_fields")).json()[0]["reports"]
        assert (await rig.client.get(f"{one}/reports/none")).status_code == 404
        assert (await rig.client.delete(one)).status_code == 204
        assert (await rig.client.get(one)).status_code == 404
        assert (await rig.client.get(str(report.request.url))).status_code == 404


@pytest.mark.feature("A41")
async def test_who_is_told_can_be_changed_by_whoever_saw_it_last(rig: Rig, judge: Judge, receiver: Receiver) -> None:
    for root, (type, object) in (await objects(rig)).items():
        first, second = receiver.uri(f"{root}/a"), receiver.uri(f"{root}/b")
        for kind, body in (("pm_jobs", job(object, first, type)), ("thresholds", threshold(object, first, type, 1e6))):
            made = await rig.client.post(f"{root}/{kind}", json=body)
            one, tag = made.headers["Location"], made.headers["ETag"]
            late = await rig.client.patch(one, json={"callbackUri": second}, headers={"If-Match": '"99"'})
            assert late.status_code == 412
            done = await rig.client.patch(one, json={"callbackUri": second}, headers={"If-Match": tag})
            assert done.json() == {"callbackUri": second}
            assert (await rig.client.get(one)).json()["callbackUri"] == second
            basic = {"authType": ["BASIC"], "paramsBasic": {"userName": "u", "password": "very secret"}}
            known = await rig.client.patch(one, json={"authentication": basic})
            assert "secret" not in known.text
            assert (await rig.client.patch(one, json={})).status_code == 422
        await receiver.until(lambda root=root: bool(notes(receiver, f"{root}/b")))  # type: ignore[misc]
        assert any("authorization" in got.headers for got in receiver.got if got.path == f"{root}/b")


@pytest.mark.feature("A39")
async def test_bad_requests_are_answered_in_full(rig: Rig, judge: Judge, receiver: Receiver) -> None:
    for root, (type, object) in (await objects(rig)).items():
        wrong = job("nobody", receiver.uri(), type, performanceMetric=["Sound"], reportingPeriod=0)
        answer = await rig.client.post(f"{root}/pm_jobs", json=wrong)
        assert answer.status_code == 422
        unknown = await rig.client.post(f"{root}/pm_jobs", json=job("nobody", receiver.uri(), type))
        assert unknown.status_code == 422
        assert "nobody" in unknown.json()["detail"]
        assert (await rig.client.post(f"{root}/pm_jobs", json={})).status_code == 422
        assert (await rig.client.post(f"{root}/thresholds", json={})).status_code == 422
        negative = threshold(object, receiver.uri(), type, 1)
        negative["criteria"]["simpleThresholdDetails"]["hysteresis"] = -1
        assert (await rig.client.post(f"{root}/thresholds", json=negative)).status_code == 422
        for path in ("pm_jobs/none", "thresholds/none"):
            assert (await rig.client.get(f"{root}/{path}")).status_code == 404
            assert (await rig.client.delete(f"{root}/{path}")).status_code == 404
            assert (await rig.client.patch(f"{root}/{path}", json={"callbackUri": "http://a/b"})).status_code == 404
        assert (await rig.client.get(f"{root}/pm_jobs?filter=nonsense")).status_code == 400


@pytest.mark.feature("A41")
async def test_version_1_has_subscriptions_instead_of_callbacks(rig: Rig, receiver: Receiver) -> None:
    for root, (_, object) in (await objects(rig)).items():
        old, path = root.replace("v2", "v1"), f"/old{root}"
        subscribed = await rig.client.post(
            f"{old}/subscriptions",
            json={
                "callbackUri": receiver.uri(path),
                "filter": {"notificationTypes": ["PerformanceInformationAvailableNotification"]},
            },
        )
        assert subscribed.status_code == 201, subscribed.text
        criteria = {"performanceMetric": [METRIC], "collectionPeriod": 1, "reportingPeriod": 1}
        made = await rig.client.post(f"{old}/pm_jobs", json={"objectInstanceIds": [object], "criteria": criteria})
        assert made.status_code == 201, made.text
        assert not {"objectType", "callbackUri"} & made.json().keys()
        assert (await rig.client.patch(made.headers["Location"], json={})).status_code == 405
        limit = {
            "performanceMetric": METRIC,
            "thresholdType": "SIMPLE",
            "simpleThresholdDetails": {"thresholdValue": 1.5, "hysteresis": 0.5},
        }
        watched = await rig.client.post(f"{old}/thresholds", json={"objectInstanceId": object, "criteria": limit})
        assert watched.json()["criteria"] == limit
        await receiver.until(lambda path=path: bool(notes(receiver, path)))  # type: ignore[misc]
        (note, *_) = notes(receiver, path)
        assert note["subscriptionId"] == subscribed.json()["id"]
        assert note["notificationType"] == "PerformanceInformationAvailableNotification"
        report = await rig.client.get(note["_links"]["performanceReport"]["href"])
        assert report.json()["entries"][0]["performanceMetric"] == METRIC
        # one model: what one version made, the other shows
        assert (await rig.client.get(made.headers["Location"].replace("v1", "v2"))).json()["objectType"] in (
            "Vnf",
            "Ns",
        )
        await rig.client.delete(made.headers["Location"])


@pytest.mark.feature("A39")
async def test_another_tenant_sees_nothing(rig: Rig, receiver: Receiver) -> None:
    (_, vnf) = (await objects(rig))["/vnfpm/v2"]
    made = await rig.client.post("/vnfpm/v2/pm_jobs", json=job(vnf, receiver.uri("/t"), "Vnf"))
    await receiver.until(lambda: bool(notes(receiver, "/t")))
    foreign = await as_client(rig, "other", tenant="elsewhere")
    assert (await rig.client.get("/vnfpm/v2/pm_jobs", headers=foreign)).json() == []
    assert (await rig.client.get(made.headers["Location"], headers=foreign)).status_code == 404
    href = notes(receiver, "/t")[0]["_links"]["performanceReport"]["href"]
    assert (await rig.client.get(href, headers=foreign)).status_code == 404
    theirs = await rig.client.post("/vnfpm/v2/pm_jobs", json=job(vnf, receiver.uri("/o"), "Vnf"), headers=foreign)
    assert theirs.status_code == 422
