"""Every way to classify, on every engine: what fits is forwarded, what does not is left; or the engine says why it cannot."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import pytest
from scapy.contrib.gtp import GTP_U_Header, GTPPDUSessionContainer
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet

from skerry.dataplane import catalogue, naming
from skerry.dataplane.compile import compile_network
from skerry.dataplane.flows import DeviceState, Named
from skerry.dataplane.intents import (
    Classifier,
    Connect,
    Connection,
    Device,
    Forward,
    GtpClassifier,
    Intents,
    Port,
    PortRange,
    Side,
    Steering,
    Topology,
    Wire,
    Zone,
)
from tests.conformance.dataplane_rigs import DEVICE, PORTS, Rig

pytestmark = pytest.mark.asyncio(loop_scope="module")
A, B = "02:00:00:00:00:0a", "02:00:00:00:00:0b"


def ether(payload: Packet, **ethernet: Any) -> Packet:
    return Ether(**{"src": A, "dst": B, **ethernet}) / payload


def tunnelled(inner: Packet, teid: int = 7, qfi: int | None = None, kind: int = 255, v6: bool = False) -> Packet:
    outer = IPv6(src="2001:db8::1", dst="2001:db8::2") if v6 else IP(src="10.1.0.1", dst="10.1.0.2")
    udp = outer / UDP(sport=2152, dport=2152)
    if qfi is None:
        return ether(udp / GTP_U_Header(teid=teid, gtp_type=kind) / inner)
    header = GTP_U_Header(teid=teid, gtp_type=255, E=1, next_ex=0x85)
    return ether(udp / header / GTPPDUSessionContainer(type=1, QFI=qfi, NextExtHdr=0, ExtHdrLen=1) / inner)


UE = IP(src="10.45.0.2", dst="10.9.0.10") / TCP(sport=5000, dport=80)
UE6 = IPv6(src="2001:db8:45::2", dst="2001:db8:9::9") / UDP(dport=53)


class Row(NamedTuple):
    """A classifier, a frame that it fits, and some that it does not."""

    name: str
    classifier: Classifier
    fits: Packet
    fails: Sequence[Packet]


def ranges(low: int, high: int) -> tuple[PortRange, ...]:
    return (PortRange(low=low, high=high),)


PLAIN = ether(IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1000, dport=2000))
TAGGED = Ether(src=A, dst=B) / Dot1Q(vlan=5) / PLAIN[IP]
GTP = GtpClassifier
MATRIX = (
    Row("eth_src", Classifier(eth_src=A), PLAIN, (ether(PLAIN[IP], src=B),)),
    Row("eth_dst", Classifier(eth_dst=B), PLAIN, (ether(PLAIN[IP], dst=A),)),
    Row("eth_type", Classifier(eth_type=0x0806), ether(ARP()), (PLAIN,)),
    Row("vlan", Classifier(vlan=5), TAGGED, (PLAIN, Ether(src=A, dst=B) / Dot1Q(vlan=6) / PLAIN[IP])),
    Row("untagged", Classifier(vlan=0), PLAIN, (TAGGED,)),
    Row("ip_src", Classifier(ip_src="10.0.0.0/24"), PLAIN, (ether(IP(src="10.0.1.1") / UDP()),)),
    Row("ip_dst", Classifier(ip_dst="10.0.0.2"), PLAIN, (ether(IP(dst="10.0.0.3") / UDP()),)),
    Row(
        "ipv6_src",
        Classifier(ip_src="2001:db8::/32"),
        ether(IPv6(src="2001:db8:1::1", dst="::1") / UDP()),
        (ether(IPv6(src="2001:db9::1") / UDP()), PLAIN),
    ),
    Row(
        "ipv6_dst", Classifier(ip_dst="2001:db8::1"), ether(IPv6(dst="2001:db8::1") / UDP()), (ether(IPv6(dst="::2")),)
    ),
    Row("proto", Classifier(proto=1), ether(IP() / ICMP()), (PLAIN,)),
    Row("dscp", Classifier(dscp=46), ether(IP(tos=46 << 2) / UDP()), (PLAIN, ether(IPv6(tc=45 << 2) / UDP()))),
    Row("dscp of IPv6", Classifier(dscp=46), ether(IPv6(tc=46 << 2) / UDP()), (ether(IPv6(tc=4) / UDP()),)),
    Row("src_ports", Classifier(proto=17, src_ports=ranges(900, 1100)), PLAIN, (ether(IP() / UDP(sport=1101)),)),
    Row(
        "dst_ports",
        Classifier(dst_ports=ranges(443, 444)),
        ether(IP() / TCP(dport=444)),
        (ether(IP() / TCP(dport=445)), ether(IP(frag=2, proto=6) / (b"\x01\xbc" * 8)), PLAIN),
    ),
    Row(
        "ports behind a fragment header",
        Classifier(dst_ports=ranges(53, 53)),
        ether(IPv6() / IPv6ExtHdrFragment(nh=17, m=1) / UDP(dport=53) / (b"x" * 16)),
        (ether(IPv6() / IPv6ExtHdrFragment(nh=17, offset=3) / (b"\0\x35" * 8)),),
    ),
    Row("teid", Classifier(gtp=GTP(teid=7)), tunnelled(UE), (tunnelled(UE, teid=8), PLAIN)),
    Row(
        "teid over IPv6",
        Classifier(gtp=GTP(teid=7), eth_type=0x86DD),
        tunnelled(UE, v6=True),
        (tunnelled(UE), tunnelled(UE, teid=8, v6=True)),
    ),
    Row("gtp type", Classifier(gtp=GTP(type=254)), tunnelled(IP(), kind=254), (tunnelled(UE),)),
    Row("qfi", Classifier(gtp=GTP(qfi=9)), tunnelled(UE, qfi=9), (tunnelled(UE, qfi=8), tunnelled(UE))),
    Row("inner_src", Classifier(gtp=GTP(inner_src="10.45.0.0/16")), tunnelled(UE), (tunnelled(IP(src="10.46.0.1")),)),
    Row(
        "inner_dst", Classifier(gtp=GTP(inner_dst="10.9.0.10")), tunnelled(UE, qfi=9), (tunnelled(IP(dst="10.9.0.11")),)
    ),
    Row("inner IPv6", Classifier(gtp=GTP(inner_dst="2001:db8:9::/48")), tunnelled(UE6), (tunnelled(UE),)),
    Row("inner_proto", Classifier(gtp=GTP(inner_proto=6)), tunnelled(UE), (tunnelled(UE6), tunnelled(IP() / UDP()))),
    Row("inner_dscp", Classifier(gtp=GTP(inner_dscp=8)), tunnelled(IP(tos=32) / UDP()), (tunnelled(UE),)),
    Row(
        "inner ports",
        Classifier(gtp=GTP(inner_dst_ports=ranges(80, 81), inner_proto=6)),
        tunnelled(UE),
        (tunnelled(IP(dst="10.9.0.10") / TCP(dport=82)),),
    ),
    Row("ue", Classifier(ue="10.0.0.1"), PLAIN, (ether(IP(src="10.0.0.9", dst="10.0.0.1") / UDP()),)),
    Row("ue in a tunnel", Classifier(ue="10.45.0.2", gtp=GTP()), tunnelled(UE), (tunnelled(IP(src="10.45.0.3")),)),
)
REFUSED = {"ovs": {"gtp_type", "gtp_teid", "gtp_qfi", "inner", "name"}}
"""What engines cannot match, by the beginning of the field's name, and say so."""


