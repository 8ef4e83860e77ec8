"""Commands that work on this machine without a running node, or start one: `up`, `restore`, `lint`, `doctor`,
`package build`, `package import` and `package sign`.

They stand beside the wiring because they may import every package; the CLI, which may not, knows them by name.
"""

from __future__ import annotations

import os
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

if TYPE_CHECKING:
    from skerry.machine import Finding

OPTIONS = "SOL004 option: 1 signs the manifest, 2 makes a zip file of package, signature and certificate."
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
@click.option(
    "--trust-store",
    type=PATH,
    default=None,
    help="Check signatures too; the signer must lead to a PEM file of this folder.",
)
def lint(source: Path, as_json: bool, strict: bool, trust_store: Path | None) -> None:
    """Check SOURCE, a package file or folder: every fault with its place and what to do. Exits 5 if there are faults."""
    from skerry.errors import NotFoundError  # noqa: PLC0415
    from skerry.packages import Trust  # noqa: PLC0415  # brings the YAML reader
    from skerry.packages import lint as check  # noqa: PLC0415

    if not source.exists():
        raise NotFoundError(f"cannot find {source}", suggestion="name a package file or folder")
    trust = Trust(policy="require", store=trust_store, now=datetime.now(UTC)) if trust_store else None
    errors, warnings, package = check(source, trust=trust)
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
    if appd := getattr(package, "appd", None):
        return f"AppD {appd.app_name} {appd.app_d_version}" + (" and its VNFD" if package.nfv else "")
    if vnfd := getattr(package, "vnfd", None):
        return f"VNFD {vnfd.product_name} {vnfd.version}"
    kind = "NSD" if hasattr(package, "nsd") else "PNFD"
    found = getattr(package, kind.lower())
    return f"{kind} {found.name} {found.version}"


