"""What traffic shall do: the topology and the intents, in the words of those who ask. Knows no flows and no engine.

Everything is a frozen value with an `id` that is unique among its kind. The set of all intents and the topology determine the
state of every device (`skerry.dataplane.compile`); nothing else does.

Precedence: of the `Steering`s that match a frame, the one of the highest `priority` decides; between equal ones the order of
ids, so that the outcome never depends on the order of arrival. An intent of a tenant concerns the ports of that tenant and the
shared ones (tenant ""), and no frame goes from a port of one tenant to a port of another.

Addresses and MACs are in text form; `""`, `None` and empty tuples mean "any" in a classifier.
"""

from __future__ import annotations

import enum
from typing import Annotated

import msgspec
from msgspec import Meta

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9]([A-Za-z0-9_.:-]{0,126}[A-Za-z0-9])?$")]
Unnamed = Annotated[str, Meta(pattern=r"^([A-Za-z0-9]([A-Za-z0-9_.:-]{0,126}[A-Za-z0-9])?)?$")]
"""A name, or "" for none."""
Interface = Annotated[str, Meta(pattern=r"^([A-Za-z0-9_][A-Za-z0-9_.-]{0,14})?$")]
"""A network interface, or "" for none."""
Namespace = Annotated[str, Meta(pattern=r"^([A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?$")]
"""A network namespace by the name of its file, or "" for the one of the node."""
Engine = Annotated[str, Meta(pattern=r"^([a-z][a-z0-9]{0,31})?$")]
Owner = Annotated[str, Meta(max_length=300, pattern=r"^[^\x00-\x1f\x7f]*$")]
Tenant = Annotated[str, Meta(pattern=r"^([a-z0-9][a-z0-9-]{0,62})?$")]
Mac = Annotated[str, Meta(pattern=r"^([0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5})?$")]
Vid = Annotated[int, Meta(ge=0, le=4094)]
Octet = Annotated[int, Meta(ge=0, le=255)]
Word = Annotated[int, Meta(ge=0, le=65535)]
Long = Annotated[int, Meta(ge=0, le=0xFFFFFFFF)]


