"""Service access points over SOL005: what a client sends, and what the instance and the occurrence show."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.rig import Rig
from tests.nfvo.saps import with_saps
from tests.packages.samples import zipped
from tests.vnfm.builder import ns_folder, vnf_folder

VNF = "{id: host, vdus: {box: {nics: {eth: ext}}}}"
SERVICE = "{id: shed, vnfs: {one: {vnfd: host, links: {eth: lan}}}, links: {lan: 10.81.0.0/24}}"


async def upload(rig: Rig, root: str, content: str, files: dict[str, str | bytes]) -> None:
    id = (await rig.client.post(root, json={})).json()["id"]
    main = next(name for name in files if name.startswith("Definitions/"))
    body = zipped({"TOSCA-Metadata/TOSCA.meta": f"Entry-Definitions: {main}\n", **files})
    told = await rig.client.put(f"{root}/{id}/{content}", content=body, headers={"Content-Type": "application/zip"})
    assert told.status_code in (202, 204), told.text


async def shed(rig: Rig, **request: Any) -> str:
    """The URL of an instantiated NS with a SAP."""
    await upload(rig, "/vnfpkgm/v2/vnf_packages", "package_content", {**vnf_folder(VNF)})
    files = with_saps(ns_folder(SERVICE), {"door": "lan"})
    await upload(rig, "/nsd/v2/ns_descriptors", "nsd_content", {**files})
    made = await rig.client.post(
        "/nslcm/v2/ns_instances", json={"nsdId": "shed", "nsName": "shed", "nsDescription": ""}
    )
    url = made.headers["Location"]
    done = await rig.finished(await rig.client.post(f"{url}/instantiate", json={"nsFlavourId": "default", **request}))
    assert done["operationState"] == "COMPLETED", done
    return str(url)


@pytest.mark.feature("A27")
@pytest.mark.parametrize("spelling", ["ADD_SAP", "ADD SAP"])
async def test_access_points_come_and_go(rig: Rig, spelling: str) -> None:
    url = await shed(rig)

    async def update(**request: Any) -> list[tuple[str, ...]]:
        done = await rig.finished(await rig.client.post(f"{url}/update", json=request))
        assert done["operationState"] == "COMPLETED", done
        names = ("sapInstanceId", "sapdId", "sapName", "changeType", "changeResult")
        return [tuple(one[name] for name in names) for one in done["resourceChanges"]["affectedSaps"]]

    async def shown() -> dict[str, str]:
        return {one["id"]: one["sapName"] for one in (await rig.client.get(url)).json().get("sapInfo", ())}

    assert await shown() == {"door": "door"}
    back = {"sapdId": "door", "sapName": "back", "description": "for staff"}
    assert await update(updateType=spelling, addSap=[back]) == [("door-2", "door", "back", "ADD", "COMPLETED")]
    assert await shown() == {"door": "door", "door-2": "back"}
    gone = await update(updateType="REMOVE_SAP", removeSapId=["door"])
    assert gone == [("door", "door", "door", "REMOVE", "COMPLETED")]
    assert await shown() == {"door-2": "back"}


@pytest.mark.feature("A27", "A41")
async def test_addresses_at_access_points_are_shown(rig: Rig) -> None:
    over = {"macAddress": "02:00:00:00:00:0A", "ipAddresses": [{"type": "IPV4", "fixedAddresses": ["10.81.0.2"]}]}
    protocol = [{"layerProtocol": "IP_OVER_ETHERNET", "ipOverEthernet": over}]
    front = {"sapdId": "door", "sapName": "front", "description": "for customers", "sapProtocolData": protocol}
    url = await shed(rig, sapData=[front])
    shown = (await rig.client.get(url)).json()
    assert shown["sapInfo"] == [
        {
            "id": "door",
            "sapdId": "door",
            "sapName": "front",
            "description": "for customers",
            "sapProtocolInfo": [
                {
                    "layerProtocol": "IP_OVER_ETHERNET",
                    "ipOverEthernet": {
                        "macAddress": "02:00:00:00:00:0a",
                        "ipAddresses": [{"type": "IPV4", "addresses": ["10.81.0.2"], "isDynamic": False}],
                    },
                }
            ],
        }
    ]
    (vnf,) = shown["vnfInstance"]
    (point,) = vnf["instantiatedVnfInfo"]["extCpInfo"]
    assert point["cpProtocolInfo"][0]["ipOverEthernet"]["addresses"] == "10.81.0.3"


@pytest.mark.feature("A27")
async def test_access_points_at_instantiation_that_cannot_be(rig: Rig) -> None:
    url = await shed(rig)
    await rig.finished(await rig.client.post(f"{url}/terminate", json={}))
    for entry, path in (
        ({"sapdId": "window", "sapName": "w", "description": ""}, "/sapData/0/sapdId"),
        ({"sapdId": "door", "sapName": "", "description": ""}, "/sapData/0/sapName"),
        ({"sapdId": "door", "sapName": "d"}, "/sapData/0/description"),
    ):
        answer = await rig.client.post(f"{url}/instantiate", json={"nsFlavourId": "default", "sapData": [entry]})
        assert answer.status_code == 422, answer.text
        assert [fault["path"] for fault in answer.json()["faults"]] == [path]


@pytest.mark.feature("A27")
async def test_access_points_that_cannot_be(rig: Rig) -> None:
    url = await shed(rig)
    wrong = [{"sapdId": "window", "sapName": "door", "description": ""}]
    for request, code in (
        ({"updateType": "ADD_SAP"}, 422),
        ({"updateType": "ADD_SAP", "addSap": [{"sapdId": "door"}]}, 422),
        ({"updateType": "ADD_SAP", "addSap": wrong}, 422),
        ({"updateType": "REMOVE_SAP", "removeSapId": ["window"]}, 422),
    ):
        answer = await rig.client.post(f"{url}/update", json=request)
        assert (answer.status_code, answer.headers["Content-Type"]) == (code, "application/problem+json"), answer.text
