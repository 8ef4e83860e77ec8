"""What all NS operations share: from a goal to a plan, and from the journal to the record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from skerry.engine.diff import diff
from skerry.engine.graph import settle
from skerry.errors import ConflictError, InvalidError
from skerry.model import nesting
from skerry.model.descriptors import NsDeploymentFlavour, Vnfd
from skerry.model.ns import NsInstance
from skerry.model.operations import Change, Operation, Plan, Step, Verdict
from skerry.model.resources import Wanted
from skerry.model.states import InstantiationState, OperationState
from skerry.model.time import stamp
from skerry.model.versions import standing
from skerry.nfvo import consequences, moving, nested, redesign
from skerry.nfvo.affinity import require_kept
from skerry.nfvo.dependencies import dependencies, ordered
from skerry.nfvo.desk import NsDesk
from skerry.nfvo.goal import NsGoal, current, flavour_of
from skerry.nfvo.graph import Layout, external_points, members_of, wanted
from skerry.nfvo.joining import Joints
from skerry.nfvo.pnf_steps import after_paths, cabled, with_pnfs
from skerry.nfvo.virtual_links import after_members, with_links
from skerry.nfvo.waiting import ACTION, delayed, early
from skerry.placement.solve import Demand
from skerry.store import aggregates
from skerry.store.database import Transaction
from skerry.vnfm.forms import forms, function_bytes
from skerry.vnfm.goal import check_level, counts_for, scale_at_level

_PROVIDING = ("member.create", "member.delete", "pnf.create", "pnf.update", "pnf.delete")


class NsOperation:
    """A kind of operation on NS instances (fits `engine.kinds.Kind`)."""

    name: ClassVar[str]
    needs: ClassVar[InstantiationState] = InstantiationState.INSTANTIATED
    revertible: ClassVar[bool] = True
    ends: ClassVar[bool] = False  # nothing of the NS runs afterwards

    def __init__(self, desk: NsDesk) -> None:
        self.desk = desk

    # -- what an operation says of itself -----------------------------------------------------------------------------

    def goal(self, instance: NsInstance, params: Mapping[str, Any]) -> NsGoal:
        """What the NS shall become. Pure; `InvalidError` for parameters that do not fit."""
        return current(instance)

    async def besides(self, instance: NsInstance, params: Mapping[str, Any]) -> list[Step]:
        """Steps on members besides the difference of the graphs."""
        return []

    def rolls_back(self, operation: Operation) -> bool:
        """Whether a failure is rolled back without asking: `rollbackOnFailure` among the request's additional parameters."""
        extra = {**operation.params.get("additionalParamsForNs", {}), **operation.params.get("additionalParams", {})}
        return self.revertible and extra.get("rollbackOnFailure", False) in (True, "true")

    def adjust(self, step: Step, params: Mapping[str, Any]) -> Step:
        return step

    def completed(self, instance: NsInstance, goal: NsGoal) -> NsInstance:
        return msgspec.structs.replace(applied(instance, goal), failed=False)

    # -- the engine's questions ---------------------------------------------------------------------------------------

    def admit(self, tx: Transaction, operation: Operation) -> None:
        instance = aggregates.ns_instances.get(tx, operation.subject)
        if instance.ns_state is not self.needs:
            raise ConflictError(
                f"cannot run {self.name}: NS {instance.id} is {instance.ns_state}",
                suggestion=f"it must be {self.needs}",
            )
        self.require_sound(instance, self.goal(instance, operation.params))

    def require_sound(self, instance: NsInstance, goal: NsGoal) -> None:
        """`InvalidError` with every nested NS that cannot be made, `ConflictError` for one that cannot go."""
        nested.require_unshared(self.desk, instance, goal)
        if goal.nested:
            nsd = self.desk.descriptor(goal.nsd_info_id or instance.nsd_info_id, goal.inputs)
            flavour = standing(flavour_of(nsd, goal.flavour_id), goal.kept, instance.resources)
            nested.require_sound(self.desk, instance, flavour, goal)

    async def plan(self, operation: Operation) -> Plan:
        instance = self.desk.instance(operation.subject)
        before = current(instance)
        goal = moving.distinct(self.desk, instance, self.goal(instance, operation.params))
        nsd = self.desk.descriptor(goal.nsd_info_id or instance.nsd_info_id, goal.inputs)
        flavour = standing(flavour_of(nsd, goal.flavour_id), goal.kept, instance.resources)
        graph = {}
        again: set[str] = set()
        verdicts: tuple[Verdict, ...] = ()
        if goal.groups or goal.pnfs:
            layout, again = await self._layout(instance, flavour, goal, operation.id, cyclic=nsd.cyclic_dependencies)
            graph = with_pnfs(wanted(instance.id, flavour, goal, layout), instance, flavour, layout)
            graph = redesign.keeping(self.desk, graph, instance.resources, instance.tenant)
            verdicts = layout.verdicts
            self._require_affinity(flavour, goal, layout)
        graph = with_links(graph, instance, flavour, goal.virtual_links)
        graph |= nested.wanted(goal, self._joints(instance, flavour, goal, graph))
        steps, changes = diff(graph, instance.resources)
        steps = [self.adjust(step, operation.params) for step in after_members(after_paths(steps))]
        besides = await self.besides(instance, operation.params)
        steps += besides
        steps += _configure(_to_tell(graph, steps, bool(besides), again), steps)
        notes = [Change(resource=s.key, effect="run", detail=s.note) for s in besides]
        outcome = {"goal": msgspec.to_builtins(goal), "before": msgspec.to_builtins(before)}
        if verdicts:
            outcome["verdicts"] = msgspec.to_builtins(verdicts)
        outcome |= consequences.of_members(instance, graph, changes, besides, self._called)
        running = self.desk.flavour(instance) if consequences.runs(instance) else None
        service = consequences.of_service(instance, running, None if self.ends else flavour, goal)
        if running and not self.ends:
            notes += consequences.lines_of(service)
        if inner := nested.changes(instance, steps):
            outcome[nesting.OUTCOME] = msgspec.to_builtins(inner)
        timed = delayed(steps, operation.params, self.desk.clock.now())
        return Plan(steps=timed, changes=(*changes, *notes), outcome={**outcome, **service})

    def _joints(
        self, instance: NsInstance, flavour: NsDeploymentFlavour, goal: NsGoal, graph: Mapping[str, Wanted]
    ) -> Joints:
        links = goal.joined if not goal.adopted else {**self._borrowed(instance, flavour, goal), **goal.joined}
        here = [str(one.spec["vim"]) for one in graph.values() if one.kind == "network"]
        return Joints(
            instance_id=instance.id,
            flavour=flavour,
            graph=graph,
            recorded=instance.resources,
            borrowed=links,
            vims=(*here, *(one.id for one in self.desk.vims.connections())),
        )

    def _require_affinity(self, flavour: NsDeploymentFlavour, goal: NsGoal, layout: Layout) -> None:
        """`RejectedError` where the places break a rule of the request."""
        if not goal.affinity:
            return
        places = {name: set(there.values()) for name, there in layout.places.items()}
        found = {id: aggregates.vnf_instances.find(self.desk.database, id) for id in goal.adopted.values()}
        places |= {name: set(vnf.vim_ids) for name, id in goal.adopted.items() if (vnf := found[id])}
        zones = {one.id: one.zone for one in self.desk.vims.connections()}
        require_kept(goal.affinity, flavour, goal.groups, goal.adopted, places, zones)

    def _called(self, vnf_instance_id: str) -> str:
        vnf = aggregates.vnf_instances.find(self.desk.database, vnf_instance_id)
        return vnf.vnf_instance_name if vnf else ""

    def stepped(self, tx: Transaction, operation: Operation, step: Step, phase: str, result: Mapping[str, Any]) -> None:
        if step.action == ACTION and phase == "done" and operation.plan:
            goal = msgspec.convert(operation.plan.outcome["goal"], NsGoal)
            aggregates.ns_instances.change(tx, operation.subject, lambda doc: applied(doc, goal))
        if not step.resource:
            return
        now = stamp(self.desk.clock.now())

        def record(doc: NsInstance) -> NsInstance:
            resources = settle(doc.resources, step, phase, result, now)
            inner = nested.nested_of(resources)
            return msgspec.structs.replace(doc, resources=resources, members=members_of(resources), nested=inner)

        self._mark(tx, aggregates.ns_instances.change(tx, operation.subject, record), step)

    @staticmethod
    def _mark(tx: Transaction, ns: NsInstance, step: Step) -> None:
        """An NS that is taken in knows by whom, from the moment in which that begins until it has ended."""
        existing = step.args.get("spec", {}).get("existing", "") if step.resource.startswith(nested.PREFIX) else ""
        if not existing or aggregates.ns_instances.find(tx, existing) is None:
            return
        others = {r.spec["existing"] for r in ns.resources.values() if r.kind == "nested"}

        def record(doc: NsInstance) -> NsInstance:
            users = [id for id in doc.users if id != ns.id]
            return msgspec.structs.replace(doc, users=(*users, ns.id) if existing in others else tuple(users))

        aggregates.ns_instances.change(tx, existing, record)

    def moved(self, tx: Transaction, operation: Operation, state: OperationState) -> None:
        outcome = operation.plan.outcome if operation.plan else {}
        change = aggregates.ns_instances.change
        if early(tx, operation):
            return  # the NS is what it was
        if state is OperationState.PROCESSING:
            goal = msgspec.convert(outcome["goal"], NsGoal)
            change(tx, operation.subject, lambda doc: applied(doc, goal))
        elif state is OperationState.COMPLETED:
            goal = msgspec.convert(outcome["goal"], NsGoal)
            change(tx, operation.subject, lambda doc: self.completed(doc, goal))
        elif state is OperationState.FAILED_TEMP:
            change(tx, operation.subject, lambda doc: msgspec.structs.replace(doc, failed=True))
        elif state is OperationState.FAILED:
            change(tx, operation.subject, given_up)
        elif state is OperationState.ROLLED_BACK and outcome:
            before = msgspec.convert(outcome["before"], NsGoal)
            change(tx, operation.subject, lambda doc: msgspec.structs.replace(applied(doc, before), failed=False))

    # -- the layout ---------------------------------------------------------------------------------------------------

    async def _layout(
        self, instance: NsInstance, flavour: NsDeploymentFlavour, goal: NsGoal, operation: str, *, cyclic: bool
    ) -> tuple[Layout, set[str]]:
        """Where everything goes and who waits for whom; the second answer is the profiles that are part of a cycle."""
        used = {id: p for id, p in flavour.vnf_profiles.items() if goal.groups.get(id)}
        vnfds: dict[str, Vnfd] = {}
        flavours = {}
        for id, profile in used.items():
            vnfds[id], flavours[id] = self.desk.vnf_flavour(profile, instance.tenant)
        pairs = dependencies(flavour, vnfds)
        order, again = ordered(pairs, cyclic_allowed=cyclic)
        borrowed = {**self._borrowed(instance, flavour, goal), **goal.joined}
        pnfs = await cabled(self.desk, instance, goal.pnfs)
        layout = Layout(places={}, flavours=flavours, pairs=pairs, order=order, borrowed=borrowed, pnfs=pnfs)
        places, verdicts = await self._places(instance, flavour, goal, layout, operation)
        return msgspec.structs.replace(layout, places=places, verdicts=verdicts), again

    def _borrowed(self, instance: NsInstance, flavour: NsDeploymentFlavour, goal: NsGoal) -> dict[str, tuple[str, str]]:
        """Virtual links that existing VNFs bring along: the networks that they are on already."""
        found: dict[str, tuple[str, str]] = {}
        for name, vnf_id in goal.adopted.items():
            profile = flavour.vnf_profiles[name.rsplit("-", 1)[0]]
            vnf = self.desk.vnfm.instance(vnf_id, tenant=instance.tenant)
            if vnf.vnfd_id != profile.vnfd_id:
                raise InvalidError(
                    f"cannot use VNF {vnf_id} as {profile.id}: its VNFD is {vnf.vnfd_id}, not {profile.vnfd_id}"
                )
            _, vnf_flavour = self.desk.vnf_flavour(profile, instance.tenant)
            if vnf.instantiation_state is not InstantiationState.INSTANTIATED:
                raise ConflictError(
                    f"cannot use VNF {vnf_id} as {profile.id}: it is {vnf.instantiation_state}",
                    suggestion="instantiate it first",
                )
            for point, link in external_points(profile, vnf_flavour).items():
                if link in found or any(key.startswith(f"network:{link}@") for key in instance.resources):
                    continue  # what the NS has stays
                if (external := vnf.ext_links.get(point)) is not None:
                    found[link] = (external.vim or next(iter(vnf.vim_ids), ""), external.network)
                    continue
                own = [
                    r for r in vnf.resources.values() if r.kind == "network" and r.key.startswith(f"network:{point}@")
                ]
                if own:
                    found[link] = (own[0].spec["vim"], own[0].spec["name"])
        return found

    async def _places(
        self, instance: NsInstance, flavour: NsDeploymentFlavour, goal: NsGoal, layout: Layout, operation: str
    ) -> tuple[dict[str, dict[str, str]], tuple[Verdict, ...]]:
        """Member → VDU → VIM: who is there stays, the others are placed together and granted to this operation; with the
        reasons."""
        places: dict[str, dict[str, str]] = {}
        demands: list[Demand] = []
        for profile_id, names in goal.groups.items():
            for name in names:
                recorded = instance.resources.get(f"vnf:{name}")
                if recorded is not None:
                    places[name] = dict(recorded.spec["placement"])
                elif there := moving.placed(self.desk, goal.identities.get(name, "")):
                    places[name] = there
                elif name not in goal.adopted:
                    demands += self._demands(flavour, layout, goal, profile_id, name)
        if not demands:
            return places, ()
        here = [vim for there in places.values() for vim in there.values()]
        near = [point.vim for pnf in layout.pnfs.values() for point in pnf.points if point.vim]
        prefer = tuple(dict.fromkeys((*near, *(vim for vim, _ in layout.borrowed.values()), *here)))
        choice = await self.desk.granter.reserve(demands, prefer, tenant=instance.tenant, operation=operation)
        for asked, vim in choice.placement.items():
            member, vdu, _number = asked.split("/")
            places.setdefault(member, {})[vdu] = vim
        return places, choice.verdicts

    @staticmethod
    def _demands(
        flavour: NsDeploymentFlavour, layout: Layout, goal: NsGoal, profile_id: str, name: str
    ) -> list[Demand]:
        vnf = layout.flavours[profile_id]
        level = check_level(vnf, flavour.vnf_profiles[profile_id].instantiation_level)
        counts = counts_for(vnf, scale_at_level(vnf, level), level)
        found: list[Demand] = []
        for vdu_id, count in counts.items():
            vdu = vnf.vdus[vdu_id]
            keys = (f"{name}/{vdu_id}", f"{profile_id}/{vdu_id}", name, profile_id, "*")
            site = next((goal.placement[key] for key in keys if key in goal.placement), "")
            found += [
                Demand(
                    name=f"{name}/{vdu_id}/{number}",
                    vcpus=vdu.vcpus,
                    memory_bytes=vdu.memory_bytes,
                    forms=forms(vdu),
                    function_bytes=function_bytes(vdu),
                    storage_bytes=vdu.storage_bytes,
                    site=site,
                )
                for number in range(count + (vdu.standby if count else 0))
            ]
        return found


