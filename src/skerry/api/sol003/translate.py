"""VNF instances and their operations from the model to the wire, and requests of version 1 into the form of version 2."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import Any

from skerry.api.sol003 import managed
from skerry.api.sol003 import types as wire
from skerry.api.wire import ResourceHandle
from skerry.model.configuration import shown
from skerry.model.descriptors import ConnectionPoint, DeploymentFlavour
from skerry.model.operations import Change, Operation
from skerry.model.resources import Resource
from skerry.model.states import FINAL, InstantiationState, OperationState
from skerry.model.vnf import ExtLink, VimConnection, VnfInstance

CHANGES: Mapping[str, Any] = {"create": "ADDED", "delete": "REMOVED"}
"""Effect of a plan's line -> changeType; everything else is MODIFIED."""

SECRET = ("password", "token", "secret", "key", "cert", "credential")


def instance(
    record: VnfInstance,
    flavour: DeploymentFlavour | None,
    vims: Iterable[VimConnection] = (),
    *,
    links: Mapping[str, Any] | None = None,
    version: int = 2,
) -> wire.VnfInstance:
    """A VNF instance. `flavour` is that of its VNFD while the package is known."""
    used = {vim.id: connection(vim) for vim in vims if vim.id in record.vim_ids}
    return wire.VnfInstance(
        id=record.id,
        vnfd_id=record.vnfd_id,
        vnf_provider=record.vnf_provider,
        vnf_product_name=record.vnf_product_name,
        vnf_software_version=record.vnf_software_version,
        vnfd_version=record.vnfd_version,
        instantiation_state=record.instantiation_state,
        vnf_instance_name=record.vnf_instance_name or None,
        vnf_instance_description=record.vnf_instance_description or None,
        vnf_configurable_properties=shown(record.vnf_configurable_properties) or None,
        vim_connection_info=listed(used) if version == 1 and used else used or None,
        instantiated_vnf_info=instantiated(record, flavour, version)
        if record.instantiation_state is InstantiationState.INSTANTIATED
        else None,
        metadata=shown(record.metadata) or None,
        extensions=shown(record.extensions) or None,
        links=links,
    )


def connection(vim: VimConnection) -> wire.VimConnectionInfo:
    """A VIM as clients may see it: no setting that could be a secret leaves the node."""
    shown = {key: value for key, value in vim.settings.items() if not any(word in key.lower() for word in SECRET)}
    return wire.VimConnectionInfo(vim_type=vim.vim_type, vim_id=vim.id, interface_info=shown or None)


def listed(vims: Mapping[str, wire.VimConnectionInfo]) -> list[wire.VimConnectionInfo]:
    return [
        wire.VimConnectionInfo(id=id, vim_type=vim.vim_type, vim_id=vim.vim_id, interface_info=vim.interface_info)
        for id, vim in vims.items()
    ]


def instantiated(record: VnfInstance, flavour: DeploymentFlavour | None, version: int) -> wire.InstantiatedVnfInfo:
    """What the instance has now."""
    if managed.MANAGED in record.resources:
        return _shown_elsewhere(record)
    computes = [resource for key, resource in sorted(record.resources.items()) if key.startswith("compute:")]
    vnfcs = [_vnfc(resource, flavour) for resource in computes]
    external = [cp for resource in computes for cp in _external(resource, flavour)]
    networks = [
        _network(key, resource, computes, flavour)
        for key, resource in sorted(record.resources.items())
        if resource.kind == "network"
    ]
    parameters = flavour.monitoring_parameters if flavour else ()
    return wire.InstantiatedVnfInfo(
        flavour_id=record.flavour_id,
        vnf_state=record.vnf_state,
        ext_cp_info=external,
        scale_status=_scale(record.scale_status),
        max_scale_levels=_scale(record.max_scale_levels),
        ext_virtual_link_info=ext_links(record.ext_links, version) or None,
        ext_managed_virtual_link_info=[_managed(name, link) for name, link in record.managed_links.items()] or None,
        monitoring_parameters=[
            wire.MonitoringParameter(id=p.id, performance_metric=p.performance_metric, name=p.name or None)
            for p in parameters
        ]
        or None,
        vnfc_resource_info=vnfcs or None,
        vnf_virtual_link_resource_info=networks or None,
        vnfc_info=[_vnfc_info(record, resource) for resource in computes] or None,
    )


