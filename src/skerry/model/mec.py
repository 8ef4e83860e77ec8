"""What a MEC platform knows: applications, services, traffic and DNS rules (MEC 011 V3.1.1, clauses 7 and 8). Frozen, no I/O.

Attributes have the standard's names on the wire, so that a rule of a descriptor, a rule in the store and a rule in an answer
are the same value.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Annotated, Any

import msgspec
from msgspec import Meta, field

from skerry.model.vnf import Record

Id = Annotated[str, Meta(min_length=1, max_length=255)]
Text = Annotated[str, Meta(max_length=2048)]
Uri = Annotated[str, Meta(min_length=1, max_length=2048)]
Entries = 64
"""Most entries of a list in a body: what more a platform is asked is no description of one service or rule."""


class ServiceState(enum.StrEnum):
    """ServiceState, MEC 011 8.1.6.3."""

    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"
    SUSPENDED = "SUSPENDED"


class SerializerType(enum.StrEnum):
    """SerializerType, MEC 011 8.1.6.3."""

    JSON = "JSON"
    XML = "XML"
    PROTOBUF3 = "PROTOBUF3"


class LocalityType(enum.StrEnum):
    """LocalityType, MEC 011 8.1.6.5."""

    MEC_SYSTEM = "MEC_SYSTEM"
    MEC_HOST = "MEC_HOST"
    NFVI_POP = "NFVI_POP"
    ZONE = "ZONE"
    ZONE_GROUP = "ZONE_GROUP"
    NFVI_NODE = "NFVI_NODE"


class TransportType(enum.StrEnum):
    """TransportType, MEC 011 8.1.6.4."""

    REST_HTTP = "REST_HTTP"
    MB_TOPIC_BASED = "MB_TOPIC_BASED"
    MB_ROUTING = "MB_ROUTING"
    MB_PUBSUB = "MB_PUBSUB"
    RPC = "RPC"
    RPC_STREAMING = "RPC_STREAMING"
    WEBSOCKET = "WEBSOCKET"


class GrantType(enum.StrEnum):
    """Permitted values of OAuth2Info.grantTypes, MEC 011 8.1.5.4."""

    OAUTH2_AUTHORIZATION_CODE = "OAUTH2_AUTHORIZATION_CODE"
    OAUTH2_IMPLICIT_GRANT = "OAUTH2_IMPLICIT_GRANT"
    OAUTH2_RESOURCE_OWNER = "OAUTH2_RESOURCE_OWNER"
    OAUTH2_CLIENT_CREDENTIALS = "OAUTH2_CLIENT_CREDENTIALS"


class ChangeType(enum.StrEnum):
    """changeType of ServiceAvailabilityNotification, MEC 011 8.1.4.2."""

    ADDED = "ADDED"
    REMOVED = "REMOVED"
    STATE_CHANGED = "STATE_CHANGED"
    ATTRIBUTES_CHANGED = "ATTRIBUTES_CHANGED"


class RuleState(enum.StrEnum):
    """State of a traffic or DNS rule, MEC 011 7.1.2.2 and 7.1.2.3."""

    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"


class FilterType(enum.StrEnum):
    """filterType of TrafficRule, MEC 011 7.1.2.2."""

    FLOW = "FLOW"
    PACKET = "PACKET"


class TrafficAction(enum.StrEnum):
    """action of TrafficRule, MEC 011 7.1.2.2; the words with AS_IS are those of MEC 010-2 6.2.1.9 for the same."""

    DROP = "DROP"
    FORWARD_DECAPSULATED = "FORWARD_DECAPSULATED"
    FORWARD_ENCAPSULATED = "FORWARD_ENCAPSULATED"
    FORWARD_AS_IS = "FORWARD_AS_IS"
    PASSTHROUGH = "PASSTHROUGH"
    DUPLICATE_DECAPSULATED = "DUPLICATE_DECAPSULATED"
    DUPLICATE_ENCAPSULATED = "DUPLICATE_ENCAPSULATED"
    DUPLICATE_AS_IS = "DUPLICATE_AS_IS"


class IpAddressType(enum.StrEnum):
    """ipAddressType of DnsRule, MEC 011 7.1.2.3."""

    IP_V4 = "IP_V4"
    IP_V6 = "IP_V6"


class InterfaceType(enum.StrEnum):
    """interfaceType of DestinationInterface, MEC 011 7.1.5.3."""

    TUNNEL = "TUNNEL"
    MAC = "MAC"
    IP = "IP"


class OperationAction(enum.StrEnum):
    """operationAction of AppTerminationNotification, MEC 011 7.1.4.2."""

    STOPPING = "STOPPING"
    TERMINATING = "TERMINATING"


class AppState(enum.StrEnum):
    """What the platform knows of an application's life."""

    PREPARED = "PREPARED"  # known, not ready yet
    READY = "READY"  # confirmed by the application
    STOPPING = "STOPPING"  # a graceful stop is announced
    STOPPED = "STOPPED"
    TERMINATING = "TERMINATING"  # a graceful end is announced
    TERMINATED = "TERMINATED"


