"""TOSCA.meta, manifests and digests."""

from __future__ import annotations

import hashlib

import pytest

from skerry.packages import lint
from tests.packages import samples

SCRIPT_HASH = hashlib.sha256(samples.SCRIPT.encode()).hexdigest()
SCRIPT_512 = hashlib.sha512(samples.SCRIPT.encode()).hexdigest()
HEAD = """\
metadata:
  vnf_product_name: sipp-server
  vnf_provider_id: Acme
  vnf_package_version: '1.0'
  vnf_release_date_time: 2024-01-01T00:00:00Z
"""


def codes(manifest: str, meta: str = "") -> tuple[set[str], set[str]]:
    files = {**samples.server_files(), "server.mf": HEAD + manifest}
    files["TOSCA-Metadata/TOSCA.meta"] += meta
    errors, warnings, _ = lint(samples.zipped(files))
    return {fault.code for fault in errors}, {fault.code for fault in warnings} - {"level-over-maximum"}


@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        (f"\nSource: Scripts/configure.sh\nAlgorithm: SHA-256\nHash: {SCRIPT_HASH}\n", set()),
        (f"\nSource: Scripts/configure.sh\nAlgorithm: sha-256\nHash: {SCRIPT_HASH.upper()}\n", set()),
        (f"\nSource: Scripts/configure.sh\nAlgorithm: SHA-512\nHash: {SCRIPT_512}\n", set()),
        ("\nSource: Scripts/configure.sh\n", set()),
        ("\nSource: https://example.org/image.tar\nAlgorithm: SHA-256\nHash: " + "0" * 64 + "\n", set()),
        (f"\nSource: Scripts/configure.sh\nAlgorithm: SHA-256\nHash: {'0' * 64}\n", {"manifest-hash"}),
        (f"\nSource: Scripts/configure.sh\nAlgorithm: SHA-256\nHash: {SCRIPT_HASH[:-1]}\n", {"manifest-hash"}),
        (f"\nSource: Scripts/configure.sh\nAlgorithm: MD5\nHash: {'0' * 32}\n", {"manifest-algorithm"}),
        (f"\nSource: Scripts/configure.sh\nHash: {SCRIPT_HASH}\n", {"manifest-entry"}),
        ("\nSource: Scripts/configure.sh\nAlgorithm: SHA-256\n", {"manifest-entry"}),
        ("\nSource: Scripts/configure.sh\nAlgorithm:\nHash: 00\n", {"manifest-entry"}),
        (f"\nSource: gone.sh\nAlgorithm: SHA-256\nHash: {SCRIPT_HASH}\n", {"manifest-source"}),
        ("\nAlgorithm: SHA-256\n", {"manifest-syntax"}),
        ("\nno colon here\n", {"manifest-syntax"}),
        ("\n-----BEGIN CMS-----\nMIIG no colon\n-----END CMS-----\n", set()),
    ],
)  # fmt: skip
def test_manifest_entries(manifest: str, expected: set[str]) -> None:
    errors, warnings = codes(manifest)
    assert errors == expected
    assert not warnings


def test_digests_of_meta_blocks() -> None:
    block = "\nName: Scripts/configure.sh\nContent-Type: text/x-sh\nAlgorithm: SHA-256\nHash: "
    assert codes("", block + SCRIPT_HASH)[0] == set()
    assert codes("", block + "1" * 64)[0] == {"manifest-hash"}


def test_named_manifest_must_exist() -> None:
    assert codes("", "ETSI-Entry-Manifest: other.mf\n")[0] == {"missing-file"}


def test_kinds_from_meta_and_artifact_sets() -> None:
    files = {
        **samples.server_files(),
        "extra/notes.txt": "notes",
        "server.mf": HEAD + "non_mano_artifact_sets:\n  acme_notes:\n    Source: extra/notes.txt\n",
    }
    files["TOSCA-Metadata/TOSCA.meta"] += "ETSI-Entry-Change-Log: ChangeLog.txt\nETSI-Entry-Tests: Files/Tests\n"
    errors, _, package = lint(samples.zipped(files))
    assert errors == []
    assert package is not None
    kinds = {artifact.path: artifact.kind for artifact in package.artifacts}
    assert kinds["ChangeLog.txt"] == "changelog"
    assert kinds["Files/Tests/test.sh"] == "test"
    assert kinds["extra/notes.txt"] == "acme_notes"
    assert package.manifest["vnf_provider_id"] == "Acme"


@pytest.mark.parametrize(
    ("meta", "code"),
    [
        ("CSAR-Version: 1.1\n", "no-entry"),
        ("Entry-Definitions: gone.yaml\n", "missing-file"),
        ("Entry-Definitions: Definitions/server.yaml\nnonsense\n", "meta-syntax"),
    ],
)
def test_bad_meta(meta: str, code: str) -> None:
    errors, _, package = lint(samples.zipped({**samples.server_files(), "TOSCA-Metadata/TOSCA.meta": meta}))
    assert package is None
    assert code in {fault.code for fault in errors}
