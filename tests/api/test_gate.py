"""Before a handler: readiness, tokens, methods, media types, versions, sizes. Every refusal is problem details."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from skerry import errors
from skerry.api import problem
from skerry.api.app import build
from skerry.settings import Settings
from skerry.wiring import Node
from tests.api.rig import VNFD, Rig, running

VNFS = "/vnflcm/v2/vnf_instances"


def check(response: httpx.Response, status: int) -> dict[str, object]:
    """A problem with this status and what SOL013 6.3 wants of it."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == problem.MEDIA_TYPE
    told = response.json()
    assert told["status"] == status
    assert str(told["detail"]).startswith("cannot ")
    assert told["instance"] == response.request.url.path
    return dict(told)


async def test_not_ready(tmp_path: Path) -> None:
    node = Node(Settings(data_dir=tmp_path, vims=()))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(build(node)), base_url="https://node") as client:
        assert (await client.get("/live")).json() == {"live": True}
        for path in ("/ready", VNFS, "/skerry/v1/node", "/nothing"):
            refused = await client.get(path)
            check(refused, 503)
            assert refused.headers["retry-after"] == "1"


async def test_tokens(rig: Rig) -> None:
    for header in ("", "Bearer", "Bearer sk_wrong", "Basic abc", "Bearer " + "x" * 4000):
        refused = await rig.client.get(VNFS, headers={"Authorization": header})
        check(refused, 401)
        assert refused.headers["www-authenticate"].startswith("Bearer")
        assert "sk_wrong" not in refused.text
    assert (await rig.client.get("/ready", headers={"Authorization": ""})).json() == {"ready": True}


async def test_methods_and_media_types(rig: Rig) -> None:
    refused = await rig.client.put(VNFS, json={})
    check(refused, 405)
    assert refused.headers["allow"] == "GET, HEAD, POST"
    told = check(await rig.client.post(VNFS, content=b"{}", headers={"Content-Type": "text/xml"}), 415)
    assert "application/json" in str(told["suggestion"])
    check(await rig.client.get(VNFS, headers={"Accept": "text/html"}), 406)
    for accept in ("application/json;q=0", "application/json; q=0.000", "*/*, application/json;q=0", "text/*, */*;q=0"):
        check(await rig.client.get(VNFS, headers={"Accept": accept}), 406)
    for accept in ("*/*", "application/*", "text/html, application/json;q=0.5", "*/*;q=0, application/json"):
        assert (await rig.client.get(VNFS, headers={"Accept": accept})).status_code == 200
    check(await rig.client.get("/nothing/at/all"), 404)
    assert (await rig.client.head(VNFS)).status_code == 200


async def test_versions(rig: Rig) -> None:
    answer = await rig.client.get(VNFS, headers={"Version": "2.0.0"})
    assert answer.status_code == 200
    assert answer.headers["version"] == "2.3.0"
    refused = await rig.client.get(VNFS, headers={"Version": "1.3.0"})
    check(refused, 406)
    assert refused.headers["version"] == "2.3.0"
    told = (await rig.client.get("/vnflcm/api_versions")).json()
    assert told == {
        "uriPrefix": "https://node/vnflcm/",
        "apiVersions": [{"version": "2.3.0"}, {"version": "1.3.0"}],
    }
    assert (await rig.client.get("/vnflcm/v1/api_versions")).json()["apiVersions"] == [{"version": "1.3.0"}]


async def test_sizes(rig: Rig) -> None:
    huge = b'{"vnfdId": "' + b"x" * (2 << 20) + b'"}'
    check(await rig.client.post(VNFS, content=huge, headers={"Content-Type": "application/json"}), 413)

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b" " * 65536

    check(await rig.client.post(VNFS, content=endless(), headers={"Content-Type": "application/json"}), 413)


async def test_preconditions(rig: Rig) -> None:
    await rig.onboard("server")
    created = await rig.client.post(VNFS, json={"vnfdId": "5b0d6a3e-7f6e-4c53-9f4a-0d5f7c1a9e01"})
    one, tag = created.headers["location"], created.headers["etag"]
    assert (await rig.client.get(one)).headers["etag"] == tag
    check(await rig.client.patch(one, json={"vnfInstanceName": "x"}, headers={"If-Match": '"99"'}), 412)
    done = await rig.finished(await rig.client.patch(one, json={"vnfInstanceName": "x"}, headers={"If-Match": tag}))
    assert done["operationState"] == "COMPLETED"
    assert (await rig.client.get(one)).headers["etag"] != tag


def test_every_error_class_has_a_status() -> None:
    kinds = [k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, errors.SkerryError)]
    statuses = {kind.__name__: problem.status_of(kind("cannot")) for kind in kinds}
    assert statuses.pop("SkerryError") == 500
    assert all(400 <= status < 600 and status != 500 for status in statuses.values()), statuses


async def test_unknown_error_tells_a_reference_only(tmp_path: Path) -> None:
    async with running(tmp_path, defects=False) as rig:
        await rig.client.post("/vnfpkgm/v2/vnf_packages", json={})
        with sqlite3.connect(rig.node.settings.data_dir / "skerry.db") as spoiler:
            spoiler.execute("UPDATE vnf_packages SET doc = 'a secret, not JSON'")
        refused = await rig.client.get("/vnfpkgm/v2/vnf_packages")
        told = check(refused, 500)
    assert len(str(told["reference"])) == 12
    assert "secret" not in refused.text
    assert set(told) <= {"status", "detail", "type", "title", "instance", "suggestion", "reference"}


