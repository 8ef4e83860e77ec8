"""GTPGateway with packets of scapy: what leaves the tunnel and comes back into it, and what passes byte for byte."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.contrib.gtp import GTP_U_Header, GTPPDUSessionContainer
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet, Raw

from tests.lvnf.elements.lab import Lab, checked

pytestmark = pytest.mark.feature("C39")
ENB, CORE, OWN, CACHE = "02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:03", "02:00:00:00:00:04"
UE, WEB = "172.16.0.5", "203.0.113.10"
UP, DOWN = 17, 4711
TEXT = f"""
gw :: GTPGateway(tcp dst port 80, ADDRESS 10.9.0.2, MAC {OWN}, VIA 10.9.0.10);
FromDevice(ran) -> [0] gw [0] -> ToDevice(ran);
FromDevice(core) -> [1] gw [1] -> ToDevice(core);
FromDevice(edge) -> [2] gw [2] -> ToDevice(edge);
"""


def up(inner: Packet, teid: int = UP, qfi: int | None = None) -> bytes:
    """A packet of the user as the base station sends it."""
    outer = Ether(src=ENB, dst=CORE) / IP(src="10.1.0.1", dst="10.1.0.2") / UDP(sport=2152, dport=2152)
    gtp = GTP_U_Header(teid=teid, gtp_type=255)
    if qfi is not None:
        gtp = gtp / GTPPDUSessionContainer(type=1, QFI=qfi)
    return bytes(outer / gtp / inner)


def down(inner: Packet, teid: int = DOWN) -> bytes:
    """A packet for the user as the core sends it."""
    outer = Ether(src=CORE, dst=ENB) / IP(src="10.1.0.2", dst="10.1.0.1") / UDP(sport=2152, dport=2152)
    return bytes(outer / GTP_U_Header(teid=teid, gtp_type=255) / inner)


def request(port: int = 80, **options: object) -> Packet:
    return IP(src=UE, dst=WEB) / TCP(sport=4000, dport=port, **options)


def answer(**options: object) -> Packet:
    return IP(src=WEB, dst=UE) / TCP(sport=80, dport=4000, **options)


def lab() -> Lab:
    """A gateway that knows the user from user data, and the cache."""
    made = Lab(TEXT)
    made.give(up(IP(src=UE, dst=WEB) / UDP()), device="ran")
    made.give(down(IP(src=WEB, dst=UE) / UDP()), device="core")
    reply = ARP(op=2, hwsrc=CACHE, psrc="10.9.0.10", hwdst=OWN, pdst="10.9.0.2")
    made.give(bytes(Ether(src=CACHE, dst=OWN) / reply), device="edge")
    for device in ("ran", "core", "edge"):
        made.out(device)
    return made


def test_what_is_wanted_leaves_the_tunnel_and_nothing_of_it_reaches_the_core() -> None:
    made = lab()
    made.give(up(request(flags="A") / Raw(b"GET /")), device="ran")
    assert made.out("core") == []
    (frame,) = map(Ether, made.out("edge"))
    assert (frame.src, frame.dst) == (OWN, CACHE)
    assert bytes(checked(bytes(frame.payload))) == bytes(request(flags="A") / Raw(b"GET /"))
    assert made.read("gw.diverted") == "1"


def test_answers_go_into_the_users_tunnel() -> None:
    made = lab()
    made.give(bytes(Ether(src=CACHE, dst=OWN) / answer(flags="A") / Raw(b"page")), device="edge")
    (frame,) = map(Ether, made.out("ran"))
    assert (frame.src, frame.dst) == (CORE, ENB)
    outer = checked(bytes(frame.payload))
    assert (outer.src, outer.dst, outer[UDP].dport) == ("10.1.0.2", "10.1.0.1", 2152)
    assert outer[GTP_U_Header].teid == DOWN
    assert bytes(outer[GTP_U_Header].payload) == bytes(answer(flags="A") / Raw(b"page"))


def test_what_the_edge_sends_on_for_a_user_goes_into_the_tunnel_to_the_core() -> None:
    made = lab()
    made.give(bytes(Ether(src=CACHE, dst=OWN) / request(443)), device="edge")
    (frame,) = map(Ether, made.out("core"))
    assert (frame.src, frame.dst) == (ENB, CORE)
    assert (frame[IP].src, frame[GTP_U_Header].teid) == ("10.1.0.1", UP)


def test_all_else_passes_byte_for_byte() -> None:
    made = lab()
    frames = [
        up(request(443)),
        up(IP(src=UE, dst=WEB) / UDP(dport=80)),
        bytes(Ether(src=ENB, dst=CORE, type=0x88B5) / Raw(b"x" * 50)),
        bytes(Ether(src=ENB, dst=CORE) / IP(src="10.1.0.1", dst="10.1.0.2") / UDP(sport=2152, dport=2152) / Raw(b"0")),
    ]
    made.give(*frames, device="ran")
    assert made.out("core") == frames
    assert made.out("edge") == []
    back = [down(answer()), bytes(Ether(src=CORE, dst=ENB) / ARP())]
    made.give(*back, device="core")
    assert made.out("ran") == back


def test_a_user_whose_way_back_is_not_known_is_passed_on() -> None:
    made = Lab(TEXT)
    made.give(up(request()), device="ran")
    assert made.out("core") == [up(request())]


def test_a_connection_that_began_with_the_core_stays_with_it() -> None:
    made = Lab(TEXT)
    first, later = request(flags="S"), request(flags="A")
    made.give(up(first), device="ran")
    made.give(down(answer(flags="SA")), device="core")
    made.give(up(later), device="ran")
    assert made.out("core") == [up(first), up(later)]
    made.give(up(first), device="ran")
    assert made.out("core") == [], "a new one of the same ports is served at the edge"


def test_the_control_plane_tells_both_directions_before_any_packet() -> None:
    made = Lab(TEXT)
    gsn = bytes.fromhex("8500040a010001") * 2
    asks = bytes.fromhex("10") + DOWN.to_bytes(4) + bytes.fromhex("11") + (9).to_bytes(4) + gsn
    told = bytes.fromhex("0180") + b"\x10" + UP.to_bytes(4) + b"\x11" + (8).to_bytes(4)
    told += bytes.fromhex("800006f121") + bytes([172, 16, 0, 5]) + bytes.fromhex("8500040a010002") * 2
    for device, kind, body in (("ran", 16, asks), ("core", 17, told)):
        ends = ("10.1.0.1", "10.1.0.2") if device == "ran" else ("10.1.0.2", "10.1.0.1")
        macs = (ENB, CORE) if device == "ran" else (CORE, ENB)
        head = bytes((0x32, kind)) + (4 + len(body)).to_bytes(2) + bytes(4) + b"\x00\x07\x00\x00"
        message = UDP(sport=2123, dport=2123) / Raw(head + body)
        made.give(bytes(Ether(src=macs[0], dst=macs[1]) / IP(src=ends[0], dst=ends[1]) / message), device=device)
    made.give(bytes(Ether(src=CACHE, dst=OWN) / answer()), device="edge")
    made.out("core")
    *_, frame = map(Ether, made.out("ran"))
    assert frame[GTP_U_Header].teid == DOWN
    made.give(up(request()), device="ran")
    assert made.out("core") == []


def test_packets_wait_for_the_address_of_the_next_hop() -> None:
    made = Lab(TEXT)
    made.give(down(answer()), device="core")
    made.give(up(request()), up(request()), device="ran")
    (asked,) = map(Ether, made.out("edge"))
    assert (asked[ARP].op, asked[ARP].pdst, asked[ARP].psrc, asked.dst) == (
        1,
        "10.9.0.10",
        "10.9.0.2",
        "ff:ff:ff:ff:ff:ff",
    )
    reply = ARP(op=2, hwsrc=CACHE, psrc="10.9.0.10", hwdst=OWN, pdst="10.9.0.2")
    made.give(bytes(Ether(src=CACHE, dst=OWN) / reply), device="edge")
    assert len(made.out("edge")) == 2


def test_it_answers_for_its_own_address() -> None:
    made = lab()
    made.give(bytes(Ether(src=CACHE) / ARP(hwsrc=CACHE, psrc="10.9.0.10", pdst="10.9.0.2")), device="edge")
    (found,) = map(Ether, made.out("edge"))
    assert (found[ARP].op, found[ARP].hwsrc, found[ARP].psrc, found.dst) == (2, OWN, "10.9.0.2", CACHE)
    made.give(bytes(Ether(src=CACHE) / ARP(hwsrc=CACHE, psrc="10.9.0.10", pdst="10.9.0.9")), device="edge")
    assert made.out("edge") == []


@pytest.mark.parametrize(
    "options", [[("MSS", 1460)], [("NOP", None), ("MSS", 1460), ("NOP", None)], [("MSS", 900)], []]
)
def test_segments_leave_room_for_the_tunnel(options: list[tuple[str, int | None]]) -> None:
    made = lab()
    made.give(up(request(flags="S", options=options)), device="ran")
    (frame,) = map(Ether, made.out("edge"))
    agreed = dict(checked(bytes(frame.payload))[TCP].options).get("MSS")
    assert agreed == (min(1380, dict(options).get("MSS") or 0) or None)


def test_the_qos_flow_stays() -> None:
    made = lab()
    made.give(up(request(443), qfi=9), device="ran")
    made.out("core")
    made.give(bytes(Ether(src=CACHE, dst=OWN) / request(443)), device="edge")
    (frame,) = map(Ether, made.out("core"))
    assert frame[GTPPDUSessionContainer].QFI == 9


@pytest.mark.feature("C31")
def test_sessions_can_be_read_and_put_into_another_gateway() -> None:
    made, other = lab(), Lab(TEXT)
    other.write("gw.sessions", made.read("gw.sessions"))
    other.give(bytes(Ether(src=CACHE, dst=OWN) / answer()), device="edge")
    assert Ether(other.out("ran")[0])[GTP_U_Header].teid == DOWN
    made.swap(TEXT)
    made.give(up(request()), device="ran")
    assert len(made.out("edge")) == 1, "a swap keeps users and neighbours"


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=120), st.sampled_from(["ran", "core", "edge"]), st.integers(0, 60))
def test_no_bytes_break_it(data: bytes, device: str, kept: int) -> None:
    made = lab()
    whole = up(request(flags="S", options=[("MSS", 1460)])) if device != "core" else down(answer())
    made.give(data, whole[:kept] + data, whole[: kept + 40] + data, device=device)
    made.give(up(request()), device="ran")
    assert made.out("edge")
