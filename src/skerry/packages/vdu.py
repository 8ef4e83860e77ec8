"""VDU nodes to `Vdu` (SOL001 clauses 6.8.3, 6.8.12, 6.8.13).

* `Vdu.Compute`: CPU, memory and storage from its `virtual_compute` capability (virtual storages that it requires are added).
* `Vdu.OsContainerDeployableUnit` with its `Vdu.OsContainer`: CPU in milli-CPU, limits before requests. A unit must have
  exactly one container: containers of one unit share its network, which one `Vdu` cannot say, so that several are refused.
* The image is the `SwImage` artifact of the node, of its container or of the storage it boots from; its data is in the
  artifact (from 3.3.1) or in `sw_image_data` (before). `host:NAME[,NAME]` and `docker://…` refer outside the package. An image
  file that the package does not hold is a warning and leaves `source` empty: the VIM must know the image by its name.
* Of several images of one node, one is a Click configuration (`.click`) that does the same: see `Vdu.function`.
* Boot data: `boot_data` of the VDU or its container, see `skerry.packages.boot`. The standard has none for containers, so that
  there it should come with a derived type; without one it is accepted with a warning.
* `dependency` requirements on other VDUs become `depends_on`.
"""

from __future__ import annotations

import posixpath
from typing import Any

from skerry.lvnf.described import SUFFIX
from skerry.model.descriptors import MonitoringParameter, SoftwareImage, Vdu
from skerry.packages.boot import read_boot_data
from skerry.packages.cursor import Cursor
from skerry.packages.topology import Node, Topology

_STORAGES = ("Vdu.VirtualBlockStorage", "Vdu.VirtualObjectStorage", "Vdu.VirtualFileStorage")
VDU_TYPES = ("Vdu.Compute", "Vdu.OsContainerDeployableUnit")


def read_vdus(topology: Topology, files: frozenset[str]) -> dict[str, Vdu]:
    """All VDUs of a template; without connection points. `files` are the names in the package."""
    found: dict[str, Vdu] = {}
    for node in topology.of_type(*VDU_TYPES):
        fields = (
            _unit(topology, node, files)
            if topology.is_a(node, "Vdu.OsContainerDeployableUnit")
            else _compute(topology, node, files)
        )
        profile = node.properties.at("vdu_profile")
        minimum = profile.at("min_number_of_instances").integer(1)
        maximum = profile.at("max_number_of_instances").integer(max(minimum, 1))
        if maximum < minimum:
            profile.error(
                "bad-profile", "cannot have a maximum below the minimum of instances", "raise max_number_of_instances"
            )
        found[node.name] = Vdu(
            id=node.name,
            name=node.properties.at("name").text(node.name),
            description=node.properties.at("description").text(),
            min_instances=minimum,
            max_instances=maximum,
            depends_on=_dependencies(topology, node),
            monitoring_parameters=read_monitoring(node.properties.at("monitoring_parameters")),
            **fields,
        )
    return found


def _dependencies(topology: Topology, node: Node) -> tuple[str, ...]:
    found: list[str] = []
    for name, target, entry in node.requirements:
        other = topology.node_of(entry, target) if name == "dependency" else None
        if other is not None and topology.is_a(other, *VDU_TYPES):
            found.append(target)
    return tuple(found)


def read_monitoring(listed: Cursor) -> tuple[MonitoringParameter, ...]:
    """Monitoring parameters: a map by id (from 3.5.1) or a list (before)."""
    return tuple(
        MonitoringParameter(
            id=id,
            name=entry.at("name").text(),
            performance_metric=entry.at("performance_metric").text(),
            collection_period_s=entry.at("collection_period").seconds(),
        )
        for id, entry in listed.named().items()
        if isinstance(entry.value, dict)
    )


def _compute(topology: Topology, node: Node, files: frozenset[str]) -> dict[str, Any]:
    capability = node.here.at("capabilities", "virtual_compute", "properties").resolved(topology.lookup)
    storages = _storages(topology, node)
    local = sum(
        item.at("size_of_storage").size()
        for item in capability.at("virtual_local_storage").items()
        if isinstance(item.value, dict)
    )
    images = [image for each in (node, *storages) for image in _images(topology, each, files)]
    fields = read_boot_data(node.properties.at("boot_data"))
    return fields | {
        **_chosen(images),
        "vcpus": capability.at("virtual_cpu", "num_virtual_cpu").number(),
        "memory_bytes": capability.at("virtual_memory", "virtual_mem_size").size(),
        "storage_bytes": local + sum(_storage_size(storage) for storage in storages),
    }


def _storages(topology: Topology, node: Node) -> list[Node]:
    found: list[Node] = []
    for name, target, entry in node.requirements:
        if name == "virtual_storage" or name.startswith("virtual_storage_"):
            storage = topology.node_of(entry, target)
            if storage is not None and topology.is_a(storage, *_STORAGES):
                found.append(storage)
    return found


