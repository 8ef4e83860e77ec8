"""The same with the store's own thread and the machine's time, as a node runs in earnest."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from skerry.model.states import OperationState
from skerry.settings import Settings, Vim
from skerry.vim.simulated.world import world
from skerry.wiring import Node
from tests.nfvo.packages import SIP, VNFS
from tests.vnfm.builder import csar, ns_folder, vnf_folder

S = OperationState


async def node_with_packages(folder: Path) -> Node:
    settings = Settings(data_dir=folder, vims=(Vim(id="sim", type="simulated", settings={"world": folder.name}),))
    world(folder.name).reset()
    node = Node(settings)
    await node.start()
    for text in VNFS:
        info = await node.catalogue.create_vnf_package({})
        await node.catalogue.upload_vnf_package(info.id, csar(vnf_folder(text)))
    nsd = await node.catalogue.create_nsd({})
    await node.catalogue.upload_nsd(nsd.id, csar(ns_folder(SIP)))
    return node


@pytest.mark.feature("D1")
async def test_many_services_at_once(tmp_path: Path) -> None:
    node = await node_with_packages(tmp_path)
    try:
        services = [await node.nfvo.create("sip", name=str(number)) for number in range(12)]
        begun = await asyncio.gather(*(node.nfvo.start("ns.instantiate", ns.id, {}) for ns in services))
        ended = await asyncio.gather(*(node.engine.wait(operation.id, 60) for operation in begun))
        assert {operation.state for operation in ended} == {S.COMPLETED}
        assert len(world(tmp_path.name).has.machines) == 24
        assert len({network.name for network in world(tmp_path.name).has.networks.values()}) == 12
        sequence = [event.seq for event in node.engine.events.since(0, limit=100_000)]
        assert sequence == list(range(1, len(sequence) + 1))
        await asyncio.gather(*(node.nfvo.discard(ns.id) for ns in services))
        assert not world(tmp_path.name).has.machines
        assert not world(tmp_path.name).has.networks
    finally:
        await node.stop()


@pytest.mark.feature("A87")
async def test_a_stopped_node_goes_on_where_it_was(tmp_path: Path) -> None:
    node = await node_with_packages(tmp_path)
    ns = await node.nfvo.create("sip")
    operation = await node.nfvo.start("ns.instantiate", ns.id, {})
    await asyncio.sleep(0)
    await node.stop()
    again = Node(node.settings)
    await again.start()
    try:
        assert (await again.engine.wait(operation.id, 60)).state is S.COMPLETED
        assert len(world(tmp_path.name).has.machines) == 2
        assert again.nfvo.status(ns.id) == "ACTIVE"
    finally:
        await again.stop()
