"""Forwarding graphs of an NSD: paths, positions, rules, and every fault at once."""

from __future__ import annotations

import pytest

from skerry.model.descriptors import NfpElement, NfpRule, NsPackage, Vnffg
from skerry.packages import lint, read
from tests.packages import samples

SERVICE = """\
tosca_definitions_version: tosca_simple_yaml_1_3
imports: [etsi_nfv_sol001_nsd_types.yaml]
topology_template:
  node_templates:
    NS:
      type: tosca.nodes.nfv.NS
      properties:
        {descriptor_id: chained, designer: Acme, version: '1.0', name: chained, invariant_id: chained, flavour_id: only}
    client: {type: tosca.nodes.nfv.VNF, properties: {descriptor_id: host}, requirements: [{virtual_link: lan}]}
    firewall:
      type: tosca.nodes.nfv.VNF
      properties: {descriptor_id: bump}
      requirements: [{left: lan}, {right: lan}]
    server: {type: tosca.nodes.nfv.VNF, properties: {descriptor_id: host}, requirements: [{virtual_link: lan}]}
    lan:
      type: tosca.nodes.nfv.NsVirtualLink
      properties:
        connectivity_type: {layer_protocols: [ipv4]}
        vl_profile: {max_bitrate_requirements: {root: 1}, min_bitrate_requirements: {root: 0}}
    at_client:
      type: tosca.nodes.nfv.NfpPositionElement
      requirements: [{profile_element: client}]
    in_firewall:
      type: tosca.nodes.nfv.NfpPositionElement
      requirements:
        - profile_element: {node: firewall, capability: left}
        - profile_element: {node: firewall, capability: right}
    at_server:
      type: tosca.nodes.nfv.NfpPositionElement
      requirements: [{profile_element: {node: server, capability: tosca.capabilities.nfv.Forwarding}}]
    first: {type: tosca.nodes.nfv.NfpPosition, requirements: [{element: at_client}]}
    second:
      type: tosca.nodes.nfv.NfpPosition
      properties: {forwarding_behaviour: lb}
      requirements: [{element: in_firewall}]
    third: {type: tosca.nodes.nfv.NfpPosition, requirements: [{element: at_server}]}
    web:
      type: tosca.nodes.nfv.NFP
      requirements: [{nfp_position: first}, {nfp_position: second}, {nfp_position: third}]
  groups:
    graph:
      type: tosca.groups.nfv.VNFFG
      properties: {description: web traffic is filtered}
      members: [web, firewall, lan]
  policies:
    - only_web:
        type: tosca.policies.nfv.NfpRule
        targets: [web]
        properties:
          ether_type: ipv4
          protocol: tcp
          dscp: '101110'
          vlan_tag: ['7']
          destination_port_range: [80, 81]
          destination_ip_address_prefix: 10.0.0.0/24
"""


def graphs(text: str) -> dict[str, Vnffg]:
    package = read(samples.service_zip(text))
    assert isinstance(package, NsPackage)
    return dict(package.nsd.flavours["only"].vnffgs)


@pytest.mark.feature("A57", "E101")
def test_a_path_from_source_over_a_function_to_its_end() -> None:
    graph = graphs(SERVICE)["graph"]
    assert (graph.description, graph.profiles, graph.virtual_links) == (
        "web traffic is filtered",
        ("firewall",),
        ("lan",),
    )
    path = graph.nfps["web"]
    assert [position.id for position in path.positions] == ["first", "second", "third"]
    assert path.positions[0].elements == (NfpElement(id="at_client", profile="client"),)
    assert path.positions[1].elements == (
        NfpElement(id="in_firewall", profile="firewall", ingress="left", egress="right"),
    )
    assert path.rules == (
        NfpRule(
            id="only_web",
            ether_type="ipv4",
            protocol="tcp",
            dscp=0b101110,
            vlan_tag=7,
            destination_port_range=(80, 81),
            destination_ip_address_prefix="10.0.0.0/24",
        ),
    )


@pytest.mark.feature("A57")
def test_a_path_without_a_group_is_a_graph_of_its_own() -> None:
    alone = SERVICE.replace("members: [web, firewall, lan]", "members: [firewall]")
    assert set(graphs(alone)) == {"graph", "web"}
    assert set(graphs(alone)["web"].nfps) == {"web"}


@pytest.mark.feature("A57")
def test_every_fault_is_told_at_once() -> None:
    broken = (
        SERVICE.replace("forwarding_behaviour: lb", "forwarding_behaviour: maybe")
        .replace("protocol: tcp", "protocol: carrier-pigeon")
        .replace("'101110'", "'46'")
        .replace("['7']", "['4095']")
        .replace("[80, 81]", "[81, 80]")
        .replace("10.0.0.0/24", "ten")
        .replace("node: firewall, capability: right", "node: server, capability: right")
        .replace("{nfp_position: first}, {nfp_position: second}, {nfp_position: third}", "{nfp_position: first}")
        .replace("targets: [web]", "targets: [web, lan]")
    )
    faults, _, package = lint(samples.service_zip(broken))
    assert package is None
    codes = {fault.code for fault in faults}
    assert codes >= {
        "bad-behaviour", "bad-protocol", "bad-dscp", "bad-vlan", "bad-range", "bad-prefix", "two-functions", "short-path",
        "wrong-node",
    }  # fmt: skip
    assert all(fault.line for fault in faults if fault.code in codes)
