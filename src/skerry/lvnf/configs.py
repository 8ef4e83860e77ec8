"""The typed configurations of all elements, one struct for each class. Values only; `reading` makes them from Click's text.

Addresses are bytes in network order (4 or 16 for IP, 6 for Ethernet). Rates are packets or bytes a second. Where a packet
fails an element's check it leaves by the last output if that is connected, else it is dropped.
"""

from __future__ import annotations

import msgspec


class Config(msgspec.Struct, frozen=True, kw_only=True, tag_field="class"):
    """Base of all configurations; the tag is the element's class name."""


class FromDevice(Config, frozen=True, kw_only=True, tag=True):
    """Frames that arrive at a port of the function. Push source."""

    device: str


class ToDevice(Config, frozen=True, kw_only=True, tag=True):
    """Sends frames out of a port of the function. Takes push or pull."""

    device: str


class Discard(Config, frozen=True, kw_only=True, tag=True):
    """Drops every packet. Handlers: count; reset_counts."""


class Idle(Config, frozen=True, kw_only=True, tag=True):
    """Never produces a packet, drops what it gets."""


class Null(Config, frozen=True, kw_only=True, tag=True):
    """Hands every packet on."""


class ClassifierClause(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes at an offset from the packet's start: `packet[offset:] & mask == value`, `negated` for !. A packet too short does
    not match (also where negated)."""

    offset: int
    value: bytes
    mask: bytes
    negated: bool = False


class Classifier(Config, frozen=True, kw_only=True, tag=True):
    """Packets leave by the output of the first pattern of which all clauses match; an empty pattern ("-") takes all; a packet
    that matches none is dropped."""

    patterns: tuple[tuple[ClassifierClause, ...], ...]


class IPTest(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A primitive of an IP expression, on an IPv4 header at the packet's start.

    `field` is one of: "src host", "dst host" (value and mask are addresses), "proto", "src port", "dst port", "tos", "dscp",
    "ttl", "len" (total length), "id", "hl" (header length in bytes), "vers", "ip frag" (value 1: it is a fragment),
    "ip unfrag" (first or only), "tcp opt" (flags byte under mask), "icmp type", "ip bytes" (the one byte at `offset` of the
    IPv4 header), "transp bytes" (the one byte at `offset` of the header behind it). `comparison` is one of ==, !=, <, >, <=,
    >=; == and != compare under `mask` (0: all bits). Ports and ICMP types match only first fragments of TCP, UDP (and SCTP), or
    ICMP; bytes of the transport header only first fragments. A byte that the packet does not have matches nothing.
    """

    field: str
    value: int
    mask: int = 0
    comparison: str = "=="
    offset: int = 0


class IPAll(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """True when all parts are; no parts: always true."""

    parts: tuple[IPExpression, ...]


class IPAny(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """True when one part is; no parts: never true."""

    parts: tuple[IPExpression, ...]


class IPNot(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """True when its part is not."""

    part: IPExpression


IPExpression = IPTest | IPAll | IPAny | IPNot


class IPClassifier(Config, frozen=True, kw_only=True, tag=True):
    """Packets (IPv4 header first) leave by the output of the first expression that is true; others are dropped."""

    expressions: tuple[IPExpression, ...]


class IPFilterRule(msgspec.Struct, frozen=True, kw_only=True):
    """What is done with what matches: `output` is the port, None drops."""

    output: int | None
    expression: IPExpression


class IPFilter(Config, frozen=True, kw_only=True, tag=True):
    """Rules in order; "allow" is output 0, "deny" drops; what no rule matches is dropped."""

    rules: tuple[IPFilterRule, ...]


class Strip(Config, frozen=True, kw_only=True, tag=True):
    """Removes bytes from the packet's start; a shorter packet becomes empty."""

    length: int


class Unstrip(Config, frozen=True, kw_only=True, tag=True):
    """Puts back bytes that were stripped before (zeros where there were none)."""

    length: int


class EtherEncap(Config, frozen=True, kw_only=True, tag=True):
    """Prepends an Ethernet header."""

    ethertype: int
    src: bytes
    dst: bytes


class VLANEncap(Config, frozen=True, kw_only=True, tag=True):
    """Inserts an 802.1Q tag after the Ethernet addresses. `pcp` 0 to 7."""

    vlan_id: int
    pcp: int = 0
    ethertype: int = 0x8100


class VLANDecap(Config, frozen=True, kw_only=True, tag=True):
    """Removes the outer 802.1Q tag if there is one."""


class EtherMirror(Config, frozen=True, kw_only=True, tag=True):
    """Exchanges the Ethernet addresses."""


class EtherRewrite(Config, frozen=True, kw_only=True, tag=True):
    """Replaces both Ethernet addresses."""

    src: bytes
    dst: bytes


class ARPEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Addresses that are answered with this hardware address."""

    network: bytes
    prefix: int
    mac: bytes


class ARPResponder(Config, frozen=True, kw_only=True, tag=True):
    """Answers ARP requests (Ethernet header first) for these addresses on output 0; others leave by output 1 or are dropped."""

    entries: tuple[ARPEntry, ...]


class ICMPPingResponder(Config, frozen=True, kw_only=True, tag=True):
    """Turns ICMP echo requests (IPv4 header first) into replies with TTL 255; others leave by output 1 or are dropped."""


class CheckIPHeader(Config, frozen=True, kw_only=True, tag=True):
    """Checks the IPv4 header at `offset`: version, lengths, checksum, bad sources. Handlers: drops, count."""

    offset: int = 0
    checksum: bool = True
    bad_sources: tuple[bytes, ...] = (bytes(4), b"\xff\xff\xff\xff")


class IPRewriterInput(msgspec.Struct, frozen=True, kw_only=True):
    """What an input does with a flow that has no mapping yet. `kind`: "drop", "pass" (unchanged, to `forward`), "keep" (a
    mapping that changes nothing) or "pattern" (SADDR SPORT DADDR DPORT FOUTPUT ROUTPUT; None keeps a field).

    With a port range (`source_port_last` > `source_port`) each new flow takes the next free port; None with a `source` keeps
    the flow's own. The replies of a flow are rewritten back and leave by `reverse`.
    """

    kind: str
    source: bytes | None = None
    source_port: int | None = None
    source_port_last: int | None = None
    destination: bytes | None = None
    destination_port: int | None = None
    forward: int = 0
    reverse: int = 0


class IPRewriter(Config, frozen=True, kw_only=True, tag=True):
    """Rewrites flows of TCP and UDP over IPv4 (NAT), one specification for each input; checksums follow. Time-outs in
    seconds. Handlers: nmappings, table; clear."""

    rules: tuple[IPRewriterInput, ...]
    tcp_timeout: float = 86400.0
    udp_timeout: float = 300.0


class Counter(Config, frozen=True, kw_only=True, tag=True):
    """Counts packets and bytes. Handlers: count, byte_count (read, and written where a function goes on that ran elsewhere),
    rate, bit_rate, byte_rate; reset, reset_counts."""


class AverageCounter(Config, frozen=True, kw_only=True, tag=True):
    """Counts and averages from the first packet on (after `ignore` seconds). Handlers: count, byte_count, rate, byte_rate;
    reset."""

    ignore: float = 0.0


class Tee(Config, frozen=True, kw_only=True, tag=True):
    """A copy of each packet to each output."""

    outputs: int


class Switch(Config, frozen=True, kw_only=True, tag=True):
    """All packets to one output; -1 drops. Handlers: switch (read, write)."""

    output: int = 0


class RoundRobinSwitch(Config, frozen=True, kw_only=True, tag=True):
    """Each packet to the next output."""


class Paint(Config, frozen=True, kw_only=True, tag=True):
    """Marks packets with a colour, 0 to 255. Handlers: color (read, write)."""

    color: int


class CheckPaint(Config, frozen=True, kw_only=True, tag=True):
    """Output 0 for packets of this colour; others leave by output 1 or are dropped. Handlers: color (read, write)."""

    color: int


class RandomSample(Config, frozen=True, kw_only=True, tag=True):
    """Passes packets with this probability; others leave by output 1 or are dropped. Handlers: sampling_prob, drop_prob (read,
    write), drops, count."""

    probability: float


class Meter(Config, frozen=True, kw_only=True, tag=True):
    """Classifies by the recent rate of packets a second: output i for the first rate above it, the last where all are
    exceeded."""

    rates: tuple[int, ...]


class Queue(Config, frozen=True, kw_only=True, tag=True):
    """A FIFO, push in and pull out; a full one drops what arrives. Handlers: length, highwater_length, capacity (read, write),
    drops; reset, reset_counts."""

    capacity: int = 1000


class Unqueue(Config, frozen=True, kw_only=True, tag=True):
    """Pulls as fast as it can and pushes. Handlers: count; active (read, write)."""

    active: bool = True


class RatedUnqueue(Config, frozen=True, kw_only=True, tag=True):
    """Pulls this many packets a second and pushes. Handlers: rate (read, write)."""

    rate: float


class Shaper(Config, frozen=True, kw_only=True, tag=True):
    """Pull to pull: at most this many packets a second. Handlers: rate (read, write)."""

    rate: float


class BandwidthShaper(Config, frozen=True, kw_only=True, tag=True):
    """Pull to pull: at most this many bytes a second. Handlers: rate (read, write)."""

    rate: float


class IPEncap(Config, frozen=True, kw_only=True, tag=True):
    """Prepends an IPv4 header (checksum made, id counts up from 0, don't fragment not set)."""

    protocol: int
    src: bytes
    dst: bytes
    ttl: int = 250
    dscp: int = 0


class UDPIPEncap(Config, frozen=True, kw_only=True, tag=True):
    """Prepends UDP and IPv4 headers. TTL 250; id counts up from 0."""

    src: bytes
    source_port: int
    dst: bytes
    destination_port: int
    checksum: bool = True


class GTPEncap(Config, frozen=True, kw_only=True, tag=True):
    """Prepends a GTPv1-U G-PDU header (3GPP TS 29.281) of 8 bytes, with a PDU Session Container of `pdu_type` 0 or 1 where
    `qfi` is given (16 bytes). Handlers: teid (read, write)."""

    teid: int
    qfi: int | None = None
    pdu_type: int = 0


class GTPDecap(Config, frozen=True, kw_only=True, tag=True):
    """Removes a GTPv1-U header with its optional part and extension headers. Packets that are no G-PDU, or of another `teid`
    where one is given, leave by output 1 or are dropped. Handlers: count, teid (of the last packet)."""

    teid: int | None = None


class GTPGateway(Config, frozen=True, kw_only=True, tag=True):
    """A local gateway on the line between base stations and core. Inputs and outputs 0 (base stations), 1 (core) and 2 (edge)
    take Ethernet frames; frames between 0 and 1 pass byte for byte.

    Users' packets from the base stations for which `expression` holds leave their GTP-U tunnel and go to the router or server
    `via` at the edge, if the way back to the user is known. IPv4 packets from the edge to a user go into the user's tunnel to
    the base station, those from a user into the tunnel to the core. Both directions are learned from user data and from
    GTPv1-C and PFCP that pass. `address` and `mac` are the gateway's own at the edge. `mss` is the largest TCP segment that
    connections through the edge agree on. Handlers: sessions (read, write), diverted, returned, inserted, dropped;
    reset_counts."""

    expression: IPExpression
    address: bytes
    mac: bytes
    via: bytes
    mss: int = 1380


class NSHEncap(Config, frozen=True, kw_only=True, tag=True):
    """Prepends an NSH header (RFC 8300). `metadata` of 16 bytes makes MD type 1, none MD type 2 of length 2. `next_protocol`: 1
    IPv4, 2 IPv6, 3 Ethernet."""

    path: int
    index: int = 255
    ttl: int = 63
    next_protocol: int = 3
    metadata: bytes = b""


class NSHDecap(Config, frozen=True, kw_only=True, tag=True):
    """Removes an NSH header. Packets without a whole one, or of another `path` where one is given, leave by output 1 or are
    dropped. Handlers: path, index (of the last packet)."""

    path: int | None = None


class Print(Config, frozen=True, kw_only=True, tag=True):
    """Logs each packet: label, length, the first bytes in hex. Handlers: active (read, write)."""

    label: str = ""
    max_length: int = 24
    active: bool = True


class ScriptStep(msgspec.Struct, frozen=True, kw_only=True):
    """One instruction: `verb` as in Click (set, init, read, write, print, wait, wait_time, wait_step, goto, label, loop, end,
    exit, stop, return), `arguments` as written."""

    verb: str
    arguments: str = ""


class Script(Config, frozen=True, kw_only=True, tag=True):
    """Runs instructions at start (`kind` "active") or when its `run` handler is called ("passive"). Handlers: step, goto, run,
    vars."""

    steps: tuple[ScriptStep, ...]
    kind: str = "active"
