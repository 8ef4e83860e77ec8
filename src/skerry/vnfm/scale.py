"""Scale a VNF (SOL003 5.4.5) and scale it to a level (5.4.6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from skerry.model.vnf import VnfInstance
from skerry.vnfm.goal import Goal, check_level, counts_for, current, populate, require_vnfcs, scale_at_level, scaled
from skerry.vnfm.operation import VnfOperation


class Scale(VnfOperation):
    """Parameters: ScaleVnfRequest (5.5.2.5): `type` SCALE_OUT or SCALE_IN, `aspectId`, `numberOfSteps` (1). Scaling in takes
    the newest VNFCs, or those listed in `additionalParams.vnfcInstanceId` first."""

    name: ClassVar[str] = "vnf.scale"
    event: ClassVar[str] = "scale"

    def goal(self, instance: VnfInstance, params: Mapping[str, Any]) -> Goal:
        steps = params.get("numberOfSteps", 1)
        aspect = params["aspectId"]
        now = instance.scale_status.get(aspect, 0)
        level = now + steps if params["type"] == "SCALE_OUT" else now - steps
        named = params.get("additionalParams", {}).get("vnfcInstanceId", ())
        victims = require_vnfcs(instance, named) if named else ()
        return scaled(current(instance), self.desk.flavour(instance), {aspect: level}, victims)


class ScaleToLevel(VnfOperation):
    """Parameters: ScaleVnfToLevelRequest (5.5.2.6): `instantiationLevelId` or `scaleInfo`."""

    name: ClassVar[str] = "vnf.scale_to_level"
    event: ClassVar[str] = "scale_to_level"

    def goal(self, instance: VnfInstance, params: Mapping[str, Any]) -> Goal:
        flavour = self.desk.flavour(instance)
        now = current(instance)
        if wished := params.get("scaleInfo"):
            return scaled(now, flavour, {entry["aspectId"]: entry["scaleLevel"] for entry in wished})
        level = check_level(flavour, params.get("instantiationLevelId", ""))
        status = scale_at_level(flavour, level)
        vnfcs = populate(now.vnfcs, counts_for(flavour, status, level), besides=now.standbys)
        return msgspec.structs.replace(now, level_id=level, scale_status=status, vnfcs=vnfcs)
