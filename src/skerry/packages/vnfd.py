"""SOL001 service templates to `Vnfd` (clause 6).

A package has one template with the VNF node, whose flavour an input selects, and one template per deployment flavour with
`substitution_mappings` of the VNF's type (clause 6.11); or a single template that is both. What the VNF is (descriptor_id,
provider …) is taken from the first of: its node in the entry template, its node in the flavour's template, the substitution
mappings, the defaults of its node type.

Dependencies (not in the standard): the `metadata` of the VNF node, of its type or of the template may hold

* `provides`: map of name → value or function that others may use (a list of names stands for attributes of those names);
* `requires`: map of product name or node type → names needed of it (list or comma-separated string).

Scripts: operations of the `Vnflcm` interface with an `implementation` (a path in the package, the name of an artifact, or a
map with `primary`). Their inputs are handed over; three names are taken out of them: `arguments` (list), `vdus` (list),
`timeout` (time). An implementation that names nothing in the package, as drivers of other systems do, is a warning.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from skerry.model.descriptors import (
    DeploymentFlavour,
    IndicatorDescription,
    InputParameter,
    LcmScript,
    Vdu,
    Vnfd,
)
from skerry.packages.conformance import check_topology
from skerry.packages.cursor import Cursor
from skerry.packages.functions import is_function
from skerry.packages.links import read_connection_points, read_virtual_links
from skerry.packages.monitoring import read_coordinations, read_indicators
from skerry.packages.policies import VnfPolicies, read_affinity
from skerry.packages.report import Report
from skerry.packages.templates import Templates, check_cycle
from skerry.packages.topology import CHANGEABLE, Node, Topology
from skerry.packages.vdu import package_path, read_monitoring, read_vdus

_IDENTITY = ("descriptor_id", "provider", "product_name", "software_version", "descriptor_version")
_DEFAULT_FLAVOUR = "default"


def make_vnfd(templates: Templates, report: Report, given: Mapping[str, Any] | None = None) -> Vnfd | None:
    """The VNFD of merged templates with the values of inputs. None if there is no VNF in them. Faults go to the report."""
    topologies = templates.topologies(report, given)
    top = next((each for each in topologies if _vnf_node(each) and not _substitutes(each)), None)
    flavours = [each for each in topologies if _substitutes(each)] or [each for each in topologies if _vnf_type(each)][
        :1
    ]
    if not flavours:
        return None
    identity = _Identity(top, flavours[0], templates)
    made: dict[str, DeploymentFlavour] = {}
    for topology in flavours:
        own = _Identity(top, topology, templates)
        flavour_id = own.flavour_id()
        if flavour_id in made:
            topology.substitution.error(
                "duplicate-flavour",
                f"cannot have two flavours with the id {flavour_id!r}",
                "give each template its own flavour_id",
            )
        bound = topology.given_with(
            {name: value.value for name, value in own.known.items() if value.exists and not is_function(value.value)}
        )
        made[flavour_id] = _flavour(flavour_id, bound, own, top, templates.files)
    if top is not None:
        check_topology(top)
    return identity.vnfd(made)


def _substitutes(topology: Topology) -> bool:
    kind = topology.substitution.at("node_type").text() if topology.substitution.exists else ""
    return bool(kind) and topology.types.is_a("node_types", kind, "tosca.nodes.nfv.VNF")


def _vnf_node(topology: Topology) -> Node | None:
    return next(iter(topology.of_type("VNF")), None)


def _vnf_type(topology: Topology) -> str:
    node = _vnf_node(topology)
    if node is not None:
        return node.type
    if _substitutes(topology):
        return topology.substitution.at("node_type").text()
    own = topology.types.own.get("node_types", {})
    derived = [
        name
        for name in own
        if name != "tosca.nodes.nfv.VNF" and topology.types.is_a("node_types", name, "tosca.nodes.nfv.VNF")
    ]
    return derived[0] if len(derived) == 1 else ""


class _Identity:
    """What is said of the VNF itself, from all the places where it may be said."""

    def __init__(self, top: Topology | None, flavour: Topology, templates: Templates) -> None:
        self.top = top
        self.flavour = flavour
        self.type = _vnf_type(flavour) or (_vnf_type(top) if top else "")
        self.metadata = dict(templates.metadata)
        node = _vnf_node(flavour)
        above = _vnf_node(top) if top else None
        self.node = above or node
        self.here = (
            self.node.properties
            if self.node
            else flavour.substitution.at("properties")
            if flavour.substitution.exists
            else flavour.root
        )
        sources = [each.properties for each in (above, node) if each] + [
            flavour.substitution.at("properties").resolved(flavour.lookup)
        ]
        defaults = {
            name: spec.get("default")
            for name, spec in flavour.types.merged("node_types", self.type, "properties").items()
            if isinstance(spec, dict)
        }
        sources.append(Cursor(defaults, self.here.file, self.here.path, self.here.report))
        self.known = _merge(sources)
        for each in (node, above):
            self.metadata |= each.metadata if each else {}
        self.metadata = {**flavour.types.merged("node_types", self.type, "metadata"), **self.metadata}

    def at(self, name: str) -> Cursor:
        return self.known.get(name) or self.here.at(name)

    def flavour_id(self) -> str:
        mapped = (
            self.flavour.substitution.at("properties", "flavour_id").text() if self.flavour.substitution.exists else ""
        )
        return mapped or self.at("flavour_id").text(_DEFAULT_FLAVOUR)

    def vnfd(self, flavours: Mapping[str, DeploymentFlavour]) -> Vnfd:
        selected = self.at("flavour_id").text()
        meta = Cursor(self.metadata, self.flavour.file, ("metadata",), self.flavour.report)
        configurable, modifiable = self.at("configurable_properties"), self.at("modifiable_attributes")
        texts = {name: self.at(name).required_text(f"the VNF's {name}") for name in _IDENTITY}
        standard = self.flavour.types.merged("node_types", "tosca.nodes.nfv.VNF", "properties")
        extra = {
            name: entry.value
            for name, entry in self.known.items()
            if name not in standard and name not in CHANGEABLE and entry.exists
        }
        return Vnfd(
            id=texts["descriptor_id"],
            provider=texts["provider"],
            product_name=texts["product_name"],
            software_version=texts["software_version"],
            version=texts["descriptor_version"],
            vnfm_info=self.at("vnfm_info").texts(),
            name=self.at("product_info_name").text(texts["product_name"]),
            description=self.at("product_info_description").text(self.flavour.description),
            node_type=self.type,
            ext_invariant_id=self.at("ext_invariant_id").text(),
            localization_languages=self.at("localization_languages").texts(),
            configurable_properties=_values(configurable) | extra,
            extensions=_values(modifiable.at("extensions")) if isinstance(modifiable.value, dict) else {},
            metadata={name: value for name, value in self.metadata.items() if name not in ("provides", "requires")},
            flavours=flavours,
            default_flavour=selected if selected in flavours else next(iter(flavours)),
            provides=_provides(meta.at("provides").resolved(self.flavour.lookup)),
            requires=_requires(meta.at("requires")),
        )


def _merge(sources: Iterable[Cursor]) -> dict[str, Cursor]:
    """The first plain value of each name; a function only where nothing else is said."""
    found: dict[str, Cursor] = {}
    for source in sources:
        for name, entry in source.entries().items():
            if entry.exists and (
                name not in found or (is_function(found[name].value) and not is_function(entry.value))
            ):
                found[name] = entry
    return found


def _values(entry: Cursor) -> dict[str, Any]:
    return {name: item.value for name, item in entry.entries().items()}


def _provides(entry: Cursor) -> dict[str, Any]:
    if isinstance(entry.value, list | str):
        return {name: {"get_attribute": ["SELF", name]} for name in _names(entry)}
    return _values(entry)


def _names(entry: Cursor) -> tuple[str, ...]:
    if isinstance(entry.value, list):
        return entry.texts()
    return tuple(part.strip() for part in entry.text().split(",") if part.strip())


def _requires(entry: Cursor) -> dict[str, tuple[str, ...]]:
    return {name: _names(item) for name, item in entry.entries().items()}


def _flavour(
    id: str, topology: Topology, identity: _Identity, top: Topology | None, files: frozenset[str]
) -> DeploymentFlavour:
    check_topology(topology)
    vdus = read_vdus(topology, files)
    cps, ext_cps = read_connection_points(topology)
    vdus = {name: _with_cps(vdu, cps) for name, vdu in vdus.items()}
    _check_vdus(topology, vdus)
    policies = VnfPolicies(topology, vdus)
    return DeploymentFlavour(
        id=id,
        description=identity.at("flavour_description").text(topology.description),
        vdus=vdus,
        cps=cps,
        ext_cps=ext_cps,
        virtual_links=read_virtual_links(topology, "VnfVirtualLink"),
        instantiation_levels=policies.levels,
        default_instantiation_level_id=policies.default_level,
        scaling_aspects=policies.aspects,
        affinity=read_affinity(topology),
        scripts=_scripts(topology, identity, files, vdus),
        inputs=_inputs(topology, top, identity),
        monitoring_parameters=read_monitoring(identity.at("monitoring_parameters")),
        supported_operations=tuple(identity.at("lcm_operations_configuration").entries()),
        indicators=_indicators(topology, identity, files, vdus),
        coordinations=read_coordinations(topology),
    )


def _indicators(
    topology: Topology, identity: _Identity, files: frozenset[str], vdus: Mapping[str, Vdu]
) -> dict[str, IndicatorDescription]:
    node = _vnf_node(topology) or identity.node

    def script(name: str, entry: Cursor) -> LcmScript | None:
        return _script(name, entry, node, files, vdus) if node else None

    return read_indicators(topology, node, script)


def _with_cps(vdu: Vdu, cps: Mapping[str, Any]) -> Vdu:
    mine = sorted((cp for cp in cps.values() if cp.vdu == vdu.id), key=lambda cp: cp.order)
    return msgspec.structs.replace(vdu, cps=tuple(cp.id for cp in mine))


def _check_vdus(topology: Topology, vdus: Mapping[str, Vdu]) -> None:
    if not vdus:
        topology.root.warning(
            "no-vdu",
            "this flavour has no VDU",
            "add a node of type tosca.nodes.nfv.Vdu.Compute or OsContainerDeployableUnit",
        )
    check_cycle({name: vdu.depends_on for name, vdu in vdus.items()}, topology.root.at("node_templates"), "VDUs")


def _inputs(topology: Topology, top: Topology | None, identity: _Identity) -> dict[str, InputParameter]:
    """Inputs that a request may give: those of both templates, without the VNF's own properties and the flavour selector."""
    found: dict[str, InputParameter] = {}
    supplied = set(topology.types.merged("node_types", identity.type, "properties"))
    if top is not None:
        node = _vnf_node(top)
        raw = top.root.at("node_templates", node.name, "properties", "flavour_id").value if node else None
        selector = raw.get("get_input") if isinstance(raw, dict) else None
        found |= {name: each for name, each in top.inputs.items() if name != selector}
        found |= {name: each for name, each in topology.inputs.items() if name not in supplied}
        return found
    return {name: each for name, each in topology.inputs.items() if name not in supplied or name not in identity.known}


