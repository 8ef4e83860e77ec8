"""Machines that nobody deploys are parts of network services: containers reach them, and traffic is led through them."""

from __future__ import annotations

import asyncio
import os
import subprocess
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from skerry.dataplane import catalogue
from skerry.dataplane.driver import EngineContext
from skerry.engine.clock import SystemClock
from skerry.model.ns import NsInstance
from skerry.model.vnf import VnfInstance
from skerry.settings import Settings, Vim
from skerry.wiring import Node
from tests.conformance.rigs import RIGS
from tests.nfvo.machines import at, pnf, pnf_folder, with_machines
from tests.nfvo.paths import with_paths
from tests.real.conftest import Plant
from tests.real.machine import Machine, machine
from tests.real.test_forwarding import CLIENT, ENGINES, RULE, SERVER, WALL
from tests.vnfm.builder import csar, ns_folder, vnf_folder

pytestmark = pytest.mark.real

PANEL = """
id: panel
vdus:
  box:
    nics: {eth: ext}
    image: 'host:busybox'
    cmd: [sh, -c, 'sleep 1000000']
    env: {PRESS: {get_property: [SELF, configurable_properties, press]}}
    options: {GRACE: 0.2 s}
properties: {press: none}
"""
FACTORY = """
id: factory
vnfs: {panel: {vnfd: panel, links: {eth: floor}, values: {press: {get_attribute: [plc, lan, ip_address]}}}}
links: {floor: 10.87.0.0/24}
"""
GUARDED = """
id: guarded
vnfs: {client: {vnfd: client, links: {eth: lan}}, server: {vnfd: server, links: {eth: lan}}}
links: {lan: 10.86.0.0/24}
"""
BEHIND = """
id: behind
vnfs: {client: {vnfd: client, links: {eth: floor}}, wall: {vnfd: wall, links: {left: floor, right: floor}}}
links: {floor: 10.87.0.0/24}
"""
TO_IT = {"web": {"over": [["client"], ["wall", "left", "right"], ["plc", "lan"]], "rules": {"port80": RULE}}}
OVER = {"web": {"over": [["client"], ["plc", "left", "right"], ["server"]], "rules": {"port80": RULE}}}


class Site(Plant):
    """A node on this machine with something cabled to it."""

    ns: NsInstance

    async def deploy(self, service: str, vnfs: Sequence[str], points: Sequence[str], **request: Any) -> None:
        for vnf in vnfs:
            info = await self.node.catalogue.create_vnf_package({})
            await self.node.catalogue.upload_vnf_package(info.id, csar(vnf_folder(vnf)))
        descriptor = await self.node.catalogue.create_pnfd({})
        await self.node.catalogue.upload_pnfd(descriptor.id, csar(pnf_folder("plc", points)))
        paths = {GUARDED: OVER, BEHIND: TO_IT}.get(service)
        files = with_paths(service, paths) if paths else ns_folder(service)
        link = "lan" if "left" in points else "floor"
        machines = {"plc": {"pnfd": "plc", "links": dict.fromkeys(points, link)}}
        nsd = await self.node.catalogue.create_nsd({})
        name = (await self.node.catalogue.upload_nsd(nsd.id, csar(with_machines(files, machines)))).nsd_id
        self.ns = await self.node.nfvo.create(name, name=name)
        await self.run("ns.instantiate", self.ns.id, request)

    def member(self, name: str) -> VnfInstance:
        return self.node.vnfm.instance(self.node.nfvo.instance(self.ns.id).members[name].vnf_instance_id)

    async def update(self, kind: str, **data: Any) -> None:
        await self.run("ns.update", self.ns.id, {"updateType": kind, **data})

    async def says(self, member: str, script: str) -> str:
        """What a command prints in a member; nothing where it fails."""
        return await self.sh(self.member(member), "box-0", f"{script} || true")

    async def passed(self, member: str) -> int:
        """Frames that a member has received."""
        return int(await self.says(member, "cat /sys/class/net/eth0/statistics/rx_packets"))

    async def hears(self, member: str, script: str, text: str) -> None:
        """Once a command prints this."""
        async with asyncio.timeout(60):
            while await self.says(member, script) != text:
                await asyncio.sleep(0.1)


@asynccontextmanager
async def site(folder: Path, ports: Mapping[str, str], **settings: Any) -> AsyncIterator[Site]:
    if reason := RIGS["LOCAL"].missing():
        pytest.skip(reason)
    rig = RIGS["LOCAL"](folder)
    name = f"pn{os.getpid() % 10000}{uuid.uuid4().hex[:4]}"
    vim = Vim(id="real", type="LOCAL", settings={"ports": ports})
    node = Node(Settings(data_dir=folder / "node", node=name, vims=(vim,), **settings))
    await node.start()
    try:
        yield Site(node, rig, folder)
    finally:
        driver = await node.vims.driver("real")
        left = [one.name for one in (*await driver.list_compute(), *await driver.list_networks())]
        for compute in await driver.list_compute():
            await driver.delete_compute(compute.name)
        for network in await driver.list_networks():
            await driver.delete_network(network.name)
        await node.stop()
        rig.stop()
    assert left == []
    assert list(rig.leftovers(name)) == []


@pytest.fixture
def plc() -> Iterator[Machine]:
    if reason := RIGS["LOCAL"].missing():
        pytest.skip(reason)
    mark = uuid.uuid4().hex[:6]
    with machine(f"plc-{mark}", f"plc{mark}a") as there:
        yield there


