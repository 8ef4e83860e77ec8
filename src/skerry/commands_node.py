"""Commands that work on this machine without a running node, or start one: `up`, `restore`, `lint`, `doctor`, `package build`.

They stand beside the wiring because they may import every package; the CLI, which may not, knows them by name.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from skerry.machine import Finding

PATH: Any = click.Path(path_type=Path)


@click.command()
@click.option("--config", type=PATH, default=None, help="Settings file; default /etc/skerry/skerry.toml or the user's.")
@click.option("--data-dir", type=PATH, default=None, help="Folder of everything that the node keeps.")
@click.option("--listen", default=None, metavar="ADDRESS", help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=None, help="Port to listen on; 0 takes any free one.")
@click.option("--plain", is_flag=True, default=None, help="HTTP without TLS, on a loopback address only.")
@click.option(
    "--vim", "vims", multiple=True, metavar="ID=TYPE", help="Infrastructure instead of those of the settings."
)
@click.option("--check", is_flag=True, help="Only check the settings and print them.")
def up(
    config: Path | None,
    data_dir: Path | None,
    listen: str | None,
    port: int | None,
    plain: bool | None,
    vims: tuple[str, ...],
    check: bool,
) -> None:
    """Start a node and serve its API until SIGTERM or Ctrl-C.

    The endpoint is printed when the node is ready. The CLI of the same user finds it by itself (with --data-dir: set
    SKERRY_DATA_DIR for the CLI too).
    """
    from skerry.settings import load  # noqa: PLC0415  # `skerry --help` shall not pay for a node

    given = {"data_dir": str(data_dir) if data_dir else None, "listen": listen, "port": port, "plain": plain}
    named = [{"id": id, "type": kind or id} for id, _, kind in (text.partition("=") for text in vims)]
    settings = load(config, os.environ, {**given, "vims": named or None})
    if check:
        import msgspec  # noqa: PLC0415

        click.echo(msgspec.json.format(msgspec.json.encode(settings, enc_hook=str), indent=2))
        return
    from skerry.serve import main  # noqa: PLC0415

    main(settings)


@click.command()
@click.argument("file", type=PATH)
@click.option("--config", type=PATH, default=None, help="Settings file; default /etc/skerry/skerry.toml or the user's.")
@click.option("--data-dir", type=PATH, default=None, help="Folder of everything that the node keeps.")
@click.option("--check", is_flag=True, help="Only check that FILE is a whole backup.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def restore(file: Path, config: Path | None, data_dir: Path | None, check: bool, as_json: bool) -> None:
    """Put the backup FILE in place of what the node of this machine keeps; the node must be stopped.

    Every part of FILE is checked first. The store that was there stays as skerry.db.before. After the next start,
    `skerry orphans` shows what infrastructure has that the backup does not know.
    """
    from skerry.settings import load  # noqa: PLC0415  # `skerry --help` shall not pay for a node
    from skerry.store import backups  # noqa: PLC0415

    folder = load(config, os.environ, {"data_dir": str(data_dir) if data_dir else None}).data_dir
    contents = backups.check(file) if check else backups.restore(file, folder)
    if as_json:
        import msgspec  # noqa: PLC0415

        click.echo(msgspec.json.encode({"checked": check, "folder": str(folder), "contents": contents}))
        return
    done = "is whole" if check else f"restored into {folder}"
    click.echo(f"{file}: of node {contents.node}, taken {contents.taken_at}, {len(contents.files)} files; {done}")
    if not check:
        click.echo("start the node, then look at `skerry orphans`", err=True)


@click.command()
@click.argument("source", type=PATH)
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
@click.option("--strict", is_flag=True, help="Warnings count as errors.")
def lint(source: Path, as_json: bool, strict: bool) -> None:
    """Check SOURCE, a package file or folder: every fault with its place and what to do. Exits 5 if there are faults."""
    from skerry.errors import NotFoundError  # noqa: PLC0415
    from skerry.packages import lint as check  # noqa: PLC0415  # brings the YAML reader

    if not source.exists():
        raise NotFoundError(f"cannot find {source}", suggestion="name a package file or folder")
    errors, warnings, package = check(source)
    if as_json:
        import msgspec  # noqa: PLC0415

        click.echo(msgspec.json.encode({"ok": not errors, "errors": errors, "warnings": warnings}))
    else:
        for fault in errors:
            click.echo(f"{click.style('error', fg='red')}   {fault}")
        for fault in warnings:
            click.echo(f"{click.style('warning', fg='yellow')} {fault}")
        click.echo(f"{source}: {len(errors)} errors, {len(warnings)} warnings, {_what(package)}", err=True)
    if errors or (strict and warnings):
        raise SystemExit(5)


def _what(package: Any) -> str:
    if package is None:
        return "not usable"
    vnfd = getattr(package, "vnfd", None)
    return f"VNFD {vnfd.product_name} {vnfd.version}" if vnfd else f"NSD {package.nsd.name} {package.nsd.version}"


@click.command()
@click.argument("folder", type=PATH)
@click.option("--output", "-o", "target", type=PATH, default=None, help="File to write; default FOLDER.csar.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def build(folder: Path, target: Path | None, as_json: bool) -> None:
    """Make a package file of FOLDER, with TOSCA.meta and manifest, and check it. Exits 5 if it has faults."""
    from skerry.packages import build as make  # noqa: PLC0415  # brings the YAML reader

    made = make(folder, target or folder.resolve().with_suffix(".csar"))
    if as_json:
        import msgspec  # noqa: PLC0415

        click.echo(msgspec.json.encode({"file": str(made)}))
    else:
        click.echo(str(made))


def archive_of(source: Path, scratch: Path) -> Path:
    """SOURCE itself, or the package file made of it in `scratch` where it is a folder."""
    from skerry.packages import build as make  # noqa: PLC0415  # brings the YAML reader

    return make(source, scratch / f"{source.resolve().name}.csar") if source.is_dir() else source


def kind_of(archive: Path) -> str:
    """`vnf` or `ns`: what a package holds. `InvalidError` lists every fault, before anything is uploaded."""
    from skerry.model.descriptors import VnfPackage  # noqa: PLC0415
    from skerry.packages import read  # noqa: PLC0415

    return "vnf" if isinstance(read(archive), VnfPackage) else "ns"


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def doctor(as_json: bool) -> None:
    """Report what this machine can do and what to install for more. Exits 7 if the embedded driver cannot work here."""
    from skerry.machine import examine  # noqa: PLC0415

    found = examine()
    if as_json:
        import msgspec  # noqa: PLC0415

        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2))
    else:
        _report(found)
    if any(finding.needed and not finding.present for finding in found):
        raise SystemExit(7)


def _report(found: list[Finding]) -> None:
    from skerry.cli.output import table  # noqa: PLC0415

    rows = [
        (
            f.area,
            f.name,
            "ok" if f.present else "missing" if f.needed else "no",
            f.detail,
            "" if f.present else f.remedy,
        )
        for f in found
    ]
    table(("AREA", "ABILITY", "STATE", "FOUND", "FOR MORE"), rows)
    missing = [f.name for f in found if f.needed and not f.present]
    told = (
        f"the embedded driver cannot work here: {', '.join(missing)}" if missing else "the embedded driver works here"
    )
    click.echo(told, err=True)
    sys.stderr.flush()
