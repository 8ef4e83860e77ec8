"""Every real SOL001 package at hand is read, or refused for a defect of its own."""

from __future__ import annotations

import pytest

from tools.packages_table import PAGE, find, outcome, packages_folder, result_of, table

FOLDER = packages_folder()
pytestmark = pytest.mark.skipif(FOLDER is None, reason="the real packages are not at hand (SKERRY_ETSI)")

TESTS = "01-openstack-tacker/samples/tests/etc/samples/etsi/nfv/"
BROKEN = {
    "sample_vnf_package_csar_in_meta_and_manifest_false": "missing-file",
    "sample_vnf_package_csar_in_meta_and_manifest_false_algorithm": "manifest-algorithm",
    "sample_vnf_package_csar_in_meta_and_manifest_false_hash": "manifest-hash",
    "sample_vnf_package_csar_in_meta_and_manifest_false_source": "manifest-source",
    "sample_vnf_package_csar_in_meta_and_manifest_missing_key": "manifest-entry",
    "sample_vnf_package_csar_in_meta_and_manifest_missing_value": "manifest-entry",
    "sample_vnf_package_csar_in_single_manifest_false_name": "manifest-name",
    "sample_vnfpkg_tosca_vnfd": "unknown-delta",
}
DEFECTS = {  # codes that name a defect of the package itself, not a limit or a taste of the reader
    "constraint",
    "manifest-algorithm",
    "manifest-entry",
    "manifest-hash",
    "manifest-name",
    "manifest-source",
    "missing-file",
    "missing-property",
    "no-entry",
    "no-vnf-or-ns",
    "unknown-delta",
    "unknown-node",
    "wrong-type",
}


@pytest.mark.feature("A35", "A48")
def test_read_or_refused_for_a_defect() -> None:
    assert FOLDER is not None
    results = {package.relative_to(FOLDER).as_posix(): result_of(package).split()[0] for package in find(FOLDER)}
    assert len(results) > 100
    counts = {result: list(results.values()).count(result) for result in ("read", "incomplete", "refused")}
    assert counts["read"] >= 53
    assert counts["refused"] <= 39
    onap = [name for name, result in results.items() if name.startswith("04-onap") and result == "read"]
    assert len(onap) == 14


def test_reasons_are_defects() -> None:
    assert FOLDER is not None
    for package in find(FOLDER):
        codes = {fault.code for fault in outcome(package)[1]}
        assert codes <= DEFECTS, (package, codes)


@pytest.mark.parametrize(("name", "code"), BROKEN.items())
def test_broken_on_purpose(name: str, code: str) -> None:
    assert FOLDER is not None
    kind, errors, _ = outcome(FOLDER / TESTS / name)
    assert not kind
    assert code in {fault.code for fault in errors}


@pytest.mark.feature("A35")
def test_network_service_of_onap() -> None:
    assert FOLDER is not None
    kind, errors, _ = outcome(FOLDER / "04-onap-etsicatalog/testdata/ns/ran")
    assert (kind, errors) == ("NSD", [])


def test_page_is_current() -> None:
    assert FOLDER is not None
    assert PAGE.read_text() == table(FOLDER), "run tools/packages_table.py"
