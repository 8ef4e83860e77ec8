"""What a broken compute resource means as the cause of an alarm. Pure."""

from __future__ import annotations

from skerry.model.alarms import Cause, EventType, Severity
from skerry.vim.driver import Compute, ComputeState


def cause_of(compute: Compute | None, trouble: str, *, last: bool) -> Cause:
    """The cause; `trouble` says in words what was found, `last`: no other VNFC of the VNF works."""
    if compute is None:
        event_type, fault_type = EventType.EQUIPMENT_ALARM, "COMPUTE_GONE"
    elif compute.state is ComputeState.FAILED:
        event_type, fault_type = EventType.PROCESSING_ERROR_ALARM, "COMPUTE_FAILED"
    else:
        event_type, fault_type = EventType.PROCESSING_ERROR_ALARM, "COMPUTE_NOT_RUNNING"
    severity = Severity.CRITICAL if last else Severity.MAJOR
    return Cause(event_type=event_type, fault_type=fault_type, probable_cause=trouble, severity=severity)


def cause_on_record(*, last: bool) -> Cause:
    """The cause where the record alone tells that a VNFC is broken; `last` as above."""
    return Cause(
        event_type=EventType.PROCESSING_ERROR_ALARM,
        fault_type="COMPUTE_FAILED",
        probable_cause="it is recorded as failed",
        severity=Severity.CRITICAL if last else Severity.MAJOR,
    )


HOST_IS_LOST = Cause(
    event_type=EventType.COMMUNICATIONS_ALARM,
    fault_type="HOST_LOST",
    probable_cause="its heartbeats are missing",
    severity=Severity.CRITICAL,
)
"""The cause where a host that runs functions for this node does not answer any more."""

SERVICE_IS_DOWN = Cause(
    event_type=EventType.PROCESSING_ERROR_ALARM,
    fault_type="SERVICE_DOWN",
    probable_cause="its service is down",
    severity=Severity.CRITICAL,
)
"""The cause where all resources work and the VNF, its EM or a script of its package says that the service does not."""
