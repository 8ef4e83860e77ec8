"""Images of snapshots in packages: kept with their checksums, read in ranges, brought to other infrastructures; what is
wrong is refused, what is interrupted goes on."""

from __future__ import annotations

import asyncio
import hashlib
import json
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from skerry.settings import Vim
from skerry.vim.simulated.world import World, world
from tests.api.rig import Rig, running
from tests.api.test_snapshot_packages import ROOT, ZIP, built, created, done, empty_record, snapshot
from tests.notifications.receiver import Reply, receiving

KEPT = b"kept\n"


def site(rig: Rig) -> World:
    """The infrastructure of a node."""
    return world(str(rig.folder))


def machine(rig: Rig, vnf: str) -> str:
    """The name of the VNFC's instance."""
    name: str = rig.node.vnfm.instance(vnf, tenant="default").resources["compute:server-0"].spec["name"]
    return name


def of_snapshots(rig: Rig) -> list[str]:
    return [name for name in site(rig).has.images if name.startswith("snapshot:")]


async def packed(rig: Rig, **asked: Any) -> tuple[str, str, bytes]:
    """Snapshot, package and its archive, of a VNF that has written something."""
    await rig.onboard("server")
    vnf = await rig.vnf()
    site(rig).machine(machine(rig, vnf)).written["/var/kept"] = KEPT
    taken = await snapshot(rig, vnf)
    one = await created(rig)
    await rig.client.post(f"{one}/package_content/build", json={"vnfSnapshotInfoId": taken, **asked})
    shown = await done(rig, one)
    assert shown["state"] == "AVAILABLE", shown
    return taken, one, (await rig.client.get(f"{one}/package_content")).content


async def uploaded(rig: Rig, content: bytes) -> str:
    one = await created(rig, "brought")
    put = await rig.client.put(f"{one}/package_content", content=content, headers=ZIP)
    assert put.status_code == 202, put.text
    return one


async def extracted(rig: Rig, one: str, **into: str) -> dict[str, Any]:
    answer = await rig.client.post(f"{one}/package_content/extract", json=into)
    assert answer.status_code == 202, answer.text
    return await done(rig, one)


@pytest.mark.feature("A29", "A45")
async def test_images_are_artifacts_with_checksums(rig: Rig) -> None:
    taken, one, content = await packed(rig)
    shown = (await rig.client.get(one)).json()
    (image,) = shown["vnfcSnapshotImages"]
    assert (image["id"], image["vnfcInstanceId"], image["isEncrypted"]) == ("server-0", "server-0", False)
    whole = (await rig.client.get(f"{one}/artifacts/{image['imagePath']}")).content
    assert len(whole) == image["size"]
    assert image["checksum"] == {"algorithm": "SHA-256", "hash": hashlib.sha256(whole).hexdigest()}
    assert shown["checksum"]["hash"] == hashlib.sha256(content).hexdigest()
    path = f"{one}/artifacts/{image['imagePath']}"
    part = await rig.client.get(path, headers={"Range": "bytes=3-9"})
    assert (part.status_code, part.content) == (206, whole[3:10])
    beyond = await rig.client.get(path, headers={"Range": f"bytes={len(whole)}-"})
    assert beyond.status_code == 416
    assert (await rig.client.get(f"{one}/artifacts/images/nobody")).status_code == 404
    with zipfile.ZipFile(BytesIO(content)) as archive:
        manifest = archive.read("snapshot.mf").decode()
        for name in archive.namelist():
            if name != "snapshot.mf":
                assert (
                    f"Source: {name}\nAlgorithm: SHA-256\nHash: {hashlib.sha256(archive.read(name)).hexdigest()}"
                    in (manifest)
                )
        assert shown["vnfSnapshotPkgUniqueId"] in manifest
        state = hashlib.sha256(archive.read("vnf_state")).hexdigest()
        descriptor = archive.read("vnfd.zip")
    assert shown["vnfdInfo"]["checksum"]["hash"] == hashlib.sha256(descriptor).hexdigest()
    with zipfile.ZipFile(BytesIO(descriptor)) as inner:
        assert b"5b0d6a3e-7f6e-4c53-9f4a-0d5f7c1a9e01" in inner.read("Definitions/sipp_server.yaml")
    (extra,) = shown["additionalArtifacts"]
    assert (extra["artifactPath"], extra["checksum"]["hash"]) == ("vnf_state", state)
    listed = (await rig.client.get(ROOT)).json()[0]
    assert not {"vnfcSnapshotImages", "additionalArtifacts"} & listed.keys()
    assert taken == shown["vnfSnapshotId"]


