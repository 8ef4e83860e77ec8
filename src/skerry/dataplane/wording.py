"""Matches and actions as text for people, and OpenFlow match strings as classifiers. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from skerry.dataplane.flows import VLAN_PRESENT, Actions, Conn, Connect, Copy, Field, Match, SetField, full, mac_text
from skerry.dataplane.intents import Classifier, Connection, GtpClassifier, PortRange

_MACS = frozenset({Field.ETH_SRC, Field.ETH_DST})
_V4 = frozenset({Field.IPV4_SRC, Field.IPV4_DST, Field.INNER_IPV4_SRC, Field.INNER_IPV4_DST})
_V6 = frozenset({Field.IPV6_SRC, Field.IPV6_DST, Field.INNER_IPV6_SRC, Field.INNER_IPV6_DST})
_HEX = frozenset({Field.ETH_TYPE, Field.GTP_TEID, Field.NSH_SPI, Field.PIN, Field.NAME})


def match_text(match: Match) -> str:
    """A match as `in_port=1,ipv4_dst=10.0.0.0/8`; `any` for one without conditions."""
    return (
        ",".join(f"{Field(field).name.lower()}={_value(field, value, mask)}" for field, value, mask in match) or "any"
    )


def _value(field: Field, value: int, mask: int) -> str:
    shown = value_text(field, value)
    if mask == full(field):
        return shown
    if field in _V4 | _V6:
        return f"{shown}/{mask.bit_count()}"
    return f"{shown}/{value_text(field, mask) if field in _MACS else hex(mask)}"


def value_text(field: Field, value: int) -> str:
    """The value of a field as people write it."""
    if field in _MACS:
        return mac_text(value)
    if field in _V4:
        return str(IPv4Address(value))
    if field in _V6:
        return str(IPv6Address(value))
    if field is Field.CONN:
        return Conn(value).name.lower()
    if field is Field.VLAN_VID:
        return str(value & ~VLAN_PRESENT) if value else "none"
    return hex(value) if field in _HEX else str(value)


def action_text(action: Actions) -> str:
    """An action as `output(port=3)`."""
    name = str(action.__struct_config__.tag)
    if isinstance(action, SetField):
        return f"setfield({action.field.name.lower()}={value_text(action.field, action.value)})"
    if isinstance(action, Connect):
        return f"connect({', '.join(_connected(action))})"
    if isinstance(action, Copy):
        return f"copy({', '.join(action_text(one) for one in action.actions)})"
    shown = ", ".join(
        f"{key}={_shown(key, getattr(action, key))}" for key in action.__struct_fields__ if getattr(action, key)
    )
    return f"{name}({shown})" if shown else name


def _connected(action: Connect) -> Iterator[str]:
    yield f"zone={action.zone}"
    if action.source:
        yield f"source={action.source}:{action.low}-{action.high}"
    for target in action.targets:
        yield f"target={target.address}:{target.port or '*'}" + (f"*{target.weight}" if target.weight > 1 else "")


def _shown(key: str, value: Any) -> str:
    if key in ("eth_src", "eth_dst", "mac"):
        return mac_text(value)
    if key == "tunnel":
        return f"{value.src}>{value.dst}/{value.teid:#x}"
    return str(value)


# -- OpenFlow match strings -----------------------------------------------------------------------------------------------

_ALONE: Mapping[str, Mapping[str, int]] = {
    "ip": {"eth_type": 0x0800},
    "ipv6": {"eth_type": 0x86DD},
    "arp": {"eth_type": 0x0806},
    "tcp": {"eth_type": 0x0800, "proto": 6},
    "udp": {"eth_type": 0x0800, "proto": 17},
    "sctp": {"eth_type": 0x0800, "proto": 132},
    "icmp": {"eth_type": 0x0800, "proto": 1},
    "tcp6": {"eth_type": 0x86DD, "proto": 6},
    "udp6": {"eth_type": 0x86DD, "proto": 17},
}


def _number(text: str) -> int:
    return int(text, 0)


def _text(text: str) -> str:
    return text


def _ports(text: str) -> tuple[PortRange, ...]:
    low, _, high = text.partition("-")
    return (PortRange(low=_number(low), high=_number(high or low)),)


_KEYS: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    **dict.fromkeys(("dl_src", "eth_src"), ("eth_src", _text)),
    **dict.fromkeys(("dl_dst", "eth_dst"), ("eth_dst", _text)),
    **dict.fromkeys(("dl_type", "eth_type"), ("eth_type", _number)),
    **dict.fromkeys(("dl_vlan", "vlan_vid", "vlan"), ("vlan", _number)),
    **dict.fromkeys(("nw_src", "ipv4_src", "ipv6_src", "ip_src"), ("ip_src", _text)),
    **dict.fromkeys(("nw_dst", "ipv4_dst", "ipv6_dst", "ip_dst"), ("ip_dst", _text)),
    **dict.fromkeys(("nw_proto", "ip_proto", "proto"), ("proto", _number)),
    **dict.fromkeys(("ip_dscp", "dscp"), ("dscp", _number)),
    **dict.fromkeys(("tp_src", "tcp_src", "udp_src"), ("src_ports", _ports)),
    **dict.fromkeys(("tp_dst", "tcp_dst", "udp_dst"), ("dst_ports", _ports)),
    "ue": ("ue", _text),
    "conn": ("connection", lambda text: tuple(Connection(one.upper()) for one in text.split("|"))),
    "host": ("hosts", lambda text: tuple(text.split("|"))),
}
_INSIDE: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    **dict.fromkeys(("tun_id", "gtp_teid"), ("teid", _number)),
    "gtp_type": ("type", _number),
    "gtp_qfi": ("qfi", _number),
    "inner_src": ("inner_src", _text),
    "inner_dst": ("inner_dst", _text),
    "inner_proto": ("inner_proto", _number),
    "inner_tp_src": ("inner_src_ports", _ports),
    "inner_tp_dst": ("inner_dst_ports", _ports),
}


def classifier_of(text: str) -> Classifier:
    """The classifier of an OpenFlow match string like `tcp,nw_dst=10.0.0.0/8,tp_dst=80`. `ValueError` says what is wrong."""
    given: dict[str, Any] = {}
    inside: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, sign, text_value = part.partition("=")
        if not sign and key in _ALONE:
            for name, value in _ALONE[key].items():
                _add(given, name, value)
        elif key in _KEYS and sign:
            name, read = _KEYS[key]
            _add(given, name, read(text_value))
        elif key in _INSIDE and sign:
            name, read = _INSIDE[key]
            _add(inside, name, read(text_value))
        else:
            raise ValueError(f"{part} is no condition; there are: {', '.join((*_ALONE, *_KEYS, *_INSIDE))}")
    if inside:
        given["gtp"] = GtpClassifier(**inside)
    return Classifier(**given)


def _add(given: dict[str, Any], name: str, value: Any) -> None:
    if given.setdefault(name, value) != value:
        raise ValueError(f"{name} cannot be both {given[name]} and {value}")


def flowspace_of(classifier: Classifier) -> str:
    """A classifier as an OpenFlow match string; ports where frames enter are not in it."""
    found: list[str] = []
    for key, value in (
        ("dl_src", classifier.eth_src),
        ("dl_dst", classifier.eth_dst),
        ("dl_type", None if classifier.eth_type is None else hex(classifier.eth_type)),
        ("dl_vlan", classifier.vlan),
        ("nw_src", classifier.ip_src),
        ("nw_dst", classifier.ip_dst),
        ("nw_proto", classifier.proto),
        ("dscp", classifier.dscp),
        ("ue", classifier.ue),
        ("conn", "|".join(classifier.connection).lower()),
        ("host", "|".join(classifier.hosts)),
    ):
        if value not in (None, ""):
            found.append(f"{key}={value}")
    found += _ranges("tp_src", classifier.src_ports) + _ranges("tp_dst", classifier.dst_ports)
    return ",".join([*found, *_inside_text(classifier.gtp)])


def _ranges(key: str, ranges: tuple[PortRange, ...]) -> list[str]:
    return [f"{key}={one.low}" if one.low == one.high else f"{key}={one.low}-{one.high}" for one in ranges]


def _inside_text(gtp: GtpClassifier | None) -> list[str]:
    if gtp is None:
        return []
    plain = (
        ("gtp_teid", gtp.teid),
        ("gtp_type", gtp.type),
        ("gtp_qfi", gtp.qfi),
        ("inner_src", gtp.inner_src),
        ("inner_dst", gtp.inner_dst),
        ("inner_proto", gtp.inner_proto),
    )
    found = [f"{key}={value}" for key, value in plain if value not in (None, "")]
    return found + _ranges("inner_tp_src", gtp.inner_src_ports) + _ranges("inner_tp_dst", gtp.inner_dst_ports)
