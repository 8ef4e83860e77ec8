"""Writes an image of the index as an OCI archive that any driver takes: every layer, whiteouts as the standard has them.

Nothing is held in memory: layers go to a scratch folder first, since an archive names them by their digest. Equal images give
equal archives.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import platform
import stat
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, cast

import msgspec

from skerry.errors import TooLargeError, UnsupportedError
from skerry.vim.local.archives import ARCHITECTURES

_CAPABILITY = "security.capability"
_FOREIGN = ("trusted.overlay.redirect", "trusted.overlay.metacopy")
_MEDIA = "application/vnd.oci.image"


class _Layer(msgspec.Struct, frozen=True):
    """A packed layer: its file, its digest and that of what is in it."""

    path: Path
    digest: str
    plain: str


class _Counted(io.RawIOBase):
    """Passes bytes on, sums them up and stops at a bound of all that were written."""

    def __init__(self, file: IO[bytes], room: list[int]) -> None:
        super().__init__()
        self._file, self._room = file, room
        self.sum = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        piece = bytes(data)
        self._room[0] -= len(piece)
        if self._room[0] < 0:
            raise TooLargeError("cannot write the image into a file: it is too large", suggestion="raise the limit")
        self.sum.update(piece)
        return self._file.write(piece)


def write(inner: Mapping[str, Any], layers: list[Path], target: Path, scratch: Path, max_bytes: int) -> None:
    """The archive of an image whose layers are these folders, lowest first, and that is run as `inner` says (`config` of its
    configuration object). `TooLargeError` beyond `max_bytes`."""
    room = [max_bytes]
    packed = [_packed(folder, scratch / str(number), room) for number, folder in enumerate(layers)]
    config = json.dumps(_config(inner, packed), sort_keys=True).encode()
    manifest = json.dumps(_manifest(config, packed), sort_keys=True).encode()
    entry = {"mediaType": f"{_MEDIA}.manifest.v1+json", **_named(manifest), "platform": _platform()}
    index = json.dumps({"schemaVersion": 2, "manifests": [entry]}, sort_keys=True).encode()
    with tarfile.open(target, "w") as tar:
        _add(tar, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
        _add(tar, "index.json", index)
        for document in (manifest, config):
            _add(tar, f"blobs/sha256/{hashlib.sha256(document).hexdigest()}", document)
        for layer in {one.digest: one for one in packed}.values():
            info = tarfile.TarInfo(f"blobs/sha256/{layer.digest}")
            info.size = layer.path.stat().st_size
            with layer.path.open("rb") as file:
                tar.addfile(info, file)
            layer.path.unlink()


def _named(document: bytes) -> dict[str, Any]:
    return {"digest": f"sha256:{hashlib.sha256(document).hexdigest()}", "size": len(document)}


def _platform() -> dict[str, str]:
    return {"architecture": ARCHITECTURES.get(platform.machine(), platform.machine()), "os": "linux"}


def _config(inner: Mapping[str, Any], layers: list[_Layer]) -> dict[str, Any]:
    ids = [f"sha256:{layer.plain}" for layer in layers]
    return {**_platform(), "config": dict(inner), "rootfs": {"type": "layers", "diff_ids": ids}}


def _manifest(config: bytes, layers: list[_Layer]) -> dict[str, Any]:
    return {
        "schemaVersion": 2,
        "mediaType": f"{_MEDIA}.manifest.v1+json",
        "config": {"mediaType": f"{_MEDIA}.config.v1+json", **_named(config)},
        "layers": [
            {
                "mediaType": f"{_MEDIA}.layer.v1.tar+gzip",
                "digest": f"sha256:{layer.digest}",
                "size": layer.path.stat().st_size,
            }
            for layer in layers
        ],
    }


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def _packed(folder: Path, target: Path, room: list[int]) -> _Layer:
    """A layer as a compressed tar."""
    with target.open("wb") as file:
        outer = _Counted(file, room)
        with gzip.GzipFile(
            fileobj=cast("IO[bytes]", outer), mode="wb", compresslevel=1, mtime=0, filename=""
        ) as zipped:
            inner = _Counted(cast("IO[bytes]", zipped), [1 << 62])
            with tarfile.open(
                fileobj=cast("IO[bytes]", inner), mode="w|", format=tarfile.PAX_FORMAT, bufsize=1 << 18
            ) as tar:
                _fill(tar, folder)
    return _Layer(target, outer.sum.hexdigest(), inner.sum.hexdigest())


def _fill(tar: tarfile.TarFile, root: Path) -> None:
    linked: dict[tuple[int, int], str] = {}
    for path in _walk(root):
        name, status = path.relative_to(root).as_posix(), path.lstat()
        for foreign in _FOREIGN:
            if _mark(path, foreign) is not None:
                raise UnsupportedError(f"cannot write the image into a file: {name} is one that the kernel moved")
        info = _info(name, path, status)
        if info is None:
            continue
        if info.isreg() and status.st_nlink > 1 and stat.S_ISREG(status.st_mode):
            first = linked.setdefault((status.st_dev, status.st_ino), name)
            if first != name:
                info.type, info.linkname, info.size = tarfile.LNKTYPE, first, 0
        if info.isreg() and info.size:
            with path.open("rb") as file:
                tar.addfile(info, file)
        else:
            tar.addfile(info)
        if info.isdir() and _mark(path, "trusted.overlay.opaque") == b"y":
            tar.addfile(tarfile.TarInfo(f"{name}/.wh..wh..opq"))


def _walk(folder: Path) -> Iterator[Path]:
    """Everything below, each folder before what is in it; links are not followed."""
    with os.scandir(folder) as entries:
        found = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
    for name, is_folder in found:
        yield folder / name
        if is_folder:
            yield from _walk(folder / name)


def _info(name: str, path: Path, status: os.stat_result) -> tarfile.TarInfo | None:
    """The header of an entry; None for what images do not have (devices, sockets)."""
    info = tarfile.TarInfo(name)
    if stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
        folder, _, last = name.rpartition("/")
        return tarfile.TarInfo(f"{folder}/.wh.{last}" if folder else f".wh.{last}")
    info.mode, info.uid, info.gid = stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid
    info.mtime = int(status.st_mtime)
    if stat.S_ISDIR(status.st_mode):
        info.type = tarfile.DIRTYPE
    elif stat.S_ISLNK(status.st_mode):
        info.type, info.linkname = tarfile.SYMTYPE, str(path.readlink())
    elif stat.S_ISFIFO(status.st_mode):
        info.type = tarfile.FIFOTYPE
    elif stat.S_ISREG(status.st_mode):
        info.size = status.st_size
        if capability := _mark(path, _CAPABILITY):
            info.pax_headers = _capability(capability)
    else:
        return None
    return info


def _capability(value: bytes) -> Mapping[str, str]:
    return {f"SCHILY.xattr.{_CAPABILITY}": value.decode("utf-8", "surrogateescape")}


def _mark(path: Path, name: str) -> bytes | None:
    """An extended attribute of a file itself; None where it has none of that name."""
    return os.getxattr(path, name, follow_symlinks=False) if name in os.listxattr(path, follow_symlinks=False) else None
