"""One behaviour of every engine: which frame leaves where and how it looks. An independent program makes and reads frames."""

from __future__ import annotations

import time
from typing import Any

import pytest
from scapy.contrib.gtp import GTP_U_Header, GTPEchoRequest, GTPPDUSessionContainer
from scapy.contrib.nsh import NSH
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet

from skerry.dataplane import catalogue
from skerry.dataplane.flows import (
    Actions,
    ArpReply,
    Bridge,
    Bucket,
    Copy,
    DecTtl,
    DeviceState,
    Domain,
    Field,
    Goto,
    Group,
    GtpDecap,
    GtpEncap,
    GtpLearn,
    GtpReply,
    Match,
    Member,
    Meter,
    Output,
    Pin,
    Police,
    PopNsh,
    PopVlan,
    PushNsh,
    PushVlan,
    Rule,
    Select,
    Session,
    SetField,
    Tunnel,
    Way,
    mac,
    match,
)
from skerry.dataplane.sheets import cookie
from skerry.errors import InvalidError, SkerryError
from tests.conformance.dataplane_rigs import DEVICE, PORTS, Rig

A, B = "02:00:00:00:00:0a", "02:00:00:00:00:0b"
pytestmark = pytest.mark.asyncio(loop_scope="module")


def rule(match: Match, *actions: Actions, table: int = 0, priority: int = 100) -> Rule:
    return Rule(
        table=table,
        priority=priority,
        match=match,
        actions=actions,
        cookie=cookie("suite", table, priority, match),
        owner="suite",
        tenant="t",
    )


async def put(rig: Rig, *rules: Rule, **parts: Any) -> None:
    """Put a state, or skip the test where the engine cannot do it and says so."""
    state = DeviceState(device=DEVICE, ports=tuple(rig.port(number) for number in PORTS), rules=rules, **parts)
    missing = catalogue.lacks(rig.capabilities, state)
    if missing:
        pytest.skip(f"{rig.type} {missing[0]}")
    await rig.put(state)


def raw(packet: Packet) -> bytes:
    return bytes(packet)


def frame(payload: Packet | None = None, **ethernet: Any) -> Packet:
    inside = (
        payload if payload is not None else IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1000, dport=2000) / b"data"
    )
    return Ether(**{"src": A, "dst": B, **ethernet}) / inside


async def only(rig: Rig, port: int, packet: Packet | bytes, out: int) -> Packet:
    """The one frame that leaves, at a port."""
    left = await rig.send(port, bytes(packet))
    assert [number for number, _ in left] == [out]
    return Ether(left[0][1])


async def nothing(rig: Rig, port: int, packet: Packet | bytes) -> None:
    assert await rig.send(port, bytes(packet), expect=0) == []


@pytest.mark.feature("E106", "E71")
async def test_what_no_rule_fits_is_dropped(engine: Rig) -> None:
    await put(engine)
    await nothing(engine, 1, frame())


@pytest.mark.feature("E106", "E102")
async def test_output_sends_the_bytes_as_they_are(engine: Rig) -> None:
    await put(engine, rule(match(in_port=1), Output(port=3)))
    for packet in (frame(), frame(Dot1Q(vlan=7) / IP(dst="10.1.1.1") / TCP()), frame(IPv6(dst="2001:db8::1") / UDP())):
        assert await engine.send(1, raw(packet)) == [(3, raw(packet))]
    await nothing(engine, 2, frame())


