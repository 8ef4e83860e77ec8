"""Parameters that name something of a node. Which there are is asked for when a shell completes a word, and only then."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    Text = click.ParamType[str]
else:  # generic for type checkers alone, in older releases of click
    Text = click.ParamType

NAMES = frozenset(
    (
        "agent",
        "app",
        "client",
        "function",
        "host",
        "image",
        "job",
        "key",
        "ns",
        "nsd",
        "object",
        "operation",
        "package",
        "snapshot",
        "subject",
        "vim",
        "vnf",
    )
)
"""How such parameters are called; those that take several may have an s at their end."""


class Known(Text):
    """A name or an id of something that the node has. Any text is taken; the node says whether it is there."""

    name = "text"

    def __init__(self, of: str) -> None:
        self.of = of

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """What the node has."""
        from skerry.cli.completing import offers  # noqa: PLC0415  # the client is for this only

        return offers(ctx, self.of, incomplete)


def prepare(command: click.Command) -> None:
    """Give the parameters of a command that name something of the node their type."""
    for parameter in command.params:
        option = isinstance(parameter, click.Option)
        called = parameter.opts[0].removeprefix("--") if option else parameter.human_readable_name.lower()
        of = called if called in NAMES else called.removesuffix("s")
        if of in NAMES and isinstance(parameter.type, type(click.STRING)):
            parameter.type = Known(of)