@pytest.mark.feature("A29", "A45")
async def test_a_vnf_elsewhere_becomes_what_the_snapshot_was(tmp_path: Path) -> None:
    async with running(tmp_path / "here") as here:
        _, one, content = await packed(here)
        unique = (await here.client.get(one)).json()["vnfSnapshotPkgUniqueId"]
    async with running(tmp_path / "there") as there:
        await there.onboard("server")
        vnf = await there.vnf()
        other = await uploaded(there, content)
        assert (await there.client.get(other)).json()["vnfSnapshotPkgUniqueId"] == unique
        shown = await extracted(there, other, vnfInstanceId=vnf)
        assert shown["state"] == "AVAILABLE", shown
        brought = shown["vnfSnapshotId"]
        path = f"/vnflcm/v2/vnf_instances/{vnf}/revert_to_snapshot"
        reverted = await there.finished(await there.client.post(path, json={"vnfSnapshotInfoId": brought}))
        assert reverted["operationState"] == "COMPLETED", reverted
        assert site(there).machine(machine(there, vnf)).written["/var/kept"] == KEPT
        record = (await there.client.get(f"/vnflcm/v2/vnf_snapshots/{brought}")).json()
        assert record["vnfSnapshotPkgId"] == other.rpartition("/")[2]
        assert (await there.client.delete(other)).status_code == 204  # the snapshot has its own images
        assert (await there.client.delete(f"/vnflcm/v2/vnf_snapshots/{brought}")).status_code == 409, "it runs from it"
        end = {"terminationType": "FORCEFUL"}
        path = f"/vnflcm/v2/vnf_instances/{vnf}/terminate"
        assert (await there.finished(await there.client.post(path, json=end)))["operationState"] == "COMPLETED"
        assert (await there.client.delete(f"/vnflcm/v2/vnf_snapshots/{brought}")).status_code == 204
        assert of_snapshots(there) == []


async def test_a_vnf_on_another_infrastructure_is_told_what_to_do(tmp_path: Path) -> None:
    async with running(tmp_path / "here") as here:
        _, _, content = await packed(here)
    vims = tuple(Vim(id=id, type="simulated", settings={"world": str(tmp_path / id)}) for id in ("sim", "far"))
    async with running(tmp_path / "there", vims=vims) as there:
        await there.onboard("server")
        made = await there.client.post("/vnflcm/v2/vnf_instances", json={"vnfdId": await vnfd(there)})
        vnf = made.json()["id"]
        wish = {"flavourId": "default", "vimConnectionInfo": {"far": {"vimId": "far", "vimType": "SIMULATED"}}}
        wish["additionalParams"] = {"placement": {"*": "far"}}
        begun = await there.client.post(f"/vnflcm/v2/vnf_instances/{vnf}/instantiate", json=wish)
        assert (await there.finished(begun))["operationState"] == "COMPLETED"
        assert there.node.vnfm.instance(vnf, tenant="default").placement["server-0"] == "far"
        other = await uploaded(there, content)
        empty = await empty_record(there)
        shown = await extracted(there, other, vnfSnapshotInfoId=empty)
        assert shown["state"] == "AVAILABLE"
        path = f"/vnflcm/v2/vnf_instances/{vnf}/revert_to_snapshot"
        refused = await there.client.post(path, json={"vnfSnapshotInfoId": empty})
        assert refused.status_code == 422
        assert "vnfInstanceId" in refused.text
        near = await extracted(there, other, vnfInstanceId=vnf)
        reverted = await there.client.post(path, json={"vnfSnapshotInfoId": near["vnfSnapshotId"]})
        assert (await there.finished(reverted))["operationState"] == "COMPLETED"


