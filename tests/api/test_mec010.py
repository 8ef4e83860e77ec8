"""MEC 010-2 over HTTP: what is refused and how, lists, revisions, both forms of packages, notifications."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from skerry.model.states import APP_MOVES
from tests.api.rig import Rig
from tests.meo.packages import appd, archive, dns
from tests.notifications.receiver import receiving

PKG, LCM, GRANTS = "/app_pkgm/v1", "/app_lcm/v1", "/granting/v1"
ZIP = {"Content-Type": "application/zip"}
NAMED = {"appPkgName": "one", "appPkgVersion": "1"}
ANY_HOST: dict[str, Any] = {}


async def onboarded(rig: Rig, id: str = "app-1", **changes: Any) -> str:
    """The package's URI."""
    made = await rig.client.post(f"{PKG}/app_packages", json=NAMED)
    uri = made.headers["Location"]
    content = archive(appd(id, **changes)).read_bytes()
    put = await rig.client.put(f"{uri}/package_content", content=content, headers=ZIP)
    assert put.status_code == 202, put.text
    return str(uri)


async def created(rig: Rig, id: str = "app-1") -> str:
    """The instance's URI."""
    made = await rig.client.post(f"{LCM}/app_instances", json={"appDId": id, "appInstanceName": "one"})
    assert made.status_code == 201, made.text
    return str(made.headers["Location"])


async def done(rig: Rig, uri: str, task: str, body: Any) -> None:
    found = await rig.finished(await rig.client.post(f"{uri}/{task}", json=body))
    assert found["operationState"] == "COMPLETED", found


@pytest.mark.feature("E37")
async def test_a_package_is_one_thing_under_both_names(rig: Rig) -> None:
    uri = await onboarded(rig)
    id = uri.rpartition("/")[2]
    one = (await rig.client.get(uri)).json()
    other = (await rig.client.get(f"{PKG}/onboarded_app_packages/app-1")).json()
    assert one["id"] == other["id"] == id
    assert one["_links"]["self"]["href"] == uri
    assert other["_links"]["self"]["href"].endswith("/onboarded_app_packages/app-1")
    assert (one["appDId"], one["onboardingState"], one["operationalState"]) == ("app-1", "ONBOARDED", "ENABLED")
    whole = await rig.client.get(f"{uri}/package_content")
    part = await rig.client.get(f"{uri}/package_content", headers={"Range": "bytes=0-3"})
    assert (part.status_code, part.content) == (206, whole.content[:4])
    appd_ = (await rig.client.get(f"{uri}/appd?fields=appName")).json()
    assert appd_["appName"] == "app-1"
    assert "swImageDescriptor" not in appd_


@pytest.mark.feature("E3", "E37")
async def test_a_refused_package_tells_every_fault_and_can_be_uploaded_again(rig: Rig) -> None:
    made = await rig.client.post(f"{PKG}/app_packages", json=NAMED)
    uri = made.headers["Location"]
    refused = await rig.client.put(f"{uri}/package_content", content=b"no zip", headers=ZIP)
    assert refused.status_code == 422
    shown = (await rig.client.get(uri)).json()
    assert shown["onboardingState"] == "ERROR"
    assert shown["onboardingFailureDetails"]["detail"]
    assert (await rig.client.get("/vnfpkgm/v2/vnf_packages")).json() == []
    good = archive(appd()).read_bytes()
    assert (await rig.client.put(f"{uri}/package_content", content=good, headers=ZIP)).status_code == 202
    assert (await rig.client.put(f"{uri}/package_content", content=good, headers=ZIP)).status_code == 409


@pytest.mark.feature("E37")
async def test_the_checksum_that_was_announced_must_be_right(rig: Rig) -> None:
    good = archive(appd()).read_bytes()
    for hash, status in (("0" * 64, 422), (hashlib.sha256(good).hexdigest(), 202)):
        wished = {**NAMED, "checksum": {"algorithm": "SHA-256", "hash": hash}}
        uri = (await rig.client.post(f"{PKG}/app_packages", json=wished)).headers["Location"]
        put = await rig.client.put(f"{uri}/package_content", content=good, headers=ZIP)
        assert put.status_code == status


@pytest.mark.feature("E37")
async def test_a_descriptor_is_there_once(rig: Rig) -> None:
    await onboarded(rig)
    uri = (await rig.client.post(f"{PKG}/app_packages", json=NAMED)).headers["Location"]
    again = await rig.client.put(f"{uri}/package_content", content=archive(appd()).read_bytes(), headers=ZIP)
    assert again.status_code == 409
    assert len((await rig.client.get("/vnfpkgm/v2/vnf_packages")).json()) == 1


