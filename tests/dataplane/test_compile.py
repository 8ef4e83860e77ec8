"""Intents become the right way of frames: over devices, through chains, in and out of tunnels."""

from __future__ import annotations

from collections import Counter
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.contrib.gtp import GTP_U_Header
from scapy.contrib.nsh import NSH
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet

from skerry.dataplane import matching
from skerry.dataplane.compile import compile_network
from skerry.dataplane.intents import (
    Branch,
    Chain,
    Classifier,
    Drop,
    Duplicate,
    Forward,
    GtpClassifier,
    Intents,
    Known,
    LinkMember,
    NextHop,
    Pass,
    PortRange,
    RateLimit,
    Reinsert,
    Rewrite,
    Route,
    Steer,
    Steering,
    UserTunnel,
    VirtualLink,
    Way,
    Wire,
)
from skerry.errors import InvalidError
from tests.dataplane.nets import APP_MAC, compiled, edge, follow, function, hop, proven, switches, to_port, ways

A, B = "02:00:00:00:00:0a", "02:00:00:00:00:0b"


def web(sport: int = 4000, dst: str = "10.0.0.2", **more: object) -> Packet:
    return Ether(src=A, dst=B) / IP(src="10.0.0.1", dst=dst, **more) / TCP(sport=sport, dport=80)


def answer(sport: int = 4000) -> Packet:
    return Ether(src=B, dst=A) / IP(src="10.0.0.2", dst="10.0.0.1") / TCP(sport=80, dport=sport)


LINE = Wire(id="line", a="ran", b="core")


@pytest.mark.feature("E100", "E102")
def test_a_line_passes_every_byte() -> None:
    network = proven(edge(), LINE)
    for frame in (bytes(web()), bytes(Ether(src=A, dst=B) / ARP()), b"\1" * 14, bytes(web() / (b"x" * 1400))):
        (sent,) = follow(network, "ran", frame).outputs
        assert (sent.port, sent.frame) == ("core", frame)
        assert ways(network, "core", frame) == ["ran"]


@pytest.mark.feature("E98", "E107")
def test_a_chain_of_three_functions_is_visited_in_order_and_back() -> None:
    chain = Chain(
        id="c",
        symmetric=True,
        hops=(hop(function("f1", "f1i", "f1o")), hop(function("f2", "f2i", "f2o")), hop(function("f3", "app", "mon"))),
    )
    lead = Steering(id="s", classifier=to_port(80, "ran"), actions=(Steer(chain="c"),))
    network = proven(edge(), LINE, chain, lead)
    there = follow(network, "ran", web())
    assert (there.functions, [sent.port for sent in there.outputs]) == (("f1", "f2", "f3"), ["core"])
    assert there.outputs[0].frame == bytes(web())
    back = follow(network, "core", answer())
    assert (back.functions, [sent.port for sent in back.outputs]) == (("f3", "f2", "f1"), ["ran"])
    other = Ether(src=A, dst=B) / IP() / ICMP()
    assert (follow(network, "ran", other).functions, ways(network, "ran", other)) == ((), ["core"])


@pytest.mark.feature("E95", "E96")
@pytest.mark.parametrize("aware", [False, True])
def test_a_chain_over_three_hosts_is_in_nsh_between_them(aware: bool) -> None:
    topology = switches("a", "b", "c", links=[("a", "b"), ("b", "c")])
    chain = Chain(
        id="c",
        context=0xBEEF,
        exit="a.2",
        symmetric=True,
        hops=(
            hop(function("near", "a.3", "a.4")),
            hop(function("far", "c.3", "c.4", aware=aware)),
            hop(function("mid", "b.3", "b.4")),
        ),
    )
    lead = Steering(id="s", classifier=to_port(80, "a.1"), actions=(Steer(chain="c"),))
    network = proven(topology, chain, lead)
    trace = follow(network, "a.1", web())
    assert (trace.functions, [(sent.port, sent.frame) for sent in trace.outputs]) == (
        ("near", "far", "mid"),
        [("a.2", bytes(web()))],
    )
    on_links = [Ether(sent.frame)[NSH] for step in trace.steps for sent in step.sent if sent.to == "link"]
    assert [(nsh.si, nsh.ttl) for nsh in on_links] == [(254, 63), (254, 62), (253, 61 if aware else 63), (252, 63)]
    assert {nsh.spi for nsh in on_links} == {network.ways["c"].spi}
    assert bytes(on_links[0])[8:12] == b"\0\0\xbe\xef"
    assert bytes(on_links[0])[24:] == bytes(web())
    seen = next(sent.frame for step in trace.steps for sent in step.sent if sent.function == "far")
    assert (NSH in Ether(seen)) is aware
    back = follow(network, "a.2", answer())
    assert (back.functions, [sent.port for sent in back.outputs]) == (("mid", "far", "near"), ["a.1"])


