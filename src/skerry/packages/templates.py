"""Merged service templates: what is kept of a package so that its descriptor can be made again with other inputs.

As JSON: `{"kind": "vnfd" | "nsd", "main": FILE, "metadata": {…}, "files": [NAME], "types": SECTION → NAME →
definition, "templates": [{"file", "description", "metadata", "topology"}]}`. Types are
those of the package that the templates reach; the standard's own are not repeated unless the package brings them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from skerry.packages.cursor import Cursor
from skerry.packages.report import Report
from skerry.packages.topology import Topology
from skerry.packages.types import Types, used_types
from skerry.packages.yaml_nodes import plain


class Templates:
    """Templates with their types. `data` is the JSON-able form."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.data = data
        self.types = Types(data["types"])
        self.kind: str = data["kind"]
        self.metadata: dict[str, Any] = data["metadata"]
        self.files = frozenset(data["files"])

    def topologies(self, report: Report, given: Mapping[str, Any] | None) -> list[Topology]:
        """Every template as a topology, the entry file's first."""
        listed = sorted(self.data["templates"], key=lambda template: template["file"] != self.data["main"])
        return [Topology(each, self.types, report, given, is_vnfd=self.kind == "vnfd") for each in listed]


def merge(
    files: dict[str, dict[str, Any]], main: str, own: dict[str, dict[str, Any]], names: Iterable[str], report: Report
) -> Templates | None:
    """Join the files that the entry file `main` imports. None, with a fault, if they hold no VNF, NS or PNF."""
    listed: list[dict[str, Any]] = []
    for file, document in files.items():
        topology = document.get("topology_template")
        if isinstance(topology, dict):
            text, metadata = document.get("description"), document.get("metadata")
            listed.append(
                {
                    "file": file,
                    "description": text.strip() if isinstance(text, str) else "",
                    "metadata": plain(metadata) if isinstance(metadata, dict) else {},
                    "topology": plain(topology),
                }
            )
        elif topology is not None:
            report.error(
                "not-a-map",
                "cannot read `topology_template`: it is no map",
                file=file,
                path=("topology_template",),
                fix="write a map",
            )
    kind = _kind(listed, main, Types(own))
    if not kind:
        report.error(
            "no-vnf-or-ns",
            "cannot find a VNF, NS or PNF in the definitions",
            file=main,
            path=("topology_template",),
            fix="give a VNFD, NSD or PNFD as Entry-Definitions",
        )
        return None
    metadata = files[main].get("metadata")
    return Templates(
        {
            "kind": kind,
            "main": main,
            "metadata": plain(metadata) if isinstance(metadata, dict) else {},
            "files": sorted(names),
            "types": used_types(own, [*listed, *_identities(own)]),
            "templates": listed,
        }
    )


def _identities(own: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """The VNF, NS and PNF types that the package brings: they carry the identity even where no node is of them."""
    types = Types(own)
    bases = {f"tosca.nodes.nfv.{kind}" for kind in ("VNF", "NS", "PNF")}
    return [{"used": name} for name in own.get("node_types", {}) if bases & set(types.ancestors("node_types", name))]


def _kind(listed: Sequence[Mapping[str, Any]], main: str, types: Types) -> str:
    main_first = sorted(listed, key=lambda template: template["file"] != main)
    names = [_node_types(template["topology"]) for template in main_first]
    for base, kind in (("NS", "nsd"), ("VNF", "vnfd"), ("PNF", "pnfd")):
        if any(
            types.is_a("node_types", name, f"tosca.nodes.nfv.{base}")
            for name in (names[0] if kind == "nsd" and names else set().union(*names))
        ):
            return kind
    derived = [
        name
        for name in types.own.get("node_types", {})
        if name != "tosca.nodes.nfv.VNF" and types.is_a("node_types", name, "tosca.nodes.nfv.VNF")
    ]
    return "vnfd" if len(derived) == 1 and listed else ""


def _node_types(topology: Mapping[str, Any]) -> set[str]:
    nodes, mappings = topology.get("node_templates"), topology.get("substitution_mappings")
    found: list[Any] = [mappings.get("node_type")] if isinstance(mappings, dict) else []
    if isinstance(nodes, dict):
        found += [node.get("type") for node in nodes.values() if isinstance(node, dict)]
    return {name for name in found if isinstance(name, str)}


def check_cycle(edges: Mapping[str, Sequence[str]], place: Cursor, what: str) -> list[str]:
    """A cycle among `edges` (node → what it waits for) as an error at `place`; the cycle, or an empty list."""
    cycle = find_cycle(edges)
    if cycle:
        place.error(
            "cyclic-dependency",
            f"cannot order these {what}, they wait for each other: {' -> '.join(cycle)}",
            "remove one of these dependencies",
        )
    return cycle


def find_cycle(edges: Mapping[str, Sequence[str]]) -> list[str]:
    """The first cycle found, with its first node repeated at its end; empty if there is none. Does not recurse."""
    done: set[str] = set()
    for start in edges:
        path: list[str] = []
        stack: list[tuple[str, int]] = [(start, 0)]
        while stack:
            node, index = stack.pop()
            if index == 0:
                if node in path:
                    return [*path[path.index(node) :], node]
                if node in done:
                    continue
                path.append(node)
            targets = edges.get(node, ())
            if index < len(targets):
                stack.append((node, index + 1))
                stack.append((targets[index], 0))
            else:
                done.add(node)
                path.remove(node)
    return []
