"""The one-word state of a VNF for people: what its record and its newest operation say together. Pure."""

from __future__ import annotations

from skerry.model.operations import Operation
from skerry.model.resources import ResourceState
from skerry.model.states import FINAL, InstantiationState, OperationState, VnfOperationalState
from skerry.model.vnf import VnfInstance

SCALING = ("scale", "scale_to_level")


def status(vnf: VnfInstance, newest: Operation | None) -> str:
    """ERROR, NULL (only a record), INITIALIZED (coming up), INACTIVE (stopped), SCALING, ACTIVE, TERMINATED or RESUMING (an
    operation that failed goes on). `newest` is the last operation of the VNF, over or not."""
    if moving := in_motion(newest, failed=vnf.failed):
        return moving
    broken = any(resource.state is ResourceState.FAILED for resource in vnf.resources.values())
    if vnf.failed or (broken and newest is not None and newest.state in FINAL):
        return "ERROR"
    if vnf.instantiation_state is InstantiationState.NOT_INSTANTIATED:
        return resting(newest)
    return "ACTIVE" if vnf.vnf_state is VnfOperationalState.STARTED else "INACTIVE"


def in_motion(newest: Operation | None, *, failed: bool) -> str:
    """The state that an operation under way gives its instance; "" where it gives none."""
    if newest is None or newest.state in FINAL or newest.state is OperationState.FAILED_TEMP:
        return ""
    if failed:
        return "RESUMING"
    verb = newest.kind.split(".", 1)[1]
    if verb in SCALING:
        return "SCALING"
    if verb == "instantiate":
        return "NULL" if newest.state is OperationState.STARTING else "INITIALIZED"
    return ""


def resting(newest: Operation | None) -> str:
    """What an instance without resources is: one that had some, or a mere record."""
    ended = newest is not None and newest.kind.endswith(".terminate") and newest.state is OperationState.COMPLETED
    return "TERMINATED" if ended else "NULL"
