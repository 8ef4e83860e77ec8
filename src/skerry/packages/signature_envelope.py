"""Option 2 of SOL004 clause 5.1: a zip file that holds the CSAR, its CMS signature and perhaps the certificate of that.

The CSAR inside is copied to a nameless temporary file, of a size that is bounded before, so that it can be read as others are.
"""

from __future__ import annotations

import os
import posixpath
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from skerry.packages.archive import BROKEN, Archive, chunks, open_zip, opened, replacing, unreadable
from skerry.packages.limits import Limits
from skerry.packages.report import Report
from skerry.packages.signature import Inspection

CSARS = (".csar", ".zip")
SIGNATURES = (".cms", ".p7s", ".p7m", ".sm", ".sig")
CERTIFICATES = (".cert", ".crt", ".cer", ".pem")
_TEMPLATES = (".yaml", ".yml", ".meta", ".mf")
_CHUNK = 256 * 1024


class Envelope(NamedTuple):
    """Names of what the zip file holds; `certificate` may be empty."""

    csar: str
    signature: str
    certificate: str


def is_envelope(archive: Archive) -> bool:
    """Whether these are the files of option 2: a CSAR in the root, and nothing of which a CSAR consists."""
    names = list(archive.sizes)
    return len(_ending(names, CSARS)) == 1 and not any("/" in name or name.endswith(_TEMPLATES) for name in names)


def _ending(names: list[str], suffixes: tuple[str, ...]) -> list[str]:
    return [name for name in names if posixpath.splitext(name)[1].lower() in suffixes]


@contextmanager
def inside(archive: Archive, source: Path | bytes, inspection: Inspection) -> Generator[Archive | None, None, None]:
    """The package itself: `archive`, or the CSAR in it. None, with faults, if it or its signature cannot be accepted."""
    if not is_envelope(archive):
        yield archive
        return
    with tempfile.TemporaryFile(dir=_scratch(source)) as copy:
        envelope = _parts(archive, inspection.report)
        if envelope is None or not _copied(archive, envelope.csar, copy, inspection.report):
            yield None
            return
        _seal(archive, envelope, copy, inspection)
        inner = (
            None if inspection.report.errors else open_zip(envelope.csar, copy, inspection.limits, inspection.report)
        )
        yield None if inspection.report.errors else inner
        if inner is not None:
            inner.close()


def unwrap(source: Path, dest: Path, *, limits: Limits | None = None) -> bool:
    """Copy the CSAR of an option 2 zip file to `dest`, whole or not at all. False, and nothing is done, for other packages.

    Signatures are not looked at: `read` does that. Raises `InvalidError` if the zip file is not safe.
    """
    limits = limits or Limits()
    report = Report(limit=limits.max_faults)
    with opened(source, limits, report) as archive:
        report.raise_errors(f"package {source.name}")
        if archive is None or not is_envelope(archive):
            return False
        with replacing(dest) as partial, partial.open("wb") as target:
            _copied(archive, _ending(list(archive.sizes), CSARS)[0], target, report)
            report.raise_errors(f"package {source.name}")
    return True


def _scratch(source: Path | bytes) -> Path | None:
    """Where the package is there is space for it; elsewhere only if nothing can be written there."""
    if isinstance(source, Path) and os.access(source.parent, os.W_OK):
        return source.parent
    return None


def _parts(archive: Archive, report: Report) -> Envelope | None:
    names = list(archive.sizes)
    signatures, certificates = _ending(names, SIGNATURES), _ending(names, CERTIFICATES)
    csar = _ending(names, CSARS)[0]
    if len(signatures) == 1 and len(certificates) <= 1:
        for name in set(names) - {csar, *signatures, *certificates}:
            fix = "put it into the CSAR"
            report.warning("signature-envelope", f"{name} is not read: it stands beside the CSAR", file=name, fix=fix)
        return Envelope(csar, signatures[0], "".join(certificates))
    if signatures:
        text = f"cannot tell which signature or certificate is that of {csar}"
        report.error("signature-envelope", text, file=csar, fix="keep one file .cms and one file .cert")
    else:
        text = f"cannot find the signature of {csar}"
        report.error("signature-missing", text, file=csar, fix="add its CMS signature (.cms), or give the CSAR alone")
    return None


def _copied(archive: Archive, name: str, target: IO[bytes], report: Report) -> bool:
    try:
        for piece in chunks(archive, name):
            target.write(piece)
    except BROKEN as error:
        unreadable(name, error, report)
        return False
    target.flush()
    return True


def _seal(archive: Archive, envelope: Envelope, copy: IO[bytes], inspection: Inspection) -> None:
    if not inspection.active:
        inspection.sealed = inspection.told(2, "")
        return
    named = envelope.certificate
    pool = inspection.certificates(archive, named, named) if named else b""
    signature = inspection.file(archive, envelope.signature, envelope.signature)
    if inspection.report.errors or not signature:
        return
    size = archive.sizes[envelope.csar]
    signer = inspection.check(envelope.csar, envelope.signature, _pieces(copy), size, signature, pool)
    inspection.sealed = inspection.told(2, signer, pool)


def _pieces(stream: IO[bytes]) -> Iterator[bytes]:
    stream.seek(0)
    while piece := stream.read(_CHUNK):
        yield piece
