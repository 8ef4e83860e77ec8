"""Traffic rules become intents: every parameter and action, and what real frames do then on the simulated engine."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.contrib.gtp import GTP_U_Header
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether

from skerry.dataplane.hosting import Hosting
from skerry.dataplane.intents import Device, Drop, Duplicate, Forward, Pass, Port, Reinsert, Side, Way, Wire
from skerry.dataplane.records import DeviceRecord, Forgetful
from skerry.dataplane.service import DataPlane
from skerry.engine.clock import SystemClock
from skerry.errors import InvalidError, UnsupportedError
from skerry.mep.plane import PlaneSteering
from skerry.mep.translate import reverse, steerings
from skerry.model.mec import App, AppInfo, TrafficRule
from tests.api.test_mec011 import traffic

APP = App(id="app-1", info=AppInfo(app_name="video"), ports=("app",))
MAC = "02:00:00:00:00:0{}"
PORTS = (
    Port(id="ran", device="edge", side=Side.RAN, number=1, mac=MAC.format(1), ips=("192.0.2.1",)),
    Port(id="core", device="edge", side=Side.CORE, number=2, mac=MAC.format(2), ips=("192.0.2.2",)),
    Port(id="app", device="edge", side=Side.VNFC, number=3, mac=MAC.format(3), ips=("10.0.0.9/24",)),
)
PLAIN = (*(msgspec.structs.replace(port, side=Side.HOST) for port in PORTS[:2]), PORTS[2])


def rule(**changes: Any) -> TrafficRule:
    whole = {**traffic(), **changes}
    return msgspec.convert({key: value for key, value in whole.items() if value is not None}, TrafficRule)


def filtered(ports: tuple[Port, ...] = PLAIN, action: str = "DROP", **parts: Any) -> list[dict[str, Any]]:
    """The classifiers of a rule with one filter, as plain values."""
    made = steerings(rule(filterType="PACKET", action=action, trafficFilter=[parts]), APP, ports)
    return [unnamed(one) for one in made]


def plain(one: Any) -> dict[str, Any]:
    """The classifier of an intent as it is written."""
    return dict(msgspec.json.decode(msgspec.json.encode(one.classifier)))


def unnamed(one: Any) -> dict[str, Any]:
    """The same without the ports."""
    return {name: value for name, value in plain(one).items() if name != "ports"}


@pytest.mark.feature("B53", "E105")
@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"srcAddress": ["10.45.0.7"]}, [{"ip_src": "10.45.0.7/32"}]),
        ({"srcAddress": ["10.45.0.7/16"]}, [{"ip_src": "10.45.0.0/16"}]),
        ({"srcAddress": ["10.45.0.0/255.255.0.0"]}, [{"ip_src": "10.45.0.0/16"}]),
        ({"dstAddress": ["10.0.0.0-10.0.0.3"]}, [{"ip_dst": "10.0.0.0/30"}]),
        ({"dstAddress": ["fd00::/8"]}, [{"ip_dst": "fd00::/8"}]),
        ({"srcAddress": ["1.1.1.1", "2.2.2.2"]}, [{"ip_src": "1.1.1.1/32"}, {"ip_src": "2.2.2.2/32"}]),
        ({"dstPort": ["80", "8000-8080"]}, [{"dst_ports": [{"low": 80, "high": 80}, {"low": 8000, "high": 8080}]}]),
        ({"protocol": ["TCP", "17"]}, [{"proto": 6}, {"proto": 17}]),
        ({"tag": ["vlan:7"]}, [{"vlan": 7}]),
        ({"tag": ["7"]}, [{"vlan": 7}]),
        ({"dSCP": 46}, [{"dscp": 46}]),
        ({"tC": 184}, [{"dscp": 46}]),
        ({}, [{}]),
    ],
)
def test_every_parameter_of_a_plain_filter(parts: dict[str, Any], expected: list[dict[str, Any]]) -> None:
    assert filtered(**parts) == expected


@pytest.mark.feature("E105", "E106")
@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"tag": ["teid:4711"]}, {"gtp": {"teid": 4711}}),
        ({"qCI": 9}, {"gtp": {"qfi": 9}}),
        ({"srcTunnelAddress": ["192.0.2.7"]}, {"ip_src": "192.0.2.7/32", "gtp": {}}),
        ({"tgtTunnelAddress": ["192.0.2.8"]}, {"ip_dst": "192.0.2.8/32", "gtp": {}}),
        (
            {"tgtTunnelAddress": ["192.0.2.8"], "dstTunnelPort": ["2152"]},
            {"ip_dst": "192.0.2.8/32", "dst_ports": [{"low": 2152, "high": 2152}], "gtp": {}},
        ),
        (
            {"qCI": 1, "srcAddress": ["10.45.0.7"], "dstPort": ["80"], "protocol": ["UDP"], "dSCP": 1},
            {
                "gtp": {
                    "qfi": 1,
                    "inner_src": "10.45.0.7/32",
                    "inner_proto": 17,
                    "inner_dscp": 1,
                    "inner_dst_ports": [{"low": 80, "high": 80}],
                }
            },
        ),
    ],
)
def test_every_parameter_of_a_tunnel(parts: dict[str, Any], expected: dict[str, Any]) -> None:
    assert filtered(**parts) == [expected]


def test_where_there_are_base_stations_decapsulation_looks_inside() -> None:
    inside = {"gtp": {"inner_src": "10.45.0.7/32"}}
    assert filtered(PORTS, "DUPLICATE_DECAPSULATED", srcAddress=["10.45.0.7"]) == [inside]
    assert filtered(PORTS, "DROP", srcAddress=["10.45.0.7"]) == [{"ip_src": "10.45.0.7/32"}]


@pytest.mark.feature("B53", "E106")
@pytest.mark.parametrize(
    ("action", "interface", "expected"),
    [
        ("DROP", None, (Drop(),)),
        ("PASSTHROUGH", None, (Pass(),)),
        (
            "FORWARD_DECAPSULATED",
            {"interfaceType": "IP", "dstIpAddress": "10.0.0.9"},
            (Forward(port="app", decapsulated=True),),
        ),
        ("FORWARD_DECAPSULATED", None, (Forward(port="app", decapsulated=True),)),
        ("FORWARD_ENCAPSULATED", {"interfaceType": "MAC", "dstMacAddress": MAC.format(3)}, (Forward(port="app"),)),
        ("FORWARD_AS_IS", None, (Forward(port="app"),)),
        ("DUPLICATE_DECAPSULATED", None, (Duplicate(port="app", decapsulated=True), Pass())),
        ("DUPLICATE_ENCAPSULATED", None, (Duplicate(port="app"), Pass())),
        ("DUPLICATE_AS_IS", None, (Duplicate(port="app"), Pass())),
        (
            "FORWARD_ENCAPSULATED",
            {"interfaceType": "TUNNEL", "tunnelInfo": {"tunnelType": "GTP_U", "tunnelDstAddress": "192.0.2.2"}},
            (Reinsert(port="core", way=Way.UP),),
        ),
        (
            "FORWARD_ENCAPSULATED",
            {"interfaceType": "TUNNEL", "tunnelInfo": {"tunnelType": "GTP-U", "tunnelDstAddress": "192.0.2.1"}},
            (Reinsert(port="ran", way=Way.DOWN),),
        ),
    ],
)
def test_every_action(action: str, interface: dict[str, Any] | None, expected: tuple[Any, ...]) -> None:
    made = steerings(rule(action=action, dstInterface=interface), APP, PORTS)
    assert made[0].actions == expected


def test_a_flow_is_both_directions_and_answers_go_back_into_the_tunnel() -> None:
    made = steerings(rule(), APP, PORTS)
    assert [plain(one) for one in made] == [
        {"ports": ["ran", "core"], "gtp": {"inner_src": "10.45.0.0/16", "inner_dst_ports": [{"low": 80, "high": 80}]}},
        {"ports": ["ran", "core"], "gtp": {"inner_dst": "10.45.0.0/16", "inner_src_ports": [{"low": 80, "high": 80}]}},
        {"ports": ["app"], "ip_dst": "10.45.0.0/16", "src_ports": [{"low": 80, "high": 80}]},
    ]
    assert made[2].actions == (Reinsert(port="ran", way=Way.DOWN),)
    assert len(steerings(rule(filterType="PACKET"), APP, PORTS)) == 2


def test_zero_is_the_highest_priority() -> None:
    priorities = [steerings(rule(priority=number), APP, PORTS)[0].priority for number in (0, 1, 255)]
    assert priorities == sorted(priorities, reverse=True)
    assert priorities[-1] > 500, "over what others ask for without a priority of their own"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"trafficFilter": [{"srcAddress": ["nowhere"]}]}, "nowhere"),
        ({"trafficFilter": [{"srcAddress": ["10.0.0.9-10.0.0.1"]}]}, "cannot use a filter"),
        ({"trafficFilter": [{"srcAddress": ["10.0.0.9-fd00::1"]}]}, "two families"),
        ({"trafficFilter": [{"dstPort": ["70000"]}]}, "70000"),
        ({"trafficFilter": [{"dstPort": ["http"]}]}, "cannot use a filter"),
        ({"trafficFilter": [{"protocol": ["pigeon"]}]}, "pigeon"),
        ({"trafficFilter": [{"tag": ["gold"]}]}, "gold"),
        ({"trafficFilter": [{"qCI": 70}]}, "qCI"),
        ({"dstInterface": {"interfaceType": "IP", "dstIpAddress": "10.9.9.9"}}, "10.9.9.9"),
        (
            {"trafficFilter": [{"srcAddress": ["0.0.0.1-255.255.255.254"], "dstAddress": ["0.0.0.1-255.255.255.254"]}]},
            "combine to",
        ),
    ],
)
def test_what_means_nothing_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidError, match=words):
        steerings(rule(**changes), APP, PORTS)


def test_tunnels_that_nobody_makes_are_refused() -> None:
    gre = {"interfaceType": "TUNNEL", "tunnelInfo": {"tunnelType": "GRE", "tunnelDstAddress": "192.0.2.2"}}
    with pytest.raises(UnsupportedError, match="GRE"):
        steerings(rule(dstInterface=gre), APP, PORTS)


addresses = st.ip_addresses(v=4).map(str)


@given(st.tuples(addresses, addresses).map(lambda pair: sorted(pair, key=ip_address)), addresses)
def test_a_range_means_exactly_its_addresses(ends: list[str], probe: str) -> None:
    parts = filtered(srcAddress=["-".join(ends)])
    inside = any(ip_address(probe) in ip_network(part["ip_src"]) for part in parts)
    assert inside == (ip_address(ends[0]) <= ip_address(probe) <= ip_address(ends[1]))


@given(st.lists(addresses, max_size=2), st.lists(addresses, max_size=2))
def test_the_reverse_of_the_reverse_is_the_same(sources: list[str], targets: list[str]) -> None:
    for one in steerings(rule(trafficFilter=[{"srcAddress": sources, "dstAddress": targets}]), APP, PORTS):
        assert reverse(reverse(one.classifier)) == one.classifier


# -- on a data plane ------------------------------------------------------------------------------------------------------


@pytest.fixture
async def plane(tmp_path: Path) -> AsyncGenerator[DataPlane]:
    made = DataPlane(Forgetful(), Hosting("test", tmp_path, SystemClock(), preferred="simulated"), SystemClock())
    await made.start()
    async with made.changing() as draft:
        draft.devices["edge"] = DeviceRecord(device=Device(id="edge", engine="simulated"))
        draft.ports.update({port.id: port for port in PORTS})
    await made.put(Wire(id="line", a="ran", b="core", learn_gtp=True))
    yield made
    await made.stop()


def uplink(ue: str = "10.45.0.7", port: int = 80) -> bytes:
    """A packet of a UE in its tunnel, as a base station sends it."""
    outer = Ether(src=MAC.format(8), dst=MAC.format(9)) / IP(src="192.0.2.101", dst="192.0.2.102") / UDP(dport=2152)
    return bytes(outer / GTP_U_Header(teid=4711) / IP(src=ue, dst="203.0.113.5") / TCP(dport=port))


async def left(plane: DataPlane, port: str, frame: bytes) -> dict[str, bytes]:
    """The frames that leave, by port."""
    number = next(one.number for one in PORTS if one.id == port)
    probed = await plane._hosting.engine_of("edge").probe("edge", number, frame)
    names = {one.number: one.id for one in PORTS}
    return {names[out.port]: out.frame for out in probed.outputs}


@pytest.mark.feature("B53", "E106", "E108")
async def test_frames_go_where_the_rule_says_and_back_when_it_is_gone(plane: DataPlane) -> None:
    steering = PlaneSteering(plane)
    assert (await left(plane, "ran", uplink())).keys() == {"core"}
    proof = await steering.put(APP, [rule()])
    assert proof == {"t1": True}
    out = await left(plane, "ran", uplink())
    assert out.keys() == {"app"}
    packet = Ether(out["app"])
    assert (packet.dst, packet[IP].src, packet[TCP].dport) == (MAC.format(3), "10.45.0.7", 80)
    assert GTP_U_Header not in packet
    assert (await left(plane, "ran", uplink(port=443))).keys() == {"core"}
    await steering.put(APP, [rule(action="DUPLICATE_ENCAPSULATED", trafficFilter=[{"tag": ["teid:4711"]}])])
    out = await left(plane, "ran", uplink())
    assert out == {"app": uplink(), "core": uplink()}
    await steering.put(APP, [rule(action="DROP", trafficFilter=[{"tag": ["teid:4711"]}])])
    assert await left(plane, "ran", uplink()) == {}
    assert await steering.owners() == [APP.id]
    await steering.remove(APP.id)
    assert await steering.owners() == []
    assert await left(plane, "ran", uplink()) == {"core": uplink()}


async def test_the_rules_of_a_tenant_concern_shared_ports(plane: DataPlane) -> None:
    steering = PlaneSteering(plane)
    await steering.put(msgspec.structs.replace(APP, tenant="blue"), [rule()])
    assert (await left(plane, "ran", uplink())).keys() == {"app"}


async def test_of_two_rules_the_one_with_the_lower_number_decides(plane: DataPlane) -> None:
    steering = PlaneSteering(plane)
    tunnel = [{"tag": ["teid:4711"]}]
    drop, let = rule(action="DROP", trafficFilter=tunnel, priority=5), rule(action="PASSTHROUGH", trafficFilter=tunnel)
    let = msgspec.structs.replace(let, traffic_rule_id="let", priority=4)
    await steering.put(APP, [drop, let])
    assert (await left(plane, "ran", uplink())).keys() == {"core"}
    await steering.put(APP, [drop, msgspec.structs.replace(let, priority=6)])
    assert await left(plane, "ran", uplink()) == {}


async def test_a_rule_that_cannot_be_changes_nothing(plane: DataPlane) -> None:
    steering = PlaneSteering(plane)
    await steering.put(APP, [rule()])
    with pytest.raises(InvalidError):
        await steering.put(APP, [rule(dstInterface={"interfaceType": "IP", "dstIpAddress": "10.9.9.9"})])
    assert (await left(plane, "ran", uplink())).keys() == {"app"}
