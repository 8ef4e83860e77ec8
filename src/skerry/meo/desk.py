"""What the orchestrator's operations work with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from skerry.errors import ConflictError, RejectedError
from skerry.meo.goal import effective
from skerry.meo.hosts import Hosts
from skerry.meo.inward import Doors
from skerry.meo.mv1 import Services, Wish
from skerry.model.app import AppInstance, AppPkgInfo
from skerry.model.appd import AppD
from skerry.model.descriptors import DeploymentFlavour, Vnfd
from skerry.model.platform import AppAddress
from skerry.model.states import OperationalState
from skerry.model.time import Clock
from skerry.model.vnf import VnfInstance
from skerry.nfvo.goal import counts_at, flavour_of
from skerry.nfvo.lifecycle import Nfvo
from skerry.packages.appd_names import link_name, nsd_id, point_name
from skerry.placement.solve import Choice, Demand
from skerry.store import aggregates, applications
from skerry.store.database import Database
from skerry.vnfm.goal import flavour_of as vnf_flavour_of
from skerry.vnfm.values import Attributes


@dataclass
class MeoDesk:
    """The store, the NFVO and the hosts of one node. `targets`: application → the network service that its rules lead to, while
    that is not the one of its record. `elsewhere`: NFVOs of others, which stand for the infrastructures that they have."""

    database: Database
    nfvo: Nfvo
    hosts: Hosts
    clock: Clock
    doors: Doors
    targets: dict[str, str] = field(default_factory=dict)
    elsewhere: Mapping[str, Services] = field(default_factory=dict)

    def instance(self, id: str) -> AppInstance:
        return applications.instances.get(self.database, id)

    def package(self, instance: AppInstance) -> AppPkgInfo:
        """The package of an instance. `ConflictError` if it has no content."""
        info = applications.packages.get(self.database, instance.app_pkg_id)
        if info.package is None:
            raise ConflictError(f"cannot use application package {info.id}: it is not onboarded")
        return info

    def appd(self, instance: AppInstance) -> AppD:
        """The descriptor of an instance."""
        package = self.package(instance).package
        assert package is not None  # noqa: S101 - `package` checked it
        return package.appd

    def nsd_id(self, instance: AppInstance) -> str:
        """The NSD that the NFVO has for the application."""
        return nsd_id(self.appd(instance))

    async def capacity(self, instance: AppInstance, vim: str) -> Choice:
        """Ask the NFVO for room on one infrastructure. `RejectedError` says what lacks."""
        if vim in self.elsewhere:
            return self._taken(instance, vim)
        return await self.nfvo.desk.granter.choose(self._demands(instance, vim), ())

    def require_quota(self, instance: AppInstance) -> None:
        """`RejectedError` where the tenant's quota has no room for the application, wherever it went."""
        self.nfvo.desk.granter.require(self._demands(instance, ""), tenant=instance.tenant)

    def _demands(self, instance: AppInstance, vim: str) -> list[Demand]:
        """What an application takes, on an infrastructure or on any."""
        info = self.package(instance)
        nsd = aggregates.nsds.get(self.database, info.nsd_info_id).package
        if nsd is None:
            raise ConflictError(f"cannot use the NSD of application package {info.id}: it is not onboarded")
        flavour = flavour_of(nsd.nsd, "")
        demands: list[Demand] = []
        for profile, count in counts_at(flavour, "").items():
            _, vnf = self.nfvo.desk.vnf_flavour(flavour.vnf_profiles[profile], info.tenant)
            demands += [
                Demand(
                    name=f"{profile}/{number}/{vdu.id}",
                    vcpus=vdu.vcpus,
                    memory_bytes=vdu.memory_bytes,
                    storage_bytes=vdu.storage_bytes,
                    site=vim,
                )
                for number in range(count)
                for vdu in vnf.vdus.values()
            ]
        return demands

    def _taken(self, instance: AppInstance, vim: str) -> Choice:
        """Room is the other NFVO's to judge; paths through its network services are not laid from here."""
        if effective(self.appd(instance), instance.config).app_traffic_rule:
            raise RejectedError(f"the NFVO {vim} has it, where no traffic can be led from here")
        return Choice(placement={}, verdicts=())

    def wish(self, instance: AppInstance, ns_id: str) -> Wish:
        """What another NFVO is asked for. The name is found again there."""
        info = self.package(instance)
        archive = self.nfvo.desk.vnfm.desk.archive
        vnfd_id = aggregates.vnf_packages.get(self.database, info.vnf_pkg_id).vnfd_id
        return Wish(
            name=f"{instance.app_name}-{ns_id}",
            nsd_id=self.nsd_id(instance),
            vnfd_id=vnfd_id,
            nsd=archive(info.nsd_info_id),
            vnf_package=archive(info.vnf_pkg_id),
        )

    def service(self, instance: AppInstance, ns_id: str = "") -> Mapping[str, Any]:
        """What is recorded of its network service: outputs of the step that brought it up."""
        wanted = ns_id or instance.ns_id
        found = (one for one in instance.resources.values() if one.kind == "mec.service" and one.spec["ns"] == wanted)
        return next((one.outputs for one in found), {})

    def vnfs(self, instance: AppInstance, ns_id: str = "") -> list[VnfInstance]:
        """The VNFs that an application is; none while it has no network service. `ns_id` is another than its present one."""
        wanted = ns_id or instance.ns_id
        ns = aggregates.ns_instances.find(self.database, wanted) if wanted else None
        members = ns.members.values() if ns else ()
        found = [aggregates.vnf_instances.find(self.database, member.vnf_instance_id) for member in members]
        return [vnf for vnf in found if vnf is not None]

    def addresses(self, instance: AppInstance, ns_id: str = "") -> tuple[AppAddress, ...]:
        """The addresses of its external connection points, as its present network service (or another) has them."""
        names = {point_name(point.cpd_id): point.cpd_id for point in self.appd(instance).app_ext_cpd}
        if "points" in (there := self.service(instance, ns_id)):
            return tuple(_as_address(one, names) for one in there["points"])
        found: list[AppAddress] = []
        for vnf in self.vnfs(instance, ns_id):
            vnfd, flavour = self._flavour(vnf)
            del vnfd
            for vnfc, index, cp in Attributes(vnf, flavour).interfaces():
                resource = vnf.resources.get(f"compute:{vnfc}")
                nics = resource.outputs.get("nics", ()) if resource else ()
                if resource is None or index >= len(nics) or not flavour.cps[cp].external:
                    continue
                found.append(
                    AppAddress(
                        cpd_id=names.get(cp, cp),
                        ip=nics[index]["ip"],
                        mac=nics[index].get("mac", ""),
                        vim=str(resource.spec["vim"]),
                        network=nics[index].get("network", ""),
                        instance=str(resource.spec["name"]),
                    )
                )
        return tuple(found)

    def gateway(self, vnf: VnfInstance) -> tuple[str, str]:
        """Infrastructure and gateway of the first network that the VNF is on and its network service made; "" for none."""
        ns = aggregates.ns_instances.find(self.database, vnf.ns_id)
        networks = [one for one in ns.resources.values() if one.kind == "network"] if ns else []
        for link in (one for one in vnf.ext_links.values() if not one.steered):
            for network in networks:
                if network.spec["name"] == link.network:
                    return str(network.spec["vim"]), str(network.outputs.get("gateway", ""))
        return "", ""

    def _flavour(self, vnf: VnfInstance) -> tuple[Vnfd, DeploymentFlavour]:
        vnfd = self.nfvo.desk.vnfm.desk.descriptor(vnf.vnf_pkg_id, vnf.inputs)
        return vnfd, vnf_flavour_of(vnfd, vnf.flavour_id)


def _as_address(point: Mapping[str, Any], names: Mapping[str, str]) -> AppAddress:
    """An address that another NFVO shows: by the application's own name of the connection point where it is known."""
    known = next((cpd for name, cpd in names.items() if point["name"] in (name, cpd, link_name(cpd))), point["name"])
    return AppAddress(cpd_id=known, ip=point["ip"], mac=point["mac"])


def require_enabled(info: AppPkgInfo) -> None:
    """`ConflictError` where new instances of a package are not wanted."""
    if info.operational_state is not OperationalState.ENABLED:
        raise ConflictError(
            f"cannot use application package {info.id}: it is {info.operational_state}", suggestion="enable it first"
        )
