"""Queue, Unqueue, RatedUnqueue, Shaper and BandwidthShaper."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.errors import InvalidError
from tests.lvnf.elements.lab import Lab

pytestmark = pytest.mark.feature("C28")


class TestQueue:
    TEXT = "FromDevice(in) -> q :: Queue(3) -> u :: Unqueue(ACTIVE false) -> ToDevice(out)"

    def test_keeps_the_order_and_drops_what_does_not_fit(self) -> None:
        lab = Lab(self.TEXT)
        lab.give(b"a", b"b", b"c", b"d")
        found = {name: lab.read(f"q.{name}") for name in ("length", "highwater_length", "capacity", "drops")}
        assert found == {"length": "3", "highwater_length": "3", "capacity": "3", "drops": "1"}
        lab.write("u.active", "true")
        lab.settle()
        assert lab.out() == [b"a", b"b", b"c"]
        assert (lab.read("q.length"), lab.read("q.highwater_length"), lab.read("u.count")) == ("0", "3", "3")

    def test_the_capacity_can_be_changed(self) -> None:
        lab = Lab(self.TEXT)
        lab.write("q.capacity", "5")
        lab.give(b"a", b"b", b"c", b"d")
        assert lab.read("q.length") == "4"
        lab.write("q.capacity", "2")
        assert (lab.read("q.length"), lab.read("q.drops")) == ("2", "2")
        with pytest.raises(InvalidError):
            lab.write("q.capacity", "-1")

    def test_resets(self) -> None:
        lab = Lab(self.TEXT)
        lab.give(b"a", b"b", b"c", b"d")
        lab.write("q.reset_counts")
        assert (lab.read("q.length"), lab.read("q.drops"), lab.read("q.highwater_length")) == ("3", "0", "3")
        lab.write("q.reset")
        assert (lab.read("q.length"), lab.read("q.highwater_length")) == ("0", "0")

    @given(
        steps=st.lists(
            st.one_of(st.integers(1, 6), st.just("pull"), st.integers(0, 4).map(str)),
            max_size=30,
        )
    )
    def test_what_goes_in_comes_out_or_is_dropped(self, steps: list[int | str]) -> None:
        lab = Lab(self.TEXT)
        given_count = 0
        for step in steps:
            if step == "pull":
                lab.write("u.active", "true")
                lab.settle()
                lab.write("u.active", "false")
            elif isinstance(step, str):
                lab.write("q.capacity", step)
            else:
                lab.give(*[given_count.to_bytes(2, "big")] * step)
                given_count += step
        out = lab.out()
        assert given_count == len(out) + int(lab.read("q.drops")) + int(lab.read("q.length"))
        assert out == sorted(out)
        assert int(lab.read("q.length")) <= int(lab.read("q.highwater_length"))


def test_rated_unqueue_keeps_its_rate() -> None:
    lab = Lab("FromDevice(in) -> q :: Queue -> r :: RatedUnqueue(10) -> ToDevice(out)")
    lab.give(*[b"x"] * 100)
    lab.advance(2)
    assert len(lab.out()) == pytest.approx(21, abs=1)
    lab.write("r.rate", "50")
    lab.advance(1)
    assert len(lab.out()) == pytest.approx(51, abs=1)
    assert lab.read("r.rate") == "50"


def test_rated_unqueue_tells_when_it_wants_to_run() -> None:
    lab = Lab("FromDevice(in) -> q :: Queue -> r :: RatedUnqueue(4) -> ToDevice(out)")
    assert lab.router.wake() is None
    lab.give(b"a", b"b")
    lab.settle()
    assert lab.out() == [b"a"]
    assert lab.router.wake() == lab.time + 0.25


def test_a_rate_of_0_holds_everything() -> None:
    lab = Lab("FromDevice(in) -> q :: Queue -> r :: RatedUnqueue(5) -> ToDevice(out)")
    lab.write("r.rate", "0")
    lab.give(b"a")
    lab.advance(100)
    assert lab.out() == []
    assert lab.router.wake() is None


def test_shaper_lets_so_many_packets_pass() -> None:
    lab = Lab("FromDevice(in) -> q :: Queue -> s :: Shaper(20) -> ToDevice(out)")
    lab.give(*[b"x"] * 100)
    lab.advance(3)
    assert len(lab.out()) == pytest.approx(61, abs=1)
    lab.write("s.rate", "5")
    assert lab.read("s.rate") == "5"
    lab.advance(2)
    assert len(lab.out()) == pytest.approx(11, abs=1)


def test_bandwidth_shaper_lets_so_many_bytes_pass() -> None:
    lab = Lab("FromDevice(in) -> q :: Queue -> s :: BandwidthShaper(1000) -> ToDevice(out)")
    lab.give(*[bytes(100)] * 80)
    lab.advance(4)
    assert len(lab.out()) == pytest.approx(41, abs=1)


def test_idle_time_is_not_saved_up() -> None:
    lab = Lab("FromDevice(in) -> q :: Queue -> s :: Shaper(100) -> ToDevice(out)")
    lab.advance(60)
    lab.give(*[b"x"] * 50)
    lab.settle()
    assert len(lab.out()) <= 3


@given(bursts=st.lists(st.tuples(st.integers(0, 20), st.floats(0, 0.5)), max_size=12), rate=st.integers(1, 200))
def test_a_shaper_never_exceeds_its_rate_and_loses_nothing(bursts: list[tuple[int, float]], rate: int) -> None:
    lab = Lab(f"FromDevice(in) -> q :: Queue -> Shaper({rate}) -> c :: Counter -> ToDevice(out)")
    begin, count = lab.time, 0
    for number, pause in bursts:
        lab.give(*[b"x"] * number)
        count += number
        lab.advance(pause)
        passed = int(lab.read("c.count"))
        assert passed <= rate * (lab.time - begin + 0.02) + 1.001
        assert passed + int(lab.read("q.length")) == count
    lab.advance(count / rate + 1)
    assert lab.read("c.count") == str(count)