class Value(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Base of the model."""


# -- topology -------------------------------------------------------------------------------------------------------------


class Side(enum.StrEnum):
    """What is behind a port."""

    VNFC = "VNFC"
    LVNF = "LVNF"  # a light function on an edge host
    HOST = "HOST"  # a machine, a station, an application's host
    RAN = "RAN"  # towards base stations or access points
    CORE = "CORE"  # towards the mobile core or the aggregation
    UPLINK = "UPLINK"  # towards other networks
    LINK = "LINK"  # an end of a `Link` between two devices


class Vxlan(Value, frozen=True, kw_only=True):
    """A port that is a VXLAN tunnel to one peer (its underlay is routed by the host)."""

    local: str
    remote: str
    vni: Annotated[int, Meta(ge=1, le=0xFFFFFF)]


class Port(Value, frozen=True, kw_only=True):
    """An attachment of a device. `number` is its number on the device, 0 to let it be chosen (it stays then).

    `interface` is the interface in the device's namespace. `mac` and `ips` are those of who is behind it, where known:
    needed where frames are decapsulated towards it. `gateway_mac` is the address that whoever is behind the port
    takes for its router; "" lets one be derived. `tenant` "" is shared by all.
    """

    id: Name
    device: Name
    side: Side
    number: Annotated[int, Meta(ge=0, le=65279)] = 0
    interface: Interface = ""
    mac: Mac = ""
    ips: tuple[str, ...] = ()
    gateway_mac: Mac = ""
    vxlan: Vxlan | None = None
    tenant: Tenant = ""


class Device(Value, frozen=True, kw_only=True):
    """A switch. `engine` names one, "" takes what the machine can do best; `namespace` is a network namespace, "" the root.
    `zone` is the only one whose platform leads traffic over it, "" any."""

    id: Name
    engine: Engine = ""
    namespace: Namespace = ""
    zone: str = ""


class Link(Value, frozen=True, kw_only=True):
    """Two ports of side LINK, of two devices, that reach each other: a cable or the two ends of a VXLAN tunnel. Steered frames
    cross it in NSH, frames of a virtual link tagged. `cost` is at least 1; paths avoid links that are not `up`."""

    id: Name
    a: Name
    b: Name
    cost: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    up: bool = True


class Topology(Value, frozen=True, kw_only=True):
    """All there is to steer over."""

    devices: tuple[Device, ...] = ()
    ports: tuple[Port, ...] = ()
    links: tuple[Link, ...] = ()


# -- classifiers ----------------------------------------------------------------------------------------------------------


class PortRange(Value, frozen=True, kw_only=True):
    """L4 ports `low` to `high`, both included."""

    low: Word
    high: Word


class GtpClassifier(Value, frozen=True, kw_only=True):
    """What to look at inside GTP-U. `type` is the message type (255: user data). Prefixes are IPv4 or IPv6."""

    teid: Long | None = None
    type: Octet | None = None
    qfi: Annotated[int, Meta(ge=0, le=63)] | None = None
    inner_src: str = ""
    inner_dst: str = ""
    inner_proto: Octet | None = None
    inner_dscp: Annotated[int, Meta(ge=0, le=63)] | None = None
    inner_src_ports: tuple[PortRange, ...] = ()
    inner_dst_ports: tuple[PortRange, ...] = ()


class Connection(enum.StrEnum):
    """What a frame is to the connections of the zone of its port."""

    NEW = "NEW"  # it opens one, or belongs to one that nobody answered yet
    ESTABLISHED = "ESTABLISHED"  # of one that was answered, in either direction
    REPLY = "REPLY"  # of the side that did not open it
    RELATED = "RELATED"  # an ICMP error about it
    INVALID = "INVALID"  # of none, and it cannot open one


Host = Annotated[
    str, Meta(max_length=100, pattern=r"^(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_-]+)*$")
]
"""A name of a host, or `*.` and a name for all below it."""


class Classifier(Value, frozen=True, kw_only=True):
    """Which frames. Every part that is given must hold; of several ports or ranges, any one.

    `ports` are the ports where the frame enters. `vlan` 0 is "untagged". `ip_src` and `ip_dst` are prefixes, IPv4 or IPv6.
    `gtp` looks inside GTP-U. `ue` is the address of a user equipment: source of what comes from the RAN side and of plain
    traffic of a station, destination of what comes from CORE or UPLINK; inside GTP-U where `gtp` is given. The tunnels that
    `gtp` looks into are over IPv4, unless addresses or `eth_type` say IPv6.

    `connection` needs ports in a `Zone`. `hosts` are what a TCP connection asks for in its first data: the host of an HTTP
    request, or the server name of a TLS ClientHello. Before that data, and where a name is cut between segments, the
    connection has no name and this classifier does not fit; afterwards all of its frames, in both directions, have it.
    """

    ports: tuple[Name, ...] = ()
    eth_src: Mac = ""
    eth_dst: Mac = ""
    eth_type: Word | None = None
    vlan: Vid | None = None
    ip_src: str = ""
    ip_dst: str = ""
    proto: Octet | None = None
    dscp: Annotated[int, Meta(ge=0, le=63)] | None = None
    src_ports: tuple[PortRange, ...] = ()
    dst_ports: tuple[PortRange, ...] = ()
    gtp: GtpClassifier | None = None
    ue: str = ""
    connection: tuple[Connection, ...] = ()
    hosts: Annotated[tuple[Host, ...], Meta(max_length=32)] = ()


# -- actions --------------------------------------------------------------------------------------------------------------


class Action(Value, frozen=True, kw_only=True, tag_field="type", tag=str.upper):
    """Base of the actions. A list of them is: any of Duplicate, Rewrite, RateLimit, Count, Connect, in their order; then one
    that decides: Pass, Drop, Forward, Steer or Reinsert (Pass where none is given)."""


class Pass(Action, frozen=True, kw_only=True):
    """Go on as if the intent were not there, to where wires and virtual links lead."""


class Drop(Action, frozen=True, kw_only=True):
    """Nothing of it goes anywhere."""


class Forward(Action, frozen=True, kw_only=True):
    """Out of a port, on whatever device: as it is; or `decapsulated` out of GTP-U, with the port's MAC as destination.

    `vlan` sets, adds or (0) removes the VLAN tag on the way out.
    """

    port: Name
    decapsulated: bool = False
    vlan: Vid | None = None


class Duplicate(Action, frozen=True, kw_only=True):
    """A copy out of a port, as it is or decapsulated; the frame itself goes on."""

    port: Name
    decapsulated: bool = False


class Steer(Action, frozen=True, kw_only=True):
    """Through a chain."""

    chain: Name
    decapsulated: bool = False


class Way(enum.StrEnum):
    """Direction of mobile traffic."""

    UP = "UP"
    DOWN = "DOWN"


class Reinsert(Action, frozen=True, kw_only=True):
    """Put a plain packet back into the GTP-U tunnel of its UE, out of a port: UP towards the core (the UE is its source), DOWN
    towards the RAN (the UE is its destination). Packets of UEs without a known tunnel are dropped and told."""

    port: Name
    way: Way


class Rewrite(Action, frozen=True, kw_only=True):
    """Change fields; what is empty stays. Addresses must be of the frame's own family."""

    eth_src: Mac = ""
    eth_dst: Mac = ""
    vlan: Vid | None = None
    ip_src: str = ""
    ip_dst: str = ""
    dscp: Annotated[int, Meta(ge=0, le=63)] | None = None
    src_port: Word | None = None
    dst_port: Word | None = None


class RateLimit(Action, frozen=True, kw_only=True):
    """Drop what exceeds a rate (bit/s of frames); `burst_bits` 0 means a tenth of a second."""

    rate_bps: Annotated[int, Meta(ge=1_000, le=10**12)]
    burst_bits: Annotated[int, Meta(ge=0, le=10**12)] = 0


class Source(Value, frozen=True, kw_only=True):
    """Whence connections seem to come: an `address` (or a prefix: one for each host), or the addresses of who is `behind` a
    port (masquerading), and a port of `ports`. Where none is free, nothing of the connection is sent."""

    address: str = ""
    behind: Unnamed = ""
    ports: PortRange = PortRange(low=1024, high=65535)


class Target(Value, frozen=True, kw_only=True):
    """Where connections go: an address, a port (None: as it is), its share among several."""

    address: str
    port: Annotated[int, Meta(ge=1, le=65535)] | None = None
    weight: Annotated[int, Meta(ge=1, le=256)] = 1


class Connect(Action, frozen=True, kw_only=True):
    """Remember the connection in a zone, so that what is answered is known, at whatever port of the zone it enters. TCP, UDP
    and echoes are connections; what else the classifier fits is dropped.

    `source` translates where it comes from, `targets` where it goes (one of them, by flow and weight). Rules see
    what is answered as the side that opened the connection does: translated back. A connection keeps its translation when
    this intent is changed. What comes out of GTP-U is connected as it leaves it."""

    zone: Name
    source: Source | None = None
    targets: Annotated[tuple[Target, ...], Meta(max_length=16)] = ()


class Count(Action, frozen=True, kw_only=True):
    """Count only. (Every rule counts; this says that it is all that is wanted.)"""


Actions = Pass | Drop | Forward | Duplicate | Steer | Reinsert | Rewrite | RateLimit | Count | Connect
DECIDING = (Pass, Drop, Forward, Steer, Reinsert)


# -- chains ---------------------------------------------------------------------------------------------------------------


class Encapsulation(enum.StrEnum):
    """What a function understands."""

    NONE = "NONE"  # proxied: plain frames come and go
    NSH = "NSH"  # gets NSH and returns it with the service index decremented


class Function(Value, frozen=True, kw_only=True):
    """An instance of a function of a chain: frames go to it out of `ingress` and come back at `egress` ("" = the same port).
    `weight` is its share of a group."""

    id: Name
    ingress: Name
    egress: Unnamed = ""
    encapsulation: Encapsulation = Encapsulation.NONE
    weight: Annotated[int, Meta(ge=1, le=256)] = 1

    @property
    def way_out(self) -> str:
        """The port at which frames come back."""
        return self.egress or self.ingress


class Branch(Value, frozen=True, kw_only=True):
    """After this hop, what the classifier matches, or what carries this context (NSH-aware functions), goes on in another
    chain at its first hop."""

    chain: Name
    classifier: Classifier | None = None
    context: Long | None = None


class Hop(Value, frozen=True, kw_only=True):
    """A step of a chain: one function, or several that share the load; a flow stays with one of them, in both directions.

    `copies` are ports that get a copy of what enters the hop. Branches are tried in their order after it.
    """

    functions: Annotated[tuple[Function, ...], Meta(min_length=1, max_length=64)]
    copies: tuple[Name, ...] = ()
    branches: tuple[Branch, ...] = ()


class Intent(Value, frozen=True, kw_only=True, tag_field="kind", tag=True):
    """Base of the intents. `owner` is who asked for it (an NS, an application, a person): all intents of an owner can be
    removed at once. `rev` grows with each change."""

    id: Name
    tenant: Tenant = ""
    owner: Owner = ""
    rev: int = 0


class Chain(Intent, frozen=True, kw_only=True, tag="CHAIN"):
    """An ordered service function path. It has no classifier of its own: a `Steering` leads frames into it.

    After the last hop a frame goes out of `exit`, or, without one, on as if the chain had not been there. `symmetric` also
    leads what enters at `exit` and matches the reversed classifiers through the hops in reverse order, entering
    each function at its egress and leaving at its ingress, and out where the frame of the other direction came from.
    `context` is the NSH context (four words; the first is the metadata that functions may use). `spi` 0 lets one be chosen.
    """

    hops: Annotated[tuple[Hop, ...], Meta(max_length=63)] = ()
    exit: Unnamed = ""
    exit_way: Way | None = None
    symmetric: bool = False
    context: Long = 0
    spi: Annotated[int, Meta(ge=0, le=0x7FFFFF)] = 0


class Steering(Intent, frozen=True, kw_only=True, tag="STEERING"):
    """Frames of a classifier get actions. `priority` 0 … 999, the highest wins.

    `sticky_s`: flows that pass stay with this intent's actions, even when it is changed or removed or another one would now
    win, until they were idle for so many seconds; 0 = each frame is judged anew. So a scenario can be switched under
    established flows.
    """

    classifier: Classifier
    actions: Annotated[tuple[Actions, ...], Meta(max_length=16)] = ()
    priority: Annotated[int, Meta(ge=0, le=999)] = 500
    sticky_s: Annotated[int, Meta(ge=0, le=86_400)] = 0


class NextHop(Intent, frozen=True, kw_only=True, tag="NEXTHOP"):
    """The next hop of a port on a flowspace: frames that come out of `port` and match go to `next`. Weaker than a Steering of
    the same priority."""

    port: Name
    classifier: Classifier
    next: Name
    priority: Annotated[int, Meta(ge=0, le=999)] = 500


class Known(Value, frozen=True, kw_only=True):
    """An address that is known to be behind a port: frames to it go there without learning."""

    port: Name
    mac: Mac
    ip: str = ""


class LinkMember(Value, frozen=True, kw_only=True):
    """A port of a virtual link; `vlan` is the tag its frames have there (0: none)."""

    port: Name
    vlan: Vid = 0


class VirtualLink(Intent, frozen=True, kw_only=True, tag="VIRTUALLINK"):
    """A broadcast domain over any number of devices. With `learning` addresses are learned and the unknown is flooded;
    without, only `known` addresses (and broadcast, which ARP needs) are forwarded."""

    members: tuple[LinkMember, ...]
    learning: bool = True
    known: tuple[Known, ...] = ()


class Wire(Intent, frozen=True, kw_only=True, tag="WIRE"):
    """Whatever enters at one port leaves at the other, byte for byte, in both directions: what a node in the middle of a line
    does with all that nothing else concerns. With `learn_gtp`, tunnels of UEs are learned on the way (`a` is the RAN side,
    `b` the core side); with `snoop_gtp`, read from the control plane that passes (both ports need the MACs behind them)."""

    a: Name
    b: Name
    learn_gtp: bool = False
    snoop_gtp: bool = False


class Route(Intent, frozen=True, kw_only=True, tag="ROUTE"):
    """Packets to a prefix that enter at `ports` (all of the tenant on the device of `port`, if empty) go out of `port` to the
    MAC `via`, from the port's own gateway address, with the TTL decremented. Longer prefixes win."""

    prefix: str
    port: Name
    via: Mac
    ports: tuple[Name, ...] = ()


class Zone(Intent, frozen=True, kw_only=True, tag="ZONE"):
    """Ports of one device over which connections are known; those of another zone are others, even with the same addresses.
    A port of a tenant is in one zone. A shared port may be in several: there, a zone knows what is sent to the addresses
    that its connections have. Connections are forgotten after so many idle seconds, by protocol."""

    ports: Annotated[tuple[Name, ...], Meta(min_length=1)]
    tcp_s: Annotated[int, Meta(ge=1, le=864_000)] = 7440
    udp_s: Annotated[int, Meta(ge=1, le=864_000)] = 180
    icmp_s: Annotated[int, Meta(ge=1, le=864_000)] = 30


class UserTunnel(Intent, frozen=True, kw_only=True, tag="USERTUNNEL"):
    """The GTP-U tunnels of a UE as told (static). `ran_*` is the base station's, `core_*` the gateway's end; `teid_up` is what
    the core expects, `teid_down` what the base station expects. `qfi` adds a PDU Session Container."""

    device: Name
    ue: str
    ran_address: str
    core_address: str
    ran_mac: Mac
    core_mac: Mac
    teid_up: Long
    teid_down: Long
    qfi: Annotated[int, Meta(ge=0, le=63)] | None = None


Intents = Chain | Steering | NextHop | VirtualLink | Wire | Route | Zone | UserTunnel
"""One intent of any kind; on the wire `kind` says which."""
