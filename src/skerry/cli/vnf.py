"""`skerry vnf`: life of single VNFs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from skerry.cli import endings, follow, output
from skerry.cli.lazy import Lazy
from skerry.cli.session import Session, body, command, pairs, pick
from skerry.client.views import PackageView, VnfView
from skerry.errors import ConflictError


@click.group(cls=Lazy, commands_at={"snapshot": "skerry.cli.snapshots:snapshot"})
def vnf() -> None:
    """Create, instantiate, scale, heal, operate and terminate VNFs."""


def find(session: Session, wanted: str) -> VnfView:
    """The VNF that a name or id means."""
    return pick(session.node.vnfs(), wanted, "VNF")


endings.add(vnf, "a VNF", find, lambda session, gone: session.node.delete_vnf(gone))


def find_package(session: Session, wanted: str, kind: str) -> PackageView:
    """The package that a name, id or descriptor id means."""
    found = [package for package in session.node.packages() if package.kind == kind]
    what = {"vnf": "VNF package", "ns": "NSD", "app": "application package"}[kind]
    chosen = pick(found, wanted, what, also=lambda package: package.descriptor)
    if not chosen.descriptor:
        raise ConflictError(
            f"cannot use the {what} {wanted}: it is {chosen.onboarding_state}", suggestion="upload its content"
        )
    return chosen


@vnf.command("list")
@command
def list_(session: Session) -> None:
    """List VNFs."""
    found = session.node.vnfs()
    if session.as_json:
        session.emit(found)
        return
    now = datetime.now(UTC)
    rows = [
        (
            output.short(v.id),
            v.name,
            v.product,
            v.status,
            str(len(v.vnfcs)),
            _addresses(v),
            output.ago(v.created_at, now),
        )
        for v in found
    ]
    output.table(("ID", "NAME", "PRODUCT", "STATUS", "VNFCS", "ADDRESSES", "AGE"), rows)


def _addresses(view: VnfView) -> str:
    found = [address for vnfc in view.vnfcs for address in vnfc.addresses if address]
    return ", ".join(found[:4]) + (" …" if len(found) > 4 else "")


@vnf.command()
@click.argument("vnf")
@command
def show(session: Session, vnf: str) -> None:
    """Show a VNF with its VNFCs."""
    view = find(session, vnf)
    if session.as_json:
        session.emit(view)
        return
    output.facts(
        (
            ("id", view.id),
            ("name", view.name),
            ("product", view.product),
            ("status", view.status),
            ("flavour", view.flavour_id),
            ("scale", ", ".join(f"{aspect}={level}" for aspect, level in view.scale.items())),
            ("NS", view.ns_id),
            ("last operation", view.operation),
        )
    )
    rows = [(c.name, c.vdu, c.state, c.vim, c.host, ", ".join(c.addresses)) for c in view.vnfcs]
    if rows:
        output.table(("VNFC", "VDU", "STATE", "VIM", "HOST", "ADDRESSES"), rows)


@vnf.command()
@click.argument("package")
@click.option("--name", default="", help="Name of the instance.")
@click.option("--description", default="", help="What it is for.")
@click.option("--metadata", multiple=True, metavar="KEY=VALUE", help="Metadata; may be repeated.")
@command
def create(session: Session, package: str, name: str, description: str, metadata: tuple[str, ...]) -> None:
    """Create a VNF record from PACKAGE (a VNF package or VNFD)."""
    chosen = find_package(session, package, "vnf")
    id = session.node.create_vnf(
        chosen.descriptor, name=name, description=description, metadata=pairs(metadata, "--metadata")
    )
    if session.as_json:
        session.emit({"id": id})
    else:
        click.echo(id)


@vnf.command()
@click.argument("vnf")
@click.option("--flavour", default="", help="Deployment flavour; default: the package's own.")
@click.option("--level", default="", help="Instantiation level; default: the flavour's own.")
@click.option("--param", "params", multiple=True, metavar="KEY=VALUE", help="Input of the package; may be repeated.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Configurable property; may be repeated.")
@follow.lifecycle
@command
def instantiate(
    session: Session,
    vnf: str,
    flavour: str,
    level: str,
    params: tuple[str, ...],
    settings: tuple[str, ...],
    file: str | None,
    how: follow.How,
) -> None:
    """Instantiate a VNF: allocate its resources and start it."""
    view = find(session, vnf)
    given = {
        "flavourId": flavour,
        "instantiationLevelId": level,
        "additionalParams": pairs(params, "--param"),
        "vnfConfigurableProperties": pairs(settings, "--set"),
    }
    request = body(file, given)
    if "flavourId" not in request:
        request["flavourId"] = find_package(session, view.vnfd_id, "vnf").default_flavour
    follow.perform(session, "vnf.instantiate", view.id, request, how)


@vnf.command()
@click.argument("vnf")
@click.option("--aspect", default="", help="Scaling aspect; may be left out where the VNF has only one.")
@click.option("--steps", type=click.IntRange(1), default=1, show_default=True, help="How many steps.")
@click.option("--in", "inward", is_flag=True, help="Scale in; without it, out.")
@click.option("--vnfc", "vnfcs", multiple=True, help="VNFC to remove when scaling in; may be repeated.")
@follow.lifecycle
@command
def scale(
    session: Session,
    vnf: str,
    aspect: str,
    steps: int,
    inward: bool,
    vnfcs: tuple[str, ...],
    file: str | None,
    how: follow.How,
) -> None:
    """Scale a VNF out (or --in) by steps of an aspect."""
    view = find(session, vnf)
    given = {
        "type": "SCALE_IN" if inward else "SCALE_OUT",
        "aspectId": aspect or only(view.scale, "scaling aspect"),
        "numberOfSteps": steps,
        "additionalParams": {"vnfcInstanceId": list(vnfcs)} if vnfcs else {},
    }
    follow.perform(session, "vnf.scale", view.id, body(file, given), how)


def only(found: Any, what: str) -> str:
    """The single entry of a map or list. `ConflictError` names them all where there are several."""
    names = list(found)
    if len(names) == 1:
        return str(names[0])
    raise ConflictError(f"cannot tell which {what} you mean", suggestion=f"there are: {', '.join(names) or 'none'}")


@vnf.command("scale-to-level")
@click.argument("vnf")
@click.option("--level", default="", help="Instantiation level to reach.")
@click.option(
    "--aspect", "aspects", multiple=True, metavar="ASPECT=LEVEL", help="Scale level of an aspect; may be repeated."
)
@follow.lifecycle
@command
def scale_to_level(
    session: Session, vnf: str, level: str, aspects: tuple[str, ...], file: str | None, how: follow.How
) -> None:
    """Bring a VNF to a scale or instantiation level."""
    view = find(session, vnf)
    wanted = [{"aspectId": key, "scaleLevel": value} for key, value in pairs(aspects, "--aspect").items()]
    given = {"instantiationLevelId": level, "scaleInfo": wanted}
    follow.perform(session, "vnf.scale_to_level", view.id, body(file, given), how)


@vnf.command()
@click.argument("vnf")
@click.argument("state", type=click.Choice(["start", "stop"]))
@click.option("--vnfc", "vnfcs", multiple=True, help="Only this VNFC; may be repeated.")
@endings.graceful("stop")
@follow.lifecycle
@command
def operate(
    session: Session,
    vnf: str,
    state: str,
    vnfcs: tuple[str, ...],
    force: bool,
    timeout: int | None,
    file: str | None,
    how: follow.How,
) -> None:
    """Start or stop a VNF or some of its VNFCs."""
    given: dict[str, Any] = {
        "changeStateTo": "STARTED" if state == "start" else "STOPPED",
        "vnfcInstanceId": list(vnfcs),
    }
    if state == "stop":
        given |= endings.manner("stop", force=force, timeout=timeout)
    view = find(session, vnf)
    follow.perform(session, "vnf.operate", view.id, body(file, given), how)


@vnf.command()
@click.argument("vnf")
@click.option("--vnfc", "vnfcs", multiple=True, help="Only this VNFC; may be repeated.")
@click.option("--cause", default="", help="Why, for the record.")
@follow.lifecycle
@command
def heal(session: Session, vnf: str, vnfcs: tuple[str, ...], cause: str, file: str | None, how: follow.How) -> None:
    """Replace what is broken in a VNF, or the VNFCs that are named."""
    given = {"cause": cause, "vnfcInstanceId": list(vnfcs)}
    follow.perform(session, "vnf.heal", find(session, vnf).id, body(file, given), how)


@vnf.command()
@click.argument("vnf")
@endings.graceful("termination")
@follow.lifecycle
@command
def terminate(session: Session, vnf: str, force: bool, timeout: int | None, file: str | None, how: follow.How) -> None:
    """Stop a VNF and free its resources; the record stays."""
    given = endings.manner("termination", force=force, timeout=timeout)
    follow.perform(session, "vnf.terminate", find(session, vnf).id, body(file, given), how)


@vnf.command()
@click.argument("vnf")
@click.option("--name", default="", help="New name.")
@click.option("--description", default="", help="New description.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Configurable property; may be repeated.")
@click.option("--metadata", multiple=True, metavar="KEY=VALUE", help="Metadata; may be repeated.")
@follow.lifecycle
@command
def modify(
    session: Session,
    vnf: str,
    name: str,
    description: str,
    settings: tuple[str, ...],
    metadata: tuple[str, ...],
    file: str | None,
    how: follow.How,
) -> None:
    """Change name, description, configurable properties or metadata of a VNF."""
    given = {
        "vnfInstanceName": name,
        "vnfInstanceDescription": description,
        "vnfConfigurableProperties": pairs(settings, "--set"),
        "metadata": pairs(metadata, "--metadata"),
    }
    follow.perform(session, "vnf.modify", find(session, vnf).id, body(file, given), how)


@vnf.command("change-flavour")
@click.argument("vnf")
@click.argument("flavour")
@click.option("--level", default="", help="Instantiation level; default: the flavour's own.")
@follow.lifecycle
@command
def change_flavour(session: Session, vnf: str, flavour: str, level: str, file: str | None, how: follow.How) -> None:
    """Bring a running VNF to another deployment flavour of its package."""
    given = {"newFlavourId": flavour, "instantiationLevelId": level}
    id = find(session, vnf).id
    follow.perform(session, "vnf.change_flavour", id, body(file, given), how)


@vnf.command("change-package")
@click.argument("vnf")
@click.argument("package")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Configurable property; may be repeated.")
@click.option("--keep", is_flag=True, help="Do not go back by itself when the new software is not healthy.")
@follow.lifecycle
@command
def change_package(
    session: Session,
    vnf: str,
    package: str,
    settings: tuple[str, ...],
    keep: bool,
    file: str | None,
    how: follow.How,
) -> None:
    """Update a running VNF to another PACKAGE of the same product."""
    given = {
        "vnfdId": find_package(session, package, "vnf").descriptor,
        "vnfConfigurableProperties": pairs(settings, "--set"),
        "additionalParams": {"rollbackOnFailure": False} if keep else {},
    }
    id = find(session, vnf).id
    follow.perform(session, "vnf.change_package", id, body(file, given), how)
