"""A micro network function in a forwarding path of a network service, between real containers."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from skerry.dataplane import catalogue
from skerry.dataplane.driver import EngineContext
from skerry.engine.clock import SystemClock
from skerry.settings import Settings, Vim
from skerry.wiring import Node
from tests.conformance.rigs import RIGS, LocalRig
from tests.nfvo.paths import with_paths
from tests.real.test_forwarding import CLIENT, PATHS, SERVER, SERVICE, Guarded
from tests.vnfm.builder import csar, vnf_folder

pytestmark = pytest.mark.real

WALL = """
id: wall
vdus:
  box:
    nics: {left: ext, right: ext}
    image: 'Files/wall.click'
"""
CLICK = """
FromDevice(eth0) -> in :: Counter -> gate :: Switch(0);
gate [0] -> ToDevice(eth1);
gate [1] -> Discard;
FromDevice(eth1) -> back :: Counter -> ToDevice(eth0);
"""
QUEUED = CLICK.replace("gate [0] -> ToDevice(eth1)", "gate [0] -> Queue -> ToDevice(eth1)")


class Chained(Guarded):
    """The service with a micro network function as its wall."""

    click = CLICK

    async def deploy(self) -> None:
        wall = {**vnf_folder(WALL), "Files/wall.click": self.click}
        for folder in (vnf_folder(CLIENT), vnf_folder(SERVER), wall):
            info = await self.node.catalogue.create_vnf_package({})
            await self.node.catalogue.upload_vnf_package(info.id, csar(folder))
        nsd = await self.node.catalogue.create_nsd({})
        await self.node.catalogue.upload_nsd(nsd.id, csar(with_paths(SERVICE, PATHS)))
        self.ns = await self.node.nfvo.create("guarded", name="guarded")
        await self.run("ns.instantiate", self.ns.id, {})

    async def counted(self) -> int:
        """Frames that the wall has counted on its left side."""
        functions = self.node.vnfm.functions
        (wall,) = await functions.all()
        return int(await functions.read(wall.id, "in.count"))


@pytest.fixture(params=[("ebpf", CLICK), ("ebpf", QUEUED), ("ovs", CLICK)], ids=["ebpf-kernel", "ebpf-process", "ovs"])
async def chained(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Chained]:
    if reason := RIGS["LOCAL"].missing():
        pytest.skip(reason)
    engine, click = request.param
    context = EngineContext(node="look", data_dir=tmp_path, clock=SystemClock())
    if reason := catalogue.load(engine)(context).capabilities().missing:
        pytest.skip(f"{engine}: {reason}")
    rig = LocalRig(tmp_path)
    name = f"fc{os.getpid() % 10000}{uuid.uuid4().hex[:4]}"
    vim = Vim(id="real", type="LOCAL", settings={})
    node = Node(Settings(data_dir=tmp_path / "node", node=name, vims=(vim,), dataplane_engine=engine))
    await node.start()
    made = Chained(node, rig, tmp_path)
    made.click = click
    await made.deploy()
    yield made
    await made.run("ns.terminate", made.ns.id, {})
    await node.stop()
    assert list(rig.leftovers(name)) == []


@pytest.mark.feature("C34", "C36")
async def test_only_what_the_path_names_passes_the_function(chained: Chained) -> None:
    (wall,) = await chained.node.vnfm.functions.all()
    assert wall.function is not None
    assert wall.function.backend == ("process" if chained.click == QUEUED else "ebpf")
    await chained.heard(80, "hello")
    before = await chained.counted()
    assert before > 0
    await chained.heard(81, "other")
    assert await chained.counted() == before
    await chained.heard(80, "hello")
    assert await chained.counted() > before
    await chained.node.vnfm.functions.write(wall.id, "gate.switch", "1")
    assert await chained.says(80) == ""
    await chained.heard(81, "other")
