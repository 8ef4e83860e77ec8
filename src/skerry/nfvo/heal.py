"""Heal an NS (SOL005 6.4.7): find the members that are broken and heal them, or heal the named ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from skerry.errors import Fault, InvalidError
from skerry.model.ns import NsInstance
from skerry.model.operations import Step
from skerry.nfvo import nested
from skerry.nfvo.goal import NsGoal, current
from skerry.nfvo.operation import NsOperation, member_named, member_step
from skerry.vnfm.observe import broken

RESTORE = "HEAL_RESTORE"


class HealNs(NsOperation):
    """Parameters: HealNsRequest (6.5.2.13): `healNsData` heals every member that is found broken, also those of nested
    NSs, `healVnfData` the named VNFs. Whoever depends on a healed VNF is told its new values when they changed."""

    name: ClassVar[str] = "ns.heal"

    def goal(self, instance: NsInstance, params: Mapping[str, Any]) -> NsGoal:
        degree = params.get("healNsData", {}).get("degreeHealing", RESTORE)
        if degree != RESTORE:
            path = "/healNsData/degreeHealing"
            fault = Fault(message=f"{degree} is not served", path=path, code="unserved", fix=f"write {RESTORE}")
            raise InvalidError(f"cannot heal by {degree}: what is broken is made anew as it was", faults=[fault])
        for entry in params.get("healVnfData", ()):
            member_named(instance, entry["vnfInstanceId"])
        return current(instance)

    async def besides(self, instance: NsInstance, params: Mapping[str, Any]) -> list[Step]:
        if named := params.get("healVnfData"):
            return [
                member_step(instance, entry["vnfInstanceId"], "vnf.heal", _request(entry, entry.get("cause", "")))
                for entry in named
            ]
        found: list[Step] = []
        for member in instance.members.values():
            vnf = self.desk.vnfm.instance(member.vnf_instance_id, tenant=instance.tenant)
            if bad := await broken(self.desk.vims, vnf):
                found.append(
                    member_step(instance, vnf.id, "vnf.heal", {"vnfcInstanceId": bad, "cause": "found broken"})
                )
        inside = [self.desk.instance(one.ns_instance_id) for one in instance.nested.values()]
        heal = {name: params[name] for name in ("healNsData",) if name in params}
        found += [nested.step(ns, "ns.heal", heal) for ns in inside if await self._ails(ns)]
        return found

    async def _ails(self, ns: NsInstance) -> bool:
        """Whether a member is broken, of this NS or of one inside it."""
        for member in ns.members.values():
            vnf = self.desk.vnfm.instance(member.vnf_instance_id, tenant=ns.tenant)
            if await broken(self.desk.vims, vnf):
                return True
        inner = (self.desk.instance(one.ns_instance_id) for one in ns.nested.values())
        return any([await self._ails(one) for one in inner])


def _request(entry: Mapping[str, Any], cause: str) -> dict[str, Any]:
    additional = dict(entry.get("additionalParams", {}))
    request: dict[str, Any] = {"cause": cause}
    if vnfcs := entry.get("vnfcInstanceId", additional.pop("vnfcInstanceId", ())):
        request["vnfcInstanceId"] = list(vnfcs)
    if additional:
        request["additionalParams"] = additional
    return request
