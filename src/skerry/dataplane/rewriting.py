"""Changes frames as the actions of `skerry.dataplane.flows` say. Pure: bytes to bytes, None for a frame that is dropped."""

from __future__ import annotations

from ipaddress import ip_address

from skerry.dataplane import packets
from skerry.dataplane.flows import (
    ETH_ARP,
    ETH_IPV4,
    ETH_IPV6,
    ETH_NSH,
    GTPU_PORT,
    PROTO_SCTP,
    PROTO_TCP,
    PROTO_UDP,
    Field,
    Frag,
    PushNsh,
    Tunnel,
)
from skerry.dataplane.packets import ETHERNET, Ip, Parsed, parse, word

VLAN = 0x8100
_CHECKSUM_AT = {PROTO_TCP: 16, PROTO_UDP: 6}
_NSH_AT = {Field.NSH_SI: (7, 1), Field.NSH_SPI: (4, 3)} | {Field(Field.NSH_C1 + i): (8 + 4 * i, 4) for i in range(4)}
_ADDRESS_AT = {
    Field.IPV4_SRC: (12, 4),
    Field.IPV4_DST: (16, 4),
    Field.IPV6_SRC: (8, 16),
    Field.IPV6_DST: (24, 16),
}


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    padded = data + b"\0" * (len(data) % 2)
    total = sum(word(padded, at) for at in range(0, len(padded), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def splice(frame: bytes, at: int, new: bytes) -> bytes:
    """The frame with bytes replaced."""
    return frame[:at] + new + frame[at + len(new) :]


def set_field(frame: bytes, field: Field, value: int) -> bytes:
    """Write a field; a frame without it stays as it is."""
    found = parse(frame)
    if field not in found.fields:
        return frame
    if field in (Field.ETH_DST, Field.ETH_SRC):
        return splice(frame, 0 if field is Field.ETH_DST else 6, value.to_bytes(6, "big"))
    if field is Field.VLAN_VID:
        return _set_vid(frame, value) if found.fields[field] else frame
    if field in _NSH_AT:
        at, size = _NSH_AT[field]
        return splice(frame, found.l3 + at, value.to_bytes(size, "big"))
    if field is Field.GTP_TEID:
        new = splice(frame, found.gtp + 4, value.to_bytes(4, "big"))
        return _l4_fixed(new, found, frame[found.gtp + 4 : found.gtp + 8], value.to_bytes(4, "big"))
    return _set_ip_field(found, field, value)


def _set_vid(frame: bytes, vid: int) -> bytes:
    return splice(frame, ETHERNET, (word(frame, ETHERNET) & 0xF000 | vid).to_bytes(2, "big"))


def _set_ip_field(found: Parsed, field: Field, value: int) -> bytes:
    ip, frame = found.ip, found.frame
    if ip is None:
        return frame
    if field is Field.IP_DSCP:
        return _set_dscp(frame, ip, value)
    if field in _ADDRESS_AT:
        at, size = _ADDRESS_AT[field]
        old, new = frame[ip.start + at : ip.start + at + size], value.to_bytes(size, "big")
        return _l4_fixed(header_fixed(splice(frame, ip.start + at, new), ip), found, old, new, pseudo=True)
    if field in (Field.L4_SRC, Field.L4_DST):
        at = ip.payload + (0 if field is Field.L4_SRC else 2)
        new = value.to_bytes(2, "big")
        return _l4_fixed(splice(frame, at, new), found, frame[at : at + 2], new)
    return frame


def _set_dscp(frame: bytes, ip: Ip, value: int) -> bytes:
    if ip.version == 4:
        return header_fixed(splice(frame, ip.start + 1, bytes([value << 2 | frame[ip.start + 1] & 3])), ip)
    first = word(frame, ip.start) & 0xF03F | value << 6
    return splice(frame, ip.start, first.to_bytes(2, "big"))


def header_fixed(frame: bytes, ip: Ip) -> bytes:
    """With the checksum of the IPv4 header computed anew."""
    if ip.version != 4:
        return frame
    length = (frame[ip.start] & 15) * 4
    blank = splice(frame, ip.start + 10, b"\0\0")
    return splice(blank, ip.start + 10, checksum(blank[ip.start : ip.start + length]).to_bytes(2, "big"))


def _l4_fixed(frame: bytes, found: Parsed, old: bytes, new: bytes, *, pseudo: bool = False) -> bytes:
    """With the checksum of TCP or UDP updated for changed bytes (RFC 1624); SCTP's covers no address and is computed anew."""
    ip = found.ip
    if ip is None or ip.payload < 0:
        return frame
    if ip.proto == PROTO_SCTP and not pseudo:
        return _sctp_fixed(frame, ip)
    at = ip.payload + _CHECKSUM_AT.get(ip.proto, 0)
    if ip.proto not in _CHECKSUM_AT or len(frame) < at + 2:
        return frame
    was = word(frame, at)
    if ip.proto == PROTO_UDP and was == 0:
        return frame
    total = (~was & 0xFFFF) + sum(~word(old, i) & 0xFFFF for i in range(0, len(old), 2))
    total += sum(word(new, i) for i in range(0, len(new), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    fixed = ~total & 0xFFFF
    return splice(frame, at, (fixed or (0xFFFF if ip.proto == PROTO_UDP else 0)).to_bytes(2, "big"))


def _sctp_fixed(frame: bytes, ip: Ip) -> bytes:
    if ip.frag is not Frag.NO or len(frame) < ip.payload + 12:
        return frame
    blank = splice(frame, ip.payload + 8, b"\0\0\0\0")
    return splice(blank, ip.payload + 8, crc32c(blank[ip.payload : ip.end]).to_bytes(4, "little"))


def crc32c(data: bytes) -> int:
    """The Castagnoli CRC, which SCTP uses."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def push_vlan(frame: bytes, vid: int) -> bytes:
    """With a new outermost tag."""
    return frame[:12] + VLAN.to_bytes(2, "big") + vid.to_bytes(2, "big") + frame[12:]


def pop_vlan(frame: bytes) -> bytes:
    """Without the outermost tag."""
    return frame[:12] + frame[16:] if parse(frame).fields.get(Field.VLAN_VID) else frame


def dec_ttl(frame: bytes) -> bytes | None:
    """With a TTL or hop limit less by one."""
    ip = parse(frame).ip
    if ip is None:
        return frame
    at = ip.start + (8 if ip.version == 4 else 7)
    return header_fixed(splice(frame, at, bytes([frame[at] - 1])), ip) if frame[at] > 1 else None


def push_nsh(frame: bytes, action: PushNsh) -> bytes:
    """In NSH of MD type 1: TTL 63, length 6 words, next protocol Ethernet."""
    ethernet = action.eth_dst.to_bytes(6, "big") + action.eth_src.to_bytes(6, "big") + ETH_NSH.to_bytes(2, "big")
    base = (63 << 6 | 6).to_bytes(2, "big") + bytes([1, packets.NSH_ETHERNET])
    path = action.spi.to_bytes(3, "big") + bytes([action.si])
    return ethernet + base + path + b"".join(part.to_bytes(4, "big") for part in action.context) + frame


def pop_nsh(frame: bytes) -> bytes | None:
    """What is inside NSH."""
    found = parse(frame)
    if not found.nsh_length or found.nsh_next != packets.NSH_ETHERNET:
        return None
    return frame[found.l3 + found.nsh_length :]


def dec_nsh_ttl(frame: bytes) -> bytes | None:
    """With an NSH TTL less by one."""
    found = parse(frame)
    if not found.nsh_length:
        return frame
    first = word(frame, found.l3)
    ttl = first >> 6 & 63
    if ttl <= 1:
        return None
    return splice(frame, found.l3, (first & ~(63 << 6) | (ttl - 1) << 6).to_bytes(2, "big"))


def gtp_decap(frame: bytes, eth_src: int, eth_dst: int) -> bytes | None:
    """The IP packet of a G-PDU with a new Ethernet header."""
    found = parse(frame)
    if found.inner is None or found.ip is None:
        return None
    kind = ETH_IPV4 if found.inner.version == 4 else ETH_IPV6
    header = eth_dst.to_bytes(6, "big") + eth_src.to_bytes(6, "big") + kind.to_bytes(2, "big")
    return header + frame[found.gtp_payload : found.ip.end]


def gtp_encap(frame: bytes, tunnel: Tunnel, *, down: bool = True) -> bytes | None:
    """A plain IP packet in a tunnel. `down` decides the PDU type of a PDU Session Container."""
    found = parse(frame)
    if found.ip is None:
        return None
    packet = frame[found.ip.start : found.ip.end]
    options = b"" if tunnel.qfi is None else b"\0\0\0\x85" + bytes([1, 0 if down else 16, tunnel.qfi, 0])
    flags = 0x34 if options else 0x30
    size = len(options) + len(packet)
    gtp = bytes([flags, packets.G_PDU]) + size.to_bytes(2, "big") + tunnel.teid.to_bytes(4, "big") + options
    return ethernet_of(tunnel.eth_src, tunnel.eth_dst, tunnel.src) + datagram(
        tunnel.src, tunnel.dst, gtp + packet, dscp=packets.dscp_of(frame, found.ip)
    )


def ethernet_of(eth_src: int, eth_dst: int, address: str) -> bytes:
    """An Ethernet header for packets of the family of an address."""
    kind = ETH_IPV4 if ip_address(address).version == 4 else ETH_IPV6
    return eth_dst.to_bytes(6, "big") + eth_src.to_bytes(6, "big") + kind.to_bytes(2, "big")


def datagram(src: str, dst: str, payload: bytes, *, dscp: int = 0) -> bytes:
    """An IP packet with a UDP datagram between the ports of GTP-U."""
    source, target = ip_address(src), ip_address(dst)
    udp = GTPU_PORT.to_bytes(2, "big") * 2 + (len(payload) + 8).to_bytes(2, "big") + b"\0\0"
    if source.version == 6:
        pseudo = source.packed + target.packed + (len(payload) + 8).to_bytes(4, "big") + b"\0\0\0\x11"
        udp = udp[:6] + (checksum(pseudo + udp + payload) or 0xFFFF).to_bytes(2, "big")
        first = (6 << 28 | dscp << 22).to_bytes(4, "big")
        return (
            first + (len(payload) + 8).to_bytes(2, "big") + b"\x11\x40" + source.packed + target.packed + udp + payload
        )
    head = bytes([0x45, dscp << 2]) + (len(payload) + 28).to_bytes(2, "big") + b"\0\0\x40\0\x40\x11\0\0"
    head += source.packed + target.packed
    return splice(head, 10, checksum(head).to_bytes(2, "big")) + udp + payload


def echo_response(frame: bytes) -> bytes | None:
    """The answer to an Echo Request: Recovery 0, the sequence number kept."""
    found = parse(frame)
    if found.fields.get(Field.GTP_TYPE) != packets.ECHO_REQUEST:
        return None
    at = found.gtp
    sequence = frame[at + 8 : at + 10] if frame[at] & 2 and len(frame) >= at + 12 else b"\0\0"
    return _answer(found, bytes([0x32, packets.ECHO_RESPONSE, 0, 6]) + bytes(4) + sequence + b"\0\0" + b"\x0e\0")


def error_indication(frame: bytes) -> bytes | None:
    """The Error Indication for a G-PDU of an unknown tunnel: its TEID and the address it was sent to (TS 29.281, 7.3.1)."""
    found = parse(frame)
    if found.fields.get(Field.GTP_TYPE) != packets.G_PDU or found.ip is None:
        return None
    teid = frame[found.gtp + 4 : found.gtp + 8]
    _, own = packets.addresses(frame, found.ip)
    elements = b"\x10" + teid + b"\x85" + len(own).to_bytes(2, "big") + own
    size = (len(elements) + 4).to_bytes(2, "big")
    return _answer(found, bytes([0x32, packets.ERROR_INDICATION]) + size + bytes(4) + bytes(4) + elements)


def _answer(found: Parsed, gtp: bytes) -> bytes | None:
    if found.ip is None:
        return None
    source, target = packets.addresses(found.frame, found.ip)
    back = found.frame[6:12] + found.frame[:6] + found.frame[12 : found.l3]
    return back + datagram(str(ip_address(target)), str(ip_address(source)), gtp)


def arp_reply(frame: bytes, mac: int) -> bytes | None:
    """The answer to an ARP request as if `mac` owned the address."""
    found = parse(frame)
    at = found.l3
    if found.fields.get(Field.ETH_TYPE) != ETH_ARP or frame[at : at + 8] != b"\0\1\x08\0\6\4\0\1":
        return None
    if len(frame) < at + 28:
        return None
    own, asker = mac.to_bytes(6, "big"), frame[at + 8 : at + 18]
    body = b"\0\1\x08\0\6\4\0\2" + own + frame[at + 24 : at + 28] + asker
    return asker[:6] + own + frame[12:at] + body
