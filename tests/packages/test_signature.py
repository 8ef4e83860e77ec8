"""Signed manifests (SOL004 clause 5.1, option 1): what is accepted, and each way to be wrong with its reason."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from skerry.model.descriptors import PackageSignature
from skerry.packages import Limits, Trust, lint
from tests.packages import samples
from tests.packages.pki import NOW, Pki, files, manifest, needs_openssl, sha256, signed

pytestmark = needs_openssl
Files = dict[str, str | bytes]
SCRIPT = "Scripts/configure.sh"
CMS_END = b"-----END CMS-----\n"


def judge(
    content: Files, trust: Trust | None, limits: Limits | None = None
) -> tuple[list[str], PackageSignature | None]:
    """Codes of the errors, and the signature that was found."""
    errors, _, package = lint(samples.zipped(content), trust=trust, limits=limits)
    assert all(fault.fix for fault in errors)
    return sorted(fault.code for fault in errors), package.signature if package else None


def trusting(pki: Pki, policy: str = "require") -> Trust:
    return Trust(policy=policy, store=pki.store(), now=NOW)  # type: ignore[arg-type]


def separate(pki: Pki, name: str, meta: str = "", form: str = "DER") -> Files:
    content = files(meta)
    text = manifest(content)
    return {**content, "server.mf": text, name: pki.signer.cms(text, form=form)}


def single(pki: Pki) -> Files:
    """The form without TOSCA-Metadata: the certificate has the name of the manifest."""
    content: Files = {"service.yaml": samples.SERVICE}
    text = manifest(content).replace("vnf_p", "nsd_p")
    named = pki.signer.cms(text, "-nocerts")
    return {**content, "service.mf": text.encode() + named, "service.cert": pki.signer.pem}


def artifact_signed(
    pki: Pki, *, content: str = samples.SCRIPT, certificate: bytes = b"", entry: str = "x.cert"
) -> Files:
    """One artifact with a signature of its own, and no digest."""
    found = files()
    found["x.cms"] = pki.signer.cms(content, "-nocerts")
    found["x.cert"] = certificate or pki.signer.pem
    text = manifest(found, skip=(SCRIPT, "x.cms", "x.cert"))
    text += f"\nSource: {SCRIPT}\nSignature: x.cms\nCertificate: {entry}\n"
    return {**found, "server.mf": text.encode() + pki.signer.cms(text)}


GOOD: dict[str, Callable[[Pki], Files]] = {
    "certificate in the signature": lambda pki: signed(files(), pki.signer),
    "rsa for code": lambda pki: signed(files(), pki.rsa),
    "sha-512": lambda pki: signed(files(), pki.signer, md="sha512"),
    "without signed attributes": lambda pki: signed(files(), pki.signer, "-noattr"),
    "authority between in the signature": lambda pki: signed(
        files(), pki.below, "-certfile", str(pki.middle.cert_file)
    ),
    "authority between in the package": lambda pki: signed(
        files("ETSI-Entry-Certificate: chain.pem\n", **{"chain.pem": (pki.below.pem + pki.middle.pem).decode()}),
        pki.below,
        "-nocerts",
    ),
    "certificate in the package": lambda pki: signed(
        files("ETSI-Entry-Certificate: c.cert\n", **{"c.cert": pki.signer.pem.decode()}), pki.signer, "-nocerts"
    ),
    "certificate with the manifest's name": single,
    "content in the signature too": lambda pki: signed(files(), pki.signer, "-nodetach"),
    "separate, named": lambda pki: separate(pki, "proof.bin", "ETSI-Entry-Signature: proof.bin\n"),
    "separate, beside the manifest": lambda pki: separate(pki, "server.mf.cms", form="PEM"),
    "artifact with a signature": artifact_signed,
    "two signers": lambda pki: signed(
        files(), pki.signer, "-signer", str(pki.rsa.cert_file), "-inkey", str(pki.rsa.key_file)
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_accepted(pki: Pki, name: str) -> None:
    errors, found = judge(GOOD[name](pki), trusting(pki))
    assert errors == []
    assert found is not None
    assert (found.option, found.verified, found.warning) == (1, True, "")
    assert found.signer


def changed(content: Files, name: str, old: str | bytes, new: str | bytes) -> Files:
    data = content[name]
    before = data if isinstance(data, bytes) else data.encode()
    wanted = old if isinstance(old, bytes) else old.encode()
    assert wanted in before
    return {**content, name: before.replace(wanted, new if isinstance(new, bytes) else new.encode())}


def behind(pki: Pki, more: bytes) -> Files:
    content = signed(files(), pki.signer)
    data = content["server.mf"]
    assert isinstance(data, bytes)
    return {**content, "server.mf": data + more}


def with_block(block: bytes) -> Files:
    content = files()
    return {**content, "server.mf": manifest(content).encode() + block}


def without(content: Files, name: str) -> Files:
    return {key: value for key, value in content.items() if key != name}


def swapped(pki: Pki) -> Files:
    """A signature that carries another, validly signed, content."""
    content = files()
    text = manifest(content)
    return {**content, "server.mf": text.encode() + pki.signer.cms("another manifest\n", "-nodetach")}


def pem_block(data: bytes) -> bytes:
    return b"-----BEGIN CMS-----\n" + base64.encodebytes(data) + CMS_END


NO_SIGNERS = bytes.fromhex(
    "302306092a864886f70d010702a0163014020101310030 0b06092a864886f70d0107013100".replace(" ", "")
)
BAD: dict[str, tuple[Callable[[Pki], Files], str]] = {
    "tampered artifact": (lambda pki: {**signed(files(), pki.signer), SCRIPT: "#!/bin/sh\nevil\n"}, "manifest-hash"),
    "tampered manifest": (
        lambda pki: changed(signed(files(), pki.signer), "server.mf", "sipp-server", "sipp-sxrver"),
        "signature-wrong",
    ),
    "tampered artifact and manifest": (
        lambda pki: changed(
            {**signed(files(), pki.signer), SCRIPT: "evil"}, "server.mf", sha256(samples.SCRIPT), sha256("evil")
        ),
        "signature-wrong",
    ),
    "line ends changed": (
        lambda pki: changed(signed(files(), pki.signer), "server.mf", "metadata:\n", "metadata:\r\n"),
        "signature-wrong",
    ),
    "added file": (lambda pki: {**signed(files(), pki.signer), "Scripts/more.sh": "evil"}, "signature-uncovered"),
    "removed file": (lambda pki: without(signed(files(), pki.signer), "ChangeLog.txt"), "manifest-source"),
    "unknown signer": (lambda pki: signed(files(), pki.stranger), "signature-unknown-signer"),
    "authority between is missing": (lambda pki: signed(files(), pki.below), "signature-unknown-signer"),
    "expired": (lambda pki: signed(files(), pki.expired), "signature-expired"),
    "expired authority": (
        lambda pki: signed(files(), pki.under_old, "-certfile", str(pki.old.cert_file)),
        "signature-expired",
    ),
    "not valid yet": (lambda pki: signed(files(), pki.early), "signature-early"),
    "certificate for encryption": (lambda pki: signed(files(), pki.encryptor), "signature-key-usage"),
    "certificate of a web server": (lambda pki: signed(files(), pki.server), "signature-key-usage"),
    "short key": (lambda pki: signed(files(), pki.weak), "signature-weak"),
    "sha-1": (lambda pki: signed(files(), pki.signer, md="sha1"), "signature-weak"),
    "issued by one that is no authority": (
        lambda pki: signed(files(), pki.usurper, "-certfile", str(pki.signer.cert_file)),
        "signature-chain",
    ),
    "no certificate anywhere": (lambda pki: signed(files(), pki.signer, "-nocerts"), "signature-certificate"),
    "signature of something else": (swapped, "signature-wrong"),
    "no signers": (lambda pki: with_block(pem_block(NO_SIGNERS)), "signature-wrong"),
    "text behind the signature": (lambda pki: behind(pki, b"\nSource: x\n"), "signature-syntax"),
    "second signature": (lambda pki: behind(pki, pki.stranger.cms("x")), "signature-syntax"),
    "cut off": (
        lambda pki: changed(signed(files(), pki.signer), "server.mf", CMS_END, b""),
        "signature-syntax",
    ),
    "garbage": (lambda pki: with_block(pem_block(bytes(range(256)) * 30)), "signature-unreadable"),
    "no base64": (lambda pki: with_block(b"-----BEGIN CMS-----\n!\xff\x00!\n" + CMS_END), "not-utf8"),
    "empty": (lambda pki: with_block(b"-----BEGIN CMS-----\n" + CMS_END), "signature-unreadable"),
    "a certificate for a signature": (
        lambda pki: with_block(pki.signer.pem.replace(b"CERTIFICATE", b"CMS")),
        "signature-unreadable",
    ),
    "too large": (lambda pki: with_block(pem_block(bytes(300_000))), "file-too-large"),
    "separate: wrong": (lambda pki: changed(separate(pki, "server.cms"), "server.mf", "Acme", "Acne"), "signature-wrong"),
    "separate: missing": (lambda pki: signed(files("ETSI-Entry-Signature: no.cms\n"), pki.signer), "missing-file"),
    "separate: UTF-16": (
        lambda pki: {**separate(pki, "server.cms"), "server.cms": "-----BEGIN CMS-----".encode("utf-16")},
        "signature-unreadable",
    ),
    "separate: empty": (lambda pki: {**separate(pki, "server.cms"), "server.cms": b""}, "signature-unreadable"),
    "separate: too large": (
        lambda pki: {**separate(pki, "server.cms"), "server.cms": bytes(300_000)},
        "file-too-large",
    ),
    "certificate file missing": (
        lambda pki: signed(files("ETSI-Entry-Certificate: no.cert\n"), pki.signer),
        "missing-file",
    ),
    "certificate file damaged": (
        lambda pki: signed(files("ETSI-Entry-Certificate: c.cert\n", **{"c.cert": "nothing"}), pki.signer),
        "certificate-unreadable",
    ),
    "artifact differs from its signature": (lambda pki: artifact_signed(pki, content="else"), "signature-wrong"),
    "artifact's signature is empty": (lambda pki: {**artifact_signed(pki), "x.cms": b""}, "signature-unreadable"),
    "artifact's certificate is another": (
        lambda pki: artifact_signed(pki, certificate=pki.rsa.pem),
        "signature-certificate",
    ),
    "artifact's certificate is missing": (lambda pki: artifact_signed(pki, entry="y.cert"), "missing-file"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("policy", ["require", "warn"])
def test_refused_with_the_reason(pki: Pki, name: str, policy: str) -> None:
    make, code = BAD[name]
    errors, found = judge(make(pki), trusting(pki, policy))
    assert found is None
    assert code in errors
    assert "signature-missing" not in errors


def test_reason_names_file_and_remedy(pki: Pki) -> None:
    errors, _, _ = lint(samples.zipped(signed(files(), pki.stranger)), trust=trusting(pki))
    [fault] = errors
    assert fault.file == "server.mf"
    assert fault.message == (
        "cannot accept the signature of the manifest server.mf: "
        "the certificate of CN=stranger leads to no certificate of the trust store"
    )
    assert "trust_store" in fault.fix


def unsigned() -> Files:
    content = files()
    return {**content, "server.mf": manifest(content)}


@pytest.mark.parametrize(
    ("policy", "expected", "warned"),
    [("require", ["signature-missing"], False), ("warn", [], True), ("off", [], False)],
)
def test_unsigned_package(pki: Pki, policy: str, expected: list[str], warned: bool) -> None:
    errors, warnings, package = lint(samples.zipped(unsigned()), trust=trusting(pki, policy))
    assert [fault.code for fault in errors] == expected
    assert ("signature-missing" in {fault.code for fault in warnings}) is warned
    if package:
        assert (package.signature.option, package.signature.verified) == (0, False)
        assert bool(package.signature.warning) is warned


def test_unsigned_without_manifest(pki: Pki) -> None:
    content = samples.zipped(samples.server_files())
    assert [fault.code for fault in lint(content, trust=trusting(pki))[0]] == ["signature-missing"]


def test_without_trust_store(pki: Pki) -> None:
    content = signed(files(), pki.stranger)
    errors, found = judge(content, Trust(now=NOW))
    assert errors == []
    assert found is not None
    assert (found.signer, found.verified) == ("CN=stranger", False)
    assert "no trust_store" in found.warning
    assert judge(content, Trust(now=NOW, policy="require"))[0] == ["signature-unknown-signer"]
    assert judge(changed(content, "server.mf", "Acme", "Acne"), Trust(now=NOW))[0] == ["signature-wrong"]
    assert judge(signed(files(), pki.expired), Trust(now=NOW))[0] == ["signature-expired"]
    assert judge(signed(files(), pki.early), Trust(now=NOW))[0] == ["signature-early"]


@pytest.mark.parametrize("trust", [None, Trust(policy="off", now=NOW)])
def test_not_looked_at(pki: Pki, trust: Trust | None) -> None:
    content = changed(signed(files(), pki.stranger), "server.mf", "Acme", "Acne")
    errors, found = judge(content, trust)
    assert errors == []
    assert found == PackageSignature(option=1, warning="the signature was not checked")


def test_signer_or_authority_between_in_the_trust_store(pki: Pki) -> None:
    """The store may hold the signer itself, and then its certificate need not be in the package."""
    pinned = Trust(policy="require", store=pki.store(pki.below), now=NOW)
    assert judge(signed(files(), pki.below, "-nocerts"), pinned)[0] == []
    assert judge(signed(files(), pki.signer), pinned)[0] == ["signature-unknown-signer"]
    between = Trust(policy="require", store=pki.store(pki.middle), now=NOW)
    assert judge(signed(files(), pki.below), between)[0] == []
    both = Trust(policy="require", store=pki.store(pki.root, pki.stranger), now=NOW)
    assert judge(signed(files(), pki.stranger), both)[0] == []


def test_trust_store_that_cannot_be_used(pki: Pki, tmp_path: Path) -> None:
    content = signed(files(), pki.signer)
    errors = lint(samples.zipped(content), trust=Trust(store=tmp_path / "none", now=NOW))[0]
    assert [(fault.code, "trust_store" in fault.fix) for fault in errors] == [("trust-store", True)]
    assert judge(content, Trust(store=tmp_path, now=NOW))[0] == ["signature-unknown-signer"]
    (tmp_path / "bad.pem").write_text("nothing")
    (tmp_path / "README").write_text("is not read")
    errors = lint(samples.zipped(content), trust=Trust(store=tmp_path, now=NOW))[0]
    assert (errors[0].code, Path(errors[0].file).name) == ("trust-store", "bad.pem")


def test_system_authorities_do_not_count(pki: Pki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the node's trust store does, whatever OpenSSL is told in its environment."""
    monkeypatch.setenv("SSL_CERT_FILE", str(pki.stranger.cert_file))
    assert judge(signed(files(), pki.stranger), trusting(pki))[0] == ["signature-unknown-signer"]


