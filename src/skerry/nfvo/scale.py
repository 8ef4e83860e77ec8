"""Scale an NS (SOL005 6.4.5): members come and go, or members themselves are scaled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from skerry.errors import Fault, InvalidError
from skerry.model.descriptors import NsDeploymentFlavour
from skerry.model.ns import NsInstance
from skerry.model.operations import Step
from skerry.nfvo import nested
from skerry.nfvo.goal import NsGoal, counts_at, current, grown, scaled
from skerry.nfvo.operation import NsOperation, member_named, member_step
from skerry.nfvo.requested import adopted, fresh, leaving_first, said, with_said


class ScaleNs(NsOperation):
    """Parameters: ScaleNsRequest (6.5.2.14): `scaleType` SCALE_NS with `scaleNsData` or SCALE_VNF with `scaleVnfData`.
    Of `scaleNsData`: existing VNFs take the places of some that would be made, named ones go before others, and what is said
    of VNFs and nested NSs is of those that are made."""

    name: ClassVar[str] = "ns.scale"

    def goal(self, instance: NsInstance, params: Mapping[str, Any]) -> NsGoal:
        goal = current(instance)
        if params["scaleType"] == "SCALE_VNF":
            for entry in params.get("scaleVnfData", ()):
                member_named(instance, entry["vnfInstanceId"])
            return goal
        flavour = self.desk.flavour(instance)
        data = params.get("scaleNsData", {})
        at = "/scaleNsData/vnfInstanceToBe"
        named = [member_named(instance, id) for id in data.get("vnfInstanceToBeRemoved", ())]
        after = leaving_first(goal, _sized(goal, flavour, instance, data), named, f"{at}Removed")
        entries, where = data.get("additionalParamForVnf", ()), "/scaleNsData/additionalParamsForVnf"
        what = said(flavour, entries, fresh(goal, after), at=where)
        after = with_said(goal, after, what, data.get("placement"))
        nested.require_profiles(flavour, data)
        after = msgspec.structs.replace(after, nested_params={**after.nested_params, **nested.parameters(data)})
        return adopted(goal, after, data.get("vnfInstanceToBeAdded", ()), f"{at}Added")

    async def besides(self, instance: NsInstance, params: Mapping[str, Any]) -> list[Step]:
        if params["scaleType"] != "SCALE_VNF":
            return []
        return [_scale_step(instance, entry) for entry in params.get("scaleVnfData", ())]


def _sized(goal: NsGoal, flavour: NsDeploymentFlavour, instance: NsInstance, data: Mapping[str, Any]) -> NsGoal:
    """The goal at the level that ScaleNsData asks for."""
    if by_steps := data.get("scaleNsByStepsData"):
        aspect = by_steps["aspectId"]
        count = by_steps.get("numberOfSteps", 1)
        change = count if by_steps["scalingDirection"] == "SCALE_OUT" else -count
        return scaled(goal, flavour, aspect, instance.scale_status.get(aspect, 0) + change)
    to_level = data.get("scaleNsToLevelData", {})
    if level := to_level.get("nsInstantiationLevel"):
        return grown(goal, flavour, counts_at(flavour, level))
    infos = to_level.get("nsScaleInfo", ())
    if not infos:
        fault = Fault(message="neither steps nor a level is given", path="/scaleNsData", code="scale")
        raise InvalidError(f"cannot scale: {fault.message}", faults=[fault])
    for number, info in enumerate(infos):
        goal = scaled(goal, flavour, info["nsScalingAspectId"], _level(info["nsScaleLevelId"], number))
    return goal


def _level(text: str, number: int) -> int:
    if not (text.isascii() and text.isdecimal()):
        path = f"/scaleNsData/scaleNsToLevelData/nsScaleInfo/{number}/nsScaleLevelId"
        raise InvalidError(
            f"cannot scale: {text} is no level", faults=[Fault(message="levels are numbers", path=path, code="level")]
        )
    return int(text)


def _scale_step(instance: NsInstance, entry: Mapping[str, Any]) -> Step:
    """A ScaleVnfData entry (6.5.3.21) as an operation on the member."""
    how = entry["scaleVnfType"]
    if how in ("SCALE_OUT", "SCALE_IN"):
        data = entry.get("scaleByStepData", {})
        request = {"type": how, "aspectId": data.get("aspectId", ""), "numberOfSteps": data.get("numberOfSteps", 1)}
        return member_step(instance, entry["vnfInstanceId"], "vnf.scale", {**request, **_extra(data)})
    data = entry.get("scaleToLevelData", {})
    if "vnfInstantiationLevelId" in data:
        request = {"instantiationLevelId": data["vnfInstantiationLevelId"]}
    elif "vnfScaleInfo" in data:
        request = {"scaleInfo": data["vnfScaleInfo"]}
    else:
        fault = Fault(message=f"{how} needs scaleToLevelData", path="/scaleVnfData", code="scale")
        raise InvalidError("cannot scale: no level is given", faults=[fault])
    return member_step(instance, entry["vnfInstanceId"], "vnf.scale_to_level", {**request, **_extra(data)})


def _extra(data: Mapping[str, Any]) -> dict[str, Any]:
    return {"additionalParams": data["additionalParams"]} if data.get("additionalParams") else {}
