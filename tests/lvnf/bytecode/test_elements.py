"""Each element as a program of the kernel, by what its documentation says; packets are made by scapy."""

from __future__ import annotations

import os

import pytest
from scapy.contrib.gtp import GTP_U_Header, GTPPDUSessionContainer
from scapy.contrib.nsh import NSH
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet, Raw

from skerry.errors import InvalidError
from tests.lvnf.bytecode.lab import Lab

pytestmark = [
    pytest.mark.real,
    pytest.mark.feature("C28"),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
]
A, B, C = "02:00:00:00:00:0a", "02:00:00:00:00:0b", "02:00:00:00:00:0c"
INNER = IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1, dport=2) / Raw(b"hello")
FRAME = bytes(Ether(src=A, dst=B) / INNER)
HEAD = f"EtherEncap(0x0800, {A}, {B})"


def through(elements: str, frame: bytes | Packet = FRAME) -> bytes | None:
    """What becomes of a frame."""
    with Lab(f"FromDevice(eth0) -> {elements} -> ToDevice(eth1);") as lab:
        found = lab.send(bytes(frame))
    assert len(found) <= 1
    return found[0] if found else None


def way(element: str, outputs: int, *frames: bytes | Packet) -> list[int | None]:
    """By which output frames leave."""
    ends = " ".join(f"e[{port}] -> ToDevice(out{port});" for port in range(outputs))
    with Lab(f"e :: {element}; FromDevice(eth0) -> e; {ends}") as lab:
        sent = [lab.run(bytes(frame)) for frame in frames]
    return [int(one[0][0].removeprefix("out")) if one else None for one in sent]


def ip_way(expressions: str, outputs: int, *packets: Packet) -> list[int | None]:
    """The same for IP packets, which are put into frames for the way."""
    ends = " ".join(f"e[{port}] -> {HEAD} -> ToDevice(out{port});" for port in range(outputs))
    with Lab(f"e :: {expressions}; FromDevice(eth0) -> Strip(14) -> e; {ends}") as lab:
        sent = [lab.run(bytes(Ether(src=A, dst=B) / one)) for one in packets]
    return [int(one[0][0].removeprefix("out")) if one else None for one in sent]


def rebuilt(packet: Packet) -> bytes:
    """With the checksums and lengths that scapy works out."""
    again = packet.copy()
    layer = again
    while layer:
        for field in ("chksum", "len"):
            if field in layer.fields:
                layer.delfieldval(field)
        layer = layer.payload
    return bytes(again)


# -- link headers ---------------------------------------------------------------------------------------------------------


def test_strip_and_unstrip() -> None:
    assert through("Strip(14) -> Unstrip(14)") == FRAME
    assert through("Strip(3)") == FRAME[3:]
    assert through("Strip(2) -> Unstrip(4)") == b"\0\0" + FRAME
    with Lab("FromDevice(eth0) -> Strip(100) -> c :: Counter -> ToDevice(eth1);") as lab:
        assert lab.send(FRAME) == []
        assert (lab.read("c", "count"), lab.read("c", "byte_count")) == ("1", "0")


def test_ether_encap() -> None:
    expected = bytes(Ether(src=A, dst=B, type=0x0800)) + FRAME[14:]
    assert through(f"Strip(14) -> {HEAD}") == expected
    assert through(f"{HEAD} -> {HEAD}") == expected[:14] * 2 + FRAME
    assert through(f"Strip(20) -> {HEAD}") == expected[:14] + FRAME[20:]


def test_what_the_kernel_knows_nothing_of_is_encapsulated_too() -> None:
    arp = bytes(Ether(src=A, dst=B) / ARP(pdst="10.0.0.1"))
    odd = bytes(Ether(src=A, dst=B, type=0x88B5)) + b"x"
    for frame in (arp, odd):
        assert (
            through("VLANEncap(5) -> VLANEncap(6)", frame)
            == frame[:12] + bytes.fromhex("8100000681000005") + frame[12:]
        )
        assert through(f"Strip(14) -> {HEAD}", frame) == bytes(Ether(src=A, dst=B, type=0x0800)) + frame[14:]
        assert through("Strip(1)", frame) == frame[1:]


