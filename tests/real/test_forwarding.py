"""A network service with a forwarding path steers real packets between real containers, whichever engine does it."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from skerry.dataplane import catalogue
from skerry.dataplane.driver import EngineContext
from skerry.dataplane.intents import Classifier, Drop, PortRange, Steering
from skerry.engine.clock import SystemClock
from skerry.model.ns import NsInstance
from skerry.model.performance import ObjectType, PmJob
from skerry.model.vnf import VnfInstance
from skerry.settings import Settings, Vim
from skerry.wiring import Node
from tests.conformance.rigs import RIGS, Rig
from tests.nfvo.looking import ns_scale
from tests.nfvo.paths import with_paths
from tests.nfvo.saps import with_saps
from tests.real.conftest import Plant
from tests.vnfm.builder import csar, vnf_folder

pytestmark = pytest.mark.real


def host(id: str, run: str) -> str:
    return f"""
id: {id}
vdus:
  box:
    nics: {{eth: ext}}
    image: 'host:busybox'
    cmd: [sh, -c, '{run}']
    options: {{CAPABILITIES: [NET_ADMIN], GRACE: 0.2 s}}
"""


CLIENT = host("client", "sleep 1000000")
SERVER = host(
    "server",
    "while true; do echo other | nc -l -p 81; done >/dev/null & while true; do echo hello | nc -l -p 80; done >/dev/null",
)
BRIDGE = (
    "brctl addbr b; for i in eth0 eth1; do ifconfig $i 0.0.0.0 up; brctl addif b $i; done; ifconfig b up; sleep 1000000"
)
WALL = f"""
id: wall
vdus:
  box:
    nics: {{left: ext, right: ext}}
    image: 'host:busybox'
    cmd: [sh, -c, '{BRIDGE}']
    options: {{CAPABILITIES: [NET_ADMIN], GRACE: 0.2 s}}
"""
SERVICE = """
id: guarded
vnfs:
  client: {vnfd: client, links: {eth: lan}}
  wall: {vnfd: wall, links: {left: lan, right: lan}, max: 3}
  server: {vnfd: server, links: {eth: lan}}
