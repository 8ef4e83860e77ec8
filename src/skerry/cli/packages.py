"""`skerry package`: VNF packages, NSDs and application packages."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

import click

from skerry.cli import output
from skerry.cli.lazy import Lazy
from skerry.cli.session import Session, command, pairs, pick
from skerry.client.views import PackageView
from skerry.errors import NotFoundError


@click.group(
    cls=Lazy,
    commands_at={
        "build": "skerry.commands_node:build",
        "import": "skerry.commands_node:import_",
        "sign": "skerry.commands_node:sign",
    },
)
def package() -> None:
    """Build, import, sign, onboard, list and delete VNF packages, NSDs and application packages."""


def find(session: Session, wanted: str) -> PackageView:
    """The package that a name, id or descriptor id means."""
    return pick(session.node.packages(), wanted, "package", also=lambda view: view.descriptor)


@package.command("list")
@command
def list_(session: Session) -> None:
    """List VNF packages, NSDs and application packages."""
    found = session.node.packages()
    if session.as_json:
        session.emit(found)
        return
    now = datetime.now(UTC)
    rows = [
        (
            output.short(p.id),
            p.kind.upper(),
            p.name,
            p.version,
            p.provider,
            # until it is onboarded, nothing else counts
            p.operational_state if p.onboarding_state == "ONBOARDED" else p.onboarding_state,
            "yes" if p.usage_state == "IN_USE" else "",
            output.ago(p.created_at, now),
        )
        for p in found
    ]
    output.table(("ID", "KIND", "NAME", "VERSION", "PROVIDER", "STATE", "IN USE", "AGE"), rows)


@package.command()
@click.argument("package")
@command
def show(session: Session, package: str) -> None:
    """Show a package and what its flavours offer."""
    view = find(session, package)
    if session.as_json:
        session.emit(view)
        return
    output.facts(
        (
            ("id", view.id),
            ("kind", view.kind.upper()),
            ("name", view.name),
            ("version", view.version),
            ("provider", view.provider),
            ("descriptor", view.descriptor),
            ("onboarding", view.onboarding_state),
            ("state", view.operational_state),
            ("usage", view.usage_state),
            ("size", output.size(view.size_bytes)),
            ("signature", _signature(view)),
            ("problem", str(view.problem.get("detail", ""))),
        )
    )
    rows = [
        (
            id,
            ", ".join(flavour.parts),
            ", ".join(flavour.levels),
            ", ".join(f"{aspect} (0-{top})" for aspect, top in flavour.aspects.items()),
            ", ".join(flavour.inputs),
        )
        for id, flavour in view.flavours.items()
    ]
    if rows:
        output.table(("FLAVOUR", "PARTS", "LEVELS", "ASPECTS", "INPUTS"), rows)


def _signature(view: PackageView) -> str:
    found = view.signature
    if found is None:
        return ""
    if not found.option:
        return "none"
    by = f" by {found.signer}" if found.signer else ""
    return f"option {found.option}{by}, " + ("verified" if found.verified else f"not verified: {found.warning}")


@package.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "--kind", type=click.Choice(["auto", "vnf", "ns", "app"]), default="auto", show_default=True, help="What it holds."
)
@click.option("--data", multiple=True, metavar="KEY=VALUE", help="User-defined data of the record; may be repeated.")
@command
def onboard(session: Session, source: Path, kind: str, data: tuple[str, ...]) -> None:
    """Upload SOURCE, a package file or the folder of one, and onboard it."""
    if not source.exists():
        raise NotFoundError(f"cannot find {source}", suggestion="name a package file or folder")
    with ExitStack() as stack:
        offline = import_module("skerry.commands_node")
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        archive: Path = offline.archive_of(source, scratch)
        chosen = str(offline.kind_of(archive)) if kind == "auto" else kind
        told = f"uploading and checking {source.name} ({output.size(archive.stat().st_size)})"
        with output.waiting(told):
            id = session.node.onboard(chosen, archive, pairs(data, "--data"))
    view = find(session, id)
    if session.as_json:
        session.emit(view)
    else:
        click.echo(id)
        output.note(f"onboarded {view.kind.upper()} {view.name} {view.version} ({view.descriptor})")
        if view.signature and view.signature.warning:
            output.note(f"warning: {view.signature.warning}")


@package.command()
@click.argument("package")
@click.option("--output", "-o", "target", type=click.Path(path_type=Path), required=True, help="File to write.")
@command
def download(session: Session, package: str, target: Path) -> None:
    """Fetch a package as it was uploaded."""
    view = find(session, package)
    with output.waiting(f"fetching {view.name} ({output.size(view.size_bytes)})"):
        size = session.node.download(view.kind, view.id, target)
    if session.as_json:
        session.emit({"id": view.id, "file": str(target), "bytes": size})


@package.command()
@click.argument("package")
@command
def enable(session: Session, package: str) -> None:
    """Allow new instances of a package."""
    _switch(session, package, on=True)


@package.command()
@click.argument("package")
@command
def disable(session: Session, package: str) -> None:
    """Forbid new instances of a package; needed before it can be deleted."""
    _switch(session, package, on=False)


def _switch(session: Session, package: str, *, on: bool) -> None:
    view = find(session, package)
    session.node.switch(view.kind, view.id, enabled=on)
    if session.as_json:
        session.emit({"id": view.id, "operational_state": "ENABLED" if on else "DISABLED"})


@package.command()
@click.argument("package")
@click.option("--force", is_flag=True, help="Disable it first if it is enabled.")
@command
def delete(session: Session, package: str, force: bool) -> None:
    """Delete a package that nothing uses."""
    view = find(session, package)
    if force and view.operational_state == "ENABLED":
        session.node.switch(view.kind, view.id, enabled=False)
    session.node.delete_package(view.kind, view.id)
    if session.as_json:
        session.emit({"deleted": view.id})
