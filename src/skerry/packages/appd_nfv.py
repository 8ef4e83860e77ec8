"""An AppD as what an NFVO takes: a VNFD of one deployable unit and an NSD of one VNF (reference point Mv1); and back.

What both models have goes over; the part for the MEC platform stays with the AppD. The templates are SOL001 4.4.1, written as
JSON, which YAML readers take. Each external connection point gets a virtual link of its own in the NSD.
"""

from __future__ import annotations

import json
import posixpath
import zipfile
from pathlib import Path
from typing import Any

import msgspec

from skerry.errors import InvalidError
from skerry.model.appd import (
    AppD,
    AppExternalCpd,
    ChecksumData,
    OsContainer,
    SwImageDescriptor,
    VirtualCompute,
    VirtualCpu,
    VirtualMemory,
)
from skerry.model.descriptors import ConnectionPoint, SoftwareImage, Vdu, Vnfd
from skerry.packages import building
from skerry.packages.appd import is_appd
from skerry.packages.appd_names import FLAVOUR, GRAPH, PROFILE, link_name, nsd_id, point_name, unit_name, word
from skerry.packages.archive import Archive, opened, read_small, replacing
from skerry.packages.limits import Limits
from skerry.packages.metafile import blocks, decode
from skerry.packages.reading import META
from skerry.packages.report import Report
from skerry.packages.yaml_nodes import Budget, parse, plain

TYPES = "https://forge.etsi.org/rep/nfv/SOL001/raw/v4.4.1/etsi_nfv_sol001_{}_types.yaml"
VERSION = "tosca_simple_yaml_1_3"
MEC_VERSION = "3.1.1"
DEFAULT_GRACE_S = Vdu(id="").grace_s
_UNIT = "skerry.mec.Unit"
_MB = 10**6
_GB = 10**9
_MILLI = 1000
_BOOT = ("kvp_data", "content_or_file_data", "vim_specific_properties")


# -- to NFV ---------------------------------------------------------------------------------------------------------------


def vnfd_template(appd: AppD) -> dict[str, Any]:
    """The VNFD, as a service template."""
    type = f"skerry.mec.app.{word(appd.app_name)}"
    unit = unit_name(appd)
    requirements = {
        f"virtual_link_{point_name(cp.cpd_id)}": [point_name(cp.cpd_id), "virtual_link"] for cp in appd.app_ext_cpd
    }
    nodes: dict[str, Any] = {"vnf": {"type": type, "properties": {"flavour_description": appd.app_description}}}
    nodes |= _unit_nodes(appd, unit)
    for order, cp in enumerate(appd.app_ext_cpd):
        nodes[point_name(cp.cpd_id)] = _point(cp, order, unit)
    return {
        "tosca_definitions_version": VERSION,
        "description": appd.app_description,
        "imports": [TYPES.format("vnfd")],
        "node_types": {type: _vnf_type(appd, list(requirements)), _UNIT: _unit_type(appd)},
        "topology_template": {
            "substitution_mappings": {
                "node_type": type,
                "properties": {"flavour_id": FLAVOUR},
                "requirements": requirements,
            },
            "node_templates": nodes,
        },
    }


def _texts(appd: AppD) -> dict[str, str]:
    return {
        "descriptor_id": appd.app_d_id,
        "provider": appd.app_provider,
        "product_name": appd.app_name,
        "software_version": appd.app_soft_version,
        "descriptor_version": appd.app_d_version,
        "flavour_id": FLAVOUR,
        "flavour_description": appd.app_description,
    } | ({"product_info_name": appd.app_info_name} if appd.app_info_name else {})


def _vnf_type(appd: AppD, requirements: list[str]) -> dict[str, Any]:
    return {
        "derived_from": "tosca.nodes.nfv.VNF",
        "properties": {
            **{name: {"type": "string", "default": value} for name, value in _texts(appd).items()},
            "vnfm_info": {"type": "list", "entry_schema": {"type": "string"}, "default": ["skerry"]},
        },
        "requirements": [{name: {"capability": "tosca.capabilities.nfv.VirtualLinkable"}} for name in requirements],
        "interfaces": {"Vnflcm": {"type": "tosca.interfaces.nfv.Vnflcm"}},
    }


