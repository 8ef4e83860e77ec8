"""CMS signatures (RFC 5652) made and checked by OpenSSL's commands `cms` and `verify`.

OpenSSL is asked and not a Python binding: `cryptography` has no public verification of CMS, others parse it themselves or
must be compiled. A hostile signature meets a process of its own, without configuration, default trust, terminal or shell,
whose time is bounded. A signature is checked in two steps so that the reason of a refusal is exact: the content first, then
the chain of each signer up to an anchor.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING

import msgspec

from skerry.errors import Fault, InvalidError

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

_PATIENCE_S = 30.0
_SLOWEST_BYTES_S = 10_000_000
_MOST_SIGNERS = 8
_MOST_CERTIFICATES = 32
_ERRORS_BYTES = 64 * 1024
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "OPENSSL_CONF": "/dev/null"}
_NO_DEFAULTS = ("-no-CAfile", "-no-CApath", "-no-CAstore")
_STRONG = re.compile(r"(sha(224|256|384|512)|sha512-2\d\d|sha3-\d+|shake\d+)$", re.IGNORECASE)
_PURPOSES = {
    "1.3.6.1.5.5.7.3.3",  # codeSigning
    "1.3.6.1.5.5.7.3.4",  # emailProtection, which OpenSSL itself asks of signers
    "1.3.6.1.5.5.7.3.36",  # documentSigning
    "2.5.29.37.0",  # anyExtendedKeyUsage
}
_AGAIN = "get the package again from its provider"
_CONTENT = (
    ("signer certificate not found", "signature-certificate", "the certificate of its signer is not there",
     "put the certificate into the package, the signature or the trust store"),
    ("Error reading", "signature-unreadable", "it is no CMS signature (PEM or DER)", "make the signature again"),
    ("verification failure", "signature-wrong", "the content is not what was signed", _AGAIN),
    ("verify error", "signature-wrong", "the content is not what was signed", _AGAIN),
)  # fmt: skip
_EXPIRED = ("signature-expired", "has expired", "get a package that is signed with a valid certificate")
_EARLY = ("signature-early", "is not valid yet", "check the clock of this machine; else get a package signed properly")
_UNKNOWN = (
    "signature-unknown-signer",
    "leads to no certificate of the trust store",
    "if you trust this signer, put the certificate of its authority as PEM file into the folder trust_store",
)
_WEAK = ("signature-weak", "has a key or signature that is too weak", "get a package signed with a stronger key")
_CHAIN = (
    {10: _EXPIRED, 9: _EARLY} | dict.fromkeys((2, 18, 19, 20, 21, 27), _UNKNOWN) | dict.fromkeys((66, 67, 68), _WEAK)
)
_SIGNING = (
    ("bad decrypt", "its passphrase is missing or wrong", "give the right --passphrase-file"),
    ("maybe wrong password", "its passphrase is missing or wrong", "give the right --passphrase-file"),
    ("empty password", "its passphrase is missing or wrong", "give the right --passphrase-file"),
    ("interrupted or cancelled", "its passphrase is missing or wrong", "give the right --passphrase-file"),
    ("does not match", "it does not belong to the certificate", "name the certificate of this key first in --cert"),
    ("values mismatch", "it does not belong to the certificate", "name the certificate of this key first in --cert"),
)


class Signer(msgspec.Struct, frozen=True, kw_only=True):
    """Who signed: subjects (RFC 4514), and whether each has a chain to an anchor."""

    subject: str
    trusted: bool


def refusal(code: str, reason: str, fix: str) -> InvalidError:
    """Why a signature is no good."""
    return InvalidError(reason, suggestion=fix, faults=[Fault(message=reason, code=code, fix=fix)])


def certificates(data: bytes) -> list[Certificate]:
    """The X.509 certificates of a PEM or DER file. `InvalidError` if there are none, too many, or one is damaged."""
    from cryptography import x509  # noqa: PLC0415  # heavy, and most packages are not signed

    try:
        if b"-----BEGIN" not in data:
            return [x509.load_der_x509_certificate(data)]
        found = x509.load_pem_x509_certificates(data)
    except ValueError as error:
        raise refusal(
            "certificate-unreadable", "it is no X.509 certificate (PEM or DER)", "replace the file"
        ) from error
    if len(found) > _MOST_CERTIFICATES:
        raise refusal(
            "certificate-unreadable", f"it has over {_MOST_CERTIFICATES} certificates", "keep the needed ones"
        )
    return found


def pem(found: Iterable[Certificate]) -> bytes:
    """The certificates, and nothing else that their file may have held, as PEM."""
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415

    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in found)


def verify(
    content: Iterable[bytes], size: int, signature: bytes, *, pool: bytes, anchors: bytes | None, now: datetime
) -> Signer:
    """Who signed `content` (of `size` bytes). `InvalidError` with one fault if the detached signature is wrong.

    `pool` are certificates (PEM) that may be the signers' or between them and an anchor; `anchors` are those trusted: None
    if there is nothing to compare with, then the answer's `trusted` is False. `now` is the time of the check.
    """
    with tempfile.TemporaryDirectory(prefix="skerry-cms-") as name:
        work = _Work(Path(name))
        given = _inputs(work, signature)
        _check_digests(given)
        signers = _check_content(work, given, content, size, pool + (anchors or b""))
        for signer in signers:
            _check_purpose(signer)
            if anchors is None:
                _check_time(signer, now)
            else:
                _check_chain(work, signer, pool, anchors, now)
        return Signer(subject=" + ".join(_subject(each) for each in signers), trusted=anchors is not None)


def sign(
    content: Iterable[bytes], size: int, key: Path, chain: bytes, passphrase_file: Path | None, *, embed: bool
) -> bytes:
    """A detached CMS signature (PEM) with SHA-256. `chain` is the signer's certificate, then those above it; with `embed`
    the signature carries them. The key is read by OpenSSL alone. `InvalidError` if key or certificate cannot be used."""
    with tempfile.TemporaryDirectory(prefix="skerry-cms-") as name:
        work = _Work(Path(name))
        signer, *above = certificates(chain)
        out = work.folder / "signature"
        command = ["cms", "-sign", "-binary", "-md", "sha256", "-in", "/dev/stdin", "-outform", "PEM", "-out", str(out)]
        command += ["-signer", work.keep("signer", pem([signer])), "-inkey", str(key)]
        command += ["-passin", f"file:{passphrase_file}" if passphrase_file else "pass:"]
        if not embed:
            command.append("-nocerts")
        elif above:
            command += ["-certfile", work.keep("above", pem(above))]
        code, errors = _run(command, content, _patience(size))
        if code == 0:
            return out.read_bytes()
        _, reason, fix = next((row for row in _SIGNING if row[0] in errors), ("", _first(errors), "check the key file"))
        raise refusal("signing-key", f"cannot sign with the key {key.name}: {reason}", fix)


class _Work:
    """A private folder for what OpenSSL reads from files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, name: str, data: bytes) -> str:
        path = self.folder / name
        path.write_bytes(data)
        return str(path)