def applied(instance: NsInstance, goal: NsGoal) -> NsInstance:
    """The record with the goal's part of it replaced."""
    return msgspec.structs.replace(
        instance,
        nsd_id=goal.nsd_id or instance.nsd_id,
        nsd_info_id=goal.nsd_info_id or instance.nsd_info_id,
        kept=goal.kept,
        flavour_id=goal.flavour_id,
        level_id=goal.level_id,
        scale_status=goal.scale_status,
        counts={profile: len(names) for profile, names in goal.groups.items()},
        placement=goal.placement,
        inputs=goal.inputs,
        properties=goal.properties,
        told=goal.told,
        affinity=goal.affinity,
        vnffgs=goal.vnffgs,
        saps=goal.saps,
        steered=goal.steered,
        ssh_keys=goal.ssh_keys,
        wan=goal.wan,
        nested_params=goal.nested_params,
        joined=goal.joined,
    )


def given_up(instance: NsInstance) -> NsInstance:
    """The record when an operation was given up: what exists stays recorded and nothing else."""
    there = [member.profile for member in instance.members.values()]
    counts = {profile: there.count(profile) for profile in instance.counts}
    return msgspec.structs.replace(instance, failed=True, counts=counts)


def _to_tell(graph: Mapping[str, Wanted], steps: Sequence[Step], everyone: bool, again: set[str]) -> list[str]:
    """The members to be told what the others provide now: those that stay and depend on a profile whose members come or
    go, those in a cycle, and after operations on members everyone who depends on others."""
    depending = {key: want for key, want in graph.items() if want.kind == "member" and want.spec["depends"]}
    if everyone:
        return list(depending)
    fresh = {step.resource for step in steps if step.action == "member.create"}
    changed = {step.args["spec"]["profile"] for step in steps if step.action in _PROVIDING}
    return [
        key
        for key, want in depending.items()
        if want.spec["profile"] in again
        or (key not in fresh and changed & {pair["source"] for pair in want.spec["depends"]})
    ]


