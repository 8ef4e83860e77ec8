"""Step handlers for nested network services: made, changed and removed by child operations of the NFVO itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from skerry.engine.children import derive
from skerry.engine.engine import Engine
from skerry.engine.kinds import StepContext
from skerry.errors import ConflictError
from skerry.model.ns import NsInstance
from skerry.model.states import InstantiationState, OperationState
from skerry.nfvo import nested
from skerry.nfvo.desk import NsDesk
from skerry.nfvo.goal import flavour_of
from skerry.nfvo.joining import inner_links
from skerry.store import aggregates, journal


class Records(Protocol):
    """Makes and deletes records of NSs."""

    async def create(
        self, nsd_id: str, *, name: str = "", description: str = "", tenant: str = "", id: str = "", within: str = ""
    ) -> NsInstance: ...

    async def delete(self, id: str, *, tenant: str = "", within: str = "") -> None: ...


class NestedSteps:
    """The handlers, bound to their desk."""

    def __init__(self, desk: NsDesk, records: Records) -> None:
        self.desk, self.records = desk, records

    def register(self, engine: Engine) -> None:
        for action, handler in (
            ("nested.create", self.create),
            ("nested.delete", self.delete),
            ("nested.run", self.run),
            ("nested.revert", self.revert),
        ):
            engine.add_handler(action, handler, waits=True)

    async def create(self, context: StepContext) -> Mapping[str, Any]:
        """Take an NS in, or make one and instantiate it."""
        ns = self.desk.instance(context.operation.subject)
        spec, name = context.args["spec"], context.step.resource.removeprefix(nested.PREFIX)
        if spec["existing"]:
            self._require_there(ns, spec["existing"])
            return {"ns_instance_id": spec["existing"]}
        id = derive(ns.id, name)
        if context.undoing:
            await self._end_termination(context, id)
        label = f"{ns.ns_instance_name or ns.id[:8]}-{name}"
        inner = await self.records.create(spec["nsd_id"], name=label, tenant=ns.tenant, id=id, within=ns.id)
        if inner.ns_state is InstantiationState.NOT_INSTANTIATED:
            request = self._request(ns, inner, spec)
            await context.child("ns.instantiate", id, request, undone=True)
        return {"ns_instance_id": id}

    def _request(self, ns: NsInstance, inner: NsInstance, spec: Mapping[str, Any]) -> dict[str, Any]:
        """The InstantiateNsRequest of a nested NS. `joinedLinks`, which no client can send, says where links of it are."""
        request: dict[str, Any] = {"nsFlavourId": spec["flavour_id"], "additionalParamsForNs": spec["params"]}
        if spec["level_id"]:
            request["nsInstantiationLevelId"] = spec["level_id"]
        if outside := spec.get("links"):
            profile = self.desk.flavour(ns).nested_profiles[spec["profile"]]
            flavour = flavour_of(self.desk.descriptor(inner.nsd_info_id, {}), spec["flavour_id"])
            links = {id: outside[link] for id, link in inner_links(profile, flavour).items()}
            places = {"*": next(iter(outside.values()))["vim"], **spec["params"].get("placement", {})}
            request |= {"joinedLinks": links, "additionalParamsForNs": {**spec["params"], "placement": places}}
        return request

    def _require_there(self, ns: NsInstance, id: str) -> None:
        """What was so when the operation was asked for may have changed until its NS was marked as used."""
        inner = aggregates.ns_instances.get(self.desk.database, id, tenant=ns.tenant)
        held = journal.holder(self.desk.database, id)
        leaves = held is not None and held.kind == "ns.terminate"
        if leaves or inner.ns_state is not InstantiationState.INSTANTIATED:
            raise ConflictError(f"cannot nest NS {id}: it is terminated", suggestion="roll back, and name another")
        if circle := nested.cycle(self.desk, ns.id, inner):
            raise ConflictError(f"cannot nest NS {id} in itself: {' -> '.join(circle)}", suggestion="roll back")

    async def delete(self, context: StepContext) -> None:
        """Let an NS go that was there before; terminate and delete one that was made."""
        ns = self.desk.instance(context.operation.subject)
        if context.args["spec"]["existing"]:
            return
        id = derive(ns.id, context.step.resource.removeprefix(nested.PREFIX))
        if aggregates.ns_instances.find(self.desk.database, id) is None:
            return
        await context.engine.children.release(id, keep="" if context.undoing else context.operation.id)
        inner = self.desk.instance(id)
        if inner.ns_state is InstantiationState.INSTANTIATED or inner.resources:
            how = context.args.get("terminate", {})
            await context.child("ns.terminate", id, {"additionalParams": how} if how else {}, undone=True)
        await self.records.delete(id, tenant=ns.tenant, within=ns.id)

    async def run(self, context: StepContext) -> Mapping[str, Any]:
        """Run one NS operation on a nested NS."""
        operation = await context.child(context.args["kind"], context.args["ns"], context.args["params"])
        return {"operation": operation.id}

    async def revert(self, context: StepContext) -> None:
        """Roll back an operation on a nested NS that stopped half-way."""
        await context.engine.children.revert(context.operation.id, context.args["ns"])

    async def _end_termination(self, context: StepContext, id: str) -> None:
        """A termination that is undone half-way is brought to its end, so that the NS can be made anew."""
        await context.engine.children.revert(context.operation.id, id)
        newest = context.engine.newest(id)
        if newest is None or newest.parent != context.operation.id or newest.kind != "ns.terminate":
            return
        if newest.state is OperationState.FAILED and newest.plan is not None:
            forced = {"additionalParams": {"terminationType": "FORCEFUL"}}
            await context.child("ns.terminate", id, forced, name="rest")
