"""Elements that take off, put on and change headers."""

from __future__ import annotations

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Raw

from tests.lvnf.elements.lab import Lab

pytestmark = pytest.mark.feature("C28")

A, B = "02:00:00:00:00:0a", "02:00:00:00:00:0b"
FRAME = bytes(Ether(src=A, dst=B) / IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1, dport=2) / Raw(b"hello"))


def through(elements: str, frame: bytes | Ether = FRAME) -> bytes | None:
    lab = Lab(f"FromDevice(in) -> {elements} -> ToDevice(out)")
    lab.give(frame)
    found = lab.out()
    return found[0] if found else None


def test_strip_takes_bytes_off_the_start() -> None:
    assert through("Strip(14)") == FRAME[14:]


def test_strip_of_more_than_there_is_leaves_nothing() -> None:
    lab = Lab("FromDevice(in) -> Strip(100) -> c :: Counter -> ToDevice(out)")
    lab.give(b"short")
    assert (lab.read("c.count"), lab.read("c.byte_count")) == ("1", "0")


def test_unstrip_puts_back_what_was_stripped() -> None:
    assert through("Strip(14) -> Unstrip(14)") == FRAME
    assert through("Strip(14) -> Unstrip(4)") == FRAME[10:]


def test_unstrip_of_more_than_was_stripped_makes_zeros() -> None:
    assert through("Strip(2) -> Unstrip(4)") == b"\0\0" + FRAME


def test_unstrip_does_not_bring_back_what_an_encapsulation_wrote_over() -> None:
    found = through(f"Strip(20) -> EtherEncap(0x0800, {A}, {B}) -> Strip(14) -> Unstrip(20)")
    assert found is not None
    assert found[:6] == FRAME[:6]
    assert found[6:20] == bytes(Ether(src=A, dst=B, type=0x0800))
    assert found[20:] == FRAME[20:]


def test_ether_encap_prepends_a_header() -> None:
    assert through(f"Strip(14) -> EtherEncap(0x86DD, {B}, {A})") == bytes(Ether(src=B, dst=A, type=0x86DD)) + FRAME[14:]


def test_vlan_encap_inserts_a_tag_that_vlan_decap_removes() -> None:
    tagged = through("VLANEncap(VLAN_ID 77, VLAN_PCP 5)")
    assert tagged is not None
    tag = Ether(tagged)[Dot1Q]
    assert (tag.vlan, tag.prio, tag.type) == (77, 5, 0x0800)
    assert Ether(tagged).type == 0x8100
    assert through("VLANDecap", tagged) == FRAME


def test_vlan_decap_passes_what_has_no_tag() -> None:
    assert through("VLANDecap") == FRAME


def test_vlan_decap_removes_the_outer_tag_only() -> None:
    frame = Ether(src=A, dst=B) / Dot1Q(vlan=1) / Dot1Q(vlan=2) / IP(dst="10.0.0.2") / Raw(b"x")
    found = Ether(through("VLANDecap", frame))
    assert [layer.vlan for layer in (found[Dot1Q],)] == [2]
    assert Dot1Q not in found[Dot1Q].payload


def test_ether_mirror_exchanges_the_addresses() -> None:
    found = Ether(through("EtherMirror"))
    assert (found.src, found.dst, bytes(found.payload)) == (B, A, FRAME[14:])


def test_ether_rewrite_replaces_the_addresses() -> None:
    found = Ether(through("EtherRewrite(02:00:00:00:00:01, 02:00:00:00:00:02)"))
    assert (found.src, found.dst, bytes(found.payload)) == ("02:00:00:00:00:01", "02:00:00:00:00:02", FRAME[14:])


@pytest.mark.parametrize("element", ["EtherMirror", f"EtherRewrite({A}, {B})", "VLANEncap(1)"])
def test_what_is_too_short_for_an_ethernet_header_is_dropped(element: str) -> None:
    assert through(element, b"eleven byte") is None


class TestARPResponder:
    TEXT = (
        "FromDevice(in) -> a :: ARPResponder(10.0.0.0/24 02:00:00:00:00:01, 10.0.0.7 02:00:00:00:00:07);"
        "a[0] -> ToDevice(out); a[1] -> ToDevice(rest)"
    )

    def request(self, target: str, **fields: object) -> Ether:
        return Ether(src=A, dst="ff:ff:ff:ff:ff:ff") / ARP(
            **{"op": 1, "hwsrc": A, "psrc": "10.0.0.9", "pdst": target, **fields}
        )

    def test_answers_a_request(self) -> None:
        lab = Lab(self.TEXT)
        lab.give(self.request("10.0.0.3"))
        reply = Ether(lab.out()[0])
        assert (reply.src, reply.dst, reply.type) == ("02:00:00:00:00:01", A, 0x0806)
        arp = reply[ARP]
        assert (arp.op, arp.hwsrc, arp.psrc) == (2, "02:00:00:00:00:01", "10.0.0.3")
        assert (arp.hwdst, arp.pdst) == (A, "10.0.0.9")

    def test_the_longest_prefix_decides(self) -> None:
        lab = Lab(self.TEXT)
        lab.give(self.request("10.0.0.7"))
        assert Ether(lab.out()[0])[ARP].hwsrc == "02:00:00:00:00:07"

    def test_what_is_padded_is_answered_too(self) -> None:
        lab = Lab(self.TEXT)
        lab.give(bytes(self.request("10.0.0.7")) + bytes(18))
        assert len(lab.out()[0]) == 42

    @pytest.mark.parametrize("fields", [{"op": 2}, {"hwlen": 8}, {"ptype": 0x86DD}])
    def test_others_leave_by_output_1(self, fields: dict[str, object]) -> None:
        lab = Lab(self.TEXT)
        assert lab.pass_one(self.request("10.0.0.3", **fields), "out", "rest") == "rest"

    def test_requests_for_others_and_other_frames_leave_by_output_1(self) -> None:
        lab = Lab(self.TEXT)
        assert lab.pass_one(self.request("10.0.1.3"), "out", "rest") == "rest"
        assert lab.pass_one(Ether() / IP() / TCP(), "out", "rest") == "rest"

    def test_without_output_1_others_are_dropped(self) -> None:
        lab = Lab("FromDevice(in) -> ARPResponder(10.0.0.1 02:00:00:00:00:01) -> ToDevice(out)")
        assert lab.pass_one(FRAME) is None
