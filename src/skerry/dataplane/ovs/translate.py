"""Action lists of the contract as action lists of Open vSwitch. Pure.

The switch accepts an action only where the match makes sure of what it needs: an address is set in IP packets alone. The
contract says that nothing happens otherwise. So a list whose next action needs more than is known is cut there: its rest
becomes rules of their own, one for each case, to which the list resubmits. Rests are named by what they do, so that rules
share them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from skerry.dataplane import flows
from skerry.dataplane.connections import TRACKED
from skerry.dataplane.flows import Actions, Field
from skerry.dataplane.ovs import actions as act
from skerry.dataplane.ovs import layout, matches, oxm, tracking
from skerry.dataplane.ovs.layout import Flow
from skerry.dataplane.ovs.matches import Known
from skerry.errors import UnsupportedError

_V4 = frozenset({Field.IPV4_SRC, Field.IPV4_DST})
_V6 = frozenset({Field.IPV6_SRC, Field.IPV6_DST})
_FREE = frozenset({Field.ETH_DST, Field.ETH_SRC, Field.REG0, Field.REG1, Field.REG2, Field.REG3})
_ANYWHERE = (flows.Output, flows.Goto, flows.Bridge, flows.Select)
_LEAVES = (flows.Output, flows.ArpReply, flows.Police)
_ARP_REQUEST, _ARP_ANSWER = 1, 2
_CASE, _ELSE = 2, 1
_PIN_PRIORITY = 100

Compiled = tuple[bytes, tuple[Flow, ...]]
"""An action list, and the rules that it resubmits to."""


def compile(actions: Sequence[Actions], known: Known) -> Compiled:
    """The switch's action list. `UnsupportedError` for an action that the switch lacks."""
    done: list[bytes] = []
    extra: list[Flow] = []
    for place, action in enumerate(actions):
        cases = _cases(action, known)
        if cases is not None:
            jump, rules = _rest(actions[place:], known, cases)
            return b"".join([*done, jump]), (*extra, *rules)
        if isinstance(action, (flows.Track, flows.Connect)) and known.ip_proto is not None:
            jump, rules = _started_again(action, actions[place + 1 :], known)
            return b"".join([*done, jump]), (*extra, *rules)
        if isinstance(action, flows.Track):
            continue  # of no connection: it stays as it is
        code, more, known = _STEPS[type(action)](action, known)
        done.append(code)
        extra += more
        rest = actions[place + 1 :]
        if isinstance(action, flows.PopNsh) and not all(isinstance(one, _ANYWHERE) for one in rest):
            jump, rules = _rest(rest, known, [known])
            return b"".join([*done, jump]), (*extra, *rules)
    return b"".join(done), tuple(extra)


# -- cutting lists --------------------------------------------------------------------------------------------------------

Case = Known | None
"""What is known in a case; None stands for every other frame: there the action has no effect and is left out."""


def _cases(action: Actions, known: Known) -> Sequence[Case] | None:
    """The cases to tell apart before an action; None where it can stand as it is."""
    if isinstance(action, flows.SetField):
        return _set_cases(action.field, known)
    if isinstance(action, flows.PopVlan):
        return [known._replace(vlan=True), None] if known.vlan is None else None
    if isinstance(action, flows.DecTtl):
        return None if known.ip or known.eth_type is not None else [*_ip(known), None]
    if isinstance(action, flows.PopNsh):
        return _pop_nsh_cases(known)
    if isinstance(action, flows.DecNshTtl):
        return [_nsh(known), None] if known.eth_type is None else None
    if isinstance(action, (flows.Track, flows.Connect)):
        return _connection_cases(action, known)
    if isinstance(action, flows.ArpReply):
        return None if known.arp_op else _arp_cases(known)
    return [known] if isinstance(action, flows.Police) else None


def _connection_cases(action: flows.Track | flows.Connect, known: Known) -> Sequence[Case] | None:
    """The protocols of connections; other frames are not tracked, and not connected."""
    if isinstance(action, flows.Connect):
        cases = [one for one in _tracked(known) if tracking.of_family(action, one.eth_type or 0)]
        return None if cases == [known] else cases
    if known.eth_type is not None and not known.ip:
        return None
    return None if _tracked(known) == [known] else [*_tracked(known), None]


