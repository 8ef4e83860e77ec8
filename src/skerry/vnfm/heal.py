"""Heal a VNF (SOL003 5.4.8): replace VNFCs that are broken, keeping their addresses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from skerry.model.vnf import VnfInstance
from skerry.vnfm.goal import Goal, current, require_vnfcs, stand_ins, switched
from skerry.vnfm.observe import broken, failed_vnfcs
from skerry.vnfm.operation import VnfOperation


class Heal(VnfOperation):
    """Parameters: HealVnfRequest (5.5.2.9): `vnfcInstanceId` names VNFCs to replace in any case; without it those that are
    found broken are replaced, or all of them when none is. `cause` is kept with the operation and told to its scripts. Own
    key in `additionalParams`: `replace`; false: only the scripts run.

    A VNFC that runs no more changes roles with a standby of its VDU: the standby starts, and what is made anew stands by."""

    name: ClassVar[str] = "vnf.heal"
    event: ClassVar[str] = "heal"
    forgiving: ClassVar[bool] = True

    def goal(self, instance: VnfInstance, params: Mapping[str, Any]) -> Goal:
        meant = require_vnfcs(instance, params.get("vnfcInstanceId", ()))
        if not _replaces(params):
            return current(instance)
        bad = meant if params.get("vnfcInstanceId") else failed_vnfcs(instance.resources)
        return switched(current(instance), stand_ins(instance, bad))

    async def force(self, instance: VnfInstance, params: Mapping[str, Any]) -> set[str]:
        if not _replaces(params):
            return set()
        named = params.get("vnfcInstanceId", ())
        meant = require_vnfcs(instance, named) if named else await broken(self.desk.vims, instance)
        return {f"compute:{vnfc}" for vnfc in meant or require_vnfcs(instance, ())}


def _replaces(params: Mapping[str, Any]) -> bool:
    return params.get("additionalParams", {}).get("replace") not in (False, "false")
