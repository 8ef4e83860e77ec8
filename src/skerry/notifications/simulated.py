"""Subscribers of a simulated world: for simulation in virtual time. Each can be slow, down, or refuse."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from skerry.model.notifications import Subscription
from skerry.notifications.sending import Outcome


class SimulatedSubscribers:
    """Fits `notifications.sending.Sender`. `received` has every body by callback URI, in the order of arrival."""

    def __init__(self, delay_s: float = 0.0) -> None:
        self.delay_s = delay_s
        self.received: dict[str, list[Any]] = {}
        self.tried: dict[str, list[float]] = {}
        self.under_way = 0
        self.most_at_once = 0
        self._broken: dict[str, Outcome] = {}

    def fail(self, uri: str, outcome: Outcome) -> None:
        """From now on every try at this address ends so."""
        self._broken[uri] = outcome

    def mend(self, uri: str) -> None:
        """It works again."""
        self._broken.pop(uri, None)

    async def test(self, subscription: Subscription) -> Outcome:
        """Whether the address works now."""
        return self._broken.get(subscription.callback_uri, Outcome(ok=True))

    async def send(self, subscription: Subscription, body: bytes) -> Outcome:
        """Take a notification after the delay."""
        uri = subscription.callback_uri
        self.tried.setdefault(uri, []).append(asyncio.get_running_loop().time())
        self.under_way += 1
        self.most_at_once = max(self.most_at_once, self.under_way)
        try:
            await asyncio.sleep(self.delay_s)
        finally:
            self.under_way -= 1
        if uri in self._broken:
            return self._broken[uri]
        self.received.setdefault(uri, []).append(msgspec.json.decode(body))
        return Outcome(ok=True)

    async def close(self) -> None:
        """Nothing is open."""
