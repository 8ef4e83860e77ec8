"""Forwarding graphs of an NSD: VNFFGs, NFPs, positions and rules (SOL001 clauses 7.8 to 7.11) to `Vnffg`.

An NFP's positions stand in order: where traffic comes from, the functions that it passes, where it goes. A position's elements
point at a VNF or PNF node (with the name of the capability or of the connection point that is meant, where it has several) or
at a SAP, once for both directions, or twice for the way in and the way out. Rules are policies that target the NFP. An
NFP that no group has as a member belongs to a VNFFG of its own name.
"""

from __future__ import annotations

import ipaddress
import re

from skerry.model.descriptors import PROTOCOLS, Nfp, NfpElement, NfpPosition, NfpRule, Vnffg
from skerry.packages.cursor import Cursor
from skerry.packages.policies import policies_of
from skerry.packages.topology import Node, Policy, Topology

BEHAVIOURS = ("all", "lb", "ff")
_MAC = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}")
_LEAST_POSITIONS = 2


def read_forwarding(topology: Topology) -> dict[str, Vnffg]:
    """Every VNFFG of a flavour, by name. Faults go to the report."""
    rules = _rules(topology)
    elements = {node.name: _element(topology, node) for node in topology.of_type("NfpPositionElement")}
    positions = {node.name: _position(topology, node, elements) for node in topology.of_type("NfpPosition")}
    nfps = {node.name: _nfp(topology, node, positions, rules.get(node.name, ())) for node in topology.of_type("NFP")}
    found: dict[str, Vnffg] = {}
    for name, entry in topology.root.at("groups").named().items():
        if topology.types.is_a("group_types", entry.at("type").text(), "tosca.groups.nfv.VNFFG"):
            found[name] = _vnffg(topology, name, entry, nfps)
    for name in nfps.keys() - {nfp for vnffg in found.values() for nfp in vnffg.nfps}:
        found.setdefault(name, Vnffg(id=name, nfps={name: nfps[name]}))
    return found


def _vnffg(topology: Topology, name: str, entry: Cursor, nfps: dict[str, Nfp]) -> Vnffg:
    members = entry.at("members").texts()
    for member in members:
        topology.node_of(entry.at("members"), member)
    kinds = {node.name: node for node in topology.nodes.values() if node.name in members}
    return Vnffg(
        id=name,
        description=entry.at("properties", "description").text() or entry.at("description").text(),
        nfps={member: nfps[member] for member in members if member in nfps},
        profiles=tuple(m for m in members if m in kinds and topology.is_a(kinds[m], "VNF")),
        virtual_links=tuple(m for m in members if m in kinds and topology.is_a(kinds[m], "NsVirtualLink")),
    )


def _nfp(topology: Topology, node: Node, known: dict[str, NfpPosition], rules: tuple[NfpRule, ...]) -> Nfp:
    positions = tuple(
        known[target]
        for name, target, entry in node.requirements
        if name == "nfp_position" and _of_type(topology, entry, target, "NfpPosition") is not None
    )
    if len(positions) < _LEAST_POSITIONS:
        node.here.error(
            "short-path",
            f"cannot forward over {len(positions)} position{'' if len(positions) == 1 else 's'}",
            "give the NFP at least two `nfp_position` requirements: where traffic comes from and where it goes",
        )
    return Nfp(id=node.name, positions=positions, rules=rules)


def _position(topology: Topology, node: Node, known: dict[str, NfpElement | None]) -> NfpPosition:
    elements = tuple(
        element
        for name, target, entry in node.requirements
        if name == "element"
        and _of_type(topology, entry, target, "NfpPositionElement") is not None
        and (element := known[target]) is not None
    )
    if not elements:
        node.here.error("empty-position", f"cannot forward to {node.name}: it has no element", "give it an `element`")
    behaviour = node.properties.at("forwarding_behaviour")
    chosen = behaviour.text("lb")
    if chosen not in BEHAVIOURS:
        behaviour.error("bad-behaviour", f"cannot forward by {chosen[:40]!r}", f"use one of {', '.join(BEHAVIOURS)}")
    return NfpPosition(id=node.name, elements=elements, forwarding_behaviour=chosen)


def _element(topology: Topology, node: Node) -> NfpElement | None:
    ends = [
        (other, entry.at("capability").text() if isinstance(entry.value, dict) else "", entry)
        for name, target, entry in node.requirements
        if name == "profile_element" and (other := _of_type(topology, entry, target, "VNF", "PNF", "Sap")) is not None
    ]
    if not 0 < len(ends) <= 2:
        node.here.error(
            "bad-element",
            f"cannot use {node.name} with {len(ends)} connection points",
            "name one `profile_element` for both ways, or two: the way in, then the way out",
        )
        return None
    (first, ingress, _), (last, egress, entry) = ends[0], ends[-1]
    if first.name != last.name:
        entry.error(
            "two-functions",
            f"cannot enter {first.name} and leave {last.name} in one element",
            "name connection points of one VNF",
        )
        return None
    is_sap = topology.is_a(first, "Sap")
    return NfpElement(id=node.name, profile=first.name, ingress=_point(ingress), egress=_point(egress), is_sap=is_sap)


