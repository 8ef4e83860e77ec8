"""Subscriptions through the API, and what then arrives at a real subscriber."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from tests.api.rig import VNFD, Rig, running
from tests.notifications.receiver import Receiver, Reply, receiving

APIS = ("vnflcm", "vnfpkgm", "nsd", "nslcm")


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncGenerator[Rig]:
    async with running(tmp_path) as started:
        yield started


@pytest.fixture
async def receiver() -> AsyncGenerator[Receiver]:
    async with receiving() as made:
        yield made


async def subscribe(rig: Rig, api: str, uri: str, version: int = 2, **more: Any) -> Any:
    made = await rig.client.post(f"/{api}/v{version}/subscriptions", json={"callbackUri": uri, **more})
    assert made.status_code == 201, made.text
    return made.json()


@pytest.mark.feature("A41")
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("api", APIS)
async def test_a_subscription_lives(rig: Rig, receiver: Receiver, api: str, version: int) -> None:
    root = f"/{api}/v{version}/subscriptions"
    made = await rig.client.post(root, json={"callbackUri": receiver.uri()})
    assert made.status_code == 201, made.text
    shown = made.json()
    assert made.headers["location"] == shown["_links"]["self"]["href"]
    assert shown["callbackUri"] == receiver.uri()
    assert ("verbosity" in shown) is (api in ("vnflcm", "nslcm"))
    assert [got.method for got in receiver.got] == ["GET"]
    read = await rig.client.get(made.headers["location"])
    assert read.json() == shown
    listed = await rig.client.get(root)
    assert listed.json() == [shown]
    none = await rig.client.get(root, params={"filter": "(eq,callbackUri,http://other)"})
    assert none.json() == []
    other = next(name for name in APIS if name != api)
    assert (await rig.client.get(f"/{other}/v2/subscriptions/{shown['id']}")).status_code == 404
    assert (await rig.client.delete(made.headers["location"])).status_code == 204
    assert (await rig.client.get(made.headers["location"])).status_code == 404
    assert (await rig.client.delete(made.headers["location"])).status_code == 404


async def test_the_same_again_is_the_same(rig: Rig, receiver: Receiver) -> None:
    body = {"callbackUri": receiver.uri(), "filter": {"operationTypes": ["HEAL"]}}
    made = await rig.client.post("/vnflcm/v2/subscriptions", json=body)
    again = await rig.client.post("/vnflcm/v2/subscriptions", json=body)
    assert again.status_code == 303
    assert again.headers["location"] == made.headers["location"]
    other = await rig.client.post("/vnflcm/v2/subscriptions", json={**body, "verbosity": "SHORT"})
    assert other.status_code == 201


async def test_the_same_again_where_that_is_allowed(tmp_path: Path, receiver: Receiver) -> None:
    async with running(tmp_path, notification_duplicates=True) as rig:
        for _ in range(2):
            await subscribe(rig, "nsd", receiver.uri())
        assert len((await rig.client.get("/nsd/v2/subscriptions")).json()) == 2


async def test_an_endpoint_that_fails_its_test(rig: Rig, receiver: Receiver) -> None:
    receiver.answer = lambda _: Reply(404)
    refused = await rig.client.post("/nslcm/v2/subscriptions", json={"callbackUri": receiver.uri()})
    assert refused.status_code == 422
    assert refused.headers["content-type"] == "application/problem+json"
    assert "GET answers 404" in refused.json()["detail"]
    assert (await rig.client.get("/nslcm/v2/subscriptions")).json() == []


async def test_the_test_can_be_switched_off(tmp_path: Path, receiver: Receiver) -> None:
    async with running(tmp_path, notification_test=False) as rig:
        await subscribe(rig, "nsd", receiver.uri())
        assert receiver.got == []


@pytest.mark.parametrize(
    "uri", ["http://169.254.169.254/latest/meta-data", "http://10.0.0.1/n", "ftp://a/n", "http://a..b/n"]
)
async def test_an_address_that_is_not_allowed(rig: Rig, uri: str) -> None:
    refused = await rig.client.post("/vnflcm/v2/subscriptions", json={"callbackUri": uri})
    assert refused.status_code == 422
    assert refused.json()["faults"][0]["path"] == "/callbackUri"


async def test_a_node_that_others_reach_does_not_notify_itself(tmp_path: Path, receiver: Receiver) -> None:
    async with running(tmp_path, listen="0.0.0.0") as rig:
        refused = await rig.client.post("/vnflcm/v2/subscriptions", json={"callbackUri": receiver.uri()})
        assert refused.status_code == 422
        assert "this machine itself" in refused.json()["detail"]
    async with running(tmp_path, listen="0.0.0.0", notification_targets=("127.0.0.0/8",)) as rig:
        await subscribe(rig, "vnflcm", receiver.uri())


@pytest.mark.parametrize(
    ("api", "body"),
    [
        ("vnflcm", {"filter": {"notificationTypes": ["Nonsense"]}}),
        ("vnflcm", {"filter": {"operationTypes": ["INSTANTIATE", "NONSENSE"]}}),
        ("vnflcm", {"verbosity": "LOUD"}),
        (
            "vnflcm",
            {"filter": {"notificationTypes": ["VnfIdentifierCreationNotification"], "operationStates": ["FAILED"]}},
        ),
        ("vnflcm", {"filter": {"vnfInstanceSubscriptionFilter": {"vnfdIds": ["a"], "vnfProductsFromProviders": []}}}),
        ("vnflcm", {"filter": {"vnfInstanceSubscriptionFilter": {"vnfInstanceIds": [], "vnfInstanceNames": []}}}),
        ("nslcm", {"filter": {"nsInstanceSubscriptionFilter": {"nsdIds": ["a"], "vnfdIds": ["b"]}}}),
        ("nslcm", {"filter": {"operationStates": ["STARTING"]}}),
        ("vnfpkgm", {"filter": {"vnfdId": ["a"], "vnfPkgId": ["b"]}}),
        ("vnfpkgm", {"filter": {"notificationTypes": "VnfPackageOnboardingNotification", "usageState": ["IN_USE"]}}),
        ("nsd", {"filter": {"nsdId": ["a"], "nsdInfoId": ["b"]}}),
        ("nsd", {"authentication": {"authType": []}}),
        ("nsd", {"authentication": {"authType": ["BASIC"]}}),
        ("nsd", {"authentication": {"authType": ["OAUTH2_CLIENT_CREDENTIALS"], "paramsOauth2ClientCredentials": {}}}),
        ("nsd", {"authentication": {"authType": ["TLS_CERT"]}}),  # this node serves none
    ],
)
async def test_a_wrong_request(rig: Rig, receiver: Receiver, api: str, body: dict[str, Any]) -> None:
    refused = await rig.client.post(f"/{api}/v2/subscriptions", json={"callbackUri": receiver.uri(), **body})
    assert refused.status_code == 422, refused.text
    assert refused.json()["faults"]
    assert (await rig.client.get(f"/{api}/v2/subscriptions")).json() == []


async def test_secrets_are_never_shown(rig: Rig, receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    basic = {"authType": ["BASIC"], "paramsBasic": {"userName": "oss", "password": "hush-hush"}}
    made = await rig.client.post(
        "/vnflcm/v2/subscriptions", json={"callbackUri": receiver.uri(), "authentication": basic}
    )
    assert made.status_code == 201
    texts = [made.text, (await rig.client.get(made.headers["location"])).text, caplog.text]
    assert [text for text in texts if "hush-hush" in text or "authentication" in text] == []
    receiver.answer = lambda _: Reply(500)
    await rig.client.post("/vnflcm/v2/subscriptions", json={"callbackUri": receiver.uri(), "authentication": basic})
    oauth = {
        "authType": ["OAUTH2_CLIENT_CREDENTIALS"],
        "paramsOauth2ClientCredentials": {
            "clientId": "c",
            "clientPassword": "hush-hush",
            "tokenEndpoint": receiver.uri("/token"),
        },
    }
    refused = await rig.client.post(
        "/vnflcm/v2/subscriptions", json={"callbackUri": receiver.uri("/m"), "authentication": oauth}
    )
    assert refused.status_code == 422
    assert "hush-hush" not in refused.text + caplog.text


@pytest.mark.feature("A41", "A66")
async def test_the_life_of_a_vnf_is_told(rig: Rig, receiver: Receiver) -> None:
    await rig.onboard("server")
    made = await subscribe(rig, "vnflcm", receiver.uri())
    id = await rig.vnf()
    one = f"/vnflcm/v2/vnf_instances/{id}"
    await rig.finished(await rig.client.post(f"{one}/terminate", json={"terminationType": "FORCEFUL"}))
    assert (await rig.client.delete(one)).status_code == 204
    await receiver.until(lambda: len(receiver.posted) == 8)
    told = [
        (body.get("operation"), body.get("notificationStatus"), body.get("operationState")) for body in receiver.posted
    ]
    assert told[1:7] == [
        ("INSTANTIATE", "START", "STARTING"),
        ("INSTANTIATE", "START", "PROCESSING"),
        ("INSTANTIATE", "RESULT", "COMPLETED"),
        ("TERMINATE", "START", "STARTING"),
        ("TERMINATE", "START", "PROCESSING"),
        ("TERMINATE", "RESULT", "COMPLETED"),
    ]
    first, last = receiver.posted[0], receiver.posted[-1]
    assert first["notificationType"] == "VnfIdentifierCreationNotification"
    assert last["notificationType"] == "VnfIdentifierDeletionNotification"
    assert {body["subscriptionId"] for body in receiver.posted} == {made["id"]}
    assert receiver.posted[3]["affectedVnfcs"][0]["changeType"] == "ADDED"
    assert receiver.posted[6]["affectedVnfcs"][0]["changeType"] == "REMOVED"
    removed, added = (receiver.posted[n]["affectedVnfcs"][0]["computeResource"] for n in (6, 3))
    assert removed["vimConnectionId"] == added["vimConnectionId"]
    link = receiver.posted[3]["_links"]["vnfLcmOpOcc"]["href"]
    assert (await rig.client.get(link)).json()["operation"] == "INSTANTIATE"


@pytest.mark.feature("A66")
async def test_a_filter_by_instance_and_result(rig: Rig, receiver: Receiver) -> None:
    await rig.onboard("server")
    created = await rig.client.post("/vnflcm/v2/vnf_instances", json={"vnfdId": VNFD, "vnfInstanceName": "mine"})
    mine = created.json()["id"]
    wish = {
        "notificationTypes": ["VnfLcmOperationOccurrenceNotification"],
        "operationStates": ["COMPLETED"],
        "vnfInstanceSubscriptionFilter": {"vnfInstanceIds": [mine]},
    }
    await subscribe(rig, "vnflcm", receiver.uri(), filter=wish)
    await subscribe(rig, "vnflcm", receiver.uri("/all"))
    await rig.vnf()
    await rig.finished(
        await rig.client.post(f"/vnflcm/v2/vnf_instances/{mine}/instantiate", json={"flavourId": "default"})
    )
    await receiver.until(lambda: len([got for got in receiver.got if got.path == "/all" and got.method == "POST"]) == 7)
    (told,) = [got.json for got in receiver.got if got.path == "/n" and got.method == "POST"]
    assert (told["vnfInstanceId"], told["operationState"]) == (mine, "COMPLETED")


@pytest.mark.feature("A41")
async def test_packages_and_descriptors_are_told(rig: Rig, receiver: Receiver) -> None:
    await subscribe(rig, "vnfpkgm", receiver.uri("/vnfpkgm"))
    await subscribe(rig, "nsd", receiver.uri("/nsd"))
    refused = (await rig.client.post("/nsd/v2/ns_descriptors", json={})).json()["id"]
    put = await rig.client.put(
        f"/nsd/v2/ns_descriptors/{refused}/nsd_content",
        content=rig.archive("service").read_bytes(),
        headers={"Content-Type": "application/zip"},
    )
    assert put.status_code >= 400 or put.status_code == 202
    nsd = await rig.onboard_all()
    descriptor = f"/nsd/v2/ns_descriptors/{nsd}"
    await rig.client.patch(descriptor, json={"nsdOperationalState": "DISABLED"})
    await rig.client.delete(descriptor)
    package = (await rig.client.get("/vnfpkgm/v2/vnf_packages")).json()[0]["id"]
    await rig.client.patch(f"/vnfpkgm/v2/vnf_packages/{package}", json={"operationalState": "DISABLED"})
    await rig.client.delete(f"/vnfpkgm/v2/vnf_packages/{package}")
    await receiver.until(lambda: len(receiver.posted) >= 8)
    told = [(got.path, got.json["notificationType"], got.json.get("changeType")) for got in receiver.got if got.body]
    assert [entry[1] for entry in told if entry[0] == "/nsd"] == [
        "NsdOnboardingFailureNotification",
        "NsdOnBoardingNotification",
        "NsdChangeNotification",
        "NsdDeletionNotification",
    ]
    assert sorted(entry[1:] for entry in told if entry[0] == "/vnfpkgm" if entry[2]) == [
        ("VnfPackageChangeNotification", "OP_STATE_CHANGE"),
        ("VnfPackageChangeNotification", "PKG_DELETE"),
    ]
    assert len([entry for entry in told if entry[1] == "VnfPackageOnboardingNotification"]) == 2
