"""Rules of affinity and anti-affinity of a request for an NS (SOL005 6.5.3.23), held against the places of its VNFs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from skerry.errors import Fault, InvalidError, RejectedError
from skerry.model.descriptors import NsDeploymentFlavour
from skerry.placement.affinity import Rule, broken

KIND = "affinityOrAntiAffinity"


def require_known(flavour: NsDeploymentFlavour, rules: Sequence[Mapping[str, Any]], ids: Collection[str]) -> None:
    """`InvalidError` names what the rules speak of and the NS does not have; `ids` are the existing VNFs that it uses."""
    known: Mapping[str, Collection[str]] = {
        "vnfProfileId": flavour.vnf_profiles.keys(),
        "vnfdId": {profile.vnfd_id for profile in flavour.vnf_profiles.values()},
        "vnfInstanceId": ids,
    }
    faults = [
        Fault(
            message=f"the NS has no {name} '{one}'",
            path=f"/additionalAffinityOrAntiAffinityRule/{number}/{name}/{at}",
            code="affinity",
        )
        for number, rule in enumerate(rules)
        for name, there in known.items()
        for at, one in enumerate(rule.get(name, ()))
        if one not in there
    ]
    if faults:
        raise InvalidError("cannot keep the rules: " + "; ".join(fault.message for fault in faults), faults=faults)


def require_kept(
    rules: Sequence[Mapping[str, Any]],
    flavour: NsDeploymentFlavour,
    groups: Mapping[str, Sequence[str]],
    instances: Mapping[str, str],
    places: Mapping[str, Collection[str]],
    zones: Mapping[str, str],
) -> None:
    """`RejectedError` for the first rule that these places break. `groups` is profile -> members, `instances` member -> VNF
    instance, `places` member -> infrastructures."""
    for rule in rules:
        things = tuple(dict.fromkeys(_meant(rule, flavour, groups, instances)))
        held = Rule(scope=rule["scope"], anti=rule[KIND] == "ANTI_AFFINITY", things=things)
        if reason := broken(held, places, zones):
            raise RejectedError(
                f"cannot place the NS by its rule of {rule[KIND]}: {reason}",
                suggestion="choose places with locationConstraints that keep the rule, or leave the rule out",
            )


def _meant(
    rule: Mapping[str, Any],
    flavour: NsDeploymentFlavour,
    groups: Mapping[str, Sequence[str]],
    instances: Mapping[str, str],
) -> Iterator[str]:
    for profile, names in groups.items():
        for name in names:
            if (
                profile in rule.get("vnfProfileId", ())
                or flavour.vnf_profiles[profile].vnfd_id in rule.get("vnfdId", ())
                or instances.get(name) in rule.get("vnfInstanceId", ())
            ):
                yield name
