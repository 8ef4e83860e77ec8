"""Counter, AverageCounter and Meter."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.lvnf.elements.rates import fixed_point
from tests.lvnf.elements.lab import Lab

pytestmark = pytest.mark.feature("C28")

HANDLERS = ("count", "byte_count", "rate", "byte_rate", "bit_rate")


class TestCounter:
    TEXT = "FromDevice(in) -> c :: Counter -> ToDevice(out)"

    def test_counts_packets_and_bytes(self) -> None:
        lab = Lab(self.TEXT)
        lab.give(b"abc", b"defgh")
        assert lab.out() == [b"abc", b"defgh"]
        assert (lab.read("c.count"), lab.read("c.byte_count")) == ("2", "8")

    def test_rates_come_near_to_what_passes(self) -> None:
        lab = Lab(self.TEXT)
        for _ in range(500):
            lab.time += 0.002
            lab.give(bytes(100))
        assert float(lab.read("c.rate")) == pytest.approx(500, rel=0.1)
        assert float(lab.read("c.byte_rate")) == pytest.approx(50_000, rel=0.1)
        assert float(lab.read("c.bit_rate")) == pytest.approx(400_000, rel=0.1)

    def test_one_packet_counts_a_sixteenth_of_its_millisecond(self) -> None:
        lab = Lab(self.TEXT)
        lab.give(b"abc")
        assert lab.read("c.rate") == "0"
        lab.time += 0.001
        assert lab.read("c.rate") == "62.5"

    def test_rates_are_0_after_a_time_of_nothing(self) -> None:
        lab = Lab(self.TEXT)
        for _ in range(100):
            lab.time += 0.001
            lab.give(bytes(100))
        lab.time += 1
        assert [lab.read(f"c.{name}") for name in ("rate", "byte_rate", "bit_rate")] == ["0", "0", "0"]

    @pytest.mark.parametrize("handler", ["reset", "reset_counts"])
    def test_reset(self, handler: str) -> None:
        lab = Lab(self.TEXT)
        lab.give(b"abc")
        lab.time += 0.001
        lab.write(f"c.{handler}")
        assert [lab.read(f"c.{name}") for name in HANDLERS] == ["0"] * 5


class TestAverageCounter:
    def test_the_rate_is_the_mean_since_the_first_packet(self) -> None:
        lab = Lab("FromDevice(in) -> c :: AverageCounter -> Discard")
        lab.time += 100
        for _ in range(11):
            lab.give(bytes(10))
            lab.time += 0.5
        lab.time += 100
        assert (lab.read("c.count"), lab.read("c.byte_count")) == ("11", "110")
        assert (lab.read("c.rate"), lab.read("c.byte_rate")) == ("2.2", "22")

    def test_what_comes_in_the_first_seconds_is_ignored(self) -> None:
        lab = Lab("FromDevice(in) -> c :: AverageCounter(IGNORE 2) -> Discard")
        for _ in range(5):
            lab.give(b"x")
            lab.time += 1
        assert (lab.read("c.count"), lab.read("c.rate")) == ("3", "1.5")

    def test_reset_begins_with_the_next_packet(self) -> None:
        lab = Lab("FromDevice(in) -> c :: AverageCounter -> Discard")
        lab.give(b"x")
        lab.write("c.reset")
        assert (lab.read("c.count"), lab.read("c.rate")) == ("0", "0")
        lab.time += 10
        lab.give(b"x")
        lab.time += 1
        lab.give(b"x")
        assert lab.read("c.rate") == "2"


class TestMeter:
    TEXT = "FromDevice(in) -> m :: Meter(100, 1000); m[0] -> ToDevice(a); m[1] -> ToDevice(b); m[2] -> ToDevice(c)"

    @pytest.mark.parametrize(("rate", "device"), [(50, "a"), (500, "b"), (5000, "c")])
    def test_the_rate_decides(self, rate: int, device: str) -> None:
        lab = Lab(self.TEXT)
        for _ in range(rate):
            lab.time += 1 / rate
            lab.give(b"x")
        counts = {one: len(lab.out(one)) for one in "abc"}
        assert max(counts, key=lambda one: counts[one]) == device
        assert sum(counts.values()) == rate

    def test_handlers(self) -> None:
        lab = Lab(self.TEXT)
        assert lab.read("m.rate") == "0"
        assert [round(float(one)) for one in lab.read("m.meters").split()] == [100, 1000]


@given(value=st.integers(0, 1 << 40), bits=st.sampled_from([4, 10, 28]))
def test_numbers_read_back_as_they_were(value: int, bits: int) -> None:
    assert round(float(fixed_point(value, bits)) * (1 << bits)) == value


def test_numbers_are_as_short_as_can_be() -> None:
    assert [fixed_point(one, 10) for one in (0, 512, 1024, 1536, 307)] == ["0", "0.5", "1", "1.5", "0.3"]
