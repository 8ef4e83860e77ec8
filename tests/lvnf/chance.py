"""Configurations and frames by chance, for tests that compare back ends: all elements that do the same with every back end."""

from __future__ import annotations

import struct

from hypothesis import strategies as st
from scapy.contrib.gtp import GTP_U_Header, GTPPDUSessionContainer
from scapy.contrib.nsh import NSH
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet, Raw

DEVICES = ("eth0", "eth1", "eth2")
MACS = ("02:00:00:00:00:01", "02:00:00:00:00:02", "ff:ff:ff:ff:ff:ff")
ADDRESSES = ("10.0.0.1", "10.0.0.2", "192.168.7.9", "255.255.255.255", "0.0.0.0")
_ETHER = "EtherEncap(0x0800, 02:00:00:00:00:0a, 02:00:00:00:00:0b)"

# Packets of any kind in, packets of any kind out.
ACTIONS = (
    "Null",
    "Counter",
    "AverageCounter",
    "Strip(14)",
    "Strip(14)",
    "Strip(20)",
    "Strip(28)",
    "Strip(3)",
    "Unstrip(14)",
    "Unstrip(5)",
    _ETHER,
    _ETHER,
    "VLANEncap(7)",
    "VLANEncap(VLAN_ID 100, VLAN_PCP 5)",
    "EtherMirror",
    "EtherRewrite(02:00:00:00:00:0c, 02:00:00:00:00:0d)",
    "Paint(1)",
    "Paint(2)",
    "IPEncap(17, 10.0.0.1, 10.0.0.2)",
    "UDPIPEncap(10.0.0.1, 2152, 10.0.0.2, 2152)",
    "UDPIPEncap(10.0.0.1, 99, 10.0.0.2, 98, CHECKSUM false)",
    "GTPEncap(7)",
    "GTPEncap(TEID 8, QFI 9)",
    "NSHEncap(PATH 5, INDEX 200)",
)
# What does not pass leaves by output 1.
CHECKS = (
    "CheckIPHeader",
    "CheckIPHeader",
    "CheckIPHeader(OFFSET 14)",
    "CheckIPHeader(CHECKSUM false)",
    "ARPResponder(10.0.0.0/8 02:00:00:00:00:01, 192.168.7.9 02:00:00:00:00:02, 10.0.0.2 02:00:00:00:00:03)",
    "ICMPPingResponder",
    "GTPDecap",
    "GTPDecap(7)",
    "NSHDecap",
    "NSHDecap(5)",
    "CheckPaint(1)",
    "RandomSample(0)",
    "RandomSample(1)",
)
# With how many outputs.
BRANCHES = (
    ("Classifier(12/0800, 12/0806, -)", 3),
    ("Classifier(12/0800 23/06%3f, !12/0800 0/02, 30/0a000001)", 3),
    ("IPClassifier(tcp, udp, icmp type echo, -)", 4),
    ("IPClassifier(src host 10.0.0.1 and not dst port 80, ip frag or ip ttl > 63, -)", 3),
    ("IPClassifier(tcp opt syn, ip proto 47, dst net 10.0.0.0/8)", 3),
    ("IPFilter(allow src port < 100, deny tcp or ip hl > 5, allow all)", 1),
    ("Tee(2)", 2),
    ("Tee(3)", 3),
    ("Switch(1)", 2),
    ("RoundRobinSwitch", 2),
    ("Meter(1000000)", 2),
    ("IPRewriter(pattern 9.9.9.9 1024-1026 - - 0 1)", 2),
    ("IPRewriter(pattern 10.0.0.9 - 10.0.0.1 80 1 0)", 2),
    ("IPRewriter(keep 0 1)", 2),
    ("IPRewriter(pass 1)", 2),
)


