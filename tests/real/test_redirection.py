"""An application deployed by the management, with an interface of its own on the data plane: nobody declares a port for it. Its
rules become forwarding paths of its network service, through every hop; packets and names are seen from outside."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from scapy.contrib.gtp import GTP_U_Header
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from benchmarks.divert import ip, mac, pair, udp
from skerry.dataplane.intents import Device, Port, Side, Topology, Wire
from skerry.linux import namespaces
from skerry.linux.frames import Tap
from skerry.mep.dns.sockets import free_port
from skerry.packages import build
from skerry.settings import Vim
from skerry.vim.driver import Exec, Placed
from tests.api.rig import Rig, running
from tests.conformance.rigs import RIGS
from tests.mep.test_dns import dig
from tests.serving import served

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("dig"), reason="needs root and dig"),
]
PACKAGE = Path(__file__).parents[2] / "examples" / "mec" / "detour"
NAME, SERVER, UE = "detour.edge.example", "203.0.113.5", "10.45.0.7"
ZIP = {"Content-Type": "application/zip"}
LCM, SUPPORT = "/app_lcm/v1/app_instances", "/mec_app_support/v1/applications"
QUIET = {"net/ipv6/conf/default/disable_ipv6": "1", "net/ipv4/ip_forward": "0"}
LONGEST_S = 20.0


def of_user() -> bytes:
    """A frame of a base station: the first segment of a user's connection, in the user's tunnel."""
    inner = bytes(IP(src=UE, dst=SERVER) / TCP(sport=40_000, dport=80, flags="S"))
    gtp = b"\x30\xff" + len(inner).to_bytes(2) + (4711).to_bytes(4) + inner
    outer = ip("192.0.2.101", "192.0.2.102", 17, udp(2152, 2152, gtp))
    return bytes.fromhex(mac(2).replace(":", "") + mac(1).replace(":", "")) + b"\x08\x00" + outer


class Pier:
    """A node with a real infrastructure and a line from base stations to the core in the middle of it."""

    app = ""

    def __init__(self, rig: Rig, resolver: tuple[str, int], there: str) -> None:
        self.rig, self.client, self.resolver, self.there = rig, rig.client, resolver, there
        self.taps: dict[str, Tap] = {}
        self.seen: dict[str, list[tuple[float, bytes]]] = {"ran": [], "core": []}

    async def wire(self) -> None:
        """The line, and a user who sends without a pause."""
        driver = await self.rig.node.vims.driver("real")
        assert isinstance(driver, Placed)
        here, there = namespaces.place(driver.namespace), namespaces.place(self.there)
        for place in (here, there):
            await asyncio.to_thread(namespaces.pin_new, place, QUIET)
        for number, name in enumerate(self.seen, 1):
            await asyncio.to_thread(pair, here, there, f"v{name}", f"p{name}", mac(number))
        with namespaces.inside(there):
            self.taps = {name: Tap(f"p{name}") for name in self.seen}
        ports = tuple(
            Port(id=name, device="line", side=Side(name.upper()), interface=f"v{name}", mac=mac(number))
            for number, name in enumerate(self.seen, 1)
        )
        plane = self.rig.node.dataplane
        await plane.put_topology(Topology(devices=(Device(id="line", namespace=driver.namespace),), ports=ports))
        await plane.put(Wire(id="through", a="ran", b="core", learn_gtp=True))
        for name, tap in self.taps.items():
            asyncio.get_running_loop().add_reader(tap.socket, self._arrived, name, tap)
        self.flow = asyncio.get_running_loop().create_task(self._flow())
        await self.first("core", 0)

    def _arrived(self, name: str, tap: Tap) -> None:
        now = time.perf_counter()
        self.seen[name] += [(now, frame) for left, frame in tap.frames() if not left]

    async def _flow(self) -> None:
        """The user sends, and sometimes the core: that teaches the identifier that the base station expects."""
        frame, down = of_user(), self._of_core()
        while True:
            self.taps["core"].socket.send(down)
            for _ in range(50):
                self.taps["ran"].socket.send(frame)
                await asyncio.sleep(0.002)

    @staticmethod
    def _of_core() -> bytes:
        down = ip(SERVER, UE, 17, udp(9_001, 40_000, b"from afar"))
        gtp = b"\x30\xff" + len(down).to_bytes(2) + (1174).to_bytes(4) + down
        outer = ip("192.0.2.102", "192.0.2.101", 17, udp(2152, 2152, gtp))
        ends = bytes.fromhex(mac(1).replace(":", "") + mac(2).replace(":", ""))
        return ends + b"\x08\x00" + outer

    async def first(self, name: str, after: float, meant: Callable[[bytes], bool] = bool) -> float:
        """When the first frame of a kind came to a far end after a moment."""
        async with asyncio.timeout(LONGEST_S):
            while True:
                for when, frame in self.seen[name]:
                    if when > after and meant(frame):
                        return when
                await asyncio.sleep(0.001)

    async def only(self, diverted: bool) -> None:
        """From a moment on the core gets all of the flow, or nothing of it."""
        async with asyncio.timeout(LONGEST_S):
            while True:
                since = time.perf_counter()
                await asyncio.sleep(0.1)
                if bool([one for when, one in self.seen["core"] if when > since]) is not diverted:
                    return

    async def deploy(self) -> None:
        """The package goes in and an application of it runs."""
        made = await self.client.post("/app_pkgm/v1/app_packages", json={"appPkgName": "p", "appPkgVersion": "1"})
        content = build(PACKAGE, self.rig.folder / "detour.csar").read_bytes()
        path = f"{made.headers['Location']}/package_content"
        put = await self.client.put(path, content=content, headers=ZIP)
        assert put.status_code == 202, put.text
        id = (await self.client.get(made.headers["Location"])).json()["appDId"]
        self.app = (await self.client.post(LCM, json={"appDId": id})).json()["id"]
        await self.does("instantiate", {})

    async def does(self, task: str, body: Any) -> None:
        answer = await self.client.post(f"{LCM}/{self.app}/{task}", json=body)
        assert answer.status_code == 202, answer.text
        ended = await self.rig.node.engine.wait(answer.headers["Location"].rpartition("/")[2], 60)
        assert ended.state == "COMPLETED", ended.error

    async def inside(self, *arguments: str) -> str:
        """What a command prints in the application's container."""
        node = self.rig.node
        (vnf,) = node.meo.desk.vnfs(node.meo.instance(self.app, tenant="default"))
        (compute,) = (one.spec["name"] for key, one in vnf.resources.items() if key.startswith("compute:"))
        driver = await node.vims.driver("real")
        assert isinstance(driver, Exec)
        done = await driver.exec(compute, arguments)
        assert done.exit_code == 0, done.stderr
        return done.stdout.decode()

    async def paths(self) -> list[dict[str, Any]]:
        """The paths that the NS of the application has, as SOL005 shows them."""
        ns = (await self.client.get(f"{LCM}/{self.app}")).json()["nsInstanceId"]
        graphs = (await self.client.get(f"/nslcm/v2/ns_instances/{ns}")).json()["vnffgInfo"]
        return [nfp for graph in graphs for nfp in graph.get("nfpInfo", ())]

    def hops(self) -> list[tuple[str, str]]:
        """What crossed which reference point, in order."""
        events = self.rig.node.engine.events.since(0, subject=self.app, kind="mec")
        return [(one.name, one.state) for one in events if one.name in ("Mm5", "Mm3*", "Mv1")]

    async def close(self) -> None:
        if self.app and (await self.client.get(f"{LCM}/{self.app}")).json()["instantiationState"] == "INSTANTIATED":
            await self.does("terminate", {"terminationType": "FORCEFUL"})
        self.flow.cancel()
        for tap in self.taps.values():
            asyncio.get_running_loop().remove_reader(tap.socket)
            tap.close()
        plane = self.rig.node.dataplane
        await plane.remove("through")
        for name in self.seen:
            await plane.remove_port(name)
        await plane.remove_device("line")
        namespaces.unpin(namespaces.place(self.there))
        driver = await self.rig.node.vims.driver("real")
        assert isinstance(driver, Placed)
        namespaces.unpin(namespaces.place(driver.namespace))


