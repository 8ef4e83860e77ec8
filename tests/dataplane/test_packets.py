"""Frames: read, made and changed as an independent program does."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.contrib.gtp import GTP_U_Header, GTPPDUSessionContainer
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop
from scapy.layers.l2 import Dot1Q, Ether
from scapy.layers.sctp import SCTP

from skerry.dataplane import making, rewriting
from skerry.dataplane.flows import WIDTHS, Field, PushNsh, Tunnel, full, mac
from skerry.dataplane.packets import flow_of, parse

ETHER = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")


@given(st.binary(max_size=200))
def test_any_bytes_can_be_read(data: bytes) -> None:
    fields = parse(data).fields
    assert all(0 <= value <= full(field) for field, value in fields.items())


@given(st.binary(max_size=120), st.sampled_from(sorted(WIDTHS)), st.integers(0, (1 << 128) - 1))
def test_any_bytes_can_be_changed(tail: bytes, field: Field, value: int) -> None:
    for head in (bytes(ETHER / IP() / UDP(dport=2152)), bytes(ETHER), b""):
        frame = head + tail
        changed = rewriting.set_field(frame, field, value & full(field) & (0xFFF if field is Field.VLAN_VID else -1))
        assert len(changed) == len(frame)
        for change in (rewriting.pop_nsh, rewriting.dec_ttl, rewriting.dec_nsh_ttl, rewriting.echo_response):
            change(frame)
        rewriting.gtp_decap(frame, 1, 2)
        rewriting.error_indication(frame)
        rewriting.arp_reply(frame, 1)


VALUES = st.fixed_dictionaries(
    {Field.ETH_SRC: st.integers(0, full(Field.ETH_SRC)), Field.IP_PROTO: st.sampled_from((1, 6, 17, 132))},
    optional={
        Field.IP_DSCP: st.integers(0, 63),
        Field.L4_SRC: st.integers(0, 65535),
        Field.L4_DST: st.integers(0, 65535),
        Field.VLAN_VID: st.sampled_from((0, 0x1001, 0x1FFE)),
    },
)


@given(VALUES, st.sampled_from((4, 6)), st.integers(0, (1 << 32) - 1))
def test_made_frames_have_the_values_that_were_asked_for(values: dict[Field, int], version: int, address: int) -> None:
    asked = dict(values)
    asked[Field.IPV4_DST if version == 4 else Field.IPV6_DST] = address
    if asked[Field.IP_PROTO] == 1:
        asked.pop(Field.L4_SRC, None)
        asked.pop(Field.L4_DST, None)
    frame = making.frame(asked)
    assert making.fits(asked, frame)
    read = Ether(frame)
    again = read.copy()
    for layer in (IP, TCP, UDP):
        if layer in again:
            del again[layer].chksum
    assert bytes(again) == frame


@pytest.mark.feature("E105")
@pytest.mark.parametrize(
    ("packet", "fields"),
    [
        (IPv6() / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / TCP(dport=9), {Field.IP_PROTO: 6, Field.L4_DST: 9}),
        (IPv6() / IPv6ExtHdrFragment(nh=17, offset=0, m=1) / UDP(dport=7), {Field.IP_FRAG: 1, Field.L4_DST: 7}),
        (IPv6() / IPv6ExtHdrFragment(nh=17, offset=9) / b"12345678", {Field.IP_FRAG: 2, Field.IP_PROTO: 17}),
        (IP(options=b"\x94\x04\0\0") / UDP(sport=5), {Field.L4_SRC: 5}),
        (IP() / SCTP(sport=38412, dport=38412), {Field.IP_PROTO: 132, Field.L4_SRC: 38412}),
    ],
)
def test_headers_are_looked_through(packet: IP, fields: dict[Field, int]) -> None:
    found = parse(bytes(ETHER / packet)).fields
    assert {field: found.get(field) for field in fields} == fields
    if fields.get(Field.IP_FRAG) == 2:
        assert Field.L4_DST not in found


@pytest.mark.feature("E105")
def test_gtp_is_read_with_every_kind_of_option() -> None:
    inner = IPv6(src="2001:db8::1", dst="2001:db8::2") / TCP(sport=1, dport=2)
    outer = ETHER / Dot1Q(vlan=3) / IP() / UDP(sport=9, dport=2152)
    extended = GTP_U_Header(teid=7, E=1, next_ex=0x85) / GTPPDUSessionContainer(
        type=1, QFI=6, ExtHdrLen=1, NextExtHdr=0
    )
    for header in (GTP_U_Header(teid=7, gtp_type=255), GTP_U_Header(teid=7, gtp_type=255, S=1, seq=3), extended):
        found = parse(bytes(outer / header / inner)).fields
        assert (found[Field.GTP_TEID], found[Field.GTP_TYPE]) == (7, 255)
        assert (found[Field.INNER_PROTO], found[Field.INNER_L4_DST], found[Field.VLAN_VID]) == (6, 2, 0x1003)
        assert found.get(Field.GTP_QFI) == (6 if header is extended else None)
    bad = bytes(outer / GTP_U_Header(teid=7, gtp_type=255, version=2) / inner)
    assert Field.GTP_TEID not in parse(bad).fields


@pytest.mark.feature("C39", "E109")
@given(st.integers(0, 0xFFFFFFFF), st.one_of(st.none(), st.integers(0, 63)), st.booleans(), st.binary(max_size=40))
@settings(max_examples=50)
def test_what_goes_into_a_tunnel_comes_out_as_it_was(teid: int, qfi: int | None, v6: bool, data: bytes) -> None:
    plain = bytes(ETHER / IP(src="10.0.0.1", dst="10.45.0.1", tos=184) / UDP(sport=1, dport=2) / data)
    ends = ("2001:db8::1", "2001:db8::2") if v6 else ("10.1.0.1", "10.1.0.2")
    tunnel = Tunnel(teid=teid, src=ends[0], dst=ends[1], eth_src=mac("02:00:00:00:00:0a"), eth_dst=1, qfi=qfi)
    sent = rewriting.gtp_encap(plain, tunnel)
    assert sent is not None
    read = Ether(sent)
    assert (read[UDP].dport, read[GTP_U_Header].teid, read[GTP_U_Header].length) == (
        2152,
        teid,
        len(read[GTP_U_Header]) - 8,
    )
    outer = IPv6 if v6 else IP
    checked = read.copy()
    if not v6:
        assert read[IP].tos == 184
        del checked[IP].chksum
    else:
        del checked[UDP].chksum
    assert (outer in read, bytes(checked)) == (True, sent)
    assert flow_of(parse(sent)) == flow_of(parse(plain))
    assert rewriting.gtp_decap(sent, mac(ETHER.src), mac(ETHER.dst)) == plain


@pytest.mark.feature("E96")
@given(st.integers(0, (1 << 24) - 1), st.integers(0, 255), st.binary(min_size=14, max_size=60))
def test_nsh_carries_any_frame(spi: int, si: int, inside: bytes) -> None:
    sent = rewriting.push_nsh(inside, PushNsh(spi=spi, si=si, eth_src=1, eth_dst=2, context=(1, 2, 3, 4)))
    found = parse(sent).fields
    assert (found[Field.NSH_SPI], found[Field.NSH_SI], found[Field.NSH_C4]) == (spi, si, 4)
    assert rewriting.pop_nsh(sent) == inside
    aged = sent
    for _ in range(62):
        aged = rewriting.dec_nsh_ttl(aged) or b""
    assert rewriting.pop_nsh(aged) == inside
    assert rewriting.dec_nsh_ttl(aged) is None


@pytest.mark.feature("E109")
def test_error_indications_name_the_tunnel() -> None:
    sent = (
        ETHER / IP(src="10.1.0.1", dst="10.1.0.2") / UDP(sport=2152, dport=2152) / GTP_U_Header(teid=99) / IP() / UDP()
    )
    answer = rewriting.error_indication(bytes(sent))
    assert answer is not None
    read = Ether(answer)
    assert (read[IP].dst, read[GTP_U_Header].gtp_type, read[GTP_U_Header].teid) == ("10.1.0.1", 26, 0)
    elements = answer[14 + 20 + 8 + 12 :]
    assert elements == b"\x10\0\0\0\x63" + b"\x85\0\4" + bytes((10, 1, 0, 2))
