"""VNF snapshot packages: built of a snapshot, downloaded, uploaded or fetched elsewhere, and made a snapshot again."""

from __future__ import annotations

import asyncio
import json
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.rig import Rig, running
from tests.api.test_access import as_client
from tests.notifications.receiver import Reply, receiving

ROOT = "/vnfsnapshotpkgm/v1/vnf_snapshot_packages"
ZIP = {"Content-Type": "application/zip"}


async def snapshot(rig: Rig, vnf: str) -> str:
    """A finished snapshot of a VNF."""
    made = await rig.client.post("/vnflcm/v2/vnf_snapshots", json={})
    id = made.headers["Location"].rpartition("/")[2]
    task = f"/vnflcm/v2/vnf_instances/{vnf}/create_snapshot"
    done = await rig.finished(await rig.client.post(task, json={"vnfSnapshotInfoId": id, "userDefinedData": {"a": 1}}))
    assert done["operationState"] == "COMPLETED", done
    return id


async def created(rig: Rig, name: str = "one") -> str:
    made = await rig.client.post(ROOT, json={"name": name})
    assert made.status_code == 201, made.text
    assert made.json()["state"] == "CREATED"
    return str(made.headers["location"])


async def state(rig: Rig, one: str) -> dict[str, Any]:
    return dict((await rig.client.get(one)).json())


async def done(rig: Rig, one: str) -> dict[str, Any]:
    """The package once nothing is under way for it."""
    await rig.node.snapshot_packages.settled(one.rpartition("/")[2])
    return await state(rig, one)


async def empty_record(rig: Rig) -> str:
    made = await rig.client.post("/vnflcm/v2/vnf_snapshots", json={})
    return str(made.headers["Location"].rpartition("/")[2])


async def built(rig: Rig, **asked: Any) -> tuple[str, str, str]:
    """VNF, its snapshot and a package of it."""
    await rig.onboard("server")
    vnf = await rig.vnf()
    taken = await snapshot(rig, vnf)
    one = await created(rig)
    answer = await rig.client.post(f"{one}/package_content/build", json={"vnfSnapshotInfoId": taken, **asked})
    assert answer.status_code == 202, answer.text
    await done(rig, one)
    return vnf, taken, one


@pytest.mark.feature("A29")
async def test_a_snapshot_goes_out_and_comes_back(rig: Rig) -> None:
    vnf, taken, one = await built(rig)
    shown = await state(rig, one)
    assert (shown["state"], shown["isFullSnapshot"], shown["vnfSnapshotId"]) == ("AVAILABLE", True, taken)
    content = (await rig.client.get(f"{one}/package_content")).content
    record = (await rig.client.get(f"{one}/artifacts/{shown['vnfsr']['recordPath']}")).json()
    assert record["vnf_instance_id"] == vnf
    part = await rig.client.get(f"{one}/artifacts/snapshot.json", headers={"Range": "bytes=0-3"})
    assert (part.status_code, len(part.content)) == (206, 4)
    beyond = await rig.client.get(f"{one}/artifacts/snapshot.json", headers={"Range": "bytes=99999999-"})
    assert beyond.status_code == 416
    other = await created(rig, "again")
    assert (await rig.client.put(f"{other}/package_content", content=content, headers=ZIP)).status_code == 202
    empty = (await rig.client.post("/vnflcm/v2/vnf_snapshots", json={})).headers["Location"].rpartition("/")[2]
    answer = await rig.client.post(f"{other}/package_content/extract", json={"vnfSnapshotInfoId": empty})
    assert answer.status_code == 202
    assert (await done(rig, other))["state"] == "AVAILABLE"
    back = await rig.client.post(
        f"/vnflcm/v2/vnf_instances/{vnf}/revert_to_snapshot", json={"vnfSnapshotInfoId": empty}
    )
    assert (await rig.finished(back))["operationState"] == "COMPLETED"
    again = await rig.client.post(f"{other}/package_content/extract", json={"vnfSnapshotInfoId": empty})
    assert again.status_code == 409, "it is filled already"
    for package in (one, other):
        assert (await rig.client.delete(package)).status_code == 204
        assert (await rig.client.get(package)).status_code == 404