@pytest.mark.feature("E37")
async def test_a_package_in_use_stays(rig: Rig) -> None:
    uri = await onboarded(rig)
    instance = await created(rig)
    assert (await rig.client.get(uri)).json()["usageState"] == "IN_USE"
    assert (await rig.client.delete(uri)).status_code == 409
    tag = (await rig.client.get(uri)).headers["ETag"]
    off = {"operationalState": "DISABLED"}
    assert (await rig.client.patch(uri, json=off, headers={"If-Match": '"99"'})).status_code == 412
    assert (await rig.client.patch(uri, json=off, headers={"If-Match": tag})).status_code == 200
    assert (await rig.client.patch(uri, json=off)).status_code == 409
    assert (await rig.client.post(f"{LCM}/app_instances", json={"appDId": "app-1"})).status_code == 409
    assert (await rig.client.delete(uri)).status_code == 409
    assert (await rig.client.delete(instance)).status_code == 204
    assert (await rig.client.delete(uri)).status_code == 204
    assert (await rig.client.get("/vnfpkgm/v2/vnf_packages")).json() == []
    assert (await rig.client.get("/nsd/v2/ns_descriptors")).json() == []


@pytest.mark.feature("E22", "B64")
async def test_each_state_allows_its_tasks_and_no_others(rig: Rig) -> None:
    """The table of moves, asked over HTTP."""
    await onboarded(rig)
    bodies: dict[str, tuple[str, dict[str, Any]]] = {
        "instantiate": ("instantiate", ANY_HOST),
        "start": ("operate", {"changeStateTo": "STARTED"}),
        "stop": ("operate", {"changeStateTo": "STOPPED", "stopType": "FORCEFUL"}),
        "terminate": ("terminate", {"terminationType": "FORCEFUL"}),
        "configure": ("configure_platform_for_app", {}),
    }
    ways: dict[str, tuple[str, ...]] = {
        "NOT_INSTANTIATED": (),
        "STARTED": ("instantiate",),
        "STOPPED": ("instantiate", "stop"),
    }
    for state, way in ways.items():
        for task, (path, body) in bodies.items():
            uri = await created(rig)
            for step in way:
                await done(rig, uri, *bodies[step])
            answer = await rig.client.post(f"{uri}/{path}", json=body)
            reached = APP_MOVES[state].get(task)
            assert (answer.status_code == 202) is (reached is not None), f"{task} in {state}: {answer.text}"
            if reached is None:
                assert answer.status_code == 409
            else:
                assert (await rig.finished(answer))["operationState"] == "COMPLETED"
                assert await state_of(rig, uri) == reached
            assert (await rig.client.delete(uri)).status_code == (
                204 if (reached or state) == "NOT_INSTANTIATED" else 409
            )
            await rig.client.post(f"/skerry/v1/apps/{uri.rpartition('/')[2]}/discard")


async def state_of(rig: Rig, uri: str) -> str:
    shown = (await rig.client.get(uri)).json()
    return str(shown.get("instantiatedAppState", {}).get("operationalState", shown["instantiationState"]))


