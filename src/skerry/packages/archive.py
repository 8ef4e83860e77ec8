"""Opens a package safely: a zip file or a directory, seen as files by relative name.

Nothing is unpacked to disk. Before an entry is looked at, every name, type, size, ratio and the number of entries are
checked: paths that leave the package, absolute paths, links, devices, duplicates, encrypted entries, compression methods
whose memory cannot be bounded, overlapping entries and bombs are faults. Archives inside the package are files like others.
"""

from __future__ import annotations

import io
import os
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

from skerry.errors import InvalidError
from skerry.packages.limits import Limits
from skerry.packages.report import Report

_CHUNK = 256 * 1024
_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCAL_HEADER = 30
BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError, struct.error)
"""What reading a damaged entry may raise (`NotImplementedError` of zipfile is a `RuntimeError`)."""


class Archive(Protocol):
    """Files of a package by name (POSIX, relative, unique). Sizes are bytes."""

    label: str
    sizes: dict[str, int]

    def open(self, name: str) -> IO[bytes]:
        """A stream of the file's bytes."""
        ...

    def close(self) -> None:
        """Release the archive."""
        ...


class ZipArchive:
    """A zip file of which every entry was checked."""

    def __init__(self, label: str, file: zipfile.ZipFile, infos: dict[str, zipfile.ZipInfo]) -> None:
        self.label = label
        self._file = file
        self._infos = infos
        self.sizes = {name: info.file_size for name, info in infos.items()}

    def open(self, name: str) -> IO[bytes]:
        return self._file.open(self._infos[name])

    def close(self) -> None:
        self._file.close()


