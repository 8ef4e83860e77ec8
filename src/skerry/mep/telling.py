"""What applications are told, written in the transaction of what it is about, and handed on once that is durable."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from skerry.model.notifications import Message
from skerry.model.time import Clock, Ids, stamp
from skerry.store import journal
from skerry.store.database import Database, Transaction

T = TypeVar("T")

SERVICES = "mec_service_mgmt"
APPLICATIONS = "mec_app_support"


class Post(Protocol):
    """Where notifications go; `skerry.notifications.service.Notifications` fits it."""

    def wanted(self, api: str) -> bool:
        """Whether anybody subscribed to an API."""
        ...

    def put(self, tx: Transaction, message: Message) -> Message:
        """Keep one inside a transaction; the answer has its number."""
        ...

    def wake(self, messages: list[Message]) -> None:
        """These are durable now."""
        ...


class Teller:
    """Makes notifications of the platform."""

    def __init__(self, database: Database, post: Post, clock: Clock, ids: Ids) -> None:
        self._database = database
        self._post = post
        self._clock = clock
        self._ids = ids
        self._told: list[Message] = []  # of the write at work: the store does one after the other

    async def write(self, work: Callable[[Transaction], T], then: Callable[[T], None]) -> T:
        """Run `work` in a transaction; when it is committed, `then` gets its result and what it told goes out. All of that
        happens even where the caller is cancelled meanwhile: memory and store must not differ."""
        told: list[Message] = []

        def recorded(tx: Transaction) -> T:
            # The store may run it again after a refusal: what an earlier run told was rolled back with it.
            told.clear()
            self._told = told
            return work(tx)

        def settled(result: T) -> None:
            then(result)
            if told:
                self._post.wake(told)

        return await self._database.write(recorded, brief=True, then=settled)

    def tell(
        self,
        tx: Transaction,
        *,
        api: str,
        type: str,
        resource: str,
        tenant: str,
        subject: Mapping[str, Any],
        body: Mapping[str, Any],
        links: Mapping[str, str] | None = None,
    ) -> None:
        """Tell inside `write`, after the event that it is about was added to the log."""
        if not self._post.wanted(api):
            return
        message = Message(
            id=self._ids.new(),
            api=api,
            type=type,
            time=stamp(self._clock.now()),
            resource=resource,
            tenant=tenant,
            event=journal.last_event(tx),
            subject=subject,
            body=body,
            links=links or {},
        )
        self._told.append(self._post.put(tx, message))