def _tracked(known: Known) -> Sequence[Known]:
    if known.eth_type is not None and not known.ip:
        return []
    found = [one._replace(ip_proto=proto) for one in _ip(known) for proto in TRACKED[4 if _is_v4(one) else 6]]
    return [one for one in found if known.ip_proto in (None, one.ip_proto)]


def _is_v4(known: Known) -> bool:
    return known.eth_type == flows.ETH_IPV4


def _arp_cases(known: Known) -> Sequence[Case]:
    """A request; what is known to be something else has no case."""
    if known.eth_type not in (None, flows.ETH_ARP):
        return []
    return [known._replace(eth_type=flows.ETH_ARP, arp_op=_ARP_REQUEST)]


def _pop_nsh_cases(known: Known) -> Sequence[Case] | None:
    """Without such a header a frame is dropped: there is no case for it."""
    if known.eth_type != flows.ETH_NSH:
        return [_nsh(known)] if known.eth_type is None else []
    return [known._replace(vlan=True), known._replace(vlan=False)] if known.vlan is None else None


def _set_cases(field: Field, known: Known) -> Sequence[Case] | None:
    if field in _FREE:
        return None
    if field is Field.VLAN_VID:
        return [known._replace(vlan=True), None] if known.vlan is None else None
    if field in matches.L4:
        if known.ip_proto is not None or (known.eth_type is not None and not known.ip):
            return None
        return [*(one._replace(ip_proto=proto) for one in _ip(known) for proto in matches.PROTOCOLS), None]
    if known.eth_type is not None:
        return None
    if field in _V4:
        return [known._replace(eth_type=flows.ETH_IPV4), None]
    if field in _V6:
        return [known._replace(eth_type=flows.ETH_IPV6), None]
    return [*_ip(known), None] if field is Field.IP_DSCP else [_nsh(known), None]


def _ip(known: Known) -> Sequence[Known]:
    if known.ip:
        return [known]
    return [known._replace(eth_type=one) for one in (flows.ETH_IPV4, flows.ETH_IPV6)]


def _nsh(known: Known) -> Known:
    return known._replace(eth_type=flows.ETH_NSH)


def _rest(actions: Sequence[Actions], known: Known, cases: Sequence[Case]) -> Compiled:
    """The jump to the rest of a list, and the rules of the rest for each case."""
    name = _name((actions, known, cases))
    rules: list[Flow] = []
    for case in cases:
        matched = matches.body([*(case or known).conditions(), (layout.R_REST, name, None)])
        priority = _ELSE if case is None else _CASE
        meter, following = _metered(actions if case else actions[1:])
        code, more = compile(following, case or known)
        rules += [Flow(layout.REST, priority, matched, act.apply(code, meter=meter)), *more]
    return act.set_field(layout.R_REST, name) + act.resubmit(layout.REST), tuple(rules)


def _started_again(action: flows.Track | flows.Connect, rest: Sequence[Actions], known: Known) -> Compiled:
    """The frame starts again in the table of rests, when its connection was looked up or remembered."""
    name, eth_type = _name((action, rest, known)), known.eth_type or 0
    code, more = compile(rest, known)
    if isinstance(action, flows.Track):
        jump, rules = tracking.track(action, name, eth_type)
        guards: Sequence[list[oxm.Condition]] = ()
    else:
        jump, rules = tracking.connect(action, _name(action), name, eth_type)
        guards = tracking.guards(action)
    mine: list[oxm.Condition] = [("eth_type", eth_type, None), (layout.R_REST, name, None)]
    for guard in guards or [[]]:
        rules.append(Flow(layout.REST, _CASE, matches.body([*guard, *mine]), act.apply(code)))
    if guards:
        rules.append(Flow(layout.REST, 0, matches.body(mine), b""))
    return jump, (*rules, *more)


def _name(what: object) -> int:
    """The number that stands for a rest, or a connect, in a register."""
    return int.from_bytes(hashlib.blake2b(msgspec.json.encode(what), digest_size=4).digest(), "big")


