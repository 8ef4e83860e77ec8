"""A snapshot of real containers leaves the node in a package, and a VNF of another node becomes what it was."""

from __future__ import annotations

import os
import uuid
import zipfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from skerry.model.images import OutsideImages
from skerry.model.vnf import SnapshotPackageState as State
from skerry.settings import Settings, Vim
from skerry.wiring import Node
from tests.conformance.rigs import Rig
from tests.real.conftest import Plant
from tests.real.test_lifecycle import ended, started
from tests.real.test_snapshots import taken

pytestmark = pytest.mark.real


@asynccontextmanager
async def second(rig: Rig, folder: Path) -> AsyncGenerator[Plant]:
    """Another node, with an infrastructure of its own on this machine; nothing of it is left afterwards."""
    name = f"rm{os.getpid() % 10000}{uuid.uuid4().hex[:4]}"
    type_: str = rig.type  # type: ignore[attr-defined]
    node = Node(Settings(data_dir=folder, node=name, vims=(Vim(id="real", type=type_, settings=rig.settings()),)))
    await node.start()
    try:
        yield Plant(node, rig, folder.parent)
    finally:
        driver = await node.vims.driver("real")
        for compute in await driver.list_compute():
            await driver.delete_compute(compute.name)
        for network in await driver.list_networks():
            await driver.delete_network(network.name)
        await node.stop()
    assert list(rig.leftovers(name)) == []


@pytest.mark.feature("A29", "A45")
async def test_a_file_that_was_written_here_is_there_after_a_revert_elsewhere(plant: Plant, tmp_path: Path) -> None:
    vnf = await started(plant)
    await plant.sh(
        vnf, "front-0", "echo here > /var/state; rm -f /bin/yes; mkdir -p /var/deep; echo x > /var/deep/file"
    )
    snapshot = await taken(plant, vnf)
    packages = plant.node.snapshot_packages
    made = await packages.create("one", {}, tenant="")
    await packages.build(made.id, snapshot, (), OutsideImages(), tenant="")
    await packages.settled(made.id)
    made = packages.get(made.id, tenant="")
    assert (made.state, set(made.images), made.full) == (State.AVAILABLE, {"front-0", "back-0"}, True), made.problem
    content = packages.content(made.id, tenant="")
    with zipfile.ZipFile(content) as archive:
        sizes = {info.filename: info.file_size for info in archive.infolist()}
    assert all(sizes[one.path] == one.file_bytes > 0 for one in made.images.values())
    async with second(plant.rig, tmp_path / "second") as other:
        foreign = await started(other)
        assert await other.sh(foreign, "front-0", "ls /var/state 2>/dev/null; echo none") == "none"
        brought = await other.node.snapshot_packages.create("one", {}, tenant="")
        await other.node.snapshot_packages.upload(brought.id, content, tenant="")
        await ended(plant, vnf)
        await plant.node.vnfm.snapshots.delete(snapshot, tenant="")
        await packages.delete(made.id, tenant="")
        await other.node.snapshot_packages.extract(brought.id, "", foreign.id, tenant="")
        await other.node.snapshot_packages.settled(brought.id)
        brought = other.node.snapshot_packages.get(brought.id, tenant="")
        assert brought.state is State.AVAILABLE, brought.problem
        await other.run("vnf.revert_to_snapshot", foreign.id, {"vnfSnapshotInfoId": brought.vnf_snapshot_id})
        foreign = other.node.vnfm.instance(foreign.id)
        assert await other.sh(foreign, "front-0", "cat /var/state /var/deep/file") == "here\nx"
        assert await other.sh(foreign, "front-0", "ls /bin/yes 2>/dev/null; echo none") == "none"
        await ended(other, foreign)
        await other.node.vnfm.snapshots.delete(brought.vnf_snapshot_id, tenant="")
        driver = await other.driver()
        assert [one.name for one in await driver.list_images() if one.name.startswith("snapshot:")] == []
