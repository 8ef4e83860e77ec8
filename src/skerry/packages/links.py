"""Connection points and virtual links (SOL001 clauses 6.8.7 to 6.8.9, 7.8.3).

`ConnectionPoint.id` of an external one is the cpdId: the name of its `VnfExtCp`, or of the `VduCp` that is exposed
directly. Its `external` is the name of the requirement by which the NSD connects it (from `substitution_mappings`), so that
`VnfProfile.links` can be matched with it; it is the id where nothing is mapped. A `VduCp`
without virtual link is taken as exposed.
"""

from __future__ import annotations

import ipaddress
from typing import Any

import msgspec

from skerry.model.descriptors import ConnectionPoint, VirtualLink
from skerry.packages.cursor import Cursor
from skerry.packages.functions import is_function
from skerry.packages.topology import Node, Topology
from skerry.packages.vdu import VDU_TYPES


def read_virtual_links(topology: Topology, *types: str) -> dict[str, VirtualLink]:
    """The virtual links of these node types."""
    return {node.name: _virtual_link(node) for node in topology.of_type(*types)}


def _first(*candidates: Cursor) -> Cursor:
    return next((each for each in candidates if each.exists), candidates[0])


def _virtual_link(node: Node) -> VirtualLink:
    connectivity, profile = node.properties.at("connectivity_type"), node.properties.at("vl_profile")
    bitrate = _first(profile.at("max_bitrate_requirements"), profile.at("max_bit_rate_requirements"))
    protocols = _first(connectivity.at("layer_protocols"), connectivity.at("layer_protocol")).texts()
    l2, l3 = _protocol_data(profile.at("virtual_link_protocol_data"))
    cidr = _first(l3.at("cidr"), profile.at("cidr"))
    return VirtualLink(
        id=node.name,
        description=node.properties.at("description").text(),
        flow_pattern=connectivity.at("flow_pattern").text(),
        layer_protocols=protocols or ("ipv4",),
        cidr=_network(cidr),
        gateway=_first(l3.at("gateway_ip"), profile.at("gateway_ip")).text(),
        mtu=l2.at("mtu").integer(1500, 1),
        dhcp=_first(l3.at("dhcp_enabled"), profile.at("dhcpEnabled")).flag(),
        dns=_first(l3.at("dns_servers"), profile.at("dns_servers")).texts(),
        max_bitrate_bps=bitrate.at("root").integer() if isinstance(bitrate.value, dict) else 0,
        external_network=_first(l2.at("name"), profile.at("networkName")).text(),
    )


def _protocol_data(listed: Cursor) -> tuple[Cursor, Cursor]:
    entries = (listed.items() if isinstance(listed.value, list) else []) or [listed]
    l2, l3 = entries[0].at("l2_protocol_data"), entries[0].at("l3_protocol_data")
    for entry in entries[1:]:
        l2, l3 = _first(l2, entry.at("l2_protocol_data")), _first(l3, entry.at("l3_protocol_data"))
    return l2, l3


def _network(cidr: Cursor) -> str:
    text = cidr.text()
    if text:
        try:
            ipaddress.ip_network(text, strict=False)
        except ValueError:
            cidr.error("bad-cidr", f"cannot read {text[:80]!r} as a network", "write it as 10.0.0.0/24")
            return ""
    return text


def read_connection_points(topology: Topology) -> tuple[dict[str, ConnectionPoint], dict[str, ConnectionPoint]]:
    """Internal and external connection points by id."""
    requirement_of = required_names(topology)
    cps = {node.name: _vdu_cp(topology, node) for node in topology.of_type("VduCp")}
    ext_cps: dict[str, ConnectionPoint] = {}
    for node in topology.of_type("VnfExtCp"):
        link = _requirement(topology, node, "internal_virtual_link", "VnfVirtualLink")
        ext_cps[node.name] = msgspec.structs.replace(
            _point(node), virtual_link=link, external=requirement_of.get(node.name, node.name)
        )
        for id, cp in cps.items():
            if link and cp.virtual_link == link and not cp.external:
                cps[id] = msgspec.structs.replace(cp, external=node.name)
    for id, cp in cps.items():
        if id in requirement_of or not cp.virtual_link:
            cps[id] = msgspec.structs.replace(cp, external=id)
            ext_cps[id] = msgspec.structs.replace(cp, external=requirement_of.get(id, id))
    return cps, ext_cps


def required_names(topology: Topology) -> dict[str, str]:
    """Connection point or SAP → name of the requirement that `substitution_mappings` maps onto it."""
    found: dict[str, str] = {}
    requirements = topology.substitution.at("requirements")
    for name, entry in requirements.named().items():
        target = (
            entry.items()[0].text()
            if isinstance(entry.value, list) and entry.value
            else entry.at("node").text()
            if isinstance(entry.value, dict)
            else ""
        )
        node = topology.nodes.get(target)
        if not target:
            entry.warning("empty-mapping", f"the requirement {name} is mapped to nothing", "name a connection point")
        elif node is None:
            entry.error(
                "unknown-node",
                f"cannot map the requirement {name} to {target!r}",
                "name a connection point of this topology_template",
            )
        elif topology.is_a(node, "VduCp", "VnfExtCp", "Sap"):
            found.setdefault(target, name)
    return found


def _requirement(topology: Topology, node: Node, name: str, *types: str) -> str:
    for requirement, target, entry in node.requirements:
        if requirement == name:
            other = topology.node_of(entry, target)
            if other is not None and topology.is_a(other, *types):
                return target
            if other is not None:
                entry.error(
                    "wrong-node",
                    f"cannot connect {name} to {target}: it is a {other.type}",
                    "name a node of type " + " or ".join(types),
                )
    return ""


def _vdu_cp(topology: Topology, node: Node) -> ConnectionPoint:
    return msgspec.structs.replace(
        _point(node),
        vdu=_requirement(topology, node, "virtual_binding", *VDU_TYPES),
        virtual_link=_requirement(topology, node, "virtual_link", "VnfVirtualLink", "VnfExtVirtualLink"),
    )


def _point(node: Node) -> ConnectionPoint:
    properties = node.properties
    fixed_ip, mac = _addresses(properties.at("protocol"))
    return ConnectionPoint(
        id=node.name,
        order=properties.at("order").integer(),
        layer_protocols=properties.at("layer_protocols").texts() or ("ipv4",),
        role=properties.at("role").text(),
        description=properties.at("description").text(),
        fixed_ip=fixed_ip,
        mac=mac,
        bitrate_bps=properties.at("bitrate_requirement").integer(),
        trunk_mode=properties.at("trunk_mode").flag(),
    )


def _addresses(protocols: Cursor) -> tuple[Any, Any]:
    """The first fixed IP and MAC address of the CP protocol data; each may be a function."""
    fixed_ip: Any = ""
    mac: Any = ""
    for protocol in protocols.items() if isinstance(protocols.value, list) else [protocols]:
        for data in protocol.at("address_data").items():
            addresses = data.at("l3_address_data", "fixed_ip_address")
            if is_function(addresses.value):
                fixed_ip = fixed_ip or addresses.value
            elif addresses.items():
                fixed_ip = fixed_ip or _expression(addresses.items()[0])
            mac = mac or _expression(data.at("l2_address_data", "mac_address"))
    return fixed_ip, mac


def _expression(entry: Cursor) -> Any:
    return entry.value if is_function(entry.value) else entry.text()
