"""Rates as Click measures and keeps them: averages that forget, numbers with a binary point, and the pace of shapers."""

from __future__ import annotations

EPOCHS = 1000
"""Click's jiffies a second: the resolution of averages."""

_STABILITY = 4
_FORGOTTEN = 100


def fixed_point(value: int, bits: int) -> str:
    """A number with so many bits behind the point, in the fewest decimals that read back as the same number."""
    if value < 0:
        return "-" + fixed_point(-value, bits)
    for digits in range(bits + 1):
        text = f"{value / (1 << bits):.{digits}f}"
        if round(float(text) * (1 << bits)) == value:
            return text
    return str(value / (1 << bits))


class Average:
    """An exponentially weighted moving average of a rate: each epoch of a millisecond counts a sixteenth. After 100 epochs of
    nothing it is 0."""

    __slots__ = ("epoch", "scale", "scaled", "total")

    def __init__(self, now: float, scale: int = 10) -> None:
        self.epoch = int(now * EPOCHS)
        self.scale = scale
        self.scaled = 0
        self.total = 0

    def update(self, now: float, amount: int) -> None:
        """Count an amount; 0 only lets time pass."""
        epoch = int(now * EPOCHS)
        if epoch != self.epoch:
            self._advance(epoch)
        self.total += amount

    def _advance(self, epoch: int) -> None:
        half = 1 << (_STABILITY - 1)
        scaled = self.scaled
        scaled += ((self.total << self.scale) - scaled + half) >> _STABILITY
        idle = epoch - self.epoch - 1
        if idle > _FORGOTTEN:
            scaled = 0
        else:
            for _ in range(idle):
                scaled += (half - scaled) >> _STABILITY
        self.scaled = max(scaled, 0)
        self.total = 0
        self.epoch = epoch

    def rate(self, factor: int = 1) -> str:
        """Amount a second times a factor, as handlers print it."""
        return fixed_point(self.scaled * EPOCHS * factor, self.scale)

    def adopt(self, old: Average) -> None:
        """Go on where another one was."""
        self.epoch, self.scaled, self.total = old.epoch, old.scaled, old.total


class Pace:
    """Lets things of some cost pass at a rate. What was not used is lent for 20 ms, so that a late timer
    costs no throughput."""

    __slots__ = ("next", "rate")
    _LENT = 0.02

    def __init__(self, rate: float, now: float) -> None:
        self.rate = rate
        self.next = now

    def passes(self, now: float) -> bool:
        """Whether one may pass now."""
        return self.rate > 0 and now >= self.next

    def spend(self, now: float, cost: float) -> None:
        """One has passed."""
        self.next = max(self.next, now - self._LENT) + cost / self.rate

    def change(self, rate: float, now: float) -> None:
        """Go on at another rate from now."""
        self.rate = rate
        self.next = now
