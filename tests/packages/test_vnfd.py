"""A VNFD of every supported construct, read from a CSAR."""

from __future__ import annotations

import msgspec
import pytest

from skerry.errors import InvalidError
from skerry.model.descriptors import Vnfd, VnfPackage
from skerry.packages import bind_vnfd, lint, read
from tests.packages import samples


@pytest.fixture(scope="module")
def package() -> VnfPackage:
    found = read(samples.vnfd_zip())
    assert isinstance(found, VnfPackage)
    return found


@pytest.fixture(scope="module")
def vnfd(package: VnfPackage) -> Vnfd:
    return package.vnfd


@pytest.mark.feature("A48")
def test_identity_from_node_and_type_defaults(vnfd: Vnfd) -> None:
    assert (vnfd.id, vnfd.provider, vnfd.product_name) == ("sipp-server", "Acme", "sipp-server")
    assert vnfd.version == "1.10", "a version is no number"
    assert vnfd.vnfm_info == ("1:skerry",)
    assert list(vnfd.flavours) == ["small"]
    assert vnfd.default_flavour == "small"


@pytest.mark.feature("A49")
def test_container_unit(vnfd: Vnfd) -> None:
    vdu = vnfd.flavours["small"].vdus["server"]
    assert (vdu.vcpus, vdu.memory_bytes, vdu.pids) == (0.5, 64 * 2**20, 64)
    assert vdu.image is not None
    assert vdu.image.source == "host:sipp,busybox"
    assert (vdu.min_instances, vdu.max_instances) == (1, 4)
    assert vdu.depends_on == ("helper",)


def test_compute(vnfd: Vnfd) -> None:
    vdu = vnfd.flavours["small"].vdus["helper"]
    assert (vdu.vcpus, vdu.memory_bytes, vdu.storage_bytes) == (2.0, 2**30, 2 * 10**9)
    assert vdu.image is not None
    assert vdu.image.source == "Files/images/helper.img"


@pytest.mark.feature("A82", "A83", "D10")
def test_boot_data(vnfd: Vnfd) -> None:
    vdu = vnfd.flavours["small"].vdus["server"]
    assert vdu.command == ("sipp", "-sn", "uas", "-i", "a b")
    assert vdu.env == {"RATE": "5", "MODE": "uas", "EXTRA": "7"}
    assert [(file.path, file.content) for file in vdu.files] == [("/etc/sipp.conf", "rate=5")]
    assert vdu.hostname == "box"
    assert vdu.capabilities == ("NET_ADMIN", "SYS_ADMIN")
    assert vdu.dns == ("10.0.0.53",)
    assert vdu.aliases == ("sip.example",)
    assert vdu.mounts == ({"source": "/var/log", "target": "/logs", "read_only": True},)
    assert [(port["host"], port["instance"], port["protocol"]) for port in vdu.ports] == [
        (5060, 5060, "udp"),
        (80, 8080, "tcp"),
        (0, 9, "tcp"),
    ]
    assert vdu.restart
    assert vdu.read_only
    assert vdu.options == {"constraints": ["node.role==edge"]}


@pytest.mark.feature("A50")
def test_connection_points_in_order(vnfd: Vnfd) -> None:
    flavour = vnfd.flavours["small"]
    assert flavour.vdus["server"].cps == ("inner", "sip")
    assert flavour.cps["sip"].fixed_ip == "10.1.0.9"
    assert flavour.cps["inner"].virtual_link == "lan"
    assert flavour.cps["inner"].bitrate_bps == 1_000_000
    assert flavour.ext_cps["sip"].external == "virtual_link_sip"
    link = flavour.virtual_links["lan"]
    assert (link.cidr, link.gateway, link.mtu, link.dhcp, link.max_bitrate_bps) == (
        "10.9.0.0/24",
        "10.9.0.1",
        1400,
        True,
        8_000_000,
    )


