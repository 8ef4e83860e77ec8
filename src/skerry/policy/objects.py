"""Measured objects and their parts: which VNFCs and which of their interfaces count for what. Pure.

Identifiers of connection points are those that the life-cycle APIs show.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from skerry.model.descriptors import ConnectionPoint, DeploymentFlavour, NsDeploymentFlavour
from skerry.model.ns import NsInstance
from skerry.model.performance import ObjectType
from skerry.model.resources import Resource, ResourceState
from skerry.model.saps import saps_of
from skerry.model.vnf import VnfInstance
from skerry.policy.measures import DATA_PLANE, EXTERNAL, INTERNAL, SERVICE

Key = tuple[str, str]
"""A VNF and one of its VNFCs."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A VNFC as the infrastructure knows it, with what it may use (0 = no limit), and the MACs of its devices."""

    vnf: str
    vnfc: str
    vim: str
    name: str
    vcpus: float = 0.0
    memory_bytes: int = 0
    storage_bytes: int = 0
    macs: Mapping[str, str] = {}

    @property
    def key(self) -> Key:
        return (self.vnf, self.vnfc)


class Share(msgspec.Struct, frozen=True):
    """A VNFC and those of its interfaces that count, by group of metrics."""

    target: Target
    devices: Mapping[str, tuple[str, ...]] = {}


Parts = Mapping[str, tuple[Share, ...]]
"""Part of an object ("" = the whole) -> what counts for it."""


class Point(msgspec.Struct, frozen=True):
    """An interface of a VNFC with the connection point that it became."""

    id: str
    device: str
    network: str
    external: bool


def targets(vnf: VnfInstance) -> list[Target]:
    """The VNFCs that the record says are there."""
    return [_target(vnf, resource) for resource in _computes(vnf)]


def _computes(vnf: VnfInstance) -> list[Resource]:
    """Those of a VNF, by name."""
    there = (one for _, one in sorted(vnf.resources.items()) if one.kind == "compute")
    return [one for one in there if one.state is ResourceState.PRESENT]


def _target(vnf: VnfInstance, compute: Resource) -> Target:
    spec = compute.spec
    return Target(
        vnf=vnf.id,
        vnfc=compute.key.removeprefix("compute:"),
        vim=spec["vim"],
        name=spec["name"],
        vcpus=spec.get("vcpus", 0.0),
        memory_bytes=spec.get("memory_bytes", 0),
        storage_bytes=spec.get("storage_bytes", 0),
        macs={nic["device"]: nic.get("mac", "").lower() for nic in compute.outputs.get("nics", ())},
    )


def _points(compute: Resource, flavour: DeploymentFlavour | None) -> list[Point]:
    """The interfaces of a VNFC in their order. Those of an unknown descriptor are the VNF's own."""
    vnfc, nics = compute.key.removeprefix("compute:"), compute.outputs.get("nics", ())
    known: list[ConnectionPoint] = []
    if flavour and (vdu := flavour.vdus.get(str(compute.spec.get("vdu", "")))):
        known = sorted((flavour.cps[name] for name in vdu.cps if name in flavour.cps), key=lambda cp: cp.order)
    ordered: list[ConnectionPoint | None] = [*known, *[None] * (len(nics) - len(known))]
    return [_point(vnfc, cp, nic) for cp, nic in zip(ordered, nics, strict=False)]


def _point(vnfc: str, cp: ConnectionPoint | None, nic: Mapping[str, str]) -> Point:
    device, network = nic["device"], nic.get("network", "")
    if cp is None:
        return Point(f"{vnfc}:{device}", device, network, external=False)
    if cp.external or not cp.virtual_link:
        return Point(f"{vnfc}:{cp.external or cp.id}:ext", device, network, external=True)
    return Point(f"{vnfc}:{cp.id}", device, network, external=False)


def of_vnf(vnf: VnfInstance, flavour: DeploymentFlavour | None, type: ObjectType) -> Parts:
    """The parts of a VNF as an object of a type. A VNF as a whole has "", and each VNFC."""
    parts: dict[str, tuple[Share, ...]] = {}
    whole: list[Share] = []
    for compute in _computes(vnf):
        target, points = _target(vnf, compute), _points(compute, flavour)
        inside = tuple(point.device for point in points if not point.external)
        outside = tuple(point.device for point in points if point.external)
        share = Share(target, {INTERNAL: inside, EXTERNAL: outside, DATA_PLANE: (*inside, *outside)})
        whole.append(share)
        if type in (ObjectType.VNF, ObjectType.VNFC):
            parts[target.vnfc] = (share,)
            continue
        external = type is ObjectType.EXT_CP
        group = EXTERNAL if external else INTERNAL
        own = [p for p in points if p.external is external]
        parts |= {p.id: (Share(target, dict.fromkeys((group, DATA_PLANE), (p.device,))),) for p in own}
    return {"": tuple(whole), **parts} if type is ObjectType.VNF else parts


def of_ns(
    ns: NsInstance,
    flavour: NsDeploymentFlavour | None,
    members: Iterable[tuple[VnfInstance, DeploymentFlavour | None]],
    type: ObjectType,
) -> Parts:
    """The parts of an NS as an object of a type: of an NS as a whole "" and each of its VNFs, else its service access
    points. What passes through one is what passes through the external connection points on its virtual link."""
    saps = {sap.id: _networks(ns, sap.virtual_link) for sap in saps_of(flavour, ns.saps).values()} if flavour else {}
    found: dict[str, list[Share]] = {sap: [] for sap in saps}
    vnfs: dict[str, tuple[Share, ...]] = {}
    every = frozenset[str]().union(*saps.values())
    for vnf, described in members:
        shares: list[Share] = []
        for compute in _computes(vnf):
            target, points = _target(vnf, compute), _points(compute, described)
            on = {sap: tuple(p.device for p in points if p.external and p.network in saps[sap]) for sap in saps}
            for sap, devices in on.items():
                found[sap].append(Share(target, {SERVICE: devices, DATA_PLANE: devices}))
            groups = {
                INTERNAL: tuple(point.device for point in points if not point.external),
                EXTERNAL: tuple(point.device for point in points if point.external),
                SERVICE: tuple(point.device for point in points if point.external and point.network in every),
                DATA_PLANE: tuple(point.device for point in points),
            }
            shares.append(Share(target, groups))
        vnfs[vnf.id] = tuple(shares)
    if type is ObjectType.SAP:
        return {sap: tuple(shares) for sap, shares in found.items()}
    return {"": tuple(share for shares in vnfs.values() for share in shares), **vnfs}


def _networks(ns: NsInstance, link: str) -> frozenset[str]:
    """The networks that a virtual link of the NS became, by their names on the infrastructure."""
    return frozenset(
        str(resource.spec.get("name", ""))
        for key, resource in ns.resources.items()
        if resource.kind == "network" and key.removeprefix("network:").partition("@")[0] == link
    )
