"""Three hundred random kills on the simulated driver, which fails, hangs, and answers late and twice. A failing seed is in
the test's name: run it again with `-k`, or others with `SKERRY_CHAOS_SEED`."""

from __future__ import annotations

import os

import pytest

from tests.chaos.storm import Storm

KILLS = 10
FIRST = int(os.environ.get("SKERRY_CHAOS_SEED", "0"))
SEEDS = range(FIRST, FIRST + 32)


@pytest.mark.feature("A87")
@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_lost_in_a_storm(seed: int) -> None:
    storm = Storm(seed, KILLS)
    assert storm.run() == [], f"seed {seed}"
    assert storm.arena.kills == KILLS
    assert len(storm.kinds) >= 2


@pytest.mark.feature("A87")
def test_a_storm_repeats_from_its_seed() -> None:
    first, again = Storm(7, 2), Storm(7, 2)
    assert first.run() == again.run()
    assert first.arena.begun.keys() == again.arena.begun.keys()
    assert first.acknowledged == again.acknowledged