@click.command()
@click.argument("folder", type=PATH)
@click.option(
    "--output",
    "-o",
    "target",
    type=PATH,
    default=None,
    help="File to write; default FOLDER.csar, signed as a whole .zip.",
)
@click.option("--sign", "key", type=PATH, default=None, metavar="KEY", help="Sign it with this private key (PEM).")
@click.option("--cert", type=PATH, default=None, help="Certificate of the key, then those above it (PEM).")
@click.option("--option", type=click.IntRange(1, 2), default=1, show_default=True, help=OPTIONS)
@click.option("--passphrase-file", type=PATH, default=None, help="File whose first line is the passphrase of the key.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def build(
    folder: Path,
    target: Path | None,
    key: Path | None,
    cert: Path | None,
    option: Literal[1, 2],
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """Make a package file of FOLDER, with TOSCA.meta and manifest, and check it. Exits 5 if it has faults."""
    from skerry.packages import build as make  # noqa: PLC0415  # brings the YAML reader

    if (key is None) != (cert is None):
        raise click.UsageError("--sign and --cert go together")
    if key is None or cert is None:
        _made(make(folder, target or folder.resolve().with_suffix(".csar")), as_json)
        return
    from skerry.packages import Signing, sign  # noqa: PLC0415

    dest = target or folder.resolve().with_suffix(".csar" if option == 1 else ".zip")
    with tempfile.TemporaryDirectory(prefix=".build-", dir=dest.parent) as scratch:
        plain = make(folder, Path(scratch) / f"{dest.stem}.csar")
        signing = Signing(key=key, certificate=cert, option=option, passphrase_file=passphrase_file)
        _made(sign(plain, dest, signing, now=datetime.now(UTC)), as_json)


@click.command()
@click.argument("source", metavar="FILE", type=PATH)
@click.option(
    "--output", "-o", "target", type=PATH, default=None, help="File to write; default FILE itself, with option 2 .zip."
)
@click.option("--key", type=PATH, required=True, help="Private key (PEM).")
@click.option("--cert", type=PATH, required=True, help="Certificate of the key, then those above it (PEM).")
@click.option("--option", type=click.IntRange(1, 2), default=1, show_default=True, help=OPTIONS)
@click.option("--passphrase-file", type=PATH, default=None, help="File whose first line is the passphrase of the key.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def sign(
    source: Path,
    target: Path | None,
    key: Path,
    cert: Path,
    option: Literal[1, 2],
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """Sign the package FILE as SOL004 has it, in place of an older signature. Exits 5 if it or the key has faults."""
    from skerry.errors import NotFoundError  # noqa: PLC0415
    from skerry.packages import Signing  # noqa: PLC0415  # brings the YAML reader
    from skerry.packages import sign as make  # noqa: PLC0415

    if not source.exists():
        raise NotFoundError(f"cannot find {source}", suggestion="name a package file")
    signing = Signing(key=key, certificate=cert, option=option, passphrase_file=passphrase_file)
    dest = target or (source if option == 1 else source.with_suffix(".zip"))
    _made(make(source, dest, signing, now=datetime.now(UTC)), as_json)


def _made(made: Path, as_json: bool) -> None:
    if as_json:
        import msgspec  # noqa: PLC0415

        click.echo(msgspec.json.encode({"file": str(made)}))
    else:
        click.echo(str(made))


@click.command("import")
@click.argument("manifest", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option("--to", "target", type=PATH, required=True, help="Folder to make; it must not hold a package yet.")
@click.option(
    "--image",
    "images",
    multiple=True,
    metavar="NAME=SOURCE",
    help="Source (host:PROGRAM or docker://NAME) of the image NAME of the manifest; may be repeated.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def import_(manifest: str, target: Path, images: tuple[str, ...], as_json: bool) -> None:
    """Make a package folder of the Kubernetes MANIFEST (- reads standard input), as `helm template` prints it: Deployments
    of one container, Services, ConfigMaps. Exits 5 with every fault if it holds anything else."""
    from skerry.errors import ConflictError  # noqa: PLC0415
    from skerry.packages import Limits, read_manifests  # noqa: PLC0415  # brings the YAML reader

    sources = {name: source for name, _, source in (text.partition("=") for text in images)}
    if not all(source.startswith(("host:", "docker://")) for source in sources.values()):
        raise click.UsageError("--image takes NAME=host:PROGRAM or NAME=docker://NAME")
    if (target / "Definitions").exists():
        raise ConflictError(f"cannot write into {target}: it holds a package", suggestion="name a new folder")
    limits = Limits()
    with click.open_file(manifest, "rb") as stream:
        data = stream.read(limits.max_yaml_bytes + 1)  # one byte more is refused by the reader
    made = read_manifests(data, Path(manifest).name, images=sources, limits=limits)
    for note in made.notes:
        click.echo(f"note: {note}", err=True)
    file = target / "Definitions" / f"{made.name}.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(made.template, encoding="utf-8")
    _made(target, as_json)


def archive_of(source: Path, scratch: Path) -> Path:
    """SOURCE itself, or the package file made of it in `scratch` where it is a folder."""
    from skerry.packages import build as make  # noqa: PLC0415  # brings the YAML reader

    return make(source, scratch / f"{source.resolve().name}.csar") if source.is_dir() else source


def kind_of(archive: Path) -> str:
    """`vnf`, `ns` or `app`: what a package holds. `InvalidError` lists every fault, before anything is uploaded."""
    from skerry.packages import read  # noqa: PLC0415

    found = read(archive)
    return "app" if hasattr(found, "appd") else "vnf" if hasattr(found, "vnfd") else "ns"


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


@click.command()
@click.argument("source", type=PATH)
@click.option("--output", "-o", "target", type=PATH, required=True, help="Folder to write into.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def convert(source: Path, target: Path, as_json: bool) -> None:
    """Convert between AppD and NFV: of the application package SOURCE, a VNF package and an NSD; of a VNF package, the
    AppD."""
    import msgspec  # noqa: PLC0415

    from skerry.errors import InvalidError  # noqa: PLC0415
    from skerry.packages import appd_nfv, read  # noqa: PLC0415  # brings the YAML reader

    target.mkdir(parents=True, exist_ok=True)
    package: Any = read(source)
    if hasattr(package, "appd"):
        made = list(appd_nfv.build_nfv(source, target, package.appd, package.nfv.vnfd if package.nfv else None))
    elif hasattr(package, "vnfd"):
        made = [target / "appd.json"]
        made[0].write_bytes(msgspec.json.format(msgspec.json.encode(appd_nfv.appd_of(package.vnfd)), indent=2) + b"\n")
    else:
        raise InvalidError(
            f"cannot convert {source}: it holds neither AppD nor VNFD", suggestion="name an application or VNF package"
        )
    if as_json:
        click.echo(msgspec.json.encode({"files": [str(file) for file in made]}))
    else:
        click.echo("\n".join(str(file) for file in made))
