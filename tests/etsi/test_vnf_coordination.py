"""A VNF is asked before operations change it, as its descriptor wants: requests fit the official OpenAPI file of SOL002."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from tests.api.rig import Rig
from tests.etsi.test_responses import HOME
from tests.notifications.receiver import Got, Receiver, Reply, receiving
from tests.vnfm.builder import csar
from tests.vnfm.watched import watched_folder

FILE = "nfv-sol002-sol003/SOL002/VNFLCMCoordination/VNFLCMCoordination.json"
HOW = {"instantiate": ["greet"], "terminate": ["drain", "warn"], "heal": ["pause"]}

pytestmark = pytest.mark.skipif(not HOME.is_dir(), reason=f"no official OpenAPI files in {HOME} (set SKERRY_ETSI)")


class Element:
    """A VNF that decides. `say` is what it answers to an action: a result, or statuses that come before it."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self.say: dict[str, list[Any]] = {}
        self.asked: list[dict[str, Any]] = []
        receiver.answer = self

    def __call__(self, got: Got) -> Reply:
        if got.method == "POST":
            request = json.loads(got.body)
            first = request not in self.asked
            if first or self.say.get(request["coordinationActionName"], [""])[0] == 503:
                self.asked.append(request)
        else:
            request = self.asked[-1]
        return self._answer(request)

    def _answer(self, request: dict[str, Any]) -> Reply:
        plan = self.say.setdefault(request["coordinationActionName"], ["CONTINUE"])
        now = plan.pop(0) if len(plan) > 1 else plan[0]
        if now == 202:
            return Reply(202, b"", (("location", "https://elsewhere.example/element/lcmcoord/v1/coordinations/c1"),))
        if isinstance(now, str) and now.startswith("@"):
            return Reply(202, b"", (("location", now),))
        if now == 503:
            return Reply(503, b"{}", (("retry-after", "0"),))
        if isinstance(now, int):
            return Reply(now, b'{"status": 403, "detail": "not now"}')
        body = {**request, "id": "c1", "coordinationResult": now, "warnings": "mind the gap"}
        return Reply(201, json.dumps(body).encode())

    def actions(self) -> list[str]:
        return [str(one["coordinationActionName"]) for one in self.asked]


@pytest.fixture
async def element() -> AsyncGenerator[Element]:
    async with receiving() as receiver:
        yield Element(receiver)


async def created(rig: Rig, element: Element) -> str:
    package = (await rig.client.post("/vnfpkgm/v2/vnf_packages", json={})).json()["id"]
    short = {
        "id": "coordinated",
        "vdus": {"one": {"nics": {"pub": "ext"}}},
        "properties": {"sol002_endpoint": element.receiver.uri("/element")},
        "coordinations": HOW,
    }
    content = csar(watched_folder(short)).read_bytes()
    path = f"/vnfpkgm/v2/vnf_packages/{package}/package_content"
    put = await rig.client.put(path, content=content, headers={"Content-Type": "application/zip"})
    assert put.status_code in (202, 204)
    made = await rig.client.post("/vnflcm/v2/vnf_instances", json={"vnfdId": "coordinated"})
    return f"/vnflcm/v2/vnf_instances/{made.json()['id']}"


async def run(rig: Rig, one: str, verb: str, **body: Any) -> dict[str, Any]:
    return await rig.finished(await rig.client.post(f"{one}/{verb}", json=body))


def faults(request: Any) -> list[str]:
    document = json.loads((HOME / FILE).read_text())
    schema = {"$ref": "#/components/schemas/LcmCoordRequest", "components": document["components"]}
    return [fault.message[:300] for fault in jsonschema.Draft202012Validator(schema).iter_errors(request)]


async def occurrences(rig: Rig) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await rig.client.get("/vnflcm/v2/vnf_lcm_op_occs")).json()
    return found


