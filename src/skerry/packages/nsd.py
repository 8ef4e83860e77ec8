"""SOL001 service templates to `Nsd` (clause 7).

* NS node or `substitution_mappings` of a type derived from `tosca.nodes.nfv.NS`: identity; one flavour per such template.
* Other NS nodes become `NsProfile`: nested NSs, with level and numbers of `ns_profile` and links as VNFs have them.
* PNF nodes become `PnfProfile`, with links as VNFs have them.
* VNF nodes become `VnfProfile`: `vnf_profile` gives level and numbers, requirements on virtual links give `links` (requirement
  name → link), `configurable_properties`, `inputs` and every property that is not the standard's give `properties`.
* Dependencies (the standard has no construct for them): `requirements: - dependency: OTHER` of a VNF node, with names of values
  in `{node: OTHER, relationship: {properties: {parameters: […]}}}`; and each `get_attribute` of another VNF among a VNF's
  properties. Cycles are faults, with the cycle, unless the metadata of the NS node, its type or the file says
  `cyclic_dependencies: true`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skerry.model.descriptors import (
    Nsd,
    NsDeploymentFlavour,
    NsProfile,
    PnfProfile,
    Sap,
    VnfDependency,
    VnfProfile,
)
from skerry.packages.conformance import check_topology
from skerry.packages.cursor import Cursor
from skerry.packages.forwarding import read_forwarding
from skerry.packages.functions import is_function, references
from skerry.packages.links import read_virtual_links, required_names
from skerry.packages.nsd_policies import NsPolicies
from skerry.packages.policies import policies_of, read_affinity
from skerry.packages.report import Report
from skerry.packages.templates import Templates, check_cycle
from skerry.packages.topology import Node, Topology
from skerry.packages.vdu import read_monitoring

_IDENTITY = ("descriptor_id", "designer", "version", "name")
_DEFAULT_FLAVOUR = "default"
_VALUE_PROPERTIES = ("configurable_properties", "inputs", "additional_parameters")


def make_nsd(templates: Templates, report: Report, given: Mapping[str, Any] | None = None) -> Nsd | None:
    """The NSD of merged templates with the values of inputs. None if there is no NS in them. Faults go to the report."""
    flavours: dict[str, NsDeploymentFlavour] = {}
    first: _Identity | None = None
    for topology in templates.topologies(report, given):
        identity = _Identity(topology, templates)
        if not identity.type:
            continue
        first = first or identity
        flavour_id = identity.at("flavour_id").text(_DEFAULT_FLAVOUR)
        if flavour_id in flavours:
            topology.root.error(
                "duplicate-flavour",
                f"cannot have two flavours with the id {flavour_id!r}",
                "give each template its own flavour_id",
            )
        check_topology(topology)
        flavours[flavour_id] = _flavour(flavour_id, topology, identity)
    return first.nsd(flavours) if first else None


class _Identity:
    """What is said of the NS itself: by its node, the substitution mappings, its type or the metadata."""

    def __init__(self, topology: Topology, templates: Templates) -> None:
        self.topology = topology
        mapped = topology.substitution.at("node_type").text() if topology.substitution.exists else ""
        is_ns = topology.types.is_a("node_types", mapped, "tosca.nodes.nfv.NS")
        nodes = topology.of_type("NS")
        exact = [node for node in nodes if node.type == mapped]
        self.node = next(iter(exact or ([] if is_ns and not _names(topology, mapped, nodes) else nodes)), None)
        self.type = mapped if is_ns else self.node.type if self.node else ""
        self.metadata = topology.types.merged("node_types", self.type, "metadata") | templates.metadata
        self.metadata |= self.node.metadata if self.node else {}
        self.here = self.node.properties if self.node else topology.substitution.at("properties")
        self.sources = self._sources(topology)

    def _sources(self, topology: Topology) -> list[Cursor]:
        specs = topology.types.merged("node_types", self.type, "properties")
        defaults = {name: spec.get("default") for name, spec in specs.items() if isinstance(spec, dict)}
        named = {name.removeprefix("nsd_"): value for name, value in self.metadata.items() if name.startswith("nsd_")}
        found = [self.node.properties] if self.node else []
        found.append(topology.substitution.at("properties").resolved(topology.lookup))
        found.extend(Cursor(values, self.here.file, self.here.path, self.here.report) for values in (defaults, named))
        return found

    def at(self, name: str) -> Cursor:
        found = [source.at(name) for source in self.sources if isinstance(source.value, dict)]
        plain = [entry for entry in found if entry.exists and not is_function(entry.value)]
        return next(iter(plain), next((entry for entry in found if entry.exists), self.here.at(name)))

    def cyclic(self) -> bool:
        return Cursor(
            self.metadata.get("cyclic_dependencies"),
            self.here.file,
            ("metadata", "cyclic_dependencies"),
            self.here.report,
        ).flag()

    def nsd(self, flavours: Mapping[str, NsDeploymentFlavour]) -> Nsd:
        texts = {name: self.at(name).required_text(f"the NS's {name}") for name in _IDENTITY}
        topology = self.topology
        profiles = [profile for flavour in flavours.values() for profile in flavour.vnf_profiles.values()]
        nested = [profile for flavour in flavours.values() for profile in flavour.nested_profiles.values()]
        return Nsd(
            id=texts["descriptor_id"],
            designer=texts["designer"],
            version=texts["version"],
            name=texts["name"],
            invariant_id=self.at("invariant_id").text(texts["descriptor_id"]),
            description=topology.description,
            cyclic_dependencies=self.cyclic(),
            vnfd_ids=tuple(dict.fromkeys(profile.vnfd_id for profile in profiles if profile.vnfd_id)),
            pnfd_ids=_descriptor_ids(topology, "PNF"),
            nested_nsd_ids=tuple(dict.fromkeys(one.nsd_id for one in nested if one.nsd_id)),
            flavours=flavours,
            default_flavour=next(iter(flavours)),
        )


def _descriptor_ids(topology: Topology, kind: str) -> tuple[str, ...]:
    return tuple(
        dict.fromkeys(id for node in topology.of_type(kind) if (id := node.properties.at("descriptor_id").text()))
    )


def _names(topology: Topology, type: str, nodes: list[Node]) -> bool:
    """Whether the first of these NS nodes stands for the NS of this type itself, not for a nested one."""
    spec = topology.types.merged("node_types", type, "properties").get("descriptor_id")
    own = topology.substitution.at("properties", "descriptor_id").text() or (
        str(spec.get("default", "")) if isinstance(spec, dict) else ""
    )
    return bool(nodes) and nodes[0].properties.at("descriptor_id").text() in ("", own)


def _flavour(id: str, topology: Topology, identity: _Identity) -> NsDeploymentFlavour:
    nodes = {node.name: node for node in topology.of_type("VNF")}
    profiles = {name: _profile(topology, node) for name, node in nodes.items()}
    pnfs = {node.name: node for node in topology.of_type("PNF")}
    dependencies = _dependencies(topology, nodes, profiles, pnfs)
    if not identity.cyclic():
        edges: dict[str, list[str]] = {name: [] for name in profiles}
        for each in dependencies:
            if each.source in edges:
                edges[each.target].append(each.source)
        check_cycle(edges, topology.root.at("node_templates"), "VNFs")
    own = identity.node.name if identity.node else ""
    nested = {node.name: _nested(topology, node) for node in topology.of_type("NS") if node.name != own}
    policies = NsPolicies(topology, {**profiles, **nested})
    return NsDeploymentFlavour(
        id=id,
        description=identity.at("flavour_description").text(topology.description),
        vnf_profiles=profiles,
        nested_profiles=nested,
        pnf_profiles={name: _pnf(topology, node) for name, node in pnfs.items()},
        virtual_links=read_virtual_links(topology, "NsVirtualLink"),
        saps=_saps(topology),
        vnffgs=read_forwarding(topology),
        dependencies=dependencies,
        scaling_aspects=policies.aspects,
        levels=policies.levels,
        default_level_id=policies.default_level,
        affinity=read_affinity(topology, ns=True),
        inputs=topology.inputs,
        monitoring_parameters=tuple(
            parameter
            for policy in policies_of(topology, "NsMonitoring")
            for parameter in read_monitoring(policy.properties.at("ns_monitoring_parameters"))
        ),
    )


def _numbers(profile: Cursor) -> tuple[int, int]:
    """The least and the largest number of instances that a profile allows."""
    minimum = profile.at("min_number_of_instances").integer(1)
    maximum = profile.at("max_number_of_instances").integer(max(minimum, 1))
    if maximum < minimum:
        profile.error(
            "bad-profile", "cannot have a maximum below the minimum of instances", "raise max_number_of_instances"
        )
    return minimum, maximum


def _nested(topology: Topology, node: Node) -> NsProfile:
    profile = node.properties.at("ns_profile")
    minimum, maximum = _numbers(profile)
    return NsProfile(
        id=node.name,
        nsd_id=node.properties.at("descriptor_id").required_text("the descriptor_id of the nested NS's NSD"),
        flavour_id=node.properties.at("flavour_id").text(),
        instantiation_level=profile.at("ns_instantiation_level").text(),
        min_instances=minimum,
        max_instances=maximum,
        links=_links(topology, node),
    )


def _profile(topology: Topology, node: Node) -> VnfProfile:
    properties = node.properties
    profile = properties.at("vnf_profile")
    minimum, maximum = _numbers(profile)
    return VnfProfile(
        id=node.name,
        vnfd_id=properties.at("descriptor_id").required_text("the descriptor_id of the VNF's VNFD"),
        flavour_id=properties.at("flavour_id").text(),
        instantiation_level=profile.at("instantiation_level").text(),
        min_instances=minimum,
        max_instances=maximum,
        links=_links(topology, node),
        properties=_values(topology, node),
        node_type=node.type,
    )


def _pnf(topology: Topology, node: Node) -> PnfProfile:
    return PnfProfile(id=node.name, pnfd_id=node.properties.at("descriptor_id").text(), links=_links(topology, node))


def _links(topology: Topology, node: Node) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, target, entry in node.requirements:
        if name == "dependency":
            continue
        other = topology.node_of(entry, target)
        if other is not None and topology.is_a(other, "NsVirtualLink", "VnfVirtualLink"):
            if name in found:
                entry.error("duplicate-link", f"cannot connect {name} twice", "use another requirement of the VNF")
            found[name] = target
    return found


def _values(topology: Topology, node: Node) -> dict[str, Any]:
    """Values for the VNF's configurable properties and inputs; functions of run time stay."""
    standard = topology.types.merged("node_types", "tosca.nodes.nfv.VNF", "properties")
    found: dict[str, Any] = {}
    for name, entry in node.properties.entries().items():
        if name in _VALUE_PROPERTIES:
            found |= {inner: item.value for inner, item in entry.entries().items()}
        elif name not in standard and entry.exists:
            found[name] = entry.value
    return found


