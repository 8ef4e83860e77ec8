"""The state of a device as rules of a bridge, and the difference between two such sets. Pure.

A part of the state (a rule, a group, a domain, a meter, the revision) becomes a handful of the bridge's rules; some of them
are shared by parts. What the bridge's rules cannot express exactly is written into a note that stays with them, which the
switch keeps and ignores: so a part is read back from the switch itself, and believed only when the switch's rules are just
those that it stands for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from functools import reduce
from math import gcd
from typing import TypeVar

import msgspec

from skerry.dataplane.flows import Actions, Change, Domain, Group, Match, Meter, Rule
from skerry.dataplane.ovs import actions as act
from skerry.dataplane.ovs import layout, matches, openflow, oxm, translate
from skerry.dataplane.ovs.layout import Flow, FlowKey
from skerry.dataplane.ovs.matches import Known
from skerry.dataplane.ovs.openflow import FlowStats
from skerry.errors import InvalidError, UnsupportedError

_NOTE_MAX = 60_000
_CHOICES_MAX = 256
_HIT, _MISS = 2, 1
_IPS = (0x0800, 0x86DD)
_GROUP_BIT = 1 << 40
_FLOOD = 0

_N = TypeVar("_N", bound=msgspec.Struct)
Part = Group | Domain | Meter
PartKey = tuple[Hashable, ...]


class Note(msgspec.Struct, frozen=True, array_like=True):
    """What the switch keeps with a rule of the contract."""

    actions: tuple[Actions, ...]
    owner: str = ""
    tenant: str = ""


class StateNote(msgspec.Struct, frozen=True, array_like=True):
    """What the switch keeps of the parts that are no rules; one of them is set."""

    revision: int = 0
    group: Group | None = None
    domain: Domain | None = None
    meter: Meter | None = None


class Plan(msgspec.Struct, frozen=True):
    """Messages of one change: meters that come first, the atomic bundle, meters that go at the end; and the learned
    addresses that go with domains."""

    bundle: tuple[bytes, ...]
    meters: tuple[Meter, ...] = ()
    gone_meters: tuple[int, ...] = ()


# -- parts as rules -------------------------------------------------------------------------------------------------------


def rule_flows(rule: Rule) -> tuple[Flow, ...]:
    """A rule's own entry, first, and those that it resubmits to. `UnsupportedError` where the switch cannot do it."""
    foreign = [term.field for term in rule.match if term.field not in matches.SUPPORTED]
    if foreign:
        names = ", ".join(field.name.lower() for field in foreign)
        raise UnsupportedError(
            f"cannot match {names} with Open vSwitch", suggestion="use the engine ebpf for this device"
        )
    translate.require(rule.actions)
    code, extra = translate.compile(rule.actions, matches.known(rule.match))
    noted = act.note(_packed(Note(rule.actions, rule.owner, rule.tenant)))
    own = Flow(
        layout.number(rule.table), rule.priority, matches.encode(rule.match), act.apply(noted + code), rule.cookie
    )
    return own, *extra


def ingress_flows() -> tuple[Flow, ...]:
    """What every bridge has: look up the pin of the frame's flow, then enter the first table."""
    enter = act.resubmit(layout.FIRST)
    look = act.apply(act.resubmit(layout.PINNED) + enter)
    found = [
        Flow(layout.INGRESS, _HIT, matches.body([("eth_type", one, None), ("ip_frag", 0, 2)]), look) for one in _IPS
    ]
    return *found, Flow(layout.INGRESS, _MISS, b"", act.apply(enter))


def group_flows(group: Group) -> tuple[Flow, ...]:
    """Flows choose a slot by hash; weights are numbers of slots. Frames without a flow take the first."""
    slots = _slots(group)
    mine: list[oxm.Condition] = [(layout.R_GROUP, group.id, None)]
    found = [_state(StateNote(group=group), _HIT, group.id)]
    choose = act.multipath(layout.R_CHOICE, len(slots)) if len(slots) > 1 else act.set_field(layout.R_CHOICE, 0)
    go = act.resubmit(layout.BUCKET)
    for one in _IPS:
        conditions: list[oxm.Condition] = [("eth_type", one, None), ("ip_frag", 0, 2), *mine]
        found.append(Flow(layout.GROUP, _HIT, matches.body(conditions), act.apply(choose + go)))
    found.append(Flow(layout.GROUP, _MISS, matches.body(mine), act.apply(act.set_field(layout.R_CHOICE, 0) + go)))
    for slot, bucket in enumerate(slots):
        translate.require(group.buckets[bucket].actions)
        code, extra = translate.compile(group.buckets[bucket].actions, Known())
        matched = matches.body([*mine, (layout.R_CHOICE, slot, None)])
        found += [Flow(layout.BUCKET, _HIT, matched, act.apply(code)), *extra]
    return tuple(found)