APP_MOVES: Mapping[AppState, frozenset[AppState]] = {
    AppState.PREPARED: frozenset({AppState.READY, AppState.STOPPING, AppState.TERMINATING}),
    AppState.READY: frozenset({AppState.PREPARED, AppState.STOPPING, AppState.TERMINATING}),
    AppState.STOPPING: frozenset({AppState.STOPPED, AppState.TERMINATING}),
    AppState.STOPPED: frozenset({AppState.PREPARED, AppState.TERMINATING}),
    AppState.TERMINATING: frozenset({AppState.TERMINATED}),
    AppState.TERMINATED: frozenset(),
}
"""From where an application may go. READY becomes PREPARED again when its instance is started anew."""

ENDED: Mapping[OperationAction, AppState] = {
    OperationAction.STOPPING: AppState.STOPPED,
    OperationAction.TERMINATING: AppState.TERMINATED,
}


class Mec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """Base of the standard's data types."""


class CategoryRef(Mec, frozen=True, kw_only=True):
    """CategoryRef (MEC 011 8.1.5.2)."""

    href: Uri
    id: Id
    name: Id
    version: Id


class Address(Mec, frozen=True, kw_only=True):
    """One of EndPointInfo.addresses (MEC 011 8.1.5.3)."""

    host: Id
    port: Annotated[int, Meta(ge=0, le=65535)]


class EndPointInfo(Mec, frozen=True, kw_only=True):
    """EndPointInfo (MEC 011 8.1.5.3): exactly one of its attributes."""

    uris: Annotated[tuple[Uri, ...], Meta(max_length=Entries)] | None = None
    fqdn: Annotated[tuple[Id, ...], Meta(max_length=Entries)] | None = None
    addresses: Annotated[tuple[Address, ...], Meta(max_length=Entries)] | None = None
    alternative: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        given = (self.uris, self.fqdn, self.addresses, self.alternative)
        if sum(one is not None for one in given) != 1:
            raise ValueError("exactly one of uris, fqdn, addresses and alternative is given")


class OAuth2Info(Mec, frozen=True, kw_only=True):
    """OAuth2Info (MEC 011 8.1.5.4)."""

    grant_types: tuple[GrantType, ...]
    token_endpoint: Uri | None = None


class SecurityInfo(Mec, frozen=True, kw_only=True):
    """SecurityInfo (MEC 011 8.1.5.4)."""

    o_auth2_info: OAuth2Info | None = field(name="oAuth2Info", default=None)


class TransportInfo(Mec, frozen=True, kw_only=True):
    """TransportInfo (MEC 011 8.1.2.3)."""

    id: Id
    name: Id
    type: TransportType
    protocol: Id
    version: Id
    endpoint: EndPointInfo
    security: SecurityInfo
    description: Text | None = None
    impl_specific_info: Mapping[str, Any] | None = None


class Link(Mec, frozen=True, kw_only=True):
    """LinkType (MEC 011 6.3.2)."""

    href: Uri


class ServiceLinks(Mec, frozen=True, kw_only=True):
    """`_links` of ServiceInfo."""

    self_: Link = field(name="self")
    liveness: Link | None = None