def _unit_type(appd: AppD) -> dict[str, Any]:
    base = "Vdu.OsContainerDeployableUnit" if appd.os_container_descriptor else "Vdu.Compute"
    boot = {"boot_data": {"type": "tosca.datatypes.nfv.BootData", "required": False}}
    return {"derived_from": f"tosca.nodes.nfv.{base}", "properties": boot if appd.os_container_descriptor else {}}


def _unit_nodes(appd: AppD, unit: str) -> dict[str, Any]:
    storages = _storages(appd)
    bound = [{"virtual_storage": name} for name in storages]
    properties = {
        "name": appd.app_name,
        "description": appd.app_description,
        "vdu_profile": {"min_number_of_instances": 1, "max_number_of_instances": 1},
    }
    if not appd.os_container_descriptor:
        return {unit: _machine(appd, properties, bound), **storages}
    container = appd.os_container_descriptor[0]
    node: dict[str, Any] = {
        "type": _UNIT,
        "properties": properties,
        "requirements": [{"container": f"{unit}-os"}, *bound],
    }
    if boot := boot_data(container.boot_data):
        node["properties"] = {**properties, "boot_data": boot}
    return {unit: node, f"{unit}-os": _container(container), **storages}


def boot_data(text: str) -> dict[str, Any]:
    """SOL001's boot data out of the text of an AppD: a map with its keys, a map of environment variables, or user data that
    becomes the file /etc/skerry/user-data."""
    if not text:
        return {}
    found, faults = parse(text.encode(), "bootData", Budget(Limits()))
    if faults or not isinstance(found, dict):
        return {"content_or_file_data": {"content": text, "destination_path": "/etc/skerry/user-data"}}
    told: dict[str, Any] = plain(found)
    return told if any(key in told for key in _BOOT) else {"kvp_data": {"data": told}}


def _container(container: OsContainer) -> dict[str, Any]:
    numbers: dict[str, Any] = {
        "requested_cpu_resources": container.requested_cpu_resources,
        "cpu_resource_limit": container.cpu_resource_limit,
        "requested_memory_resources": _sized(container.requested_memory_resources, "MB"),
        "memory_resource_limit": _sized(container.memory_resource_limit, "MB"),
        "requested_ephemeral_storage_resources": _sized(container.requested_ephemeral_storage_resources, "GB"),
        "ephemeral_storage_resource_limit": _sized(container.ephemeral_storage_resource_limit, "GB"),
    }
    named = {"name": container.name, "description": container.description or container.name}
    given = {name: value for name, value in numbers.items() if value}
    return {
        "type": "tosca.nodes.nfv.Vdu.OsContainer",
        "properties": {**named, **given},
        "artifacts": {"sw_image": _image(container.sw_image_desc)},
    }


def _sized(amount: float, unit: str) -> str:
    return f"{amount:g} {unit}" if amount else ""


def _machine(appd: AppD, properties: dict[str, Any], bound: list[Any]) -> dict[str, Any]:
    compute = appd.virtual_compute_descriptor
    assert compute is not None  # noqa: S101 - the reader refuses an AppD with neither
    capability = {
        "virtual_memory": {"virtual_mem_size": f"{compute.virtual_memory.virtual_mem_size:g} MB"},
        "virtual_cpu": {"num_virtual_cpu": compute.virtual_cpu.num_virtual_cpu},
        "virtual_local_storage": [{"size_of_storage": f"{disk.size_of_storage:g} GB"} for disk in compute.virtual_disk],
    }
    node: dict[str, Any] = {
        "type": _UNIT,
        "properties": properties,
        "capabilities": {"virtual_compute": {"properties": {k: v for k, v in capability.items() if v}}},
        "artifacts": {"sw_image": _image(appd.sw_image_descriptor[0])},
    }
    return {**node, "requirements": bound} if bound else node


