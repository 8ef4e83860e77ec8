"""GTPEncap, GTPDecap, NSHEncap and NSHDecap."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.contrib.gtp import GTP_U_Header, GTPPDUSessionContainer
from scapy.contrib.nsh import NSH
from scapy.layers.inet import IP, UDP
from scapy.packet import Raw

from skerry.errors import InvalidError
from tests.lvnf.elements.lab import Lab

pytestmark = pytest.mark.feature("C28", "C39")

INNER = bytes(IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1, dport=2) / Raw(b"hello"))


def both(element: str) -> Lab:
    return Lab(f"FromDevice(in) -> d :: {element}; d[0] -> ToDevice(out); d[1] -> ToDevice(rest)")


class TestGTP:
    def test_encap_prepends_a_header(self) -> None:
        lab = Lab("FromDevice(in) -> g :: GTPEncap(0x1234) -> ToDevice(out)")
        lab.give(INNER)
        (data,) = lab.out()
        header = GTP_U_Header(data)
        assert (header.version, header.PT, header.gtp_type, header.teid, header.length) == (
            1,
            1,
            255,
            0x1234,
            len(INNER),
        )
        assert data[8:] == INNER
        lab.write("g.teid", "77")
        lab.give(INNER)
        assert GTP_U_Header(lab.out()[0]).teid == 77
        assert lab.read("g.teid") == "77"
        with pytest.raises(InvalidError):
            lab.write("g.teid", "0x100000000")

    def test_encap_with_a_qos_flow(self) -> None:
        lab = Lab("FromDevice(in) -> g :: GTPEncap(5, QFI 9, PDU_TYPE 1) -> ToDevice(out)")
        lab.give(INNER)
        (data,) = lab.out()
        header = GTP_U_Header(data)
        assert (header.E, header.length, header.next_ex) == (1, len(INNER) + 8, 0x85)
        session = header[GTPPDUSessionContainer]
        assert (session.type, session.QFI) == (1, 9)
        assert data[16:] == INNER

    @pytest.mark.parametrize(
        "header",
        [
            GTP_U_Header(teid=9, gtp_type=255),
            GTP_U_Header(teid=9, gtp_type=255, S=1, seq=3),
            GTP_U_Header(teid=9, gtp_type=255, E=1, next_ex=0x85) / GTPPDUSessionContainer(type=0, QFI=3),
        ],
    )
    def test_decap_removes_whole_headers(self, header: GTP_U_Header) -> None:
        lab = both("GTPDecap")
        lab.give(bytes(header / Raw(INNER)))
        assert lab.out() == [INNER]
        assert (lab.read("d.count"), lab.read("d.teid")) == ("1", "9")

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            bytes(GTP_U_Header(teid=9, gtp_type=1)),
            b"\x50" + bytes(GTP_U_Header(teid=9, gtp_type=255) / Raw(INNER))[1:],
            b"\x34\xff\0\x08\0\0\0\x09\0\0\0\x85\x07",
            b"\x34\xff\0\x08\0\0\0\x09\0\0\0\x85\x00\x00\x00\x00",
            bytes(GTP_U_Header(teid=9, gtp_type=255, S=1))[:10],
        ],
    )
    def test_what_is_no_g_pdu_leaves_by_output_1(self, data: bytes) -> None:
        lab = both("GTPDecap")
        lab.give(data + (b"" if data else b"x"))
        assert (len(lab.out()), len(lab.out("rest")), lab.read("d.count")) == (0, 1, "0")

    def test_decap_of_one_tunnel_only(self) -> None:
        lab = both("GTPDecap(TEID 9)")
        assert lab.pass_one(GTP_U_Header(teid=9, gtp_type=255) / Raw(INNER), "out", "rest") == "out"
        assert lab.pass_one(GTP_U_Header(teid=8, gtp_type=255) / Raw(INNER), "out", "rest") == "rest"

    @given(data=st.binary(max_size=40), teid=st.integers(0, 2**32 - 1), qfi=st.none() | st.integers(0, 63))
    def test_decap_undoes_encap(self, data: bytes, teid: int, qfi: int | None) -> None:
        flow = "" if qfi is None else f", QFI {qfi}"
        lab = Lab(f"FromDevice(in) -> GTPEncap({teid}{flow}) -> d :: GTPDecap({teid}) -> c :: Counter -> ToDevice(out)")
        lab.give(data)
        assert lab.read("c.byte_count") == str(len(data))
        assert lab.read("d.teid") == str(teid)
        assert lab.out() == ([data] if data else [])


class TestNSH:
    def test_encap_prepends_a_header(self) -> None:
        lab = Lab("FromDevice(in) -> NSHEncap(0xabcdef, INDEX 200, TTL 40, NEXT 1) -> ToDevice(out)")
        lab.give(INNER)
        (data,) = lab.out()
        header = NSH(data)
        assert (header.ver, header.ttl, header.length, header.mdtype, header.nextproto) == (0, 40, 2, 2, 1)
        assert (header.spi, header.si) == (0xABCDEF, 200)
        assert data[8:] == INNER

    def test_encap_with_metadata(self) -> None:
        lab = Lab(f"FromDevice(in) -> NSHEncap(7, METADATA {bytes(range(16)).hex()}) -> ToDevice(out)")
        lab.give(INNER)
        (data,) = lab.out()
        header = NSH(data)
        assert (header.length, header.mdtype, header.nextproto, header.spi, header.si) == (6, 1, 3, 7, 255)
        assert data[8:24] == bytes(range(16))

    @pytest.mark.parametrize(
        "header", [NSH(spi=5, si=9, mdtype=1, context_header=b"m" * 16), NSH(spi=5, si=9, mdtype=2, length=2)]
    )
    def test_decap_removes_the_header(self, header: NSH) -> None:
        lab = both("NSHDecap(PATH 5)")
        lab.give(bytes(header) + INNER)
        assert lab.out() == [INNER]
        assert (lab.read("d.path"), lab.read("d.index")) == ("5", "9")

    @pytest.mark.parametrize(
        "data", [b"short", bytes(NSH(spi=6, mdtype=2, length=2)), b"\x40" + bytes(9), b"\0\x3f" + bytes(20), bytes(8)]
    )
    def test_others_leave_by_output_1(self, data: bytes) -> None:
        assert both("NSHDecap(PATH 5)").pass_one(data, "out", "rest") == "rest"
