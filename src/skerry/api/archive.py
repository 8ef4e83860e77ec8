"""Package archives over HTTP: received into a private file, sent whole or in ranges, read by path."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from starlette.responses import FileResponse, Response

from skerry.api import body
from skerry.api.route import Call
from skerry.errors import NotFoundError, TooLargeError

LARGEST_MEMBER = 1 << 30
"""A file of a package is sent from memory up to this size; zip bombs were refused when the package was onboarded."""


@asynccontextmanager
async def received(call: Call) -> AsyncGenerator[Path]:
    """The body as a file that is gone afterwards. `TooLargeError` over the limit of the settings."""
    settings = call.services.settings
    folder = settings.data_dir / "uploads"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        target = Path(scratch) / "package.zip"
        await body.save(call.request, target, settings.max_upload_bytes)
        yield target


def sent(path: Path) -> Response:
    """A whole archive; Starlette answers `Range` requests with 206 or 416."""
    return FileResponse(path, media_type="application/zip", filename=path.name)


def member(archive: Path, wanted: str) -> bytes:
    """One file of an archive. `NotFoundError` where it has none of that name."""
    name = str(PurePosixPath(wanted)).removeprefix("./")
    if not zipfile.is_zipfile(archive):
        if name in ("", archive.name):
            return archive.read_bytes()
        raise NotFoundError(f"cannot find {wanted} in the package", suggestion="list the package's artifacts")
    with zipfile.ZipFile(archive) as opened:
        try:
            entry = opened.getinfo(name)
        except KeyError as error:
            raise NotFoundError(
                f"cannot find {wanted} in the package", suggestion="the record lists the artifacts that it has"
            ) from error
        if entry.file_size > LARGEST_MEMBER:
            raise TooLargeError(
                f"cannot send {wanted} alone: {entry.file_size} bytes", suggestion="download the whole package"
            )
        return opened.read(entry)


def entry_definitions(archive: Path) -> str:
    """Path of the main service template: `Entry-Definitions` of TOSCA.meta, else the one YAML at the root."""
    with zipfile.ZipFile(archive) as opened:
        names = opened.namelist()
        if "TOSCA-Metadata/TOSCA.meta" in names:
            for line in opened.read("TOSCA-Metadata/TOSCA.meta").decode(errors="replace").splitlines():
                key, _, value = line.partition(":")
                if key.strip() == "Entry-Definitions":
                    return value.strip()
        roots = [name for name in names if "/" not in name and name.endswith((".yaml", ".yml"))]
    return roots[0] if roots else ""


def manifest(archive: Path) -> str:
    """Path of the manifest: `ETSI-Entry-Manifest` of TOSCA.meta, else the `.mf` at the root."""
    with zipfile.ZipFile(archive) as opened:
        names = opened.namelist()
        if "TOSCA-Metadata/TOSCA.meta" in names:
            for line in opened.read("TOSCA-Metadata/TOSCA.meta").decode(errors="replace").splitlines():
                key, _, value = line.partition(":")
                if key.strip() in ("ETSI-Entry-Manifest", "Entry-Manifest"):
                    return value.strip()
        roots = [name for name in names if "/" not in name and name.endswith(".mf")]
    if not roots:
        raise NotFoundError("cannot find a manifest: the package has none")
    return roots[0]


def definitions(archive: Path, accept: str) -> tuple[bytes, str]:
    """The descriptor: the main YAML alone where text is wanted or it imports nothing, else a zip of all YAML files."""
    if not zipfile.is_zipfile(archive):
        return archive.read_bytes(), "text/plain"
    entry = entry_definitions(archive)
    if "zip" not in accept and entry:
        return member(archive, entry), "text/plain"
    return _zipped_yaml(archive), "application/zip"


def _zipped_yaml(archive: Path) -> bytes:
    with tempfile.SpooledTemporaryFile(max_size=1 << 24) as out:
        spool: Any = out
        with zipfile.ZipFile(archive) as opened, zipfile.ZipFile(spool, "w", zipfile.ZIP_DEFLATED) as made:
            for name in opened.namelist():
                if name.endswith((".yaml", ".yml", ".meta")):
                    made.writestr(name, opened.read(name))
        out.seek(0)
        return out.read()