@pytest.mark.feature("E106")
async def test_is_this_packet_out_of_port_3_with_vlan_200(engine: Rig) -> None:
    await put(
        engine,
        rule(match(in_port=1, vlan_vid=0), PushVlan(vid=200), Output(port=3)),
        rule(match(in_port=2, vlan_vid=0x1000 | 100), SetField(field=Field.VLAN_VID, value=200), Output(port=3)),
        rule(match(in_port=3, vlan_vid=0x1000 | 200), PopVlan(), Output(port=1)),
    )
    pushed = await only(engine, 1, frame(), 3)
    assert (pushed[Dot1Q].vlan, pushed[Dot1Q].prio) == (200, 0)
    assert raw(pushed[IP]) == raw(frame()[IP])
    changed = await only(engine, 2, Ether(src=A, dst=B) / Dot1Q(vlan=100, prio=5) / frame()[IP], 3)
    assert (changed[Dot1Q].vlan, changed[Dot1Q].prio) == (200, 5)
    assert await engine.send(3, raw(Ether(src=A, dst=B) / Dot1Q(vlan=200) / frame()[IP])) == [(1, raw(frame()))]
    await nothing(engine, 2, Ether(src=A, dst=B) / Dot1Q(vlan=101) / frame()[IP])


@pytest.mark.feature("E105")
@pytest.mark.parametrize(
    ("conditions", "fits", "fails"),
    [
        ({"eth_src": A}, frame(), frame(src=B)),
        ({"eth_dst": B}, frame(), frame(dst=A)),
        ({"eth_dst": (1 << 40, 1 << 40)}, frame(dst="ff:ff:ff:ff:ff:ff"), frame()),
        ({"eth_type": 0x0806}, Ether(src=A, dst=B) / ARP(), frame()),
        ({"vlan_vid": 0x1000 | 5}, Ether(src=A, dst=B) / Dot1Q(vlan=5) / IP(), frame()),
        ({"vlan_vid": 0}, frame(), Ether(src=A, dst=B) / Dot1Q(vlan=5) / IP()),
        ({"ipv4_src": "10.0.0.0/24"}, frame(), frame(IP(src="10.0.1.1") / UDP())),
        ({"ipv4_dst": "10.0.0.2"}, frame(), frame(IP(dst="10.0.0.3") / UDP())),
        ({"ipv6_src": "2001:db8::/32"}, frame(IPv6(src="2001:db8:1::1")), frame(IPv6(src="2001:db9::1"))),
        ({"ipv6_dst": "2001:db8::1"}, frame(IPv6(dst="2001:db8::1")), frame(IPv6(dst="2001:db8::2"))),
        ({"eth_type": 0x0800, "ip_proto": 1}, frame(IP() / ICMP()), frame()),
        ({"eth_type": 0x86DD, "ip_proto": 6}, frame(IPv6() / TCP()), frame(IP() / TCP())),
        ({"eth_type": 0x0800, "ip_dscp": 46}, frame(IP(tos=46 << 2) / UDP()), frame(IP(tos=45 << 2) / UDP())),
        ({"eth_type": 0x0800, "ip_proto": 17, "l4_dst": 2000}, frame(), frame(IP() / UDP(dport=2001))),
        ({"eth_type": 0x0800, "ip_proto": 6, "l4_src": 80}, frame(IP() / TCP(sport=80)), frame(IP() / TCP(sport=81))),
        (
            {"eth_type": 0x0800, "ip_proto": 17, "l4_dst": (0x1000, 0xF000)},
            frame(IP() / UDP(dport=0x1FFF)),
            frame(IP() / UDP(dport=0x2000)),
        ),
        ({"eth_type": 0x0800, "ip_frag": 0}, frame(), frame(IP(flags="MF") / UDP())),
        ({"eth_type": 0x0800, "ip_frag": 1}, frame(IP(flags="MF") / UDP() / (b"x" * 16)), frame()),
        ({"eth_type": 0x0800, "ip_frag": 2}, frame(IP(frag=2, proto=17) / (b"x" * 16)), frame()),
        (
            {"eth_type": 0x86DD, "ip_frag": 2},
            frame(IPv6() / IPv6ExtHdrFragment(nh=17, offset=2) / (b"x" * 16)),
            frame(IPv6()),
        ),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
async def test_fields_are_matched(engine: Rig, conditions: dict[str, Any], fits: Packet, fails: Packet) -> None:
    given = {name: mac(value) if value in (A, B) else value for name, value in conditions.items()}
    await put(engine, rule(match(in_port=1, **given), Output(port=2)))
    assert await engine.send(1, raw(fits)) == [(2, raw(fits))]
    await nothing(engine, 1, fails)


@pytest.mark.feature("E105")
async def test_later_fragments_have_no_ports(engine: Rig) -> None:
    await put(engine, rule(match(eth_type=0x800, ip_proto=17, l4_dst=0x7878), Output(port=2)))
    await nothing(engine, 1, frame(IP(frag=2, proto=17) / (b"x" * 16)))


@pytest.mark.feature("E106")
async def test_the_higher_priority_decides_and_tables_follow(engine: Rig) -> None:
    await put(
        engine,
        rule(match(in_port=1), SetField(field=Field.REG0, value=7), Goto(table=2), priority=5),
        rule(match(in_port=1, ipv4_dst="10.0.0.2"), SetField(field=Field.REG0, value=8), Goto(table=2), priority=6),
        rule(match(reg0=7), Output(port=2), table=2),
        rule(match(reg0=8), Output(port=3), table=2),
    )
    await only(engine, 1, frame(), 3)
    await only(engine, 1, frame(IP(dst="10.0.0.9") / UDP()), 2)


@pytest.mark.feature("E106")
async def test_rewritten_frames_keep_right_checksums(engine: Rig) -> None:
    await put(
        engine,
        rule(
            match(in_port=1, eth_type=0x800, ip_proto=6),
            SetField(field=Field.IPV4_DST, value=0xC0A80101),
            SetField(field=Field.L4_DST, value=8080),
            SetField(field=Field.IP_DSCP, value=10),
            SetField(field=Field.ETH_DST, value=mac(A)),
            DecTtl(),
            Output(port=2),
        ),
    )
    sent = frame(IP(src="10.0.0.1", dst="10.0.0.2", ttl=9, tos=3) / TCP(sport=5, dport=80) / b"hello")
    left = await only(engine, 1, sent, 2)
    assert (left.dst, left[IP].dst, left[IP].ttl, left[IP].tos, left[TCP].dport) == (A, "192.168.1.1", 8, 43, 8080)
    again = left.copy()
    del again[IP].chksum, again[TCP].chksum
    assert raw(again) == raw(left)
    await nothing(engine, 1, frame(IP(ttl=1) / TCP()))


@pytest.mark.feature("E97")
async def test_copies_do_not_change_the_frame(engine: Rig) -> None:
    await put(
        engine,
        rule(match(in_port=1), Copy(actions=(PushVlan(vid=9), Output(port=2))), Output(port=3)),
    )
    left = dict(await engine.send(1, raw(frame()), expect=2))
    assert (Ether(left[2])[Dot1Q].vlan, left[3]) == (9, raw(frame()))


async def test_a_frame_goes_back_only_on_purpose(engine: Rig) -> None:
    await put(
        engine,
        rule(match(in_port=1), Output(port=1), Output(port=2)),
        rule(match(in_port=2), Output(port=2, hairpin=True)),
    )
    await only(engine, 1, frame(), 2)
    await only(engine, 2, frame(), 2)


@pytest.mark.feature("E71")
async def test_a_domain_learns_where_addresses_are(engine: Rig) -> None:
    members = (Member(port=1), Member(port=2), Member(port=3, vlan=30))
    await put(
        engine,
        rule(match(in_port=1), Bridge(domain=1)),
        rule(match(in_port=2), Bridge(domain=1)),
        rule(match(in_port=3, vlan_vid=0x1000 | 30), PopVlan(), Bridge(domain=1)),
        domains=(Domain(id=1, members=members),),
    )
    flooded = await engine.send(1, raw(frame(src="02:00:00:00:01:01", dst="02:00:00:00:01:02")), expect=2)
    assert [port for port, _ in flooded] == [2, 3]
    assert Ether(flooded[1][1])[Dot1Q].vlan == 30
    answer = frame(src="02:00:00:00:01:02", dst="02:00:00:00:01:01")
    assert await engine.send(3, raw(Ether(src=answer.src, dst=answer.dst) / Dot1Q(vlan=30) / answer[IP])) == [
        (1, raw(answer))
    ]
    learned = await only(engine, 2, frame(src="02:00:00:00:01:03", dst="02:00:00:00:01:02"), 3)
    assert learned[Dot1Q].vlan == 30


@pytest.mark.feature("E98")
async def test_a_group_keeps_flows_together_and_shares_them(engine: Rig) -> None:
    buckets = tuple(Bucket(actions=(Output(port=port),)) for port in (2, 3))
    await put(
        engine,
        rule(match(in_port=1), Select(group=1)),
        rule(match(in_port=4), Select(group=1)),
        groups=(Group(id=1, buckets=buckets),),
    )
    chosen: dict[int, int] = {}
    for number in range(60):
        there = frame(IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=3000 + number, dport=53))
        back = frame(IP(src="10.0.0.2", dst="10.0.0.1") / UDP(sport=53, dport=3000 + number))
        ports = [(await engine.send(1, raw(there)))[0][0], (await engine.send(4, raw(back)))[0][0]]
        assert ports[0] == ports[1]
        chosen[number] = ports[0]
    assert 15 <= sum(port == 2 for port in chosen.values()) <= 45
    assert (await engine.send(1, raw(frame(IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=3000, dport=53)))))[0][
        0
    ] == chosen[0]


