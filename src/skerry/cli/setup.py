"""The CLI's own matters and the node's: `skerry config`, `completion` and `info`."""

from __future__ import annotations

import os
from pathlib import Path

import click
import msgspec

from skerry.cli import output
from skerry.cli.lazy import Lazy
from skerry.cli.session import Session, asked, command
from skerry.client.login import end, fetch, forget, write
from skerry.client.profile import FILES, KEYS, SECRET, Profile, config_file, read
from skerry.errors import ConflictError, InvalidError


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@command
def backup(session: Session, file: Path) -> None:
    """Write a backup of the node to FILE, here, while the node works: its records, packages and journal.

    FILE may hold secrets of infrastructures; only its owner can read it. `skerry restore` puts it back.
    """
    if file.exists():
        raise ConflictError(f"cannot back up to {file}: it exists", suggestion="name a new file")
    with output.waiting("saving the node"):
        size = session.node.backup(file)
    if session.as_json:
        session.emit({"file": str(file), "size_bytes": size})
    else:
        click.echo(f"{file}: {size / (1 << 20):.1f} MiB")


@click.group(cls=Lazy)
def config() -> None:
    """Show or set how the CLI reaches a node."""


@config.command("show")
@command
def show_config(session: Session) -> None:
    """Show what is used now; the token itself is never shown."""
    profile = session.profile
    told = {
        "file": str(config_file(os.environ)),
        "endpoint": profile.endpoint,
        "ca": profile.ca,
        "token": "set" if profile.token else "none",
        "token_file": profile.token_file,
        "client_id": profile.client_id,
        "certificate": profile.certificate,
    }
    if session.as_json:
        session.emit(told)
    else:
        output.facts(told.items())


@config.command("set")
@click.argument("key", type=click.Choice(KEYS))
@click.argument("value", required=False)
@command
def set_config(session: Session, key: str, value: str | None) -> None:
    """Set KEY in the CLI's own file. Without VALUE it is asked for, hidden for a secret."""
    given = value if value is not None else asked(key, hidden=key in SECRET, otherwise="give the value after the key")
    if key in FILES:
        path = Path(given).expanduser().resolve()
        if not path.is_file():
            raise InvalidError(f"cannot use {path}: it is no file", suggestion="name an existing file")
        given = str(path)
    if key == "endpoint" and not given.startswith(("https://", "http://")):
        raise InvalidError(f"cannot use the endpoint {given}", suggestion="write it as https://HOST:PORT")
    file = config_file(os.environ)
    _keep(file, key, given)
    if session.as_json:
        session.emit({"set": key})


@config.command("unset")
@click.argument("key", type=click.Choice(KEYS))
@command
def unset_config(session: Session, key: str) -> None:
    """Remove a value from the CLI's own file."""
    file = config_file(os.environ)
    _keep(file, key, "")
    if session.as_json:
        session.emit({"unset": key})


def _keep(file: Path, key: str, value: str) -> None:
    write(file, msgspec.json.format(msgspec.json.encode(msgspec.structs.replace(read(file), **{key: value})), indent=2))


@config.command()
@click.argument("client_id")
@click.option("--secret", default=None, help="The client's secret; without it, it is asked for.")
@command
def login(session: Session, client_id: str, secret: str | None) -> None:
    """Call the node as the OAuth2 client CLIENT_ID from now on. Tokens are fetched as they are needed."""
    given = secret if secret is not None else asked("secret", hidden=True, otherwise="give it on stdin or as --secret")
    wished = msgspec.structs.replace(
        session.profile, client_id=client_id, client_secret=given, token="", token_file="", certificate=""
    )
    fetch(wished)
    file = config_file(os.environ)
    own = read(file)
    kept = Profile(endpoint=own.endpoint, ca=own.ca, client_id=client_id, client_secret=given)
    write(file, msgspec.json.format(msgspec.json.encode(kept), indent=2))
    forget(os.environ)
    if session.as_json:
        session.emit({"client_id": client_id})


@config.command()
@command
def logout(session: Session) -> None:
    """Forget the OAuth2 client and end its token."""
    file = config_file(os.environ)
    end(session.profile, os.environ)
    write(file, msgspec.json.encode(msgspec.structs.replace(read(file), client_id="", client_secret="")))
    if session.as_json:
        session.emit({"logged_out": True})


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that completes commands in a shell.

    bash: eval "$(skerry completion bash)" in ~/.bashrc
    """
    from click.shell_completion import get_completion_class  # noqa: PLC0415

    from skerry.cli import root  # noqa: PLC0415

    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101  # the choice has click's own shells only
    click.echo(kind(root, {}, "skerry", "_SKERRY_COMPLETE").source())


@click.command()
@command
def info(session: Session) -> None:
    """Show the node: version, time of run, what it holds."""
    node = session.node.info()
    if session.as_json:
        session.emit(node)
        return
    output.facts(
        (
            ("node", node.name),
            ("endpoint", session.profile.endpoint),
            ("version", node.version),
            ("up", f"{node.uptime_s:.0f} s"),
            ("VIMs", ", ".join(node.vims)),
            *((name.replace("_", " "), str(count)) for name, count in node.counts.items()),
        )
    )
