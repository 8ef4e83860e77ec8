"""Modify a VNF's information (SOL003 5.4.3): names, metadata, configurable properties; running VNFCs get the new values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from skerry.model.operations import Operation, Plan
from skerry.model.states import InstantiationState, OperationState
from skerry.model.vnf import VnfInstance
from skerry.store import aggregates
from skerry.store.database import Transaction
from skerry.vnfm.goal import Goal, current
from skerry.vnfm.operation import VnfOperation

WORDS = {"vnfInstanceName": "vnf_instance_name", "vnfInstanceDescription": "vnf_instance_description"}
MAPS = {"metadata": "metadata", "extensions": "extensions"}


class Modify(VnfOperation):
    """Parameters: VnfInfoModificationRequest (5.5.2.12); maps are merged as RFC 7396 says. `dependencies` (own) is what other
    VNFs hand over now: VNFCs that use it restart with it. Allowed in both instantiation states."""

    name: ClassVar[str] = "vnf.modify"
    event: ClassVar[str] = "modify_information"

    def admit(self, tx: Transaction, operation: Operation) -> None:
        aggregates.vnf_instances.get(tx, operation.subject)

    def goal(self, instance: VnfInstance, params: Mapping[str, Any]) -> Goal:
        now = current(instance)
        return msgspec.structs.replace(
            now,
            properties=merged(now.properties, params.get("vnfConfigurableProperties", {})),
            dependencies=params.get("dependencies", now.dependencies),
        )

    async def plan(self, operation: Operation) -> Plan:
        instance = self.desk.instance(operation.subject)
        if instance.instantiation_state is InstantiationState.INSTANTIATED:
            plan = await super().plan(operation)
        else:
            goal = msgspec.to_builtins(self.goal(instance, operation.params))
            plan = Plan(outcome={"goal": goal, "before": msgspec.to_builtins(current(instance))})
        return msgspec.structs.replace(plan, outcome={**plan.outcome, "named": names(instance)})

    def moved(self, tx: Transaction, operation: Operation, state: OperationState) -> None:
        super().moved(tx, operation, state)
        if state is OperationState.COMPLETED:
            aggregates.vnf_instances.change(tx, operation.subject, lambda doc: renamed(doc, operation.params))


def names(instance: VnfInstance) -> dict[str, Any]:
    """What a modification may change besides the goal, as it is now."""
    return {field: getattr(instance, field) for field in (*WORDS.values(), *MAPS.values())}


def renamed(instance: VnfInstance, params: Mapping[str, Any]) -> VnfInstance:
    """The record with the request's names and maps."""
    fields: dict[str, Any] = {field: params[word] for word, field in WORDS.items() if word in params}
    for word, field in MAPS.items():
        if word in params:
            fields[field] = merged(getattr(instance, field), params[word])
    return msgspec.structs.replace(instance, **fields)


def merged(target: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """JSON merge patch (RFC 7396)."""
    result = dict(target)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, Mapping):
            inner = result.get(name)
            result[name] = merged(inner if isinstance(inner, Mapping) else {}, value)
        else:
            result[name] = value
    return result
