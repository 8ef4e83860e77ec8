"""Physical functions over SOL005: what a client sends, and what the instance and the occurrence show."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from skerry.settings import Vim
from tests.api.rig import Rig, running
from tests.api.test_saps import upload
from tests.nfvo.machines import at, pnf, pnf_folder, with_machines
from tests.vnfm.builder import ns_folder, vnf_folder

VNF = "{id: panel, vdus: {box: {nics: {eth: ext}}}}"
SERVICE = "{id: factory, vnfs: {one: {vnfd: panel, links: {eth: floor}}}, links: {floor: 10.81.0.0/24}}"
MAC = "02:00:00:00:00:07"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncGenerator[Rig]:
    """A node with two physical ports."""
    settings = {"world": str(tmp_path), "ports": ["plc-7/lan", "plc-8/lan"]}
    async with running(tmp_path, vims=(Vim(id="sim", type="simulated", settings=settings),)) as started:
        yield started


async def factory(rig: Rig, data: dict[str, Any]) -> str:
    """The URL of an instantiated NS with a PNF."""
    await upload(rig, "/vnfpkgm/v2/vnf_packages", "package_content", {**vnf_folder(VNF)})
    await upload(rig, "/nsd/v2/pnf_descriptors", "pnfd_content", {**pnf_folder("plc", ["lan"])})
    files = with_machines(ns_folder(SERVICE), {"plc": {"pnfd": "plc", "links": {"lan": "floor"}}})
    await upload(rig, "/nsd/v2/ns_descriptors", "nsd_content", {**files})
    names = {"nsdId": "factory", "nsName": "factory", "nsDescription": ""}
    url = (await rig.client.post("/nslcm/v2/ns_instances", json=names)).headers["Location"]
    asked = {"nsFlavourId": "default", **data}
    done = await rig.finished(await rig.client.post(f"{url}/instantiate", json=asked))
    assert done["operationState"] == "COMPLETED", done
    return str(url)


@pytest.mark.feature("A24", "A33")
@pytest.mark.parametrize("spelling", ["addpnfData", "addPnfData"])
async def test_machines_come_and_go(site: Rig, spelling: str) -> None:
    url = await factory(site, {spelling: [pnf("plc-7", at("10.81.0.2", "2001:db8::2", mac=MAC))]})
    (descriptor,) = (await site.client.get("/nsd/v2/pnf_descriptors")).json()
    assert descriptor["pnfdUsageState"] == "IN_USE"
    gone = await site.client.delete(f"/nsd/v2/pnf_descriptors/{descriptor['id']}")
    assert gone.status_code == 409

    async def update(**request: Any) -> list[tuple[str, ...]]:
        done = await site.finished(await site.client.post(f"{url}/update", json=request))
        assert done["operationState"] == "COMPLETED", done
        names = ("pnfId", "pnfdId", "pnfProfileId", "pnfName", "changeType", "changeResult")
        return [tuple(one[name] for name in names) for one in done["resourceChanges"]["affectedPnfs"]]

    async def shown() -> dict[str, Any]:
        return {one["pnfId"]: one for one in (await site.client.get(url)).json().get("pnfInfo", ())}

    families = [
        {"type": "IPV4", "fixedAddresses": ["10.81.0.2"]},
        {"type": "IPV6", "fixedAddresses": ["2001:db8::2"]},
    ]
    data = {"layerProtocol": "IP_OVER_ETHERNET", "ipOverEthernet": {"macAddress": MAC, "ipAddresses": families}}
    assert await shown() == {
        "plc-7": {
            "pnfId": "plc-7",
            "pnfName": "press",
            "pnfdId": "plc",
            "pnfdInfoId": descriptor["id"],
            "pnfProfileId": "plc",
            "cpInfo": [{"cpInstanceId": "lan", "cpdId": "lan", "cpProtocolData": [data]}],
        }
    }
    added = await update(updateType="ADD_PNF", addPnfData=[pnf("plc-8", name="drill")])
    assert added == [("plc-8", "plc", "plc", "drill", "ADD", "COMPLETED")]
    renamed = await update(updateType="MODIFY_PNF", modifyPnfData=[{"pnfId": "plc-8", "pnfName": "big drill"}])
    assert renamed == [("plc-8", "plc", "plc", "big drill", "MODIFY", "COMPLETED")]
    left = await update(updateType="REMOVE_PNF", removePnfId=["plc-7"])
    assert left == [("plc-7", "plc", "plc", "press", "REMOVE", "COMPLETED")]
    assert {id: one["pnfName"] for id, one in (await shown()).items()} == {"plc-8": "big drill"}
    (view,) = (await site.client.get("/skerry/v1/nss")).json()
    assert view["machines"] == {"plc-8": "big drill"}
    listed = (await site.client.get("/nslcm/v2/ns_instances", params={"fields": "pnfInfo"})).json()
    assert [one["pnfId"] for one in listed[0]["pnfInfo"]] == ["plc-8"]


@pytest.mark.feature("A24")
async def test_machines_that_cannot_be(site: Rig) -> None:
    url = await factory(site, {})
    tagged = at("10.81.0.2")
    tagged["cpProtocolData"][0]["ipOverEthernet"] |= {"segmentationType": "VLAN", "segmentationId": "7"}
    dynamic = at()
    dynamic["cpProtocolData"][0]["ipOverEthernet"] = {"ipAddresses": [{"type": "IPV4", "numDynamicAddresses": 1}]}
    elsewhere = at("10.81.0.2")
    elsewhere["cpProtocolData"][0]["ipOverEthernet"]["ipAddresses"][0]["subnetId"] = "other"
    unnamed = {name: value for name, value in at("10.81.0.2").items() if name != "cpdId"}
    for request in (
        {"updateType": "ADD_PNF"},
        {"updateType": "ADD_PNF", "addPnfData": [{"pnfId": "plc-7"}]},
        {"updateType": "ADD_PNF", "addPnfData": [pnf("plc-7", tagged)]},
        {"updateType": "ADD_PNF", "addPnfData": [pnf("plc-7", dynamic)]},
        {"updateType": "ADD_PNF", "addPnfData": [pnf("plc-7", elsewhere)]},
        {"updateType": "ADD_PNF", "addPnfData": [pnf("plc-7", unnamed)]},
        {"updateType": "ADD_PNF", "addPnfData": [pnf("plc-7", profile="crane")]},
        {"updateType": "MODIFY_PNF", "modifyPnfData": [{"pnfId": "plc-7"}]},
        {"updateType": "REMOVE_PNF", "removePnfId": ["plc-7"]},
    ):
        answer = await site.client.post(f"{url}/update", json=request)
        assert (answer.status_code, answer.headers["Content-Type"]) == (422, "application/problem+json"), answer.text
