"""What a client of the APIs wants, from the upload to the answer, where the values of a request decide."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from skerry.vim.driver import ComputeSpec
from skerry.vim.simulated.world import world
from tests.api.rig import Rig
from tests.nfvo.packages import CLIENT, EAST, PROBE, RING, SERVER, SIP, WEST
from tests.packages.samples import zipped
from tests.vnfm.builder import loaded, ns_folder, vnf_folder

OWN = "/skerry/v1"
SIZED = """
id: sized
inputs: {room: {type: scalar-unit.size}, mode: {type: string, default: calm}}
vdus: {box: {nics: {p: ext}, memory: {get_input: room}, env: {MODE: {get_input: mode}}}}
"""
TWO = "{id: two, vdus: {box: {nics: {p: ext}, initial: 2}}}"


async def upload(rig: Rig, text: str | Mapping[str, Any], *, ns: bool = False) -> httpx.Response:
    root, content = ("/nsd/v2/ns_descriptors", "nsd_content") if ns else ("/vnfpkgm/v2/vnf_packages", "package_content")
    id = (await rig.client.post(root, json={})).json()["id"]
    files = (ns_folder if ns else vnf_folder)(text)
    main = next(name for name in files if name.startswith("Definitions/"))
    body = zipped({"TOSCA-Metadata/TOSCA.meta": f"Entry-Definitions: {main}\n", **files})
    url = f"{root}/{id}/{content}"
    return await rig.client.put(url, content=body, headers={"Content-Type": "application/zip"})


async def created(rig: Rig, text: str) -> str:
    """A VNF of this package; its URL."""
    assert (await upload(rig, text)).status_code == 202
    made = await rig.client.post("/vnflcm/v2/vnf_instances", json={"vnfdId": loaded(text)["id"]})
    return str(made.headers["Location"])


async def service(rig: Rig, **params: Any) -> tuple[str, list[dict[str, Any]]]:
    """An instantiated SIP service: its URL and its VNFs."""
    for text in (SERVER, CLIENT, PROBE):
        if loaded(text)["id"] not in {
            one["vnfdId"] for one in (await rig.client.get("/vnfpkgm/v2/vnf_packages")).json()
        }:
            assert (await upload(rig, text)).status_code == 202
    assert (await upload(rig, SIP, ns=True)).status_code == 204
    body = {"nsdId": "sip", "nsName": "calls", "nsDescription": ""}
    url = (await rig.client.post("/nslcm/v2/ns_instances", json=body)).headers["Location"]
    done = await rig.finished(await rig.client.post(f"{url}/instantiate", json={"nsFlavourId": "default", **params}))
    assert done["operationState"] == "COMPLETED", done
    return url, (await rig.client.get(url)).json()["vnfInstance"]


def specs(rig: Rig) -> dict[str, ComputeSpec]:
    return {name: machine.spec for name, machine in world(str(rig.folder)).has.machines.items()}


@pytest.mark.feature("A26", "A48")
async def test_inputs_of_the_request_reach_typed_fields(rig: Rig) -> None:
    url = await created(rig, SIZED)
    missing = await rig.client.post(f"{url}/instantiate", json={"flavourId": "default"})
    assert missing.status_code == 422
    assert "room" in missing.text
    body = {"flavourId": "default", "additionalParams": {"room": "many", "mood": 1}}
    wrong = (await rig.client.post(f"{url}/instantiate", json=body)).json()
    assert {fault["path"] for fault in wrong["faults"]} >= {"inputs/room", "inputs/mood"}, wrong
    assert specs(rig) == {}
    body = {"flavourId": "default", "additionalParams": {"room": "96 MB", "mode": "wild"}}
    done = await rig.finished(await rig.client.post(f"{url}/instantiate", json=body))
    assert done["operationState"] == "COMPLETED", done
    (spec,) = specs(rig).values()
    assert (spec.memory_bytes, spec.env["MODE"]) == (96_000_000, "wild")


@pytest.mark.feature("A85")
async def test_one_vnfc_is_healed_and_the_other_left_alone(rig: Rig) -> None:
    url = await created(rig, TWO)
    await rig.finished(await rig.client.post(f"{url}/instantiate", json={"flavourId": "default"}))
    machines = world(str(rig.folder)).has.machines
    before = {name.rpartition("-")[2]: machine.compute.started_at for name, machine in machines.items()}
    healed = await rig.finished(await rig.client.post(f"{url}/heal", json={"vnfcInstanceId": ["box-1"]}))
    assert healed["operationState"] == "COMPLETED", healed
    after = {name.rpartition("-")[2]: machine.compute.started_at for name, machine in machines.items()}
    assert after["0"] == before["0"]
    assert after["1"] != before["1"]
    either = await rig.client.get(f"{OWN}/vnfs/{url.rpartition('/')[2]}/stats")
    assert either.status_code == 422
    assert either.json()["suggestion"] == "name one of: box-0, box-1 (--vnfc)"
    unknown = await rig.client.post(f"{url}/heal", json={"vnfcInstanceId": ["box-7"]})
    assert unknown.status_code in (409, 422)
    assert "box-0" in unknown.text, "it says which there are"


@pytest.mark.feature("A28", "A52")
async def test_a_vnf_that_exists_is_used_by_a_service_and_survives_it(rig: Rig) -> None:
    url = await created(rig, SERVER)
    await rig.finished(await rig.client.post(f"{url}/instantiate", json={"flavourId": "default"}))
    mine = url.rpartition("/")[2]
    (address,) = [machine.compute.nics[0].ip for machine in world(str(rig.folder)).has.machines.values()]
    one, vnfs = await service(rig, vnfInstanceData=[{"vnfInstanceId": mine, "vnfProfileId": "server"}])
    assert mine in {vnf["id"] for vnf in vnfs}
    (client,) = [spec for spec in specs(rig).values() if spec.owner != mine]
    assert client.env["SERVER_ADDRESS"] == address, "its client knows it"
    await rig.finished(await rig.client.post(f"{one}/terminate", json={}))
    assert {spec.owner for spec in specs(rig).values()} == {mine}


@pytest.mark.feature("A28", "A84")
async def test_a_third_vnf_joins_a_running_service(rig: Rig) -> None:
    one, vnfs = await service(rig)
    assert len(vnfs) == 2
    add = {
        "updateType": "INSTANTIATE_VNF",
        "instantiateVnfData": [{"vnfProfileId": "probe", "vnfdId": "probe", "vnfFlavourId": "default"}],
    }
    done = await rig.finished(await rig.client.post(f"{one}/update", json=add))
    assert done["operationState"] == "COMPLETED", done
    joined = {vnf["vnfdId"]: vnf["id"] for vnf in (await rig.client.get(one)).json()["vnfInstance"]}
    owned = {spec.owner: spec for spec in specs(rig).values()}
    assert owned[joined["probe"]].env["SERVER_ADDRESS"], "it was told who the server is"


@pytest.mark.feature("A53")
async def test_a_cycle_is_refused_with_the_cycle(rig: Rig) -> None:
    for text in (EAST, WEST):
        assert (await upload(rig, text)).status_code == 202
    strict = {key: value for key, value in loaded(RING).items() if key != "cyclic"}
    strict["vnfs"] = {
        name: {**vnf, "after": [other]} for (name, vnf), other in zip(strict["vnfs"].items(), "ba", strict=True)
    }
    refused = await upload(rig, strict, ns=True)
    assert refused.status_code == 422
    assert any(cycle in refused.text for cycle in ("a -> b -> a", "b -> a -> b")), refused.text


@pytest.mark.feature("A88")
async def test_logs_are_followed_until_the_instance_goes(rig: Rig) -> None:
    await rig.onboard("server")
    id = await rig.vnf()

    async def followed() -> list[str]:
        async with rig.client.stream("GET", f"{OWN}/vnfs/{id}/logs?follow=true") as answer:
            assert answer.status_code == 200
            return [line async for line in answer.aiter_lines()]

    reading = asyncio.ensure_future(followed())
    ended = await rig.client.post(f"/vnflcm/v2/vnf_instances/{id}/terminate", json={"terminationType": "FORCEFUL"})
    await rig.finished(ended)
    assert isinstance(await asyncio.wait_for(reading, 10), list), "the answer ends with the instance"
