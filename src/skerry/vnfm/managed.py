"""VNFs that the VNF manager of somebody else has: what their operations do here, and what the record says of them. Pure.

The VNF has one resource, `managed`: it stands for the VNF at its manager. Its outputs are the identifier there and what the
manager shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from skerry.errors import UnsupportedError
from skerry.model.operations import Change, Operation, Plan, Step
from skerry.model.resources import Resource
from skerry.model.states import InstantiationState, OperationState, VnfOperationalState
from skerry.model.vnf import VnfInstance
from skerry.vnfm.goal import current

MANAGED = "managed"
TASKS: Mapping[str, str] = {
    "vnf.instantiate": "instantiate",
    "vnf.scale": "scale",
    "vnf.scale_to_level": "scale_to_level",
    "vnf.operate": "operate",
    "vnf.heal": "heal",
    "vnf.terminate": "terminate",
    "vnf.change_flavour": "change_flavour",
    "vnf.change_ext_conn": "change_ext_conn",
    "vnf.change_package": "change_vnfpkg",
    "vnf.modify": "",
}
"""Operation -> the task resource at the manager (SOL003 5.4); "" is the VNF itself, which is patched."""

OWN_PARAMETERS = ("placement", "rollbackOnFailure", "sshKeys", "inputs")
"""Keys of `additionalParams` that are between this node's NFVO and its own VNFM."""

TIMEOUT_S = 7200.0


class Level(msgspec.Struct, frozen=True, rename="camel"):
    """ScaleInfo (SOL003 8.5.3.4) as a manager shows it."""

    aspect_id: str
    scale_level: int = 0


class Vnfc(msgspec.Struct, frozen=True, rename="camel"):
    """VnfcResourceInfo (5.5.3.5)."""

    id: str
    vdu_id: str


class Ips(msgspec.Struct, frozen=True, rename="camel"):
    """Entry of `ipAddresses` (5.5.3.10)."""

    addresses: list[str] = []


class Ethernet(msgspec.Struct, frozen=True, rename="camel"):
    """IpOverEthernetAddressInfo (5.5.3.10)."""

    ip_addresses: list[Ips] = []


class Protocol(msgspec.Struct, frozen=True, rename="camel"):
    """CpProtocolInfo (5.5.3.9b)."""

    ip_over_ethernet: Ethernet = Ethernet()


class Point(msgspec.Struct, frozen=True, rename="camel"):
    """VnfExtCpInfo (5.5.3.9)."""

    cpd_id: str
    cp_protocol_info: list[Protocol] = []


class Info(msgspec.Struct, frozen=True, rename="camel"):
    """`instantiatedVnfInfo` of VnfInstance (5.5.2.2), as far as it counts here."""

    flavour_id: str = ""
    vnf_state: VnfOperationalState = VnfOperationalState.STARTED
    scale_status: list[Level] = []
    max_scale_levels: list[Level] = []
    vnfc_resource_info: list[Vnfc] = []
    ext_cp_info: list[Point] = []


class Shown(msgspec.Struct, frozen=True, rename="camel"):
    """VnfInstance (5.5.2.2), as far as it counts here."""

    vnfd_id: str
    instantiated_vnf_info: Info = Info()
    vim_connection_info: dict[str, Any] = {}
    vnf_configurable_properties: dict[str, Any] = {}


def require(kind: str, instance: VnfInstance) -> None:
    """`UnsupportedError` for operations that SOL003 does not have between NFVO and VNFM, or that are not asked of others."""
    if kind not in TASKS:
        raise UnsupportedError(
            f"cannot run {kind} on VNF {instance.id}: the VNF manager {instance.manager} has it",
            suggestion="ask that VNF manager, or heal, scale or terminate the VNF",
        )


def plan(operation: Operation, instance: VnfInstance) -> Plan:
    """The one step that has the manager do it."""
    require(operation.kind, instance)
    now = msgspec.to_builtins(current(instance))
    outcome = {"goal": now, "before": now}
    step = _step(operation, instance)
    if step is None:
        return Plan(outcome=outcome)
    effect = step.key.partition(":")[0]
    line = Change(resource=MANAGED, effect=effect, detail=step.note, disrupts=effect != "create")
    return Plan(steps=(step,), changes=(line,), outcome=outcome)


def _step(operation: Operation, instance: VnfInstance) -> Step | None:
    spec: Mapping[str, Any]
    args: dict[str, Any]
    have = instance.resources.get(MANAGED)
    asked = request(operation.params)
    note = f"{operation.kind.partition('.')[2]} by {instance.manager}"
    if operation.kind == "vnf.terminate":
        if have is None:
            return None
        args = {"spec": have.spec, "outputs": have.outputs, "request": asked}
        return Step(
            key=f"delete:{MANAGED}",
            action="managed.delete",
            note=note,
            resource=MANAGED,
            args=args,
            timeout_s=TIMEOUT_S,
        )
    if operation.kind == "vnf.instantiate":
        where = operation.params.get("additionalParams", {}).get("placement", {})
        spec = {"manager": instance.manager, "placement": where}
        verb, undo = "create", "managed.delete"
    else:
        if operation.kind == "vnf.modify" and not asked:
            return None  # what changes is known here alone
        spec = have.spec if have else {"manager": instance.manager}
        verb, undo = "update", "managed.undo"
    args = {"spec": spec, "kind": MANAGED, "needs": (), "after": (), "request": asked}
    return Step(
        key=f"{verb}:{MANAGED}",
        action="managed.create" if verb == "create" else "managed.run",
        note=note,
        resource=MANAGED,
        args=args,
        undo=undo,
        undo_args={"spec": spec},
        timeout_s=TIMEOUT_S,
    )


