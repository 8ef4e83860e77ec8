"""Traffic rules on their way through the management: a platform tells its manager (Mm5), the manager the orchestrator (Mm3*),
and that one has the NFVO make them forwarding paths of the application's network service (Mv1, SOL005 UpdateNs).

Nothing is kept here. The platform has recorded what it wants before it asks; the NFVO's operation is journalled and leaves the
paths as they were if it cannot lay the new ones; asking again for what is there changes nothing. Each hop is an event.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol
from weakref import WeakValueDictionary

import msgspec

from skerry.engine.engine import Engine
from skerry.errors import ConflictError, ForbiddenError
from skerry.meo.desk import MeoDesk
from skerry.mep.steering import UndecidedError
from skerry.model.app import AppInstance
from skerry.model.descriptors import Nfp
from skerry.model.mec import TrafficAction, TrafficFilter, TrafficRule
from skerry.model.ns import FORWARDING, NsInstance
from skerry.model.platform import AppAddress
from skerry.model.states import FINAL, InstantiationState, OperationState
from skerry.nfvo.graph import vnffgs_of
from skerry.packages.appd_names import GRAPH, PROFILE, point_name
from skerry.store import aggregates, applications, journal

KIND, UPDATE = "ns.update", "UPDATE_VNFFG"
NUMBERS = {"1": "ICMP", "6": "TCP", "17": "UDP"}
NOWHERE = frozenset({TrafficAction.DROP, TrafficAction.PASSTHROUGH})


class Orchestrator(Protocol):
    """What a platform manager needs of the orchestrator (Mm3*)."""

    def manages(self, app_instance_id: str) -> bool: ...
    def zone_of(self, app_instance_id: str) -> str: ...
    async def note(self, point: str, app_instance_id: str, state: str, detail: str = "") -> None: ...
    async def redirect(self, app_instance_id: str, rules: Sequence[TrafficRule]) -> Mapping[str, bool]: ...


class PlatformManager:
    """The MEPM-V of one zone (fits `model.platform.Manager`)."""

    def __init__(self, zone: str, orchestrator: Orchestrator) -> None:
        self.zone, self._orchestrator = zone, orchestrator

    def manages(self, app_instance_id: str) -> bool:
        """Whether the orchestrator has deployed it as a network service."""
        return self._orchestrator.manages(app_instance_id)

    async def redirect(self, app_instance_id: str, rules: Sequence[TrafficRule]) -> Mapping[str, bool]:
        """Pass it on. `ForbiddenError` for an application of another zone."""
        where = self._orchestrator.zone_of(app_instance_id)
        if where != self.zone:
            raise ForbiddenError(
                f"cannot change the traffic rules of {app_instance_id} in zone {self.zone!r}: it is in {where!r}",
                suggestion="ask the platform of its zone",
            )
        ids = ", ".join(rule.traffic_rule_id for rule in rules) or "none"
        await self._orchestrator.note("Mm5", app_instance_id, "ASKED", f"zone {self.zone or 'default'}: {ids}")
        return await self._orchestrator.redirect(app_instance_id, rules)


class PlatformManagers:
    """Those of a node, one for each zone (fits `model.platform.Managers`)."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator
        self._known: dict[str, PlatformManager] = {}

    def at(self, zone: str) -> PlatformManager:
        """The manager of a zone."""
        return self._known.setdefault(zone, PlatformManager(zone, self._orchestrator))


