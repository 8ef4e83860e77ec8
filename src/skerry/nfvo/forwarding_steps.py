"""Step handlers for forwarding graphs: the interfaces of members are found, and the data plane is told what shall be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from skerry.dataplane.parts import Part
from skerry.dataplane.service import DataPlane
from skerry.engine.engine import Engine
from skerry.engine.kinds import StepContext
from skerry.errors import ConflictError
from skerry.model.descriptors import NsDeploymentFlavour, Sap, Vnffg
from skerry.model.ns import NsInstance
from skerry.model.vnf import VnfInstance
from skerry.nfvo.desk import NsDesk
from skerry.nfvo.forwarding import Attachment, lay, owner_of, unsteerable
from skerry.nfvo.graph import external_points
from skerry.store import aggregates
from skerry.vim.driver import Taps
from skerry.vnfm.goal import flavour_of
from skerry.vnfm.graph import sorted_cps


class ForwardingSteps:
    """The handlers, bound to their desk. One resource stands for all forwarding graphs of an NS: paths share virtual links, so
    they change together."""

    def __init__(self, desk: NsDesk) -> None:
        self.desk = desk

    def register(self, engine: Engine) -> None:
        engine.add_handler("forwarding.create", self.put)
        engine.add_handler("forwarding.update", self.put)
        engine.add_handler("forwarding.delete", self.delete)

    @property
    def _plane(self) -> DataPlane:
        if self.desk.dataplane is None:
            raise ConflictError(
                "cannot lay forwarding paths: the node has no data plane", suggestion="enable it in the settings"
            )
        return self.desk.dataplane

    async def put(self, context: StepContext) -> Mapping[str, Any]:
        """Lay the paths as the spec says. The members that it names are there."""
        spec = context.args["spec"]
        ns = self.desk.instance(context.operation.subject)
        vnffgs = msgspec.convert(spec["vnffgs"], dict[str, Vnffg])
        saps = msgspec.convert(spec["saps"], dict[str, Sap])
        attachments = await self._attachments(ns, spec["members"])
        part = lay(ns.id, ns.tenant, vnffgs.values(), saps, attachments)
        await self._plane.replace_part(owner_of(ns.id), part)
        return {"ports": [port.id for port in part.ports], "intents": [intent.id for intent in part.intents]}

    async def delete(self, context: StepContext) -> None:
        """Nothing of the NS stays in the data plane."""
        await self._plane.replace_part(owner_of(context.operation.subject), Part())

    async def _attachments(self, ns: NsInstance, members: Iterable[str]) -> list[Attachment]:
        flavour = self.desk.flavour(ns)
        found: list[Attachment] = []
        for name in members:
            member = ns.members[name]
            vnf = aggregates.vnf_instances.get(self.desk.database, member.vnf_instance_id)
            found += await self._of(flavour, member.profile, name, vnf)
        return found

    async def _of(
        self, ns_flavour: NsDeploymentFlavour, profile_id: str, name: str, vnf: VnfInstance
    ) -> list[Attachment]:
        """The interfaces of one member that are on virtual links of the NS."""
        flavour = flavour_of(self.desk.vnfm.desk.descriptor(vnf.vnf_pkg_id, vnf.inputs), vnf.flavour_id)
        links = external_points(ns_flavour.vnf_profiles[profile_id], flavour)
        found: list[Attachment] = []
        for vdu, vnfcs in vnf.vnfcs.items():
            cps = sorted_cps(flavour, flavour.vdus[vdu])
            for vnfc in vnfcs:
                compute = vnf.resources[f"compute:{vnfc}"].spec
                driver = await self.desk.vims.driver(compute["vim"])
                if not isinstance(driver, Taps):
                    raise unsteerable(compute["vim"])
                found += [
                    Attachment(
                        profile=profile_id,
                        vnfc=f"{name}:{vnfc}",
                        names=tuple(dict.fromkeys((cp.external, cp.id, flavour.ext_cps[cp.external].external))),
                        link=links[cp.external],
                        vim=compute["vim"],
                        tap=tap,
                    )
                    for cp, tap in zip(cps, await driver.taps(compute["name"]), strict=True)
                    if cp.external in links
                ]
        return found
