"""Every resource and method of MEC 010-2's official OpenAPI files (V3.1.1) is served; every answer and every notification of a
journey through the life of packages and applications fits their schemas.

What is wrong with the files is named here: enumerations that only say "see description", types wrapped into an object with
their own name, `operationParams` that knows one kind of operation only, and a path that stands for the subscriber's address.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx
import jsonschema  # type: ignore[import-untyped]
import pytest

from skerry.api.mec010 import APP_LCM, APP_PKGM, GRANTING, NOT_SERVED
from tests.api.rig import Rig, running
from tests.etsi.test_mec011 import GENERAL, HOME, mended, unwrapped
from tests.meo.packages import appd, archive, dns, service
from tests.notifications.receiver import Receiver, receiving

PKG, LCM, GRANTS = "/app_pkgm/v1", "/app_lcm/v1", "/granting/v1"
FILES = {PKG: "MEC01002_AppPkgMgmt.json", LCM: "MEC01002_AppLcm.json", GRANTS: "MEC01002_AppGrant.json"}
APIS = {PKG: APP_PKGM, LCM: APP_LCM, GRANTS: GRANTING}
OLDER = "/app_packages"
"""Resources of V2.1.1 and V3.2.1, which the files of V3.1.1 call /onboarded_app_packages."""

ZIP = {"Content-Type": "application/zip"}

pytestmark = pytest.mark.skipif(not HOME.is_dir(), reason=f"no official OpenAPI files in {HOME} (set SKERRY_ETSI)")


def document(root: str) -> dict[str, Any]:
    """An official file without its placeholders."""
    found: dict[str, Any] = mended(json.loads((HOME / FILES[root]).read_text()))
    schemas = found["components"]["schemas"]
    for name in ("SwImageDescriptor", "SwImageDesc"):
        if name in schemas:  # the files say that a reference to an image is an image
            schemas[name]["properties"]["swImage"] = {"type": "string"}
    return found


def faults(root: str, schema: dict[str, Any], value: Any, whole: dict[str, Any]) -> list[str]:
    """What the official file finds wrong."""
    judge = jsonschema.Draft202012Validator({**schema, "components": whole["components"]})
    return [f"{list(one.path)} {one.message[:200]}" for one in judge.iter_errors(value)]


class Judge:
    """Checks answers, and remembers which operations it has seen."""

    def __init__(self) -> None:
        self.documents = {root: document(root) for root in FILES}
        self.seen: set[tuple[str, str, str]] = set()

    async def __call__(self, response: httpx.Response) -> None:
        path = response.request.url.path
        root = next((root for root in FILES if path.startswith(root + "/")), "")
        if not root or path.endswith("/api_versions"):
            return
        template, operation = self.described(root, path.removeprefix(root), response.request.method)
        self.seen.add((root, response.request.method, template))
        described = operation["responses"].get(str(response.status_code))
        assert described is not None or response.status_code in GENERAL, f"{response.status_code} of {path}"
        body = await response.aread()
        content = (described or {}).get("content") or {}
        if not body or "application/json" not in content or "json" not in response.headers["content-type"]:
            return
        found = json.loads(body)
        told = faults(root, unwrapped(content["application/json"]["schema"]), _told(found), self.documents[root])
        assert not told, f"{path}: {told}"

    def described(self, root: str, path: str, method: str) -> tuple[str, dict[str, Any]]:
        asked = re.sub(rf"^{OLDER}", "/onboarded_app_packages", path)
        for template, methods in self.documents[root]["paths"].items():
            if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), asked) and method.lower() in methods:
                return template, methods[method.lower()]
        raise AssertionError(f"{method} {root}{path} is in no official file")


def _told(found: Any) -> Any:
    """The files know parameters of INSTANTIATE only."""
    for one in found if isinstance(found, list) else [found]:
        if isinstance(one, dict) and one.get("lcmOperation") != "INSTANTIATE":
            one.pop("operationParams", None)
    return found


def official(root: str) -> set[tuple[str, str]]:
    """Method and path of every operation of a file."""
    return {
        (method.upper(), re.sub(r"\{\w+\}", "{}", path))
        for path, methods in json.loads((HOME / FILES[root]).read_text())["paths"].items()
        for method in methods
        if path not in NOT_SERVED and method in ("get", "put", "post", "patch", "delete")
    }


@pytest.mark.feature("E22", "E37")
@pytest.mark.parametrize("root", sorted(FILES))
def test_every_operation_is_served_and_nothing_else(root: str) -> None:
    served = {(one.method, re.sub(r"\{\w+\}", "{}", one.path)) for one in APIS[root].endpoints}
    older = {(method, path) for method, path in served if path.startswith(OLDER)}
    assert served - older == official(root)
    assert {(method, path.replace(OLDER, "/onboarded_app_packages")) for method, path in older} <= served


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncGenerator[Rig]:
    async with running(tmp_path, mec_dns="builtin") as started:
        yield started


@pytest.fixture
async def receiver() -> AsyncGenerator[Receiver]:
    async with receiving() as made:
        yield made


async def test_every_answer_and_notification_fits(rig: Rig, receiver: Receiver) -> None:
    judge = Judge()
    rig.client.event_hooks = {"response": [judge]}
    await subscriptions(rig, receiver)
    package = await packages(rig)
    await instances(rig)
    for root in (PKG, LCM):
        for entry in (await rig.client.get(f"{root}/subscriptions")).json()["_links"]["subscriptions"]:
            assert (await rig.client.get(entry["href"])).status_code == 200
    assert (await rig.client.patch(package, json={"operationalState": "DISABLED"})).status_code == 200
    assert (await rig.client.delete(package)).status_code == 204
    await receiver.until(lambda: any(b"AppPackageDeleted" in got.body for got in receiver.got))
    await receiver.until(lambda: any(b"AppInstanceIdentifierDeletion" in got.body for got in receiver.got))
    for root in (PKG, LCM):
        for entry in (await rig.client.get(f"{root}/subscriptions")).json()["_links"]["subscriptions"]:
            assert (await rig.client.delete(entry["href"])).status_code == 204
    for root in FILES:
        seen = {(method, re.sub(r"\{\w+\}", "{}", path)) for where, method, path in judge.seen if where == root}
        assert seen == official(root)
    check_notifications(judge, [got.json for got in receiver.got if got.body])


async def subscriptions(rig: Rig, receiver: Receiver) -> None:
    packages = ("AppPackageOnBoardingSubscription", "AppPackageChangeSubscription", "AppPackageDeletionSubscription")
    for type in packages:
        body = {"subscriptionType": type, "callbackUri": receiver.uri("/pkg"), "appPkgFilter": [{"appName": "app-1"}]}
        assert (await rig.client.post(f"{PKG}/subscriptions", json=body)).status_code == 201
    every = {"appInstSelectorType": 3, "appInstances": ["app-1"]}
    kinds: tuple[tuple[str, dict[str, Any]], ...] = (
        ("AppInstanceStateChangeSubscription", {"appInstanceSubscriptionFilter": every}),
        ("AppLcmOpOccStateChangeSubscription", {"appLcmOpOccSubscriptionFilter": {"operationTypes": "INSTANTIATE"}}),
        ("AppIdentifierCreationSubscription", {}),
        ("AppIdentifierDeletionSubscription", {}),
    )
    for type, more in kinds:
        body = {"subscriptionType": type, "callbackUri": receiver.uri("/lcm"), **more}
        made = await rig.client.post(f"{LCM}/subscriptions", json={"AppInstSubscriptionRequest": body})
        assert made.status_code == 201, made.text


async def packages(rig: Rig) -> str:
    """The package's URI."""
    root = f"{PKG}/onboarded_app_packages"
    wished = {"appPkgName": "one", "appPkgVersion": "1", "checksum": {"algorithm": "SHA-256", "hash": ""}}
    created = await rig.client.post(root, json={"CreateAppPkg": {**wished, "appPkgPath": "file:///one.csar"}})
    assert created.status_code == 201, created.text
    uri = created.headers["Location"]
    assert (await rig.client.get(uri)).status_code == 200
    assert (await rig.client.get(f"{uri}/appd")).status_code == 409
    whole = appd(appDNSRule=[dns()], appServiceOptional=[service("s")], appTrafficRule=None)
    put = await rig.client.put(f"{uri}/package_content", content=archive(whole).read_bytes(), headers=ZIP)
    assert put.status_code == 202, put.text
    uri = f"{root}/app-1"
    for path in ("", "/app-1", "/app-1/appd", "/app-1/package_content", "?all_fields"):
        assert (await rig.client.get(f"{root}{path}")).status_code == 200
    assert (await rig.client.delete(uri)).status_code == 409
    return uri


