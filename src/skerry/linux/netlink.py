"""A small rtnetlink client: links, addresses, routes. Encoding is pure; `Netlink` sends a batch in one system call.

It replaces two or three `ip` processes per instance (about 2 ms each) by some microseconds. A socket belongs to the
network namespace in which it was opened.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import struct
from collections.abc import Collection, Iterator, Sequence

import msgspec

_NEWLINK, _DELLINK, _GETLINK, _NEWADDR, _NEWROUTE, _NEWNSID, _GETNSID = 16, 17, 18, 20, 24, 88, 90
_REQUEST, _ACK, _EXCL, _CREATE, _DUMP, _REPLACE = 0x1, 0x4, 0x200, 0x400, 0x300, 0x100
_ERROR, _DONE = 2, 3
_UP = 0x1
_NESTED = 0x8000
_ADDRESS, _IFNAME, _MTU, _LINK, _QDISC, _MASTER, _LINKINFO, _IFALIAS, _NET_NS_FD, _LINK_NETNSID = (
    1, 3, 4, 5, 6, 10, 18, 20, 28, 37,
)  # fmt: skip
_VXLAN_ID, _VXLAN_REMOTE, _VXLAN_LOCAL, _VXLAN_LEARNING, _VXLAN_PORT, _VXLAN_REMOTE6, _VXLAN_LOCAL6 = (
    1, 2, 4, 7, 15, 16, 17,
)  # fmt: skip
_NSID, _NSID_FD = 1, 3
_INFO_KIND, _INFO_DATA = 1, 2
_VETH_PEER = 1
_BRIDGE_MCAST_SNOOPING = 23
_ADDR_ADDRESS, _ADDR_LOCAL, _ADDR_FLAGS = 1, 2, 8
_NO_DUPLICATE_DETECTION = 0x02
_ROUTE_OUT, _ROUTE_GATEWAY, _TABLE_MAIN, _PROTOCOL_STATIC, _UNICAST = 4, 5, 254, 4, 1
_ALIAS_MAX = 255


class Message(msgspec.Struct, frozen=True):
    """One request: its type, flags and body. `tolerate` are error numbers that mean "already so"."""

    kind: int
    flags: int
    body: bytes
    what: str
    tolerate: frozenset[int] = frozenset()


class Link(msgspec.Struct, frozen=True):
    """One interface as the kernel lists it. For one end of a veth pair, `peer` is the index of the other, and
    `peer_namespace` the number that this namespace has for the other's (-1: the same namespace). `queue` is the kind of its
    queueing discipline."""

    index: int
    name: str
    alias: str
    master: int
    up: bool
    peer: int = 0
    peer_namespace: int = -1
    kind: str = ""
    mac: bytes = b""
    mtu: int = 0
    queue: str = ""


def _attribute(kind: int, payload: bytes) -> bytes:
    return struct.pack("HH", len(payload) + 4, kind) + payload + b"\0" * (-len(payload) % 4)


def _text(kind: int, text: str) -> bytes:
    return _attribute(kind, text.encode() + b"\0")


def _number(kind: int, value: int) -> bytes:
    return _attribute(kind, struct.pack("I", value))


def _head(index: int = 0, up: bool = False) -> bytes:
    flag = _UP if up else 0
    return struct.pack("BxHiII", socket.AF_UNSPEC, 0, index, flag, flag)


def _hardware(mac: str) -> bytes:
    return _attribute(_ADDRESS, bytes.fromhex(mac.replace(":", "")))


def bridge(name: str, *, mac: str, mtu: int) -> Message:
    """A bridge, up, without multicast snooping (a small virtual link has no querier)."""
    data = _attribute(_INFO_DATA | _NESTED, _attribute(_BRIDGE_MCAST_SNOOPING, b"\0"))
    body = _head(up=True) + _text(_IFNAME, name) + _hardware(mac) + _number(_MTU, mtu)
    body += _attribute(_LINKINFO | _NESTED, _text(_INFO_KIND, "bridge") + data)
    return Message(_NEWLINK, _CREATE | _EXCL, body, f"create the bridge {name}", frozenset({errno.EEXIST}))


def veth(name: str, *, peer: str, peer_namespace: int, peer_mac: str, master: int, mtu: int) -> Message:
    """A veth pair: `name` here, up, in the bridge with index `master`; `peer` in the other namespace, down."""
    far = (
        _head() + _text(_IFNAME, peer) + _hardware(peer_mac) + _number(_MTU, mtu) + _number(_NET_NS_FD, peer_namespace)
    )
    info = _text(_INFO_KIND, "veth") + _attribute(_INFO_DATA | _NESTED, _attribute(_VETH_PEER | _NESTED, far))
    body = _head(up=True) + _text(_IFNAME, name) + _number(_MTU, mtu) + _number(_MASTER, master)
    return Message(_NEWLINK, _CREATE | _EXCL, body + _attribute(_LINKINFO | _NESTED, info), f"create the link {name}")


def vxlan(name: str, *, vni: int, local: str, remote: str, port: int, mtu: int) -> Message:
    """A VXLAN tunnel to one peer, up. Frames that do not fit the path travel in fragments."""
    ends = (ipaddress.ip_address(local), ipaddress.ip_address(remote))
    names = (_VXLAN_LOCAL, _VXLAN_REMOTE) if ends[1].version == 4 else (_VXLAN_LOCAL6, _VXLAN_REMOTE6)
    data = (
        _number(_VXLAN_ID, vni) + _attribute(_VXLAN_LEARNING, b"\0") + _attribute(_VXLAN_PORT, struct.pack("!H", port))
    )
    data += b"".join(_attribute(kind, end.packed) for kind, end in zip(names, ends, strict=True))
    info = _text(_INFO_KIND, "vxlan") + _attribute(_INFO_DATA | _NESTED, data)
    body = _head(up=True) + _text(_IFNAME, name) + _number(_MTU, mtu) + _attribute(_LINKINFO | _NESTED, info)
    return Message(_NEWLINK, _CREATE | _EXCL, body, f"create the tunnel {name}")


def alias(name: str, text: str) -> Message:
    """Write a note on an interface, cut to what the kernel takes; it ignores one given at creation."""
    note = text.encode()[:_ALIAS_MAX].decode(errors="ignore")
    return Message(_NEWLINK, 0, _head() + _text(_IFNAME, name) + _text(_IFALIAS, note), f"label {name}")


def link_up(name: str) -> Message:
    """Set an interface up."""
    return Message(_NEWLINK, 0, _head(up=True) + _text(_IFNAME, name), f"set {name} up")


def link_down(name: str) -> Message:
    """Set an interface down."""
    head = struct.pack("BxHiII", socket.AF_UNSPEC, 0, 0, 0, _UP)
    return Message(_NEWLINK, 0, head + _text(_IFNAME, name), f"set {name} down")


def enslave(name: str, master: int) -> Message:
    """Make an interface a port of a bridge (by its index), or of none (0)."""
    return Message(
        _NEWLINK, 0, _head() + _text(_IFNAME, name) + _number(_MASTER, master), f"give {name} the master {master}"
    )


def moved(name: str, namespace: int) -> Message:
    """Move an interface to the network namespace of a descriptor. It is down there and has no addresses."""
    return Message(_NEWLINK, 0, _head() + _text(_IFNAME, name) + _number(_NET_NS_FD, namespace), f"move {name}")


def link_gone(name: str) -> Message:
    """Delete an interface (and the other end of a veth pair); one that is gone is no error."""
    return Message(_DELLINK, 0, _head() + _text(_IFNAME, name), f"delete the link {name}", frozenset({errno.ENODEV}))


def address(index: int, ip: str, prefix: int) -> Message:
    """Give an interface an address."""
    value = ipaddress.ip_address(ip)
    family = socket.AF_INET if value.version == 4 else socket.AF_INET6
    flags = 0 if value.version == 4 else _NO_DUPLICATE_DETECTION
    body = struct.pack("BBBBi", family, prefix, flags, 0, index) + _attribute(_ADDR_LOCAL, value.packed)
    body += _attribute(_ADDR_ADDRESS, value.packed) + _number(_ADDR_FLAGS, flags)
    return Message(_NEWADDR, _CREATE | _EXCL, body, f"add the address {ip}", frozenset({errno.EEXIST}))


def default_route(gateway: str, index: int) -> Message:
    """The default route by a gateway."""
    value = ipaddress.ip_address(gateway)
    family = socket.AF_INET if value.version == 4 else socket.AF_INET6
    head = struct.pack("BBBBBBBBI", family, 0, 0, 0, _TABLE_MAIN, _PROTOCOL_STATIC, 0, _UNICAST, 0)
    body = head + _attribute(_ROUTE_GATEWAY, value.packed) + _number(_ROUTE_OUT, index)
    return Message(_NEWROUTE, _CREATE | _REPLACE, body, f"add the route by {gateway}", frozenset({errno.EEXIST}))


class Netlink:
    """A rtnetlink socket of the calling thread's network namespace. Use as a context manager."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._socket.bind((0, 0))
        self._sequence = 0

    def __enter__(self) -> Netlink:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def _packed(self, kind: int, flags: int, body: bytes) -> bytes:
        self._sequence += 1
        return struct.pack("IHHII", len(body) + 16, kind, flags | _REQUEST, self._sequence, 0) + body

    def run(self, messages: Sequence[Message]) -> None:
        """Carry out all messages in order; `OSError` for the first one that failed otherwise than it tolerates."""
        if not messages:
            return
        first = self._sequence + 1
        self._socket.send(b"".join(self._packed(one.kind, one.flags | _ACK, one.body) for one in messages))
        missing, failed = len(messages), None
        while missing:
            for kind, sequence, body in _messages(self._socket.recv(65536)):
                if kind != _ERROR:
                    continue
                missing -= 1
                failed = failed or _failure(messages[sequence - first], body)
        if failed:
            raise failed

    def links(self) -> list[Link]:
        """Every interface of the namespace."""
        self._socket.send(self._packed(_GETLINK, _DUMP, _head()))
        found: list[Link] = []
        while True:
            for kind, _, body in _messages(self._socket.recv(1 << 18)):
                if kind == _DONE:
                    return found
                if kind == _NEWLINK:
                    found.append(_link(body))

    def link(self, index: int) -> Link | None:
        """One interface of the namespace, by its number: among very many sooner than `links`."""
        self._socket.send(self._packed(_GETLINK, 0, struct.pack("BxHiII", socket.AF_UNSPEC, 0, index, 0, 0)))
        answers = _messages(self._socket.recv(1 << 18))
        return next((_link(body) for kind, _, body in answers if kind == _NEWLINK), None)

    def namespace_number(self, descriptor: int) -> int:
        """The number that this namespace has for another one, given by a descriptor; -1 when it has none."""
        body = struct.pack("B3x", socket.AF_UNSPEC) + _attribute(_NSID_FD, struct.pack("I", descriptor))
        self._socket.send(self._packed(_GETNSID, 0, body))
        for kind, _, answer in _messages(self._socket.recv(65536)):
            if kind == _NEWNSID:
                return int(struct.unpack("i", dict(_attributes(answer[4:], (_NSID,)))[_NSID])[0])
        return -1