@pytest.mark.feature("E96", "E95")
async def test_nsh_is_put_on_and_taken_off(engine: Rig) -> None:
    outer = {"eth_src": mac(A), "eth_dst": mac(B)}
    await put(
        engine,
        rule(match(in_port=1), PushNsh(spi=0x123456, si=254, context=(7, 0, 0, 9), **outer), Output(port=2)),
        rule(match(in_port=2, nsh_spi=0x123456, nsh_si=254), SetField(field=Field.NSH_SI, value=253), Output(port=3)),
        rule(match(in_port=3, nsh_spi=0x123456, nsh_si=253, nsh_c1=7), PopNsh(), Output(port=1)),
    )
    sent = raw(frame())
    there = await only(engine, 1, sent, 2)
    nsh = there[NSH]
    assert (there.type, nsh.spi, nsh.si, nsh.mdtype, nsh.nextproto, nsh.ttl) == (0x894F, 0x123456, 254, 1, 3, 63)
    assert raw(there)[14 + 8 : 14 + 24] == b"\0\0\0\7" + bytes(8) + b"\0\0\0\x09"
    assert raw(there)[14 + 24 :] == sent
    further = await only(engine, 2, there, 3)
    assert (further[NSH].si, raw(further)[38:]) == (253, sent)
    assert await engine.send(3, raw(further)) == [(1, sent)]
    await nothing(engine, 3, there)