def test_sizes_and_scaling(vnfd: Vnfd) -> None:
    flavour = vnfd.flavours["small"]
    aspect = flavour.scaling_aspects["calls"]
    assert (aspect.max_scale_level, aspect.initial, aspect.deltas) == (3, {"server": 1}, {"server": (1, 2)})
    assert flavour.instantiation_levels["least"].vdu_levels == {"server": 1, "helper": 1}
    assert flavour.instantiation_levels["most"].vdu_levels == {"server": 1 + 1 + 2 + 2, "helper": 1}
    assert flavour.default_instantiation_level_id == "least"
    assert flavour.affinity[0].targets == ("server", "helper")
    assert flavour.affinity[0].anti


def test_scripts(vnfd: Vnfd) -> None:
    script = vnfd.flavours["small"].scripts["instantiate_end"]
    assert script.artifact == "Scripts/configure.sh"
    assert script.arguments == (5, "fast")
    assert script.vdus == ("server",)
    assert script.timeout_s == 5.0
    assert script.inputs == {"domain": {"get_input": "domain"}, "peer": {"get_attribute": ["client", "address"]}}


@pytest.mark.feature("A52")
def test_provides(vnfd: Vnfd) -> None:
    assert vnfd.provides == {"address": {"get_attribute": ["SELF", "address"]}}


def test_artifacts_and_kinds(package: VnfPackage) -> None:
    kinds = {artifact.path: artifact.kind for artifact in package.artifacts}
    assert kinds["Files/images/helper.img"] == "image"
    assert kinds["Scripts/configure.sh"] == "script"
    assert kinds["Files/Licenses/LICENSE.txt"] == "licence"
    assert kinds["server.cert"] == "certificate"


def test_bind_with_inputs_of_a_request(package: VnfPackage) -> None:
    stored = msgspec.json.decode(msgspec.json.encode(package.templates))
    vnfd = bind_vnfd(stored, {"rate": 8, "domain": "example.org"})
    flavour = vnfd.flavours["small"]
    assert flavour.vdus["server"].env["RATE"] == "8"
    assert flavour.vdus["server"].files[0].content == "rate=8"
    assert flavour.scripts["instantiate_end"].inputs["domain"] == "example.org"
    assert flavour.vdus["helper"] == package.vnfd.flavours["small"].vdus["helper"]


def test_bind_names_every_wrong_input(package: VnfPackage) -> None:
    with pytest.raises(InvalidError) as caught:
        bind_vnfd(package.templates, {"rate": "many", "speed": 3})
    assert {(fault.code, fault.path) for fault in caught.value.faults} == {
        ("wrong-type", "inputs/rate"),
        ("unknown-input", "inputs/speed"),
        ("missing-input", "inputs/domain"),
    }


@pytest.mark.feature("A48")
def test_descriptor_survives_json(vnfd: Vnfd) -> None:
    assert msgspec.json.decode(msgspec.json.encode(vnfd), type=Vnfd) == msgspec.convert(
        msgspec.to_builtins(vnfd), type=Vnfd
    )


@pytest.mark.feature("A47", "A48")
def test_every_fault_at_once_with_its_place() -> None:
    text = samples.SERVER.replace("descriptor_id: sipp-server\n", "descriptor_id: ''\n")
    text = text.replace("- container: box", "- container: bux").replace("order: 1\n", "order: first\n")
    errors, _, package = lint(samples.vnfd_zip(text))
    assert package is None
    by_code = {fault.code: fault for fault in errors}
    lines = text.splitlines()
    for code, marker in (
        ("missing-property", "descriptor_id: ''"),
        ("unknown-node", "container: bux"),
        ("wrong-type", "order: first"),
    ):
        assert marker in lines[by_code[code].line - 1], by_code[code]
        assert by_code[code].file == "Definitions/server.yaml"
        assert by_code[code].column > 0
        assert by_code[code].fix
    assert by_code["unknown-node"].path == "topology_template/node_templates/server/requirements/0/container"