async def test_a_snapshot_needs_the_package_of_its_vnf(tmp_path: Path) -> None:
    async with running(tmp_path / "here") as here:
        _, _, content = await packed(here)
    async with running(tmp_path / "there") as there:
        other = await uploaded(there, content)
        shown = await extracted(there, other, vnfSnapshotInfoId=await empty_record(there))
        assert shown["state"] == "ERROR_EXTRACTING"
        assert "onboard" in shown["failureDetails"]["details"]["detail"]


async def vnfd(rig: Rig) -> str:
    return str((await rig.client.get("/vnfpkgm/v2/vnf_packages")).json()[0]["vnfdId"])


@pytest.mark.feature("A45")
async def test_images_outside_are_fetched_and_checked(tmp_path: Path) -> None:
    async with running(tmp_path / "here") as here:
        _, one, content = await packed(here, importSnapshotResource=False)
        (image,) = (await here.client.get(one)).json()["vnfcSnapshotImages"]
        assert image["imageUri"] == f"{one}/artifacts/{image['imagePath']}"
        kept = await here.client.get(image["imageUri"])
        assert hashlib.sha256(kept.content).hexdigest() == image["checksum"]["hash"]
        part = await here.client.get(image["imageUri"], headers={"Range": "bytes=0-4"})
        assert (part.status_code, part.content) == (206, kept.content[:5])
    assert KEPT.hex() not in content.hex()
    with zipfile.ZipFile(BytesIO(content)) as archive:
        assert not [name for name in archive.namelist() if name.startswith("images/")]
    async with receiving() as server, running(tmp_path / "there") as there:
        await there.onboard("server")
        vnf = await there.vnf()
        other = await uploaded(there, content)
        assert (await there.client.get(f"{other}/artifacts/")).status_code == 404
        server.answer = lambda got: Reply(200, kept.content if got.path == "/good" else b"something else")
        for path, wanted in (("/bad", "ERROR_EXTRACTING"), ("/good", "AVAILABLE")):
            access = {"artifact": [{"artifactUri": image["imageUri"], "overrideUri": server.uri(path)}]}
            assert (await there.client.put(f"{other}/ext_artifacts_access", json=access)).status_code == 200
            shown = await extracted(there, other, vnfInstanceId=vnf)
            assert shown["state"] == wanted, shown
            if path == "/bad":
                assert "SHA-256" in shown["failureDetails"]["details"]["detail"]
                assert of_snapshots(there) == []
                assert (await there.client.get("/vnflcm/v2/vnf_snapshots")).json() == []
        assert site(there).has.snapshots[f"snapshot:{shown['vnfSnapshotId']}/server-0"]["/var/kept"] == KEPT


async def test_a_policy_counts_for_single_images(rig: Rig) -> None:
    _, one, _ = await packed(rig, overrideImportForVnfcSnapshotIds=["server-0"])
    (image,) = (await rig.client.get(one)).json()["vnfcSnapshotImages"]
    assert "imageUri" in image
    other = await created(rig)
    asked = {"vnfSnapshotInfoId": (await rig.client.get(one)).json()["vnfSnapshotId"]}
    both = {"vnfcSnapshotsInfoIds": ["x"], "overrideImportForVnfcSnapshotIds": ["y"]}
    refused = await rig.client.post(f"{other}/package_content/build", json={**asked, **both})
    assert refused.status_code == 422
    assert {fault["path"] for fault in refused.json()["faults"]} == {f"/{name}" for name in both}
    for wrong in ({}, {"vnfSnapshotInfoId": "a", "vnfInstanceId": "b"}):
        assert (await rig.client.post(f"{one}/package_content/extract", json=wrong)).status_code == 422


Files = dict[str, bytes]


