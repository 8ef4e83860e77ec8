"""Archives that arrive at the same time for one record: one goes on, whichever way they come."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter

import pytest

from skerry.errors import ConflictError, UnavailableError
from skerry.model.notifications import Authentication
from skerry.model.states import OnboardingState
from skerry.nfvo.arriving import Turns
from tests.api.conftest import rig as rig  # noqa: PLC0414 - the fixture
from tests.api.rig import Rig


@pytest.mark.feature("A25")
async def test_of_archives_that_come_at_once_one_goes_on(rig: Rig) -> None:
    catalogue, archive = rig.node.catalogue, rig.archive("server")
    served = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        served += 1
        await reader.readuntil(b"\r\n\r\n")
        data = archive.read_bytes()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    uri = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/p.csar"
    id = (await rig.client.post("/vnfpkgm/v2/vnf_packages", json={})).json()["id"]
    fetches = (catalogue.fetch_vnf_package(id, uri, Authentication(), tenant="default") for _ in range(5))
    uploads = (catalogue.upload_vnf_package(id, archive, tenant="default") for _ in range(5))
    ends = await asyncio.gather(*fetches, *uploads, return_exceptions=True)
    assert Counter(type(end) for end in ends)[ConflictError] == 9, ends
    async with asyncio.timeout(30):
        while (found := catalogue.vnf_package(id, tenant="default")).onboarding_state is not OnboardingState.ONBOARDED:
            assert found.onboarding_state is not OnboardingState.ERROR, found.problem
            await asyncio.sleep(0.01)
    assert served <= 1
    server.close()


@pytest.mark.feature("A25")
async def test_a_package_that_is_deleted_while_it_is_fetched_is_gone(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    go_on = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await go_on.wait()
        writer.write(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    uri = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/p.csar"
    root = "/vnfpkgm/v2/vnf_packages"
    id = (await rig.client.post(root, json={})).json()["id"]
    body = {"addressInformation": uri}
    begun = await rig.client.post(f"{root}/{id}/package_content/upload_from_uri", json=body)
    assert begun.status_code == 202
    deleted = await rig.client.delete(f"{root}/{id}")
    go_on.set()
    assert deleted.status_code == 204
    assert (await rig.client.get(f"{root}/{id}")).status_code == 404
    async with asyncio.timeout(30):
        while list((rig.folder / "node" / "packages").glob("*.fetched")):
            await asyncio.sleep(0.01)
    await asyncio.sleep(0)
    gc.collect()
    assert "never retrieved" not in caplog.text
    server.close()


@pytest.mark.feature("A25")
async def test_an_archive_that_the_disk_does_not_take_can_be_sent_again(rig: Rig) -> None:
    catalogue, folder = rig.node.catalogue, rig.folder / "node" / "packages"
    id = (await rig.client.post("/vnfpkgm/v2/vnf_packages", json={})).json()["id"]
    if folder.exists():
        folder.rmdir()
    folder.write_text("no folder")
    with pytest.raises(UnavailableError, match="cannot keep the archive"):
        await catalogue.upload_vnf_package(id, rig.archive("server"), tenant="default")
    assert catalogue.vnf_package(id, tenant="default").onboarding_state is OnboardingState.ERROR
    folder.unlink()
    again = await catalogue.upload_vnf_package(id, rig.archive("server"), tenant="default")
    assert again.onboarding_state is OnboardingState.ONBOARDED


async def test_archives_of_one_tenant_are_read_one_after_the_other_and_hold_up_no_other() -> None:
    turns, reading, most = Turns(at_once=3), Counter[str](), Counter[str]()
    go_on = asyncio.Event()

    async def read(tenant: str) -> None:
        async with turns.turn(tenant):
            reading.update((tenant, "all"))
            most[tenant], most["all"] = max(most[tenant], reading[tenant]), max(most["all"], reading["all"])
            await go_on.wait()
            reading.subtract((tenant, "all"))

    hostile = [asyncio.create_task(read("red")) for _ in range(20)]
    await asyncio.sleep(0)
    others = [asyncio.create_task(read(tenant)) for tenant in ("blue", "green", "white")]
    async with asyncio.timeout(30):
        while reading["all"] < 3:
            await asyncio.sleep(0)
        assert (reading["red"], reading["blue"]) == (1, 1)
        go_on.set()
        await asyncio.gather(*hostile, *others)
    assert (most["red"], most["all"]) == (1, 3)
