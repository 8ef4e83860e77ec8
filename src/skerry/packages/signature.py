"""Signatures of packages (SOL004 and SOL007 clause 5): who signed, and whether that counts on this node.

Option 1: the manifest has a digest of every file and is signed itself (CMS at its end, or in a file of its own); single
artifacts may be signed in addition (`Signature` and `Certificate` of their manifest entry). Option 2, a zip file with the
CSAR and its signature, is in `signature_envelope`. Whatever the policy allows, a wrong signature refuses the package.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec

from skerry.errors import InvalidError
from skerry.model.descriptors import PackageSignature
from skerry.packages.archive import BROKEN, Archive, chunks, read_small, unreadable
from skerry.packages.limits import Limits
from skerry.packages.manifest import Digest
from skerry.packages.report import Report

Policy = Literal["require", "warn", "off"]
_BEGIN = re.compile(rb"(?:\A|(?<=[\r\n]))-----BEGIN (CMS|PKCS7)-----")
_MARK = re.compile(rb"(?:\A|(?<=[\r\n]))-----BEGIN")
_STORED = (".pem", ".crt", ".cer", ".cert")
_SEPARATE_KEYS = ("ETSI-Entry-Signature", "Entry-Signature")
_SEPARATE_SUFFIXES = (".cms", ".sig.cms", ".p7s", ".sm")


class Trust(msgspec.Struct, frozen=True, kw_only=True):
    """What a node accepts at the time `now`.

    `policy` require: only packages whose signer leads to a certificate of `store`; warn: unsigned ones too, and those of
    any signer while there is no `store`, with a warning; off: signatures are not looked at. `store` is a folder of PEM
    certificates: authorities, or signers.
    """

    policy: Policy = "warn"
    store: Path | None = None
    now: datetime


class Manifested(msgspec.Struct, kw_only=True):
    """What the checks need of a package that was opened: its manifest and `TOSCA.meta`."""

    name: str  # of the manifest, empty if there is none
    data: bytes  # of the manifest
    metadata: Mapping[str, str]  # of the manifest
    digests: list[Digest]  # of the manifest
    meta_name: str
    meta: Mapping[str, str]
    meta_digests: list[Digest]


def split(data: bytes) -> tuple[bytes, bytes, bytes]:
    """A manifest as signed content, signature, and what stands behind that. Without signature, all is content."""
    begin = _BEGIN.search(data)
    last = b"-----END %b-----" % begin[1] if begin else b""
    end = data.find(last, begin.end()) if begin else -1
    if begin is None or end < 0:
        return data, b"", b""
    end += len(last)
    return data[: begin.start()], data[begin.start() : end], data[end:]


def separate(archive: Archive, found: Manifested) -> str:
    """Name of the file that holds the manifest's signature; empty if there is none."""
    for key in _SEPARATE_KEYS:
        if named := found.meta.get(key) or found.metadata.get(key):
            return named
    stem = posixpath.splitext(found.name)[0]
    near = [base + suffix for base in (found.name, stem) for suffix in _SEPARATE_SUFFIXES]
    return next((name for name in near if found.name and name in archive.sizes), "")