def compiled(rig: Rig, *intents: Intents) -> DeviceState:
    ports = tuple(
        Port(id=f"p{number}", device=DEVICE, side=Side.HOST, number=number, mac=B, interface=f"n{number}")
        for number in PORTS
    )
    network = compile_network(Topology(devices=(Device(id=DEVICE),), ports=ports), intents)
    return msgspec.structs.replace(network.states[DEVICE], ports=tuple(rig.port(number) for number in PORTS))


async def put(rig: Rig, *intents: Intents) -> bool:
    """Put intents; whether the engine can do them. One that cannot names what it lacks."""
    state = compiled(rig, *intents)
    missing = catalogue.lacks(rig.capabilities, state)
    if missing:
        lacked = {text.removeprefix("cannot match ") for text in missing}
        assert all(any(one.startswith(known) for known in REFUSED.get(rig.type, ())) for one in lacked), missing
        return False
    await rig.put(state)
    return True


def steering(classifier: Classifier) -> list[Intents]:
    """What fits goes to p3, all else to p2."""
    chosen = msgspec.structs.replace(classifier, ports=("p1",))
    return [Wire(id="w", a="p1", b="p2"), Steering(id="s", classifier=chosen, actions=(Forward(port="p3"),))]


async def ways(rig: Rig, *frames: Packet | bytes, port: int = 1) -> list[int]:
    """Where frames leave."""
    return [number for one in frames for number, _ in await rig.send(port, bytes(one))]


@pytest.mark.feature("E99", "E105")
@pytest.mark.parametrize("row", MATRIX, ids=lambda row: row.name)
async def test_every_field_classifies(engine: Rig, row: Row) -> None:
    if not await put(engine, *steering(row.classifier)):
        return
    assert await ways(engine, row.fits) == [3]
    assert await ways(engine, *row.fails) == [2] * len(row.fails)


