"""Authorities, signers and signatures for the tests of signed packages. Signatures are OpenSSL's own, not those of Skerry."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.packages import samples

NOW = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="the program openssl is not installed")
HEAD = """\
metadata:
  vnf_product_name: sipp-server
  vnf_provider_id: Acme
  vnf_package_version: '1.0'
  vnf_release_date_time: 2024-01-01T00:00:00Z
"""
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class Identity:
    """A key and its certificate, as files too. Without `issuer` it signs itself."""

    def __init__(
        self,
        folder: Path,
        name: str,
        issuer: Identity | None = None,
        *,
        ca: bool = False,
        usage: str = "",
        purpose: x509.ObjectIdentifier | None = None,
        start: datetime = NOW - 100 * DAY,
        end: datetime = NOW + 100 * DAY,
        rsa_bits: int = 0,
    ) -> None:
        self.folder, self.name, self.issuer = folder, name, issuer
        self.key: Key = (
            rsa.generate_private_key(65537, rsa_bits) if rsa_bits else ec.generate_private_key(ec.SECP256R1())
        )
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer.certificate.subject if issuer else subject)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(_usage(usage or ("authority" if ca else "signature")), critical=True)
        )
        if purpose:
            builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        self.certificate = builder.sign((issuer or self).key, hashes.SHA256())
        self.pem = self.certificate.public_bytes(Encoding.PEM)
        self.cert_file = folder / f"{name}.pem"
        self.cert_file.write_bytes(self.pem)
        self.key_file = folder / f"{name}.key"
        self.key_file.write_bytes(self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    def encrypted_key(self, passphrase: bytes) -> Path:
        """The key as a file with a passphrase."""
        path = self.folder / f"{self.name}.encrypted.key"
        encryption = BestAvailableEncryption(passphrase)
        path.write_bytes(self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
        return path

    def cms(self, content: str | bytes, *options: str, md: str = "sha256", form: str = "PEM") -> bytes:
        """OpenSSL's signature of the content, detached unless `-nodetach` is given."""
        command = ["openssl", "cms", "-sign", "-binary", "-md", md, "-outform", form, *options]
        command += ["-signer", str(self.cert_file), "-inkey", str(self.key_file)]
        data = content.encode() if isinstance(content, str) else content
        return subprocess.run(command, input=data, check=True, capture_output=True).stdout


def _usage(kind: str) -> x509.KeyUsage:
    off = dict.fromkeys(
        ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
         "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"), False
    )  # fmt: skip
    on = {"authority": "key_cert_sign", "signature": "digital_signature", "encryption": "key_encipherment"}
    return x509.KeyUsage(**{**off, on[kind]: True})


class Pki:
    """The authority that a node trusts, and who signs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = Identity(folder, "root", ca=True)
        self.middle = Identity(folder, "middle", self.root, ca=True)
        self.signer = Identity(folder, "signer", self.root)
        self.below = Identity(folder, "below", self.middle)
        self.stranger = Identity(folder, "stranger")
        self.rsa = Identity(folder, "rsa", self.root, rsa_bits=2048, purpose=ExtendedKeyUsageOID.CODE_SIGNING)
        self.expired = Identity(folder, "expired", self.root, end=NOW - DAY)
        self.early = Identity(folder, "early", self.root, start=NOW + DAY)
        self.encryptor = Identity(folder, "encryptor", self.root, usage="encryption")
        self.server = Identity(folder, "server", self.root, purpose=ExtendedKeyUsageOID.SERVER_AUTH)
        self.weak = Identity(folder, "weak", self.root, rsa_bits=1024)
        self.usurper = Identity(folder, "usurper", self.signer)  # issued by one that is no authority
        self.old = Identity(folder, "old", self.root, ca=True, end=NOW - DAY)
        self.under_old = Identity(folder, "under-old", self.old)

    def store(self, *identities: Identity) -> Path:
        """A trust store with these certificates; the root's if none is named."""
        chosen = identities or (self.root,)
        path = self.folder / ("store-" + "-".join(each.name for each in chosen))
        path.mkdir(exist_ok=True)
        for each in chosen:
            (path / f"{each.name}.pem").write_bytes(each.pem)
        return path


def sha256(content: str | bytes) -> str:
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()


def files(meta: str = "", **more: str) -> dict[str, str | bytes]:
    """The server's package with lines added to `TOSCA.meta`, and without a manifest."""
    found: dict[str, str | bytes] = {**samples.server_files(), **more}
    del found["server.cert"]
    found["TOSCA-Metadata/TOSCA.meta"] = samples.META + "ETSI-Entry-Manifest: server.mf\n" + meta
    return found


def manifest(content: dict[str, str | bytes], *, skip: tuple[str, ...] = ()) -> str:
    """A manifest with the digest of every file."""
    entries = [f"\nSource: {n}\nAlgorithm: SHA-256\nHash: {sha256(c)}\n" for n, c in content.items() if n not in skip]
    return HEAD + "".join(entries)


def signed(content: dict[str, str | bytes], who: Identity, *options: str, md: str = "sha256") -> dict[str, str | bytes]:
    """The files with a signed manifest."""
    text = manifest(content)
    return {**content, "server.mf": text.encode() + who.cms(text, *options, md=md)}
