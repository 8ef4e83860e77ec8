"""Every driver has a rig: the suite must not pass by running over fewer drivers than there are."""

from __future__ import annotations

import pytest

from skerry.vim import catalogue
from tests.conformance.rigs import RIGS


@pytest.mark.feature("A76")
def test_every_driver_has_a_rig() -> None:
    missing = sorted(set(catalogue.driver_types()) - set(RIGS))
    assert not missing, f"no rig for {missing}: add a class and an entry to RIGS in tests/conformance/rigs.py"