def test_vlan_tags() -> None:
    tagged = bytes(Ether(src=A, dst=B) / Dot1Q(vlan=77, prio=5) / INNER)
    assert through("VLANEncap(VLAN_ID 77, VLAN_PCP 5)") == tagged
    assert through("VLANDecap", tagged) == FRAME
    assert through("VLANDecap") == FRAME


def test_ethernet_addresses() -> None:
    assert through("EtherMirror") == FRAME[6:12] + FRAME[:6] + FRAME[12:]
    assert through(f"EtherRewrite({C}, {A})") == bytes(Ether(src=C, dst=A, type=0x0800)) + FRAME[14:]
    assert through("Strip(40) -> EtherMirror") is None


def test_arp_responder_answers_for_its_addresses() -> None:
    element = f"ARPResponder(10.0.0.0/8 {A}, 10.0.0.7 {B})"
    request = Ether(src=C, dst="ff:ff:ff:ff:ff:ff") / ARP(hwsrc=C, psrc="10.0.0.9", pdst="10.0.0.7")
    answer = through(element, bytes(request) + bytes(18))
    assert answer == bytes(Ether(src=B, dst=C) / ARP(op=2, hwsrc=B, psrc="10.0.0.7", hwdst=C, pdst="10.0.0.9"))
    request.pdst = "10.9.9.9"
    assert Ether(through(element, request)).src == A
    request.pdst = "11.0.0.1"
    reply = Ether(src=C, dst=A) / ARP(op=2, pdst="10.0.0.7")
    assert way(element, 2, request, reply, FRAME) == [1, 1, 1]
    assert through(element, request) is None


# -- IPv4 -----------------------------------------------------------------------------------------------------------------


def test_check_ip_header_cuts_off_what_is_behind() -> None:
    with Lab(
        f"c :: CheckIPHeader; FromDevice(eth0) -> Strip(14) -> c -> {HEAD} -> ToDevice(eth1); c[1] -> Discard;"
    ) as lab:
        assert lab.send(FRAME + b"padding") == [FRAME]
        options = IP(src="1.1.1.1", dst="2.2.2.2", options=b"\x01" * 40) / UDP()
        assert len(lab.send(bytes(Ether(src=A, dst=B) / options))) == 1
        wrong: list[Packet] = [
            IP(version=5) / UDP(),
            IP(ihl=4) / UDP(),
            IP(len=2000) / UDP(),
            IP(len=19) / UDP(),
            IP(chksum=1) / UDP(),
            IP(src="0.0.0.0") / UDP(),
            IP(src="255.255.255.255") / UDP(),
            IP(ihl=15) / UDP(),
        ]
        for packet in wrong:
            assert lab.send(bytes(Ether(src=A, dst=B) / packet)) == []
        assert (lab.read("c", "count"), lab.read("c", "drops")) == ("2", str(len(wrong)))
        lab.write("c", "reset_counts")
        assert (lab.read("c", "count"), lab.read("c", "drops")) == ("0", "0")
    assert (
        through("CheckIPHeader(OFFSET 14, CHECKSUM false)", Ether(src=A, dst=B) / IP(chksum=1, src="9.9.9.9"))
        is not None
    )


@pytest.mark.parametrize("size", [0, 1, 55, 700, 1472])
def test_icmp_ping_responder(size: int) -> None:
    data = bytes(number % 251 for number in range(size))
    request = IP(src="10.0.0.1", dst="10.0.0.2", ttl=3) / ICMP(id=7, seq=9) / Raw(data)
    answer = through(f"Strip(14) -> ICMPPingResponder -> {HEAD}", Ether(src=A, dst=B) / request)
    assert answer is not None
    packet = IP(answer[14:])
    assert (packet.src, packet.dst, packet.ttl) == ("10.0.0.2", "10.0.0.1", 255)
    assert (packet[ICMP].type, packet[ICMP].id, packet[ICMP].seq) == (0, 7, 9)
    assert rebuilt(packet) == answer[14:]


def test_icmp_ping_responder_leaves_others_alone() -> None:
    others = (IP() / UDP(), IP() / ICMP(type=0) / b"x", IP(frag=3) / ICMP(), IP(proto=1))
    assert ip_way("ICMPPingResponder", 2, *others) == [1, 1, 1, 1]


