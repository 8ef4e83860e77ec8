"""How the tables and registers of a bridge are used.

Tables 10 … 17 are the contract's 0 … 7. The others serve them: what cannot be said in one action list is a table to which
a rule resubmits, after it wrote into registers what it wants there. Registers 0 … 3 are the contract's.
"""

from __future__ import annotations

from typing import NamedTuple

from skerry.dataplane.ovs import openflow

INGRESS, PINNED, FIRST = 0, 1, 10
DOMAIN, ADDRESSES, DELIVERY = 20, 21, 22
GROUP, BUCKET = 30, 31
REST, PIN = 40, 41
TRACKED, CONNECT, TARGET = 50, 51, 52
STATE = 253

R_PIN = "reg4"  # the value to which the frame's flow was pinned when the frame entered
R_VALUE = "reg5"  # the value to pin it to
R_PINNED = "reg6"  # 1: it has one
R_REST = "reg7"  # which rest of an action list
R_IDLE = "reg8"  # for how long to pin, in seconds
R_CONNECT = "reg9"  # which connect; what follows it is R_REST
R_GROUP = "reg12"
R_DOMAIN = "reg13"
R_CHOICE = "reg14"  # the bucket that was chosen; the port where an address was learned

COOKIE_PINNED, COOKIE_ADDRESS = 0x5B00000000000001, 0x5B00000000000002


class Flow(NamedTuple):
    """One rule of a bridge. `match` is the body of the match, in the order in which the switch gives it back."""

    table: int
    priority: int
    match: bytes
    instructions: bytes
    cookie: int = 0

    @property
    def key(self) -> FlowKey:
        """Its identity in the bridge."""
        return (self.table, self.priority, self.match)


FlowKey = tuple[int, int, bytes]


def number(table: int) -> int:
    """The bridge's table for a table of the contract."""
    return FIRST + table


def is_rule(flow: openflow.FlowStats) -> bool:
    """Whether a rule of the bridge stands for one of the contract."""
    return FIRST <= flow.table < DOMAIN