@pytest.mark.feature("E99", "E46")
async def test_connections_classify(engine: Rig) -> None:
    zone = Zone(id="fields", ports=("p1", "p2", "p3"), udp_s=60)
    opened = Steering(
        id="open", classifier=Classifier(ports=("p1",)), actions=(Connect(zone="fields"), Forward(port="p2"))
    )
    rows: list[Intents] = [
        Steering(
            id=f"to{port}",
            classifier=Classifier(ports=("p2",), connection=states),
            actions=(Forward(port=port),),
            priority=600,
        )
        for port, states in (
            ("p1", (Connection.REPLY,)),
            ("p4", (Connection.RELATED,)),
            ("p5", (Connection.NEW, Connection.INVALID)),
        )
    ]
    assert await put(engine, zone, opened, *rows)
    question = IP(src="10.0.0.1", dst="203.0.113.1") / UDP(sport=3001, dport=53)
    answer = ether(IP(src="203.0.113.1", dst="10.0.0.1") / UDP(sport=53, dport=3001))
    error = ether(IP(src="203.0.113.7", dst="10.0.0.1") / ICMP(type=3, code=3) / bytes(question)[:28])
    assert await ways(engine, answer, error, port=2) == [5, 5]
    assert await ways(engine, ether(question)) == [2]
    assert await ways(engine, error, answer, port=2) == [4, 1]


# -- what a connection asks for -------------------------------------------------------------------------------------------


