"""Every notification of a journey through the life of packages, VNFs and NSs is checked against the official OpenAPI files
(V3.7.1), and so is every answer about subscriptions."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from tests.api.rig import Rig
from tests.etsi.test_responses import HOME, Judge
from tests.notifications.receiver import Receiver, receiving

SOL003 = "nfv-sol002-sol003/SOL003"
SOL005 = "nfv-sol005/SOL005"
FILES = {
    "vnflcm": f"{SOL003}/VNFLifecycleManagementNotification/VNFLifecycleManagementNotification.json",
    "nslcm": f"{SOL005}/NSLifecycleManagementNotification/NSLifecycleManagementNotification.json",
    "nsd": f"{SOL005}/NSDManagementNotification/NSDManagementNotification.json",
    "vnfpkgm": f"{SOL005}/VNFPackageManagementNotification/VNFPackageManagementNotification.json",
}
SPELT = {"NsdOnboardingFailureNotification": "NsdOnBoardingFailureNotification"}
"""Types whose path in the official file is spelt otherwise than their value."""

pytestmark = pytest.mark.skipif(not HOME.is_dir(), reason=f"no official OpenAPI files in {HOME} (set SKERRY_ETSI)")


@pytest.fixture
async def receiver() -> AsyncGenerator[Receiver]:
    async with receiving() as made:
        yield made


def faults(api: str, body: dict[str, Any]) -> list[str]:
    """What the official file finds wrong with a notification."""
    document = json.loads((HOME / FILES[api]).read_text())
    kind = SPELT.get(body["notificationType"], body["notificationType"])
    (path,) = [path for path in document["paths"] if path.endswith("-" + kind)]
    schema = document["paths"][path]["post"]["requestBody"]
    while "$ref" in schema:
        target: Any = document
        for part in schema["$ref"].split("/")[1:]:
            target = target[part]
        schema = target
    told = {**schema["content"]["application/json"]["schema"], "components": document["components"]}
    if kind == "NsChangeNotification":
        # the file gives the names of operations as the values of their status, and requires half a name
        status = body.pop("lcmOpOccStatusImpactingNsComponent")
        assert status in ("START", "COMPLETED", "PARTIALLY_COMPLETED", "FAILED", "ROLLED_BACK")
        body |= {"lcmOpOccStatusImpactingNsComponent": "VNF_SCALE", "lcmOpOccStatusImpactingNsCompon": ""}
    validator = jsonschema.Draft202012Validator(told)
    return [f"{kind} {'/'.join(map(str, fault.path))}: {fault.message[:300]}" for fault in validator.iter_errors(body)]


@pytest.mark.parametrize("api", FILES)
def test_the_judge_notices(api: str) -> None:
    document = json.loads((HOME / FILES[api]).read_text())
    for path in document["paths"]:
        kind = path.rpartition("-")[2]
        if kind.startswith(("Vnf", "Ns")) and "Shortage" not in kind and kind != "NsChangeNotification":
            assert faults(api, {"notificationType": kind})


@pytest.mark.feature("A41", "A66")
async def test_every_notification_fits(rig: Rig, receiver: Receiver) -> None:
    for api in FILES:
        made = await rig.client.post(f"/{api}/v2/subscriptions", json={"callbackUri": receiver.uri(f"/{api}")})
        assert made.status_code == 201, made.text
    broken = (await rig.client.post("/nsd/v2/ns_descriptors", json={})).json()["id"]
    content = {"content": b"nonsense", "headers": {"Content-Type": "application/zip"}}
    await rig.client.put(f"/nsd/v2/ns_descriptors/{broken}/nsd_content", **content)
    nsd = await rig.onboard_all()
    nsd_id = (await rig.client.get(f"/nsd/v2/ns_descriptors/{nsd}")).json()["nsdId"]
    created = await rig.client.post(
        "/nslcm/v2/ns_instances", json={"nsdId": nsd_id, "nsName": "x", "nsDescription": ""}
    )
    ns = f"/nslcm/v2/ns_instances/{created.json()['id']}"
    await rig.finished(await rig.client.post(f"{ns}/instantiate", json={"nsFlavourId": "default"}))
    vnf = (await rig.client.get(ns)).json()["vnfInstance"][0]["id"]
    await rig.finished(await rig.client.post(f"/vnflcm/v2/vnf_instances/{vnf}/heal", json={"cause": "a test"}))
    patched = await rig.client.patch(f"/vnflcm/v2/vnf_instances/{vnf}", json={"vnfInstanceName": "two"})
    await rig.finished(patched)
    await rig.finished(await rig.client.post(f"{ns}/terminate", json={}))
    assert (await rig.client.delete(ns)).status_code == 204
    await rig.client.patch(f"/nsd/v2/ns_descriptors/{nsd}", json={"nsdOperationalState": "DISABLED"})
    assert (await rig.client.delete(f"/nsd/v2/ns_descriptors/{nsd}")).status_code == 204
    package = (await rig.client.get("/vnfpkgm/v2/vnf_packages")).json()[0]["id"]
    await rig.client.patch(f"/vnfpkgm/v2/vnf_packages/{package}", json={"operationalState": "DISABLED"})
    assert (await rig.client.delete(f"/vnfpkgm/v2/vnf_packages/{package}")).status_code == 204
    await receiver.until(lambda: any(got.body and got.json.get("changeType") == "PKG_DELETE" for got in receiver.got))
    await receiver.until(lambda: any(b"NsIdentifierDeletionNotification" in got.body for got in receiver.got))
    told = [(got.path[1:], got.json) for got in receiver.got if got.body]
    assert [fault for api, body in told for fault in faults(api, body)] == []
    assert {body["notificationType"] for _, body in told} >= {
        "VnfLcmOperationOccurrenceNotification",
        "VnfIdentifierCreationNotification",
        "VnfIdentifierDeletionNotification",
        "NsLcmOperationOccurrenceNotification",
        "NsIdentifierCreationNotification",
        "NsIdentifierDeletionNotification",
        "NsChangeNotification",
        "NsdOnBoardingNotification",
        "NsdOnboardingFailureNotification",
        "NsdChangeNotification",
        "NsdDeletionNotification",
        "VnfPackageOnboardingNotification",
        "VnfPackageChangeNotification",
    }
    changed = [body for _, body in told if body.get("affectedVnf")]
    assert changed
    assert any(body.get("affectedVnfcs") for _, body in told)
    assert any(body.get("changedInfo") for _, body in told)


@pytest.mark.parametrize("api", FILES)
async def test_answers_about_subscriptions_fit(rig: Rig, receiver: Receiver, api: str) -> None:
    rig.client.event_hooks = {"response": [Judge()]}
    root = f"/{api}/v2/subscriptions"
    body = {
        "callbackUri": receiver.uri(),
        "authentication": {"authType": ["BASIC"], "paramsBasic": {"userName": "u", "password": "p"}},
    }
    made = await rig.client.post(root, json=body)
    assert made.status_code == 201
    assert (await rig.client.post(root, json=body)).status_code == 303
    assert (await rig.client.post(root, json={})).status_code == 422
    assert (await rig.client.post(root, content=b"{", headers={"Content-Type": "application/json"})).status_code == 400
    assert len((await rig.client.get(root)).json()) == 1
    assert (await rig.client.get(root, params={"filter": "nonsense"})).status_code == 400
    assert (await rig.client.get(made.headers["location"])).status_code == 200
    assert (await rig.client.delete(made.headers["location"])).status_code == 204
    assert (await rig.client.get(made.headers["location"])).status_code == 404
