"""Policies of a VNFD: sizes, scaling and placement (SOL001 clause 6.10).

The number of instances of a VDU at an instantiation level comes from `VduInstantiationLevels`; without it from the initial
delta and the deltas of the scaling aspects up to the level's `scale_info`; without those from the VDU profile's minimum (at
least one). A template without levels gets one level named `default`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from skerry.model.descriptors import AffinityRule, InstantiationLevel, ScalingAspect, Vdu
from skerry.packages.cursor import Cursor
from skerry.packages.topology import Policy, Topology

DEFAULT_LEVEL = "default"


class VnfPolicies:
    """What the policies of one deployment flavour say."""

    def __init__(self, topology: Topology, vdus: Mapping[str, Vdu]) -> None:
        self._topology = topology
        self._vdus = vdus
        self.initial = self._initial()
        self.aspects = self._aspects()
        self.default_level = ""
        self.levels = self._levels()
        if not self.levels:
            self.levels = {DEFAULT_LEVEL: InstantiationLevel(id=DEFAULT_LEVEL, vdu_levels=self._sizes({}, {}))}
        if not self.default_level:
            self.default_level = next(iter(self.levels))

    def _of(self, *names: str) -> Iterable[Policy]:
        return policies_of(self._topology, *names)

    def _targets(self, policy: Policy) -> list[str]:
        found: list[str] = []
        for target in expand(self._topology, policy.targets):
            if target in self._vdus:
                found.append(target)
            else:
                policy.here.at("targets").error(
                    "unknown-node", f"cannot find the VDU {target!r}", "name a VDU of this topology_template"
                )
        return found

    def _initial(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for policy in self._of("VduInitialDelta"):
            for vdu in self._targets(policy):
                found[vdu] = policy.properties.at("initial_delta", "number_of_instances").integer(1)
        return found

    def _aspects(self) -> dict[str, ScalingAspect]:
        deltas, known = self._deltas(), set[str]()
        found: dict[str, ScalingAspect] = {}
        for policy in self._of("ScalingAspects"):
            for id, entry in policy.properties.at("aspects").entries().items():
                known.add(id)
                found[id] = self._aspect(id, entry, deltas.get(id, {}))
        for aspect, per_vdu in deltas.items():
            if aspect not in known:
                next(iter(per_vdu.values())).error(
                    "unknown-aspect",
                    f"cannot find the scaling aspect {aspect!r}",
                    "declare it in a ScalingAspects policy",
                )
        return found

    def _aspect(self, id: str, entry: Cursor, per_vdu: Mapping[str, Cursor]) -> ScalingAspect:
        steps = entry.at("step_deltas").texts()
        deltas: dict[str, tuple[int, ...]] = {}
        for vdu, listed in per_vdu.items():
            numbers = {name: delta.at("number_of_instances").integer() for name, delta in listed.entries().items()}
            lacking = [step for step in steps if step not in numbers]
            if lacking:
                listed.error(
                    "unknown-delta", f"cannot find the delta {lacking[0]!r} of {vdu}", "add it, or correct step_deltas"
                )
            deltas[vdu] = tuple(numbers[step] for step in (steps or numbers) if step in numbers)
        return ScalingAspect(
            id=id,
            name=entry.at("name").text(id),
            description=entry.at("description").text(),
            max_scale_level=entry.at("max_scale_level").integer(),
            initial={vdu: self.initial.get(vdu, self._least(vdu)) for vdu in deltas},
            deltas=deltas,
            cooldown_s=entry.at("cooldown").seconds(),
        )

    def _deltas(self) -> dict[str, dict[str, Cursor]]:
        found: dict[str, dict[str, Cursor]] = {}
        for policy in self._of("VduScalingAspectDeltas"):
            aspect = policy.properties.at("aspect").text()
            for vdu in self._targets(policy):
                found.setdefault(aspect, {})[vdu] = policy.properties.at("deltas")
        return found

    def _least(self, vdu: str) -> int:
        return self._vdus[vdu].min_instances

    def _levels(self) -> dict[str, InstantiationLevel]:
        explicit = self._explicit()
        found: dict[str, InstantiationLevel] = {}
        for policy in self._of("InstantiationLevels"):
            for id, entry in policy.properties.at("levels").entries().items():
                info = self._scale_info(entry.at("scale_info"))
                found[id] = InstantiationLevel(
                    id=id,
                    description=entry.at("description").text(),
                    scale_info=info,
                    vdu_levels=self._sizes(info, explicit.get(id, {})),
                )
            self._default(policy.properties.at("default_level"), found)
        for id in explicit.keys() - found.keys():
            found[id] = InstantiationLevel(id=id, vdu_levels=self._sizes({}, explicit[id]))
        return found

    def _default(self, entry: Cursor, found: Mapping[str, Any]) -> None:
        default = entry.text()
        if default and default not in found:
            entry.error("unknown-level", f"cannot find the default level {default!r}", "name one of `levels`")
        elif default:
            self.default_level = default

    def _explicit(self) -> dict[str, dict[str, int]]:
        found: dict[str, dict[str, int]] = {}
        for policy in self._of("VduInstantiationLevels"):
            for vdu in self._targets(policy):
                for id, entry in policy.properties.at("levels").entries().items():
                    found.setdefault(id, {})[vdu] = entry.at("number_of_instances").integer(1)
        return found

    def _scale_info(self, entries: Cursor) -> dict[str, int]:
        found: dict[str, int] = {}
        for aspect, entry in entries.entries().items():
            level = entry.at("scale_level").integer() if isinstance(entry.value, dict) else entry.integer()
            if aspect not in self.aspects:
                entry.error(
                    "unknown-aspect",
                    f"cannot find the scaling aspect {aspect!r}",
                    "declare it in a ScalingAspects policy",
                )
            elif level > self.aspects[aspect].max_scale_level:
                entry.error(
                    "bad-level",
                    f"cannot scale {aspect} to {level}: its maximum is {self.aspects[aspect].max_scale_level}",
                    "lower the level",
                )
            else:
                found[aspect] = level
        return found

    def _sizes(self, info: Mapping[str, int], explicit: Mapping[str, int]) -> dict[str, int]:
        sizes: dict[str, int] = {}
        for vdu in self._vdus:
            size = self.initial.get(vdu, self._least(vdu))
            for aspect, level in info.items():
                size += added(self.aspects[aspect].deltas.get(vdu, ()), level)
            sizes[vdu] = explicit.get(vdu, size)
            if sizes[vdu] > self._vdus[vdu].max_instances:
                self._topology.root.at("node_templates", vdu).warning(
                    "level-over-maximum",
                    f"a level asks for {sizes[vdu]} instances of {vdu}, over the maximum of its profile",
                    "raise max_number_of_instances",
                )
        return sizes


def added(deltas: tuple[int, ...], level: int) -> int:
    """How many instances the first `level` steps add; the last delta repeats."""
    if not deltas or level <= 0:
        return 0
    return sum(deltas[:level]) + max(level - len(deltas), 0) * deltas[-1]


def policies_of(topology: Topology, *names: str) -> list[Policy]:
    """The policies of these types of `tosca.policies.nfv.`, or derived from them."""
    wanted = {f"tosca.policies.nfv.{name}" for name in names}
    return [
        policy for policy in topology.policies if wanted & set(topology.types.ancestors("policy_types", policy.type))
    ]


def expand(topology: Topology, targets: Iterable[str]) -> list[str]:
    """Targets with groups replaced by their members."""
    return [member for target in targets for member in (topology.groups.get(target) or (target,))]


def read_affinity(topology: Topology, *, ns: bool = False) -> tuple[AffinityRule, ...]:
    """Affinity and anti-affinity rules, groups expanded."""
    prefix = "Ns" if ns else ""
    found: list[AffinityRule] = []
    for anti, name in ((False, f"{prefix}AffinityRule"), (True, f"{prefix}AntiAffinityRule")):
        for policy in policies_of(topology, name):
            targets = expand(topology, policy.targets)
            for target in targets:
                topology.node_of(policy.here.at("targets"), target)
            found.append(
                AffinityRule(
                    id=policy.name,
                    targets=tuple(targets),
                    scope=policy.properties.at("scope").text("nfvi_node"),
                    anti=anti,
                )
            )
    return tuple(found)
