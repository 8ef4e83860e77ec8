"""Rules of affinity and anti-affinity against places."""

from __future__ import annotations

import pytest

from skerry.placement.affinity import Rule, broken

ZONES = {"a": "north", "b": "north", "c": "south"}


@pytest.mark.feature("A67")
@pytest.mark.parametrize(
    ("scope", "anti", "places", "kept"),
    [
        ("NFVI_POP", False, ("a", "a"), True),
        ("NFVI_POP", False, ("a", "b"), False),
        ("NFVI_POP", True, ("a", "b"), True),
        ("NFVI_POP", True, ("a", "a"), False),
        ("ZONE", False, ("a", "b"), True),
        ("ZONE", False, ("a", "c"), False),
        ("ZONE_GROUP", True, ("a", "c"), True),
        ("ZONE_GROUP", True, ("a", "b"), False),
        ("ZONE", True, ("d", "e"), True),
        ("NFVI_NODE", True, ("a", "b"), True),
        ("NFVI_NODE", True, ("a", "a"), False),
        ("NFVI_NODE", False, ("a", "a"), False),
        ("NFVI_NODE", False, ("a", ""), True),
        ("NFVI_POP", True, ("ab", "c"), True),
        ("NFVI_POP", True, ("ab", "bc"), False),
    ],
)
def test_rules(scope: str, anti: bool, places: tuple[str, str], kept: bool) -> None:
    known = dict(zip(("one", "two"), map(list, places), strict=True))
    reason = broken(Rule(scope=scope, anti=anti, things=("one", "two", "gone")), known, ZONES)
    assert (reason == "") is kept
