"""Frames of every kind that a rule may tell apart, made by scapy."""

from __future__ import annotations

from collections.abc import Mapping

from scapy.layers.inet import ICMP, IP, TCP, UDP, fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrHopByHop, PadN
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.layers.sctp import SCTP

from skerry.dataplane import rewriting
from skerry.dataplane.flows import PushNsh

ONE, TWO = "02:00:00:00:00:01", "02:00:00:00:00:02"
NSH = PushNsh(spi=0x10, si=255, eth_src=0x020000000F01, eth_dst=0x020000000F02, context=(1, 2, 3, 0xCAFE))
_TEXT = b"Oh freddled gruntbuggly"


def _ether(*, dst: str = TWO) -> Ether:
    return Ether(src=ONE, dst=dst)


def _ip(**fields: object) -> IP:
    return IP(src="10.0.0.1", dst="10.0.0.2", **fields)


def udp(sport: int = 1000, dport: int = 53, size: int = 30, *, vlan: int = 0, back: bool = False) -> bytes:
    """A UDP datagram from one to two, or back."""
    ends = {"src": TWO, "dst": ONE} if back else {"src": ONE, "dst": TWO}
    ips = {"src": "10.0.0.2", "dst": "10.0.0.1"} if back else {"src": "10.0.0.1", "dst": "10.0.0.2"}
    head = Ether(**ends) / Dot1Q(vlan=vlan) if vlan else Ether(**ends)
    return bytes(head / IP(**ips) / UDP(sport=sport, dport=dport) / (b"x" * size))


def all_kinds() -> Mapping[str, bytes]:
    """By name."""
    tcp = TCP(sport=1000, dport=80) / _TEXT
    six = IPv6(src="fd00::1", dst="fd00::2")
    ask = ARP(op=1, hwsrc=ONE, psrc="10.0.0.1", pdst="10.0.0.254")
    pieces = fragment(_ether() / _ip(id=7) / UDP(sport=1000, dport=53) / (b"x" * 2000), 1000)
    plain = {
        "tcp": _ether() / _ip(ttl=64, tos=0x28) / tcp,
        "udp": _ether() / _ip(ttl=2) / UDP(sport=1000, dport=53) / _TEXT,
        "last hop": _ether() / _ip(ttl=1) / UDP(sport=1000, dport=53) / _TEXT,
        "icmp": _ether() / _ip() / ICMP() / _TEXT,
        "sctp": _ether() / _ip() / SCTP(sport=1000, dport=80) / _TEXT,
        "tcp over IPv6": _ether() / six / tcp,
        "hop-by-hop": _ether()
        / six
        / IPv6ExtHdrHopByHop(options=[PadN(optdata=b"1234")])
        / UDP(sport=1, dport=53)
        / _TEXT,
        "tagged": _ether() / Dot1Q(vlan=100, prio=3) / _ip() / tcp,
        "tagged IPv6": _ether() / Dot1Q(vlan=200) / six / UDP(sport=5, dport=53) / _TEXT,
        "two tags": _ether() / Dot1Q(vlan=100) / Dot1Q(vlan=7) / _ip() / tcp,
        "arp": _ether(dst="ff:ff:ff:ff:ff:ff") / ask,
        "tagged arp": _ether(dst="ff:ff:ff:ff:ff:ff") / Dot1Q(vlan=100) / ask,
        "arp answer": _ether() / ARP(op=2, hwsrc=ONE, psrc="10.0.0.1", pdst="10.0.0.254"),
        "broadcast": _ether(dst="ff:ff:ff:ff:ff:ff") / _ip() / UDP(sport=1, dport=2) / _TEXT,
        "first fragment": pieces[0],
        "later fragment": pieces[1],
        "unknown": Ether(src=ONE, dst=TWO, type=0x88B5) / _TEXT,
    }
    found = {name: bytes(frame) for name, frame in plain.items()}
    found |= {f"nsh {name}": rewriting.push_nsh(found[name], NSH) for name in ("tcp", "tagged", "arp")}
    return found | {"tagged nsh": rewriting.push_vlan(found["nsh tcp"], 33)}
