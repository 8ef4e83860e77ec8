"""Alarms."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

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
        "managed_object": lambda doc: doc.managed_object,
        "key": lambda doc: doc.faulty.key,
        "acknowledged_at": lambda doc: doc.acknowledged_at,
        "proposed": lambda doc: doc.proposed.value if doc.proposed else "",
    },
)

_decode = msgspec.json.Decoder(Alarm).decode


class Lost(NamedTuple):
    """What the columns still tell of an alarm that is no more; what callers said of it among that."""

    id: str
    tenant: str
    scope: str
    vnf_id: str
    managed_object: str
    key: str
    acknowledged_at: str
    proposed: str


_READ = f"SELECT {', '.join(Lost._fields)}, CAST(doc AS BLOB) FROM alarms"  # noqa: S608 - names of this module


def drop_broken(tx: Transaction) -> list[Lost]:
    """Remove the alarms that cannot be read, and the standing ones that follow from or cause one of these."""
    broken: list[Lost] = []
    linked: list[tuple[Lost, frozenset[str]]] = []
    for *columns, doc in tx.execute(_READ):
        try:
            alarm = _decode(doc)
        except (msgspec.DecodeError, UnicodeDecodeError):
            broken.append(Lost(*columns))
            continue
        if alarm.standing and alarm.correlated:
            linked.append((Lost(*columns), frozenset(alarm.correlated)))
    ids = {one.id for one in broken}
    lost = [*broken, *(one for one, others in linked if others & ids)]
    for one in lost:
        alarms.delete(tx, one.id)
    return lost


def prune(tx: Transaction, *, cleared_before: str, keep: int) -> int:
    """Remove alarms that were cleared before a time (RFC 3339), and the oldest cleared ones beyond `keep`; how many."""
    old = "DELETE FROM alarms WHERE standing = '' AND json_extract(doc, '$.cleared_at') < ?"
    many = (
        "DELETE FROM alarms WHERE standing = '' AND rowid <="
        " (SELECT rowid FROM alarms WHERE standing = '' ORDER BY rowid DESC LIMIT 1 OFFSET ?)"
    )
    return tx.execute(old, (cleared_before,)).rowcount + tx.execute(many, (keep,)).rowcount
