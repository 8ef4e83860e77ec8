"""Nested NSs on the virtual links of the composite NS: what is behind their service access points is on its networks. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from skerry.errors import Fault, InvalidError
from skerry.model.descriptors import NsDeploymentFlavour, NsProfile, VirtualLink
from skerry.model.resources import Resource, Wanted
from skerry.nfvo.graph import network_on
from skerry.vnfm.naming import link_key


def inner_links(profile: NsProfile, inner: NsDeploymentFlavour) -> dict[str, str]:
    """Virtual link of the nested NS → that of the composite NS which it is joined with: the one that a SAP leads to. The
    composite NSD names the requirements that the nested one maps to its SAPs, or the SAPs themselves; a name that is neither
    is given to the SAPs that are left, in order."""
    names = {name: sap.id for sap in inner.saps.values() for name in (sap.external, sap.id) if name}
    named = {names[name]: link for name, link in profile.links.items() if name in names}
    rest = [sap for sap in inner.saps if sap not in named]
    others = [link for name, link in profile.links.items() if name not in names]
    if len(others) > len(rest):
        message = f"{len(profile.links)} links for the service access points {', '.join(inner.saps) or 'none'}"
        fault = Fault(message=message, path=profile.id, code="links", fix="connect no more than the nested NSD has")
        raise InvalidError(f"cannot connect nested NS {profile.id}: {message}", faults=[fault])
    points = named | dict(zip(rest, others, strict=False))
    return {inner.saps[sap].virtual_link: link for sap, link in points.items() if inner.saps[sap].virtual_link}


class Joints(msgspec.Struct, frozen=True, kw_only=True):
    """Where nested NSs find the virtual links of a composite NS: `graph` is what it shall have so far, `borrowed` the links
    that existing VNFs bring along, `vims` where else it may be, best first."""

    instance_id: str
    flavour: NsDeploymentFlavour
    graph: Mapping[str, Wanted]
    recorded: Mapping[str, Resource]
    borrowed: Mapping[str, tuple[str, str]]
    vims: tuple[str, ...]

    def join(self, profile: NsProfile, place: str) -> tuple[dict[str, Any], dict[str, Wanted]]:
        """Link → where it is, and the networks that are to be made for it, all on one VIM (`place`, if asked for)."""
        at = place or self._vim(profile)
        found: dict[str, Any] = {}
        networks: dict[str, Wanted] = {}
        for id in dict.fromkeys(profile.links.values()):
            if id in self.borrowed:
                vim, network = self.borrowed[id]
            else:
                vim = at
                link = self.flavour.virtual_links.get(id, VirtualLink(id=id))
                made = self.graph.get(link_key(id, vim)) or network_on(self.instance_id, link, vim)
                networks[made.key], network = made, str(made.spec["name"])
            found[id] = {"vim": vim, "network": network}
        return found, networks

    def again(self, links: Mapping[str, Any]) -> dict[str, Wanted]:
        """The networks that a nested NS is on already."""
        found = {}
        for id, joint in links.items():
            link = self.flavour.virtual_links.get(id, VirtualLink(id=id))
            made = network_on(self.instance_id, link, joint["vim"])
            if made.spec["name"] == joint["network"]:
                found[made.key] = self.graph.get(made.key, made)
        return found

    def _vim(self, profile: NsProfile) -> str:
        lent = [self.borrowed[id][0] for id in profile.links.values() if id in self.borrowed]
        there = [vim for id in profile.links.values() for vim in _vims_of(id, (*self.graph, *self.recorded))]
        choices = [*lent, *sorted(there), *self.vims]
        if not choices:
            raise InvalidError(f"cannot connect nested NS {profile.id}: there is no VIM", suggestion="add one first")
        return choices[0]


def _vims_of(link: str, keys: Iterable[str]) -> list[str]:
    return [key.partition("@")[2] for key in keys if key.startswith(link_key(link, ""))]