@pytest.mark.feature("E46")
async def test_arp_is_answered(engine: Rig) -> None:
    await put(engine, rule(match(in_port=1, eth_type=0x0806), ArpReply(mac=mac("02:00:00:00:99:99"))))
    asked = Ether(src=A, dst="ff:ff:ff:ff:ff:ff") / ARP(hwsrc=A, psrc="10.0.0.1", pdst="10.0.0.254")
    answer = (await only(engine, 1, asked, 1))[ARP]
    assert (answer.op, answer.hwsrc, answer.psrc) == (2, "02:00:00:00:99:99", "10.0.0.254")
    assert (answer.hwdst, answer.pdst) == (A, "10.0.0.1")


@pytest.mark.feature("E46")
async def test_a_meter_drops_what_is_too_much(engine: Rig) -> None:
    meters = (Meter(id=1, rate_bps=8_000, burst_bits=80_000),)
    await put(engine, rule(match(in_port=1), Police(meter=1), Output(port=2)), meters=meters)
    big = raw(frame(IP() / UDP() / (b"x" * 958)))
    begin, passed = time.monotonic(), 0
    for _ in range(30):
        passed += len(await engine.send(1, big, expect=0))
    assert 8 <= passed <= 12 + (time.monotonic() - begin)  # the burst, and a frame a second


