"""VNF instances and their packages as recorded."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from skerry.model.descriptors import VnfPackage
from skerry.model.resources import Resource
from skerry.model.states import (
    InstantiationState,
    OnboardingState,
    OperationalState,
    UsageState,
    VnfOperationalState,
)


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of stored documents. `rev` grows with every change (the ETag); `tenant` owns it."""

    id: str
    tenant: str = ""
    rev: int = 0
    created_at: str = ""


class VimConnection(Record, frozen=True, kw_only=True, omit_defaults=True):
    """VimConnectionInfo (SOL003 4.4.1.6) as registered with this node. `settings` are the driver's own, secrets included."""

    vim_type: str
    name: str = ""
    settings: Mapping[str, Any] = {}
    zone: str = ""


class VnfPkgInfo(Record, frozen=True, kw_only=True, omit_defaults=True):
    """VnfPkgInfo (SOL005 9.5.2.5). `package` is there once it is onboarded; `problem` says why it is not."""

    onboarding_state: OnboardingState = OnboardingState.CREATED
    operational_state: OperationalState = OperationalState.DISABLED
    usage_state: UsageState = UsageState.NOT_IN_USE
    user_defined_data: Mapping[str, Any] = {}
    package: VnfPackage | None = None
    checksum: str = ""  # SHA-256 of the archive, lower-case hex
    size_bytes: int = 0
    problem: Mapping[str, Any] = {}
    onboarded_at: str = ""
    external_access: tuple[
        Mapping[str, Any], ...
    ] = ()  # how artifacts outside the archive are reached (SOL005 9.5.2.9)

    @property
    def vnfd_id(self) -> str:
        return self.package.vnfd.id if self.package else ""


