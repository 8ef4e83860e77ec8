"""The measurements of applications on real parts, once."""

from __future__ import annotations

import os

import pytest

from benchmarks import mecapp
from benchmarks.core import payload
from benchmarks.figures import Scale

NEEDED = ("runc", "conmon", "ip", "busybox")


@pytest.mark.real
@pytest.mark.skipif(bool(payload.lacking(*NEEDED)) or os.geteuid() != 0, reason=f"needs root and {', '.join(NEEDED)}")
@pytest.mark.feature("B73", "B77")
async def test_a_real_run_has_every_figure() -> None:
    said: list[str] = []
    found = await mecapp.measure(Scale(rounds=1), said.append)
    assert found.keys() == mecapp.FIGURES.keys()
    assert [name for name, value in found.items() if value <= 0 and name != "mecapp.overhead_ms"] == []
    assert any("ready" in line for line in said)
