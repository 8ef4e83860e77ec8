"""Time and identifiers as arguments: the two protocols that everything non-deterministic goes through."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Wall-clock and monotonic time. Waiting is done with the running event loop's own timers, which follow this clock."""

    def now(self) -> datetime:
        """The time, with time zone UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back."""
        ...


class Ids(Protocol):
    """Source of fresh identifiers."""

    def new(self) -> str:
        """A fresh UUID (RFC 9562) in text form."""
        ...


def stamp(moment: datetime) -> str:
    """RFC 3339 date-time in UTC with milliseconds, the form of every time on the wire."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
