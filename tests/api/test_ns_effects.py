"""What the occurrences of NS operations show of VNFs, virtual links and access points, in the words of the standard."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.rig import Rig
from tests.api.test_saps import shed

Changes = dict[str, list[tuple[str, str, str]]]
NAMES = {
    "affectedVnfs": "vnfName",
    "affectedVls": "nsVirtualLinkDescId",
    "affectedSaps": "sapName",
    "affectedVnffgs": "vnffgInstanceId",
}


def told(occurrence: dict[str, Any]) -> Changes:
    """Attribute -> name, type and result of each change."""
    return {
        kind: [(one[NAMES[kind]], one["changeType"], one["changeResult"]) for one in entries]
        for kind, entries in occurrence.get("resourceChanges", {}).items()
    }


@pytest.mark.feature("A27", "A33")
async def test_occurrences_say_what_became_of_everything(rig: Rig) -> None:
    url = await shed(rig)

    async def done(task: str, **request: Any) -> Changes:
        over = await rig.finished(await rig.client.post(f"{url}/{task}", json=request))
        assert over["operationState"] == "COMPLETED", over
        return told(over)

    (first,) = (await rig.client.get("/nslcm/v2/ns_lcm_op_occs")).json()
    made = told((await rig.client.get(f"/nslcm/v2/ns_lcm_op_occs/{first['id']}")).json())
    assert made == {
        "affectedVnfs": [("shed-one-0", "INSTANTIATE", "COMPLETED")],
        "affectedVls": [("lan", "ADD", "COMPLETED")],
        "affectedSaps": [("door", "ADD", "COMPLETED")],
    }
    (vnf,) = (await rig.client.get(url)).json()["vnfInstance"]
    named = {"vnfInstanceId": vnf["id"]}
    stop = {**named, "changeStateTo": "STOPPED", "stopType": "FORCEFUL"}
    for words, task, request in (
        ("HEAL", "heal", {"healVnfData": [named]}),
        ("OPERATE", "update", {"updateType": "OPERATE_VNF", "operateVnfData": [stop]}),
        (
            "MODIFY_INFORMATION",
            "update",
            {"updateType": "MODIFY_VNF_INFORMATION", "modifyVnfInfoData": [{**named, "vnfInstanceName": "hut"}]},
        ),
    ):
        assert (await done(task, **request))["affectedVnfs"] == [("shed-one-0", words, "COMPLETED")]
    assert await done("terminate") == {
        "affectedVnfs": [("hut", "TERMINATE", "COMPLETED")],
        "affectedVls": [("lan", "DELETE", "COMPLETED")],
        "affectedSaps": [("door", "REMOVE", "COMPLETED")],
    }


@pytest.mark.feature("A27", "B33")
async def test_rules_of_affinity_are_shown_in_both_spellings(rig: Rig) -> None:
    given = {"scope": "NFVI_POP", "vnfProfileId": ["one"], "affinityOrAntiAffiinty": "AFFINITY"}
    url = await shed(rig, additionalAffinityOrAntiAffinityRule=[given])
    (shown,) = (await rig.client.get(url)).json()["additionalAffinityOrAntiAffinityRule"]
    assert shown == {**given, "affinityOrAntiAffinity": "AFFINITY"}
