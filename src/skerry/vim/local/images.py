"""The embedded driver's images: read-only layers by content, and an index from names to layers.

The functions block while they unpack: call them in a worker thread, one call per name at a time.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import subprocess
import uuid
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import IO, Any

import msgspec

from skerry.errors import DriverError, InvalidError, NotFoundError, UnsupportedError
from skerry.vim.driver import Image, ImageSpec
from skerry.vim.local import archives, export, hostpack, records, unpack

_SIGNALS = {"SIGTERM": 15, "SIGINT": 2, "SIGQUIT": 3, "SIGKILL": 9, "SIGHUP": 1, "SIGUSR1": 10, "SIGUSR2": 12}
_ALGORITHMS = {"sha-256": "sha256", "sha256": "sha256", "sha-512": "sha512", "sha512": "sha512"}
_GZIP, _BZIP2, _XZ = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0"
_PULL_S = 900


class StoredImage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An image of the index. `stamp` recognises a source that has changed; `layers` are lowest first."""

    name: str
    source: str
    stamp: str
    layers: tuple[str, ...]
    size_bytes: int = 0
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    env: dict[str, str] = {}
    folder: str = "/"
    user: str = ""
    stop_signal: int = 15

    def public(self) -> Image:
        identity = hashlib.sha256("".join(self.layers).encode()).hexdigest()[:12]
        return Image(
            id=identity,
            name=self.name,
            size_bytes=self.size_bytes,
            command=(*self.entrypoint, *self.command),
            env=self.env,
        )

    def config(self) -> dict[str, Any]:
        """How it is run, as the configuration object of an OCI image has it."""
        return {
            "Entrypoint": list(self.entrypoint),
            "Cmd": list(self.command),
            "Env": [f"{name}={value}" for name, value in sorted(self.env.items())],
            "WorkingDir": self.folder,
            "User": self.user,
            "StopSignal": str(self.stop_signal),
        }


class _Layer(msgspec.Struct, frozen=True):
    """A layer that is there: its key and its size."""

    key: str
    size_bytes: int


