"""Package archives over HTTP: received into a private file, sent whole or in ranges, read by path."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from starlette.responses import FileResponse, Response

from skerry.api import body
from skerry.api.problem import HttpError
from skerry.api.route import Call
from skerry.errors import NotFoundError, TooLargeError

RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
SIGNATURES = (".cms", ".sig", ".p7s", ".sm")
CERTIFICATES = (".cert", ".crt", ".pem")
IN_MEMORY = 8 << 20
"""A file of a package is sent from memory up to this size."""

LARGEST_MEMBER = 1 << 30
"""Files of a package are put into a zip up to this size; zip bombs were refused when the package was onboarded."""


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


def sent(path: Path, call: Call | None = None, media: str = "application/zip") -> Response:
    """A whole archive, or the ranges of it that the caller asks for (206). What begins behind its end is told as 416."""
    if call is not None:
        _require_within(call, path.stat().st_size)
    return FileResponse(path, media_type=media, filename=path.name)


def _require_within(call: Call, size: int) -> None:
    """416 for a range where there is nothing. A header that names no range of bytes does not count (RFC 9110 14.2), nor does an
    empty range of what may have changed; left in place, it would be refused in plain text."""
    wanted = call.request.headers.get("range", "").strip()
    ranges = [RANGE.fullmatch("bytes=" + one.strip()) for one in wanted.removeprefix("bytes=").split(",")]
    known = wanted.startswith("bytes=") and all(found and (found[1] or found[2]) for found in ranges)
    empty = known and any(_empty(found, size) for found in ranges if found)
    if empty and "if-range" not in call.request.headers:
        raise _beyond(wanted, size)
    if empty or not known:
        headers = call.request.scope["headers"]
        call.request.scope["headers"] = [(name, value) for name, value in headers if name != b"range"]


def _empty(found: re.Match[str], size: int) -> bool:
    """Whether a range has no byte of so many."""
    if not found[1]:
        return not int(found[2])
    return int(found[1]) >= size or (bool(found[2]) and int(found[2]) < int(found[1]))


class Passing(FileResponse):
    """A file that is there for one answer only."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Send it; it is gone afterwards, also when the caller hangs up."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            _remove(self.path)


def _remove(path: str | os.PathLike[str]) -> None:
    Path(path).unlink(missing_ok=True)


async def member_sent(call: Call, archive: Path, wanted: str, media: str) -> Response:
    """One file of an archive, whole or the range that is asked for. A large one never is in memory: it is sent from a file
    of its own. `NotFoundError` where the archive has none of that name."""
    entry = await asyncio.to_thread(_entry, archive, wanted)
    if entry is None or entry.file_size <= IN_MEMORY:
        return part(call, await asyncio.to_thread(member, archive, wanted), media)
    _require_within(call, entry.file_size)
    folder = call.services.settings.data_dir / "uploads"
    target = await asyncio.to_thread(_unpacked, archive, entry, folder)
    # the file is another one for each answer: what it holds is not
    return Passing(target, media_type=media, headers={"ETag": f'"{entry.CRC:08x}-{entry.file_size:x}"'})


def _entry(archive: Path, wanted: str) -> zipfile.ZipInfo | None:
    """What an archive says of one of its files; None where it is no zip, or has none of that name."""
    if not zipfile.is_zipfile(archive):
        return None
    with zipfile.ZipFile(archive) as opened:
        return opened.NameToInfo.get(_clean(wanted))


def require(archive: Path, wanted: str) -> None:
    """`NotFoundError` where an archive has no file of that name."""
    if _entry(archive, wanted) is None:
        member(archive, wanted)


def _unpacked(archive: Path, entry: zipfile.ZipInfo, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    number, name = tempfile.mkstemp(prefix="sending-", dir=folder)
    target = Path(name)
    try:
        with zipfile.ZipFile(archive) as opened, opened.open(entry) as source, open(number, "wb") as out:
            shutil.copyfileobj(source, out, 1 << 20)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return target


def whole(data: bytes, media: str) -> Response:
    """Bytes in memory. The type is a header of its own: Starlette would add a character set, which only the package knows."""
    return Response(data, headers={"Content-Type": media})


def part(call: Call, data: bytes, media: str) -> Response:
    """Bytes in memory, whole or the one range that is asked for (RFC 9110 14.2): 206, or 416 where there is nothing."""
    tag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
    headers = {"Accept-Ranges": "bytes", "ETag": tag, "Content-Type": media}
    wanted = call.request.headers.get("range", "")
    if not wanted or call.request.headers.get("if-range", tag) != tag:
        return Response(data, headers=headers)
    found = RANGE.fullmatch(wanted.strip())
    if found is None or not (found[1] or found[2]):
        return Response(data, headers=headers)  # of several ranges, or of another unit: the whole
    size = len(data)
    first = int(found[1]) if found[1] else max(0, size - int(found[2]))
    last = min(int(found[2]), size - 1) if found[1] and found[2] else size - 1
    if first >= size or last < first or (not found[1] and not int(found[2])):
        raise _beyond(wanted, size)
    headers["Content-Range"] = f"bytes {first}-{last}/{size}"
    return Response(data[first : last + 1], 206, headers)


def _beyond(wanted: str, size: int) -> HttpError:
    return HttpError(
        416,
        f"cannot send {wanted[:60]}: there are {size} bytes",
        suggestion="ask for a range inside of it",
        headers={"Content-Range": f"bytes */{size}"},
    )


def signed(archive: Path, name: str) -> bytes:
    """A file of an archive with what signs it, as a zip: its signature, and the certificates of the package."""
    with zipfile.ZipFile(archive) as opened:
        stem = name.rpartition(".")[0] or name
        signs = [
            other
            for other in opened.namelist()
            if other.endswith(SIGNATURES) and other.rpartition(".")[0] in (stem, name)
        ]
        certificates = [other for other in opened.namelist() if other.endswith(CERTIFICATES) and other not in signs]
    return zipped(archive, [name, *signs, *certificates])


def zipped(archive: Path, names: Sequence[str]) -> bytes:
    """These files of an archive as a zip. `TooLargeError` where they are too large to be sent in one piece."""
    with tempfile.SpooledTemporaryFile(max_size=1 << 24) as out:
        spool: Any = out
        with zipfile.ZipFile(archive) as opened, zipfile.ZipFile(spool, "w", zipfile.ZIP_DEFLATED) as made:
            if sum(opened.getinfo(name).file_size for name in names) > LARGEST_MEMBER:
                raise TooLargeError(
                    "cannot send these artifacts at once: they are too large", suggestion="download the whole package"
                )
            for name in names:
                made.writestr(opened.getinfo(name).filename, opened.read(name))
        out.seek(0)
        return out.read()


def _clean(wanted: str) -> str:
    return str(PurePosixPath(wanted)).removeprefix("./")


def member(archive: Path, wanted: str) -> bytes:
    """One file of an archive. `NotFoundError` where it has none of that name."""
    name = _clean(wanted)
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
    with zipfile.ZipFile(archive) as opened:
        names = [name for name in opened.namelist() if name.endswith((".yaml", ".yml", ".meta"))]
    return zipped(archive, names), "application/zip"