def test_ip_encap() -> None:
    with Lab(
        f"FromDevice(eth0) -> Strip(14) -> IPEncap(4, 1.1.1.1, 2.2.2.2, DSCP 46, TTL 9) -> {HEAD} -> ToDevice(e);"
    ) as lab:
        for number in range(3):
            (frame,) = lab.send(FRAME)
            packet = IP(frame[14:])
            assert (packet.id, packet.ttl, packet.tos, packet.proto, packet.src) == (number, 9, 46 << 2, 4, "1.1.1.1")
            assert bytes(packet.payload) == FRAME[14:]
            assert rebuilt(packet) == frame[14:]


@pytest.mark.parametrize("size", [1, 2, 3, 254, 511, 1443])
def test_udp_ip_encap(size: int) -> None:
    frame = bytes(Ether(src=A, dst=B)) + bytes(number % 253 for number in range(size))
    found = through(f"UDPIPEncap(1.1.1.1, 99, 2.2.2.2, 98) -> {HEAD}", frame)
    assert found is not None
    packet = IP(found[14:])
    assert (packet.ttl, packet.sport, packet.dport, bytes(packet[UDP].payload)) == (250, 99, 98, frame)
    assert rebuilt(packet) == found[14:]
    plain = through(f"UDPIPEncap(1.1.1.1, 99, 2.2.2.2, 98, CHECKSUM false) -> {HEAD}", frame)
    assert plain is not None
    assert IP(plain[14:])[UDP].chksum == 0


@pytest.mark.parametrize(
    ("expression", "yes", "no"),
    [
        ("tcp dst port 80", IP() / TCP(dport=80), IP() / UDP(dport=80)),
        ("src host 10.0.0.1", IP(src="10.0.0.1"), IP(src="10.0.0.3")),
        ("dst net 10.0.0.0/8 or icmp", IP() / ICMP(), IP() / UDP()),
        ("not tcp", IP() / UDP(), IP() / TCP()),
        ("src port > 1000 and dst port <= 53", IP() / UDP(sport=1001, dport=53), IP() / UDP(sport=1000, dport=53)),
        ("ip frag", IP(flags="MF") / UDP(), IP() / UDP()),
        ("ip unfrag", IP() / UDP(), IP(frag=2) / UDP()),
        ("ip ttl 1", IP(ttl=1), IP(ttl=2)),
        ("ip dscp 46", IP(tos=46 << 2), IP(tos=46)),
        ("ip hl > 5", IP(options=b"\x01" * 4) / UDP(), IP() / UDP()),
        ("tcp opt syn", IP(options=b"\x01" * 8) / TCP(flags="S"), IP() / TCP(flags="A")),
        ("icmp type 8", IP() / ICMP(type=8), IP() / ICMP(type=0)),
        ("udp src port 7", IP(options=b"\x01" * 8) / UDP(sport=7), IP(frag=1) / UDP(sport=7)),
        ("ip proto 47 or (ip vers 4 and ip len > 100)", IP(proto=47), IP() / UDP()),
    ],
)
def test_ip_classifier(expression: str, yes: Packet, no: Packet) -> None:
    assert ip_way(f"IPClassifier({expression}, -)", 2, yes, no) == [0, 1]
    assert ip_way(f"IPFilter(deny {expression}, allow all)", 1, yes, no) == [None, 0]


# -- ways -----------------------------------------------------------------------------------------------------------------


def test_classifier() -> None:
    arp = Ether(src=A, dst=B) / ARP()
    assert way("Classifier(12/0800, 12/0806)", 2, FRAME, arp, Ether(type=0x1234)) == [0, 1, None]
    assert way("Classifier(12/0?06, -)", 2, arp, FRAME) == [0, 1]
    assert way("Classifier(!12/0800 0/02, 200/00, !200/00, -)", 4, FRAME, arp) == [3, 0]
    assert way("Classifier(0/0200000000%ffff0000ff 5/0b, -)", 2, FRAME, Ether(dst=A)) == [0, 1]


