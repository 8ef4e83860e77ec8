"""What frames can be matched on: fields, their widths, which of them are written and which are compared as a whole. Pure."""

from __future__ import annotations

import enum
from collections.abc import Mapping


class Field(enum.IntEnum):
    """Everything that can be matched. The number is only an order; widths are in `WIDTHS`."""

    IN_PORT = 0
    PIN = 1
    REG0 = 2
    REG1 = 3
    REG2 = 4
    REG3 = 5
    CONN = 6  # a value of Conn; see Track
    NAME = 7  # a number of a Named
    ETH_DST = 10
    ETH_SRC = 11
    ETH_TYPE = 12
    VLAN_VID = 13
    IP_PROTO = 20  # of IPv4, or the upper-layer protocol of IPv6
    IP_DSCP = 21
    IP_FRAG = 22  # a value of Frag
    IPV4_SRC = 23
    IPV4_DST = 24
    IPV6_SRC = 25
    IPV6_DST = 26
    L4_SRC = 30  # TCP, UDP or SCTP, as ip_proto says
    L4_DST = 31
    GTP_TYPE = 40
    GTP_TEID = 41
    GTP_QFI = 42
    INNER_PROTO = 50
    INNER_DSCP = 51
    INNER_IPV4_SRC = 52
    INNER_IPV4_DST = 53
    INNER_IPV6_SRC = 54
    INNER_IPV6_DST = 55
    INNER_L4_SRC = 56
    INNER_L4_DST = 57
    NSH_SPI = 60
    NSH_SI = 61
    NSH_C1 = 62
    NSH_C2 = 63
    NSH_C3 = 64
    NSH_C4 = 65


WIDTHS: Mapping[Field, int] = {
    Field.IN_PORT: 16,
    Field.PIN: 32,
    Field.REG0: 32,
    Field.REG1: 32,
    Field.REG2: 32,
    Field.REG3: 32,
    Field.CONN: 8,
    Field.NAME: 32,
    Field.ETH_DST: 48,
    Field.ETH_SRC: 48,
    Field.ETH_TYPE: 16,
    Field.VLAN_VID: 13,
    Field.IP_PROTO: 8,
    Field.IP_DSCP: 6,
    Field.IP_FRAG: 2,
    Field.IPV4_SRC: 32,
    Field.IPV4_DST: 32,
    Field.IPV6_SRC: 128,
    Field.IPV6_DST: 128,
    Field.L4_SRC: 16,
    Field.L4_DST: 16,
    Field.GTP_TYPE: 8,
    Field.GTP_TEID: 32,
    Field.GTP_QFI: 6,
    Field.INNER_PROTO: 8,
    Field.INNER_DSCP: 6,
    Field.INNER_IPV4_SRC: 32,
    Field.INNER_IPV4_DST: 32,
    Field.INNER_IPV6_SRC: 128,
    Field.INNER_IPV6_DST: 128,
    Field.INNER_L4_SRC: 16,
    Field.INNER_L4_DST: 16,
    Field.NSH_SPI: 24,
    Field.NSH_SI: 8,
    Field.NSH_C1: 32,
    Field.NSH_C2: 32,
    Field.NSH_C3: 32,
    Field.NSH_C4: 32,
}
"""Bits of each field."""

EXACT_ONLY = frozenset(
    {Field.IN_PORT, Field.PIN, Field.CONN, Field.NAME, Field.ETH_TYPE}
    | {Field.IP_PROTO, Field.IP_DSCP, Field.IP_FRAG, Field.VLAN_VID}
    | {Field.GTP_TYPE, Field.GTP_QFI, Field.INNER_PROTO, Field.INNER_DSCP, Field.NSH_SPI, Field.NSH_SI}
)
"""Fields whose mask is always all ones. IP addresses have prefix masks, L4 ports any prefix mask, MACs, TEIDs, registers
and NSH contexts any mask."""

WRITABLE = frozenset(
    {Field.ETH_DST, Field.ETH_SRC, Field.VLAN_VID, Field.IP_DSCP, Field.IPV4_SRC, Field.IPV4_DST}
    | {Field.IPV6_SRC, Field.IPV6_DST, Field.L4_SRC, Field.L4_DST, Field.GTP_TEID}
    | {Field.NSH_SPI, Field.NSH_SI, Field.NSH_C1, Field.NSH_C2, Field.NSH_C3, Field.NSH_C4}
    | {Field.REG0, Field.REG1, Field.REG2, Field.REG3}
)
"""What `SetField` may change."""


class Frag(enum.IntEnum):
    """Values of `ip_frag`."""

    NO = 0
    FIRST = 1  # offset 0, more to come: has its L4 header
    LATER = 2  # offset > 0: no L4 header


class Conn(enum.IntEnum):
    """Values of `conn`: what a frame is to the connections of the zone in which it was tracked."""

    NONE = 0  # not tracked
    NEW = 1  # it opens a connection, or belongs to one that nobody answered yet
    ESTABLISHED = 2  # of a connection that was answered, from the side that opened it
    REPLY = 3  # of a remembered connection, from the other side
    RELATED = 4  # an ICMP error about a frame of a remembered connection
    INVALID = 5  # it cannot be tracked, or answers what nobody asked
