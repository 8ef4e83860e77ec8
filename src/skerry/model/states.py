"""States of life-cycle operations and instances: one checked table per specification.

The drawing in the documentation and the property tests are derived from these tables.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping


class OperationState(enum.StrEnum):
    """LcmOperationStateType, SOL003 V3.7.1 clause 5.5.4.3, and NsLcmOpOcc's operationState, SOL005 clause 6.5.4.4."""

    STARTING = "STARTING"
    PROCESSING = "PROCESSING"
    COMPLETED = "COMPLETED"
    PARTIALLY_COMPLETED = "PARTIALLY_COMPLETED"  # SOL005 only
    FAILED_TEMP = "FAILED_TEMP"
    FAILED = "FAILED"
    ROLLING_BACK = "ROLLING_BACK"
    ROLLED_BACK = "ROLLED_BACK"


FINAL = frozenset(
    {OperationState.COMPLETED, OperationState.PARTIALLY_COMPLETED, OperationState.FAILED, OperationState.ROLLED_BACK}
)
"""An operation in one of these states never moves again and no longer holds its instance."""

OPERATION_MOVES: Mapping[OperationState, frozenset[OperationState]] = {
    # clause 5.6.2.2: STARTING ends before anything is changed
    OperationState.STARTING: frozenset(
        {OperationState.PROCESSING, OperationState.ROLLED_BACK, OperationState.FAILED_TEMP}
    ),
    OperationState.PROCESSING: frozenset(
        {
            OperationState.COMPLETED,
            OperationState.PARTIALLY_COMPLETED,
            OperationState.FAILED_TEMP,
            OperationState.FAILED,
        }
    ),
    OperationState.FAILED_TEMP: frozenset(
        {OperationState.PROCESSING, OperationState.ROLLING_BACK, OperationState.FAILED}
    ),
    OperationState.ROLLING_BACK: frozenset({OperationState.ROLLED_BACK, OperationState.FAILED_TEMP}),
    OperationState.COMPLETED: frozenset(),
    OperationState.PARTIALLY_COMPLETED: frozenset(),
    OperationState.FAILED: frozenset(),
    OperationState.ROLLED_BACK: frozenset(),
}


OPERATION_TYPES: Mapping[str, str] = {
    "vnf.modify": "MODIFY_INFO",
    "vnf.migrate": "HEAL",  # own: a VNFC is made again elsewhere
    "vnf.revert": "MODIFY_INFO",  # own: the standard has no word for taking back
    "vnf.change_package": "CHANGE_VNFPKG",
    "ns.receive": "UPDATE",  # own: the part of an update that another NS does
    "ns.release": "UPDATE",
}
"""Kinds of operations whose LcmOperationType is not their own name."""


def lcm_operation_type(kind: str) -> str:
    """LcmOperationType (SOL003 5.5.4.5, SOL005 6.5.4.3) of a kind of operation: `vnf.scale_to_level` -> SCALE_TO_LEVEL."""
    return OPERATION_TYPES.get(kind, kind.partition(".")[2].upper())


class InstantiationState(enum.StrEnum):
    """vnfInstance.instantiationState (SOL003 5.5.2.2) and nsInstance.nsState (SOL005 6.5.2.10)."""

    NOT_INSTANTIATED = "NOT_INSTANTIATED"
    INSTANTIATED = "INSTANTIATED"


class VnfOperationalState(enum.StrEnum):
    """VnfOperationalStateType, SOL003 5.5.4.4."""

    STARTED = "STARTED"
    STOPPED = "STOPPED"


class AppOperationalState(enum.StrEnum):
    """operationalState of InstantiatedAppState, MEC 010-2 V3.1.1 clause 6.2.2.4."""

    STARTED = "STARTED"
    STOPPED = "STOPPED"


APP_MOVES: Mapping[str, Mapping[str, str]] = {
    # clauses 7.4.6 to 7.4.8 of MEC 010-2 V3.1.1: state -> task -> state once the task completed
    "NOT_INSTANTIATED": {"configure": "NOT_INSTANTIATED", "instantiate": "STARTED", "delete": "deleted"},
    "STARTED": {
        "configure": "STARTED",
        "relocate": "STARTED",
        "start": "STARTED",
        "stop": "STOPPED",
        "terminate": "NOT_INSTANTIATED",
    },
    "STOPPED": {
        "configure": "STOPPED",
        "relocate": "STOPPED",
        "start": "STARTED",
        "stop": "STOPPED",
        "terminate": "NOT_INSTANTIATED",
    },
    "deleted": {},
}
"""An application instance: which task is allowed in which state (409 otherwise), and where it leads."""

APP_OPERATION_STATES: Mapping[OperationState, str] = {
    # operationState of AppLcmOpOcc, clause 6.2.2.15: what the standard has no word for is told by the nearest
    OperationState.STARTING: "STARTING",
    OperationState.PROCESSING: "PROCESSING",
    OperationState.COMPLETED: "COMPLETED",
    OperationState.PARTIALLY_COMPLETED: "COMPLETED",
    OperationState.FAILED_TEMP: "FAILED_TEMP",
    OperationState.FAILED: "FAILED",
    OperationState.ROLLING_BACK: "PROCESSING",
    OperationState.ROLLED_BACK: "FAILED",
}


class OnboardingState(enum.StrEnum):
    """PackageOnboardingStateType SOL005 9.5.4.3 and NsdOnboardingStateType 5.5.4.3."""

    CREATED = "CREATED"
    UPLOADING = "UPLOADING"
    PROCESSING = "PROCESSING"
    ONBOARDED = "ONBOARDED"
    ERROR = "ERROR"


class OperationalState(enum.StrEnum):
    """PackageOperationalStateType SOL005 9.5.4.4."""

    ENABLED = "ENABLED"
    DISABLED = "DISABLED"


class UsageState(enum.StrEnum):
    """PackageUsageStateType SOL005 9.5.4.5."""

    IN_USE = "IN_USE"
    NOT_IN_USE = "NOT_IN_USE"


class StepState(enum.StrEnum):
    """States of one step of an operation's plan (own)."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    DONE = "DONE"
    FAILED = "FAILED"
    UNDOING = "UNDOING"
    UNDONE = "UNDONE"


def summary(states: list[str]) -> str:
    """The record state of an NS out of those of its VNFs (row A61): ERROR wins, then the least advanced."""
    order = ("ERROR", "NULL", "INITIALIZED", "TERMINATED", "RESUMING", "SCALING", "INACTIVE", "ACTIVE")
    return min(states, key=order.index) if states else "NULL"
