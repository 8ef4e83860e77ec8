"""Configuration of VNFs through the API, against the official OpenAPI file of SOL002; a VNF with an interface of its own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.api.rig import Rig
from tests.etsi.test_responses import HOME, Judge
from tests.notifications.receiver import Got, Reply, receiving
from tests.vnfm.builder import csar, vnf_folder

FILE = "nfv-sol002-sol003/SOL002/VNFConfiguration/VNFConfiguration.json"
ROOT = "/vnfconfig/v1"
PATCH = {"Content-Type": "application/merge-patch+json"}

pytestmark = pytest.mark.skipif(not HOME.is_dir(), reason=f"no official OpenAPI files in {HOME} (set SKERRY_ETSI)")


class Rooted(Judge):
    """A judge that knows the apiRoot of each VNF."""

    async def __call__(self, response: Any) -> None:
        path = response.request.url.path
        if path.startswith("/vnf/"):
            response.request.url = response.request.url.copy_with(path="/" + path.split("/", 3)[3])
        await super().__call__(response)


@pytest.fixture
def judge(rig: Rig) -> Judge:
    """The file wants an address beside itself."""
    made = Rooted()
    document = json.loads((HOME / FILE).read_text())
    document["components"]["schemas"]["CpAddress"].pop("anyOf")
    made.documents = {ROOT: document}
    rig.client.event_hooks = {"response": [made]}
    return made


async def package(rig: Rig, id: str, **more: Any) -> None:
    made = (await rig.client.post("/vnfpkgm/v2/vnf_packages", json={})).json()["id"]
    short = {"id": id, "vdus": {"one": {"nics": {"pub": "ext", "inner": "lan"}}}, "links": {"lan": "10.9.0.0/24"}}
    content = csar(vnf_folder({**short, **more})).read_bytes()
    put = await rig.client.put(
        f"/vnfpkgm/v2/vnf_packages/{made}/package_content",
        content=content,
        headers={"Content-Type": "application/zip"},
    )
    assert put.status_code in (202, 204)


@pytest.mark.feature("A39")
async def test_read_and_change_the_configuration_of_a_vnf(rig: Rig, judge: Judge) -> None:
    await package(rig, "plain", properties={"sol002_user": "u", "sol002_password": "very secret", "mode": "calm"})
    vnf = await rig.vnf("plain")
    one = f"/vnf/{vnf}{ROOT}/configuration"
    first = await rig.client.get(one)
    assert first.status_code == 200
    assert "secret" not in first.text
    record = await rig.client.get(f"/vnflcm/v2/vnf_instances/{vnf}")
    assert record.json()["vnfConfigurableProperties"] == {"sol002_user": "u", "mode": "calm"}
    renewed = {"vnfConfigurableProperties": {"sol002_password": "another secret"}}
    patched = await rig.client.patch(f"/vnflcm/v2/vnf_instances/{vnf}", json=renewed)
    await rig.finished(patched)
    operation = await rig.client.get(patched.headers["Location"])
    assert "secret" not in operation.text
    assert "secret" not in (await rig.client.get("/skerry/v1/operations")).text
    shown = first.json()
    (point,) = shown["vnfConfigurationData"]["extCpConfig"]
    assert point["addresses"][0]["address"].keys() == {"macAddress", "ipAddress"}
    assert shown["vnfConfigurationData"]["vnfSpecificData"]["mode"] == "calm"
    (vnfc,) = shown["vnfcConfigurationData"]
    assert [cp["cpdId"] for cp in vnfc["intCpConfig"]] == ["inner"]
    change = {
        "vnfConfigurationData": {"vnfSpecificData": {"mode": "quick"}},
        "vnfcConfigurationData": [{"vnfcInstanceId": "one-0", "vnfcSpecificData": {"x": [1]}}],
    }
    tag = {"If-Match": first.headers["ETag"], **PATCH}
    done = await rig.client.patch(one, content=json.dumps(change), headers=tag)
    assert (done.status_code, done.json()) == (200, change)
    assert (await rig.client.patch(one, content=json.dumps(change), headers=tag)).status_code == 412
    for path in (one, f"{ROOT}/configuration", f"{ROOT}/configuration?vnfInstanceId={vnf}"):
        now = (await rig.client.get(path)).json()
        assert now["vnfConfigurationData"]["vnfSpecificData"]["mode"] == "quick"
        assert now["vnfcConfigurationData"][0]["vnfcSpecificData"] == {"x": [1]}
    gone = await rig.client.patch(one, json={"vnfcConfigurationData": [], "vnfcConfigurationDataDeleteIds": ["one-0"]})
    assert gone.status_code == 200
    assert "vnfcSpecificData" not in (await rig.client.get(one)).json()["vnfcConfigurationData"][0]


@pytest.mark.feature("A39")
async def test_what_cannot_be_configured_is_said(rig: Rig, judge: Judge) -> None:
    assert (await rig.client.get(f"{ROOT}/configuration")).status_code == 404
    await package(rig, "plain")
    vnf = await rig.vnf("plain")
    one = f"/vnf/{vnf}{ROOT}/configuration"
    address = {"cpId": "x", "cpdId": "pub", "addresses": [{"address": {"ipAddress": "10.0.0.1"}}]}
    for wrong in (
        {},
        {"vnfConfigurationData": {"extCpConfig": [address]}},
        {"vnfcConfigurationData": [{"vnfcInstanceId": "nobody", "vnfcSpecificData": {}}]},
        {"vnfConfigurationData": 3},
    ):
        assert (await rig.client.patch(one, json=wrong)).status_code == 422
    assert (await rig.client.get(f"/vnf/nobody{ROOT}/configuration")).status_code == 404
    await rig.vnf("plain")
    assert (await rig.client.get(f"{ROOT}/configuration")).status_code == 400
    assert (await rig.client.get(f"/vnf/{vnf}{ROOT}/api_versions")).status_code == 200


@pytest.mark.feature("A66")
async def test_a_vnf_with_an_interface_of_its_own_is_asked_there(rig: Rig, judge: Judge) -> None:
    async with receiving() as element:
        state: dict[str, Any] = {"vnfConfigurationData": {"vnfSpecificData": {"mode": "its own"}}}

        def answer(got: Got) -> Reply:
            if got.method == "PATCH" and b"bad" in got.body:
                return Reply(422, b'{"status": 422, "detail": "bad indeed"}')
            body = got.body if got.method == "PATCH" else json.dumps(state).encode()
            return Reply(200, body, (("content-type", "application/json"),))

        element.answer = answer
        await package(rig, "talking", properties={"sol002_endpoint": element.uri("/element")})
        vnf = await rig.vnf("talking")
        one = f"/vnf/{vnf}{ROOT}/configuration"
        assert (await rig.client.get(one)).json() == state
        change = {"vnfConfigurationData": {"vnfSpecificData": {"mode": "other"}}}
        assert (await rig.client.patch(one, json=change)).json() == change
        assert [(got.method, got.path) for got in element.got] == [
            ("GET", f"/element{ROOT}/configuration"),
            ("PATCH", f"/element{ROOT}/configuration"),
        ]
        refused = await rig.client.patch(one, json={"vnfConfigurationData": {"vnfSpecificData": {"mode": "bad"}}})
        assert refused.status_code == 422
        assert "bad indeed" in refused.json()["detail"]
    assert (await rig.client.get(one)).status_code == 503
