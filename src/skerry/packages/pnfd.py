"""SOL001 service templates to `Pnfd` (clause 8): the identity of a physical network function, by its node, by what the
substitution mappings say or by the defaults of its type, in this order; and its external connection points."""

from __future__ import annotations

from skerry.model.descriptors import ConnectionPoint, Pnfd
from skerry.packages.cursor import Cursor
from skerry.packages.functions import is_function
from skerry.packages.report import Report
from skerry.packages.templates import Templates
from skerry.packages.topology import Topology


def make_pnfd(templates: Templates, report: Report) -> Pnfd | None:
    """The PNFD of merged templates. None if there is no PNF in them. Faults go to the report."""
    for topology in templates.topologies(report, None):
        sources = _sources(topology)
        if sources:
            return _pnfd(sources, topology)
    return None


def _sources(topology: Topology) -> list[Cursor]:
    """Where the identity may be said, best first; empty where the template is of no PNF."""
    node = next(iter(topology.of_type("PNF")), None)
    mapped = topology.substitution.at("node_type").text() if topology.substitution.exists else ""
    type = node.type if node else mapped
    if not topology.types.is_a("node_types", type, "tosca.nodes.nfv.PNF"):
        return []
    specs = topology.types.merged("node_types", type, "properties")
    defaults = {name: spec.get("default") for name, spec in specs.items() if isinstance(spec, dict)}
    here = node.properties if node else topology.substitution.at("properties")
    said = topology.substitution.at("properties")
    found = [here, *([said.resolved(topology.lookup)] if said.exists else [])]
    return [*found, Cursor(defaults, here.file, here.path, here.report)]


def _pnfd(sources: list[Cursor], topology: Topology) -> Pnfd:
    def at(name: str) -> Cursor:
        found = [source.at(name) for source in sources if isinstance(source.value, dict)]
        return next((one for one in found if one.exists and not is_function(one.value)), sources[0].at(name))

    id = _text(at("descriptor_id"), "descriptor_id")
    return Pnfd(
        id=id,
        name=_text(at("name"), "name"),
        version=_text(at("version"), "version"),
        provider=_text(at("provider"), "provider"),
        invariant_id=str(at("descriptor_invariant_id").value or id),
        description=str(at("function_description").value or topology.description),
        ext_cps=_points(topology),
    )


def _points(topology: Topology) -> dict[str, ConnectionPoint]:
    """The external connection points, each with the requirement of the PNF that it stands for."""
    mapped = {
        target: name
        for name, entry in topology.substitution.at("requirements").named().items()
        for target in (entry.texts()[:1] if entry.exists else ())
    }
    return {
        node.name: ConnectionPoint(
            id=node.name, external=mapped.get(node.name, ""), description=node.properties.at("description").text()
        )
        for node in topology.of_type("PnfExtCp")
    }


def _text(place: Cursor, name: str) -> str:
    """A required text; YAML may have read it as a number."""
    if isinstance(place.value, int | float) and not isinstance(place.value, bool):
        return str(place.value)
    return place.required_text(f"the PNF's {name}")
