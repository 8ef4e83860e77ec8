"""What must hold in an AppD beyond its types: references, addresses, combinations; and what this version refuses.

An attribute is honoured, is a wish that changes nothing (a warning tells so), or is refused here: nothing is kept silently.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address, ip_network

from skerry.model.appd import (
    AppD,
    CpuPinning,
    InterfaceDescriptor,
    OsContainer,
    SwImageDescriptor,
    TrafficFilter,
    VirtualCompute,
)
from skerry.model.mec import InterfaceType, IpAddressType
from skerry.packages.report import PathParts, Report

_NAME = re.compile(
    r"(?=.{1,253}$)([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.?"
)
_MAC = re.compile(r"[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}")
_OUTSIDE = ("host:", "docker://")


class _Checks:
    """The checks of one AppD."""

    def __init__(self, appd: AppD, files: frozenset[str], file: str, path: PathParts, report: Report) -> None:
        self.appd = appd
        self.files = files
        self.file = file
        self.path = path
        self.report = report

    def error(self, code: str, message: str, *path: str | int, fix: str) -> None:
        self.report.error(code, message, file=self.file, path=(*self.path, *path), fix=fix)

    def warning(self, code: str, message: str, *path: str | int, fix: str) -> None:
        self.report.warning(code, message, file=self.file, path=(*self.path, *path), fix=fix)

    def refuse(self, what: str, *path: str | int) -> None:
        self.error("unsupported", f"cannot provide {what}", *path, fix="remove it: it would not be obeyed")

    def run(self) -> None:
        """Every check."""
        self._kind_of_compute()
        self._images()
        self._unique()
        self._services()
        for index, rule in enumerate(self.appd.app_traffic_rule):
            where = ("appTrafficRule", index)
            for number, one in enumerate(rule.traffic_filter):
                self._filter(one, *where, "trafficFilter", number)
            self._destination(rule.dst_interface, *where)
        for index, _ in enumerate(self.appd.app_dns_rule):
            self._dns(index)
        self._stateful()
        self._refused()

    def _kind_of_compute(self) -> None:
        appd = self.appd
        if (appd.virtual_compute_descriptor is None) == (not appd.os_container_descriptor):
            both = "both" if appd.os_container_descriptor else "neither"
            self.error(
                "compute",
                f"cannot tell what runs: there are {both} of virtualComputeDescriptor and osContainerDescriptor",
                fix="describe a virtual machine or OS containers, not both",
            )
        if len(appd.os_container_descriptor) > 1:
            self.error(
                "containers-of-unit",
                "cannot run several containers that share one network namespace",
                "osContainerDescriptor",
                fix="describe one container, or make an application of each",
            )
        if appd.virtual_compute_descriptor is not None and len(appd.sw_image_descriptor) > 1:
            self.error(
                "images", "cannot run several images on one machine", "swImageDescriptor", fix="describe one image"
            )

    def _images(self) -> None:
        images: list[tuple[PathParts, SwImageDescriptor]] = [
            (("swImageDescriptor", index), image) for index, image in enumerate(self.appd.sw_image_descriptor)
        ]
        images += [
            (("osContainerDescriptor", index, "swImageDesc"), container.sw_image_desc)
            for index, container in enumerate(self.appd.os_container_descriptor)
        ]
        for path, image in images:
            source = image.sw_image
            if not source.startswith(_OUTSIDE) and source not in self.files:
                self.warning(
                    "missing-image",
                    f"the package has no file {source[:120]}: the infrastructure must know the image by its name",
                    *path,
                    "swImage",
                    fix="add the file, or write host:NAME or docker://NAME",
                )

    def _unique(self) -> None:
        appd = self.appd
        lists: tuple[tuple[str, list[str]], ...] = (
            ("swImageDescriptor", [one.id for one in appd.sw_image_descriptor]),
            ("appExtCpd", [one.cpd_id for one in appd.app_ext_cpd]),
            ("appTrafficRule", [one.traffic_rule_id for one in appd.app_traffic_rule]),
            ("appDNSRule", [one.dns_rule_id for one in appd.app_dns_rule]),
            ("virtualStorageDescriptor", [one.id for one in appd.virtual_storage_descriptor]),
        )
        for name, ids in lists:
            for index, id in enumerate(ids):
                if id in ids[:index]:
                    self.error("duplicate-id", f"cannot use the id {id} twice", name, index, fix="give each its own id")

    def _services(self) -> None:
        required = {one.ser_name for one in self.appd.app_service_required}
        for index, one in enumerate(self.appd.app_service_optional):
            if one.ser_name in required:
                self.warning(
                    "service-twice",
                    f"{one.ser_name} is required and optional",
                    "appServiceOptional",
                    index,
                    fix="keep one of them",
                )
        produced = [one.ser_name for one in self.appd.app_service_produced]
        for index, dependency in enumerate(self.appd.app_service_required):
            if dependency.ser_name in produced:
                self.error(
                    "service-of-itself",
                    f"cannot require {dependency.ser_name}, which the application itself produces",
                    "appServiceRequired",
                    index,
                    fix="remove it",
                )

    def _filter(self, one: TrafficFilter, *path: str | int) -> None:
        addresses = (
            ("srcAddress", one.src_address), ("dstAddress", one.dst_address),
            ("srcTunnelAddress", one.src_tunnel_address), ("tgtTunnelAddress", one.tgt_tunnel_address),
        )  # fmt: skip
        ports = (
            ("srcPort", one.src_port), ("dstPort", one.dst_port),
            ("srcTunnelPort", one.src_tunnel_port), ("dstTunnelPort", one.dst_tunnel_port),
        )  # fmt: skip
        for name, values in addresses:
            for index, text in enumerate(values):
                if not is_address_range(text):
                    fix = "write 192.0.2.1, 192.0.2.0/24 or 192.0.2.1-192.0.2.9"
                    self.error("bad-address", f"cannot read the address {text[:60]!r}", *path, name, index, fix=fix)
        for name, values in ports:
            for index, text in enumerate(values):
                if not is_port_range(text):
                    self.error(
                        "bad-port", f"cannot read the port {text[:60]!r}", *path, name, index, fix="write 80 or 80-90"
                    )
        for name, values in (("uri", one.uri), ("packetLabel", one.packet_label)):
            if values:
                self.refuse(f"a filter by {name}", *path, name)

    def _destination(self, to: InterfaceDescriptor | None, *path: str | int) -> None:
        if to is None:
            return  # then it is the application itself
        where = (*path, "dstInterface")
        needs = {
            InterfaceType.TUNNEL: (to.tunnel_info is not None, "tunnelInfo"),
            InterfaceType.MAC: (bool(_MAC.fullmatch(to.dst_mac_address)), "dstMACAddress"),
            InterfaceType.IP: (bool(to.dst_ip_address) and self._is_place(to.dst_ip_address), "dstIPAddress"),
        }
        good, name = needs[to.interface_type]
        if not good:
            self.error(
                "bad-destination",
                f"cannot reach an interface of type {to.interface_type} without a valid {name}",
                *where,
                fix=f"write {name}",
            )

    def _is_place(self, text: str) -> bool:
        """An address, or one of the application's own connection points."""
        return is_address(text) or text in {point.cpd_id for point in self.appd.app_ext_cpd}

    def _dns(self, index: int) -> None:
        rule = self.appd.app_dns_rule[index]
        if not _NAME.fullmatch(rule.domain_name):
            self.error(
                "bad-domain",
                f"cannot answer for the name {rule.domain_name[:60]!r}",
                "appDNSRule",
                index,
                "domainName",
                fix="write a fully qualified domain name",
            )
        wanted = 4 if rule.ip_address_type is IpAddressType.IP_V4 else 6
        fits = self._is_place(rule.ip_address)
        if fits and is_address(rule.ip_address):
            fits = ip_address(rule.ip_address).version == wanted
        if not fits:
            self.error(
                "bad-address",
                f"cannot answer with {rule.ip_address[:60]!r}: it is no {rule.ip_address_type} address",
                "appDNSRule",
                index,
                "ipAddress",
                fix="write an address, or the cpdId of one of appExtCpd",
            )

    def _stateful(self) -> None:
        transfer = self.appd.user_context_transfer_capability
        if transfer and transfer.stateful_application != (transfer.user_context_transfer_support is not None):
            self.error(
                "context-transfer",
                "userContextTransferSupport belongs to stateful applications, and to these always",
                "userContextTransferCapability",
                fix="add it for a stateful application, remove it for another",
            )

    def _refused(self) -> None:
        appd = self.appd
        if appd.mciop_id or appd.mcio_identification_data or appd.mcio_constraint_params:
            self.refuse("a Helm chart (mciopId)", "mciopId" if appd.mciop_id else "mcioIdentificationData")
        for index, wish in enumerate(appd.request_additional_capabilities):
            if wish.support_mandatory:
                name = wish.requested_additional_capability_name
                self.refuse(f"the capability {name}", "requestAdditionalCapabilities", index)
        for index, container in enumerate(appd.os_container_descriptor):
            for name, what in _refused_of_container(container):
                self.refuse(what, "osContainerDescriptor", index, name)
        if appd.virtual_compute_descriptor is not None:
            for name, what in _refused_of_compute(appd.virtual_compute_descriptor):
                self.refuse(what, "virtualComputeDescriptor", name)
        if appd.logical_node:
            self.warning(
                "not-obeyed", "requirements on the logical node change nothing", "logicalNode", fix="remove them"
            )


