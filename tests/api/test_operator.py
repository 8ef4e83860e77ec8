"""Our own API for operators: explanations, pictures of plans, orphans, alarms, backups, the way out of every state."""

from __future__ import annotations

import asyncio
import hashlib
import io
import tarfile
import xml.etree.ElementTree as ET
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from skerry.settings import Settings, Vim
from skerry.vim.driver import ComputeSpec, DriverContext, ExecResult, ImageSpec, NetworkSpec
from skerry.vim.drivers.simulated import Driver, SimulatedSettings
from skerry.vim.simulated.world import World, world
from skerry.wiring import Node
from tests.api.rig import VNFD, Rig

OWN = "/skerry/v1"
TENANT = "default"
VNFLCM = "/vnflcm/v2/vnf_instances"


def world_of(rig: Rig) -> World:
    return world(str(rig.folder))


async def get(rig: Rig, path: str) -> Any:
    answer = await rig.client.get(f"{OWN}{path}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def failed_vnf(rig: Rig) -> tuple[str, dict[str, Any]]:
    """A VNF whose start fails; its id and its operation."""
    await rig.onboard("server")
    id = str((await rig.client.post(VNFLCM, json={"vnfdId": VNFD, "vnfInstanceName": "one"})).json()["id"])
    world_of(rig).fail("start_compute", transient=False, message="no such program")
    params = {"flavourId": "default", "vnfConfigurableProperties": {"admin_password": "hunter2"}}
    done = await rig.finished(await rig.client.post(f"{VNFLCM}/{id}/instantiate", json=params))
    assert done["operationState"] == "FAILED_TEMP"
    return id, done


async def test_a_failed_operation_is_explained(rig: Rig) -> None:
    id, operation = await failed_vnf(rig)
    told = await get(rig, f"/operations/{operation['id']}/explanation")
    assert (told["kind"], told["subject"], told["state"]) == ("vnf.instantiate", id, "FAILED_TEMP")
    assert told["options"] == ["retry", "rollback", "fail"]
    assert 0 < told["done"] < told["total"]
    assert "no such program" in told["summary"]
    broken = next(step for step in told["steps"] if step["state"] == "FAILED")
    assert broken["step"] == "create:power:server-0"
    assert broken["call"].startswith("start_compute ")
    assert broken["answer"] == "scripted failure"
    assert broken["input"]["spec"]["compute"] == "server-0"
    held_up = next(step for step in told["steps"] if step["state"] == "PENDING")
    assert broken["step"] in held_up["waits_for"]
    assert "hunter2" not in (await rig.client.get(f"{OWN}/operations/{operation['id']}/explanation")).text


@pytest.mark.feature("A43", "A70")
async def test_what_a_failed_script_printed_is_in_the_explanation(rig: Rig) -> None:
    await rig.onboard("server")
    id = str((await rig.client.post(VNFLCM, json={"vnfdId": VNFD})).json()["id"])
    world_of(rig).answer("/bin/sh -c *", ExecResult(exit_code=3, stdout=b"trying", stderr=b"cannot find sipp.conf"))
    done = await rig.finished(await rig.client.post(f"{VNFLCM}/{id}/instantiate", json={"flavourId": "default"}))
    told = await get(rig, f"/operations/{done['id']}/explanation")
    broken = next(step for step in told["steps"] if step["state"] == "FAILED")
    assert "ended with 3: cannot find sipp.conf" in broken["error"]
    assert "do not run again" in broken["suggestion"]
    assert broken["input"]["event"] == "instantiate_end"
    said = [event for event in await get(rig, f"/events?subject={id}") if event.get("data", {}).get("stderr")]
    assert [event["data"]["stdout"] for event in said] == ["trying"]


async def test_a_step_under_way_says_since_and_until_when(rig: Rig) -> None:
    await rig.onboard("server")
    id = str((await rig.client.post(VNFLCM, json={"vnfdId": VNFD})).json()["id"])
    world_of(rig).hang("start_compute")
    begun = await rig.client.post(f"{VNFLCM}/{id}/instantiate", json={"flavourId": "default"})
    operation = begun.headers["Location"].rpartition("/")[2]
    async with asyncio.timeout(5):
        async for batch in rig.node.engine.events.follow(0, operation=operation):
            if any((event.name, event.state) == ("create:power:server-0", "RUNNING") for event in batch):
                break
    told = await get(rig, f"/operations/{operation}/explanation")
    at_work = next(step for step in told["steps"] if step["state"] == "RUNNING")
    assert at_work["since"] < at_work["until"]
    assert told["options"] == ["cancel"]
    assert "works on" in told["summary"]
    await rig.client.post(f"{OWN}/operations/{operation}/cancel", json={"cancelMode": "FORCEFUL"})
    assert (await rig.node.engine.wait(operation, 5)).state == "FAILED_TEMP"


async def test_a_service_is_explained_with_its_parts(rig: Rig) -> None:
    await rig.onboard_all()
    nsd = (await get(rig, "/packages?filter=(eq,kind,ns)"))[0]["descriptor"]
    created = await rig.client.post("/nslcm/v2/ns_instances", json={"nsdId": nsd, "nsName": "s", "nsDescription": ""})
    world_of(rig).fail("start_compute", "*server*", times=9, transient=False, message="broken")
    world_of(rig).fail("start_compute", times=9, transient=False, message="broken")
    one = created.headers["location"]
    done = await rig.finished(await rig.client.post(f"{one}/instantiate", json={"nsFlavourId": "default"}))
    told = await get(rig, f"/operations/{done['id']}/explanation")
    assert [child["kind"] for child in told["children"]] == ["vnf.instantiate"]
    assert any(step["state"] == "FAILED" and "broken" in step["error"] for step in told["children"][0]["steps"])
    assert [verdict["site"] for verdict in told["verdicts"]] == ["sim"]


@pytest.mark.feature("A67")
async def test_why_this_infrastructure_and_not_that_one(rig: Rig) -> None:
    await rig.onboard("server")
    for name, settings in (("full", {"vcpus": 0.1}), ("busy", {"vcpus": 1}), ("cut", {})):
        body = {"id": name, "vim_type": "SIMULATED", "settings": {"world": f"{rig.folder}-{name}", **settings}}
        assert (await rig.client.post(f"{OWN}/vims", json=body)).status_code == 201
    world(f"{rig.folder}-cut").reachable = False
    id = (await rig.client.post(VNFLCM, json={"vnfdId": VNFD})).json()["id"]
    body = {"kind": "vnf.instantiate", "subject": id, "params": {"flavourId": "default"}}
    plan = (await rig.client.post(f"{OWN}/plan", json=body)).json()
    said = {verdict["site"]: verdict for verdict in plan["outcome"]["verdicts"]}
    assert {site: one.get("chosen", False) for site, one in said.items()} == {
        "sim": True, "full": False, "busy": False, "cut": False,
    }  # fmt: skip
    assert "least loaded" in said["sim"]["reason"]
    assert "would be loaded more" in said["busy"]["reason"]
    assert "needs 0.5 vCPUs, free are 0.1" in said["full"]["reason"]
    assert "does not answer" in said["cut"]["reason"]
    lacking = [one["name"] for one in said["full"]["constraints"] if not one["holds"]]
    assert lacking == ["vCPUs"]


async def test_a_plan_is_drawn(rig: Rig) -> None:
    await rig.onboard("server")
    id = (await rig.client.post(VNFLCM, json={"vnfdId": VNFD})).json()["id"]
    body = {"kind": "vnf.instantiate", "subject": id, "params": {"flavourId": "default"}}
    drawn = await rig.client.post(f"{OWN}/plan", json=body, headers={"Accept": "image/svg+xml"})
    assert drawn.headers["content-type"].startswith("image/svg+xml")
    picture = ET.fromstring(drawn.text)  # noqa: S314 - we drew it
    plan = (await rig.client.post(f"{OWN}/plan", json=body)).json()
    boxes = picture.findall(".//{*}g/{*}title")
    assert [box.text.split(": ")[0] for box in boxes if box.text] == [step["key"] for step in plan["steps"]]
    arrows = picture.findall("{*}path")
    assert len(arrows) == sum(len(step.get("needs", ())) for step in plan["steps"])
    done = await rig.finished(await rig.client.post(f"{VNFLCM}/{id}/instantiate", json={"flavourId": "default"}))
    again = await rig.client.get(f"{OWN}/operations/{done['id']}/plan", headers={"Accept": "image/svg+xml"})
    assert again.text == drawn.text
    refused = await rig.client.post(f"{OWN}/plan", json=body, headers={"Accept": "image/png"})
    assert refused.status_code == 406


@pytest.mark.feature("A5")
async def test_orphans_are_listed_and_settled(rig: Rig) -> None:
    await rig.onboard("server")
    id = await rig.vnf()
    assert await get(rig, "/orphans") == {"orphans": [], "unanswered": {}}
    driver = await rig.node.vims.driver("sim")
    image = (await driver.ensure_image(ImageSpec(name="stray", source="host:busybox"))).name
    await driver.create_compute(ComputeSpec(name="stray", owner="nobody", image=image))
    mine = rig.node.vnfm.instance(id, tenant=TENANT).resources["compute:server-0"].spec["name"]
    world_of(rig).remove(mine)
    found = (await get(rig, "/orphans?vim=sim"))["orphans"]
    assert {(one["what"], one["name"], one.get("instance")) for one in found} <= {
        ("unowned", "stray", "nobody"), ("missing", mine, id),
    }  # fmt: skip
    assert ("unowned", "stray") in {(one["what"], one["name"]) for one in found}
    assert (await rig.client.post(f"{OWN}/orphans/sim/compute/stray/adopt")).status_code == 409
    assert (await rig.client.delete(f"{OWN}/orphans/sim/compute/stray")).status_code == 204
    assert (await rig.client.delete(f"{OWN}/orphans/sim/compute/stray")).status_code == 404


@pytest.mark.feature("A5")
async def test_what_others_made_is_told_and_left_alone(rig: Rig) -> None:
    context = DriverContext(node="another", data_dir=rig.folder, clock=rig.node.clock)
    other = Driver(SimulatedSettings(world=world_of(rig).name), context)
    await other.open()
    image = (await other.ensure_image(ImageSpec(name="stray", source="host:busybox"))).name
    await other.create_compute(ComputeSpec(name="theirs", owner="somebody", image=image))
    await other.create_network(NetworkSpec(name="their-net", owner="somebody"))
    found = await get(rig, "/orphans")
    assert found["orphans"] == []
    assert [(one["what"], one["kind"], one["name"], one["node"]) for one in found["foreign"]] == [
        ("foreign", "compute", "theirs", "another"), ("foreign", "network", "their-net", "another"),
    ]  # fmt: skip
    assert (await rig.client.delete(f"{OWN}/orphans/sim/compute/theirs")).status_code == 404
    assert (await rig.client.post(f"{OWN}/orphans/sim/compute/theirs/adopt")).status_code == 404
    await rig.onboard("server")
    id = await rig.vnf()
    mine = rig.node.vnfm.instance(id, tenant=TENANT).resources["compute:server-0"].spec["name"]
    assert (await rig.client.delete(f"{OWN}/orphans/sim/compute/{mine}?foreign=true")).status_code == 404
    assert (await rig.client.delete(f"{OWN}/orphans/sim/compute/theirs?foreign=true")).status_code == 204
    assert [one["name"] for one in (await get(rig, "/orphans?vim=sim"))["foreign"]] == ["their-net"]
    assert {"theirs"} & set(world_of(rig).inventory()["compute"]) == set()


async def test_what_is_gone_is_made_again(rig: Rig) -> None:
    await rig.onboard("server")
    id = await rig.vnf()
    await rig.node.watch.stop()  # who would see it first
    mine = rig.node.vnfm.instance(id, tenant=TENANT).resources["compute:server-0"].spec["name"]
    world_of(rig).remove(mine)
    made = await rig.client.post(f"{OWN}/orphans/sim/compute/{mine}/recreate")
    assert made.status_code == 202, made.text
    await rig.node.engine.wait(made.headers["Location"].rpartition("/")[2], 10)
    assert (await get(rig, "/orphans"))["orphans"] == []
    assert mine in world_of(rig).inventory()["compute"]


async def alarm(rig: Rig, state: str, after: int) -> None:
    async with asyncio.timeout(5):
        async for batch in rig.node.engine.events.follow(after):
            if any((event.kind, event.state) == ("alarm", state) for event in batch):
                return


@pytest.mark.feature("A4", "D59")
async def test_alarms_stand_until_somebody_mends_the_cause(rig: Rig) -> None:
    await rig.onboard("server")
    id = await rig.vnf()
    assert await get(rig, "/alarms") == []
    after = rig.node.engine.events.last()
    world_of(rig).kill(rig.node.vnfm.instance(id, tenant=TENANT).resources["compute:server-0"].spec["name"])
    await alarm(rig, "RAISED", after)
    standing = await get(rig, "/alarms")
    assert [(one["subject"], one["name"], one["state"]) for one in standing] == [(id, "compute:server-0", "RAISED")]
    assert (await get(rig, f"/vnfs/{id}"))["status"] != "NULL"
    await rig.finished(await rig.client.post(f"{VNFLCM}/{id}/heal", json={"cause": "alarm"}))
    await alarm(rig, "CLEARED", after)
    assert await get(rig, "/alarms") == []
    raised = [event for event in await get(rig, f"/events?subject={id}") if event["kind"] == "alarm"]
    assert [event["state"] for event in raised] == ["RAISED", "CLEARED"]  # told once each


@pytest.mark.feature("D31", "A62")
async def test_each_change_of_a_state_is_one_event(rig: Rig) -> None:
    package = await rig.onboard("server")
    id = await rig.vnf()
    await rig.finished(await rig.client.post(f"{VNFLCM}/{id}/terminate", json={"terminationType": "FORCEFUL"}))
    events = await get(rig, f"/events?subject={id}")
    moves = [(event["name"], event["state"]) for event in events if event["kind"] == "operation"]
    assert moves == [
        (kind, state)
        for kind in ("vnf.instantiate", "vnf.terminate")
        for state in ("STARTING", "PROCESSING", "COMPLETED")
    ]
    steps = [(e["operation"], e["name"], e["state"]) for e in events if e["kind"] == "step" and e.get("state")]
    assert len(steps) == len(set(steps))
    assert [event["seq"] for event in events] == sorted({event["seq"] for event in events})
    assert all(event["time"] and event["subject"] == id for event in events)
    packages = [event for event in await get(rig, f"/events?subject={package}") if event["kind"] == "package"]
    assert [event["state"] for event in packages] == ["CREATED", "ONBOARDED"]
    await rig.client.patch(f"/vnfpkgm/v2/vnf_packages/{package}", json={"operationalState": "DISABLED"})
    await rig.client.delete(f"{VNFLCM}/{id}")
    await rig.client.delete(f"/vnfpkgm/v2/vnf_packages/{package}")
    packages = [event for event in await get(rig, f"/events?subject={package}") if event["kind"] == "package"]
    assert [event["state"] for event in packages][2:] == ["DISABLED", "DELETED"]


async def test_a_refused_package_is_an_event(rig: Rig) -> None:
    created = (await rig.client.post("/vnfpkgm/v2/vnf_packages", json={})).json()["id"]
    place = f"/vnfpkgm/v2/vnf_packages/{created}/package_content"
    await rig.client.put(place, content=b"no archive", headers={"Content-Type": "application/zip"})
    states = [(event["state"], event["name"]) for event in await get(rig, f"/events?subject={created}")]
    assert states == [("CREATED", "VNF package"), ("ERROR", "VNF package")]


async def test_discarding_is_the_way_out_of_a_failure(rig: Rig) -> None:
    id, operation = await failed_vnf(rig)
    assert (await rig.client.delete(f"{VNFLCM}/{id}")).status_code == 409
    assert (await rig.client.post(f"{OWN}/vnfs/{id}/discard")).status_code == 204
    assert (await rig.client.get(f"{OWN}/vnfs/{id}")).status_code == 404
    assert world_of(rig).inventory()["compute"] == []
    assert rig.node.engine.operation(operation["id"]).state == "FAILED"


@pytest.mark.feature("A29")
async def test_both_names_of_the_update_that_removes_a_vnf(rig: Rig) -> None:
    await rig.onboard_all()
    nsd = (await get(rig, "/packages?filter=(eq,kind,ns)"))[0]["descriptor"]
    for name in ("TERMINATE_VNF", "REMOVE_VNF"):
        body = {"nsdId": nsd, "nsName": name, "nsDescription": ""}
        created = await rig.client.post("/nslcm/v2/ns_instances", json=body)
        one, id = created.headers["location"], created.json()["id"]
        await rig.finished(await rig.client.post(f"{one}/instantiate", json={"nsFlavourId": "default"}))
        client = next(m for m in (await get(rig, f"/nss/{id}"))["members"] if m["profile"] == "sipp_client")["vnf"][
            "id"
        ]
        update = {
            "updateType": name,
            "terminateVnfData": [{"vnfInstanceId": client, "terminationType": "FORCEFUL"}],
            **({"removeVnfInstanceId": [client]} if name == "REMOVE_VNF" else {}),
        }
        done = await rig.finished(await rig.client.post(f"{one}/update", json=update))
        assert done["operationState"] == "COMPLETED", done
        assert [m["profile"] for m in (await get(rig, f"/nss/{id}"))["members"]] == ["sipp_server"]
        ended = [o for o in rig.node.engine.operations(subject=client) if o.kind == "vnf.terminate"]
        assert [operation.params["terminationType"] for operation in ended] == ["FORCEFUL"]


async def test_a_backup_is_streamed_with_its_digest(rig: Rig) -> None:
    package = await rig.onboard("server")
    answer = await rig.client.get(f"{OWN}/backup")
    assert answer.status_code == 200
    digest = b64encode(hashlib.sha256(answer.content).digest()).decode()
    assert answer.headers["repr-digest"] == f"sha-256=:{digest}:"
    assert int(answer.headers["content-length"]) == len(answer.content)
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as tar:
        assert tar.getnames() == ["backup.json", "skerry.db", f"packages/{package}.csar"]
    left = [path.name for path in rig.node.settings.data_dir.iterdir() if path.name.startswith(".")]
    assert left == []


async def test_a_vnf_of_a_restored_node_goes_on(rig: Rig, tmp_path: Path) -> None:
    from skerry.store import backups  # the node-side command

    await rig.onboard("server")
    id = await rig.vnf()
    file = tmp_path / "saved.tar"
    assert await rig.node.backup(file) == file.stat().st_size
    vims = (Vim(id="sim", type="simulated", settings={"world": str(rig.folder)}),)
    await rig.node.stop()
    backups.restore(file, tmp_path / "other")
    again = Node(Settings(data_dir=tmp_path / "other", vims=vims))
    await again.start()
    assert again.vnfm.status(id, tenant=TENANT) == "ACTIVE"
    assert (await again.orphans.find()).orphans == ()
    healed = await again.engine.wait(
        (await again.vnfm.start("vnf.heal", id, {"vnfcInstanceId": ["server-0"]}, tenant=TENANT)).id
    )
    assert healed.state == "COMPLETED", healed.error  # its scripts come from the package
    await again.stop()
