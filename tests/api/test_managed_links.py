"""Networks of somebody else as internal virtual links, over SOL003 and through an update of an NS over SOL005."""

from __future__ import annotations

import pytest

from skerry.vim.driver import NetworkSpec
from tests.api.rig import Rig
from tests.api.test_saps import upload
from tests.vnfm.builder import ns_folder, vnf_folder

PAIR = "{id: pair, links: {inner: 10.90.0.0/24}, vdus: {box: {nics: {eth: inner, front: ext}}}}"
SECOND = PAIR.replace("id: pair", "id: pair2, product: pair")
SERVICE = "{id: house, vnfs: {one: {vnfd: pair, links: {front: lan}}}, links: {lan: 10.81.0.0/24}}"


async def lend(rig: Rig, *names: str) -> str:
    """Networks that somebody else has at the only infrastructure; its id."""
    (vim,) = rig.node.nfvo.vims()
    driver = await rig.node.vims.driver(vim.id)
    for number, name in enumerate(names):
        await driver.create_network(NetworkSpec(name=name, owner="somebody", cidr=f"10.{100 + number}.0.0/24"))
    return vim.id


@pytest.mark.feature("A37", "B33")
async def test_what_the_vnf_shows(rig: Rig) -> None:
    vim = await lend(rig, "theirs", "front")
    await upload(rig, "/vnfpkgm/v2/vnf_packages", "package_content", {**vnf_folder(PAIR)})
    url = (await rig.client.post("/vnflcm/v2/vnf_instances", json={"vnfdId": "pair"})).headers["Location"]
    managed = {"id": "mine", "vnfVirtualLinkDescId": "inner", "vimConnectionId": vim, "resourceId": "theirs"}
    external = {"id": "out", "resourceId": "front", "extCps": [{"cpdId": "front"}]}
    request = {"flavourId": "default", "extVirtualLinks": [external], "extManagedVirtualLinks": [managed]}
    done = await rig.finished(await rig.client.post(f"{url}/instantiate", json=request))
    assert done["operationState"] == "COMPLETED", done
    info = (await rig.client.get(url)).json()["instantiatedVnfInfo"]
    assert info["extManagedVirtualLinkInfo"] == [
        {
            "id": "mine",
            "vnfVirtualLinkDescId": "inner",
            "networkResource": {"vimConnectionId": vim, "resourceId": "theirs"},
        }
    ]
    assert "vnfVirtualLinkResourceInfo" not in info


@pytest.mark.feature("A37", "B33")
async def test_a_change_of_package_in_a_service_takes_one(rig: Rig) -> None:
    vim = await lend(rig, "theirs")
    for package in (PAIR, SECOND):
        await upload(rig, "/vnfpkgm/v2/vnf_packages", "package_content", {**vnf_folder(package)})
    await upload(rig, "/nsd/v2/ns_descriptors", "nsd_content", {**ns_folder(SERVICE)})
    made = await rig.client.post("/nslcm/v2/ns_instances", json={"nsdId": "house", "nsName": "h", "nsDescription": ""})
    url = made.headers["Location"]
    await rig.finished(await rig.client.post(f"{url}/instantiate", json={"nsFlavourId": "default"}))
    (vnf,) = (await rig.client.get(url)).json()["vnfInstance"]
    managed = {"extManagedVirtualLinkId": "mine", "vnfVirtualLinkDescId": "inner", "vimId": vim, "resourceId": "theirs"}
    change = {"vnfInstanceId": vnf["id"], "vnfdId": "pair2", "extManagedVirtualLinks": [managed]}
    request = {"updateType": "CHANGE_VNFPKG", "changeVnfPackageData": [change]}
    done = await rig.finished(await rig.client.post(f"{url}/update", json=request))
    assert done["operationState"] == "COMPLETED", done["error"]
    (vnf,) = (await rig.client.get(url)).json()["vnfInstance"]
    (shown,) = vnf["instantiatedVnfInfo"]["extManagedVirtualLinkInfo"]
    assert (shown["id"], shown["networkResource"]["resourceId"]) == ("mine", "theirs")
