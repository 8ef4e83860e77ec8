"""`Track` and `Connect` as rules of a bridge: the switch remembers connections itself, in zones. Pure.

What the switch does with a frame of a connection it does at once, then starts again in a table. So the rest of a list of
actions is a rule of its own, named by a register as every rest is (`translate`); the tables between lead there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from ipaddress import ip_address, ip_network
from math import gcd

from skerry.dataplane import flows
from skerry.dataplane.connections import CLOSING_S, UNANSWERED_S
from skerry.dataplane.driver import Remembered
from skerry.dataplane.flows import Connect, Rule, Target, Track
from skerry.dataplane.ovs import actions as act
from skerry.dataplane.ovs import layout, matches, oxm
from skerry.dataplane.ovs.layout import Flow

_FIRST, _SECOND, _ELSE = 3, 2, 1
_MOST_SLOTS = 64


def track(action: Track, rest: int, eth_type: int) -> tuple[bytes, list[Flow]]:
    """Look the frame up; what comes from the other side is translated back; then the rest of this name."""
    mine: list[oxm.Condition] = [("eth_type", eth_type, None), (layout.R_REST, rest, None)]
    back = [*mine, ("ct_state", *matches.ANSWERS)]
    found = [
        Flow(layout.TRACKED, _FIRST, _body(back), act.apply(act.track(action.zone, layout.REST, nat=act.nat()))),
        Flow(layout.TRACKED, _ELSE, _body(mine), act.apply(act.resubmit(layout.REST))),
    ]
    return act.set_field(layout.R_REST, rest) + act.track(action.zone, layout.TRACKED), found


def connect(action: Connect, name: int, rest: int, eth_type: int) -> tuple[bytes, list[Flow]]:
    """Remember the connection, then the rest; a source that could not be translated has no rest (see `guards`)."""
    mine: list[oxm.Condition] = [("eth_type", eth_type, None), (layout.R_CONNECT, name, None)]
    back = [*mine, ("ct_state", *matches.ANSWERS)]
    sound = [*mine, ("ct_state", *matches.SOUND)]
    found = [
        Flow(layout.CONNECT, _FIRST, _body(back), act.apply(act.resubmit(layout.REST))),
        Flow(layout.CONNECT, _ELSE, _body(mine), b""),
    ]
    slots = _slots(action.targets)
    if len(slots) > 1:
        choose = act.multipath(layout.R_CHOICE, len(slots)) + act.resubmit(layout.TARGET)
        found.append(Flow(layout.CONNECT, _SECOND, _body(sound), act.apply(choose)))
        for slot, target in enumerate(slots):
            matched = _body([*mine, (layout.R_CHOICE, slot, None)])
            code = act.track(action.zone, layout.REST, commit=True, nat=_aim(target))
            found.append(Flow(layout.TARGET, _ELSE, matched, act.apply(code)))
    else:
        nat = _source(action) if action.source else _aim(slots[0]) if slots else b""
        code = act.track(action.zone, layout.REST, commit=True, nat=nat)
        found.append(Flow(layout.CONNECT, _SECOND, _body(sound), act.apply(code)))
    start = act.set_field(layout.R_REST, rest) + act.set_field(layout.R_CONNECT, name)
    return start + act.resubmit(layout.CONNECT), found


def idle_of(action: Connect) -> Mapping[str, int]:
    """How long connections may be idle, by the switch's states."""
    opening = min(action.tcp_s, UNANSWERED_S)
    tcp = dict.fromkeys(("tcp_syn_sent", "tcp_syn_recv"), opening) | {"tcp_established": action.tcp_s}
    tcp |= dict.fromkeys(("tcp_fin_wait", "tcp_close_wait", "tcp_last_ack", "tcp_time_wait", "tcp_close"), CLOSING_S)
    udp = {"udp_first": min(action.udp_s, UNANSWERED_S), "udp_single": min(action.udp_s, UNANSWERED_S)}
    icmp = {"icmp_first": min(action.icmp_s, UNANSWERED_S), "icmp_reply": action.icmp_s}
    return tcp | udp | {"udp_multiple": action.udp_s} | icmp


def zones_of(rules: Iterable[Rule]) -> dict[int, Mapping[str, int]]:
    """How long connections of the zones of rules may be idle."""
    found = (action for rule in rules for action in rule.actions if isinstance(action, Connect))
    return {action.zone: idle_of(action) for action in found}


_LINE = re.compile(
    r"^(?P<kind>\w+),orig=\(src=(?P<src>[^,]+),dst=(?P<dst>[^,]+),(?P<ports>[^)]+)\),"
    r"reply=\(src=(?P<rsrc>[^,]+),dst=(?P<rdst>[^,]+),(?P<rports>[^)]+)\)(?:,.*?zone=(?P<zone>\d+))?"
)
_KINDS = {"tcp": 6, "udp": 17, "icmp": 1, "icmpv6": 58}


def remembered(line: str) -> Remembered | None:
    """A connection as the switch tells it; None for what is none of the contract's."""
    found = _LINE.match(line)
    if found is None or found["kind"] not in _KINDS:
        return None
    (sport, dport), (rsport, rdport) = _ports(found["ports"]), _ports(found["rports"])
    echo = found["kind"].startswith("icmp")
    return Remembered(
        zone=int(found["zone"] or 0),
        proto=_KINDS[found["kind"]],
        opened=(found["src"], sport, found["dst"], 0 if echo else dport),
        onward=(found["rdst"], sport if echo else rdport, found["rsrc"], 0 if echo else rsport),
        answered="state=ESTABLISHED" in line,
    )


def _ports(told: str) -> tuple[int, int]:
    """Both ports; of an echo, its identifier and its type."""
    numbers = [int(part.partition("=")[2]) for part in told.split(",")]
    return numbers[0], numbers[1]


def guards(action: Connect) -> list[list[oxm.Condition]]:
    """What a frame has that goes on: a translated source, or a connection that was there before, translated or not. Others,
    for which no port was free, end. Empty where all go on."""
    passed = (matches.ANSWERS, matches.TRANSLATED, matches.KNOWN)
    found: list[list[oxm.Condition]] = []
    for value, mask in passed if action.source else ():
        found.append([("ct_state", value, mask)])
    return found


def of_family(action: Connect, eth_type: int) -> bool:
    """Whether the addresses of an action are those of such frames."""
    version = 4 if eth_type == flows.ETH_IPV4 else 6
    told = [one for one in (action.source, *(target.address for target in action.targets)) if one]
    return all(ip_network(one).version == version for one in told)


def _body(conditions: Sequence[oxm.Condition]) -> bytes:
    return matches.body(conditions)


def _source(action: Connect) -> bytes:
    pool = ip_network(action.source)
    return act.nat(pool[0].packed, pool[-1].packed, source=True, ports=(action.low, action.high))


def _aim(target: Target) -> bytes:
    address = ip_address(target.address).packed
    return act.nat(address, address, ports=(target.port, target.port) if target.port else None)


def _slots(targets: Sequence[Target]) -> list[Target]:
    """Targets in proportion to their weights."""
    if not targets:
        return []
    weights = [target.weight for target in targets]
    step = max(reduce(gcd, weights), sum(weights) / _MOST_SLOTS)
    return [target for target in targets for _ in range(max(round(target.weight / step), 1))]
