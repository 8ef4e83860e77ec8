"""The archive of a VNF snapshot package (SOL010): a zip with a manifest that has the digest of every file in it and of every
image that is kept outside.

`snapshot.json` is the snapshot's record, `vnf_state` the state of its VNF, `vnfd.zip` its descriptor, `images/` has the images
of its VNFCs, stored as they are: they are compressed already. What is read here may be made to harm; everything wrong with it
is told at once.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from skerry.errors import Fault, InvalidError, TooLargeError
from skerry.model.vnf import VnfcSnapshot, VnfSnapshotInfo

if TYPE_CHECKING:
    from skerry.packages.archive import Archive
    from skerry.packages.report import Report

RECORD = "snapshot.json"
STATE = "vnf_state"
VNFD = "vnfd.zip"
MANIFEST = "snapshot.mf"
META = "TOSCA-Metadata/TOSCA.meta"
IMAGES = "images"
MOST_RECORD_BYTES = 16 << 20
MOST_VNFCS = 1000
_META = "TOSCA-Meta-File-Version: 1.0\nCSAR-Version: 1.1\nCreated-By: Skerry\nETSI-Entry-Manifest: snapshot.mf\n"
_CHUNK = 1 << 20
_VNFC = re.compile(r"[A-Za-z0-9_.-]{1,200}")
UNIQUE = "vnf_snapshot_pkg_unique_id"


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What an archive has. `sums` are the SHA-256 of its files by path."""

    info: VnfSnapshotInfo
    sums: Mapping[str, str]
    unique_id: str = ""

    @property
    def artifacts(self) -> dict[str, str]:
        """Files besides the images and what describes the package."""
        own = {RECORD, VNFD, MANIFEST, META, *(one.path for one in self.info.vnfcs.values())}
        return {name: value for name, value in self.sums.items() if name not in own}

    @property
    def images(self) -> dict[str, VnfcSnapshot]:
        """VNFC → its image, of those that have a file."""
        return {name: one for name, one in self.info.vnfcs.items() if one.path or one.uri}