def test_tee_gives_whole_copies_in_order() -> None:
    text = f"""t :: Tee(4); FromDevice(eth0) -> t;
        t[0] -> ToDevice(a);
        t[1] -> Strip(14) -> GTPEncap(7) -> UDPIPEncap(1.1.1.1, 2152, 2.2.2.2, 2152) -> {HEAD} -> ToDevice(b);
        t[2] -> Strip(4) -> EtherRewrite({A}, {C}) -> u :: Tee(2); u[0] -> EtherMirror -> ToDevice(c); u[1] -> ToDevice(d);
        t[3] -> ToDevice(e);"""
    for frame in (FRAME, bytes(Ether(src=A, dst=B) / ARP())):
        with Lab(text) as lab:
            sent = lab.run(frame)
        assert [device for device, _ in sent] == ["a", "b", "c", "d", "e"]
        assert [sent[0][1], sent[4][1]] == [frame, frame]
        assert sent[1][1][-len(frame) + 14 :] == frame[14:]
        assert sent[3][1] == bytes(Ether(src=A, dst=C))[:12] + frame[16:]
        assert sent[2][1][:12] == bytes(Ether(src=C, dst=A))[:12]


def test_switches() -> None:
    text = "s :: Switch(1); FromDevice(eth0) -> s; s[0] -> ToDevice(a); s[1] -> ToDevice(b);"
    with Lab(text) as lab:
        seen = [lab.run(FRAME)[0][0]]
        for output in ("0", "1", "-1"):
            lab.write("s", "switch", output)
            assert lab.read("s", "switch") == output
            seen += [device for device, _ in lab.run(FRAME)] or ["none"]
        assert seen == ["b", "a", "b", "none"]
        with pytest.raises(InvalidError, match="cannot take '2' as an output"):
            lab.write("s", "switch", "2")
    assert way("RoundRobinSwitch", 3, *[FRAME] * 5) == [0, 1, 2, 0, 1]


def test_paint() -> None:
    text = "FromDevice(eth0) -> p :: Paint(3) -> c :: CheckPaint(3) -> ToDevice(a); c[1] -> ToDevice(b);"
    with Lab(text) as lab:
        assert lab.run(FRAME)[0][0] == "a"
        lab.write("p", "color", "4")
        assert lab.run(FRAME)[0][0] == "b"
        lab.write("c", "color", "4")
        assert (lab.read("c", "color"), lab.run(FRAME)[0][0]) == ("4", "a")


def test_random_sample() -> None:
    text = "FromDevice(eth0) -> r :: RandomSample(0.5) -> ToDevice(a); r[1] -> ToDevice(b);"
    with Lab(text) as lab:
        assert (lab.read("r", "sampling_prob"), lab.read("r", "drop_prob")) == ("0.5", "0.5")
        seen = {lab.run(FRAME)[0][0] for _ in range(100)}
        assert seen == {"a", "b"}
        assert int(lab.read("r", "count")) + int(lab.read("r", "drops")) == 100
        lab.write("r", "drop_prob", "1")
        assert {lab.run(FRAME)[0][0] for _ in range(50)} == {"b"}
        lab.write("r", "active", "false")
        assert {lab.run(FRAME)[0][0] for _ in range(50)} == {"a"}


def test_meter_divides_by_rate() -> None:
    text = (
        "m :: Meter(1, 1000000); FromDevice(eth0) -> m; m[0] -> ToDevice(a); m[1] -> ToDevice(b); m[2] -> ToDevice(c);"
    )
    with Lab(text) as lab:
        # The averages begin with 0 and see a packet only after its millisecond.
        seen = [lab.run(FRAME)[0][0]]
        while seen[-1] == "a":
            seen.append(lab.run(FRAME)[0][0])
        assert set(seen) == {"a", "b"}
        assert float(lab.read("m", "rate")) > 0
        assert lab.read("m", "meters").split()[1] == "1000000"


# -- counts ---------------------------------------------------------------------------------------------------------------


def test_counters() -> None:
    text = "FromDevice(eth0) -> c :: Counter -> a :: AverageCounter -> d :: Discard;"
    with Lab(text) as lab:
        for size in (60, 100, 1500):
            lab.send(bytes(size))
        for name in ("c", "a"):
            assert (lab.read(name, "count"), lab.read(name, "byte_count")) == ("3", "1660")
        assert lab.read("d", "count") == "3"
        lab.write("c", "reset")
        lab.write("a", "reset")
        lab.write("d", "reset_counts")
        lab.send(bytes(64))
        assert [lab.read(name, "count") for name in ("c", "a", "d")] == ["1", "1", "1"]


def test_rates_rise_under_load() -> None:
    with Lab("FromDevice(eth0) -> c :: Counter -> Discard;") as lab:
        rate = 0.0
        for _ in range(100_000):
            lab.send(FRAME)
            rate = float(lab.read("c", "rate"))
            if rate > 100 and float(lab.read("c", "bit_rate")) > 8 * float(lab.read("c", "rate")):
                break
        assert rate > 100


