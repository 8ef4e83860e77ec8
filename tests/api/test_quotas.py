"""Quotas of tenants over HTTP: set by who runs the node, seen by nobody else, not exceeded by many at once."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from tests.api.rig import VNFD, Rig
from tests.api.test_access import as_client
from tests.api.test_granting import GRANTS, wish
from tests.api.test_mec010 import LCM, NAMED, PKG, ZIP
from tests.meo.packages import appd, archive
from tests.notifications.receiver import receiving
from tests.serving import served

QUOTAS = "/skerry/v1/access/quotas"
SHOP = f"{QUOTAS}/shop"


async def limit(rig: Rig, **limits: Any) -> None:
    answer = await rig.client.put(SHOP, json=limits)
    assert answer.status_code == 200, answer.text


async def used(rig: Rig) -> dict[str, Any]:
    return dict((await rig.client.get(SHOP)).json()["usage"])


async def shop(rig: Rig) -> dict[str, str]:
    """Headers of an administrator of another tenant, whose packages are there."""
    headers = await as_client(rig, "boss", "admin", tenant="shop")
    mine = httpx.Headers(headers)
    before, rig.client.headers = rig.client.headers, httpx.Headers({**rig.client.headers, **mine})
    await rig.onboard_all()
    rig.client.headers = before
    return headers


async def machines(rig: Rig) -> int:
    """How many instances the infrastructure says that it has (SOL005 10.5)."""
    (zone,) = (await rig.client.get("/nfvici/v1/nfvi_capacity_infos/sim")).json()["capacityInfoPerZone"]
    one = next(one for one in zone["capacityMeasurements"] if one["capacityMeasurementName"] == "instances")
    return int(one["allocatedCapacity"]["value"])


async def ended(rig: Rig, answer: httpx.Response, headers: dict[str, str]) -> dict[str, Any]:
    """The occurrence that was accepted, once it is over."""
    assert answer.status_code == 202, answer.text
    await rig.node.engine.wait(answer.headers["Location"].rpartition("/")[2], 60)
    return dict((await rig.client.get(answer.headers["Location"], headers=headers)).json())


@pytest.mark.feature("A40", "A67")
async def test_many_at_once_get_no_more_than_the_quota(rig: Rig) -> None:
    headers = await shop(rig)
    await limit(rig, instances=3)

    async def one(client: httpx.AsyncClient) -> tuple[str, dict[str, Any]]:
        made = await client.post("/vnflcm/v2/vnf_instances", json={"vnfdId": VNFD})
        id = made.json()["id"]
        begun = await client.post(f"/vnflcm/v2/vnf_instances/{id}/instantiate", json={"flavourId": "default"})
        return id, await ended(rig, begun, headers)

    async with served(rig) as node, httpx.AsyncClient(base_url=node, headers=headers, timeout=60) as client:
        done = await asyncio.gather(*(one(client) for _ in range(8)))
    there = [id for id, occurrence in done if occurrence["operationState"] == "COMPLETED"]
    refused = [occurrence for _, occurrence in done if occurrence["operationState"] == "ROLLED_BACK"]
    assert (len(there), len(refused), await machines(rig)) == (3, 5, 3)
    assert all("instances: the limit is 3, used are" in occurrence["error"]["detail"] for occurrence in refused)
    assert (await used(rig))["instances"] == 3
    root = f"/vnflcm/v2/vnf_instances/{there[0]}"
    gone = await rig.client.post(f"{root}/terminate", json={"terminationType": "FORCEFUL"}, headers=headers)
    assert (await ended(rig, gone, headers))["operationState"] == "COMPLETED"
    assert ((await used(rig))["instances"], await machines(rig)) == (2, 2)
    again = await rig.client.post(f"{root}/instantiate", json={"flavourId": "default"}, headers=headers)
    assert (await ended(rig, again, headers))["operationState"] == "COMPLETED"


@pytest.mark.feature("A40", "A67")
async def test_of_services_at_once_one_gets_all_and_the_others_nothing(rig: Rig) -> None:
    headers = await shop(rig)
    (nsd,) = (await rig.client.get("/nsd/v2/ns_descriptors", headers=headers)).json()
    wished = {"nsdId": nsd["nsdId"], "nsName": "one", "nsDescription": ""}
    roots = [
        (await rig.client.post("/nslcm/v2/ns_instances", json=wished, headers=headers)).headers["Location"]
        for _ in range(3)
    ]
    await limit(rig, instances=3)  # each takes two

    async def one(client: httpx.AsyncClient, root: str) -> str:
        path = httpx.URL(root).path
        begun = await client.post(f"{path}/instantiate", json={"nsFlavourId": nsd_flavour})
        return str((await ended(rig, begun, headers))["operationState"])

    nsd_flavour = "default"
    async with served(rig) as node, httpx.AsyncClient(base_url=node, headers=headers, timeout=60) as client:
        states = await asyncio.gather(*(one(client, root) for root in roots))
    assert sorted(states) == ["COMPLETED", "ROLLED_BACK", "ROLLED_BACK"]
    assert len((await rig.client.get("/vnflcm/v2/vnf_instances", headers=headers)).json()) == 2
    assert (await machines(rig), (await used(rig))["instances"]) == (2, 2)


@pytest.mark.feature("A40")
async def test_services_and_applications_are_counted(rig: Rig) -> None:
    headers = await shop(rig)
    (nsd,) = (await rig.client.get("/nsd/v2/ns_descriptors", headers=headers)).json()
    made = await rig.client.post(f"{PKG}/app_packages", json=NAMED, headers=headers)
    content = archive(appd("app-1")).read_bytes()
    put = await rig.client.put(
        f"{made.headers['Location']}/package_content", content=content, headers={**ZIP, **headers}
    )
    assert put.status_code == 202, put.text
    await limit(rig, ns=1, apps=1)
    ns = {"nsdId": nsd["nsdId"], "nsName": "one", "nsDescription": ""}
    app = {"appDId": "app-1", "appInstanceName": "one"}
    for path, body, word in (
        ("/nslcm/v2/ns_instances", ns, "network services"),
        (f"{LCM}/app_instances", app, "applications"),
    ):
        first, second = [await rig.client.post(path, json=body, headers=headers) for _ in range(2)]
        assert (first.status_code, second.status_code) == (201, 403)
        assert f"{word}: the limit is 1, used are 1, asked for are 1" in second.json()["detail"]
    (one,) = (await rig.client.get(f"{LCM}/app_instances", headers=headers)).json()
    root = f"{LCM}/app_instances/{one['id']}"
    await limit(rig, instances=0)
    refused = await rig.client.post(f"{root}/instantiate", json={}, headers=headers)
    assert refused.status_code == 403, refused.text
    assert "instances: the limit is 0" in refused.json()["detail"]
    await limit(rig, ns=1)  # the service that an application is counts as an application only
    begun = await rig.client.post(f"{root}/instantiate", json={}, headers=headers)
    assert (await ended(rig, begun, headers))["operationState"] == "COMPLETED"
    usage = await used(rig)
    assert (usage["ns"], usage["apps"], usage["instances"]) == (1, 1, 1)


@pytest.mark.feature("A64")
async def test_managers_of_others_are_refused_too_and_give_back(rig: Rig) -> None:
    headers = await shop(rig)
    await limit(rig, instances=1)
    assert (await rig.client.post(GRANTS, json=wish(), headers=headers)).status_code == 201
    assert (await rig.client.post(GRANTS, json=wish(), headers=headers)).status_code == 201, "the same once more"
    second = {**wish(operation="op-2"), "vnfInstanceId": "another"}
    refused = await rig.client.post(GRANTS, json=second, headers=headers)
    assert (refused.status_code, (await used(rig))["instances"]) == (403, 1)
    assert refused.json()["faults"][0]["path"] == "/instances"
    end = {**wish(operation="op-3"), "operation": "TERMINATE", "addResources": []}
    assert (await rig.client.post(GRANTS, json=end, headers=headers)).status_code == 201
    assert (await rig.client.post(GRANTS, json=second, headers=headers)).status_code == 201


@pytest.mark.feature("A40", "A41")
async def test_who_was_refused_is_notified_when_the_quota_has_room(rig: Rig) -> None:
    headers = await shop(rig)
    await limit(rig, vcpus=0)
    made = await rig.client.post("/vnflcm/v2/vnf_instances", json={"vnfdId": VNFD}, headers=headers)
    root = made.headers["Location"]
    async with receiving() as receiver:
        for who in (headers, {}):
            wished = {"callbackUri": receiver.uri("/mine" if who else "/others")}
            told = await rig.client.post("/vrqan/v1/subscriptions", json=wished, headers=who)
            assert told.status_code == 201, told.text
        begun = await rig.client.post(f"{root}/instantiate", json={"flavourId": "default"}, headers=headers)
        assert (await ended(rig, begun, headers))["operationState"] == "ROLLED_BACK"
        await limit(rig, vcpus=64)
        await receiver.until(lambda: any(got.body for got in receiver.got))
        (got,) = [got for got in receiver.got if got.body]
    assert got.path == "/mine"
    assert {name: got.json[name] for name in ("notificationType", "resourceType", "resourceGroupId")} == {
        "notificationType": "VrQuotaAvailNotification",
        "resourceType": "COMPUTE",
        "resourceGroupId": "shop",
    }
    assert "vimId" not in got.json


@pytest.mark.feature("A92", "D36")
async def test_quotas_are_for_who_runs_the_node_alone(rig: Rig) -> None:
    await limit(rig, vcpus=2.5)
    for name, more in (
        ("a", {"role": "admin", "tenant": "shop"}),
        ("b", {"role": "operator"}),
        ("c", {"role": "guest"}),
    ):
        headers = await as_client(rig, name, **more)
        for answer in (
            await rig.client.get(QUOTAS, headers=headers),
            await rig.client.get(SHOP, headers=headers),
            await rig.client.put(SHOP, json={}, headers=headers),
            await rig.client.delete(SHOP, headers=headers),
        ):
            assert answer.status_code == 403
    shown = await rig.client.get(SHOP)
    assert (shown.json()["tenant"], shown.json()["limits"]) == ("shop", {"vcpus": 2.5})


@pytest.mark.feature("A40")
async def test_limits_are_read_changed_on_condition_and_lifted(rig: Rig) -> None:
    made = await rig.client.put(SHOP, json={"vcpus": 4, "memory_bytes": 2**33})
    tag = made.headers["ETag"]
    assert [one["tenant"] for one in (await rig.client.get(QUOTAS)).json()] == ["shop"]
    assert (await rig.client.put(SHOP, json={"vcpus": 5}, headers={"If-Match": '"9"'})).status_code == 412
    assert (await rig.client.put(SHOP, json={"vcpus": 5}, headers={"If-Match": tag})).status_code == 200
    assert (await rig.client.delete(SHOP, headers={"If-Match": tag})).status_code == 412
    assert (await rig.client.get(SHOP)).json()["limits"] == {"vcpus": 5.0}
    for wrong in ({"vcpus": -1}, {"instances": 1.5}, {"cores": 1}, {"memory_bytes": "8GiB"}):
        assert (await rig.client.put(SHOP, json=wrong)).status_code == 422
    assert (await rig.client.put(f"{QUOTAS}/Not a tenant", json={})).status_code == 422
    assert (await rig.client.delete(SHOP)).status_code == 204
    assert (await rig.client.delete(SHOP)).status_code == 404
    assert (await rig.client.get(SHOP)).json()["limits"] == {}
