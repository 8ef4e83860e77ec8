"""Alarms."""

from __future__ import annotations

from skerry.model.alarms import Alarm
from skerry.store.database import Transaction
from skerry.store.documents import Collection

alarms = Collection(
    "alarms",
    Alarm,
    "alarm",
    {
        "scope": lambda doc: doc.scope.value,
        "vnf_id": lambda doc: doc.faulty.vnf_id,
        "standing": lambda doc: doc.standing,
    },
)


def prune(tx: Transaction, *, cleared_before: str, keep: int) -> int:
    """Remove alarms that were cleared before a time (RFC 3339), and the oldest cleared ones beyond `keep`; how many."""
    old = "DELETE FROM alarms WHERE standing = '' AND json_extract(doc, '$.cleared_at') < ?"
    many = (
        "DELETE FROM alarms WHERE standing = '' AND rowid <="
        " (SELECT rowid FROM alarms WHERE standing = '' ORDER BY rowid DESC LIMIT 1 OFFSET ?)"
    )
    return tx.execute(old, (cleared_before,)).rowcount + tx.execute(many, (keep,)).rowcount