def altered(files: Files) -> None:
    files["images/0-server-0.tar"] += b" "


def removed(files: Files) -> None:
    del files["images/0-server-0.tar"]


def unlisted(files: Files) -> None:
    files["more"] = b"more"


def unsigned(files: Files) -> None:
    del files["snapshot.mf"]


def promised(files: Files) -> None:
    """The record promises another image than the manifest has."""
    record = json.loads(files["snapshot.json"])
    record["vnfcs"]["server-0"]["checksum"] = "0" * 64
    relisted(files, record)


def unlisted_outside(files: Files) -> None:
    record = json.loads(files["snapshot.json"])
    del record["vnfcs"]["server-0"]["path"]
    record["vnfcs"]["server-0"]["uri"] = "https://a.example/image"
    relisted(files, record)


def named(files: Files) -> None:
    record = json.loads(files["snapshot.json"])
    record["vnfcs"]["../up"] = record["vnfcs"]["server-0"]
    relisted(files, record)


def relisted(files: Files, record: Any) -> None:
    """Another record, with a manifest that has its digest."""
    before = hashlib.sha256(files["snapshot.json"]).hexdigest()
    files["snapshot.json"] = json.dumps(record).encode()
    now = hashlib.sha256(files["snapshot.json"]).hexdigest()
    files["snapshot.mf"] = files["snapshot.mf"].replace(before.encode(), now.encode())


def bombed(files: Files) -> None:
    files["images/0-server-0.tar"] = b"\0" * (8 << 20)


def changed(content: bytes, *changes: Callable[[Files], None]) -> bytes:
    with zipfile.ZipFile(BytesIO(content)) as given:
        files = {name: given.read(name) for name in given.namelist()}
    for change in changes:
        change(files)
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in files.items():
            made.writestr(name, data)
    return out.getvalue()


@pytest.mark.feature("A29", "A45")
async def test_wrong_packages_are_refused_with_each_fault(rig: Rig) -> None:
    _, _, content = await packed(rig)
    cases: tuple[tuple[tuple[Callable[[Files], None], ...], set[str]], ...] = (
        ((altered,), {"manifest-hash", "image-checksum"}),
        ((removed,), {"manifest-source", "image-missing"}),
        ((removed, unlisted), {"manifest-source", "image-missing", "manifest"}),
        ((unsigned,), {"manifest"}),
        ((promised,), {"image-checksum"}),
        ((unlisted_outside,), {"image-missing"}),
        ((named,), {"record"}),
        ((bombed,), {"zip-bomb"}),
    )
    for changes, codes in cases:
        one = await created(rig, "wrong")
        refused = await rig.client.put(f"{one}/package_content", content=changed(content, *changes), headers=ZIP)
        assert refused.status_code == 422, (changes, refused.text)
        assert codes <= {fault["code"] for fault in refused.json()["faults"]}, (changes, refused.text)
        assert (await rig.client.get(one)).json()["state"] == "ERROR"
    kept = [path.name for path in (rig.folder / "node/packages").iterdir()]
    assert sum(name.endswith(".snapshot.zip") for name in kept) == 1, kept
    assert not [name for name in kept if name.endswith(".work")]


@pytest.mark.feature("A45")
async def test_too_large_an_image_is_told(tmp_path: Path) -> None:
    async with running(tmp_path, max_upload_bytes=1 << 20) as rig:
        await rig.onboard("server")
        vnf = await rig.vnf()
        site(rig).machine(machine(rig, vnf)).written["/var/kept"] = b"\1" * (2 << 20)
        taken = await snapshot(rig, vnf)
        one = await created(rig)
        await rig.client.post(f"{one}/package_content/build", json={"vnfSnapshotInfoId": taken})
        shown = await done(rig, one)
        assert (shown["state"], shown["failureDetails"]["errorType"]) == ("ERROR", "BUILD_ERROR")
        assert "too large" in shown["failureDetails"]["details"]["detail"]
        site(rig).has.snapshots[of_snapshots(rig)[0]] = {}
        await rig.client.post(f"{one}/package_content/build", json={"vnfSnapshotInfoId": taken})
        assert (await done(rig, one))["state"] == "AVAILABLE"


