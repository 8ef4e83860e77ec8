"""Forwarding graphs in the data plane: the interfaces of members are found, paths are laid over them, and kept there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from weakref import WeakValueDictionary

import msgspec

from skerry.dataplane.parts import NS, Part, declared
from skerry.dataplane.service import DataPlane
from skerry.engine.engine import Engine
from skerry.engine.kinds import StepContext
from skerry.errors import ConflictError, SkerryError
from skerry.mep.plane import proof
from skerry.model.descriptors import NsDeploymentFlavour, Sap, Vnffg
from skerry.model.ns import FORWARDING, NsInstance
from skerry.model.pnfs import PREFIX, Pnf
from skerry.model.resources import ResourceState
from skerry.model.states import OperationState
from skerry.model.vnf import VnfInstance
from skerry.nfvo.desk import NsDesk
from skerry.nfvo.forwarding import Attachment, Ground, Laid, lay, owner_of, unsteerable
from skerry.nfvo.graph import external_points
from skerry.store import aggregates
from skerry.vim.driver import Tap, Taps
from skerry.vnfm.goal import flavour_of
from skerry.vnfm.graph import sorted_cps

log = logging.getLogger(__name__)

_SETTLED = frozenset(
    {OperationState.COMPLETED, OperationState.FAILED, OperationState.FAILED_TEMP, OperationState.ROLLED_BACK}
)
_REPEAT_S, _MOST_REPEAT_S = 1.0, 60.0


class Paths:
    """Lays the forwarding paths of NSs. One resource stands for all of them: paths share virtual links, so they change
    together, those of an NS one after the other.

    What was laid last is remembered: the record of a resource follows only when its step has ended, and who lays again in
    between would bring the paths back that a step has just replaced or removed.
    """

    def __init__(self, desk: NsDesk) -> None:
        self.desk = desk
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._laid: dict[str, Mapping[str, Any] | None] = {}

    @property
    def plane(self) -> DataPlane:
        """The node's data plane."""
        if self.desk.dataplane is None:
            raise ConflictError(
                "cannot lay forwarding paths: the node has no data plane", suggestion="enable it in the settings"
            )
        return self.desk.dataplane

    def owners(self) -> set[str]:
        """The NSs that have something in the data plane: a few of many."""
        if self.desk.dataplane is None:
            return set()
        intents = (one.owner for one in self.desk.dataplane.intents() if one.owner.startswith(NS))
        ports = (one.id for one in self.desk.dataplane.ports() if one.id.startswith(NS))
        return {name.split(":")[1] for name in (*intents, *ports)}

    async def lay(self, ns: NsInstance, spec: Mapping[str, Any]) -> Laid:
        """Lay what the spec says over the interfaces that its members have now."""
        async with self._turn(ns.id):
            laid = await self._lay(ns, spec)
            self._laid[ns.id] = spec
        return laid

    async def again(self, ns_id: str) -> None:
        """Lay what is laid, where interfaces are others now. Nothing for an NS without paths."""
        async with self._turn(ns_id):
            ns = aggregates.ns_instances.find(self.desk.database, ns_id)
            paths = ns.resources.get(FORWARDING) if ns else None
            if ns is None or paths is None or paths.state is not ResourceState.PRESENT:
                self._laid.pop(ns_id, None)
                return
            spec = self._laid.get(ns_id, paths.spec)
            if spec is not None:
                await self._lay(ns, spec)
                await self.plane.renew(owner_of(ns_id))

    def _turn(self, ns_id: str) -> asyncio.Lock:
        return self._turns.setdefault(ns_id, asyncio.Lock())

    async def _lay(self, ns: NsInstance, spec: Mapping[str, Any]) -> Laid:
        vnffgs = msgspec.convert(spec["vnffgs"], dict[str, Vnffg])
        saps = msgspec.convert(spec["saps"], dict[str, Sap])
        laid = lay(ns.id, ns.tenant, vnffgs.values(), saps, await self._ground(ns, spec, vnffgs.values()))
        await self.plane.replace_part(owner_of(ns.id), laid.part)
        return laid

    async def verified(self, laid: Laid) -> Mapping[str, bool]:
        """Of each path that is a traffic rule, whether its effect was seen. `UnavailableError` for one that is not in force."""
        return proof(laid.rules, await self.plane.rules() if laid.rules else ())

    async def _ground(self, ns: NsInstance, spec: Mapping[str, Any], vnffgs: Iterable[Vnffg]) -> Ground:
        """What there is to lay paths over now. Interfaces are looked for only where one is meant."""
        steered: Mapping[str, Sequence[str]] = spec.get("steered", {})
        over = steered or any(not nfp.traffic for vnffg in vnffgs for nfp in vnffg.nfps.values())
        attachments = [*await self._attachments(ns, spec["members"]), *_machines(ns, spec)] if over else []
        devices, zones = [view.device for view in self.plane.devices()], self._zones(ns)
        return Ground(
            attachments=attachments,
            steered=[one for one in attachments if set(one.names) & set(steered.get(one.profile, ()))],
            devices=[one for one in devices if one.zone in ("", *zones)],
            ports=declared(self.plane.ports(tenant=ns.tenant), devices, zones),
        )

    def _zones(self, ns: NsInstance) -> set[str]:
        """Where its members are."""
        members = (
            aggregates.vnf_instances.find(self.desk.database, one.vnf_instance_id) for one in ns.members.values()
        )
        vims = {vim for vnf in members if vnf is not None for vim in vnf.vim_ids}
        return {one.zone for one in self.desk.vims.connections() if one.id in vims}

    async def remove(self, ns_id: str) -> None:
        """Nothing of the NS stays in the data plane."""
        async with self._turn(ns_id):
            await self.plane.replace_part(owner_of(ns_id), Part())
            self._laid[ns_id] = None

    async def _attachments(self, ns: NsInstance, members: Iterable[str]) -> list[Attachment]:
        flavour = self.desk.flavour(ns)
        found: list[Attachment] = []
        for name in members:
            member = ns.members.get(name)
            if member is None:
                raise _changing(name)
            vnf = aggregates.vnf_instances.get(self.desk.database, member.vnf_instance_id)
            found += await self._of(flavour, member.profile, name, vnf)
        return found

    async def _of(
        self, ns_flavour: NsDeploymentFlavour, profile_id: str, name: str, vnf: VnfInstance
    ) -> list[Attachment]:
        """The interfaces of one member that are on virtual links of the NS."""
        flavour = flavour_of(self.desk.vnfm.desk.descriptor(vnf.vnf_pkg_id, vnf.inputs), vnf.flavour_id)
        if (profile := ns_flavour.vnf_profiles.get(profile_id)) is None:
            raise _changing(name)
        links = external_points(profile, flavour)
        found: list[Attachment] = []
        for vdu, vnfcs in vnf.vnfcs.items():
            cps = sorted_cps(flavour, flavour.vdus[vdu])
            for vnfc in vnfcs:
                known = vnf.resources.get(f"compute:{vnfc}")
                if known is None:
                    raise _changing(f"{name}:{vnfc}")
                compute = known.spec
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


