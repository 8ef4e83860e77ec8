"""Tee, Switch, RoundRobinSwitch, Paint, CheckPaint, RandomSample, Discard, Idle, Null and Print."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.errors import InvalidError
from tests.lvnf.elements.lab import Lab

pytestmark = pytest.mark.feature("C28")


def three(element: str) -> Lab:
    return Lab(
        f"FromDevice(in) -> s :: {element}; s[0] -> ToDevice(a); s[1] -> ToDevice(b); s[2] -> ToDevice(c)",
    )


def test_tee_gives_a_copy_to_each_output() -> None:
    lab = Lab("FromDevice(in) -> t :: Tee(2); t[0] -> Strip(1) -> ToDevice(a); t[1] -> Paint(3) -> ToDevice(b)")
    lab.give(b"xyz")
    assert (lab.out("a"), lab.out("b")) == ([b"yz"], [b"xyz"])


def test_switch_sends_all_to_one_output() -> None:
    lab = three("Switch(1)")
    assert lab.pass_one(b"x", "a", "b", "c") == "b"
    lab.write("s.switch", "2")
    assert lab.read("s.switch") == "2"
    assert lab.pass_one(b"x", "a", "b", "c") == "c"
    lab.write("s.switch", "-1")
    assert lab.pass_one(b"x", "a", "b", "c") is None


@pytest.mark.parametrize("value", ["3", "-2", "one", ""])
def test_switch_refuses_an_output_that_it_does_not_have(value: str) -> None:
    lab = three("Switch")
    with pytest.raises(InvalidError, match="cannot take"):
        lab.write("s.switch", value)
    assert lab.pass_one(b"x", "a", "b", "c") == "a"


def test_round_robin_goes_around() -> None:
    lab = three("RoundRobinSwitch")
    assert [lab.pass_one(b"x", "a", "b", "c") for _ in range(5)] == ["a", "b", "c", "a", "b"]


def test_paint_and_check_paint() -> None:
    lab = Lab(
        "FromDevice(in) -> p :: Paint(3) -> k :: CheckPaint(3); FromDevice(bare) -> k;"
        "k[0] -> ToDevice(out); k[1] -> ToDevice(rest)"
    )
    assert lab.pass_one(b"x", "out", "rest") == "out"
    lab.give(b"x", device="bare")
    assert lab.out("rest") == [b"x"]
    lab.write("p.color", "0x10")
    assert lab.read("p.color") == "16"
    assert lab.pass_one(b"x", "out", "rest") == "rest"
    lab.write("k.color", "16")
    assert lab.pass_one(b"x", "out", "rest") == "out"
    with pytest.raises(InvalidError):
        lab.write("p.color", "256")


def test_check_paint_without_output_1_drops() -> None:
    assert Lab("FromDevice(in) -> CheckPaint(1) -> ToDevice(out)").pass_one(b"x") is None


class TestRandomSample:
    TEXT = "FromDevice(in) -> s :: RandomSample(0.25); s[0] -> ToDevice(out); s[1] -> ToDevice(rest)"

    def test_chance_decides(self) -> None:
        lab = Lab(self.TEXT, chances=[0.1, 0.25, 0.9, 0.0])
        assert [lab.pass_one(b"x", "out", "rest") for _ in range(4)] == ["out", "rest", "rest", "out"]
        assert (lab.read("s.count"), lab.read("s.drops")) == ("2", "2")

    def test_handlers(self) -> None:
        lab = Lab(self.TEXT, chances=[0.8])
        assert (lab.read("s.sampling_prob"), lab.read("s.drop_prob")) == ("0.25", "0.75")
        lab.write("s.drop_prob", "0.1")
        assert (lab.read("s.sampling_prob"), lab.read("s.drop_prob")) == ("0.9", "0.1")
        assert lab.pass_one(b"x", "out", "rest") == "out"
        for value in ("1.5", "-1", "nan", "often"):
            with pytest.raises(InvalidError):
                lab.write("s.sampling_prob", value)

    def test_switched_off_it_passes_all(self) -> None:
        lab = Lab(self.TEXT)
        lab.write("s.active", "false")
        assert lab.pass_one(b"x", "out", "rest") == "out"

    def test_what_it_does_not_pass_does_not_hold_up_what_pulls(self) -> None:
        lab = Lab("FromDevice(in) -> Queue -> RandomSample(0.5) -> ToDevice(out)", chances=[0.9, 0.9, 0.1])
        lab.give(b"a", b"b", b"c")
        lab.settle()
        assert lab.out() == [b"c"]


def test_discard_counts_push_and_pull() -> None:
    lab = Lab("FromDevice(in) -> t :: Tee(2); t[0] -> d :: Discard; t[1] -> Queue -> e :: Discard")
    lab.give(b"x", b"y")
    lab.settle()
    assert (lab.read("d.count"), lab.read("e.count")) == ("2", "2")
    lab.write("d.reset_counts")
    assert lab.read("d.count") == "0"


def test_idle_takes_everything_and_gives_nothing() -> None:
    lab = Lab("FromDevice(in) -> Idle -> ToDevice(out)")
    assert lab.pass_one(b"x") is None
    assert lab.router.wake() is None


def test_null_hands_on() -> None:
    assert Lab("FromDevice(in) -> Null -> ToDevice(out)").pass_one(b"x") == "out"


class TestPrint:
    def test_logs_label_length_and_bytes(self) -> None:
        lab = Lab('FromDevice(in) -> p :: Print("in", 6) -> ToDevice(out)')
        lab.give(bytes(range(10)))
        assert lab.lines == ["in:   10 | 00010203 0405"]
        assert lab.out() == [bytes(range(10))]

    def test_24_bytes_by_default_and_no_label(self) -> None:
        lab = Lab("FromDevice(in) -> Print -> ToDevice(out)")
        lab.give(bytes(30))
        assert lab.lines == ["  30 | " + " ".join(["00000000"] * 6)]

    def test_can_be_switched_off(self) -> None:
        lab = Lab("FromDevice(in) -> p :: Print(x, ACTIVE false) -> ToDevice(out)")
        lab.give(b"a")
        assert (lab.lines, lab.read("p.active")) == ([], "false")
        lab.write("p.active", "true")
        lab.give(b"a")
        assert lab.lines == ["x:    1 | 61"]


@given(chances=st.lists(st.floats(0, 1, exclude_max=True), max_size=30))
def test_samples_and_drops_are_all(chances: list[float]) -> None:
    lab = Lab(TestRandomSample.TEXT, chances=chances)
    lab.give(*[b"x"] * len(chances))
    passed, rest = len(lab.out()), len(lab.out("rest"))
    assert passed + rest == len(chances)
    assert (lab.read("s.count"), lab.read("s.drops")) == (str(passed), str(rest))
