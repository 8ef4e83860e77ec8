"""Matches of the contract as matches of Open vSwitch, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from skerry.dataplane import flows
from skerry.dataplane.flows import Conn, Field, Frag, Match, Term
from skerry.dataplane.ovs import layout, oxm
from skerry.errors import InvalidError

_NOT_LATER = ("ip_frag", 0, 2)
_FRAGMENTS = {Frag.NO: 0, Frag.FIRST: 1, Frag.LATER: 3}
_FRAGS_BACK = {wire: frag for frag, wire in _FRAGMENTS.items()}
_PORTS = {
    flows.PROTO_TCP: ("tcp_src", "tcp_dst"),
    flows.PROTO_UDP: ("udp_src", "udp_dst"),
    flows.PROTO_SCTP: ("sctp_src", "sctp_dst"),
}
NAMES: Mapping[Field, str] = {
    Field.IN_PORT: "in_port",
    Field.ETH_SRC: "eth_src",
    Field.ETH_DST: "eth_dst",
    Field.ETH_TYPE: "eth_type",
    Field.VLAN_VID: "vlan_vid",
    Field.IPV4_SRC: "ipv4_src",
    Field.IPV4_DST: "ipv4_dst",
    Field.IPV6_SRC: "ipv6_src",
    Field.IPV6_DST: "ipv6_dst",
    Field.IP_FRAG: "ip_frag",
    Field.IP_DSCP: "ip_dscp",
    Field.IP_PROTO: "ip_proto",
    Field.NSH_SPI: "nsh_spi",
    Field.NSH_SI: "nsh_si",
    Field.NSH_C1: "nsh_c1",
    Field.NSH_C2: "nsh_c2",
    Field.NSH_C3: "nsh_c3",
    Field.NSH_C4: "nsh_c4",
    Field.REG0: "reg0",
    Field.REG1: "reg1",
    Field.REG2: "reg2",
    Field.REG3: "reg3",
    Field.PIN: layout.R_PIN,
}
"""Fields whose name does not depend on the protocol, whatever else is matched."""
L4 = frozenset({Field.L4_SRC, Field.L4_DST})
SUPPORTED = frozenset(NAMES) | L4 | {Field.CONN}
_NEW, _ESTABLISHED, _RELATED, _REPLY, _INVALID, _TRACKED = 1, 2, 4, 8, 16, 32
CONNECTIONS: Mapping[Conn, tuple[int, int]] = {
    Conn.NONE: (0, _TRACKED),
    Conn.NEW: (_TRACKED | _NEW, _TRACKED | _NEW | _RELATED | _REPLY | _INVALID),
    Conn.ESTABLISHED: (_TRACKED | _ESTABLISHED, _TRACKED | _ESTABLISHED | _RELATED | _REPLY | _INVALID),
    Conn.REPLY: (_TRACKED | _ESTABLISHED | _REPLY, _TRACKED | _ESTABLISHED | _RELATED | _REPLY | _INVALID),
    Conn.RELATED: (_TRACKED | _RELATED, _TRACKED | _RELATED | _INVALID),
    Conn.INVALID: (_TRACKED | _INVALID, _TRACKED | _INVALID),
}
"""What the switch says of a frame, as value and mask, for each value of the contract."""
ANSWERS = (_TRACKED | _REPLY, _TRACKED | _REPLY)
"""From the side that did not open the connection."""
TRANSLATED = (_TRACKED | 64, _TRACKED | 64)
"""Its source was translated."""
KNOWN = (_TRACKED | _ESTABLISHED, _TRACKED | _ESTABLISHED)
"""Of a connection that was remembered before."""
SOUND = (_TRACKED, _TRACKED | _INVALID)
"""Of a connection, or of one that may be."""
_CONNECTIONS_BACK: Mapping[tuple[int, int], Conn] = {wire: conn for conn, wire in CONNECTIONS.items()}
_LAYOUT = (
    "in_port eth_src eth_dst eth_type vlan_vid ipv4_src ipv4_dst ipv6_src ipv6_dst ip_frag ip_dscp ip_ttl ip_proto tcp_src "
    "tcp_dst udp_src udp_dst sctp_src sctp_dst arp_op nsh_spi nsh_si nsh_c1 nsh_c2 nsh_c3 nsh_c4 reg0 reg1 reg2 reg3 "
    "reg4 reg5 reg6 reg7 reg8 reg9 reg12 reg13 reg14 ct_state"
)
"""The order in which the switch gives matches back."""
_ORDER: Mapping[str, int] = {name: place for place, name in enumerate(_LAYOUT.split())}
_BACK = {name: field for field, name in NAMES.items()} | {
    name: field for pair in _PORTS.values() for name, field in zip(pair, (Field.L4_SRC, Field.L4_DST), strict=True)
}
_FULL = {field: flows.full(field) for field in Field}


class Known(NamedTuple):
    """What an action list may take for granted of the frame at its point. None: anything."""

    eth_type: int | None = None
    ip_proto: int | None = None
    vlan: bool | None = None
    arp_op: int | None = None

    @property
    def ip(self) -> bool:
        """Whether it is an IP packet."""
        return self.eth_type in (flows.ETH_IPV4, flows.ETH_IPV6)

    def conditions(self) -> list[oxm.Condition]:
        """A match for just that."""
        found: list[oxm.Condition] = []
        if self.eth_type is not None:
            found.append(("eth_type", self.eth_type, None))
        if self.vlan is not None:
            found.append(("vlan_vid", flows.VLAN_PRESENT, flows.VLAN_PRESENT) if self.vlan else ("vlan_vid", 0, None))
        if self.ip_proto is not None:
            found.append(("ip_proto", self.ip_proto, None))
        if self.arp_op is not None:
            found.append(("arp_op", self.arp_op, None))
        return found


def known(match: Match) -> Known:
    """What a match makes sure of."""
    values = {term.field: term.value for term in match}
    vid = values.get(Field.VLAN_VID)
    return Known(
        eth_type=values.get(Field.ETH_TYPE),
        ip_proto=values.get(Field.IP_PROTO) if Field.ETH_TYPE in values else None,
        vlan=None if vid is None else bool(vid & flows.VLAN_PRESENT),
    )


def body(conditions: Iterable[oxm.Condition]) -> bytes:
    """Conditions in the switch's order, as bytes."""
    ordered = sorted(conditions, key=lambda one: _ORDER[one[0]])
    return b"".join([oxm.condition(*one) for one in ordered])