@pytest.mark.feature("A66")
async def test_a_vnf_is_asked_about_what_its_descriptor_names(rig: Rig, element: Element) -> None:
    one = await created(rig, element)
    assert (await run(rig, one, "instantiate", flavourId="default"))["operationState"] == "COMPLETED"
    assert element.actions() == ["greet"]
    asked = element.asked[0]
    assert faults(asked) == []
    assert asked["lcmOperationType"] == "INSTANTIATE"
    got = element.receiver.got[0]
    assert (got.path, got.headers["version"]) == ("/element/lcmcoord/v1/coordinations", "1.1.0")
    assert (await run(rig, one, "operate", changeStateTo="STOPPED"))["operationState"] == "COMPLETED"
    assert (await run(rig, one, "operate", changeStateTo="STARTED"))["operationState"] == "COMPLETED"
    assert element.actions() == ["greet"]
    assert (await run(rig, one, "terminate", terminationType="GRACEFUL"))["operationState"] == "COMPLETED"
    assert element.actions() == ["greet", "drain", "warn"]
    (newest,) = [one for one in await occurrences(rig) if one["operation"] == "TERMINATE"]
    shown = (await rig.client.get(f"/vnflcm/v2/vnf_lcm_op_occs/{newest['id']}")).json()
    told = [(one["id"], one["coordinationActionName"], one["coordinationResult"]) for one in shown["lcmCoordinations"]]
    assert told == [("c1", "drain", "CONTINUE"), ("c1", "warn", "CONTINUE")]
    assert all(one["startTime"] <= one["endTime"] and one["endpointType"] == "VNF" for one in shown["lcmCoordinations"])
    assert shown["warnings"] == ["mind the gap"] * 2


@pytest.mark.feature("A66")
async def test_a_vnf_may_take_its_time_and_ask_to_come_later(rig: Rig, element: Element) -> None:
    element.say = {"greet": [503, 202, 202, "CONTINUE"]}
    one = await created(rig, element)
    assert (await run(rig, one, "instantiate", flavourId="default"))["operationState"] == "COMPLETED"
    methods = [(got.method, got.path) for got in element.receiver.got]
    assert methods == [
        ("POST", "/element/lcmcoord/v1/coordinations"),
        ("POST", "/element/lcmcoord/v1/coordinations"),
        # on the VNF's own address, whatever host it names
        ("GET", "/element/lcmcoord/v1/coordinations/c1"),
        ("GET", "/element/lcmcoord/v1/coordinations/c1"),
    ]


@pytest.mark.feature("A66")
async def test_a_place_of_a_vnf_is_no_other_host(rig: Rig, element: Element) -> None:
    element.say = {"greet": ["@elsewhere.example/c1", "CONTINUE"]}
    one = await created(rig, element)
    assert (await run(rig, one, "instantiate", flavourId="default"))["operationState"] == "COMPLETED"
    assert [(got.method, got.path) for got in element.receiver.got][-1] == ("GET", "/@elsewhere.example/c1")


@pytest.mark.feature("A66")
async def test_a_vnf_can_stop_an_operation_before_anything_changed(rig: Rig, element: Element) -> None:
    one = await created(rig, element)
    await run(rig, one, "instantiate", flavourId="default")
    before = (await rig.client.get(one)).json()["instantiatedVnfInfo"]["vnfcResourceInfo"]
    element.say = {"drain": ["ABORT"]}
    done = await run(rig, one, "terminate", terminationType="GRACEFUL")
    assert done["operationState"] == "FAILED_TEMP"
    assert "ABORT to drain" in done["error"]["detail"]
    assert (await rig.client.get(one)).json()["instantiatedVnfInfo"]["vnfcResourceInfo"] == before
    element.say = {"drain": [403]}
    retried = f"/vnflcm/v2/vnf_lcm_op_occs/{done['id']}"
    await rig.client.post(f"{retried}/retry")
    await rig.node.engine.wait(done["id"], 10)
    assert "not now" in (await rig.client.get(retried)).json()["error"]["detail"]
    element.say = {}
    await rig.client.post(f"{retried}/retry")
    ended = await rig.node.engine.wait(done["id"], 10)
    assert ended.state == "COMPLETED"


@pytest.mark.feature("A66")
async def test_a_forceful_end_asks_nobody(rig: Rig, element: Element) -> None:
    one = await created(rig, element)
    await run(rig, one, "instantiate", flavourId="default")
    element.asked.clear()
    subject = one.rpartition("/")[2]
    for how, actions in (("GRACEFUL", ["coordinate drain", "coordinate warn"]), ("FORCEFUL", [])):
        wish = {"kind": "vnf.terminate", "subject": subject, "params": {"terminationType": how}}
        plan = (await rig.client.post("/skerry/v1/plan", json=wish)).json()
        assert [line["detail"] for line in plan["changes"] if line["effect"] == "run"] == actions
    assert (await run(rig, one, "terminate", terminationType="FORCEFUL"))["operationState"] == "COMPLETED"
    assert element.actions() == []
