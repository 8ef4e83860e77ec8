"""When a threshold is crossed, and when things are due. Pure."""

from __future__ import annotations

import math

from skerry.model.performance import Direction

SAMPLES = 5
"""How often a period is looked at for a peak or a mean of what is no counter, where it is long enough."""

LEAST_S = 1.0
EPSILON = 1e-6


def crossing(value: float, threshold: float, hysteresis: float, before: Direction | None) -> Direction | None:
    """The direction in which a value crosses a threshold, None where it does not (SOL003 6.5.3.4): upwards once it reaches
    threshold + hysteresis, downwards once it reaches threshold - hysteresis, each only after the other. A value that was
    never over it does not cross it downwards."""
    if value >= threshold + hysteresis and before is not Direction.UP:
        return Direction.UP
    if value <= threshold - hysteresis and before is Direction.UP:
        return Direction.DOWN
    return None


def interval(period: float, *, more: bool) -> float:
    """Seconds between two samples of a period; `more`: its ends are not enough."""
    if not more:
        return period
    return period / max(1, min(SAMPLES, math.floor(period / LEAST_S)))


def boundary(after: float, period: float) -> float:
    """The next end of a period after a time. Periods of one length end at the same time, whoever asked for them."""
    return (math.floor(after / period + EPSILON) + 1) * period


def first_boundary(now: float, period: float) -> float:
    """Where the first period of something new ends: one that is hardly begun is not worth a value."""
    end = boundary(now, period)
    return end if end - now >= period / 2 else end + period


def last(end: float, period: float, until: float | None) -> bool:
    """Whether the period that ends at `end` is the last whole one before measuring ends."""
    return until is not None and boundary(end, period) > until + EPSILON


def next_sample(after: float, end: float, step: float) -> float:
    """The next time to sample in the period that ends at `end`."""
    left = math.floor((end - after) / step - EPSILON)
    return end - max(0, left) * step
