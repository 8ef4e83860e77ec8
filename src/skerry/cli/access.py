"""`skerry access`: who may call the node."""

from __future__ import annotations

from pathlib import Path

import click

from skerry.cli import output
from skerry.cli.lazy import Lazy
from skerry.cli.quotas import quota
from skerry.cli.session import Session, command, new_file, pick
from skerry.client.access import AccessClient, ClientSecret
from skerry.errors import InvalidError

ROLES = ("admin", "operator", "guest", "account_manager", "system_admin", "project_admin", "project_user")


@click.group(cls=Lazy)
def access() -> None:
    """See and decide who may call the node."""


@access.command()
@command
def whoami(session: Session) -> None:
    """Show who I am for the node: name, tenant, role and scopes."""
    who = AccessClient(session.node.http).me()
    if session.as_json:
        session.emit(who)
        return
    scopes = "all" if who.scopes is None else " ".join(who.scopes)
    output.facts((("name", who.name), ("tenant", who.tenant), ("role", who.role), ("scopes", scopes)))


access.add_command(quota)


@access.group()
def client() -> None:
    """Make and remove OAuth2 clients: programs and people, each of one tenant with one role."""


@client.command("list")
@command
def list_clients(session: Session) -> None:
    """List clients."""
    session.table(
        AccessClient(session.node.http).all(),
        ("ID", "NAME", "TENANT", "ROLE", "SCOPES"),
        lambda one: (
            output.short(one.id),
            one.name,
            one.tenant,
            one.role,
            " ".join(one.scopes) or "all of the role",
        ),
    )


@client.command()
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), default="guest", show_default=True, help="What it may do.")
@click.option("--tenant", default=None, help="Whose resources it sees; default: mine.")
@click.option("--scope", "scopes", multiple=True, help="Only this scope, such as vnflcm:v2:all; may be repeated.")
@click.option("--rate", type=click.FloatRange(0), default=0.0, help="Requests a second; 0: as the node is set.")
@command
def create(session: Session, name: str, role: str, tenant: str | None, scopes: tuple[str, ...], rate: float) -> None:
    """Make the client NAME. Its secret is shown once."""
    request = {"name": name, "role": role, "tenant": tenant, "scopes": scopes, "rate_per_s": rate}
    _once(session, AccessClient(session.node.http).create(request))


@client.command()
@click.argument("client")
@command
def rotate(session: Session, client: str) -> None:
    """Replace the secret of CLIENT and show the new one once; its tokens and certificates end."""
    node = AccessClient(session.node.http)
    _once(session, node.rotate(pick(node.all(), client, "client").id))


def _once(session: Session, made: ClientSecret) -> None:
    if session.as_json:
        session.emit(made)
        return
    output.facts((("client id", made.client.id), ("secret", made.client_secret)))
    output.note("the secret is not shown again")


@client.command()
@click.argument("client")
@click.option("--certificate", type=click.Path(path_type=Path), required=True, help="New file for the certificate.")
@click.option("--key", type=click.Path(path_type=Path), required=True, help="New file for its key.")
@command
def certificate(session: Session, client: str, certificate: Path, key: Path) -> None:
    """Issue a certificate to CLIENT, for a node with `client_certificates`; its key is kept nowhere else."""
    node = AccessClient(session.node.http)
    taken = [str(file) for file in (certificate, key) if file.exists()]
    if taken:
        raise InvalidError(f"cannot write {' and '.join(taken)}: it exists", suggestion="name new files")
    made = node.certify(pick(node.all(), client, "client").id)
    for file, text in ((key, made.key), (certificate, made.certificate)):
        with new_file(file) as out:
            out.write(text)
    if session.as_json:
        session.emit({"certificate": str(certificate), "key": str(key)})
    else:
        output.note(f"certificate in {certificate}, key in {key}")


@client.command()
@click.argument("client")
@command
def delete(session: Session, client: str) -> None:
    """Forget CLIENT; all that was issued to it ends."""
    node = AccessClient(session.node.http)
    found = pick(node.all(), client, "client")
    node.delete(found.id)
    if session.as_json:
        session.emit({"deleted": found.id})
