"""`skerry lvnf`: micro network functions, their Click configurations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skerry.cli.lazy import Lazy
from skerry.errors import NotFoundError

if TYPE_CHECKING:
    from skerry.errors import Fault

_INTERFACES = 16
PATH: Any = click.Path(path_type=Path)


@click.group(
    cls=Lazy,
    commands_at={
        "agent": "skerry.cli.lvnf_agent:agent",
        "agents": "skerry.cli.lvnf_agents:agents",
        "handlers": "skerry.cli.lvnfs:handlers",
        "list": "skerry.cli.lvnfs:list_",
        "migrate": "skerry.cli.lvnfs:migrate",
        "read": "skerry.cli.lvnfs:read",
        "show": "skerry.cli.lvnfs:show",
        "swap": "skerry.cli.lvnfs:swap",
        "write": "skerry.cli.lvnfs:write",
    },
)
def lvnf() -> None:
    """Micro network functions: Click configurations in the kernel or in a small process."""


@lvnf.command()
@click.argument("file", type=PATH)
@click.option("--set", "given", multiple=True, metavar="NAME=VALUE", help="The value of a variable, $NAME in FILE.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def check(file: Path, given: tuple[str, ...], as_json: bool) -> None:
    """Check the Click configuration FILE without a node: every fault with its place in the text and what to do. Exits 5 if
    there are faults.

    Variables of interfaces such as $ETH0_IP have values for the check; those of other variables are given by --set.
    """
    from skerry.lvnf.checking import check as examine  # noqa: PLC0415  # the reader is needed here only
    from skerry.lvnf.described import example_values  # noqa: PLC0415

    try:
        text = file.read_text(errors="replace")
    except OSError as error:
        raise NotFoundError(f"cannot read {file}: {error.strerror}", suggestion="name a Click file") from error
    values = {name: value for name, _, value in (one.partition("=") for one in given)}
    graph, faults = examine(text, example_values(text, values, _INTERFACES))
    if as_json:
        import msgspec  # noqa: PLC0415

        elements = list(graph.elements) if graph else []
        devices = graph.devices if graph else ()
        told = {"ok": not faults, "faults": faults, "elements": elements, "devices": devices}
        click.echo(msgspec.json.encode(told))
    else:
        lines = text.split("\n")
        for fault in faults:
            _show(file, fault, lines[fault.line - 1] if 0 < fault.line <= len(lines) else "")
        what = f"{len(graph.elements)} elements, {len(graph.connections)} connections" if graph else "not usable"
        click.echo(f"{file}: {len(faults)} fault{'s'[: len(faults) != 1]}, {what}", err=True)
    if faults:
        raise SystemExit(5)


def _show(file: Path, fault: Fault, line: str) -> None:
    """A fault with its line of the text and a mark under the column."""
    head = f"{file}:{fault.line}:{fault.column}:"
    click.echo(f"{click.style(head, bold=True)} {click.style('error', fg='red')} {fault.message}")
    start = max(0, fault.column - 100)
    shown = line[start : start + 120].expandtabs(1).rstrip("\r")
    if shown.strip():
        click.echo(f"    {shown}")
        click.echo("    " + " " * (fault.column - 1 - start) + click.style("^", fg="green", bold=True))
    if fault.fix:
        click.echo(f"    {click.style('try:', fg='cyan')} {fault.fix}")


@lvnf.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def elements(as_json: bool) -> None:
    """List the element classes with their arguments, ports and handlers."""
    from skerry.lvnf import catalogue  # noqa: PLC0415
    from skerry.lvnf.reading import signature  # noqa: PLC0415

    kinds = [catalogue.KINDS[name] for name in sorted(catalogue.KINDS)]
    if as_json:
        import msgspec  # noqa: PLC0415

        told = [
            {
                "name": kind.name,
                "arguments": signature(kind.name),
                "ports": kind.ports,
                "processing": kind.processing,
                "handlers": kind.handlers,
                "doc": kind.doc,
            }
            for kind in kinds
        ]
        click.echo(msgspec.json.encode(told))
        return
    from skerry.cli.output import table  # noqa: PLC0415

    rows = [
        (f"{kind.name}({signature(kind.name)})", kind.ports, kind.processing, ", ".join(kind.handlers), kind.doc)
        for kind in kinds
    ]
    table(("ELEMENT", "PORTS", "MOVES", "HANDLERS", "WHAT"), rows)
