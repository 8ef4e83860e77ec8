"""Classifiers -> matches of flows: families, protocols and ranges of ports become as many exact or prefix matches. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import ip_address, ip_network
from itertools import product

import msgspec

from skerry.dataplane.flows import (
    ETH_IPV4,
    ETH_IPV6,
    PROTO_SCTP,
    PROTO_TCP,
    PROTO_UDP,
    VLAN_PRESENT,
    Conn,
    Match,
    mac,
    match,
)
from skerry.dataplane.intents import Classifier, Connection, GtpClassifier, PortRange

Condition = int | str | tuple[int, int]
_PORTED = (PROTO_TCP, PROTO_UDP, PROTO_SCTP)
_ALL_PORTS = ((0, 0),)
_STATES: Mapping[Connection, Sequence[Conn]] = {
    Connection.NEW: (Conn.NEW,),
    Connection.ESTABLISHED: (Conn.ESTABLISHED, Conn.REPLY),
    Connection.REPLY: (Conn.REPLY,),
    Connection.RELATED: (Conn.RELATED,),
    Connection.INVALID: (Conn.INVALID,),
}


def matches(classifier: Classifier, in_port: int | None, *, ue_is_source: bool) -> list[Match]:
    """Every match of a classifier at a port; they exclude each other. `ValueError` says what cannot be."""
    base: dict[str, Condition] = {} if in_port is None else {"in_port": in_port}
    base |= _ethernet(classifier)
    told = [base | flow for flow in _flows(classifier)]
    if classifier.gtp is not None:
        layers = [outer | inner for outer, inner in _tunnelled(classifier, ue_is_source)]
    else:
        layers = list(_plain(classifier, ue_is_source))
    return [match(**one, **layer) for one in told for layer in layers]


def name_number(host: str) -> int:
    """The number of a name in all states."""
    return int.from_bytes(hashlib.blake2b(host.lower().encode(), digest_size=4).digest(), "big") or 1


def _flows(classifier: Classifier) -> Iterator[dict[str, Condition]]:
    """The conditions on the flow of a frame: its connection, what it asks for."""
    states = sorted({int(conn) for state in classifier.connection for conn in _STATES[state]})
    names = sorted({name_number(host) for host in classifier.hosts})
    of_state: list[dict[str, Condition]] = [{"conn": state} for state in states] or [{}]
    of_name: list[dict[str, Condition]] = [{"name": name} for name in names] or [{}]
    for state, name in product(of_state, of_name):
        yield state | name


def reverse(classifier: Classifier) -> Classifier:
    """The classifier of the other direction."""
    gtp = classifier.gtp
    return msgspec.structs.replace(
        classifier,
        eth_src=classifier.eth_dst,
        eth_dst=classifier.eth_src,
        ip_src=classifier.ip_dst,
        ip_dst=classifier.ip_src,
        src_ports=classifier.dst_ports,
        dst_ports=classifier.src_ports,
        gtp=gtp
        and msgspec.structs.replace(
            gtp,
            teid=None,
            inner_src=gtp.inner_dst,
            inner_dst=gtp.inner_src,
            inner_src_ports=gtp.inner_dst_ports,
            inner_dst_ports=gtp.inner_src_ports,
        ),
    )


def decapsulated(classifier: Classifier) -> Classifier:
    """What a classifier that looks inside GTP-U says of the packet that came out of it."""
    gtp = classifier.gtp
    if gtp is None:
        return classifier
    return Classifier(
        ip_src=gtp.inner_src,
        ip_dst=gtp.inner_dst,
        proto=gtp.inner_proto,
        dscp=gtp.inner_dscp,
        src_ports=gtp.inner_src_ports,
        dst_ports=gtp.inner_dst_ports,
        ue=classifier.ue,
        hosts=classifier.hosts,
    )


def families(classifier: Classifier) -> frozenset[int] | None:
    """The Ethernet types that a classifier can match; None for any."""
    if classifier.eth_type is not None:
        return frozenset({classifier.eth_type})
    if classifier.gtp is not None:
        return frozenset({_family(_outer(classifier))})
    told = (classifier.ip_src, classifier.ip_dst, classifier.ue)
    if any(told) or _looks_at_ip(classifier):
        return frozenset(_family(version) for version in _versions(told))
    return None


def _ethernet(classifier: Classifier) -> dict[str, Condition]:
    found: dict[str, Condition] = {}
    if classifier.eth_src:
        found["eth_src"] = mac(classifier.eth_src)
    if classifier.eth_dst:
        found["eth_dst"] = mac(classifier.eth_dst)
    if classifier.vlan is not None:
        found["vlan_vid"] = VLAN_PRESENT | classifier.vlan if classifier.vlan else 0
    return found


def _looks_at_ip(classifier: Classifier) -> bool:
    given = (classifier.proto, classifier.dscp)
    return any(one is not None for one in given) or bool(classifier.src_ports or classifier.dst_ports)


def _plain(classifier: Classifier, ue_is_source: bool) -> Iterator[dict[str, Condition]]:
    """The conditions on the network layer of a classifier that does not look into GTP-U."""
    source, target = _with_ue(classifier.ip_src, classifier.ip_dst, classifier.ue, ue_is_source)
    kinds = families(classifier)
    if kinds is None or not (source or target or _looks_at_ip(classifier)):
        yield {} if kinds is None else {"eth_type": next(iter(kinds))}
        return
    for version in _versions((source, target)):
        if _family(version) in kinds:
            yield from _layer(classifier, source, target, version)


def _layer(classifier: Classifier, source: str, target: str, version: int) -> Iterator[dict[str, Condition]]:
    base: dict[str, Condition] = {"eth_type": _family(version)}
    base |= {f"ipv{version}_src": source} if source else {}
    base |= {f"ipv{version}_dst": target} if target else {}
    if classifier.dscp is not None:
        base["ip_dscp"] = classifier.dscp
    for layer in _transport(classifier.proto, classifier.src_ports, classifier.dst_ports):
        yield base | {f"{'ip' if name == 'proto' else 'l4'}_{name}": given for name, given in layer.items()}


def _tunnelled(
    classifier: Classifier, ue_is_source: bool
) -> Iterator[tuple[dict[str, Condition], dict[str, Condition]]]:
    gtp = classifier.gtp or GtpClassifier()
    if classifier.src_ports or classifier.dst_ports or classifier.proto not in (None, PROTO_UDP):
        raise ValueError(
            "with gtp, protocol and ports are those of the inner packet: gtp.inner_proto, gtp.inner_src_ports"
        )
    version = _outer(classifier)
    outer: dict[str, Condition] = {"eth_type": _family(version)}
    outer |= {f"ipv{version}_src": classifier.ip_src} if classifier.ip_src else {}
    outer |= {f"ipv{version}_dst": classifier.ip_dst} if classifier.ip_dst else {}
    if classifier.dscp is not None:
        outer["ip_dscp"] = classifier.dscp
    for one in _inner(gtp, classifier.ue, ue_is_source):
        yield outer, one


def _outer(classifier: Classifier) -> int:
    """The IP version of a tunnel: as the addresses or the Ethernet type say, else IPv4."""
    told = _versions((classifier.ip_src, classifier.ip_dst))
    if len(told) == 1:
        return told[0]
    return 6 if classifier.eth_type == ETH_IPV6 else 4


def _inner(gtp: GtpClassifier, ue: str, ue_is_source: bool) -> Iterator[dict[str, Condition]]:
    base: dict[str, Condition] = {}
    for name, given in (("gtp_teid", gtp.teid), ("gtp_type", gtp.type), ("gtp_qfi", gtp.qfi)):
        base |= {name: given} if given is not None else {}
    if gtp.inner_dscp is not None:
        base["inner_dscp"] = gtp.inner_dscp
    source, target = _with_ue(gtp.inner_src, gtp.inner_dst, ue, ue_is_source)
    if source or target:
        (version,) = set(_versions((source, target)))
        base |= {f"inner_ipv{version}_src": source} if source else {}
        base |= {f"inner_ipv{version}_dst": target} if target else {}
    if gtp.type not in (None, 255) and (len(base) > 2 or gtp.inner_proto is not None):
        raise ValueError("only user data (type 255) has an inner packet")
    if "gtp_type" not in base:
        base["gtp_type"] = 255
    for layer in _transport(gtp.inner_proto, gtp.inner_src_ports, gtp.inner_dst_ports):
        yield base | {f"inner_{name if name == 'proto' else f'l4_{name}'}": given for name, given in layer.items()}


def _with_ue(source: str, target: str, ue: str, ue_is_source: bool) -> tuple[str, str]:
    if not ue:
        return source, target
    prefix = str(ip_network(ue))
    taken = source if ue_is_source else target
    if taken and ip_network(prefix) != ip_network(taken):
        raise ValueError(f"the UE is {ue}, but the address is to be {taken}")
    return (prefix, target) if ue_is_source else (source, prefix)


def _versions(prefixes: Iterable[str]) -> Sequence[int]:
    """The IP versions that some prefixes leave. `ValueError` for what is no prefix, or where they differ."""
    found = {ip_network(prefix).version for prefix in prefixes if prefix}
    if len(found) > 1:
        raise ValueError("the addresses are of both IPv4 and IPv6")
    return tuple(found) or (4, 6)


def _family(version: int) -> int:
    return ETH_IPV4 if version == 4 else ETH_IPV6


def _transport(
    proto: int | None, sources: Sequence[PortRange], targets: Sequence[PortRange]
) -> Iterator[dict[str, Condition]]:
    """Conditions named `proto`, `src` and `dst`."""
    if not sources and not targets:
        yield {} if proto is None else {"proto": proto}
        return
    if proto is not None and proto not in _PORTED:
        raise ValueError(f"protocol {proto} has no ports")
    for one, src, dst in product((proto,) if proto is not None else _PORTED, _prefixes(sources), _prefixes(targets)):
        layer: dict[str, Condition] = {"proto": one}
        layer |= {"src": src} if src[1] else {}
        layer |= {"dst": dst} if dst[1] else {}
        yield layer


def _prefixes(ranges: Sequence[PortRange]) -> Sequence[tuple[int, int]]:
    """Value and mask of every block of a union of ranges."""
    if not ranges:
        return _ALL_PORTS
    return [block for low, high in _union(ranges) for block in blocks(low, high)]


def _union(ranges: Sequence[PortRange]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for one in sorted(ranges, key=lambda one: (one.low, one.high)):
        if one.high < one.low:
            raise ValueError(f"the range {one.low}-{one.high} is empty")
        if found and one.low <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], one.high))
        else:
            found.append((one.low, one.high))
    return found


def blocks(low: int, high: int) -> Iterator[tuple[int, int]]:
    """A range of 16-bit numbers as aligned blocks: value and mask."""
    while low <= high:
        size = low & -low or 1 << 16
        while size > high - low + 1:
            size >>= 1
        yield low, 0xFFFF & ~(size - 1)
        low += size


def address(text: str) -> int:
    """An IP address as number. `ValueError` if it is none."""
    return int(ip_address(text))