def encode(match: Match) -> bytes:
    """The body of the match. `InvalidError` for L4 ports of no protocol; the fields are `SUPPORTED`."""
    found: list[oxm.Condition] = []
    ports: list[Term] = []
    proto = -1
    for term in match:
        field, value, mask = term
        if field in L4:
            ports.append(term)
            continue
        if field is Field.IP_PROTO:
            proto = value
        elif field is Field.IP_FRAG:
            value = _FRAGMENTS[Frag(value)]
        elif field is Field.CONN:
            found.append(("ct_state", *CONNECTIONS[Conn(value)]))
            continue
        found.append((NAMES[field], value, None if mask == _FULL[field] else mask))
    if ports:
        found += _l4(ports, proto, fragment=any(term.field is Field.IP_FRAG for term in match))
    return body(found)


def _l4(ports: Iterable[Term], proto: int, *, fragment: bool) -> Iterable[oxm.Condition]:
    """Later fragments have no ports in the contract, but zeros in the switch: they are kept out."""
    if proto not in _PORTS:
        raise InvalidError("cannot match L4 ports without TCP, UDP or SCTP", suggestion="match ip_proto too")
    found: list[oxm.Condition] = [
        (port_field(one.field, proto), one.value, None if one.mask == 0xFFFF else one.mask) for one in ports
    ]
    return found if fragment else [*found, _NOT_LATER]


def decode(conditions: Iterable[oxm.Condition] | None) -> Match | None:
    """The match of the contract; None for one that the contract cannot say."""
    if conditions is None:
        return None
    terms: dict[Field, Term] = {}
    for name, value, mask in conditions:
        if (name, value, mask) == _NOT_LATER:
            continue
        if name == "ct_state" and (value, mask) in _CONNECTIONS_BACK:
            terms[Field.CONN] = Term(Field.CONN, int(_CONNECTIONS_BACK[value, mask or 0]), 0xFF)
            continue
        field = _BACK.get(name)
        if field is None:
            return None
        if field is Field.IP_FRAG:
            if value not in _FRAGS_BACK:
                return None
            value = _FRAGS_BACK[value]  # noqa: PLW2901 - the contract's number for the switch's
        terms[field] = Term(field, value, _FULL[field] if mask is None else mask)
    return tuple(terms[field] for field in sorted(terms))


def port_field(field: Field, proto: int) -> str:
    """The switch's name of an L4 port."""
    return _PORTS[proto][0 if field is Field.L4_SRC else 1]


PROTOCOLS = tuple(_PORTS)
"""Protocols that have ports."""
