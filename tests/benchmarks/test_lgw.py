"""The measurement of the local gateway measures something."""

from __future__ import annotations

import os

import pytest

from benchmarks import lgw
from skerry.dataplane import packets

pytestmark = [pytest.mark.real, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]


@pytest.mark.feature("E118")
async def test_frames_leave_tunnels_and_enter_them() -> None:
    out, back = await lgw.Gateway(8).rates(0.05)
    assert out > 1000
    assert back > 1000


@pytest.mark.feature("E102")
async def test_frames_that_are_passed_on_arrive_as_they_were_and_their_time_is_told() -> None:
    assert await lgw.added_latency(9) < 1e6


def test_the_frames_are_what_they_say() -> None:
    inside = packets.parse(lgw.tunnelled(3)).inner
    assert inside is not None
    source, _ = packets.addresses(lgw.tunnelled(3), inside)
    assert ".".join(map(str, source)) == lgw.ue(3)
    assert len(lgw.plain(3, down=True)) == 64
