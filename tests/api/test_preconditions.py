"""Conditional requests of many clients at once, over sockets: of all who saw one revision, one changes it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from tests.api.rig import TOKEN, Rig, running
from tests.api.test_capacity import threshold
from tests.api.test_mec010 import NAMED, created, onboarded
from tests.api.test_mec011 import SUPPORT, dns, offered, registered, service, traffic
from tests.api.test_snapshot_packages import snapshot
from tests.serving import served

MANY = 8


class Contest(NamedTuple):
    """A resource, and what may be asked for it: methods and bodies, of which each would do alone."""

    uri: str
    ways: tuple[tuple[str, Any], ...]


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncGenerator[Rig]:
    async with running(tmp_path, notification_test=False) as started:
        yield started


def data(number: int) -> dict[str, Any]:
    return {"userDefinedData": {"from": str(number)}}


REMOVE: tuple[str, Any] = ("DELETE", None)


async def nsd(rig: Rig) -> Contest:
    made = await rig.client.post("/nsd/v2/ns_descriptors", json={})
    return Contest(made.headers["Location"], (("PATCH", data), REMOVE))


async def pnfd(rig: Rig) -> Contest:
    made = await rig.client.post("/nsd/v2/pnf_descriptors", json={})
    return Contest(made.headers["Location"], (("PATCH", data), REMOVE))


async def vnf_package(rig: Rig) -> Contest:
    made = await rig.client.post("/vnfpkgm/v2/vnf_packages", json={})
    return Contest(made.headers["Location"], (("PATCH", data), REMOVE))


async def snapshot_package(rig: Rig) -> Contest:
    made = await rig.client.post("/vnfsnapshotpkgm/v1/vnf_snapshot_packages", json={"name": "one"})
    return Contest(made.headers["Location"], (("PATCH", data), REMOVE))


async def vnf_snapshot(rig: Rig) -> Contest:
    await rig.onboard("server")
    taken = await snapshot(rig, await rig.vnf())

    def change(number: int) -> dict[str, Any]:
        return {"vnfSnapshot": data(number)}

    return Contest(f"/vnflcm/v2/vnf_snapshots/{taken}", (("PATCH", change), REMOVE))


async def vnf(rig: Rig) -> Contest:
    await rig.onboard("server")
    made = await rig.client.post("/vnflcm/v2/vnf_instances", json={"vnfdId": "5b0d6a3e-7f6e-4c53-9f4a-0d5f7c1a9e01"})
    return Contest(made.headers["Location"], (("PATCH", lambda number: {"vnfInstanceName": str(number)}), REMOVE))


async def ns(rig: Rig) -> Contest:
    await rig.onboard_all()
    (known,) = (await rig.client.get("/nsd/v2/ns_descriptors")).json()
    wished = {"nsdId": known["nsdId"], "nsName": "one", "nsDescription": ""}
    made = await rig.client.post("/nslcm/v2/ns_instances", json=wished)
    return Contest(made.headers["Location"], (REMOVE,))


def called(number: int) -> dict[str, Any]:
    return {"callbackUri": f"http://127.0.0.1:9/{number}"}


async def pm_job(rig: Rig) -> Contest:
    await rig.onboard("server")
    wished = {
        "objectType": "Vnf",
        "objectInstanceIds": [await rig.vnf()],
        "criteria": {"performanceMetric": ["VCpuUsageMeanVnf"], "collectionPeriod": 300, "reportingPeriod": 300},
        **called(0),
    }
    made = await rig.client.post("/vnfpm/v2/pm_jobs", json=wished)
    return Contest(made.headers["Location"], (("PATCH", called), REMOVE))


async def pm_threshold(rig: Rig) -> Contest:
    await rig.onboard("server")
    simple = {"thresholdValue": 99.0, "hysteresis": 0.0}
    wished = {
        "objectType": "Vnf",
        "objectInstanceId": await rig.vnf(),
        "criteria": {
            "performanceMetric": "VCpuUsageMeanVnf",
            "thresholdType": "SIMPLE",
            "simpleThresholdDetails": simple,
        },
        **called(0),
    }
    made = await rig.client.post("/vnfpm/v2/thresholds", json=wished)
    return Contest(made.headers["Location"], (("PATCH", called), REMOVE))


async def capacity_threshold(rig: Rig) -> Contest:
    made = await rig.client.post("/nfvici/v1/capacity_thresholds", json=threshold("http://127.0.0.1:9/0"))
    return Contest(made.headers["Location"], (("PATCH", called), REMOVE))


async def app_package(rig: Rig) -> Contest:
    uri = await onboarded(rig)
    assert (await rig.client.patch(uri, json={"operationalState": "DISABLED"})).status_code == 200
    return Contest(uri, (("PATCH", lambda _: {"operationalState": "ENABLED"}), REMOVE))


async def empty_app_package(rig: Rig) -> Contest:
    made = await rig.client.post("/app_pkgm/v1/app_packages", json=NAMED)
    return Contest(made.headers["Location"], (REMOVE,))


async def app(rig: Rig) -> Contest:
    await onboarded(rig)
    return Contest(await created(rig), (REMOVE,))


async def app_subscription(rig: Rig) -> Contest:
    wished = {"subscriptionType": "AppInstanceStateChangeSubscription", "callbackUri": "http://127.0.0.1:9/0"}
    made = await rig.client.post("/app_lcm/v1/subscriptions", json=wished)
    return Contest(made.headers["Location"], (REMOVE,))


async def registration(rig: Rig) -> Contest:
    one = await registered(rig)
    change = ("PUT", lambda number: {"appName": f"video {number}"})
    return Contest(f"{SUPPORT}/registrations/{one}", (change, REMOVE))


async def mec_service(rig: Rig) -> Contest:
    one = await registered(rig)
    made = await offered(rig, one)
    uri = f"/mec_service_mgmt/v1/applications/{one}/services/{made['serInstanceId']}"
    return Contest(uri, (("PUT", lambda number: service(serName=f"cache{number}")), REMOVE))


async def mec_subscription(rig: Rig) -> Contest:
    one = await registered(rig)
    wished = {
        "subscriptionType": "SerAvailabilityNotificationSubscription",
        "callbackReference": "http://127.0.0.1:9/0",
    }
    made = await rig.client.post(f"/mec_service_mgmt/v1/applications/{one}/subscriptions", json=wished)
    return Contest(made.headers["Location"], (REMOVE,))


async def traffic_rule(rig: Rig) -> Contest:
    uri = f"{SUPPORT}/applications/{await registered(rig)}/traffic_rules/t1"
    assert (await rig.client.put(uri, json=traffic(state="INACTIVE"))).status_code == 200
    return Contest(uri, (("PUT", lambda number: traffic(state="INACTIVE", priority=number)),))


async def dns_rule(rig: Rig) -> Contest:
    uri = f"{SUPPORT}/applications/{await registered(rig)}/dns_rules/d1"
    assert (await rig.client.put(uri, json=dns(state="INACTIVE"))).status_code == 200
    return Contest(uri, (("PUT", lambda number: dns(state="INACTIVE", ttl=60 + number)),))


async def image(rig: Rig) -> Contest:
    made = await rig.client.post("/skerry/v1/images", json={"name": "one"})
    return Contest(made.headers["Location"], (REMOVE,))


async def key(rig: Rig) -> Contest:
    made = await rig.client.post("/skerry/v1/keys/generate", json={"name": "one"})
    return Contest(made.headers["Location"], (REMOVE,))


MAKERS: tuple[Callable[[Rig], Awaitable[Contest]], ...] = (
    nsd,
    pnfd,
    vnf_package,
    snapshot_package,
    vnf_snapshot,
    vnf,
    ns,
    pm_job,
    pm_threshold,
    capacity_threshold,
    app_package,
    empty_app_package,
    app,
    app_subscription,
    registration,
    mec_service,
    mec_subscription,
    traffic_rule,
    dns_rule,
    image,
    key,
)


async def ask(rig: Rig, node: str, contest: Contest, number: int, tag: str) -> int:
    """One client's request on a connection of its own; its status."""
    method, content = contest.ways[number % len(contest.ways)]
    headers = {"Authorization": f"Bearer {TOKEN}", "If-Match": tag}
    path = httpx.URL(contest.uri).raw_path.decode()
    async with httpx.AsyncClient(base_url=node, headers=headers, timeout=60) as client:
        answer = await client.request(method, path, json=content(number) if content else None)
    return answer.status_code


@pytest.mark.feature("A92", "E37")
@pytest.mark.parametrize("make", MAKERS, ids=lambda make: str(make.__name__))
async def test_of_many_conditional_writers_one_wins(rig: Rig, make: Callable[[Rig], Awaitable[Contest]]) -> None:
    contest = await make(rig)
    before = await rig.client.get(contest.uri)
    tag = before.headers["ETag"]
    async with served(rig) as node:
        assert {await ask(rig, node, contest, number, '"999999"') for number in range(len(contest.ways))} == {412}
        assert {await ask(rig, node, contest, number, f"W/{tag}") for number in range(len(contest.ways))} == {412}
        assert (await rig.client.get(contest.uri)).text == before.text
        asked = [ask(rig, node, contest, number, tag) for number in range(MANY)]
        statuses = await asyncio.gather(*asked)
    assert len([status for status in statuses if status < 300]) == 1, statuses
    assert {status for status in statuses if status >= 300} <= {412, 404}, statuses
    after = await rig.client.get(contest.uri)
    assert after.status_code == 404 or after.headers["ETag"] != tag