@pytest.mark.feature("A23")
async def test_faults_of_a_package(rig: Rig) -> None:
    root = "/vnfpkgm/v2/vnf_packages"
    id = (await rig.client.post(root, json={})).json()["id"]
    broken = await rig.client.put(
        f"{root}/{id}/package_content", content=b"no zip", headers={"Content-Type": "application/zip"}
    )
    told = check(broken, 422)
    assert told["faults"]
    assert (await rig.client.get(f"{root}/{id}")).json()["onboardingState"] == "ERROR"
    assert (await rig.client.get(f"/vnfpkgm/v1/vnf_packages/{id}")).json()["onboardingState"] == "CREATED"
    assert not list((rig.node.settings.data_dir / "uploads").iterdir())
    empty = await rig.client.put(f"{root}/{id}/package_content", headers={"Content-Type": "application/zip"})
    check(empty, 400)


async def test_a_uri_that_is_too_long(rig: Rig) -> None:
    check(await rig.client.get(VNFS, params={"filter": "(eq,id," + "x" * 17_000 + ")"}), 414)


@pytest.mark.feature("A92")
async def test_without_a_token_only_programs_of_this_machine_are_let_in(tmp_path: Path) -> None:
    """A node that is open to this machine is still closed to web pages in its browsers."""
    async with running(tmp_path, plain=True, anonymous=True) as rig:
        del rig.client.headers["Authorization"]
        here = {"Host": "127.0.0.1:8443"}
        assert (await rig.client.get(VNFS, headers=here)).status_code == 200
        assert (await rig.client.get("/skerry/v1/access/me", headers=here)).json()["name"] == "anonymous"
        for more in (
            {"Origin": "https://evil.example"},
            {"Referer": "https://evil.example/"},
            {"Host": "evil.example"},
        ):
            check(await rig.client.get(VNFS, headers={**here, **more}), 403)
        check(await rig.client.get(VNFS, headers={**here, "Authorization": "Bearer wrong"}), 401)
    with pytest.raises(ValueError, match="anonymous"):
        Settings(data_dir=tmp_path, anonymous=True)


async def test_conditional_and_range_requests(rig: Rig) -> None:
    id = await rig.onboard("server")
    one = f"/vnfpkgm/v2/vnf_packages/{id}"
    tag = (await rig.client.get(one)).headers["etag"]
    same = await rig.client.get(one, headers={"If-None-Match": f'"x", {tag}'})
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
    assert (await rig.client.get(one, headers={"If-None-Match": '"99"'})).status_code == 200
    body = {"userDefinedData": {"k": "v"}}
    for wrong in ('"99"', "W/nonsense", "nonsense"):
        check(await rig.client.patch(one, json=body, headers={"If-Match": wrong}), 412)
    assert (await rig.client.patch(one, json=body, headers={"If-Match": tag})).status_code == 200
    check(await rig.client.patch(one, json=body, headers={"If-Match": tag}), 412)
    assert (await rig.client.patch(one, json=body, headers={"If-Match": "*"})).status_code == 200
    content = rig.archive("server").read_bytes()
    yaml = (await rig.client.get(f"{one}/artifacts/Definitions/sipp_server.yaml")).content
    for path, whole in (("package_content", content), ("artifacts/Definitions/sipp_server.yaml", yaml)):
        for wanted, expected in (("bytes=2-5", whole[2:6]), ("bytes=5-", whole[5:]), ("bytes=-3", whole[-3:])):
            part = await rig.client.get(f"{one}/{path}", headers={"Range": wanted})
            assert (part.status_code, part.content) == (206, expected), wanted
        for wanted in ("bytes=99999999-", "bytes=9-5", "bytes=-0"):
            refused = await rig.client.get(f"{one}/{path}", headers={"Range": wanted})
            check(refused, 416)
            assert refused.headers["content-range"] == f"bytes */{len(whole)}"
        for wanted in ("items=0-1", "bytes=", "bytes=abc", "bytes=0-1,abc"):
            answer = await rig.client.get(f"{one}/{path}", headers={"Range": wanted})
            assert (answer.status_code, answer.content) == (200, whole), wanted
        changed = await rig.client.get(f"{one}/{path}", headers={"Range": "bytes=99999999-", "If-Range": '"old"'})
        assert (changed.status_code, changed.content) == (200, whole)


async def test_what_another_changed_meanwhile_is_not_deleted(rig: Rig) -> None:
    nsd = f"/nsd/v2/ns_descriptors/{await rig.onboard_all()}"
    wanted = {"nsdId": (await rig.client.get(nsd)).json()["nsdId"], "nsName": "one", "nsDescription": ""}
    ns = (await rig.client.post("/nslcm/v2/ns_instances", json=wanted)).headers["location"]
    vnf = (await rig.client.post(VNFS, json={"vnfdId": VNFD})).headers["location"]
    empty = [
        (await rig.client.post(path, json={})).headers["location"]
        for path in ("/vnfpkgm/v2/vnf_packages", "/nsd/v2/pnf_descriptors")
    ]
    for one in (vnf, ns, nsd, *empty):
        check(await rig.client.delete(one, headers={"If-Match": '"99"'}), 412)
    for one in (vnf, ns, *empty):
        tag = (await rig.client.get(one)).headers["etag"]
        assert (await rig.client.delete(one, headers={"If-Match": tag})).status_code == 204
        assert (await rig.client.get(one)).status_code == 404
