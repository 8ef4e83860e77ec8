"""`skerry vim`: infrastructures and the images on them."""

from __future__ import annotations

from pathlib import Path

import click

from skerry.cli import output
from skerry.cli.lazy import Lazy
from skerry.cli.session import Session, command, pairs, pick
from skerry.client.stores import Stores
from skerry.client.views import VimInfo


@click.group(cls=Lazy)
def vim() -> None:
    """Register and look at infrastructures (VIMs)."""


def find(session: Session, wanted: str) -> VimInfo:
    """The infrastructure that a name or id means."""
    return pick(session.node.vims(), wanted, "VIM")


@vim.command("list")
@command
def list_vims(session: Session) -> None:
    """List infrastructures."""
    found = session.node.vims()
    if session.as_json:
        session.emit(found)
        return
    output.table(("ID", "TYPE", "NAME", "ZONE"), [(v.id, v.vim_type, v.name, v.zone) for v in found])


@vim.command()
@click.argument("vim")
@command
def show(session: Session, vim: str) -> None:
    """Show an infrastructure and what it has."""
    view = find(session, vim)
    resources = session.node.vim_resources(view.id)
    if session.as_json:
        session.emit({"vim": view, "resources": resources})
        return
    capacity = resources.get("capacity", {})
    output.facts(
        (
            ("id", view.id),
            ("type", view.vim_type),
            ("name", view.name),
            ("zone", view.zone),
            *output.capacity(capacity),
            ("network namespace", str(resources.get("namespace") or "")),
        )
    )
    rows = [
        (str(c.get("name", "")), str(c.get("state", "")), str(c.get("owner", ""))) for c in resources.get("compute", ())
    ]
    if rows:
        output.table(("COMPUTE", "STATE", "OWNER"), rows)


@vim.command()
@click.argument("id")
@click.argument("type")
@click.option("--name", default="", help="A name for people.")
@click.option("--zone", default="", help="Zone that placement rules may name.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Setting of the driver; may be repeated.")
@command
def register(session: Session, id: str, type: str, name: str, zone: str, settings: tuple[str, ...]) -> None:
    """Register an infrastructure under ID with the driver TYPE (local, docker, simulated …)."""
    request = {"id": id, "vim_type": type.upper(), "name": name, "zone": zone, "settings": pairs(settings, "--set")}
    made = session.node.register_vim(request)
    if session.as_json:
        session.emit(made)
    else:
        click.echo(made.id)


@vim.command()
@click.argument("vim")
@click.option("--name", default=None, help="A name for people.")
@click.option("--zone", default=None, help="Zone that placement rules may name.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Setting of the driver; null removes it.")
@command
def update(session: Session, vim: str, name: str | None, zone: str | None, settings: tuple[str, ...]) -> None:
    """Change an infrastructure. Settings with which it cannot be opened are refused."""
    view = find(session, vim)
    wished = {"name": name, "zone": zone, "settings": pairs(settings, "--set") or None}
    made = Stores(session.node.http).change_vim(
        view.id, {key: value for key, value in wished.items() if value is not None}
    )
    if session.as_json:
        session.emit(made)


@vim.command()
@click.argument("vim")
@command
def refresh(session: Session, vim: str) -> None:
    """Look at an infrastructure now: capacity, and images that others brought there."""
    view = find(session, vim)
    seen = Stores(session.node.http).refresh(view.id)
    if session.as_json:
        session.emit(seen)
        return
    output.facts(
        (
            *output.capacity(seen.capacity),
            ("networks", str(seen.networks)),
            ("instances", str(seen.instances)),
            ("images", ", ".join(seen.images)),
            ("brought by others", ", ".join(seen.found)),
        )
    )


@vim.command()
@click.argument("vims", nargs=-1, required=True)
@command
def delete(session: Session, vims: tuple[str, ...]) -> None:
    """Forget infrastructures that nothing is on: all of them, or none."""
    known = session.node.vims()
    ids = [pick(known, vim, "VIM").id for vim in vims]
    Stores(session.node.http).delete_vims(ids)
    if session.as_json:
        session.emit({"deleted": ids})


@vim.group()
def image() -> None:
    """List, add and remove the images of an infrastructure."""


@image.command("list")
@click.argument("vim")
@command
def list_images(session: Session, vim: str) -> None:
    """List the images of an infrastructure. Those that begin with vim: were brought there by others."""
    found = Stores(session.node.http).vim_images(find(session, vim).id)
    if session.as_json:
        session.emit(found)
        return
    output.table(
        ("NAME", "ID", "SIZE"), [(one.name, output.short(one.id), output.size(one.size_bytes)) for one in found]
    )


@image.command("add")
@click.argument("vim")
@click.argument("name")
@click.argument("source")
@command
def add_image(session: Session, vim: str, name: str, source: str) -> None:
    """Make the image SOURCE available under NAME.

    SOURCE is a file here, host:PROGRAM, docker://REPOSITORY:TAG, vim:NAME (it is there), image:NAME (of the node's
    repository) or an http(s) address.
    """
    view = find(session, vim)
    stores = Stores(session.node.http)
    file = Path(source)
    with output.waiting(f"bringing {source} to {view.id}"):
        made = (
            stores.upload_vim_image(view.id, name, file)
            if file.is_file()
            else stores.add_vim_image(view.id, name, source)
        )
    if session.as_json:
        session.emit(made)
    else:
        click.echo(made.name)


@image.command("rm")
@click.argument("vim")
@click.argument("name")
@command
def remove_image(session: Session, vim: str, name: str) -> None:
    """Remove an image that nothing uses."""
    Stores(session.node.http).delete_vim_image(find(session, vim).id, name)
    if session.as_json:
        session.emit({"deleted": name})
