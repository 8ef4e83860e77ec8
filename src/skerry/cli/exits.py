"""Exit codes by class of error; the reference page is made from this table."""

from __future__ import annotations

from collections.abc import Mapping

from skerry import errors

OK = 0
FAILED = 1
USAGE = 2
OPERATION_FAILED = 7
INTERRUPTED = 130

MEANING: Mapping[int, str] = {
    0: "done",
    1: "any other error",
    2: "wrong use of a command (unknown option, missing argument)",
    3: "not found",
    4: "conflict: the state of a resource forbids it, or someone else changed it",
    5: "invalid input: a package, a request or a file has faults, or asks for what cannot be done",
    6: "refused: no or a wrong token, not allowed, or a grant was rejected",
    7: "the operation, the command inside an instance or the check ran and failed",
    8: "the node cannot be reached or is not ready",
    130: "interrupted by Ctrl-C: an operation that was begun goes on",
}

BY_CLASS: Mapping[type[errors.SkerryError], int] = {
    errors.NotFoundError: 3,
    errors.ConflictError: 4,
    errors.PreconditionError: 4,
    errors.InvalidError: 5,
    errors.TooLargeError: 5,
    errors.UnsupportedError: 5,
    errors.UnauthorizedError: 6,
    errors.ForbiddenError: 6,
    errors.RejectedError: 6,
    errors.DriverError: 7,
    errors.UnavailableError: 8,
}


def code_of(error: errors.SkerryError) -> int:
    """The exit code of an error by the nearest class in the table."""
    return next((BY_CLASS[kind] for kind in type(error).__mro__ if kind in BY_CLASS), FAILED)
