"""What all VNF operations share: from a goal to a plan, and from the journal to the record.

An operation of its own is a subclass in a file of its own that says which goal it wants (`goal`), what it replaces although
nothing changed (`force`) and which state it needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from skerry.engine.diff import diff
from skerry.engine.graph import settle
from skerry.errors import ConflictError
from skerry.model.descriptors import DeploymentFlavour, Vdu
from skerry.model.operations import Change, Event, Operation, Plan, Step, Verdict
from skerry.model.resources import Resource, ResourceState, Wanted
from skerry.model.states import InstantiationState, OperationState, VnfOperationalState
from skerry.model.time import stamp
from skerry.model.vnf import VnfInstance, joined
from skerry.store import aggregates, journal
from skerry.store.database import Transaction
from skerry.vnfm import managed, scripts
from skerry.vnfm.coordination import ACTION as ASK
from skerry.vnfm.coordination import coordinated
from skerry.vnfm.desk import Desk, change
from skerry.vnfm.forms import forms, function_bytes, in_form
from skerry.vnfm.goal import Goal, applied, current, manned
from skerry.vnfm.grants import GrantRequest, ResourceRequest
from skerry.vnfm.graph import wanted, within
from skerry.vnfm.membership import reserved_from
from skerry.vnfm.naming import SNAPSHOT
from skerry.vnfm.packages import usable
from skerry.vnfm.reach import require_networks
from skerry.vnfm.steps import REMADE, image_name


class VnfOperation:
    """A kind of operation on VNF instances (fits `engine.kinds.Kind`)."""

    name: ClassVar[str]
    event: ClassVar[str]  # its name in the Vnflcm interface
    needs: ClassVar[InstantiationState] = InstantiationState.INSTANTIATED
    revertible: ClassVar[bool] = True
    forgiving: ClassVar[bool] = False  # its first scripts are left out where a VNFC does not run
    careful: ClassVar[bool] = False  # rolls back by itself unless the request says otherwise

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    # -- what an operation says of itself -----------------------------------------------------------------------------

    def goal(self, instance: VnfInstance, params: Mapping[str, Any]) -> Goal:
        """What the VNF shall become. Pure; `InvalidError` for parameters that do not fit the descriptor."""
        raise ConflictError(f"cannot plan {self.name}")

    async def force(self, instance: VnfInstance, params: Mapping[str, Any]) -> set[str]:
        """Resources to replace although nothing changed."""
        return set()

    def checks(self, params: Mapping[str, Any]) -> float:
        """For how many seconds each new VNFC must keep running before the operation counts as done; 0 = no check."""
        return 0.0

    def scripted(self, params: Mapping[str, Any]) -> bool:
        """Whether the package's scripts run."""
        return True

    def rolls_back(self, operation: Operation) -> bool:
        """Whether a failure is rolled back without asking: `additionalParams.rollbackOnFailure` of the request."""
        wished = operation.params.get("additionalParams", {}).get("rollbackOnFailure", self.careful)
        return self.revertible and wished in (True, "true")

    def adjust(self, step: Step, params: Mapping[str, Any]) -> Step:
        """A last word about one step (such as its grace time)."""
        return step

    def possible(self, vdu: Vdu) -> tuple[str, ...]:
        """The forms in which VNFCs of a VDU may be made."""
        return forms(vdu)

    def completed(self, instance: VnfInstance, goal: Goal) -> VnfInstance:
        """The record once everything is done."""
        return msgspec.structs.replace(
            applied(instance, goal), vnf_state=power_state(instance), failed=False, vim_ids=used_vims(instance)
        )

    # -- the engine's questions ---------------------------------------------------------------------------------------

    def admit(self, tx: Transaction, operation: Operation) -> None:
        instance = aggregates.vnf_instances.get(tx, operation.subject)
        if instance.instantiation_state is not self.needs:
            raise ConflictError(
                f"cannot run {self.name}: VNF {instance.id} is {instance.instantiation_state}",
                suggestion=f"it must be {self.needs}",
            )
        if instance.manager:
            managed.require(self.name, instance)
        else:
            require_networks(tx, instance, self.goal(instance, operation.params))

    async def plan(self, operation: Operation) -> Plan:
        instance = self.desk.instance(operation.subject)
        if instance.manager:
            return managed.plan(operation, instance)
        before = current(instance)
        goal = self.goal(instance, operation.params)
        flavour = self.desk.flavour(applied(instance, goal))
        goal = manned(within(flavour, goal), flavour)
        force = await self.force(instance, operation.params)
        goal, verdicts = await self._granted(operation, instance, flavour, goal)
        graph = wanted(instance, flavour, goal, reserved_from(self.desk.database, instance))
        steps, changes = diff(graph, instance.resources, force)
        steps = _with_barrier(self._with_images(steps, graph))
        if self.revertible:
            steps = _with_way_back(steps)
        made = {step.resource.removeprefix("compute:") for step in steps if step.action == "compute.create"}
        if self.scripted(operation.params):
            steps = self._with_scripts(steps, flavour, before, goal, made)
        goal = scripts.waiting(goal, made)
        steps = _with_checks(steps, self.checks(operation.params))
        adjusted = tuple(self.adjust(step, operation.params) for step in steps)
        if self.scripted(operation.params):
            adjusted = coordinated(adjusted, operation.kind, applied(instance, goal), flavour.coordinations)
        told = [
            Change(resource=s.key, effect="run", detail=s.note) for s in adjusted if s.action in ("script.run", ASK)
        ]
        outcome = {"goal": msgspec.to_builtins(goal), "before": msgspec.to_builtins(before)}
        if verdicts:
            outcome["verdicts"] = msgspec.to_builtins(verdicts)
        return Plan(steps=adjusted, changes=(*changes, *told), outcome=outcome)

    def stepped(self, tx: Transaction, operation: Operation, step: Step, phase: str, result: Mapping[str, Any]) -> None:
        if step.resource:
            now = stamp(self.desk.clock.now())
            aggregates.vnf_instances.change(
                tx,
                operation.subject,
                lambda doc: msgspec.structs.replace(doc, resources=_settled(doc.resources, step, phase, result, now)),
            )

    def moved(self, tx: Transaction, operation: Operation, state: OperationState) -> None:
        instance = aggregates.vnf_instances.get(tx, operation.subject)
        if managed.MANAGED in instance.resources or (instance.manager and state is not OperationState.COMPLETED):
            _managed_moved(tx, operation, state)
        elif state is OperationState.PROCESSING:
            self._under_way(tx, operation)
            self._tell_grant(tx, operation)
        elif state is OperationState.COMPLETED:
            goal = _goal_of(operation)
            aggregates.vnf_instances.change(tx, operation.subject, lambda doc: self.completed(doc, goal))
        elif state is OperationState.FAILED_TEMP:
            change(tx, operation.subject, failed=True)
        elif state is OperationState.FAILED:
            left = scripts.unborn(operation.plan, journal.steps(tx, operation.id))
            aggregates.vnf_instances.change(tx, operation.subject, lambda doc: still_unborn(self.failed(doc), left))
        elif state is OperationState.ROLLED_BACK and operation.plan is not None:
            aggregates.vnf_instances.change(tx, operation.subject, lambda doc: _restored(doc, operation))

    def failed(self, instance: VnfInstance) -> VnfInstance:
        """The record when the operation was given up: what exists stays recorded."""
        vnfcs, standbys = (
            {
                vdu: tuple(name for name in names if f"compute:{name}" in instance.resources)
                for vdu, names in one.items()
            }
            for one in (instance.vnfcs, instance.standbys)
        )
        return msgspec.structs.replace(
            instance, failed=True, vnf_state=power_state(instance), vnfcs=vnfcs, standbys=standbys
        )

    # -- the parts of a plan ------------------------------------------------------------------------------------------

    async def _granted(
        self, operation: Operation, instance: VnfInstance, flavour: DeploymentFlavour, goal: Goal
    ) -> tuple[Goal, tuple[Verdict, ...]]:
        """Ask for a grant for the VNFCs that are new and give up the places of those that go; with the reasons."""
        names = {name: vdu for vdu, group in goal.everybody.items() for name in group}
        old = {name: vdu for vdu, group in instance.everybody.items() for name in group if name in instance.placement}
        wished = goal.placement
        kept = {
            name: vim
            for name, vim in instance.placement.items()
            if name in names
            and f"compute:{name}" in instance.resources
            and _wish(wished, names[name], name) in ("", vim)
        }
        by_vdu = {name: vim for name, vim in wished.items() if name in flavour.vdus or name == "*"}
        new = [name for name in names if name not in kept]
        gone = [name for name in old if name not in names]
        update = tuple(
            msgspec.structs.replace(
                self._asked(flavour, names[name], name, {}), vim=vim, function=name in goal.functions
            )
            for name, vim in kept.items()
            if _resized(instance, flavour.vdus[names[name]], name, function=name in goal.functions)
        )
        if not new and not update:
            return msgspec.structs.replace(goal, placement={**by_vdu, **kept}), ()
        request = GrantRequest(
            vnf_instance_id=instance.id,
            vnfd_id=instance.vnfd_id,
            operation=self.name,
            tenant=operation.tenant,
            operation_id=operation.id,
            flavour_id=goal.flavour_id,
            add=tuple(self._asked(flavour, names[name], name, wished) for name in new),
            remove=tuple(self._asked(flavour, old[name], name, {}) for name in gone if old[name] in flavour.vdus),
            update=update,
            present=kept,
            prefer=tuple(dict.fromkeys(link.vim for link in goal.attached if link.vim)),
        )
        grant = await self.desk.granter.grant(request)
        functions = (*(name for name in goal.functions if name in kept), *grant.functions)
        placement = {**by_vdu, **kept, **grant.placement}
        return msgspec.structs.replace(goal, placement=placement, functions=functions), grant.verdicts

    def _asked(self, flavour: DeploymentFlavour, vdu_id: str, vnfc: str, wished: Mapping[str, str]) -> ResourceRequest:
        vdu = flavour.vdus[vdu_id]
        return ResourceRequest(
            vnfc=vnfc,
            vdu=vdu_id,
            vcpus=vdu.vcpus,
            memory_bytes=vdu.memory_bytes,
            storage_bytes=vdu.storage_bytes,
            vim=_wish(wished, vdu_id, vnfc),
            forms=self.possible(vdu),
            function_bytes=function_bytes(vdu),
        )

    @staticmethod
    def _with_images(steps: Sequence[Step], graph: Mapping[str, Wanted]) -> list[Step]:
        """Put a step that makes the image available before each creation that uses it."""
        images: dict[str, Step] = {}
        result: list[Step] = []
        for step in steps:
            spec = graph[step.resource].spec if step.resource in graph else {}
            if step.action != "compute.create" or not _brought(spec.get("image", {})):
                result.append(step)
                continue
            key = f"image:{spec['vim']}:{image_name(spec['image'])}"
            images.setdefault(
                key,
                Step(
                    key=key,
                    action="image.ensure",
                    note=f"image {spec['image']['name']} on {spec['vim']}",
                    args={"vim": spec["vim"], "image": spec["image"], "package": spec["package"]},
                    timeout_s=1800.0,
                ),
            )
            result.append(msgspec.structs.replace(step, needs=(*step.needs, key)))
        return [*images.values(), *result]

    def _with_scripts(
        self, steps: list[Step], flavour: DeploymentFlavour, before: Goal, goal: Goal, made: set[str]
    ) -> list[Step]:
        """Put the life-cycle scripts around the steps; `made` are the VNFCs that the steps make."""
        running = {vdu: [name for name in group if name not in before.stopped] for vdu, group in before.vnfcs.items()}
        up = {vdu: [name for name in group if name not in goal.stopped] for vdu, group in goal.vnfcs.items()}
        fresh = made | set(before.unborn)
        new = {vdu: [name for name in group if name in fresh] for vdu, group in up.items()}
        staying = {vdu: [name for name in group if name not in fresh] for vdu, group in up.items()}
        prelude = scripts.around(flavour, self._events_before(), running, (), lenient=self.forgiving)
        first = tuple(step.key for step in prelude)
        led = [step if step.needs or not first else msgspec.structs.replace(step, needs=first) for step in steps]
        born = scripts.births(flavour, new)
        everything = tuple(step.key for step in (*led, *born)) or first
        after = scripts.around(flavour, self._events_after(), staying, everything)
        return [*prelude, *led, *born, *after]

    def _events_before(self) -> tuple[str, ...]:
        return (f"{self.event}_start",)

    def _events_after(self) -> tuple[str, ...]:
        return (self.event, f"{self.event}_end")

    def _tell_grant(self, tx: Transaction, operation: Operation) -> None:
        """Put the grant into the event log: which new VNFC goes where."""
        if sites := sites_of(operation):
            event = Event(
                seq=0,
                time=stamp(self.desk.clock.now()),
                kind="grant",
                subject=operation.subject,
                operation=operation.id,
                name=operation.kind,
                state="GRANTED",
                detail=", ".join(f"{name} on {vim}" for name, vim in sorted(sites.items())),
            )
            journal.announce(tx, event)

    def _under_way(self, tx: Transaction, operation: Operation) -> None:
        """While it runs, the record shows the goal and whoever is still there of those that go."""
        goal = _goal_of(operation)

        def show(doc: VnfInstance) -> VnfInstance:
            return msgspec.structs.replace(
                applied(doc, goal),
                vnfcs=joined(_without(doc.vnfcs, goal.standbys), goal.vnfcs),
                standbys=joined(_without(doc.standbys, goal.vnfcs), goal.standbys),
                placement={**doc.placement, **goal.placement},
            )

        aggregates.vnf_instances.change(tx, operation.subject, show)


