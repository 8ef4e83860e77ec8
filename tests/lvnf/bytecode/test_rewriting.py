"""IPRewriter as a program of the kernel: network address translation with flows that it makes and forgets by itself."""

from __future__ import annotations

import os
import struct

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from skerry.lvnf.bytecode import rewriting, slots
from tests.lvnf.bytecode.lab import Lab
from tests.lvnf.bytecode.test_elements import rebuilt

pytestmark = [
    pytest.mark.real,
    pytest.mark.feature("C28"),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
]
HEAD = "EtherEncap(0x0800, 02:00:00:00:00:0a, 02:00:00:00:00:0b)"
USER, SERVER = "10.0.0.1", "1.1.1.1"


def nat(rule: str = "pattern 9.9.9.9 1024-1026 - - 0 1", more: str = "", back: str = "drop") -> Lab:
    """Users at eth0, the world at eth1."""
    return Lab(
        f"FromDevice(eth0) -> Strip(14) -> [0] r :: IPRewriter({rule}, {back}{more});"
        f"FromDevice(eth1) -> Strip(14) -> [1] r; r[0] -> {HEAD} -> ToDevice(eth1); r[1] -> {HEAD} -> ToDevice(eth0);"
    )


def passes(lab: Lab, packet: Packet, device: str = "eth0") -> Packet | None:
    """What becomes of a packet; its checksums are right, and it leaves by the other side."""
    sent = lab.run(bytes(Ether() / packet), device)
    if not sent:
        return None
    ((other, frame),) = sent
    assert other != device
    found = IP(frame[14:])
    if UDP not in found or found[UDP].chksum:
        assert rebuilt(found) == frame[14:]
    return found


def udp(port: int, src: str = USER) -> Packet:
    return IP(src=src, dst=SERVER) / UDP(sport=port, dport=53) / Raw(b"question")


def test_flows_get_the_next_port_and_replies_find_back() -> None:
    with nat() as lab:
        for port, expected in ((5000, 1024), (5001, 1025), (5000, 1024), (5002, 1026)):
            out = passes(lab, udp(port))
            assert out is not None
            assert (out.src, out.dst, out.sport, out.dport) == ("9.9.9.9", SERVER, expected, 53)
        back = passes(lab, IP(src=SERVER, dst="9.9.9.9") / UDP(sport=53, dport=1025) / Raw(b"answer"), "eth1")
        assert back is not None
        assert (back.src, back.dst, back.sport, back.dport) == (SERVER, USER, 53, 5001)
        assert passes(lab, IP(src=SERVER, dst="9.9.9.9") / UDP(sport=53, dport=1027), "eth1") is None
        assert passes(lab, IP(src="2.2.2.2", dst="9.9.9.9") / UDP(sport=53, dport=1025), "eth1") is None
        assert passes(lab, udp(5003)) is None
        assert (lab.read("r", "nmappings"), lab.read("r", "mapping_failures")) == ("3", "1")
        assert (
            lab.read("r", "table").splitlines()[1]
            == "(10.0.0.1, 5001, 1.1.1.1, 53) => (9.9.9.9, 1025, 1.1.1.1, 53) [0]"
        )
        assert lab.read("r", "tcp_table") == ""
        lab.write("r", "clear")
        assert lab.read("r", "nmappings") == "0"
        again = passes(lab, udp(5003))
        assert again is not None
        assert again.sport == 1024


@pytest.mark.parametrize("options", [b"", b"\x01" * 12])
@pytest.mark.parametrize(
    "layer", [TCP(sport=7, dport=80, flags="S"), UDP(sport=7, dport=80), UDP(sport=7, dport=80, chksum=0)]
)
def test_checksums_follow(layer: Packet, options: bytes) -> None:
    with nat() as lab:
        out = passes(lab, IP(src=USER, dst=SERVER, options=options) / layer / Raw(b"data!"))
    assert out is not None
    assert out.src == "9.9.9.9"
    if UDP in out and layer.chksum == 0:
        assert out[UDP].chksum == 0


@pytest.mark.parametrize(("rule", "left"), [("udp", "UDP_TIMEOUT 1"), ("tcp", "TCP_TIMEOUT 1")])
def test_a_flow_is_forgotten_after_its_time(rule: str, left: str) -> None:
    packet = udp(5000) if rule == "udp" else IP(src=USER, dst=SERVER) / TCP(sport=5000, dport=80)
    other = packet.copy()
    other.payload.sport = 5001
    with nat("pattern 9.9.9.9 1024-1025 - - 0 1", f", {left}") as lab:
        for one in (packet, other):
            assert passes(lab, one) is not None
        third = packet.copy()
        third.payload.sport = 5002
        assert passes(lab, third) is None
        _age(lab, 2_000_000_000)
        assert lab.read("r", "nmappings") == "0"
        out = passes(lab, third)
        assert out is not None
        assert out.sport == 1024
        assert lab.read("r", "nmappings") == "1"


def test_a_finished_connection_goes_early() -> None:
    ends = {"F": 1, "R": 0}
    for flags, left in ends.items():
        with nat() as lab:
            assert passes(lab, IP(src=USER, dst=SERVER) / TCP(sport=1, dport=80, flags=flags)) is not None
            _age(lab, 241_000_000_000)
            assert lab.read("r", "nmappings") == str(left), flags


def _age(lab: Lab, nanoseconds: int) -> None:
    """As if all flows had been seen so much earlier."""
    known = lab._memory._maps[slots.flows(lab._memory._slots.places["r"])]
    for key, value in known.items():
        (seen,) = struct.unpack_from("<Q", value, rewriting.SEEN)
        data = bytearray(value)
        struct.pack_into("<Q", data, rewriting.SEEN, seen - nanoseconds)
        known.put(key, bytes(data))


def test_flows_that_nobody_uses_make_room_for_others() -> None:
    count = rewriting.MOST_FLOWS
    with nat("pattern 9.9.9.9 - - - 0 1") as lab:
        frame = bytearray(bytes(Ether() / udp(0)))
        sent = 0
        for number in range(count):
            frame[33], frame[34:36] = number >> 8 & 0xFF, (number & 0xFF).to_bytes(2, "big")
            frame[24:26] = frame[40:42] = b"\0\0"
            sent += len(lab.send(bytes(frame)))
        assert (sent, lab.read("r", "nmappings")) == (count, str(count))
        assert passes(lab, udp(60000)) is None
        _age(lab, 301_000_000_000)
        assert passes(lab, udp(60001)) is not None
        assert lab.read("r", "nmappings") == "1"


def test_what_has_no_ports_passes_or_not() -> None:
    others = [IP(src=USER, dst=SERVER, proto=47) / Raw(bytes(20)), IP(src=USER, dst=SERVER, frag=5) / UDP()]
    for rule, leaves in (("pattern 9.9.9.9 - - - 0 1", False), ("pass 0", True), ("keep 0 1", False), ("drop", False)):
        with nat(rule, back="keep 0 1") as lab:
            assert [passes(lab, one) is not None for one in others] == [leaves] * 2
            assert (passes(lab, udp(1)) is not None) == (rule != "drop")