def _image(image: SwImageDescriptor) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "name": image.name,
        "version": image.version or "1.0",
        "container_format": image.container_format.lower() or "bare",
    }
    if image.size:
        properties["size"] = f"{image.size:g} MB"
    if image.disk_format:
        properties["disk_format"] = image.disk_format.lower()
    if image.min_disk:
        properties["min_disk"] = f"{image.min_disk:g} GB"
    if image.min_ram:
        properties["min_ram"] = f"{image.min_ram:g} MB"
    if image.checksum is not None:
        properties["checksum"] = {"algorithm": image.checksum.algorithm.lower(), "hash": image.checksum.hash}
    return {"type": "tosca.artifacts.nfv.SwImage", "file": image.sw_image, "properties": properties}


def _storages(appd: AppD) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for storage in appd.virtual_storage_descriptor:
        if storage.block_storage_data is not None:
            data = {"size_of_storage": f"{storage.block_storage_data.size_of_storage:g} GB"}
            node = {
                "type": "tosca.nodes.nfv.Vdu.VirtualBlockStorage",
                "properties": {"virtual_block_storage_data": data},
            }
            found[word(storage.id)] = node
    return found


def _point(cp: AppExternalCpd, order: int, unit: str) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "order": order,
        "layer_protocols": [protocol.lower() for protocol in cp.layer_protocol],
        "description": cp.description,
        "trunk_mode": cp.trunk_mode,
    }
    if cp.cp_role:
        properties["role"] = cp.cp_role.lower()
    if addresses := _addresses(cp):
        properties["protocol"] = [{"associated_layer_protocol": "ipv4", "address_data": addresses}]
    return {"type": "tosca.nodes.nfv.VduCp", "properties": properties, "requirements": [{"virtual_binding": unit}]}


def _addresses(cp: AppExternalCpd) -> list[dict[str, Any]]:
    """SOL001's address data out of IFA 011's: fixed IP and MAC addresses."""
    listed = [*cp.address_data]
    for protocol in cp.cp_protocol:
        data = protocol.get("addressData", ())
        listed += data if isinstance(data, list) else [data]
    found: list[dict[str, Any]] = []
    for entry in listed:
        layer3, layer2 = entry.get("l3AddressData", {}), entry.get("l2AddressData", {})
        fixed = layer3.get("fixedIpAddress", ())
        if fixed:
            wanted = [fixed] if isinstance(fixed, str) else list(fixed)
            data = {"ip_address_assignment": True, "floating_ip_activated": False, "fixed_ip_address": wanted}
            found.append({"address_type": "ip_address", "l3_address_data": data})
        if isinstance(layer2, dict) and layer2.get("macAddress"):
            data = {"mac_address_assignment": True, "mac_address": layer2["macAddress"]}
            found.append({"address_type": "mac_address", "l2_address_data": data})
    return found


def nsd_template(appd: AppD, vnfd: Vnfd | None = None) -> dict[str, Any]:
    """The NSD of one VNF, as a service template; `vnfd` is the package's own, where it has one."""
    type, node = "skerry.mec.Service", f"skerry.mec.app.{word(appd.app_name)}"
    flavour = vnfd.default_flavour or next(iter(vnfd.flavours)) if vnfd else FLAVOUR
    points = list(vnfd.flavours[flavour].ext_cps) if vnfd else [point_name(cp.cpd_id) for cp in appd.app_ext_cpd]
    named = (
        {f"virtual_link_{point}": link_name(point) for point in points}
        if not vnfd
        else {point: link_name(point) for point in points}
    )
    identity = {
        "descriptor_id": nsd_id(appd),
        "designer": appd.app_provider,
        "version": appd.app_d_version,
        "name": appd.app_name,
        "invariant_id": nsd_id(appd),
        "flavour_id": FLAVOUR,
    }
    texts = _texts(appd) | {"flavour_id": flavour, **({"descriptor_id": vnfd.id} if vnfd else {})}
    member = {
        "type": node,
        "properties": {
            **{name: value for name, value in texts.items() if name != "product_info_name"},
            "vnfm_info": ["skerry"],
            "vnf_profile": {"min_number_of_instances": 1, "max_number_of_instances": 1},
        },
        "requirements": [{name: link} for name, link in named.items()],
    }
    links = {link: _ns_link() for link in named.values()}
    return {
        "tosca_definitions_version": VERSION,
        "description": appd.app_description,
        "imports": [TYPES.format("nsd")],
        "node_types": {
            type: {
                "derived_from": "tosca.nodes.nfv.NS",
                "properties": {name: {"type": "string", "default": value} for name, value in identity.items()},
            },
            node: {
                "derived_from": "tosca.nodes.nfv.VNF",
                "requirements": [{name: {"capability": "tosca.capabilities.nfv.VirtualLinkable"}} for name in named],
            },
        },
        "topology_template": {
            "substitution_mappings": {"node_type": type, "properties": {"flavour_id": FLAVOUR}},
            "node_templates": {
                "ns": {"type": type, "properties": {"flavour_id": FLAVOUR}},
                PROFILE: member,
                **links,
            },
            "groups": {
                GRAPH: {
                    "type": "tosca.groups.nfv.VNFFG",
                    "properties": {"description": "the application's traffic rules"},
                    "members": [PROFILE],
                }
            },
        },
    }


