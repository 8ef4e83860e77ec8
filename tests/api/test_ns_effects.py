"""What the occurrences of NS operations show of VNFs, virtual links and access points, in the words of the standard."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.api.rig import Rig
from tests.api.test_saps import SERVICE, VNF, shed, upload
from tests.vnfm.builder import ns_folder, vnf_folder

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
    occurrences = (await rig.client.get("/nslcm/v2/ns_lcm_op_occs", params={"all_fields": ""})).json()
    told_of = [vnf for one in occurrences for vnf in one["resourceChanges"].get("affectedVnfs", ())]
    changed = [vnf["changedInfo"]["changedVnfInfo"] for vnf in told_of if "changedInfo" in vnf]
    assert changed == [{**named, "vnfInstanceName": "hut"}]
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


@pytest.mark.feature("A27", "B33")
async def test_what_the_descriptor_wants_measured_is_shown_while_it_runs(rig: Rig) -> None:
    files = ns_folder(SERVICE)
    ((name, content),) = files.items()
    template = json.loads(content)
    parameter = {"name": "load", "performance_metric": "VcpuUsageMeanVnf", "collection_period": "10 s"}
    policy = {"type": "tosca.policies.nfv.NsMonitoring", "targets": ["one"]}
    properties = {"ns_monitoring_parameters": {"busy": parameter}}
    template["topology_template"]["policies"].append({"watch": {**policy, "properties": properties}})
    await upload(rig, "/vnfpkgm/v2/vnf_packages", "package_content", {**vnf_folder(VNF)})
    await upload(rig, "/nsd/v2/ns_descriptors", "nsd_content", {name: json.dumps(template)})
    made = {"nsdId": "shed", "nsName": "shed", "nsDescription": ""}
    url = (await rig.client.post("/nslcm/v2/ns_instances", json=made)).headers["Location"]
    assert "monitoringParameter" not in (await rig.client.get(url)).json()
    await rig.finished(await rig.client.post(f"{url}/instantiate", json={"nsFlavourId": "default"}))
    (shown,) = (await rig.client.get(url)).json()["monitoringParameter"]
    assert shown == {"id": "busy", "name": "load", "performanceMetric": "VcpuUsageMeanVnf"}
