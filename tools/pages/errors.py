"""The reference page of errors, from the classes and the two tables that give them a status and an exit code."""

from __future__ import annotations

import msgspec

from skerry import errors as known
from skerry.api.problem import TYPE_PREFIX, name_of, status_of
from skerry.cli.exits import code_of
from tools.pages import code, page, prose, table

INTRODUCTION = """\
Every refusal says what cannot be done and what to do next. Over HTTP it is a problem document (RFC 9457, as ETSI SOL013 wants
it), on the command line a text and an exit code. `faults` names everything that is wrong with an input at once.
An error that is none of these is a defect: status 500 with a reference to the node's log, never its text.
"""


def errors() -> str:
    """The page."""
    rows = [_row(kind) for kind in _classes(known.SkerryError)]
    head = ("Class", "When", "HTTP status", "Problem type", "Exit code")
    faults = [
        (code(field.name), code(getattr(field.type, "__name__", str(field.type))))
        for field in msgspec.structs.fields(known.Fault)
    ]
    return page(
        "Errors",
        INTRODUCTION,
        table(head, rows),
        "## A fault",
        prose(known.Fault.__doc__),
        table(("Field", "Type"), faults),
    )


def _classes(kind: type[known.SkerryError]) -> list[type[known.SkerryError]]:
    found: list[type[known.SkerryError]] = []
    for one in kind.__subclasses__():
        if one.__module__ == known.__name__:
            found += [one, *_classes(one)]
    return found


def _row(kind: type[known.SkerryError]) -> tuple[str, ...]:
    example = kind("cannot")
    return (
        code(kind.__name__),
        prose(kind.__doc__),
        str(status_of(example)),
        code(TYPE_PREFIX + name_of(kind)),
        str(code_of(example)),
    )
