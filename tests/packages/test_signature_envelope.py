"""Zip files of CSAR, signature and certificate (SOL004 clause 5.1, option 2)."""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from skerry.errors import InvalidError
from skerry.model.descriptors import NsPackage, PackageSignature
from skerry.packages import Limits, Trust, lint, read, unwrap
from tests.packages import samples
from tests.packages.pki import NOW, Identity, Pki, files, needs_openssl, signed

pytestmark = needs_openssl
Files = dict[str, str | bytes]
CSAR = samples.zipped(samples.server_files())


def envelope(who: Identity, *options: str, csar: bytes = CSAR, **more: str | bytes) -> Files:
    """A CSAR, its signature and, by keyword with `_` for the dot, other files."""
    found: Files = {"p.csar": csar, "p.cms": who.cms(csar, *options)}
    return {**found, **{name.replace("_", "."): content for name, content in more.items()}}


def trusting(pki: Pki, policy: str = "require") -> Trust:
    return Trust(policy=policy, store=pki.store(), now=NOW)  # type: ignore[arg-type]


def codes(content: Files, trust: Trust | None, limits: Limits | None = None) -> list[str]:
    errors, _, _ = lint(samples.zipped(content), trust=trust, limits=limits)
    assert all(fault.fix for fault in errors)
    return [fault.code for fault in errors]


GOOD: dict[str, Callable[[Pki], Files]] = {
    "certificate in the signature": lambda pki: envelope(pki.signer),
    "certificate beside": lambda pki: envelope(pki.signer, "-nocerts", p_cert=pki.signer.pem),
    "certificate in both": lambda pki: envelope(pki.rsa, p_cert=pki.rsa.pem),
    "authority between beside": lambda pki: envelope(pki.below, "-nocerts", p_pem=pki.below.pem + pki.middle.pem),
    "DER": lambda pki: {**envelope(pki.signer), "p.cms": pki.signer.cms(CSAR, form="DER")},
    "zip inside": lambda pki: {"p.zip": CSAR, "p.sha256.cms": pki.signer.cms(CSAR)},
    "signed inside too": lambda pki: envelope(pki.signer, csar=samples.zipped(signed(files(), pki.rsa))),
}


@pytest.mark.parametrize("name", GOOD)
def test_accepted(pki: Pki, name: str) -> None:
    package = read(samples.zipped(GOOD[name](pki)), trust=trusting(pki))
    found = package.signature
    assert (found.option, found.verified, found.warning) == (2, True, "")
    assert found.signer in {"CN=signer", "CN=rsa", "CN=below"}
    assert found.certificate.startswith("-----BEGIN CERTIFICATE-----") is (
        name.rpartition(" ")[2] in ("beside", "both")
    )


def test_network_service(pki: Pki) -> None:
    package = read(samples.zipped(envelope(pki.signer, csar=samples.service_zip())), trust=trusting(pki))
    assert isinstance(package, NsPackage)
    assert package.signature.verified


def flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def bomb() -> bytes:
    """A CSAR that is small in the envelope and large outside."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as inner:
        inner.writestr("zeros", bytes(30_000_000))
    return stream.getvalue()


INNER_TAMPERED = samples.zipped({**samples.server_files(), "Scripts/configure.sh": "evil"})
BAD: dict[str, tuple[Callable[[Pki], Files], str]] = {
    "one bit of the CSAR": (lambda pki: {**envelope(pki.signer), "p.csar": flipped(CSAR)}, "signature-wrong"),
    "another CSAR": (lambda pki: {**envelope(pki.signer), "p.csar": INNER_TAMPERED}, "signature-wrong"),
    "unknown signer": (lambda pki: envelope(pki.stranger), "signature-unknown-signer"),
    "unknown signer with certificate": (
        lambda pki: envelope(pki.stranger, "-nocerts", p_cert=pki.stranger.pem),
        "signature-unknown-signer",
    ),
    "expired": (lambda pki: envelope(pki.expired), "signature-expired"),
    "not valid yet": (lambda pki: envelope(pki.early), "signature-early"),
    "key usage": (lambda pki: envelope(pki.server), "signature-key-usage"),
    "no certificate": (lambda pki: envelope(pki.signer, "-nocerts"), "signature-certificate"),
    "certificate of another": (lambda pki: envelope(pki.signer, "-nocerts", p_cert=pki.rsa.pem), "signature-certificate"),
    "certificate damaged": (lambda pki: envelope(pki.signer, p_cert="nothing"), "certificate-unreadable"),
    "no signature": (lambda pki: {"p.csar": CSAR, "p.cert": pki.signer.pem}, "signature-missing"),
    "two signatures": (lambda pki: envelope(pki.signer, q_cms=b"x"), "signature-envelope"),
    "two certificates": (lambda pki: envelope(pki.signer, p_cert=pki.signer.pem, q_cert=b"x"), "signature-envelope"),
    "signature of garbage": (lambda pki: {"p.csar": CSAR, "p.cms": bytes(range(256)) * 9}, "signature-unreadable"),
    "signature in UTF-16": (
        lambda pki: {"p.csar": CSAR, "p.cms": pki.signer.cms(CSAR).decode().encode("utf-16")},
        "signature-unreadable",
    ),
    "signature is empty": (lambda pki: {"p.csar": CSAR, "p.cms": b""}, "signature-unreadable"),
    "signature is huge": (lambda pki: {"p.csar": CSAR, "p.cms": bytes(300_000)}, "file-too-large"),
    "CSAR is no zip": (lambda pki: envelope(pki.signer, csar=b"not a zip"), "not-a-zip"),
    "bomb inside": (lambda pki: envelope(pki.signer, csar=bomb()), "zip-bomb"),
    "envelope inside": (
        lambda pki: envelope(pki.signer, csar=samples.zipped(envelope(pki.signer))),
        "no-entry",
    ),
    "manifest inside is wrong": (
        lambda pki: envelope(pki.signer, csar=samples.zipped(signed(files(), pki.stranger))),
        "signature-unknown-signer",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("policy", ["require", "warn"])
def test_refused_with_the_reason(pki: Pki, name: str, policy: str) -> None:
    make, code = BAD[name]
    assert codes(make(pki), trusting(pki, policy)) == [code]


def test_csar_larger_than_allowed_is_not_unpacked(pki: Pki) -> None:
    """A CSAR of zeros would unpack to 30 MB: neither its ratio nor its size passes."""
    content = envelope(pki.signer, csar=bytes(30_000_000))
    assert codes(content, trusting(pki)) == ["zip-bomb"]
    assert codes(envelope(pki.signer), trusting(pki), Limits(max_entry_bytes=1000))[0] == "entry-too-large"


def test_nothing_stays_on_the_disk(pki: Pki, tmp_path: Path) -> None:
    path = tmp_path / "p.zip"
    for content in (envelope(pki.signer), envelope(pki.stranger)):
        path.write_bytes(samples.zipped(content))
        before = set(Path(tempfile.gettempdir()).glob("skerry-cms-*"))
        lint(path, trust=trusting(pki))
        assert list(tmp_path.iterdir()) == [path]
        assert set(Path(tempfile.gettempdir()).glob("skerry-cms-*")) <= before


def test_other_files_beside_are_told(pki: Pki) -> None:
    errors, warnings, _ = lint(samples.zipped(envelope(pki.signer, README_txt="hello")), trust=trusting(pki))
    assert errors == []
    assert [(fault.code, fault.file) for fault in warnings if "signature" in fault.code] == [
        ("signature-envelope", "README.txt")
    ]


@pytest.mark.parametrize("trust", [None, Trust(policy="off", now=NOW)])
def test_not_looked_at(pki: Pki, trust: Trust | None) -> None:
    package = read(samples.zipped({**envelope(pki.signer), "p.csar": INNER_TAMPERED}), trust=trust)
    assert package.signature == PackageSignature(option=2, warning="the signature was not checked")


def test_without_trust_store(pki: Pki) -> None:
    found = read(samples.zipped(envelope(pki.stranger)), trust=Trust(now=NOW)).signature
    assert (found.option, found.signer, found.verified) == (2, "CN=stranger", False)
    assert "no trust_store" in found.warning


def test_unwrap(pki: Pki, tmp_path: Path) -> None:
    source, dest = tmp_path / "p.zip", tmp_path / "inner.csar"
    source.write_bytes(CSAR)
    assert not unwrap(source, dest)
    assert not dest.exists()
    source.write_bytes(samples.zipped(envelope(pki.signer)))
    assert unwrap(source, dest)
    assert dest.read_bytes() == CSAR
    dest.unlink()
    damaged = bytearray(samples.zipped({"p.csar": CSAR * 3, "p.cms": b"x"}))
    damaged[200] ^= 0xFF
    source.write_bytes(damaged)
    with pytest.raises(InvalidError, match="cannot read this entry"):
        unwrap(source, dest)
    assert [path.name for path in tmp_path.iterdir()] == ["p.zip"]
