"""Whatever is sent to whatever is served, the answer is never an internal error."""

from __future__ import annotations

import re

import pytest

from skerry.api.app import APIS
from skerry.api.route import JSON, Endpoint
from tests.api.rig import VNFD, Rig

BODIES = [
    b"",
    b"null",
    b"[]",
    b"0",
    b'"text"',
    b"{}",
    b"{",
    b'{"a": 1, "a": 2}',
    b"\xff\xfe",
    b'{"vnfInstanceName": "\xff", "userDefinedData": {"a": "\xff"}}',
    b"[" * 5000 + b"]" * 5000,
    b'{"a":' * 5000 + b"1" + b"}" * 5000,
    b'{"vnfdId": null, "nsdId": 1e400, "params": [], "kind": {}}',
    b'{"vnfdId": "../../etc/passwd", "nsdId": "\\u0000", "flavourId": "\\ud800"}',
    b'{"userDefinedData": [], "nsdOperationalState": "enabled", "operationalState": 1}',
    b'{"vimConnectionInfo": [{"vimType": "x"}], "flavourId": "default"}',
    b'{"scaleInfo": [{"aspectId": "a", "scaleToLevel": "high"}]}',
    b'{"scaleInfo": [{"aspectId": "a", "scaleToLevel": 99999999999999999999999}]}',
    b'{"type": "SCALE_OUT", "aspectId": "none", "numberOfSteps": 9999999999}',
    b'{"changeStateTo": "STOPPED", "vnfcInstanceId": ["none"]}',
    b'{"terminationType": "GRACEFUL", "gracefulTerminationTimeout": -1}',
    b'{"scaleType": "SCALE_NS", "scaleNsData": {}}',
    b'{"updateType": "REMOVE_VNF", "removeVnfInstanceId": ["none"]}',
    b'{"healNsData": {"degreeHealing": "HEAL_QOS"}}',
    b'{"nsFlavourId": "none", "locationConstraints": [{"vnfProfileId": "x"}], "additionalParamsForNs": {"placement": 7}}',
    b'{"argv": ["\\u0000"]}',
    b'{"id": "../x", "vim_type": "SIMULATED", "settings": {"vcpus": "many"}}',
    b'{"cancelMode": "SOFT"}',
]
QUERIES = [
    "",
    "?filter=(((",
    "?fields=a/b/c,,/",
    "?nextpage_opaque_marker=%00%ff",
    "?since=-1&wait=x&tail=-5&last=z&limit=1e9",
]


def endpoints() -> list[tuple[str, Endpoint]]:
    return [(api.root(major), one) for api in APIS for major in api.versions for one in api.served(major)]


def path_of(root: str, endpoint: Endpoint, ids: dict[str, str]) -> str:
    return root + re.sub(r"\{(\w+)(:path)?\}", lambda found: ids.get(found[1], "none"), endpoint.path)


@pytest.mark.feature("A47")
async def test_bodies(rig: Rig) -> None:
    await rig.onboard_all()
    vnf = (await rig.client.post("/vnflcm/v2/vnf_instances", json={"vnfdId": VNFD})).json()["id"]
    nsd = (await rig.client.get("/nsd/v2/ns_descriptors")).json()[0]["nsdId"]
    ns = (
        await rig.client.post("/nslcm/v2/ns_instances", json={"nsdId": nsd, "nsName": "", "nsDescription": ""})
    ).json()["id"]
    ids = {"vnfInstanceId": vnf, "nsInstanceId": ns, "vnfId": vnf}
    for root, endpoint in endpoints():
        if endpoint.body is None or JSON not in endpoint.accepts:
            continue
        for sent in BODIES:
            answer = await rig.client.request(
                endpoint.method, path_of(root, endpoint, ids), content=sent, headers={"Content-Type": JSON}
            )
            assert answer.status_code < 500, (endpoint.path, sent[:80], answer.text)


async def test_queries(rig: Rig) -> None:
    await rig.onboard("server")
    for root, endpoint in endpoints():
        if endpoint.method != "GET":
            continue
        for query in QUERIES:
            answer = await rig.client.get(path_of(root, endpoint, {}) + query)
            assert answer.status_code < 500, (endpoint.path, query, answer.text)


@pytest.mark.parametrize(
    "path", ["../../../etc/passwd", "%2e%2e/%2e%2e/etc/passwd", "/etc/passwd", "a%00b", "TOSCA-Metadata"]
)
async def test_artifact_paths(rig: Rig, path: str) -> None:
    id = await rig.onboard("server")
    answer = await rig.client.get(f"/vnfpkgm/v2/vnf_packages/{id}/artifacts/{path}")
    assert answer.status_code in (401, 404), answer.text
