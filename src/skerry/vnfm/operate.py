"""Start or stop a VNF or some of its VNFCs (SOL003 5.4.9). Addresses and records stay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from skerry.model.operations import Step
from skerry.model.vnf import VnfInstance
from skerry.vnfm.goal import Goal, current, require_vnfcs
from skerry.vnfm.observe import broken
from skerry.vnfm.operation import VnfOperation


class Operate(VnfOperation):
    """Parameters: OperateVnfRequest (5.5.2.10): `changeStateTo` STARTED or STOPPED, `vnfcInstanceId`, `stopType` GRACEFUL or
    FORCEFUL, `gracefulStopTimeout` in seconds. Starting replaces VNFCs whose program ended badly."""

    name: ClassVar[str] = "vnf.operate"
    event: ClassVar[str] = "operate"

    def goal(self, instance: VnfInstance, params: Mapping[str, Any]) -> Goal:
        now = current(instance)
        meant = set(require_vnfcs(instance, params.get("vnfcInstanceId", ())))
        stop = params["changeStateTo"] == "STOPPED"
        stopped = set(now.stopped) | meant if stop else set(now.stopped) - meant
        return msgspec.structs.replace(now, stopped=tuple(sorted(stopped)))

    async def force(self, instance: VnfInstance, params: Mapping[str, Any]) -> set[str]:
        if params["changeStateTo"] == "STOPPED":
            return set()
        meant = require_vnfcs(instance, params.get("vnfcInstanceId", ()))
        return {f"compute:{vnfc}" for vnfc in await broken(self.desk.vims, instance, running=False) if vnfc in meant}

    def adjust(self, step: Step, params: Mapping[str, Any]) -> Step:
        return with_grace(step, params.get("stopType", "GRACEFUL"), params.get("gracefulStopTimeout"))


def with_grace(step: Step, how: str, timeout_s: float | None) -> Step:
    """A stop step with the grace time that was asked for: none for FORCEFUL, the descriptor's own by default."""
    if step.action != "power.delete":
        return step
    grace = 0.0 if how == "FORCEFUL" else timeout_s
    limit = max(step.timeout_s, (grace or 0.0) + 60.0)
    return msgspec.structs.replace(step, args={**step.args, "grace_s": grace}, timeout_s=limit)