class ServiceInfo(Mec, frozen=True, kw_only=True):
    """ServiceInfo (MEC 011 8.1.2.2)."""

    ser_instance_id: Id | None = None
    ser_name: Id
    ser_category: CategoryRef | None = None
    version: Id
    state: ServiceState
    transport_id: Id | None = None
    transport_info: TransportInfo | None = None
    serializer: SerializerType
    scope_of_locality: LocalityType = LocalityType.MEC_HOST
    consumed_local_only: bool = True
    is_local: bool = True
    liveness_interval: Annotated[int, Meta(ge=0, le=86_400)] | None = None
    links: ServiceLinks | None = field(name="_links", default=None)


class ServiceDependency(Mec, frozen=True, kw_only=True):
    """ServiceDependency (MEC 010-2 6.2.1.17), as an application that no descriptor describes tells of itself."""

    ser_name: Id
    version: Id
    ser_category: CategoryRef | None = None
    ser_transport_dependencies: tuple[Mapping[str, Any], ...] = ()
    requested_permissions: Any = None


class FeatureDependency(Mec, frozen=True, kw_only=True):
    """FeatureDependency (MEC 010-2 6.2.1.8)."""

    feature_name: Id
    version: Id


class AppInfo(Mec, frozen=True, kw_only=True):
    """AppInfo (MEC 011 7.1.2.6)."""

    app_name: Id
    app_provider: Id | None = None
    app_category: CategoryRef | None = None
    app_d_id: Id | None = None
    app_instance_id: Id | None = None
    endpoint: EndPointInfo | None = None
    app_service_required: Annotated[tuple[ServiceDependency, ...], Meta(max_length=Entries)] = ()
    app_service_optional: Annotated[tuple[ServiceDependency, ...], Meta(max_length=Entries)] = ()
    app_feature_required: Annotated[tuple[FeatureDependency, ...], Meta(max_length=Entries)] = ()
    app_feature_optional: Annotated[tuple[FeatureDependency, ...], Meta(max_length=Entries)] = ()
    is_ins_by_mec: bool = False
    app_profile: Mapping[str, Any] | None = None


Texts = Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=128)], ...], Meta(max_length=Entries)]


class TrafficFilter(Mec, frozen=True, kw_only=True):
    """TrafficFilter (MEC 011 7.1.5.2). Values of one attribute are alternatives; all attributes that are given must hold."""

    src_address: Texts = ()
    dst_address: Texts = ()
    src_port: Texts = ()
    dst_port: Texts = ()
    protocol: Texts = ()
    tag: Texts = ()
    src_tunnel_address: Texts = ()
    tgt_tunnel_address: Texts = ()
    src_tunnel_port: Texts = ()
    dst_tunnel_port: Texts = ()
    q_ci: Annotated[int, Meta(ge=0, le=255)] | None = field(name="qCI", default=None)
    d_scp: Annotated[int, Meta(ge=0, le=63)] | None = field(name="dSCP", default=None)
    t_c: Annotated[int, Meta(ge=0, le=255)] | None = field(name="tC", default=None)


class TunnelInfo(Mec, frozen=True, kw_only=True):
    """TunnelInfo (MEC 011 7.1.5.4)."""

    tunnel_type: Id
    tunnel_dst_address: Id | None = None
    tunnel_src_address: Id | None = None


class DestinationInterface(Mec, frozen=True, kw_only=True):
    """DestinationInterface (MEC 011 7.1.5.3)."""

    interface_type: InterfaceType
    tunnel_info: TunnelInfo | None = None
    src_mac_address: Id | None = field(name="srcMacAddress", default=None)
    dst_mac_address: Id | None = field(name="dstMacAddress", default=None)
    dst_ip_address: Id | None = field(name="dstIpAddress", default=None)