async def called(place: World, verb: str) -> None:
    """Wait until the infrastructure was asked."""
    async with asyncio.timeout(60):
        while not place.calls(verb, "snapshot:*"):
            await asyncio.sleep(0.01)


@pytest.mark.feature("A87", "A45")
async def test_an_interrupted_building_goes_on_or_says_why_not(tmp_path: Path) -> None:
    for snapshot_stays in (True, False):
        folder = tmp_path / str(snapshot_stays)
        async with running(folder) as rig:
            await rig.onboard("server")
            taken = await snapshot(rig, await rig.vnf())
            one = await created(rig)
            site(rig).hang("export_image")
            await rig.client.post(f"{one}/package_content/build", json={"vnfSnapshotInfoId": taken})
            await called(site(rig), "export_image")
            assert (await rig.client.get(one)).json()["state"] == "BUILDING"
            assert (await rig.client.delete(one)).status_code == 409
            if not snapshot_stays:
                await rig.client.delete(f"/vnflcm/v2/vnf_snapshots/{taken}")
        async with running(folder) as rig:
            shown = await done(rig, one)
            assert shown["state"] == ("AVAILABLE" if snapshot_stays else "ERROR"), shown
            if not snapshot_stays:
                assert taken in shown["failureDetails"]["details"]["detail"]
            assert (await rig.client.delete(one)).status_code == 204
            left = [path.name for path in (folder / "node/packages").iterdir() if not path.name.endswith(".csar")]
            assert left == []


@pytest.mark.feature("A87", "A45")
async def test_an_interrupted_extraction_goes_on_or_leaves_nothing(tmp_path: Path) -> None:
    async with running(tmp_path / "here") as rig:
        _, _, content = await packed(rig)
    async with running(tmp_path / "there") as rig:
        await rig.onboard("server")
        vnf = await rig.vnf()
        one = await uploaded(rig, content)
        site(rig).hang("ensure_image", "snapshot:*", after_effect=True)
        await rig.client.post(f"{one}/package_content/extract", json={"vnfInstanceId": vnf})
        await called(site(rig), "ensure_image")
    async with running(tmp_path / "there") as rig:
        shown = await done(rig, one)
        assert shown["state"] == "AVAILABLE"
        (image,) = of_snapshots(rig)
        assert site(rig).has.snapshots[image]["/var/kept"] == KEPT
        assert (await rig.client.delete(f"/vnflcm/v2/vnf_snapshots/{shown['vnfSnapshotId']}")).status_code == 204
        site(rig).has.calls.clear()
        site(rig).hang("ensure_image", "snapshot:*", after_effect=True)
        await rig.client.post(f"{one}/package_content/extract", json={"vnfInstanceId": vnf})
        await called(site(rig), "ensure_image")
        assert (await rig.client.post(f"{one}/package_content/cancel", json={})).status_code == 202
        shown = (await rig.client.get(one)).json()
        assert (shown["state"], shown["failureDetails"]["errorType"]) == ("ERROR_EXTRACTING", "CANCELLED")
        assert of_snapshots(rig) == []
        assert (await rig.client.get("/vnflcm/v2/vnf_snapshots")).json() == []


async def test_what_nobody_records_is_swept(tmp_path: Path) -> None:
    folder = tmp_path / "node/packages"
    async with running(tmp_path) as rig:
        _, _, one = await built(rig)
    for name in ("gone.snapshot.zip", "gone.snapshot.part", "gone.fetched"):
        (folder / name).write_bytes(b"x")
    for name in ("gone.work", "gone.images"):
        (folder / name).mkdir()
        (folder / name / "file").write_bytes(b"x")
    async with running(tmp_path) as rig:
        assert not [path for path in folder.iterdir() if path.name.startswith("gone")]
        assert (await rig.client.get(f"{one}/package_content")).status_code == 200
