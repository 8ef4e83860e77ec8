"""The packet generator and the rates that it measures."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import packets
from skerry.dataplane.ovs import instance
from skerry.linux.frames import Tap

pytestmark = pytest.mark.real

FRAMES = [bytes.fromhex("020000000001020000000002 88b5") + bytes([number]) * 60 for number in range(10)]


@pytest.fixture(autouse=True)
def _possible() -> None:
    lacks = instance.missing()
    if lacks:
        pytest.skip(lacks)


def test_the_generator_sends_its_frames_in_turn() -> None:
    with packets.places("a", "b") as (a, b):
        packets.pair(a, "a0", b, "b0")
        with packets.namespaces.inside(b):
            tap = Tap("b0")
        generator = packets.Generator(a, "a0", FRAMES)
        sent = generator.run(0.0)
        sent += generator.run(0.001)
        seen = [frame for _, frame in tap.frames()]
        assert seen[:20] == FRAMES * 2
        assert sent == packets.received(b, "b0") >= packets.BATCH
        generator.close()
        tap.close()


@pytest.mark.feature("E118")
async def test_open_vswitch_forwards_what_the_generator_sends(tmp_path: Path) -> None:
    bare = await packets.veth_rate(FRAMES, 0.2)
    switched = await packets.ovs_rate(FRAMES, tmp_path, 0.2)
    assert bare.arrived == bare.sent > 0
    assert 0 < switched.arrived <= switched.sent * 1.01