def _metered(actions: Sequence[Actions]) -> tuple[int, Sequence[Actions]]:
    """A meter can only stand before a whole list."""
    first = actions[0] if actions else None
    return (first.meter, actions[1:]) if isinstance(first, flows.Police) else (0, actions)


# -- actions that stand as they are ---------------------------------------------------------------------------------------

Step = tuple[bytes, Sequence[Flow], Known]


def _output(action: flows.Output, known: Known) -> Step:
    code = act.output(action.port)
    if action.hairpin:
        # The switch sends nothing back to the port that a frame came from; a copy forgets where it came from.
        code = act.clone(act.set_field("nxm_in_port", 0) + code)
    return code, (), known


def _goto(action: flows.Goto, known: Known) -> Step:
    return act.resubmit(layout.number(action.table)), (), known


def _set_field(action: flows.SetField, known: Known) -> Step:
    field, value = action.field, action.value
    if not _has(field, known):
        return b"", (), known
    if field in matches.L4:
        return act.set_field(matches.port_field(field, known.ip_proto or 0), value), (), known
    if field is Field.VLAN_VID:
        value |= flows.VLAN_PRESENT
    return act.set_field(matches.NAMES[field], value), (), known


def _has(field: Field, known: Known) -> bool:
    """Whether a frame of which enough is known has a field."""
    if field in _FREE:
        return True
    if field is Field.VLAN_VID:
        return bool(known.vlan)
    if field in matches.L4:
        return known.ip and known.ip_proto in matches.PROTOCOLS
    if field in _V4:
        return known.eth_type == flows.ETH_IPV4
    if field in _V6:
        return known.eth_type == flows.ETH_IPV6
    return known.ip if field is Field.IP_DSCP else known.eth_type == flows.ETH_NSH


def _push_vlan(action: flows.PushVlan, known: Known) -> Step:
    code = act.push_vlan() + act.set_field("vlan_vid", action.vid | flows.VLAN_PRESENT)
    return code, (), known._replace(vlan=True)


def _pop_vlan(_: flows.PopVlan, known: Known) -> Step:
    return (act.pop_vlan(), (), known._replace(vlan=None)) if known.vlan else (b"", (), known)


def _dec_ttl(_: flows.DecTtl, known: Known) -> Step:
    return act.dec_ttl() if known.ip else b"", (), known


def _push_nsh(action: flows.PushNsh, _: Known) -> Step:
    code = act.encap_nsh() + act.set_field("nsh_spi", action.spi) + act.set_field("nsh_si", action.si)
    code += b"".join(act.set_field(f"nsh_c{place}", one) for place, one in enumerate(action.context, 1))
    code += act.encap_ethernet() + act.set_field("eth_dst", action.eth_dst) + act.set_field("eth_src", action.eth_src)
    return code, (), Known(eth_type=flows.ETH_NSH, vlan=False)


def _pop_nsh(_: flows.PopNsh, known: Known) -> Step:
    return (act.pop_vlan() if known.vlan else b"") + act.decap() + act.decap(), (), Known()


def _dec_nsh_ttl(_: flows.DecNshTtl, known: Known) -> Step:
    return act.dec_nsh_ttl() if known.eth_type == flows.ETH_NSH else b"", (), known


def _arp_reply(action: flows.ArpReply, known: Known) -> Step:
    """Addresses are exchanged through two wide registers, which nothing else uses."""
    steps = (
        act.move("arp_sha", "eth_dst", 48),
        act.set_field("eth_src", action.mac),
        act.set_field("arp_op", _ARP_ANSWER),
        act.move("arp_sha", "arp_tha", 48),
        act.set_field("arp_sha", action.mac),
        act.move("arp_tpa", layout.R_VALUE, 32),
        act.move("arp_spa", "arp_tpa", 32),
        act.move(layout.R_VALUE, "arp_spa", 32),
        act.output(act.IN_PORT),
    )
    return b"".join(steps), (), known


def _pin(action: flows.Pin, known: Known) -> Step:
    code = act.set_field(layout.R_VALUE, action.value) + act.set_field(layout.R_IDLE, action.idle_s)
    return code + act.resubmit(layout.PIN), tuple(_pin_rules(action.idle_s)), known


