"""States of devices: whether one keeps the rules of `skerry.dataplane.flows`, the difference of two, and one after a change."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import ip_network
from typing import Any, TypeVar

import msgspec

from skerry.dataplane.flows import (
    EXACT_ONLY,
    MAX_PORT,
    TABLES,
    WRITABLE,
    Actions,
    Bridge,
    Change,
    Connect,
    Copy,
    DeviceState,
    Field,
    Goto,
    GtpLearn,
    Match,
    Output,
    Pin,
    Police,
    PushVlan,
    Rule,
    Select,
    SetField,
    Track,
    full,
)
from skerry.errors import Fault, InvalidError

T = TypeVar("T", bound=msgspec.Struct)
_LAST = (Goto, Bridge, Select)
_NOT_IN_COPY = (Copy, Goto, Bridge, Select, Pin, GtpLearn, Track, Connect)
_NOT_IN_BUCKET = (Copy, Goto, Bridge, Select, Track, Connect)
_MOST_TARGETS = 16


def changed(state: DeviceState, change: Change) -> DeviceState:
    """The state after a change. The order of what stays is kept."""
    return msgspec.structs.replace(
        state,
        rules=_merged(state.rules, change.put_rules, frozenset(rule.key for rule in change.drop_rules), _key),
        groups=_merged(state.groups, change.put_groups, frozenset(change.drop_groups), _id),
        meters=_merged(state.meters, change.put_meters, frozenset(change.drop_meters), _id),
        domains=_merged(state.domains, change.put_domains, frozenset(change.drop_domains), _id),
        sessions=_merged(state.sessions, change.put_sessions, frozenset(change.drop_sessions), _ue),
        names=_merged(state.names, change.put_names, frozenset(change.drop_names), _id),
    )


def difference(old: DeviceState, new: DeviceState, revision: int = 0) -> Change:
    """What makes `new` of `old`. What only differs in `owner` or `tenant` counts as changed."""
    put_rules, drop_rules = _compare(old.rules, new.rules, _key)
    put_groups, drop_groups = _compare(old.groups, new.groups, _id)
    put_meters, drop_meters = _compare(old.meters, new.meters, _id)
    put_domains, drop_domains = _compare(old.domains, new.domains, _id)
    put_sessions, drop_sessions = _compare(old.sessions, new.sessions, _ue)
    put_names, drop_names = _compare(old.names, new.names, _id)
    return Change(
        device=new.device,
        revision=revision,
        put_rules=put_rules,
        drop_rules=drop_rules,
        put_groups=put_groups,
        drop_groups=tuple(group.id for group in drop_groups),
        put_meters=put_meters,
        drop_meters=tuple(meter.id for meter in drop_meters),
        put_domains=put_domains,
        drop_domains=tuple(domain.id for domain in drop_domains),
        put_sessions=put_sessions,
        drop_sessions=tuple(session.ue for session in drop_sessions),
        put_names=put_names,
        drop_names=tuple(name.id for name in drop_names),
    )


def _key(rule: Any) -> Any:
    return rule.key


def _id(thing: Any) -> Any:
    return thing.id


def _ue(session: Any) -> Any:
    return session.ue


def _merged(old: Sequence[T], put: Sequence[T], drop: frozenset[Any], key: Any) -> tuple[T, ...]:
    found = {key(thing): thing for thing in old if key(thing) not in drop}
    found.update((key(thing), thing) for thing in put)
    return tuple(found.values())


def _compare(old: Sequence[T], new: Sequence[T], key: Any) -> tuple[tuple[T, ...], tuple[T, ...]]:
    before = {key(thing): thing for thing in old}
    after = {key(thing): thing for thing in new}
    put = tuple(thing for name, thing in after.items() if before.get(name) != thing)
    return put, tuple(thing for name, thing in before.items() if name not in after)


def check(state: DeviceState) -> None:
    """`InvalidError` that names everything of a state that an engine must refuse."""
    faults = [*_rule_faults(state.rules), *_reference_faults(state)]
    if faults:
        raise InvalidError(
            f"cannot put this state on {state.device}", faults=faults[:100], suggestion="mend what is named"
        )


def check_change(change: Change) -> None:
    """`InvalidError` for rules of a change that no state may have."""
    faults = _rule_faults(change.put_rules)
    if faults:
        raise InvalidError(f"cannot change {change.device} so", faults=faults[:100], suggestion="mend what is named")


def _rule_faults(rules: Iterable[Rule]) -> list[Fault]:
    return [
        Fault(message=why, code="rule", path=f"{rule.table}/{rule.priority}/{rule.cookie:016x}")
        for rule in rules
        for why in _of_rule(rule)
    ]


def _of_rule(rule: Rule) -> Iterable[str]:
    if not 0 <= rule.table < TABLES or not 0 <= rule.priority < 65536 or not 0 < rule.cookie < 1 << 64:
        yield "its table, priority or cookie is out of range"
    yield from _of_match(rule.match)
    yield from _of_actions(rule.actions, rule.table, ())


def _of_match(match: Match) -> Iterable[str]:
    before = -1
    for field, value, mask in match:
        if field <= before:
            yield "its conditions are not in order"
        before = field
        if value & ~mask or not mask or mask & ~full(field) or (field in EXACT_ONLY and mask != full(field)):
            yield f"its condition on {Field(field).name} is none"


def _of_actions(actions: Sequence[Actions], table: int, forbidden: tuple[type, ...]) -> Iterable[str]:
    for place, action in enumerate(actions):
        if isinstance(action, forbidden):
            yield f"{type(action).__name__} may not be here"
        elif isinstance(action, _LAST) and place != len(actions) - 1:
            yield f"{type(action).__name__} must be last"
        yield from _of_action(action, table)


def _of_action(action: Actions, table: int) -> Iterable[str]:
    match action:
        case Goto() if not table < action.table < TABLES:
            yield f"it goes from table {table} to {action.table}"
        case Output() if not 0 < action.port <= MAX_PORT:
            yield f"there can be no port {action.port}"
        case SetField() if action.field not in WRITABLE or not 0 <= action.value <= full(action.field):
            yield f"it cannot write {action.value} to {Field(action.field).name}"
        case PushVlan() if not 0 < action.vid < 4095:
            yield f"there is no VLAN {action.vid}"
        case Track() if not 0 < action.zone < 1 << 16:
            yield f"there is no zone {action.zone}"
        case Connect():
            yield from _of_connect(action)
        case Pin() if not 0 < action.value < 1 << 32:
            yield "a pin is a number from 1"
        case Copy():
            yield from _of_actions(action.actions, table, _NOT_IN_COPY)
        case _:
            pass


def _of_connect(action: Connect) -> Iterable[str]:
    if not 0 < action.zone < 1 << 16:
        yield f"there is no zone {action.zone}"
    if action.source and action.targets:
        yield "a connection is translated at one end only"
    if action.source and not 0 < action.low <= action.high < 1 << 16:
        yield f"the ports {action.low}-{action.high} are none"
    if len(action.targets) > _MOST_TARGETS:
        yield f"a connection goes to one of {_MOST_TARGETS} targets at most"
    for address in (action.source, *(target.address for target in action.targets)):
        try:
            ip_network(address or "::")
        except ValueError as why:
            yield str(why)


def _reference_faults(state: DeviceState) -> list[Fault]:
    """What actions name that is not there."""
    known: dict[type, tuple[str, frozenset[int]]] = {
        Output: ("port", frozenset(port.number for port in state.ports)),
        Select: ("group", frozenset(group.id for group in state.groups)),
        Police: ("meter", frozenset(meter.id for meter in state.meters)),
        Bridge: ("domain", frozenset(domain.id for domain in state.domains)),
    }
    faults: set[str] = set()
    buckets = (bucket.actions for group in state.groups for bucket in group.buckets)
    for actions in (*(rule.actions for rule in state.rules), *buckets):
        _missing(actions, known, faults)
    for domain in state.domains:
        faults |= {f"there is no port {one.port}" for one in domain.members if one.port not in known[Output][1]}
    for group in state.groups:
        if not group.buckets or any(isinstance(a, _NOT_IN_BUCKET) for b in group.buckets for a in b.actions):
            faults.add(f"group {group.id} has no or impossible buckets")
    return [Fault(message=message, code="reference", path=state.device) for message in sorted(faults)]


def _missing(actions: Sequence[Actions], known: dict[type, tuple[str, frozenset[int]]], faults: set[str]) -> None:
    for action in actions:
        if isinstance(action, Copy):
            _missing(action.actions, known, faults)
        elif type(action) in known:
            word, numbers = known[type(action)]
            number = action.port if isinstance(action, Output) else getattr(action, word)
            if number not in numbers:
                faults.add(f"there is no {word} {number}")