@pytest.fixture
async def pier(tmp_path: Path) -> AsyncIterator[Pier]:
    if reason := RIGS["LOCAL"].missing():
        pytest.skip(reason)
    tag = f"pr{os.getpid() % 10000}{uuid.uuid4().hex[:4]}"
    port = await asyncio.to_thread(free_port, "", "127.0.0.1")
    vims = (Vim(id="real", type="LOCAL", zone="pier", settings=RIGS["LOCAL"](tmp_path).settings()),)
    names: dict[str, Any] = {"mec_dns": "builtin", "mec_dns_port": port, "mec_zones": {"pier": ("127.0.0.0/8",)}}
    async with running(tmp_path, node=tag, vims=vims, **names) as rig, served(rig) as url:
        (tmp_path / "node" / "client.json").write_text(json.dumps({"endpoint": url, "ca": ""}))
        made = Pier(rig, ("127.0.0.1", port), f"{tag}-there")
        await made.wire()
        yield made
        await made.close()


def answer(frame: bytes) -> bool:
    """Whether a frame is the application's answer to the user's first segment, in the tunnel that leads to him."""
    packet = Ether(frame)
    inner = packet[GTP_U_Header].payload if GTP_U_Header in packet else None
    return (
        inner is not None
        and packet[GTP_U_Header].teid == 1174
        and IP in inner
        and TCP in inner
        and (inner[IP].src, inner[IP].dst, inner[TCP].flags) == (SERVER, UE, "SA")
    )


