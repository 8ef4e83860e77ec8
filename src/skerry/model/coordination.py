"""Coordination of life-cycle operations as recorded (SOL002 clause 10, SOL005 clause 12)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skerry.model.states import OperationState
from skerry.model.vnf import Record

CONTINUE, ABORT = "CONTINUE", "ABORT"
UNDER_WAY = (OperationState.STARTING, OperationState.PROCESSING, OperationState.ROLLING_BACK)


class Coordination(Record, frozen=True, kw_only=True, omit_defaults=True):
    """One coordination action of an operation (`subject` is its VNF or NS; `scope` vnf or ns), and what was decided."""

    scope: str
    subject: str
    operation: str
    operation_type: str
    action: str
    input_params: Mapping[str, Any] = {}
    links: Mapping[str, Any] = {}
    result: str = ""
    warnings: str = ""


def decided(state: OperationState, *, cancelling: bool) -> tuple[str, str]:
    """CONTINUE while the operation is under way and nobody has asked to cancel it; else ABORT. The second value says why."""
    if state not in UNDER_WAY:
        return ABORT, f"the operation is {state}"
    return (ABORT, "the operation is being cancelled") if cancelling else (CONTINUE, "")
