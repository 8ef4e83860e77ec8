"""Classifier, IPClassifier and IPFilter."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.packet import Raw

from skerry.lvnf import configs
from skerry.lvnf.elements.classifying import compiled
from skerry.lvnf.expressions import expression
from tests.lvnf.elements.lab import Lab

pytestmark = pytest.mark.feature("C28")


def branches(element: str, count: int) -> Lab:
    ends = "; ".join(f"c[{port}] -> ToDevice(out{port})" for port in range(count))
    return Lab(f"FromDevice(in) -> c :: {element}; {ends}")


def test_classifier_takes_the_first_pattern_that_matches() -> None:
    lab = branches("Classifier(12/0806 20/0001, 12/0806, 12/0800, -)", 4)
    ends = [f"out{port}" for port in range(4)]
    arp = bytes(12) + b"\x08\x06" + bytes(6)
    assert lab.pass_one(arp + b"\0\1", *ends) == "out0"
    assert lab.pass_one(arp + b"\0\2", *ends) == "out1"
    assert lab.pass_one(bytes(12) + b"\x08\0", *ends) == "out2"
    assert lab.pass_one(bytes(12) + b"\x86\xdd", *ends) == "out3"


def test_classifier_drops_what_matches_nothing() -> None:
    lab = branches("Classifier(0/01)", 1)
    assert lab.pass_one(b"\2", "out0") is None


def test_classifier_with_masks_wildcards_and_negation() -> None:
    lab = branches("Classifier(0/40%f0, 1/?a, !2/ff, -)", 4)
    ends = [f"out{port}" for port in range(4)]
    assert lab.pass_one(b"\x4f\0\0", *ends) == "out0"
    assert lab.pass_one(b"\0\x9a\0", *ends) == "out1"
    assert lab.pass_one(b"\0\0\0", *ends) == "out2"
    assert lab.pass_one(b"\0\0\xff", *ends) == "out3"


def test_a_packet_too_short_for_a_clause_does_not_match_also_negated() -> None:
    lab = branches("Classifier(4/00, !4/00, -)", 3)
    assert lab.pass_one(b"\0\0\0\0", "out0", "out1", "out2") == "out2"


TCP_SYN = bytes(IP(src="10.1.2.3", dst="10.9.0.1", ttl=9, tos=0xB8, id=7) / TCP(sport=4000, dport=80, flags="S"))
UDP_DNS = bytes(IP(src="10.1.2.3", dst="10.9.0.1") / UDP(sport=4000, dport=53) / Raw(b"?"))
PING = bytes(IP(dst="10.9.0.1") / ICMP(type=8))
FIRST = bytes(IP(flags="MF", proto=17) / Raw(bytes(UDP(sport=5, dport=6)) + b"data"))
LATER = bytes(IP(frag=3, proto=17) / Raw(bytes(UDP(sport=5, dport=6))))
OPTIONS = bytes(IP(options=b"\1\1\1\0") / UDP(sport=5, dport=6))


@pytest.mark.parametrize(
    ("text", "yes", "no"),
    [
        ("tcp", TCP_SYN, UDP_DNS),
        ("ip proto 17", UDP_DNS, TCP_SYN),
        ("src host 10.1.2.3", TCP_SYN, PING),
        ("dst net 10.9.0.0/16", TCP_SYN, LATER),
        ("dst tcp port 80", TCP_SYN, UDP_DNS),
        ("src port 4000", UDP_DNS, FIRST),
        ("dst udp port > 50", UDP_DNS, FIRST),
        ("tcp opt syn", TCP_SYN, UDP_DNS),
        ("icmp type echo", PING, TCP_SYN),
        ("ip ttl 9", TCP_SYN, PING),
        ("ip tos 0xb8", TCP_SYN, PING),
        ("ip dscp 46", TCP_SYN, PING),
        ("ip id 7", TCP_SYN, PING),
        ("ip vers 4", TCP_SYN, b"\x60" + bytes(39)),
        ("ip hl 6", OPTIONS, TCP_SYN),
        ("ip len 29", UDP_DNS, TCP_SYN),
        ("ip frag", FIRST, TCP_SYN),
        ("ip frag", LATER, UDP_DNS),
        ("ip unfrag", UDP_DNS, FIRST),
        ("src udp port 5", FIRST, LATER),
        ("dst udp port 6", OPTIONS, UDP_DNS),
        ("not tcp and not icmp", UDP_DNS, TCP_SYN),
        ("tcp or icmp", PING, UDP_DNS),
        ("ip[8] = 9", TCP_SYN, PING),
        ("transp[13:1] & 0x12 = 0x02", TCP_SYN, PING),
    ],
)
def test_ip_expressions(text: str, yes: bytes, no: bytes) -> None:
    lab = branches(f"IPClassifier({text}, -)", 2)
    assert lab.pass_one(yes, "out0", "out1") == "out0"
    assert lab.pass_one(no, "out0", "out1") == "out1"


def test_ip_classifier_drops_what_no_expression_takes() -> None:
    assert branches("IPClassifier(tcp)", 1).pass_one(UDP_DNS, "out0") is None


def test_ip_filter_goes_by_its_rules_in_order() -> None:
    lab = branches("IPFilter(deny src port 4000 and udp, allow udp, 1 tcp, deny all)", 2)
    assert lab.pass_one(UDP_DNS, "out0", "out1") is None
    assert lab.pass_one(FIRST, "out0", "out1") == "out0"
    assert lab.pass_one(TCP_SYN, "out0", "out1") == "out1"
    assert lab.pass_one(PING, "out0", "out1") is None


@given(data=st.binary(max_size=64), field=st.sampled_from(["ip bytes", "transp bytes"]), offset=st.integers(0, 70))
def test_a_byte_that_is_not_there_matches_nothing(data: bytes, field: str, offset: int) -> None:
    tests = [
        compiled(configs.IPTest(field=field, value=100, comparison=comparison, offset=offset))(data)
        for comparison in ("<", "==", ">")
    ]
    start = 0 if field == "ip bytes" else (data[0] & 15) * 4 if data else 0
    there = start + offset < len(data)
    if field == "transp bytes":
        there = there and len(data) >= 20 and start >= 20 and not data[6] & 0x1F and not data[7]
    assert sum(tests) == (1 if there else 0)


@given(data=st.binary(max_size=80))
def test_an_expression_and_its_negation_split_all_packets(data: bytes) -> None:
    one = expression("tcp and dst port 80 or ip ttl < 5 or src net 10.0.0.0/8")
    assert compiled(one)(data) != compiled(configs.IPNot(part=one))(data)