def _ns_link() -> dict[str, Any]:
    rates = {"max_bitrate_requirements": {"root": 0}, "min_bitrate_requirements": {"root": 0}}
    return {
        "type": "tosca.nodes.nfv.NsVirtualLink",
        "properties": {"connectivity_type": {"layer_protocols": ["ipv4"]}, "vl_profile": rates},
    }


def build_nfv(source: Path, folder: Path, appd: AppD, own: Vnfd | None = None) -> tuple[Path, Path]:
    """The VNF package and the NSD package of an application package, made in `folder`: two CSARs. Where the package has a VNFD
    of its own (`own`) its files are taken as they are; the AppD stays out of both."""
    limits = Limits()
    report = Report(limit=limits.max_faults)
    vnf, ns = folder / "vnf.csar", folder / "ns.csar"
    with opened(source, limits, report) as archive:
        report.raise_errors(f"package {source.name}")
        assert archive is not None  # noqa: S101 - without archive the report has an error
        _write_vnf(archive, vnf, appd, own is not None, limits, report)
    _write_template(ns, "Definitions/nsd.yaml", nsd_template(appd, own))
    return vnf, ns


def _write_vnf(archive: Archive, dest: Path, appd: AppD, keep: bool, limits: Limits, report: Report) -> None:
    left_out = _is_manifest if keep else _is_metadata
    names = [
        name
        for name in sorted(archive.sizes)
        if name != META and not left_out(name) and not is_appd(archive, name, limits, report)
    ]
    entry = _own_entry(archive, limits, report) if keep else "Definitions/vnfd.yaml"
    with replacing(dest) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as target:
        if entry:
            building.put(target, META, _meta(entry))
        if not keep:
            building.put(target, entry, _json(vnfd_template(appd)))
        for name in names:
            building.copy(archive, target, name)


def _own_entry(archive: Archive, limits: Limits, report: Report) -> str:
    """The entry file that the package names; "" where it has no TOSCA.meta."""
    if META not in archive.sizes:
        return ""
    text = decode(read_small(archive, META, limits.max_meta_bytes, report) or b"", META, report) or ""
    entries = [item for block in blocks(text, META, report) for item in block]
    return next((item.value for item in entries if item.key == "Entry-Definitions"), "")


def _write_template(dest: Path, entry: str, template: dict[str, Any]) -> None:
    with replacing(dest) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as target:
        building.put(target, META, _meta(entry))
        building.put(target, entry, _json(template))


def _is_manifest(name: str) -> bool:
    return "/" not in name and name.endswith(".mf")


def _is_metadata(name: str) -> bool:
    return _is_manifest(name) or posixpath.dirname(name) in ("TOSCA-Metadata", "Definitions")


def _meta(entry: str) -> bytes:
    return f"TOSCA-Meta-File-Version: 1.1\nCSAR-Version: 1.1\nCreated-By: skerry\nEntry-Definitions: {entry}\n".encode()


def _json(template: dict[str, Any]) -> bytes:
    return json.dumps(template, indent=1).encode() + b"\n"


# -- from NFV -------------------------------------------------------------------------------------------------------------


