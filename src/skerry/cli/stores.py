"""`skerry image` and `skerry key`: what a node keeps for its instances."""

from __future__ import annotations

import os
from pathlib import Path

import click

from skerry.cli import output
from skerry.cli.lazy import Lazy
from skerry.cli.session import Session, command, new_file, pick, text_of
from skerry.client.stores import Stores
from skerry.errors import InvalidError, SkerryError


@click.group(cls=Lazy)
def image() -> None:
    """Keep software images on the node; VNFs that name one get it wherever they are placed."""


@image.command("list")
@command
def list_images(session: Session) -> None:
    """List the images of the node's repository."""
    session.table(
        Stores(session.node.http).images(),
        ("ID", "NAME", "STATE", "SIZE", "SHA-256"),
        lambda one: (output.short(one.id), one.name, one.state, output.size(one.size_bytes), one.checksum[:12]),
    )


@image.command("add")
@click.argument("name")
@click.argument("file", type=click.Path())
@click.option("--description", default="", help="A text for people.")
@command
def add_image(session: Session, name: str, file: str, description: str) -> None:
    """Upload FILE as the image that descriptors call NAME."""
    if not (Path(file).is_file() and os.access(file, os.R_OK)):
        raise InvalidError(
            f"cannot read an image from {file}: it is no file here that you may read",
            suggestion="name a file; images from elsewhere (host:, docker://, https://) go straight to an infrastructure: "
            "skerry vim image add VIM NAME SOURCE",
        )
    with output.waiting(f"uploading {file} ({output.size(Path(file).stat().st_size)})"):
        made = Stores(session.node.http).upload_image(name, Path(file), description)
    if session.as_json:
        session.emit(made)
    else:
        click.echo(made.id)


@image.command()
@click.argument("image")
@click.option("--output", "-o", "target", type=click.Path(path_type=Path), required=True, help="File to write.")
@command
def download(session: Session, image: str, target: Path) -> None:
    """Fetch an image of the node's repository."""
    stores = Stores(session.node.http)
    view = pick(stores.images(), image, "image")
    with output.waiting(f"fetching {view.name} ({output.size(view.size_bytes)})"):
        size = stores.download_image(view.id, target)
    if session.as_json:
        session.emit({"file": str(target), "size_bytes": size})


@image.command("rm")
@click.argument("image")
@command
def remove_image(session: Session, image: str) -> None:
    """Delete an image that no VNF runs from."""
    stores = Stores(session.node.http)
    view = pick(stores.images(), image, "image")
    stores.delete_image(view.id)
    if session.as_json:
        session.emit({"deleted": view.id})


@click.group(cls=Lazy)
def key() -> None:
    """Keep public keys; instances that are made with them let their owners in by SSH."""


@key.command("list")
@command
def list_keys(session: Session) -> None:
    """List keys."""
    session.table(
        Stores(session.node.http).keys(),
        ("ID", "NAME", "TYPE", "FINGERPRINT"),
        lambda one: (output.short(one.id), one.name, one.key_type, one.fingerprint),
    )


@key.command("add")
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@command
def add_key(session: Session, name: str, file: Path) -> None:
    """Import the public key in FILE, such as ~/.ssh/id_ed25519.pub."""
    made = Stores(session.node.http).add_key(name, text_of(file))
    if session.as_json:
        session.emit(made)
    else:
        click.echo(made.fingerprint)


@key.command()
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@command
def generate(session: Session, name: str, file: Path) -> None:
    """Make a key pair; the private key goes to the new FILE here and is kept nowhere else."""
    with new_file(file) as out:
        try:
            made = Stores(session.node.http).generate_key(name)
        except SkerryError:
            file.unlink()
            raise
        out.write(made.private_key)
    if session.as_json:
        session.emit({"key": made.key, "file": str(file)})
    else:
        click.echo(made.key.fingerprint)


@key.command("rm")
@click.argument("key")
@command
def remove_key(session: Session, key: str) -> None:
    """Forget a key. Instances that have it keep it."""
    stores = Stores(session.node.http)
    view = pick(stores.keys(), key, "key")
    stores.delete_key(view.id)
    if session.as_json:
        session.emit({"deleted": view.id})
