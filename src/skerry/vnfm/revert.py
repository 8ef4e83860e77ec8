"""Take back an operation that completed or was given up: the VNF becomes again what it was before. The undo of a step that ran
it as a part of something larger (own kind; no request of the standard starts it)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from skerry.errors import ConflictError
from skerry.model.operations import Operation
from skerry.model.states import OperationState
from skerry.model.vnf import VnfInstance
from skerry.store import journal
from skerry.store.database import Transaction
from skerry.vnfm.desk import change
from skerry.vnfm.goal import Goal
from skerry.vnfm.operation import VnfOperation

TAKEN_BACK = frozenset({OperationState.COMPLETED, OperationState.FAILED})


class Revert(VnfOperation):
    """Parameters: `operation`, the one to take back."""

    name: ClassVar[str] = "vnf.revert"
    event: ClassVar[str] = "revert"

    def goal(self, instance: VnfInstance, params: Mapping[str, Any]) -> Goal:
        taken_back = journal.operations.get(self.desk.database, params["operation"])
        if taken_back.subject != instance.id or taken_back.plan is None or taken_back.state not in TAKEN_BACK:
            raise ConflictError(
                f"cannot take back operation {taken_back.id}: it did not change VNF {instance.id}",
                suggestion="name an operation of this VNF that completed or was given up",
            )
        return msgspec.convert(taken_back.plan.outcome["before"], Goal)

    def moved(self, tx: Transaction, operation: Operation, state: OperationState) -> None:
        """Names are no part of a goal: they are put back at the end."""
        super().moved(tx, operation, state)
        if state is OperationState.COMPLETED:
            taken_back = journal.operations.get(tx, operation.params["operation"])
            named = taken_back.plan.outcome.get("named", {}) if taken_back.plan else {}
            change(tx, operation.subject, **named)
