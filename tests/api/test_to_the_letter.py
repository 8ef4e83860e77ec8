"""What is easily overlooked in requests: versions that are not there yet, parameters given twice, numbers never given."""

from __future__ import annotations

import json

import httpx
import pytest

from tests.api.rig import JSON, Rig
from tests.api.test_mec011 import MP1, SERVICES, SUPPORT, offered, registered, service
from tests.serving import served

VNFS = "/vnflcm/v2/vnf_instances"


@pytest.mark.feature("A92")
@pytest.mark.parametrize(
    ("version", "status"),
    [
        ("2.0.0", 200),
        ("2.3.0", 200),
        ("2.3.9", 200),
        ("2.3.0-impl:example.com:thing:4", 200),
        ("2.4.0", 406),
        ("2.99.0", 406),
        ("3.0.0", 406),
        ("2.x.0", 406),
        ("two", 406),
    ],
)
async def test_a_version_beyond_what_is_served_is_refused(rig: Rig, version: str, status: int) -> None:
    answer = await rig.client.get(VNFS, headers={"Version": version})
    assert (answer.status_code, answer.headers["version"]) == (status, "2.3.0")
    if status == 406:
        assert "2.3.0" in answer.json()["suggestion"]


@pytest.mark.feature("A92")
@pytest.mark.parametrize("path", [VNFS, "/nslcm/v1/ns_instances", "/app_lcm/v1/app_instances", "/skerry/v1/keys"])
@pytest.mark.parametrize("query", ["filter=(eq,id,a)&filter=(eq,id,b)", "fields=id&fields=id", "all_fields&all_fields"])
async def test_what_may_be_given_once_is_refused_twice(rig: Rig, path: str, query: str) -> None:
    assert (await rig.client.get(f"{path}?{query.partition('&')[0]}")).status_code == 200
    refused = await rig.client.get(f"{path}?{query}")
    assert refused.status_code == 400
    assert query.partition("=")[0].partition("&")[0] in refused.json()["detail"]


@pytest.mark.feature("E38")
async def test_a_name_that_comes_twice_is_refused_on_mp1(rig: Rig) -> None:
    app = await registered(rig)
    path = f"{SERVICES}/applications/{app}/services"
    good = json.dumps(service())
    inner = good.replace('"host": "10.0.0.9"', '"host": "10.0.0.9", "host": "10.6.6.6"')
    for bad, name in ((good[:-1] + ', "serName": "other"}', "serName"), (inner, "host")):
        refused = await rig.client.post(path, content=bad, headers=JSON)
        assert refused.status_code == 400
        assert f"{name} comes twice" in refused.json()["detail"]
    for raw in (b'{"appName": "a", "appName": "b"}', b'{"appName": "a", "\\u0061ppName": "b"}'):
        assert (await rig.client.post(f"{SUPPORT}/registrations", content=raw, headers=JSON)).status_code == 400
    assert (await rig.client.get(path)).json() == []
    same = await rig.client.post(path, content=good, headers=JSON)  # the same name in different maps is usual
    assert same.status_code == 201


@pytest.mark.feature("E48")
async def test_nobody_settles_what_has_not_come_yet(rig: Rig) -> None:
    app = await registered(rig)
    wish = {
        "subscriptionType": "SerAvailabilityNotificationSubscription",
        "websockNotifConfig": {"requestWebsocketUri": True},
    }
    made = await rig.client.post(f"{SERVICES}/applications/{app}/subscriptions", json=wish)
    feed = f"{MP1}/notifications/{made.headers['Location'].rpartition('/')[2]}"
    refused = await rig.client.get(f"{feed}?after=1000")
    assert refused.status_code == 400
    assert "the newest is" in refused.json()["detail"]
    await offered(rig, app)
    (first,) = (await rig.client.get(f"{feed}?wait_s=20")).json()
    assert (await rig.client.get(f"{feed}?after={first['number'] + 1}")).status_code == 400
    assert len((await rig.client.get(f"{feed}?wait_s=20")).json()) == 1, "it was not settled by that"
    assert (await rig.client.get(f"{feed}?after={first['number']}")).json() == []


@pytest.mark.feature("A41")
async def test_who_follows_events_from_a_number_of_elsewhere_hears_what_comes(rig: Rig) -> None:
    for since in ("999999999", "1e300", "inf"):
        assert (await rig.client.get(f"/skerry/v1/events?since={since}")).json() == []
    before = rig.node.engine.events.last()
    headers = {**dict(rig.client.headers), "Last-Event-ID": "999999999"}
    async with (
        served(rig) as node,
        httpx.AsyncClient(base_url=node, timeout=60) as client,
        client.stream("GET", "/skerry/v1/events?follow=true&kind=package", headers=headers) as answer,
    ):
        lines = answer.aiter_lines()
        assert await anext(lines) == ": following"
        await rig.onboard("server")
        async for line in lines:
            if line.startswith("data:"):
                assert json.loads(line[5:])["seq"] > before
                break