def _point(capability: str) -> str:
    """The connection point that is meant; a type or the plain name of the capability means "the only one"."""
    return "" if capability == "forwarding" or capability.startswith("tosca.") else capability


def _of_type(topology: Topology, entry: Cursor, target: str, *types: str) -> Node | None:
    node = topology.node_of(entry, target)
    if node is not None and not topology.is_a(node, *types):
        entry.error(
            "wrong-node", f"cannot use {target} here: it is a {node.type}", f"name a node of type {' or '.join(types)}"
        )
        return None
    return node


def _rules(topology: Topology) -> dict[str, tuple[NfpRule, ...]]:
    """NFP → its rules."""
    found: dict[str, tuple[NfpRule, ...]] = {}
    for policy in policies_of(topology, "NfpRule"):
        rule = _rule(policy)
        for target in policy.targets:
            if _of_type(topology, policy.here.at("targets"), target, "NFP") is not None:
                found[target] = (*found.get(target, ()), rule)
    return found


def _rule(policy: Policy) -> NfpRule:
    at = policy.properties.at
    if at("extended_criteria").exists:
        at("extended_criteria").error(
            "unsupported", "cannot match bits of a frame by mask", "use the other properties of the rule"
        )
    ether_type = at("ether_type")
    if ether_type.text() not in ("", "ipv4", "ipv6"):
        ether_type.error("bad-ether-type", f"cannot match {ether_type.text()[:40]!r}", "use ipv4 or ipv6")
    return NfpRule(
        id=policy.name,
        ether_source_address=_mac(at("ether_source_address")),
        ether_destination_address=_mac(at("ether_destination_address")),
        ether_type=ether_type.text(),
        vlan_tag=_vlan(at("vlan_tag")),
        protocol=_protocol(at("protocol")),
        dscp=_dscp(at("dscp")),
        source_port_range=_range(at("source_port_range")),
        destination_port_range=_range(at("destination_port_range")),
        source_ip_address_prefix=_prefix(at("source_ip_address_prefix")),
        destination_ip_address_prefix=_prefix(at("destination_ip_address_prefix")),
    )


def _mac(entry: Cursor) -> str:
    text = entry.text()
    if text and not _MAC.fullmatch(text):
        entry.error("bad-mac", f"cannot read {text[:40]!r} as a MAC address", "write it as 02:00:00:00:00:01")
    return text.lower()


def _vlan(entry: Cursor) -> int:
    tags = entry.items()
    if len(tags) > 1:
        entry.error("unsupported", "cannot match more than one VLAN tag", "name the outermost one")
    if not tags:
        return -1
    tag = tags[0].integer()
    if tag > 4094:
        tags[0].error("bad-vlan", f"cannot match the VLAN {tag}", "use a number from 0 to 4094")
    return tag


def _protocol(entry: Cursor) -> str:
    text = entry.text().lower()
    number = int(text) if text.isdecimal() and len(text) < 4 else PROTOCOLS.get(text, -1 if text else 0)
    if not 0 <= number <= 255:
        known = ", ".join(PROTOCOLS)
        entry.error("bad-protocol", f"cannot match the protocol {text[:40]!r}", f"use one of {known}, or a number")
    return text


def _dscp(entry: Cursor) -> int:
    text = entry.text()
    if not text:
        return -1
    if not re.fullmatch(r"[01]{6}", text):
        entry.error("bad-dscp", f"cannot read {text[:40]!r} as a code point", "write its six bits, such as 101110")
        return -1
    return int(text, 2)


def _range(entry: Cursor) -> tuple[int, int] | None:
    if not entry.exists:
        return None
    bounds = [item.integer() for item in entry.items()]
    if len(bounds) != 2 or not 0 <= bounds[0] <= bounds[1] <= 65535:
        entry.error("bad-range", "cannot read the range of ports", "write [lowest, highest], from 0 to 65535")
        return None
    return bounds[0], bounds[1]


def _prefix(entry: Cursor) -> str:
    text = entry.text()
    try:
        return str(ipaddress.ip_network(text, strict=False)) if text else ""
    except ValueError:
        entry.error("bad-prefix", f"cannot read {text[:80]!r} as a prefix", "write it as 10.0.0.0/24")
        return ""