def _storage_size(node: Node) -> int:
    properties = node.properties
    return (
        properties.at("virtual_block_storage_data", "size_of_storage").size()
        + properties.at("virtual_file_storage_data", "size_of_storage").size()
        + properties.at("virtual_object_storage_data", "max_size_of_storage").size()
    )


def _unit(topology: Topology, node: Node, files: frozenset[str]) -> dict[str, Any]:
    targets = [
        topology.node_of(entry, target)
        for name, target, entry in node.requirements
        if name == "container" or name.startswith("container_")
    ]
    containers = [target for target in targets if target is not None]
    storage = sum(_storage_size(each) for each in _storages(topology, node))
    if len(containers) != 1:
        if len(targets) == len(containers):
            number = "several containers" if containers else "no container"
            node.here.error(
                "containers-of-unit",
                f"cannot make one VDU of a deployable unit with {number}",
                "give each unit exactly one `container` requirement",
            )
        return {"storage_bytes": storage}
    container = containers[0]
    fields = _container_boot_data(topology, node, container)
    properties = container.properties
    memory = properties.at("memory_resource_limit").size() or properties.at("requested_memory_resources").size()
    disk = (
        properties.at("ephemeral_storage_resource_limit").size()
        or properties.at("requested_ephemeral_storage_resources").size()
    )
    milli = properties.at("cpu_resource_limit").integer() or properties.at("requested_cpu_resources").integer()
    return fields | {
        **_chosen([*_images(topology, container, files), *_images(topology, node, files)]),
        "vcpus": milli / 1000,
        "memory_bytes": memory,
        "storage_bytes": disk + storage,
    }


def _container_boot_data(topology: Topology, unit: Node, container: Node) -> dict[str, Any]:
    for node in (unit, container):
        boot = node.properties.at("boot_data")
        if boot.exists:
            if "boot_data" not in topology.types.merged("node_types", node.type, "properties"):
                boot.warning(
                    "boot-data-undeclared",
                    "boot_data is no property of this type in the standard",
                    "derive a type that has it",
                )
            return read_boot_data(boot)
    return read_boot_data(unit.properties.at("boot_data"))


def _chosen(images: list[SoftwareImage]) -> dict[str, SoftwareImage | None]:
    """The image and, beside one that is no Click configuration, the first that is."""
    scripts = [image for image in images if image.source.endswith(SUFFIX)]
    others = [image for image in images if image not in scripts]
    if others and scripts:
        return {"image": others[0], "function": scripts[0]}
    return {"image": images[0] if images else None}


def _images(topology: Topology, node: Node, files: frozenset[str]) -> list[SoftwareImage]:
    found: list[SoftwareImage] = []
    for name, artifact in (node.artifacts.entries() if node.artifacts else {}).items():
        entry = (
            artifact
            if isinstance(artifact.value, dict)
            else Cursor({"file": artifact.value}, artifact.file, artifact.path, artifact.report)
        )
        kind = entry.at("type").text()
        if topology.types.is_a("artifact_types", kind, "tosca.artifacts.nfv.SwImage") or (not kind and "image" in name):
            found.append(_image_data(entry, node, name, files))
    data = node.properties.at("sw_image_data")
    if not found and data.exists:
        found.append(_image_fields(data, data.at("name").text(node.name), ""))
    return found


def _image_data(artifact: Cursor, node: Node, name: str, files: frozenset[str]) -> SoftwareImage:
    data = artifact.at("properties")
    if not data.exists:
        data = node.properties.at("sw_image_data")
    file = artifact.at("file")
    source = package_path(file, files, "missing-image") if file.exists else ""
    return _image_fields(data, data.at("name").text(name), source)


def _image_fields(data: Cursor, name: str, source: str) -> SoftwareImage:
    checksum = data.at("checksum")
    detailed = isinstance(checksum.value, dict)
    return SoftwareImage(
        name=name,
        source=source,
        version=data.at("version").text(),
        checksum=(checksum.at("hash") if detailed else checksum).text(),
        checksum_algorithm=checksum.at("algorithm").text() if detailed else "",
        container_format=data.at("container_format").text(),
        disk_format=data.at("disk_format").text(),
        min_disk_bytes=data.at("min_disk").size(),
        min_ram_bytes=data.at("min_ram").size(),
        size_bytes=data.at("size").size(),
    )


def package_path(file: Cursor, files: frozenset[str], missing: str, *, fatal: bool = False) -> str:
    """The path inside the package of a file that a template names relative to itself, or from the root; `host:…` and URLs
    stay. Missing: a warning with the code `missing` and an empty path, or an error if `fatal`."""
    text = file.text()
    if text.startswith("host:") or "://" in text or not text:
        return text
    beside = posixpath.normpath(posixpath.join(posixpath.dirname(file.file), text))
    rooted = posixpath.normpath(text.lstrip("/"))
    for name in (beside, rooted):
        if name in files:
            return name
    record = file.error if fatal else file.warning
    record(
        missing,
        f"{'cannot find ' if fatal else 'the package does not hold '}{text[:200]}",
        "put the file into the package",
    )
    return ""