@pytest.mark.feature("E102", "E103")
async def test_pinned_flows_stay(engine: Rig) -> None:
    def flow(port: int, back: bool = False) -> bytes:
        ends = ("10.0.0.1", "10.0.0.2")
        src, dst = reversed(ends) if back else ends
        ports = {"sport": 80, "dport": port} if back else {"sport": port, "dport": 80}
        return raw(frame(IP(src=src, dst=dst) / TCP(**ports)))

    await put(engine, rule(match(in_port=1), Pin(value=11, idle_s=30), Output(port=2)))
    assert (await engine.send(1, flow(4001)))[0][0] == 2
    await put(
        engine,
        rule(match(pin=11), Output(port=3), priority=200),
        rule(match(in_port=1), Pin(value=12, idle_s=30), Output(port=4)),
    )
    assert (await engine.send(1, flow(4001)))[0][0] == 3
    assert (await engine.send(2, flow(4001, back=True)))[0][0] == 3
    assert (await engine.send(1, flow(4002)))[0][0] == 4


def gpdu(inner: Packet, teid: int = 0x11, **options: Any) -> Packet:
    outer = IP(src="10.1.0.1", dst="10.1.0.2") / UDP(sport=2152, dport=2152, chksum=0)
    if "qfi" in options:
        header = GTP_U_Header(teid=teid, gtp_type=255, E=1, next_ex=0x85)
        return frame(
            outer / header / GTPPDUSessionContainer(type=1, QFI=options["qfi"], NextExtHdr=0, ExtHdrLen=1) / inner
        )
    return frame(outer / GTP_U_Header(teid=teid, gtp_type=255) / inner)


UE = IP(src="10.45.0.2", dst="10.9.0.10") / TCP(sport=5000, dport=80) / b"GET /"


@pytest.mark.feature("E105", "C39", "E43")
@pytest.mark.parametrize(
    "conditions",
    [
        {"gtp_teid": 0x11},
        {"gtp_type": 255},
        {"inner_ipv4_dst": "10.9.0.0/16"},
        {"inner_ipv4_src": "10.45.0.2"},
        {"inner_proto": 6, "inner_l4_dst": 80},
        {"gtp_teid": 0x11, "inner_ipv4_dst": "10.9.0.10", "inner_proto": 6, "inner_l4_src": 5000},
    ],
    ids="-".join,
)
async def test_gtp_is_looked_into_and_taken_off(engine: Rig, conditions: dict[str, Any]) -> None:
    taken = GtpDecap(eth_src=mac(A), eth_dst=mac(B))
    await put(engine, rule(match(in_port=1, **conditions), taken, Output(port=2)), rule((), Output(port=3), priority=1))
    left = await only(engine, 1, gpdu(UE), 2)
    assert (left.src, left.dst, raw(left[IP])) == (A, B, raw(UE))
    other = gpdu(IP(src="10.45.0.3", dst="10.8.0.1") / TCP(sport=1, dport=443), teid=0x12)
    if "gtp_type" not in conditions:
        await only(engine, 1, other, 3)
    await only(engine, 1, frame(), 3)


@pytest.mark.feature("E105", "E110")
async def test_extension_headers_are_looked_through(engine: Rig) -> None:
    if not engine.capabilities.gtp_extensions:
        pytest.skip(f"{engine.type} does not look through extension headers of GTP-U")
    taken = GtpDecap(eth_src=mac(A), eth_dst=mac(B))
    await put(engine, rule(match(in_port=1, gtp_qfi=9, inner_ipv4_dst="10.9.0.10"), taken, Output(port=2)))
    left = await only(engine, 1, gpdu(UE, qfi=9), 2)
    assert raw(left[IP]) == raw(UE)
    await nothing(engine, 1, gpdu(UE, qfi=8))
    v6 = IPv6(src="2001:db8::2", dst="2001:db8::9") / UDP(dport=53)
    await put(engine, rule(match(in_port=1, inner_ipv6_dst="2001:db8::9"), taken, Output(port=2)))
    assert raw((await only(engine, 1, gpdu(v6), 2))[IPv6]) == raw(v6)


