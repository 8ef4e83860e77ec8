"""What version 1 (behaviour of 2.6.1) has otherwise than version 2, from the same records."""

from __future__ import annotations

import pytest

from skerry.api.sol003 import translate
from skerry.api.sol005.requests import normal
from tests.api.rig import VNFD, Rig


async def test_vnf_in_both_versions(rig: Rig) -> None:
    await rig.onboard("server")
    created = await rig.client.post("/vnflcm/v1/vnf_instances", json={"vnfdId": VNFD})
    assert created.headers["version"] == "1.3.0"
    one = created.headers["location"]
    body = {"flavourId": "default", "vimConnectionInfo": [{"id": "sim", "vimId": "sim", "vimType": "SIMULATED"}]}
    done = await rig.finished(await rig.client.post(f"{one}/instantiate", json=body))
    assert done["operationState"] == "COMPLETED", done
    first = (await rig.client.get(one)).json()
    second = (await rig.client.get(one.replace("/v1/", "/v2/"))).json()
    assert [vim["id"] for vim in first["vimConnectionInfo"]] == ["sim"]
    assert list(second["vimConnectionInfo"]) == ["sim"]
    assert first["instantiatedVnfInfo"]["vnfcResourceInfo"] == second["instantiatedVnfInfo"]["vnfcResourceInfo"]
    assert first["_links"]["self"]["href"] == one


async def test_ns_operation_in_both_versions(rig: Rig) -> None:
    await rig.onboard_all()
    nsd = (await rig.client.get("/nsd/v1/ns_descriptors")).json()[0]["nsdId"]
    one = (
        await rig.client.post("/nslcm/v1/ns_instances", json={"nsdId": nsd, "nsName": "", "nsDescription": ""})
    ).headers["location"]
    done = await rig.finished(await rig.client.post(f"{one}/instantiate", json={"nsFlavourId": "default"}))
    assert done["statusEnteredTime"]
    assert done["operationParams"] == {"nsFlavourId": "default"}
    assert (await rig.client.get("/nslcm/v1/ns_lcm_op_occs")).json()[0]["operationParams"]
    path = f"/nslcm/v2/ns_lcm_op_occs/{done['id']}"
    assert "operationParams" not in (await rig.client.get(path)).json()
    assert (await rig.client.get(path + "?fields=operationParams")).json()["operationParams"]


def test_requests_of_version_1_become_version_2() -> None:
    given = {
        "vimConnectionInfo": [{"id": "a", "vimType": "X"}],
        "extVirtualLinks": [{"extCps": [{"cpdId": "c", "cpConfig": [{"cpInstanceId": "i", "linkPortId": "p"}, {}]}]}],
        "scaleInfo": [{"aspectId": "s", "scaleToLevel": "2"}],
        "additionalParams": {"vimConnectionInfo": [1]},
    }
    assert translate.normal(given) == {
        "vimConnectionInfo": {"a": {"vimType": "X"}},
        "extVirtualLinks": [
            {"extCps": [{"cpdId": "c", "cpConfig": {"i": {"cpInstanceId": "i", "linkPortId": "p"}, "1": {}}}]}
        ],
        "scaleInfo": [{"aspectId": "s", "scaleLevel": 2}],
        "additionalParams": {"vimConnectionInfo": [1]},
    }


@pytest.mark.feature("A60")
def test_placement_of_an_ns_request() -> None:
    given = {
        "locationConstraints": [
            {"vnfProfileId": "a", "locationConstraints": {"vimId": "x"}},
            {"vnfProfileId": "b", "vduId": "u", "locationConstraints": {"vimId": "y"}},
            {"vnfProfileId": "c"},
        ],
        "additionalParamsForNs": {"rate": 5},
        "additionalParamsForVnf": [{"vnfProfileId": "a", "vnfConfigurableProperties": {"k": "v"}}],
    }
    assert normal(given) == {
        "additionalParamsForNs": {"rate": 5, "placement": {"a": "x", "b/u": "y"}},
        "additionalParamForVnf": [{"vnfProfileId": "a", "vnfConfigurableProperty": {"k": "v"}}],
    }