class Inspection:
    """The checks of one package. Without `trust`, or with policy off, only the form of the signature is told."""

    def __init__(self, trust: Trust | None, limits: Limits, report: Report) -> None:
        self.limits = limits
        self.report = report
        self.sealed = PackageSignature()  # what the envelope of option 2 says
        self._trust = trust if trust and trust.policy != "off" else None
        self._anchors: bytes | None = None
        self._checked = 0
        if self._trust and self._trust.store is not None:
            self._anchors = _store(self._trust.store, report)

    @property
    def active(self) -> bool:
        """Whether signatures are verified."""
        return self._trust is not None

    def check(self, what: str, file: str, content: Iterable[bytes], size: int, signature: bytes, pool: bytes) -> str:
        """The signer of `what`; empty, with a fault at `file`, if the signature is wrong."""
        from skerry.packages.signature_cms import verify  # noqa: PLC0415  # most packages are not signed

        assert self._trust is not None  # noqa: S101 - only called where it is active
        self._checked += 1
        if self._checked > self.limits.max_signatures:
            text = f"cannot check more than {self.limits.max_signatures} signatures"
            self.report.error("too-many-signatures", text, file=file, fix="sign the manifest only")
            return ""
        try:
            signer = verify(content, size, signature, pool=pool, anchors=self._anchors, now=self._trust.now)
        except InvalidError as error:
            fault = error.faults[0]
            text = f"cannot accept the signature of {what}: {fault.message}"
            self.report.error(fault.code, text, file=file, fix=fault.fix)
            return ""
        except BROKEN as error:
            unreadable(file, error, self.report)
            return ""
        return signer.subject

    def file(self, archive: Archive, name: str, named_in: str) -> bytes:
        """A file with a signature or certificates; empty, with a fault, if it is missing, empty or too large."""
        if name not in archive.sizes:
            text = f"cannot find the file {name[:200]}"
            self.report.error("missing-file", text, file=named_in, fix="correct its name or add the file")
            return b""
        data = read_small(archive, name, self.limits.max_signature_bytes, self.report)
        if data == b"":
            self.report.error("signature-unreadable", "cannot use an empty file", file=name, fix="make the file again")
        return data or b""

    def certificates(self, archive: Archive, name: str, named_in: str) -> bytes:
        """The certificates (PEM) of a file of the package; empty, with a fault, if there are none."""
        from skerry.packages.signature_cms import certificates, pem  # noqa: PLC0415  # brings cryptography

        data = self.file(archive, name, named_in)
        try:
            return pem(certificates(data)) if data else b""
        except InvalidError as error:
            text = f"cannot use the certificate file: {error.detail}"
            self.report.error(error.faults[0].code, text, file=name, fix=error.suggestion)
            return b""

    def told(self, option: int, signer: str, certificate: bytes = b"") -> PackageSignature:
        """What is known of a signature whose check found no fault."""
        verified = bool(signer) and self._anchors is not None
        warning = ""
        if signer and not verified:
            warning = f"nothing vouches for the signer {signer}: this node has no trust_store"
        elif not self.active:
            warning = "the signature was not checked"
        text = certificate.decode("ascii", "replace")
        return PackageSignature(option=option, signer=signer, verified=verified, warning=warning, certificate=text)

    def settle(self, inner: PackageSignature, file: str) -> PackageSignature:
        """The signature that counts, after what the policy says of packages without one, or of an unknown signer."""
        found = self.sealed if self.sealed.option else inner
        if self._trust is None:
            return found
        if found.option == 0:
            text = "the package is not signed: nothing proves who made it"
            if self._trust.policy == "require":
                fix = "sign it with `skerry package sign`, or get it signed"
                self.report.error("signature-missing", f"cannot accept the package: {text}", file=file, fix=fix)
            else:
                self.report.warning("signature-missing", text, file=file, fix="sign it with `skerry package sign`")
            return msgspec.structs.replace(found, warning=text)
        if not found.signer and not self.report.errors:
            # Every check that fails leaves a fault; should one not, the package is refused all the same.
            text = "cannot accept the package: it is not clear who signed it"
            self.report.error("signature-wrong", text, file=file, fix="sign it again")
        if found.warning:
            fix = "set trust_store to a folder with the certificates of the authorities that you trust"
            add = self.report.error if self._trust.policy == "require" else self.report.warning
            add("signature-unknown-signer", found.warning, file=file, fix=fix)
        return found


