"""What a VNFD says of its indicators, and with whom its operations are coordinated (SOL001 clauses 6.7 and 6.10).

An indicator is a notification (before 4.2.1 an operation) of an interface derived from `tosca.interfaces.nfv.VnfIndicator`, or
what a policy of type `tosca.policies.nfv.VnfIndicator` waits for. A script as its implementation says its value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from skerry.model.descriptors import IndicatorDescription, LcmScript
from skerry.packages.cursor import Cursor
from skerry.packages.policies import policies_of
from skerry.packages.topology import Node, Topology

ROOT = "tosca.interfaces.nfv.VnfIndicator"
WORDS = frozenset({"type", "inputs", "description", "metadata", "derived_from", "version"})
SECTIONS = ("operations", "notifications")

Script = Callable[[str, Cursor], LcmScript | None]


def read_indicators(topology: Topology, node: Node | None, script: Script) -> dict[str, IndicatorDescription]:
    """The indicators by their identifiers. `script` reads the implementation of one, if it has any."""
    told = _of_policies(topology)
    found = {name: IndicatorDescription(id=name, source=source) for name, (source, _) in told.items()}
    for name, entry in _of_interfaces(topology, node).items():
        source, description = told.get(name, ("vnf", ""))
        found[name] = IndicatorDescription(
            id=name,
            name=entry.at("metadata", "name").text() if isinstance(entry.value, dict) else "",
            description=(entry.at("description").text() if isinstance(entry.value, dict) else "") or description,
            source=source,
            script=script(name, entry),
        )
    return found


def _of_interfaces(topology: Topology, node: Node | None) -> dict[str, Cursor]:
    """What interfaces of the VNF declare; the template goes before the types."""
    if node is None:
        return {}
    types: dict[str, str] = {}
    layers = topology.types.layers("node_types", node.type, "interfaces")
    given = {name: entry.value for name, entry in node.here.at("interfaces").entries().items()}
    for layer in (*layers, given):
        types |= {name: body["type"] for name, body in layer.items() if isinstance(body, dict) and "type" in body}
    found: dict[str, Cursor] = {}
    for name, kind in types.items():
        if not topology.types.is_a("interface_types", str(kind), ROOT):
            continue
        body = _declared(topology, str(kind), [layer.get(name) for layer in (*layers, given)])
        path = (*node.here.path, "interfaces", name)
        found |= {id: Cursor(entry, node.here.file, (*path, id), node.here.report) for id, entry in body.items()}
    return found


def _declared(topology: Topology, kind: str, layers: list[Any]) -> dict[str, Any]:
    """Indicator -> what is said of it, from the interface's type and then from each layer of the node."""
    found: dict[str, Any] = {}
    for section in SECTIONS:
        found |= topology.types.merged("interface_types", kind, section)
    for layer in layers:
        if not isinstance(layer, dict):
            continue
        own = {name: entry for name, entry in layer.items() if name not in WORDS and name not in SECTIONS}
        for entries in (own, *(layer.get(section) for section in SECTIONS)):
            for name, entry in (entries if isinstance(entries, dict) else {}).items():
                before: Any = found.get(name)
                both = isinstance(before, dict) and isinstance(entry, dict)
                found[name] = before | entry if both else entry or before or {}
    return found


def _of_policies(topology: Topology) -> dict[str, tuple[str, str]]:
    """Indicator -> its source and description."""
    found: dict[str, tuple[str, str]] = {}
    for policy in policies_of(topology, "VnfIndicator"):
        source = policy.properties.at("source").text("vnf")
        triggers = policy.here.at("triggers")
        names = [entry.at("event") for entry in (triggers.named() if triggers.exists else {}).values()]
        waited = [_event(entry) for entry in names if entry.exists] or [policy.name]
        found |= {name: (source, policy.here.at("description").text()) for name in waited if name}
    return found


def _event(entry: Cursor) -> str:
    """The last word of the event that a trigger waits for, whether it is written whole or as a map."""
    text = entry.at("type").text() if isinstance(entry.value, dict) else entry.text()
    return text.rpartition(".")[2]


def read_coordinations(topology: Topology) -> Mapping[str, tuple[str, ...]]:
    """LCM operation as `instantiate` -> the coordination actions that the VNF wants to be asked for."""
    found: dict[str, tuple[str, ...]] = {}
    for policy in policies_of(topology, "LcmCoordinationsForLcmOperation"):
        operation = policy.properties.at("vnf_lcm_operation").text().lower()
        named = (
            *policy.properties.at("actions").texts(),
            *policy.properties.at("referenced_coordination_actions").texts(),
        )
        if operation:
            found[operation] = tuple(dict.fromkeys((*found.get(operation, ()), *named)))
    return found