def _failure(message: Message, body: bytes) -> OSError | None:
    code = -struct.unpack_from("i", body)[0]
    if code == 0 or code in message.tolerate:
        return None
    return OSError(code, os.strerror(code), message.what)


def _messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    at = 0
    while at + 16 <= len(data):
        size, kind, _, sequence, _ = struct.unpack_from("IHHII", data, at)
        yield kind, sequence, data[at + 16 : at + size]
        at += (size + 3) & ~3


def _link(body: bytes) -> Link:
    _, index, flags, _ = struct.unpack_from("HxxiII", body)
    values = dict(_attributes(body[16:]))
    master, peer = _integer(values, _MASTER, 0), _integer(values, _LINK, 0)
    far = _integer(values, _LINK_NETNSID, -1)
    information = dict(_attributes(values.get(_LINKINFO, b""), (_INFO_KIND,)))
    return Link(
        index,
        _string(values, _IFNAME),
        _string(values, _IFALIAS),
        master,
        bool(flags & _UP),
        peer,
        far,
        _string(information, _INFO_KIND),
        values.get(_ADDRESS, b""),
        _integer(values, _MTU, 0),
        _string(values, _QDISC),
    )


def _integer(values: dict[int, bytes], kind: int, otherwise: int) -> int:
    return int(struct.unpack("i", values[kind])[0]) if kind in values else otherwise


def _string(values: dict[int, bytes], kind: int) -> str:
    return values.get(kind, b"").rstrip(b"\0").decode(errors="replace")


_LINK_PARTS = (_IFNAME, _IFALIAS, _MASTER, _LINK, _LINK_NETNSID, _LINKINFO, _ADDRESS, _MTU, _QDISC)


def _attributes(data: bytes, only: Collection[int] = _LINK_PARTS) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(data):
        size, kind = struct.unpack_from("HH", data, at)
        if kind in only:
            yield kind, data[at + 4 : at + size]
        at += (size + 3) & ~3
