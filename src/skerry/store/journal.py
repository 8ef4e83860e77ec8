"""The journal of operations and steps, and the ordered event log."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from skerry.model.operations import Event, Operation, StepRecord
from skerry.model.states import FINAL, OperationState
from skerry.store import documents
from skerry.store.database import Database, Transaction
from skerry.store.documents import Collection

operations = Collection(
    "operations",
    Operation,
    "operation",
    {
        "kind": lambda doc: doc.kind,
        "subject": lambda doc: doc.subject,
        "state": lambda doc: doc.state.value,
        "parent": lambda doc: doc.parent,
    },
)

_encode = msgspec.json.Encoder().encode
_step = msgspec.json.Decoder(StepRecord).decode
_event = msgspec.json.Decoder(Event).decode
_operation = msgspec.json.Decoder(Operation).decode

_ALIVE = ", ".join(f"'{state.value}'" for state in OperationState if state not in FINAL)


def holder(source: Transaction | Database, subject: str) -> Operation | None:
    """The operation that holds this instance now, if any."""
    sql = f"SELECT doc FROM operations WHERE subject = ? AND state IN ({_ALIVE}) LIMIT 1"  # noqa: S608
    rows = documents.rows(source, sql, (subject,))
    return _operation(rows[0][0]) if rows else None


def newest(source: Transaction | Database, subject: str) -> Operation | None:
    """The last operation of this instance, over or not."""
    sql = "SELECT doc FROM operations WHERE subject = ? ORDER BY rowid DESC LIMIT 1"
    found = documents.rows(source, sql, (subject,))
    return _operation(found[0][0]) if found else None


def unfinished(source: Database) -> list[Operation]:
    """Every operation that a restart has to take up."""
    running = ("STARTING", "PROCESSING", "ROLLING_BACK")
    rows = source.read("SELECT doc FROM operations WHERE state IN (?, ?, ?) ORDER BY rowid", running)
    return [_operation(row[0]) for row in rows]


def put_steps(tx: Transaction, operation: str, records: Iterable[StepRecord]) -> None:
    """Journal the state of steps."""
    tx.connection.executemany(
        "INSERT INTO steps (operation, key, doc) VALUES (?, ?, ?)"
        " ON CONFLICT (operation, key) DO UPDATE SET doc = excluded.doc",
        [(operation, record.key, _encode(record)) for record in records],
    )


def steps(source: Transaction | Database, operation: str) -> list[StepRecord]:
    """What the journal has of the operation's steps."""
    rows = documents.rows(source, "SELECT doc FROM steps WHERE operation = ?", (operation,))
    return [_step(row[0]) for row in rows]


def announce(tx: Transaction, event: Event) -> None:
    """Append to the event log; its number is given here."""
    cursor = tx.execute(
        "INSERT INTO events (time, subject, operation, doc) VALUES (?, ?, ?, ?)",
        (event.time, event.subject, event.operation, _encode(event)),
    )
    tx.announced.append(msgspec.structs.replace(event, seq=cursor.lastrowid or 0))


def events(
    source: Database, since: int, *, subject: str = "", operation: str = "", kind: str = "", limit: int = 1000
) -> Sequence[Event]:
    """Events with a number over `since`, oldest first."""
    where, parameters = ["seq > ?"], [since]
    if subject:
        where.append("subject = ?")
        parameters.append(subject)  # type: ignore[arg-type]
    if operation:
        where.append("operation = ?")
        parameters.append(operation)  # type: ignore[arg-type]
    if kind:
        where.append("json_extract(doc, '$.kind') = ?")
        parameters.append(kind)  # type: ignore[arg-type]
    sql = f"SELECT seq, doc FROM events WHERE {' AND '.join(where)} ORDER BY seq LIMIT ?"  # noqa: S608
    rows = source.read(sql, (*parameters, limit))
    return [msgspec.structs.replace(_event(doc), seq=seq) for seq, doc in rows]


def last_event(source: Database | Transaction) -> int:
    """The newest number of the event log, 0 when it is empty."""
    newest: int = documents.rows(source, "SELECT coalesce(max(seq), 0) FROM events", ())[0][0]
    return newest