def _shown_elsewhere(record: VnfInstance) -> wire.InstantiatedVnfInfo:
    """What another VNF manager shows, as far as both versions write it alike."""
    return wire.InstantiatedVnfInfo(
        flavour_id=record.flavour_id,
        vnf_state=record.vnf_state,
        ext_cp_info=managed.points(record),
        scale_status=_scale(record.scale_status),
        max_scale_levels=_scale(record.max_scale_levels),
        vnfc_resource_info=managed.vnfcs(record) or None,
    )


def _vnfc_info(record: VnfInstance, compute: Resource) -> wire.VnfcInfo:
    name = vnfc_name(compute)
    state = "STARTED" if f"power:{name}" in record.resources else "STOPPED"
    return wire.VnfcInfo(id=name, vdu_id=_vdu(compute), vnfc_resource_info_id=name, vnfc_state=state)


def _scale(levels: Mapping[str, int]) -> list[wire.ScaleInfo] | None:
    shown = [wire.ScaleInfo(aspect_id=a, scale_level=n, scale_to_level=str(n)) for a, n in sorted(levels.items())]
    return shown or None


def vnfc_name(resource: Resource) -> str:
    """The name of the VNFC that a resource belongs to: `server-0` of `compute:server-0`."""
    return resource.key.partition(":")[2]


def _handle(resource: Resource, kind: str) -> ResourceHandle:
    id = str(resource.outputs.get("id") or resource.outputs.get("name") or resource.spec.get("name", ""))
    vim = str(resource.spec.get("vim", "")) or None
    return ResourceHandle(resource_id=id, vim_connection_id=vim, vim_id=vim, vim_level_resource_type=kind)


def _cps(resource: Resource, flavour: DeploymentFlavour | None) -> list[tuple[ConnectionPoint, Mapping[str, Any]]]:
    """The connection points of a VNFC with the interfaces that they became."""
    vdu = flavour.vdus.get(_vdu(resource)) if flavour else None
    if flavour is None or vdu is None:
        return []
    ordered = sorted((flavour.cps[name] for name in vdu.cps if name in flavour.cps), key=lambda cp: cp.order)
    return list(zip(ordered, resource.outputs.get("nics", ()), strict=False))


def _vdu(resource: Resource) -> str:
    return str(resource.spec.get("vdu") or vnfc_name(resource).rpartition("-")[0])


def _protocol(nic: Mapping[str, Any]) -> list[wire.CpProtocolInfo]:
    ip = str(nic.get("ip", ""))
    family: Any = f"IPV{ip_address(ip).version}" if ip else "IPV4"
    addresses = [wire.IpAddressInfo(type=family, addresses=[ip])] if ip else None
    over = wire.IpOverEthernetAddressInfo(mac_address=str(nic.get("mac", "")), addresses=ip, ip_addresses=addresses)
    return [wire.CpProtocolInfo(layer_protocol="IP_OVER_ETHERNET", ip_over_ethernet=over)]


def _is_external(cp: ConnectionPoint) -> bool:
    return bool(cp.external) or not cp.virtual_link