@pytest.mark.feature("E22")
@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", f"{LCM}/app_instances", {"appDId": "none"}, 422),
        ("POST", f"{LCM}/app_instances", {"appDId": 7}, 422),
        ("POST", f"{LCM}/app_instances", {}, 422),
        ("POST", f"{LCM}/app_instances", {"appDId": "app-1", "appPlacementInfo": {"mepId": "nowhere"}}, 404),
        ("GET", f"{LCM}/app_instances/none", None, 404),
        ("GET", f"{LCM}/app_lcm_op_occs/none", None, 404),
        ("DELETE", f"{LCM}/app_instances/none", None, 404),
        ("POST", f"{LCM}/app_instances/none/instantiate", {}, 404),
        ("GET", f"{LCM}/app_instances?filter=(oops", None, 400),
        ("PUT", f"{LCM}/app_instances", {}, 405),
        ("GET", f"{PKG}/app_packages/none", None, 404),
        ("POST", f"{PKG}/app_packages", {"appPkgName": ""}, 422),
        ("POST", f"{GRANTS}/grants", {"appInstanceId": "x"}, 422),
        ("GET", f"{GRANTS}/grants/none", None, 404),
        ("POST", f"{LCM}/subscriptions", {"subscriptionType": "Other", "callbackUri": "http://127.0.0.1:1/"}, 422),
    ],
)
async def test_refusals(rig: Rig, method: str, path: str, body: Any, status: int) -> None:
    await onboarded(rig)
    answer = await rig.client.request(method, path, json=body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"].startswith("cannot ")


@pytest.mark.feature("E22")
async def test_refusals_of_http(rig: Rig) -> None:
    root = f"{LCM}/app_instances"
    assert (await rig.client.get(root, headers={"Authorization": ""})).status_code == 401
    assert (await rig.client.get(root, headers={"Accept": "text/html"})).status_code == 406
    assert (await rig.client.post(root, content=b"{}", headers={"Content-Type": "text/plain"})).status_code == 415
    broken = await rig.client.post(root, content=b"{", headers={"Content-Type": "application/json"})
    assert broken.status_code == 400


@pytest.mark.feature("E3", "E22")
async def test_what_would_not_be_obeyed_is_refused(rig: Rig) -> None:
    await onboarded(rig)
    uri = await created(rig)
    refused: tuple[dict[str, Any], ...] = (
        {"virtualComputeDescriptor": {}},
        {"appTermCandsForCoord": {}},
        {"locationConstraints": {"area": "POLYGON"}},
        {"selectedMECHostInfo": []},
    )
    for body in refused:
        answer = await rig.client.post(f"{uri}/instantiate", json=body)
        assert answer.status_code == 422, answer.text
    unknown = {"selectedMECHostInfo": [{"hostId": "nowhere"}]}
    assert (await rig.client.post(f"{uri}/instantiate", json=unknown)).status_code == 404
    bad_rule = {"appDNSRule": [{**dns(), "ttl": "soon"}]}
    assert (await rig.client.post(f"{uri}/configure_platform_for_app", json=bad_rule)).status_code == 422


@pytest.mark.feature("E22")
async def test_lists_are_filtered_and_cut_to_attributes(rig: Rig) -> None:
    await onboarded(rig)
    first, second = await created(rig), await created(rig)
    await done(rig, second, "instantiate", ANY_HOST)
    found = (await rig.client.get(f"{LCM}/app_instances?filter=(eq,instantiationState,INSTANTIATED)")).json()
    assert [one["id"] for one in found] == [second.rpartition("/")[2]]
    assert "communicationInterface" not in found[0]
    whole = (await rig.client.get(f"{LCM}/app_instances?all_fields")).json()
    assert whole[1]["communicationInterface"]["ipAddresses"][0]["port"] == 80
    (operation,) = (await rig.client.get(f"{LCM}/app_lcm_op_occs?filter=(eq,lcmOperation,INSTANTIATE)")).json()
    assert operation["_links"]["appInstance"]["href"] == second
    assert first != second


@pytest.mark.feature("E22")
async def test_an_operation_is_cancelled(rig: Rig) -> None:
    await onboarded(rig, terminateAppInstanceOpConfig={"minGracefulTerminationTimeout": 60})
    uri = await created(rig)
    await done(rig, uri, "instantiate", ANY_HOST)
    id = uri.rpartition("/")[2]
    async with receiving() as receiver:
        await rig.client.post(
            f"/mec_app_support/v1/applications/{id}/subscriptions",
            json={
                "subscriptionType": "AppTerminationNotificationSubscription",
                "callbackReference": receiver.uri("/x"),
                "appInstanceId": id,
            },
        )
        begun = await rig.client.post(f"{uri}/terminate", json={"terminationType": "GRACEFUL"})
        await receiver.until(lambda: any(got.body for got in receiver.got))
        operation = begun.headers["Location"]
        cancelled = await rig.client.post(f"{operation}/cancel", json={"cancelMode": "FORCED"})
        assert cancelled.status_code == 202
        assert (await rig.finished(cancelled))["operationState"] == "FAILED_TEMP"
    assert (await rig.client.post(f"{operation}/fail")).json()["operationState"] == "FAILED"
    assert (await rig.client.post(f"{uri}/terminate", json={"terminationType": "FORCEFUL"})).status_code == 202


@pytest.mark.feature("E22")
async def test_subscribers_hear_what_they_asked_for(rig: Rig) -> None:
    await onboarded(rig, "loud")
    await onboarded(rig, "quiet")
    from_test = {"appInstSelectorType": 4, "appsFromProviders": [
        {"appProvider": "Test", "appProducts": [{"appName": "loud", "versions": [{"appSoftVersion": "1"}]}]}
    ]}  # fmt: skip
    async with receiving() as receiver:
        body = {
            "subscriptionType": "AppInstanceStateChangeSubscription",
            "callbackUri": receiver.uri("/x"),
            "appInstanceState": "STARTED",
            "appInstanceSubscriptionFilter": from_test,
        }
        made = await rig.client.post(f"{LCM}/subscriptions", json=body)
        assert made.status_code == 201, made.text
        shown = made.json()
        assert (shown["subscriptionType"], shown["appInstanceState"]) == (body["subscriptionType"], "STARTED")
        assert shown["appInstanceSubscriptionFilter"] == from_test
        assert (await rig.client.post(f"{LCM}/subscriptions", json=body)).status_code == 303
        for id in ("quiet", "loud"):
            uri = await created(rig, id)
            await done(rig, uri, "instantiate", ANY_HOST)
            await done(rig, uri, "terminate", {"terminationType": "FORCEFUL"})
        await receiver.until(lambda: any(got.body for got in receiver.got))
        told = [got.json for got in receiver.got if got.body]
    assert [(one["appDId"], one["appInstanceState"]) for one in told] == [("loud", "STARTED")]