@contextmanager
def serving(plc: Machine, folder: Path) -> Iterator[None]:
    """The machine serves a page."""
    (folder / "www").mkdir()
    (folder / "www" / "state").write_text("pressing")
    call = ["ip", "netns", "exec", plc.name, "busybox", "httpd", "-f", "-p", "80", "-h", str(folder / "www")]
    served = subprocess.Popen(call)
    try:
        yield
    finally:
        served.kill()
        served.wait()


def require(engine: str, folder: Path) -> None:
    context = EngineContext(node="look", data_dir=folder, clock=SystemClock())
    if reason := catalogue.load(engine)(context).capabilities().missing:
        pytest.skip(f"{engine}: {reason}")


ASKS = "printf 'GET /state HTTP/1.0\\r\\n\\r\\n' | nc -w 2 {} 80 | tail -n 1"


@pytest.mark.feature("A24", "C21")
async def test_a_container_talks_to_a_machine_of_the_site(tmp_path: Path, plc: Machine) -> None:
    plc.has("10.87.0.2/24")
    machines = [pnf("plc-7", at("10.87.0.2"))]
    with serving(plc, tmp_path):
        async with site(tmp_path, {"plc-7/lan": plc.plug}) as it:
            await it.deploy(FACTORY, [PANEL], ["lan"], addPnfData=machines)
            await it.hears("panel-0", ASKS.format("$PRESS"), "pressing")
            assert plc.plug not in plc.outside()
            await it.update("REMOVE_PNF", removePnfId=["plc-7"])
            assert plc.plug in plc.outside()
            assert await it.says("panel-0", "ping -c 1 -W 1 -w 1 10.87.0.2 >/dev/null && echo there") == ""
            await it.update("ADD_PNF", addPnfData=machines)
            await it.hears("panel-0", ASKS.format("10.87.0.2"), "pressing")
            await it.run("ns.terminate", it.ns.id, {})
            assert plc.plug in plc.outside()


@pytest.mark.feature("A57", "C21")
@pytest.mark.parametrize("engine", ENGINES)
async def test_a_path_ends_at_a_machine_of_the_site(engine: str, tmp_path: Path, plc: Machine) -> None:
    require(engine, tmp_path)
    plc.has("10.87.0.2/24")
    with serving(plc, tmp_path):
        other = f"{plc.plug[:-1]}b"
        plc.cable(other, "other")
        async with site(tmp_path, {"plc-7/lan": plc.plug, "plc-8/lan": other}, dataplane_engine=engine) as it:
            machines = [pnf("plc-7", at("10.87.0.2", mac=plc.mac()))]
            await it.deploy(BEHIND, [CLIENT, WALL], ["lan"], addPnfData=machines)
            await it.hears("client-0", ASKS.format("10.87.0.2"), "pressing")
            before = await it.passed("wall-0")
            await it.hears("client-0", ASKS.format("10.87.0.2"), "pressing")
            assert await it.passed("wall-0") > before
            await it.update("ADD_PNF", addPnfData=[pnf("plc-8")])
            await it.update("REMOVE_PNF", removePnfId=["plc-8"])
            assert other in plc.outside()
            await it.hears("client-0", ASKS.format("10.87.0.2"), "pressing")
            gone = [{"vnffgInfoId": "graph", "nfpInfoId": ["web"]}]
            await it.update("UPDATE_VNFFG", updateVnffg=gone)
            await it.hears("client-0", ASKS.format("10.87.0.2"), "pressing")
            await it.update("REMOVE_PNF", removePnfId=["plc-7"])
            assert plc.plug in plc.outside()
            await it.run("ns.terminate", it.ns.id, {})
            assert [*it.node.dataplane.ports(), *it.node.dataplane.intents()] == []


@pytest.mark.feature("A57", "C21")
@pytest.mark.parametrize("engine", ENGINES)
async def test_a_chain_passes_through_a_machine_of_the_site(engine: str, tmp_path: Path, plc: Machine) -> None:
    require(engine, tmp_path)
    right = f"{plc.plug[:-1]}b"
    plc.cable(right, "right")
    for words in (
        "link add name br0 type bridge",
        "link set eth master br0",
        "link set right master br0",
        "link set br0 up",
    ):
        plc.run("ip", *words.split())

    def seen() -> int:
        return int(plc.run("cat", "/sys/class/net/eth/statistics/rx_packets"))

    ports = {"plc-7/left": plc.plug, "plc-7/right": right}
    async with site(tmp_path, ports, dataplane_engine=engine) as it:
        await it.deploy(GUARDED, [CLIENT, SERVER], ["left", "right"], addPnfData=[pnf("plc-7")])
        server = it.member("server-0").resources["compute:box-0"].outputs["nics"][0]["ip"]
        asks = "nc -w 1 {} {} </dev/null"
        await it.hears("client-0", asks.format(server, 80), "hello")
        before = seen()
        await it.hears("client-0", asks.format(server, 80), "hello")
        assert seen() > before
        await it.hears("client-0", asks.format(server, 81), "other")
        await it.run("ns.terminate", it.ns.id, {})
        assert plc.plug in plc.outside()
        assert [*it.node.dataplane.ports(), *it.node.dataplane.intents()] == []