def _scripts(
    topology: Topology, identity: _Identity, files: frozenset[str], vdus: Mapping[str, Vdu]
) -> dict[str, LcmScript]:
    found: dict[str, LcmScript] = {}
    nodes = [node for node in (identity.node, _vnf_node(topology)) if node is not None]
    for node in nodes:
        indicators = read_indicators(topology, node, lambda *_: None)
        for interface in node.interfaces.values():
            for event, operation in interface.entries().items():
                script = None if event in indicators else _script(event, operation, node, files, vdus)
                if script is not None:
                    found[event] = script
    return found


def _script(
    event: str, operation: Cursor, node: Node, files: frozenset[str], vdus: Mapping[str, Vdu]
) -> LcmScript | None:
    body = (
        operation
        if isinstance(operation.value, dict)
        else Cursor({"implementation": operation.value}, operation.file, operation.path, operation.report)
    )
    implementation = body.at("implementation")
    primary = implementation.at("primary") if isinstance(implementation.value, dict) else implementation
    if event in ("type", "inputs") or isinstance(primary.value, list) or not primary.text():
        return None
    artifact = node.artifacts.at(primary.text()) if node.artifacts else primary
    file = (artifact.at("file") if isinstance(artifact.value, dict) else artifact) if artifact.exists else primary
    named = artifact.exists or "/" in file.text() or file.text().endswith((".sh", ".py"))
    path = package_path(file, files, "missing-file" if named else "unknown-implementation", fatal=named)
    if not path:
        return None
    inputs = {name: _input_value(entry) for name, entry in body.at("inputs").entries().items()}
    targets = body.at("inputs", "vdus").texts()
    for target in targets:
        if target not in vdus:
            body.at("inputs", "vdus").error(
                "unknown-node", f"cannot find the VDU {target!r}", "name a VDU of this topology_template"
            )
    arguments = inputs.pop("arguments", None)
    return LcmScript(
        event=event,
        artifact=path,
        inputs={name: value for name, value in inputs.items() if name not in ("vdus", "timeout") and value is not None},
        arguments=tuple(arguments) if isinstance(arguments, list) else () if arguments is None else (arguments,),
        vdus=targets,
        timeout_s=body.at("inputs", "timeout").seconds(60.0),
    )


def _input_value(entry: Cursor) -> Any:
    """The value of an operation's input; of a declaration (with `type`) its default."""
    if isinstance(entry.value, dict) and "type" in entry.value and not is_function(entry.value):
        return entry.value.get("value", entry.value.get("default"))
    return entry.value