async def instances(rig: Rig) -> None:
    made = await rig.client.post(f"{LCM}/app_instances", json={"appDId": "app-1", "appInstanceName": "one"})
    one = made.headers["Location"]
    body = {"selectedMECHostInfo": [{"hostId": {"id": "default"}, "hostName": "default"}]}
    done = await rig.finished(await rig.client.post(f"{one}/instantiate", json={"InstantiateAppRequest": body}))
    assert done["operationState"] == "COMPLETED"
    for path in (one, f"{LCM}/app_instances", f"{LCM}/app_instances?all_fields", f"{LCM}/app_lcm_op_occs?all_fields"):
        assert (await rig.client.get(path)).status_code == 200
    await rig.finished(
        await rig.client.post(f"{one}/operate", json={"changeStateTo": "STOPPED", "stopType": "FORCEFUL"})
    )
    await rig.finished(await rig.client.post(f"{one}/configure_platform_for_app", json={"appDNSRule": []}))
    await grants(rig, made.json()["id"], done["id"])
    ended = await rig.finished(await rig.client.post(f"{one}/terminate", json={"terminationType": "GRACEFUL"}))
    for verb, given in (("retry", {}), ("fail", {}), ("cancel", {"CancelMode": "GRACEFUL"})):
        assert (await rig.client.post(f"{LCM}/app_lcm_op_occs/{ended['id']}/{verb}", json=given)).status_code == 409
    assert (await rig.client.delete(one)).status_code == 204
    assert (await rig.client.get(one)).status_code == 404


