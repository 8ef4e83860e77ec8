"""Every operation type, killed at every point: before and after each commit and each call of a driver. While people decide
at every fourth point, at every one with `SKERRY_CHAOS=full`."""

from __future__ import annotations

import os

import pytest

from tests.chaos.cases import CASES, Case
from tests.chaos.decisions import DECISIONS, Decision
from tests.chaos.trial import PLAIN, Trial

PAIRS = [
    (case, decision)
    for case in CASES
    for decision in DECISIONS.values()
    if decision is not PLAIN
    and case.ends == "COMPLETED"
    # what changes nothing of the infrastructure cannot fail there
    and not (decision.breaks and case.name in ("vnf-modify-idle", "ns-update-add", "ns-update-rename"))
    # what goes back by itself leaves nothing to decide
    and not (decision.breaks and case.name.startswith("ns-update") and case.name.endswith(("-sap", "-pnf", "-link")))
]
FULL = os.environ.get("SKERRY_CHAOS") == "full"


def killed_everywhere(case: Case, decision: Decision, *, each: int = 1) -> None:
    """A kill at each point (or every so many) leaves nothing wrong; every wrong thing of all points is told at once."""
    trial = Trial(case, decision)
    try:
        assert len(trial.points) > 6
        wrong = [
            f"killed at {number}, {point}: {fault}"
            for number, point in list(enumerate(trial.points, start=1))[len(case.name) % each :: each]
            for fault in trial.killed_at(number)
        ]
        assert wrong == []
    finally:
        trial.arena.close()


@pytest.mark.feature("A87")
@pytest.mark.parametrize("case", CASES, ids=str)
def test_killed_at_every_point(case: Case) -> None:
    killed_everywhere(case, PLAIN)


@pytest.mark.feature("A87")
@pytest.mark.parametrize(("case", "decision"), PAIRS, ids=str)
def test_killed_while_people_decide(case: Case, decision: Decision) -> None:
    killed_everywhere(case, decision, each=1 if FULL else 4)