# -- tunnels --------------------------------------------------------------------------------------------------------------


def gtp(inner: Packet, *options: Packet, teid: int = 7) -> bytes:
    """A frame with a tunnelled packet."""
    head = Ether(src=A, dst=B) / IP(src="1.1.1.1", dst="2.2.2.2") / UDP(sport=2152, dport=2152, chksum=0)
    packet = head / GTP_U_Header(teid=teid, gtp_type=255)
    for one in options:
        packet = packet / one
    return bytes(packet / inner)


@pytest.mark.feature("C39")
def test_gtp_decap() -> None:
    text = f"""FromDevice(eth0) -> Strip(14) -> CheckIPHeader -> Strip(28) -> g :: GTPDecap(7) -> {HEAD} -> ToDevice(a);
        g[1] -> Unstrip(42) -> ToDevice(b);"""
    with Lab(text) as lab:
        plain = gtp(INNER)
        assert lab.run(plain) == [("a", FRAME)]
        assert lab.run(gtp(INNER, GTPPDUSessionContainer(type=1, QFI=9))) == [("a", FRAME)]
        other = gtp(INNER, teid=8)
        assert lab.run(other) == [("b", other)]
        echo = bytes(Ether(src=A, dst=B) / IP() / UDP(dport=2152) / GTP_U_Header(gtp_type=1, teid=7))
        assert lab.run(echo) == [("b", echo)]
        endless = plain[:42] + b"\x34\xff\0\0\0\0\0\7\0\0\0\x85" + b"\x01\0\0\x85" * 40
        endless = endless[:16] + (len(endless) - 14).to_bytes(2, "big") + endless[18:24] + b"\0\0" + endless[26:]
        assert lab.run(rebuilt_ip(endless))[0][0] == "b"
        assert (lab.read("g", "count"), lab.read("g", "teid")) == ("2", "7")


def rebuilt_ip(frame: bytes) -> bytes:
    """With the checksum of its IP header."""
    head = IP(frame[14:34])
    del head.chksum
    return frame[:14] + bytes(head) + frame[34:]


@pytest.mark.feature("C39")
def test_gtp_encap() -> None:
    tail = f"UDPIPEncap(1.1.1.1, 2152, 2.2.2.2, 2152, CHECKSUM false) -> {HEAD}"
    with Lab(f"FromDevice(eth0) -> Strip(14) -> g :: GTPEncap(7) -> {tail} -> ToDevice(a);") as lab:
        (frame,) = lab.send(FRAME)
        assert rebuilt(Ether(frame)[GTP_U_Header]) == rebuilt(Ether(gtp(INNER))[GTP_U_Header])
        lab.write("g", "teid", "0xdeadbeef")
        (frame,) = lab.send(FRAME)
        assert (Ether(frame)[GTP_U_Header].teid, lab.read("g", "teid")) == (0xDEADBEEF, str(0xDEADBEEF))
    found = through(f"Strip(14) -> GTPEncap(7, QFI 9) -> {tail}")
    assert found is not None
    assert Ether(found)[GTPPDUSessionContainer].QFI == 9
    assert found[-len(INNER) :] == FRAME[14:]


def test_nsh() -> None:
    outer = f"EtherEncap(0x894F, {A}, {B})"
    found = through(f"NSHEncap(PATH 300, INDEX 20) -> {outer}")
    assert found is not None
    head = Ether(found)[NSH]
    assert (head.spi, head.si, head.nextproto, head.mdtype, head.ttl) == (300, 20, 3, 2, 63)
    assert found[-len(FRAME) :] == FRAME
    with Lab(
        "FromDevice(eth0) -> Strip(14) -> n :: NSHDecap(300) -> ToDevice(a); n[1] -> Unstrip(14) -> ToDevice(b);"
    ) as lab:
        assert lab.run(found) == [("a", FRAME)]
        assert (lab.read("n", "path"), lab.read("n", "index")) == ("300", "20")
        other = bytes(Ether(src=A, dst=B) / NSH(spi=5) / Raw(FRAME))
        assert lab.run(other) == [("b", other)]
        assert lab.run(found[:18]) == [("b", found[:18])]
