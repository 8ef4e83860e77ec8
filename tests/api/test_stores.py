"""Images, keys and infrastructures through our own API, on the simulated driver."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from skerry.errors import ConflictError, NotFoundError
from skerry.model.images import StoredImage
from skerry.packages import build as build_package
from skerry.store import aggregates
from tests.api.rig import EXAMPLES, VNFD, Rig, running

OWN = "/skerry/v1"
BYTES = {"Content-Type": "application/octet-stream"}
CONTENT = bytes(range(256)) * 40
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGgLJ5CVfZTmf5i+5yTwDCFnJ7QT7cJJ0ZzVwE1pI2cD me@home"


async def call(rig: Rig, method: str, path: str, status: int, **arguments: Any) -> Any:
    """One request of our own API that must be answered so; its JSON."""
    answer = await rig.client.request(method, f"{OWN}{path}", **arguments)
    assert answer.status_code == status, answer.text
    return answer.json() if answer.content and "json" in answer.headers["content-type"] else answer


async def upload(rig: Rig, name: str, content: bytes = CONTENT, **more: str) -> str:
    made = await call(rig, "POST", "/images", 201, json={"name": name, **more})
    assert made["state"] == "CREATED"
    await call(rig, "PUT", f"/images/{made['id']}/content", 200, content=content, headers=BYTES)
    return str(made["id"])


async def onboard_named(rig: Rig) -> None:
    """The example server, whose package only names its image "sipp"."""
    folder = rig.folder / "named"
    shutil.copytree(EXAMPLES / "server", folder)
    for file in (folder / "Definitions").glob("*.yaml"):
        file.write_text(file.read_text().replace("file: host:sipp", "file: not-in-this-package"))
    made = (await rig.client.post("/vnfpkgm/v2/vnf_packages", json={})).json()
    answer = await rig.client.put(
        f"/vnfpkgm/v2/vnf_packages/{made['id']}/package_content",
        content=build_package(folder, rig.folder / "named.csar").read_bytes(),
        headers={"Content-Type": "application/zip"},
    )
    assert answer.status_code == 202, answer.text


async def instantiated(rig: Rig, **more: Any) -> tuple[str, dict[str, Any]]:
    """A VNF of that package and how its instantiation ended."""
    created = await rig.client.post("/vnflcm/v2/vnf_instances", json={"vnfdId": VNFD})
    id = str(created.json()["id"])
    path = f"/vnflcm/v2/vnf_instances/{id}/instantiate"
    return id, await rig.finished(await rig.client.post(path, json={"flavourId": "default", **more}))


# -- the repository ---------------------------------------------------------------------------------------------------


@pytest.mark.feature("A45")
async def test_an_image_is_named_uploaded_listed_read_in_ranges_and_deleted(rig: Rig) -> None:
    id = await upload(rig, "sipp", description="of the tests")
    digest = hashlib.sha256(CONTENT).hexdigest()
    (listed,) = await call(rig, "GET", "/images?filter=(eq,name,sipp)", 200)
    assert listed == await call(rig, "GET", f"/images/{id}", 200)
    assert (listed["state"], listed["checksum"], listed["size_bytes"]) == ("READY", digest, len(CONTENT))
    assert (await rig.client.get(f"{OWN}/images/{id}/content")).content == CONTENT
    part = await rig.client.get(f"{OWN}/images/{id}/content", headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, CONTENT[100:200])
    assert part.headers["Content-Range"] == f"bytes 100-199/{len(CONTENT)}"
    await call(rig, "GET", f"/images/{id}/content", 416, headers={"Range": f"bytes={len(CONTENT)}-"})
    await call(rig, "POST", "/images", 409, json={"name": "sipp"})
    await call(rig, "PUT", f"/images/{id}/content", 409, content=b"other", headers=BYTES)
    await call(rig, "DELETE", f"/images/{id}", 204)
    await call(rig, "GET", f"/images/{id}", 404)
    assert list((rig.node.settings.data_dir / "repository").iterdir()) == []


@pytest.mark.feature("A45")
async def test_a_content_with_another_checksum_is_refused_and_may_be_sent_again(rig: Rig) -> None:
    digest = hashlib.sha256(CONTENT).hexdigest()
    made = await call(rig, "POST", "/images", 201, json={"name": "sipp", "checksum": digest.upper()})
    path = f"/images/{made['id']}/content"
    told = await call(rig, "PUT", path, 422, content=b"other", headers=BYTES)
    assert digest in told["detail"]
    await call(rig, "GET", path, 409)
    assert (await call(rig, "PUT", path, 200, content=CONTENT, headers=BYTES))["state"] == "READY"
    await call(rig, "POST", "/images", 422, json={"name": "x", "checksum": "12"})
    await call(rig, "POST", "/images", 422, json={"name": "../x"})


@asynccontextmanager
async def serving(content: bytes) -> AsyncGenerator[str]:
    """An address that answers a content, or 404 for a path with "no"."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        status = b"404 Not Found" if b"no" in head.split()[1] else b"200 OK"
        writer.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (status, len(content)))
        writer.write(content)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