def _inputs(work: _Work, signature: bytes) -> list[str]:
    form = "PEM" if signature.lstrip().startswith(b"-----BEGIN") else "DER"
    return ["-inform", form, "-in", work.keep("cms", signature)]


def _check_digests(given: list[str]) -> None:
    """Refuse digests for which collisions can be made (MD5, SHA-1): OpenSSL's `cms` accepts them."""
    code, text = _run(["cms", "-cmsout", "-print", "-noout", *given], (), _PATIENCE_S, listing=True)
    if code:
        raise refusal("signature-unreadable", "it is no CMS signature (PEM or DER)", "make the signature again")
    named = re.findall(r"digestAlgorithm:\s+algorithm: (\S+)", text)
    weak = [name for name in named if not _STRONG.match(name)]
    if weak:
        raise refusal("signature-weak", f"its digest {weak[0][:40]} is too weak", "sign with SHA-256 or better")


def _check_content(
    work: _Work, given: list[str], content: Iterable[bytes], size: int, pool: bytes
) -> list[Certificate]:
    """The certificates of the signers, once it is clear that they signed just this content."""
    signers = work.folder / "signers"
    command = ["cms", "-verify", "-binary", "-noverify", *given, "-content", "/dev/stdin", "-out", "/dev/null"]
    command += ["-signer", str(signers), "-certsout", str(work.folder / "embedded"), *_NO_DEFAULTS]
    if pool:
        command += ["-certfile", work.keep("pool", pool)]
    code, errors = _run(command, content, _patience(size))
    if code:
        rows = (row[1:] for row in _CONTENT if row[0] in errors)
        raise refusal(*next(rows, ("signature-wrong", f"OpenSSL refuses it: {_first(errors)}", _AGAIN)))
    found = certificates(signers.read_bytes())
    if len(found) > _MOST_SIGNERS:
        raise refusal("signature-signers", f"it has over {_MOST_SIGNERS} signers", "sign with fewer certificates")
    return found


