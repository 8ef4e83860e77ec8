"""Details of the mapping: boot data, several templates, derived types, dependencies, forms of packages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from skerry.model.descriptors import Vdu, Vnfd, VnfPackage
from skerry.packages import lint, read
from skerry.packages.boot import read_boot_data
from skerry.packages.cursor import Cursor
from skerry.packages.report import Report
from tests.packages import samples


def boot(properties: dict[str, Any], vim_type: str = "container") -> tuple[dict[str, Any], set[str]]:
    report = Report()
    value = {"vim_specific_properties": {"vim_type": vim_type, "properties": properties}}
    fields = read_boot_data(Cursor(value, "f", (), report))
    return fields, {fault.code for fault in report.errors}


@pytest.mark.feature("A83")
@pytest.mark.parametrize(
    ("properties", "field", "expected"),
    [
        ({"CMD": ["sh", "-c", {"get_attribute": ["x", "y"]}]}, "command", ("sh", "-c", {"get_attribute": ["x", "y"]})),
        ({"command": "echo 'a b'"}, "command", ("echo", "a b")),
        ({"Publish": ["53:5353/udp"]}, "ports", ({"host": 53, "instance": 5353, "protocol": "udp"},)),
        ({"EXPOSE": "81/sctp"}, "ports", ({"host": 0, "instance": 81, "protocol": "sctp"},)),
        ({"ALIASES": "a, b"}, "aliases", ("a", "b")),
        ({"DNS": ["1.1.1.1", "9.9.9.9"]}, "dns", ("1.1.1.1", "9.9.9.9")),
        ({"HOSTNAME": {"get_attribute": ["SELF", "name"]}}, "hostname", {"get_attribute": ["SELF", "name"]}),
        ({"RESTART_POLICY_CONDITION": "none"}, "restart", False),
        ({"RESTART_POLICY_CONDITION": "any"}, "restart", True),
        ({"READ_ONLY": "yes"}, "read_only", True),
        ({"PIDS": "32"}, "pids", 32),
        ({"GRACE": "500 ms"}, "grace_s", 0.5),
        ({"CONSTRAINTS": ["a==b", "c"]}, "options", {"constraints": ["a==b", "c"]}),
        ({"VOLUMES": "data:/data"}, "mounts", ({"source": "data", "target": "/data", "read_only": False},)),
        ({"VOLUMES": ["/etc:/e:ro"]}, "mounts", ({"source": "/etc", "target": "/e", "read_only": True},)),
        ({"ENV": {"A": 1}, "B": True, "C": {"get_input": "c"}}, "env", {"A": "1", "B": "true", "C": {"get_input": "c"}}),
    ],
)  # fmt: skip
def test_keys_of_boot_data(properties: dict[str, Any], field: str, expected: Any) -> None:
    fields, errors = boot(properties)
    assert not errors
    assert fields[field] == expected
    assert set(fields) <= set(Vdu.__struct_fields__)


@pytest.mark.parametrize(
    ("properties", "code"),
    [
        ({"PUBLISH": "80"}, "bad-port"),
        ({"PUBLISH": "80:0"}, "bad-port"),
        ({"PUBLISH": "80:80/icmp"}, "bad-port"),
        ({"EXPOSE": "99999"}, "bad-port"),
        ({"EXPOSE": "80:8080"}, "bad-port"),
        ({"VOLUMES": "a:b"}, "bad-volume"),
        ({"VOLUMES": "a:/b:rx"}, "bad-volume"),
        ({"CMD": "echo 'a"}, "bad-command"),
        ({"PIDS": "many"}, "wrong-type"),
        ({"READ_ONLY": "perhaps"}, "wrong-type"),
        ({"DNS": [{"a": 1}]}, "wrong-type"),
        ({"DNS": {"get_attribute": ["a", "b"]}}, "runtime-function"),
        ({"A=B": "c"}, "bad-environment"),
        ({"LIST": ["a"]}, "wrong-type"),
    ],
)
def test_wrong_keys_are_faults(properties: dict[str, Any], code: str) -> None:
    assert boot(properties)[1] == {code}


def test_other_vim_types_are_kept_as_options() -> None:
    fields, errors = boot({"user_data": "x", "CMD": "y"}, "ETSINFV.OPENSTACK.v2")
    assert not errors
    assert fields["options"] == {"ETSINFV.OPENSTACK.v2": {"user_data": "x", "CMD": "y"}}
    assert "command" not in fields


def test_boot_data_of_the_first_releases_is_user_data() -> None:
    report = Report()
    assert read_boot_data(Cursor("#!/bin/sh", "f", (), report))["options"] == {"user_data": "#!/bin/sh"}
    assert not report.errors


def faults(before: str, after: str) -> tuple[set[str], set[str]]:
    assert before in samples.SERVER
    errors, warnings, _ = lint(samples.vnfd_zip(samples.SERVER.replace(before, after)))
    return {fault.code for fault in errors}, {fault.code for fault in warnings}


@pytest.mark.parametrize(
    ("before", "after", "code"),
    [
        ("- container: box\n", "- container: box\n        - container: box\n", "containers-of-unit"),
        ("- container: box\n", "", "containers-of-unit"),
        ("- virtual_binding: server\n    inner", "- virtual_binding: ghost\n    inner", "unknown-node"),
        ("- virtual_link: lan", "- virtual_link: server", "wrong-node"),
        ("[sip, virtual_link]", "[sap, virtual_link]", "unknown-node"),
        ("max_number_of_instances: 4", "max_number_of_instances: 0", "bad-profile"),
        ("step_deltas: [one, two]", "step_deltas: [one, three]", "unknown-delta"),
        ("aspect: calls", "aspect: call", "unknown-aspect"),
        ("{calls: {scale_level: 3}}", "{calls: {scale_level: 4}}", "bad-level"),
        ("{calls: {scale_level: 3}}", "{cells: {scale_level: 3}}", "unknown-aspect"),
        ("default_level: least", "default_level: last", "unknown-level"),
        ("targets: [both]", "targets: [none]", "unknown-node"),
        ("../Scripts/configure.sh", "../Scripts/missing.sh", "missing-file"),
        ("vdus: [server]", "vdus: [ghost]", "unknown-node"),
        ("memory_resource_limit: 64 MiB", "memory_resource_limit: much", "wrong-type"),
        ("memory_resource_limit: 64 MiB", "memory_resource_limit: 64 MoB", "wrong-type"),
        ("cpu_resource_limit: 500", "cpu_resource_limit: -5", "wrong-type"),
        ("        product_name: sipp-server\n", "", "missing-property"),
        ("destination_path: /etc/sipp.conf", "destination_path: sipp.conf", "relative-path"),
        ("        - dependency: helper\n", "        - dependency: server\n", "cyclic-dependency"),
    ],
)
@pytest.mark.feature("A48")
def test_faults_of_a_vnfd(before: str, after: str, code: str) -> None:
    assert code in faults(before, after)[0]


@pytest.mark.parametrize(
    ("before", "after", "code"),
    [
        ("../Scripts/configure.sh", "a-driver-of-another-system", "unknown-implementation"),
        ("../Files/images/helper.img", "../Files/images/gone.img", "missing-image"),
        ("type: acme.Container", "type: tosca.nodes.nfv.Vdu.OsContainer", "boot-data-undeclared"),
        ("type: tosca.policies.nfv.SupportedVnfInterface", "type: acme.policies.Own", "unknown-policy"),
        ("        name: helper\n", "        name: helper\n        colour: red\n", "unknown-property"),
        ("[sip, virtual_link]", "[]", "empty-mapping"),
    ],
)
def test_what_is_only_a_warning(before: str, after: str, code: str) -> None:
    errors, warnings = faults(before, after)
    assert not errors
    assert code in warnings


def vnfd_of(files: dict[str, str]) -> Vnfd:
    package = read(samples.zipped(dict(files)))
    assert isinstance(package, VnfPackage)
    return package.vnfd


TOP = """\
tosca_definitions_version: tosca_simple_yaml_1_2
imports: [types.yaml, small.yaml, large.yaml]
topology_template:
  inputs:
    selected_flavour: {type: string}
  node_templates:
    VNF:
      type: acme.SippServer
      properties:
        flavour_id: {get_input: selected_flavour}
        descriptor_id: two-flavours
        descriptor_version: '1.0'
        product_name: two
        software_version: '1'
        vnfm_info: [skerry]
      requirements:
