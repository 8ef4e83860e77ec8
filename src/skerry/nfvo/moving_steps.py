"""Operations and step handlers with which VNFs move from one NS to another (see `nfvo.moving`)."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any, ClassVar

from skerry.engine.engine import Engine
from skerry.engine.kinds import StepContext
from skerry.errors import ConflictError
from skerry.model.ns import NsInstance
from skerry.model.operations import Operation, Plan, Step
from skerry.model.states import OperationState
from skerry.nfvo import moving
from skerry.nfvo.goal import NsGoal
from skerry.nfvo.operation import NsOperation
from skerry.nfvo.steps import MemberSteps, connections
from skerry.store import aggregates, journal
from skerry.store.database import Transaction


class ReceiveVnfs(NsOperation):
    """Own kind, run for another NS that VNFs leave. Parameters: `from`, that NS; `vnfs`, VNF instance → what its record has of
    it."""

    name: ClassVar[str] = "ns.receive"

    def goal(self, instance: NsInstance, params: Mapping[str, Any]) -> NsGoal:
        return moving.arriving(self.desk, instance, params)

    def rolls_back(self, operation: Operation) -> bool:
        return True

    async def plan(self, operation: Operation) -> Plan:
        return moving.received(await super().plan(operation), operation.params)

    def stepped(self, tx: Transaction, operation: Operation, step: Step, phase: str, result: Mapping[str, Any]) -> None:
        super().stepped(tx, operation, step, phase, result)
        if step.action == "member.receive" and phase == "done":
            moving.take(tx, step.args, operation.subject)
        elif step.action == "member.receive" and phase == "undone":
            moving.give_back(tx, step.args)


class ReleaseVnfs(NsOperation):
    """Own kind: VNFs that were received go home again. Parameters as of `ReceiveVnfs`."""

    name: ClassVar[str] = "ns.release"
    revertible: ClassVar[bool] = False

    def goal(self, instance: NsInstance, params: Mapping[str, Any]) -> NsGoal:
        return moving.returning(instance, params)

    async def plan(self, operation: Operation) -> Plan:
        instance = self.desk.instance(operation.subject)
        return moving.returned(instance, await super().plan(operation), operation.params)

    def stepped(self, tx: Transaction, operation: Operation, step: Step, phase: str, result: Mapping[str, Any]) -> None:
        super().stepped(tx, operation, step, phase, result)
        if step.action == "member.send_back" and phase == "done":
            moving.give_back(tx, step.args)


class MovingSteps:
    """The handlers."""

    def __init__(self, members: MemberSteps) -> None:
        self.members, self.desk = members, members.desk

    def register(self, engine: Engine) -> None:
        for action, handler in (
            ("member.hand_over", self.hand_over),
            ("member.take_home", self.take_home),
            ("member.left", self.left),
            ("member.receive", self.receive),
            ("member.send_back", self.send_back),
        ):
            engine.add_handler(action, handler, waits=True)

    async def hand_over(self, context: StepContext) -> Mapping[str, Any]:
        """Ask the other NS to receive the VNFs, and wait until it has them."""
        operation = await context.child("ns.receive", context.args["target"], _asked(context))
        return {"operation": operation.id}

    async def take_home(self, context: StepContext) -> None:
        """Those that are there come back, and those that were only about to go are connected as before."""
        target, vnfs = context.args["target"], context.args["vnfs"]
        await context.engine.children.revert(context.operation.id, target)
        ns = aggregates.ns_instances.find(self.desk.database, target)
        there = {member.vnf_instance_id for member in ns.members.values()} & vnfs.keys() if ns else set()
        if there or context.engine.children.begun(context, "ns.release"):
            await context.child("ns.release", target, _asked(context))
        for id, origin in vnfs.items():
            if id not in there and self._astray(id, origin["spec"]):
                await context.child("vnf.change_ext_conn", id, {"extVirtualLinks": connections(origin["spec"])}, id)

    def _astray(self, id: str, spec: Mapping[str, Any]) -> bool:
        """Whether a VNF is on other networks than its NS says: it was given up half-way."""
        vnf = aggregates.vnf_instances.find(self.desk.database, id)
        if vnf is None or spec["existing"] or not vnf.resources:
            return False
        on = {(point, link.network) for point, link in vnf.ext_links.items()}
        return not {(entry["cp"], entry["network"]) for entry in spec["links"]} >= on

    async def left(self, context: StepContext) -> None:
        """What the VNF was on may go now: it has left it."""

    async def receive(self, context: StepContext) -> Mapping[str, Any]:
        """Connect a VNF as its new NS says, and tell it what that one's members provide."""
        await self._settle(context, context.operation.subject, context.args["spec"])
        return {"vnf_instance_id": context.args["vnf"]}

    async def send_back(self, context: StepContext) -> None:
        """Connect it as the NS says that it came from."""
        id = context.args["vnf"]
        if context.undoing:
            await self.members.take_back(context, id, "vnf.modify")
            await self.members.take_back(context, id, "vnf.change_ext_conn")
            return
        await self._settle(context, context.args["from"], context.args["origin"]["spec"])

    async def _settle(self, context: StepContext, ns_id: str, spec: Mapping[str, Any]) -> None:
        id = context.args["vnf"]
        if spec["links"] and not spec["existing"]:  # one that was there before keeps its networks
            await context.child("vnf.change_ext_conn", id, {"extVirtualLinks": connections(spec)})
        vnf = self.desk.vnfm.instance(id, tenant=context.operation.tenant)
        given = self.members.given(ns_id, spec)
        if spec["existing"]:
            given = {**vnf.dependencies, **given}
        await self.members.tell(context, id, self.members.values(ns_id, spec, given, known=vnf), given)


async def unwind(engine: Engine, ns_id: str) -> None:
    """Take a move back that is bringing VNFs to this NS."""
    held = journal.holder(engine.database, ns_id)
    if held is None or held.kind not in (ReceiveVnfs.name, ReleaseVnfs.name) or not held.parent:
        return
    with contextlib.suppress(ConflictError):  # it ended meanwhile, or waits for a decision
        await engine.cancel(held.parent, "FORCEFUL")
    ended = await engine.wait(held.parent)
    if ended.state is OperationState.FAILED_TEMP:
        await engine.rollback(ended.id)
        await engine.wait(ended.id)


def _asked(context: StepContext) -> dict[str, Any]:
    return {"from": context.args["from"], "vnfs": context.args["vnfs"]}