class ExtLink(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where an external connection point is attached: a network of the VIM, with a fixed address if wished.

    `dns` and `max_bitrate_bps` are what an NS says of its virtual link; `steered` that the connection point is a function's on
    a forwarding path.
    """

    network: str
    vim: str = ""
    resource_id: str = ""
    link_id: str = ""  # ExtVirtualLinkData.id
    ip: str = ""
    mac: str = ""
    dns: tuple[str, ...] = ()
    max_bitrate_bps: int = 0
    steered: bool = False


class VnfInstance(Record, frozen=True, kw_only=True, omit_defaults=True):
    """VnfInstance (SOL003 5.5.2.2) with the resource graph that it has.

    `vnfcs` is VDU → its VNFCs ("server-0" …); `placement` VNFC → VIM connection; `dependencies` what other VNFs handed over
    (`{source: {name: value}}`); `inputs` the values of the request for the descriptor's inputs. `ns_id` is set when an
    NS made it.
    """

    vnfd_id: str
    vnf_pkg_id: str
    vnf_instance_name: str = ""
    vnf_instance_description: str = ""
    vnf_provider: str = ""
    vnf_product_name: str = ""
    vnf_software_version: str = ""
    vnfd_version: str = ""
    instantiation_state: InstantiationState = InstantiationState.NOT_INSTANTIATED
    flavour_id: str = ""
    instantiation_level_id: str = ""
    vnf_state: VnfOperationalState = VnfOperationalState.STOPPED
    scale_status: Mapping[str, int] = {}
    max_scale_levels: Mapping[str, int] = {}
    vnfcs: Mapping[str, tuple[str, ...]] = {}
    placement: Mapping[str, str] = {}
    ext_links: Mapping[str, ExtLink] = {}
    managed_links: Mapping[str, ExtLink] = {}  # internal virtual link -> the network of somebody else that it is
    vim_ids: tuple[str, ...] = ()
    resources: Mapping[str, Resource] = {}
    vnf_configurable_properties: Mapping[str, Any] = {}
    metadata: Mapping[str, Any] = {}
    extensions: Mapping[str, Any] = {}
    inputs: Mapping[str, Any] = {}
    dependencies: Mapping[str, Mapping[str, Any]] = {}
    ns_id: str = ""
    images: Mapping[str, str] = {}  # VNFC → image of the snapshot that it was reverted to
    carried: Mapping[str, Mapping[str, Any]] = {}  # function on its way to another VIM → its state, and since when
    functions: tuple[str, ...] = ()  # VNFCs that are micro network functions although they could be containers
    standbys: Mapping[str, tuple[str, ...]] = {}  # VDU → VNFCs that stand still until one of `vnfcs` fails
    ssh_keys: tuple[str, ...] = ()  # lines of authorized_keys that open every VNFC
    unborn: tuple[str, ...] = ()  # VNFCs that were made while they shall not run: their first start runs their scripts
    failed: bool = False  # the last operation ended FAILED or FAILED_TEMP (status ERROR)
    manager: str = ""  # the VNF manager of somebody else that has it ("" = this node)

    @property
    def everybody(self) -> dict[str, tuple[str, ...]]:
        """VDU → all its VNFCs, standbys last."""
        return joined(self.vnfcs, self.standbys)


class VnfSketch(msgspec.Struct, frozen=True, kw_only=True):
    """The small part of a `VnfInstance` that long lists are filtered by: to read it alone costs a tenth of reading all."""

    vnf_instance_description: str = ""
    instantiation_state: str = InstantiationState.NOT_INSTANTIATED.value
    flavour_id: str = ""
    vnf_state: str = VnfOperationalState.STOPPED.value
    vnf_configurable_properties: Mapping[str, Any] = {}
    metadata: Mapping[str, Any] = {}
    extensions: Mapping[str, Any] = {}


def joined(*groups: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Groups by VDU put together, each name once."""
    vdus = dict.fromkeys(vdu for group in groups for vdu in group)
    return {vdu: tuple(dict.fromkeys(name for group in groups for name in group.get(vdu, ()))) for vdu in vdus}


class VnfcSnapshot(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one VNFC has written, as an image of its VIM (VnfcSnapshotInfo, SOL003 5.5.3.21). Times are RFC 3339.

    In a VNF snapshot package `path` is the file with the image, or `uri` says where the file is kept outside of it; `checksum`
    is that file's SHA-256 and `file_bytes` its size. An image without a file is on its VIM only.
    """

    vim: str
    image: str
    id: str = ""  # the VIM's own identifier
    size_bytes: int = 0
    started_at: str = ""
    finished_at: str = ""
    path: str = ""
    uri: str = ""
    checksum: str = ""
    file_bytes: int = 0


class SnapshotPackageState(StrEnum):
    """State of a VNF snapshot package (SOL005 11.5.4.3)."""

    CREATED = "CREATED"
    BUILDING = "BUILDING"
    UPLOADING = "UPLOADING"
    EXTRACTING = "EXTRACTING"
    AVAILABLE = "AVAILABLE"
    PROCESSING = "PROCESSING"
    ERROR = "ERROR"
    ERROR_EXTRACTING = "ERROR_EXTRACTING"


class VnfSnapshotPkgInfo(Record, frozen=True, kw_only=True, omit_defaults=True):
    """VnfSnapshotPkgInfo (SOL005 11.5.2.4). The archive holds the snapshot's record, the VNF's state and the images of the
    VNFCs; `vnfcs` are those that it is about, `images` those of them whose image has a file, `artifacts` the SHA-256 of other
    files by path. `task` is what is under way: what a restart takes up again."""

    name: str
    state: SnapshotPackageState = SnapshotPackageState.CREATED
    unique_id: str = ""
    vnf_snapshot_id: str = ""
    vnfcs: tuple[str, ...] = ()
    full: bool = False
    vnfd_id: str = ""
    checksum: str = ""  # SHA-256, lower-case hex
    record_checksum: str = ""  # the same of the record in it
    vnfd_checksum: str = ""  # the same of the descriptor in it, if it has one
    problem: Mapping[str, Any] = {}
    user_defined_data: Mapping[str, Any] = {}
    external_access: tuple[Mapping[str, Any], ...] = ()
    images: Mapping[str, VnfcSnapshot] = {}
    artifacts: Mapping[str, str] = {}
    task: Mapping[str, Any] = {}


class VnfSnapshotInfo(Record, frozen=True, kw_only=True, omit_defaults=True):
    """VnfSnapshotInfo with its VnfSnapshot (SOL003 5.5.2.22): empty until an operation fills it. `vnf_instance` is the VNF's
    record when it was taken."""

    vnf_instance_id: str = ""
    vnf_instance: VnfInstance | None = None
    vnfcs: Mapping[str, VnfcSnapshot] = {}
    user_defined_data: Mapping[str, Any] = {}
    snapshot_package: str = ""  # the VNF snapshot package that a client says it belongs to
    started_at: str = ""
    finished_at: str = ""
    operation: str = ""
