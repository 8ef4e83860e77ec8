"""Who carries the notifications of a subscriber: HTTP to most, AMQP to message brokers."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING

from skerry.errors import SkerryError
from skerry.model.notifications import Subscription
from skerry.notifications import targets
from skerry.notifications.sending import Outcome, Sender

if TYPE_CHECKING:
    from skerry.notifications.amqp import AmqpSender


class Carriers:
    """Fits `notifications.sending.Sender`. `policy` is that of addresses; `context` makes TLS, with the node's certificate or
    without."""

    def __init__(self, http: Sender, policy: targets.Policy, context: Callable[[bool], ssl.SSLContext]) -> None:
        self._http = http
        self._policy = policy
        self._context = context
        self._amqp: AmqpSender | None = None

    async def test(self, subscription: Subscription) -> Outcome:
        """As the carrier of this subscriber does."""
        return await self._of(subscription).test(subscription)

    async def send(self, subscription: Subscription, body: bytes) -> Outcome:
        """As the carrier of this subscriber does; trouble of any kind is an outcome."""
        try:
            return await self._of(subscription).send(subscription, body)
        except SkerryError as error:
            return Outcome(ok=False, detail=error.detail)

    async def close(self) -> None:
        """Let go of every connection."""
        await self._http.close()
        if self._amqp:
            await self._amqp.close()

    def _of(self, subscription: Subscription) -> Sender:
        if subscription.callback_uri.partition(":")[0].lower() not in targets.BROKERS:
            return self._http
        if self._amqp is None:
            from skerry.notifications.amqp import AmqpSender  # noqa: PLC0415 - loads with the first broker

            self._amqp = AmqpSender(self._choose, self._context)
        return self._amqp

    async def _choose(self, host: str, port: int) -> str:
        return await targets.choose(host, port, self._policy)