@pytest.mark.feature("E97")
def test_branches_and_copies() -> None:
    after = Branch(chain="strict", classifier=Classifier(ip_dst="10.66.0.0/16"))
    main = Chain(id="main", exit="core", hops=(hop(function("dpi", "f1i", "f1o"), copies=("mon",), branches=(after,)),))
    strict = Chain(id="strict", exit="core", hops=(hop(function("scrub", "f2i", "f2o")),))
    lead = Steering(id="s", classifier=to_port(80, "ran"), actions=(Steer(chain="main"),))
    network = proven(edge(), main, strict, lead)
    plain, marked = follow(network, "ran", web()), follow(network, "ran", web(dst="10.66.1.1"))
    assert (plain.functions, marked.functions) == (("dpi",), ("dpi", "scrub"))
    for trace in (plain, marked):
        assert sorted(sent.port for sent in trace.outputs) == ["core", "mon"]


@pytest.mark.feature("E97", "E96")
def test_an_aware_function_branches_by_its_context() -> None:
    topology = edge()
    main = Chain(
        id="main",
        exit="core",
        hops=(hop(function("dpi", "f1i", "f1o", aware=True), branches=(Branch(chain="bad", context=5),)),),
    )
    bad = Chain(id="bad", exit="core", hops=(hop(function("scrub", "f2i", "f2o")),))
    lead = Steering(id="s", classifier=to_port(80, "ran"), actions=(Steer(chain="main"),))
    network = proven(topology, main, bad, lead)
    entering = follow(network, "ran", web())
    assert entering.functions == ("dpi",)
    sent = next(sent.frame for step in entering.steps for sent in step.sent if sent.function == "dpi")
    marked = bytearray(sent)
    marked[14 + 7] -= 1
    marked[14 + 11] = 5
    assert follow(network, "f1o", bytes(marked)).functions == ("scrub",)
    marked[14 + 11] = 4
    assert follow(network, "f1o", bytes(marked)).functions == ()


@pytest.mark.feature("E98")
@pytest.mark.parametrize("far", [False, True])
def test_a_group_is_even_and_keeps_flows(far: bool) -> None:
    topology = switches("a", "b", links=[("a", "b")])
    host = "b" if far else "a"
    members = (function("x", f"{host}.3", f"{host}.4"), function("y", "a.5", "a.6"))
    chain = Chain(id="c", exit="a.2", symmetric=True, hops=(hop(*members),))
    lead = Steering(id="s", classifier=to_port(80, "a.1"), actions=(Steer(chain="c"),))
    network = proven(topology, chain, lead)
    chosen: Counter[tuple[str, ...]] = Counter()
    for number in range(300):
        there = follow(network, "a.1", web(1000 + number))
        assert follow(network, "a.2", answer(1000 + number)).functions == there.functions
        assert [sent.port for sent in there.outputs] == ["a.2"]
        chosen[there.functions] += 1
    assert all(135 <= count <= 165 for count in chosen.values())
    assert len(chosen) == 2