@pytest.mark.feature("C39", "E109", "E104")
async def test_tunnels_are_learned_and_made_again(engine: Rig) -> None:
    await put(
        engine,
        rule(match(in_port=1, gtp_type=255), GtpLearn(way=Way.UP), Output(port=2)),
        rule(match(in_port=2, gtp_type=255), GtpLearn(way=Way.DOWN), Output(port=1)),
        rule(match(in_port=2, gtp_type=254), GtpLearn(way=Way.DOWN), Output(port=1)),
        rule(match(in_port=3, eth_type=0x800), GtpEncap(way=Way.DOWN), Output(port=1)),
        rule(match(in_port=4, eth_type=0x800), GtpEncap(way=Way.UP), Output(port=2)),
    )
    answer = frame(IP(src="10.9.0.10", dst="10.45.0.2", tos=0x28) / TCP(sport=80, dport=5000) / b"OK")
    await nothing(engine, 3, answer)
    await only(engine, 1, gpdu(UE, teid=0x11), 2)
    down = IP(src="10.1.0.2", dst="10.1.0.1") / UDP(sport=2152, dport=2152, chksum=0)
    ether = Ether(src=B, dst=A)
    await only(
        engine, 2, ether / down / GTP_U_Header(teid=0x22, gtp_type=255) / IP(src="1.1.1.1", dst="10.45.0.2") / UDP(), 1
    )
    made = await only(engine, 3, answer, 1)
    assert (made.src, made.dst, made[IP].src, made[IP].dst) == (B, A, "10.1.0.2", "10.1.0.1")
    assert (made[UDP].sport, made[UDP].dport, made[GTP_U_Header].teid, made[IP].tos) == (2152, 2152, 0x22, 0x28)
    assert raw(made[GTP_U_Header].payload) == raw(answer[IP])
    up = await only(engine, 4, frame(UE), 2)
    assert (up[IP].dst, up[GTP_U_Header].teid, raw(up[GTP_U_Header].payload)) == ("10.1.0.2", 0x11, raw(UE))
    sessions = {session.ue: session for session in (await engine.engine.read_back(DEVICE)).sessions}
    learned = sessions["10.45.0.2"]
    assert (learned.up and learned.up.teid, learned.down and learned.down.teid) == (0x11, 0x22)
    await only(engine, 2, ether / down / GTP_U_Header(teid=0x22, gtp_type=254), 1)
    await nothing(engine, 3, answer)


@pytest.mark.feature("C39", "E109")
async def test_static_tunnels_carry_a_qfi(engine: Rig) -> None:
    tunnel = Tunnel(teid=0x77, src="10.1.0.2", dst="10.1.0.1", eth_src=mac(B), eth_dst=mac(A), qfi=5)
    await put(
        engine,
        rule(match(in_port=3, eth_type=0x800), GtpEncap(way=Way.DOWN), Output(port=1)),
        sessions=(Session(ue="10.45.0.7", down=tunnel),),
    )
    made = await only(engine, 3, frame(IP(dst="10.45.0.7") / UDP(dport=1)), 1)
    assert (made[GTP_U_Header].teid, made[GTPPDUSessionContainer].QFI, made[GTPPDUSessionContainer].type) == (
        0x77,
        5,
        0,
    )
    assert made[GTP_U_Header].length == len(made[GTP_U_Header]) - 8


@pytest.mark.feature("E109")
async def test_echo_requests_are_answered(engine: Rig) -> None:
    await put(engine, rule(match(in_port=1, gtp_type=1), GtpReply()))
    outer = IP(src="10.1.0.1", dst="10.1.0.2") / UDP(sport=2152, dport=2152)
    asked = frame(outer / GTP_U_Header(teid=0, gtp_type=1, S=1, seq=77) / GTPEchoRequest())
    answer = await only(engine, 1, asked, 1)
    header = answer[GTP_U_Header]
    assert (header.gtp_type, header.seq, answer[IP].dst, answer.dst) == (2, 77, "10.1.0.1", A)