def _machines(ns: NsInstance, spec: Mapping[str, Any]) -> Iterable[Attachment]:
    """The interfaces of PNFs: the physical ports that they are cabled to."""
    for id in spec.get("pnfs", ()):
        known = ns.resources.get(f"{PREFIX}{id}")
        if known is None or known.state is not ResourceState.PRESENT:
            raise _changing(id)
        pnf, taps = msgspec.convert(known.spec, Pnf), known.outputs["taps"]
        for point in pnf.points:
            if point.cpd in taps:
                yield Attachment(
                    profile=pnf.profile,
                    vnfc=id,
                    names=tuple(dict.fromkeys((point.cpd, point.id))),
                    link=point.link,
                    vim=point.vim,
                    tap=msgspec.convert(taps[point.cpd], Tap),
                )


def _changing(what: str) -> ConflictError:
    return ConflictError(
        f"cannot lay a forwarding path over {what}: it is being changed", suggestion="it is laid when that has ended"
    )


class ForwardingSteps:
    """The step handlers."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths

    def register(self, engine: Engine) -> None:
        engine.add_handler("forwarding.create", self.put)
        engine.add_handler("forwarding.update", self.put)
        engine.add_handler("forwarding.delete", self.delete)

    async def put(self, context: StepContext) -> Mapping[str, Any]:
        """Lay the paths as the spec says. The members that it names are there."""
        ns = self.paths.desk.instance(context.operation.subject)
        laid = await self.paths.lay(ns, context.args["spec"])
        verified = await self.paths.verified(laid)
        ports, intents = laid.part.ports, laid.part.intents
        return {
            "ports": [port.id for port in ports],
            "intents": [intent.id for intent in intents],
            "verified": dict(verified),
        }

    async def delete(self, context: StepContext) -> None:
        """Nothing of the NS stays in the data plane."""
        await self.paths.remove(context.operation.subject)


class PathKeeper:
    """Lays paths again when a member was healed, scaled or changed on its own: its interfaces are others then, behind the same
    names. So it does after a start, for what ended while no node ran. What fails is tried again."""

    def __init__(self, paths: Paths, engine: Engine) -> None:
        self._paths, self._engine = paths, engine
        self._task: asyncio.Task[None] | None = None
        self._repeats: dict[str, asyncio.Task[None]] = {}

    async def start(self) -> None:
        """Look at every NS that has paths, and follow operations from now on."""
        since = self._engine.events.last()
        for ns_id in sorted(self.watched()):
            await self._mend(ns_id)
        self._task = asyncio.get_running_loop().create_task(self._follow(since))

    async def stop(self) -> None:
        """Follow no more."""
        tasks = [*self._repeats.values(), *([self._task] if self._task else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def watched(self) -> set[str]:
        """The NSs that it looks at."""
        return self._paths.owners()

    async def _follow(self, since: int) -> None:
        async for batch in self._engine.events.follow(since, kind="operation"):
            changed = {event.subject for event in batch if event.name.startswith("vnf.") and event.state in _SETTLED}
            if changed:
                await self._changed(changed)

    async def _changed(self, vnfs: set[str]) -> None:
        for ns_id in sorted(self.watched()):
            ns = aggregates.ns_instances.find(self._paths.desk.database, ns_id)
            if ns is not None and vnfs & {member.vnf_instance_id for member in ns.members.values()}:
                await self._mend(ns_id)

    async def _mend(self, ns_id: str, wait_s: float = _REPEAT_S) -> None:
        try:
            await self._paths.again(ns_id)
        except SkerryError as error:
            log.warning("the forwarding paths of NS %s are not as they shall be: %s", ns_id, error.detail)
            self._repeat(ns_id, wait_s)

    def _repeat(self, ns_id: str, wait_s: float) -> None:
        """Once more after a while, unless that is planned already."""

        async def repeat() -> None:
            await asyncio.sleep(wait_s)
            del self._repeats[ns_id]
            await self._mend(ns_id, min(2 * wait_s, _MOST_REPEAT_S))

        if ns_id not in self._repeats:
            self._repeats[ns_id] = asyncio.get_running_loop().create_task(repeat())
