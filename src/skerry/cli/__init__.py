"""The command line `skerry`: a plain client of a node's API.

Commands that must work without a node or start one (`up`, `restore`, `lint`, `doctor`, `package build`) live in
`skerry.commands_node` beside the wiring; the CLI knows them by name only and imports nothing of the node itself.
"""

from __future__ import annotations

import os

import click

from skerry import __version__
from skerry.cli.lazy import Lazy

COMMANDS = {
    "access": "skerry.cli.access:access",
    "alarms": "skerry.cli.watch:alarms",
    "app": "skerry.cli.apps:app",
    "backup": "skerry.cli.setup:backup",
    "completion": "skerry.cli.setup:completion",
    "config": "skerry.cli.setup:config",
    "dataplane": "skerry.cli.dataplane:dataplane",
    "doctor": "skerry.commands_node:doctor",
    "events": "skerry.cli.watch:events",
    "exec": "skerry.cli.watch:run",
    "indicators": "skerry.cli.measuring:indicators",
    "image": "skerry.cli.stores:image",
    "info": "skerry.cli.setup:info",
    "key": "skerry.cli.stores:key",
    "lint": "skerry.commands_node:lint",
    "logs": "skerry.cli.watch:logs",
    "lvnf": "skerry.cli.lvnf:lvnf",
    "mep": "skerry.cli.mep:mep",
    "ns": "skerry.cli.ns:ns",
    "op": "skerry.cli.operations:op",
    "orphans": "skerry.cli.orphans:orphans",
    "package": "skerry.cli.packages:package",
    "path": "skerry.cli.dataplane:path",
    "plan": "skerry.cli.operations:plan",
    "pm": "skerry.cli.measuring:pm",
    "restore": "skerry.commands_node:restore",
    "stats": "skerry.cli.watch:stats",
    "subscriptions": "skerry.cli.subscriptions:subscriptions",
    "top": "skerry.cli.measuring:top",
    "up": "skerry.commands_node:up",
    "vim": "skerry.cli.vims:vim",
    "vnf": "skerry.cli.vnf:vnf",
}

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(cls=Lazy, commands_at=COMMANDS, context_settings=CONTEXT)
@click.version_option(__version__, "-V", "--version", prog_name="skerry", help="Show the version and exit.")
@click.option("--endpoint", metavar="URL", default="", help="Address of the node, such as https://edge1:8443.")
@click.option("--token-file", metavar="FILE", default="", help="File that holds the token to use.")
@click.option("--ca", metavar="FILE", default="", help="File with the CA certificate of the node.")
@click.pass_context
def root(ctx: click.Context, endpoint: str, token_file: str, ca: str) -> None:
    """Orchestrate network services and edge applications over many small sites.

    On the machine where a node runs, nothing needs to be configured. Names, ids and unique beginnings of ids are
    taken everywhere. Every command that shows something has --json. Exit codes say what kind of error it was; NO_COLOR
    is heeded.
    """
    if os.environ.get("NO_COLOR"):  # https://no-color.org
        ctx.color = False
    ctx.obj = {"endpoint": endpoint, "token_file": token_file, "ca": ca}


def main() -> None:
    """The console script."""
    root(prog_name="skerry")