async def test_an_image_that_is_gone_is_told(rig: Rig) -> None:
    _, taken, one = await built(rig)
    bare = forged((await rig.client.get(f"{one}/package_content")).content, bare=True)
    assert (await rig.client.delete(f"/vnflcm/v2/vnf_snapshots/{taken}")).status_code == 204
    other = await created(rig, "bare")
    assert (await rig.client.put(f"{other}/package_content", content=bare, headers=ZIP)).status_code == 202
    await rig.client.post(f"{other}/package_content/extract", json={"vnfSnapshotInfoId": await empty_record(rig)})
    shown = await done(rig, other)
    assert shown["state"] == "ERROR_EXTRACTING"
    assert "no infrastructure has these images" in shown["failureDetails"]["details"]["detail"]
    assert (await rig.client.patch(other, json={"state": "AVAILABLE"})).status_code == 200
    assert (await rig.client.patch(other, json={"state": "AVAILABLE"})).status_code == 409


async def test_what_is_no_package_is_refused(rig: Rig) -> None:
    one = await created(rig)
    other = BytesIO()
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("something", "else")
    for content in (b"no zip", other.getvalue()):
        refused = await rig.client.put(f"{one}/package_content", content=content, headers=ZIP)
        assert refused.status_code == 422
        assert (await state(rig, one))["state"] == "ERROR"
    assert (await rig.client.get(f"{one}/package_content")).status_code == 409
    assert (await rig.client.post(f"{one}/package_content/cancel", json={})).status_code == 409
    missing = await rig.client.post(f"{one}/package_content/build", json={"vnfSnapshotInfoId": "none"})
    assert missing.status_code == 404
    assert (await rig.client.patch(one, json={})).status_code == 422
    renamed = await rig.client.patch(one, json={"name": "two", "userDefinedData": {"k": "v"}})
    assert renamed.json() == {"name": "two", "userDefinedData": {"k": "v"}}
    access = {"artifact": [{"artifactUri": "https://a.example/x"}]}
    assert (await rig.client.put(f"{one}/ext_artifacts_access", json=access)).json() == access
    assert (await rig.client.get(f"{one}/ext_artifacts_access")).json() == access


def forged(content: bytes, image: str = "", *, bare: bool = False, encrypted: bool = False, padding: int = 0) -> bytes:
    """A package whose record names another image, as nodes made them that left images outside; or one that is made to harm."""
    out = BytesIO()
    with zipfile.ZipFile(BytesIO(content)) as given, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        record = json.loads(given.read("snapshot.json"))
        for vnfc in record["vnfcs"].values():
            vnfc["image"] = image or vnfc["image"]
            if image or bare:
                for name in ("path", "checksum", "file_bytes"):
                    del vnfc[name]
        made.writestr("snapshot.json", json.dumps(record))
        if padding:
            made.writestr("vnf_state", b"\0" * padding)
    raw = bytearray(out.getvalue())
    if encrypted:
        raw[raw.index(b"PK\x01\x02") + 8] |= 1
        raw[raw.index(b"PK\x03\x04") + 6] |= 1
    return bytes(raw)


@pytest.mark.feature("A29")
async def test_a_package_gives_no_hold_of_images_of_others(rig: Rig) -> None:
    _, taken, one = await built(rig)
    content = (await rig.client.get(f"{one}/package_content")).content
    record = (await rig.client.get(f"{one}/artifacts/snapshot.json")).json()
    theirs = next(iter(record["vnfcs"].values()))["image"]
    base = next(image.name for image in await (await rig.node.vims.driver("sim")).list_images() if image.name != theirs)
    other = await as_client(rig, "other", tenant="other")
    for image in (theirs, base):
        made = await rig.client.post(ROOT, json={"name": "forged"}, headers=other)
        place = made.headers["location"]
        put = await rig.client.put(f"{place}/package_content", content=forged(content, image), headers={**ZIP, **other})
        assert put.status_code == 202
        empty = await rig.client.post("/vnflcm/v2/vnf_snapshots", json={}, headers=other)
        asked = {"vnfSnapshotInfoId": empty.headers["Location"].rpartition("/")[2]}
        await rig.client.post(f"{place}/package_content/extract", json=asked, headers=other)
        await rig.node.snapshot_packages.settled(place.rpartition("/")[2])
        assert (await rig.client.get(place, headers=other)).json()["state"] == "ERROR_EXTRACTING"
        assert (await rig.client.delete(empty.headers["Location"], headers=other)).status_code == 204
    there = {image.name for image in await (await rig.node.vims.driver("sim")).list_images()}
    assert {theirs, base} <= there
    assert (await rig.client.delete(f"/vnflcm/v2/vnf_snapshots/{taken}")).status_code == 204


