"""Physical network functions of an NS instance: machines that nobody deploys, with their connection points. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from skerry.model.operations import Operation
from skerry.model.resources import Resource, ResourceState

KIND = "pnf"
PREFIX = f"{KIND}:"
"""How the keys of resources begin that stand for PNFs."""


class PnfPoint(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An external connection point of a PNF: the CPD that it is made of, its addresses, and where it is joined with a virtual
    link (`network` on `vim`, by the physical port `port`); `steered` where a data plane alone connects it."""

    id: str
    cpd: str
    mac: str = ""
    ips: tuple[str, ...] = ()
    link: str = ""
    vim: str = ""
    port: str = ""
    network: str = ""
    steered: bool = False


class Pnf(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A PNF of an instance: which profile of the NSD it fills, and which PNFD it is of."""

    profile: str
    pnfd_id: str
    pnfd_info_id: str
    name: str
    points: tuple[PnfPoint, ...] = ()


Pnfs = Mapping[str, Pnf]
"""By PnfInfo's identifier, which comes from who asked for it."""


class PnfChange(msgspec.Struct, frozen=True, kw_only=True):
    """AffectedPnf (SOL005 6.5.3.3) without its result, which the operation's state says."""

    id: str
    pnf: Pnf
    change_type: Literal["ADD", "REMOVE", "MODIFY"]


def pnfs_of(resources: Mapping[str, Resource]) -> Pnfs:
    """The PNFs that a resource graph has."""
    return {
        key.removeprefix(PREFIX): msgspec.convert(resource.spec, Pnf)
        for key, resource in resources.items()
        if resource.kind == KIND and resource.state is ResourceState.PRESENT
    }


def values(pnf: Pnf) -> dict[str, Any]:
    """What a PNF offers to VNFs: the first address of each connection point by its name, and `ip_address` where there is one
    only."""
    found: dict[str, Any] = {}
    for point in pnf.points:
        if point.ips:
            found |= {point.cpd: point.ips[0], point.id: point.ips[0]}
    addresses = {point.ips[0] for point in pnf.points if point.ips}
    if len(addresses) == 1:
        found["ip_address"] = next(iter(addresses))
    return {**found, "hostname": pnf.name}


def changes_in(operation: Operation) -> tuple[PnfChange, ...]:
    """The PNFs that a plan adds, changes and removes."""
    if operation.plan is None:
        return ()
    types = {"create": "ADD", "delete": "REMOVE"}
    specs = {step.resource: step.args["spec"] for step in operation.plan.steps if step.resource.startswith(PREFIX)}
    plain = [
        {
            "id": line.resource.removeprefix(PREFIX),
            "pnf": specs[line.resource],
            "change_type": types.get(line.effect, "MODIFY"),
        }
        for line in operation.plan.changes
        if line.resource in specs
    ]
    return msgspec.convert(plain, tuple[PnfChange, ...])
