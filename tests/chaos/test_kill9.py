"""A real node, killed with SIGKILL at random moments on real infrastructure: 12 times each, 60 with `SKERRY_CHAOS=full`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.chaos.victim import Victim, package
from tests.conformance.rigs import RIGS

KILLS = 60 if os.environ.get("SKERRY_CHAOS") == "full" else 12
SEED = int(os.environ.get("SKERRY_CHAOS_SEED", "1"))


@pytest.mark.real
@pytest.mark.feature("A87")
@pytest.mark.parametrize("type", ["LOCAL", "DOCKER"])
def test_a_node_that_is_killed_loses_nothing(type: str, tmp_path: Path) -> None:
    if reason := RIGS[type].missing():
        pytest.skip(reason)
    tmp_path.chmod(0o755)
    rig = RIGS[type](tmp_path)
    victim = Victim(tmp_path, rig, type, SEED)
    try:
        victim.start()
        assert victim.client is not None
        victim.client.onboard("vnf", package(tmp_path / "package"), {})
        id = victim.client.create_vnf("tiny", name="tiny", description="", metadata={})
        while victim.kills < KILLS:
            assert victim.cycle(id) == [], f"seed {SEED}, kill {victim.kills}"
        assert victim.interrupted >= KILLS // 4, "the kills came too late to interrupt anything"
        victim.client.discard("vnf", id)
        assert list(rig.leftovers(victim.name)) == []
        print(f"{type}: {victim.kills} kills, {victim.interrupted} of them with an operation on its way")  # noqa: T201
    finally:
        victim.stop()
        rig.stop()
