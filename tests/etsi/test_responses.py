"""Every answer of the ETSI resources, on one journey through the life of packages, VNFs and NSs, is checked against the
official OpenAPI files (V3.7.1): its status must be described there and its body must fit the schema."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

import httpx
import jsonschema  # type: ignore[import-untyped]
import pytest

from skerry.api.app import APIS
from tests.api.rig import VNFD, Rig

HOME = Path(os.environ.get("SKERRY_ETSI") or Path(__file__).parents[2].parent / "shared" / "etsi") / "openapi"
FILES = {
    "/nsd/v2": "nfv-sol005/SOL005/NSDManagement/NSDManagement.json",
    "/vnfpkgm/v2": "nfv-sol005/SOL005/VNFPackageManagement/VNFPackageManagement.json",
    "/nslcm/v2": "nfv-sol005/SOL005/NSLifecycleManagement/NSLifecycleManagement.json",
    "/vnflcm/v2": "nfv-sol002-sol003/SOL003/VNFLifecycleManagement/VNFLifecycleManagement.json",
}
MISPLACED = ("/nslcm/v1/ns_lcm_op_occs/{nsLcmOpOccId}/fail", "/nslcm/v1/ns_lcm_op_occs/{nsLcmOpOccId}/cancel")
"""Paths that the official file of NS LCM writes with the root of another version."""

SINGLE = {("GET", "/vnf_lcm_op_occs")}
"""Lists whose official description has the schema of one entry."""

PLURAL = {("GET", "/vnf_snapshots/{vnfSnapshotInfoId}")}
"""Single resources whose official description has the schema of a list."""

CONFLICTS = {
    ("PATCH", "/alarms/{alarmId}"),  # it has that state already (SOL003 7.4.3.3.4)
    ("POST", "/vnf_instances"),  # of a disabled package (SOL003 5.4.2.3.1)
    ("PATCH", "/pnf_descriptors/{pnfdInfoId}"),
    ("DELETE", "/pnf_descriptors/{pnfdInfoId}"),  # in use (SOL005 5.4.7.3.5)
}
"""Requests whose conflicts are in the text of the specifications and forgotten in the official files."""

EMPTY = {("PATCH", "/vnf_instances/{vnfInstanceId}"): "the text says that the body is empty, the file gives a schema"}
"""Answers whose body the official file describes against its own text."""

pytestmark = pytest.mark.skipif(not HOME.is_dir(), reason=f"no official OpenAPI files in {HOME} (set SKERRY_ETSI)")


class Judge:
    """Checks answers against the official files, and remembers which of their operations it has seen."""

    def __init__(self) -> None:
        self.documents = {root: json.loads((HOME / file).read_text()) for root, file in FILES.items()}
        self.seen: set[tuple[str, str, str]] = set()

    async def __call__(self, response: httpx.Response) -> None:
        """Look at one answer (an event hook of httpx)."""
        path = response.request.url.path
        root = next((root for root in self.documents if path.startswith(root + "/")), "")
        if not root:
            return
        template, operation = self.described(root, path.removeprefix(root), response.request.method)
        self.seen.add((root, response.request.method, template))
        described = operation["responses"].get(str(response.status_code))
        forgotten = response.status_code == 409 and (response.request.method, template) in CONFLICTS
        assert described is not None or forgotten or response.status_code in (413, 415), (
            f"{response.status_code} of {path} is not described"
        )
        body = await response.aread()
        schema = ((described or {}).get("content") or {}).get("application/json", {}).get("schema")
        if (response.request.method, template) in SINGLE:
            schema = {"type": "array", "items": schema}
        if (response.request.method, template) in PLURAL:
            schema = schema["items"]
        if schema is None:
            return
        if not body:
            assert (response.request.method, template) in EMPTY, f"the answer of {path} must have a body"
            return
        self._check(root, schema, json.loads(body), path)

    def described(self, root: str, path: str, method: str) -> tuple[str, dict[str, Any]]:
        """The template of a path and what the official file says of the method."""
        for template, methods in self.documents[root]["paths"].items():
            own = template.removeprefix("/nslcm/v1") if template in MISPLACED else template
            pattern = re.sub(r"\{artifactPath\}", ".+", own)
            if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", pattern), path) and method.lower() in methods:
                return own, methods[method.lower()]
        raise AssertionError(f"{method} {root}{path} is in no official file")

    def _check(self, root: str, schema: dict[str, Any], value: Any, path: str) -> None:
        whole = {**schema, "components": self.documents[root]["components"]}
        faults = sorted(jsonschema.Draft202012Validator(whole).iter_errors(value), key=lambda fault: list(fault.path))
        told = "\n".join(f"{'/'.join(map(str, fault.path))}: {fault.message[:300]}" for fault in faults)
        assert not faults, f"{path}:\n{told}"


@pytest.fixture
def judge(rig: Rig) -> Judge:
    made = Judge()
    rig.client.event_hooks = {"response": [made]}
    return made


def test_every_resource_is_official() -> None:
    """What is served under an ETSI name is in the official file of that name, with the same methods."""
    judge = Judge()
    for api in APIS:
        if (root := api.root(2)) not in judge.documents:
            continue
        for endpoint in api.endpoints:
            path = re.sub(r"\{\w+(:path)?\}", "x", endpoint.path)
            judge.described(root, path, endpoint.method)


@pytest.mark.feature("A23", "A25")
async def test_packages(rig: Rig, judge: Judge) -> None:
    root = "/vnfpkgm/v2/vnf_packages"
    id = await rig.onboard("server")
    for path in ("", f"/{id}", f"/{id}/vnfd", f"/{id}/manifest", f"/{id}/package_content", "?all_fields"):
        assert (await rig.client.get(f"{root}{path}")).status_code == 200
    artifact = (await rig.client.get(f"{root}/{id}")).json()["additionalArtifacts"][0]["artifactPath"]
    assert (await rig.client.get(f"{root}/{id}/artifacts/{artifact}")).status_code == 200
    part = await rig.client.get(f"{root}/{id}/package_content", headers={"Range": "bytes=0-9"})
    assert part.status_code == 206
    assert part.content == rig.archive("server").read_bytes()[:10]
    assert (await rig.client.delete(f"{root}/{id}")).status_code == 409
    assert (await rig.client.patch(f"{root}/{id}", json={"operationalState": "DISABLED"})).status_code == 200
    assert (await rig.client.patch(f"{root}/{id}", json={"userDefinedData": {"a": "b"}})).status_code == 200
    assert (await rig.client.delete(f"{root}/{id}")).status_code == 204
    assert (await rig.client.get(f"{root}/{id}")).status_code == 404
    created = (await rig.client.post(root, json={})).json()["id"]
    assert (await rig.client.get(f"{root}/{created}/package_content")).status_code == 409
    assert (await rig.client.get("/vnfpkgm/v2/api_versions")).status_code == 200


@pytest.mark.feature("A23", "A47")
async def test_ns_descriptors(rig: Rig, judge: Judge) -> None:
    root = "/nsd/v2/ns_descriptors"
    id = await rig.onboard_all()
    for path in ("", f"/{id}", f"/{id}/nsd", f"/{id}/nsd_content", f"/{id}/manifest", "?all_fields"):
        assert (await rig.client.get(f"{root}{path}")).status_code == 200
    shown = (await rig.client.get(f"{root}/{id}")).json()
    assert len(shown["vnfPkgIds"]) == 2
    assert (await rig.client.patch(f"{root}/{id}", json={"nsdOperationalState": "DISABLED"})).status_code == 200
    assert (await rig.client.patch(f"{root}/{id}", json={"userDefinedData": [{"a": "b"}]})).status_code == 200
    assert (await rig.client.delete(f"{root}/{id}")).status_code == 204
    assert (await rig.client.get(f"{root}/{id}")).status_code == 404
    assert (await rig.client.get("/nsd/v2/api_versions")).status_code == 200


@pytest.mark.feature("A27", "A59")
async def test_vnf_life(rig: Rig, judge: Judge) -> None:
    root = "/vnflcm/v2"
    await rig.onboard("server")
    id = await rig.vnf()
    one = f"{root}/vnf_instances/{id}"
    shown = (await rig.client.get(one)).json()
    assert shown["instantiatedVnfInfo"]["extCpInfo"]
    assert (await rig.client.get(f"{root}/vnf_instances?all_fields")).json()[0]["instantiatedVnfInfo"]
    assert "instantiatedVnfInfo" not in (await rig.client.get(f"{root}/vnf_instances")).json()[0]
    await rig.finished(await rig.client.post(f"{one}/operate", json={"changeStateTo": "STOPPED"}))
    await rig.finished(await rig.client.post(f"{one}/operate", json={"changeStateTo": "STARTED"}))
    await rig.finished(await rig.client.post(f"{one}/heal", json={"cause": "a test"}))
    snapshots = "/vnflcm/v2/vnf_snapshots"
    made = (await rig.client.post(snapshots, json={})).headers["Location"]
    named = {"vnfSnapshotInfoId": made.rpartition("/")[2]}
    await rig.finished(await rig.client.post(f"{one}/create_snapshot", json={**named, "userDefinedData": {"a": 1}}))
    taken = (await rig.client.get(made)).json()
    assert [vnfc["id"] for vnfc in taken["vnfSnapshot"]["vnfcSnapshots"]] == ["server-0"]
    assert "vnfSnapshot" not in (await rig.client.get(snapshots)).json()[0]
    await change_snapshot(rig, made)
    done = await rig.finished(await rig.client.post(f"{one}/revert_to_snapshot", json=named))
    assert (done["operation"], done["operationState"]) == ("REVERT_TO_SNAPSHOT", "COMPLETED")
    assert (await rig.client.delete(made)).status_code == 409
    await rig.finished(await rig.client.patch(one, json={"vnfInstanceName": "two"}))
    assert (await rig.client.get(one)).json()["vnfInstanceName"] == "two"
    assert (await rig.client.delete(one)).status_code == 409
    done = await rig.finished(await rig.client.post(f"{one}/terminate", json={"terminationType": "FORCEFUL"}))
    assert (await rig.client.post(f"{root}/vnf_lcm_op_occs/{done['id']}/retry")).status_code == 409
    assert (await rig.client.post(f"{root}/vnf_lcm_op_occs/{done['id']}/rollback")).status_code == 409
    assert (await rig.client.post(f"{root}/vnf_lcm_op_occs/{done['id']}/fail")).status_code == 409
    cancel = await rig.client.post(f"{root}/vnf_lcm_op_occs/{done['id']}/cancel", json={"cancelMode": "GRACEFUL"})
    assert cancel.status_code == 409
    assert len((await rig.client.get(f"{root}/vnf_lcm_op_occs?all_fields")).json()) == 8
    assert (await rig.client.get(f"{root}/vnf_lcm_op_occs")).status_code == 200
    assert (await rig.client.delete(one)).status_code == 204
    assert (await rig.client.get(one)).status_code == 404


async def change_snapshot(rig: Rig, one: str) -> None:
    """What a client may change of a finished snapshot, and the state that it holds."""
    read = await rig.client.get(one)
    tag, taken = read.headers["etag"], read.json()["vnfSnapshot"]
    change = {"vnfSnapshotPkgId": "pkg-1", "vnfSnapshot": {**taken, "userDefinedData": {"a": 2}}}
    done = await rig.client.patch(one, json=change, headers={"If-Match": tag})
    assert (done.status_code, done.json()["vnfSnapshotPkgId"]) == (200, "pkg-1")
    assert done.json()["vnfSnapshot"]["userDefinedData"] == {"a": 2}
    assert (await rig.client.patch(one, json=change, headers={"If-Match": tag})).status_code == 412
    assert (await rig.client.get(one)).json()["vnfSnapshotPkgId"] == "pkg-1"
    refused = await rig.client.patch(one, json={"vnfSnapshot": {**taken, "vnfdId": "another"}})
    assert (refused.status_code, "/vnfSnapshot/vnfdId" in refused.text) == (409, True)
    whole = await rig.client.get(taken["_links"]["vnfStateSnapshot"]["href"])
    told = taken["vnfStateSnapshotInfo"]["checksum"]
    assert (told["algorithm"], told["hash"]) == ("sha-256", hashlib.sha256(whole.content).hexdigest())
    assert whole.json()["state"]["vnfcs"] == {"server": ["server-0"]}
    piece = await rig.client.get(f"{one}/vnf_state_snapshot", headers={"Range": "bytes=2-5"})
    assert (piece.status_code, piece.content) == (206, whole.content[2:6])
    empty = (await rig.client.post(one.rpartition("/")[0], json={})).headers["Location"]
    assert (await rig.client.get(f"{empty}/vnf_state_snapshot")).status_code == 404
    assert (await rig.client.patch(empty, json={"vnfSnapshot": taken})).status_code == 409
    assert (await rig.client.patch(empty, json={"vnfSnapshotPkgId": "pkg-2"})).status_code == 200
    assert (await rig.client.delete(empty)).status_code == 204


@pytest.mark.feature("A26", "A27", "A28")
async def test_ns_life(rig: Rig, judge: Judge) -> None:
    root = "/nslcm/v2"
    await rig.onboard_all()
    nsd = (await rig.client.get("/nsd/v2/ns_descriptors")).json()[0]["nsdId"]
    body = {"nsdId": nsd, "nsName": "sip", "nsDescription": "calls"}
    created = await rig.client.post(f"{root}/ns_instances", json=body)
    assert created.status_code == 201
    one = created.headers["Location"]
    done = await rig.finished(await rig.client.post(f"{one}/instantiate", json={"nsFlavourId": "default"}))
    assert done["operationState"] == "COMPLETED", done
    shown = (await rig.client.get(one)).json()
    assert {vnf["vnfProductName"] for vnf in shown["vnfInstance"]} == {"sipp-server", "sipp-client"}
    assert (await rig.client.get(f"{root}/ns_instances?all_fields")).status_code == 200
    vnf = shown["vnfInstance"][0]["id"]
    stop = {"updateType": "OPERATE_VNF", "operateVnfData": [{"vnfInstanceId": vnf, "changeStateTo": "STOPPED"}]}
    await rig.finished(await rig.client.post(f"{one}/update", json=stop))
    await rig.finished(
        await rig.client.post(f"{one}/heal", json={"healVnfData": [{"vnfInstanceId": vnf, "cause": "test"}]})
    )
    ended = await rig.finished(await rig.client.post(f"{one}/terminate", json={}))
    for verb in ("retry", "rollback", "continue", "fail"):
        assert (await rig.client.post(f"{root}/ns_lcm_op_occs/{ended['id']}/{verb}")).status_code == 409
    assert (await rig.client.get(f"{root}/ns_lcm_op_occs")).status_code == 200
    assert (await rig.client.delete(one)).status_code == 204
    assert (await rig.client.get(one)).status_code == 404


async def test_refusals_are_problem_details(rig: Rig, judge: Judge) -> None:
    anonymous = await rig.client.get("/vnflcm/v2/vnf_instances", headers={"Authorization": ""})
    assert anonymous.status_code == 401
    assert (await rig.client.get("/nslcm/v2/ns_instances", headers={"Accept": "text/html"})).status_code == 406
    malformed = await rig.client.post(
        "/vnflcm/v2/vnf_instances", content=b"{", headers={"Content-Type": "application/json"}
    )
    assert malformed.status_code == 400
    missing = await rig.client.post("/vnflcm/v2/vnf_instances", json={"vnfdId": VNFD})
    assert missing.status_code == 422
    assert missing.headers["content-type"] == "application/problem+json"
