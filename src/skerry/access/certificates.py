"""The node's own certificate authority and server certificate, made at the first start (EC P-256, SHA-256).

`cryptography` is imported only when a certificate must be made: a start with valid files stays fast and small.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from skerry.access.files import private_folder, write_private
from skerry.errors import UnsupportedError

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

CA_LIFE = timedelta(days=3650)
SERVER_LIFE = timedelta(days=397)
CLIENT_LIFE = timedelta(days=397)
RENEW_BEFORE = timedelta(days=30)
BACKDATE = timedelta(hours=1)  # clocks of small sites differ


class Certificates(msgspec.Struct, frozen=True, kw_only=True):
    """Where the files are: the CA that clients trust, the server's certificate and its key."""

    ca: Path
    certificate: Path
    key: Path


class Issued(msgspec.Struct, frozen=True, kw_only=True):
    """What the server certificate holds, kept beside it so that a start need not parse it."""

    names: tuple[str, ...]
    not_after: datetime


def ensure_certificates(folder: Path, names: Sequence[str], now: datetime) -> Certificates:
    """The certificates of `folder`, made or renewed where they are missing, expire soon or lack one of `names`."""
    private_folder(folder)
    files = Certificates(ca=folder / "ca.pem", certificate=folder / "server.pem", key=folder / "server.key")
    if not (files.ca.exists() and (folder / "ca.key").exists()):
        _make_ca(folder, now)
        (folder / "server.json").unlink(missing_ok=True)
    wanted = tuple(sorted(set(names)))
    issued = _issued(folder)
    fresh = issued and issued.not_after - now > RENEW_BEFORE and issued.names == wanted
    if not (fresh and files.certificate.exists() and files.key.exists()):
        _make_server(folder, wanted, now)
    return files


def _issued(folder: Path) -> Issued | None:
    try:
        return msgspec.json.decode((folder / "server.json").read_bytes(), type=Issued)
    except (OSError, msgspec.DecodeError):
        return None


def _make_ca(folder: Path, now: datetime) -> None:
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("Skerry node CA")
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        _builder(name, name, key, now, CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write_pair(folder / "ca.pem", folder / "ca.key", certificate, key)


def _make_server(folder: Path, names: Sequence[str], now: datetime) -> None:
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415
    from cryptography.x509.oid import ExtendedKeyUsageOID  # noqa: PLC0415

    ca = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
    ca_key = load_pem_private_key((folder / "ca.key").read_bytes(), None)
    assert isinstance(ca_key, ec.EllipticCurvePrivateKey)  # noqa: S101  # we wrote it
    key = ec.generate_private_key(ec.SECP256R1())
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]  # it notifies as a client
    certificate = (
        _builder(_name("Skerry node"), ca.subject, key, now, SERVER_LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    _write_pair(folder / "server.pem", folder / "server.key", certificate, key)
    issued = Issued(names=tuple(names), not_after=now.astimezone(UTC) + SERVER_LIFE)
    write_private(folder / "server.json", msgspec.json.encode(issued))


def issue_client(folder: Path, client: str, now: datetime) -> tuple[str, str, str]:
    """A certificate with the client's id as its common name, its key (both PEM) and its serial number (upper-case hex).

    `UnsupportedError` where the node has no authority, because it serves without TLS.
    """
    if not (folder / "ca.key").exists():
        raise UnsupportedError(
            "cannot issue a certificate: this node serves without TLS and has no authority",
            suggestion="start the node without `plain`",
        )
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        Encoding,
        NoEncryption,
        PrivateFormat,
        load_pem_private_key,
    )
    from cryptography.x509.oid import ExtendedKeyUsageOID  # noqa: PLC0415

    ca = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
    ca_key = load_pem_private_key((folder / "ca.key").read_bytes(), None)
    assert isinstance(ca_key, ec.EllipticCurvePrivateKey)  # noqa: S101  # we wrote it
    key = ec.generate_private_key(ec.SECP256R1())
    made = (
        _builder(_name(client), ca.subject, key, now, CLIENT_LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return made.public_bytes(Encoding.PEM).decode(), secret.decode(), f"{made.serial_number:X}"


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    from cryptography import x509  # noqa: PLC0415

    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + life)
    )


def _name(common: str) -> x509.Name:
    from cryptography import x509  # noqa: PLC0415
    from cryptography.x509.oid import NameOID  # noqa: PLC0415

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _general_name(name: str) -> x509.GeneralName:
    from cryptography import x509  # noqa: PLC0415

    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _write_pair(certificate: Path, key: Path, made: x509.Certificate, secret: ec.EllipticCurvePrivateKey) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat  # noqa: PLC0415

    write_private(key, secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    write_private(certificate, made.public_bytes(Encoding.PEM))
