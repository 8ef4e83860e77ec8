"""States and frames by chance: everything that the contract knows, but lists of actions that make no sense."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from scapy.contrib.gtp import GTP_U_Header, GTPEchoRequest, GTPPDUSessionContainer
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet

from skerry.dataplane import flows, rewriting
from skerry.dataplane.flows import Actions, DeviceState, Field, PortState, Rule, Session, Tunnel, Way, mac, match
from skerry.dataplane.sheets import cookie

A, B = "02:00:00:00:00:0a", "02:00:00:00:00:0b"
DEVICE, PORTS = "chance", range(1, 6)
FOUR = Tunnel(teid=0x77, src="10.1.0.2", dst="10.1.0.1", eth_src=mac(B), eth_dst=mac(A), qfi=5)
SIX = Tunnel(teid=0x78, src="fd00::1", dst="fd00::2", eth_src=mac(B), eth_dst=mac(A))
SESSIONS = (
    Session(ue="10.0.0.1", up=FOUR, down=SIX),
    Session(ue="2001:db8::1", up=SIX, down=FOUR),
    Session(ue="10.0.0.2", down=FOUR),
)
CONDITIONS: list[dict[str, Any]] = [
    {},
    {"in_port": 1},
    {"ipv4_dst": "10.0.0.2"},
    {"ipv4_src": "10.0.0.0/30"},
    {"ipv6_dst": "2001:db8::/64"},
    {"gtp_teid": 7},
    {"gtp_type": 1},
    {"gtp_qfi": 9},
    {"inner_ipv4_dst": "10.0.0.2"},
    {"inner_ipv6_src": "2001:db8::1"},
    {"inner_proto": 17, "inner_l4_dst": 53},
    {"vlan_vid": 0x1005},
    {"vlan_vid": 0},
    {"eth_type": 0x0806},
    {"eth_type": 0x0800, "ip_proto": 17, "l4_dst": 2000},
    {"eth_type": 0x0800, "ip_frag": 0},
    {"eth_type": 0x0800, "ip_dscp": 10},
    {"eth_type": 0x86DD, "ip_proto": 6},
    {"nsh_spi": 7},
    {"nsh_si": 254, "nsh_c1": 1},
    {"eth_dst": (1 << 40, 1 << 40)},
    {"eth_src": mac(A)},
]
_WRITTEN = [*sorted(flows.WRITABLE), Field.IPV4_SRC, Field.IPV4_DST, Field.L4_DST, Field.IPV6_SRC, Field.GTP_TEID]


class Chance:
    """All choices come from one source of randomness."""

    def __init__(self, source: random.Random) -> None:
        self._random = source

    def _one(self, *choices: Any) -> Any:
        return self._random.choice(choices)

    # -- frames -----------------------------------------------------------------------------------------------------------

    def frame(self) -> bytes:
        """A frame, often an odd one."""
        chance = self._random
        inside = self._one(self._ip, self._ip, self._gtp, self._gtp, lambda: ARP(pdst="1.2.3.4"))()
        ethernet = Ether(src=A, dst=self._one(B, "ff:ff:ff:ff:ff:ff"))
        if chance.random() < 0.2:
            ethernet /= Dot1Q(vlan=self._one(5, 9), prio=3)
        data = bytes(ethernet / inside) + bytes(chance.randrange(20) if chance.random() < 0.2 else 0)
        if chance.random() < 0.1 and len(data) > 61:
            data = data[: chance.randrange(60, len(data))]
        if chance.random() < 0.2:
            outer = flows.PushNsh(spi=7, si=self._one(254, 255), eth_src=1, eth_dst=2, context=(1, 2, 3, 4))
            data = rewriting.push_nsh(data, outer)
        return self._mangled(data) if chance.random() < 0.3 else data

    def _mangled(self, data: bytes) -> bytes:
        changed = bytearray(data)
        for _ in range(self._random.randint(1, 3)):
            changed[self._random.randrange(14, len(changed))] = self._one(
                0, 1, 4, 0x34, 255, self._random.randrange(256)
            )
        return bytes(changed)

    def _l4(self) -> Packet:
        return self._one(
            lambda: UDP(sport=1000, dport=self._one(53, 2000)) / (b"d" * self._random.randrange(60)),
            lambda: TCP(sport=5, dport=80) / (b"x" * self._random.randrange(400)),
            lambda: ICMP() / b"ping",
            lambda: UDP(sport=1, dport=2, chksum=0) / b"zz",
        )()

    def _ip(self) -> Packet:
        if self._random.random() < 0.6:
            ends = {"src": self._one("10.0.0.1", "10.0.0.2"), "dst": self._one("10.0.0.1", "10.0.0.2")}
            rest = {"tos": self._one(0, 0x28, 3), "ttl": self._one(1, 2, 64)}
            return IP(**ends, **rest, flags=self._one(0, 0, 1, 2), frag=self._one(0, 0, 0, 2)) / self._l4()
        head = IPv6(src=self._one("2001:db8::1", "2001:db8::2"), dst="2001:db8::1", tc=0xB8, hlim=self._one(1, 64))
        if self._random.random() < 0.5:
            head /= self._one(IPv6ExtHdrHopByHop(), IPv6ExtHdrFragment(m=1), IPv6ExtHdrFragment(offset=3))
        return head / self._l4()

    def _gtp(self) -> Packet:
        ends = self._one(IP(src="10.1.0.1", dst="10.1.0.2"), IPv6(src="fd00::1", dst="fd00::2"))
        outer = ends / UDP(sport=2152, dport=2152, chksum=self._one(0, None))
        container = GTPPDUSessionContainer(type=1, QFI=9, NextExtHdr=0, ExtHdrLen=1)
        return self._one(
            lambda: outer / GTP_U_Header(teid=0, gtp_type=1, S=1, seq=77) / GTPEchoRequest(),
            lambda: outer / GTP_U_Header(teid=7, gtp_type=254),
            lambda: outer / GTP_U_Header(teid=7, gtp_type=255, E=1, next_ex=0x85) / container / self._ip(),
            lambda: outer / GTP_U_Header(teid=self._one(7, 0x11), gtp_type=255) / self._ip(),
        )()

    # -- states -----------------------------------------------------------------------------------------------------------

    def state(self) -> DeviceState:
        """Some rules in four tables, and sessions."""
        rules: dict[tuple[int, int], Rule] = {}
        for table in range(4):
            for _ in range(self._random.randint(1, 5)):
                self._rule(rules, table, self._random.randrange(10, 60000), self._one(*CONDITIONS))
        self._rule(rules, 0, 1, {})
        ports = tuple(PortState(number=number, name=f"p{number}", interface=f"n{number}") for number in PORTS)
        return DeviceState(device=DEVICE, ports=ports, rules=tuple(rules.values()), sessions=SESSIONS)

    def _rule(self, rules: dict[tuple[int, int], Rule], table: int, priority: int, conditions: dict[str, Any]) -> None:
        made = match(**conditions)
        rules[table, priority] = Rule(
            table=table,
            priority=priority,
            match=made,
            actions=self._sensible(table),
            cookie=cookie("chance", table, priority, made),
        )

    def _sensible(self, table: int) -> tuple[Actions, ...]:
        while True:
            made = self._actions(table)
            if sensible(made):
                return made

    def _actions(self, table: int) -> tuple[Actions, ...]:
        some = [self._action(inside=False) for _ in range(self._random.randint(0, 4))]
        last: list[Actions] = [flows.Output(port=self._random.choice(PORTS))] * 3
        last += [flows.GtpReply(error=self._random.random() < 0.5), flows.ArpReply(mac=mac(A))]
        last += [flows.Goto(table=self._random.randint(table + 1, 3))] if table < 3 else []
        return (*some, self._random.choice(last))

    def _action(self, *, inside: bool) -> Actions:
        field = self._random.choice(_WRITTEN)
        value = self._random.randrange(1 << (12 if field is Field.VLAN_VID else flows.WIDTHS[field]))
        choices: list[Actions] = [
            flows.Output(port=self._random.choice(PORTS), hairpin=self._random.random() < 0.3),
            flows.PushVlan(vid=self._random.randint(1, 4000)),
            flows.PopVlan(),
            flows.DecTtl(),
            flows.PushNsh(spi=5, si=9, eth_src=1, eth_dst=2, context=(1, 2, 3, 4)),
            flows.PopNsh(),
            flows.DecNshTtl(),
            flows.GtpDecap(eth_src=mac(A), eth_dst=mac(B)),
            flows.GtpEncap(way=self._one(*Way)),
            flows.GtpEncap(tunnel=self._one(FOUR, SIX)),
            *[flows.SetField(field=field, value=value)] * 3,
        ]
        if not inside:
            copied = tuple(self._action(inside=True) for _ in range(self._random.randint(1, 3)))
            choices += [flows.GtpLearn(way=Way.UP)]
            choices += [flows.Copy(actions=(*copied, flows.Output(port=self._random.choice(PORTS))))] * 2
        return self._random.choice(choices)


def sensible(actions: tuple[Actions, ...]) -> bool:
    """Nobody takes off what the same list put on, or answers what it made itself, or copies into NSH what is then used."""
    put = wrapped = False
    for action in _flat(actions):
        if put and isinstance(action, flows.PopNsh | flows.GtpDecap):
            return False
        if (put or wrapped) and isinstance(action, flows.GtpReply | flows.ArpReply):
            return False
        put = put or isinstance(action, flows.PushNsh)
        wrapped = wrapped or isinstance(action, flows.GtpEncap)
    copies = [one for action in actions if isinstance(action, flows.Copy) for one in action.actions]
    return not any(isinstance(one, flows.PushNsh) for one in copies)


def _flat(actions: tuple[Actions, ...]) -> Iterator[Actions]:
    for action in actions:
        yield action
        if isinstance(action, flows.Copy):
            yield from _flat(action.actions)
