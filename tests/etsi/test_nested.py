"""What SOL005 shows of nested network services, against its official file."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.rig import Rig
from tests.etsi.judge import HOME, Judge
from tests.etsi.test_forwarding import put
from tests.nfvo.nesting import BRANCH, CAMPUS, UNIT, nesting_folder
from tests.vnfm.builder import csar, vnf_folder

pytestmark = pytest.mark.skipif(not HOME.is_dir(), reason=f"no official OpenAPI files in {HOME} (set SKERRY_ETSI)")
ROOT = "/nslcm/v2/ns_instances"


async def made(rig: Rig, nsd: str, **how: Any) -> str:
    """An instantiated NS; its identifier."""
    ns = (await rig.client.post(ROOT, json={"nsdId": nsd, "nsName": nsd, "nsDescription": "here"})).json()
    done = await rig.finished(
        await rig.client.post(f"{ROOT}/{ns['id']}/instantiate", json={"nsFlavourId": "default", **how})
    )
    assert done["operationState"] == "COMPLETED", done
    return str(ns["id"])


async def affected(rig: Rig, ns: str, request: dict[str, Any]) -> list[dict[str, Any]]:
    """`affectedNss` of an update."""
    done = await rig.finished(await rig.client.post(f"{ROOT}/{ns}/update", json=request))
    assert done["operationState"] == "COMPLETED", done
    shown = (await rig.client.get(f"/nslcm/v2/ns_lcm_op_occs/{done['id']}")).json()
    return list(shown["resourceChanges"]["affectedNss"])


@pytest.mark.feature("D49")
async def test_nested_services_are_shown_added_and_removed(rig: Rig) -> None:
    rig.client.event_hooks = {"response": [Judge()]}
    await put(rig, "/vnfpkgm/v2/vnf_packages", "package_content", csar(vnf_folder(UNIT)))
    for text in (BRANCH, CAMPUS):
        await put(rig, "/nsd/v2/ns_descriptors", "nsd_content", csar(nesting_folder(text)))
    old, other = await made(rig, "branch"), await made(rig, "branch")
    campus = await made(rig, "campus", nestedNsInstanceData=[{"nestedNsInstanceId": old, "nsProfileId": "wing"}])
    assert (await rig.client.get(f"{ROOT}/{campus}")).json()["nestedNsInstanceId"] == [old]
    for response in (
        await rig.client.post(f"{ROOT}/{old}/terminate", json={}),
        await rig.client.delete(f"{ROOT}/{old}"),
    ):
        assert response.status_code == 409
        assert campus in response.json()["detail"]
    add = {"updateType": "ADD_NESTED_NS", "addNestedNsData": [{"nestedNsInstanceId": other}]}
    (told,) = await affected(rig, campus, add)
    assert told == {"nsInstanceId": other, "nsdId": "branch", "changeType": "ADD", "changeResult": "COMPLETED"}
    (told,) = await affected(rig, campus, {"updateType": "REMOVE_NESTED_NS", "removeNestedNsId": [old]})
    assert (told["nsInstanceId"], told["changeType"]) == (old, "REMOVE")
    assert (await rig.client.get(f"{ROOT}/{campus}")).json()["nestedNsInstanceId"] == [other]
    for wrong, status in (("nowhere", 404), (campus, 422)):
        request = {"updateType": "ADD_NESTED_NS", "addNestedNsData": [{"nestedNsInstanceId": wrong}]}
        assert (await rig.client.post(f"{ROOT}/{campus}/update", json=request)).status_code == status
    fresh = (await rig.client.post(ROOT, json={"nsdId": "campus", "nsName": "x", "nsDescription": "y"})).json()["id"]
    params = [{"nsProfileId": "wing", "additionalParam": [{"a": "b"}, {"placement": "no map"}]}]
    request = {"nsFlavourId": "default", "additionalParamsForNestedNs": params}
    refused = await rig.client.post(f"{ROOT}/{fresh}/instantiate", json=request)
    assert refused.status_code == 422
    assert "/additionalParamsForNestedNs/0/additionalParam/1/placement" in refused.text
    bare = await rig.client.post(f"{ROOT}/{campus}/update", json={"updateType": "ADD_NESTED_NS"})
    assert bare.status_code == 422
