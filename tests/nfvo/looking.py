"""What tests of network services look at, and the requests that they repeat."""

from __future__ import annotations

from typing import Any

from skerry.model.ns import NsInstance
from skerry.model.vnf import VnfInstance
from tests.vnfm.builder import Lab


def members(it: Lab, ns: NsInstance | str) -> dict[str, VnfInstance]:
    """Member name → its VNF."""
    found = it.node.nfvo.instance(ns if isinstance(ns, str) else ns.id)
    return {name: it.node.vnfm.instance(member.vnf_instance_id) for name, member in found.members.items()}


def machine_of(it: Lab, vnf: VnfInstance, number: int = 0) -> Any:
    """The infrastructure's view of a VNF's instance."""
    return it.machines()[vnf.resources[f"compute:box-{number}"].spec["name"]]


def address(it: Lab, vnf: VnfInstance, number: int = 0) -> str:
    return str(machine_of(it, vnf, number).nics[0].ip)


def check(it: Lab, ns_id: str) -> NsInstance:
    """The record equals reality: what exists is what the NS and its members have."""
    ns = it.node.nfvo.instance(ns_id)
    known = {r.spec["name"] for vnf in members(it, ns).values() for r in vnf.resources.values() if r.kind == "compute"}
    owners = {vnf.id for vnf in members(it, ns).values()}
    assert known == {name for name, machine in it.machines().items() if machine.owner in owners}
    networks = {r.spec["name"] for r in ns.resources.values() if r.kind == "network"}
    assert networks == {n.name for one in it.worlds.values() for n in one.has.networks.values() if n.owner == ns_id}
    assert ns.counts == {p: sum(m.profile == p for m in ns.members.values()) for p in ns.counts}
    return ns


def ns_scale(how: str, aspect: str = "size", steps: int = 1) -> dict[str, Any]:
    by = {"scalingDirection": how, "aspectId": aspect, "numberOfSteps": steps}
    return {"scaleType": "SCALE_NS", "scaleNsData": {"scaleNsByStepsData": by}}


def vnf_scale(vnf: str, how: str = "SCALE_OUT") -> dict[str, Any]:
    entry = {"vnfInstanceId": vnf, "scaleVnfType": how, "scaleByStepData": {"aspectId": "more", "numberOfSteps": 1}}
    return {"scaleType": "SCALE_VNF", "scaleVnfData": [entry]}
