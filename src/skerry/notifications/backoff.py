"""When to try again, and when to give up for now: pure functions of counts and times."""

from __future__ import annotations

from datetime import datetime, timedelta

FIRST_S = 1.0
LONGEST_S = 300.0


def delay(attempts: int, asked_s: float = 0.0) -> float:
    """Seconds until the next try after so many failed ones: 1, 2, 4 … 300. A subscriber may ask for more (`Retry-After`),
    up to the longest."""
    backed = FIRST_S * 2.0 ** min(max(attempts, 1) - 1, 16)
    return min(max(backed, asked_s), LONGEST_S)


def is_over(failing_since: str, now: datetime, park_after_s: float) -> bool:
    """Whether a subscriber has failed for so long that it is to be parked."""
    return bool(failing_since) and now - datetime.fromisoformat(failing_since) >= timedelta(seconds=park_after_s)


def until_over(failing_since: str, now: datetime, park_after_s: float) -> float:
    """Seconds until it is to be parked."""
    passed = now - datetime.fromisoformat(failing_since)
    return max(0.0, park_after_s - passed.total_seconds())