def _vnfc(resource: Resource, flavour: DeploymentFlavour | None) -> wire.VnfcResourceInfo:
    name = vnfc_name(resource)
    cps = [
        wire.VnfcCpInfo(
            id=f"{name}:{cp.id}",
            cpd_id=cp.id,
            cp_protocol_info=_protocol(nic),
            vnf_ext_cp_id=f"{name}:{cp.external or cp.id}:ext" if _is_external(cp) else None,
        )
        for cp, nic in _cps(resource, flavour)
    ]
    return wire.VnfcResourceInfo(
        id=name,
        vdu_id=_vdu(resource),
        compute_resource=_handle(resource, "compute"),
        vnfc_cp_info=cps or None,
        metadata={"host": resource.outputs["host"]} if resource.outputs.get("host") else None,
    )


def _external(resource: Resource, flavour: DeploymentFlavour | None) -> list[wire.VnfExtCpInfo]:
    name = vnfc_name(resource)
    return [
        wire.VnfExtCpInfo(
            id=f"{name}:{cp.external or cp.id}:ext",
            cpd_id=cp.external or cp.id,
            cp_config_id=name,
            cp_protocol_info=_protocol(nic),
            associated_vnfc_cp_id=f"{name}:{cp.id}",
        )
        for cp, nic in _cps(resource, flavour)
        if _is_external(cp)
    ]


def _network(
    key: str, resource: Resource, computes: Iterable[Resource], flavour: DeploymentFlavour | None
) -> wire.VnfVirtualLinkResourceInfo:
    link, name = key.partition(":")[2], resource.spec.get("name")
    ports = [
        wire.VnfLinkPortInfo(
            id=f"{vnfc_name(compute)}:{cp.id}:port",
            resource_handle=ResourceHandle(
                resource_id=str(nic.get("mac", "")), vim_connection_id=str(compute.spec.get("vim", "")) or None
            ),
            cp_instance_id=f"{vnfc_name(compute)}:{cp.id}",
            cp_instance_type="VNFC_CP",
        )
        for compute in computes
        for cp, nic in _cps(compute, flavour)
        if nic.get("network") == name
    ]
    return wire.VnfVirtualLinkResourceInfo(
        id=link,
        vnf_virtual_link_desc_id=link.partition("@")[0],
        network_resource=_handle(resource, "network"),
        vnf_link_ports=ports or None,
    )


def ext_links(links: Mapping[str, ExtLink], version: int) -> list[wire.ExtVirtualLinkInfo]:
    """External virtual links with the connection points that are on them."""
    grouped: dict[str, list[tuple[str, ExtLink]]] = {}
    for cpd, link in sorted(links.items()):
        grouped.setdefault(link.link_id or link.network, []).append((cpd, link))
    return [
        wire.ExtVirtualLinkInfo(
            id=id,
            resource_handle=ResourceHandle(
                resource_id=members[0][1].resource_id or members[0][1].network,
                vim_connection_id=members[0][1].vim or None,
            ),
            current_vnf_ext_cp_data=[_ext_cp_data(cpd, link, version) for cpd, link in members],
        )
        for id, members in grouped.items()
    ]


def _managed(name: str, link: ExtLink) -> wire.ExtManagedVirtualLinkInfo:
    return wire.ExtManagedVirtualLinkInfo(
        id=link.link_id,
        vnf_virtual_link_desc_id=name,
        network_resource=ResourceHandle(resource_id=link.network, vim_connection_id=link.vim or None),
    )


def _ext_cp_data(cpd: str, link: ExtLink, version: int) -> wire.VnfExtCpData:
    addresses = [wire.IpAddresses(type="IPV4", fixed_addresses=[link.ip])] if link.ip else None
    over = wire.IpOverEthernetAddressData(
        mac_address=link.mac or None,
        ip_addresses=addresses or [wire.IpAddresses(type="IPV4", num_dynamic_addresses=1)],
        fixed_addresses=[link.ip] if link.ip else None,
        num_dynamic_addresses=None if link.ip else 1,
    )
    protocol = wire.CpProtocolData(layer_protocol="IP_OVER_ETHERNET", ip_over_ethernet=over)
    config = wire.VnfExtCpConfig(cp_protocol_data=[protocol])
    return wire.VnfExtCpData(cpd_id=cpd, cp_config=[config] if version == 1 else {cpd: config})


