"""Another flavour and another version of the descriptor of a network service over SOL005, against its official file."""

from __future__ import annotations

import pytest

from tests.api.rig import Rig
from tests.etsi.judge import HOME, Judge
from tests.etsi.test_forwarding import put
from tests.etsi.test_nested import ROOT, made
from tests.nfvo.nesting import BRANCH, nesting_folder
from tests.nfvo.test_moving import LAMP as SEEING
from tests.nfvo.test_moving import NEW as YARD
from tests.nfvo.test_moving import OLD, move
from tests.nfvo.test_moving import POST as SHOWING
from tests.nfvo.test_redesign import LAMP, LAMP2, LARGE, NEW, POST, SMALL, change, flavours, follow, version
from tests.vnfm.builder import csar, vnf_folder

pytestmark = pytest.mark.skipif(not HOME.is_dir(), reason=f"no official OpenAPI files in {HOME} (set SKERRY_ETSI)")


@pytest.mark.feature("A28")
async def test_flavours_and_versions_are_changed_over_the_api(rig: Rig) -> None:
    rig.client.event_hooks = {"response": [Judge()]}
    for vnf in (POST, LAMP, LAMP2):
        await put(rig, "/vnfpkgm/v2/vnf_packages", "package_content", csar(vnf_folder(vnf)))
    for files in (nesting_folder(BRANCH), flavours(default=SMALL, large=LARGE), version(NEW, "street-2")):
        await put(rig, "/nsd/v2/ns_descriptors", "nsd_content", csar(files))
    ns = await made(rig, "street")
    for request, flavour, nsd, vnfs in (
        (change("large"), "large", "street", 2),
        (change("default"), "default", "street", 2),
        (follow("street-2", sync=True), "default", "street-2", 3),
    ):
        done = await rig.finished(await rig.client.post(f"{ROOT}/{ns}/update", json=request))
        assert done["operationState"] == "COMPLETED", done
        shown = (await rig.client.get(f"{ROOT}/{ns}")).json()
        assert (shown["flavourId"], shown["nsdId"], len(shown["vnfInstance"])) == (flavour, nsd, vnfs)
    for request, status in (
        (change("nothing"), 422),
        (follow("nothing"), 422),
        ({"updateType": "CHANGE_NS_DF"}, 422),
        ({"updateType": "ASSOC_NEW_NSD_VERSION", "assocNewNsdVersionData": {}}, 422),
    ):
        assert (await rig.client.post(f"{ROOT}/{ns}/update", json=request)).status_code == status


@pytest.mark.feature("A28")
async def test_vnfs_move_to_another_service_over_the_api(rig: Rig) -> None:
    rig.client.event_hooks = {"response": [Judge()]}
    for vnf in (SHOWING, SEEING):
        await put(rig, "/vnfpkgm/v2/vnf_packages", "package_content", csar(vnf_folder(vnf)))
    for text in (OLD, YARD):
        await put(rig, "/nsd/v2/ns_descriptors", "nsd_content", csar(nesting_folder(text)))
    old, new = await made(rig, "old"), await made(rig, "new")
    vnfs = (await rig.client.get(f"{ROOT}/{old}")).json()["vnfInstance"]
    post = next(vnf["id"] for vnf in vnfs if vnf["vnfdId"] == "post")
    for request, status in (
        (move("nowhere", post), 404),
        (move(new, "nobody"), 422),
        ({"updateType": "MOVE_VNF"}, 422),
    ):
        assert (await rig.client.post(f"{ROOT}/{old}/update", json=request)).status_code == status
    done = await rig.finished(await rig.client.post(f"{ROOT}/{old}/update", json=move(new, post)))
    assert done["operationState"] == "COMPLETED", done
    moved = [vnf["changeType"] for vnf in done["resourceChanges"]["affectedVnfs"] if vnf["vnfInstanceId"] == post]
    assert moved == ["REMOVE"]
    assert post not in (await rig.client.get(f"{ROOT}/{old}")).text
    shown = (await rig.client.get(f"{ROOT}/{new}")).json()["vnfInstance"]
    assert post in {vnf["id"] for vnf in shown}
    every = (await rig.client.get("/nslcm/v2/ns_lcm_op_occs?all_fields")).json()
    (received,) = [one for one in every if one["nsInstanceId"] == new and one["lcmOperationType"] == "UPDATE"]
    told = {vnf["vnfInstanceId"]: vnf["changeType"] for vnf in received["resourceChanges"]["affectedVnfs"]}
    assert told[post] == "ADD"
