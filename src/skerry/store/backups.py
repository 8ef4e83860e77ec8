"""Backups of a node: one tar with the store, the package archives and a list of checksums, taken while the node works.

Nothing of a backup counts before all of it was checked. It holds what the store holds, secrets of infrastructures
included: the file is readable by its owner only. Tokens and certificates of the node are not in it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec

from skerry.errors import ConflictError, InvalidError, UnavailableError
from skerry.store import upkeep

STORE, PACKAGES, LIST = "skerry.db", "packages", "backup.json"
FORMAT = 1


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup says of itself: its format, whose it is, when it was taken (RFC 3339), name → SHA-256 of each file."""

    format: int
    node: str
    taken_at: str
    files: Mapping[str, str]


def take(data: Path, target: Path, *, node: str, now: str) -> int:
    """Write a backup of the node whose data folder is `data`; the answer is its size in bytes. The file appears whole or
    not at all. `ConflictError` if it exists, `UnavailableError` where the disk refuses."""
    if target.exists():
        raise ConflictError(f"cannot back up to {target}: it exists", suggestion="name a new file")
    partial = target.with_name(target.name + ".part")
    try:
        with tempfile.TemporaryDirectory(prefix=".backup-", dir=data) as scratch:
            found = _collect(data, Path(scratch))
            files = {name: _digest(path) for name, path in found.items()}
            contents = Contents(format=FORMAT, node=node, taken_at=now, files=files)
            _pack(partial, contents, found)
        partial.rename(target)
    except OSError as error:
        raise UnavailableError(
            f"cannot write the backup {target}: {error.strerror or error}",
            suggestion="check the disk's space and rights",
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    return target.stat().st_size


def _collect(data: Path, scratch: Path) -> dict[str, Path]:
    """A copy of the store, and links to the packages that are there before or after it was copied."""
    found = _linked(data / PACKAGES, scratch)
    upkeep.backup(data / STORE, scratch / STORE)
    return {STORE: scratch / STORE, **found, **_linked(data / PACKAGES, scratch)}


def _linked(packages: Path, scratch: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for archive in sorted(packages.glob("*.csar")):
        link = scratch / archive.name
        with contextlib.suppress(FileNotFoundError):  # it was deleted in this moment
            if not link.exists():
                os.link(archive, link)
            found[f"{PACKAGES}/{archive.name}"] = link
    return found


def _pack(target: Path, contents: Contents, found: Mapping[str, Path]) -> None:
    listed = found[STORE].with_name(LIST)
    listed.write_bytes(msgspec.json.encode(contents))
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        with tarfile.open(fileobj=file, mode="w") as tar:
            tar.add(listed, LIST, recursive=False)
            for name, path in found.items():
                tar.add(path, name, recursive=False)
        file.flush()
        os.fsync(file.fileno())


def check(file: Path) -> Contents:
    """What a backup holds, after all of it was compared with its checksums. `InvalidError` says what is wrong with it."""
    with tempfile.TemporaryDirectory() as scratch:
        return _unpack(file, Path(scratch))


def restore(file: Path, data: Path) -> Contents:
    """Put a backup in place of what the stopped node of this data folder keeps. The store that was there stays beside it
    as `skerry.db.before`; packages that are there and not in the backup stay."""
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        with tempfile.TemporaryDirectory(prefix=".restore-", dir=data) as scratch:
            contents = _unpack(file, Path(scratch))
            upkeep.restore(Path(scratch) / STORE, data / STORE)
            (data / PACKAGES).mkdir(exist_ok=True)
            for archive in (Path(scratch) / PACKAGES).glob("*.csar"):
                archive.replace(data / PACKAGES / archive.name)
    except OSError as error:
        raise UnavailableError(
            f"cannot restore into {data}: {error.strerror or error}", suggestion="check the disk's space and rights"
        ) from error
    return contents


def _unpack(file: Path, folder: Path) -> Contents:
    """Everything of the backup in a folder, checked."""
    try:
        with tarfile.open(file, "r:") as tar:
            listed = tar.extractfile(LIST)
            contents = msgspec.json.decode(listed.read() if listed else b"", type=Contents)
            _known(contents, file)
            (folder / PACKAGES).mkdir()
            for name, digest in contents.files.items():
                _extract(tar, name, digest, folder, file)
    except (tarfile.TarError, KeyError, EOFError, ValueError, msgspec.DecodeError) as error:
        raise _broken(file, f"it is damaged or no backup ({error})") from error
    except FileNotFoundError as error:
        raise InvalidError(f"cannot use {file} as a backup: it does not exist", suggestion="name a backup") from error
    upkeep.verify(folder / STORE)
    return contents


def _known(contents: Contents, file: Path) -> None:
    if contents.format > FORMAT:
        raise InvalidError(
            f"cannot use {file}: it has format {contents.format}, this program knows {FORMAT}",
            suggestion="install a newer Skerry",
        )
    wrong = [name for name in contents.files if name != STORE and Path(name).parent != Path(PACKAGES)]
    if wrong or STORE not in contents.files:
        raise _broken(file, f"it names files that no backup has: {', '.join(wrong) or 'and no store'}")


def _extract(tar: tarfile.TarFile, name: str, digest: str, folder: Path, file: Path) -> None:
    source = tar.extractfile(name)
    if source is None:
        raise _broken(file, f"{name} is no file")
    with source, (folder / name).open("wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
        target.flush()
        os.fsync(target.fileno())
    if _digest(folder / name) != digest:
        raise _broken(file, f"{name} does not have its checksum")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _broken(file: Path, why: str) -> InvalidError:
    return InvalidError(f"cannot use {file} as a backup: {why}", suggestion="choose another backup")
