"""Indicators and coordination actions of a VNFD, in the forms that releases of the standard have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from skerry.errors import InvalidError
from skerry.model.descriptors import DeploymentFlavour, VnfPackage
from skerry.packages import read
from tests.vnfm.builder import csar
from tests.vnfm.watched import watched_folder

WATCHED = {
    "id": "watched",
    "vdus": {"one": {"nics": {"pub": "ext"}}},
    "scripts": {"instantiate_end": {"run": "true"}},
    "indicators": {"load": {"run": "echo 3"}, "users": {}},
    "coordinations": {"terminate": ["drain", "warn"]},
}


def flavour(files: dict[str, str]) -> DeploymentFlavour:
    package = read(csar(files))
    assert isinstance(package, VnfPackage)
    return package.vnfd.flavours[package.vnfd.default_flavour]


def edited(change: Any) -> dict[str, str]:
    files = watched_folder(WATCHED)
    template = json.loads(files["Definitions/watched.yaml"])
    change(template)
    return {**files, "Definitions/watched.yaml": json.dumps(template)}


@pytest.mark.feature("A48")
def test_indicators_with_their_source_and_script() -> None:
    read = flavour(watched_folder(WATCHED))
    assert set(read.indicators) == {"load", "users"}
    load, users = read.indicators["load"], read.indicators["users"]
    assert (load.source, load.description) == ("em", "about load")
    assert load.script is not None
    assert load.script.artifact == "Scripts/load.sh"
    assert users.script is None
    assert set(read.scripts) == {"instantiate_end"}  # an indicator's script is none of the life cycle


@pytest.mark.feature("A48")
def test_the_operations_of_earlier_releases_are_indicators_too() -> None:
    def change(template: dict[str, Any]) -> None:
        kind = template["interface_types"]["test.interfaces.Indicators"]
        kind["operations"] = kind.pop("notifications")
        node = template["topology_template"]["node_templates"]["vnf"]["interfaces"]
        node["Indicators"] = node["Indicators"]["notifications"]

    read = flavour(edited(change))
    assert set(read.indicators) == {"load", "users"}
    assert read.indicators["load"].script is not None
    assert set(read.scripts) == {"instantiate_end"}


@pytest.mark.feature("A48")
def test_a_policy_alone_names_an_indicator() -> None:
    def change(template: dict[str, Any]) -> None:
        del template["interface_types"]
        for kind in template["node_types"].values():
            kind.get("interfaces", {}).pop("Indicators", None)
        del template["topology_template"]["node_templates"]["vnf"]["interfaces"]["Indicators"]
        for policy in template["topology_template"]["policies"]:
            next(iter(policy.values())).pop("triggers", None)

    assert set(flavour(edited(change)).indicators) == {"on_load", "on_users"}


def test_a_script_that_is_not_there_is_a_fault() -> None:
    files = watched_folder(WATCHED)
    del files["Scripts/load.sh"]
    with pytest.raises(InvalidError) as refused:
        flavour(files)
    assert "load.sh" in str(refused.value.faults)


@pytest.mark.feature("A48")
def test_coordination_actions() -> None:
    assert flavour(watched_folder(WATCHED)).coordinations == {"terminate": ("drain", "warn")}


def test_the_sample_has_no_indicator(tmp_path: Path) -> None:
    plain = {key: value for key, value in WATCHED.items() if key not in ("indicators", "coordinations")}
    read = flavour(watched_folder(plain))
    assert (read.indicators, read.coordinations) == ({}, {})
