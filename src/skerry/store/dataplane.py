"""What the data plane was asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from skerry.dataplane.records import Record
from skerry.store.database import Database, Transaction

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Record).decode


class Ledger:
    """Records of the data plane; all of a change is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def load(self) -> Sequence[Record]:
        """Everything, oldest first."""
        return [_decode(row[0]) for row in self._database.read("SELECT doc FROM dataplane ORDER BY rowid", ())]

    async def save(self, put: Iterable[Record], drop: Iterable[str]) -> None:
        """Put and drop durably, or nothing."""
        rows = [(record.id, record.tenant, _encode(record)) for record in put]
        gone = [(id,) for id in drop]
        await self._database.write(lambda tx: _write(tx, rows, gone))


def _write(tx: Transaction, rows: Sequence[tuple[str, str, bytes]], gone: Sequence[tuple[str]]) -> None:
    tx.connection.executemany(
        "INSERT INTO dataplane (id, tenant, doc) VALUES (?, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET tenant = excluded.tenant, doc = excluded.doc",
        rows,
    )
    tx.connection.executemany("DELETE FROM dataplane WHERE id = ?", gone)
