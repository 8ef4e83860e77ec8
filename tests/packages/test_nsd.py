"""An NSD of every supported construct, and dependencies."""

from __future__ import annotations

import msgspec
import pytest

from skerry.errors import InvalidError
from skerry.model.descriptors import Nsd, NsPackage
from skerry.packages import bind_nsd, lint, read
from tests.packages import samples


def nsd_of(text: str = samples.SERVICE) -> Nsd:
    package = read(samples.service_zip(text))
    assert isinstance(package, NsPackage)
    return package.nsd


@pytest.mark.feature("A23", "A35", "A47")
def test_identity_and_constituents() -> None:
    nsd = nsd_of()
    assert (nsd.id, nsd.designer, nsd.version, nsd.name) == ("sip-ns", "Acme", "1.0", "sip")
    assert nsd.vnfd_ids == ("sipp-server", "sipp-client", "monitor")
    flavour = nsd.flavours["small"]
    server = flavour.vnf_profiles["server"]
    assert (server.flavour_id, server.instantiation_level, server.max_instances) == ("small", "least", 2)
    assert flavour.vnf_profiles["client"].links == {"virtual_link_sip": "sipnet"}
    assert flavour.saps["outside"].virtual_link == "sipnet"


@pytest.mark.feature("A51")
def test_virtual_link() -> None:
    link = nsd_of().flavours["small"].virtual_links["sipnet"]
    assert (link.cidr, link.max_bitrate_bps, link.layer_protocols) == ("10.1.0.0/24", 10_000_000, ("ipv4",))


@pytest.mark.feature("A52")
def test_dependencies_explicit_and_from_functions() -> None:
    flavour = nsd_of().flavours["small"]
    found = {(each.source, each.target): each.parameters for each in flavour.dependencies}
    assert found == {("server", "client"): (), ("client", "monitor"): ("rate",)}
    assert flavour.vnf_profiles["client"].properties == {
        "server_address": {"get_attribute": ["server", "address"]},
        "rate": 10,
    }


@pytest.mark.feature("A53")
def test_cycle_is_refused_and_printed_unless_allowed() -> None:
    cyclic = samples.SERVICE.replace(
        "        - virtual_link_sip: sipnet\n    client:",
        "        - virtual_link_sip: sipnet\n        - dependency: monitor\n    client:",
    )
    with pytest.raises(InvalidError, match=r"server -> monitor -> client -> server"):
        nsd_of(cyclic)
    allowed = nsd_of(cyclic.replace("description: SIP calls\n", "metadata: {cyclic_dependencies: true}\n"))
    assert allowed.cyclic_dependencies
    assert len(allowed.flavours["small"].dependencies) == 3


def test_scaling_and_levels() -> None:
    flavour = nsd_of().flavours["small"]
    aspect = flavour.scaling_aspects["clients"]
    assert (aspect.max_scale_level, aspect.vnf_counts) == (1, ({"client": 1}, {"client": 2}))
    assert flavour.levels["high"].vnf_counts == {"server": 1, "client": 3, "monitor": 1}
    assert flavour.default_level_id == "low"


def test_bind() -> None:
    package = read(samples.service_zip())
    stored = msgspec.json.decode(msgspec.json.encode(package.templates))
    nsd = bind_nsd(stored, {"rate": 50})
    assert nsd.flavours["small"].vnf_profiles["client"].properties["rate"] == 50
    with pytest.raises(InvalidError) as caught:
        bind_nsd(stored, {"rate": "fast", "other": 1})
    assert {fault.code for fault in caught.value.faults} == {"wrong-type", "unknown-input"}


@pytest.mark.feature("A47")
@pytest.mark.parametrize(
    ("before", "after", "code", "at"),
    [
        ("descriptor_id: sip-ns, ", "", "missing-property", "topology_template/node_templates/NS/properties"),
        ("virtual_link_sip: sipnet", "virtual_link_sip: nowhere", "unknown-node", "server/requirements/0"),
        ("dependency: {node: client", "dependency: {node: sipnet", "wrong-node", "monitor/requirements/0"),
        ("[server, address]", "[ghost, address]", "unknown-node", "client/properties"),
        ("{0: 1, 1: 2}", "{0: 1, 3: 2}", "bad-level", "aspects/clients"),
        ("aspect: clients", "aspect: servers", "unknown-aspect", "mapping/properties/aspect"),
        ("high: 3", "huge: 3", "unknown-level", "numbers"),
        ("default_level: low", "default_level: none", "unknown-level", "default_level"),
        ("cidr: 10.1.0.0/24", "cidr: 10.1.0.0/99", "bad-cidr", "l3_protocol_data/cidr"),
        ("type: acme.Server", "type: acme.Servant", "unknown-type", "server/type"),
    ],
)
def test_faults_name_their_place(before: str, after: str, code: str, at: str) -> None:
    assert before in samples.SERVICE
    errors, _, package = lint(samples.service_zip(samples.SERVICE.replace(before, after)))
    assert package is None
    found = [fault for fault in errors if fault.code == code]
    assert found, errors
    assert any(at in fault.path for fault in found), found
    assert all(fault.line > 0 and fault.file == "service.yaml" for fault in found)
