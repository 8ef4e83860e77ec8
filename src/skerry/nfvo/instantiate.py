"""Instantiate an NS (SOL005 6.4.4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from skerry.model.ns import NsInstance
from skerry.model.states import InstantiationState
from skerry.nfvo import nested, pnfs, requested, saps, wan
from skerry.nfvo.affinity import require_known
from skerry.nfvo.goal import NsGoal, adopting, counts_at, flavour_of, grown
from skerry.nfvo.operation import NsOperation
from skerry.nfvo.sap_addresses import links_of
from skerry.vnfm.goal import require_inputs

AFFINITY = "additionalAffinityOrAntiAffinityRule"


class InstantiateNs(NsOperation):
    """Parameters: InstantiateNsRequest (6.5.2.11). `sapData` makes access points, `vnfInstanceData` names existing VNFs to use,
    `nestedNsInstanceData` existing NSs; the other nested NSs of the NSD are made. `addPnfData` names the PNFs that are in it.
    Own keys in `additionalParamsForNs`: `placement` ("profile", "profile/vdu" or "*" → VIM connection id), `steered` (VNF
    profile → its connection points that the data plane alone shall serve), `sshKeys` (names of keys that open every VNFC);
    the rest are inputs of the NSD. `additionalParamForVnf[]` has values for one VNF profile: name, description,
    metadata, extensions, `vnfConfigurableProperty`, and
    in its `additionalParams` a `placement` (VDU → VIM) besides inputs."""

    name: ClassVar[str] = "ns.instantiate"
    needs: ClassVar[InstantiationState] = InstantiationState.NOT_INSTANTIATED

    def goal(self, instance: NsInstance, params: Mapping[str, Any]) -> NsGoal:
        additional = dict(params.get("additionalParamsForNs", {}))
        additional.pop("rollbackOnFailure", None)
        placement = dict(additional.pop("placement", {}))
        steered = {profile: tuple(points) for profile, points in additional.pop("steered", {}).items()}
        ssh_keys = tuple(additional.pop("sshKeys", ()))
        inputs = {**additional.pop("inputs", {}), **additional}
        flavour = flavour_of(self.desk.descriptor(instance.nsd_info_id, inputs), params.get("nsFlavourId", ""))
        require_inputs(flavour.inputs, inputs)
        said = requested.said(flavour, params.get("additionalParamForVnf", ()))
        level = params.get("nsInstantiationLevelId", "")
        goal = NsGoal(
            flavour_id=flavour.id,
            level_id=level or flavour.default_level_id,
            scale_status=dict.fromkeys(flavour.scaling_aspects, 0),
            placement={**placement, **said.placement},
            inputs=inputs,
            properties=said.properties,
            told=said.told,
            affinity=tuple(params.get(AFFINITY, ())),
            pnfs=pnfs.added({}, flavour, self.desk.pnfds(instance.tenant), params.get("addPnfData", ())),
            steered=steered,
            wan=wan.added(flavour, self.desk.vim_ids(), params.get("wanConnectionData", ())),
            ssh_keys=ssh_keys,
            saps=saps.named(flavour, params.get("sapData", ()), links_of(self.desk, instance, flavour)),
            nested_params=nested.parameters(params),
            joined={id: (one["vim"], one["network"]) for id, one in params.get("joinedLinks", {}).items()},
        )
        nested.require_profiles(flavour, params)
        existing = {entry["vnfInstanceId"] for entry in params.get("vnfInstanceData", ())}
        require_known(flavour, goal.affinity, existing)
        goal = grown(goal, flavour, counts_at(flavour, level))
        for entry in params.get("vnfInstanceData", ()):
            goal = adopting(goal, flavour, entry["vnfProfileId"], entry["vnfInstanceId"])
        return nested.taking_in(
            self.desk, instance, goal, flavour, params.get("nestedNsInstanceData", ()), "nestedNsInstanceData"
        )

    def completed(self, instance: NsInstance, goal: NsGoal) -> NsInstance:
        return msgspec.structs.replace(super().completed(instance, goal), ns_state=InstantiationState.INSTANTIATED)