async def test_an_image_stays_as_long_as_a_snapshot_has_it(rig: Rig) -> None:
    _, taken, one = await built(rig)
    bare = forged((await rig.client.get(f"{one}/package_content")).content, bare=True)
    other = await created(rig, "bare")
    assert (await rig.client.put(f"{other}/package_content", content=bare, headers=ZIP)).status_code == 202
    empty = await empty_record(rig)
    await rig.client.post(f"{other}/package_content/extract", json={"vnfSnapshotInfoId": empty})
    assert (await done(rig, other))["state"] == "AVAILABLE"
    driver = await rig.node.vims.driver("sim")
    assert (await rig.client.delete(f"/vnflcm/v2/vnf_snapshots/{taken}")).status_code == 204
    left = [image.name for image in await driver.list_images() if image.name.startswith("snapshot:")]
    assert left, "the other snapshot needs it"
    assert (await rig.client.delete(f"/vnflcm/v2/vnf_snapshots/{empty}")).status_code == 204
    assert not [image.name for image in await driver.list_images() if image.name.startswith("snapshot:")]


async def test_archives_that_are_made_to_harm_are_refused(rig: Rig) -> None:
    _, _, one = await built(rig)
    content = (await rig.client.get(f"{one}/package_content")).content
    other = await created(rig, "harm")
    for bad in (forged(content, "x", encrypted=True), forged(content, "x", padding=32 << 20)):
        refused = await rig.client.put(f"{other}/package_content", content=bad, headers=ZIP)
        assert refused.status_code == 422, refused.text
        assert (await state(rig, other))["state"] == "ERROR"


async def test_what_is_never_shown_is_in_no_archive(rig: Rig) -> None:
    await rig.onboard("server")
    vnf = await rig.vnf()
    secret = "of-the-interface"
    body = {"metadata": {"sol002_password": secret}}
    changed = await rig.finished(await rig.client.patch(f"/vnflcm/v2/vnf_instances/{vnf}", json=body))
    assert changed["operationState"] == "COMPLETED", changed
    taken = await snapshot(rig, vnf)
    one = await created(rig)
    answer = await rig.client.post(f"{one}/package_content/build", json={"vnfSnapshotInfoId": taken})
    assert answer.status_code == 202, answer.text
    await done(rig, one)
    for name in ("snapshot.json", "vnf_state"):
        assert secret not in (await rig.client.get(f"{one}/artifacts/{name}")).text
    assert secret not in (await rig.client.get(f"/vnflcm/v2/vnf_snapshots/{taken}/vnf_state_snapshot")).text
    assert secret not in (await rig.client.get(f"/vnflcm/v2/vnf_snapshots/{taken}")).text


async def test_a_package_is_fetched_or_the_record_says_why_not(rig: Rig) -> None:
    _, _, one = await built(rig)
    content = (await rig.client.get(f"{one}/package_content")).content
    async with receiving() as server:
        server.answer = lambda got: Reply(200, content) if got.path == "/good" else Reply(500)
        for path, wanted in (("/good", "AVAILABLE"), ("/bad", "ERROR")):
            fetched = await created(rig, path)
            body = {"addressInformation": server.uri(path)}
            answer = await rig.client.post(f"{fetched}/package_content/upload_from_uri", json=body)
            assert answer.status_code == 202
            async with asyncio.timeout(10):
                while (await state(rig, fetched))["state"] == "UPLOADING":
                    await asyncio.sleep(0.02)
            assert (await state(rig, fetched))["state"] == wanted


@pytest.mark.feature("A25")
async def test_vnf_packages_are_fetched_where_the_policy_allows(rig: Rig, tmp_path: Path) -> None:
    root = "/vnfpkgm/v2/vnf_packages"
    content = rig.archive("server").read_bytes()
    credentials: list[str] = []
    async with receiving() as server:

        def answer(got: Any) -> Reply:
            credentials.append(got.headers.get("authorization", ""))
            return Reply(200, content) if got.path == "/good" else Reply(200, b"no package")

        server.answer = answer
        for path, wanted in (("/good", "ONBOARDED"), ("/bad", "ERROR")):
            id = (await rig.client.post(root, json={})).json()["id"]
            body = {"addressInformation": server.uri(path), "userName": "u", "password": "p"}
            put = await rig.client.post(f"{root}/{id}/package_content/upload_from_uri", json=body)
            assert put.status_code == 202, put.text
            shown = await settled(rig, f"{root}/{id}")
            assert shown["onboardingState"] == wanted, shown
            if wanted == "ERROR":
                assert shown["onboardingFailureDetails"]["detail"]
                again = await rig.client.put(f"{root}/{id}/package_content", content=content, headers=ZIP)
                assert again.status_code == 409, "its VNFD is onboarded already"
    assert all(each.startswith("Basic ") for each in credentials)
    id = (await rig.client.post(root, json={})).json()["id"]
    for address in ("http://169.254.169.254/x", "http://10.1.2.3/x", "file:///etc/passwd", "http://user@a.example/"):
        refused = await rig.client.post(
            f"{root}/{id}/package_content/upload_from_uri", json={"addressInformation": address}
        )
        assert refused.status_code == 422, address
    assert (await rig.client.get(f"{root}/{id}")).json()["onboardingState"] == "CREATED"


