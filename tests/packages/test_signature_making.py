"""Packages that Skerry signs: OpenSSL itself accepts them, and so does Skerry."""

from __future__ import annotations

import stat
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from skerry.cli import root
from skerry.errors import InvalidError
from skerry.packages import Signing, Trust, build, lint, read, sign
from tests.packages import samples
from tests.packages.pki import NOW, Identity, Pki, files, manifest, needs_openssl, signed

pytestmark = needs_openssl
PASSPHRASE = b"a secret of 27 characters !"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    content = samples.server_files()
    del content["TOSCA-Metadata/TOSCA.meta"]
    return samples.written(tmp_path / "server", content)


@pytest.fixture
def csar(folder: Path) -> Path:
    return build(folder, folder.with_suffix(".csar"))


def signing(who: Identity, option: int = 1) -> Signing:
    return Signing(key=who.key_file, certificate=who.cert_file, option=option)  # type: ignore[arg-type]


def openssl_accepts(folder: Path, content: bytes, cms: bytes, pki: Pki, *options: str) -> bool:
    """What OpenSSL's own verification says, chain included."""
    (folder / "content").write_bytes(content)
    (folder / "cms").write_bytes(cms)
    command = ["openssl", "cms", "-verify", "-binary", "-inform", "PEM", "-in", "cms", "-content", "content"]
    command += ["-out", "/dev/null", "-CAfile", str(pki.root.cert_file), "-attime", str(int(NOW.timestamp()))]
    command += ["-purpose", "any", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0


def required(pki: Pki) -> Trust:
    return Trust(policy="require", store=pki.store(), now=NOW)


def test_option_1(csar: Path, tmp_path: Path, pki: Pki) -> None:
    made = sign(csar, tmp_path / "signed.csar", signing(pki.signer), now=NOW)
    found = read(made, trust=required(pki)).signature
    assert (found.option, found.signer, found.verified) == (1, "CN=signer", True)
    with zipfile.ZipFile(made) as archive:
        text = archive.read("server.mf")
    at = text.index(b"-----BEGIN CMS-----")
    assert openssl_accepts(tmp_path, text[:at], text[at:], pki)
    assert not openssl_accepts(tmp_path, text[:at] + b"\n", text[at:], pki)


def test_option_2(csar: Path, tmp_path: Path, pki: Pki) -> None:
    made = sign(csar, tmp_path / "signed.zip", signing(pki.rsa, 2), now=NOW)
    found = read(made, trust=required(pki)).signature
    assert (found.option, found.signer, found.verified) == (2, "CN=rsa", True)
    assert found.certificate.encode() == pki.rsa.pem
    with zipfile.ZipFile(made) as archive:
        assert archive.namelist() == ["server.csar", "server.cms", "server.cert"]
        content, cms = archive.read("server.csar"), archive.read("server.cms")
        assert archive.read("server.cert") == pki.rsa.pem
    assert content == csar.read_bytes()
    assert openssl_accepts(tmp_path, content, cms, pki, "-certfile", str(pki.rsa.cert_file))


@pytest.mark.parametrize("option", [1, 2])
def test_chain_goes_along(csar: Path, tmp_path: Path, pki: Pki, option: int) -> None:
    chain = tmp_path / "chain.pem"
    chain.write_bytes(pki.below.pem + pki.middle.pem + pki.below.key_file.read_bytes())
    given = Signing(key=pki.below.key_file, certificate=chain, option=option)  # type: ignore[arg-type]
    made = sign(csar, tmp_path / "signed", given, now=NOW)
    assert read(made, trust=required(pki)).signature.verified
    assert b"PRIVATE KEY" not in b"".join(content_of(made).values())


def content_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_archive_is_always_the_same_but_for_the_signature(csar: Path, tmp_path: Path, pki: Pki) -> None:
    first, second = (sign(csar, tmp_path / name, signing(pki.signer), now=NOW) for name in ("a.csar", "b.csar"))
    with zipfile.ZipFile(first) as a, zipfile.ZipFile(second) as b:
        assert a.namelist() == b.namelist()
        assert a.namelist()[0] == "TOSCA-Metadata/TOSCA.meta"
        assert a.namelist()[1:-1] == sorted(a.namelist()[1:-1])
        assert {info.date_time for info in a.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {stat.S_IMODE(info.external_attr >> 16) for info in a.infolist()} == {0o644}
        assert all(a.read(name) == b.read(name) for name in a.namelist() if name != "server.mf")


@pytest.mark.parametrize("option", [1, 2])
def test_signing_again_replaces_the_signature(csar: Path, tmp_path: Path, pki: Pki, option: int) -> None:
    once = sign(csar, tmp_path / "once", signing(pki.stranger, option), now=NOW)
    assert [f.code for f in lint(once, trust=required(pki))[0]] == ["signature-unknown-signer"]
    sign(once, once, signing(pki.signer, option), now=NOW)
    assert read(once, trust=required(pki)).signature.signer == "CN=signer"
    plain = sign(once, tmp_path / "plain", signing(pki.signer, 1), now=NOW)
    content = content_of(plain)["server.mf"]
    assert content.count(b"BEGIN CMS") == 1


def test_files_without_a_digest_get_one(tmp_path: Path, pki: Pki) -> None:
    content = files()
    text = manifest(content, skip=("ChangeLog.txt", "TOSCA-Metadata/TOSCA.meta", "Files/Tests/test.sh"))
    text += "non_mano_artifact_sets:\n  acme_notes:\n    Source: Files/Licenses/LICENSE.txt\n"
    source = tmp_path / "a.csar"
    source.write_bytes(samples.zipped({**content, "server.mf": text}))
    before = {artifact.path: artifact.kind for artifact in read(source).artifacts}
    sign(source, source, signing(pki.signer), now=NOW)
    package = read(source, trust=required(pki))
    assert {artifact.path: artifact.kind for artifact in package.artifacts} == before
    assert package.manifest["vnf_provider_id"] == "Acme"


@pytest.mark.parametrize(
    "content", [{"service.yaml": samples.SERVICE}, samples.server_files()], ids=["single file", "metadata"]
)
def test_manifest_is_made_where_there_is_none(tmp_path: Path, pki: Pki, content: dict[str, str | bytes]) -> None:
    source = tmp_path / "a.csar"
    source.write_bytes(samples.zipped(content))
    made = sign(source, tmp_path / "b.csar", signing(pki.signer), now=NOW)
    assert read(made, trust=required(pki)).signature.verified


def test_encrypted_key(csar: Path, tmp_path: Path, pki: Pki) -> None:
    secret = tmp_path / "passphrase"
    secret.write_bytes(PASSPHRASE + b"\n")
    key = pki.signer.encrypted_key(PASSPHRASE)
    given = Signing(key=key, certificate=pki.signer.cert_file, passphrase_file=secret)
    assert read(sign(csar, tmp_path / "signed.csar", given, now=NOW), trust=required(pki)).signature.verified


def wrong_passphrase(pki: Pki, folder: Path) -> Signing:
    secret = folder / "passphrase"
    secret.write_bytes(b"wrong\n")
    key = pki.signer.encrypted_key(PASSPHRASE)
    return Signing(key=key, certificate=pki.signer.cert_file, passphrase_file=secret)


def no_passphrase(pki: Pki, folder: Path) -> Signing:
    return Signing(key=pki.signer.encrypted_key(PASSPHRASE), certificate=pki.signer.cert_file)


def not_a_certificate(pki: Pki, folder: Path) -> Signing:
    return Signing(key=pki.signer.key_file, certificate=pki.signer.key_file)


WRONG: dict[str, tuple[Callable[[Pki, Path], Signing], str]] = {
    "expired": (lambda pki, _: signing(pki.expired), "has expired"),
    "not for signatures": (lambda pki, _: signing(pki.encryptor, 2), "not for signatures"),
    "key of another": (
        lambda pki, _: Signing(key=pki.rsa.key_file, certificate=pki.signer.cert_file),
        "does not belong to the certificate",
    ),
    "wrong passphrase": (wrong_passphrase, "passphrase is missing or wrong"),
    "no passphrase": (no_passphrase, "passphrase is missing or wrong"),
    "no certificate": (not_a_certificate, "cannot use the certificate signer.key"),
    "no key": (
        lambda pki, folder: Signing(key=folder / "none.key", certificate=pki.signer.cert_file),
        "cannot find the file",
    ),
    "not a key": (
        lambda pki, _: Signing(key=pki.signer.cert_file, certificate=pki.signer.cert_file),
        "cannot sign with the key signer.pem",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_key_or_certificate_makes_nothing(csar: Path, tmp_path: Path, pki: Pki, name: str) -> None:
    make, reason = WRONG[name]
    given = make(pki, tmp_path)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InvalidError, match=reason) as caught:
        sign(csar, tmp_path / "signed.csar", given, now=NOW)
    assert caught.value.suggestion
    assert sorted(tmp_path.iterdir()) == before


def test_faulty_package_is_not_signed(tmp_path: Path, pki: Pki) -> None:
    source = tmp_path / "a.csar"
    source.write_bytes(samples.zipped({**signed(files(), pki.signer), "Scripts/configure.sh": "evil"}))
    for option in (1, 2):
        with pytest.raises(InvalidError, match="cannot accept Scripts/configure"):
            sign(source, tmp_path / "b", signing(pki.signer, option), now=NOW)
    content = {**files("ETSI-Entry-Signature: proof.cms\n"), "proof.cms": "x"}
    source.write_bytes(samples.zipped({**content, "server.mf": manifest(content)}))
    with pytest.raises(InvalidError, match=r"its signature is in the file proof\.cms"):
        sign(source, tmp_path / "b", signing(pki.signer), now=NOW)
    with pytest.raises(InvalidError, match="cannot sign the folder"):
        sign(tmp_path, tmp_path / "b", signing(pki.signer), now=NOW)


# -- the commands; their clock is the real one ---------------------------------------------------------------------------


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(root, [str(each) for each in arguments], prog_name="skerry")
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture
def lasting(tmp_path: Path) -> Identity:
    from datetime import UTC, datetime, timedelta

    keys = tmp_path / "keys"
    keys.mkdir()
    return Identity(keys, "lasting", end=datetime.now(UTC) + timedelta(days=2))


def test_commands(folder: Path, tmp_path: Path, lasting: Identity) -> None:
    store = tmp_path / "store"
    store.mkdir()
    given = ("--cert", lasting.cert_file)
    run("package", "build", folder, "--sign", lasting.key_file, *given)
    run("package", "build", folder, "--sign", lasting.key_file, *given, "--option", 2)
    plain = tmp_path / "plain.csar"
    run("package", "build", folder, "-o", plain)
    (store / "lasting.pem").write_bytes(lasting.pem)
    for made in ("server.csar", "server.zip"):
        assert "0 errors" in run("lint", tmp_path / made, "--trust-store", store)
    assert "the package is not signed" in run("lint", plain, "--trust-store", store, code=5)
    run("package", "sign", plain, "--key", lasting.key_file, *given)
    run("lint", plain, "--trust-store", store)
    told = run("package", "sign", plain, "--key", lasting.key_file, *given, "--option", 2, "--json")
    assert told.strip() == f'{{"file":"{tmp_path / "plain.zip"}"}}'
    run("lint", tmp_path / "plain.zip", "--trust-store", store)
    assert {path.name for path in tmp_path.iterdir()} == {
        "server", "server.csar", "server.zip", "plain.csar", "plain.zip", "store", "keys"
    }  # fmt: skip


def test_commands_tell_what_is_wrong_and_no_secret(folder: Path, tmp_path: Path, lasting: Identity) -> None:
    assert "--sign and --cert go together" in run("package", "build", folder, "--sign", lasting.key_file, code=2)
    csar = tmp_path / "a.csar"
    run("package", "build", folder, "-o", csar)
    wrong = tmp_path / "wrong"
    wrong.write_text("not-the-passphrase\n")
    key = lasting.encrypted_key(PASSPHRASE)
    told = run(
        "package", "sign", csar, "--key", key, "--cert", lasting.cert_file, "--passphrase-file", wrong, code=5
    )  # fmt: skip
    assert "--passphrase-file" in told
    assert "not-the-passphrase" not in told
    assert "PRIVATE KEY" not in told
    run("package", "sign", tmp_path / "none", "--key", key, "--cert", lasting.cert_file, code=3)