@pytest.mark.feature("A45")
async def test_a_content_is_fetched_and_a_failure_is_told_in_the_record(rig: Rig) -> None:
    async with serving(CONTENT) as root:
        for path, state in (("image", "READY"), ("no", "ERROR")):
            made = await call(rig, "POST", "/images", 201, json={"name": path})
            one = f"/images/{made['id']}"
            await call(rig, "POST", f"{one}/content/upload_from_uri", 202, json={"uri": f"{root}/{path}"})
            async with asyncio.timeout(30):
                while (found := await call(rig, "GET", one, 200))["state"] in ("CREATED", "FETCHING"):
                    await asyncio.sleep(0.01)
            assert found["state"] == state
            assert ("404" in found.get("problem", "")) is (state == "ERROR")
        fresh = await call(rig, "POST", "/images", 201, json={"name": "local"})
        wrong = {"uri": "file:///etc/passwd"}
        await call(rig, "POST", f"/images/{fresh['id']}/content/upload_from_uri", 422, json=wrong)


@pytest.mark.feature("A45")
async def test_of_two_contents_at_once_one_is_refused(rig: Rig) -> None:
    made = await call(rig, "POST", "/images", 201, json={"name": "twice"})
    files = [rig.folder / name for name in ("one", "two")]
    for file in files:
        file.write_bytes(file.name.encode())
    images = rig.node.images
    done = await asyncio.gather(
        *(images.upload(made["id"], file, tenant="default") for file in files), return_exceptions=True
    )
    assert [type(one) for one in done] == [StoredImage, ConflictError]
    kept = images.content(made["id"], tenant="default").read_bytes()
    assert hashlib.sha256(kept).hexdigest() == images.get(made["id"], tenant="default").checksum


@pytest.mark.feature("A45")
async def test_nothing_stays_of_an_image_that_is_deleted_while_its_content_comes(rig: Rig) -> None:
    made = await call(rig, "POST", "/images", 201, json={"name": "gone"})
    file = rig.folder / "gone"
    file.write_bytes(CONTENT)
    images = rig.node.images
    coming = asyncio.ensure_future(images.upload(made["id"], file, tenant="default"))
    await asyncio.sleep(0)
    await images._database.write(lambda tx: aggregates.stored_images.delete(tx, made["id"]))
    with pytest.raises(NotFoundError):
        await coming
    assert not (rig.node.settings.data_dir / "repository" / made["id"]).exists()


