"""NFVI capacity: what an infrastructure has left, and who is told when that gets short."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from skerry.model.capacity import CapacityThreshold, direction
from tests.api.rig import VNFD, Rig, running
from tests.notifications.receiver import Receiver, receiving

ROOT = "/nfvici/v1"


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncGenerator[Rig]:
    async with running(tmp_path, performance_threshold_s=0.05) as started:
        yield started


@pytest.fixture
async def receiver() -> AsyncGenerator[Receiver]:
    async with receiving() as made:
        yield made


def measured(info: dict[str, Any], name: str) -> dict[str, Any]:
    """One measurement of a VIM."""
    (zone,) = info["capacityInfoPerZone"]
    return next(one for one in zone["capacityMeasurements"] if one["capacityMeasurementName"] == name)


def threshold(uri: str, value: float = 999.5, **changes: Any) -> dict[str, Any]:
    """Tell when fewer instances than this are left; the simulated infrastructure has room for 1000."""
    metric = {"resourceType": "VR_COMPUTE", "capacityMeasurementName": "instances", "capacityType": "AVAILABLE"}
    details = [{"thresholdValue": value, "hysteresis": 0}]
    criteria = {"capacityMetric": metric, "thresholdType": "SIMPLE", "simpleThresholdDetails": details}
    return {"objectInstanceId": "sim", "criteria": criteria, "callbackUri": uri, **changes}


@pytest.mark.feature("A40")
async def test_capacity_is_what_the_driver_tells(rig: Rig) -> None:
    (info,) = (await rig.client.get(f"{ROOT}/nfvi_capacity_infos")).json()
    assert (info["vimId"], measured(info, "instances")["allocatedCapacity"]) == ("sim", {"value": 0})
    await rig.onboard("server")
    await rig.vnf()
    after = (await rig.client.get(f"{ROOT}/nfvi_capacity_infos/sim")).json()
    total = measured(after, "instances")["totalCapacity"]["value"]
    assert measured(after, "instances")["availableCapacity"]["value"] == total - 1
    assert measured(after, "memory")["totalCapacity"]["unit"] == "MiB"
    assert (await rig.client.get(f"{ROOT}/nfvi_capacity_infos/none")).status_code == 404
    assert (await rig.client.get(f"{ROOT}/nfvi_capacity_infos?filter=(eq,vimId,none)")).json() == []


@pytest.mark.feature("A40", "A41")
async def test_who_watches_is_told_of_a_shortage_and_its_end(rig: Rig, receiver: Receiver) -> None:
    await rig.onboard("server")
    created = await rig.client.post(f"{ROOT}/capacity_thresholds", json=threshold(receiver.uri("/short")))
    assert created.status_code == 201, created.text
    id = await rig.vnf()
    await until(receiver, 1)
    await rig.finished(
        await rig.client.post(f"/vnflcm/v2/vnf_instances/{id}/terminate", json={"terminationType": "FORCEFUL"})
    )
    await until(receiver, 2)
    assert [told["direction"] for told in bodies(receiver)] == ["DOWN", "UP"]
    told = bodies(receiver)[0]
    assert (told["notificationType"], told["objectInstanceId"]) == ("CapacityShortageNotification", "sim")
    assert told["_links"]["threshold"]["href"] == created.headers["location"]
    assert told["capacityInformation"]["allocatedCapacity"]["value"] == 1


def bodies(receiver: Receiver) -> list[Any]:
    """The notifications that came."""
    return [got.json for got in receiver.got if got.method == "POST"]


async def until(receiver: Receiver, count: int) -> None:
    async with asyncio.timeout(10):
        while len(bodies(receiver)) < count:
            await asyncio.sleep(0.01)


async def test_thresholds_live_and_die(rig: Rig, receiver: Receiver) -> None:
    root = f"{ROOT}/capacity_thresholds"
    made = (await rig.client.post(root, json=threshold(receiver.uri("/a")))).json()
    one = f"{root}/{made['id']}"
    tag = (await rig.client.get(one)).headers["etag"]
    assert (await rig.client.get(one, headers={"If-None-Match": tag})).status_code == 304
    stale = {"If-Match": '"77"'}
    assert (await rig.client.patch(one, json={"callbackUri": receiver.uri("/b")}, headers=stale)).status_code == 412
    changed = await rig.client.patch(one, json={"callbackUri": receiver.uri("/b")})
    assert changed.json() == {"callbackUri": receiver.uri("/b")}
    assert (await rig.client.get(one)).json()["callbackUri"] == receiver.uri("/b")
    assert [each["id"] for each in (await rig.client.get(root)).json()] == [made["id"]]
    assert (await rig.client.delete(one)).status_code == 204
    assert (await rig.client.get(one)).status_code == 404


async def test_what_is_not_measured_is_refused(rig: Rig, receiver: Receiver) -> None:
    wrong = threshold(receiver.uri("/a"), objectInstanceId="none")
    wrong["criteria"]["capacityMetric"]["capacityMeasurementName"] = "beauty"
    refused = await rig.client.post(f"{ROOT}/capacity_thresholds", json=wrong)
    assert refused.status_code == 422
    assert [fault["path"] for fault in refused.json()["faults"]] == ["/objectInstanceId", "/criteria/capacityMetric"]
    assert (await rig.client.patch(f"{ROOT}/capacity_thresholds/x", json={})).status_code == 422


def test_direction() -> None:
    base = {"id": "t", "vim": "v", "type": "x", "name": "y", "kind": "AVAILABLE", "callback_uri": "u"}
    fresh = CapacityThreshold(value=10, hysteresis=2, **base)
    assert [direction(fresh, value) for value in (11, 10, 9)] == ["", "", "DOWN"]
    short = CapacityThreshold(value=10, hysteresis=2, crossed="DOWN", **base)
    assert [direction(short, value) for value in (9, 11.9, 12)] == ["", "", "UP"]
    well = CapacityThreshold(value=10, hysteresis=2, crossed="UP", **base)
    assert [direction(well, value) for value in (9, 8, 7.9)] == ["", "", "DOWN"]


@pytest.mark.feature("A32")
async def test_coordination_says_whether_an_operation_may_go_on(rig: Rig) -> None:
    from skerry.vim.simulated.world import world

    await rig.onboard("server")
    id = str((await rig.client.post("/vnflcm/v2/vnf_instances", json={"vnfdId": VNFD})).json()["id"])
    world(str(rig.folder)).hang("start_compute")
    task = await rig.client.post(f"/vnflcm/v2/vnf_instances/{id}/instantiate", json={"flavourId": "default"})
    operation = task.headers["location"].rpartition("/")[2]
    links = {"vnfLcmOpOcc": {"href": "http://a/op"}, "vnfInstance": {"href": "http://a/vnf"}}
    asked = {
        "vnfInstanceId": id,
        "vnfLcmOpOccId": operation,
        "lcmOperationType": "INSTANTIATE",
        "coordinationActionName": "ready?",
        "_links": links,
    }
    root = "/lcmcoord/v1/coordinations"
    await asyncio.sleep(0.05)
    going = await rig.client.post(root, json=asked)
    assert (going.status_code, going.json()["coordinationResult"]) == (201, "CONTINUE")
    assert (await rig.client.get(going.headers["location"])).json() == going.json()
    await rig.client.post(f"/vnflcm/v2/vnf_lcm_op_occs/{operation}/cancel", json={"cancelMode": "FORCEFUL"})
    await rig.node.engine.wait(operation, 5)
    ended = (await rig.client.post(root, json=asked)).json()
    assert (ended["coordinationResult"], "FAILED_TEMP" in ended["warnings"]) == ("ABORT", True)
    assert (await rig.client.post(f"{root}/{ended['id']}/cancel")).status_code == 409
    assert (await rig.client.post(root, json={**asked, "vnfInstanceId": "other"})).status_code == 404
    assert (await rig.client.post(root, json={**asked, "nsInstanceId": "x", "nsLcmOpOccId": "y"})).status_code == 422
    assert (await rig.client.get(f"{root}/none")).status_code == 404
