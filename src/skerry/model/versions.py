"""An NS whose NSD has a new version that it does not follow yet (SOL005 6.5.3.34): what it has stays as it was. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from skerry.model.descriptors import NsDeploymentFlavour
from skerry.model.resources import Resource


def standing(
    flavour: NsDeploymentFlavour, kept: NsDeploymentFlavour | None, resources: Mapping[str, Resource]
) -> NsDeploymentFlavour:
    """The flavour that an NS is at: that of its NSD, but what is there of an older version (`kept`) is as that one says."""
    if kept is None:
        return flavour
    profiles = {str(resource.spec.get("profile", "")) for resource in resources.values()}
    links = {key.partition(":")[2].partition("@")[0] for key in resources if key.startswith("network:")}
    return msgspec.structs.replace(
        flavour,
        vnf_profiles=_over(flavour.vnf_profiles, kept.vnf_profiles, profiles),
        nested_profiles=_over(flavour.nested_profiles, kept.nested_profiles, profiles),
        pnf_profiles=_over(flavour.pnf_profiles, kept.pnf_profiles, profiles),
        virtual_links=_over(flavour.virtual_links, kept.virtual_links, links),
        dependencies=tuple(dict.fromkeys((*kept.dependencies, *flavour.dependencies))),
        saps={**flavour.saps, **kept.saps},
    )


def _over(new: Mapping[str, Any], old: Mapping[str, Any], there: set[str]) -> dict[str, Any]:
    return {**new, **{id: one for id, one in old.items() if id in there}}