def _configure(keys: Sequence[str], steps: Sequence[Step]) -> list[Step]:
    """Steps that tell members what changed, after everything else."""
    everything = tuple(step.key for step in steps)
    return [
        Step(
            key=f"configure:{key}",
            action="member.configure",
            note=f"tell VNF {key.removeprefix('vnf:')} what the others provide",
            args={"member": key.removeprefix("vnf:")},
            needs=everything,
            undo="member.revert",
            undo_args={"member": key.removeprefix("vnf:"), "kind": "vnf.modify"},
            timeout_s=3600.0,
        )
        for key in keys
    ]


def member_named(instance: NsInstance, vnf_instance_id: str) -> str:
    """The member name of a VNF. `InvalidError` when it is not in this NS."""
    for name, member in instance.members.items():
        if member.vnf_instance_id == vnf_instance_id:
            return name
    raise InvalidError(
        f"cannot find VNF {vnf_instance_id} in NS {instance.id}",
        suggestion="its VNFs are: " + (", ".join(m.vnf_instance_id for m in instance.members.values()) or "none"),
    )


def member_step(instance: NsInstance, vnf_instance_id: str, kind: str, params: Mapping[str, Any]) -> Step:
    """A step that runs one VNF operation on a member."""
    name = member_named(instance, vnf_instance_id)
    return Step(
        key=f"{kind}:{name}",
        action="member.run",
        note=f"{kind} of VNF {name}",
        args={"vnf": vnf_instance_id, "kind": kind, "params": params},
        undo="member.revert",
        undo_args={"vnf": vnf_instance_id, "kind": kind},
        timeout_s=3600.0,
        attempts=1,
    )