links: {lan: 10.86.0.0/24}
aspects: {walls: {wall: [1, 2]}}
levels: {start: {client: 1, wall: 1, server: 1}}
"""
RULE = {"ether_type": "ipv4", "protocol": "tcp", "destination_port_range": [80, 80]}
PATHS = {"web": {"over": [["client"], ["wall", "left", "right"], ["server"]], "rules": {"port80": RULE}}}
ENGINES = sorted(set(catalogue.engine_types()) - {"simulated"})


class Guarded(Plant):
    """A node with the service."""

    ns: NsInstance

    async def deploy(self) -> None:
        for vnf in (CLIENT, SERVER, WALL):
            info = await self.node.catalogue.create_vnf_package({})
            await self.node.catalogue.upload_vnf_package(info.id, csar(vnf_folder(vnf)))
        nsd = await self.node.catalogue.create_nsd({})
        await self.node.catalogue.upload_nsd(nsd.id, csar(with_saps(with_paths(SERVICE, PATHS), {"door": "lan"})))
        self.ns = await self.node.nfvo.create("guarded", name="guarded")
        await self.run("ns.instantiate", self.ns.id, {})

    async def clear(self) -> None:
        """Leave nothing, however far it came."""
        driver = await self.driver()
        for compute in await driver.list_compute():
            await driver.delete_compute(compute.name)
        for network in await driver.list_networks():
            await driver.delete_network(network.name)
        await self.node.stop()

    def member(self, name: str) -> VnfInstance:
        return self.node.vnfm.instance(self.node.nfvo.instance(self.ns.id).members[name].vnf_instance_id)

    def address(self, name: str) -> str:
        return str(self.member(name).resources["compute:box-0"].outputs["nics"][0]["ip"])

    async def says(self, port: int, sender: str = "") -> str:
        """What the client hears from the server at a port, from its own or another address; nothing comes back as ""."""
        there, back = self.address("server-0"), sender or self.address("client-0")
        call = f"ip route replace {there} dev eth0 src {back}; nc -w 1 {there} {port} </dev/null || true"
        return await self.sh(self.member("client-0"), "box-0", call)

    async def heard(self, port: int, text: str, sender: str = "") -> None:
        """Once what the client hears is this; the server needs a moment to listen again."""
        async with asyncio.timeout(60):
            while await self.says(port, sender) != text:
                await asyncio.sleep(0.1)

    async def dropped(self) -> float:
        """What a PM job says of segments of the client that a rule drops."""
        plane, ns = self.node.dataplane, f"ns:{self.ns.id}"
        (port,) = [one.id for one in plane.ports() if one.id.startswith(f"{ns}:client-0:")]
        ports = (PortRange(low=81, high=81),)
        classifier = Classifier(ports=(port,), eth_type=0x0800, proto=6, dst_ports=ports)
        await plane.put(Steering(id="drops", owner="drops", classifier=classifier, actions=(Drop(),), priority=900))
        client = self.member("client-0")
        wished = PmJob(
            id="",
            api="vnfpm",
            object_type=ObjectType.VNF,
            objects=(client.id,),
            metrics=("PacketDropped",),
            collection_s=1,
            reporting_s=1,
        )
        job = await self.node.performance.create_job(wished, None)
        found = 0.0
        async with asyncio.timeout(60):
            while not found:
                assert await self.says(81) == ""
                reports = self.node.performance.reports(job)
                found = sum(one.value for report in reports for one in self.node.performance.report(job, report.id))
        await self.node.performance.delete_job(job.id, "vnfpm", tenant="")
        await plane.remove("drops")
        return found

    async def seen(self, wall: str) -> int:
        """Frames that a wall has received from its left side."""
        return int(await self.sh(self.member(wall), "box-0", "cat /sys/class/net/eth0/statistics/rx_packets"))


@pytest.fixture(params=ENGINES)
async def guarded(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Guarded]:
    if reason := RIGS["LOCAL"].missing():
        pytest.skip(reason)
    engine: str = request.param
    context = EngineContext(node="look", data_dir=tmp_path, clock=SystemClock())
    if reason := catalogue.load(engine)(context).capabilities().missing:
        pytest.skip(f"{engine}: {reason}")
    rig: Rig = RIGS["LOCAL"](tmp_path)
    name = f"fw{os.getpid() % 10000}{uuid.uuid4().hex[:4]}"
    vim = Vim(id="real", type="LOCAL", settings=rig.settings())
    node = Node(Settings(data_dir=tmp_path / "node", node=name, vims=(vim,), dataplane_engine=engine))
    await node.start()
    made = Guarded(node, rig, tmp_path)
    try:
        await made.deploy()
    except BaseException:
        await made.clear()
        rig.stop()
        raise
    yield made
    node = made.node
    await made.run("ns.terminate", made.ns.id, {})
    left = [*node.dataplane.ports(), *node.dataplane.intents(), *node.dataplane.devices()]
    await node.stop()
    rig.stop()
    assert left == []
    assert list(rig.leftovers(name)) == []


@pytest.mark.feature("A36", "A57", "E71", "E101", "E107")
async def test_only_what_the_rule_names_passes_the_function(guarded: Guarded) -> None:
    await guarded.heard(80, "hello")
    before = await guarded.seen("wall-0")
    await guarded.heard(80, "hello")
    assert await guarded.seen("wall-0") > before
    states = {view.state for view in await guarded.node.dataplane.rules() if "nfp" in view.rule.owner}
    assert states == {"VERIFIED"}
    await guarded.sh(guarded.member("wall-0"), "box-0", "ifconfig b down")  # now nothing gets through the wall
    assert await guarded.says(80) == ""
    await guarded.heard(81, "other")
    await guarded.sh(guarded.member("wall-0"), "box-0", "ifconfig b up")
    await guarded.heard(80, "hello")
    assert await guarded.dropped() > 0


@pytest.mark.feature("A57", "E98")
async def test_functions_come_and_go_and_heal_under_the_path(guarded: Guarded) -> None:
    await guarded.run("ns.scale", guarded.ns.id, ns_scale("SCALE_OUT", "walls"))
    before = {wall: await guarded.seen(wall) for wall in ("wall-0", "wall-1")}
    async with asyncio.timeout(60):  # each flow takes one of the two by chance
        while any([await guarded.seen(wall) == count for wall, count in before.items()]):
            await guarded.heard(80, "hello")
    await guarded.run("ns.scale", guarded.ns.id, ns_scale("SCALE_IN", "walls"))
    await guarded.heard(80, "hello")
    vnf = guarded.member("wall-0")
    await guarded.run("vnf.heal", vnf.id, {"vnfcInstanceId": ["box-0"]})
    await guarded.heard(80, "hello")
    assert await guarded.seen("wall-0") > 0


@pytest.mark.feature("A57")
async def test_what_enters_at_an_added_access_point_is_led(guarded: Guarded) -> None:
    """The client has the address of a machine at the access point besides its own: only what comes from there is led."""
    there = "10.86.0.77"
    over = {"ipAddresses": [{"type": "IPV4", "fixedAddresses": [there]}]}
    door = {
        "sapdId": "door",
        "sapName": "customers",
        "description": "",
        "sapProtocolData": [{"layerProtocol": "IP_OVER_ETHERNET", "ipOverEthernet": over}],
    }
    await guarded.run("ns.update", guarded.ns.id, {"updateType": "ADD_SAP", "addSap": [door]})
    await guarded.sh(guarded.member("client-0"), "box-0", f"ifconfig eth0:1 {there} netmask 255.255.255.0")
    await guarded.heard(81, "other", there)
    for down in ("down", "up"):  # no path leads it yet
        await guarded.sh(guarded.member("wall-0"), "box-0", f"ifconfig b {down}")
        await guarded.heard(81, "other", there)
    ways = (["sapIds", ["door-2"]], ["vnfExtCpIds", ["wall/left", "wall/right"]], ["vnfExtCpIds", ["server/eth"]])
    path = {
        "nfpName": "customers",
        "cpGroup": [{"cpPairInfo": [{str(kind): ids}]} for kind, ids in ways],
        "nfpRule": {"protocol": "TCP", "destinationPortRange": {"lowerPort": 81, "upperPort": 81}},
    }
    update = {"updateType": "UPDATE_VNFFG", "updateVnffg": [{"vnffgInfoId": "graph", "nfp": [path]}]}
    await guarded.run("ns.update", guarded.ns.id, update)
    before = await guarded.seen("wall-0")
    await guarded.heard(81, "other", there)
    assert await guarded.seen("wall-0") > before
    await guarded.sh(guarded.member("wall-0"), "box-0", "ifconfig b down")
    assert await guarded.says(81, there) == ""
    await guarded.heard(81, "other")  # its own address is not at the access point
    await guarded.sh(guarded.member("wall-0"), "box-0", "ifconfig b up")
    await guarded.heard(81, "other", there)


@pytest.mark.feature("A57", "A87")
async def test_packets_go_on_while_no_node_runs_and_after_it_is_back(guarded: Guarded) -> None:
    await guarded.heard(80, "hello")
    await guarded.node.stop()
    guarded.node = Node(guarded.node.settings)
    await guarded.node.start()
    await guarded.heard(80, "hello")
