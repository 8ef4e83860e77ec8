"""Mp1 over HTTP: registrations, confirmations, services, subscriptions, liveness, rules, transports, time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skerry.mep.steering import SimulatedSteering
from tests.api.rig import JSON, Rig, running
from tests.api.test_access import as_client

SUPPORT, SERVICES, MP1 = "/mec_app_support/v1", "/mec_service_mgmt/v1", "/mp1/v1"
CATEGORY = {"href": "/catalogue/rni", "id": "rni", "name": "RNI", "version": "v2"}


def service(**changes: Any) -> dict[str, Any]:
    """A service that is right."""
    whole = {
        "serName": "cache",
        "version": "1.0",
        "state": "ACTIVE",
        "serializer": "JSON",
        "transportInfo": {
            "id": "t1",
            "name": "HTTP",
            "type": "REST_HTTP",
            "protocol": "HTTP",
            "version": "1.1",
            "endpoint": {"addresses": [{"host": "10.0.0.9", "port": 80}]},
            "security": {},
        },
        **changes,
    }
    return {name: value for name, value in whole.items() if value is not None}


def traffic(id: str = "t1", **changes: Any) -> dict[str, Any]:
    """A traffic rule that is right."""
    return {
        "trafficRuleId": id,
        "filterType": "FLOW",
        "priority": 7,
        "trafficFilter": [{"srcAddress": ["10.45.0.0/16"], "dstPort": ["80"]}],
        "action": "FORWARD_DECAPSULATED",
        "dstInterface": {"interfaceType": "IP", "dstIpAddress": "10.0.0.9"},
        "state": "ACTIVE",
        **changes,
    }


def dns(id: str = "d1", **changes: Any) -> dict[str, Any]:
    """A DNS rule that is right."""
    return {
        "dnsRuleId": id,
        "domainName": "video.example.com",
        "ipAddressType": "IP_V4",
        "ipAddress": "10.0.0.9",
        "ttl": 30,
        "state": "ACTIVE",
        **changes,
    }


async def registered(rig: Rig, name: str = "video") -> str:
    """A registered application; returns its id."""
    made = await rig.client.post(f"{SUPPORT}/registrations", json={"appName": name})
    assert made.status_code == 201, made.text
    return str(made.json()["appInstanceId"])


async def offered(rig: Rig, app: str, **changes: Any) -> dict[str, Any]:
    """A registered service as it was answered."""
    made = await rig.client.post(f"{SERVICES}/applications/{app}/services", json=service(**changes))
    assert made.status_code == 201, made.text
    return dict(made.json())


@pytest.fixture
async def steered(tmp_path: Path) -> AsyncGenerator[tuple[Rig, SimulatedSteering]]:
    plane = SimulatedSteering()
    async with running(tmp_path, steering=plane, mec_dns="builtin") as rig:
        yield rig, plane


async def listed(rig: Rig, query: str = "", root: str = f"{SERVICES}/services") -> list[str]:
    """The names of the services of a query."""
    answer = await rig.client.get(root + query)
    assert answer.status_code == 200, answer.text
    return [one["serName"] for one in answer.json()]


# -- applications ---------------------------------------------------------------------------------------------------------


@pytest.mark.feature("B34")
async def test_an_application_confirms_once_that_it_is_ready(rig: Rig) -> None:
    app = await registered(rig)
    path = f"{SUPPORT}/applications/{app}/confirm_ready"
    assert (await rig.client.post(path, json={"indication": "MAYBE"})).status_code == 400
    assert (await rig.client.post(path, json={"indication": "READY"})).status_code == 204
    again = await rig.client.post(path, json={"indication": "READY"})
    assert again.status_code == 409
    assert "READY" in again.json()["detail"]
    unknown = await rig.client.post(f"{SUPPORT}/applications/nobody/confirm_ready", json={"indication": "READY"})
    assert unknown.status_code == 404


@pytest.mark.feature("B35")
async def test_a_termination_is_confirmed_only_when_it_was_announced(rig: Rig) -> None:
    app = await registered(rig)
    path = f"{SUPPORT}/applications/{app}/confirm_termination"
    ending = {"operationAction": "TERMINATING"}
    assert (await rig.client.post(path, json=ending)).status_code == 409
    await rig.client.post(
        f"{SUPPORT}/applications/{app}/subscriptions",
        json={
            "subscriptionType": "AppTerminationNotificationSubscription",
            "appInstanceId": app,
            "websockNotifConfig": {"requestWebsocketUri": True},
        },
    )
    begun = time.monotonic()
    asked = asyncio.create_task(rig.node.mep.ask_to_stop(app, "TERMINATING", 20))
    links = await rig.client.get(f"{SUPPORT}/applications/{app}/subscriptions")
    id = links.json()["_links"]["subscriptions"][0]["href"].rpartition("/")[2]
    waiting = (await rig.client.get(f"{MP1}/notifications/{id}?wait_s=5")).json()
    told = waiting[0]["notification"]
    assert (told["notificationType"], told["operationAction"]) == ("AppTerminationNotification", "TERMINATING")
    assert told["maxGracefulTimeout"] == 20
    assert (await rig.client.post(path, json={"operationAction": "STOPPING"})).status_code == 409
    confirm = told["_links"]["confirmTermination"]["href"]
    assert (await rig.client.post(confirm, json=ending)).status_code == 204
    assert await asked
    assert time.monotonic() - begun < 5
    assert (await rig.client.post(path, json=ending)).status_code == 409


async def test_an_application_that_says_nothing_is_not_waited_for_longer_than_announced(rig: Rig) -> None:
    app = await registered(rig)
    assert await rig.node.mep.ask_to_stop(app, "STOPPING", 60), "nobody asked to be told: there is nothing to wait for"
    other = await registered(rig, "other")
    await rig.client.post(
        f"{SUPPORT}/applications/{other}/subscriptions",
        json={
            "subscriptionType": "AppTerminationNotificationSubscription",
            "appInstanceId": other,
            "websockNotifConfig": {"requestWebsocketUri": True},
        },
    )
    assert not await rig.node.mep.ask_to_stop(other, "STOPPING", 0.05)


async def test_registration_is_read_changed_and_taken_back(rig: Rig) -> None:
    app = await registered(rig)
    one = f"{SUPPORT}/registrations/{app}"
    shown = await rig.client.get(one)
    assert shown.json() == {"appName": "video", "appInstanceId": app}
    changed = {"appName": "video", "appProvider": "me", "endpoint": {"uris": ["http://10.0.0.9"]}}
    stale = await rig.client.put(one, json=changed, headers={"If-Match": '"99"'})
    assert stale.status_code == 412
    assert (await rig.client.put(one, json=changed, headers={"If-Match": shown.headers["ETag"]})).status_code == 204
    assert (await rig.client.get(one)).json()["appProvider"] == "me"
    kept = await offered(rig, app)
    assert (await rig.client.delete(one)).status_code == 204
    assert (await rig.client.get(one)).status_code == 404
    assert (await rig.client.get(f"{SERVICES}/services/{kept['serInstanceId']}")).status_code == 404
    strange = {"appName": "x", "appInstanceId": "nobody", "isInsByMec": True}
    assert (await rig.client.post(f"{SUPPORT}/registrations", json=strange)).status_code == 400


@pytest.mark.feature("B56")
async def test_credentials_are_handed_out_once_and_open_only_the_applications_own_doors(rig: Rig) -> None:
    app, other = await registered(rig), await registered(rig, "other")
    path = f"{MP1}/applications/{app}/credentials"
    given = await rig.client.post(path)
    assert given.status_code == 201
    assert given.headers["cache-control"] == "no-store"
    assert (await rig.client.post(path)).status_code == 409
    told = given.json()
    form = {"grant_type": "client_credentials"}
    who = (told["clientId"], told["clientSecret"])
    token = await rig.client.post(told["tokenEndpoint"], data=form, auth=who)
    assert set(token.json()["scope"].split()) == set(told["scope"].split())
    mine = {"Authorization": f"Bearer {token.json()['access_token']}"}
    made = await rig.client.post(f"{SERVICES}/applications/{app}/services", json=service(), headers=mine)
    assert made.status_code == 201
    foreign = await rig.client.post(f"{SERVICES}/applications/{other}/services", json=service(), headers=mine)
    assert foreign.status_code == 403
    assert (await rig.client.get(f"{SERVICES}/services", headers=mine)).status_code == 200
    beyond = await rig.client.get("/vnflcm/v2/vnf_instances", headers=mine)
    assert beyond.status_code == 403
    assert "insufficient_scope" in beyond.headers["www-authenticate"]
    assert (await rig.client.delete(f"{SUPPORT}/registrations/{app}", headers=mine)).status_code == 204
    assert (await rig.client.get(f"{SERVICES}/services", headers=mine)).status_code == 401


# -- services -------------------------------------------------------------------------------------------------------------


@pytest.mark.feature("B39", "B40", "B41", "B42", "B43", "B45")
async def test_the_life_of_a_service(rig: Rig) -> None:
    app = await registered(rig)
    all = f"{SERVICES}/applications/{app}/services"
    made = await rig.client.post(all, json=service())
    id = made.json()["serInstanceId"]
    one = f"{all}/{id}"
    assert made.headers["location"].endswith(one)
    assert (
        (await rig.client.get(one)).json() == made.json() == (await rig.client.get(f"{SERVICES}/services/{id}")).json()
    )
    assert (await rig.client.get(all)).json() == [made.json()]
    inactive = await rig.client.put(one, json=service(state="INACTIVE"), headers={"If-Match": made.headers["etag"]})
    assert inactive.json()["state"] == "INACTIVE"
    stale = await rig.client.put(one, json=service(), headers={"If-Match": made.headers["etag"]})
    assert stale.status_code == 412
    assert (await rig.client.get(one)).json()["state"] == "INACTIVE"
    assert (await rig.client.delete(one)).status_code == 204
    for gone in (one, f"{SERVICES}/services/{id}"):
        assert (await rig.client.get(gone)).status_code == 404
    assert (await rig.client.delete(one)).status_code == 404
    assert await listed(rig) == []
    nobody = await rig.client.post(f"{SERVICES}/applications/nobody/services", json=service())
    assert nobody.status_code == 404
    broken = await rig.client.post(all, content=b"{", headers=JSON)
    assert (broken.status_code, broken.headers["content-type"]) == (400, "application/problem+json")


@pytest.mark.feature("B47")
@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("state", "RUNNING"),
        ("state", "SUSPENDED"),
        ("serializer", "YAML"),
        ("scopeOfLocality", "PLANET"),
        ("serInstanceId", "mine"),
        ("transportInfo", None),
        ("transportId", "no-such-transport"),
        ("livenessInterval", -1),
    ],
)
async def test_what_the_standard_does_not_know_is_refused(rig: Rig, where: str, value: Any) -> None:
    app = await registered(rig)
    refused = await rig.client.post(f"{SERVICES}/applications/{app}/services", json=service(**{where: value}))
    assert refused.status_code == 400
    assert any(where in fault.get("path", "") + fault["message"] for fault in refused.json()["faults"])


@pytest.mark.feature("B47")
@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"type": "PIGEON"}, "type"),
        ({"security": {"oAuth2Info": {"grantTypes": ["X"]}}}, "grantTypes"),
        ({"endpoint": {}}, "endpoint"),
    ],
)
async def test_transports_and_grants_are_those_of_the_standard(rig: Rig, change: dict[str, Any], path: str) -> None:
    app = await registered(rig)
    info = {**service()["transportInfo"], **change}
    refused = await rig.client.post(f"{SERVICES}/applications/{app}/services", json=service(transportInfo=info))
    assert refused.status_code == 400
    assert any(path in str(fault) for fault in refused.json()["faults"])


@pytest.mark.feature("B44")
async def test_every_filter_alone_and_together(rig: Rig) -> None:
    app = await registered(rig)
    one = await offered(rig, app, serName="one", serCategory=CATEGORY, scopeOfLocality="ZONE", isLocal=False)
    two = await offered(rig, app, serName="two", consumedLocalOnly=False)
    first, second = one["serInstanceId"], two["serInstanceId"]
    table = {
        "": ["one", "two"],
        f"?ser_instance_id={first}": ["one"],
        f"?ser_instance_id={first},{second}": ["one", "two"],
        f"?ser_instance_id={first}&ser_instance_id={second}": ["one", "two"],
        "?ser_instance_id=unknown": [],
        "?ser_name=two": ["two"],
        "?ser_name=one,two": ["one", "two"],
        "?ser_category_id=rni": ["one"],
        "?scope_of_locality=ZONE": ["one"],
        "?scope_of_locality=MEC_HOST": ["two"],
        "?consumed_local_only=true": ["one"],
        "?consumed_local_only=false": ["two"],
        "?is_local=false": ["one"],
        "?is_local=true": ["two"],
        "?ser_name=one&is_local=true": [],
        "?filter=(eq,serName,two)": ["two"],
    }
    found = {query: sorted(await listed(rig, query)) for query in table}
    assert found == table
    assert await listed(rig, "?ser_name=two", f"{SERVICES}/applications/{app}/services") == ["two"]
    for query in ("ser_name=a&ser_instance_id=b", "is_local=perhaps", "scope_of_locality=MOON", "ser_category_id=a,b"):
        refused = await rig.client.get(f"{SERVICES}/services?{query}")
        assert refused.status_code == 400, query
        assert refused.json()["faults"]


async def test_lists_come_in_pages(tmp_path: Path) -> None:
    async with running(tmp_path, page_size=2) as rig:
        app = await registered(rig)
        for number in range(5):
            await offered(rig, app, serName=f"s{number}")
        seen: list[str] = []
        url = f"{SERVICES}/services"
        while url:
            answer = await rig.client.get(url)
            seen += [one["serName"] for one in answer.json()]
            url = answer.links.get("next", {}).get("url", "")
        assert sorted(seen) == [f"s{number}" for number in range(5)]


@pytest.mark.feature("B49")
async def test_every_link_leads_somewhere(rig: Rig) -> None:
    app = await registered(rig)
    made = await offered(rig, app, livenessInterval=60)
    assert set(made["_links"]) == {"self", "liveness"}
    for link in made["_links"].values():
        assert (await rig.client.get(link["href"])).status_code == 200
    silent = await offered(rig, app)
    assert set(silent["_links"]) == {"self"}


async def test_a_service_that_falls_silent_is_suspended_and_comes_back(rig: Rig) -> None:
    app = await registered(rig)
    made = await offered(rig, app, livenessInterval=1)
    assert made["livenessInterval"] == 1
    alive, own = made["_links"]["liveness"]["href"], made["_links"]["self"]["href"]
    beat = await rig.client.patch(alive, json={"state": "ACTIVE"})
    assert beat.json()["interval"] == 1
    assert abs(beat.json()["timeStamp"]["seconds"] - time.time()) < 5
    subscription = await rig.client.post(
        f"{SERVICES}/applications/{app}/subscriptions",
        json={
            "subscriptionType": "SerAvailabilityNotificationSubscription",
            "websockNotifConfig": {"requestWebsocketUri": True},
            "filteringCriteria": {"states": ["SUSPENDED"]},
        },
    )
    id = subscription.headers["location"].rpartition("/")[2]
    begun = time.monotonic()
    told = (await rig.client.get(f"{MP1}/notifications/{id}?wait_s=10")).json()
    assert 0.9 < time.monotonic() - begun < 3
    assert told[0]["notification"]["serviceReferences"][0]["changeType"] == "STATE_CHANGED"
    assert (await rig.client.get(own)).json()["state"] == "SUSPENDED"
    assert (await rig.client.patch(alive, json={"state": "ACTIVE"})).json()["state"] == "ACTIVE"
    assert (await rig.client.get(own)).json()["state"] == "ACTIVE"
    await rig.client.put(own, json=service(state="INACTIVE", livenessInterval=1))
    assert (await rig.client.patch(alive, json={"state": "ACTIVE"})).status_code == 412
    assert (await rig.client.patch(alive, json={"state": "INACTIVE"})).status_code == 400


@pytest.mark.feature("B46")
async def test_transports_are_really_offered(rig: Rig) -> None:
    app = await registered(rig)
    transports = (await rig.client.get(f"{SERVICES}/transports")).json()
    assert {one["type"] for one in transports} == {"REST_HTTP", "MB_TOPIC_BASED", "WEBSOCKET"}
    bus = next(one for one in transports if one["type"] == "MB_TOPIC_BASED")
    made = await offered(rig, app, transportInfo=None, transportId=bus["id"])
    assert made["transportInfo"]["id"] == bus["id"]
    assert "transportId" not in made


# -- subscriptions --------------------------------------------------------------------------------------------------------


@pytest.mark.feature("B36", "B37")
async def test_subscriptions_are_kept_filtered_listed_and_ended(rig: Rig) -> None:
    app = await registered(rig)
    all = f"{SERVICES}/applications/{app}/subscriptions"
    body = {
        "subscriptionType": "SerAvailabilityNotificationSubscription",
        "websockNotifConfig": {"requestWebsocketUri": True},
        "filteringCriteria": {"serCategories": [CATEGORY], "states": ["ACTIVE"], "isLocal": True},
    }
    made = await rig.client.post(all, json=body)
    assert made.status_code == 201
    assert made.json()["filteringCriteria"] == body["filteringCriteria"]
    one = made.headers["location"]
    assert (await rig.client.get(one)).json() == made.json()
    links = (await rig.client.get(all)).json()["_links"]
    assert links["subscriptions"] == [
        {"href": one, "subscriptionType": "SerAvailabilityNotificationSubscription"},
    ]
    await offered(rig, app, serName="other")
    wanted = await offered(rig, app, serName="wanted", serCategory=CATEGORY)
    fetch = f"{MP1}/notifications/{one.rpartition('/')[2]}"
    told = (await rig.client.get(f"{fetch}?wait_s=5")).json()
    assert [entry["notification"]["serviceReferences"][0]["serName"] for entry in told] == ["wanted"]
    reference = told[0]["notification"]["serviceReferences"][0]
    assert (await rig.client.get(reference["link"]["href"])).json()["serInstanceId"] == wanted["serInstanceId"]
    assert told[0]["notification"]["_links"]["subscription"]["href"] == one
    assert (await rig.client.get(f"{fetch}?after={told[0]['number']}")).json() == []
    assert (await rig.client.delete(one)).status_code == 204
    for gone in (one, fetch):
        assert (await rig.client.get(gone)).status_code == 404
    assert (await rig.client.delete(one)).status_code == 404
    both = {**body, "filteringCriteria": {"serNames": ["a"], "serInstanceIds": ["b"]}}
    assert (await rig.client.post(all, json=both)).status_code == 400
    assert (await rig.client.post(all, json={"subscriptionType": body["subscriptionType"]})).status_code == 400
    wrong = {**body, "subscriptionType": "AppTerminationNotificationSubscription"}
    assert (await rig.client.post(all, json=wrong)).status_code == 400


async def test_nobody_reads_what_another_application_is_told(rig: Rig) -> None:
    one, two = await registered(rig), await registered(rig, "two")
    body = {
        "subscriptionType": "SerAvailabilityNotificationSubscription",
        "websockNotifConfig": {"requestWebsocketUri": True},
    }
    made = await rig.client.post(f"{SERVICES}/applications/{one}/subscriptions", json=body)
    id = made.headers["location"].rpartition("/")[2]
    assert (await rig.client.get(f"{SERVICES}/applications/{two}/subscriptions/{id}")).status_code == 404
    given = (await rig.client.post(f"{MP1}/applications/{two}/credentials")).json()
    token = await rig.client.post(
        given["tokenEndpoint"],
        data={"grant_type": "client_credentials"},
        auth=(given["clientId"], given["clientSecret"]),
    )
    other = {"Authorization": f"Bearer {token.json()['access_token']}"}
    assert (await rig.client.get(f"{MP1}/notifications/{id}", headers=other)).status_code == 403


# -- rules ----------------------------------------------------------------------------------------------------------------


@pytest.mark.feature("B53")
async def test_a_traffic_rule_is_active_when_the_data_plane_has_it(steered: tuple[Rig, SimulatedSteering]) -> None:
    rig, plane = steered
    app = await registered(rig)
    one = f"{SUPPORT}/applications/{app}/traffic_rules/t1"
    assert (await rig.client.get(one)).status_code == 404
    put = await rig.client.put(one, json=traffic())
    assert (put.status_code, put.json()) == (200, traffic())
    assert [rule.traffic_rule_id for rule in plane.in_force[app]] == ["t1"]
    assert (await rig.client.get(one)).json() == traffic()
    plane.refused.add("t2")
    refused = await rig.client.put(f"{SUPPORT}/applications/{app}/traffic_rules/t2", json=traffic("t2"))
    assert refused.status_code == 422
    assert [rule["trafficRuleId"] for rule in (await rig.client.get(one.rpartition("/")[0])).json()] == ["t1"]
    plane.refused = {"t1"}
    assert (await rig.client.put(one, json=traffic(priority=9))).status_code == 422
    assert (await rig.client.get(one)).json() == traffic(), "what was refused changed nothing"
    plane.refused = set()
    etag = (await rig.client.get(one)).headers["etag"]
    stopped = await rig.client.put(one, json=traffic(state="INACTIVE"), headers={"If-Match": etag})
    assert stopped.json()["state"] == "INACTIVE"
    assert app not in plane.in_force
    assert (await rig.client.put(one, json=traffic(), headers={"If-Match": etag})).status_code == 412
    for wrong in (traffic("t9"), traffic(action="EXPLODE"), traffic(priority=256), traffic(trafficFilter=[])):
        assert (await rig.client.put(one, json=wrong)).status_code == 400


async def test_without_a_data_plane_no_rule_pretends_to_be_active(rig: Rig) -> None:
    app = await registered(rig)
    one = f"{SUPPORT}/applications/{app}/traffic_rules/t1"
    assert (await rig.client.put(one, json=traffic())).status_code == 422
    assert (await rig.client.put(one, json=traffic(state="INACTIVE"))).status_code == 200


@pytest.mark.feature("B54")
async def test_a_dns_rule_is_answered_while_it_is_active(steered: tuple[Rig, SimulatedSteering]) -> None:
    rig, _ = steered
    app = await registered(rig)
    one = f"{SUPPORT}/applications/{app}/dns_rules/d1"
    put = await rig.client.put(one, json=dns())
    assert (put.status_code, put.json()) == (200, dns())
    server = await rig.node.mep.names.start()
    answers = [await asked(server, "video.example.com")]
    await rig.client.put(one, json=dns(ipAddress="10.0.0.10"))
    answers.append(await asked(server, "video.example.com"))
    await rig.client.put(one, json=dns(state="INACTIVE"))
    answers.append(await asked(server, "video.example.com"))
    assert answers == [["10.0.0.9"], ["10.0.0.10"], []]
    for wrong in (dns(ipAddress="fd00::1"), dns(ipAddress="here"), dns(domainName="a..b"), dns(ttl=-1)):
        assert (await rig.client.put(one, json=wrong)).status_code == 400


async def asked(server: tuple[str, int], name: str) -> list[str]:
    """The IPv4 addresses that a server answers."""
    import dns.asyncquery
    import dns.message

    answer = await dns.asyncquery.udp(dns.message.make_query(name, "A"), server[0], port=server[1], timeout=2)
    return [str(item) for entry in answer.answer for item in entry]


# -- time and hostile bodies ----------------------------------------------------------------------------------------------


@pytest.mark.feature("B55")
async def test_time_is_that_of_this_machine(rig: Rig) -> None:
    before = time.time_ns()
    now = (await rig.client.get(f"{SUPPORT}/timing/current_time")).json()
    told = now["seconds"] * 10**9 + now["nanoSeconds"]
    assert before <= told <= time.time_ns()
    assert now["timeSourceStatus"] in ("TRACEABLE", "NONTRACEABLE")
    caps = (await rig.client.get(f"{SUPPORT}/timing/timing_caps")).json()
    assert abs(caps["timeStamp"][0]["seconds"][0] - time.time()) < 5


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
WHOLE = {"services": service(), "traffic_rules/t1": traffic(), "dns_rules/d1": dns()}


@pytest.mark.feature("B48")
@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_no_body_is_an_internal_error(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(WHOLE)))
    body = dict(WHOLE[path])
    for name in data.draw(st.lists(st.sampled_from(sorted(body)), min_size=1, max_size=3)):
        body[name] = data.draw(junk)
    if data.draw(st.booleans()):
        body = data.draw(junk)
    answer = _Fuzzed.of(tmp_path_factory).ask(path, body)
    assert answer in (200, 201, 400, 403, 422), (path, body)


class _Fuzzed:
    """One node for all examples, on a loop of its own."""

    instance: _Fuzzed | None = None

    def __init__(self, folder: Path) -> None:
        self.loop = asyncio.new_event_loop()
        self.running = running(folder, mec_dns="builtin", steering=SimulatedSteering())
        self.rig = self.loop.run_until_complete(self.running.__aenter__())
        self.app = self.loop.run_until_complete(registered(self.rig))

    @classmethod
    def of(cls, factory: pytest.TempPathFactory) -> _Fuzzed:
        cls.instance = cls.instance or cls(factory.mktemp("fuzz"))
        return cls.instance

    def ask(self, path: str, body: Any) -> int:
        root = SERVICES if path == "services" else SUPPORT
        method = "POST" if path == "services" else "PUT"
        call = self.rig.client.request(method, f"{root}/applications/{self.app}/{path}", json=body)
        response: httpx.Response = self.loop.run_until_complete(call)
        return response.status_code


@pytest.fixture(scope="module", autouse=True)
def _end_of_fuzzing() -> Any:
    yield
    if fuzzed := _Fuzzed.instance:
        fuzzed.loop.run_until_complete(fuzzed.running.__aexit__(None, None, None))
        fuzzed.loop.close()
        _Fuzzed.instance = None


async def test_a_name_of_one_tenant_is_no_others_to_answer(rig: Rig) -> None:
    path = f"{SUPPORT}/applications/{{}}/dns_rules/d1"
    own = path.format(await registered(rig))
    assert (await rig.client.put(own, json=dns())).status_code == 200
    other = await as_client(rig, "other", tenant="other")
    made = await rig.client.post(f"{SUPPORT}/registrations", json={"appName": "false"}, headers=other)
    theirs = path.format(made.json()["appInstanceId"])
    bad = dns(ipAddress="192.0.2.66", domainName="Video.example.com")
    assert (await rig.client.put(theirs, json=bad, headers=other)).status_code == 409
    assert (await rig.client.put(theirs, json={**bad, "state": "INACTIVE"}, headers=other)).status_code == 409
    good = {**bad, "domainName": "theirs.example.com"}
    assert (await rig.client.put(theirs, json=good, headers=other)).status_code == 200
    assert (await rig.client.put(theirs, json=bad, headers=other)).status_code == 409
    assert (await rig.client.put(own, json=dns(state="INACTIVE"))).status_code == 200
    assert (await rig.client.put(theirs, json=bad, headers=other)).status_code == 409, "it stands still, and keeps it"
    assert (await rig.client.put(own, json=dns(domainName="moved.example.com"))).status_code == 200
    assert (await rig.client.put(theirs, json=bad, headers=other)).status_code == 200
    assert (await rig.client.put(own, json=dns())).status_code == 409


@pytest.mark.feature("A92")
async def test_who_only_reads_settles_no_notification_of_others(rig: Rig) -> None:
    guest = await as_client(rig, "looker", role="guest")
    asked = await rig.client.get("/mp1/v1/notifications/any?after=99", headers=guest)
    assert asked.status_code == 403, asked.text
