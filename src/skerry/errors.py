"""Every deliberate error of Skerry. Knows no HTTP: `api/problem.py` has the one table from class to status.

A message starts with "cannot …" and `suggestion` says what to do next. `faults` names everything that is wrong at once.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec


class Fault(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that is wrong with an input.

    `file`, `line` and `column` (both from 1) say where; `path` is the place inside the document, as
    `topology_template/node_templates/vdu/properties/name`; `code` is stable and greppable; `fix` says what to do.
    """

    message: str
    code: str = ""
    file: str = ""
    line: int = 0
    column: int = 0
    path: str = ""
    fix: str = ""

    def __str__(self) -> str:
        where = ":".join(str(part) for part in (self.file, self.line, self.column) if part)
        head = f"{where}: " if where else ""
        path = f" [{self.path}]" if self.path else ""
        return f"{head}{self.message}{path}" + (f" -> {self.fix}" if self.fix else "")


class SkerryError(Exception):
    """Base of every deliberate error."""

    def __init__(self, detail: str, *, suggestion: str = "", faults: Iterable[Fault] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.suggestion = suggestion
        self.faults = tuple(faults)


class InvalidError(SkerryError):
    """The input is wrong; nothing was changed. `faults` lists every fault."""


class MalformedError(InvalidError):
    """The input cannot even be read: broken JSON, a query that does not follow its grammar."""


class NotFoundError(SkerryError):
    """No such resource, or none that this tenant may see."""


class ConflictError(SkerryError):
    """The resource's state forbids this now (the detail names the state or the operation in the way)."""


class RefusedError(ConflictError):
    """A proof forbids the change; nothing was changed. Each fault holds a witness."""


class PreconditionError(SkerryError):
    """The resource was changed by someone else since the caller read it (revision or ETag differs)."""


class TooLargeError(SkerryError):
    """The input is over a limit; the detail names the limit."""


class UnauthorizedError(SkerryError):
    """The caller did not say who it is, or wrongly."""


class ForbiddenError(SkerryError):
    """The caller may not do this."""


class UnsupportedError(SkerryError):
    """A part that is asked for is an ability that this driver, package or machine does not have."""


class UnavailableError(SkerryError):
    """A needed part does not answer now; trying later may help."""


class RejectedError(SkerryError):
    """A grant was refused: quota, capacity or a constraint. The detail names it; nothing was allocated."""


class DriverError(SkerryError):
    """An infrastructure manager refused or failed a call.

    `transient` tells the engine that the same call may succeed when repeated. `call` names the call and `answer` holds
    what came back, secrets masked, so that `explain` can show both.
    """

    def __init__(
        self, detail: str, *, transient: bool = False, call: str = "", answer: str = "", suggestion: str = ""
    ) -> None:
        super().__init__(detail, suggestion=suggestion)
        self.transient = transient
        self.call = call
        self.answer = answer
