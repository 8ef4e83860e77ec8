"""Change the flavour of a VNF (SOL003 5.4.7) or its package (5.4.11a), while it runs.

Only what the new descriptor says otherwise is replaced; VNFCs keep their addresses where their networks stay. New VNFCs must
keep running for a while, and when they do not, a change of package is rolled back by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from skerry.errors import Fault, InvalidError
from skerry.model.descriptors import DeploymentFlavour, Vnfd
from skerry.model.vnf import VnfInstance
from skerry.store import aggregates
from skerry.vnfm.extending import ExtendingOperation
from skerry.vnfm.goal import Goal, check_level, counts_for, current, flavour_of, populate, scale_at_level
from skerry.vnfm.instantiate import ext_links, managed_links
from skerry.vnfm.modify import merged
from skerry.vnfm.packages import usable

SETTLE_S = 1.0


class ChangeFlavour(ExtendingOperation):
    """Parameters: ChangeVnfFlavourRequest (5.5.2.7): `newFlavourId`, `instantiationLevelId`, `extVirtualLinks`."""

    name: ClassVar[str] = "vnf.change_flavour"
    event: ClassVar[str] = "change_flavour"

    def goal(self, instance: VnfInstance, params: Mapping[str, Any]) -> Goal:
        vnfd = self.desk.descriptor(instance.vnf_pkg_id, instance.inputs)
        flavour = flavour_of(vnfd, params.get("newFlavourId", ""))
        if flavour.id == instance.flavour_id:
            fault = Fault(message=f"the VNF has flavour '{flavour.id}' already", path="/newFlavourId", code="flavour")
            raise InvalidError(f"cannot change the flavour: {fault.message}", faults=[fault])
        return moved_to(current(instance), flavour, params)


class ChangePackage(ExtendingOperation):
    """Parameters: ChangeCurrentVnfPkgRequest (5.5.2.11a): `vnfdId` of a package of the same product, `extVirtualLinks`,
    `vnfConfigurableProperties`. Own keys in `additionalParams`: `healthCheckSeconds` (1), `rollbackOnFailure` (true)."""

    name: ClassVar[str] = "vnf.change_package"
    event: ClassVar[str] = "change_current_package"
    careful: ClassVar[bool] = True

    def goal(self, instance: VnfInstance, params: Mapping[str, Any]) -> Goal:
        found = aggregates.vnf_packages.select(self.desk.database, vnfd_id=params["vnfdId"])
        info = usable(found, params["vnfdId"], instance.tenant)
        vnfd = self.desk.descriptor(info.id, instance.inputs)
        self._same_product(instance, vnfd)
        same = instance.flavour_id if instance.flavour_id in vnfd.flavours else ""
        now = msgspec.structs.replace(
            current(instance),
            vnf_pkg_id=info.id,
            properties={**vnfd.configurable_properties, **current(instance).properties},
            images={},
        )
        return moved_to(now, flavour_of(vnfd, same), params)

    def checks(self, params: Mapping[str, Any]) -> float:
        return float(params.get("additionalParams", {}).get("healthCheckSeconds", SETTLE_S))

    def completed(self, instance: VnfInstance, goal: Goal) -> VnfInstance:
        done = super().completed(instance, goal)
        vnfd = self.desk.descriptor(done.vnf_pkg_id, done.inputs)
        return msgspec.structs.replace(
            done,
            vnfd_id=vnfd.id,
            vnf_provider=vnfd.provider,
            vnf_product_name=vnfd.product_name,
            vnf_software_version=vnfd.software_version,
            vnfd_version=vnfd.version,
            max_scale_levels={a.id: a.max_scale_level for a in self.desk.flavour(done).scaling_aspects.values()},
        )

    @staticmethod
    def _same_product(instance: VnfInstance, vnfd: Vnfd) -> None:
        if (vnfd.provider, vnfd.product_name) != (instance.vnf_provider, instance.vnf_product_name):
            message = (
                f"it is {vnfd.provider} {vnfd.product_name}, not {instance.vnf_provider} {instance.vnf_product_name}"
            )
            fault = Fault(message=message, path="/vnfdId", code="product", fix="choose a package of the same product")
            raise InvalidError(f"cannot change to VNFD {vnfd.id}: {message}", faults=[fault])


def moved_to(now: Goal, flavour: DeploymentFlavour, params: Mapping[str, Any]) -> Goal:
    """The goal in another flavour or descriptor: scale levels stay where the aspects exist, VNFCs of VDUs that stay keep
    their names."""
    wished = params.get("instantiationLevelId", "")
    level = check_level(flavour, wished or (now.level_id if now.level_id in flavour.instantiation_levels else ""))
    status = scale_at_level(flavour, level)
    if not wished:
        aspects = flavour.scaling_aspects
        status |= {id: min(n, aspects[id].max_scale_level) for id, n in now.scale_status.items() if id in aspects}
    staying = {vdu: names for vdu, names in now.vnfcs.items() if vdu in flavour.vdus}
    return msgspec.structs.replace(
        now,
        flavour_id=flavour.id,
        level_id=level,
        scale_status=status,
        vnfcs=populate(staying, counts_for(flavour, status, level), besides=now.standbys),
        ext_links={**{k: v for k, v in now.ext_links.items() if k in flavour.ext_cps}, **ext_links(flavour, params)},
        managed_links={
            **{k: v for k, v in now.managed_links.items() if k in flavour.virtual_links},
            **managed_links(flavour, params),
        },
        properties=merged(now.properties, params.get("vnfConfigurableProperties", {})),
    )
