"""Policies of an NSD: scaling aspects and NS levels (SOL001 clause 7.10, from release 3.5.1).

`NsScalingAspects` names the levels of each aspect, `VnfToLevelMapping` and `NsToLevelMapping` the instances of each VNF and
nested NS at them; `NsInstantiationLevels`, `VnfToInstantiationLevelMapping` and `NsToInstantiationLevelMapping` do the same
for the levels to instantiate at. A VNF or nested NS that a level does not mention has its profile's minimum (at least one).
An NSD without levels gets one level named `default`.
"""

from __future__ import annotations

from collections.abc import Mapping

from skerry.model.descriptors import NsLevel, NsProfile, NsScalingAspect, VnfProfile
from skerry.packages.cursor import Cursor
from skerry.packages.policies import DEFAULT_LEVEL, expand, policies_of
from skerry.packages.topology import Policy, Topology

_AT_LEVELS = ("VnfToLevelMapping", "NsToLevelMapping")
_AT_FIRST = ("VnfToInstantiationLevelMapping", "NsToInstantiationLevelMapping")


class NsPolicies:
    """What the policies of one NS flavour say."""

    def __init__(self, topology: Topology, profiles: Mapping[str, VnfProfile | NsProfile]) -> None:
        self._topology = topology
        self._profiles = profiles
        self.aspects = self._aspects()
        self.default_level = ""
        self.levels = self._levels()
        if not self.levels:
            self.levels = {
                DEFAULT_LEVEL: NsLevel(
                    id=DEFAULT_LEVEL,
                    vnf_counts={name: profile.min_instances for name, profile in profiles.items()},
                )
            }
        self.default_level = self.default_level or next(iter(self.levels))

    def _numbers(self, policy: Policy) -> dict[str, dict[str, int]]:
        """Profile → level → number of instances."""
        found: dict[str, dict[str, int]] = {}
        for target in expand(self._topology, policy.targets):
            if target not in self._profiles:
                policy.here.at("targets").error(
                    "unknown-node", f"cannot find the VNF {target!r}", "name a VNF or nested NS node of the NS"
                )
                continue
            entries = policy.properties.at("number_of_instances").entries()
            found[target] = {level: entry.integer() for level, entry in entries.items()}
        return found

    def _aspects(self) -> dict[str, NsScalingAspect]:
        mapped: dict[str, dict[str, dict[str, int]]] = {}
        for policy in policies_of(self._topology, *_AT_LEVELS):
            mapped.setdefault(policy.properties.at("aspect").text(), {}).update(self._numbers(policy))
        found: dict[str, NsScalingAspect] = {}
        for policy in policies_of(self._topology, "NsScalingAspects"):
            for id, entry in policy.properties.at("aspects").entries().items():
                found[id] = self._aspect(id, entry, mapped.get(id, {}))
        for policy in policies_of(self._topology, *_AT_LEVELS):
            aspect = policy.properties.at("aspect")
            if aspect.text() not in found:
                aspect.error(
                    "unknown-aspect",
                    f"cannot find the scaling aspect {aspect.text()!r}",
                    "declare it in an NsScalingAspects policy",
                )
        return found

    def _aspect(self, id: str, entry: Cursor, numbers: Mapping[str, Mapping[str, int]]) -> NsScalingAspect:
        named = entry.at("ns_scale_levels")
        levels = sorted({*named.named(), *(level for per_level in numbers.values() for level in per_level)}, key=_order)
        if levels != [str(index) for index in range(len(levels))]:
            named.error(
                "bad-level",
                f"cannot use the levels {', '.join(levels)[:80]} of {id}",
                "number them 0, 1, 2 … without a gap",
            )
        counts = tuple(
            {vnf: per_level[level] for vnf, per_level in numbers.items() if level in per_level} for level in levels
        )
        return NsScalingAspect(
            id=id,
            name=entry.at("name").text(id),
            description=entry.at("description").text(),
            max_scale_level=max(len(levels) - 1, 0),
            vnf_counts=counts,
        )

    def _levels(self) -> dict[str, NsLevel]:
        numbers: dict[str, dict[str, int]] = {}
        for policy in policies_of(self._topology, *_AT_FIRST):
            numbers |= self._numbers(policy)
        found: dict[str, NsLevel] = {}
        for policy in policies_of(self._topology, "NsInstantiationLevels"):
            for id, entry in policy.properties.at("ns_levels").entries().items():
                counts = {
                    name: numbers.get(name, {}).get(id, profile.min_instances)
                    for name, profile in self._profiles.items()
                }
                found[id] = NsLevel(id=id, description=entry.at("description").text(), vnf_counts=counts)
            default = policy.properties.at("default_level")
            if default.text() and default.text() not in found:
                default.error(
                    "unknown-level", f"cannot find the default level {default.text()!r}", "name one of `ns_levels`"
                )
            elif default.text():
                self.default_level = default.text()
        for level in {level for per_level in numbers.values() for level in per_level} - found.keys():
            policy = policies_of(self._topology, *_AT_FIRST)[0]
            policy.here.error(
                "unknown-level", f"cannot find the NS level {level!r}", "declare it in an NsInstantiationLevels policy"
            )
        return found


def _order(level: str) -> tuple[int, str]:
    return (int(level), level) if level.isdecimal() and len(level) < 9 else (10**9, level)