def _slots(group: Group) -> Sequence[int]:
    """The bucket of each slot, in proportion to the weights. `InvalidError` without any."""
    weights = [max(bucket.weight, 0) for bucket in group.buckets]
    if not any(weights):
        raise InvalidError(
            f"cannot use the group {group.id}: it has no bucket of a weight",
            suggestion="give one a weight of 1 or more",
        )
    step = max(reduce(gcd, weights), sum(weights) / _CHOICES_MAX)
    counts = [max(round(weight / step), 1) if weight else 0 for weight in weights]
    return [bucket for bucket, count in enumerate(counts) for _ in range(count)]


def domain_flows(domain: Domain) -> tuple[Flow, ...]:
    """Learn where the source is, look where the destination was learned, deliver there or everywhere."""
    mine: list[oxm.Condition] = [(layout.R_DOMAIN, domain.id, None)]
    learned = act.Learned().match("eth_dst", source="eth_src").match(layout.R_DOMAIN)
    learned.load(layout.R_CHOICE, source="nxm_in_port", bits=16)
    learn = learned.action(layout.ADDRESSES, cookie=layout.COOKIE_ADDRESS, hard_s=domain.age_s)
    start = act.set_field(layout.R_CHOICE, _FLOOD)
    look = act.resubmit(layout.ADDRESSES) + act.resubmit(layout.DELIVERY)
    group_source = matches.body([*mine, ("eth_src", _GROUP_BIT, _GROUP_BIT)])
    everywhere = b"".join(_leave(member.port, member.vlan, copy=True) for member in domain.members)
    found = [
        _state(StateNote(domain=domain), _MISS, domain.id),
        Flow(layout.DOMAIN, _HIT, group_source, act.apply(start + look)),
        Flow(layout.DOMAIN, _MISS, matches.body(mine), act.apply(learn + start + look)),
        Flow(layout.DELIVERY, _MISS, matches.body(mine), act.apply(everywhere)),
    ]
    for member in domain.members:
        matched = matches.body([*mine, (layout.R_CHOICE, member.port, None)])
        leave = act.apply(_leave(member.port, member.vlan, copy=False))
        found.append(Flow(layout.DELIVERY, _HIT, matched, leave))
    return tuple(found)


def _leave(port: int, vlan: int, *, copy: bool) -> bytes:
    code = act.output(port)
    if not vlan:
        return code
    tagged = act.push_vlan() + act.set_field("vlan_vid", vlan | 0x1000) + code
    return act.clone(tagged) if copy else tagged


def meter_flows(meter: Meter) -> tuple[Flow, ...]:
    """The exact numbers of a meter; the switch's own are in kilobits."""
    return (_state(StateNote(meter=meter), 3, meter.id),)


def revision_flow(revision: int) -> Flow:
    """Where the switch keeps the revision."""
    return _state(StateNote(revision=revision), 4, 0)


