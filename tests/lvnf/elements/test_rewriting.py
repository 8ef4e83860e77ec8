"""IPRewriter: translation of flows there and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.packet import Packet, Raw

from tests.lvnf.elements.lab import Lab, checked

pytestmark = pytest.mark.feature("C28")

NAT = (
    "FromDevice(in) -> [0] r :: IPRewriter(pattern 9.9.9.9 1024-1027 - - 0 1, drop);"
    "FromDevice(outside) -> [1] r; r[0] -> ToDevice(out); r[1] -> ToDevice(inside)"
)


def udp(port: int = 5000, src: str = "10.0.0.1", dst: str = "1.1.1.1", **fields: object) -> Packet:
    return IP(src=src, dst=dst) / UDP(sport=port, dport=53, **fields) / Raw(b"question")


def tcp(flags: str, port: int = 5000) -> Packet:
    return IP(src="10.0.0.1", dst="1.1.1.1") / TCP(sport=port, dport=80, flags=flags) / Raw(b"data")


def answer(packet: Packet, **fields: object) -> Packet:
    layer = TCP if TCP in packet else UDP
    return (
        IP(src=packet.dst, dst=packet.src)
        / layer(sport=packet.payload.dport, dport=packet.payload.sport, **fields)
        / Raw(b"answer")
    )


def there(lab: Lab, packet: Packet) -> Packet | None:
    lab.give(packet)
    found = lab.out()
    return checked(found[0]) if found else None


def back(lab: Lab, packet: Packet) -> Packet | None:
    lab.give(packet, device="outside")
    found = lab.out("inside")
    return checked(found[0]) if found else None


@pytest.mark.parametrize("packet", [udp(), tcp("S"), udp(chksum=0)])
def test_a_flow_and_its_replies(packet: Packet) -> None:
    lab = Lab(NAT)
    out = there(lab, packet)
    assert out is not None
    assert (out.src, out.payload.sport, out.dst, out.payload.dport) == (
        "9.9.9.9",
        1024,
        "1.1.1.1",
        packet.payload.dport,
    )
    assert bytes(out.payload.payload) == bytes(packet.payload.payload)
    reply = back(lab, answer(out))
    assert reply is not None
    assert (reply.dst, reply.payload.dport, reply.src) == ("10.0.0.1", 5000, "1.1.1.1")
    assert bytes(reply.payload.payload) == b"answer"


def test_a_checksum_of_0_stays_0() -> None:
    out = there(Lab(NAT), udp(chksum=0))
    assert out is not None
    assert out[UDP].chksum == 0


def test_options_and_tiny_segments_are_rewritten() -> None:
    lab = Lab(NAT)
    lab.give(IP(src="10.0.0.1", dst="1.1.1.1", options=b"\1\1\1\0") / UDP(sport=1, dport=2) / Raw(b"x"))
    packet = checked(lab.out()[0])
    assert (packet.src, packet[UDP].sport) == ("9.9.9.9", 1024)
    lab.give(IP(src="10.0.0.1", dst="1.1.1.1", proto=6) / Raw(b"\0\1\0\2\0\0\0\0"))
    assert lab.out()[0][20:] == b"\x04\x01\0\2\0\0\0\0"


def test_each_flow_gets_the_next_free_port_and_keeps_it() -> None:
    lab = Lab(NAT)
    ports = [there(lab, udp(port))[UDP].sport for port in (1, 2, 3, 1, 2, 4)]  # type: ignore[index]
    assert ports == [1024, 1025, 1026, 1024, 1025, 1027]
    assert lab.read("r.nmappings") == "4"


def test_without_a_free_port_the_flow_is_dropped() -> None:
    lab = Lab(NAT)
    for port in range(4):
        assert there(lab, udp(port)) is not None
    assert there(lab, udp(99)) is None
    assert lab.read("r.mapping_failures") == "1"


def test_a_port_is_free_for_another_destination() -> None:
    lab = Lab(NAT)
    for port in range(4):
        there(lab, udp(port))
    assert there(lab, udp(9, dst="2.2.2.2")) is not None


def test_what_nobody_asked_for_is_dropped() -> None:
    lab = Lab(NAT)
    there(lab, udp())
    assert back(lab, IP(src="1.1.1.2", dst="9.9.9.9") / UDP(sport=53, dport=1024)) is None
    assert back(lab, IP(src="1.1.1.1", dst="9.9.9.9") / UDP(sport=53, dport=1025)) is None


def test_the_table_and_clear() -> None:
    lab = Lab(NAT)
    there(lab, udp())
    there(lab, tcp("S", 6000))
    udp_line = "(10.0.0.1, 5000, 1.1.1.1, 53) => (9.9.9.9, 1024, 1.1.1.1, 53) [0]\n"
    tcp_line = "(10.0.0.1, 6000, 1.1.1.1, 80) => (9.9.9.9, 1025, 1.1.1.1, 80) [0]\n"
    assert lab.read("r.table") == tcp_line + udp_line
    lab.write("r.clear")
    assert (lab.read("r.table"), lab.read("r.nmappings")) == ("", "0")


def test_other_kinds_of_inputs() -> None:
    lab = Lab(
        "FromDevice(in) -> [0] r :: IPRewriter(pass 0, keep 0 1, pattern - - 7.7.7.7 8080 0 1, drop);"
        "FromDevice(k) -> [1] r; FromDevice(p) -> [2] r; FromDevice(outside) -> [3] r;"
        "r[0] -> ToDevice(out); r[1] -> ToDevice(inside)"
    )
    assert there(lab, udp(1)) == IP(bytes(udp(1)))
    assert lab.read("r.nmappings") == "0"
    lab.give(udp(2), device="k")
    assert lab.out() == [bytes(udp(2))]
    assert back(lab, answer(udp(2))) is not None
    lab.give(udp(3), device="p")
    kept = checked(lab.out()[0])
    assert (kept.dst, kept[UDP].dport, kept.src, kept[UDP].sport) == ("7.7.7.7", 8080, "10.0.0.1", 3)
    reply = back(lab, answer(kept))
    assert reply is not None
    assert (reply.src, reply[UDP].sport) == ("1.1.1.1", 53)


@pytest.mark.parametrize(
    "packet",
    [IP() / ICMP(), IP(frag=2, proto=17) / Raw(bytes(8)), IP(proto=17) / Raw(bytes(7)), IP(proto=47) / Raw(bytes(9))],
)
def test_what_has_no_ports_is_dropped_but_by_pass(packet: Packet) -> None:
    assert there(Lab(NAT), packet) is None
    assert Lab("FromDevice(in) -> IPRewriter(pass 0) -> ToDevice(out)").pass_one(packet) == "out"


@pytest.mark.parametrize(("make", "limit"), [(udp, 30), (lambda: tcp("A"), 100)])
def test_flows_are_forgotten_after_their_time(make: type[Packet], limit: int) -> None:
    lab = Lab(NAT.replace("drop)", "drop, UDP_TIMEOUT 30, TCP_TIMEOUT 100)"))
    there(lab, make())
    lab.advance(limit - 1)
    there(lab, make())
    lab.advance(limit - 1)
    assert lab.read("r.nmappings") == "1"
    lab.advance(limit)
    assert lab.read("r.nmappings") == "0"


def test_a_reply_keeps_a_flow_alive() -> None:
    lab = Lab(NAT.replace("drop)", "drop, UDP_TIMEOUT 30)"))
    out = there(lab, udp())
    assert out is not None
    lab.time += 29
    assert back(lab, answer(out)) is not None
    lab.time += 29
    assert back(lab, answer(out)) is not None
    lab.time += 31
    assert back(lab, answer(out)) is None


@pytest.mark.parametrize("ends", [("F", "F"), ("R", "A")])
def test_finished_connections_go_early(ends: tuple[str, str]) -> None:
    lab = Lab(NAT)
    out = there(lab, tcp("S"))
    assert out is not None
    there(lab, tcp(ends[0]))
    back(lab, answer(out, flags=ends[1]))
    lab.advance(200)
    assert lab.read("r.nmappings") == "1"
    lab.advance(60)
    assert lab.read("r.nmappings") == "0"


def test_a_connection_of_which_one_side_ended_stays() -> None:
    lab = Lab(NAT)
    there(lab, tcp("F"))
    lab.advance(3600)
    assert lab.read("r.nmappings") == "1"


@given(
    ports=st.lists(st.tuples(st.integers(1, 5), st.integers(1, 3)), min_size=1, max_size=12),
    data=st.binary(max_size=8),
)
def test_replies_find_their_way_back_to_whoever_asked(ports: list[tuple[int, int]], data: bytes) -> None:
    lab = Lab(NAT.replace("1024-1027", "1024-65535"))
    for host, port in ports:
        packet = IP(src=f"10.0.0.{host}", dst="1.1.1.1") / UDP(sport=port, dport=53) / Raw(data)
        out = there(lab, packet)
        assert out is not None
        reply = back(lab, answer(out))
        assert reply is not None
        assert (reply.dst, reply[UDP].dport) == (f"10.0.0.{host}", port)
    assert lab.read("r.nmappings") == str(len(set(ports)))
