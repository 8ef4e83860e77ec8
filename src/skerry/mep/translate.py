"""Traffic rules of MEC 011 as intents of the data plane. Pure.

A filter looks inside GTP-U where its rule decapsulates and there is a side of base stations, or where it names a tunnel; else
at the frame as it is. Values of one attribute are alternatives, filters of a rule too: each combination is an intent. A rule
of FLOW holds for both directions; where it takes traffic out of a tunnel, the application's answers go back into it. Of two
destination interfaces (MEC 011 7.1.2.2, note 2) the application is in the line: frames come to the first, towards the users,
and what leaves at the second, towards the core, goes on as if the application had not been there; the other way round
for the other direction.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network, summarize_address_range
from itertools import product

import msgspec

from skerry.dataplane.intents import (
    Actions,
    Chain,
    Classifier,
    Drop,
    Duplicate,
    Forward,
    Function,
    GtpClassifier,
    Hop,
    Pass,
    Port,
    PortRange,
    Reinsert,
    Side,
    Steer,
    Steering,
    Way,
)
from skerry.errors import InvalidError, UnsupportedError
from skerry.model.mec import (
    App,
    DestinationInterface,
    FilterType,
    InterfaceType,
    TrafficAction,
    TrafficFilter,
    TrafficRule,
)

PREFIX = "mec:"
MOST = 256
"""Most intents of one rule."""

HIGHEST = 900
PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17, "gre": 47, "esp": 50, "icmpv6": 58, "sctp": 132}
DECAPSULATING = frozenset({TrafficAction.FORWARD_DECAPSULATED, TrafficAction.DUPLICATE_DECAPSULATED})
FORWARDING = frozenset(
    {TrafficAction.FORWARD_DECAPSULATED, TrafficAction.FORWARD_ENCAPSULATED, TrafficAction.FORWARD_AS_IS}
)
DUPLICATING = frozenset(
    {TrafficAction.DUPLICATE_DECAPSULATED, TrafficAction.DUPLICATE_ENCAPSULATED, TrafficAction.DUPLICATE_AS_IS}
)


def owner_of(app_id: str) -> str:
    """The owner of all intents of an application."""
    return PREFIX + app_id


def steerings(rule: TrafficRule, app: App, ports: Sequence[Port]) -> tuple[Steering, ...]:
    """The steerings among the intents of a rule; errors as of `intents`."""
    return tuple(one for one in intents(rule, app, ports) if isinstance(one, Steering))


def intents(rule: TrafficRule, app: App, ports: Sequence[Port]) -> tuple[Steering | Chain, ...]:
    """The intents of a rule on these ports. `InvalidError` for values that mean nothing, `UnsupportedError` for what no data
    plane of ours does."""
    try:
        inside = _inside(rule, ports)
        forward = [classifier for one in rule.traffic_filter for classifier in _classifiers(one, inside)]
    except ValueError as error:
        raise InvalidError(
            f"cannot use a filter of the traffic rule {rule.traffic_rule_id}: {error}",
            suggestion="write addresses, prefixes, ranges `a-b`, ports, names or numbers of protocols, tags `vlan:N`, `teid:N`",
        ) from error
    inline = len(rule.interfaces) == 2 and rule.action in FORWARDING
    # A chain that leads in both directions sees to the other one itself.
    both_ways = rule.filter_type is FilterType.FLOW and not inline
    backward = [reverse(one) for one in forward] if both_ways else []
    both = list(dict.fromkeys([*forward, *backward]))
    if len(both) > MOST:
        raise InvalidError(
            f"cannot use the traffic rule {rule.traffic_rule_id}: its values combine to {len(both)} filters",
            suggestion=f"write ranges or prefixes; {MOST} is the most",
        )
    plain = inside and rule.action in DECAPSULATING
    chain = _chain(rule, app, ports, plain=plain) if inline else None
    steer = (Steer(chain=chain.id, decapsulated=plain),) if chain else ()
    actions = steer or _actions(rule, app, ports, decapsulated=inside)
    entrances = _entrances(actions, ports, chain)
    made = [_Wish(msgspec.structs.replace(classifier, ports=entrances), actions) for classifier in both]
    if plain and not chain and rule.action is TrafficAction.FORWARD_DECAPSULATED:
        made += _answers(forward, actions, ports)
    made_of_it = (_steering(rule, app, at, wish) for at, wish in enumerate(made))
    return (*([chain] if chain else []), *made_of_it)


def deciding(intents: Sequence[Steering | Chain]) -> list[Steering | Chain]:
    """Without those that never decide, since another one of the same application means the same traffic with a higher
    priority: the standard lets rules conflict, the data plane refuses rules that no frame reaches. Pure."""
    first: dict[Classifier, Steering] = {}
    steerings = [one for one in intents if isinstance(one, Steering)]
    for intent in sorted(steerings, key=lambda one: (-one.priority, one.id)):
        first.setdefault(intent.classifier, intent)
    used = {action.chain for one in first.values() for action in one.actions if isinstance(action, Steer)}
    return [*(one for one in intents if isinstance(one, Chain) and one.id in used), *first.values()]


class _Wish(msgspec.Struct, frozen=True):
    """What shall become an intent."""

    classifier: Classifier
    actions: tuple[Actions, ...]


def _id(rule: TrafficRule, app: App, part: object) -> str:
    """Identifiers of applications and rules are free texts; those of intents are not."""
    digest = hashlib.blake2b(f"{app.id}/{rule.traffic_rule_id}".encode(), digest_size=8).hexdigest()
    return f"mec-{digest}-{part}"


def _steering(rule: TrafficRule, app: App, at: int, wish: _Wish) -> Steering:
    return Steering(
        id=_id(rule, app, at),
        tenant=app.tenant,
        owner=owner_of(app.id),
        classifier=wish.classifier,
        actions=wish.actions,
        priority=HIGHEST - rule.priority,
    )


def _chain(rule: TrafficRule, app: App, ports: Sequence[Port], *, plain: bool) -> Chain:
    """The line through an application with two interfaces. Plain packets go back into their tunnel towards the core; whole
    frames go through it in both directions."""
    near, far = (_port(one, rule, app, ports) for one in rule.interfaces)
    function = Function(id=_id(rule, app, "function"), ingress=near.id, egress=far.id)
    core = next((port.id for port in ports if port.side is Side.CORE), "")
    if plain and not core:
        raise InvalidError(
            f"cannot use the traffic rule {rule.traffic_rule_id}: no port leads to the core, where packets go back to",
            suggestion="add a port of side CORE, or forward without decapsulation",
        )
    both = rule.filter_type is FilterType.FLOW and bool(core) and not plain
    return Chain(
        id=_id(rule, app, "chain"),
        tenant=app.tenant,
        owner=owner_of(app.id),
        hops=(Hop(functions=(function,)),),
        exit=core if both or plain else "",
        exit_way=Way.UP if plain else None,
        symmetric=both,
    )


def _entrances(actions: Sequence[Actions], ports: Sequence[Port], chain: Chain | None) -> tuple[str, ...]:
    """Where the traffic of users may come in: everywhere but where the rule leads it. Ports are named, since those that all
    tenants share are meant, too."""
    targets = {action.port for action in actions if isinstance(action, Forward | Duplicate | Reinsert)}
    if chain:
        functions = [function for hop in chain.hops for function in hop.functions]
        targets = {chain.exit, *(one.ingress for one in functions), *(one.way_out for one in functions)}
    return tuple(port.id for port in ports if port.side is not Side.LINK and port.id not in targets)


def _inside(rule: TrafficRule, ports: Sequence[Port]) -> bool:
    """Whether filters look inside GTP-U."""
    tunnelled = any(
        one.src_tunnel_address or one.tgt_tunnel_address or one.q_ci is not None or _tags(one, "teid")
        for one in rule.traffic_filter
    )
    mobile = any(port.side is Side.RAN for port in ports)
    return tunnelled or (mobile and rule.action in DECAPSULATING)


# -- filters --------------------------------------------------------------------------------------------------------------


def _classifiers(filter: TrafficFilter, inside: bool) -> Iterator[Classifier]:
    choices = product(
        _prefixes(filter.src_address),
        _prefixes(filter.dst_address),
        _prefixes(filter.src_tunnel_address),
        _prefixes(filter.tgt_tunnel_address),
        _or_any(_protocol(one) for one in filter.protocol),
        _or_any(_tags(filter, "vlan")),
        _or_any(_tags(filter, "teid")),
    )
    for src, dst, outer_src, outer_dst, proto, vlan, teid in choices:
        plain = _plain(filter, src, dst, proto)
        if inside:
            gtp = _gtp(filter, plain, teid)
            yield Classifier(
                ip_src=outer_src,
                ip_dst=outer_dst,
                src_ports=_ranges(filter.src_tunnel_port),
                dst_ports=_ranges(filter.dst_tunnel_port),
                vlan=vlan,
                gtp=gtp,
            )
        else:
            yield msgspec.structs.replace(plain, vlan=vlan)


def _or_any(values: Iterable[int]) -> Sequence[int | None]:
    """The alternatives of an attribute; "any" where there are none."""
    return tuple(values) or (None,)


def _plain(filter: TrafficFilter, src: str, dst: str, proto: int | None) -> Classifier:
    dscp = filter.d_scp if filter.d_scp is not None else None if filter.t_c is None else filter.t_c >> 2
    src_ports, dst_ports = _ranges(filter.src_port), _ranges(filter.dst_port)
    return Classifier(ip_src=src, ip_dst=dst, proto=proto, dscp=dscp, src_ports=src_ports, dst_ports=dst_ports)


def _gtp(filter: TrafficFilter, plain: Classifier, teid: int | None) -> GtpClassifier:
    if filter.q_ci is not None and filter.q_ci > 63:
        raise ValueError(f"qCI {filter.q_ci} is no flow identifier of a tunnel (0 to 63)")
    return GtpClassifier(
        teid=teid,
        qfi=filter.q_ci,
        inner_src=plain.ip_src,
        inner_dst=plain.ip_dst,
        inner_proto=plain.proto,
        inner_dscp=plain.dscp,
        inner_src_ports=plain.src_ports,
        inner_dst_ports=plain.dst_ports,
    )


def reverse(one: Classifier) -> Classifier:
    """The other direction of a flow. A tunnel has another identifier there, which nobody told us: the flow inside is what
    matters then."""
    gtp = one.gtp
    if gtp is not None:
        gtp = msgspec.structs.replace(
            gtp,
            teid=None,
            inner_src=gtp.inner_dst,
            inner_dst=gtp.inner_src,
            inner_src_ports=gtp.inner_dst_ports,
            inner_dst_ports=gtp.inner_src_ports,
        )
    return msgspec.structs.replace(
        one, ip_src=one.ip_dst, ip_dst=one.ip_src, src_ports=one.dst_ports, dst_ports=one.src_ports, gtp=gtp
    )


def _prefixes(texts: Sequence[str]) -> list[str]:
    """Prefixes of addresses, masks and ranges; one that is empty where there are none."""
    found = [prefix for text in texts for prefix in _prefix(text)]
    return found or [""]


def _prefix(text: str) -> Iterable[str]:
    low, dash, high = text.partition("-")
    if not dash:
        return [str(ip_network(text.strip(), strict=False))]
    first, last = ip_address(low.strip()), ip_address(high.strip())
    if isinstance(first, IPv4Address) and isinstance(last, IPv4Address):
        return [str(one) for one in summarize_address_range(first, last)]
    if isinstance(first, IPv6Address) and isinstance(last, IPv6Address):
        return [str(one) for one in summarize_address_range(first, last)]
    raise ValueError(f"the range {text} is of two families")


def _ranges(texts: Sequence[str]) -> tuple[PortRange, ...]:
    return tuple(_range(text) for text in texts)


def _range(text: str) -> PortRange:
    low, dash, high = text.partition("-")
    first, last = int(low), int(high if dash else low)
    if not 0 <= first <= last <= 65535:
        raise ValueError(f"{text} is no port and no range of ports")
    return PortRange(low=first, high=last)


def _protocol(text: str) -> int:
    number = PROTOCOLS.get(text.strip().lower().replace("-", ""))
    if number is None:
        number = int(text) if text.isdigit() else -1
    if not 0 <= number <= 255:
        raise ValueError(f"{text} is no protocol")
    return number


def _tags(filter: TrafficFilter, kind: str) -> list[int]:
    """Tags of a kind: `teid:N`, and `vlan:N` or a bare number."""
    found: list[int] = []
    for text in filter.tag:
        name, colon, value = text.partition(":")
        if not colon:
            name, value = "vlan", text
        if name.strip().lower() not in ("vlan", "teid") or not value.strip().isdigit():
            raise ValueError(f"the tag {text} is neither vlan:N nor teid:N")
        if name.strip().lower() == kind:
            found.append(int(value))
    return found


# -- actions --------------------------------------------------------------------------------------------------------------


def _actions(rule: TrafficRule, app: App, ports: Sequence[Port], *, decapsulated: bool) -> tuple[Actions, ...]:
    if rule.action is TrafficAction.DROP:
        return (Drop(),)
    if rule.action is TrafficAction.PASSTHROUGH:
        return (Pass(),)
    plain = decapsulated and rule.action in DECAPSULATING
    interfaces = rule.interfaces or (None,)
    if rule.action in DUPLICATING:
        copies = [Duplicate(port=_port(one, rule, app, ports).id, decapsulated=plain) for one in interfaces]
        return (*copies, Pass())
    first = interfaces[0]
    target = _port(first, rule, app, ports)
    if first is not None and first.interface_type is InterfaceType.TUNNEL and target.vxlan is None:
        return (Reinsert(port=target.id, way=Way.UP if target.side is Side.CORE else Way.DOWN),)
    return (Forward(port=target.id, decapsulated=plain),)


def _port(interface: DestinationInterface | None, rule: TrafficRule, app: App, ports: Sequence[Port]) -> Port:
    """The port that a destination means; without one, the application's own."""
    found = [port for port in ports if _meant(interface, port, app)]
    if found:
        return found[0]
    wanted = "the application" if interface is None else _told(interface)
    raise InvalidError(
        f"cannot find the destination of the traffic rule {rule.traffic_rule_id}: no port of the data plane leads to {wanted}",
        suggestion="name an address or MAC that a port has, or add the port with its addresses",
    )


