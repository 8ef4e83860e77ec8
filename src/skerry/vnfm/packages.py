"""Which package serves a VNFD."""

from __future__ import annotations

from collections.abc import Sequence

from skerry.errors import ConflictError, InvalidError
from skerry.model.states import OperationalState
from skerry.model.vnf import VnfPkgInfo


def usable(found: Sequence[VnfPkgInfo], vnfd_id: str, tenant: str) -> VnfPkgInfo:
    """The tenant's enabled package of this VNFD. The errors say what is in the way."""
    mine = [info for info in found if info.tenant == tenant]
    if not mine:
        raise InvalidError(f"cannot find a VNF package with VNFD {vnfd_id}", suggestion="onboard its package first")
    enabled = [info for info in mine if info.operational_state is OperationalState.ENABLED]
    if not enabled:
        raise ConflictError(f"cannot use VNF package {mine[0].id}: it is disabled", suggestion="enable it first")
    return enabled[-1]
