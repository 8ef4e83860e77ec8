"""Operations whose requests have `extensions` for the VNF's record."""

from __future__ import annotations

from skerry.model.operations import Operation
from skerry.model.states import OperationState
from skerry.store import aggregates
from skerry.store.database import Transaction
from skerry.vnfm.modify import renamed
from skerry.vnfm.operation import VnfOperation


class ExtendingOperation(VnfOperation):
    """Merges `extensions` of its request into the record (RFC 7396), once it is complete."""

    def moved(self, tx: Transaction, operation: Operation, state: OperationState) -> None:
        super().moved(tx, operation, state)
        extensions = operation.params.get("extensions")
        if extensions and state is OperationState.COMPLETED:
            aggregates.vnf_instances.change(tx, operation.subject, lambda doc: renamed(doc, {"extensions": extensions}))
