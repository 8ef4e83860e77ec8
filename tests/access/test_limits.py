"""Rate limits: pure arithmetic over a clock that is passed in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.access.limits import Bucket, Limiter, take


def test_a_burst_then_the_rate() -> None:
    bucket = Bucket(3.0, 100.0)
    for _ in range(3):
        bucket, wait = take(bucket, 2.0, 3.0, 100.0)
        assert wait == 0
    bucket, wait = take(bucket, 2.0, 3.0, 100.0)
    assert wait == pytest.approx(0.5)
    _, wait = take(bucket, 2.0, 3.0, 100.5)
    assert wait == 0


@given(st.lists(st.floats(0, 10), max_size=60), st.floats(0.1, 50), st.integers(1, 20))
def test_never_more_than_burst_and_rate_allow(pauses: list[float], rate: float, burst: int) -> None:
    bucket, now, passed = Bucket(float(burst), 0.0), 0.0, 0
    for pause in pauses:
        now += pause
        bucket, wait = take(bucket, rate, float(burst), now)
        passed += wait == 0
        assert wait >= 0
    assert passed <= burst + rate * now + 1e-6


def test_callers_do_not_share_and_the_number_is_bounded() -> None:
    limiter = Limiter(most=2)
    assert limiter.wait("a", 1, 1, 0.0) == 0
    assert limiter.wait("a", 1, 1, 0.0) == pytest.approx(1.0)
    assert limiter.wait("b", 1, 1, 0.0) == 0
    assert limiter.wait("c", 1, 1, 0.0) == 0
    assert limiter.wait("a", 1, 1, 0.0) == 0  # forgotten meanwhile: c took its place
    assert limiter.wait("c", 0, 1, 0.0) == 0