def _dependencies(
    topology: Topology, nodes: Mapping[str, Node], profiles: Mapping[str, VnfProfile], pnfs: Mapping[str, Node]
) -> tuple[VnfDependency, ...]:
    """Who needs whom: VNFs other VNFs, and PNFs."""
    sources = {*nodes, *pnfs}
    found: dict[tuple[str, str], VnfDependency] = {}
    for name, node in nodes.items():
        for requirement, target, entry in node.requirements:
            if requirement != "dependency" or topology.node_of(entry, target) is None:
                continue
            if target not in sources:
                message = f"cannot depend on {target}: it is neither VNF nor PNF"
                entry.error("wrong-node", message, "name a VNF or PNF node")
                continue
            parameters = (
                entry.at("relationship", "properties", "parameters").texts() if isinstance(entry.value, dict) else ()
            )
            found[target, name] = VnfDependency(source=target, target=name, parameters=parameters)
        for function, arguments in references(profiles[name].properties):
            source = str(arguments[0]) if arguments else ""
            if function == "get_attribute" and source in sources and source != name:
                found.setdefault((source, name), VnfDependency(source=source, target=name))
            elif function == "get_attribute" and source not in sources and source not in ("SELF", "HOST"):
                node.properties.error(
                    "unknown-node", f"cannot ask {source!r} for an attribute", "name a VNF or PNF of the NS"
                )
    return tuple(found.values())


def _saps(topology: Topology) -> dict[str, Sap]:
    found: dict[str, Sap] = {}
    names = required_names(topology)
    for node in topology.of_type("Sap"):
        links = {
            name: target for name, target, entry in node.requirements if topology.node_of(entry, target) is not None
        }
        link = links.get("internal_virtual_link") or links.get("virtual_link") or next(iter(links.values()), "")
        found[node.name] = Sap(
            id=node.name,
            virtual_link=link,
            description=node.properties.at("description").text(),
            external=names.get(node.name, ""),
        )
    return found
