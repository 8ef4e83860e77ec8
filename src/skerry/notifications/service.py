"""Subscriptions and their notifications as others call them."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec

from skerry.engine.events import EventLog
from skerry.errors import ConflictError, Fault, InvalidError, RejectedError
from skerry.model.notifications import Authentication, Message, Progress, Standing, Subscription
from skerry.model.time import Clock, Ids, stamp
from skerry.notifications import targets
from skerry.notifications.capture import Capture
from skerry.notifications.delivery import Delivery
from skerry.notifications.filters import matches
from skerry.notifications.sending import Sender
from skerry.store import journal
from skerry.store import subscriptions as store
from skerry.store.database import Database, Transaction
from skerry.store.documents import Revs

log = logging.getLogger(__name__)

MOST_WAITING = 1000  # a report counts no further


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """`test`: ask a new subscriber's address first. `duplicates`: allow the same subscription twice. `slots`: deliveries
    at the same time. `park_after_s`: how long trouble may last. `keep_events`: the most events that a parked or failing
    subscriber may be behind. `most`: how many subscriptions a tenant may have."""

    test: bool = True
    duplicates: bool = False
    slots: int = 64
    park_after_s: float = 86_400.0
    keep_events: int = 200_000
    most: int = 10_000


class Callback(Protocol):
    """Who is told of a resource that names its callback itself: the address, how to say who we are there, the version of the
    API that it was named through, and the node's address as the caller sees it."""

    @property
    def uri(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def authentication(self) -> Authentication: ...
    @property
    def root(self) -> str: ...


class Notifications:
    """Takes subscriptions, follows the event log, delivers."""

    def __init__(
        self, database: Database, events: EventLog, clock: Clock, ids: Ids, sender: Sender, rules: Rules | None = None
    ) -> None:
        self._database = database
        self._events = events
        self._clock = clock
        self._ids = ids
        self._sender = sender
        self._rules = rules or Rules()
        self._coming: Counter[str] = Counter()  # APIs with a subscription that is being written
        self._redirecting = asyncio.Lock()  # whom a courier serves is what was written last
        self._following: asyncio.Task[None] | None = None
        self._delivery = Delivery(
            database, events, clock, sender, slots=self._rules.slots, park_after_s=self._rules.park_after_s
        )
        self._capture = Capture(database, events, ids, self._wanted, self._delivery.wake)

    async def start(self) -> None:
        """Go on where the node stopped."""
        known = store.subscriptions.select(self._database)
        reached = {progress.subscription: progress for progress in store.progress(self._database)}
        for subscription in known:
            self._delivery.add(subscription, reached.get(subscription.id) or Progress(subscription=subscription.id))
        position = store.captured(self._database) if known else self._events.last()
        self._following = asyncio.get_running_loop().create_task(self._capture.run(position))
        self._following.add_done_callback(_report)

    async def stop(self) -> None:
        """Let go of everything; what waits is delivered after the next start."""
        if self._following:
            self._following.cancel()
            await asyncio.wait({self._following})
        await self._delivery.stop()
        await self._sender.close()

    # -- subscriptions ------------------------------------------------------------------------------------------------

    async def subscribe(
        self,
        api: str,
        version: str,
        callback_uri: str,
        *,
        filter: Mapping[str, Any] | None = None,
        verbosity: str = "FULL",
        authentication: Authentication | None = None,
        root: str = "",
        place: str = "",
        pull: bool = False,
        test: bool | None = None,
        duplicates: bool = False,
        tenant: str = "",
    ) -> tuple[Subscription, bool]:
        """A new subscription, or the one that is there already with the same filter and address (then the second value is
        False). `InvalidError` if the address is not allowed or does not answer a GET with 204. `test` and `duplicates`
        are for APIs whose specification decides itself; `place` and `pull` as in `Subscription`."""
        wished = Subscription(
            id=self._ids.new(),
            tenant=tenant,
            created_at=stamp(self._clock.now()),
            api=api,
            version=version,
            callback_uri=callback_uri,
            filter=filter or {},
            verbosity=verbosity,
            authentication=authentication or Authentication(),
            root=root,
            place=place,
            pull=pull,
        )
        await self._check(wished, test=test)
        self._coming[api] += 1
        try:
            made, progress = await self._database.write(lambda tx: self._insert(tx, wished, duplicates))
            if made.id == wished.id:
                self._delivery.add(made, progress)
        finally:
            self._coming[api] -= 1
        if made.id != wished.id:
            await self._delivery.resume(made.id)
        return made, made.id == wished.id

    def subscriptions(self, api: str, *, tenant: str = "") -> list[Subscription]:
        """All of an API that somebody made."""
        found = store.subscriptions.select(self._database, api=api, tenant=tenant)
        return [subscription for subscription in found if not subscription.source]

    def subscription(self, id: str, api: str = "", *, tenant: str = "") -> Subscription:
        """One; of any API if none is named."""
        found = store.subscriptions.get(self._database, id, tenant=tenant)
        if api and (found.api != api or found.source):
            raise store.subscriptions.missing(id)
        return found

    async def unsubscribe(self, id: str, api: str = "", *, match: Revs = None, tenant: str = "") -> None:
        """Remove it; nothing more is delivered once this returns. `PreconditionError` where it is in none of the revisions
        `match`."""
        self.subscription(id, api, tenant=tenant)

        def work(tx: Transaction) -> None:
            store.subscriptions.matching(tx, id, tenant, match)
            store.remove(tx, id)

        await self._database.write(work)
        await self._delivery.drop(id)

    async def fetch(self, id: str, *, after: int, wait_s: float, tenant: str = "") -> list[tuple[int, bytes]]:
        """What waits for a subscriber with `pull`, numbered, in order; everything up to number `after` has arrived."""
        if not self.subscription(id, tenant=tenant).pull:
            raise ConflictError(
                f"cannot fetch the notifications of the subscription {id}: they go to its callback",
                suggestion="subscribe with a WebSocket instead of a callback",
            )
        return await self._delivery.fetch(id, after, wait_s)

    async def reach(self, subscription: Subscription, body: bytes) -> str:
        """Send something to a subscriber's callback now, past everything that waits; what went wrong, "" if it was taken."""
        outcome = await self._sender.send(subscription, body)
        return "" if outcome.ok else outcome.detail

    # -- notifications that others make -------------------------------------------------------------------------------

    def wanted(self, api: str) -> bool:
        """Whether anybody subscribed to an API, or is about to."""
        return self._delivery.apis[api] > 0 or self._coming[api] > 0

    @staticmethod
    def put(tx: Transaction, message: Message) -> Message:
        """Keep a notification inside a transaction that also adds its event to the log; the answer has its number."""
        return store.add_messages(tx, [message])[0]

    def wake(self, messages: Sequence[Message]) -> None:
        """What was kept with `put` is durable now."""
        self._delivery.wake(messages)

    # -- callbacks that other resources name ----------------------------------------------------------------------------

    async def attach(
        self, source: str, api: str, filter: Mapping[str, Any], callback: Callback, *, tenant: str = ""
    ) -> None:
        """Tell the callback that a resource (its identifier is `source`) names, as if somebody had subscribed. Errors are
        those of `subscribe`."""
        wished = Subscription(
            id=source,
            tenant=tenant,
            created_at=stamp(self._clock.now()),
            api=api,
            version=callback.version,
            callback_uri=callback.uri,
            filter=filter,
            authentication=callback.authentication,
            root=callback.root,
            source=source,
        )
        await self._check(wished)
        self._coming[api] += 1
        try:
            made, progress = await self._database.write(lambda tx: self._insert(tx, wished, duplicates=True))
            self._delivery.add(made, progress)
        finally:
            self._coming[api] -= 1

    async def redirect(
        self,
        source: str,
        uri: str | None,
        authentication: Authentication | None,
        record: Callable[[Transaction], Any],
    ) -> None:
        """Tell another address from now on, or say otherwise who we are; None leaves it as it is. `record` changes the
        resource itself in the same transaction."""
        now = store.subscriptions.find(self._database, source)
        if now is None:
            raise store.subscriptions.missing(source)
        changes = {"callback_uri": uri or now.callback_uri, "authentication": authentication or now.authentication}
        await self._check(msgspec.structs.replace(now, **changes))

        def work(tx: Transaction) -> Subscription:
            record(tx)
            return store.subscriptions.change(tx, source, lambda one: msgspec.structs.replace(one, **changes))

        async with self._redirecting:
            made = await self._database.write(work)
            line = self._delivery.lines[source]
            await self._delivery.drop(source)
            self._delivery.add(made, line.progress)
        await self._delivery.resume(source)

    async def detach(self, source: str) -> None:
        """The resource is gone; nothing happens where it never named a callback."""
        await self._database.write(lambda tx: store.remove(tx, source))
        await self._delivery.drop(source)

    def attached(self, *apis: str) -> set[str]:
        """The resources of these APIs whose callbacks are told."""
        known = store.subscriptions.select(self._database)
        return {one.source for one in known if one.source and one.api in apis}

    # -- how they fare --------------------------------------------------------------------------------------------------

    def standings(self, *, tenant: str = "") -> list[Standing]:
        """How every subscriber fares."""
        lines = [line for line in self._delivery.lines.values() if line.subscription.tenant == tenant]
        return [self._standing(line.subscription, line.progress, line.delivered) for line in lines]

    async def resume(self, id: str, *, tenant: str = "") -> Standing:
        """Try a parked subscriber again, from where it was."""
        subscription = self.subscription(id, tenant=tenant)
        await self._delivery.resume(id)
        line = self._delivery.lines[id]
        return self._standing(subscription, line.progress, line.delivered)

    async def prune(self) -> int:
        """Forget notifications that everybody has, or that are too old; how many. To be called now and then."""
        lines = list(self._delivery.lines.values())
        alive = [line.progress.position for line in lines]
        settled = min(alive, default=store.newest_message(self._database))
        oldest = self._events.last() - self._rules.keep_events

        def work(tx: Transaction) -> int:
            store.put_progress(tx, [line.progress for line in lines])
            return store.prune_messages(tx, settled, oldest)

        return await self._database.write(work)

    def _standing(self, subscription: Subscription, progress: Progress, delivered: set[int]) -> Standing:
        behind = store.messages(self._database, subscription, progress.position, MOST_WAITING)
        waiting = sum(m.number not in delivered and matches(subscription.filter, m) for m in behind)
        state: Literal["ACTIVE", "FAILING", "PARKED"] = "FAILING" if progress.failing_since else "ACTIVE"
        return Standing(
            subscription=subscription,
            state="PARKED" if progress.parked_at else state,
            waiting=waiting,
            failing_since=progress.failing_since,
            parked_at=progress.parked_at,
            error=progress.error,
        )

    async def _check(self, wished: Subscription, *, test: bool | None = None) -> None:
        """The addresses are allowed, and somebody answers there."""
        if not wished.pull:
            targets.check_form(wished.callback_uri, schemes=(*targets.WEB, *targets.BROKERS))
        if wished.authentication.oauth2:
            targets.check_form(wished.authentication.oauth2.token_endpoint, "authentication/tokenEndpoint")
        if not wished.pull and (self._rules.test if test is None else test):
            await self._test(wished)

    async def _test(self, wished: Subscription) -> None:
        """The test of the notification endpoint (SOL003 5.4.20.3.2, SOL013 8.3.2)."""
        outcome = await self._sender.test(wished)
        if not outcome.ok:
            fault = Fault(
                message=outcome.detail, code="callback", path="/callbackUri", fix="answer GET with 204 No Content"
            )
            raise InvalidError(
                f"cannot subscribe: the test of the notification endpoint failed: {outcome.detail}",
                faults=[fault],
                suggestion="make the callback URI answer GET with 204, then subscribe again",
            )

    def _insert(self, tx: Transaction, wished: Subscription, duplicates: bool) -> tuple[Subscription, Progress]:
        same = None if duplicates or self._rules.duplicates else self._same(tx, wished)
        if same:
            return same, Progress(subscription=same.id)
        if not wished.source and store.subscriptions.count(tx, tenant=wished.tenant) >= self._rules.most:
            raise RejectedError(
                f"cannot subscribe: this tenant has {self._rules.most} subscriptions", suggestion="remove some first"
            )
        last = journal.last_event(tx)
        if not store.subscriptions.count(tx):
            store.set_captured(tx, last)
        made = store.subscriptions.insert(tx, msgspec.structs.replace(wished, after=last))
        progress = Progress(subscription=made.id, position=store.newest_message(tx))
        store.put_progress(tx, [progress])
        return made, progress

    @staticmethod
    def _same(tx: Transaction, wished: Subscription) -> Subscription | None:
        def identity(one: Subscription) -> tuple[Any, ...]:
            return one.version, one.callback_uri, one.verbosity, msgspec.to_builtins(one.filter)

        there = store.subscriptions.select(tx, api=wished.api, tenant=wished.tenant)
        return next((other for other in there if identity(other) == identity(wished)), None)

    def _wanted(self) -> set[str]:
        """The APIs that somebody subscribed to."""
        return {api for api, count in (self._delivery.apis + self._coming).items() if count > 0}


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        log.error("notifications are captured no more", exc_info=error)