def meter_config(meter: Meter) -> openflow.MeterConfig:
    """A meter in the switch's units, at least one."""
    return openflow.MeterConfig(meter.id, max(round(meter.rate_bps / 1000), 1), max(-(-meter.burst_bits // 1000), 1))


def _state(note: StateNote, priority: int, number: int) -> Flow:
    matched = matches.body([("reg0", number, None)])
    return Flow(layout.STATE, priority, matched, act.apply(act.note(_packed(note))))


def _packed(value: msgspec.Struct) -> bytes:
    data = msgspec.json.encode(value)
    if len(data) > _NOTE_MAX:
        raise UnsupportedError(
            f"cannot keep {len(data)} bytes with a rule of Open vSwitch",
            suggestion=f"at most {_NOTE_MAX} fit: split it",
        )
    return data


# -- what a bridge has ----------------------------------------------------------------------------------------------------


class Table:
    """The rules of one bridge as the switch has them, and which parts of the state need which."""

    def __init__(self) -> None:
        self.installed: dict[FlowKey, bytes] = {}
        self.parts: dict[PartKey, tuple[Flow, ...]] = {}
        self.values: dict[PartKey, Rule | Part] = {}
        self.foreign: set[FlowKey] = set()  # put by somebody else, and nothing that the contract could name
        self._needs: Counter[FlowKey] = Counter()

    def put(self, key: PartKey, flows: tuple[Flow, ...], value: Rule | Part | None = None) -> None:
        """Note that a part needs these rules, instead of those it had."""
        self.drop(key)
        self.parts[key] = flows
        if value is not None:
            self.values[key] = value
        for flow in flows:
            self._needs[flow[:3]] += 1

    def drop(self, key: PartKey) -> Iterable[FlowKey]:
        """Note that a part is gone; the keys of the rules that it had."""
        self.values.pop(key, None)
        keys = [flow.key for flow in self.parts.pop(key, ())]
        for one in keys:
            self._needs[one] -= 1
            if not self._needs[one]:
                del self._needs[one]
        return keys

    def needed(self, key: FlowKey) -> bool:
        """Whether any part needs a rule."""
        return key in self._needs

    def copy(self) -> Table:
        """A table to try a change on."""
        other = Table()
        other.installed, other.parts, other.values = dict(self.installed), dict(self.parts), dict(self.values)
        other._needs, other.foreign = Counter(self._needs), set(self.foreign)
        return other

    def intact(self, key: PartKey) -> bool:
        """Whether the switch has all rules of a part, as they should be."""
        return all(self.installed.get(flow.key) == flow.instructions for flow in self.parts[key])


def _part_flows(value: Part) -> tuple[Flow, ...]:
    if isinstance(value, Group):
        return group_flows(value)
    return domain_flows(value) if isinstance(value, Domain) else meter_flows(value)


def plan(table: Table, change: Change) -> Plan:
    """Do a change to the table, and say which messages do it to the switch."""
    before: set[FlowKey] = set()
    after: list[Flow] = []
    for key in _dropped(change):
        before.update(table.drop(key))
    for rule in change.put_rules:
        before.update(table.drop(rule.key))
        made = rule_flows(rule)
        table.put(rule.key, made, rule)
        after += made
    for kind, puts in (("group", change.put_groups), ("domain", change.put_domains), ("meter", change.put_meters)):
        for one in puts:
            before.update(table.drop((kind, one.id)))
            made = _part_flows(one)
            table.put((kind, one.id), made, one)
            after += made
    marked = revision_flow(change.revision)
    table.put(("revision",), (marked,))
    before.update(_by_match(change.drop_rules), table.foreign)
    bundle = [*_added(table, [*after, marked]), *_removed(table, before)]
    bundle += [_forget(domain) for domain in change.drop_domains]
    return Plan(tuple(bundle), change.put_meters, change.drop_meters)


def _dropped(change: Change) -> Iterable[PartKey]:
    yield from (rule.key for rule in change.drop_rules)
    kinds = (("group", change.drop_groups), ("domain", change.drop_domains), ("meter", change.drop_meters))
    yield from ((kind, one) for kind, ids in kinds for one in ids)


def _by_match(rules: Iterable[Rule]) -> Iterable[FlowKey]:
    """Rules that somebody else put into the switch are dropped by their match."""
    for rule in rules:
        if all(term.field in matches.SUPPORTED for term in rule.match):
            yield (layout.number(rule.table), rule.priority, matches.encode(rule.match))


def _added(table: Table, flows: Iterable[Flow]) -> Iterable[bytes]:
    """Rules of the contract are always sent, which mends what somebody changed; what serves them only when it is new."""
    for flow in flows:
        key = flow[:3]
        if layout.FIRST <= flow.table < layout.DOMAIN or table.installed.get(key) != flow.instructions:
            table.installed[key] = flow.instructions
            yield openflow.flow_add(flow.table, flow.priority, flow.cookie, oxm.framed(flow.match), flow.instructions)


def _removed(table: Table, keys: Iterable[FlowKey]) -> Iterable[bytes]:
    for key in keys:
        if key in table.installed and not table.needed(key):
            del table.installed[key]
            yield openflow.flow_delete(key[0], key[1], oxm.framed(key[2]))


def _forget(domain: int) -> bytes:
    return openflow.flow_delete_within(layout.ADDRESSES, oxm.match([(layout.R_DOMAIN, domain, None)]))


# -- reading back ---------------------------------------------------------------------------------------------------------

_LEARNED = frozenset({layout.PINNED, layout.ADDRESSES})


class Found(msgspec.Struct, frozen=True):
    """A rule as the switch has it, with its counters."""

    rule: Rule
    packets: int
    bytes: int


def read(stats: Iterable[FlowStats], known: Table) -> tuple[Table, int, list[Found]]:
    """The table of a bridge from its rules: parts, revision and counted rules. `known` saves reading what is unchanged.

    A rule that does not do what its note says, or that has none, comes back without actions: so whoever compares sees that
    it has to be put again, or dropped.
    """
    own = [one for one in stats if one.table not in _LEARNED]
    table, revision = Table(), 0
    table.installed = {(one.table, one.priority, one.match): one.instructions for one in own}
    counted: list[tuple[Rule, FlowStats]] = []
    table.put(("ingress",), ingress_flows())
    for one in own:
        if layout.is_rule(one):
            rule = _rule(one, known, table)
            if rule is not None:
                counted.append((rule, one))
        elif one.table == layout.STATE:
            revision = _state_part(one, known, table) or revision
    found = [Found(_believed(rule, table), one.packets, one.octets) for rule, one in counted]
    return table, revision, found


def parts(table: Table, kind: type[Group] | type[Domain] | type[Meter]) -> list[Part]:
    """The parts of a kind of which the switch has all that they need."""
    return [value for key, value in table.values.items() if isinstance(value, kind) and table.intact(key)]


def _believed(rule: Rule, table: Table) -> Rule:
    if rule.key in table.parts and table.intact(rule.key):
        return rule
    return Rule(table=rule.table, priority=rule.priority, match=rule.match, actions=(), cookie=rule.cookie)


def _rule(one: FlowStats, known: Table, table: Table) -> Rule | None:
    key: FlowKey = (one.table, one.priority, one.match)
    match = matches.decode(one.conditions())
    if match is None:
        table.foreign.add(key)
        return None
    identity = (one.table - layout.FIRST, one.priority, match)
    mine = known.values.get(identity)
    if (
        isinstance(mine, Rule)
        and mine.cookie == one.cookie
        and known.parts[identity][0].instructions == one.instructions
    ):
        table.put(identity, known.parts[identity], mine)
        return mine
    note = _noted(one.instructions, Note)
    rule = _from(identity, one.cookie, note)
    if note is not None:
        flows = _retranslated(rule)
        if flows and flows[0].key == key:
            table.put(identity, flows, rule)
    return rule


def _from(identity: tuple[int, int, Match], cookie: int, note: Note | None) -> Rule:
    table, priority, match = identity
    note = note or Note(())
    return Rule(
        table=table,
        priority=priority,
        match=match,
        actions=note.actions,
        cookie=cookie,
        owner=note.owner,
        tenant=note.tenant,
    )


def _retranslated(rule: Rule) -> tuple[Flow, ...]:
    try:
        return rule_flows(rule)
    except (InvalidError, UnsupportedError):
        return ()


def _state_part(one: FlowStats, known: Table, table: Table) -> int:
    """Take up a group, domain or meter; the revision when it is that."""
    note = _noted(one.instructions, StateNote)
    if note is None:
        return 0
    for kind, value in (("group", note.group), ("domain", note.domain), ("meter", note.meter)):
        if value is not None:
            key = (kind, value.id)
            same = known.values.get(key) == value
            flows = known.parts[key] if same else _part_flows(value)
            table.put(key, flows, value)
            return 0
    table.put(("revision",), (revision_flow(note.revision),))
    return note.revision


def _noted(instructions: bytes, kind: type[_N]) -> _N | None:
    """The note at the start of an action list; None where there is none that can be read."""
    if instructions[8:10] != b"\xff\xff" or instructions[12:18] != act.NOTE_MARK:
        return None
    size = int.from_bytes(instructions[10:12], "big")
    try:
        return msgspec.json.decode(instructions[18 : 8 + size].rstrip(b"\0"), type=kind)
    except msgspec.DecodeError:
        return None