@pytest.mark.feature("A45")
async def test_a_restart_forgets_what_no_record_has_and_tells_what_was_lost(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        kept = await upload(rig, "kept")
        folder = rig.node.settings.data_dir / "repository"
        (folder / "left").write_bytes(b"x")
        lost = await call(rig, "POST", "/images", 201, json={"name": "lost"})
        await rig.node.images._set(lost["id"], state="FETCHING")  # as a crash leaves it
    async with running(tmp_path) as rig:
        assert [file.name for file in folder.iterdir()] == [kept]
        found = await call(rig, "GET", f"/images/{lost['id']}", 200)
        assert (found["state"], "stopped" in found["problem"]) == ("ERROR", True)


@pytest.mark.feature("A45")
async def test_an_uploaded_image_is_brought_to_the_vim_and_stays_while_it_is_used(rig: Rig) -> None:
    await onboard_named(rig)
    without, failed = await instantiated(rig)
    assert failed["operationState"] == "FAILED_TEMP", "the VIM has no such image"
    assert "there is no image sipp" in failed["error"]["detail"]
    await call(rig, "POST", f"/vnfs/{without}/discard", 204)
    stored = await upload(rig, "sipp")
    vnf, done = await instantiated(rig)
    assert done["operationState"] == "COMPLETED", done
    there = {image["name"] for image in await call(rig, "GET", "/vims/sim/images", 200)}
    assert there == {f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"}
    told = await call(rig, "DELETE", f"/images/{stored}", 409)
    assert vnf in told["suggestion"]
    path = f"/vnflcm/v2/vnf_instances/{vnf}/terminate"
    await rig.finished(await rig.client.post(path, json={"terminationType": "FORCEFUL"}))
    await call(rig, "DELETE", f"/images/{stored}", 204)


# -- infrastructures --------------------------------------------------------------------------------------------------


@asynccontextmanager
async def two(folder: Path) -> AsyncGenerator[Rig]:
    """A node with the infrastructure `sim` of its settings, and `more` that was registered."""
    async with running(folder) as rig:
        world = folder / "more"
        asked = {"id": "more", "vim_type": "SIMULATED", "zone": "north", "settings": {"world": str(world)}}
        await call(rig, "POST", "/vims", 201, json=asked)
        yield rig


@pytest.mark.feature("A22")
async def test_an_infrastructure_is_changed_in_part_or_as_a_whole_and_stays_so(tmp_path: Path) -> None:
    async with two(tmp_path) as rig:
        changed = await call(rig, "PATCH", "/vims/more", 200, json={"name": "Far", "settings": {"vcpus": 3}})
        assert (changed["name"], changed["zone"]) == ("Far", "north")
        assert changed["settings"] == {"world": str(tmp_path / "more"), "vcpus": 3}
        seen = await call(rig, "POST", "/vims/more/refresh", 200)
        assert seen["capacity"]["vcpus"] == 3, "the driver was opened anew"
        told = await call(rig, "PATCH", "/vims/more", 422, json={"settings": {"vcpus": "many"}})
        assert "more" in told["detail"]
        assert (await call(rig, "GET", "/vims/more", 200))["settings"]["vcpus"] == 3
        whole = {"zone": "south", "settings": {"world": str(tmp_path / "more")}}
        assert (await call(rig, "PUT", "/vims/more", 200, json=whole))["zone"] == "south"
        await call(rig, "PUT", "/vims/more", 422, json={"vim_type": "docker", **whole})
        await call(rig, "PATCH", "/vims/sim", 409, json={"name": "x"})
        await call(rig, "PATCH", "/vims/none", 404, json={"name": "x"})
    async with running(tmp_path) as rig:
        kept = await call(rig, "GET", "/vims/more", 200)
        assert (kept["name"], kept["zone"]) == ("more", "south")


@pytest.mark.feature("A22")
async def test_several_infrastructures_are_forgotten_or_none(tmp_path: Path) -> None:
    async with two(tmp_path) as rig:
        await rig.onboard("server")
        await instantiated(rig, vimConnectionInfo={"v": {"vimId": "more", "vimType": "SIMULATED"}})
        for id in ("a", "b"):
            settings = {"world": str(tmp_path / id)}
            await call(rig, "POST", "/vims", 201, json={"id": id, "vim_type": "SIMULATED", "settings": settings})
        told = await call(rig, "POST", "/vims/multiple_delete", 409, json={"ids": ["a", "more"]})
        assert "more" in told["detail"]
        await call(rig, "POST", "/vims/multiple_delete", 404, json={"ids": ["a", "none"]})
        assert len(await call(rig, "GET", "/vims", 200)) == 4
        await call(rig, "POST", "/vims/multiple_delete", 204, json={"ids": ["a", "b"]})
        assert [vim["id"] for vim in await call(rig, "GET", "/vims", 200)] == ["more", "sim"]


@pytest.mark.feature("A22")
async def test_images_of_an_infrastructure_come_from_everywhere_and_stay_while_used(rig: Rig) -> None:
    await upload(rig, "stored")
    async with serving(CONTENT) as root:
        for name, source in (("a/b:1", "image:stored"), ("web", f"{root}/x"), ("sipp", "host:sipp")):
            made = await call(rig, "POST", "/vims/sim/images", 201, json={"name": name, "source": source})
            assert made["name"] == name
    await call(rig, "PUT", "/vims/sim/images/sent:2", 201, content=CONTENT, headers=BYTES)
    sizes = {image["name"]: image.get("size_bytes", 0) for image in await call(rig, "GET", "/vims/sim/images", 200)}
    assert sizes.keys() == {"a/b:1", "web", "sipp", "sent:2"}
    assert sizes["a/b:1"] == sizes["web"] == sizes["sent:2"] == len(CONTENT)
    await call(rig, "POST", "/vims/sim/images", 409, json={"name": "web", "source": "host:sipp"})
    await call(rig, "POST", "/vims/sim/images", 404, json={"name": "new", "source": "image:none"})
    await call(rig, "POST", "/vims/sim/images", 422, json={"name": "new", "source": "/etc/passwd"})
    await onboard_named(rig)
    _, done = await instantiated(rig)
    assert done["operationState"] == "COMPLETED", "the image that was only named is there"
    assert "is used by" in (await call(rig, "DELETE", "/vims/sim/images/sipp", 409))["detail"]
    await call(rig, "DELETE", "/vims/sim/images/a/b:1", 204)
    await call(rig, "DELETE", "/vims/sim/images/a/b:1", 404)
    await call(rig, "GET", "/vims/none/images", 404)


@pytest.mark.feature("A22")
async def test_a_look_at_an_infrastructure_is_kept_and_what_changed_is_an_event(rig: Rig) -> None:
    assert "seen" not in await call(rig, "GET", "/vims/sim", 200)
    first = await call(rig, "POST", "/vims/sim/refresh", 200)
    assert (await call(rig, "GET", "/vims/sim", 200))["seen"] == first
    await call(rig, "POST", "/vims/sim/refresh", 200)
    assert rig.node.engine.events.since(0, kind="vim") == []
    await call(rig, "POST", "/vims/sim/images", 201, json={"name": "new", "source": "host:sipp"})
    second = await call(rig, "POST", "/vims/sim/refresh", 200)
    assert second["images"] == ["new"]
    (event,) = rig.node.engine.events.since(0, kind="vim")
    assert event.data["images"] == ["new"]


# -- keys -------------------------------------------------------------------------------------------------------------


@pytest.mark.feature("A38")
async def test_a_key_is_imported_generated_read_and_forgotten(rig: Rig) -> None:
    made = await call(rig, "POST", "/keys", 201, json={"name": "mine", "public_key": f" {KEY}\n"})
    assert made == await call(rig, "GET", f"/keys/{made['id']}", 200)
    assert (made["public_key"], made["fingerprint"][:7]) == (KEY, "SHA256:")
    new = await rig.client.post(f"{OWN}/keys/generate", json={"name": "new"})
    assert (new.status_code, new.headers["Cache-Control"]) == (201, "no-store")
    assert "PRIVATE KEY" in new.json()["private_key"]
    assert [key["name"] for key in await call(rig, "GET", "/keys", 200)] == ["mine", "new"]
    assert "PRIVATE" not in str(await call(rig, "GET", f"/keys/{new.json()['key']['id']}", 200))
    assert b"PRIVATE KEY" not in (rig.node.settings.data_dir / "skerry.db-wal").read_bytes()
    await call(rig, "POST", "/keys", 409, json={"name": "mine", "public_key": KEY})
    await call(rig, "POST", "/keys", 422, json={"name": "bad", "public_key": "hello"})
    await call(rig, "DELETE", f"/keys/{made['id']}", 204)
    await call(rig, "GET", f"/keys/{made['id']}", 404)


@pytest.mark.feature("A38")
async def test_instances_get_the_keys_that_their_request_names_and_keep_them(rig: Rig) -> None:
    await call(rig, "POST", "/keys", 201, json={"name": "mine", "public_key": KEY})
    await rig.onboard("server")
    _, refused = await _refused(rig, ["mine", "other"])
    assert "there are: mine" in refused["faults"][0]["message"]
    vnf, done = await instantiated(rig, additionalParams={"sshKeys": ["mine"]})
    assert done["operationState"] == "COMPLETED", done
    record = rig.node.vnfm.instance(vnf, tenant="default")
    (file,) = [
        file
        for key, resource in record.resources.items()
        if key.startswith("power:")
        for file in resource.spec["files"]
        if file["path"].endswith("/.ssh/authorized_keys")
    ]
    assert (file["content"], file["mode"]) == (f"{KEY}\n", 0o600)
    (key,) = await call(rig, "GET", "/keys", 200)
    await call(rig, "DELETE", f"/keys/{key['id']}", 204)
    plan = await call(rig, "POST", "/plan", 200, json={"kind": "vnf.heal", "subject": vnf, "params": {}})
    assert plan is not None
    assert rig.node.vnfm.instance(vnf, tenant="default").ssh_keys == (KEY,)


async def _refused(rig: Rig, keys: list[str]) -> tuple[str, dict[str, Any]]:
    created = await rig.client.post("/vnflcm/v2/vnf_instances", json={"vnfdId": VNFD})
    id = str(created.json()["id"])
    answer = await rig.client.post(
        f"/vnflcm/v2/vnf_instances/{id}/instantiate",
        json={"flavourId": "default", "additionalParams": {"sshKeys": keys}},
    )
    assert answer.status_code == 422, answer.text
    return id, answer.json()


@pytest.mark.feature("A38")
async def test_every_member_of_a_service_gets_the_keys_of_its_request(rig: Rig) -> None:
    await call(rig, "POST", "/keys", 201, json={"name": "mine", "public_key": KEY})
    nsd = await rig.onboard_all()
    nsd_id = (await rig.client.get(f"/nsd/v2/ns_descriptors/{nsd}")).json()["nsdId"]
    created = await rig.client.post(
        "/nslcm/v2/ns_instances", json={"nsdId": nsd_id, "nsName": "n", "nsDescription": "d"}
    )
    path = f"/nslcm/v2/ns_instances/{created.json()['id']}/instantiate"
    asked: dict[str, Any] = {"nsFlavourId": "default", "additionalParamsForNs": {"sshKeys": "mine"}}
    assert (await rig.client.post(path, json=asked)).status_code == 422
    asked["additionalParamsForNs"] = {"sshKeys": ["mine"]}
    done = await rig.finished(await rig.client.post(path, json=asked))
    assert done["operationState"] == "COMPLETED", done
    vnfs = rig.node.vnfm.instances(tenant="default")
    assert len(vnfs) == 2
    assert {vnf.ssh_keys for vnf in vnfs} == {(KEY,)}


@pytest.mark.feature("A22", "A38", "A45")
async def test_what_belongs_to_one_tenant_is_not_anothers_and_vims_are_the_nodes(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        made = await rig.client.post(
            f"{OWN}/access/clients", json={"name": "them", "tenant": "other", "role": "operator"}
        )
        client = made.json()
        asked = {"grant_type": "client_credentials"}
        token = await rig.client.post(
            "/oauth2/token", data=asked, auth=(client["client"]["id"], client["client_secret"])
        )
        theirs = {"Authorization": f"Bearer {token.json()['access_token']}"}
        image = await upload(rig, "sipp")
        key = await call(rig, "POST", "/keys", 201, json={"name": "mine", "public_key": KEY})
        for path in (f"/images/{image}", f"/images/{image}/content", f"/keys/{key['id']}"):
            await call(rig, "GET", path, 404, headers=theirs)
        assert await call(rig, "GET", "/keys", 200, headers=theirs) == []
        await call(rig, "POST", "/keys", 201, json={"name": "mine", "public_key": KEY}, headers=theirs)
        for method, path in (("POST", "/vims/sim/refresh"), ("GET", "/vims/sim/images"), ("PATCH", "/vims/sim")):
            await call(rig, method, path, 403, headers=theirs)