@pytest.mark.feature("C35")
def test_a_path_over_three_switches_and_around_a_cut() -> None:
    topology = switches("a", "b", "c", links=[("a", "b"), ("b", "c"), ("a", "c")])
    straight, around = topology.links[2], topology.links[:2]
    intents = (Steering(id="s", classifier=Classifier(ports=("a.1",)), actions=(Forward(port="c.1"),)),)
    assert [step.device for step in follow(proven(topology, *intents), "a.1", web()).steps] == ["a", "c"]
    cut = type(topology)(
        devices=topology.devices,
        ports=topology.ports,
        links=(*around, type(straight)(id=straight.id, a=straight.a, b=straight.b, up=False)),
    )
    network = proven(cut, *intents)
    trace = follow(network, "a.1", web())
    assert ([step.device for step in trace.steps], [sent.port for sent in trace.outputs]) == (["a", "b", "c"], ["c.1"])
    assert trace.outputs[0].frame == bytes(web())
    alone = type(topology)(devices=topology.devices, ports=topology.ports, links=())
    lost = compiled(alone, *intents)
    assert ([fault.path for fault in lost.unreachable], ways(lost, "a.1", web())) == (["s"], [])


@pytest.mark.feature("E71")
def test_a_virtual_link_over_devices() -> None:
    topology = switches("a", "b", "c", links=[("a", "b"), ("b", "c"), ("a", "c")])
    members = tuple(LinkMember(port=port, vlan=vlan) for port, vlan in (("a.1", 0), ("b.1", 0), ("c.1", 7)))
    network = proven(topology, VirtualLink(id="vl", members=members))
    trace = follow(network, "a.1", web())
    assert sorted(sent.port for sent in trace.outputs) == ["b.1", "c.1"]
    tagged = next(sent.frame for sent in trace.outputs if sent.port == "c.1")
    assert Ether(tagged)[Dot1Q].vlan == 7
    assert ways(network, "c.1", web()) == []
    assert ways(network, "c.1", Ether(src=A, dst=B) / Dot1Q(vlan=7) / IP()) == ["a.1", "b.1"]


@pytest.mark.feature("E71", "E106")
def test_a_virtual_link_of_known_addresses_floods_nothing_else() -> None:
    topology = switches("a", "b", links=[("a", "b")])
    link = VirtualLink(
        id="vl",
        learning=False,
        members=(LinkMember(port="a.1"), LinkMember(port="a.2"), LinkMember(port="b.1")),
        known=(Known(port="b.1", mac=B), Known(port="a.1", mac=A)),
    )
    network = proven(topology, link)
    assert ways(network, "a.1", web()) == ["b.1"]
    assert ways(network, "b.1", answer()) == ["a.1"]
    assert ways(network, "a.1", Ether(src=A, dst="02:00:00:00:00:0c") / IP()) == []
    assert ways(network, "a.1", Ether(src=A, dst="ff:ff:ff:ff:ff:ff") / ARP()) == ["a.2", "b.1"]


@pytest.mark.feature("E106")
def test_routes_prefer_the_longer_prefix() -> None:
    topology = switches("a")
    routes = (
        Route(id="wide", prefix="10.0.0.0/8", port="a.2", via=A),
        Route(id="narrow", prefix="10.5.0.0/16", port="a.3", via=B),
    )
    network = proven(topology, *routes)
    (sent,) = follow(network, "a.1", web(dst="10.5.1.1", ttl=9)).outputs
    assert (sent.port, Ether(sent.frame).dst, Ether(sent.frame)[IP].ttl) == ("a.3", B, 8)
    assert ways(network, "a.1", web(dst="10.6.1.1")) == ["a.2"]
    assert ways(network, "a.1", web(dst="11.0.0.1")) == []
    asked = Ether(src=A, dst="ff:ff:ff:ff:ff:ff") / ARP(hwsrc=A, psrc="10.1.0.1", pdst="10.1.0.254")
    assert Ether(follow(network, "a.1", asked).outputs[0].frame)[ARP].op == 2


def gpdu(inner: Packet, teid: int, *, up: bool = True) -> Packet:
    ends = ("10.1.0.1", "10.1.0.2") if up else ("10.1.0.2", "10.1.0.1")
    macs = (A, B) if up else (B, A)
    outer = Ether(src=macs[0], dst=macs[1]) / IP(src=ends[0], dst=ends[1]) / UDP(sport=2152, dport=2152)
    return outer / GTP_U_Header(teid=teid, gtp_type=255) / inner