def problem(operation: Operation) -> wire.OperationError | None:
    """What went wrong, while it matters: an operation that was repaired has no error any more."""
    broken = (
        OperationState.FAILED_TEMP,
        OperationState.FAILED,
        OperationState.ROLLING_BACK,
        OperationState.ROLLED_BACK,
    )
    if operation.state not in broken:
        return None
    detail = operation.error or ("cancelled" if operation.cancel else "the operation failed")
    return wire.OperationError(
        status=500, title="Operation failed", detail=detail, suggestion=operation.suggestion or None
    )


def is_cancel_pending(operation: Operation) -> bool:
    """Whether a cancel was asked for and has not taken effect yet."""
    return bool(operation.cancel) and operation.state not in (*FINAL, OperationState.FAILED_TEMP)


def changes(operation: Operation, record: VnfInstance | None) -> wire.ResourceChanges | None:
    """What the plan of the operation touches."""
    lines = operation.plan.changes if operation.plan else ()
    vnfcs = [_affected_vnfc(line, record) for line in lines if line.resource.startswith("compute:")]
    networks = [_affected_link(line, record) for line in lines if line.resource.startswith("network:")]
    if not vnfcs and not networks:
        return None
    return wire.ResourceChanges(affected_vnfcs=vnfcs or None, affected_virtual_links=networks or None)


def _touched(line: Change, record: VnfInstance | None, kind: str) -> ResourceHandle:
    resource = record.resources.get(line.resource) if record else None
    gone = ResourceHandle(resource_id=line.resource.partition(":")[2], vim_level_resource_type=kind)
    return _handle(resource, kind) if resource else gone


def _affected_vnfc(line: Change, record: VnfInstance | None) -> wire.AffectedVnfc:
    name = line.resource.partition(":")[2]
    return wire.AffectedVnfc(
        id=name,
        vdu_id=name.rpartition("-")[0] or name,
        change_type=CHANGES.get(line.effect, "MODIFIED"),
        compute_resource=_touched(line, record, "compute"),
    )


def _affected_link(line: Change, record: VnfInstance | None) -> wire.AffectedVirtualLink:
    name = line.resource.partition(":")[2]
    return wire.AffectedVirtualLink(
        id=name,
        vnf_virtual_link_desc_id=name.partition("@")[0],
        change_type=CHANGES.get(line.effect, "MODIFIED"),
        network_resource=_touched(line, record, "network"),
    )


def normal(body: Any) -> Any:
    """A request in the form of version 2: connections and connection point configurations as maps, levels as numbers."""
    if isinstance(body, list):
        return [normal(item) for item in body]
    if not isinstance(body, dict):
        return body
    changed: dict[str, Any] = {}
    for key, value in body.items():
        if key == "vimConnectionInfo" and isinstance(value, list):
            changed[key] = {
                item.get("id") or str(n): {k: v for k, v in item.items() if k != "id"} for n, item in enumerate(value)
            }
        elif key == "cpConfig" and isinstance(value, list):
            changed[key] = {item.get("cpInstanceId") or str(n): item for n, item in enumerate(value)}
        elif key in ("scaleInfo", "vnfScaleInfo", "targetScaleLevelInfo") and isinstance(value, list):
            changed[key] = [_level(item) for item in value]
        elif key in ("additionalParams", "extensions", "vnfConfigurableProperties", "metadata"):
            changed[key] = value
        else:
            changed[key] = normal(value)
    return changed


def _level(item: Mapping[str, Any]) -> dict[str, Any]:
    plain = {key: value for key, value in item.items() if key not in ("scaleLevel", "scaleToLevel")}
    level = item.get("scaleLevel", item.get("scaleToLevel"))
    return {**plain, "scaleLevel": int(level) if level is not None else 0}
