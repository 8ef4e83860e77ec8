"""Arguments -> typed configurations, for every class of the catalogue; and what any text whatever leads to."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from skerry.errors import InvalidError
from skerry.lvnf import configs
from skerry.lvnf.arguments import split, unquoted
from skerry.lvnf.catalogue import KINDS
from skerry.lvnf.checking import check, read
from skerry.lvnf.configs import Config, IPAll, IPAny, IPExpression, IPNot, IPTest
from skerry.lvnf.expressions import expression
from skerry.lvnf.reading import read as configured
from skerry.lvnf.unparsing import flat_text

pytestmark = pytest.mark.feature("C28")
A, B = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])
MAC = bytes([2, 0, 0, 0, 0, 1])

READS: list[tuple[str, str, Config]] = [
    ("FromDevice", "eth0, PROMISC true", configs.FromDevice(device="eth0")),
    ("ToDevice", "DEVNAME eth1", configs.ToDevice(device="eth1")),
    ("Discard", "", configs.Discard()),
    ("Idle", "", configs.Idle()),
    ("Null", "", configs.Null()),
    ("Strip", "0xe", configs.Strip(length=14)),
    ("Unstrip", "016", configs.Unstrip(length=14)),
    ("EtherEncap", "0x0800, 2:0:0:0:0:1, 02-00-00-00-00-01", configs.EtherEncap(ethertype=0x800, src=MAC, dst=MAC)),
    ("VLANEncap", "0x6064", configs.VLANEncap(vlan_id=100, pcp=3)),
    ("VLANEncap", "VLAN_ID 7, VLAN_PCP 2, ETHERTYPE 0x88a8", configs.VLANEncap(vlan_id=7, pcp=2, ethertype=0x88A8)),
    ("VLANDecap", "", configs.VLANDecap()),
    ("EtherMirror", "", configs.EtherMirror()),
    ("EtherRewrite", "2:0:0:0:0:1, 2:0:0:0:0:1", configs.EtherRewrite(src=MAC, dst=MAC)),
    (
        "ARPResponder",
        "10.0.0.1 10.0.0.2/32 2:0:0:0:0:1, 10.1.0.0/16 2:0:0:0:0:1",
        configs.ARPResponder(
            entries=(
                configs.ARPEntry(network=A, prefix=32, mac=MAC),
                configs.ARPEntry(network=B, prefix=32, mac=MAC),
                configs.ARPEntry(network=bytes([10, 1, 0, 0]), prefix=16, mac=MAC),
            )
        ),
    ),
    ("ICMPPingResponder", "", configs.ICMPPingResponder()),
    (
        "CheckIPHeader",
        "14, BADSRC 10.0.0.1 10.0.0.2, CHECKSUM no",
        configs.CheckIPHeader(offset=14, checksum=False, bad_sources=(A, B)),
    ),
    (
        "IPRewriter",
        "pattern 10.0.0.1 1024-2047 - - 0 1, keep 2 3, pass 1, drop, UDP_TIMEOUT 2min",
        configs.IPRewriter(
            rules=(
                configs.IPRewriterInput(
                    kind="pattern", source=A, source_port=1024, source_port_last=2047, forward=0, reverse=1
                ),
                configs.IPRewriterInput(kind="keep", forward=2, reverse=3),
                configs.IPRewriterInput(kind="pass", forward=1),
                configs.IPRewriterInput(kind="drop"),
            ),
            udp_timeout=120.0,
        ),
    ),
    ("Counter", "", configs.Counter()),
    ("AverageCounter", "500ms", configs.AverageCounter(ignore=0.5)),
    ("Tee", "3", configs.Tee(outputs=3)),
    ("Switch", "-1", configs.Switch(output=-1)),
    ("RoundRobinSwitch", "", configs.RoundRobinSwitch()),
    ("Paint", "0b11", configs.Paint(color=3)),
    ("CheckPaint", "COLOR 255", configs.CheckPaint(color=255)),
    ("RandomSample", "25%", configs.RandomSample(probability=0.25)),
    ("RandomSample", "DROP 0.25", configs.RandomSample(probability=0.75)),
    ("Meter", "100, 2k", configs.Meter(rates=(100, 2000))),
    ("Queue", "", configs.Queue()),
    ("Queue", "CAPACITY 5", configs.Queue(capacity=5)),
    ("Unqueue", "ACTIVE false", configs.Unqueue(active=False)),
    ("RatedUnqueue", "1.5k", configs.RatedUnqueue(rate=1500.0)),
    ("Shaper", "10", configs.Shaper(rate=10.0)),
    ("BandwidthShaper", "10Mbps", configs.BandwidthShaper(rate=1.25e6)),
    ("BandwidthShaper", "1MBps", configs.BandwidthShaper(rate=1e6)),
    ("BandwidthShaper", "1000", configs.BandwidthShaper(rate=1000.0)),
    ("IPEncap", "udp, 10.0.0.1, 10.0.0.2, TTL 9, TOS 0xb8", configs.IPEncap(protocol=17, src=A, dst=B, ttl=9, dscp=46)),
    (
        "UDPIPEncap",
        "10.0.0.1, 53, 10.0.0.2, gtp-u, false",
        configs.UDPIPEncap(src=A, source_port=53, dst=B, destination_port=2152, checksum=False),
    ),
    ("GTPEncap", "0xffffffff, QFI 9, PDU_TYPE 1", configs.GTPEncap(teid=0xFFFFFFFF, qfi=9, pdu_type=1)),
    ("GTPDecap", "", configs.GTPDecap()),
    (
        "GTPGateway",
        "tcp, 10.0.0.1, 2:0:0:0:0:1, 10.0.0.2, MSS 1200",
        configs.GTPGateway(expression=IPTest(field="proto", value=6), address=A, mac=MAC, via=B, mss=1200),
    ),
    ("NSHEncap", "42, NEXT 1, METADATA " + "0a" * 16, configs.NSHEncap(path=42, next_protocol=1, metadata=b"\n" * 16)),
    ("NSHDecap", "PATH 42", configs.NSHDecap(path=42)),
    ("Print", '"a, b", 60, ACTIVE no', configs.Print(label="a, b", max_length=60, active=False)),
    (
        "Script",
        "TYPE PASSIVE, set i 1, print $i, loop",
        configs.Script(
            kind="passive",
            steps=(
                configs.ScriptStep(verb="set", arguments="i 1"),
                configs.ScriptStep(verb="print", arguments="$i"),
                configs.ScriptStep(verb="loop"),
            ),
        ),
    ),
    (
        "Classifier",
        "12/0800 !20/00?f%00ff, -",
        configs.Classifier(
            patterns=(
                (
                    configs.ClassifierClause(offset=12, value=b"\x08\x00", mask=b"\xff\xff"),
                    configs.ClassifierClause(offset=20, value=b"\x00\x0f", mask=b"\x00\x0f", negated=True),
                ),
                (),
            )
        ),
    ),
    ("IPClassifier", "tcp, -", configs.IPClassifier(expressions=(IPTest(field="proto", value=6), IPAll(parts=())))),
    (
        "IPFilter",
        "allow udp, 1 icmp, drop all",
        configs.IPFilter(
            rules=(
                configs.IPFilterRule(output=0, expression=IPTest(field="proto", value=17)),
                configs.IPFilterRule(output=1, expression=IPTest(field="proto", value=1)),
                configs.IPFilterRule(output=None, expression=IPAll(parts=())),
            )
        ),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "config"), READS, ids=[f"{name}-{text[:20]}" for name, text, _ in READS])
def test_configurations(name: str, text: str, config: Config) -> None:
    found = configured(name, text)
    assert not found.wrong
    assert found.config == config


def test_every_class_is_read_somewhere() -> None:
    assert {name for name, _, _ in READS} == set(KINDS)
    assert set(KINDS) == {kind.__name__ for kind in Config.__subclasses__()}


@pytest.mark.feature("C29")
@pytest.mark.parametrize(
    ("name", "text", "message", "offset"),
    [
        ("Strip", "", "needs LENGTH", 0),
        ("Strip", "-1", "range", 0),
        ("Strip", "1, 2", "too many", 3),
        ("EtherEncap", "0x800, 1:2:3:4:5, 1:2:3:4:5:6", "Ethernet", 7),
        ("Paint", "COLOR 1, COLOR 2", "twice", 9),
        ("IPFilter", "allow tcp, maybe udp", "action", 11),
        ("IPClassifier", "port", "missing", 0),
        ("Meter", "5, 5", "grow", 0),
        ("Script", "set i 1, dance", "instruction", 9),
        ("Counter", "FOO 1", "no keyword", 0),
    ],
)
def test_wrong_arguments_are_told_with_their_place(name: str, text: str, message: str, offset: int) -> None:
    found = configured(name, text)
    assert found.config is None
    assert message in found.wrong[0].message
    assert found.wrong[0].offset == offset


# Packets for expressions: what they say about themselves.
TCP80 = {"proto": 6, "src host": 0x0A000001, "dst host": 0xC0000201, "src port": 5000, "dst port": 80, "tcp opt": 2}
UDP53 = {"proto": 17, "src host": 0xC0000201, "dst host": 0x0A000001, "src port": 53, "dst port": 40000}
PING = {"proto": 1, "src host": 0x0A000001, "dst host": 0x0A000002, "icmp type": 8}
FRAGMENT = {"proto": 6, "src host": 0x0A000001, "dst host": 0xC0000201, "ip frag": 1}
EVERY = {"tcp": TCP80, "udp": UDP53, "ping": PING, "fragment": FRAGMENT}
COMMON = {"tos": 0xB9, "dscp": 46, "ttl": 64, "len": 1500, "id": 7, "hl": 20, "vers": 4, "ip frag": 0}


def holds(test: IPExpression, packet: Mapping[str, int]) -> bool:
    """What an expression says of a packet."""
    match test:
        case IPAll(parts=parts):
            return all(holds(part, packet) for part in parts)
        case IPAny(parts=parts):
            return any(holds(part, packet) for part in parts)
        case IPNot(part=part):
            return not holds(part, packet)
        case IPTest():
            return compared(test, {**COMMON, **packet})


def compared(test: IPTest, packet: Mapping[str, int]) -> bool:
    """One test of a packet."""
    name = f"{test.field} {test.offset}" if test.field.endswith("bytes") else test.field
    if name not in packet:
        return False
    have = packet[name] & (test.mask or -1)
    order = {"==": have == test.value, "!=": have != test.value, "<": have < test.value, ">": have > test.value}
    order |= {"<=": have <= test.value, ">=": have >= test.value}
    return order[test.comparison]


@pytest.mark.parametrize(
    ("text", "matching"),
    [
        ("-", "tcp udp ping fragment"),
        ("any", "tcp udp ping fragment"),
        ("none", ""),
        ("tcp", "tcp fragment"),
        ("ip proto tcp", "tcp fragment"),
        ("ip proto != 6", "udp ping"),
        ("src host 10.0.0.1 && dst port 80", "tcp"),
        ("src host 10.0.0.1", "tcp ping fragment"),
        ("src 10.0.0.1", "tcp ping fragment"),
        ("host 192.0.2.1", "tcp udp fragment"),
        ("src or dst host 192.0.2.1", "tcp udp fragment"),
        ("src and dst net 10.0.0.0/8", "ping"),
        ("src net 10.0.0.0 mask 255.0.0.0", "tcp ping fragment"),
        ("192.0.2.0/24", "tcp udp fragment"),
        ("host != 192.0.2.1", "ping"),
        ("not host 192.0.2.1", "ping"),
        ("! (tcp or udp)", "ping"),
        ("port 80", "tcp"),
        ("port 53 or 80", "tcp udp"),
        ("port != 80", "udp"),
        ("not port 80", "udp ping fragment"),
        ("src port >= 1024", "tcp"),
        ("port >= 1024", "tcp udp"),
        ("dst tcp port www", "tcp"),
        ("tcp dst port 80", "tcp"),
        ("udp port dns", "udp"),
        ("dst port & 0xff == 80", "tcp"),
        ("dst www", "tcp"),
        ("tcp opt syn", "tcp"),
        ("syn", "tcp"),
        ("tcp opt ack", ""),
        ("10.0.0.0/8 and syn", "tcp"),
        ("10.0.0.1 tcp", "tcp fragment"),
        ("icmp type echo", "ping"),
        ("icmp type 8 or 0", "ping"),
        ("ip frag", "fragment"),
        ("ip unfrag", "tcp udp ping"),
        ("ip dscp 46", "tcp udp ping fragment"),
        ("ip tos < 0xb9", ""),
        ("ip ect", "tcp udp ping fragment"),
        ("ip ce", ""),
        ("ip hl 5", "tcp udp ping fragment"),
        ("ip vers 4 and ttl > 63", "tcp udp ping fragment"),
        ("tcp ? dst port 80 : udp", "tcp udp"),
        ("ip[9] 17", ""),
    ],
)
def test_ip_expressions(text: str, matching: str) -> None:
    found = expression(text)
    assert [name for name, packet in EVERY.items() if holds(found, packet)] == matching.split()


@given(value=st.integers(0, 0xFFFF), bound=st.integers(0, 0xFFFF))
def test_comparisons_of_several_bytes(value: int, bound: int) -> None:
    packet = {"proto": 6, "transp bytes 14": value >> 8, "transp bytes 15": value & 0xFF}
    facts = {"==": value == bound, "!=": value != bound, "<": value < bound, "<=": value <= bound}
    facts |= {">": value > bound, ">=": value >= bound}
    for comparison, true in facts.items():
        assert holds(expression(f"tcp[14:2] {comparison} {bound}"), packet) is true
        assert holds(expression(f"tcp win {comparison} {bound}"), packet) is true


@given(st.text(st.characters(exclude_characters="\x00"), max_size=40))
def test_a_quoted_string_is_what_it_was(text: str) -> None:
    quoted = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    (found,) = split(quoted)
    assert unquoted(found.text) == text


SAMPLE = """FromDevice(eth0) ToDevice(eth1) Counter Queue Unqueue Tee(2) Discard Idle elementclass X Y a b c input output
    require(package "ip") define($v 1) { } ( ) [ ] [0] [1] [0,1] -> => :: ; , | || ... $v $w ${v-2} Paint($v) Strip(14)
    IPFilter(allow tcp, deny all) Classifier(12/0800, -) /* */ // " ' \\ # 7 @ / é \0 Shaper(1) CheckPaint(1)
    IPClassifier(src port 80 or 81, -) IPFilter( allow ! ( tcp && Script(set x 1) X(1) Y($v)"""
WORDS = st.sampled_from(SAMPLE.split(" "))
TEXTS = st.lists(WORDS, max_size=40).map(" ".join) | st.text(max_size=200)


@pytest.mark.feature("C29")
@settings(max_examples=400, deadline=None)
@given(TEXTS)
@example("FromDevice(eth0) -> { input -> output } -> a :: Counter -> Queue -> ToDevice(eth1)")
@example("a :: { input -> output }; a -> a")
def test_any_text_is_read_or_refused(text: str) -> None:
    graph, faults = check(text)
    assert (graph is None) == bool(faults)
    assert all(fault.line and fault.column and fault.fix and fault.code for fault in faults)
    if graph is None:
        with pytest.raises(InvalidError):
            read(text)
        return
    again = read(flat_text(graph))
    assert plain(again.elements) == plain(graph.elements)
    assert set(again.connections) == set(graph.connections)


def plain(elements: Mapping[str, object]) -> dict[str, object]:
    """Elements without the lines where they stood."""
    return {name: msgspec.structs.replace(one, line=0) for name, one in elements.items()}  # type: ignore[type-var]


MARKS = "( ) [ ] , ! && || == < & ? : - # \" ' \\ / $a é \0"
PIECES = st.sampled_from([*MARKS.split(" "), *(text for _, text, _ in READS), " "])


@pytest.mark.feature("C29")
@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(KINDS)), st.lists(PIECES, max_size=6).map("".join) | st.text(max_size=60))
@example("Script", "set x 1, , loop")
@example("IPFilter", "allow tcp, ,")
def test_any_arguments_are_read_or_refused(name: str, text: str) -> None:
    found = configured(name, text)
    assert (found.config is None) == bool(found.wrong)
    assert all(wrong.message and 0 <= wrong.offset <= len(text) for wrong in found.wrong)


CLASSES = ("Null", "Counter", "Paint(3)", "Strip(14)", "CheckPaint(2)", "EtherMirror", "Print(x, 10)")


@given(st.recursive(st.sampled_from(CLASSES), lambda inner: st.lists(inner, min_size=1, max_size=4), max_leaves=20))
def test_nested_compounds_flatten_to_the_same_chain(tree: object) -> None:
    def written(node: object) -> str:
        if isinstance(node, list):
            return "{ input -> " + " -> ".join(map(written, node)) + " -> output }"
        return str(node)

    def leaves(node: object) -> list[str]:
        return (
            [leaf for one in node for leaf in leaves(one)] if isinstance(node, list) else [str(node).partition("(")[0]]
        )

    graph = read(f"in :: FromDevice(eth0) -> {written(tree)} -> out :: Discard")
    at, found = "in", list[str]()
    while (onward := graph.next(at, 0)) is not None:
        at = onward.target
        found.append(graph.elements[at].class_name)
    assert found == [*leaves(tree), "Discard"]
    again = read(flat_text(graph))
    assert plain(again.elements) == plain(graph.elements)
    assert set(again.connections) == set(graph.connections)
