"""Every resource and method of MEC 011's official OpenAPI files is served, and every answer fits their schemas.

The files have defects, which are named here and nowhere hidden: enumerations that only say "see description", and two
paths that stand for addresses which somebody else chooses.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx
import jsonschema  # type: ignore[import-untyped]
import pytest

from skerry.api.mec011 import APP_SUPPORT, SERVICE_MGMT
from skerry.mep.steering import SimulatedSteering
from tests.api.rig import Rig, running
from tests.api.test_mec011 import MP1, SERVICES, SUPPORT, dns, registered, service, traffic

HOME = Path(os.environ.get("SKERRY_ETSI") or Path(__file__).parents[2].parent / "shared" / "etsi") / "openapi" / "mec"
FILES = {SUPPORT: "MecAppSupportApi.json", SERVICES: "MecServiceMgmtApi.json"}
APIS = {SUPPORT: APP_SUPPORT, SERVICES: SERVICE_MGMT}
PSEUDO = {"/resource_uri_allocated_by_MEC_platform": "/applications/{a}/services/{s}/liveness"}
"""A path that stands for whatever the platform allocates, and what we allocate."""

ELSEWHERE = {"/user_defined_notification"}
"""A path that stands for a subscriber's own address."""

PLACEHOLDERS = {"SEE_DESCRIPTION", "source"}
"""Enumerations with one of these words, or with a single one of the values that the description lists, mean nothing."""

SINGLE = {("action", "DUPLICATE_ENCAPSULATED"), ("operationAction", "TERMINATING")}
GENERAL = {401, 403, 404, 405, 406, 409, 412, 413, 415, 422, 429}
"""Statuses that MEC 009 clause 6.15 and table E allow everywhere, described or not."""

pytestmark = pytest.mark.skipif(not HOME.is_dir(), reason=f"no official OpenAPI files in {HOME} (set SKERRY_ETSI)")


def mended(node: Any, name: str = "") -> Any:
    """A schema without the enumerations that are placeholders."""
    if isinstance(node, list):
        return [mended(item, name) for item in node]
    if not isinstance(node, dict):
        return node
    values = node.get("enum")
    bare = isinstance(values, list) and (set(values) <= PLACEHOLDERS or (name, values[0]) in SINGLE)
    kept = {key: value for key, value in node.items() if not (bare and key == "enum")}
    if bare and name == "grantTypes" and kept.get("type") == "string":
        # The text has a list of grant types; one of the two files writes a single one.
        kept = {"type": "array", "items": {"type": "string"}}
    return {key: mended(value, key) for key, value in kept.items()}


class Judge:
    """Checks answers, and remembers which operations it has seen."""

    def __init__(self) -> None:
        self.documents = {root: mended(json.loads((HOME / file).read_text())) for root, file in FILES.items()}
        self.seen: set[tuple[str, str, str]] = set()

    async def __call__(self, response: httpx.Response) -> None:
        path = response.request.url.path
        root = next((root for root in FILES if path.startswith(root + "/")), "")
        if not root or path.endswith("/api_versions"):
            return
        template, operation = self.described(root, path.removeprefix(root), response.request.method)
        self.seen.add((root, response.request.method, template))
        described = operation["responses"].get(str(response.status_code))
        assert described is not None or response.status_code in GENERAL or response.status_code == 204, (
            f"{response.status_code} of {path} is not described"
        )
        body = await response.aread()
        for media, content in ((described or {}).get("content") or {}).items():
            if not body:
                assert response.status_code == 204
                continue
            assert response.headers["content-type"] == media
            self._check(root, unwrapped(content["schema"]), json.loads(body), path)

    def described(self, root: str, path: str, method: str) -> tuple[str, dict[str, Any]]:
        for template, methods in self.documents[root]["paths"].items():
            own = PSEUDO.get(template, template)
            if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", own), path) and method.lower() in methods:
                return own, methods[method.lower()]
        raise AssertionError(f"{method} {root}{path} is in no official file")

    def _check(self, root: str, schema: dict[str, Any], value: Any, path: str) -> None:
        whole = {**schema, "components": self.documents[root]["components"]}
        faults = sorted(jsonschema.Draft202012Validator(whole).iter_errors(value), key=lambda fault: list(fault.path))
        assert not faults, f"{path}: " + "; ".join(f"{list(one.path)} {one.message[:200]}" for one in faults)