async def grants(rig: Rig, app: str, operation: str) -> None:
    resource = {"id": "1", "type": "COMPUTE", "resourceTemplateId": ["unit"]}
    asked = {"appInstanceId": app, "appLcmOpOccId": operation, "appDId": "app-1", "operation": "INSTANTIATE"}
    granted = await rig.client.post(f"{GRANTS}/grants", json={**asked, "addResources": [resource]})
    assert granted.status_code == 201, granted.text
    assert granted.json()["addResources"] == [
        {"resourceDefinitionId": "1", "vimConnectionId": "sim", "zoneId": "default"}
    ]
    assert (await rig.client.get(granted.headers["Location"])).json() == granted.json()


TYPES = {
    "AppPackageOnBoarded": (PKG, "AppPkgNotification"),
    "AppPackageDisabled": (PKG, "AppPkgNotification"),
    "AppPackageDeleted": (PKG, "AppPkgNotification"),
    "AppInstanceStateChangeSubscription": (LCM, "AppInstNotification"),
    "AppLcmOpOccNotification": (LCM, "AppLcmOpOccNotification"),
    "AppInstanceIdentifierCreationNotification": (LCM, "AppInstanceIdentifierCreationNotification"),
    "AppInstanceIdentifierDeletionNotification": (LCM, "AppInstanceIdentifierDeletionNotification"),
}


def check_notifications(judge: Judge, told: list[dict[str, Any]]) -> None:
    """Each fits its schema, each type came, in the right order of states, only as far as the filters let it."""
    assert {one["notificationType"] for one in told} == set(TYPES)
    for one in told:
        root, name = TYPES[one["notificationType"]]
        schema = {"$ref": f"#/components/schemas/{name}"}
        assert faults(root, schema, one, judge.documents[root]) == [], one
    states = [one["appInstanceState"] for one in told if "appInstanceState" in one]
    assert states == ["STARTED", "STOPPED", "NOT_INSTANTIATED"]
    operations = [(one["operationType"], one["operationState"]) for one in told if "operationType" in one]
    assert operations == [("INSTANTIATE", state) for state in ("STARTING", "PROCESSING", "COMPLETED")]
    for one in told:
        assert one["_links"]["subscription"]["href"].startswith(f"https://node{TYPES[one['notificationType']][0]}/")