def check(appd: AppD, files: frozenset[str], file: str, path: PathParts, report: Report) -> None:
    """Report everything that is wrong with an AppD that has the right types. `files` are the names in its package."""
    _Checks(appd, files, file, path, report).run()


def _pinned(pinning: CpuPinning | None) -> bool:
    return pinning is not None and pinning.virtual_cpu_pinning_policy == "STATIC"


def _refused_of_container(container: OsContainer) -> Iterator[tuple[str, str]]:
    if container.extended_resource_requests:
        yield "extendedResourceRequests", "extended resources"
    if container.huge_page_resources:
        yield "hugePageResources", "huge pages"
    if _pinned(container.cpu_pinning_requirements):
        yield "cpuPinningRequirements", "pinned CPUs"


def _refused_of_compute(compute: VirtualCompute) -> Iterator[tuple[str, str]]:
    if _pinned(compute.virtual_cpu.virtual_cpu_pinning):
        yield "virtualCpu", "pinned CPUs"
    if compute.virtual_memory.huge_pages_requirements:
        yield "virtualMemory", "huge pages"
    if any(one.support_mandatory for one in compute.request_additional_capabilities):
        yield "requestAdditionalCapabilities", "additional capabilities"


def is_address(text: str) -> bool:
    """Whether it is one IPv4 or IPv6 address."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def is_address_range(text: str) -> bool:
    """An address, a prefix, or a range `first-last` of one family."""
    first, dash, last = text.partition("-")
    if dash:
        return (
            is_address(first.strip())
            and is_address(last.strip())
            and ip_address(first.strip()).version == ip_address(last.strip()).version
        )
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def is_port_range(text: str) -> bool:
    """A port or a range `first-last`."""
    parts = [part.strip() for part in text.split("-")]
    good = all(part.isascii() and part.isdigit() and len(part) < 6 and int(part) < 65536 for part in parts)
    return good and (len(parts) == 1 or (len(parts) == 2 and int(parts[0]) <= int(parts[1])))