def _managed_moved(tx: Transaction, operation: Operation, state: OperationState) -> None:
    """Bring the record of a VNF that another VNF manager has up to date; its package may be another one now."""
    before = aggregates.vnf_instances.get(tx, operation.subject)
    now = managed.moved(before, operation, state)
    if now.vnfd_id != before.vnfd_id:
        info = usable(aggregates.vnf_packages.select(tx, vnfd_id=now.vnfd_id), now.vnfd_id, now.tenant)
        now = msgspec.structs.replace(now, vnf_pkg_id=info.id)
    aggregates.vnf_instances.change(tx, operation.subject, lambda _doc: now)


def _without(groups: Mapping[str, Sequence[str]], others: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    return {vdu: tuple(name for name in names if name not in others.get(vdu, ())) for vdu, names in groups.items()}


def sites_of(operation: Operation) -> dict[str, str]:
    """New VNFC → where its grant puts it; empty for an operation that needed none."""
    if operation.plan is None or "verdicts" not in operation.plan.outcome:
        return {}
    goal, before = operation.plan.outcome["goal"], operation.plan.outcome["before"]
    names = {
        name for groups in (goal["vnfcs"], goal.get("standbys", {})) for group in groups.values() for name in group
    }
    old = before["placement"]
    return {name: vim for name, vim in goal["placement"].items() if name in names and old.get(name) != vim}


def still_unborn(instance: VnfInstance, left: set[str]) -> VnfInstance:
    """The record when an operation was given up before it had run the first scripts of these VNFCs. Those that run have
    missed them: nothing starts them again."""
    waiting = {vnfc for vnfc in left | set(instance.unborn) if f"power:{vnfc}" not in instance.resources}
    there = {name for group in instance.everybody.values() for name in group}
    return msgspec.structs.replace(instance, unborn=tuple(sorted(waiting & there)))


def _brought(image: Mapping[str, Any]) -> bool:
    """Whether an image has to be, or may have to be, brought to the VIM: those of snapshots were made there."""
    return bool(image.get("source") or image.get("name")) and not image["name"].startswith(SNAPSHOT)


def _with_barrier(steps: list[Step]) -> list[Step]:
    """Let nothing start before every new VNFC has its addresses, so that all can learn them."""
    created = tuple(step.key for step in steps if step.action == "compute.create")
    if len(created) < 2:
        return steps
    barrier = Step(key="addresses", action="addresses.known", note="every address is known", needs=created)
    waiting = ("power.create", "power.update")
    held = [msgspec.structs.replace(s, needs=(*s.needs, barrier.key)) if s.action in waiting else s for s in steps]
    return [*held, barrier]


def _with_way_back(steps: list[Step]) -> list[Step]:
    """Let nothing that goes be deleted before all of it has stopped: undone, everything is there again before anything
    starts, and knows the addresses of the others."""
    stops = tuple(step.key for step in steps if step.action == "power.delete")
    if not stops or sum(step.action == "compute.delete" for step in steps) < 2:
        return steps
    barrier = Step(key="stopped", action="addresses.known", note="everything that goes has stopped", needs=stops)
    held = [
        msgspec.structs.replace(s, needs=(*s.needs, barrier.key)) if s.action == "compute.delete" else s for s in steps
    ]
    return [barrier, *held]


def _settled(
    resources: Mapping[str, Resource], step: Step, phase: str, result: Mapping[str, Any], now: str
) -> Mapping[str, Resource]:
    """The recorded resources after a step; a start that had to make its VNFC again tells what that is now."""
    own = {name: value for name, value in result.items() if name != REMADE}
    settled = settle(resources, step, phase, own, now)
    key = f"compute:{step.resource.removeprefix('power:')}"
    if REMADE not in result or key not in settled:
        return settled
    made = msgspec.structs.replace(settled[key], state=ResourceState.PRESENT, outputs=result[REMADE])
    return {**settled, key: made}


def _with_checks(steps: list[Step], seconds: float) -> list[Step]:
    """Put a check behind the start (and scripts) of each new or changed VNFC."""
    if not seconds:
        return steps
    new = [s.resource.removeprefix("power:") for s in steps if s.action in ("power.create", "power.update")]
    return [
        *steps,
        *(
            Step(
                key=f"check:{vnfc}",
                action="power.check",
                note=f"{vnfc} keeps running for {seconds:g} s",
                args={"vnfc": vnfc, "seconds": seconds},
                needs=tuple(s.key for s in steps if s.resource == f"power:{vnfc}" or s.args.get("vnfc") == vnfc),
                timeout_s=seconds + 60.0,
                attempts=1,
            )
            for vnfc in new
        ),
    ]


def _goal_of(operation: Operation) -> Goal:
    outcome = operation.plan.outcome if operation.plan else {}
    return msgspec.convert(outcome["goal"], Goal)


def _restored(instance: VnfInstance, operation: Operation) -> VnfInstance:
    before = msgspec.convert(operation.plan.outcome["before"], Goal) if operation.plan else current(instance)
    restored = applied(instance, before)
    return msgspec.structs.replace(restored, failed=False, vnf_state=power_state(restored), vim_ids=used_vims(restored))


def _resized(instance: VnfInstance, vdu: Vdu, vnfc: str, *, function: bool) -> bool:
    """Whether a VNFC that stays takes something else than before."""
    shall, spec = in_form(vdu, function=function), instance.resources[f"compute:{vnfc}"].spec
    return any(getattr(shall, name) != spec.get(name) for name in ("vcpus", "memory_bytes", "storage_bytes"))


def _wish(wished: Mapping[str, str], vdu_id: str, vnfc: str) -> str:
    """The VIM that the request chose for a VNFC: by its own name, its VDU's, or for all ("" = any)."""
    return wished.get(vnfc) or wished.get(vdu_id) or wished.get("*", "")


def power_state(instance: VnfInstance) -> VnfOperationalState:
    """STARTED when at least one VNFC is meant to run."""
    running = any(key.startswith("power:") for key in instance.resources)
    return VnfOperationalState.STARTED if running else VnfOperationalState.STOPPED


def used_vims(instance: VnfInstance) -> tuple[str, ...]:
    """The VIMs that its resources are on."""
    return tuple(sorted({resource.spec["vim"] for resource in instance.resources.values() if "vim" in resource.spec}))
