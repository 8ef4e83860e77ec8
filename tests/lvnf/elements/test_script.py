"""Script: what its instructions do, and that none of them can hang or fill the process."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.errors import InvalidError
from skerry.lvnf import configs
from skerry.lvnf.checking import read
from skerry.lvnf.elements.words import ARITHMETIC, expanded, seconds, unquoted, words
from skerry.lvnf.graph import Element
from tests.lvnf.elements.lab import Lab

pytestmark = pytest.mark.feature("C28")

SWITCH = "FromDevice(in) -> w :: Switch(0); w[0] -> c :: Counter -> ToDevice(out); w[1] -> ToDevice(other);"


def run(*instructions: str, more: str = SWITCH, seconds: float = 0) -> Lab:
    lab = Lab(f"{more} s :: Script({', '.join(instructions)})")
    lab.advance(seconds)
    return lab


def test_counts_in_a_loop() -> None:
    lab = run("set x 0", "label again", "print $x", "set x $(add $x 1)", "goto again $(lt $x 3)", 'print "done"')
    assert lab.lines == ["0", "1", "2", "done"]
    assert lab.read("s.vars") == "x 3\n"
    assert lab.router.wake() is None


def test_reads_and_writes_handlers() -> None:
    lab = run("write w.switch 1", "print w.switch", "read w.switch", 'set t "is $(w.switch)"', "print $t")
    assert lab.lines == ["1", "w.switch:\n1\n", "is 1"]
    assert lab.pass_one(b"x", "out", "other") == "other"


def test_print_reads_handlers_and_takes_quotes_off_texts() -> None:
    lab = run("print c.count", 'print "c.count"', "set x c.count", "print $x", "print $($x)", "print '$x'")
    assert lab.lines == ["0", "c.count", "c.count", "0", "$x"]


def test_waits_and_acts_in_time() -> None:
    lab = run("write w.switch 1", "wait 2s", "write w.switch 0", "wait 500ms", "write w.switch 1", "loop")
    assert lab.read("w.switch") == "1"
    lab.advance(1.9)
    assert lab.read("w.switch") == "1"
    lab.advance(0.2)
    assert lab.read("w.switch") == "0"
    lab.advance(0.5)
    assert lab.read("w.switch") == "1"
    assert lab.router.wake() is not None


def test_pauses_until_it_is_stepped() -> None:
    lab = run('print "a"', "pause", 'print "b"', "pause 2", 'print "c"', "wait 1h", 'print "d"')
    assert lab.lines == ["a"]
    lab.write("s.step")
    assert lab.lines == ["a", "b"]
    lab.write("s.step")
    assert lab.lines == ["a", "b"]
    lab.write("s.step")
    assert lab.lines == ["a", "b", "c"]
    lab.write("s.step", "1")
    assert lab.lines == ["a", "b", "c", "d"]
    lab.write("s.step")
    assert lab.lines == ["a", "b", "c", "d"]


def test_goto_as_a_handler_and_as_an_end() -> None:
    lab = run("pause", "label there", 'print "there"', "goto end", 'print "never"')
    lab.write("s.goto", "there")
    assert lab.lines == ["there"]
    with pytest.raises(InvalidError, match="label"):
        lab.write("s.goto", "nowhere")


def test_a_passive_script_is_a_function() -> None:
    lab = run("TYPE PASSIVE", "return $(add $1 $2 $#)", more="FromDevice(in) -> c :: Counter -> Discard;")
    assert lab.lines == []
    assert lab.router.wake() is None
    assert lab.read("s.run 40 2") == "44"
    assert lab.read("s.run 1") == "2"


def test_init_happens_once() -> None:
    lab = run("TYPE PASSIVE", "init n 5", "set n $(add $n 1)", "return $n")
    assert [lab.read("s.run"), lab.read("s.run")] == ["6", "7"]


def test_a_write_that_fails_is_told_and_counted() -> None:
    lab = run("write w.switch 9", "print $?", "write nothing.here 1", "print c.nothing", "write w.switch 1", "print $?")
    assert lab.lines[1] == "-1"
    assert "cannot take '9'" in lab.lines[0]
    assert "cannot find the element 'nothing'" in lab.lines[2]
    assert "cannot find the handler 'nothing'" in lab.lines[3]
    assert lab.lines[4] == "0"


def test_names_are_found_in_the_compound_element_first() -> None:
    lab = Lab(
        "elementclass Box { input -> c :: Counter -> output; Script(TYPE PASSIVE, return $(c.count)) };"
        "FromDevice(in) -> b :: Box -> c :: Counter -> Strip(1) -> ToDevice(out); FromDevice(more) -> c"
    )
    lab.give(b"one")
    lab.give(b"two", device="more")
    (script,) = [name for name in lab.router.graph.elements if name.startswith("b/Script")]
    assert lab.router.read(script, "run") == "1"
    assert lab.read("c.count") == "2"


def test_forms_that_take_quotes_off_and_errors() -> None:
    steps = [
        ("initq", 'a "$(add 1 2)"'), ("setq", 'b "b b"'), ("set", 'c "c"'), ("printq", '"$a $b"'), ("print", "'$c'"),
        ("writeq", '"w.switch 1"'), ("readq", '"w.switch"'), ("error", "no more $b"), ("print", "'never'"),
    ]  # fmt: skip
    script = configs.Script(steps=tuple(configs.ScriptStep(verb=verb, arguments=text) for verb, text in steps))
    graph = read(SWITCH)
    elements = {**graph.elements, "s": Element(name="s", class_name="Script", config=script)}
    lab = Lab(SWITCH)
    router = lab.make(msgspec.structs.replace(graph, elements=elements))
    router.tick()
    assert lab.lines[:3] == ["3 b b", "$c", "w.switch:\n1\n"]
    assert lab.lines[3].endswith("no more b b")
    assert router.read("s", "vars") == 'a 3\nb b b\nc "c"\n'
    assert len(lab.lines) == 4


def test_stop_stops_the_function() -> None:
    lab = run("stop")
    assert lab.router.stopped


def test_files_are_not_written() -> None:
    lab = run("print >/tmp/skerry-never w.switch", "print >> never 1")
    assert len(lab.lines) == 2
    assert all("cannot print to a file" in line for line in lab.lines)


class TestLimits:
    def test_an_endless_loop_ends(self) -> None:
        lab = run("label a", "goto a")
        assert "without end" in lab.lines[-1]
        assert lab.router.wake() is None

    def test_a_loop_without_labels_ends(self) -> None:
        assert "without end" in run("loop").lines[-1]

    def test_a_loop_that_waits_goes_on(self) -> None:
        lab = run("init x 0", "set x $(add $x 1)", "wait 0", "loop", seconds=2)
        assert int(lab.read("s.vars").split()[1]) >= 1500
        assert lab.lines == []

    def test_scripts_that_call_each_other_end(self) -> None:
        lab = Lab("a :: Script(TYPE PASSIVE, return $(b.run)); b :: Script(TYPE PASSIVE, return $(a.run))")
        assert lab.read("a.run") in {"", "$(a.run)"}
        assert any("it is running" in line for line in lab.lines)

    def test_scripts_that_call_many_others_end(self) -> None:
        calls = ", ".join(f"set x{one} $(NEXT.run)" for one in range(60))
        texts = [f"s{one} :: Script(TYPE PASSIVE, {calls.replace('NEXT', f's{one + 1}')})" for one in range(9)]
        lab = Lab("; ".join([*texts, "s9 :: Script(TYPE PASSIVE, return 1)"]))
        lab.read("s0.run")
        assert any("without end" in line for line in lab.lines)

    def test_texts_do_not_grow_without_end(self) -> None:
        lab = run("set x aaaaaaaaaaaaaaaa", "label more", "set x $x$x$x$x", "goto more")
        assert any("characters" in line for line in lab.lines)
        assert len(lab.read("s.vars")) < 100_000

    def test_numbers_do_not_grow_without_end(self) -> None:
        lab = run("set x 99999", "label more", "set x $(mul $x $x)", "goto more")
        assert any("64 bits" in line for line in lab.lines)

    def test_a_wide_field_is_refused(self) -> None:
        with pytest.raises(InvalidError, match="wide"):
            ARITHMETIC["sprintf"]("%999999999d 1")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("add", "10 5 2", "17"),
        ("sub", "10 5 2", "3"),
        ("mul", "10 5 2", "100"),
        ("div", "10 4", "2.5"),
        ("idiv", "10 4", "2"),
        ("idiv", "-7 2", "-3"),
        ("mod", "7 4", "3"),
        ("add", "1.5 1", "2.5"),
        ("add", "0x10 1", "17"),
        ("min", "3 1 2", "1"),
        ("max", "3 1 2", "3"),
        ("eq", "10 0xA", "true"),
        ("le", "9 8", "false"),
        ("eq", "10x 10x", "true"),
        ("lt", "abc abd", "true"),
        ("ne", "1 1.0", "false"),
        ("ge", "2 2", "true"),
        ("gt", "2 2", "false"),
        ("not", "true", "false"),
        ("and", "true false", "false"),
        ("or", "true false", "true"),
        ("if", "true a b", "a"),
        ("if", "false a b", "b"),
        ("first", "one two", "one"),
        ("sprintf", '"%05x" 127', "0007f"),
        ("sprintf", '"%s has %d%%" it 5', "it has 5%"),
    ],
)
def test_arithmetic(name: str, text: str, value: str) -> None:
    assert ARITHMETIC[name](text) == value
    lab = run("TYPE PASSIVE", "return 1")
    assert lab.read(f"s.{name} {text}") == value


@pytest.mark.parametrize(
    ("name", "text"), [("add", "one"), ("add", ""), ("div", "1 0"), ("eq", "1"), ("not", "perhaps"), ("sprintf", "%d")]
)
def test_arithmetic_refuses_what_is_no_number(name: str, text: str) -> None:
    with pytest.raises(InvalidError, match="cannot"):
        ARITHMETIC[name](text)


@given(name=st.sampled_from(sorted(ARITHMETIC)), text=st.text("0123456789.-+xe %sdn\"'$()", max_size=30))
def test_arithmetic_has_a_value_or_refuses(name: str, text: str) -> None:
    try:
        assert isinstance(ARITHMETIC[name](text), str)
    except InvalidError:
        pass


@given(text=st.text("ab$(){}'\"\\ ?#1", max_size=40))
def test_any_text_expands(text: str) -> None:
    try:
        found = expanded(text, {"a": "1", "b": "$a"}.get, lambda call: call[:1] or None)
    except InvalidError:
        return
    if "$" not in text:
        assert found == text
    assert isinstance(unquoted(found), str)
    assert isinstance(words(found), list)


def test_times() -> None:
    assert [seconds(text) for text in ("1.5", "20ms", "3 us", "2min", ".5s")] == [1.5, 0.02, 3e-6, 120.0, 0.5]
    for text in ("", "soon", "-1", "1 year"):
        with pytest.raises(InvalidError, match="time"):
            seconds(text)


@given(
    steps=st.lists(
        st.sampled_from(
            [
                "set x $(add $x 1)", "goto a", "goto b $(lt $x 9)", "label a", "label b", "wait 0.1", "pause", "loop",
                "print $x", "print x.y", "write s.goto a", "write s.step 2", "write s.run 1", "set x $(s.run 3)",
                "return $x", "end", "set x $x$x", "write w.switch $x", "init x 1",
            ]
        ),
        max_size=12,
    )
)  # fmt: skip
def test_any_script_comes_to_rest_or_waits(steps: list[str]) -> None:
    lab = run("label a", "label b", *[step for step in steps if not step.startswith("label")])
    lab.advance(0.5)
    lab.write("s.step", "3")
    lab.router.read("s", "vars")
    wake = lab.router.wake()
    assert wake is None or wake > lab.time
