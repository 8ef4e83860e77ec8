"""Virtual links of an NS instance: networks in its resource graph. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skerry.model.resources import Resource, ResourceState

PREFIX = "network:"
"""How the keys of resources begin that stand for virtual links; the rest is NsVirtualLinkInfo's identifier."""


def own_links(resources: Mapping[str, Resource]) -> dict[str, str]:
    """Virtual link that was asked for by itself → its profile in the NSD."""
    return {
        key.removeprefix(PREFIX): resource.spec["profile"]
        for key, resource in resources.items()
        if key.startswith(PREFIX) and "profile" in resource.spec and resource.state is ResourceState.PRESENT
    }


def profile_of(id: str, spec: Mapping[str, Any]) -> str:
    """The profile in the NSD that a virtual link is made of."""
    return str(spec.get("profile") or id.partition("@")[0])
