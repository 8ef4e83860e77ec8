"""What an element manager does with the VNFCs of a VNF by SOL002, on the resources that SOL003 has too: every answer is checked
against the official OpenAPI file of SOL002."""

from __future__ import annotations

import json
from typing import Any

import pytest

from skerry.vim.simulated.world import world
from tests.api.rig import Rig
from tests.etsi.test_responses import HOME, Judge
from tests.vnfm.builder import csar, vnf_folder

FILE = "nfv-sol002-sol003/SOL002/VNFLifecycleManagement/VNFLifecycleManagement.json"
ROOT = "/vnflcm/v2"
PAIR = {"id": "pair", "vdus": {"one": {"nics": {"pub": "ext"}}, "two": {"nics": {"side": "ext"}}}}

pytestmark = pytest.mark.skipif(not HOME.is_dir(), reason=f"no official OpenAPI files in {HOME} (set SKERRY_ETSI)")


@pytest.fixture
def judge(rig: Rig) -> Judge:
    """The file calls the state of a VNFC an identifier."""
    made = Judge()
    document = json.loads((HOME / FILE).read_text())
    made.documents = {ROOT: document}
    rig.client.event_hooks = {"response": [made]}
    return made


async def pair(rig: Rig) -> str:
    """A VNF with two VNFCs; its resource."""
    package = (await rig.client.post("/vnfpkgm/v2/vnf_packages", json={})).json()["id"]
    path = f"/vnfpkgm/v2/vnf_packages/{package}/package_content"
    content = csar(vnf_folder(PAIR)).read_bytes()
    await rig.client.put(path, content=content, headers={"Content-Type": "application/zip"})
    return f"{ROOT}/vnf_instances/{await rig.vnf('pair')}"


async def run(rig: Rig, one: str, verb: str, **body: Any) -> None:
    done = await rig.finished(await rig.client.post(f"{one}/{verb}", json=body))
    assert done["operationState"] == "COMPLETED", done


async def states(rig: Rig, one: str) -> dict[str, str]:
    info = (await rig.client.get(one)).json()["instantiatedVnfInfo"]["vnfcInfo"]
    return {vnfc["id"]: vnfc["vnfcState"] for vnfc in info}


def machines(rig: Rig) -> dict[str, Any]:
    return {name.split("-", 2)[2]: machine for name, machine in world(str(rig.folder)).has.machines.items()}


@pytest.mark.feature("A85")
async def test_single_vnfcs_are_operated_and_healed(rig: Rig, judge: Judge) -> None:
    one = await pair(rig)
    assert await states(rig, one) == {"one-0": "STARTED", "two-0": "STARTED"}
    await run(rig, one, "operate", changeStateTo="STOPPED", vnfcInstanceId=["one-0"])
    assert await states(rig, one) == {"one-0": "STOPPED", "two-0": "STARTED"}
    assert {name: machine.compute.state.value for name, machine in machines(rig).items()} == {
        "one-0": "EXITED",
        "two-0": "RUNNING",
    }
    await run(rig, one, "operate", changeStateTo="STARTED", vnfcInstanceId=["one-0"])
    before = machines(rig)
    await run(rig, one, "heal", vnfcInstanceId=["two-0"], cause="asked for")
    after = machines(rig)
    assert after["one-0"] is before["one-0"]
    assert after["two-0"] is not before["two-0"]


@pytest.mark.feature("A85")
async def test_a_snapshot_of_one_vnfc(rig: Rig, judge: Judge) -> None:
    one = await pair(rig)
    machines(rig)["one-0"].written["/kept"] = b"1"
    made = await rig.client.post(f"{ROOT}/vnf_snapshots", json={})
    id = made.json()["id"]
    await run(rig, one, "create_snapshot", vnfSnapshotInfoId=id, vnfcInstanceId="one-0")
    record = next(one for one in rig.node.vnfm.snapshots.all(tenant="default") if one.id == id)
    assert set(record.vnfcs) == {"one-0"}
    before = machines(rig)
    machines(rig)["one-0"].written["/kept"] = b"2"
    await run(rig, one, "revert_to_snapshot", vnfSnapshotInfoId=id, vnfcInstanceId="one-0")
    assert machines(rig)["two-0"] is before["two-0"]
    assert machines(rig)["one-0"] is not before["one-0"]
    assert machines(rig)["one-0"].spec.image == record.vnfcs["one-0"].image
    refused = await rig.client.post(
        f"{one}/revert_to_snapshot", json={"vnfSnapshotInfoId": id, "vnfcInstanceId": "two-0"}
    )
    assert refused.status_code == 422
    assert "two-0" in refused.json()["detail"]
