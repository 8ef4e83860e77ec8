"""Rate limits: a token bucket for each caller. Pure; the clock is passed in."""

from __future__ import annotations

import msgspec

MOST_CALLERS = 10_000


class Bucket(msgspec.Struct, frozen=True):
    """How many requests a caller has left (`level`), as it was at `at` (monotonic seconds)."""

    level: float
    at: float


def take(bucket: Bucket, rate: float, burst: float, now: float) -> tuple[Bucket, float]:
    """Take one request out; the second value is 0, or for how many seconds there is none (then nothing was taken)."""
    level = min(burst, bucket.level + max(0.0, now - bucket.at) * rate)
    if level >= 1.0:
        return Bucket(level - 1.0, now), 0.0
    return Bucket(level, now), (1.0 - level) / rate


class Limiter:
    """The buckets of all callers, bounded in number: the one that asked least recently is forgotten."""

    def __init__(self, most: int = MOST_CALLERS) -> None:
        self._most = most
        self._buckets: dict[str, Bucket] = {}

    def wait(self, caller: str, rate: float, burst: float, now: float) -> float:
        """0 if the caller may go on, else the seconds until it may. A rate of 0 is no limit."""
        if rate <= 0:
            return 0.0
        bucket, seconds = take(self._buckets.pop(caller, Bucket(burst, now)), rate, burst, now)
        self._buckets[caller] = bucket
        if len(self._buckets) > self._most:
            del self._buckets[next(iter(self._buckets))]
        return seconds
