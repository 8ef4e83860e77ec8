"""Data types of MEC 010-2 V3.1.1 on the wire (clause 6.2.2 to 6.2.4); those of the AppD are `skerry.model.appd`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, field

from skerry.api import body
from skerry.api.route import Call
from skerry.api.wire import Checksum, Links, Wire
from skerry.model import appd

T = TypeVar("T")
Name = Annotated[str, Meta(max_length=255)]
Id = Annotated[str, Meta(min_length=1, max_length=255)]
Seconds = Annotated[int, Meta(ge=0, le=86_400)]
Uri = Annotated[str, Meta(min_length=1, max_length=2048)]


async def asked(call: Call, kind: type[T]) -> T:
    """The body as `kind`. The official files wrap each type into an object with its name: that form is taken too."""
    return body.convert(unwrapped(await call.json(), kind), kind)


def unwrapped(value: Any, kind: type[Any]) -> Any:
    """What is inside `{NAME: …}`; anything else as it is."""
    name = "ConfigPlatformForAppRequest" if kind is appd.PlatformPart else kind.__name__
    if isinstance(value, dict) and list(value) == [name] and isinstance(value[name], dict):
        return value[name]
    return value


class TimeStamp(Wire, frozen=True, kw_only=True):
    """TimeStamp : seconds and nanoseconds since the epoch."""

    seconds: int
    nano_seconds: int


def time_stamp(text: str) -> TimeStamp:
    """An RFC 3339 time as MEC writes it."""
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return TimeStamp(seconds=int(moment.timestamp()), nano_seconds=moment.microsecond * 1000)


class CreateAppPkg(Wire, frozen=True, kw_only=True):
    """CreateAppPkg (6.2.3.2). The checksum is compared with the content that is uploaded."""

    app_pkg_name: Id
    app_pkg_version: Name = ""
    app_provider: Name = ""
    checksum: Checksum | str | None = None
    user_defined_data: Mapping[str, Any] | None = None
    app_pkg_path: str = ""


class AppPkgInfoModifications(Wire, frozen=True, kw_only=True):
    """AppPkgInfoModifications (6.2.3.8)."""

    operational_state: Literal["ENABLED", "DISABLED"]


class AppPkgInfo(Wire, frozen=True, kw_only=True):
    """AppPkgInfo (6.2.3.3)."""

    id: str
    app_d_id: str
    app_provider: str = ""
    app_name: str
    app_software_version: str
    app_d_version: str
    checksum: Checksum
    signing_certificate: str | None = None
    software_images: list[Mapping[str, Any]]
    additional_artifacts: list[Mapping[str, Any]] | None = None
    onboarding_state: str
    operational_state: str
    usage_state: str
    mec_info: list[str]
    user_defined_data: Mapping[str, Any] | None = None
    onboarding_failure_details: Mapping[str, Any] | None = None
    links: Links = field(name="_links")


class MepInformation(Wire, frozen=True, kw_only=True):
    """MepInformation (6.2.2.27)."""

    mep_id: Id
    mep_name: Name = ""


class CreateAppInstanceRequest(Wire, frozen=True, kw_only=True):
    """CreateAppInstanceRequest (6.2.2.3)."""

    app_d_id: Id
    app_instance_name: Name = ""
    app_instance_description: Annotated[str, Meta(max_length=4096)] = ""
    app_placement_info: MepInformation | None = None


class IpAddress(Wire, frozen=True, kw_only=True):
    """One entry point of CommunicationInterface."""

    host: str
    port: int


class CommunicationInterface(Wire, frozen=True, kw_only=True):
    """CommunicationInterface (6.2.2.5)."""

    ip_addresses: list[IpAddress]


class InstantiatedAppState(Wire, frozen=True, kw_only=True):
    """InstantiatedAppState (6.2.2.4)."""

    operational_state: str


class AppInstanceInfo(Wire, frozen=True, kw_only=True):
    """AppInstanceInfo (6.2.2.4)."""

    id: str
    app_instance_name: str = ""
    app_instance_description: str = ""
    app_d_id: str
    app_provider: str
    app_name: str
    app_soft_version: str
    app_d_version: str
    app_pkg_id: str
    vim_connection_info: list[Mapping[str, Any]] | None = None
    ns_instance_id: str | None = None
    vnf_instance_id: str | None = None
    instantiation_state: str
    instantiated_app_state: InstantiatedAppState | None = None
    communication_interface: CommunicationInterface | None = None
    links: Links = field(name="_links")


class MECHostInformation(Wire, frozen=True, kw_only=True):
    """MECHostInformation (6.2.2.26). `host_id` is an object of each deployment's own: any of its values may be the id, zone or
    name of a host; a plain text is taken too."""

    host_id: Any
    host_name: Name = ""


class CivicAddressElement(Wire, frozen=True, kw_only=True):
    """civicAddressElement (RFC 4776)."""

    ca_type: int
    ca_value: str


class LocationConstraints(Wire, frozen=True, kw_only=True):
    """LocationConstraints."""

    country_code: Annotated[str, Meta(min_length=2, max_length=2)] = ""
    civic_address_element: list[CivicAddressElement] = []
    area: Any = None


class InstantiateAppRequest(Wire, frozen=True, kw_only=True):
    """InstantiateAppRequest (6.2.2.6). Without hosts to choose from, all are."""

    selected_mec_host_info: Annotated[list[MECHostInformation], Meta(min_length=1)] = field(
        name="selectedMECHostInfo", default_factory=list
    )
    location_constraints: LocationConstraints | None = None
    vim_connection_info: list[Mapping[str, Any]] | None = None
    virtual_compute_descriptor: Mapping[str, Any] | None = None
    os_container_descriptor: list[Mapping[str, Any]] | None = None
    virtual_storage_descriptor: list[Mapping[str, Any]] | None = None
    app_term_cands_for_coord: Mapping[str, Any] | None = None


class OperateAppRequest(Wire, frozen=True, kw_only=True):
    """OperateAppRequest (6.2.2.7)."""

    change_state_to: Literal["STARTED", "STOPPED"]
    stop_type: Literal["FORCEFUL", "GRACEFUL"] | None = None
    graceful_stop_timeout: Seconds | None = None


class TerminateAppRequest(Wire, frozen=True, kw_only=True):
    """TerminateAppRequest (6.2.2.8)."""

    termination_type: Literal["FORCEFUL", "GRACEFUL"]
    graceful_termination_timeout: Seconds | None = None


ConfigPlatformForAppRequest = appd.PlatformPart
"""ConfigPlatformForAppRequest (6.2.2.28): the attributes of an AppD that are for the platform."""


class CancelMode(Wire, frozen=True, kw_only=True):
    """CancelMode. The official file writes its attribute as the type."""

    cancel_mode: Literal["GRACEFUL", "FORCED"] | None = None
    mode: Literal["GRACEFUL", "FORCED"] | None = field(name="CancelMode", default=None)


class AppLcmOpOcc(Wire, frozen=True, kw_only=True):
    """AppLcmOpOcc (6.2.2.15)."""

    id: str
    operation_state: str
    state_entered_time: TimeStamp
    start_time: TimeStamp
    lcm_operation: str
    operation_params: Mapping[str, Any] | None = None
    is_cancel_pending: bool
    cancel_mode: Mapping[str, str] | None = None
    links: Links = field(name="_links")


class ResourceDefinition(Wire, frozen=True, kw_only=True):
    """ResourceDefinition (6.2.4.4)."""

    id: Id
    type: Literal["COMPUTE", "VL", "STORAGE", "LINKPORT", "OSCONTAINER"]
    vdu_id: str = ""
    resource_template_id: list[str] | str = []
    resource: Mapping[str, Any] | None = None


class GrantRequest(Wire, frozen=True, kw_only=True):
    """GrantRequest (6.2.4.2)."""

    app_instance_id: Id
    app_lcm_op_occ_id: Id
    app_d_id: Id
    operation: Literal["INSTANTIATE", "OPERATE", "TERMINATE"]
    add_resources: list[ResourceDefinition] = []
    temp_resources: list[ResourceDefinition] = []
    remove_resources: list[ResourceDefinition] = []
    update_resources: list[ResourceDefinition] = []
    additional_params: Mapping[str, Any] | None = None
    links: Any = field(name="_links", default=None)


class Grant(Wire, frozen=True, kw_only=True):
    """Grant (6.2.4.3)."""

    id: str
    app_instance_id: str
    app_lcm_op_occ_id: str
    vim_connections: list[Mapping[str, Any]] | None = None
    zones: list[Mapping[str, Any]] | None = None
    add_resources: list[Mapping[str, Any]] | None = None
    temp_resources: list[Mapping[str, Any]] | None = None
    remove_resources: list[Mapping[str, Any]] | None = None
    update_resources: list[Mapping[str, Any]] | None = None
    links: Links = field(name="_links")


def params(value: msgspec.Struct) -> dict[str, Any]:
    """A checked body as plain JSON values, without what was not given."""
    plain: dict[str, Any] = msgspec.to_builtins(value)
    return {name: one for name, one in plain.items() if one is not None}