def appd_of(vnfd: Vnfd, flavour_id: str = "") -> AppD:
    """The AppD of a VNFD with one VDU: what both models have. `InvalidError` where an AppD cannot say it."""
    flavour = vnfd.flavours[flavour_id or vnfd.default_flavour or next(iter(vnfd.flavours))]
    if len(flavour.vdus) != 1:
        raise InvalidError(
            f"cannot describe {vnfd.product_name} as one application: it has {len(flavour.vdus)} VDUs",
            suggestion="an AppD describes one virtual machine or container; use a network service",
        )
    (vdu,) = flavour.vdus.values()
    if vdu.image is None:
        raise InvalidError(f"cannot describe {vnfd.product_name}: its VDU has no software image")
    image = _back(vdu.id, vdu.image)
    is_container = vdu.image.container_format.lower() in ("docker", "bare", "oci") or bool(vdu.command)
    return AppD(
        app_d_id=vnfd.id,
        app_name=vnfd.product_name,
        app_provider=vnfd.provider,
        app_soft_version=vnfd.software_version,
        app_d_version=vnfd.version,
        mec_version=(MEC_VERSION,),
        app_info_name=vnfd.name,
        app_description=vnfd.description or vnfd.product_name,
        sw_image_descriptor=(image,),
        os_container_descriptor=(_container_back(vdu, image),) if is_container else (),
        virtual_compute_descriptor=None if is_container else _compute_back(vdu),
        app_ext_cpd=tuple(_point_back(cp) for cp in flavour.ext_cps.values()),
    )


def _back(id: str, image: SoftwareImage) -> SwImageDescriptor:
    checksum = ChecksumData(algorithm=image.checksum_algorithm, hash=image.checksum) if image.checksum else None
    return SwImageDescriptor(
        id=id,
        name=image.name,
        version=image.version or "1.0",
        container_format=image.container_format or "bare",
        sw_image=image.source or image.name,
        checksum=checksum,
        disk_format=image.disk_format,
        min_disk=image.min_disk_bytes / _GB,
        min_ram=image.min_ram_bytes / _MB,
        size=image.size_bytes / _MB,
    )


def _container_back(vdu: Vdu, image: SwImageDescriptor) -> OsContainer:
    boot: dict[str, Any] = {}
    if vdu.env:
        boot["kvp_data"] = {"data": dict(vdu.env)}
    properties: dict[str, Any] = {"CMD": list(vdu.command)} if vdu.command else {}
    if vdu.grace_s != DEFAULT_GRACE_S:
        properties["GRACE"] = f"{vdu.grace_s:g} s"
    if properties:
        boot["vim_specific_properties"] = {"vim_type": "container", "properties": properties}
    if vdu.files:
        files = [{"content": file.content, "destination_path": file.path} for file in vdu.files if not file.source]
        boot["content_or_file_data"] = files[0] if len(files) == 1 else files
    return OsContainer(
        os_container_desc_id=vdu.id,
        name=vdu.name or vdu.id,
        description=vdu.description,
        sw_image_desc=image,
        cpu_resource_limit=round(vdu.vcpus * _MILLI),
        memory_resource_limit=vdu.memory_bytes / _MB,
        ephemeral_storage_resource_limit=vdu.storage_bytes / _GB,
        boot_data=msgspec.json.encode(boot).decode() if boot else "",
    )


def _compute_back(vdu: Vdu) -> VirtualCompute:
    return VirtualCompute(
        virtual_compute_desc_id=vdu.id,
        virtual_memory=VirtualMemory(virtual_mem_size=vdu.memory_bytes / _MB),
        virtual_cpu=VirtualCpu(num_virtual_cpu=max(1, round(vdu.vcpus))),
    )


def _point_back(cp: ConnectionPoint) -> AppExternalCpd:
    fixed = (
        ({"l3AddressData": {"fixedIpAddress": [cp.fixed_ip]}},) if isinstance(cp.fixed_ip, str) and cp.fixed_ip else ()
    )
    return AppExternalCpd(
        cpd_id=cp.id,
        layer_protocol=tuple(protocol.upper() for protocol in cp.layer_protocols),
        cp_role=cp.role,
        description=cp.description,
        trunk_mode=cp.trunk_mode,
        address_data=fixed,
    )
