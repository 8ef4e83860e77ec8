"""CheckIPHeader, ICMPPingResponder, IPEncap and UDPIPEncap."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, UDP
from scapy.packet import Raw
from scapy.utils import checksum

from skerry.lvnf.elements.packet import adjusted, difference, internet_checksum, ones_sum
from tests.lvnf.elements.lab import Lab, checked

pytestmark = pytest.mark.feature("C28")

GOOD = bytes(IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1, dport=2) / Raw(b"hello"))


class TestCheckIPHeader:
    TEXT = "FromDevice(in) -> c :: CheckIPHeader; c[0] -> ToDevice(out); c[1] -> ToDevice(bad)"

    def test_passes_what_is_right_and_counts_it(self) -> None:
        lab = Lab(self.TEXT)
        assert lab.pass_one(GOOD, "out", "bad") == "out"
        assert (lab.read("c.count"), lab.read("c.drops")) == ("1", "0")

    @pytest.mark.parametrize(
        "data",
        [
            GOOD[:19],
            bytes(IP(version=6, src="10.0.0.1") / Raw(b"x")),
            bytes(IP(ihl=4, src="10.0.0.1") / Raw(b"x")),
            bytes(IP(len=19, src="10.0.0.1") / Raw(b"x")),
            bytes(IP(len=99, src="10.0.0.1") / Raw(b"x")),
            bytes(IP(src="10.0.0.1", chksum=1) / Raw(b"x")),
            bytes(IP(src="0.0.0.0") / Raw(b"x")),
            bytes(IP(src="255.255.255.255") / Raw(b"x")),
        ],
    )
    def test_what_is_wrong_leaves_by_output_1(self, data: bytes) -> None:
        lab = Lab(self.TEXT)
        assert lab.pass_one(data, "out", "bad") == "bad"
        assert lab.read("c.drops") == "1"

    def test_cuts_off_what_is_behind_the_packet(self) -> None:
        lab = Lab(self.TEXT)
        lab.give(GOOD + b"padding")
        assert lab.out() == [GOOD]

    def test_at_an_offset(self) -> None:
        lab = Lab("FromDevice(in) -> CheckIPHeader(OFFSET 14) -> ToDevice(out)")
        lab.give(bytes(14) + GOOD + b"pad", GOOD)
        assert lab.out() == [bytes(14) + GOOD]

    def test_with_other_bad_sources_and_without_checksums(self) -> None:
        lab = Lab("FromDevice(in) -> CheckIPHeader(BADSRC 10.0.0.1, CHECKSUM false) -> ToDevice(out)")
        assert lab.pass_one(GOOD) is None
        assert lab.pass_one(IP(src="0.0.0.0", chksum=7)) == "out"


class TestICMPPingResponder:
    TEXT = "FromDevice(in) -> c :: ICMPPingResponder; c[0] -> ToDevice(out); c[1] -> ToDevice(rest)"

    @pytest.mark.parametrize("options", [b"", b"\1\1\1\0"])
    def test_answers_an_echo_request(self, options: bytes) -> None:
        lab = Lab(self.TEXT)
        lab.give(IP(src="10.0.0.1", dst="10.0.0.2", ttl=3, options=options) / ICMP(id=5, seq=6) / Raw(b"odd"))
        reply = checked(lab.out()[0])
        assert (reply.src, reply.dst, reply.ttl) == ("10.0.0.2", "10.0.0.1", 255)
        assert (reply[ICMP].type, reply[ICMP].id, reply[ICMP].seq) == (0, 5, 6)
        assert bytes(reply[ICMP].payload) == b"odd"

    @pytest.mark.parametrize("packet", [IP() / ICMP(type=0), IP() / UDP(), IP(frag=1) / ICMP(), IP() / Raw(b"\x08")])
    def test_others_leave_by_output_1(self, packet: IP) -> None:
        assert Lab(self.TEXT).pass_one(packet, "out", "rest") == "rest"


class TestIPEncap:
    def test_prepends_a_header_with_a_right_checksum(self) -> None:
        lab = Lab("FromDevice(in) -> IPEncap(4, 1.2.3.4, 5.6.7.8, TTL 33, DSCP 46) -> ToDevice(out)")
        lab.give(GOOD, GOOD)
        first, second = (checked(data) for data in lab.out())
        assert (first.src, first.dst, first.ttl, first.tos, first.proto) == ("1.2.3.4", "5.6.7.8", 33, 46 << 2, 4)
        assert bytes(first.payload) == GOOD
        assert (first.id, second.id, int(first.flags)) == (0, 1, 0)

    def test_what_is_too_long_for_ip_is_dropped(self) -> None:
        lab = Lab("FromDevice(in) -> IPEncap(4, 1.2.3.4, 5.6.7.8) -> ToDevice(out)")
        assert lab.pass_one(bytes(65515)) == "out"
        assert lab.pass_one(bytes(65516)) is None


class TestUDPIPEncap:
    @given(data=st.binary(min_size=1, max_size=99))
    def test_prepends_both_headers(self, data: bytes) -> None:
        lab = Lab("FromDevice(in) -> UDPIPEncap(1.2.3.4, 1000, 5.6.7.8, 2152) -> ToDevice(out)")
        lab.give(data)
        packet = checked(lab.out()[0])
        assert (packet.src, packet.dst, packet.ttl) == ("1.2.3.4", "5.6.7.8", 250)
        assert (packet[UDP].sport, packet[UDP].dport, packet[UDP].len) == (1000, 2152, 8 + len(data))
        assert packet[UDP].chksum != 0
        assert bytes(packet)[28:] == data

    def test_without_a_checksum(self) -> None:
        lab = Lab("FromDevice(in) -> UDPIPEncap(1.2.3.4, 1000, 5.6.7.8, 53, CHECKSUM false) -> ToDevice(out)")
        lab.give(b"data")
        assert IP(lab.out()[0])[UDP].chksum == 0


@given(data=st.binary(max_size=64))
def test_checksums_are_those_of_another_implementation(data: bytes) -> None:
    assert internet_checksum(data) == checksum(data)


@given(old=st.binary(min_size=8, max_size=8), new=st.binary(min_size=8, max_size=8), rest=st.binary(max_size=16))
def test_an_adjusted_checksum_sums_up_right(old: bytes, new: bytes, rest: bytes) -> None:
    before = internet_checksum(old + rest)
    after = adjusted(before, difference(old, new))
    total = ones_sum(new + rest) + after
    assert total % 0xFFFF == 0
