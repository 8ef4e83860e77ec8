"""Operations on applications, killed at every point of them, of the network service and of the VNF below."""

from __future__ import annotations

import pytest

from tests.chaos.cases import APPLICATIONS, Case
from tests.chaos.decisions import DECISIONS
from tests.chaos.test_every_point import FULL, killed_everywhere
from tests.chaos.trial import PLAIN


@pytest.mark.feature("A87", "E22")
@pytest.mark.parametrize("case", APPLICATIONS, ids=str)
def test_killed_at_every_point(case: Case) -> None:
    killed_everywhere(case, PLAIN, each=1 if FULL else 2)


@pytest.mark.feature("A87", "E22")
@pytest.mark.parametrize("name", ["fail", "cancel"])
def test_killed_while_people_decide(name: str) -> None:
    """Instantiation is the longest: what is given up or cut off on its way leaves nothing."""
    case = APPLICATIONS[0]
    decision = next(one for word, one in DECISIONS.items() if word.startswith(name))
    killed_everywhere(case, decision, each=1 if FULL else 8)
