"""Who needs whom among the VNFs of a network service, and what is handed over. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from skerry.errors import Fault, InvalidError
from skerry.model.descriptors import NsDeploymentFlavour, Vnfd, VnfDependency
from skerry.vnfm.values import nodes_read


def dependencies(flavour: NsDeploymentFlavour, vnfds: Mapping[str, Vnfd]) -> tuple[VnfDependency, ...]:
    """All dependencies between profiles: those that the NSD declares, those that follow from what a VNFD `requires`, and
    those that follow from values asked of another VNF or of a PNF. Pairs are joined."""
    found: dict[tuple[str, str], tuple[str, ...]] = {}

    def add(source: str, target: str, parameters: Sequence[str]) -> None:
        if source != target:
            found[source, target] = tuple(dict.fromkeys((*found.get((source, target), ()), *parameters)))

    for declared in flavour.dependencies:
        add(declared.source, declared.target, declared.parameters)
    for target, vnfd in vnfds.items():
        for wanted, names in vnfd.requires.items():
            for source, other in vnfds.items():
                if wanted in (source, other.product_name, other.node_type, other.name):
                    add(source, target, names)
    for target, profile in flavour.vnf_profiles.items():
        for source in nodes_read(profile.properties.values()) & (
            flavour.vnf_profiles.keys() | flavour.pnf_profiles.keys()
        ):
            add(source, target, ())
    return tuple(VnfDependency(source=s, target=t, parameters=names) for (s, t), names in found.items())


def circles(pairs: Sequence[VnfDependency]) -> list[tuple[str, ...]]:
    """The cycles among the dependencies, each written from its first to its first."""
    after: dict[str, list[str]] = {}
    for pair in pairs:
        after.setdefault(pair.source, []).append(pair.target)
    found: dict[frozenset[str], tuple[str, ...]] = {}
    done: set[str] = set()

    def walk(node: str, path: list[str]) -> None:
        if node in path:
            cycle = (*path[path.index(node) :], node)
            found.setdefault(frozenset(cycle), cycle)
            return
        if node in done:
            return
        for following in after.get(node, ()):
            walk(following, [*path, node])
        done.add(node)

    for node in list(after):
        walk(node, [])
    return list(found.values())


def ordered(pairs: Sequence[VnfDependency], *, cyclic_allowed: bool) -> tuple[tuple[VnfDependency, ...], set[str]]:
    """The dependencies that order the start, and the profiles that must be told again afterwards because they are part of
    a cycle. Without permission a cycle is refused and printed."""
    cycles = circles(pairs)
    if cycles and not cyclic_allowed:
        shown = [" -> ".join(cycle) for cycle in cycles]
        faults = [
            Fault(
                message=f"dependency cycle {text}", code="cycle", fix="remove a dependency or allow cycles in the NSD"
            )
            for text in shown
        ]
        raise InvalidError(f"cannot order the VNFs: {'; '.join(shown)} is a cycle", faults=faults)
    inside = [set(cycle) for cycle in cycles]
    kept = tuple(pair for pair in pairs if not any({pair.source, pair.target} <= members for members in inside))
    return kept, {name for members in inside for name in members}


def handed(pair: VnfDependency, sources: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the target gets of one source profile: the named values (all without names) of its first member, and with a `s`
    behind the name those of all members when there are several."""
    if not sources:
        return {}
    names = pair.parameters or tuple(sources[0])
    values = {name: sources[0][name] for name in names if name in sources[0]}
    if len(sources) > 1:
        values |= {f"{name}s": [source[name] for source in sources if name in source] for name in names}
    missing = [name for name in pair.parameters if name not in sources[0]]
    if missing:
        offered = ", ".join(sorted(sources[0])) or "nothing"
        faults = [
            Fault(message=f"'{pair.source}' does not provide '{n}'; it has: {offered}", code="parameter")
            for n in missing
        ]
        raise InvalidError(f"cannot hand over from {pair.source} to {pair.target}: {', '.join(missing)}", faults=faults)
    return values
