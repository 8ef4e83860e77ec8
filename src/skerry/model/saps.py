"""Service access points of an NS instance: those of its NSD until one was added or removed. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from skerry.model.descriptors import NsDeploymentFlavour, Sap

OUTCOME = "saps"
"""Where the outcome of a plan has the SAPs that come and go."""


class AccessPoint(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A SAP of an instance: the SAPD of the NSD that it is made of, and how people call it."""

    sapd_id: str
    name: str = ""
    description: str = ""
    virtual_link: str = ""  # the one that it leads to, where addresses of it are taken
    addresses: tuple[str, ...] = ()  # of whoever is connected there
    dynamic: bool = False  # whether we chose the addresses
    mac: str = ""


AccessPoints = Mapping[str, AccessPoint]
"""By SapInfo's identifier."""


class SapChange(msgspec.Struct, frozen=True, kw_only=True):
    """AffectedSap (SOL005 6.5.3.7) without its result, which the operation's state says."""

    id: str
    sapd_id: str
    name: str
    change_type: Literal["ADD", "REMOVE"]


def access_points(flavour: NsDeploymentFlavour, own: AccessPoints | None) -> AccessPoints:
    """The SAPs of an instance, where `own` are those that its record has; None stands for the NSD's."""
    if own is not None:
        return own
    saps = flavour.saps.values()
    return {sap.id: AccessPoint(sapd_id=sap.id, name=sap.id, description=sap.description) for sap in saps}


def saps_of(flavour: NsDeploymentFlavour, own: AccessPoints | None) -> Mapping[str, Sap]:
    """The same with the virtual links that they lead to."""
    if own is None:
        return flavour.saps
    return {
        id: Sap(
            id=id,
            virtual_link=flavour.saps[point.sapd_id].virtual_link,
            description=point.description,
            addresses=point.addresses,
            mac=point.mac,
        )
        for id, point in own.items()
    }


def changes(before: AccessPoints, after: AccessPoints) -> tuple[SapChange, ...]:
    """What comes and what goes."""
    gone = [(id, point, "REMOVE") for id, point in before.items() if id not in after]
    new = [(id, point, "ADD") for id, point in after.items() if id not in before]
    plain = [
        {"id": id, "sapd_id": point.sapd_id, "name": point.name, "change_type": type}
        for id, point, type in (*gone, *new)
    ]
    return msgspec.convert(plain, tuple[SapChange, ...])


def changes_in(outcome: Mapping[str, Any]) -> tuple[SapChange, ...]:
    """Those that a plan's outcome has."""
    return msgspec.convert(outcome.get(OUTCOME, ()), tuple[SapChange, ...])


def reserved(points: Mapping[str, AccessPoint] | None, networks: Mapping[str, str]) -> dict[str, list[str]]:
    """Network -> the addresses on it that no instance gets, where `networks` is network -> virtual link."""
    found = {
        network: [ip for point in (points or {}).values() if point.virtual_link == link for ip in point.addresses]
        for network, link in networks.items()
    }
    return {network: sorted(ips) for network, ips in found.items() if ips}
