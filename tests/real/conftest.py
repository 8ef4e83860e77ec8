"""Whole nodes on real infrastructure: every real driver that has a rig of the conformance suite."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from skerry.model.operations import Operation
from skerry.model.states import OperationState
from skerry.model.vnf import VnfInstance
from skerry.packages import build
from skerry.settings import Settings, Vim
from skerry.vim.driver import Compute, Driver, Exec
from skerry.wiring import Node
from tests.conformance.rigs import RIGS, Rig

HERE = Path(__file__).parent
REAL = sorted(type_ for type_, rig in RIGS.items() if rig.real and rig.programs)


class Plant:
    """A node whose only VIM is the driver under test."""

    def __init__(self, node: Node, rig: Rig, folder: Path) -> None:
        self.node, self.rig, self.folder = node, rig, folder

    async def onboard(self, source: Path) -> str:
        """Build and onboard the package of a folder; the answer is its descriptor's id."""
        archive = build(source, self.folder / f"{source.name}-{uuid.uuid4().hex[:6]}.csar")
        if (source / "Definitions").glob("*service*") and any((source / "Definitions").glob("*service*")):
            nsd = await self.node.catalogue.create_nsd({})
            return (await self.node.catalogue.upload_nsd(nsd.id, archive)).nsd_id
        info = await self.node.catalogue.create_vnf_package({})
        return (await self.node.catalogue.upload_vnf_package(info.id, archive)).vnfd_id

    async def run(self, kind: str, id: str, params: Mapping[str, Any]) -> Operation:
        """Run an operation to its end; anything but COMPLETED fails the test with the reason."""
        service = self.node.vnfm if kind.startswith("vnf.") else self.node.nfvo
        begun = await service.start(kind, id, params)
        ended = await self.node.engine.wait(begun.id, 120)
        assert ended.state is OperationState.COMPLETED, f"{kind}: {ended.state} {ended.error}"
        return ended

    async def driver(self) -> Driver:
        return await self.node.vims.driver("real")

    async def compute(self, vnf: VnfInstance, vnfc: str) -> Compute:
        """What the infrastructure says of a VNFC."""
        return await (await self.driver()).get_compute(vnf.resources[f"compute:{vnfc}"].spec["name"])

    async def sh(self, vnf: VnfInstance, vnfc: str, script: str) -> str:
        """What a shell command prints inside a VNFC."""
        driver = await self.driver()
        assert isinstance(driver, Exec)
        done = await driver.exec(vnf.resources[f"compute:{vnfc}"].spec["name"], ["/bin/sh", "-c", script])
        assert done.exit_code == 0, done.stderr
        return done.stdout.decode().strip()


@pytest.fixture(scope="session", params=REAL, ids=[type_.lower() for type_ in REAL])
def real_rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    type_ = request.param
    if reason := RIGS[type_].missing():
        pytest.skip(f"{type_}: {reason}")
    rig = RIGS[type_](tmp_path_factory.mktemp(f"real-{type_.lower()}"))
    rig.type = type_  # type: ignore[attr-defined]
    yield rig
    rig.stop()


@pytest.fixture
async def plant(real_rig: Rig, tmp_path: Path) -> AsyncIterator[Plant]:
    """A fresh node; afterwards nothing of it may be left on the machine."""
    name = f"rl{os.getpid() % 10000}{uuid.uuid4().hex[:4]}"
    vim = Vim(id="real", type=real_rig.type, settings=real_rig.settings())  # type: ignore[attr-defined]
    node = Node(Settings(data_dir=tmp_path / "node", node=name, vims=(vim,)))
    await node.start()
    yield Plant(node, real_rig, tmp_path)
    driver = await node.vims.driver("real")
    left = [*(c.name for c in await driver.list_compute()), *(n.name for n in await driver.list_networks())]
    for compute in await driver.list_compute():
        await driver.delete_compute(compute.name)
    for network in await driver.list_networks():
        await driver.delete_network(network.name)
    await node.stop()
    assert left == []
    assert list(real_rig.leftovers(name)) == []
