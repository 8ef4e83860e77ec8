"""Our own API: plans, operations, events as they happen, inside of instances, infrastructures."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from skerry.client.views import NsView, OperationView, VnfView
from skerry.model.operations import Event, Plan
from tests.api.rig import VNFD, Rig

OWN = "/skerry/v1"


async def test_node(rig: Rig) -> None:
    told = (await rig.client.get(f"{OWN}/node")).json()
    assert told["ready"] is True
    assert told["vims"] == ["sim"]
    assert told["counts"] == {"vnf_packages": 0, "nsds": 0, "vnfs": 0, "nss": 0}
    await rig.onboard_all()
    assert (await rig.client.get(f"{OWN}/node")).json()["counts"]["vnf_packages"] == 2


@pytest.mark.feature("A59", "A61")
async def test_views_follow_the_life_of_an_ns(rig: Rig) -> None:
    await rig.onboard_all()
    nsd = (await rig.client.get(f"{OWN}/packages?filter=(eq,kind,ns)")).json()[0]["descriptor"]
    created = await rig.client.post("/nslcm/v2/ns_instances", json={"nsdId": nsd, "nsName": "sip", "nsDescription": ""})
    one = created.headers["location"]
    mine = f"{OWN}/nss/{created.json()['id']}"

    async def seen() -> NsView:
        return msgspec.json.decode((await rig.client.get(mine)).content, type=NsView)

    assert (await seen()).status == "NULL"
    await rig.finished(await rig.client.post(f"{one}/instantiate", json={"nsFlavourId": "default"}))
    view = await seen()
    assert view.status == "ACTIVE"
    assert [member.profile for member in view.members] == ["sipp_client", "sipp_server"]
    addresses = [address for member in view.members for vnfc in member.vnf.vnfcs for address in vnfc.addresses]
    assert len(set(addresses)) == 2
    server = view.members[1].vnf.id
    stop = {"updateType": "OPERATE_VNF", "operateVnfData": [{"vnfInstanceId": server, "changeStateTo": "STOPPED"}]}
    await rig.finished(await rig.client.post(f"{one}/update", json=stop))
    stopped = await seen()
    assert stopped.status == "INACTIVE"  # the least advanced of its VNFs
    assert [member.vnf.status for member in stopped.members] == ["ACTIVE", "INACTIVE"]
    await rig.finished(await rig.client.post(f"{one}/terminate", json={}))
    assert (await seen()).status == "TERMINATED"


async def test_plan_changes_nothing(rig: Rig) -> None:
    await rig.onboard("server")
    id = (await rig.client.post("/vnflcm/v2/vnf_instances", json={"vnfdId": VNFD})).json()["id"]
    body = {"kind": "vnf.instantiate", "subject": id, "params": {"flavourId": "default"}}
    plan = msgspec.json.decode((await rig.client.post(f"{OWN}/plan", json=body)).content, type=Plan)
    assert {change.effect for change in plan.changes} == {"create", "run"}
    assert plan.steps
    assert (await rig.client.get(f"{OWN}/operations")).json() == []
    wrong = await rig.client.post(f"{OWN}/plan", json={"kind": "vnf.scale", "subject": id, "params": {}})
    assert wrong.status_code == 422
    assert {fault["path"] for fault in wrong.json()["faults"]} == {"/type", "/aspectId"}


@pytest.mark.feature("A33")
async def test_operation_has_its_steps(rig: Rig) -> None:
    await rig.onboard("server")
    id = await rig.vnf()
    listed = (await rig.client.get(f"{OWN}/operations", params={"subject": id})).json()
    assert [operation["kind"] for operation in listed] == ["vnf.instantiate"]
    answer = await rig.client.get(f"{OWN}/operations/{listed[0]['id']}?wait=1")
    view = msgspec.json.decode(answer.content, type=OperationView)
    assert view.operation.state == "COMPLETED"
    assert view.steps
    assert all(step.record.state == "DONE" and step.record.started_at for step in view.steps)


@pytest.mark.feature("A33")
async def test_events_since_and_as_they_happen(rig: Rig) -> None:
    await rig.onboard("server")
    id = await rig.vnf()
    whole = msgspec.json.decode((await rig.client.get(f"{OWN}/events")).content, type=list[Event])
    assert [event.seq for event in whole] == sorted(event.seq for event in whole)
    mine = (await rig.client.get(f"{OWN}/events", params={"subject": id, "since": whole[2].seq})).json()
    assert {event["subject"] for event in mine} == {id}
    assert min(event["seq"] for event in mine) > whole[2].seq
    assert len((await rig.client.get(f"{OWN}/events?last=2")).json()) == 2
    log = rig.node.engine.events
    following = log.follow(log.last(), subject=id)
    waiting = asyncio.ensure_future(anext(aiter(following)))
    await rig.finished(
        await rig.client.post(f"/vnflcm/v2/vnf_instances/{id}/operate", json={"changeStateTo": "STOPPED"})
    )
    assert (await waiting)[0].name == "vnf.operate"


@pytest.mark.feature("A32")
async def test_inside_of_an_instance(rig: Rig) -> None:
    await rig.onboard("server")
    id = await rig.vnf()
    answer = (await rig.client.post(f"{OWN}/vnfs/{id}/exec", json={"argv": ["echo", "hello"]})).json()
    assert answer["exit_code"] == 0
    assert answer["stdout"].strip() == "hello"
    assert (await rig.client.post(f"{OWN}/vnfs/{id}/exec", json={"argv": []})).status_code == 422
    missing = await rig.client.post(f"{OWN}/vnfs/{id}/exec", json={"argv": ["true"], "vnfc": "server-7"})
    assert missing.status_code == 404
    assert "server-0" in missing.json()["suggestion"]
    logs = await rig.client.get(f"{OWN}/vnfs/{id}/logs?tail=5")
    assert logs.status_code == 200
    assert logs.headers["content-type"] == "application/x-ndjson"
    assert (await rig.client.get(f"{OWN}/vnfs/{id}/logs?tail=some")).status_code == 400
    stats = (await rig.client.get(f"{OWN}/vnfs/{id}/stats")).json()
    assert "eth0" in stats["rx_bytes"]


async def test_infrastructures(rig: Rig) -> None:
    body = {"id": "two", "vim_type": "SIMULATED", "settings": {"world": "test-own-two"}, "zone": "north"}
    created = await rig.client.post(f"{OWN}/vims", json=body)
    assert created.status_code == 201, created.text
    assert created.headers["location"] == f"https://node{OWN}/vims/two"
    assert [vim["id"] for vim in (await rig.client.get(f"{OWN}/vims")).json()] == ["sim", "two"]
    await rig.onboard("server")
    await rig.vnf()
    sim = (await rig.client.get(f"{OWN}/vims/sim/resources")).json()
    two = (await rig.client.get(f"{OWN}/vims/two/resources")).json()
    assert len(sim["compute"]) + len(two["compute"]) == 1
    assert sim["capacity"]["instances"] > 0
    assert (await rig.client.get(f"{OWN}/vims/three")).status_code == 404
    empty = "two" if sim["compute"] else "sim"
    assert (await rig.client.delete(f"{OWN}/vims/{empty}")).status_code == 204
    unknown = await rig.client.post(f"{OWN}/vims", json={"id": "x", "vim_type": "NONE"})
    assert unknown.status_code == 422


async def test_view_of_a_vnf(rig: Rig) -> None:
    await rig.onboard("server")
    id = await rig.vnf()
    view = msgspec.json.decode((await rig.client.get(f"{OWN}/vnfs/{id}")).content, type=VnfView)
    assert (view.name, view.status, len(view.vnfcs)) == ("one", "ACTIVE", 1)
    assert view.vnfcs[0].vim == "sim"


@pytest.mark.feature("A59")
async def test_modification_is_a_merge_patch(rig: Rig) -> None:
    await rig.onboard("server")
    body = {"vnfdId": VNFD, "metadata": {"a": "1", "b": {"c": 2, "d": 3}}}
    one = (await rig.client.post("/vnflcm/v2/vnf_instances", json=body)).headers["location"]

    async def patched(change: dict[str, object]) -> dict[str, object]:
        await rig.finished(
            await rig.client.patch(one, json=change, headers={"Content-Type": "application/merge-patch+json"})
        )
        return dict((await rig.client.get(one)).json())

    assert (await patched({"metadata": {"a": None, "b": {"c": 9}}}))["metadata"] == {"b": {"c": 9, "d": 3}}
    assert "metadata" not in await patched({"metadata": None, "vnfInstanceDescription": "bare"})
    plan = {"kind": "vnf.modify", "subject": one.rpartition("/")[2], "params": {"metadata": None}}
    assert (await rig.client.post(f"{OWN}/plan", json=plan)).status_code == 200
    assert (await rig.client.patch(one, json={"unknown": 1})).status_code == 422
