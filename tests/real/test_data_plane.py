"""A node as a process with real interfaces: the three scenarios for tunnelled and plain traffic, and a node that is killed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scapy.contrib.gtp import GTP_U_Header
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Packet

from skerry.dataplane.hosting import Hosting
from skerry.dataplane.intents import (
    Classifier,
    Device,
    Forward,
    GtpClassifier,
    Port,
    Reinsert,
    Side,
    Steering,
    Topology,
    Way,
    Wire,
)
from skerry.dataplane.records import Forgetful
from skerry.dataplane.service import DataPlane
from skerry.engine.clock import SystemClock
from skerry.linux import namespaces
from skerry.linux.frames import Tap
from tests.cli.conftest import Served, start, stop
from tests.conformance.dataplane_rigs import PORTS, RealRig, lacking
from tests.dataplane.gtp.test_tracking import UE, pdp_context

pytestmark = pytest.mark.real
RAN, CORE, APP = 1, 2, 3
A, B, APP_MAC = "02:00:00:00:00:0a", "02:00:00:00:00:0b", "02:00:00:00:00:55"
NAMES = {1: "ran", 2: "core", 3: "app", 4: "in", 5: "out"}


class Site:
    """Five interfaces of a namespace, their far ends, and a node."""

    def __init__(self, folder: Path, engine: str) -> None:
        self.folder, self.engine = folder, engine
        self.tag = f"site{engine[:2]}{time.monotonic_ns() % 10**6}"
        near, far = (namespaces.place(f"{self.tag}-{end}") for end in "nf")
        quiet = {"net/ipv6/conf/default/disable_ipv6": "1", "net/ipv6/conf/all/disable_ipv6": "1"}
        for place in (near, far):
            namespaces.pin_new(place, quiet)
        for number in PORTS:
            RealRig._pair(near, far, number)
        with namespaces.inside(far):
            self.taps = {number: Tap(f"f{number}") for number in PORTS}
        self.process = start(folder)
        self.node = Served(folder, self.process)

    def topology(self) -> dict[str, Any]:
        sides = {1: "RAN", 2: "CORE", 3: "HOST"}
        ports = [
            {
                "id": name,
                "device": "gate",
                "side": sides.get(number, "VNFC"),
                "interface": f"n{number}",
                "number": number,
                **({"mac": APP_MAC} if number == APP else {}),
            }
            for number, name in NAMES.items()
        ]
        device = {"id": "gate", "engine": self.engine, "namespace": f"{self.tag}-n"}
        return {"devices": [device], "ports": ports}

    def put(self, *intents: dict[str, Any]) -> None:
        file = self.folder / "intents.json"
        file.write_text(json.dumps({"intents": intents}))
        self.node("dataplane", "put", str(file))

    def lay(self) -> None:
        file = self.folder / "topology.json"
        file.write_text(json.dumps(self.topology()))
        self.node("dataplane", "topology", str(file))
        self.put({"kind": "WIRE", "id": "line", "a": "ran", "b": "core", "learn_gtp": self.engine == "ebpf"})

    def send(self, port: int, packet: Packet | bytes) -> list[tuple[int, bytes]]:
        """What comes out anywhere."""
        for tap in self.taps.values():
            list(tap.frames())
        self.taps[port].socket.send(bytes(packet))
        found: list[tuple[int, bytes]] = []
        limit = time.monotonic() + 0.5
        while time.monotonic() < limit and not found:
            time.sleep(0.003)
            found = [(n, frame) for n, tap in self.taps.items() for left, frame in tap.frames() if not left]
        time.sleep(0.01)
        found += [(n, frame) for n, tap in self.taps.items() for left, frame in tap.frames() if not left]
        return found

    def ports(self, port: int, packet: Packet | bytes) -> list[str]:
        return sorted(NAMES[out] for out, _ in self.send(port, packet))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def restart(self) -> None:
        self.process = start(self.folder)
        self.node = Served(self.folder, self.process)

    def reset(self) -> None:
        """Only the line is left."""
        for kinds in ("STEERING", "NEXTHOP"), ("CHAIN",):
            for intent in self.node.json("dataplane", "intents"):
                if intent["kind"] in kinds:
                    self.node("dataplane", "delete", "intent", intent["id"])

    def end(self) -> None:
        self.node("dataplane", "delete", "intent", "line")
        for name in NAMES.values():
            self.node("dataplane", "delete", "port", name)
        self.node("dataplane", "delete", "device", "gate")
        assert stop(self.process) == 0

    def clear(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        for tap in self.taps.values():
            tap.close()
        for end in "nf":
            namespaces.unpin(namespaces.place(f"{self.tag}-{end}"))


@pytest.fixture(params=["ebpf", "ovs"], scope="module")
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    reason = lacking(request.param)
    if reason:
        pytest.skip(f"{request.param}: {reason}")
    made = Site(tmp_path_factory.mktemp(request.param), request.param)
    try:
        made.lay()
        yield made
        made.end()
    finally:
        made.clear()


@pytest.fixture
def site(shared: Site) -> Iterator[Site]:
    yield shared
    shared.reset()


def web(sport: int, *, vlan: int = 0) -> Packet:
    tagged = Ether(src=A, dst=B) / Dot1Q(vlan=vlan) if vlan else Ether(src=A, dst=B)
    return tagged / IP(src="10.45.0.2", dst="10.9.0.10") / TCP(sport=sport, dport=80) / b"GET"


def tunnelled(sport: int, *, up: bool = True, teid: int = 0x11) -> Packet:
    ends, macs = (("10.1.0.1", "10.1.0.2"), (A, B)) if up else (("10.1.0.2", "10.1.0.1"), (B, A))
    outer = Ether(src=macs[0], dst=macs[1]) / IP(src=ends[0], dst=ends[1]) / UDP(sport=2152, dport=2152, chksum=0)
    inner = IP(src="10.45.0.2", dst="10.9.0.10") / TCP(sport=sport, dport=80)
    back = IP(src="10.9.0.10", dst="10.45.0.2") / TCP(sport=80, dport=sport)
    return outer / GTP_U_Header(teid=teid, gtp_type=255) / (inner if up else back)


def scenario(classifier: dict[str, Any], *actions: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "STEERING", "id": "scenario", "classifier": classifier, "actions": list(actions), "sticky_s": 60}


@pytest.mark.feature("E100", "E102", "E103", "E104", "E105")
@pytest.mark.parametrize("vlan", [0, 7])
def test_scenarios_of_plain_traffic_are_switched_under_flows(site: Site, vlan: int) -> None:
    base = 1000 + 100 * vlan
    seen = {"ports": ["ran"], "eth_src": A, "vlan": vlan, "ip_src": "10.45.0.0/16", "proto": 6}
    assert site.send(RAN, web(base + 1, vlan=vlan)) == [(CORE, bytes(web(base + 1, vlan=vlan)))]
    chain = {
        "kind": "CHAIN",
        "id": "first",
        "exit": "core",
        "hops": [{"functions": [{"id": "f", "ingress": "in", "egress": "out"}]}],
    }
    site.put(chain, scenario(seen, {"type": "FORWARD", "port": "core"}))
    assert site.ports(RAN, web(base + 1, vlan=vlan)) == ["core"]
    site.put(scenario(seen, {"type": "FORWARD", "port": "app"}))
    assert [site.ports(RAN, web(base + flow, vlan=vlan)) for flow in (1, 2)] == [["core"], ["app"]]
    site.put(scenario(seen, {"type": "STEER", "chain": "first"}))
    assert [site.ports(RAN, web(base + flow, vlan=vlan)) for flow in (1, 2, 3)] == [["core"], ["app"], ["in"]]
    assert site.send(5, web(base + 3, vlan=vlan)) == [(CORE, bytes(web(base + 3, vlan=vlan)))]
    site.put(scenario(seen, {"type": "FORWARD", "port": "core"}))
    assert [site.ports(RAN, web(base + flow, vlan=vlan)) for flow in (2, 3, 4)] == [["app"], ["in"], ["core"]]


@pytest.mark.feature("C39", "E43", "E103", "E104", "E109")
def test_scenarios_of_tunnelled_traffic(site: Site) -> None:
    if site.engine != "ebpf":
        pytest.skip(f"{site.engine} does not look into GTP-U")
    assert site.ports(RAN, tunnelled(1)) == ["core"]
    assert site.ports(CORE, tunnelled(1, up=False, teid=0x22)) == ["ran"]
    inside = {"ports": ["ran"], "gtp": {"inner_dst": "10.9.0.0/16", "inner_proto": 6}}
    site.put(scenario(inside, {"type": "FORWARD", "port": "core"}))
    assert site.ports(RAN, tunnelled(1)) == ["core"]
    back = {"ports": ["app"], "ip_dst": "10.45.0.0/16"}
    forth = {"ports": ["app"], "ip_src": "10.45.0.0/16"}
    again = [{"type": "REWRITE", "dscp": 46}, {"type": "REINSERT", "port": "core", "way": "UP"}]
    site.put(
        scenario(inside, {"type": "FORWARD", "port": "app", "decapsulated": True}),
        {**scenario(back, {"type": "REINSERT", "port": "ran", "way": "DOWN"}), "id": "back", "sticky_s": 0},
        {**scenario(forth, *again), "id": "forth", "sticky_s": 0},
    )
    assert site.ports(RAN, tunnelled(1)) == ["core"]  # it was there before
    ((port, taken),) = site.send(RAN, tunnelled(2))
    plain = Ether(taken)
    assert (port, plain.dst, bytes(plain[IP])) == (APP, APP_MAC, bytes(tunnelled(2)[GTP_U_Header].payload))
    ((port, answer),) = site.send(
        APP, Ether(src=APP_MAC, dst=plain.src) / IP(src="10.9.0.10", dst="10.45.0.2") / TCP(sport=80, dport=2)
    )
    assert (port, Ether(answer)[GTP_U_Header].teid, Ether(answer)[IP].dst) == (RAN, 0x22, "10.1.0.1")
    ((port, put_back),) = site.send(APP, taken)
    read = Ether(put_back)
    assert (port, read[GTP_U_Header].teid, read[IP].dst) == (CORE, 0x11, "10.1.0.2")
    assert IP(bytes(read[GTP_U_Header].payload)).tos >> 2 == 46
    other = tunnelled(9)
    other[IP:2].dst = "8.8.8.8"
    assert site.ports(RAN, other) == ["core"]


@pytest.mark.feature("E46", "E102")
def test_a_killed_node_forwards_and_its_next_start_finds_all(site: Site) -> None:
    site.put(
        {
            "kind": "STEERING",
            "id": "s",
            "classifier": {"ports": ["ran"], "proto": 6},
            "actions": [{"type": "FORWARD", "port": "app"}],
        }
    )
    states = {rule["state"] for rule in site.node.json("dataplane", "rules", "--intent", "s")}
    assert states == {"VERIFIED"}
    assert site.ports(RAN, web(1)) == ["app"]
    site.kill()
    assert site.ports(RAN, web(2)) == ["app"]
    assert site.ports(CORE, web(2)) == ["ran"]
    site.restart()
    (device,) = site.node.json("dataplane", "devices")
    assert (device["engine"], device["served"], device.get("trouble", "")) == (site.engine, True, "")
    rules = site.node.json("dataplane", "rules", "--intent", "s")
    assert sum(rule.get("packets", 0) for rule in rules) >= 2  # it counted on while nobody was there
    assert "VERIFIED" in {rule["state"] for rule in rules}
    traced = site.node.json("path", "trace", "ran", "--field", "ip_proto=6", "--field", "l4_dst=80")
    assert [one["port"] for one in traced["outputs"]] == ["app"]
    shown = site.node("path", "trace", "ran", "--field", "ip_proto=17").stdout
    assert "line: in_port=1 -> output(port=2)" in shown
    assert site.ports(RAN, web(3)) == ["app"]
    for command in ("devices", "ports", "links", "intents", "rules", "chains"):
        assert site.node("dataplane", command).exit_code == 0
    site.node("dataplane", "next", "app", "--match", "udp", "--to", "core")
    assert site.node.json("dataplane", "next", "app")[0]["next"] == "core"
    assert site.ports(APP, Ether(src=A, dst=B) / IP() / UDP()) == ["core"]
    site.node("dataplane", "next", "app", "--delete")
    assert site.ports(APP, Ether(src=A, dst=B) / IP() / UDP()) == []
    graph = json.loads(site.node("dataplane", "graph").stdout)
    assert {"port"} <= {node["type"] for node in graph["nodes"]}


@pytest.mark.feature("E110", "E46")
async def test_a_device_moves_to_the_engine_that_can_do_what_is_asked(tmp_path: Path) -> None:
    for engine in ("ovs", "ebpf"):
        if lacking(engine):
            pytest.skip(lacking(engine))
    rig = RealRig("ebpf", tmp_path)
    rig._wire()
    ports = [Port(id=f"p{n}", device="d", number=n, side=Side.HOST, interface=f"n{n}", mac=APP_MAC) for n in (1, 2, 3)]
    plane = DataPlane(Forgetful(), Hosting(rig.node, tmp_path, SystemClock(), "ovs"), SystemClock())
    await plane.start()
    try:
        device = Device(id="d", namespace=rig.spec.namespace)
        await plane.put_topology(Topology(devices=(device,), ports=tuple(ports)))
        await plane.put(Wire(id="w", a="p1", b="p2"))
        assert [view.engine for view in plane.devices()] == ["ovs"]
        assert [port for port, _ in await rig.send(1, bytes(web(1)))] == [2]
        inside = Classifier(ports=("p1",), gtp=GtpClassifier(inner_dst="10.9.0.0/16"))
        await plane.put(Steering(id="s", classifier=inside, actions=(Forward(port="p3", decapsulated=True),)))
        assert [view.engine for view in plane.devices()] == ["ebpf"]
        assert [port for port, _ in await rig.send(1, bytes(web(2)))] == [2]
        ((port, taken),) = await rig.send(1, bytes(tunnelled(1)))
        assert (port, bytes(Ether(taken)[IP])) == (3, bytes(tunnelled(1)[GTP_U_Header].payload))
        await plane.remove("s", "w")
        for one in ports:
            await plane.remove_port(one.id)
        await plane.remove_device("d")
        assert plane.devices() == []
    finally:
        await plane.stop()
        for tap in rig.taps.values():
            tap.close()
        for end in "nf":
            namespaces.unpin(namespaces.place(f"{rig.node}-{end}"))


@pytest.mark.feature("C39", "E43")
async def test_tunnels_are_read_from_the_control_plane_on_a_wire(tmp_path: Path) -> None:
    if lacking("ebpf"):
        pytest.skip(lacking("ebpf"))
    rig = RealRig("ebpf", tmp_path)
    rig._wire()
    ports = [
        Port(id=f"p{n}", device="d", number=n, side=Side.HOST, interface=f"n{n}", mac=mac)
        for n, mac in ((1, A), (2, B), (3, A))
    ]
    plane = DataPlane(Forgetful(), Hosting(rig.node, tmp_path, SystemClock(), "ebpf"), SystemClock())
    await plane.start()
    try:
        await plane.put_topology(Topology(devices=(Device(id="d", namespace=rig.spec.namespace),), ports=tuple(ports)))
        back = Steering(
            id="back",
            classifier=Classifier(ports=("p3",), eth_type=0x800),
            actions=(Reinsert(port="p1", way=Way.DOWN),),
        )
        await plane.put(Wire(id="w", a="p1", b="p2", snoop_gtp=True), back)
        answer = bytes(Ether(src=APP_MAC, dst=A) / IP(src="10.9.0.10", dst=UE) / TCP())
        assert await rig.send(3, answer, expect=0) == []
        for number, said in zip((1, 2), pdp_context(1, 0x11, 0x22), strict=True):
            packet = Ether() / IP(src=said.source, dst=said.target) / UDP(sport=2123, dport=2123) / said.data
            assert [port for port, _ in await rig.send(number, bytes(packet))] == [3 - number]
        for _ in range(100):
            left = await rig.send(3, answer, expect=0)
            if left:
                break
        ((port, sent),) = left
        assert (port, Ether(sent)[GTP_U_Header].teid, Ether(sent).dst) == (1, 0x22, A)
        await plane.remove("w", "back")
        for one in ports:
            await plane.remove_port(one.id)
        await plane.remove_device("d")
    finally:
        await plane.stop()
        for tap in rig.taps.values():
            tap.close()
        for end in "nf":
            namespaces.unpin(namespaces.place(f"{rig.node}-{end}"))