ASKED = IP(src="10.45.0.2", dst="10.9.0.10") / TCP(sport=5000, dport=80) / b"GET"
TUNNEL = UserTunnel(
    id="ue",
    device="s1",
    ue="10.45.0.2",
    ran_address="10.1.0.1",
    core_address="10.1.0.2",
    ran_mac=A,
    core_mac=B,
    teid_up=0x11,
    teid_down=0x22,
)
LOCAL = Steering(
    id="local",
    classifier=Classifier(ports=("ran",), ue="10.45.0.2", gtp=GtpClassifier(inner_dst="10.9.0.0/16")),
    actions=(Forward(port="app", decapsulated=True),),
)


@pytest.mark.feature("E43", "E103", "C39", "E109")
def test_local_breakout_there_and_back() -> None:
    back = Steering(
        id="back",
        classifier=Classifier(ports=("app",), ip_dst="10.45.0.0/16"),
        actions=(Reinsert(port="ran", way=Way.DOWN),),
    )
    network = proven(edge(), LINE, TUNNEL, LOCAL, back)
    (sent,) = follow(network, "ran", gpdu(ASKED, 0x11)).outputs
    read = Ether(sent.frame)
    assert (sent.port, read.dst, bytes(read[IP])) == ("app", APP_MAC, bytes(ASKED))
    reply = Ether(src=APP_MAC, dst=read.src) / IP(src="10.9.0.10", dst="10.45.0.2") / TCP(sport=80, dport=5000)
    (returned,) = follow(network, "app", reply).outputs
    again = Ether(returned.frame)
    assert (returned.port, again.src, again.dst, again[IP].src, again[IP].dst) == ("ran", B, A, "10.1.0.2", "10.1.0.1")
    assert (again[GTP_U_Header].teid, bytes(again[GTP_U_Header].payload)) == (0x22, bytes(reply[IP]))
    assert ways(network, "ran", gpdu(IP(src="10.45.0.2", dst="8.8.8.8") / UDP(), 0x11)) == ["core"]
    assert ways(network, "ran", gpdu(IP(src="10.45.0.3", dst="10.9.0.10") / UDP(), 0x12)) == ["core"]


@pytest.mark.feature("E104")
def test_served_by_the_app_first_then_put_back_with_its_mark() -> None:
    forth = Steering(
        id="forth",
        classifier=Classifier(ports=("app",), ip_src="10.45.0.0/16"),
        actions=(Rewrite(dscp=46), Reinsert(port="core", way=Way.UP)),
    )
    network = proven(edge(), LINE, TUNNEL, LOCAL, forth)
    (taken,) = follow(network, "ran", gpdu(ASKED, 0x11)).outputs
    (put_back,) = follow(network, "app", taken.frame).outputs
    read = Ether(put_back.frame)
    assert (put_back.port, read[GTP_U_Header].teid, read[IP].dst) == ("core", 0x11, "10.1.0.2")
    inner = IP(bytes(read[GTP_U_Header].payload))
    assert (inner.tos >> 2, inner.dst, bytes(inner[TCP].payload)) == (46, "10.9.0.10", b"GET")


@pytest.mark.feature("E104", "E107")
def test_a_chain_in_a_tunnel_comes_out_and_goes_back_into_it() -> None:
    chain = Chain(id="c", exit="core", exit_way=Way.UP, symmetric=True, hops=(hop(function("f1", "f1i", "f1o")),))
    lead = Steering(
        id="s",
        classifier=Classifier(
            ports=("ran",), gtp=GtpClassifier(inner_proto=6, inner_dst_ports=(PortRange(low=80, high=80),))
        ),
        actions=(Steer(chain="c", decapsulated=True),),
    )
    network = proven(edge(), LINE, TUNNEL, chain, lead)
    trace = follow(network, "ran", gpdu(ASKED, 0x11))
    assert (trace.functions, [sent.port for sent in trace.outputs]) == (("f1",), ["core"])
    read = Ether(trace.outputs[0].frame)
    assert (read[GTP_U_Header].teid, bytes(read[GTP_U_Header].payload)) == (0x11, bytes(ASKED))
    down = gpdu(IP(src="10.9.0.10", dst="10.45.0.2") / TCP(sport=80, dport=5000), 0x22, up=False)
    back = follow(network, "core", down)
    assert (back.functions, [sent.port for sent in back.outputs]) == (("f1",), ["ran"])
    assert Ether(back.outputs[0].frame)[GTP_U_Header].teid == 0x22