def request(params: Mapping[str, Any]) -> dict[str, Any]:
    """The body for the manager: what the standard knows of the request; inputs are additional parameters there."""
    told = {key: value for key, value in params.items() if key != "dependencies" and value not in ({}, [])}
    given = params.get("additionalParams", {})
    more = {key: value for key, value in given.items() if key not in OWN_PARAMETERS and value != {}}
    more = {**given.get("inputs", {}), **more}
    told.pop("additionalParams", None)
    if more:
        told["additionalParams"] = more
    if "extVirtualLinks" in told:
        told["extVirtualLinks"] = [_standard_link(link) for link in told["extVirtualLinks"]]
    return told


def _standard_link(link: Mapping[str, Any]) -> dict[str, Any]:
    """An ExtVirtualLinkData (4.4.1.11) without what this node's NFVO tells its own VNFM."""
    points = [{"cpConfig": {}, **point} for point in link.get("extCps", ())]
    kept = {key: value for key, value in link.items() if key not in ("dns", "maxBitrate", "steered")}
    return {**kept, "extCps": [{**point, "cpConfig": point["cpConfig"] or _any_address(point)} for point in points]}


def _any_address(point: Mapping[str, Any]) -> dict[str, Any]:
    """A connection point of which nothing is said gets an address of its network."""
    over = {"ipAddresses": [{"type": "IPV4", "numDynamicAddresses": 1}]}
    return {point["cpdId"]: {"cpProtocolData": [{"layerProtocol": "IP_OVER_ETHERNET", "ipOverEthernet": over}]}}


def as_version_1(request: Mapping[str, Any]) -> dict[str, Any]:
    """A request in the form of V2.6.1: configurations of connection points as a list."""
    links = [
        {**link, "extCps": [{**cp, "cpConfig": list(cp.get("cpConfig", {}).values())} for cp in link.get("extCps", ())]}
        for link in request.get("extVirtualLinks", ())
    ]
    return {**request, "extVirtualLinks": links} if links else dict(request)


def moved(instance: VnfInstance, operation: Operation, state: OperationState) -> VnfInstance:
    """The record when an operation came to rest at `state`."""
    have = instance.resources.get(MANAGED)
    broken = state in (OperationState.FAILED_TEMP, OperationState.FAILED)
    if state is not OperationState.COMPLETED or have is None:
        return msgspec.structs.replace(instance, failed=broken)
    return mirrored(instance, have, operation.params)


def mirrored(instance: VnfInstance, have: Resource, params: Mapping[str, Any]) -> VnfInstance:
    """The record as the manager shows the VNF."""
    told = msgspec.convert(have.outputs["shown"], Shown)
    info = told.instantiated_vnf_info
    groups: dict[str, tuple[str, ...]] = {}
    for one in info.vnfc_resource_info:
        groups[one.vdu_id] = (*groups.get(one.vdu_id, ()), one.id)
    given = params.get("additionalParams", {})
    properties = {**instance.vnf_configurable_properties, **params.get("vnfConfigurableProperties", {})}
    return msgspec.structs.replace(
        instance,
        instantiation_state=InstantiationState.INSTANTIATED,
        vnfd_id=told.vnfd_id,
        flavour_id=info.flavour_id or instance.flavour_id,
        vnf_state=info.vnf_state,
        scale_status={one.aspect_id: one.scale_level for one in info.scale_status},
        max_scale_levels={one.aspect_id: one.scale_level for one in info.max_scale_levels},
        vnfcs=groups,
        vim_ids=tuple(sorted(told.vim_connection_info)),
        vnf_configurable_properties={**properties, **told.vnf_configurable_properties},
        inputs=given.get("inputs", instance.inputs),
        dependencies=params.get("dependencies", given.get("dependencies", instance.dependencies)),
        failed=False,
    )


def addresses(instance: VnfInstance) -> dict[str, str]:
    """External connection point -> its first address, as the manager shows it."""
    have = instance.resources.get(MANAGED)
    if have is None or "shown" not in have.outputs:
        return {}
    found: dict[str, str] = {}
    for point in msgspec.convert(have.outputs["shown"], Shown).instantiated_vnf_info.ext_cp_info:
        ips = (
            ip
            for one in point.cp_protocol_info
            for entry in one.ip_over_ethernet.ip_addresses
            for ip in entry.addresses
        )
        for ip in ips:
            found.setdefault(point.cpd_id, ip)
    return found
