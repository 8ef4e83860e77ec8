"""The one-word state of an NS for people: its own, and the least of those of its members. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from skerry.model.ns import NsInstance
from skerry.model.operations import Operation
from skerry.model.states import InstantiationState, summary
from skerry.vnfm.status import in_motion, resting


def status(ns: NsInstance, newest: Operation | None, members: Sequence[str]) -> str:
    """As `skerry.vnfm.status.status`; `members` are the states of its VNFs. One VNF in ERROR makes the NS so."""
    if moving := in_motion(newest, failed=ns.failed):
        return moving
    if ns.failed or "ERROR" in members:
        return "ERROR"
    if ns.ns_state is InstantiationState.NOT_INSTANTIATED:
        return resting(newest)
    return summary(list(members)) if members else "ACTIVE"
