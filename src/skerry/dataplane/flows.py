"""The exact, engine-neutral state of one device: tables of rules, groups, meters, broadcast domains, tunnel sessions.

This is what the compiler makes, what is verified, and what every engine must do to the letter.

**Processing.** A frame that enters at a port starts in table 0 with registers 0. In a table the matching rule of the highest
priority is applied; where none matches, the frame is dropped. Two rules of equal priority in one table never match the same
frame. The actions of a rule are applied in order to the one frame; `Output` sends the frame as it is at that moment and the
list goes on. `Goto`, `Bridge` and `Select` stand last. `Goto` leads to a table of a higher number only, so a device cannot
loop in itself. What follows a change (`SetField`, pop, decap …) matches the changed frame. Without any `Output` the frame is
dropped; an empty list of actions is the way to say it.

**Matches.** A match is a tuple of `Term(field, value, mask)`, ascending by field, at most one for each field; a frame matches
when it has every field and `frame & mask == value`. `value & ~mask == 0` always. Prerequisites are always written out
(`eth_type` for IP fields, `ip_proto` for L4 ports …), so an engine need not add them; `match()` does it for the maker.

**What a frame has.** One VLAN tag is looked through: `eth_type` is what follows it, and a second tag is `eth_type` 0x8100 or
0x88a8. `vlan_vid` is `VLAN_PRESENT | vid` for a tagged frame and 0 for an untagged one, so every frame has it. L4 ports
exist for TCP, UDP and SCTP unless the frame is a later fragment (`ip_frag` LATER). IPv6 extension headers (hop-by-hop,
routing, destination options, fragment) are looked through. `gtp_*` exist for UDP to port 2152 in unfragmented IPv4 or IPv6
whose GTP version is 1 and protocol type 1 (TS 29.281); `gtp_qfi` only with a PDU Session Container; `inner_*` only in a
G-PDU (type 255) that carries IPv4 or IPv6, after any chain of extension headers that is understood whole. `nsh_*` exist for
`eth_type` 0x894f; nothing behind the NSH header can be matched before `PopNsh`. `pin` is what the frame's flow was last
pinned to, looked up once when the frame enters; 0 where there is none. `conn` is what `Track` found, 0 before it. `name` is
the number of the `Named` that the frame's flow asks for, in its first bytes of data: the host of an HTTP request or the
server name of a TLS ClientHello (RFC 6066, 3); decided once for a flow, by its first data, and kept with it; 0 before
that, and where none fits.

Counters of packets and bytes belong to each rule; bytes are those of the frame as it was matched.
"""

from __future__ import annotations

import enum
from ipaddress import ip_network
from typing import NamedTuple

import msgspec

# What is part of this text is named from here.
from skerry.dataplane.fields import EXACT_ONLY as EXACT_ONLY  # noqa: PLC0414
from skerry.dataplane.fields import WIDTHS as WIDTHS  # noqa: PLC0414
from skerry.dataplane.fields import WRITABLE as WRITABLE  # noqa: PLC0414
from skerry.dataplane.fields import Conn as Conn  # noqa: PLC0414
from skerry.dataplane.fields import Field as Field  # noqa: PLC0414
from skerry.dataplane.fields import Frag as Frag  # noqa: PLC0414

VLAN_PRESENT = 0x1000
GTPU_PORT = 2152
ETH_IPV4, ETH_IPV6, ETH_ARP, ETH_NSH = 0x0800, 0x86DD, 0x0806, 0x894F
PROTO_ICMP, PROTO_TCP, PROTO_UDP, PROTO_SCTP = 1, 6, 17, 132
TABLES = 8
"""Tables are 0 … 7."""
MAX_PORT = 65279
"""Ports are 1 … 65279 (OpenFlow's limit, and a comfortable one)."""


