"""A CSAR made from a folder reads without a warning, is always the same, and notices every change."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest

from skerry.errors import InvalidError
from skerry.model.descriptors import NsPackage, VnfPackage
from skerry.packages import build, extract_artifact, lint, open_artifact, read
from tests.packages import samples


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = samples.server_files()
    del files["TOSCA-Metadata/TOSCA.meta"]
    return samples.written(tmp_path / "server", files)


@pytest.mark.feature("A48")
def test_build_and_read(folder: Path, tmp_path: Path) -> None:
    csar = build(folder, tmp_path / "server.csar")
    package = read(csar)
    assert isinstance(package, VnfPackage)
    assert package.vnfd == read(samples.vnfd_zip()).vnfd  # type: ignore[union-attr]
    assert package.manifest["vnf_product_name"] == "sipp-server"
    warnings = {fault.code for fault in lint(csar)[1]}
    assert warnings <= {"level-over-maximum"}
    kinds = {artifact.path: artifact.kind for artifact in package.artifacts}
    assert kinds["ChangeLog.txt"] == "changelog"
    digests = {artifact.path: artifact.checksum for artifact in package.artifacts}
    assert digests["Scripts/configure.sh"] == hashlib.sha256(samples.SCRIPT.encode()).hexdigest()


@pytest.mark.feature("A48")
def test_a_source_folder_is_checked_as_what_it_would_become(folder: Path, tmp_path: Path) -> None:
    errors, warnings, package = lint(folder)
    assert errors == []
    assert {fault.code for fault in warnings} <= {"level-over-maximum"}
    assert isinstance(package, VnfPackage)
    assert package.vnfd == read(build(folder, tmp_path / "server.csar")).vnfd  # type: ignore[union-attr]
    (folder / "Definitions" / "other.yaml").write_text("tosca_definitions_version: tosca_simple_yaml_1_3\n")
    assert [fault.code for fault in lint(folder)[0]] == ["no-entry"], "which of two it is, nobody can tell"
    with pytest.raises(InvalidError, match="entry file"):
        build(folder, tmp_path / "none.csar")


def test_same_folder_same_bytes(folder: Path, tmp_path: Path) -> None:
    first = build(folder, tmp_path / "a.csar").read_bytes()
    (folder / "Scripts" / "configure.sh").touch()
    assert build(folder, tmp_path / "b.csar").read_bytes() == first


def test_network_service_with_its_folder(tmp_path: Path) -> None:
    folder = samples.written(tmp_path / "ns", {"Definitions/service.yaml": samples.SERVICE})
    package = read(build(folder, tmp_path / "ns.csar"))
    assert isinstance(package, NsPackage)
    assert package.manifest["nsd_name"] == "sip"
    assert not lint(tmp_path / "ns.csar")[1]


def test_changed_content_is_noticed(folder: Path, tmp_path: Path) -> None:
    csar = build(folder, tmp_path / "server.csar")
    changed = tmp_path / "changed.csar"
    with zipfile.ZipFile(csar) as source, zipfile.ZipFile(changed, "w") as target:
        for name in source.namelist():
            target.writestr(name, b"#!/bin/sh\nevil\n" if name.endswith(".sh") else source.read(name))
    errors, _, package = lint(changed)
    assert package is None
    named = {fault.message.split(":")[0] for fault in errors}
    assert named == {"cannot accept Files/Tests/test.sh", "cannot accept Scripts/configure.sh"}
    assert {fault.code for fault in errors} == {"manifest-hash"}


def test_faulty_folder_makes_nothing(folder: Path, tmp_path: Path) -> None:
    (folder / "Scripts" / "configure.sh").unlink()
    with pytest.raises(InvalidError) as caught:
        build(folder, tmp_path / "server.csar")
    assert [fault.code for fault in caught.value.faults] == ["missing-file"]
    assert [path.name for path in tmp_path.iterdir()] == ["server"]


def test_folder_without_clear_entry(tmp_path: Path) -> None:
    folder = samples.written(tmp_path / "two", {"a.yaml": samples.SERVICE, "b.yaml": samples.SERVICE})
    with pytest.raises(InvalidError, match="entry file"):
        build(folder, tmp_path / "two.csar")
    assert read(build(folder, tmp_path / "two.csar", entry="b.yaml"))


def test_artifacts_come_out(folder: Path, tmp_path: Path) -> None:
    csar = build(folder, tmp_path / "server.csar")
    assert open_artifact(csar, "Files/images/helper.img") == b"an image"
    copy = extract_artifact(csar, "Scripts/configure.sh", tmp_path / "copy.sh")
    assert copy.read_text() == samples.SCRIPT
    assert open_artifact(folder, "Scripts/configure.sh") == samples.SCRIPT.encode()
    with pytest.raises(InvalidError, match="cannot find"):
        open_artifact(csar, "../server/ChangeLog.txt")
