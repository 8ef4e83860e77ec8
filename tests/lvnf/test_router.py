"""The router: handlers of all elements and of the whole, hot swap, loops, and packets that nobody meant."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Raw

from skerry.errors import InvalidError, NotFoundError
from skerry.lvnf.backend import HandlerKind
from skerry.lvnf.catalogue import KINDS
from skerry.lvnf.checking import read
from skerry.lvnf.elements import CLASSES
from tests.lvnf.elements.lab import Lab

pytestmark = pytest.mark.feature("C28")

TEXT = """
// a comment
FromDevice(in) -> Strip(14) -> CheckIPHeader -> c :: Counter -> q :: Queue(5) -> ToDevice(out);
"""


def test_every_class_that_can_be_read_can_run() -> None:
    assert set(CLASSES) == set(KINDS)


@pytest.mark.parametrize("name", sorted(KINDS))
def test_handlers_are_those_of_the_catalogue(name: str) -> None:
    text = {
        "FromDevice": "e :: FromDevice(in) -> Discard",
        "ToDevice": "FromDevice(in) -> e :: ToDevice(out)",
        "Discard": "FromDevice(in) -> e :: Discard",
        "Script": "e :: Script(end)",
        "Shaper": "FromDevice(in) -> Queue -> e :: Shaper(1) -> Discard",
        "BandwidthShaper": "FromDevice(in) -> Queue -> e :: BandwidthShaper(1) -> Discard",
        "Unqueue": "FromDevice(in) -> Queue -> e :: Unqueue -> Discard",
        "RatedUnqueue": "FromDevice(in) -> Queue -> e :: RatedUnqueue(1) -> Discard",
        "GTPGateway": "e :: GTPGateway(all, 1.1.1.1, 0:0:0:0:0:1, 2.2.2.2); FromDevice(a) -> e -> Discard;"
        "FromDevice(b) -> [1] e [1] -> Discard; FromDevice(c) -> [2] e [2] -> Discard",
        "Meter": "FromDevice(in) -> e :: Meter(1); e[0] -> Discard; e[1] -> Discard",
    }.get(name)
    arguments = {
        "Classifier": "-", "IPClassifier": "-", "IPFilter": "allow all", "Strip": "1", "Unstrip": "1",
        "EtherEncap": "0x0800, 0:0:0:0:0:1, 0:0:0:0:0:2", "VLANEncap": "1",
        "EtherRewrite": "0:0:0:0:0:1, 0:0:0:0:0:2", "ARPResponder": "1.1.1.1 0:0:0:0:0:1", "IPRewriter": "drop",
        "Paint": "1", "CheckPaint": "1", "RandomSample": "0.5", "IPEncap": "4, 1.1.1.1, 2.2.2.2",
        "UDPIPEncap": "1.1.1.1, 1, 2.2.2.2, 2", "GTPEncap": "1", "NSHEncap": "1",
    }.get(name, "")  # fmt: skip
    lab = Lab(text or f"FromDevice(in) -> e :: {name}({arguments}) -> Discard")
    kinds = {one.name: one.kind for one in lab.router.handlers() if one.element == "e"}
    letters = {HandlerKind.READ: "r", HandlerKind.WRITE: "w", HandlerKind.BOTH: "rw"}
    for handler in KINDS[name].handlers:
        found, _, wanted = handler.partition(" ")
        assert set(wanted) <= set(letters[kinds[found]]), handler
    for handler, kind in kinds.items():
        if kind is not HandlerKind.WRITE and "+" not in lab.read("e.handlers").split(f"{handler}\t")[1].split("\n")[0]:
            assert isinstance(lab.router.read("e", handler), str)
    assert lab.read("e.class") == name


def test_handlers_that_all_elements_have() -> None:
    lab = Lab(TEXT)
    assert (lab.read("c.name"), lab.read("c.class"), lab.read("q.config")) == ("c", "Counter", "5")
    assert lab.read("c.ports") == "1 input\npush~\t-\tCheckIPHeader@3 [0]\n1 output\npush~\t-\t[0] q\n"
    assert lab.read("q.ports").endswith("1 output\npull\t-\t[0] ToDevice@6\n")
    listed = dict(line.split("\t") for line in lab.read("q.handlers").splitlines())
    assert listed["length"] == "r"
    assert listed["capacity"] == "rw"
    assert listed["reset"] == "w"


def test_handlers_of_the_whole() -> None:
    lab = Lab(TEXT)
    names = lab.read("list").splitlines()
    assert names[0] == "6"
    assert names[1:] == list(lab.router.graph.elements)
    assert lab.read("config") == TEXT
    assert lab.read("version")
    assert set(lab.read("classes").split()) == set(KINDS)
    assert lab.read("requirements") == ""
    flat = read(lab.read("flatconfig"))
    assert [one.class_name for one in flat.elements.values()] == [
        one.class_name for one in lab.router.graph.elements.values()
    ]
    assert set(flat.connections) == set(lab.router.graph.connections)
    assert "list\tr\n" in lab.read("handlers")


def test_what_is_not_there_is_told() -> None:
    lab = Lab(TEXT)
    with pytest.raises(NotFoundError, match="cannot find the element 'x'"):
        lab.read("x.count")
    with pytest.raises(NotFoundError, match="cannot find the handler 'x' of c") as error:
        lab.read("c.x")
    assert "byte_count" in error.value.suggestion
    with pytest.raises(NotFoundError):
        lab.write("c.rate", "1")
    with pytest.raises(NotFoundError):
        lab.read("nothing")


def test_frames_of_a_device_that_nobody_reads_are_dropped() -> None:
    lab = Lab(TEXT)
    lab.give(b"x", device="other")
    assert lab.read("c.count") == "0"


def test_a_loop_of_elements_does_not_hang() -> None:
    lab = Lab("FromDevice(in) -> n :: Null -> t :: Tee(2); t[0] -> c :: Counter -> n; t[1] -> ToDevice(out)")
    lab.give(b"x")
    assert any("loop" in line for line in lab.lines)
    lab.give(b"y")
    assert len([line for line in lab.lines if "loop" in line]) == 2


def test_a_loop_of_simple_elements_does_not_hang() -> None:
    lab = Lab("FromDevice(in) -> n :: Null -> c :: Counter -> n")
    lab.give(b"x")
    assert any("loop" in line for line in lab.lines)
    assert int(lab.read("c.count")) > 1


def test_a_task_that_always_has_work_lets_others_in() -> None:
    lab = Lab(
        "FromDevice(in) -> a :: Queue -> Unqueue -> a2 :: Queue -> Unqueue -> a; FromDevice(b) -> q :: Queue -> ToDevice(out)"
    )
    lab.give(b"x")
    lab.give(b"y", device="b")
    lab.router.tick()
    assert lab.out() == [b"y"]
    assert lab.router.wake() == 0.0


class TestSwap:
    def test_queues_counters_and_positions_go_on(self) -> None:
        before = (
            "FromDevice(in) -> c :: Counter -> s :: Switch(0); s[0] -> q :: Queue(9) -> u :: Unqueue(ACTIVE false) "
            "-> ToDevice(out); s[1] -> Discard"
        )
        lab = Lab(before)
        lab.give(b"a", b"b", b"c")
        lab.write("s.switch", "1")
        lab.swap(before.replace("-> u :: Unqueue(ACTIVE false)", "-> k :: Counter"))
        assert (lab.read("c.count"), lab.read("c.byte_count"), lab.read("q.length")) == ("3", "3", "3")
        assert lab.read("s.switch") == "1"
        lab.settle()
        assert lab.out() == [b"a", b"b", b"c"]
        assert lab.read("k.count") == "3"

    def test_an_element_of_another_class_begins_anew(self) -> None:
        lab = Lab("FromDevice(in) -> c :: Counter -> ToDevice(out)")
        lab.give(b"a")
        lab.swap("FromDevice(in) -> c :: AverageCounter -> d :: Counter -> ToDevice(out)")
        assert (lab.read("c.count"), lab.read("d.count")) == ("0", "0")

    def test_a_changed_configuration_counts(self) -> None:
        text = "FromDevice(in) -> s :: Switch(0); s[0] -> p :: Paint(1) -> ToDevice(a); s[1] -> ToDevice(b)"
        lab = Lab(text)
        lab.swap(text.replace("Switch(0)", "Switch(1)").replace("Paint(1)", "Paint(2)"))
        assert (lab.read("s.switch"), lab.read("p.color")) == ("1", "2")

    def test_a_smaller_queue_drops_what_does_not_fit(self) -> None:
        lab = Lab("FromDevice(in) -> q :: Queue(5) -> Unqueue(ACTIVE false) -> ToDevice(out)")
        lab.give(b"a", b"b", b"c")
        lab.swap("FromDevice(in) -> q :: Queue(2) -> ToDevice(out)")
        lab.settle()
        assert lab.out() == [b"a", b"b"]
        assert lab.read("q.drops") == "1"

    def test_flows_go_on(self) -> None:
        text = (
            "FromDevice(in) -> [0] r :: IPRewriter(pattern 9.9.9.9 1024-2000 - - 0 1, drop);"
            "FromDevice(back) -> [1] r; r[0] -> ToDevice(out); r[1] -> ToDevice(inside)"
        )
        lab = Lab(text)
        lab.give(IP(src="10.0.0.1", dst="1.1.1.1") / UDP(sport=7, dport=53))
        lab.swap(text.replace("r[1] ->", "r[1] -> Counter ->"))
        lab.give(IP(src="1.1.1.1", dst="9.9.9.9") / UDP(sport=53, dport=1024), device="back")
        assert IP(lab.out("inside")[0])[UDP].dport == 7

    def test_a_waiting_script_goes_on(self) -> None:
        text = 'FromDevice(in) -> ToDevice(out); s :: Script(print "a", wait 5, print "b")'
        lab = Lab(text)
        lab.advance(2)
        lab.swap(text.replace("->", "-> Counter ->"))
        lab.advance(2)
        assert lab.lines == ["a"]
        lab.advance(2)
        assert lab.lines == ["a", "b"]

    @given(chunks=st.lists(st.tuples(st.integers(0, 8), st.booleans()), max_size=10))
    @settings(deadline=None)
    def test_no_packet_is_lost_by_swaps(self, chunks: list[tuple[int, bool]]) -> None:
        texts = (
            "FromDevice(in) -> c :: Counter -> q :: Queue -> RatedUnqueue(100) -> d :: Counter -> ToDevice(out)",
            "FromDevice(in) -> Null -> c :: Counter -> q :: Queue -> Shaper(50) -> d :: Counter -> ToDevice(out)",
        )
        lab = Lab(texts[0])
        number = 0
        for at, (count, swap) in enumerate(chunks):
            lab.give(*[(number + one).to_bytes(4, "big") for one in range(count)])
            number += count
            lab.advance(0.01)
            if swap:
                lab.swap(texts[at % 2])
        lab.advance(number / 50 + 1)
        assert lab.out() == [one.to_bytes(4, "big") for one in range(number)]
        assert (lab.read("c.count"), lab.read("d.count")) == (str(number), str(number))


EVERYTHING = """
FromDevice(in) -> t :: Tee(12);
t[0] -> Strip(3) -> Unstrip(5) -> EtherMirror -> VLANDecap -> VLANEncap(9)
-> EtherRewrite(0:0:0:0:0:1, 0:0:0:0:0:2) -> ToDevice(out);
t[1] -> ARPResponder(0.0.0.0/0 0:0:0:0:0:1) -> ToDevice(out);
t[2] -> Strip(14) -> CheckIPHeader -> ICMPPingResponder -> ToDevice(out);
t[3] -> Strip(14) -> ICMPPingResponder -> CheckIPHeader -> ToDevice(out);
t[4] -> Strip(14) -> [0] r :: IPRewriter(pattern 9.9.9.9 1-9 - - 0 0, keep 0 0); r -> ToDevice(out);
t[5] -> Strip(14) -> GTPDecap -> GTPEncap(1) -> ToDevice(out);
t[6] -> NSHDecap -> NSHEncap(1) -> ToDevice(out);
t[7] -> Strip(14) -> f :: IPClassifier(tcp opt syn, udp port 53, icmp type echo, ip frag, ip[30:2] = 5, transp[1:1] > 3, -);
f[0] -> ToDevice(out); f[1] -> ToDevice(out); f[2] -> ToDevice(out); f[3] -> ToDevice(out); f[4] -> ToDevice(out);
f[5] -> ToDevice(out); f[6] -> ToDevice(out);
t[8] -> k :: Classifier(12/0800 23/06, !0/ff, 40/00%0f, -); k[0] -> ToDevice(out); k[1] -> ToDevice(out);
k[2] -> ToDevice(out); k[3] -> ToDevice(out);
t[9] -> UDPIPEncap(1.1.1.1, 1, 2.2.2.2, 2) -> IPEncap(4, 1.1.1.1, 2.2.2.2) -> Print(x) -> ToDevice(out);
t[10] -> q :: Queue(3) -> BandwidthShaper(100) -> ToDevice(out);
t[11] -> Strip(20) -> [1] r;
"""

FRAMES = [
    bytes(frame)
    for frame in (
        Ether() / IP() / TCP(flags="S") / Raw(b"data"),
        Ether() / IP(options=b"\7\4\0\0") / UDP(sport=53) / Raw(b"data"),
        Ether() / IP() / ICMP() / Raw(b"ping"),
        Ether() / ARP(op=1, pdst="1.2.3.4"),
        Ether() / IP() / b"\x34\xff\0\x10\0\0\0\1\0\0\0\x85\1\0\1\0data",
    )
]


@st.composite
def broken_frames(draw: st.DrawFn) -> bytes:
    data = bytearray(draw(st.sampled_from(FRAMES)))
    for at, value in draw(st.lists(st.tuples(st.integers(0, 80), st.integers(0, 255)), max_size=4)):
        if at < len(data):
            data[at] = value
    return bytes(data[: draw(st.integers(0, len(data)))])


@given(frames=st.lists(st.one_of(broken_frames(), st.binary(max_size=60)), max_size=5))
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_packet_makes_it_raise(frames: list[bytes]) -> None:
    lab = Lab(EVERYTHING)
    lab.give(*frames)
    lab.advance(1)
    lab.advance(100)
    assert lab.read("q.length") == "0"
    for handler in lab.router.handlers():
        if handler.kind is not HandlerKind.WRITE:
            lab.router.read(handler.element, handler.name)


@given(value=st.text(max_size=8))
def test_no_value_makes_a_handler_raise_anything_but_a_refusal(value: str) -> None:
    lab = Lab(
        "FromDevice(in) -> Paint(1) -> GTPEncap(1) -> r :: RandomSample(1) -> q :: Queue -> s :: Shaper(1) -> ToDevice(o);"
        "x :: Script(TYPE PASSIVE, set a $args, goto $1, return $a)"
    )
    for handler in lab.router.handlers():
        with contextlib.suppress(InvalidError, NotFoundError):
            if handler.kind is HandlerKind.READ:
                assert isinstance(lab.router.read(handler.element, f"{handler.name} {value}"), str)
            else:
                lab.router.write(handler.element, handler.name, value)
    assert lab.read("list").startswith("8\n")
