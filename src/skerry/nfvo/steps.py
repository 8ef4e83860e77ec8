"""Step handlers of the NFVO: member VNFs are made and changed by child operations of the VNFM."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from skerry.engine.engine import Engine
from skerry.engine.kinds import StepContext
from skerry.errors import InvalidError, NotFoundError
from skerry.model.descriptors import VnfDependency
from skerry.model.pnfs import pnfs_of, values
from skerry.model.states import InstantiationState, OperationState
from skerry.model.vnf import VnfInstance
from skerry.nfvo.consequences import member_label
from skerry.nfvo.dependencies import handed
from skerry.nfvo.desk import NsDesk
from skerry.nfvo.moving import identity
from skerry.nfvo.redesign import BECOMING, becoming
from skerry.nfvo.requested import terminations
from skerry.packages.functions import evaluate, has_function, resolve
from skerry.store import aggregates
from skerry.vnfm.goal import flavour_of
from skerry.vnfm.values import provided


class MemberSteps:
    """The handlers, bound to their desk."""

    def __init__(self, desk: NsDesk) -> None:
        self.desk = desk

    def register(self, engine: Engine) -> None:
        for action, handler in (
            ("member.create", self.create),
            ("member.update", self.update),
            ("member.delete", self.delete),
            ("member.configure", self.configure),
            ("member.run", self.run),
            ("member.revert", self.revert),
            ("member.forget_snapshot", self.forget_snapshot),
        ):
            engine.add_handler(action, handler, waits=True)

    async def create(self, context: StepContext) -> Mapping[str, Any]:
        spec = context.args["spec"]
        name = context.step.resource.removeprefix("vnf:")
        given = self.given(context.operation.subject, spec)
        values = self.values(context.operation.subject, spec, given)
        if spec["existing"]:
            id = spec["existing"]
            vnf = self.desk.vnfm.instance(id, tenant=context.operation.tenant)
            await self.tell(context, id, values, {**vnf.dependencies, **given})
            return {"vnf_instance_id": id}
        ns = self.desk.instance(context.operation.subject)
        id = identity(ns.id, name, spec)
        told = spec.get("told", {})
        label = member_label(ns, name, told)
        if context.undoing:
            await self._end_termination(context, id)
        vnf = await self.desk.vnfm.create(
            spec["vnfd_id"],
            name=label,
            description=told.get("vnfInstanceDescription", ""),
            metadata=told.get("metadata"),
            tenant=ns.tenant,
            id=id,
            ns_id=ns.id,
        )
        if vnf.instantiation_state is InstantiationState.NOT_INSTANTIATED:
            await context.child("vnf.instantiate", id, self._request(vnf, spec, values, given), undone=True)
        return {"vnf_instance_id": id}

    def _request(
        self, vnf: VnfInstance, spec: Mapping[str, Any], values: Mapping[str, Any], given: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The InstantiateVnfRequest of a member."""
        vnfd = self.desk.vnfd(vnf.vnfd_id, vnf.tenant)
        flavour = flavour_of(vnfd, spec["flavour_id"])
        request: dict[str, Any] = {
            "flavourId": flavour.id,
            "extVirtualLinks": connections(spec),
            "vnfConfigurableProperties": {k: v for k, v in values.items() if k not in flavour.inputs},
            "additionalParams": {
                "inputs": {k: v for k, v in values.items() if k in flavour.inputs},
                "placement": spec["placement"],
                "dependencies": given,
            },
        }
        if spec.get("ssh_keys"):
            request["additionalParams"]["sshKeys"] = spec["ssh_keys"]
        if extensions := spec.get("told", {}).get("extensions"):
            request["extensions"] = extensions
        if spec["level_id"]:
            request["instantiationLevelId"] = spec["level_id"]
        return request

    async def forget_snapshot(self, context: StepContext) -> None:
        """Remove a snapshot of a member with its images; one that is gone is as wished."""
        tenant, id = context.operation.tenant, context.args["snapshot"]
        try:
            info = self.desk.vnfm.snapshots.get(id, tenant=tenant)
        except NotFoundError:
            return
        if info.vnf_instance_id != context.args["vnf"]:
            raise InvalidError(
                f"cannot delete VNF snapshot {id}: it is of VNF {info.vnf_instance_id}", suggestion="name that VNF"
            )
        await self.desk.vnfm.snapshots.delete(id, tenant=tenant)

    async def update(self, context: StepContext) -> Mapping[str, Any]:
        ns_id = context.operation.subject
        spec = context.args["spec"]
        member = self.desk.instance(ns_id).members[context.step.resource.removeprefix("vnf:")]
        if context.undoing:
            for kind in ("vnf.modify", *BECOMING):
                await self.take_back(context, member.vnf_instance_id, kind)
            return {}
        await self._become(context, member.vnf_instance_id)
        given = self.given(ns_id, spec)
        vnf = self.desk.vnfm.instance(member.vnf_instance_id, tenant=context.operation.tenant)
        if spec["existing"]:
            given = {**vnf.dependencies, **given}
        await self.tell(context, vnf.id, self.values(ns_id, spec, given, known=vnf), given)
        return {}

    async def _become(self, context: StepContext, id: str) -> None:
        """Make of the VNF what the descriptor says now; nothing where it is that already."""
        kind, request = becoming(context.args["previous"], context.args["spec"])
        vnf = self.desk.vnfm.instance(id, tenant=context.operation.tenant)
        if kind == "vnf.change_flavour" and not context.engine.children.begun(context, kind):
            vnfd = self.desk.vnfm.desk.descriptor(vnf.vnf_pkg_id, vnf.inputs)
            kind = "" if flavour_of(vnfd, request["newFlavourId"]).id == vnf.flavour_id else kind
        if kind:
            await context.child(kind, id, request)

    async def configure(self, context: StepContext) -> Mapping[str, Any]:
        """Tell a member what its sources provide now; nothing happens when it knows."""
        ns = self.desk.instance(context.operation.subject)
        name = context.args["member"]
        member = ns.members[name]
        spec = ns.resources[f"vnf:{name}"].spec
        vnf = aggregates.vnf_instances.get(self.desk.database, member.vnf_instance_id)
        given = self.given(ns.id, spec)
        if spec["existing"]:
            given = {**vnf.dependencies, **given}
        values = self.values(ns.id, spec, given, known=vnf)
        known = {k: vnf.vnf_configurable_properties.get(k, vnf.inputs.get(k)) for k in values}
        begun = context.engine.children.begun(context, "vnf.modify")
        if begun or given != vnf.dependencies or known != values:
            await self.tell(context, vnf.id, values, given)
        return {}

    async def delete(self, context: StepContext) -> None:
        ns = self.desk.instance(context.operation.subject)
        spec = context.args["spec"]
        name = context.step.resource.removeprefix("vnf:")
        id = identity(ns.id, name, spec)
        vnf = aggregates.vnf_instances.find(self.desk.database, id)
        if spec["existing"] and context.undoing:
            await self.take_back(context, spec["existing"], "vnf.modify")
        elsewhere = vnf is not None and "vnf_id" in spec and vnf.ns_id != ns.id  # it was to come, and has not
        if vnf is None or spec["existing"] or elsewhere:
            return
        await context.engine.children.release(id, keep="" if context.undoing else context.operation.id)
        vnf = self.desk.vnfm.instance(id, tenant=ns.tenant)
        if vnf.instantiation_state is InstantiationState.INSTANTIATED or vnf.resources:
            asked = terminations(context.operation.params).get(id, {"terminationType": "GRACEFUL"})
            how = context.args.get("terminate", asked)
            await context.child("vnf.terminate", id, how, undone=True)
        await self.desk.vnfm.delete(id, tenant=ns.tenant)

    async def run(self, context: StepContext) -> Mapping[str, Any]:
        """Run one VNF operation on a member."""
        operation = await context.child(context.args["kind"], context.args["vnf"], context.args["params"])
        return {"operation": operation.id}

    async def revert(self, context: StepContext) -> None:
        """Undo an operation on a member: roll it back where it stopped half-way, take it back where it completed."""
        member = self.desk.instance(context.operation.subject).members.get(context.args.get("member", ""))
        id = member.vnf_instance_id if member else context.args.get("vnf", "")
        if id:
            await self.take_back(context, id, context.args["kind"])

    async def take_back(self, context: StepContext, id: str, kind: str) -> None:
        children = context.engine.children
        await children.revert(context.operation.id, id)
        for child in children.effective(context.operation.id, id, kind):
            await context.child("vnf.revert", id, {"operation": child.id}, name=child.id)

    async def _end_termination(self, context: StepContext, id: str) -> None:
        """A termination that is undone half-way is brought to its end, so that the member can be made anew."""
        await context.engine.children.revert(context.operation.id, id)
        newest = next(reversed(context.engine.operations(subject=id)), None)
        if newest is None or newest.parent != context.operation.id or newest.kind != "vnf.terminate":
            return
        if newest.state is OperationState.FAILED and newest.plan is not None:
            await context.child("vnf.terminate", id, {"terminationType": "FORCEFUL"}, name="rest")

    async def tell(self, context: StepContext, id: str, values: Mapping[str, Any], given: Mapping[str, Any]) -> None:
        await context.child("vnf.modify", id, {"vnfConfigurableProperties": values, "dependencies": given})

    def given(self, ns_id: str, spec: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
        """Source profile → values that it hands over, as they are now."""
        pairs = [msgspec.convert(pair, VnfDependency) for pair in spec["depends"]]
        return {pair.source: handed(pair, self._provided(ns_id, pair.source)) for pair in pairs}

    def _provided(self, ns_id: str, profile: str) -> list[dict[str, Any]]:
        ns = self.desk.instance(ns_id)
        offers = [values(pnf) for pnf in pnfs_of(ns.resources).values() if pnf.profile == profile]
        for member in ns.members.values():
            vnf = aggregates.vnf_instances.find(self.desk.database, member.vnf_instance_id)
            if member.profile == profile and vnf is not None and vnf.vnfcs:
                vnfd = self.desk.vnfm.desk.descriptor(vnf.vnf_pkg_id, vnf.inputs)
                offers.append(provided(vnf, vnfd, flavour_of(vnfd, vnf.flavour_id)))
        return offers

    def values(
        self, ns_id: str, spec: Mapping[str, Any], given: Mapping[str, Any], known: VnfInstance | None = None
    ) -> dict[str, Any]:
        """The member's values with every function answered. Of a VNF that is there (`known`) what cannot be answered any more
        (its source has gone) stays as it is."""
        ns = self.desk.instance(ns_id)

        def lookup(function: str, path: tuple[Any, ...]) -> Any:
            if function == "get_input":
                return _input(ns.inputs, self.desk.flavour(ns).inputs, str(path[0]))
            node, *rest = [str(part) for part in path]
            offers = self._provided(ns_id, node)
            for source in ([given[node]] if node in given else []) + offers[:1]:
                for name in (rest[-1] if rest else "", *rest):
                    if name in source:
                        return source[name]
            raise LookupError(function)

        if known is None:
            answered: dict[str, Any] = resolve(dict(spec["values"]), lookup)
            return answered
        tried = {name: evaluate(value, lookup) for name, value in spec["values"].items()}
        return {name: value for name, value in tried.items() if not has_function(value)}


def connections(spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Where a member's connection points are, as ExtVirtualLinkData."""
    return [
        {
            "id": entry["link"],
            "resourceId": entry["network"],
            "vimConnectionId": entry["vim"],
            "extCps": [{"cpdId": entry["cp"]}],
            **{name: entry[name] for name in ("dns", "maxBitrate", "steered") if name in entry},
        }
        for entry in spec["links"]
    ]


def _input(inputs: Mapping[str, Any], declared: Mapping[str, Any], name: str) -> Any:
    if name in inputs:
        return inputs[name]
    if name in declared and declared[name].default is not None:
        return declared[name].default
    raise LookupError(name)
