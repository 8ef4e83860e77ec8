"""The node's CA and server certificate: made once, renewed in time, trusted by a real TLS client."""

from __future__ import annotations

import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from skerry.access.certificates import SERVER_LIFE, Certificates, ensure_certificates

NOW = datetime.now(UTC)
NAMES = ["localhost", "127.0.0.1", "::1"]


def handshake(files: Certificates, name: str) -> None:
    """A TLS handshake in memory; raises what a client would."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(files.certificate, files.key)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = ssl.create_default_context(cafile=str(files.ca)).wrap_bio(to_client, to_server, server_hostname=name)
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    for side in (ours, theirs, ours, theirs):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue


@pytest.mark.parametrize("name", NAMES)
def test_a_client_that_trusts_the_ca_accepts_every_name(tmp_path: Path, name: str) -> None:
    handshake(ensure_certificates(tmp_path, NAMES, NOW), name)


def test_other_names_and_other_authorities_are_refused(tmp_path: Path) -> None:
    files = ensure_certificates(tmp_path / "a", NAMES, NOW)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(files, "elsewhere")
    other = ensure_certificates(tmp_path / "b", NAMES, NOW)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(Certificates(ca=other.ca, certificate=files.certificate, key=files.key), "localhost")


def test_files_are_kept_private_and_renewed_in_time(tmp_path: Path) -> None:
    first = ensure_certificates(tmp_path, NAMES, NOW)
    ca, leaf = first.ca.read_bytes(), first.certificate.read_bytes()
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    ensure_certificates(tmp_path, NAMES[::-1], NOW + timedelta(days=10))
    assert first.certificate.read_bytes() == leaf
    ensure_certificates(tmp_path, NAMES, NOW + SERVER_LIFE - timedelta(days=20))
    renewed = first.certificate.read_bytes()
    assert renewed != leaf
    ensure_certificates(tmp_path, [*NAMES, "edge1"], NOW)
    assert first.certificate.read_bytes() != renewed
    assert first.ca.read_bytes() == ca