@pytest.mark.feature("C34")
def test_a_next_hop_yields_to_a_steering_of_its_priority() -> None:
    next_hop = NextHop(id="n", port="ran", classifier=to_port(80), next="mon")
    network = proven(edge(), LINE, next_hop)
    assert (ways(network, "ran", web()), ways(network, "ran", Ether() / IP() / ICMP())) == (["mon"], ["core"])
    stronger = Steering(id="s", classifier=to_port(80, "ran", ip_dst="10.0.0.2"), actions=(Forward(port="app"),))
    assert ways(compiled(edge(), LINE, next_hop, stronger), "ran", web()) == ["app"]
    weaker = Steering(id="s", priority=499, classifier=to_port(80, "ran", ip_dst="10.0.0.2"), actions=(Drop(),))
    assert ways(compiled(edge(), LINE, next_hop, weaker), "ran", web()) == ["mon"]


@pytest.mark.feature("E106")
def test_actions_follow_each_other() -> None:
    actions = (
        Duplicate(port="mon"),
        Rewrite(eth_dst=A, ip_src="192.168.0.1", src_port=99),
        RateLimit(rate_bps=10**9),
        Forward(port="app", vlan=200),
    )
    network = proven(edge(), Steering(id="s", classifier=to_port(80, "ran", vlan=0), actions=actions))
    sent = {one.port: Ether(one.frame) for one in follow(network, "ran", web()).outputs}
    assert bytes(sent["mon"]) == bytes(web())
    changed = sent["app"]
    assert (changed[Dot1Q].vlan, changed.dst, changed[IP].src, changed[TCP].sport) == (200, A, "192.168.0.1", 99)


def test_the_order_of_arrival_does_not_matter() -> None:
    intents: tuple[Intents, ...] = (
        LINE,
        Steering(id="x", classifier=to_port(80, "ran"), actions=(Forward(port="app"),)),
        Steering(id="y", classifier=Classifier(ports=("ran",), ip_dst="10.0.0.0/8"), actions=(Forward(port="mon"),)),
        Chain(id="c", exit="core", hops=(hop(function("f1", "f1i", "f1o")),)),
        Steering(id="z", priority=400, classifier=Classifier(ports=("ran",)), actions=(Steer(chain="c"),)),
    )
    states = [compile_network(edge(), order).states for order in permutations(intents)]
    assert all(state == states[0] for state in states)
    network = compiled(edge(), *intents)
    assert ways(network, "ran", web()) == ["app"]
    assert ways(network, "ran", Ether() / IP(dst="10.0.0.9") / ICMP()) == ["mon"]


@given(st.integers(0, 65535), st.integers(0, 65535), st.integers(0, 65535))
def test_blocks_cover_a_range_exactly(low: int, high: int, probe: int) -> None:
    low, high = sorted((low, high))
    blocks = list(matching.blocks(low, high))
    assert sum(0xFFFF - mask + 1 for _, mask in blocks) == high - low + 1
    assert any(probe & mask == value for value, mask in blocks) == (low <= probe <= high)


def test_every_fault_is_told_at_once() -> None:
    with pytest.raises(InvalidError) as refused:
        compiled(
            edge(),
            Chain(id="c", hops=(hop(function("f", "nowhere")),), symmetric=True),
            Steering(
                id="s", classifier=Classifier(ports=("ran",), ip_src="10.0.0.0/99"), actions=(Steer(chain="d"), Pass())
            ),
            UserTunnel(
                id="u",
                device="s9",
                ue="x",
                ran_address="10.0.0.1",
                core_address="",
                ran_mac="",
                core_mac=A,
                teid_up=1,
                teid_down=2,
            ),
        )
    told = " ".join(fault.message for fault in refused.value.faults)
    for part in (
        "no port nowhere",
        "10.0.0.0/99",
        "no chain d",
        "must be the last action",
        "no device s9",
        "MACs of both",
    ):
        assert part in told
