"""A topology template with its types applied: nodes with defaults and inherited interfaces, policies, groups, inputs.

`get_input` and `get_property` are answered here as far as the values are known; `get_attribute` stays for run time. In a VNFD
so does `get_property` of what a request may change of the VNF: its configurable properties, its modifiable attributes and
the properties that the standard does not have.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from skerry.model.descriptors import InputParameter
from skerry.packages.cursor import Cursor
from skerry.packages.functions import evaluate
from skerry.packages.report import PathParts, Report
from skerry.packages.types import Types

CHANGEABLE = ("configurable_properties", "modifiable_attributes")
_MAX_DEFAULTS_DEPTH = 8
_MAX_REFERENCES_DEPTH = 16
_MAX_WORK = 200_000


class Node(msgspec.Struct):
    """A node template. `requirements` lists (name, target, cursor of the whole entry) in order."""

    name: str
    type: str
    here: Cursor
    properties: Cursor
    requirements: list[tuple[str, str, Cursor]] = []
    artifacts: Cursor | None = None
    interfaces: dict[str, Cursor] = {}
    metadata: dict[str, Any] = {}


class Policy(msgspec.Struct):
    """A policy. `targets` are node or group names."""

    name: str
    type: str
    properties: Cursor
    targets: tuple[str, ...]
    here: Cursor


class Topology:
    """One service template, read. `given` are the values of inputs; `template` is `{file, description, metadata, topology}`."""

    def __init__(
        self,
        template: Mapping[str, Any],
        types: Types,
        report: Report,
        given: Mapping[str, Any] | None = None,
        *,
        is_vnfd: bool = False,
    ) -> None:
        self._template = template
        self.file: str = template["file"]
        self.description: str = template.get("description") or ""
        self.metadata: dict[str, Any] = template.get("metadata") or {}
        self.types = types
        self.report = report
        root: PathParts = ("topology_template",) if template.get("topology") is not None else ()
        self.root = Cursor(template.get("topology"), self.file, root, report)
        self.inputs = self._inputs()
        self.given = dict(given or {})
        self._is_vnfd = is_vnfd
        self._kinds: dict[str, str] = {}
        self._raw: dict[str, dict[str, Any]] = {}
        self._visiting: set[tuple[str, tuple[Any, ...]]] = set()
        self._work = 0
        self.substitution = self.root.at("substitution_mappings")
        self.nodes = self._nodes()
        self.policies = self._policies()
        self.groups = self._groups()

    def given_with(self, values: Mapping[str, Any]) -> Topology:
        """The same template with more values for its inputs; those given by the request stay."""
        used = {name: value for name, value in values.items() if name in self.inputs and name not in self.given}
        if not used:
            return self
        return Topology(self._template, self.types, self.report, {**self.given, **used}, is_vnfd=self._is_vnfd)

    def is_a(self, node: Node, *bases: str) -> bool:
        """Whether a node is of one of these types of `tosca.nodes.nfv.`, or derived from it."""
        ancestors = self.types.ancestors("node_types", node.type)
        return any(f"tosca.nodes.nfv.{base}" in ancestors for base in bases)

    def of_type(self, *bases: str) -> list[Node]:
        """The nodes of these types of `tosca.nodes.nfv.`."""
        return [node for node in self.nodes.values() if self.is_a(node, *bases)]

    def node_of(self, cursor: Cursor, target: str) -> Node | None:
        """The node of that name; a fault at `cursor` if there is none."""
        found = self.nodes.get(target)
        if found is None:
            cursor.error(
                "unknown-node", f"cannot find the node {target!r}", "name a node of the same topology_template"
            )
        return found

    def lookup(self, function: str, arguments: tuple[Any, ...], me: str = "") -> Any:
        """Answer `get_input` and `get_property`; raises `LookupError` for what is not known yet."""
        if function == "get_input":
            return self._charged(_descend(self._input(str(arguments[0])), arguments[1:]))
        if function == "get_property" and len(arguments) > 1:
            node = me if arguments[0] == "SELF" else str(arguments[0])
            if self._changeable(node, str(arguments[1])):
                raise LookupError(node)
            return self._property(node, tuple(str(part) for part in arguments[1:]))
        raise LookupError(function)

    def _changeable(self, node: str, name: str) -> bool:
        if not self._is_vnfd or not self.types.is_a("node_types", self._kinds.get(node, ""), "tosca.nodes.nfv.VNF"):
            return False
        standard = self.types.merged("node_types", "tosca.nodes.nfv.VNF", "properties")
        return name in CHANGEABLE or name not in standard

    def _charged(self, value: Any) -> Any:
        """References to references can double what they stand for at every step: the sum is bounded."""
        self._work += _weight(value, _MAX_WORK - self._work)
        if self._work >= _MAX_WORK:
            self.root.error(
                "too-many-references",
                "cannot resolve references that stand for so many values",
                "refer to fewer or smaller values",
            )
            raise LookupError("too many")
        return value

    def _input(self, name: str) -> Any:
        if name in self.given:
            return self.given[name]
        default = self.inputs[name].default
        if default is None:
            raise LookupError(name)
        return default

    def _property(self, node: str, path: tuple[str, ...]) -> Any:
        if (node, path) in self._visiting or node not in self._raw or len(self._visiting) > _MAX_REFERENCES_DEPTH:
            raise LookupError(node)
        self._visiting.add((node, path))
        try:
            found = self._charged(_descend(self._raw[node], path))
            return evaluate(found, lambda function, arguments: self.lookup(function, arguments, node))
        finally:
            self._visiting.discard((node, path))

    def _inputs(self) -> dict[str, InputParameter]:
        found: dict[str, InputParameter] = {}
        for name, entry in self.root.at("inputs").entries().items():
            required = entry.at("required").flag(default=True)
            default = entry.at("default").value
            found[name] = InputParameter(
                name=name,
                type=entry.at("type").text("string"),
                description=entry.at("description").text(),
                default=default,
                required=required and default is None,
            )
        return found

    def _nodes(self) -> dict[str, Node]:
        entries = self.root.at("node_templates").entries()
        for name, entry in entries.items():
            kind = entry.at("type").text() if isinstance(entry.value, dict) else ""
            given = entry.value.get("properties") if isinstance(entry.value, dict) else None
            specs = self.types.merged("node_types", kind, "properties")
            self._kinds[name] = kind
            self._raw[name] = with_defaults(self.types, given if isinstance(given, dict) else {}, specs)
        return {name: node for name, entry in entries.items() if (node := self._node(name, entry)) is not None}

    def _node(self, name: str, entry: Cursor) -> Node | None:
        if not isinstance(entry.value, dict):
            entry.wrong("a node template")
            return None
        kind = entry.at("type").required_text("the type of a node")
        if kind and self.types.definition("node_types", kind) is None:
            entry.at("type").error(
                "unknown-type", f"cannot find the node type {kind}", "import the file that defines it"
            )
        entry.at("properties").entries()
        raw = Cursor(self._raw[name], entry.file, (*entry.path, "properties"), self.report)
        return Node(
            name=name,
            type=kind,
            here=entry,
            properties=raw.resolved(lambda function, arguments: self.lookup(function, arguments, name)),
            requirements=self._requirements(entry.at("requirements")),
            artifacts=self._artifacts(kind, entry),
            interfaces=self._interfaces(kind, entry, name),
            metadata=self.types.merged("node_types", kind, "metadata") | _map(entry.at("metadata").value),
        )

    def _requirements(self, listed: Cursor) -> list[tuple[str, str, Cursor]]:
        found: list[tuple[str, str, Cursor]] = []
        raw = listed.value
        groups = listed.items() if isinstance(raw, list) else [listed] if isinstance(raw, dict) else []
        if listed.exists and not isinstance(raw, list | dict):
            listed.wrong("a list of requirements")
        for group in groups:
            for name, entry in group.entries().items():
                for item in entry.items() if isinstance(entry.value, list) else [entry]:
                    target = item.at("node").text() if isinstance(item.value, dict) else item.text()
                    if target:
                        found.append((name, target, item))
        return found

    def _artifacts(self, kind: str, entry: Cursor) -> Cursor:
        raw = entry.at("artifacts")
        inherited = self.types.merged("node_types", kind, "artifacts")
        if isinstance(raw.value, list):
            named = {name: item.value for name, item in raw.named().items()}
        else:
            named = {name: item.value for name, item in raw.entries().items()}
        return Cursor(inherited | named, raw.file, raw.path, raw.report).resolved(self.lookup)

    def _interfaces(self, kind: str, entry: Cursor, name: str) -> dict[str, Cursor]:
        found: dict[str, dict[str, Any]] = {}
        given = {key: item.value for key, item in entry.at("interfaces").entries().items()}
        for layer in [*self.types.layers("node_types", kind, "interfaces"), given]:
            for interface, body in layer.items():
                known = found.setdefault(interface, {})
                for operation, value in _map(_map(body).get("operations") or body).items():
                    if isinstance(value, dict) and isinstance(known.get(operation), dict):
                        known[operation] = known[operation] | value
                    elif value:
                        known[operation] = value
        path = (*entry.path, "interfaces")
        return {
            interface: Cursor(body, entry.file, (*path, interface), self.report).resolved(
                lambda function, arguments: self.lookup(function, arguments, name)
            )
            for interface, body in found.items()
        }

    def _policies(self) -> list[Policy]:
        found: list[Policy] = []
        for name, entry in self.root.at("policies").named().items():
            if not isinstance(entry.value, dict):
                entry.wrong("a policy")
                continue
            kind = entry.at("type").required_text("the type of a policy")
            specs = self.types.merged("policy_types", kind, "properties")
            given = entry.at("properties").value
            raw = with_defaults(self.types, given if isinstance(given, dict) else {}, specs)
            properties = Cursor(raw, entry.file, (*entry.path, "properties"), self.report).resolved(self.lookup)
            found.append(Policy(name, kind, properties, entry.at("targets").texts(), entry))
        return found

    def _groups(self) -> dict[str, tuple[str, ...]]:
        return {name: entry.at("members").texts() for name, entry in self.root.at("groups").named().items()}


def with_defaults(types: Types, given: dict[str, Any], specs: dict[str, Any], depth: int = 0) -> dict[str, Any]:
    """Given properties with the defaults of their type added, also inside values of data types."""
    found = {name: value for name, value in given.items() if value is not None}
    for name, spec in specs.items():
        if not isinstance(spec, dict):
            continue
        if name not in found and spec.get("default") is not None:
            found[name] = spec["default"]
        kind, value = spec.get("type"), found.get(name)
        if isinstance(kind, str) and isinstance(value, dict) and depth < _MAX_DEFAULTS_DEPTH:
            inner = types.merged("data_types", kind, "properties")
            if inner:
                found[name] = with_defaults(types, value, inner, depth + 1)
    return found


def _descend(value: Any, path: tuple[Any, ...]) -> Any:
    for part in path:
        if isinstance(value, dict):
            value = value[str(part)]
        elif isinstance(value, list) and str(part).isdigit():
            value = value[int(part)]
        else:
            raise LookupError(part)
    if value is None:
        raise LookupError("no value")
    return value


def _map(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _weight(value: Any, limit: int) -> int:
    """How many values a value holds, characters of texts at a thousandth; stops counting beyond the limit."""
    total, todo = 0, [value]
    while todo and total <= limit:
        item = todo.pop()
        total += 1 + (len(item) // 1000 if isinstance(item, str) else 0)
        if isinstance(item, dict | list):
            todo.extend(item.values() if isinstance(item, dict) else item)
    return total
