"""Lists of actions as shape and parameters. Rules of one shape share their code; what differs is in their records. Pure.

A shape is a tuple of steps: the name of an action, what of it the code depends on, the steps inside it. Parameters are bytes in
the order of the steps, each a multiple of 4.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address, ip_network

import msgspec

from skerry.dataplane import flows, rewriting
from skerry.dataplane.ebpf import layout
from skerry.dataplane.flows import Actions, Field, Tunnel, Way

TUNNEL_SIZE = 96
"""Bytes of a tunnel: length of its headers (4), sum of the fixed words of the IPv4 header (4), the headers (up to 86)."""
_HEADERS = 8


class Step(msgspec.Struct, frozen=True):
    """An action of a shape."""

    do: str
    static: int = 0
    inside: tuple[Step, ...] = ()


Shape = tuple[Step, ...]


class Numbers(msgspec.Struct, frozen=True):
    """What actions name, as the kernel knows it: interfaces by port, places of meters and domains in their maps, the first slot
    and the number of slots of groups."""

    interfaces: Mapping[int, int]
    meters: Mapping[int, int]
    domains: Mapping[int, int]
    groups: Mapping[int, tuple[int, int]]


def encode(actions: Sequence[Actions], numbers: Numbers) -> tuple[Shape, bytes]:
    """The shape and the parameters of a list of actions."""
    steps: list[Step] = []
    data: list[bytes] = []
    for action in actions:
        step, part = _ENCODE[type(action)](action, numbers)
        steps.append(step)
        data.append(part)
    return tuple(steps), b"".join(data)


def decode(shape: Shape, data: bytes) -> tuple[Actions, ...]:
    """The way back."""
    return _decode(shape, data)[0]


def _decode(shape: Shape, data: bytes) -> tuple[tuple[Actions, ...], bytes]:
    found: list[Actions] = []
    for step in shape:
        size = size_of(step)
        if step.do == "copy":
            inside, _ = _decode(step.inside, data[:size])
            found.append(flows.Copy(actions=inside))
        else:
            found.append(_DECODE[step.do](step.static, data[:size]))
        data = data[size:]
    return tuple(found), data


def size_of(step: Step) -> int:
    """Bytes of the parameters of a step."""
    if step.do == "copy":
        return sum(size_of(one) for one in step.inside)
    if step.do == "gtpencap":
        return TUNNEL_SIZE if step.static == 2 else 0
    if step.do == "connect":
        return CONNECT_HEAD + TARGET_SIZE * (step.static >> 3)
    return layout.slot_size(Field(step.static)) if step.do == "setfield" else _SIZES.get(step.do, 0)


def tunnel(given: Tunnel, *, down: bool) -> bytes:
    """A tunnel as the program puts it before a packet."""
    options = b"" if given.qfi is None else b"\0\0\0\x85" + bytes([1, 0 if down else 16, given.qfi, 0])
    gtp = bytes([0x34 if options else 0x30, 255, 0, 0]) + given.teid.to_bytes(4, "big") + options
    udp = flows.GTPU_PORT.to_bytes(2, "big") * 2 + bytes(4)
    source, target = ip_address(given.src), ip_address(given.dst)
    if source.version == 4:
        ip = bytes([0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0]) + source.packed + target.packed
    else:
        ip = bytes([0x60, 0, 0, 0, 0, 0, 17, 64]) + source.packed + target.packed
    headers = rewriting.ethernet_of(given.eth_src, given.eth_dst, given.src) + ip + udp + gtp
    words = struct.unpack("<10H", ip[:20]) if source.version == 4 else (0,)
    return struct.pack("<II", len(headers), sum(words)) + headers.ljust(TUNNEL_SIZE - 8, b"\0")


def untunnel(data: bytes) -> Tunnel:
    """The way back."""
    size = int(struct.unpack_from("<I", data)[0])
    headers = data[_HEADERS : _HEADERS + size]
    v4 = headers[12:14] == b"\x08\0"
    gtp = headers[14 + (28 if v4 else 48) :]
    src, dst = (headers[26:30], headers[30:34]) if v4 else (headers[22:38], headers[38:54])
    return Tunnel(
        teid=int.from_bytes(gtp[4:8], "big"),
        src=str(ip_address(src)),
        dst=str(ip_address(dst)),
        eth_src=int.from_bytes(headers[6:12], "big"),
        eth_dst=int.from_bytes(headers[:6], "big"),
        qfi=gtp[14] & 63 if len(gtp) > 8 else None,
    )


def _mac(value: int) -> bytes:
    return value.to_bytes(6, "big")


def _u32(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}I", *values)


def _numbers(data: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{len(data) // 4}I", data)


# -- one by one -----------------------------------------------------------------------------------------------------------


def _output(action: flows.Output, numbers: Numbers) -> tuple[Step, bytes]:
    return Step("output", int(action.hairpin)), _u32(action.port, numbers.interfaces.get(action.port, 0))


def _goto(action: flows.Goto, _: Numbers) -> tuple[Step, bytes]:
    return Step("goto", action.table), b""


def _set(action: flows.SetField, _: Numbers) -> tuple[Step, bytes]:
    return Step("setfield", int(action.field)), layout.packed(action.field, action.value)


def _push_vlan(action: flows.PushVlan, _: Numbers) -> tuple[Step, bytes]:
    return Step("pushvlan"), _u32(action.vid)


def _plain(name: str) -> Callable[[Actions, Numbers], tuple[Step, bytes]]:
    def encoded(_: Actions, __: Numbers) -> tuple[Step, bytes]:
        return Step(name), b""

    return encoded


def _push_nsh(action: flows.PushNsh, _: Numbers) -> tuple[Step, bytes]:
    return Step("pushnsh"), rewriting.push_nsh(b"", action) + b"\0\0"


def _decap(action: flows.GtpDecap, _: Numbers) -> tuple[Step, bytes]:
    return Step("gtpdecap"), _mac(action.eth_dst) + _mac(action.eth_src)


def _encap(action: flows.GtpEncap, _: Numbers) -> tuple[Step, bytes]:
    if action.way is not None or action.tunnel is None:
        return Step("gtpencap", _WAYS.index(action.way) if action.way else 0), b""
    return Step("gtpencap", 2), tunnel(action.tunnel, down=True)


def _learn(action: flows.GtpLearn, _: Numbers) -> tuple[Step, bytes]:
    return Step("gtplearn", _WAYS.index(action.way)), b""


def _reply(action: flows.GtpReply, _: Numbers) -> tuple[Step, bytes]:
    return Step("gtpreply", int(action.error)), b""


def _arp(action: flows.ArpReply, _: Numbers) -> tuple[Step, bytes]:
    return Step("arpreply"), _mac(action.mac) + b"\0\0"


def _police(action: flows.Police, numbers: Numbers) -> tuple[Step, bytes]:
    return Step("police"), _u32(numbers.meters[action.meter], action.meter)


def _pin(action: flows.Pin, _: Numbers) -> tuple[Step, bytes]:
    return Step("pin"), action.value.to_bytes(4, "big") + _u32(action.idle_s)


def _copy(action: flows.Copy, numbers: Numbers) -> tuple[Step, bytes]:
    inside, data = encode(action.actions, numbers)
    return Step("copy", 0, inside), data


def _track(action: flows.Track, _: Numbers) -> tuple[Step, bytes]:
    return Step("track"), _u32(action.zone)


CONNECT_HEAD, TARGET_SIZE = 48, 24
"""Bytes of the parameters of a connect before its targets, and of each of these."""


def _connect(action: flows.Connect, _: Numbers) -> tuple[Step, bytes]:
    """The step is the version of the addresses and the number of targets."""
    pool = ip_network(action.source or "::/128")
    told = [ip_address(target.address) for target in action.targets]
    version = told[0].version if told else pool.version if action.source else 0
    size = action.high - action.low + 1
    data = _u32(action.zone, action.tcp_s, action.udp_s, action.icmp_s, action.low, size)
    data += pool.network_address.packed.ljust(16, b"\0")
    data += (int(pool.hostmask) & 0xFFFFFFFF).to_bytes(4, "big")
    data += _u32(sum(target.weight for target in action.targets))
    threshold = 0
    for target, address in zip(action.targets, told, strict=True):
        threshold += target.weight
        data += address.packed.ljust(16, b"\0") + target.port.to_bytes(2, "big") + b"\0\0" + _u32(threshold)
    return Step("connect", version | len(told) << 3), data


def _bridge(action: flows.Bridge, numbers: Numbers) -> tuple[Step, bytes]:
    return Step("bridge"), _u32(numbers.domains[action.domain], action.domain)


def _select(action: flows.Select, numbers: Numbers) -> tuple[Step, bytes]:
    return Step("select"), _u32(*numbers.groups[action.group], action.group)


_WAYS = (Way.UP, Way.DOWN)
_ENCODE: Mapping[type, Callable[..., tuple[Step, bytes]]] = {
    flows.Output: _output,
    flows.Goto: _goto,
    flows.SetField: _set,
    flows.PushVlan: _push_vlan,
    flows.PopVlan: _plain("popvlan"),
    flows.DecTtl: _plain("decttl"),
    flows.PushNsh: _push_nsh,
    flows.PopNsh: _plain("popnsh"),
    flows.DecNshTtl: _plain("decnshttl"),
    flows.GtpDecap: _decap,
    flows.GtpEncap: _encap,
    flows.GtpLearn: _learn,
    flows.GtpReply: _reply,
    flows.ArpReply: _arp,
    flows.Police: _police,
    flows.Pin: _pin,
    flows.Copy: _copy,
    flows.Track: _track,
    flows.Connect: _connect,
    flows.Bridge: _bridge,
    flows.Select: _select,
}
_SIZES: Mapping[str, int] = {
    "output": 8,
    "pushvlan": 4,
    "pushnsh": 40,
    "gtpdecap": 12,
    "arpreply": 8,
    "police": 8,
    "pin": 8,
    "track": 4,
    "bridge": 8,
    "select": 12,
}


def _undecap(_: int, data: bytes) -> Actions:
    return flows.GtpDecap(eth_dst=int.from_bytes(data[:6], "big"), eth_src=int.from_bytes(data[6:12], "big"))


def _unencap(static: int, data: bytes) -> Actions:
    return flows.GtpEncap(tunnel=untunnel(data)) if static == 2 else flows.GtpEncap(way=_WAYS[static])


def _unpush_nsh(_: int, data: bytes) -> Actions:
    context = struct.unpack_from("!4I", data, 22)
    return flows.PushNsh(
        spi=int.from_bytes(data[18:21], "big"),
        si=data[21],
        eth_src=int.from_bytes(data[6:12], "big"),
        eth_dst=int.from_bytes(data[:6], "big"),
        context=context,
    )


def _unset(static: int, data: bytes) -> Actions:
    return flows.SetField(field=Field(static), value=layout.unpacked(Field(static), data))


def _unconnect(static: int, data: bytes) -> Actions:
    zone, tcp_s, udp_s, icmp_s, low, size = struct.unpack_from("<6I", data)
    version, octets = static & 7, 4 if static & 7 == 4 else 16
    at, targets, before = CONNECT_HEAD, list[flows.Target](), 0
    for _ in range(static >> 3):
        threshold = int(struct.unpack_from("<I", data, at + 20)[0])
        address, port = ip_address(data[at : at + octets]), int.from_bytes(data[at + 16 : at + 18], "big")
        targets.append(flows.Target(address=str(address), port=port, weight=threshold - before))
        at, before = at + TARGET_SIZE, threshold
    source = ""
    if version and not targets:
        base, hosts = ip_address(data[24 : 24 + octets]), int.from_bytes(data[40:44], "big")
        source = f"{base}/{8 * octets - hosts.bit_length()}"
    return flows.Connect(
        zone=zone,
        source=source,
        low=low,
        high=low + size - 1,
        targets=tuple(targets),
        tcp_s=tcp_s,
        udp_s=udp_s,
        icmp_s=icmp_s,
    )


_DECODE: Mapping[str, Callable[[int, bytes], Actions]] = {
    "output": lambda static, data: flows.Output(port=_numbers(data)[0], hairpin=bool(static)),
    "goto": lambda static, _: flows.Goto(table=static),
    "setfield": _unset,
    "pushvlan": lambda _, data: flows.PushVlan(vid=_numbers(data)[0]),
    "popvlan": lambda _, __: flows.PopVlan(),
    "decttl": lambda _, __: flows.DecTtl(),
    "pushnsh": _unpush_nsh,
    "popnsh": lambda _, __: flows.PopNsh(),
    "decnshttl": lambda _, __: flows.DecNshTtl(),
    "gtpdecap": _undecap,
    "gtpencap": _unencap,
    "gtplearn": lambda static, _: flows.GtpLearn(way=_WAYS[static]),
    "gtpreply": lambda static, _: flows.GtpReply(error=bool(static)),
    "arpreply": lambda _, data: flows.ArpReply(mac=int.from_bytes(data[:6], "big")),
    "police": lambda _, data: flows.Police(meter=_numbers(data)[1]),
    "pin": lambda _, data: flows.Pin(value=int.from_bytes(data[:4], "big"), idle_s=_numbers(data)[1]),
    "track": lambda _, data: flows.Track(zone=_numbers(data)[0]),
    "connect": _unconnect,
    "bridge": lambda _, data: flows.Bridge(domain=_numbers(data)[1]),
    "select": lambda _, data: flows.Select(group=_numbers(data)[2]),
}