def _meant(interface: DestinationInterface | None, port: Port, app: App) -> bool:
    if interface is None:
        return port.id in app.ports
    if interface.interface_type is InterfaceType.MAC:
        return bool(port.mac) and port.mac.lower() == (interface.dst_mac_address or "").lower()
    if interface.interface_type is InterfaceType.IP:
        return _has(port, interface.dst_ip_address or "")
    tunnel = interface.tunnel_info
    if tunnel is None:
        return False
    if tunnel.tunnel_type.upper().replace("-", "_") == "GTP_U":
        return port.side in (Side.RAN, Side.CORE) and _has(port, tunnel.tunnel_dst_address or "")
    if tunnel.tunnel_type.upper() == "VXLAN":
        return port.vxlan is not None and port.vxlan.remote == tunnel.tunnel_dst_address
    raise UnsupportedError(
        f"cannot forward into a tunnel of type {tunnel.tunnel_type}",
        suggestion="use GTP_U or VXLAN, or an IP or MAC interface",
    )


def _has(port: Port, address: str) -> bool:
    return any(one.partition("/")[0] == address for one in port.ips)


def _told(interface: DestinationInterface) -> str:
    tunnel = interface.tunnel_info
    peer = tunnel.tunnel_dst_address if tunnel else ""
    return interface.dst_ip_address or interface.dst_mac_address or peer or interface.interface_type.value


def _answers(forward: Sequence[Classifier], actions: Sequence[Actions], ports: Sequence[Port]) -> list[_Wish]:
    """What the application sends back to its users returns into their tunnels."""
    targets = [action.port for action in actions if isinstance(action, Forward)]
    stations = [port for port in ports if port.side is Side.RAN]
    if not targets or not stations:
        return []
    device = next((port.device for port in ports if port.id == targets[0]), "")
    near = next((port for port in stations if port.device == device), stations[0])
    back = (Reinsert(port=near.id, way=Way.DOWN),)
    wishes = [_Wish(_outside(one, targets[0]), back) for one in forward if one.gtp is not None]
    return list(dict.fromkeys(wishes))


def _outside(one: Classifier, port: str) -> Classifier:
    """The reverse of what is inside the tunnel, as plain packets at a port."""
    gtp = one.gtp
    assert gtp is not None  # noqa: S101  # asked for by the caller
    return Classifier(
        ports=(port,),
        ip_src=gtp.inner_dst,
        ip_dst=gtp.inner_src,
        proto=gtp.inner_proto,
        src_ports=gtp.inner_dst_ports,
        dst_ports=gtp.inner_src_ports,
    )
