"""Signs packages as SOL004 clause 5.1 has it: option 1 signs the manifest, option 2 the CSAR as a whole.

Order, times and rights in the archive are always the same; the signature itself holds the time at which it was made.
"""

from __future__ import annotations

import posixpath
import re
import tempfile
import zipfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec

from skerry.errors import InvalidError
from skerry.packages.archive import opened, replacing
from skerry.packages.building import RELEASE, copy, digest_entry, manifest_text, put, zip_info
from skerry.packages.limits import Limits
from skerry.packages.reading import META, Reading, lint, read
from skerry.packages.report import Report
from skerry.packages.signature import Inspection, Trust, separate, split
from skerry.packages.signature_cms import certificates, pem
from skerry.packages.signature_cms import sign as sign_content
from skerry.packages.signature_envelope import unwrap

_CHUNK = 256 * 1024
_SETS = re.compile(rb"^non_mano_artifact_sets:", re.MULTILINE)


class Signing(msgspec.Struct, frozen=True, kw_only=True):
    """With what to sign. `certificate` is a PEM file: the signer's certificate, then perhaps those between it and its root.

    OpenSSL alone reads `key` (PEM, perhaps encrypted) and `passphrase_file`, whose first line is the passphrase.
    """

    key: Path
    certificate: Path
    passphrase_file: Path | None = None
    option: Literal[1, 2] = 1


def sign(source: Path, dest: Path, signing: Signing, *, now: datetime, limits: Limits | None = None) -> Path:
    """Sign the package `source` (an older signature of it is replaced) and write the result to `dest`, whole or not at all.

    Option 1: the manifest, made if there is none, gets a digest of every file that it lacks. Option 2: the CSAR stays as it
    is, beside it are `.cms` and `.cert`. The result is checked before it is kept: `InvalidError` for a faulty package, a key
    that is not that of the certificate, or a certificate that is expired at `now` or not for signatures.
    """
    if source.is_dir():
        raise InvalidError(f"cannot sign the folder {source}", suggestion="use `skerry package build` with --sign")
    limits = limits or Limits()
    chain = _chain(signing)
    with tempfile.TemporaryDirectory(prefix=".sign-", dir=dest.parent) as scratch, replacing(dest) as partial:
        bare = Path(scratch) / "bare.csar"
        csar = bare if unwrap(source, bare, limits=limits) else source
        if signing.option == 2:
            _enclose(csar, source.stem, partial, signing, chain, limits)
        else:
            _sign_manifest(csar, partial, signing, chain, limits)
        errors, _, _ = lint(partial, limits=limits, trust=Trust(now=now))
        report = Report(limit=len(errors) + 1)
        report.extend(errors)
        report.raise_errors(f"the signed package {dest.name}")
    return dest


def _chain(signing: Signing) -> bytes:
    for path in (signing.key, signing.certificate, signing.passphrase_file):
        if path is not None and not path.is_file():
            raise InvalidError(f"cannot find the file {path}", suggestion="correct its name")
    try:
        return pem(certificates(signing.certificate.read_bytes()))
    except InvalidError as error:
        text = f"cannot use the certificate {signing.certificate.name}: {error.detail}"
        raise InvalidError(
            text, suggestion="give a PEM file with the certificate of the key", faults=error.faults
        ) from error


def _enclose(csar: Path, stem: str, target: Path, signing: Signing, chain: bytes, limits: Limits) -> None:
    read(csar, limits=limits)
    size = csar.stat().st_size
    signature = sign_content(_pieces(csar), size, signing.key, chain, signing.passphrase_file, embed=False)
    with zipfile.ZipFile(target, "w") as archive:
        info = zip_info(f"{stem}.csar")
        info.compress_type, info.file_size = zipfile.ZIP_STORED, size
        with archive.open(info, "w") as stream:
            for piece in _pieces(csar):
                stream.write(piece)
        put(archive, f"{stem}.cms", signature)
        put(archive, f"{stem}.cert", chain)


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while piece := stream.read(_CHUNK):
            yield piece


def _sign_manifest(csar: Path, target: Path, signing: Signing, chain: bytes, limits: Limits) -> None:
    report = Report(limit=limits.max_faults)
    with opened(csar, limits, report) as archive:
        report.raise_errors(f"package {csar.name}")
        assert archive is not None  # noqa: S101 - without archive the report has an error
        reading = Reading(archive, Inspection(None, limits, report))
        package = reading.package()
        report.raise_errors(f"package {csar.name}")
        assert package is not None  # noqa: S101 - without package the report has an error
        if apart := separate(archive, reading.manifested):
            text = f"cannot sign {csar.name}: its signature is in the file {apart}"
            raise InvalidError(text, suggestion="remove that file and its entries, then sign again")
        name = reading.manifested.name or f"{posixpath.splitext(posixpath.basename(reading.main))[0]}.mf"
        content = _content(reading, name, manifest_text(package, {}, RELEASE))
        made = sign_content((content,), len(content), signing.key, chain, signing.passphrase_file, embed=True)
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as out:
            for each in sorted(archive.sizes, key=lambda each: (each != META, each)):
                if each != name:
                    copy(archive, out, each)
            put(out, name, content + made)


def _content(reading: Reading, name: str, fresh: str) -> bytes:
    """The manifest to sign: the old one without signature, else a fresh one; with a digest of every file."""
    found = reading.manifested
    content = split(found.data)[0] if found.name else fresh.encode()
    listed = {entry.source for entry in found.digests if entry.hash}
    lacking = [each for each in sorted(reading.sums) if each not in listed | {name}]
    lines = [line for each in lacking for line in digest_entry(each, reading.sums[each])]
    # What follows the line of the artifact sets would belong to one of them.
    sets = _SETS.search(content)
    head, tail = (content[: sets.start()], content[sets.start() :]) if sets else (content, b"")
    parts = (
        head.rstrip() + b"\n",
        "".join(f"{line}\n" for line in lines).encode(),
        tail and b"\n" + tail.rstrip() + b"\n",
    )
    return b"".join(parts)
