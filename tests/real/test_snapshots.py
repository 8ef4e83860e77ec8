"""Snapshots of VNFs on real infrastructure: what was written is back after a revert, at the same addresses."""

from __future__ import annotations

import pytest

from skerry.errors import ConflictError, InvalidError
from skerry.model.vnf import VnfInstance
from tests.real.conftest import Plant
from tests.real.test_lifecycle import address, ended, started

pytestmark = pytest.mark.real


async def taken(plant: Plant, vnf: VnfInstance) -> str:
    info = await plant.node.vnfm.snapshots.create(tenant="")
    await plant.run("vnf.create_snapshot", vnf.id, {"vnfSnapshotInfoId": info.id, "userDefinedData": {"name": "one"}})
    return info.id


async def test_a_file_that_was_written_is_back_after_a_revert(plant: Plant) -> None:
    vnf = await started(plant)
    await plant.sh(vnf, "front-0", "echo before > /var/state; rm -f /bin/yes")
    addresses = [address(vnf, "front-0", n) for n in (0, 1)]
    snapshot = await taken(plant, vnf)
    info = plant.node.vnfm.snapshots.get(snapshot, tenant="")
    assert set(info.vnfcs) == {"front-0", "back-0"}
    assert info.finished_at >= info.started_at > ""
    await plant.sh(vnf, "front-0", "echo after > /var/state; echo new > /var/new")
    await plant.run("vnf.scale", vnf.id, {"type": "SCALE_OUT", "aspectId": "fronts"})
    await plant.run("vnf.revert_to_snapshot", vnf.id, {"vnfSnapshotInfoId": snapshot})
    vnf = plant.node.vnfm.instance(vnf.id)
    assert await plant.sh(vnf, "front-0", "cat /var/state") == "before"
    assert (
        await plant.sh(vnf, "front-0", "ls /var/new /bin/yes 2>/dev/null; echo none") == "none"
    )  # also what was deleted
    assert [address(vnf, "front-0", n) for n in (0, 1)] == addresses
    assert addresses[0] in await plant.sh(vnf, "front-0", "ip -4 addr show eth0")
    assert vnf.vnfcs["front"] == ("front-0",)  # the scale that it had then
    with pytest.raises(ConflictError, match="runs from it"):
        await plant.node.vnfm.snapshots.delete(snapshot, tenant="")
    await plant.run("vnf.scale", vnf.id, {"type": "SCALE_OUT", "aspectId": "fronts"})  # the reverted one stays as it is
    vnf = plant.node.vnfm.instance(vnf.id)
    assert await plant.sh(vnf, "front-0", "cat /var/state") == "before"
    assert await plant.sh(vnf, "front-1", "ls /var/state 2>/dev/null; echo none") == "none"
    await plant.run("vnf.heal", vnf.id, {"vnfcInstanceId": ["front-0"]})
    assert await plant.sh(vnf, "front-0", "cat /var/state") == "before"  # healed from the snapshot
    await ended(plant, vnf)
    driver = await plant.driver()
    assert {one.image for one in info.vnfcs.values()} <= {one.name for one in await driver.list_images()}
    await plant.node.vnfm.snapshots.delete(snapshot, tenant="")
    assert [one.name for one in await driver.list_images() if one.name.startswith("snapshot:")] == []
    assert plant.node.vnfm.snapshots.all(tenant="") == []


async def test_a_snapshot_is_of_one_vnf_and_taken_once(plant: Plant) -> None:
    vnf = await started(plant)
    snapshot = await taken(plant, vnf)
    with pytest.raises(ConflictError, match="already"):
        await plant.node.vnfm.start("vnf.create_snapshot", vnf.id, {"vnfSnapshotInfoId": snapshot})
    empty = await plant.node.vnfm.snapshots.create(tenant="")
    with pytest.raises(InvalidError, match="no finished snapshot"):
        await plant.node.vnfm.start("vnf.revert_to_snapshot", vnf.id, {"vnfSnapshotInfoId": empty.id})
    await plant.node.vnfm.snapshots.delete(empty.id, tenant="")
    await plant.node.vnfm.snapshots.delete(snapshot, tenant="")
    await ended(plant, vnf)