class Value(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of what is exchanged with engines."""


class Term(NamedTuple):
    """One condition of a match: `frame[field] & mask == value`."""

    field: Field
    value: int
    mask: int


Match = tuple[Term, ...]


# -- actions --------------------------------------------------------------------------------------------------------------


class Action(Value, frozen=True, kw_only=True, tag_field="do", tag=str.lower):
    """Base of the actions; on the wire `do` names the kind."""


class Output(Action, frozen=True, kw_only=True):
    """Send the frame as it is now out of a port. Never back out of the port it came in on, unless `hairpin`."""

    port: int
    hairpin: bool = False


class Goto(Action, frozen=True, kw_only=True):
    """Go on in a table of a higher number. Stands last."""

    table: int


class SetField(Action, frozen=True, kw_only=True):
    """Write all bits of a `WRITABLE` field that the frame has (else nothing happens); checksums are kept right.

    `VLAN_VID` writes the 12-bit id (without VLAN_PRESENT) of an existing tag and keeps its priority bits.
    """

    field: Field
    value: int


class PushVlan(Action, frozen=True, kw_only=True):
    """Put a new outermost 802.1Q tag (0x8100) with this id and priority 0."""

    vid: int


class PopVlan(Action, frozen=True, kw_only=True):
    """Remove the outermost tag; nothing happens without one."""


class DecTtl(Action, frozen=True, kw_only=True):
    """Decrement the IPv4 TTL or IPv6 hop limit; a frame whose value is 0 or 1 is dropped and the list ends."""


class PushNsh(Action, frozen=True, kw_only=True):
    """Put an Ethernet header (type 0x894f) and an NSH header (RFC 8300, MD type 1, next protocol Ethernet, TTL 63, O = 0)
    before the whole frame. `eth_*` are the outer ones from now on."""

    spi: int
    si: int
    eth_src: int
    eth_dst: int
    context: tuple[int, int, int, int] = (0, 0, 0, 0)


class PopNsh(Action, frozen=True, kw_only=True):
    """Remove the outer Ethernet header (and its VLAN tag) and the NSH header, of MD type 1 or 2; the frame inside is the
    frame now. A frame without NSH, or whose next protocol is not Ethernet, is dropped and the list ends."""


class DecNshTtl(Action, frozen=True, kw_only=True):
    """Decrement the NSH TTL; a frame whose value is 0 or 1 is dropped and the list ends (RFC 8300, 2.2)."""


class Way(enum.StrEnum):
    """Direction of mobile traffic."""

    UP = "up"  # from the UE towards the core
    DOWN = "down"


class GtpDecap(Action, frozen=True, kw_only=True):
    """Remove the outer Ethernet, VLAN, IP, UDP and GTP-U headers of a G-PDU with all its extension headers; put a new
    Ethernet header of these addresses. A frame that is no G-PDU with an IP packet is dropped and the list ends."""

    eth_src: int
    eth_dst: int


class GtpEncap(Action, frozen=True, kw_only=True):
    """Put a plain IP packet (its Ethernet header and VLAN tag removed) into a GTP-U tunnel as G-PDU.

    With `way`, the tunnel is that of the session whose UE is the packet's source (UP) or destination (DOWN); a packet
    without such a session, or whose session lacks the tunnel of that way, is dropped and the list ends. With `tunnel`,
    this one. UDP ports are 2152, the outer TTL 64, the outer DSCP that of the inner packet, don't-fragment set, a UDP
    checksum of 0 over IPv4.
    """

    way: Way | None = None
    tunnel: Tunnel | None = None


class GtpLearn(Action, frozen=True, kw_only=True):
    """From a G-PDU, remember the tunnel of its UE (inner source for UP, inner destination for DOWN): addresses, MACs, TEID
    and QFI as they are in the frame. A newer frame with other values replaces it. An End Marker (254) whose TEID and outer
    addresses are those of a learned tunnel removes that tunnel. Static and snooped sessions are not changed."""

    way: Way


class GtpReply(Action, frozen=True, kw_only=True):
    """Answer an Echo Request with an Echo Response (Recovery 0, the sequence number kept), or any G-PDU with an Error
    Indication (its TEID, our address), out of the port it came in on; any other frame is dropped. Ends the list."""

    error: bool = False


class ArpReply(Action, frozen=True, kw_only=True):
    """Answer an ARP request for IPv4 as if `mac` owned the address asked for, out of the port it came in on (VLAN tag
    kept); any other frame is dropped. Ends the list."""

    mac: int


class Police(Action, frozen=True, kw_only=True):
    """Drop the frame, and end the list, when it exceeds the meter."""

    meter: int


class Pin(Action, frozen=True, kw_only=True):
    """Remember `value` (not 0) for the frame's flow, for `idle_s` seconds after its last frame that passes a `Pin` or
    matches on it. A flow that is already pinned keeps its value.

    The flow is protocol, addresses and ports without direction (both directions are one flow): of the inner packet for
    a G-PDU, so that a flow is the same before and after decapsulation. No flow, no effect: not IP, or a later fragment.
    """

    value: int
    idle_s: int


class Copy(Action, frozen=True, kw_only=True):
    """Apply actions to a copy; the frame itself stays as it is. Inside: no Copy, Goto, Bridge, Select, Pin,
    GtpLearn, Track, Connect."""

    actions: tuple[Actions, ...]


class Track(Action, frozen=True, kw_only=True):
    """Look for the connection of the frame in a zone: connections of different zones know nothing of each other. `conn` is
    what was found (`Conn`), and what comes from the side that did not open it is translated back: so rules see a
    connection as the side that opened it does. TCP, UDP and ICMP echoes are connections, and ICMP errors belong to them;
    frames of other protocols are not tracked. Fragments belong to the
    connection of the first of them, which has to come first."""

    zone: int


class Connect(Action, frozen=True, kw_only=True):
    """Remember the connection of a frame that was tracked in this zone; forgotten after so many idle seconds (before it
    was answered: after a minute at most). A frame of the other side stays as it is; one that is INVALID or not tracked,
    or of another family than the addresses, is dropped and the list ends.

    `source` is a prefix from which the connection seems to come, from a port of `low` … `high`; the engine chooses, its own
    port if it can. Where none is free the frame is dropped and the list ends. `targets` are where it goes instead, one of
    them, chosen by flow and weight. A connection keeps its translation, whatever the rules say later."""

    zone: int
    source: str = ""
    low: int = 0
    high: int = 0
    targets: tuple[Target, ...] = ()
    tcp_s: int = 7440
    udp_s: int = 180
    icmp_s: int = 30


class Target(Value, frozen=True, kw_only=True):
    """Where a connection goes: an address in text form, a port (0: as it is), its share."""

    address: str
    port: int = 0
    weight: int = 1


class Bridge(Action, frozen=True, kw_only=True):
    """Forward in a broadcast domain: learn the source MAC on the port it came in on; send to the port where the destination
    was learned; else, or to a group address, to every other port of the domain. Never back. Each leaves as `Member` says.
    Learned addresses age after the domain's `age_s`. Stands last."""

    domain: int


class Select(Action, frozen=True, kw_only=True):
    """Apply the actions of one bucket of a group, chosen by the flow (see `Pin`), so that a flow stays with its bucket in
    both directions, in proportion to the weights. Frames without a flow take the first bucket. Stands last."""

    group: int


Actions = (
    Output
    | Goto
    | SetField
    | PushVlan
    | PopVlan
    | DecTtl
    | PushNsh
    | PopNsh
    | DecNshTtl
    | GtpDecap
    | GtpEncap
    | GtpLearn
    | GtpReply
    | ArpReply
    | Police
    | Pin
    | Copy
    | Track
    | Connect
    | Bridge
    | Select
)

# -- state ----------------------------------------------------------------------------------------------------------------


class Rule(Value, frozen=True, kw_only=True):
    """One rule. `(table, priority, match)` is its identity in the device; `cookie` (64 bits, not 0) is derived from it and
    the owner, unique in the device, and stays with the rule in the engine. `owner` is the id of the intent."""

    table: int
    priority: int  # 0 … 65535
    match: Match
    actions: tuple[Actions, ...]
    cookie: int
    owner: str = ""
    tenant: str = ""

    @property
    def key(self) -> tuple[int, int, Match]:
        """Its identity in the device."""
        return (self.table, self.priority, self.match)


class Bucket(Value, frozen=True, kw_only=True):
    """One choice of a group. In its actions: no Goto, Bridge, Select, Copy."""

    actions: tuple[Actions, ...]
    weight: int = 1


class Group(Value, frozen=True, kw_only=True):
    """A choice by flow. `id` is 1 … 2^31."""

    id: int
    buckets: tuple[Bucket, ...]
    owner: str = ""


class Meter(Value, frozen=True, kw_only=True):
    """A token bucket in bits of frames a second; `burst_bits` is what may pass at once. `id` is 1 … 2^16."""

    id: int
    rate_bps: int
    burst_bits: int
    owner: str = ""


class Member(Value, frozen=True, kw_only=True):
    """A port of a broadcast domain. What leaves there is tagged with `vlan`, or untagged where that is 0. (Rules remove the
    tag of what enters before they bridge it.)"""

    port: int
    vlan: int = 0


class Domain(Value, frozen=True, kw_only=True):
    """A broadcast domain on this device. `id` is 1 … 2^24. What was learned survives a change of members that stay."""

    id: int
    members: tuple[Member, ...]
    age_s: int = 300
    owner: str = ""


class Tunnel(Value, frozen=True, kw_only=True):
    """One direction of a GTP-U tunnel, as a frame in it looks: outer addresses (text form), MACs, TEID; with `qfi`, a PDU
    Session Container of that QFI."""

    teid: int
    src: str
    dst: str
    eth_src: int
    eth_dst: int
    qfi: int | None = None


class Origin(enum.StrEnum):
    """Where a session is known from; an earlier one is not overwritten by a later one."""

    STATIC = "static"  # part of the compiled state
    SNOOPED = "snooped"  # read from the control plane
    LEARNED = "learned"  # by GtpLearn


class Session(Value, frozen=True, kw_only=True):
    """The tunnels of one UE address on this device: `up` towards the core, `down` towards the RAN."""

    ue: str
    up: Tunnel | None = None
    down: Tunnel | None = None
    origin: Origin = Origin.STATIC
    idle_s: int = 0  # forgotten after so long without a frame; 0: stays
    owner: str = ""


class PortKind(enum.StrEnum):
    """What stands behind a port."""

    INTERFACE = "interface"  # an interface of the device's namespace
    VXLAN = "vxlan"  # a VXLAN tunnel (RFC 7348, UDP 4789) to one peer; frames enter and leave without it
    INTERNAL = "internal"  # an interface that the engine makes in the device's namespace, for the host itself


class PortState(Value, frozen=True, kw_only=True):
    """A port of a device. `interface` is the name of the interface; for VXLAN the tunnel's ends and VNI."""

    number: int
    name: str
    kind: PortKind = PortKind.INTERFACE
    interface: str = ""
    mac: int = 0
    local: str = ""
    remote: str = ""
    vni: int = 0
    owner: str = ""


class Named(Value, frozen=True, kw_only=True):
    """A name that flows ask for: `www.example.org`, or `*.example.org` for all below it, in lower case."""

    id: int
    name: str


class Reason(enum.StrEnum):
    """Why frames were dropped."""

    NO_MATCH = "no-match"  # no rule fits
    POLICY = "policy"  # a rule says so
    TTL = "ttl"  # its TTL, or that of its service header, is over
    NSH = "nsh"  # no service header with a frame inside, or its index has no rule
    GTP = "gtp"  # no G-PDU with an IP packet
    NO_SESSION = "no-session"  # no tunnel of its UE is known
    METER = "meter"  # it exceeds its rate
    UNTRACKED = "untracked"  # Connect of what cannot be tracked
    EXHAUSTED = "exhausted"  # no port is free for a translated source
    FAILED = "failed"  # the frame could not be changed: it is too short or too long


class Dropped(Value, frozen=True, kw_only=True):
    """How many frames that came in at a port (0: not known where) were dropped for a reason."""

    port: int
    reason: Reason
    packets: int


class DeviceState(Value, frozen=True, kw_only=True):
    """All that a device shall do. Every port, group, meter and domain that an action names is in it."""

    device: str
    ports: tuple[PortState, ...] = ()
    rules: tuple[Rule, ...] = ()
    groups: tuple[Group, ...] = ()
    meters: tuple[Meter, ...] = ()
    domains: tuple[Domain, ...] = ()
    sessions: tuple[Session, ...] = ()
    names: tuple[Named, ...] = ()


class Change(Value, frozen=True, kw_only=True):
    """A difference of two states of one device, without ports (those are attached before and detached after).

    `put_*` add, or replace what has the same identity (a rule's counters go on when only its actions change); `drop_*` are
    identities to remove. Everything takes effect at one moment: no frame sees a mixture. `revision` is a number that the
    engine keeps with the state and reads back.
    """

    device: str
    revision: int = 0
    put_rules: tuple[Rule, ...] = ()
    drop_rules: tuple[Rule, ...] = ()
    put_groups: tuple[Group, ...] = ()
    drop_groups: tuple[int, ...] = ()
    put_meters: tuple[Meter, ...] = ()
    drop_meters: tuple[int, ...] = ()
    put_domains: tuple[Domain, ...] = ()
    drop_domains: tuple[int, ...] = ()
    put_sessions: tuple[Session, ...] = ()
    drop_sessions: tuple[str, ...] = ()
    put_names: tuple[Named, ...] = ()
    drop_names: tuple[int, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        fields = (name for name in self.__struct_fields__ if name.startswith(("put_", "drop_")))
        return not any(getattr(self, name) for name in fields)


# -- making matches -------------------------------------------------------------------------------------------------------

_V4 = frozenset({Field.IPV4_SRC, Field.IPV4_DST})
_V6 = frozenset({Field.IPV6_SRC, Field.IPV6_DST})
_GTP = frozenset(field for field in Field if 40 <= field < 60)
_INNER_V4 = frozenset({Field.INNER_IPV4_SRC, Field.INNER_IPV4_DST})
_NSH = frozenset(field for field in Field if field >= 60)
_ADDRESSES = _V4 | _V6 | _INNER_V4 | {Field.INNER_IPV6_SRC, Field.INNER_IPV6_DST}


def full(field: Field) -> int:
    """The mask that compares all bits of a field."""
    return (1 << WIDTHS[field]) - 1


def match(**conditions: int | str | tuple[int, int]) -> Match:
    """A canonical match from field names in lower case: an int (exact), a pair (value, mask), or text: an IP prefix or a MAC.

    Prerequisites with one possible value are added: `eth_type` for IPv4, IPv6 and NSH fields, UDP and port 2152 and G-PDU
    for GTP-U and inner fields. `eth_type` of GTP-U is IPv4 unless given. `ValueError` for what cannot be written.
    """
    terms = dict(_term(name, given) for name, given in conditions.items())
    for field, value in _implied(frozenset(terms)).items():
        terms.setdefault(field, Term(field, value, full(field)))
    return tuple(terms[field] for field in sorted(terms) if terms[field].mask)


def _implied(fields: frozenset[Field]) -> dict[Field, int]:
    found: dict[Field, int] = {}
    if fields & _GTP:
        found |= {Field.ETH_TYPE: ETH_IPV4, Field.IP_PROTO: PROTO_UDP, Field.L4_DST: GTPU_PORT}
    if any(field >= Field.INNER_PROTO for field in fields & _GTP):
        found[Field.GTP_TYPE] = 255
    if fields & _NSH:
        found[Field.ETH_TYPE] = ETH_NSH
    if fields & _V4:
        found[Field.ETH_TYPE] = ETH_IPV4
    if fields & _V6:
        found[Field.ETH_TYPE] = ETH_IPV6
    return found


def _term(name: str, given: int | str | tuple[int, int]) -> tuple[Field, Term]:
    field = Field[name.upper()]
    if isinstance(given, tuple):
        value, mask = given
    elif isinstance(given, int):
        value, mask = given, full(field)
    elif field in _ADDRESSES:
        network = ip_network(given)
        value, mask = int(network.network_address), int(network.netmask)
    else:
        value, mask = mac(given), full(field)
    if value & ~mask or mask & ~full(field) or (field in EXACT_ONLY and mask != full(field)):
        raise ValueError(f"{name} cannot be {given}")
    return field, Term(field, value, mask)


def mac(text: str) -> int:
    """A MAC address as number. `ValueError` if it is none."""
    parts = text.replace("-", ":").split(":")
    if len(parts) != 6 or any(len(part) != 2 for part in parts):
        raise ValueError(f"{text} is no MAC address")
    return int("".join(parts), 16)


def mac_text(number: int) -> str:
    """A MAC address in its usual form."""
    return ":".join(f"{number >> shift & 255:02x}" for shift in range(40, -1, -8))
