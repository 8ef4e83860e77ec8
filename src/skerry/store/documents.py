"""Documents: frozen structs kept as JSON with an id, a revision and indexed columns."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from typing import Any, Generic, TypeVar

import msgspec

from skerry.errors import ConflictError, NotFoundError, PreconditionError
from skerry.model.queries import Condition, Place
from skerry.store import paging
from skerry.store.database import Database, Transaction

D = TypeVar("D", bound=msgspec.Struct)
S = TypeVar("S", bound=msgspec.Struct)

Revs = Set[int] | None
"""The revisions of which a change may be (`If-Match`); None: of any."""

SIFTED = 500

_encode = msgspec.json.Encoder(order=None).encode


class Sieve(Generic[S]):
    """Looks at a part of documents: decodes only the attributes of `kind`, and asks `keep`."""

    def __init__(self, kind: type[S], keep: Callable[[S], bool]) -> None:
        self._decode = msgspec.json.Decoder(kind).decode
        self._keep = keep

    def __call__(self, doc: bytes) -> bool:
        return self._keep(self._decode(doc))


class Collection(Generic[D]):
    """One table of documents of one type. `columns` are the indexed columns besides id, rev and tenant."""

    def __init__(
        self, table: str, kind: type[D], word: str, columns: Mapping[str, Callable[[D], str]] | None = None
    ) -> None:
        self.table = table
        self.kind = kind
        self.word = word
        self.columns = dict(columns or {})
        self._decode = msgspec.json.Decoder(kind).decode
        names = ("id", "rev", "tenant", *self.columns, "doc")
        # table and column names are literals of this package, never input
        self._insert = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608
        self._update = f"UPDATE {table} SET {', '.join(f'{name} = ?' for name in names[1:])} WHERE id = ? AND rev = ?"  # noqa: S608

    def insert(self, tx: Transaction, document: D) -> D:
        """Add a new document with revision 1. `ConflictError` if its id is taken."""
        new = msgspec.structs.replace(document, rev=1)
        try:
            tx.execute(self._insert, (self._id(new), *self._row(new)))
        except sqlite3.IntegrityError as error:
            if self.find(tx, self._id(new)) is None:
                raise
            raise ConflictError(f"cannot create {self.word} {self._id(new)}: it exists") from error
        return new

    def put(self, tx: Transaction, document: D) -> D:
        """Replace the document of the same revision; the revision grows by one."""
        rev: int = document.rev  # type: ignore[attr-defined]
        new = msgspec.structs.replace(document, rev=rev + 1)
        if tx.execute(self._update, (*self._row(new), self._id(new), rev)).rowcount != 1:
            if self.find(tx, self._id(new)) is None:
                raise self.missing(self._id(new))
            raise PreconditionError(
                f"cannot change {self.word} {self._id(new)}: it was changed meanwhile", suggestion="read it again"
            )
        return new

    def change(self, tx: Transaction, id: str, how: Callable[[D], D]) -> D:
        """Read, transform and write inside one transaction."""
        current = self.get(tx, id)
        new = how(current)
        return current if new is current else self.put(tx, new)

    def matching(self, source: Database | Transaction, id: str, tenant: str, match: Revs) -> D:
        """The document, in one of the revisions that the caller saw. `PreconditionError` if it is not."""
        document = self.get(source, id, tenant=tenant)
        rev: int = document.rev  # type: ignore[attr-defined]
        if match is not None and rev not in match:
            raise PreconditionError(
                f"cannot change {self.word} {id}: it was changed since you read it (now revision {rev})",
                suggestion="read it again and repeat the change on what it is now",
            )
        return document

    def claim(self, tx: Transaction, id: str, tenant: str, match: Revs) -> D:
        """As `matching`, for what has effects before its last transaction: of all who saw this revision one goes on."""
        document = self.matching(tx, id, tenant, match)
        return document if match is None else self.put(tx, document)

    def delete(self, tx: Transaction, id: str) -> None:
        """Remove it. Nothing happens if there is none."""
        tx.execute(f"DELETE FROM {self.table} WHERE id = ?", (id,))  # noqa: S608

    def find(self, source: Database | Transaction, id: str) -> D | None:
        """The document, or None."""
        return self._first(rows(source, self._by_id, (id,)))

    def get(self, source: Database | Transaction, id: str, *, tenant: str | None = None) -> D:
        """The document. `NotFoundError` also for one of another tenant, so that nothing shows that it exists."""
        document = self.find(source, id)
        if document is None or (tenant is not None and document.tenant != tenant):  # type: ignore[attr-defined]
            raise self.missing(id)
        return document

    def select(self, source: Database | Transaction, **equal: str) -> list[D]:
        """Every document whose columns have these values, oldest first."""
        unknown = set(equal) - {"tenant", *self.columns}
        if unknown:
            raise KeyError(f"no column {sorted(unknown)} in {self.table}")
        where = " AND ".join(f"{name} = ?" for name in equal) or "1"
        found = rows(source, f"SELECT doc FROM {self.table} WHERE {where} ORDER BY rowid", tuple(equal.values()))  # noqa: S608
        return [self._decode(row[0]) for row in found]

    def page(
        self,
        source: Database | Transaction,
        *,
        tenant: str,
        after: Place,
        limit: int,
        conditions: Sequence[Condition] = (),
    ) -> list[D]:
        """At most `limit` documents of a tenant in the order of creation, from behind a place on. For collections with the
        column `created_at`; conditions are on columns."""
        return self.part(source, tenant=tenant, after=after, limit=limit, conditions=conditions)[0]

    def part(
        self,
        source: Database | Transaction,
        *,
        tenant: str,
        after: Place,
        limit: int,
        conditions: Sequence[Condition] = (),
        sieve: Sieve[Any] | None = None,
    ) -> tuple[list[D], Place | None]:
        """Like `page`, and the place of the last document that was looked at, None where it is the last of all. With a
        `sieve` `SIFTED` documents are looked at, only as far as it needs, and those that it lets through are read."""
        unknown = {condition.attribute for condition in conditions} - self.columns.keys()
        if unknown:
            raise KeyError(f"no column {sorted(unknown)} in {self.table}")
        size = SIFTED if sieve else limit
        text, values = paging.where(tenant, after, conditions)
        # The inner query reads an index alone; only the documents of the page are fetched.
        inner = f"SELECT rowid FROM {self.table} WHERE {text} ORDER BY {paging.ORDERED} LIMIT {int(size)}"  # noqa: S608
        sql = f"SELECT {paging.ORDERED}, doc FROM {self.table} WHERE rowid IN ({inner}) ORDER BY {paging.ORDERED}"  # noqa: S608
        found = rows(source, sql, values)
        wanted = [row[2] for row in found if sieve is None or sieve(row[2])]
        return [self._decode(doc) for doc in wanted], Place(*found[-1][:2]) if len(found) == size else None

    def walk(self, source: Database, size: int = 500) -> Iterator[D]:
        """Every document, oldest first, some at a time: a long table does not fill the memory. What comes meanwhile is
        there, too."""
        last = 0
        sql = f"SELECT rowid, doc FROM {self.table} WHERE rowid > ? ORDER BY rowid LIMIT ?"  # noqa: S608
        while found := rows(source, sql, (last, size)):
            last = found[-1][0]
            yield from (self._decode(row[1]) for row in found)

    def starting(self, source: Database | Transaction, prefix: str) -> list[D]:
        """Every document whose id begins so."""
        sql = f"SELECT doc FROM {self.table} WHERE id >= ? AND id < ?"  # noqa: S608
        return [self._decode(row[0]) for row in rows(source, sql, (prefix, prefix + "\x7f"))]

    def count(self, source: Database | Transaction, **equal: str) -> int:
        """How many documents have these values in their columns."""
        where = " AND ".join(f"{name} = ?" for name in equal) or "1"
        found: int = rows(source, f"SELECT count(*) FROM {self.table} WHERE {where}", tuple(equal.values()))[0][0]  # noqa: S608
        return found

    def missing(self, id: str) -> NotFoundError:
        return NotFoundError(
            f"cannot find {self.word} {id}", suggestion=f"list the {self.word}s to see which there are"
        )

    @property
    def _by_id(self) -> str:
        return f"SELECT doc FROM {self.table} WHERE id = ?"  # noqa: S608

    def _first(self, found: list[tuple[Any, ...]]) -> D | None:
        return self._decode(found[0][0]) if found else None

    @staticmethod
    def _id(document: D) -> str:
        id: str = document.id  # type: ignore[attr-defined]
        return id

    def _row(self, document: D) -> tuple[Any, ...]:
        values = [column(document) for column in self.columns.values()]
        return (document.rev, document.tenant, *values, _encode(document))  # type: ignore[attr-defined]


def rows(source: Database | Transaction, sql: str, parameters: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """Read inside a transaction, or what is committed."""
    if isinstance(source, Transaction):
        return source.execute(sql, parameters).fetchall()
    return source.read(sql, parameters)
