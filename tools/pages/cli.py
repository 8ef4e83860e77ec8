"""The reference page of the command line, from its own commands."""

from __future__ import annotations

from collections.abc import Iterator

import click

from skerry.cli import examples, root
from skerry.cli.exits import MEANING
from tools.pages import code, page, prose, table

INTRODUCTION = """\
`skerry` is a client of a node's API; `up`, `lint`, `doctor` and `package build` work without a node. Where a command shows
something, `--json` prints it for programs. Names, identifiers and unique beginnings of identifiers are taken everywhere.
`skerry completion` says how to complete commands in your shell.
"""


def cli() -> str:
    """The page."""
    codes = table(("Code", "Meaning"), [(code(str(number)), text) for number, text in MEANING.items()])
    return page("Command line", INTRODUCTION, "## Exit codes", codes, *_commands())


def _commands() -> Iterator[str]:
    context = click.Context(root, info_name="skerry")
    yield from _describe(root, context, 2)


def _describe(command: click.Command, context: click.Context, level: int) -> Iterator[str]:
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"{'#' * level} {context.command_path}"
    yield prose(command.help) or "—"
    yield f"```text\n{context.command_path} {usage}\n```"
    options = [record for param in command.get_params(context) if (record := param.get_help_record(context))]
    shown = [(code(names), text) for names, text in options if "--help" not in names]
    if shown:
        yield table(("Option", "Meaning"), shown)
    if lines := examples.of(context.command_path):
        yield "```sh\n" + "\n".join(lines) + "\n```"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None and not child.hidden:
                yield from _describe(child, click.Context(child, info_name=name, parent=context), min(level + 1, 4))
