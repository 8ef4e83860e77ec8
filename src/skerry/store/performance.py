"""PM jobs, thresholds, the values that wait for a report, and reports."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from skerry.model.performance import Direction, PmJob, Report, Threshold, Value
from skerry.store import documents
from skerry.store.database import Database, Transaction
from skerry.store.documents import Collection

jobs = Collection("pm_jobs", PmJob, "PM job", {"api": lambda doc: doc.api})
thresholds = Collection("pm_thresholds", Threshold, "threshold", {"api": lambda doc: doc.api})

_encode = msgspec.json.Encoder().encode
_values = msgspec.json.Decoder(tuple[Value, ...]).decode

_REPORT = "id, job, ready_at, expires_at, size_bytes"


def collect(tx: Transaction, job: str, values: Sequence[Value]) -> None:
    """Keep values for the job's next report."""
    tx.execute("INSERT INTO pm_values (job, doc) VALUES (?, ?)", (job, _encode(values)))


def collected(tx: Transaction, job: str) -> tuple[Value, ...]:
    """Take what was kept for the job's next report, oldest first."""
    found = tx.execute("SELECT doc FROM pm_values WHERE job = ? ORDER BY number", (job,)).fetchall()
    tx.execute("DELETE FROM pm_values WHERE job = ?", (job,))
    return tuple(value for (doc,) in found for value in _values(doc))


def add_report(tx: Transaction, id: str, job: str, ready_at: str, expires_at: str, values: Sequence[Value]) -> None:
    """Add a report; one that is there already stays as it is."""
    doc = _encode(values)
    tx.execute(
        "INSERT INTO pm_reports (id, job, ready_at, expires_at, size_bytes, doc) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (id) DO NOTHING",
        (id, job, ready_at, expires_at, len(doc), doc),
    )


def reports(source: Database, job: str) -> list[Report]:
    """The reports of a job, oldest first."""
    found = source.read(f"SELECT {_REPORT} FROM pm_reports WHERE job = ? ORDER BY ready_at, id", (job,))  # noqa: S608
    return [
        Report(id=id, job=of, ready_at=ready, expires_at=expires, size_bytes=size)
        for id, of, ready, expires, size in found
    ]


def report(source: Database, job: str, id: str) -> tuple[Value, ...] | None:
    """The values of a report; None if the job has no such report."""
    found = source.read("SELECT doc FROM pm_reports WHERE job = ? AND id = ?", (job, id))
    return _values(found[0][0]) if found else None


def remove_job(tx: Transaction, id: str) -> None:
    """Forget a job with its reports and what waits for one."""
    jobs.delete(tx, id)
    tx.execute("DELETE FROM pm_values WHERE job = ?", (id,))
    tx.execute("DELETE FROM pm_reports WHERE job = ?", (id,))


def crossings(source: Database | Transaction, threshold: str) -> dict[str, Direction]:
    """How each part of the measured object ("" = the whole) stands to a threshold: the direction of its last crossing."""
    found = documents.rows(source, "SELECT part, direction FROM pm_crossings WHERE threshold = ?", (threshold,))
    return {part: Direction(direction) for part, direction in found}


def put_crossings(tx: Transaction, threshold: str, entries: Iterable[tuple[str, Direction]]) -> None:
    """Record crossings."""
    tx.connection.executemany(
        "INSERT INTO pm_crossings (threshold, part, direction) VALUES (?, ?, ?)"
        " ON CONFLICT (threshold, part) DO UPDATE SET direction = excluded.direction",
        [(threshold, part, direction.value) for part, direction in entries],
    )


def remove_threshold(tx: Transaction, id: str) -> None:
    """Forget a threshold and its crossings."""
    thresholds.delete(tx, id)
    tx.execute("DELETE FROM pm_crossings WHERE threshold = ?", (id,))


def prune(tx: Transaction, *, now: str, keep: int) -> int:
    """Remove reports that are over (RFC 3339), and the oldest beyond `keep` of each job; how many."""
    old = tx.execute("DELETE FROM pm_reports WHERE expires_at <= ?", (now,)).rowcount
    many = (
        "DELETE FROM pm_reports WHERE id IN (SELECT id FROM"
        " (SELECT id, row_number() OVER (PARTITION BY job ORDER BY ready_at DESC, id DESC) AS place FROM pm_reports)"
        " WHERE place > ?)"
    )
    return old + tx.execute(many, (keep,)).rowcount