def unwrapped(schema: dict[str, Any]) -> dict[str, Any]:
    """The files wrap each type in an object with the type's own name, which no table of the text has."""
    inner = schema.get("properties", {})
    return next(iter(inner.values())) if len(inner) == 1 and "required" not in schema else schema


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncGenerator[Rig]:
    async with running(tmp_path, steering=SimulatedSteering(), mec_dns="builtin") as started:
        yield started


def official(root: str) -> set[tuple[str, str]]:
    """Method and path of every operation of a file."""
    document = json.loads((HOME / FILES[root]).read_text())
    return {
        (method.upper(), re.sub(r"\{\w+\}", "{}", PSEUDO.get(path, path)))
        for path, methods in document["paths"].items()
        for method in methods
        if path not in ELSEWHERE and method in ("get", "put", "post", "patch", "delete")
    }


@pytest.mark.feature("B34", "B36", "B39", "B46", "B53", "B54", "B55")
@pytest.mark.parametrize("root", sorted(FILES))
def test_every_operation_is_served_and_nothing_else(root: str) -> None:
    served = {(one.method, re.sub(r"\{\w+\}", "{}", one.path)) for one in APIS[root].endpoints}
    assert served == official(root)


async def test_every_answer_fits(rig: Rig) -> None:
    """One journey over every operation of both files."""
    judge = Judge()
    rig.client.event_hooks = {"response": [judge]}
    app = await registered(rig)
    await support(rig, app)
    await services(rig, app)
    for root in FILES:
        expected = {(method, path) for method, path in official(root)}
        seen = {(method, re.sub(r"\{\w+\}", "{}", path)) for where, method, path in judge.seen if where == root}
        assert seen == expected


async def support(rig: Rig, app: str) -> None:
    """Everything of application support."""
    client, own = rig.client, f"{SUPPORT}/applications/{app}"
    one = f"{SUPPORT}/registrations/{app}"
    whole = {
        "appName": "video",
        "appCategory": {"href": "/c", "id": "c", "name": "C", "version": "1"},
        "endpoint": {"addresses": [{"host": "10.0.0.1", "port": 80}]},
        "appServiceRequired": [{"serName": "rni", "version": "2"}],
        "appFeatureOptional": [{"featureName": "UserApps", "version": "1"}],
    }
    assert (await client.put(one, json=whole)).status_code == 204
    assert (await client.get(one)).status_code == 200
    assert (await client.post(f"{SUPPORT}/registrations", json={})).status_code == 400
    assert (await client.post(f"{own}/confirm_ready", json={"indication": "READY"})).status_code == 204
    wrong = await client.post(f"{own}/confirm_termination", json={"operationAction": "STOPPING"})
    assert wrong.status_code == 409
    body = {
        "subscriptionType": "AppTerminationNotificationSubscription",
        "callbackReference": "http://127.0.0.1:9/told",
        "appInstanceId": app,
    }
    made = await client.post(f"{own}/subscriptions", json=body)
    assert made.status_code == 201
    for method, path in (("GET", f"{own}/subscriptions"), ("GET", made.headers["location"])):
        assert (await client.request(method, path)).status_code == 200
    assert (await client.delete(made.headers["location"])).status_code == 204
    for kind, rule in (("traffic_rules/t1", traffic()), ("dns_rules/d1", dns())):
        put = await client.put(f"{own}/{kind}", json=rule)
        assert put.status_code == 200, put.text
        assert (await client.put(f"{own}/{kind}", json=rule, headers={"If-Match": '"99"'})).status_code == 412
        assert (await client.get(f"{own}/{kind}")).status_code == 200
        assert (await client.get(f"{own}/{kind.partition('/')[0]}")).status_code == 200
    for what in ("timing_caps", "current_time"):
        assert (await client.get(f"{SUPPORT}/timing/{what}")).status_code == 200
    gone = await registered(rig, "gone")
    assert (await client.delete(f"{SUPPORT}/registrations/{gone}")).status_code == 204


