"""What a client says of the WAN below virtual links is kept, changed and shown (SOL005)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.api.rig import Rig
from tests.api.test_saps import upload
from tests.vnfm.builder import ns_folder, vnf_folder

VNF = "{id: host, vdus: {box: {nics: {eth: ext, own: core}}}, links: {core: 10.9.0.0/24}}"
SERVICE = "{id: depot, vnfs: {one: {vnfd: host, links: {eth: lan}}}, links: {lan: 10.81.0.0/24}}"
LINK = {"nsVirtualLink": {"nsVirtualLinkDescId": "lan", "nsVirtualLinkProfileId": "lan"}}
INSIDE = {"vnfVirtualLink": {"vnfProfileId": "one", "vnfVirtualLinkDescId": "core", "vnfVirtualLinkProfileId": "core"}}
LAYER2 = {
    "connectionType": "CSE",
    "interfaceType": "LOGICAL",
    "interfaceTagging": "TAGGED",
    "encapsulationType": "VLAN",
    "vlanTaggingType": "DOT1Q",
    "wanSegmentIds": {"wanSegmentIdValue": "100"},
}


def gateway(id: str, vim: str = "sim") -> dict[str, Any]:
    """ConnectivityServiceEndpointInfo."""
    layer2 = {"layer2ConnectionInfo": LAYER2, "mtuL2": 1400}
    return {"connectivityServiceEndpointId": id, "vimId": vim, "siteToWanLayer2ProtocolData": layer2}


def end(id: str, where: str, direction: str = "BOTH") -> dict[str, Any]:
    """MscsEndpointInfo."""
    return {"mscsEndpointId": id, "directionality": direction, "connectivityServiceEndpoinId": [where]}


MSCS = {"mscsId": "vpn-1", "mscsType": "L2VPN", "mscsName": "trunk", "mscsEndpoints": [end("a", "gw-a")]}
DATA = {"mscsInfo": MSCS, "connectivityServiceEndpointConfigDatas": [gateway("gw-a")]}


async def depot(rig: Rig, entries: list[Mapping[str, Any]]) -> Any:
    """The URL of an NS, and what it answers to being instantiated with these WAN connections."""
    await upload(rig, "/vnfpkgm/v2/vnf_packages", "package_content", {**vnf_folder(VNF)})
    await upload(rig, "/nsd/v2/ns_descriptors", "nsd_content", {**ns_folder(SERVICE)})
    names = {"nsdId": "depot", "nsName": "depot", "nsDescription": ""}
    url = (await rig.client.post("/nslcm/v2/ns_instances", json=names)).headers["Location"]
    asked = {"nsFlavourId": "default", "wanConnectionData": entries}
    return url, await rig.client.post(f"{url}/instantiate", json=asked)


@pytest.mark.feature("A27")
async def test_what_is_said_of_the_wan_is_kept_and_shown(rig: Rig) -> None:
    url, begun = await depot(rig, [{**LINK, "protocolData": DATA}, {**INSIDE, "protocolData": {"mscsInfo": MSCS}}])
    assert (await rig.finished(begun))["operationState"] == "COMPLETED"

    async def shown() -> list[dict[str, Any]]:
        return list((await rig.client.get(url)).json().get("wanConnectionInfo", ()))

    first, second = await shown()
    assert first == {
        "wanConnectionInfoId": "wan-1",
        "nsVirtualLinkInfoId": "lan@sim",
        "protocolInfo": {"mscsInfo": MSCS, "connectivityServiceEndpoints": [gateway("gw-a")]},
    }
    assert (second["vnfVirtualLinkResourceInfoId"], second["protocolInfo"]) == ("core@sim", {"mscsInfo": MSCS})
    change = {
        "wanConnectionInfoId": "wan-1",
        "mscsName": None,
        "mscsDescription": "the trunk",
        "mscsEndpoints": [end("a", "gw-a", "INBOUND"), end("b", "gw-b")],
        "connectivityServiceEndpoints": [gateway("gw-b")],
        "removeConnectivityServiceEndpoints": ["gw-a"],
    }
    request = {"updateType": "MODIFY_WAN_CONNECTION_INFO", "modifyWanConnectionInfoData": [change]}
    done = await rig.finished(await rig.client.post(f"{url}/update", json=request))
    assert done["operationState"] == "COMPLETED", done
    mscs = {"mscsId": "vpn-1", "mscsType": "L2VPN", "mscsDescription": "the trunk"}
    ends = [end("a", "gw-a", "INBOUND"), end("b", "gw-b")]
    info = {"mscsInfo": {**mscs, "mscsEndpoints": ends}, "connectivityServiceEndpoints": [gateway("gw-b")]}
    assert [one["protocolInfo"] for one in await shown()] == [info, {"mscsInfo": MSCS}]
    gone = {"wanConnectionInfoId": "wan-1", "removeMscsEndpointIds": ["a", "b"]}
    request["modifyWanConnectionInfoData"] = [gone]
    await rig.finished(await rig.client.post(f"{url}/update", json=request))
    assert (await shown())[0]["protocolInfo"]["mscsInfo"] == mscs
    await rig.finished(await rig.client.post(f"{url}/terminate", json={}))
    assert await shown() == []


@pytest.mark.feature("A27")
async def test_what_cannot_be_said_of_the_wan(rig: Rig) -> None:
    made = {"mscsConfigData": {"mscsType": "L2"}}
    elsewhere = {"connectivityServiceEndpointConfigDatas": [gateway("gw-a", "moon")]}
    unknown = {"nsVirtualLink": {"nsVirtualLinkDescId": "wan", "nsVirtualLinkProfileId": "wan"}}
    url, refused = await depot(rig, [{**unknown, "protocolData": elsewhere}, {**INSIDE, "protocolData": DATA}])
    assert refused.status_code == 422
    assert "the NSD has no 'wan'; there are: lan" in refused.text
    assert "no VIM 'moon'" in refused.text
    for entry in ({**LINK, "protocolData": {**DATA, **made}}, {**LINK, "protocolData": {}}, {**LINK, **INSIDE}, {}):
        asked = {"nsFlavourId": "default", "wanConnectionData": [entry]}
        assert (await rig.client.post(f"{url}/instantiate", json=asked)).status_code == 422
    here = {"connectivityServiceEndpointConfigDatas": [gateway("gw-a")]}
    asked = {"nsFlavourId": "default", "wanConnectionData": [{**LINK, "protocolData": here}]}
    await rig.finished(await rig.client.post(f"{url}/instantiate", json=asked))
    for change in ({"wanConnectionInfoId": "wan-2"}, {"wanConnectionInfoId": "wan-1", "mscsName": "trunk"}):
        request = {"updateType": "MODIFY_WAN_CONNECTION_INFO", "modifyWanConnectionInfoData": [change]}
        answer = await rig.client.post(f"{url}/update", json=request)
        assert (answer.status_code, answer.headers["Content-Type"]) == (422, "application/problem+json"), answer.text