class FolderArchive:
    """A directory of which every entry was checked."""

    def __init__(self, root: Path, sizes: dict[str, int]) -> None:
        self.label = root.name
        self._root = root
        self.sizes = sizes

    def open(self, name: str) -> IO[bytes]:
        descriptor = os.open(self._root / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        return os.fdopen(descriptor, "rb")

    def close(self) -> None:
        """Nothing is held open."""


@contextmanager
def opened(source: Path | bytes, limits: Limits, report: Report) -> Generator[Archive | None, None, None]:
    """The package as an archive; None if it cannot be one (the report says why). Faulty entries are left out."""
    archive = _open(source, limits, report)
    try:
        yield archive
    finally:
        if archive is not None:
            archive.close()


def _open(source: Path | bytes, limits: Limits, report: Report) -> Archive | None:
    if isinstance(source, bytes):
        return open_zip("package", io.BytesIO(source), limits, report)
    if source.is_dir():
        return FolderArchive(source, _folder_sizes(source, limits, report))
    try:
        return open_zip(source.name, source.open("rb"), limits, report)
    except OSError as error:
        report.error("unreadable-package", f"cannot open {source.name}: {error.strerror}", fix="check the path")
        return None


def open_zip(label: str, stream: IO[bytes], limits: Limits, report: Report) -> Archive | None:
    """A zip file as an archive; None if it cannot be one (the report says why)."""
    try:
        if _directory_ok(stream, limits, report):
            file = zipfile.ZipFile(stream)
            return ZipArchive(label, file, _checked_infos(file, limits, report))
    except (*BROKEN, UnicodeDecodeError) as error:
        report.error(
            "not-a-zip", f"cannot read the package as a zip file: {str(error)[:120]}", fix="make the CSAR again"
        )
    stream.close()
    return None


def _directory_ok(stream: IO[bytes], limits: Limits, report: Report) -> bool:
    """Whether the central directory is small enough to be read into memory (it is, before any entry can be refused)."""
    size = stream.seek(0, os.SEEK_END)
    tail_size = min(size, _END.size + 65535 + _LOCATOR.size)
    stream.seek(size - tail_size)
    tail = stream.read(tail_size)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or at + _END.size > len(tail):
        report.error(
            "not-a-zip", "cannot find the end record of a zip file", fix="give a CSAR (zip) file or a directory"
        )
        return False
    fields = _END.unpack_from(tail, at)
    entries, directory = fields[4], fields[5]
    if at >= _LOCATOR.size and tail.startswith(b"PK\x06\x07", at - _LOCATOR.size):
        # Readers differ: the record is where the locator says, or just before the locator. The larger one counts.
        told, near = (
            _LOCATOR.unpack_from(tail, at - _LOCATOR.size)[2],
            size - tail_size + at - _LOCATOR.size - _END64.size,
        )
        for offset in (told, max(near, 0)):
            stream.seek(min(offset, size))
            record = stream.read(_END64.size)
            if len(record) == _END64.size and record.startswith(b"PK\x06\x06"):
                entries, directory = map(max, (entries, directory), _END64.unpack(record)[7:9])
    stream.seek(0)
    if directory > limits.max_directory_bytes or entries > limits.max_entries:
        report.error(
            "too-many-entries",
            f"cannot read a package of more than {limits.max_entries} entries",
            fix="put fewer files into it",
        )
        return False
    return True


def _checked_infos(file: zipfile.ZipFile, limits: Limits, report: Report) -> dict[str, zipfile.ZipInfo]:
    infos = file.infolist()
    if len(infos) > limits.max_entries:
        report.error(
            "too-many-entries",
            f"cannot read a package of more than {limits.max_entries} entries",
            fix="put fewer files into it",
        )
        return {}
    names = _Names(limits, report)
    good: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        if (
            names.accept(info.orig_filename, is_folder=info.is_dir())
            and _info_ok(info, limits, report)
            and not info.is_dir()
        ):
            good[info.filename] = info
    names.check_total(sum(info.file_size for info in infos))
    _check_ratio(list(good.values()), limits, report)
    _check_overlap(infos, report)
    return good


def _info_ok(info: zipfile.ZipInfo, limits: Limits, report: Report) -> bool:
    name = info.filename[:120]
    mode = info.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        report.error(
            "link-or-device",
            "cannot accept a link or special file",
            file=name,
            fix="put the file itself into the package",
        )
    elif info.flag_bits & 0x1:
        report.error(
            "encrypted-entry", "cannot read an encrypted entry", file=name, fix="store it without zip encryption"
        )
    elif info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        report.error(
            "compression-method", "cannot accept this compression method", file=name, fix="use deflate or store"
        )
    elif info.file_size > limits.max_entry_bytes:
        report.error(
            "entry-too-large",
            f"cannot accept an entry over {limits.max_entry_bytes} bytes",
            file=name,
            fix="refer to it from outside",
        )
    elif info.file_size > limits.ratio_floor_bytes and info.file_size > limits.max_ratio * max(info.compress_size, 1):
        report.error(
            "zip-bomb",
            f"cannot accept an entry that unpacks to more than {limits.max_ratio} times its size",
            file=name,
            fix="store the file in a compressed form of its own",
        )
    else:
        return True
    return False


def _check_ratio(infos: list[zipfile.ZipInfo], limits: Limits, report: Report) -> None:
    """Thousands of entries that are each too small for a ratio of their own are a bomb, too."""
    total, packed = sum(info.file_size for info in infos), sum(info.compress_size for info in infos)
    if total > limits.ratio_floor_bytes and total > limits.max_ratio * max(packed, 1):
        report.error(
            "zip-bomb",
            f"cannot accept a package that unpacks to more than {limits.max_ratio} times its size",
            fix="store its files in a compressed form of their own",
        )


def _check_overlap(infos: list[zipfile.ZipInfo], report: Report) -> None:
    """Two entries over the same bytes are how the densest bombs are made."""
    end = 0
    for info in sorted(infos, key=lambda item: item.header_offset):
        if info.header_offset < end:
            report.error(
                "overlapping-entries",
                "cannot accept entries that share their bytes",
                file=info.filename[:120],
                fix="make the CSAR again",
            )
            return
        end = info.header_offset + _LOCAL_HEADER + len(info.orig_filename) + info.compress_size


class _Names:
    """Checks names as they come: each safe, each once, no file that is also a folder."""

    def __init__(self, limits: Limits, report: Report) -> None:
        self._limits = limits
        self._report = report
        self._files: set[str] = set()
        self._folders: set[str] = set()

    def accept(self, name: str, *, is_folder: bool) -> bool:
        fault = unsafe(name.removesuffix("/") if is_folder else name, self._limits.max_path_length)
        if fault:
            self._report.error(
                "unsafe-path",
                f"cannot accept the entry {name[:120]!r}: {fault}",
                file=name[:120],
                fix="use relative names inside the package",
            )
            return False
        clean = name.rstrip("/")
        parents = clean.split("/")[:-1]
        folders = {"/".join(parents[: index + 1]) for index in range(len(parents))}
        if clean in self._files or (not is_folder and clean in self._folders) or folders & self._files:
            self._report.error(
                "duplicate-entry",
                f"cannot accept the entry {name[:120]!r} twice",
                file=name[:120],
                fix="keep one of them",
            )
            return False
        self._folders |= folders
        if is_folder:
            self._folders.add(clean)
        else:
            self._files.add(clean)
        return True

    def check_total(self, total: int) -> None:
        if total > self._limits.max_total_bytes:
            self._report.error(
                "package-too-large",
                f"cannot accept a package that unpacks to more than {self._limits.max_total_bytes} bytes",
                fix="refer to large images from outside",
            )


def unsafe(name: str, max_length: int = 512) -> str:
    """Why a name must not be used as a path inside a package; empty if it may."""
    if not name or len(name) > max_length:
        return "its length is wrong"
    if any(ord(char) < 32 or ord(char) == 127 or 0xD800 <= ord(char) <= 0xDFFF for char in name):
        return "it holds control characters"
    if name.startswith("/") or "\\" in name or name[1:2] == ":":
        return "it is absolute or not a POSIX path"
    if any(part in ("", ".", "..") for part in name.split("/")):
        return "it leaves the package or is not in its simplest form"
    return ""


def _folder_sizes(root: Path, limits: Limits, report: Report) -> dict[str, int]:
    names = _Names(limits, report)
    sizes: dict[str, int] = {}
    count = 0
    for folder, folders, files in os.walk(root):
        folders.sort()
        for entry in sorted(files) + folders:
            count += 1
            if count > limits.max_entries:
                report.error(
                    "too-many-entries",
                    f"cannot read a package of more than {limits.max_entries} entries",
                    fix="put fewer files into it",
                )
                return {}
            _add_file(root, Path(folder, entry), names, sizes, limits, report)
    names.check_total(sum(sizes.values()))
    return sizes


def _add_file(root: Path, path: Path, names: _Names, sizes: dict[str, int], limits: Limits, report: Report) -> None:
    name = path.relative_to(root).as_posix()
    status = path.lstat()
    is_folder = stat.S_ISDIR(status.st_mode)
    if not names.accept(name, is_folder=is_folder) or is_folder:
        return
    if not stat.S_ISREG(status.st_mode):
        report.error(
            "link-or-device",
            "cannot accept a link or special file",
            file=name,
            fix="put the file itself into the package",
        )
    elif status.st_size > limits.max_entry_bytes:
        report.error(
            "entry-too-large",
            f"cannot accept an entry over {limits.max_entry_bytes} bytes",
            file=name,
            fix="refer to it from outside",
        )
    else:
        sizes[name] = status.st_size


def chunks(archive: Archive, name: str) -> Iterator[bytes]:
    """The file's bytes in pieces; never more of them than the archive said.

    Raises one of `BROKEN` if the entry is damaged.
    """
    left = archive.sizes[name]
    with archive.open(name) as stream:
        while piece := stream.read(_CHUNK):
            left -= len(piece)
            if left < 0:
                raise zipfile.BadZipFile("the entry is longer than it says")
            yield piece
    if left:
        raise zipfile.BadZipFile("the entry is shorter than it says")


def read_small(archive: Archive, name: str, limit: int, report: Report) -> bytes | None:
    """The whole file if it is not over `limit` bytes; else None and a fault."""
    if archive.sizes[name] > limit:
        report.error(
            "file-too-large",
            f"cannot read more than {limit} bytes of this file",
            file=name,
            fix="make the file smaller",
        )
        return None
    try:
        return b"".join(chunks(archive, name))
    except BROKEN as error:
        unreadable(name, error, report)
        return None


def unreadable(name: str, error: BaseException, report: Report) -> None:
    """Record that an entry is damaged."""
    report.error("damaged-entry", f"cannot read this entry: {str(error)[:120]}", file=name, fix="make the CSAR again")


def open_artifact(csar: Path, path: str, *, limits: Limits | None = None) -> bytes:
    """The bytes of one file of a package. For large files use `extract_artifact`.

    Raises `InvalidError` if the package is unsafe or has no such file.
    """
    with _one(csar, path, limits or Limits()) as archive:
        return b"".join(chunks(archive, path))


def extract_artifact(csar: Path, path: str, dest: Path, *, limits: Limits | None = None) -> Path:
    """Copy one file of a package to `dest`, which appears whole or not at all (a temporary sibling is renamed).

    Raises `InvalidError` if the package is unsafe or has no such file; nothing is left behind then.
    """
    with _one(csar, path, limits or Limits()) as archive, replacing(dest) as partial, partial.open("wb") as target:
        for piece in chunks(archive, path):
            target.write(piece)
    return dest


@contextmanager
def replacing(dest: Path) -> Generator[Path, None, None]:
    """A new sibling of `dest` that takes its place at the end, or is removed if there is an error."""
    descriptor, name = tempfile.mkstemp(dir=dest.parent, prefix=f".{dest.name}.")
    os.close(descriptor)
    partial = Path(name)
    try:
        yield partial
        partial.replace(dest)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def _one(csar: Path, path: str, limits: Limits) -> Generator[Archive, None, None]:
    report = Report(limit=limits.max_faults)
    with opened(csar, limits, report) as archive:
        if archive is not None and path not in archive.sizes:
            report.error(
                "missing-file", f"cannot find {path[:200]} in {archive.label}", fix="use a path that the package lists"
            )
        report.raise_errors(f"package {csar.name}")
        assert archive is not None  # noqa: S101 - without archive the report has an error
        try:
            yield archive
        except BROKEN as error:
            if isinstance(error, OSError):
                raise
            raise InvalidError(
                f"cannot read {path} of {csar.name}: {error}", suggestion="make the CSAR again"
            ) from error
