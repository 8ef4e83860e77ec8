"""The contract of what carries notifications to subscribers."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from skerry.model.notifications import Subscription


class Outcome(NamedTuple):
    """How one try ended. `detail` is for people and holds no secret; `refused`: the subscriber understood it and will
    never take it; `retry_after_s` is what it asked for."""

    ok: bool
    detail: str = ""
    refused: bool = False
    retry_after_s: float = 0.0


class Sender(Protocol):
    """Carries notifications."""

    async def test(self, subscription: Subscription) -> Outcome:
        """Whether the subscriber is there (GET answers 204). `InvalidError` for an address that is not allowed."""
        ...

    async def send(self, subscription: Subscription, body: bytes) -> Outcome:
        """Deliver one notification (POST). Trouble of any kind is an outcome, not an exception."""
        ...

    async def close(self) -> None:
        """Let go of every connection."""
        ...
