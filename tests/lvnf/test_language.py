"""Click text -> checked graph: what each construct means, and that every fault is told with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from skerry.errors import InvalidError
from skerry.lvnf.checking import check, read
from skerry.lvnf.graph import Graph, Processing

pytestmark = pytest.mark.feature("C28")
ROOT = Path(__file__).resolve().parents[2]


def drawn(graph: Graph) -> set[str]:
    """The connections for people."""
    return {f"{one.source}[{one.output}]->[{one.input}]{one.target}" for one in graph.connections}


def chain(text: str) -> set[str]:
    """The connections of a text whose ends are made for it."""
    return drawn(read(f"a :: FromDevice(eth0); z :: Discard; {text}"))


def test_declarations_together_and_anonymous_names() -> None:
    text = "one :: FromDevice(eth0); two :: FromDevice(eth1); x, y :: Counter();"
    graph = read(f"{text} one -> x -> Discard; two -> y -> Discard;")
    assert [*graph.elements] == ["one", "two", "x", "y", "Discard@5", "Discard@6"]
    assert graph.devices == ("eth0", "eth1")
    assert graph.elements["x"].line == 1


@pytest.mark.parametrize(
    ("text", "connections"),
    [
        ("a -> Counter -> z", {"a[0]->[0]Counter@3", "Counter@3[0]->[0]z"}),
        ("a -> c :: Counter; c -> z", {"a[0]->[0]c", "c[0]->[0]z"}),
        ("a -> c -> z; c :: Counter;", {"a[0]->[0]c", "c[0]->[0]z"}),
        ("a -> t :: Tee; t [0, 1] -> z", {"a[0]->[0]t", "t[0]->[0]z", "t[1]->[0]z"}),
        (
            "a -> Tee => b, c -> z; b, c :: Counter",
            {"a[0]->[0]Tee@3", "Tee@3[0]->[0]b", "Tee@3[1]->[0]c", "b[0]->[0]z"},
        ),
        (
            "a -> { input -> Counter -> output } -> z",
            {"a[0]->[0]compound@3/Counter@1", "compound@3/Counter@1[0]->[0]z"},
        ),
        ("a -> { input -> output } -> z", {"a[0]->[0]z"}),
        ("a -> ( -> ) -> z", {"a[0]->[0]z"}),
        ("a -> Tee(2) => ( [0] -> output; [1] -> c :: Counter -> output ) -> z", {"Tee@3[1]->[0]c", "c[0]->[0]z"}),
        ("elementclass P { input -> c :: Null -> output }; a -> x :: P -> z", {"a[0]->[0]x/c", "x/c[0]->[0]z"}),
        ("elementclass N Null; a -> x :: N -> z", {"a[0]->[0]x", "x[0]->[0]z"}),
        (
            "a -> k :: { input -> t :: Tee(2) -> output; t [1] -> [1] output } -> z; k [1] -> z",
            {"k/t[0]->[0]z", "k/t[1]->[0]z"},
        ),
        ("/* x */ a // y -> Idle\n -> z", {"a[0]->[0]z"}),
    ],
)
def test_constructs(text: str, connections: set[str]) -> None:
    assert connections <= chain(text)


def test_a_compound_inside_of_a_compound_has_a_path_for_a_name() -> None:
    graph = read(
        "a :: FromDevice(eth0) -> o :: { input -> i :: { input -> c :: Counter -> output } -> output } -> Discard"
    )
    assert "o/i/c" in graph.elements


@pytest.mark.parametrize(
    ("arguments", "color"),
    [("7", 7), ("COLOR 7", 7), ("1, 2, COLOR 9", 9), ("", 3)],
)
def test_overloads_are_chosen_by_arguments(arguments: str, color: int) -> None:
    text = """
    elementclass P { $c | input -> p :: Paint($c) -> output
        || COLOR $c | input -> p :: Paint($c) -> output
        || $a, $b, COLOR $c | input -> p :: Paint(${c}) -> output
        || input -> p :: Paint(${none-3}) -> output }
    FromDevice(eth0) -> x :: P(%s) -> Discard;
    """
    assert read(text % arguments).elements["x/p"].config.color == color


def test_rest_takes_what_is_left() -> None:
    text = """elementclass C { $first, __REST__ $rest | input -> c :: Classifier($rest); c [0], c [1] -> output }
    FromDevice(eth0) -> x :: C(unused, 12/0800, -) -> Discard"""
    assert read(text).elements["x/c"].outputs == 2


def test_an_overload_extends_a_class() -> None:
    text = """elementclass Paint { $a, $b | input -> Paint($b) -> output || ... }
    FromDevice(eth0) -> x :: Paint(1) -> y :: Paint(1, 2) -> Discard"""
    graph = read(text)
    assert graph.elements["x"].class_name == "Paint"
    assert graph.elements["y/Paint@1"].config.color == 2


def test_classes_are_those_before_the_definition() -> None:
    text = """elementclass A { input -> B -> output } elementclass B { input -> Counter -> output }
    FromDevice(eth0) -> A -> Discard"""
    _, faults = check(text)
    assert [fault.code for fault in faults] == ["element.unknown"]


def test_define_and_single_quotes() -> None:
    graph = read("define($dev eth1, $l 'a b') FromDevice($dev) -> p :: Print($l) -> q :: Print('$dev') -> Discard")
    assert graph.devices == ("eth1",)
    assert graph.elements["p"].config.label == "a b"
    assert graph.elements["q"].config.label == "$dev"


def test_agnostic_elements_become_what_they_are_connected_to() -> None:
    graph = read(
        "FromDevice(e0) -> a :: Counter -> Queue -> b :: Counter -> CheckPaint(1) -> c :: Null -> ToDevice(e1)"
    )
    moved = {one.source: one.processing for one in graph.connections}
    assert moved["a"] is Processing.PUSH
    assert moved["b"] is moved["c"] is Processing.PULL


FAULTS = [
    ("FromDevice(e0) -> Countr -> Discard", "element.unknown", (1, 19), "Counter"),
    ("FromDevice(e0) -> x :: Countr -> Discard", "class.unknown", (1, 19), "Counter"),
    ("c :: Counter; FromDevice(e0) -> c -> Discard; cc -> Discard", "element.unknown", (1, 47), "declare"),
    ("FromDevice(e0) -> Queue -> Queue -> Discard", "processing.conflict", (1, 28), "Unqueue"),
    ("FromDevice(e0) -> Shaper(1) -> Discard", "processing.conflict", (1, 19), "Queue"),
    ("f :: FromDevice(e0) -> Discard; f -> Discard", "port.double", (1, 38), "Tee"),
    ("FromDevice(e0) -> q :: Queue -> Discard; q -> Discard; Queue -> [1] q", "port.surplus", (1, 65), "another"),
    ("FromDevice(e0) -> Counter", "port.open", (1, 19), "connect"),
    ("Counter -> Discard", "port.open", (1, 1), "connect"),
    ("c :: Counter -> c", "element.unreachable", (1, 1), "FromDevice"),
    ("FromDevice(e0) -> Discard;\nFromDevice(e0) -> Discard", "device.double", (2, 1), "Tee"),
    ("require(package nothing); Idle", "requirement.unknown", (1, 9), "known are"),
    ("c, c :: Counter", "element.twice", (1, 4), "another name"),
    ("FromDevice(e0) -> { input -> Null -> [1] output } -> Discard", "compound.port", (1, 54), "inside"),
    ("elementclass X { $a | input -> output } FromDevice(e0) -> X -> Discard", "compound.arguments", (1, 59), "$a"),
    ("FromDevice(e0) -> Classifier(12/08000) -> Discard", "config.bad", (1, 30), "two for each byte"),
    ("FromDevice(e0) -> t :: Tee(3); t [0,1,2] => Discard, Discard", "connection.unequal", (1, 45), "ports"),
    ("FromDevice(e0", "parenthesis.open", (1, 11), "close"),
    ("FromDevice(e0) -> { input -> Discard", "brace.open", (1, 19), "}"),
    ("FromDevice(e0) -> ^ Discard", "character.strange", (1, 19), "remove"),
    ("FromDevice(e0) -> [70000] Discard", "port.bad", (1, 20), "1023"),
    ("input -> Discard", "pseudo.outside", (1, 1), "element"),
    ("FromDevice(e0) -> Strip($length) -> Discard", "variable.unknown", (1, 25), "define($length value)"),
    ("", "graph.empty", (1, 1), "declare"),
]


@pytest.mark.feature("C29")
@pytest.mark.parametrize(("text", "code", "place", "fix"), FAULTS)
def test_faults(text: str, code: str, place: tuple[int, int], fix: str) -> None:
    graph, faults = check(text)
    assert graph is None
    told = {fault.code: fault for fault in faults}
    assert code in told, faults
    assert (told[code].line, told[code].column) == place
    assert fix in told[code].fix


@pytest.mark.feature("C29")
def test_all_faults_are_told_at_once() -> None:
    text = "a :: FromDevice(eth0/1);\nb :: Counter(1);\na -> b -> Nothing;\n] c :: Paint(300, 1, 2);\n"
    with pytest.raises(InvalidError) as caught:
        read(text.replace("] ", ""))
    assert [fault.line for fault in caught.value.faults] == [1, 2, 3, 4, 4]
    assert all(fault.fix and fault.column for fault in caught.value.faults)


def test_values_from_outside_move_no_column() -> None:
    text = "FromDevice($DEVICE) -> Strip($LENGTH) -> Strip(x) -> Discard"
    values = {"DEVICE": "eth7", "LENGTH": "14"}
    _, faults = check(text, values)
    assert [(fault.line, fault.column) for fault in faults] == [(1, text.index("x)") + 1)]
    graph = read(text.replace("Strip(x)", "Null"), values)
    assert graph.devices == ("eth7",)


BOMBS = {
    "elements": "elementclass A0 { input -> Null -> output } "
    + "".join(f"elementclass A{i + 1} {{ input -> A{i} -> A{i} -> A{i} -> output }} " for i in range(20))
    + "FromDevice(e0) -> A20 -> Discard",
    "empty": "elementclass A0 { } "
    + "".join(f"elementclass A{i + 1} {{ x :: A{i}; y :: A{i}; }} " for i in range(30))
    + "z :: A30",
    "values": "elementclass A0 { $v | p :: Print($v) } "
    + "".join(f'elementclass A{i + 1} {{ $v | x :: A{i}("$v$v$v$v$v$v$v$v") }} ' for i in range(12))
    + "z :: A12(aaaaaaaaaaaaaaaa)",
    "connections": "t :: Tee(1000); q :: Null; t [" + ",".join(map(str, range(1000))) + "] -> ["
    + ",".join(map(str, range(1000))) + "] q",
    "tunnels": "".join(f"a{i} :: Null -> c;" for i in range(200))
    + "c :: { input -> o :: Null; "
    + "".join(f"input -> z{i} :: Null;" for i in range(200))
    + "};",
    "braces": "a -> " + "{ input -> " * 5000,
    "parentheses": "a -> " + "( " * 5000,
    "comments": "X(" + "/*" * 100000,
    "strings": 'X("' + '\\"' * 100000,
    "data": "X(" + "\\<" * 100000,
    "statements": "X(;" * 60000,
    "expression": "FromDevice(e0) -> IPFilter(allow " + "(" * 2000 + ") -> Discard",
    "questions": "FromDevice(e0) -> IPFilter(allow " + "tcp ? " * 30 + "tcp" + " : udp" * 30 + ") -> Discard",
    "long": "a" * 300000,
    "names": ",".join(f"n{i}" for i in range(5000)) + " :: Counter",
}  # fmt: skip


@pytest.mark.feature("C29")
@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused(name: str) -> None:
    graph, faults = check(BOMBS[name])
    assert graph is None
    assert faults
    assert len(faults) <= 100


VALUES = (
    "define($ETH0_IP 10.0.0.1, $ETH2_IP 10.0.0.1, $ETH0_MAC 2:0:0:0:0:1, $ETH2_MAC 2:0:0:0:0:1, $PEER_MAC 2:0:0:0:0:2)"
)


def test_the_texts_that_people_copy_are_right() -> None:
    page = (ROOT / "docs" / "how-to" / "write-a-micro-function.md").read_text()
    assert read(VALUES + page.split("```")[1]).devices == ("eth0", "eth1")
    gateway = (ROOT / "examples" / "cache" / "gateway" / "Files" / "gateway.click").read_text()
    assert read(f"{VALUES} define($CACHE 10.0.0.2) {gateway}").devices == ("eth0", "eth1", "eth2")