class Redirection:
    """The orchestrator's side (fits `Orchestrator`)."""

    def __init__(self, desk: MeoDesk, engine: Engine) -> None:
        self._desk, self._engine = desk, engine
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def manages(self, app_instance_id: str) -> bool:
        """Whether its network service is up and has a graph for its rules."""
        instance = applications.instances.find(self._desk.database, app_instance_id)
        ns = self._ns(self._target(instance)) if instance else None
        return ns is not None and GRAPH in vnffgs_of(self._desk.nfvo.desk.flavour(ns), ns)

    def zone_of(self, app_instance_id: str) -> str:
        """Where its rules are to hold."""
        instance = self._desk.instance(app_instance_id)
        ns_id = self._target(instance)
        for resource in instance.resources.values():
            if resource.spec.get("ns") == ns_id:
                return str(resource.spec["zone"])
        return self._desk.hosts.get(instance.host).zone if instance.host else ""

    async def note(self, point: str, app_instance_id: str, state: str, detail: str = "") -> None:
        """Tell that something crossed a reference point."""
        tenant = self._desk.instance(app_instance_id).tenant
        await self._desk.database.write(
            lambda tx: self._engine.events.add(
                tx, "mec", subject=app_instance_id, name=point, state=state, detail=detail, data={"tenant": tenant}
            )
        )

    async def redirect(self, app_instance_id: str, rules: Sequence[TrafficRule]) -> Mapping[str, bool]:
        """Have the NFVO put exactly these rules in force."""
        turn = self._turns.setdefault(app_instance_id, asyncio.Lock())
        async with turn:
            await self.note("Mm3*", app_instance_id, "ASKED", f"{len(rules)} traffic rules")
            instance = self._desk.instance(app_instance_id)
            target = self._target(instance)
            for other in self._others(instance, target):
                await self._update(instance, other, ())
            return await self._update(instance, target, rules)

    def _target(self, instance: AppInstance) -> str:
        return self._desk.targets.get(instance.id, instance.ns_id)

    def _ns(self, id: str) -> NsInstance | None:
        ns = aggregates.ns_instances.find(self._desk.database, id) if id else None
        return ns if ns and ns.ns_state is InstantiationState.INSTANTIATED else None

    def _others(self, instance: AppInstance, target: str) -> list[str]:
        """The network services that it is about to leave: two of them cannot have the same traffic."""
        known = {str(one.spec["ns"]) for one in instance.resources.values() if one.kind == "mec.service"}
        return [id for id in sorted(known - {target}) if self._ns(id)]

    async def _update(self, instance: AppInstance, ns_id: str, rules: Sequence[TrafficRule]) -> Mapping[str, bool]:
        await self._settled(ns_id)
        ns = self._desk.nfvo.instance(ns_id, tenant=instance.tenant)
        graph = vnffgs_of(self._desk.nfvo.desk.flavour(ns), ns).get(GRAPH)
        data = change(graph.nfps if graph else {}, rules, points(ns, self._desk.addresses(instance, ns_id)))
        if data:
            request = {"updateType": UPDATE, "updateVnffg": [{"vnffgInfoId": GRAPH, **data}]}
            operation = await self._desk.nfvo.start(KIND, ns_id, request, tenant=instance.tenant)
            await self.note("Mv1", instance.id, "ASKED", f"{UPDATE} of NS {ns_id}: operation {operation.id}")
            ended = await self._engine.wait(operation.id)
            await self.note("Mv1", instance.id, ended.state.value, ended.error)
            if ended.state not in (*FINAL, OperationState.FAILED_TEMP):
                raise UndecidedError(
                    f"cannot say whether the traffic rules of {instance.id} are in force: the node stops",
                    suggestion="read them again: the change goes on when the node is back",
                )
            if ended.state is not OperationState.COMPLETED:
                raise ConflictError(
                    f"cannot put the traffic rules of {instance.id} in force: the NFVO could not lay their paths: "
                    f"{ended.error or ended.state.value}",
                    suggestion=ended.suggestion or f"see operation {operation.id}",
                )
        laid = aggregates.ns_instances.get(self._desk.database, ns_id).resources.get(FORWARDING)
        verified: Mapping[str, bool] = laid.outputs.get("verified", {}) if laid else {}
        return {rule.traffic_rule_id: verified.get(rule.traffic_rule_id, False) for rule in rules}

    async def _settled(self, ns_id: str) -> None:
        """Wait for the end of an update of ours that a restart has taken up."""
        held = journal.holder(self._desk.database, ns_id)
        if held and held.kind == KIND and held.params.get("updateType") == UPDATE and held.state not in FINAL:
            await self._engine.wait(held.id)


# -- paths, pure ----------------------------------------------------------------------------------------------------------


def points(ns: NsInstance, addresses: Iterable[AppAddress]) -> dict[str, str]:
    """Address -> the connection point that has it, of those that the data plane serves."""
    steered = ns.steered.get(PROFILE, ())
    return {one.ip: name for one in addresses if (name := point_name(one.cpd_id)) in steered}


def change(nfps: Mapping[str, Nfp], rules: Sequence[TrafficRule], of: Mapping[str, str]) -> dict[str, Any]:
    """What an UpdateVnffgData says besides the graph so that it has these rules as its paths; empty where it has them."""
    wanted = {rule.traffic_rule_id: rule for rule in rules}
    put = [
        {**({"nfpInfoId": id} if id in nfps else {}), "nfpName": id, **path(rule, of)}
        for id, rule in wanted.items()
        if id not in nfps or nfps[id].traffic != msgspec.to_builtins(rule)
    ]
    gone = [id for id in nfps if id not in wanted]
    return {name: value for name, value in (("nfp", put), ("nfpInfoId", gone)) if value}


def path(rule: TrafficRule, of: Mapping[str, str]) -> dict[str, Any]:
    """A traffic rule as NfpData: where it leads, what it classifies as far as an NfpRule can say it, and the rule itself."""
    named = [of[address] for one in rule.interfaces if (address := one.dst_ip_address or "") in of]
    if not named and not rule.interfaces and rule.action not in NOWHERE:
        named = list(of.values())[:1]
    group = [{"cpPairInfo": [{"vnfExtCpIds": [f"{PROFILE}/{point}" for point in named]}]}] if named else []
    plain = _classification(rule.traffic_filter[0]) if len(rule.traffic_filter) == 1 else {}
    return {"cpGroup": group, **({"nfpRule": plain} if plain else {}), "mecTrafficRule": msgspec.to_builtins(rule)}


def _classification(filter: TrafficFilter) -> dict[str, Any]:
    """NfpRule of a filter; nothing where it has alternatives."""
    lists = (filter.src_address, filter.dst_address, filter.src_port, filter.dst_port, filter.protocol)
    if any(len(one) > 1 for one in lists):
        return {}
    plain: dict[str, Any] = {}
    for name, addresses in (
        ("sourceIpAddressPrefix", filter.src_address),
        ("destinationIpAddressPrefix", filter.dst_address),
    ):
        if addresses and "-" not in addresses[0]:
            plain[name] = addresses[0]
    for name, texts in (("sourcePortRange", filter.src_port), ("destinationPortRange", filter.dst_port)):
        low, _, high = texts[0].partition("-") if texts else ("", "", "")
        if low.isdecimal():
            plain[name] = {"lowerPort": int(low), "upperPort": int(high or low)}
    if filter.protocol:
        word = NUMBERS.get(filter.protocol[0], filter.protocol[0].upper())
        if word in NUMBERS.values():
            plain["protocol"] = word
    return plain