class _Making:
    """A configuration while it is made: its lines, and elements that lead to an end and can be led to again."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw, self.lines = draw, list[str]()
        self._heads: list[str] = []
        self._tees = 0

    def declared(self, text: str) -> str:
        """The name of a new element."""
        name = f"e{len(self.lines)}"
        self.lines.append(f"{name} :: {text};")
        return name

    def _chosen(self, depth: int, copied: bool) -> tuple[str, int, bool]:
        """An element, its outputs, and whether there are copies behind it."""
        kind = self.draw(st.integers(0, 8))
        if kind < 5:
            return self.draw(st.sampled_from(ACTIONS)), 1, copied
        if kind < 7:
            return self.draw(st.sampled_from(CHECKS)), self.draw(st.integers(1, 2)), copied
        text, outputs = self.draw(st.sampled_from(BRANCHES))
        if not text.startswith("Tee"):
            return text, outputs, copied
        self._tees += 1
        return (text, outputs, True) if self._tees <= 2 else ("Null", 1, copied)

    def way(self, depth: int, copied: bool = False) -> str:
        """The name of an element that takes packets by input 0."""
        if self._heads and not copied and self.draw(st.integers(0, 9)) == 0:
            return self.draw(st.sampled_from(self._heads))
        if depth <= 0 or self.draw(st.integers(0, 9)) == 0:
            return self.declared(self.draw(st.sampled_from(["Discard", *(f"ToDevice({one})" for one in DEVICES)])))
        text, outputs, behind = self._chosen(depth, copied)
        name = self.declared(text)
        following = [self.way(depth - 1 - (outputs > 2), behind) for _ in range(outputs)]
        self.lines.extend(f"{name}[{port}] -> {other};" for port, other in enumerate(following))
        if not behind:
            self._heads.append(name)
        return name


@st.composite
def configurations(draw: st.DrawFn) -> str:
    """A configuration that takes frames at eth0 and perhaps at eth1."""
    making = _Making(draw)
    for device in DEVICES[: draw(st.integers(1, 2))]:
        source = making.declared(f"FromDevice({device})")
        making.lines.append(f"{source} -> {making.way(draw(st.integers(1, 8)))};")
    text = "\n".join(making.lines)
    return text if "Unstrip" in text or draw(st.booleans()) else text.replace("Null;", "VLANDecap;")


def _inner(draw: st.DrawFn) -> Packet:
    head = IP(
        src=draw(st.sampled_from(ADDRESSES)),
        dst=draw(st.sampled_from(ADDRESSES)),
        ttl=draw(st.sampled_from([1, 64, 255])),
        tos=draw(st.sampled_from([0, 0xB8])),
        frag=draw(st.sampled_from([0, 0, 0, 100])),
        flags=draw(st.sampled_from(["", "MF", "DF"])),
        options=draw(st.sampled_from([[], [], [], b"\x07\x04\x00\x00", b"\x01" * 40])),
    )
    ports = {"sport": draw(st.sampled_from([80, 2152, 40000])), "dport": draw(st.sampled_from([80, 2152, 53]))}
    body = draw(
        st.sampled_from(
            [UDP(**ports), TCP(**ports, flags="S"), TCP(**ports, flags="FA"), ICMP(), ICMP(type=0), Raw(b"")]
        )
    )
    return head / body / Raw(draw(st.binary(max_size=draw(st.sampled_from([0, 7, 64, 700])))))


def _payload(draw: st.DrawFn) -> Packet:
    kind = draw(st.integers(0, 9))
    if kind < 5:
        return _inner(draw)
    if kind == 5:
        return ARP(pdst=draw(st.sampled_from(ADDRESSES)), psrc="10.0.0.7", op=draw(st.sampled_from([1, 2])))
    if kind < 8:
        outer = IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=2152, dport=2152)
        gtp = GTP_U_Header(teid=draw(st.sampled_from([7, 8])), gtp_type=255)
        if draw(st.booleans()):
            gtp = gtp / GTPPDUSessionContainer(type=1, QFI=3)
        return outer / gtp / _inner(draw)
    if kind == 8:
        return NSH(spi=draw(st.sampled_from([5, 6])), si=9) / _inner(draw)
    return Raw(draw(st.binary(max_size=120)))


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """A frame: sound, or with bytes that are not, or cut short."""
    head = Ether(src=draw(st.sampled_from(MACS)), dst=draw(st.sampled_from(MACS)))
    if draw(st.integers(0, 5)) == 0:
        head = head / Dot1Q(vlan=draw(st.sampled_from([7, 9])))
    frame = bytes(head / _payload(draw))
    if draw(st.integers(0, 3)) == 0:
        for at, value in draw(st.lists(st.tuples(st.integers(0, 70), st.integers(0, 255)), max_size=4)):
            if at < len(frame):
                frame = frame[:at] + struct.pack("B", value) + frame[at + 1 :]
    if draw(st.integers(0, 3)) == 0:
        frame = frame[: max(14, draw(st.integers(14, max(14, len(frame)))))]
    return frame + bytes(draw(st.sampled_from([0, 0, 0, 6])))
