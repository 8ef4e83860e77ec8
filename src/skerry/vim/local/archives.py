"""Reads what image archives say: OCI layouts (folder or tar) and Docker-style tars."""

from __future__ import annotations

import hashlib
import json
import platform
import tarfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Any, cast

import msgspec

from skerry.errors import InvalidError, TooLargeError, UnsupportedError

_DOCUMENT_MAX = 4 << 20
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "riscv64": "riscv64", "ppc64le": "ppc64le", "s390x": "s390x"}
_NESTING_MAX = 4
_DISKS = {b"QFI\xfb": "qcow2", b"KDMV": "vmdk", b"conectix": "vhd", b"vhdxfile": "vhdx"}


class Blob(msgspec.Struct, frozen=True):
    """A layer: its name in the archive and the SHA-256 that it must have ("" = not known; `plain` = of its plain tar)."""

    name: str
    sha256: str = ""
    plain: bool = False


class Manifest(msgspec.Struct, frozen=True):
    """An image: its OCI configuration object and its layers, lowest first."""

    config: Mapping[str, Any]
    layers: tuple[Blob, ...]


class Archive:
    """Named members of a folder or a tar; `open` is a context manager that gives a stream."""

    def __init__(self, opener: Callable[[str], AbstractContextManager[IO[bytes]]], names: Sequence[str]) -> None:
        self.open = opener
        self.names = frozenset(names)

    def document(self, name: str, sha256: str = "") -> Any:
        """A JSON document of bounded size, its digest checked where known."""
        with self.open(name) as stream:
            data = stream.read(_DOCUMENT_MAX + 1)
        if len(data) > _DOCUMENT_MAX:
            raise TooLargeError(f"cannot read the image: {name} is larger than {_DOCUMENT_MAX} bytes")
        if sha256 and hashlib.sha256(data).hexdigest() != sha256:
            raise InvalidError(f"cannot read the image: {name} does not have its digest", suggestion="fetch it again")
        try:
            return json.loads(data)
        except ValueError as wrong:
            raise InvalidError(f"cannot read the image: {name} is no JSON") from wrong


def folder(path: Path) -> Archive:
    """The members of an OCI layout folder."""

    @contextmanager
    def opened(name: str) -> Any:
        target = (path / name).resolve()
        if not target.is_relative_to(path.resolve()) or not target.is_file():
            raise InvalidError(f"cannot read the image: {path} has no {name}")
        with target.open("rb") as stream:
            yield stream

    top = [entry.name for entry in path.iterdir()]
    return Archive(opened, top)


@contextmanager
def tar(path: Path) -> Any:
    """The members of a tar archive (maybe compressed). `UnsupportedError` for the disk of a virtual machine."""
    kind = _disk_format(path)
    if kind:
        raise UnsupportedError(
            f"cannot run the image {path.name} as a container: it is a disk of a virtual machine ({kind})",
            suggestion="give a container image (an OCI archive, the output of docker save, a root directory), "
            "or choose a VIM that runs virtual machines",
        )
    try:
        with tarfile.open(path, "r:*") as opened:
            yield _tar_archive(opened)
    except tarfile.TarError as wrong:
        reason = str(wrong).splitlines()[0] if str(wrong) else "it ends too early"
        raise InvalidError(
            f"cannot read the image {path.name}: it is no whole tar archive ({reason})",
            suggestion="give an OCI archive or layout, the output of docker save, or a root directory",
        ) from wrong


def _disk_format(path: Path) -> str:
    """The format of a virtual disk by its first bytes, "" for anything else. Raw disks are known by their boot sector."""
    with path.open("rb") as file:
        head = file.read(512)
    if head[510:] == b"\x55\xaa":
        return "raw"
    return next((name for magic, name in _DISKS.items() if head.startswith(magic)), "")


def _tar_archive(opened: tarfile.TarFile) -> Archive:
    members = {member.name.removeprefix("./"): member for member in opened.getmembers()}

    @contextmanager
    def member(name: str) -> Any:
        stream = opened.extractfile(members[name]) if name in members else None
        if stream is None:
            raise InvalidError(f"cannot read the image: the archive has no {name}")
        with stream:
            yield stream

    return Archive(member, list(members))


def manifest(archive: Archive) -> Manifest:
    """The image in an archive, for this machine's architecture. `InvalidError` when it has none or is inconsistent."""
    try:
        if "index.json" in archive.names:
            return _oci(archive, archive.document("index.json"), 0)
        if "manifest.json" in archive.names:
            return _docker(archive)
    except (KeyError, TypeError, IndexError, AttributeError) as wrong:
        raise InvalidError(f"cannot read the image: its manifest lacks a part ({wrong})") from wrong
    raise InvalidError(
        "cannot read the image: it has neither index.json (OCI) nor manifest.json (Docker)",
        suggestion="make it with docker save, podman save or skopeo copy",
    )


def _oci(archive: Archive, index: Mapping[str, Any], depth: int) -> Manifest:
    if depth > _NESTING_MAX:
        raise InvalidError("cannot read the image: its indexes are nested too deep")
    entries = cast("list[dict[str, Any]]", index["manifests"])
    chosen = next((entry for entry in entries if _matches(entry)), None)
    if chosen is None:
        raise InvalidError(f"cannot use the image: it has no variant for {platform.machine()}")
    document = archive.document(*_blob(chosen["digest"]))
    if "manifests" in document:
        return _oci(archive, document, depth + 1)
    layers = tuple(Blob(*_blob(layer["digest"])) for layer in document["layers"])
    return Manifest(archive.document(*_blob(document["config"]["digest"])), layers)


def _matches(entry: dict[str, Any]) -> bool:
    wanted = ARCHITECTURES.get(platform.machine(), platform.machine())
    place: dict[str, str] = entry.get("platform") or {}
    return place.get("architecture", wanted) == wanted and place.get("os", "linux") == "linux"


def _blob(digest: str) -> tuple[str, str]:
    algorithm, _, value = digest.partition(":")
    if algorithm != "sha256" or len(value) != 64 or set(value) - set("0123456789abcdef"):
        raise InvalidError(f"cannot read the image: {digest} is no SHA-256 digest")
    return f"blobs/sha256/{value}", value


def _docker(archive: Archive) -> Manifest:
    first = archive.document("manifest.json")[0]
    config = archive.document(first["Config"])
    identities = [str(identity).removeprefix("sha256:") for identity in config["rootfs"]["diff_ids"]]
    if len(identities) != len(first["Layers"]):
        raise InvalidError("cannot read the image: its configuration and its manifest differ in the number of layers")
    pairs = zip(first["Layers"], identities, strict=True)
    return Manifest(config, tuple(Blob(name, identity, plain=True) for name, identity in pairs))
