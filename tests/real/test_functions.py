"""Micro network functions as VNFs of whole nodes: chosen, deployed beside containers, asked, swapped, moved, killed."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from skerry.errors import ConflictError, InvalidError, NotFoundError, RejectedError
from skerry.model.states import OperationState
from skerry.model.vnf import VnfInstance
from skerry.settings import Settings, Vim
from skerry.vim import ipam
from skerry.vim.driver import FunctionState
from skerry.wiring import Node
from tests.conformance.bench import eventually
from tests.conformance.rigs import RIGS, LocalRig
from tests.real.conftest import HERE, Plant

pytestmark = pytest.mark.real
MB = 1 << 20


class Site(Plant):
    """A node with VIMs of its own."""

    async def vim(self, id: str) -> Any:
        return await self.node.vims.driver(id)

    async def vnf(self, **params: Any) -> VnfInstance:
        """An answerer that runs."""
        vnfd = await self.onboard(HERE / "functions" / "answerer")
        made = await self.node.vnfm.create(vnfd, name="answerer")
        await self.run("vnf.instantiate", made.id, {"flavourId": "default", **params})
        return self.node.vnfm.instance(made.id)

    async def gone(self, vnf: VnfInstance) -> None:
        await self.run("vnf.terminate", vnf.id, {"terminationType": "FORCEFUL"})
        await self.node.vnfm.delete(vnf.id)


def name_of(vnf: VnfInstance) -> str:
    return str(vnf.resources["compute:unit-0"].spec["name"])


@pytest.fixture
def vims() -> tuple[Vim, ...]:
    """One that runs both kinds and has little memory."""
    return (Vim(id="edge", type="local", settings={"memory_bytes": 64 * MB}),)


@pytest.fixture
async def site(tmp_path: Path, vims: tuple[Vim, ...]) -> AsyncIterator[Site]:
    """A fresh node; afterwards nothing of it may be left."""
    if reason := RIGS["LOCAL"].missing():
        pytest.skip(reason)
    name = f"fn{os.getpid() % 10000}{uuid.uuid4().hex[:4]}"
    node = Node(Settings(data_dir=tmp_path / "node", node=name, vims=vims))
    await node.start()
    rig = LocalRig(tmp_path)
    made = Site(node, rig, tmp_path)
    yield made
    left: list[str] = []
    for vim in vims:
        driver = await made.node.vims.driver(vim.id)
        left += [c.name for c in await driver.list_compute()]
        for compute in await driver.list_compute():
            await driver.delete_compute(compute.name)
        for network in await driver.list_networks():
            left.append(network.name)
            await driver.delete_network(network.name)
    await made.node.stop()
    assert left == []
    assert list(rig.leftovers(name)) == []


@pytest.mark.feature("C15", "C28", "C36", "A5")
async def test_a_service_of_a_container_and_a_function(site: Site) -> None:
    for part in ("answerer", "caller"):
        await site.onboard(HERE / "functions" / part)
    nsd = await site.onboard(HERE / "functions" / "pinging")
    ns = await site.node.nfvo.create(nsd, name="pinging")
    await site.run("ns.instantiate", ns.id, {"nsFlavourId": "default"})
    made = {one.vnf_product_name: one for one in site.node.vnfm.instances()}
    answerer, caller = made["answerer"], made["caller"]
    edge = await site.vim("edge")
    shown = await edge.get_function(name_of(answerer))
    assert (shown.state, shown.backend) == (FunctionState.RUNNING, "process")
    assert not any(one.name == name_of(caller) for one in await edge.list_functions())
    address = answerer.resources["compute:unit-0"].outputs["nics"][0]["ip"]

    async def answered() -> bool:
        ping = await edge.exec(name_of(caller), ["ping", "-c", "1", "-W", "2", address])
        return bool(ping.exit_code == 0)

    await eventually(answered, 40)
    assert int(await edge.read_handler(name_of(answerer), "answered")) > 0
    known = {one.name for one in await edge.list_strangers()}
    assert not known  # a function of the node is no stranger to it
    await site.run("ns.terminate", ns.id, {})
    await site.node.nfvo.delete(ns.id)


BIG = (Vim(id="edge", type="local", settings={"memory_bytes": 1024 * MB}),)


@pytest.mark.feature("C15")
@pytest.mark.parametrize("vims", [BIG])
async def test_the_same_is_a_container_where_there_is_room(site: Site) -> None:
    vnf = await site.vnf()
    edge = await site.vim("edge")
    assert await edge.list_functions() == []
    assert (await edge.exec(name_of(vnf), ["true"])).exit_code == 0
    assert vnf.functions == ()
    await site.gone(vnf)


TINY = (Vim(id="tiny", type="lvnf"),)


@pytest.mark.feature("C15")
@pytest.mark.parametrize("vims", [TINY])
async def test_a_node_without_containers_runs_functions_only(site: Site) -> None:
    vnf = await site.vnf()
    assert vnf.functions == ("unit-0",)
    (mine,) = await site.node.vnfm.functions.all(tenant=vnf.tenant)
    assert (mine.id, mine.vnfc, mine.vim) == (name_of(vnf), "unit-0", "tiny")
    assert mine.function is not None
    assert mine.function.state is FunctionState.RUNNING
    assert await site.node.vnfm.functions.all(tenant="other") == []
    with pytest.raises(NotFoundError):
        await site.node.vnfm.functions.read(mine.id, "answered", tenant="other")
    caller = await site.node.vnfm.create(await site.onboard(HERE / "functions" / "caller"), name="caller")
    with pytest.raises(RejectedError, match="it runs no containers, as unit-0 needs"):
        await site.node.vnfm.plan("vnf.instantiate", caller.id, {"flavourId": "default"})
    await site.node.vnfm.delete(caller.id)
    await site.gone(vnf)


@pytest.mark.feature("C28", "C37")
async def test_a_killed_function_is_healed(site: Site) -> None:
    vnf = await site.vnf()
    edge = await site.vim("edge")
    pid = (await edge.get_compute(name_of(vnf))).pid
    os.kill(pid, signal.SIGKILL)

    async def alarmed() -> bool:
        return any(one.subject == vnf.id for one in site.node.vnfm.alarms())

    await eventually(alarmed, 30)
    await site.run("vnf.heal", vnf.id, {"cause": "test"})
    now = await edge.get_compute(name_of(vnf))
    assert now.pid != pid
    assert now.nics[0].ip == vnf.resources["compute:unit-0"].outputs["nics"][0]["ip"]
    assert (await site.node.vnfm.stats(vnf.id, "unit-0")).pids == 1
    await site.gone(vnf)


TWO = (
    Vim(id="edge", type="local", settings={"memory_bytes": 64 * MB}),
    Vim(id="tiny", type="lvnf"),
)
ON_EDGE: Mapping[str, Any] = {"additionalParams": {"placement": {"unit": "edge"}}}


@pytest.mark.feature("C30", "C31")
@pytest.mark.parametrize("vims", [TWO])
async def test_a_function_moves_with_its_state(site: Site) -> None:
    vnf = await site.vnf(**ON_EDGE)
    edge, tiny = await site.vim("edge"), await site.vim("tiny")
    await edge.write_handler(name_of(vnf), "way", "1")
    done = await site.run("vnf.migrate", vnf.id, {"vimId": "tiny"})
    moved = site.node.vnfm.instance(vnf.id)
    assert moved.placement["unit-0"] == "tiny"
    assert moved.carried == {}
    assert moved.functions == ("unit-0",)
    assert await edge.list_compute() == []
    assert await tiny.read_handler(name_of(vnf), "way") == "1"
    stood = moved.resources["power:unit-0"].outputs["downtime_ms"]
    assert 0 <= stood < 60_000
    assert (await tiny.get_function(name_of(vnf))).times_ms["migrating_start"] > 0
    assert done.state is OperationState.COMPLETED
    with pytest.raises(InvalidError, match="on tiny already"):
        await site.node.vnfm.start("vnf.migrate", vnf.id, {"vimId": "tiny"})
    await site.run("vnf.operate", vnf.id, {"changeStateTo": "STOPPED"})
    with pytest.raises(ConflictError, match="does not run"):
        await site.node.vnfm.start("vnf.migrate", vnf.id, {"vimId": "edge"})
    await site.gone(moved)


@pytest.mark.feature("C31")
@pytest.mark.parametrize("vims", [TWO])
async def test_a_move_that_fails_brings_it_back_with_its_state(site: Site) -> None:
    vnf = await site.vnf(**ON_EDGE)
    edge, tiny = await site.vim("edge"), await site.vim("tiny")
    await edge.write_handler(name_of(vnf), "way", "1")
    # where it would be made there is a file
    in_the_way = tiny.data / "functions" / f"sk{ipam.digest(tiny.network.tag, name_of(vnf))}"
    in_the_way.write_text("")
    begun = await site.node.vnfm.start("vnf.migrate", vnf.id, {"vimId": "tiny"})
    ended = await site.node.engine.wait(begun.id, 60)
    assert ended.state is OperationState.ROLLED_BACK
    back = site.node.vnfm.instance(vnf.id)
    assert back.placement["unit-0"] == "edge"
    assert back.carried == {}
    assert await edge.read_handler(name_of(vnf), "way") == "1"
    assert await tiny.list_compute() == []
    in_the_way.unlink(missing_ok=True)
    await site.gone(back)