"""
FLAVOUR = """\
tosca_definitions_version: tosca_simple_yaml_1_2
topology_template:
  inputs:
    descriptor_id: {type: string}
    size: {type: integer, default: NUMBER}
  substitution_mappings:
    node_type: acme.SippServer
    properties: {flavour_id: NAME}
  node_templates:
    VNF:
      type: acme.SippServer
      properties: {flavour_description: the NAME one}
    vdu:
      type: tosca.nodes.nfv.Vdu.Compute
      properties:
        name: vdu
        description: of NAME
        vdu_profile: {min_number_of_instances: {get_input: size}, max_number_of_instances: 5}
        boot_data: {kvp_data: {data: {ID: {get_input: descriptor_id}}}}
"""


@pytest.mark.feature("A48")
def test_one_template_per_flavour() -> None:
    vnfd = vnfd_of(
        {
            "TOSCA-Metadata/TOSCA.meta": "Entry-Definitions: Definitions/top.yaml\n",
            "Definitions/top.yaml": TOP,
            "Definitions/types.yaml": samples.TYPES,
            "Definitions/small.yaml": FLAVOUR.replace("NAME", "small").replace("NUMBER", "1"),
            "Definitions/large.yaml": FLAVOUR.replace("NAME", "large").replace("NUMBER", "3"),
        }
    )
    assert sorted(vnfd.flavours) == ["large", "small"]
    large = vnfd.flavours["large"]
    assert large.description == "the large one"
    assert large.instantiation_levels["default"].vdu_levels == {"vdu": 3}
    assert large.vdus["vdu"].env == {"ID": "two-flavours"}, "the VNF's properties are given to the flavour's inputs"
    assert list(large.inputs) == ["size"], "neither the selector of the flavour nor the VNF's properties are asked for"


def test_duplicate_flavours_are_refused() -> None:
    files = {
        "TOSCA-Metadata/TOSCA.meta": "Entry-Definitions: Definitions/top.yaml\n",
        "Definitions/top.yaml": TOP,
        "Definitions/types.yaml": samples.TYPES,
        "Definitions/small.yaml": FLAVOUR.replace("NAME", "same").replace("NUMBER", "1"),
        "Definitions/large.yaml": FLAVOUR.replace("NAME", "same").replace("NUMBER", "3"),
    }
    errors, _, _ = lint(samples.zipped(dict(files)))
    assert {fault.code for fault in errors} == {"duplicate-flavour"}


@pytest.mark.feature("A52")
def test_requires_and_provides_of_metadata() -> None:
    types = samples.TYPES.replace(
        "      provides: [address]\n",
        "      provides: {url: {concat: ['sip:', {get_attribute: [SELF, address]}]}}\n"
        "      requires: {registrar: 'host, port', 'acme.Proxy': [address]}\n",
    )
    vnfd = vnfd_of({**samples.server_files(), "Definitions/types.yaml": types})
    assert vnfd.provides == {"url": {"concat": ["sip:", {"get_attribute": ["SELF", "address"]}]}}
    assert vnfd.requires == {"registrar": ("host", "port"), "acme.Proxy": ("address",)}


@pytest.mark.feature("A26")
def test_what_a_request_may_change_is_asked_at_run_time() -> None:
    types = samples.TYPES.replace(
        "    properties:\n      provider:",
        "    properties:\n      greeting: {type: string, default: hi}\n      provider:",
    )
    mode = "MODE: {get_property: [VNF, configurable_properties, mode]}, HI: {get_property: [VNF, greeting]}"
    text = samples.SERVER.replace("MODE: uas", f"{mode}, WHO: {{get_property: [VNF, provider]}}")
    text = text.replace(
        "        flavour_description: one",
        "        configurable_properties: {mode: uas}\n        flavour_description: one",
    )
    vnfd = vnfd_of({**samples.server_files(), "Definitions/types.yaml": types, "Definitions/server.yaml": text})
    env = vnfd.flavours["small"].vdus["server"].env
    assert env["MODE"] == {"get_property": ["VNF", "configurable_properties", "mode"]}
    assert env["HI"] == {"get_property": ["VNF", "greeting"]}
    assert env["WHO"] == "Acme"
    assert vnfd.configurable_properties == {"mode": "uas", "greeting": "hi"}


def external_point(address: str = "[{get_input: domain}]") -> str:
    """The server with a VnfExtCp in front of its internal link."""
    text = samples.SERVER.replace(
        "virtual_link_sip: [sip, virtual_link]", "virtual_link_sip: [door, external_virtual_link]"
    )
    text = text.replace("fixed_ip_address: [10.1.0.9]", f"fixed_ip_address: {address}")
    door = (
        "    door:\n      type: tosca.nodes.nfv.VnfExtCp\n      properties: {layer_protocols: [ipv4], role: leaf}\n"
        "      requirements:\n        - internal_virtual_link: lan\n"
    )
    return text.replace("  groups:\n", f"{door}  groups:\n")


@pytest.mark.feature("A50")
def test_external_connection_point_over_an_internal_link() -> None:
    flavour = vnfd_of({**samples.server_files(), "Definitions/server.yaml": external_point()}).flavours["small"]
    assert flavour.ext_cps["door"].virtual_link == "lan"
    assert flavour.ext_cps["door"].external == "virtual_link_sip"
    assert flavour.cps["inner"].external == "door"
    assert flavour.ext_cps["sip"].external == "sip", "an interface without virtual link is exposed under its own name"
    assert flavour.cps["sip"].fixed_ip == {"get_input": "domain"}


def test_implementation_by_the_name_of_an_artifact() -> None:
    named = "artifacts:\n        setup: {type: tosca.artifacts.Implementation.Bash, file: ../Scripts/configure.sh}\n"
    text = samples.SERVER.replace("implementation: ../Scripts/configure.sh", "implementation: {primary: setup}")
    text = text.replace("      interfaces:\n", f"      {named}      interfaces:\n")
    vnfd = vnfd_of({**samples.server_files(), "Definitions/server.yaml": text})
    assert vnfd.flavours["small"].scripts["instantiate_end"].artifact == "Scripts/configure.sh"


def test_single_yaml_form(tmp_path: Path) -> None:
    vnf = samples.SERVER.replace("imports:\n  - types.yaml\n", samples.TYPES.partition("\n")[2])
    samples.written(
        tmp_path, {"sipp.yaml": vnf.replace("../Scripts", "Scripts"), "Scripts/configure.sh": samples.SCRIPT}
    )
    package = read(tmp_path)
    assert isinstance(package, VnfPackage)
    assert package.vnfd.flavours["small"].scripts["instantiate_end"].artifact == "Scripts/configure.sh"


def test_missing_source_is_a_fault(tmp_path: Path) -> None:
    errors, _, package = lint(tmp_path / "gone.csar")
    assert package is None
    assert [fault.code for fault in errors] == ["unreadable-package"]


def test_importing_the_readers_is_cheap() -> None:
    code = (
        "import sys, skerry.packages as p\n"
        "assert 'yaml' not in sys.modules and 'zipfile' not in sys.modules\n"
        "from skerry.packages import read, lint, build\n"
        "assert callable(read) and callable(lint) and callable(build) and 'yaml' in sys.modules\n"
        "import skerry.packages.reading, skerry.packages.building\n"
        "assert callable(p.read) and callable(p.lint) and callable(p.build)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