def _check_purpose(signer: Certificate) -> None:
    """The certificate must be one for signatures, where it says what it is for."""
    from cryptography import x509  # noqa: PLC0415

    reason = ""
    try:
        for extension in signer.extensions:
            value = extension.value
            if isinstance(value, x509.KeyUsage) and not (value.digital_signature or value.content_commitment):
                reason = "its key usage has no digital signature"
            if isinstance(value, x509.ExtendedKeyUsage) and not _PURPOSES & {usage.dotted_string for usage in value}:
                reason = "its extended key usage has no signing of code, documents or mail"
    except (ValueError, x509.DuplicateExtension) as error:
        raise refusal("certificate-unreadable", "the extensions of its certificate are damaged", _AGAIN) from error
    if reason:
        text = f"the certificate of {_subject(signer)} is not for signatures: {reason}"
        raise refusal("signature-key-usage", text, "sign with a certificate that is made for signing")


def _check_time(signer: Certificate, now: datetime) -> None:
    if not signer.not_valid_before_utc <= now <= signer.not_valid_after_utc:
        code, reason, fix = _EXPIRED if now > signer.not_valid_after_utc else _EARLY
        raise refusal(code, f"the certificate of {_subject(signer)} {reason}", fix)


def _check_chain(work: _Work, signer: Certificate, pool: bytes, anchors: bytes, now: datetime) -> None:
    if not anchors:
        name, reason, fix = _UNKNOWN
        raise refusal(name, f"the certificate of {_subject(signer)} {reason}", fix)
    embedded = work.folder / "embedded"
    between = pool + (embedded.read_bytes() if embedded.exists() else b"")
    command = ["verify", "-no-CApath", "-no-CAstore", "-CAfile", work.keep("anchors", anchors), "-partial_chain"]
    # The purposes of `verify` are those of TLS and mail: `_check_purpose` has looked at the signer, OpenSSL still does at CAs.
    command += ["-purpose", "any", "-auth_level", "2", "-attime", str(int(now.timestamp()))]
    if between:
        command += ["-untrusted", work.keep("between", between)]
    code, errors = _run([*command, work.keep("signer", pem([signer]))], (), _PATIENCE_S)
    if code == 0:
        return
    found = re.search(r"error (\d+) at (\d+) depth lookup: ?([^\n]{0,120})", errors)
    text = found[3].strip() if found else _first(errors)
    unlisted = ("signature-chain", f"has no valid chain: {text}", "get a package that is signed with a valid chain")
    name, reason, fix = _CHAIN.get(int(found[1]), unlisted) if found else unlisted
    whose = "an authority above " if found and int(found[2]) and name != _UNKNOWN[0] else ""
    raise refusal(name, f"the certificate of {whose}{_subject(signer)} {reason}", fix)


def _subject(certificate: Certificate) -> str:
    try:
        return certificate.subject.rfc4514_string()[:300] or "(no name)"
    except ValueError:
        return "(damaged name)"


def _first(errors: str) -> str:
    """What OpenSSL says in its first line of the error queue."""
    lines = re.findall(r":error:[^:]*:([^:\n]*:[^:\n]*:[^:\n]*)", errors)
    return (lines[0] if lines else errors.strip().partition("\n")[0])[:160] or "it does not say why"


def _patience(size: int) -> float:
    return _PATIENCE_S + size / _SLOWEST_BYTES_S


def _run(command: list[str], feed: Iterable[bytes], patience_s: float, *, listing: bool = False) -> tuple[int, str]:
    """Run OpenSSL with `feed` as its input. The answer is the exit code and its messages (or, with `listing`, its output)."""
    program = shutil.which("openssl")
    if program is None:
        raise refusal(
            "openssl-missing",
            "cannot sign or check signatures: the program openssl is not installed",
            "apt-get install openssl",
        )
    with tempfile.TemporaryFile() as told:
        process = subprocess.Popen(
            [program, *command],
            stdin=subprocess.PIPE,
            stdout=told if listing else subprocess.DEVNULL,
            stderr=subprocess.DEVNULL if listing else told,
            env=_ENVIRONMENT,
            start_new_session=True,  # no terminal: it never asks for a passphrase
        )
        timer = Timer(patience_s, process.kill)
        timer.start()
        try:
            _pour(process, feed)
            code = process.wait()
        finally:
            timer.cancel()
            process.kill()
            process.wait()
        if code < 0:
            raise refusal(
                "signature-slow", f"OpenSSL broke down or needed over {patience_s:.0f} s", "use a smaller signature"
            )
        told.seek(0)
        return code, told.read(-1 if listing else _ERRORS_BYTES).decode("utf-8", "replace")


def _pour(process: subprocess.Popen[bytes], feed: Iterable[bytes]) -> None:
    assert process.stdin is not None  # noqa: S101 - it is a pipe
    try:
        for piece in feed:
            process.stdin.write(piece)
    except BrokenPipeError:
        pass  # OpenSSL stopped reading since it refuses what it has seen; its messages say why
    finally:
        with suppress(BrokenPipeError):
            process.stdin.close()
