"""Snapshots that came in a package: what of them a VNF takes over. Their record is what the sender made of it, and says nothing
of places, networks, names and secrets here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from skerry.errors import Fault, InvalidError
from skerry.model.configuration import SECRETS
from skerry.model.descriptors import DeploymentFlavour
from skerry.model.vnf import VnfSnapshotInfo
from skerry.vnfm.goal import Goal, counts_for, populate, scaled


def adopted(now: Goal, then: Goal, info: VnfSnapshotInfo, flavour: DeploymentFlavour) -> Goal:
    """The VNF at the scale, with the properties and the inputs that the snapshot's VNF had, made of its images. `InvalidError`
    for a scale that the flavour does not have, or images that are not where the VNFCs are."""
    level = then.level_id if then.level_id in flavour.instantiation_levels else now.level_id
    resized = scaled(msgspec.structs.replace(now, level_id=level), flavour, then.scale_status)
    known = {vdu: tuple(name for name in then.vnfcs.get(vdu, ()) if _fits(vdu, name)) for vdu in flavour.vdus}
    vnfcs = populate(known, counts_for(flavour, resized.scale_status, level), besides=now.standbys)
    names = {name for group in vnfcs.values() for name in group}
    if {vdu: set(group) for vdu, group in then.vnfcs.items()} != {vdu: set(group) for vdu, group in vnfcs.items()}:
        fault = Fault(message="its VNFCs do not fit its scale and the flavour", path="/vnfSnapshotInfoId", code="scale")
        raise InvalidError(f"cannot revert to VNF snapshot {info.id}: {fault.message}", faults=[fault])
    images = {vnfc: one for vnfc, one in info.vnfcs.items() if vnfc in names}
    placement = {**{vnfc: one.vim for vnfc, one in images.items()}, **now.placement}
    require_near(info, placement, images)
    return msgspec.structs.replace(
        resized,
        vnfcs=vnfcs,
        stopped=tuple(name for name in then.stopped if name in names),
        placement={vnfc: vim for vnfc, vim in placement.items() if vnfc in names or vnfc in now.placement},
        properties={**{name: now.properties[name] for name in SECRETS & now.properties.keys()}, **then.properties},
        inputs={**now.inputs, **then.inputs},
        images={**now.images, **{vnfc: one.image for vnfc, one in images.items()}},
    )


def _fits(vdu: str, name: str) -> bool:
    """Whether a VNFC of the VDU may be called so."""
    number = name.removeprefix(f"{vdu}-")
    return number != name and number.isdecimal() and str(int(number)) == number


def require_near(info: VnfSnapshotInfo, placement: Mapping[str, str], vnfcs: Iterable[str]) -> None:
    """`InvalidError` names every VNFC whose image is on another infrastructure."""
    far = [vnfc for vnfc in vnfcs if placement.get(vnfc, info.vnfcs[vnfc].vim) != info.vnfcs[vnfc].vim]
    if far:
        faults = [
            Fault(
                message=f"the image of {vnfc} is on {info.vnfcs[vnfc].vim}, the VNFC on {placement[vnfc]}",
                path="/vnfSnapshotInfoId",
                code="vim",
                fix="extract the package for this VNF (vnfInstanceId)",
            )
            for vnfc in far
        ]
        raise InvalidError(
            f"cannot revert to VNF snapshot {info.id}: {faults[0].message}", faults=faults, suggestion=faults[0].fix
        )
