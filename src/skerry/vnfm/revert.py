"""Take back an operation that completed: the VNF becomes again what it was before. The undo of a step that ran it as a part of
something larger (own kind; no request of the standard starts it)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from skerry.errors import ConflictError
from skerry.model.states import OperationState
from skerry.model.vnf import VnfInstance
from skerry.store import journal
from skerry.vnfm.goal import Goal
from skerry.vnfm.operation import VnfOperation


class Revert(VnfOperation):
    """Parameters: `operation`, the one to take back."""

    name: ClassVar[str] = "vnf.revert"
    event: ClassVar[str] = "revert"

    def goal(self, instance: VnfInstance, params: Mapping[str, Any]) -> Goal:
        taken_back = journal.operations.get(self.desk.database, params["operation"])
        if (
            taken_back.subject != instance.id
            or taken_back.plan is None
            or taken_back.state is not OperationState.COMPLETED
        ):
            raise ConflictError(
                f"cannot take back operation {taken_back.id}: it did not change VNF {instance.id}",
                suggestion="name an operation of this VNF that completed",
            )
        return msgspec.convert(taken_back.plan.outcome["before"], Goal)
