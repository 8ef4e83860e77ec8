"""The text of a VNFD (SOL001) of containers that share an internal network."""

from __future__ import annotations

import uuid
from typing import Any

import msgspec
import yaml

_TYPES = "https://forge.etsi.org/rep/nfv/SOL001/raw/v4.4.1/etsi_nfv_sol001_vnfd_types.yaml"
_NAMES = uuid.UUID("6c1f0b52-6a3e-5d0b-9d6e-2f6a6d1b7c11")
_STRING = {"type": "string"}


class Box(msgspec.Struct):
    """A container and how often it runs.

    `ports` are the names of ports as `number/protocol`; `published` maps ports of the host to such. CPU is in milli-CPU, memory
    in bytes; 0 is no limit.
    """

    name: str
    replicas: int
    labels: dict[str, str]
    image: str = ""
    source: str = ""
    command: list[str] = msgspec.field(default_factory=list)
    env: dict[str, str] = msgspec.field(default_factory=dict)
    ports: dict[str, str] = msgspec.field(default_factory=dict)
    published: dict[str, str] = msgspec.field(default_factory=dict)
    aliases: list[str] = msgspec.field(default_factory=list)
    cpu: int = 0
    memory: int = 0
    requested_cpu: int = 0
    requested_memory: int = 0
    grace_s: int | None = None


def vnfd(name: str, version: str, boxes: list[Box]) -> str:
    """The template. The same containers give the same text, with the same `descriptor_id`."""
    kind, unit = f"skerry.imported.{name}", f"skerry.imported.{name}.Unit"
    nodes: dict[str, Any] = {
        "vnf_node": {"type": kind, "properties": {"flavour_description": "as deployed"}},
        "pod_network": _network(),
    }
    for box in boxes:
        nodes |= _nodes(box, unit)
    topology: dict[str, Any] = {
        "substitution_mappings": {
            "node_type": kind,
            "properties": {"flavour_id": "default"},
            "requirements": [{"virtual_link": [f"{box.name}_service", "virtual_link"]} for box in boxes if box.aliases],
        },
        "node_templates": nodes,
        "policies": [_initial(box) for box in boxes],
    }
    id = str(uuid.uuid5(_NAMES, msgspec.json.encode([name, version, topology]).decode()))
    template = {
        "tosca_definitions_version": "tosca_simple_yaml_1_3",
        "description": f"{name}, made of Kubernetes manifests",
        "imports": [_TYPES],
        "node_types": {kind: _vnf_type(name, version, id), unit: _unit_type()},
        "topology_template": topology,
    }
    return str(yaml.dump(template, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=120))


class _Plain(yaml.SafeDumper):
    """Writes no aliases: they would be read well, but not by people."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _vnf_type(name: str, version: str, id: str) -> dict[str, Any]:
    values = {
        "descriptor_id": id,
        "provider": "imported",
        "product_name": name,
        "software_version": version,
        "descriptor_version": "1",
        "flavour_id": "default",
        "flavour_description": "",
    }
    return {
        "derived_from": "tosca.nodes.nfv.VNF",
        "properties": {key: {**_STRING, "default": value} for key, value in values.items()}
        | {"vnfm_info": {"type": "list", "entry_schema": _STRING, "default": ["skerry"]}},
        "interfaces": {"Vnflcm": {"type": "tosca.interfaces.nfv.Vnflcm"}},
    }


def _unit_type() -> dict[str, Any]:
    return {
        "derived_from": "tosca.nodes.nfv.Vdu.OsContainerDeployableUnit",
        "properties": {"boot_data": {"type": "tosca.datatypes.nfv.BootData", "required": False}},
    }


def _network() -> dict[str, Any]:
    unlimited = {"root": 0}
    return {
        "type": "tosca.nodes.nfv.VnfVirtualLink",
        "properties": {
            "connectivity_type": {"layer_protocols": ["ipv4"]},
            "vl_profile": {"max_bitrate_requirements": unlimited, "min_bitrate_requirements": unlimited},
        },
    }


def _initial(box: Box) -> dict[str, Any]:
    return {
        f"{box.name}_initial": {
            "type": "tosca.policies.nfv.VduInitialDelta",
            "properties": {"initial_delta": {"number_of_instances": box.replicas}},
            "targets": [box.name],
        }
    }


def _nodes(box: Box, unit: str) -> dict[str, Any]:
    points = {f"{box.name}_pod": [{"virtual_binding": box.name}, {"virtual_link": "pod_network"}]}
    if box.aliases:
        points[f"{box.name}_service"] = [{"virtual_binding": box.name}]
    return {
        box.name: {
            "type": unit,
            "properties": {
                "name": box.name,
                "description": f"Deployment {box.name}",
                "vdu_profile": {"min_number_of_instances": box.replicas, "max_number_of_instances": box.replicas},
                "boot_data": _boot_data(box),
            },
            "requirements": [{"container": f"{box.name}_container"}],
        },
        f"{box.name}_container": _container(box),
        **{
            point: {
                "type": "tosca.nodes.nfv.VduCp",
                "properties": {"order": order, "layer_protocols": ["ipv4"]},
                "requirements": requirements,
            }
            for order, (point, requirements) in enumerate(points.items())
        },
    }


def _boot_data(box: Box) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "CMD": box.command,
        "PUBLISH": [f"{host}:{inside}" for host, inside in box.published.items()],
        "ALIASES": box.aliases,
    }
    given = {key: value for key, value in properties.items() if value} | {"RESTART_POLICY_CONDITION": "any"}
    if box.grace_s is not None:
        given["GRACE"] = f"{box.grace_s} s"
    boot: dict[str, Any] = {"kvp_data": {"data": box.env}} if box.env else {}
    return boot | {"vim_specific_properties": {"vim_type": "container", "properties": given}}


def _container(box: Box) -> dict[str, Any]:
    limits: dict[str, Any] = {
        "requested_cpu_resources": box.requested_cpu,
        "requested_memory_resources": f"{box.requested_memory} B" if box.requested_memory else 0,
        "cpu_resource_limit": box.cpu,
        "memory_resource_limit": f"{box.memory} B" if box.memory else 0,
    }
    return {
        "type": "tosca.nodes.nfv.Vdu.OsContainer",
        "properties": {"name": box.name, "description": box.image}
        | {key: value for key, value in limits.items() if value},
        "artifacts": {
            "sw_image": {
                "type": "tosca.artifacts.nfv.SwImage",
                "file": box.source,
                "properties": {"name": box.image, "version": "1", "container_format": "bare", "size": "1 MB"},
            }
        },
    }
