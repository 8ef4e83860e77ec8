"""Move a micro network function to another VIM with its state (own kind; no request of the standard starts it).

Where it was it stops, and its state handlers are read; where it goes it starts, and they are written before the first packet.
What it carries is in the VNF's record meanwhile: a crash on the way resumes, and a rollback brings it back with its state.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

import msgspec

from skerry.engine.engine import Engine
from skerry.engine.kinds import StepContext
from skerry.errors import ConflictError, Fault, InvalidError, UnsupportedError
from skerry.lvnf.described import SUFFIX
from skerry.model.descriptors import Vdu
from skerry.model.operations import Operation, Plan, Step
from skerry.model.states import OperationState
from skerry.model.time import stamp
from skerry.model.vnf import VnfInstance
from skerry.placement.solve import FUNCTION
from skerry.store.database import Transaction
from skerry.vim.driver import Functions, Handover
from skerry.vnfm.desk import Desk, change
from skerry.vnfm.forms import forms
from skerry.vnfm.goal import Goal, current, require_vnfcs
from skerry.vnfm.instantiate import ext_links
from skerry.vnfm.operation import VnfOperation
from skerry.vnfm.steps import Steps

LEAVE, RETURN, ARRIVE = "function.leave", "function.return", "function.arrive"


class Migrate(VnfOperation):
    """Parameters: `vnfcInstanceId`, the one to move (may be left out where there is one only); `vimId`, where to;
    `extVirtualLinks` for connection points whose networks are not there."""

    name: ClassVar[str] = "vnf.migrate"
    event: ClassVar[str] = "migrate"
    careful: ClassVar[bool] = True

    def goal(self, instance: VnfInstance, params: Mapping[str, Any]) -> Goal:
        vnfc = moved(instance, params)
        target = str(params.get("vimId", ""))
        here = instance.placement.get(vnfc, "")
        if not target or target == here:
            fault = Fault(message=f"{vnfc} is on {here} already" if target else "vimId is missing", path="/vimId")
            raise InvalidError(f"cannot move {vnfc}: {fault.message}", faults=[fault], suggestion="name another VIM")
        if f"power:{vnfc}" not in instance.resources:
            raise ConflictError(f"cannot move {vnfc}: it does not run", suggestion="start the VNF first")
        now = current(instance)
        links = {**now.ext_links, **ext_links(self.desk.flavour(instance), params)}
        self._require_links(instance, vnfc, target, Goal(flavour_id=now.flavour_id, ext_links=links))
        return msgspec.structs.replace(now, ext_links=links, placement={**now.placement, vnfc: target})

    def _require_links(self, instance: VnfInstance, vnfc: str, target: str, goal: Goal) -> None:
        """A network is on one VIM."""
        flavour = self.desk.flavour(instance)
        vdu = next(vdu for vdu, names in instance.everybody.items() if vnfc in names)
        points = [flavour.cps[name].external for name in flavour.vdus[vdu].cps if name in flavour.cps]
        faults = [
            Fault(
                message=f"the connection point {name} is on a network of VIM {goal.ext_links[name].vim}",
                path="/extVirtualLinks",
                code="ext-cp",
                fix=f"give it a network of {target}",
            )
            for name in points
            if name in goal.ext_links and goal.ext_links[name].vim not in ("", target)
        ]
        if faults:
            raise InvalidError(f"cannot move {vnfc} to {target}: {faults[0].message}", faults=faults)

    def possible(self, vdu: Vdu) -> tuple[str, ...]:
        """It stays a function wherever it goes."""
        return tuple(form for form in forms(vdu) if form == FUNCTION)

    async def plan(self, operation: Operation) -> Plan:
        """The usual replacement. The function stops only when all is ready that needs no stop."""
        plan = await super().plan(operation)
        ready = tuple(step.key for step in plan.steps if step.action in ("image.ensure", "network.create"))
        steps = tuple(
            msgspec.structs.replace(step, needs=(*step.needs, *ready)) if step.action == LEAVE else step
            for step in plan.steps
        )
        return msgspec.structs.replace(plan, steps=steps)

    def adjust(self, step: Step, params: Mapping[str, Any]) -> Step:
        if step.action == "power.delete":
            return msgspec.structs.replace(step, action=LEAVE, undo=RETURN)
        return msgspec.structs.replace(step, action=ARRIVE) if step.action == "power.create" else step

    def stepped(self, tx: Transaction, operation: Operation, step: Step, phase: str, result: Mapping[str, Any]) -> None:
        super().stepped(tx, operation, step, phase, result)
        if step.action == LEAVE and phase == "done":
            change(tx, operation.subject, carried={_vnfc(step): dict(result)})

    def moved(self, tx: Transaction, operation: Operation, state: OperationState) -> None:
        super().moved(tx, operation, state)
        if state in (OperationState.COMPLETED, OperationState.ROLLED_BACK, OperationState.FAILED):
            change(tx, operation.subject, carried={})


def moved(instance: VnfInstance, params: Mapping[str, Any]) -> str:
    """The VNFC that is meant, a function."""
    named = params.get("vnfcInstanceId")
    meant = require_vnfcs(instance, [str(named)] if named else ())
    able = [name for name in meant if is_function(instance, name)]
    if len(able) != 1:
        known = ", ".join(able) or "none"
        raise InvalidError(
            f"cannot tell which function of VNF {instance.id} to move",
            suggestion=f"its micro network functions are: {known}",
        )
    return able[0]


def is_function(instance: VnfInstance, vnfc: str) -> bool:
    """Whether a VNFC is a micro network function."""
    made = instance.resources.get(f"compute:{vnfc}")
    return made is not None and str(made.spec.get("image", {}).get("source", "")).endswith(SUFFIX)


def _vnfc(step: Step) -> str:
    return step.resource.removeprefix("power:")


class Moving:
    """The step handlers of a move."""

    def __init__(self, desk: Desk, steps: Steps) -> None:
        self._desk, self._steps = desk, steps

    def register(self, engine: Engine) -> None:
        """Make them known."""
        engine.add_handler(LEAVE, self.leave)
        engine.add_handler(RETURN, self.arrive)
        engine.add_handler(ARRIVE, self.arrive)

    async def leave(self, context: StepContext) -> Mapping[str, Any]:
        """Stop it where it is; what it carries."""
        began = self._desk.clock.now()
        driver, name = await self._driver(context)
        brought = await driver.hand_over(name)
        return {"brought": msgspec.to_builtins(brought), "since": stamp(began)}

    async def arrive(self, context: StepContext) -> Mapping[str, Any]:
        """Start it where it goes, or again where it was, with what it carries."""
        driver, name = await self._driver(context)
        carried = self._desk.instance(context.operation.subject).carried.get(_vnfc(context.step))
        if carried is None:  # it was stopped by a step whose end was not written down: it is still there
            return await self._steps.switch_on(context)
        await self._steps.provide(context)
        shown = await driver.take_over(name, msgspec.convert(carried["brought"], Handover))
        stood = (self._desk.clock.now() - datetime.fromisoformat(carried["since"])).total_seconds() * 1000
        await context.say(f"stood still for {stood:.0f} ms", downtime_ms=round(stood, 1))
        return {"started_at": shown.since, "downtime_ms": round(stood, 1)}

    async def _driver(self, context: StepContext) -> tuple[Functions, str]:
        spec = context.args["spec"]
        driver = await self._desk.vims.driver(spec["vim"])
        if not isinstance(driver, Functions):
            raise UnsupportedError(f"cannot move {spec['compute']}: VIM {spec['vim']} runs no micro network functions")
        return driver, spec["name"]