@pytest.mark.feature("E19", "E43", "B53", "B54", "E103")
async def test_a_deployed_application_has_its_users_without_any_declared_port(pier: Pier) -> None:
    await pier.deploy()
    await pier.only(diverted=True)
    await pier.first("ran", time.perf_counter(), answer)
    (path,) = await pier.paths()
    assert path["cpGroup"] == [{"cpPairInfo": [{"vnfExtCpIds": ["app/users"]}], "forwardingBehaviour": "LB"}]
    assert path["nfpRule"]["destinationPortRange"] == {"lowerPort": 80, "upperPort": 80}
    assert pier.hops()[-4:] == [("Mm5", "ASKED"), ("Mm3*", "ASKED"), ("Mv1", "ASKED"), ("Mv1", "COMPLETED")]
    (address,) = [one.ip for one in pier.rig.node.meo.addresses(pier.app, tenant="default") if one.cpd_id == "users"]
    assert await dig(pier.resolver, NAME) == ["NOERROR", f"5 A {address}"]

    begun = time.perf_counter()
    assert "200 OK" in await pier.inside("sh", "/srv/app.sh", "rule", "s/ACTIVE/INACTIVE/")
    assert await pier.first("core", begun) - begun < 10
    assert await pier.paths() == []
    assert "200 OK" in await pier.inside("sh", "/srv/app.sh", "rule", "s/INACTIVE/ACTIVE/")
    await pier.only(diverted=True)

    nowhere = await pier.inside("sh", "/srv/app.sh", "rule", f"s/{address}/192.0.2.9/")
    assert "409 Conflict" in nowhere
    assert "no port of the data plane leads to 192.0.2.9" in nowhere
    (rule,) = (await pier.client.get(f"{SUPPORT}/{pier.app}/traffic_rules")).json()
    assert (rule["state"], rule["dstInterface"]["dstIpAddress"]) == ("ACTIVE", address)
    await pier.only(diverted=True)

    await pier.does("terminate", {"terminationType": "FORCEFUL"})
    await pier.only(diverted=False)
    assert await dig(pier.resolver, NAME) == ["NXDOMAIN"]
    assert {port.id for port in pier.rig.node.dataplane.ports()} == {"ran", "core"}
    assert [one.id for one in pier.rig.node.dataplane.intents()] == ["through"]
