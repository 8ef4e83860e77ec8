"""Terminate an NS (SOL005 6.4.8): its VNFs, nested NSs and virtual links go, those that existed before it stay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from skerry.errors import ConflictError
from skerry.model.ns import NsInstance
from skerry.model.operations import Operation, Step
from skerry.model.states import InstantiationState
from skerry.nfvo import nested
from skerry.nfvo.goal import NsGoal
from skerry.nfvo.nesting import require_alone
from skerry.nfvo.operation import NsOperation, member_named
from skerry.nfvo.requested import terminations
from skerry.store import aggregates, journal
from skerry.store.database import Transaction


class TerminateNs(NsOperation):
    """Parameters: TerminateNsRequest (6.5.2.15); own keys in `additionalParams`: `terminationType` GRACEFUL or FORCEFUL and
    `gracefulTerminationTimeout` (seconds) for the VNFs that `terminateVnfData` says nothing of. Also removes what an
    instantiation that was given up left behind."""

    name: ClassVar[str] = "ns.terminate"
    revertible: ClassVar[bool] = False
    ends: ClassVar[bool] = True

    def admit(self, tx: Transaction, operation: Operation) -> None:
        instance = aggregates.ns_instances.get(tx, operation.subject)
        parent = journal.operations.find(tx, operation.parent) if operation.parent else None
        require_alone(instance, "terminate", within=parent.subject if parent else "")
        nested.require_unshared(self.desk, instance, self.goal(instance, operation.params))
        if instance.ns_state is not InstantiationState.INSTANTIATED and not instance.resources:
            raise ConflictError(
                f"cannot terminate NS {instance.id}: it is NOT_INSTANTIATED", suggestion="delete its record instead"
            )
        for id in terminations(operation.params):
            member_named(instance, id)

    def goal(self, instance: NsInstance, params: Mapping[str, Any]) -> NsGoal:
        return NsGoal(flavour_id=instance.flavour_id, inputs=instance.inputs)

    def adjust(self, step: Step, params: Mapping[str, Any]) -> Step:
        if step.action not in ("member.delete", "nested.delete"):
            return step
        given = params.get("additionalParams", {})
        own = terminations(params).get(str(step.args.get("outputs", {}).get("vnf_instance_id", "")))
        how: dict[str, Any] = own or {"terminationType": given.get("terminationType", "GRACEFUL")}
        grace = how.get("gracefulTerminationTimeout") if own else given.get("gracefulTerminationTimeout")
        if grace is not None:
            how["gracefulTerminationTimeout"] = grace
        limit = 3600.0 + float(grace or 0.0)
        return msgspec.structs.replace(step, args={**step.args, "terminate": how}, timeout_s=limit)

    def completed(self, instance: NsInstance, goal: NsGoal) -> NsInstance:
        return msgspec.structs.replace(
            instance,
            ns_state=InstantiationState.NOT_INSTANTIATED,
            flavour_id="",
            level_id="",
            scale_status={},
            counts={},
            members={},
            nested={},
            kept=None,
            nested_params={},
            joined={},
            placement={},
            inputs={},
            properties={},
            told={},
            affinity=(),
            vnffgs=None,
            saps=None,
            steered={},
            wan={},
            resources={},
            failed=False,
        )
