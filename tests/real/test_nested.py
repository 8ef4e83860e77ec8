"""Network services inside network services on real containers: who is on one link hears the other, wherever it has moved to."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from skerry.model.vnf import VnfInstance
from skerry.settings import Settings, Vim
from skerry.wiring import Node
from tests.conformance.rigs import RIGS, Rig
from tests.nfvo.nesting import nesting_folder
from tests.real.conftest import Plant
from tests.real.test_forwarding import CLIENT
from tests.vnfm.builder import csar, vnf_folder

pytestmark = pytest.mark.real

INNER = "{id: inner, vnfs: {far: {vnfd: client, links: {eth: own}}}, links: {own: 10.97.0.0/24}, saps: {door: own}}"
OUTER: Mapping[str, Any] = {
    "id": "outer",
    "vnfs": {"near": {"vnfd": "client", "links": {"eth": "wide"}}},
    "links": {"wide": "10.98.0.0/24"},
    "nested": {"part": {"nsd": "inner", "links": {"virtual_link": "wide"}}},
}


@pytest.fixture
async def plant(tmp_path: Path) -> AsyncIterator[Plant]:
    if reason := RIGS["LOCAL"].missing():
        pytest.skip(reason)
    rig: Rig = RIGS["LOCAL"](tmp_path)
    name = f"ne{os.getpid() % 10000}{uuid.uuid4().hex[:4]}"
    vim = Vim(id="real", type="LOCAL", settings=rig.settings())
    made = Plant(Node(Settings(data_dir=tmp_path / "node", node=name, vims=(vim,))), rig, tmp_path)
    await made.node.start()
    try:
        yield made
    finally:
        for ns in made.node.nfvo.instances():
            if not ns.users:
                await made.node.nfvo.discard(ns.id)
        await made.node.stop()
        rig.stop()
    assert list(rig.leftovers(name)) == []


def member(plant: Plant, ns: str, name: str) -> VnfInstance:
    return plant.node.vnfm.instance(plant.node.nfvo.instance(ns).members[name].vnf_instance_id)


async def hears(plant: Plant, one: VnfInstance, other: VnfInstance, patience_s: int = 20) -> bool:
    """Whether one gets an answer of the other, without any router."""
    there = str((await plant.compute(other, "box-0")).nics[0].ip)
    tries = f"for try in $(seq {patience_s}); do ping -c 1 -W 1 {there} >/dev/null && echo yes && exit; done; echo no"
    return await plant.sh(one, "box-0", f"ip route replace {there} dev eth0; {tries}") == "yes"


@pytest.mark.feature("D49", "A28")
async def test_members_of_nested_services_hear_each_other_on_the_link_that_joins_them(plant: Plant) -> None:
    info = await plant.node.catalogue.create_vnf_package({})
    await plant.node.catalogue.upload_vnf_package(info.id, csar(vnf_folder(CLIENT)))
    for text in (INNER, OUTER):
        nsd = await plant.node.catalogue.create_nsd({})
        await plant.node.catalogue.upload_nsd(nsd.id, csar(nesting_folder(text)))
    outer = (await plant.node.nfvo.create("outer", name="outer")).id
    alone = (await plant.node.nfvo.create("inner", name="alone")).id
    await plant.run("ns.instantiate", outer, {})
    await plant.run("ns.instantiate", alone, {})
    (inside,) = [one.ns_instance_id for one in plant.node.nfvo.instance(outer).nested.values()]
    near, far, other = member(plant, outer, "near-0"), member(plant, inside, "far-0"), member(plant, alone, "far-0")
    assert await hears(plant, near, far)
    assert not await hears(plant, near, other, patience_s=1)
    data = [{"targetNsInstanceId": outer, "vnfInstanceId": [other.id]}]
    await plant.run("ns.update", alone, {"updateType": "MOVE_VNF", "moveVnfInstanceData": data})
    moved = plant.node.vnfm.instance(other.id)
    assert await hears(plant, near, moved)
    assert await hears(plant, moved, far)
    await plant.run("ns.terminate", alone, {})
    assert await hears(plant, near, moved)