class TrafficRule(Mec, frozen=True, kw_only=True):
    """TrafficRule (MEC 011 7.1.2.2). `priority` 0 is the highest. `dst_interface` may be two for inline and tap applications
    (note 2): towards the UE and towards the core."""

    traffic_rule_id: Id
    filter_type: FilterType
    priority: Annotated[int, Meta(ge=0, le=255)]
    traffic_filter: Annotated[tuple[TrafficFilter, ...], Meta(min_length=1, max_length=Entries)]
    action: TrafficAction
    dst_interface: (
        DestinationInterface | Annotated[tuple[DestinationInterface, ...], Meta(min_length=1, max_length=2)] | None
    ) = None
    state: RuleState

    @property
    def interfaces(self) -> tuple[DestinationInterface, ...]:
        """The destination interfaces, however they were written."""
        if self.dst_interface is None:
            return ()
        return (self.dst_interface,) if isinstance(self.dst_interface, DestinationInterface) else self.dst_interface


LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
NAME = rf"^(?=.{{1,253}}\.?$)({LABEL}\.)*{LABEL}\.?$"
"""A domain name."""


class DnsRule(Mec, frozen=True, kw_only=True):
    """DnsRule (MEC 011 7.1.2.3). `ttl` in seconds; without one the answer may be kept for long."""

    dns_rule_id: Id
    domain_name: Annotated[str, Meta(pattern=NAME)]
    ip_address_type: IpAddressType
    ip_address: Id
    ttl: Annotated[int, Meta(ge=0, le=2**31 - 1)] | None = None
    state: RuleState

    def __post_init__(self) -> None:
        version = ip_address(self.ip_address).version
        if version != (4 if self.ip_address_type is IpAddressType.IP_V4 else 6):
            raise ValueError(f"ipAddress is of IPv{version}, ipAddressType is {self.ip_address_type}")


# -- what is recorded -----------------------------------------------------------------------------------------------------


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """A graceful stop or end that was announced: what, until when (RFC 3339), how long in seconds."""

    action: OperationAction
    until: str
    timeout_s: int


class App(Record, frozen=True, kw_only=True, omit_defaults=True):
    """An application instance at this platform. `zone` is where it runs: its DNS answers are for the UEs of that zone.

    `credentials`: whether they were handed out. `registered`: whether it told of itself (`/registrations`). `ports` are
    the data-plane ports of its interfaces, in their order; `addresses` those of its connection points, by name. `ending` is the
    stop or end that waits for its confirmation.
    """

    info: AppInfo
    state: AppState = AppState.PREPARED
    zone: str = ""
    credentials: bool = False
    registered: bool = False
    ports: tuple[str, ...] = ()
    addresses: Mapping[str, str] = {}
    ending: Ending | None = None


class Service(Record, frozen=True, kw_only=True, omit_defaults=True):
    """A service at this platform; `info` is as the application gave it, `serInstanceId` and links apart."""

    app_id: str
    info: ServiceInfo


class Rule(Record, frozen=True, kw_only=True, omit_defaults=True):
    """A traffic or DNS rule of an application: one of `traffic` and `dns`, in the state that is in effect.

    `wanted_traffic` and `wanted_dns` are set while a change is under way: a restart goes on with it. `verified`: the effect
    was read back from where it must be.
    """

    app_id: str
    zone: str = ""
    traffic: TrafficRule | None = None
    dns: DnsRule | None = None
    wanted_traffic: TrafficRule | None = None
    wanted_dns: DnsRule | None = None
    verified: bool = False

    @property
    def kind(self) -> str:
        """`traffic` or `dns`."""
        return "traffic" if self.traffic is not None else "dns"


class ZoneRecord(Mec, frozen=True, kw_only=True):
    """An answer of a zone that somebody keeps by hand. `ttl` in seconds."""

    name: Annotated[str, Meta(pattern=NAME)]
    ip_address: Id
    ttl: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 60

    def __post_init__(self) -> None:
        ip_address(self.ip_address)

    @property
    def type(self) -> str:
        """The type of the resource record."""
        return "A" if ip_address(self.ip_address).version == 4 else "AAAA"


class DnsZone(Record, frozen=True, kw_only=True, omit_defaults=True):
    """A DNS zone that is kept by hand; its id is its name, in lower case and without the last dot."""

    records: tuple[ZoneRecord, ...] = ()


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """What an application shows to get its access tokens. The secret is told once."""

    client_id: str
    client_secret: str
    scope: str

    def __repr__(self) -> str:
        return f"Credentials(client_id={self.client_id!r})"
