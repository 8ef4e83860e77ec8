"""Terminate a VNF (SOL003 5.4.7): stop and remove all that it has. The record stays, to be instantiated again or deleted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from skerry.errors import ConflictError
from skerry.model.operations import Operation, Step
from skerry.model.states import InstantiationState, VnfOperationalState
from skerry.model.vnf import VnfInstance
from skerry.store import aggregates, journal
from skerry.store.database import Transaction
from skerry.vnfm.goal import Goal
from skerry.vnfm.membership import require_alone
from skerry.vnfm.operate import with_grace
from skerry.vnfm.operation import VnfOperation


class Terminate(VnfOperation):
    """Parameters: TerminateVnfRequest (5.5.2.8): `terminationType` GRACEFUL or FORCEFUL, `gracefulTerminationTimeout` in
    seconds. FORCEFUL runs no scripts. Also removes what an instantiation that was given up left behind."""

    name: ClassVar[str] = "vnf.terminate"
    event: ClassVar[str] = "terminate"
    revertible: ClassVar[bool] = False
    forgiving: ClassVar[bool] = True

    def admit(self, tx: Transaction, operation: Operation) -> None:
        instance = aggregates.vnf_instances.get(tx, operation.subject)
        if instance.instantiation_state is not InstantiationState.INSTANTIATED and not instance.resources:
            raise ConflictError(
                f"cannot terminate VNF {instance.id}: it is NOT_INSTANTIATED", suggestion="delete its record instead"
            )
        parent = journal.operations.find(tx, operation.parent) if operation.parent else None
        require_alone(tx, instance, "terminate", within=parent.subject if parent else "")

    def goal(self, instance: VnfInstance, params: Mapping[str, Any]) -> Goal:
        return Goal(
            flavour_id=instance.flavour_id,
            inputs=instance.inputs,
            properties=instance.vnf_configurable_properties,
            dependencies=instance.dependencies,
        )

    def scripted(self, params: Mapping[str, Any]) -> bool:
        return params.get("terminationType") != "FORCEFUL"

    def adjust(self, step: Step, params: Mapping[str, Any]) -> Step:
        how = params.get("terminationType", "GRACEFUL")
        return with_grace(step, how, params.get("gracefulTerminationTimeout"))

    def completed(self, instance: VnfInstance, goal: Goal) -> VnfInstance:
        return msgspec.structs.replace(
            instance,
            instantiation_state=InstantiationState.NOT_INSTANTIATED,
            vnf_state=VnfOperationalState.STOPPED,
            flavour_id="",
            instantiation_level_id="",
            scale_status={},
            max_scale_levels={},
            vnfcs={},
            standbys={},
            placement={},
            ext_links={},
            managed_links={},
            resources={},
            inputs={},
            dependencies={},
            images={},
            unborn=(),
            vim_ids=(),
            failed=False,
        )

    def _events_before(self) -> tuple[str, ...]:
        return ("terminate_start", "terminate")

    def _events_after(self) -> tuple[str, ...]:
        return ()