def test_digests_of_meta_cover_files_if_meta_is_covered(pki: Pki) -> None:
    block = f"\nName: {SCRIPT}\nAlgorithm: SHA-256\nHash: {sha256(samples.SCRIPT)}\n"
    content = files(block)
    covered = manifest(content, skip=(SCRIPT,))
    package: Files = {**content, "server.mf": covered.encode() + pki.signer.cms(covered)}
    assert judge(package, trusting(pki))[0] == []
    open_meta = manifest(content, skip=(SCRIPT, "TOSCA-Metadata/TOSCA.meta"))
    package = {**content, "server.mf": open_meta.encode() + pki.signer.cms(open_meta)}
    assert judge(package, trusting(pki))[0] == ["signature-uncovered", "signature-uncovered"]


def test_number_of_signatures_is_bounded(pki: Pki) -> None:
    content = artifact_signed(pki)
    assert judge(content, trusting(pki), Limits(max_signatures=1))[0] == ["too-many-signatures"]


def test_signature_of_an_outside_file_is_told(pki: Pki) -> None:
    content = files()
    text = manifest(content) + "\nSource: https://example.org/image\nSignature: x.cms\n"
    package: Files = {**content, "server.mf": text.encode() + pki.signer.cms(text)}
    errors, warnings, _ = lint(samples.zipped(package), trust=trusting(pki))
    assert errors == []
    assert "signature-external" in {fault.code for fault in warnings}


def test_many_beginnings_of_signatures_cost_little(pki: Pki) -> None:
    content = files()
    text = manifest(content).encode() + b"-----BEGIN CMS-----\n" * 40_000
    started = time.process_time()
    assert judge({**content, "server.mf": text}, trusting(pki))[0] == ["signature-syntax"]
    assert time.process_time() - started < 5


def test_signed_folder(pki: Pki, tmp_path: Path) -> None:
    for name, data in signed(files(), pki.signer).items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
    errors, _, package = lint(tmp_path, trust=trusting(pki))
    assert errors == []
    assert package is not None
    assert package.signature.verified


def test_without_openssl(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    content = signed(files(), pki.signer)
    monkeypatch.setenv("PATH", "")
    assert judge(content, trusting(pki))[0] == ["openssl-missing"]
    assert judge(unsigned(), trusting(pki, "warn"))[0] == []