def _copy(action: flows.Copy, known: Known) -> Step:
    """The switch would put a header that the copy got last, and did not leave with, on the frame itself: such a header
    has no effect anyway and is left out."""
    last = max((place for place, one in enumerate(action.actions, 1) if isinstance(one, _LEAVES)), default=0)
    if not last:
        return b"", (), known
    code, rules = compile(action.actions[:last], known)
    return act.clone(code), rules, known


def _bridge(action: flows.Bridge, known: Known) -> Step:
    return act.set_field(layout.R_DOMAIN, action.domain) + act.resubmit(layout.DOMAIN), (), known


def _select(action: flows.Select, known: Known) -> Step:
    return act.set_field(layout.R_GROUP, action.group) + act.resubmit(layout.GROUP), (), known


_STEPS: Mapping[type, Callable[..., Step]] = {
    flows.Output: _output,
    flows.Goto: _goto,
    flows.SetField: _set_field,
    flows.PushVlan: _push_vlan,
    flows.PopVlan: _pop_vlan,
    flows.DecTtl: _dec_ttl,
    flows.PushNsh: _push_nsh,
    flows.PopNsh: _pop_nsh,
    flows.DecNshTtl: _dec_nsh_ttl,
    flows.ArpReply: _arp_reply,
    flows.Pin: _pin,
    flows.Copy: _copy,
    flows.Bridge: _bridge,
    flows.Select: _select,
}
SUPPORTED = frozenset({*_STEPS, flows.Police, flows.Track, flows.Connect})
"""The actions that the switch can do."""


def require(actions: Iterable[Actions]) -> None:
    """`UnsupportedError` when the switch cannot do an action or set a field."""
    for action in actions:
        if type(action) not in SUPPORTED:
            raise UnsupportedError(
                f"cannot do {type(action).__name__} with Open vSwitch", suggestion="use the engine ebpf for this device"
            )
        if isinstance(action, flows.SetField) and action.field not in matches.SUPPORTED:
            raise UnsupportedError(
                f"cannot set {action.field.name.lower()} with Open vSwitch",
                suggestion="use the engine ebpf for this device",
            )
        if isinstance(action, flows.Copy):
            require(action.actions)


# -- pins -----------------------------------------------------------------------------------------------------------------


def _pin_rules(idle_s: int) -> Iterable[Flow]:
    """What pins a flow that has no value yet: two learned rules, one for each direction."""
    for eth_type, ends in ((flows.ETH_IPV4, ("ipv4_src", "ipv4_dst")), (flows.ETH_IPV6, ("ipv6_src", "ipv6_dst"))):
        for proto in (*matches.PROTOCOLS, None):
            pairs = [ends]
            if proto is not None:
                pairs.append((matches.port_field(Field.L4_SRC, proto), matches.port_field(Field.L4_DST, proto)))
            matched = [("eth_type", eth_type, None), ("ip_frag", 0, 2), (layout.R_PINNED, 0, None)]
            matched.append((layout.R_IDLE, idle_s, None))
            if proto is not None:
                matched.append(("ip_proto", proto, None))
            code = b"".join(_learn_flow(eth_type, proto, pairs, idle_s, back=back) for back in (False, True))
            code += act.set_field(layout.R_PINNED, 1)
            priority = _PIN_PRIORITY if proto is not None else _PIN_PRIORITY - 1
            yield Flow(layout.PIN, priority, matches.body(matched), act.apply(code))


def _learn_flow(
    eth_type: int, proto: int | None, pairs: Iterable[tuple[str, str]], idle_s: int, *, back: bool
) -> bytes:
    learned = act.Learned().match_value("eth_type", eth_type)
    learned = learned.match("ip_proto") if proto is None else learned.match_value("ip_proto", proto)
    for source, target in pairs:
        learned.match(source, source=target if back else source)
        learned.match(target, source=source if back else target)
    learned.load(layout.R_PIN, source=layout.R_VALUE, bits=32).load_value(layout.R_PINNED, 1)
    return learned.action(layout.PINNED, cookie=layout.COOKIE_PINNED, priority=_PIN_PRIORITY, idle_s=idle_s)