class Images:
    """The images in one folder. `max_bytes` and `max_files` bound what one layer may unpack to."""

    def __init__(self, folder: Path, *, max_bytes: int, max_files: int, tls_verify: bool) -> None:
        self._index = folder / "index"
        self._layers = folder / "layers"
        self._work = folder / "work"
        self._max_bytes, self._max_files, self._tls_verify = max_bytes, max_files, tls_verify

    def open(self) -> None:
        """Make the folders and remove what a crash left half unpacked."""
        shutil.rmtree(self._work, ignore_errors=True)
        records.prepare(self._index)
        for folder in (self._layers, self._work):
            folder.mkdir(parents=True, exist_ok=True)

    def layer(self, key: str) -> Path:
        return self._layers / key

    def get(self, name: str) -> StoredImage:
        """An image by name; `NotFoundError`."""
        image = records.read(self._file(name), StoredImage)
        if image is None:
            raise NotFoundError(
                f"cannot find the image {name}",
                suggestion="put the image into the package, or make it available under this name",
            )
        return image

    def all(self) -> list[StoredImage]:
        """Every image, by name."""
        found = (records.read(file, StoredImage) for file in self._index.glob("*.json"))
        return sorted((image for image in found if image), key=lambda image: image.name)

    def ensure(self, spec: ImageSpec) -> StoredImage:
        """Have the image. One that is there is returned at once, unless its local source was changed since."""
        known = records.read(self._file(spec.name), StoredImage)
        stamp = _stamp(spec.source)
        whole = known and all(self.layer(key).is_dir() for key in known.layers)
        if known and whole and (not stamp or (stamp == known.stamp and spec.source == known.source)):
            return known
        image = self._import(spec, stamp)
        records.write(self._file(spec.name), image)
        return image

    def snapshot(self, image: StoredImage, upper: Path) -> StoredImage:
        """`image` with one more layer: a copy of `upper`, deletions included. One that exists is returned as it is."""
        known = records.read(self._file(image.name), StoredImage)
        if known:
            return known
        work = self._work / uuid.uuid4().hex
        work.mkdir()
        try:
            _copied(upper, work)
            key = _content(work)
            size = sum(entry.lstat().st_size for entry in work.rglob("*") if not entry.is_dir())
            records.write_bytes(self._index / f"{key}.size", str(size).encode())
            _settled(work, self.layer(key))
        finally:
            shutil.rmtree(work, ignore_errors=True)
        below = sum(int((self._index / f"{one}.size").read_text()) for one in image.layers)
        made = msgspec.structs.replace(image, layers=(*image.layers, key), size_bytes=below + size)
        records.write(self._file(image.name), made)
        return made

    def export(self, name: str, target: Path, max_bytes: int) -> None:
        """Write an image into a file, with all its layers. `NotFoundError`, `TooLargeError`."""
        image = self.get(name)
        work = self._work / uuid.uuid4().hex
        work.mkdir()
        try:
            export.write(image.config(), [self.layer(key) for key in image.layers], target, work, max_bytes)
        except FileNotFoundError as gone:
            raise NotFoundError(f"cannot write the image {name} into a file: it was deleted meanwhile") from gone
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def delete(self, name: str, used: Collection[str]) -> None:
        """Forget an image and remove the layers that neither another image nor one of `used` needs."""
        image = records.read(self._file(name), StoredImage)
        self._file(name).unlink(missing_ok=True)
        if image is None:
            return
        needed = {key for other in self.all() for key in other.layers} | set(used)
        for key in set(image.layers) - needed:
            records.discard(self.layer(key))

    def _file(self, name: str) -> Path:
        return self._index / f"{hashlib.sha256(name.encode()).hexdigest()[:24]}.json"

    def _import(self, spec: ImageSpec, stamp: str) -> StoredImage:
        source = spec.source
        if source.startswith("host:"):
            return self._host(spec, stamp)
        if source.startswith("docker://"):
            return self._pull(spec, stamp)
        path = Path(source)
        if not path.exists():
            raise InvalidError(
                f"cannot make the image {spec.name} available: {source} does not exist",
                suggestion="give a file, a folder, host:PROGRAM or docker://REPOSITORY:TAG",
            )
        if path.is_dir():
            if (path / "oci-layout").is_file():
                return self._archive(spec, stamp, archives.folder(path))
            return self._root(spec, stamp, path)
        _verify(spec, path)
        with archives.tar(path) as archive:
            return self._archive(spec, stamp, archive)

    def _host(self, spec: ImageSpec, stamp: str) -> StoredImage:
        contents = hostpack.find(_host_names(spec.source))
        layer = self._layer(contents.key[:24], lambda folder: hostpack.pack(contents, folder))
        return StoredImage(
            name=spec.name,
            source=spec.source,
            stamp=stamp,
            layers=(layer.key,),
            size_bytes=layer.size_bytes,
            command=(contents.programs[0],),
            env=contents.env,
        )

    def _root(self, spec: ImageSpec, stamp: str, path: Path) -> StoredImage:
        layer = self._layer(
            hashlib.sha256(f"root {path} {stamp}".encode()).hexdigest()[:24], lambda to: _copied(path, to)
        )
        return StoredImage(
            name=spec.name, source=spec.source, stamp=stamp, layers=(layer.key,), size_bytes=layer.size_bytes
        )

    def _pull(self, spec: ImageSpec, stamp: str) -> StoredImage:
        skopeo = shutil.which("skopeo")
        if not skopeo:
            raise UnsupportedError(
                f"cannot pull {spec.source}: skopeo is not installed", suggestion="apt-get install skopeo"
            )
        target = self._work / uuid.uuid4().hex
        call = [skopeo, "copy", "--quiet", "--retry-times", "1", f"--src-tls-verify={str(self._tls_verify).lower()}"]
        try:
            _skopeo([*call, spec.source, f"oci:{target}:image"], spec.source)
            return self._archive(spec, stamp, archives.folder(target))
        finally:
            shutil.rmtree(target, ignore_errors=True)

    def _archive(self, spec: ImageSpec, stamp: str, archive: archives.Archive) -> StoredImage:
        manifest = archives.manifest(archive)
        layers = [self._blob(archive, blob) for blob in manifest.layers]
        config = manifest.config.get("config") or {}
        return StoredImage(
            name=spec.name,
            source=spec.source,
            stamp=stamp,
            layers=tuple(layer.key for layer in layers),
            size_bytes=sum(layer.size_bytes for layer in layers),
            entrypoint=tuple(config.get("Entrypoint") or ()),
            command=tuple(config.get("Cmd") or ()),
            env=_pairs(config.get("Env") or ()),
            folder=str(config.get("WorkingDir") or "/"),
            user=str(config.get("User") or ""),
            stop_signal=_signal(config),
        )

    def _blob(self, archive: archives.Archive, blob: archives.Blob) -> _Layer:
        with archive.open(blob.name) as stream:
            head, digest = _digest(stream)
        unpack.refuse_zstd(head)
        compressed = head.startswith((_GZIP, _BZIP2, _XZ))
        if blob.sha256 and digest != blob.sha256 and not (blob.plain and compressed):
            raise InvalidError(
                f"cannot use the image: its layer {blob.name} does not have its digest",
                suggestion="fetch the image again",
            )

        def fill(folder: Path) -> int:
            with archive.open(blob.name) as stream:
                return unpack.unpack(stream, folder, max_bytes=self._max_bytes, max_files=self._max_files)

        return self._layer(digest[:24], fill)

    def _layer(self, key: str, fill: Callable[[Path], int]) -> _Layer:
        """The layer of this content, filled into a folder of its own first, so that half a layer is never used."""
        folder, note = self.layer(key), self._index / f"{key}.size"
        if folder.is_dir() and note.exists():
            return _Layer(key, int(note.read_text()))
        work = self._work / uuid.uuid4().hex
        work.mkdir()
        work.chmod(0o755)
        try:
            size = fill(work)
            records.write_bytes(note, str(size).encode())
            _settled(work, folder)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        return _Layer(key, size)