def hello(host: str) -> bytes:
    """A ClientHello as a real TLS library makes it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    inbox, outbox = ssl.MemoryBIO(), ssl.MemoryBIO()
    talk = context.wrap_bio(inbox, outbox, server_hostname=host)
    with pytest.raises(ssl.SSLWantReadError):
        talk.do_handshake()
    return outbox.read()


def request(host: str) -> bytes:
    """An HTTP request."""
    return f"GET /a/path HTTP/1.1\r\nUser-Agent: test\r\nHOST: {host}\r\nAccept: */*\r\n\r\n".encode()


_ports = iter(range(20000, 30000))


def conversation(
    data: bytes, *, v6: bool = False, gtp: bool = False, options: bool = True, port: int = 0
) -> list[Packet]:
    """SYN, ACK, data, more data, of a connection of its own."""
    ends = {"sport": port or next(_ports), "dport": 443}
    kind, src, dst = (IPv6, "2001:db8::1", "2001:db8::2") if v6 else (IP, "10.45.0.2", "10.9.0.10")
    told = [("Timestamp", (1, 2))] if options else []
    parts = [("S", b""), ("A", b""), ("PA", data), ("PA", b"more"), ("FA", b"")]
    packets = [kind(src=src, dst=dst) / TCP(**ends, flags=flags, options=told) / part for flags, part in parts]
    return [tunnelled(packet, qfi=9) if gtp else ether(packet) for packet in packets]


WWW = Classifier(hosts=("www.example.org", "*.media.example"))
BY_DATA = [2, 2, 3, 3, 3]
NOT = [2, 2, 2, 2, 2]


@pytest.mark.feature("E99")
@pytest.mark.parametrize("say", [hello, request], ids=["server-name", "host"])
@pytest.mark.parametrize("v6", [False, True], ids=["IPv4", "IPv6"])
async def test_what_a_connection_asks_for(engine: Rig, say: Any, v6: bool) -> None:
    if not await put(engine, *steering(WWW)):
        return
    hosts = (
        ("www.example.org", BY_DATA),
        ("www.example.org.evil.test", NOT),
        ("WWW.Example.ORG", BY_DATA),
        ("cdn.media.example", BY_DATA),
        ("a.b.media.example", BY_DATA),
        ("media.example", NOT),
        ("example.org", NOT),
        ("awww.example.org", NOT),
    )
    for host, expected in hosts[:2] if v6 else hosts:
        assert await ways(engine, *conversation(say(host), v6=v6)) == expected, host


@pytest.mark.feature("E99", "E105")
async def test_what_is_asked_for_inside_a_tunnel(engine: Rig) -> None:
    inside = msgspec.structs.replace(WWW, gtp=GtpClassifier())
    if not await put(engine, *steering(inside)):
        return
    for say in (hello, request):
        assert await ways(engine, *conversation(say("www.example.org"), gtp=True)) == BY_DATA
        assert await ways(engine, *conversation(say("www.example.net"), gtp=True)) == NOT


@pytest.mark.feature("E99")
async def test_the_answer_has_the_name_of_its_connection(engine: Rig) -> None:
    """Both directions are one flow, and it keeps its name when rules change."""
    both = [
        Wire(id="w", a="p1", b="p2"),
        Steering(id="s", classifier=msgspec.structs.replace(WWW, ports=("p1", "p2")), actions=(Forward(port="p3"),)),
    ]
    if not await put(engine, *both):
        return
    frames = conversation(hello("www.example.org"))
    assert await ways(engine, *frames[:3]) == [2, 2, 3]
    sent = frames[2]
    answer = ether(
        IP(src=sent[IP].dst, dst=sent[IP].src) / TCP(sport=sent[TCP].dport, dport=sent[TCP].sport, flags="A")
    )
    assert await ways(engine, answer, port=2) == [3]
    other = Steering(
        id="other",
        classifier=Classifier(ports=("p1",), hosts=("www.example.org", "x.test")),
        actions=(Forward(port="p4"),),
    )
    assert await put(engine, both[0], other)
    assert await ways(engine, frames[3]) == [4]


@pytest.mark.feature("E99")
@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 600 + b"\r\nHost: www.example.org\r\n\r\n",
        b"GET / HTTP/1.1\r\nX-Host: www.example.org\r\n\r\n",
        b"\x16\x03\x01",
        b"\x16\x03\x01\x02\x00\x01" + b"\xff" * 300,
        b"\x16" + bytes(900),
        b"POST",
        b"GET / HTTP/1.1\r\nHost: www.example.org",
    ],
    ids=["ssh", "too-late", "another-header", "cut", "nonsense", "zeros", "short", "unfinished"],
)
async def test_what_says_no_name_goes_by_default(engine: Rig, data: bytes) -> None:
    if not await put(engine, *steering(WWW)):
        return
    assert naming.look(naming.Segment(data, 0), None, (Named(id=9, name="www.example.org"),)) == naming.Asked()
    assert await ways(engine, *conversation(data, options=False)) == NOT


def segments(*parts: bytes, lost: int = 0) -> list[Packet]:
    """A connection whose first data comes in several segments."""
    ends, seq = {"sport": next(_ports), "dport": 443}, 0xFFFFFFF0
    found = []
    for part in parts:
        ip = IP(src="10.45.0.2", dst="10.9.0.10")
        found.append(ether(ip / TCP(**ends, flags="PA", seq=seq) / part))
        seq = (seq + len(part) + lost) % (1 << 32)
    return found


def extensions_of(data: bytes) -> list[int]:
    """Where the extensions of a ClientHello begin."""
    at = 44 + data[43]
    at += 2 + int.from_bytes(data[at : at + 2], "big")
    at += 1 + data[at] + 2
    found = []
    while at < len(data):
        found.append(at)
        at += 4 + int.from_bytes(data[at + 2 : at + 4], "big")
    return found


def late_hello(host: str, first: int) -> bytes:
    """A ClientHello with a large extension before the server name, as post-quantum key shares are."""
    data = hello(host)
    at = extensions_of(data)[0]
    filler = b"\x00\x33" + first.to_bytes(2, "big") + bytes(first)
    total = int.from_bytes(data[at - 2 : at], "big") + len(filler)
    return data[: at - 2] + total.to_bytes(2, "big") + filler + data[at:]


@pytest.mark.feature("E99")
async def test_a_server_name_in_a_later_segment(engine: Rig) -> None:
    """A ClientHello may be cut between extensions, or inside of one that is passed over: the name is found where it comes."""
    if not await put(engine, *steering(WWW)):
        return
    data = late_hello("www.example.org", 1300)
    for cuts in ((1200,), (400, 900), (extensions_of(data)[1],)):
        parts = [data[a:b] for a, b in zip((0, *cuts), (*cuts, len(data)), strict=True)]
        assert await ways(engine, *segments(*parts, b"more")) == [*[2] * len(cuts), 3, 3], cuts
    other = late_hello("www.example.net", 1300)
    assert await ways(engine, *segments(other[:1200], other[1200:], b"more")) == [2, 2, 2]
    assert await ways(engine, *segments(data[:1200], data[1200:], lost=7)) == [2, 2]


@pytest.mark.feature("E99")
@pytest.mark.parametrize("gtp", [False, True], ids=["plain", "in-a-tunnel"])
async def test_the_same_ports_again_are_another_connection(engine: Rig, gtp: bool) -> None:
    """A SYN ends what was known of a flow, whether it had a name or none."""
    inside = msgspec.structs.replace(WWW, gtp=GtpClassifier()) if gtp else WWW
    if not await put(engine, *steering(inside)):
        return
    named, other = hello("www.example.org"), hello("www.example.net")
    port = next(_ports)
    for data, expected in ((named, BY_DATA), (other, NOT), (named, BY_DATA), (b"SSH-2.0", NOT), (named, BY_DATA)):
        frames = conversation(data, gtp=gtp, port=port)
        assert await ways(engine, *frames) == expected


@pytest.mark.feature("E99")
async def test_a_server_name_that_is_cut_is_not_seen(engine: Rig) -> None:
    if not await put(engine, *steering(WWW)):
        return
    data = hello("www.example.org")
    at = data.index(b"www.example.org")
    assert await ways(engine, *segments(data[: at + 4], data[at + 4 :], b"more")) == [2, 2, 2]
