"""What the NFVO's operations work with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from skerry.dataplane.service import DataPlane
from skerry.errors import ConflictError, InvalidError
from skerry.model.descriptors import DeploymentFlavour, Nsd, NsDeploymentFlavour, Vnfd, VnfProfile
from skerry.model.ns import NsInstance, PnfdInfo
from skerry.model.time import Clock
from skerry.model.versions import standing
from skerry.nfvo.goal import flavour_of
from skerry.nfvo.grants import PlacingGranter
from skerry.store import aggregates
from skerry.store.database import Database
from skerry.vim.connections import Vims
from skerry.vnfm.goal import flavour_of as vnf_flavour_of
from skerry.vnfm.lifecycle import Vnfm
from skerry.vnfm.packages import usable


@dataclass
class NsDesk:
    """The store, the VNFM, the VIMs and the placement of one node."""

    database: Database
    vnfm: Vnfm
    vims: Vims
    granter: PlacingGranter
    clock: Clock
    dataplane: DataPlane | None = None

    def instance(self, id: str) -> NsInstance:
        return aggregates.ns_instances.get(self.database, id)

    def descriptor(self, nsd_info_id: str, inputs: Mapping[str, Any]) -> Nsd:
        """The NSD, bound to the inputs of a request."""
        info = aggregates.nsds.get(self.database, nsd_info_id)
        if info.package is None:
            raise ConflictError(f"cannot use NSD {nsd_info_id}: it is not onboarded", suggestion="upload its content")
        if not inputs:
            return info.package.nsd
        from skerry.packages import bind_nsd  # noqa: PLC0415 - YAML readers load on first use only

        return bind_nsd(info.package.templates, inputs)

    def flavour(self, instance: NsInstance) -> NsDeploymentFlavour:
        flavour = flavour_of(self.descriptor(instance.nsd_info_id, instance.inputs), instance.flavour_id)
        return standing(flavour, instance.kept, instance.resources)

    def vnfd(self, vnfd_id: str, tenant: str) -> Vnfd:
        """The VNFD of an enabled package."""
        info = usable(aggregates.vnf_packages.select(self.database, vnfd_id=vnfd_id), vnfd_id, tenant)
        if info.package is None:
            raise InvalidError(f"cannot find VNFD {vnfd_id}")
        return info.package.vnfd

    def vim_ids(self) -> list[str]:
        """The VIMs that the node knows."""
        return [one.id for one in self.vims.connections()]

    def pnfds(self, tenant: str) -> dict[str, PnfdInfo]:
        """The onboarded PNFDs by pnfdId."""
        return {info.pnfd_id: info for info in aggregates.pnfds.select(self.database, tenant=tenant) if info.pnfd_id}

    def vnf_flavour(self, profile: VnfProfile, tenant: str) -> tuple[Vnfd, DeploymentFlavour]:
        """The VNFD of a profile and the flavour that the NSD chose."""
        vnfd = self.vnfd(profile.vnfd_id, tenant)
        return vnfd, vnf_flavour_of(vnfd, profile.flavour_id)
