"""Subscriptions, the notifications that wait, and how far each subscriber is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from skerry.model.notifications import Message, Progress, Subscription
from skerry.store import documents
from skerry.store.database import Database, Transaction
from skerry.store.documents import Collection

subscriptions = Collection("notifications_subscriptions", Subscription, "subscription", {"api": lambda doc: doc.api})

_encode = msgspec.json.Encoder().encode
_message = msgspec.json.Decoder(Message).decode


def add_messages(tx: Transaction, messages: Iterable[Message]) -> list[Message]:
    """Append notifications; the answer has their numbers."""
    added: list[Message] = []
    for message in messages:
        cursor = tx.execute(
            "INSERT INTO notifications_messages (event, api, tenant, doc) VALUES (?, ?, ?, ?)",
            (message.event, message.api, message.tenant, _encode(message)),
        )
        added.append(msgspec.structs.replace(message, number=cursor.lastrowid or 0))
    return added


def messages(source: Database, subscription: Subscription, after: int, limit: int) -> list[Message]:
    """What may concern a subscription with a number over `after`, in order."""
    found = source.read(
        "SELECT number, doc FROM notifications_messages WHERE api = ? AND tenant = ? AND number > ? AND event > ?"
        " ORDER BY number LIMIT ?",
        (subscription.api, subscription.tenant, after, subscription.after, limit),
    )
    return [msgspec.structs.replace(_message(doc), number=number) for number, doc in found]


def newest_message(source: Database | Transaction) -> int:
    """The highest number that was ever given, 0 when none was."""
    found = documents.rows(source, "SELECT seq FROM sqlite_sequence WHERE name = 'notifications_messages'", ())
    return int(found[0][0]) if found else 0


def prune_messages(tx: Transaction, settled: int, oldest_event: int) -> int:
    """Remove notifications that everybody has (up to number `settled`) or whose event is too old; how many."""
    sql = "DELETE FROM notifications_messages WHERE number <= ? OR event < ?"
    return tx.execute(sql, (settled, oldest_event)).rowcount


def progress(source: Database) -> list[Progress]:
    """How far every subscriber is."""
    found = source.read("SELECT subscription, position, failing_since, error, parked_at FROM notifications_progress")
    return [
        Progress(subscription=id, position=position, failing_since=since, error=error, parked_at=parked)
        for id, position, since, error, parked in found
    ]


def put_progress(tx: Transaction, entries: Sequence[Progress]) -> None:
    """Record how far subscribers are; one whose subscription is gone is left out."""
    tx.connection.executemany(
        "INSERT INTO notifications_progress (subscription, position, failing_since, error, parked_at)"
        " SELECT ?1, ?2, ?3, ?4, ?5 WHERE EXISTS (SELECT 1 FROM notifications_subscriptions WHERE id = ?1)"
        " ON CONFLICT (subscription) DO UPDATE SET position = excluded.position, error = excluded.error,"
        " failing_since = excluded.failing_since, parked_at = excluded.parked_at",
        [(p.subscription, p.position, p.failing_since, p.error, p.parked_at) for p in entries],
    )


def remove(tx: Transaction, id: str) -> None:
    """Forget a subscription and how far it was."""
    subscriptions.delete(tx, id)
    tx.execute("DELETE FROM notifications_progress WHERE subscription = ?", (id,))


def captured(source: Database | Transaction) -> int:
    """The number of the last event that was turned into notifications."""
    found = documents.rows(source, "SELECT event FROM notifications_captured", ())
    return int(found[0][0]) if found else 0


def set_captured(tx: Transaction, event: int) -> None:
    """Every event up to this one was turned into notifications."""
    tx.execute(
        "INSERT INTO notifications_captured (one, event) VALUES (1, ?)"
        " ON CONFLICT (one) DO UPDATE SET event = excluded.event",
        (event,),
    )
