"""Quotas of tenants from the command line."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Served


@pytest.mark.feature("A40")
def test_limits_are_set_shown_and_lifted(served: Served) -> None:
    served("access", "quota", "set", "bakery", "--vcpus", "2.5", "--memory", "8GiB", "--ns", "3")
    told = served.json("access", "quota", "set", "bakery", "--ns", "none", "--storage", "1.5 TB")
    assert told["limits"] == {"vcpus": 2.5, "memory_bytes": 8 << 30, "storage_bytes": 1_500_000_000_000}
    assert "0 of 2.5" in served("access", "quota", "list").output
    shown = served("access", "quota", "show", "bakery").output
    assert "0 B of 8.0 GiB" in shown
    assert [one["tenant"] for one in served.json("access", "quota", "list")] == ["bakery"]
    for wrong in (("--vcpus", "-1"), ("--memory", "much"), ("--instances", "1.5"), ()):
        served("access", "quota", "set", "bakery", *wrong, code=5)
    served("access", "quota", "delete", "bakery")
    served("access", "quota", "delete", "bakery", code=3)
    nothing = dict.fromkeys(("vcpus", "memory_bytes", "storage_bytes", "instances", "ns", "apps"), 0)
    assert served.json("access", "quota", "show", "bakery") == {"tenant": "bakery", "limits": {}, "usage": nothing}
