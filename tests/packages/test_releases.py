"""Every release of SOL001's type definitions: carried by a package, and as known by the reader itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from skerry.model.descriptors import NsPackage, VnfPackage
from skerry.packages import lint, read
from skerry.packages.standard import standard_types
from tests.packages import samples

ROOT = Path(__file__).resolve().parents[2]
ETSI = Path(os.environ.get("SKERRY_ETSI", ROOT.parent / "shared" / "etsi"))
RELEASES = sorted((ETSI / "tosca").glob("*/[0-9]*"))
needs_types = pytest.mark.skipif(not RELEASES, reason="the official type definitions are not at hand (SKERRY_ETSI)")
SECTIONS = ("node_types", "policy_types", "capability_types", "group_types", "artifact_types", "interface_types")


def carried(release: Path) -> dict[str, str]:
    return {f"Definitions/{path.name}": path.read_text() for path in release.glob("*.yaml")}


def has(release: Path, name: str, text: str) -> bool:
    return any(name in path.name and text in path.read_text() for path in release.glob("*.yaml"))


def compute_only() -> str:
    """The server as a virtual machine, with what every release has."""
    document: dict[str, Any] = yaml.safe_load(samples.SERVER)
    nodes = document["topology_template"]["node_templates"]
    del nodes["box"]
    nodes["server"] = {**nodes["helper"], "properties": {**nodes["helper"]["properties"], "name": "server"}}
    for node in ("helper", "server"):
        del nodes[node]["artifacts"]
        nodes[node]["properties"]["vdu_profile"]["max_number_of_instances"] = 9
    for cp in ("sip", "inner"):
        nodes[cp]["properties"] |= {"trunk_mode": False, "role": "leaf", "description": "interface", "protocol": []}
    return yaml.safe_dump(document, sort_keys=False)


@needs_types
@pytest.mark.feature("A48")
@pytest.mark.parametrize("release", RELEASES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_vnfd_with_carried_types(release: Path) -> None:
    if not has(release, "vnfd", "tosca.nodes.nfv.VNF:"):
        pytest.skip("this release has no VNFD types here")
    with_containers = has(release, "vnfd", "OsContainerDeployableUnit")
    text = samples.SERVER if with_containers else compute_only()
    files = samples.server_files()
    if with_containers:
        text = text.replace(
            "        description: answers calls\n",
            "        description: answers calls\n        mcio_identification_data: {name: a, type: Deployment}\n",
        )
    errors, _, package = lint(samples.zipped({**files, **carried(release), "Definitions/server.yaml": text}))
    assert errors == []
    assert isinstance(package, VnfPackage)
    flavour = package.vnfd.flavours["small"]
    assert flavour.vdus["server"].cps == ("inner", "sip")
    assert flavour.instantiation_levels["most"].vdu_levels["server"] == 6
    assert "tosca.nodes.nfv.VNF" in package.templates["types"]["node_types"], "the package's own types are used"


@needs_types
@pytest.mark.feature("A47")
@pytest.mark.parametrize("release", RELEASES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_nsd_with_carried_types(release: Path) -> None:
    if not (has(release, "nsd", "tosca.nodes.nfv.NS:") and has(release, "vnfd", "tosca.nodes.nfv.VNF:")):
        pytest.skip("this release has no NSD or VNFD types here")
    has_levels = has(release, "nsd", "NsInstantiationLevels")
    text = samples.SERVICE if has_levels else samples.SERVICE.partition("  policies:")[0]
    text = text.replace("layer_protocols: [ipv4]}\n", "layer_protocols: [ipv4], trunk_mode: false, protocol: []}\n")
    files = {"TOSCA-Metadata/TOSCA.meta": "Entry-Definitions: Definitions/service.yaml\n", **carried(release)}
    package = read(samples.zipped({**files, "Definitions/service.yaml": text}))
    assert isinstance(package, NsPackage)
    flavour = package.nsd.flavours["small"]
    assert len(flavour.dependencies) == 2
    if has_levels:
        assert flavour.levels["high"].vnf_counts["client"] == 3
    else:
        assert flavour.levels["default"].vnf_counts["client"] == 1


@needs_types
@pytest.mark.parametrize("release", RELEASES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_own_types_cover_the_release(release: Path) -> None:
    own = standard_types()
    lacking: list[str] = []
    for path in release.glob("*.yaml"):
        document = yaml.safe_load(path.read_text())
        for section in SECTIONS:
            for name, definition in (document.get(section) or {}).items():
                if name not in own[section]:
                    lacking.append(f"{section}/{name}")
                    continue
                known = merged(own[section], name)
                lacking += [
                    f"{name}.{each}" for each in ((definition or {}).get("properties") or {}) if each not in known
                ]
    assert not lacking


def merged(section: dict[str, Any], name: str) -> set[str]:
    found: set[str] = set()
    while name in section:
        found |= set(section[name].get("properties", {}))
        name = section[name].get("derived_from", "")
    return found
