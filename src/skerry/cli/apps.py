"""`skerry app`: edge applications, their packages and the hosts that they run on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from skerry.cli import endings, follow, output
from skerry.cli.lazy import Lazy
from skerry.cli.packages import package as packages
from skerry.cli.session import Session, body, command, full_id, pairs, pick
from skerry.cli.vnf import find_package
from skerry.client.views import AppView


@click.group(cls=Lazy, commands_at={"convert": "skerry.commands_node:convert"})
def app() -> None:
    """Create, instantiate, operate and terminate edge applications."""


app.add_command(packages, "package")


def find(session: Session, wanted: str) -> AppView:
    """The application that a name or id means."""
    return pick(session.node.apps(), wanted, "application")


endings.add(app, "an application", find, lambda session, gone: session.node.delete_app(gone))


@app.command("list")
@command
def list_(session: Session) -> None:
    """List applications."""
    found = session.node.apps()
    if session.as_json:
        session.emit(found)
        return
    now = datetime.now(UTC)
    rows = [
        (
            output.short(a.id),
            a.name,
            a.product,
            a.status,
            a.host,
            a.vim,
            ", ".join(a.addresses.values()),
            output.ago(a.created_at, now),
        )
        for a in found
    ]
    output.table(("ID", "NAME", "PRODUCT", "STATUS", "HOST", "VIM", "ADDRESSES", "AGE"), rows)


@app.command()
@click.argument("app")
@command
def show(session: Session, app: str) -> None:
    """Show an application: where it is, how it is reached, what it is to the NFVO."""
    view = find(session, app)
    if session.as_json:
        session.emit(view)
        return
    output.facts(
        (
            ("id", view.id),
            ("name", view.name),
            ("product", view.product),
            ("AppD", view.app_d_id),
            ("status", view.status),
            ("host", view.host),
            ("VIM", view.vim),
            ("NS", view.ns_id),
            ("VNFs", ", ".join(view.vnf_ids)),
            ("last operation", view.operation),
        )
    )
    if view.addresses:
        output.table(("CONNECTION POINT", "ADDRESS"), list(view.addresses.items()))


@app.command()
@click.argument("package")
@click.option("--name", default="", help="Name of the instance.")
@click.option("--description", default="", help="What it is for.")
@click.option("--host", default="", help="MEC host that it is for; default: the best one at instantiation.")
@command
def create(session: Session, package: str, name: str, description: str, host: str) -> None:
    """Create an application record from PACKAGE (an application package or AppD)."""
    chosen = find_package(session, package, "app")
    id = session.node.create_app(chosen.descriptor, name=name, description=description, host=host)
    if session.as_json:
        session.emit({"id": id})
    else:
        click.echo(id)


@app.command()
@click.argument("app")
@click.option("--host", "hosts", multiple=True, help="MEC host to choose from; may be repeated. Default: all.")
@click.option("--country", default="", metavar="CODE", help="Only hosts in this country (ISO 3166).")
@follow.lifecycle
@command
def instantiate(
    session: Session, app: str, hosts: tuple[str, ...], country: str, file: str | None, how: follow.How
) -> None:
    """Instantiate an application on a MEC host that has all that it requires."""
    given: dict[str, Any] = {
        "selectedMECHostInfo": [{"hostId": {"id": host}} for host in hosts],
        "locationConstraints": {"countryCode": country} if country else {},
    }
    follow.perform(session, "app.instantiate", find(session, app).id, body(file, given), how)


@app.command()
@click.argument("app")
@click.argument("state", type=click.Choice(["start", "stop"]))
@endings.graceful("stop")
@follow.lifecycle
@command
def operate(
    session: Session, app: str, state: str, force: bool, timeout: int | None, file: str | None, how: follow.How
) -> None:
    """Start or stop an application."""
    given: dict[str, Any] = {"changeStateTo": "STARTED" if state == "start" else "STOPPED"}
    if state == "stop":
        given |= endings.manner("stop", force=force, timeout=timeout)
    follow.perform(session, "app.operate", find(session, app).id, body(file, given), how)


@app.command()
@click.argument("app")
@endings.graceful("termination")
@follow.lifecycle
@command
def terminate(session: Session, app: str, force: bool, timeout: int | None, file: str | None, how: follow.How) -> None:
    """Tell an application, stop it, take its rules away and free its resources; the record stays."""
    given = endings.manner("termination", force=force, timeout=timeout)
    follow.perform(session, "app.terminate", find(session, app).id, body(file, given), how)


@app.command()
@click.argument("app")
@click.option("--host", "hosts", multiple=True, help="MEC host to choose from; may be repeated. Default: all others.")
@follow.lifecycle
@command
def relocate(session: Session, app: str, hosts: tuple[str, ...], file: str | None, how: follow.How) -> None:
    """Move an application to another MEC host: it is up there, and its rules lead there, before it ends where it was."""
    given = {"selectedMECHostInfo": [{"hostId": {"id": host}} for host in hosts]}
    follow.perform(session, "app.relocate", find(session, app).id, body(file, given), how)


@app.command()
@click.argument("app")
@follow.lifecycle
@command
def configure(session: Session, app: str, file: str | None, how: follow.How) -> None:
    """Configure the platform for an application by --file, a ConfigPlatformForAppRequest: traffic rules, DNS rules,
    services. Its attributes replace those of the AppD."""
    follow.perform(session, "app.configure", find(session, app).id, body(file, {}), how)


@app.command()
@click.argument("app")
@command
def watch(session: Session, app: str) -> None:
    """Follow the newest operation of an application to its end."""
    view = find(session, app)
    if view.operation:
        follow.watch(session, view.operation)
    else:
        output.note(f"nothing was ever done to {view.name}")


@app.group()
def host() -> None:
    """List and describe the MEC hosts that applications run on."""


@host.command("list")
@command
def list_hosts(session: Session) -> None:
    """List MEC hosts: each zone of the infrastructures is one."""
    found = session.node.hosts()
    if session.as_json:
        session.emit(found)
        return
    rows = [
        (
            h.id,
            ", ".join(h.vims),
            str(len(h.applications)),
            f"{h.latency_ms:g} ms" if h.latency_ms else "",
            ", ".join(h.features),
            h.orchestrator,
        )
        for h in found
    ]
    output.table(("HOST", "VIMS", "APPLICATIONS", "LATENCY", "FEATURES", "ORCHESTRATOR"), rows)


@host.command()
@click.argument("host")
@click.option("--latency", type=click.FloatRange(0), default=None, help="Milliseconds from its users, one way.")
@click.option(
    "--feature", "features", multiple=True, metavar="NAME=VERSION", help="Feature that it has; may be repeated."
)
@click.option("--country", default=None, metavar="CODE", help="Where it is (ISO 3166).")
@click.option("--orchestrator", default=None, help="Put it under this orchestrator.")
@command
def describe(
    session: Session,
    host: str,
    latency: float | None,
    features: tuple[str, ...],
    country: str | None,
    orchestrator: str | None,
) -> None:
    """Say what is known of a MEC host; what is not given stays."""
    named = {name: str(value) for name, value in pairs(features, "--feature").items()}
    given = {
        "latency_ms": latency,
        "features": named or None,
        "country": country,
        "orchestrator": orchestrator,
    }
    view = session.node.describe_host(host, {name: value for name, value in given.items() if value is not None})
    if session.as_json:
        session.emit(view)


@host.command()
@click.argument("host")
@command
def release(session: Session, host: str) -> None:
    """Forget what was said of a MEC host. A zone that infrastructures name stays one."""
    chosen = full_id((one.id for one in session.node.hosts()), host, "MEC host", whole=True)
    session.node.release_host(chosen)
    if session.as_json:
        session.emit({"released": chosen})
