"""Indicators of VNFs through the API, against the official OpenAPI files; a VNF with an interface of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from tests.api.rig import Rig, running
from tests.etsi.test_responses import HOME, Judge
from tests.notifications.receiver import Got, Receiver, Reply, receiving
from tests.vnfm.builder import csar
from tests.vnfm.watched import watched_folder

ROOT = "/vnfind/v1"
SOL003 = "nfv-sol002-sol003/SOL003/VNFIndicator"
SOL002 = "nfv-sol002-sol003/SOL002/VNFIndicator"
WATCHED: dict[str, Any] = {
    "id": "watched",
    "vdus": {"one": {"nics": {"pub": "ext"}}},
    "indicators": {"users": {}, "mood": {}},
}

pytestmark = pytest.mark.skipif(not HOME.is_dir(), reason=f"no official OpenAPI files in {HOME} (set SKERRY_ETSI)")


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncGenerator[Rig]:
    async with running(tmp_path, indicator_period_s=1.0) as started:
        yield started


@pytest.fixture
async def receiver() -> AsyncGenerator[Receiver]:
    async with receiving() as made:
        yield made


def official(folder: str, suffix: str = "") -> Any:
    name = folder.rpartition("/")[2] + suffix
    return json.loads((HOME / f"{folder}{suffix}" / f"{name}.json").read_text())


@pytest.fixture
def judge(rig: Rig) -> Judge:
    """The file of SOL003 has the single subscription below the indicators, that of SOL002 in its place; a value may be
    anything, and one subscription is made at a time."""
    made = Judge()
    document, element = official(SOL003), official(SOL002)
    one = "/subscriptions/{subscriptionId}"
    misplaced = {f"/indicators{one}": document["paths"].pop(f"/indicators{one}")}
    document["paths"] = {**misplaced, one: misplaced[f"/indicators{one}"], **document["paths"]}
    assert one in element["paths"]
    document["components"]["schemas"]["VnfIndicator"]["properties"]["value"] = {}
    content = document["paths"]["/subscriptions"]["post"]["responses"]["201"]["content"]["application/json"]
    content["schema"] = content["schema"]["items"]
    made.documents = {ROOT: document}
    rig.client.event_hooks = {"response": [made]}
    return made


def faults(body: Any) -> list[str]:
    """SupportedIndicatorsChangeNotification has the name of the other in the file; a value may be anything."""
    document = official(SOL003, "Notification")
    schemas = document["components"]["schemas"]
    kind = body["notificationType"]
    schemas[kind]["properties"]["notificationType"]["enum"] = [kind]
    schemas[kind]["properties"].get("value", {}).clear()
    schema = {"$ref": f"#/components/schemas/{kind}", "components": document["components"]}
    return [fault.message[:300] for fault in jsonschema.Draft202012Validator(schema).iter_errors(body)]


async def instantiated(rig: Rig, **properties: Any) -> str:
    package = (await rig.client.post("/vnfpkgm/v2/vnf_packages", json={})).json()["id"]
    content = csar(watched_folder({**WATCHED, **({"properties": properties} if properties else {})})).read_bytes()
    headers = {"Content-Type": "application/zip"}
    await rig.client.put(f"/vnfpkgm/v2/vnf_packages/{package}/package_content", content=content, headers=headers)
    for _ in range(100):
        shown = (await rig.client.get(f"/vnfpkgm/v2/vnf_packages/{package}")).json()
        if shown["onboardingState"] == "ONBOARDED":
            break
        await asyncio.sleep(0.02)
    return await rig.vnf("watched")


async def eventually(rig: Rig, path: str, value: Any) -> Any:
    async with asyncio.timeout(10):
        while (answer := await rig.client.get(path)).status_code != 200 or answer.json().get("value") != value:
            await asyncio.sleep(0.05)
    return answer.json()


@pytest.mark.feature("A41")
async def test_indicators_and_who_is_told_of_them(rig: Rig, judge: Judge, receiver: Receiver) -> None:
    wanted = {"filter": {"indicatorIds": ["users"]}, "callbackUri": receiver.uri("/some")}
    for body in (wanted, {"callbackUri": receiver.uri("/all")}):
        assert (await rig.client.post(f"{ROOT}/subscriptions", json=body)).status_code == 201
    vnf = await instantiated(rig)
    await receiver.until(lambda: any(got.path == "/some" and got.body for got in receiver.got))
    assert [one["id"] for one in (await rig.client.get(f"{ROOT}/indicators")).json()] == ["mood", "users"]
    assert len((await rig.client.get(f"{ROOT}/indicators/{vnf}?filter=(eq,id,mood)")).json()) == 1
    for name, value in (("mood", "calm"), ("users", 12)):
        put = await rig.client.put(f"/skerry/v1/vnfs/{vnf}/indicators/{name}", json={"value": value})
        assert put.status_code == 200, put.text
        assert (await rig.client.get(f"{ROOT}/indicators/{vnf}/{name}")).json()["value"] == value
    await receiver.until(lambda: sum(got.path == "/all" and bool(got.body) for got in receiver.got) == 3)
    await receiver.until(lambda: sum(got.path == "/some" and bool(got.body) for got in receiver.got) == 2)
    notes = {path: [got.json for got in receiver.got if got.path == path and got.body] for path in ("/all", "/some")}
    assert [fault for path in notes for note in notes[path] for fault in faults(note)] == []
    assert [note.get("value") for note in notes["/all"]] == [None, "calm", 12]
    assert [note.get("value") for note in notes["/some"]] == [None, 12]
    assert (await rig.client.get(f"{ROOT}/indicators/{vnf}/nothing")).status_code == 404
    assert (await rig.client.get(f"{ROOT}/indicators/nobody")).status_code == 404
    assert (await rig.client.get(f"{ROOT}/indicators?filter=nonsense")).status_code == 400
    listed = (await rig.client.get(f"{ROOT}/subscriptions")).json()
    assert len(listed) == 2
    assert (await rig.client.get(f"{ROOT}/subscriptions/{listed[0]['id']}")).status_code == 200
    assert (await rig.client.get(f"{ROOT}/indicators/subscriptions/{listed[1]['id']}")).json() == listed[1]
    assert (await rig.client.delete(f"{ROOT}/subscriptions/{listed[0]['id']}")).status_code == 204
    assert (await rig.client.delete(f"{ROOT}/indicators/subscriptions/{listed[1]['id']}")).status_code == 204


@pytest.mark.feature("A66")
async def test_a_vnf_tells_its_indicators_by_its_own_interface(rig: Rig) -> None:
    async with receiving() as element:
        answers: dict[str, Any] = {"users": 3, "unknown": 1}

        def answer(got: Got) -> Reply:
            told = [{"id": name, "value": value, "vnfInstanceId": "x"} for name, value in answers.items()]
            return Reply(200, json.dumps(told).encode(), (("content-type", "application/json"),))

        element.answer = answer
        vnf = await instantiated(
            rig, sol002_endpoint=element.uri(""), sol002_user="skerry", sol002_password="very secret"
        )
        one = f"{ROOT}/indicators/{vnf}/users"
        await eventually(rig, one, 3)
        asked = element.got[0]
        assert (asked.method, asked.path) == ("GET", f"{ROOT}/indicators/{vnf}")
        assert (asked.headers["version"], asked.headers["authorization"][:6]) == ("1.4.0", "Basic ")
        answers["users"] = 4
        await eventually(rig, one, 4)
        element.answer = lambda _: Reply(500)
        count = len(element.got)
        await element.until(lambda: len(element.got) > count)
        assert (await rig.client.get(one)).json()["value"] == 4