def _settled(work: Path, folder: Path) -> None:
    """Put a filled layer in its place; another thread may have been faster with the same one."""
    try:
        work.rename(folder)
    except OSError as wrong:
        if wrong.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
            raise


def _host_names(source: str) -> list[str]:
    return [name.strip() for name in source.removeprefix("host:").split(",") if name.strip()]


def _stamp(source: str) -> str:
    """What changes when a local source changes; "" for a source that is gone or remote."""
    if source.startswith("docker://"):
        return ""
    if source.startswith("host:"):
        return hostpack.find(_host_names(source)).key
    path = Path(source)
    if not path.exists():
        return ""
    if not path.is_dir():
        info = path.stat()
        return f"{info.st_size}:{info.st_mtime_ns}:{info.st_ino}"
    marks = hashlib.sha256()
    for folder, _, files in os.walk(path):
        for name in sorted(files):
            info = Path(folder, name).lstat()
            marks.update(f"{folder}/{name}:{info.st_size}:{info.st_mtime_ns}:{info.st_mode}\n".encode())
    return marks.hexdigest()


def _copied(path: Path, target: Path) -> int:
    call = ["cp", "-a", "--reflink=auto", f"{path}/.", str(target)]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DriverError(f"cannot copy {path}: {done.stderr.strip()}", call=" ".join(call), answer=done.stderr)
    return sum(entry.lstat().st_size for entry in target.rglob("*") if not entry.is_dir())


def _content(root: Path) -> str:
    """The key of a layer by what is in it: names, owners, rights, extended attributes, contents."""
    digest = hashlib.sha256(b"snapshot")
    for folder, folders, files in os.walk(root):
        folders.sort()
        for name in sorted((*folders, *files)):
            path = Path(folder, name)
            info = path.lstat()
            marks = [(mark, os.getxattr(path, mark, follow_symlinks=False)) for mark in _marks(path)]
            digest.update(
                f"{path.relative_to(root)} {info.st_mode} {info.st_uid} {info.st_gid} {info.st_rdev} {marks}".encode()
            )
            if path.is_symlink():
                digest.update(str(path.readlink()).encode())
            elif path.is_file():
                with path.open("rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:24]


def _marks(path: Path) -> list[str]:
    return sorted(os.listxattr(path, follow_symlinks=False))


def _verify(spec: ImageSpec, path: Path) -> None:
    if not spec.checksum:
        return
    algorithm = _ALGORITHMS.get(spec.checksum_algorithm.lower() or "sha-256")
    if algorithm is None:
        raise UnsupportedError(f"cannot check {path}: the algorithm {spec.checksum_algorithm} is not known")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, algorithm).hexdigest()
    if found != spec.checksum.lower():
        raise InvalidError(
            f"cannot use the image {spec.name}: its checksum is {found}, not {spec.checksum}",
            suggestion="fetch the file again or correct the checksum in the package",
        )


def _skopeo(call: list[str], source: str) -> None:
    try:
        done = subprocess.run(
            call, capture_output=True, text=True, check=False, timeout=_PULL_S, stdin=subprocess.DEVNULL
        )
        answer = done.stderr.strip()
    except subprocess.TimeoutExpired:
        answer = f"no answer in {_PULL_S} s"
    else:
        if done.returncode == 0:
            return
    raise DriverError(
        f"cannot pull {source}: {answer.splitlines()[-1] if answer else 'skopeo failed'}",
        transient=True,
        call=" ".join(call),
        answer=answer,
        suggestion="check that the registry can be reached from here, or give the image as an archive or host:PROGRAM",
    )


def _pairs(env: Any) -> dict[str, str]:
    return dict(str(item).split("=", 1) for item in env if "=" in str(item))


def _signal(config: Mapping[str, Any]) -> int:
    name = str(config.get("StopSignal") or "SIGTERM")
    return int(name) if name.isdecimal() else _SIGNALS.get(name, 15)


def _digest(stream: IO[bytes]) -> tuple[bytes, str]:
    digest, head = hashlib.sha256(), b""
    while chunk := stream.read(1 << 20):
        head = head or chunk[:8]
        digest.update(chunk)
    return head, digest.hexdigest()