async def settled(rig: Rig, one: str) -> dict[str, Any]:
    async with asyncio.timeout(20):
        while True:
            shown: dict[str, Any] = (await rig.client.get(one)).json()
            if shown["onboardingState"] not in ("UPLOADING", "PROCESSING"):
                return shown
            await asyncio.sleep(0.02)


@pytest.mark.feature("A87")
async def test_what_was_on_its_way_when_the_node_stopped_is_told(tmp_path: Path) -> None:
    async with receiving() as server, running(tmp_path) as rig:
        server.answer = lambda _: Reply(200, b"x" * 100, (("content-length", "100000"),))
        id = (await rig.client.post("/vnfpkgm/v2/vnf_packages", json={})).json()["id"]
        body = {"addressInformation": server.uri("/slow")}
        path = f"/vnfpkgm/v2/vnf_packages/{id}/package_content/upload_from_uri"
        assert (await rig.client.post(path, json=body)).status_code == 202
        await asyncio.sleep(0)
    async with running(tmp_path) as rig:
        shown = (await rig.client.get(f"/vnfpkgm/v2/vnf_packages/{id}")).json()
        assert shown["onboardingState"] == "ERROR"
        assert shown["onboardingFailureDetails"]["detail"]


async def test_pnf_descriptors(rig: Rig, tmp_path: Path) -> None:
    from skerry.packages import build

    folder = tmp_path / "pnf"
    (folder / "Definitions").mkdir(parents=True)
    (folder / "Definitions/pnfd.yaml").write_text(PNFD)
    root = "/nsd/v2/pnf_descriptors"
    one = (await rig.client.post(root, json={"userDefinedData": {"a": "b"}})).headers["location"]
    content = build(folder, tmp_path / "pnf.csar").read_bytes()
    assert (await rig.client.get(f"{one}/pnfd")).status_code == 409
    wrong = await rig.client.put(f"{one}/pnfd_content", content=rig.archive("server").read_bytes(), headers=ZIP)
    assert (wrong.status_code, "VNFD" in wrong.json()["detail"]) == (422, True)
    assert (await rig.client.put(f"{one}/pnfd_content", content=content, headers=ZIP)).status_code == 204
    shown: httpx.Response = await rig.client.get(one)
    assert (shown.json()["pnfdId"], shown.json()["pnfdName"]) == ("pnf-1", "radio")
    assert (await rig.client.get(f"{one}/pnfd_content")).content == content
    assert "tosca.nodes.nfv.PNF" in (await rig.client.get(f"{one}/pnfd")).text
    assert (await rig.client.get(f"{one}/manifest")).text.startswith("metadata:")
    assert (await rig.client.get(f"{one}/artifacts/Definitions/pnfd.yaml")).text == PNFD
    signed = await rig.client.get(f"{one}/manifest?include_signatures")
    assert zipfile.ZipFile(BytesIO(signed.content)).namelist() == ["pnfd.mf"]
    stale = await rig.client.patch(one, json={"userDefinedData": {"c": "d"}}, headers={"If-Match": '"1"'})
    assert stale.status_code == 412
    tag = {"If-Match": shown.headers["etag"]}
    assert (await rig.client.patch(one, json={"userDefinedData": {"c": "d"}}, headers=tag)).status_code == 200
    assert (await rig.client.get(one)).json()["userDefinedData"] == {"a": "b", "c": "d"}
    assert len((await rig.client.get(root)).json()) == 1
    assert (await rig.client.delete(one)).status_code == 204
    assert (await rig.client.get(one)).status_code == 404


PNFD = """\
tosca_definitions_version: tosca_simple_yaml_1_3
imports: [https://forge.etsi.org/rep/nfv/SOL001/raw/v3.7.1/etsi_nfv_sol001_pnfd_types.yaml]
topology_template:
  node_templates:
    radio:
      type: tosca.nodes.nfv.PNF
      properties:
        descriptor_id: pnf-1
        function_description: a radio
        provider: Test
        version: '1.0'
        descriptor_invariant_id: pnf
        name: radio
"""