@pytest.mark.feature("E46")
async def test_rules_are_read_back_with_their_counters(engine: Rig) -> None:
    rules = (
        rule(match(in_port=1, ipv4_dst="10.0.0.2"), PushVlan(vid=3), Output(port=2)),
        rule(match(in_port=2, ipv6_dst="2001:db8::/64"), Output(port=1), priority=7),
    )
    await put(engine, *rules)
    for _ in range(3):
        await only(engine, 1, frame(), 2)
    effective = await engine.engine.read_back(DEVICE)
    found = {one.rule.key: one for one in effective.rules}
    assert {(key, one.rule.actions, one.rule.cookie) for key, one in found.items()} == {
        (one.key, one.actions, one.cookie) for one in rules
    }
    assert (found[rules[0].key].packets, found[rules[1].key].packets) == (3, 0)
    assert found[rules[0].key].bytes >= 3 * len(frame())


@pytest.mark.feature("E46")
async def test_a_restart_finds_all_and_forwarding_goes_on(engine: Rig) -> None:
    kept = rule(match(in_port=1), Output(port=2))
    await put(engine, kept)
    before = await engine.engine.read_back(DEVICE)
    await engine.restart()
    await only(engine, 1, frame(), 2)
    after = await engine.engine.read_back(DEVICE)
    assert (after.revision, [one.rule.key for one in after.rules]) == (before.revision, [kept.key])
    assert [(port.number, port.name) for port in after.ports] == [(number, f"p{number}") for number in PORTS]
    assert DEVICE in [spec.name for spec in await engine.engine.devices()]


@pytest.mark.feature("E46")
async def test_a_refused_change_changes_nothing(engine: Rig) -> None:
    await put(engine, rule(match(in_port=1), Output(port=2)))
    with pytest.raises(SkerryError) as refused:
        await engine.put(
            DeviceState(
                device=DEVICE,
                ports=tuple(engine.port(number) for number in PORTS),
                rules=(rule(match(in_port=1), Output(port=3)), rule(match(in_port=2), Select(group=99))),
            )
        )
    assert isinstance(refused.value, InvalidError)
    await only(engine, 1, frame(), 2)


@pytest.mark.feature("E46")
async def test_a_probe_tells_what_a_frame_would_do(engine: Rig) -> None:
    kept = rule(match(in_port=1), PushVlan(vid=4), Output(port=2))
    await put(engine, kept)
    probed = await engine.engine.probe(DEVICE, 1, raw(frame()))
    assert [one.port for one in probed.outputs] == [2]
    assert Ether(probed.outputs[0].frame)[Dot1Q].vlan == 4
    assert not probed.cookies or probed.cookies == (kept.cookie,)


@pytest.mark.feature("E46")
async def test_injected_frames_are_observed(engine: Rig) -> None:
    await put(engine, rule(match(in_port=1), Output(port=2)))
    async with engine.engine.observe(DEVICE, [2]) as seen:
        await engine.engine.inject(DEVICE, 1, raw(frame()))
        async for emitted in seen:
            assert (emitted.port, emitted.frame) == (2, raw(frame()))
            break


@pytest.mark.feature("E105")
async def test_nonsense_harms_nobody(engine: Rig) -> None:
    await put(
        engine,
        rule(match(in_port=1, ipv4_dst="10.0.0.2"), Output(port=2)),
        rule(match(in_port=1, gtp_teid=1), Output(port=3)),
    )
    good = raw(gpdu(UE, teid=1))
    for cut in range(14, len(good), 3):
        await engine.send(1, good[:cut], expect=0) if engine.type == catalogue.SIMULATED else engine.taps[
            1
        ].socket.send(good[:cut])
    await engine.send(1, b"", expect=0) if engine.type == catalogue.SIMULATED else None
    await only(engine, 1, frame(), 2)
