"""The core suite on real parts, once and small; and the figures that are committed."""

from __future__ import annotations

import json
import os
import subprocess
from importlib import import_module
from pathlib import Path

import pytest

from benchmarks import core
from benchmarks.__main__ import LATEST, SUITES
from benchmarks.core import bare, payload
from benchmarks.figures import Figure, Scale, beyond

NEEDED = ("runc", "conmon", "ip", "busybox", "dockerd", "docker")
DIFFERENCES = {"instantiate.overhead_ms", "instantiate.overhead_unsupervised_ms", "dummy.docker_overhead_ms"}


@pytest.mark.real
@pytest.mark.skipif(bool(payload.lacking(*NEEDED)) or os.geteuid() != 0, reason=f"needs root and {', '.join(NEEDED)}")
@pytest.mark.feature("B75", "B77")
async def test_a_real_run_has_every_figure_and_leaves_nothing() -> None:
    said: list[str] = []
    before = _traces()
    found = await core.measure(Scale(rounds=1, burst=2, bursts=1), said.append)
    assert found.keys() == core.FIGURES.keys()
    assert [name for name, value in found.items() if value <= 0 and name not in DIFFERENCES] == []
    assert any("docker" in line for line in said)
    assert _traces() - before == set()


def _traces() -> set[str]:
    """Network namespaces and mounts of this process's benchmarks: others may run on this machine too."""
    spaces = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    mounts = Path("/proc/self/mounts").read_text()
    named = {
        line.split()[0]
        for line in spaces.splitlines()
        if line.startswith((bare.TAG, f"skerry-bench{os.getpid() % 100000}-"))
    }
    return named | {line.split()[1] for line in mounts.splitlines() if f"/skbench{os.getpid()}-" in line}


@pytest.mark.feature("B75", "B77")
def test_the_committed_figures_are_whole_and_within_their_bounds() -> None:
    committed = json.loads(LATEST.read_text())
    known = dict[str, Figure]()
    for suite in SUITES:
        known |= import_module(f"benchmarks.{suite}").FIGURES
    assert committed.keys() == known.keys()
    assert all(isinstance(value, int | float) for value in committed.values())
    may_be_none = DIFFERENCES | {name for name, figure in known.items() if figure.most == 0}
    assert [name for name, value in committed.items() if value <= 0 and name not in may_be_none] == []
    assert beyond(committed, known) == []
