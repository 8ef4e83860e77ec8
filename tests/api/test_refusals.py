"""What the standard lets a client ask for and nothing here obeys is refused by name, not dropped."""

from __future__ import annotations

from typing import Any

import pytest

from skerry.api.refusals import below, refuse
from skerry.errors import InvalidError
from tests.api.rig import Rig
from tests.api.test_saps import shed

TABLE = below("a", {"b/*/c": "there is none", "d": "it is dark"})


@pytest.mark.feature("B33")
@pytest.mark.parametrize(
    ("value", "places"),
    [
        ({}, []),
        ({"a": {"b": {"x": {"c": None}, "y": {"c": []}}, "d": ""}}, []),
        ({"a": {"b": {"x": {"c": 0}, "y": {"e": 1}}}}, ["/a/b/x/c"]),
        ({"a": {"b": [{"c": 0}, {"c": {}}, {"c": [0]}]}}, ["/a/b/0/c", "/a/b/2/c"]),
        ({"a": [{"b": 3, "d": True}, {"d": False}, 4]}, ["/a/0/d", "/a/1/d"]),
        ([{"a": {"d": 1}}], ["/0/a/d"]),
        ("a", []),
    ],
)
def test_places_of_attributes(value: Any, places: list[str]) -> None:
    if not places:
        assert refuse(value, TABLE) is value
        return
    with pytest.raises(InvalidError) as refusal:
        refuse(value, TABLE)
    assert [fault.path for fault in refusal.value.faults] == places


NS: dict[str, list[tuple[dict[str, Any], str]]] = {
    "scale": [
        (
            {
                "scaleType": "SCALE_NS",
                "scaleNsData": {
                    "scaleNsToLevelData": {"nsInstantiationLevel": "default"},
                    "nestedNsLocationConstraints": [
                        {"nsProfileId": "inner", "locationConstraints": {"area": {"a": 1}}}
                    ],
                },
            },
            "/scaleNsData/nestedNsLocationConstraints/0/locationConstraints/area",
        )
    ],
    "heal": [({"healNsData": {"degreeHealing": "HEAL_RESTORE", "healScript": "s"}}, "/healNsData/healScript")],
    "update": [
        (
            {
                "updateType": "INSTANTIATE_VNF",
                "instantiateVnfData": [{"vnfProfileId": "one", "localizationLanguage": "fr"}],
            },
            "/instantiateVnfData/0/localizationLanguage",
        ),
        ({"updateType": "REMOVE_SAP", "removeSapId": ["door"], "removeVnfInstanceId": ["x"]}, "/removeVnfInstanceId"),
        ({"updateType": "REMOVE_SAP", "removeSapId": ["door"], "addVnfIstance": [{}]}, "/addVnfIstance"),
    ],
}


@pytest.mark.feature("B33")
async def test_requests_of_network_services(rig: Rig) -> None:
    url = await shed(rig)
    for task, cases in NS.items():
        for request, path in cases:
            answer = await rig.client.post(f"{url}/{task}", json=request)
            assert answer.status_code == 422, answer.text
            assert [fault["path"] for fault in answer.json()["faults"]] == [path]
            assert answer.json()["detail"].startswith("cannot accept the body: ")


@pytest.mark.feature("B33")
async def test_requests_of_functions(rig: Rig) -> None:
    url = await shed(rig)
    (vnf,) = (await rig.client.get(url)).json()["vnfInstance"]
    over = {"ipAddresses": [{"type": "IPV4", "addressRange": {"minAddress": "10.0.0.1", "maxAddress": "10.0.0.2"}}]}
    config = {"cpProtocolData": [{"layerProtocol": "IP_OVER_ETHERNET", "ipOverEthernet": over}], "linkPortId": "p"}
    link = {"id": "l", "resourceId": "n", "extCps": [{"cpdId": "ext", "cpConfig": {"0": config}}]}
    request = {"flavourId": "default", "extVirtualLinks": [link], "localizationLanguage": "fr"}
    answer = await rig.client.post(f"/vnflcm/v2/vnf_instances/{vnf['id']}/instantiate", json=request)
    assert answer.status_code == 422, answer.text
    at = "/extVirtualLinks/0/extCps/0/cpConfig/0"
    assert {fault["path"] for fault in answer.json()["faults"]} == {
        f"{at}/linkPortId",
        f"{at}/cpProtocolData/0/ipOverEthernet/ipAddresses/0/addressRange",
        "/localizationLanguage",
    }