async def services(rig: Rig, app: str) -> None:
    """Everything of service management."""
    client, own = rig.client, f"{SERVICES}/applications/{app}"
    category = {"href": "/c", "id": "c", "name": "C", "version": "1"}
    made = await client.post(f"{own}/services", json=service(serCategory=category, livenessInterval=60))
    assert made.status_code == 201
    one = made.json()["_links"]["self"]["href"]
    for path in (f"{own}/services", f"{SERVICES}/services", one, f"{SERVICES}/services/{made.json()['serInstanceId']}"):
        assert (await client.get(path)).status_code == 200
    assert (await client.put(one, json=service(livenessInterval=60))).status_code == 200
    assert (await client.put(one, json=service(), headers={"If-Match": '"99"'})).status_code == 412
    alive = made.json()["_links"]["liveness"]["href"]
    assert (await client.get(alive)).status_code == 200
    assert (await client.patch(alive, json={"state": "ACTIVE"})).status_code == 200
    assert (await client.get(f"{SERVICES}/services?is_local=x")).status_code == 400
    body = {
        "subscriptionType": "SerAvailabilityNotificationSubscription",
        "callbackReference": "http://127.0.0.1:9/told",
        "filteringCriteria": {"serNames": ["cache"], "states": ["ACTIVE"], "isLocal": True},
    }
    subscribed = await client.post(f"{own}/subscriptions", json=body)
    assert subscribed.status_code == 201
    assert (await client.get(f"{own}/subscriptions")).status_code == 200
    assert (await client.get(subscribed.headers["location"])).status_code == 200
    assert (await client.delete(subscribed.headers["location"])).status_code == 204
    assert (await client.get(f"{SERVICES}/transports")).status_code == 200
    assert (await client.delete(one)).status_code == 204


@pytest.mark.feature("B38")
async def test_notifications_fit_too(rig: Rig) -> None:
    judge = Judge()
    app = await registered(rig)
    ask = {"websockNotifConfig": {"requestWebsocketUri": True}}
    wishes = {
        SERVICES: {"subscriptionType": "SerAvailabilityNotificationSubscription", **ask},
        SUPPORT: {"subscriptionType": "AppTerminationNotificationSubscription", "appInstanceId": app, **ask},
    }
    ids = {}
    for root, wish in wishes.items():
        made = await rig.client.post(f"{root}/applications/{app}/subscriptions", json=wish)
        assert made.status_code == 201
        ids[root] = made.headers["location"].rpartition("/")[2]
    made = await rig.client.post(f"{SERVICES}/applications/{app}/services", json=service())
    one = made.json()["_links"]["self"]["href"]
    await rig.client.put(one, json=service(state="INACTIVE"))
    await rig.client.put(one, json=service(state="INACTIVE", version="2.0"))
    await rig.client.delete(one)
    assert not await rig.node.mep.ask_to_stop(app, "TERMINATING", 0.01)
    kinds = []
    for root, name in ((SERVICES, "ServiceAvailabilityNotification"), (SUPPORT, "AppTerminationNotification")):
        schema = {"$ref": f"#/components/schemas/{name}"}
        for waiting in (await rig.client.get(f"{MP1}/notifications/{ids[root]}?wait_s=5")).json():
            told = waiting["notification"]
            judge._check(root, schema, told, name)
            kinds += [one["changeType"] for one in told.get("serviceReferences", ())]
    assert kinds == ["ADDED", "STATE_CHANGED", "ATTRIBUTES_CHANGED", "REMOVED"]
