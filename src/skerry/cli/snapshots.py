"""`skerry vnf snapshot`: keep what a VNF has written, and go back to it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from skerry.cli import follow, output
from skerry.cli.lazy import Lazy
from skerry.cli.session import Session, body, command, pick
from skerry.cli.vnf import find
from skerry.client.views import SnapshotView
from skerry.errors import InvalidError, SkerryError


@click.group(cls=Lazy)
def snapshot() -> None:
    """Create, list, revert to and delete snapshots of VNFs."""


def find_snapshot(session: Session, wanted: str, vnf: str = "") -> SnapshotView:
    """The snapshot that a name or id means."""
    return pick(session.node.snapshots(vnf), wanted, "VNF snapshot")


@snapshot.command("list")
@click.argument("vnf", default="")
@command
def list_(session: Session, vnf: str) -> None:
    """List snapshots, of all VNFs or of VNF."""
    found = session.node.snapshots(find(session, vnf).id if vnf else "")
    if session.as_json:
        session.emit(found)
        return
    now = datetime.now(UTC)
    rows = [
        (
            output.short(s.id),
            s.name,
            s.vnf_name or output.short(s.vnf),
            s.state,
            ", ".join(s.vnfcs),
            output.size(s.size_bytes),
            output.ago(s.taken_at, now),
        )
        for s in found
    ]
    output.table(("ID", "NAME", "VNF", "STATE", "VNFCS", "SIZE", "AGE"), rows)


@snapshot.command()
@click.argument("vnf")
@click.option("--name", default="", help="Name of the snapshot.")
@follow.lifecycle
@command
def create(session: Session, vnf: str, name: str, file: str | None, how: follow.How) -> None:
    """Keep what the VNFCs of a VNF have written, as images on their infrastructure. The VNF goes on meanwhile."""
    view = find(session, vnf)
    given = body(file, {"userDefinedData": {"name": name} if name else {}})
    made = session.node.create_snapshot()
    try:
        asked = {**given, "vnfSnapshotInfoId": made}
        follow.perform(session, "vnf.create_snapshot", view.id, asked, how)
    except SkerryError:
        session.node.delete_snapshot(made)
        raise
    if how.dry_run:
        session.node.delete_snapshot(made)
    elif not session.as_json:
        click.echo(made)


@snapshot.command()
@click.argument("vnf")
@click.argument("wanted", metavar="SNAPSHOT")
@follow.lifecycle
@command
def revert(session: Session, vnf: str, wanted: str, file: str | None, how: follow.How) -> None:
    """Replace the VNFCs of a VNF by ones from SNAPSHOT. They keep their addresses; what they wrote since is lost."""
    view = find(session, vnf)
    fitting = [s for s in session.node.snapshots() if s.vnf == view.id or (s.brought and s.vnfd_id == view.vnfd_id)]
    chosen = pick(fitting, wanted, "VNF snapshot")
    asked = body(file, {"vnfSnapshotInfoId": chosen.id})
    follow.perform(session, "vnf.revert_to_snapshot", view.id, asked, how)


@snapshot.command()
@click.argument("wanted", metavar="SNAPSHOT")
@click.option("--output", "-o", "target", type=click.Path(path_type=Path), required=True, help="File to write.")
@command
def export(session: Session, wanted: str, target: Path) -> None:
    """Write SNAPSHOT with its images into a file that other nodes take (SOL005)."""
    chosen = find_snapshot(session, wanted)
    with output.waiting(f"packing {chosen.name} ({output.size(chosen.size_bytes)})"):
        size = session.node.export_snapshot(chosen.id, chosen.name, target)
    if session.as_json:
        session.emit({"id": chosen.id, "file": str(target), "bytes": size})


@snapshot.command("import")
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("vnf")
@command
def import_(session: Session, source: Path, vnf: str) -> None:
    """Make the file SOURCE a snapshot that VNF can be reverted to. It has the VNFD and the flavour of the one that it is of."""
    view = find(session, vnf)
    try:
        with output.waiting(f"sending {source.name}"):
            made = session.node.import_snapshot(source, view.id)
    except OSError as error:
        raise InvalidError(f"cannot read {source}: {error.strerror}", suggestion="name a file of an export") from error
    if session.as_json:
        session.emit({"id": made})
    else:
        click.echo(made)


@snapshot.command()
@click.argument("wanted", metavar="SNAPSHOT")
@command
def delete(session: Session, wanted: str) -> None:
    """Delete a snapshot with its images."""
    chosen = find_snapshot(session, wanted)
    session.node.delete_snapshot(chosen.id)
    if session.as_json:
        session.emit({"deleted": chosen.id})