def inspect(inspection: Inspection, archive: Archive, found: Manifested) -> PackageSignature:
    """Check what option 1 signs: the manifest, single artifacts, and that every file is covered. Faults go to the report."""
    content, embedded, rest = split(found.data)
    apart = separate(archive, found)
    if not inspection.active:
        return inspection.told(1, "") if embedded or apart else PackageSignature()
    torn = rest.strip() or (not embedded and _MARK.search(content))
    if torn:
        text = "cannot accept the manifest: its signature is cut off or has text behind it"
        inspection.report.error("signature-syntax", text, file=found.name, fix="make the signature again")
    own = _certificate(archive, found)
    signed = _artifacts(inspection, archive, found)
    if not embedded and not apart:
        return PackageSignature(option=1) if torn else PackageSignature()
    pool = inspection.certificates(archive, own, found.meta_name) if own else b""
    signers: list[str] = []
    if embedded:
        signers.append(_manifest(inspection, found, content, embedded, found.name, pool))
    if apart:
        data = inspection.file(archive, apart, found.meta_name)
        # The signature in the file is over the manifest as it is, embedded signature included.
        signers.append(_manifest(inspection, found, found.data, data, apart, pool) if data else "")
    _cover(inspection, archive, found, signed | {found.name, apart, own})
    return inspection.told(1, " + ".join(dict.fromkeys(signers)) if all(signers) else "", pool)


def _certificate(archive: Archive, found: Manifested) -> str:
    """Name of the package's certificate: `TOSCA.meta` says it; without that file it has the manifest's name."""
    if found.meta_name in archive.sizes:
        return found.meta.get("ETSI-Entry-Certificate", "")
    near = f"{posixpath.splitext(found.name)[0]}.cert"
    return near if near in archive.sizes else ""


def _manifest(
    inspection: Inspection, found: Manifested, content: bytes, signature: bytes, file: str, pool: bytes
) -> str:
    if len(signature) > inspection.limits.max_signature_bytes:
        text = f"cannot check a signature of over {inspection.limits.max_signature_bytes} bytes"
        inspection.report.error("file-too-large", text, file=file, fix="sign with fewer certificates")
        return ""
    return inspection.check(f"the manifest {found.name}", file, (content,), len(content), signature, pool)


def _artifacts(inspection: Inspection, archive: Archive, found: Manifested) -> set[str]:
    """Check the signatures of single artifacts. The answer is which files need no digest any more."""
    done: set[str] = set()
    for entry in found.digests:
        if not entry.signature:
            continue
        if entry.source not in archive.sizes:
            text = f"the signature of {entry.source[:200]} is not checked: the file is outside the package"
            inspection.report.warning("signature-external", text, file=entry.file, fix="check it where it is used")
            continue
        signature = inspection.file(archive, entry.signature, entry.file)
        pool = inspection.certificates(archive, entry.certificate, entry.file) if entry.certificate else b""
        content, size = chunks(archive, entry.source), archive.sizes[entry.source]
        if signature and inspection.check(entry.source, entry.signature, content, size, signature, pool):
            done |= {entry.source, entry.signature, entry.certificate}
    return done


def _cover(inspection: Inspection, archive: Archive, found: Manifested, exempt: set[str]) -> None:
    """Under a signed manifest every file needs a digest, else anything could be put into the package."""
    covered = {entry.source for entry in found.digests if entry.hash} | exempt
    if found.meta_name in covered:
        covered |= {entry.source for entry in found.meta_digests if entry.hash}
    for name in archive.sizes:
        if name not in covered:
            text = f"cannot accept {name}: the signed manifest has no digest of it"
            fix = "remove the file, or add it to the manifest with Algorithm and Hash and sign again"
            inspection.report.error("signature-uncovered", text, file=name, fix=fix)


def _store(folder: Path, report: Report) -> bytes:
    """Every certificate of the trust store as PEM. A file that cannot be read is a fault: nobody should wonder."""
    from skerry.packages.signature_cms import certificates, pem  # noqa: PLC0415  # brings cryptography

    found = b""
    current = folder
    try:
        for current in sorted(path for path in folder.iterdir() if path.suffix in _STORED):
            found += pem(certificates(current.read_bytes()))
    except OSError as error:
        text = f"cannot read {current} of the trust store: {error.strerror}"
        report.error("trust-store", text, fix="correct the setting trust_store or the rights of its files")
    except InvalidError as error:
        text = f"cannot use {current.name} of the trust store: {error.detail}"
        report.error("trust-store", text, file=str(current), fix="replace or remove the file")
    return found
