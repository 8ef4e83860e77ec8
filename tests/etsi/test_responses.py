"""Every answer of the ETSI resources, on one journey through the life of packages, VNFs and NSs, is checked against the
official OpenAPI files (V3.7.1): its status must be described there and its body must fit the schema."""

from __future__ import annotations

import hashlib
import re
import shutil
from typing import Any

import pytest

from skerry.api.app import APIS
from skerry.packages import build
from tests.api.rig import EXAMPLES, VNFD, Rig
from tests.etsi.judge import HOME, Judge

pytestmark = pytest.mark.skipif(not HOME.is_dir(), reason=f"no official OpenAPI files in {HOME} (set SKERRY_ETSI)")


@pytest.fixture
def judge(rig: Rig) -> Judge:
    made = Judge()
    rig.client.event_hooks = {"response": [made]}
    return made


def test_every_resource_is_official() -> None:
    """What is served under an ETSI name is in the official file of that name, with the same methods."""
    judge = Judge()
    for api in APIS:
        root = api.root(max(api.versions))
        for endpoint in api.served(max(api.versions)) if root in judge.documents else ():
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


async def upgraded(rig: Rig) -> str:
    """Onboard the server again as another version; its VNFD."""
    folder = rig.folder / "newer"
    shutil.copytree(EXAMPLES / "server", folder)
    other = VNFD.replace("5b0d", "6c1e")
    for file in folder.rglob("*.yaml"):
        file.write_text(file.read_text().replace(VNFD, other))
    created = (await rig.client.post("/vnfpkgm/v2/vnf_packages", json={})).json()["id"]
    put = await rig.client.put(
        f"/vnfpkgm/v2/vnf_packages/{created}/package_content",
        content=build(folder, rig.folder / "newer.csar").read_bytes(),
        headers={"Content-Type": "application/zip"},
    )
    assert put.status_code == 202, put.text
    return other


@pytest.mark.feature("A27", "A29")
async def test_updates_of_a_service_that_change_its_vnfs(rig: Rig, judge: Judge) -> None:
    """Snapshots, going back to one, removing it, and another package: each is an update of the NS."""
    root = "/nslcm/v2"
    await rig.onboard_all()
    nsd = (await rig.client.get("/nsd/v2/ns_descriptors")).json()[0]["nsdId"]
    body = {"nsdId": nsd, "nsName": "sip", "nsDescription": "calls"}
    one = (await rig.client.post(f"{root}/ns_instances", json=body)).headers["Location"]
    await rig.finished(await rig.client.post(f"{one}/instantiate", json={"nsFlavourId": "default"}))
    shown = (await rig.client.get(one)).json()
    vnf = next(vnf for vnf in shown["vnfInstance"] if vnf["vnfProductName"] == "sipp-server")["id"]

    async def update(kind: str, name: str, data: Any) -> dict[str, Any]:
        answer = await rig.client.post(f"{one}/update", json={"updateType": kind, name: data})
        done = await rig.finished(answer)
        assert done["operationState"] == "COMPLETED", done.get("error")
        return done

    taken = {"vnfInstanceId": vnf, "userDefinedData": {"a": 1}}
    await update("CREATE_VNF_SNAPSHOT", "createSnapshotData", taken)
    (snapshot,) = (await rig.client.get(f"{root}/vnf_snapshots?all_fields")).json()
    named = {"vnfInstanceId": vnf, "vnfSnapshotInfoId": snapshot["id"]}
    assert snapshot["vnfSnapshot"]["userDefinedData"] == {"a": 1}
    await update("REVERT_VNF_TO_SNAPSHOT", "revertVnfToSnapshotData", named)
    assert (await rig.client.delete(f"{root}/vnf_snapshots/{snapshot['id']}")).status_code == 409
    again = await rig.client.post(f"{one}/heal", json={"healVnfData": [{"vnfInstanceId": vnf, "cause": "test"}]})
    assert (await rig.finished(again))["operationState"] == "COMPLETED"
    await update("CREATE_VNF_SNAPSHOT", "createSnapshotData", taken)
    newer = next(
        one["id"] for one in (await rig.client.get(f"{root}/vnf_snapshots")).json() if one["id"] != snapshot["id"]
    )
    await update("DELETE_VNF_SNAPSHOT_INFO", "deleteVnfSnapshotData", {**named, "vnfSnapshotInfoId": newer})
    assert (await rig.client.get(f"{root}/vnf_snapshots/{newer}")).status_code == 404
    wrong = {"updateType": "CHANGE_VNFPKG", "changeVnfPackageData": [{"vnfInstanceId": vnf, "vnfdId": "none"}]}
    refused = await rig.finished(await rig.client.post(f"{one}/update", json=wrong))
    assert refused["operationState"] != "COMPLETED"
    await rig.client.post(f"{root}/ns_lcm_op_occs/{refused['id']}/rollback")
    await rig.node.engine.wait(refused["id"], 10)
    newer_vnfd = await upgraded(rig)
    await update("CHANGE_VNFPKG", "changeVnfPackageData", [{"vnfInstanceId": vnf, "vnfdId": newer_vnfd}])
    shown = (await rig.client.get(one)).json()
    assert newer_vnfd in {vnf["vnfdId"] for vnf in shown["vnfInstance"]}
    same = [{"vnfInstanceId": vnf, "newFlavourId": "default"}]
    body = {"updateType": "CHANGE_VNF_DF", "changeVnfFlavourData": same}
    refused = await rig.finished(await rig.client.post(f"{one}/update", json=body))
    assert "has flavour 'default' already" in refused["error"]["detail"]
    empty = await rig.client.post(f"{one}/update", json={"updateType": "CHANGE_VNFPKG"})
    assert empty.status_code == 422


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
