"""VNFs that recover by themselves, on real infrastructure: the service inside dies while its container lives."""

from __future__ import annotations

import asyncio
import os
import signal
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from skerry.model.vnf import VnfInstance
from skerry.settings import Settings, Vim
from skerry.vim.driver import ComputeState
from skerry.wiring import Node
from tests.conformance.rigs import Rig
from tests.real.conftest import Plant
from tests.vnfm.builder import csar
from tests.vnfm.watched import watched_folder

pytestmark = pytest.mark.real
WORK = "sleep 54321 > /dev/null 2>&1 & echo $! > /tmp/worker"
SERVED: dict[str, Any] = {
    "id": "served",
    "vdus": {
        "one": {
            "nics": {"port": "lan"},
            "image": "host:busybox",
            "cmd": ["/bin/sh", "-c", f"{WORK}; exec sleep 1000000"],
            "options": {"GRACE": "0.2 s"},
        }
    },
    "links": {"lan": ""},
    "properties": {"is_autoheal_enabled": True},
    "indicators": {
        "service": {"run": 'grep -q sleep "/proc/$(cat /tmp/worker)/cmdline" 2> /dev/null && echo up || echo down'}
    },
    "scripts": {"heal": {"run": f'echo "$cause" > /tmp/cause\n{WORK}'}},
}


@pytest.fixture
async def quick(real_rig: Rig, tmp_path: Path) -> AsyncIterator[Plant]:
    """A node that looks at its VNFs every second."""
    name = f"rr{os.getpid() % 10000}{uuid.uuid4().hex[:4]}"
    vim = Vim(id="real", type=real_rig.type, settings=real_rig.settings())  # type: ignore[attr-defined]
    node = Node(Settings(data_dir=tmp_path / "node", node=name, vims=(vim,), indicator_period_s=1, service_grace_s=1.5))
    await node.start()
    yield Plant(node, real_rig, tmp_path)
    for vnf in node.vnfm.instances():
        await node.vnfm.discard(vnf.id)
    await node.stop()
    assert list(real_rig.leftovers(name)) == []


async def running(plant: Plant, package: dict[str, Any]) -> VnfInstance:
    info = await plant.node.catalogue.create_vnf_package({})
    await plant.node.catalogue.upload_vnf_package(info.id, csar(watched_folder(package)))
    made = await plant.node.vnfm.create(package["id"])
    await plant.run("vnf.instantiate", made.id, {})
    return plant.node.vnfm.instance(made.id)


@pytest.mark.feature("A106")
async def test_a_killed_process_is_mended_by_the_heal_script(quick: Plant) -> None:
    vnf = await running(quick, SERVED)
    before = await quick.compute(vnf, "one-0")
    worker = await quick.sh(vnf, "one-0", "cat /tmp/worker")
    await quick.sh(vnf, "one-0", f"kill -9 {worker}")
    async with asyncio.timeout(15):
        while not any(one.kind == "vnf.heal" for one in quick.node.engine.operations(subject=vnf.id)):
            await asyncio.sleep(0.1)
        while quick.node.alarms.roots():
            await asyncio.sleep(0.1)
    (healed,) = quick.node.engine.operations(subject=vnf.id, prefix="vnf.heal")
    assert (healed.params["cause"], healed.automatic) == ("serviceDown", True)
    assert await quick.sh(vnf, "one-0", "cat /tmp/cause") == "serviceDown"
    assert await quick.sh(vnf, "one-0", "cat /tmp/worker") != worker
    after = await quick.compute(vnf, "one-0")
    assert (after.state, after.id, after.started_at) == (ComputeState.RUNNING, before.id, before.started_at)


PAIRED: dict[str, Any] = {
    "id": "paired",
    "vdus": {
        "one": {
            "nics": {"port": "lan"},
            "image": "host:busybox",
            "cmd": ["/bin/sh", "-c", "exec sleep 1000000"],
            "options": {"GRACE": "0.2 s", "STANDBY": 1},
        }
    },
    "links": {"lan": ""},
    "scripts": {"instantiate": {"run": "echo active > /tmp/role"}},
}


@pytest.mark.feature("A106")
async def test_a_standby_is_active_when_a_container_is_killed(quick: Plant) -> None:
    vnf = await running(quick, PAIRED)
    first, standby = await quick.compute(vnf, "one-0"), await quick.compute(vnf, "one-1")
    assert (first.state, standby.state) == (ComputeState.RUNNING, ComputeState.CREATED)
    assert first.pid
    os.kill(first.pid, signal.SIGKILL)
    async with asyncio.timeout(15):
        while quick.node.vnfm.instance(vnf.id).standbys != {"one": ("one-0",)} or quick.node.alarms.roots():
            await asyncio.sleep(0.05)
    vnf = quick.node.vnfm.instance(vnf.id)
    active, failed = await quick.compute(vnf, "one-1"), await quick.compute(vnf, "one-0")
    assert (active.state, active.nics) == (ComputeState.RUNNING, standby.nics)
    assert (failed.state, failed.nics) == (ComputeState.CREATED, first.nics)
    assert await quick.sh(vnf, "one-1", "cat /tmp/role") == "active"
    assert active.nics[0].ip in await quick.sh(vnf, "one-1", "ip -4 addr show eth0")