class Writer:
    """An archive in the making. Its functions block; `close` makes it whole."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._zip = zipfile.ZipFile(target, "w", allowZip64=True)
        self._sums: dict[str, str] = {}

    def add(self, name: str, data: bytes) -> None:
        """A file from memory."""
        self._zip.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
        self._sums[name] = hashlib.sha256(data).hexdigest()

    def add_file(self, name: str, source: Path) -> tuple[str, int]:
        """A file in pieces; its SHA-256 and size."""
        with source.open("rb") as given, self._zip.open(zipfile.ZipInfo(name), "w", force_zip64=True) as out:
            digest, size = hashlib.sha256(), 0
            while piece := given.read(_CHUNK):
                digest.update(piece)
                size += len(piece)
                out.write(piece)
        self._sums[name] = digest.hexdigest()
        return digest.hexdigest(), size

    def note(self, uri: str, checksum: str) -> None:
        """A file that is kept outside."""
        self._sums[uri] = checksum

    def close(self, **metadata: str) -> None:
        """Write the manifest; the archive is on the disk then."""
        self.add(META, _META.encode())
        lines = ["metadata:", *(f"  {name}: {value}" for name, value in metadata.items()), ""]
        for name, value in self._sums.items():
            lines += [f"Source: {name}", "Algorithm: SHA-256", f"Hash: {value}", ""]
        self._zip.writestr(zipfile.ZipInfo(MANIFEST), "\n".join(lines), zipfile.ZIP_DEFLATED)
        self._zip.close()
        with self._target.open("rb") as file:
            os.fsync(file.fileno())

    def abandon(self) -> None:
        """Let go of the file. A thread that still writes, of a building that was cancelled, lets go of it at its end."""
        with suppress(ValueError):
            self._zip.close()


def read(source: Path) -> Content:
    """What an archive has, every digest checked. `InvalidError` with every fault."""
    from skerry.packages.archive import opened, read_small  # noqa: PLC0415 - YAML readers load on first use only
    from skerry.packages.limits import Limits  # noqa: PLC0415
    from skerry.packages.manifest import parse_manifest, verify  # noqa: PLC0415
    from skerry.packages.report import Report  # noqa: PLC0415

    report = Report()
    with opened(source, Limits(), report) as archive:
        report.raise_errors("the archive")
        if archive is None or RECORD not in archive.sizes:
            fault = Fault(message="it is no VNF snapshot package", code="archive", fix=f"upload one that has {RECORD}")
            raise InvalidError("cannot use the archive: it is no VNF snapshot package", faults=[fault])
        info = _info(read_small(archive, RECORD, MOST_RECORD_BYTES, report) or b"", report)
        text = read_small(archive, MANIFEST, MOST_RECORD_BYTES, report) if MANIFEST in archive.sizes else b""
        manifest = parse_manifest((text or b"").decode(errors="replace"), MANIFEST, report)
        listed = {digest.source: digest.hash for digest in manifest.digests if digest.algorithm.upper() == "SHA-256"}
        sums = verify(archive, manifest.digests, report)
        _check_listed(archive, listed, info, report)
        for vnfc, one in info.vnfcs.items():
            _check_image(vnfc, one, sums, listed, report)
    report.raise_errors("the archive")
    return Content(info=info, sums=sums, unique_id=manifest.metadata.get(UNIQUE, "")[:255])


def _info(record: bytes, report: Report) -> VnfSnapshotInfo:
    """The record; an empty one and a fault where it is none."""
    nothing = VnfSnapshotInfo(id="")
    try:
        info = msgspec.json.decode(record, type=VnfSnapshotInfo)
    except msgspec.DecodeError as error:
        report.error("record", f"cannot read the snapshot's record: {str(error)[:200]}", file=RECORD)
        return nothing
    if info.vnf_instance is None or not info.vnf_instance_id or not info.finished_at:
        report.error("record", "cannot use the snapshot's record: it is of no finished snapshot", file=RECORD)
    if len(info.vnfcs) > MOST_VNFCS:
        report.error("record", f"cannot use a snapshot of more than {MOST_VNFCS} VNFCs", file=RECORD)
        return nothing
    for wrong in [name for name in info.vnfcs if not _VNFC.fullmatch(name)]:
        report.error("record", f"cannot use {wrong[:100]!r} as the name of a VNFC", file=RECORD)
    return info


def _check_listed(archive: Archive, listed: Mapping[str, str], info: VnfSnapshotInfo, report: Report) -> None:
    """Every file must be in the manifest. Packages without images of older nodes had none."""
    if MANIFEST not in archive.sizes:
        if any(one.path or one.uri for one in info.vnfcs.values()) or archive.sizes.keys() - {RECORD, STATE}:
            report.error("manifest", f"cannot accept the package: it has no manifest {MANIFEST}", fix="build it again")
        return
    for name in archive.sizes.keys() - listed.keys() - {MANIFEST}:
        report.error("manifest", f"cannot accept {name[:200]}: the manifest has no SHA-256 of it", file=MANIFEST)


def _check_image(
    vnfc: str, one: VnfcSnapshot, sums: Mapping[str, str], listed: Mapping[str, str], report: Report
) -> None:
    """The image of a VNFC is there, or outside, and has the checksum that the record promises."""
    where = one.path or one.uri
    if one.path and one.uri:
        report.error("image", f"cannot use the image of {vnfc}: it is both inside and outside", file=RECORD)
    elif one.path and one.path not in sums:
        report.error(
            "image-missing", f"cannot find the image of {vnfc}: {one.path[:200]}", file=RECORD, fix="build it again"
        )
    elif one.uri and (not one.uri.lower().startswith(("http://", "https://")) or one.uri not in listed):
        fix = "name it as the Source of an entry with a Hash"
        report.error(
            "image-missing", f"cannot use the image of {vnfc}: the manifest lacks its URI", file=RECORD, fix=fix
        )
    elif where and one.checksum.lower() != (sums.get(one.path) if one.path else listed[one.uri]):
        report.error(
            "image-checksum",
            f"cannot accept the image of {vnfc}: its checksum differs from the record's",
            file=RECORD,
            fix="build the package again",
        )


def descriptor(csar: Path) -> bytes:
    """The VNFD of a VNF package as a zip of its files. `TooLargeError`."""
    out = io.BytesIO()
    with zipfile.ZipFile(csar) as given, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        files = [info for info in given.infolist() if info.filename.endswith((".yaml", ".yml", ".meta"))]
        if sum(info.file_size for info in files) > MOST_RECORD_BYTES:
            raise TooLargeError("cannot put the VNFD into the package: it is too large")
        for info in files:
            made.writestr(zipfile.ZipInfo(info.filename), given.read(info))
    return out.getvalue()


def unpack(source: Path, path: str, target: Path) -> str:
    """Copy one file of an archive that was read before; its SHA-256."""
    digest = hashlib.sha256()
    with zipfile.ZipFile(source) as opened, opened.open(path) as given, target.open("wb") as out:
        while piece := given.read(_CHUNK):
            digest.update(piece)
            out.write(piece)
    return digest.hexdigest()


def digest_of(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
