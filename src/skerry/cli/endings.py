"""What VNFs, network services and applications have in common at their end: force or grace, delete, discard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import click

from skerry.cli import output
from skerry.cli.session import Named, Session, command, sure

F = TypeVar("F", bound=Callable[..., Any])


class Instance(Named, Protocol):
    """Something that has a status, too."""

    @property
    def status(self) -> str: ...


def graceful(word: str) -> Callable[[F], F]:
    """The options `--force` and `--timeout` of a stop or termination; `manner` makes a request of them."""

    def decorated(function: F) -> F:
        seconds = f"Seconds that a graceful {word} waits."
        timed = click.option("--timeout", type=click.IntRange(0), default=None, help=seconds)(function)
        return click.option("--force", is_flag=True, help="Stop at once instead of gracefully.")(timed)

    return decorated


def manner(word: str, *, force: bool, timeout: int | None) -> dict[str, Any]:
    """How a stop or termination shall happen, in a standard request."""
    return {
        f"{word}Type": "FORCEFUL" if force else "GRACEFUL",
        f"graceful{word.title()}Timeout": None if force else timeout,
    }


def add(
    group: click.Group,
    what: str,
    find: Callable[[Session, str], Instance],
    forget: Callable[[Session, str], None],
) -> None:
    """Give a group of commands `delete` and `discard`."""
    kind = str(group.name)

    @group.command("delete", help=f"Delete the record of {what} that has no resources.")
    @click.argument("wanted", metavar=kind.upper())
    @command
    def delete(session: Session, wanted: str) -> None:
        view = find(session, wanted)
        forget(session, view.id)
        if session.as_json:
            session.emit({"deleted": view.id})

    @group.command(
        "discard",
        help=f"Remove {what} in whatever state it is: end the operation that holds it, remove all that it has, then its "
        "record. The way out when nothing else works.",
    )
    @click.argument("wanted", metavar=kind.upper())
    @click.option("--yes", "-y", is_flag=True, help="Do not ask.")
    @command
    def discard(session: Session, wanted: str, yes: bool) -> None:
        view = find(session, wanted)
        sure(f"remove {view.name} ({view.status}) and everything that it has?", yes=yes)
        with output.waiting(f"removing {view.name}"):
            session.node.discard(kind, view.id)
        if session.as_json:
            session.emit({"discarded": view.id})
