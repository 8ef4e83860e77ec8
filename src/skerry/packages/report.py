"""Collects what is wrong with a package, each fault with its place, so that all of it is said at once."""

from __future__ import annotations

from typing import Any

from skerry.errors import Fault, InvalidError
from skerry.packages.yaml_nodes import locate

PathParts = tuple[str | int, ...]


class Report:
    """Errors and warnings in the order found, without repetition.

    `documents` are the parsed files by name: they answer at which line a path stands. More than `limit` faults of a kind
    are counted and not kept, so that a hostile package cannot fill the memory with its own faults.
    """

    def __init__(self, *, limit: int = 200) -> None:
        self.errors: list[Fault] = []
        self.warnings: list[Fault] = []
        self.documents: dict[str, Any] = {}
        self._seen: set[Fault] = set()
        self._limit = limit

    def error(self, code: str, message: str, *, file: str = "", path: PathParts = (), fix: str = "") -> None:
        """Record something for which the package is refused."""
        self._add(self.errors, code, message, file, path, fix)

    def warning(self, code: str, message: str, *, file: str = "", path: PathParts = (), fix: str = "") -> None:
        """Record something that is tolerated."""
        self._add(self.warnings, code, message, file, path, fix)

    def extend(self, faults: list[Fault]) -> None:
        """Record errors that already know their place."""
        for fault in faults:
            self._keep(self.errors, fault)

    def raise_errors(self, what: str) -> None:
        """Raise `InvalidError` with every error, if there is one."""
        if self.errors:
            count = len(self.errors)
            first = self.errors[0]
            raise InvalidError(
                f"cannot read {what}: {first.message}" + (f" (and {count - 1} more)" if count > 1 else ""),
                suggestion=first.fix or "correct the package; `skerry lint` lists every fault with its place",
                faults=self.errors,
            )

    def _add(self, kept: list[Fault], code: str, message: str, file: str, path: PathParts, fix: str) -> None:
        line, column = locate(self.documents.get(file), path)
        place = "/".join(str(part) for part in path)
        self._keep(kept, Fault(message=message, code=code, file=file, line=line, column=column, path=place, fix=fix))

    def _keep(self, kept: list[Fault], fault: Fault) -> None:
        if fault in self._seen or len(kept) >= self._limit:
            return
        self._seen.add(fault)
        kept.append(fault)
