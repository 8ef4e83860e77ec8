"""A few intents more or less among thousands: only their rules are compiled, proven and told apart from those that stay.

What comes out is what compiling and proving everything would give, rules in another order apart. Where that is not certain,
nothing comes out, and everything is compiled and proven: `Increment` knows intents that only say where frames of a port go
(`local`), in networks without zones and pinned flows, at ports where frames come in from outside as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from skerry.dataplane.compile import Compiler, Network
from skerry.dataplane.flows import Change, Field, Rule
from skerry.dataplane.intents import (
    Count,
    Drop,
    Forward,
    Intents,
    NextHop,
    Pass,
    Rewrite,
    Side,
    Steering,
    Topology,
    Zone,
)
from skerry.dataplane.proof import Tables
from skerry.dataplane.refusals import Look
from skerry.dataplane.sheets import Candidate, Levels, Sheet
from skerry.dataplane.verify import right, seen

_MOST_OWNERS = 500
_LOCAL = (Pass, Drop, Count, Forward, Rewrite)
Key = tuple[Any, ...]


class Step(NamedTuple):
    """The network after a change, and what each device has to do for it."""

    network: Network
    plan: Sequence[Change]


def local(intent: Intents) -> bool:
    """Whether an intent does nothing but to lead frames that enter at ports somewhere."""
    if isinstance(intent, NextHop):
        return _plain(intent)
    return (
        isinstance(intent, Steering)
        and not intent.sticky_s
        and _plain(intent)
        and all(isinstance(action, _LOCAL) for action in intent.actions)
    )


def _offered(topology: Topology, intents: Sequence[Intents]) -> Mapping[str, Sequence[Candidate]] | None:
    return Compiler(topology, sorted(intents, key=lambda one: one.id), ()).offered()


def _plain(intent: Steering | NextHop) -> bool:
    return not intent.classifier.hosts and not intent.classifier.connection


class Increment:
    """A network that was compiled and proven, ready for such changes. After one that did not come out it is of no use."""

    def __init__(self, network: Network, sheets: Mapping[str, Sheet], tables: Mapping[str, Tables]) -> None:
        self.network, self._tables = network, tables
        self._levels: Mapping[str, Levels] = {name: sheet.levels for name, sheet in sheets.items()}
        self._rules: dict[str, dict[Key, Rule]] = {
            name: {rule.key: rule for rule in state.rules} for name, state in network.states.items()
        }
        ports = network.topology.ports
        back = {stop.leave for way in network.ways.values() for hop in (*way.stops, *way.back) for stop in hop}
        self._outside = {(port.device, port.number) for port in ports if port.side not in (Side.LVNF, Side.LINK)} - back

    @staticmethod
    def possible(network: Network, intents: Iterable[Intents]) -> bool:
        """Whether changes can be told apart in such a network."""
        late = (isinstance(one, Zone) or (isinstance(one, Steering) and one.sticky_s > 0) for one in intents)
        return not network.unreachable and not any(late)

    def tables(self, device: str) -> Tables:
        """What the device's rules are looked up in."""
        return self._tables[device]

    def step(self, gone: Sequence[Intents], new: Sequence[Intents]) -> Step | None:
        """Take intents out and put others in; None where that is not certain to be right."""
        topology = self.network.topology
        look = Look(topology, new)
        if not all(local(one) for one in (*gone, *new)) or any(any(look.at(one)) for one in new):
            return None
        # What goes may have laid paths as well, which others go on to need or not.
        offered, former = (_offered(topology, some) for some in (new, gone))
        if offered is None or former is None:
            return None
        names = [intent.id for intent in gone]
        rules: dict[str, tuple[list[Rule], list[Rule]]] = {}
        for device, levels in self._levels.items():
            mine = offered.get(device, ())
            if mine or any(levels.of(name) for name in names):
                moved = levels.change(names, mine)
                if moved is None:
                    return None
                rules[device] = moved
        return self._put(rules)

    def _put(self, moved: Mapping[str, tuple[list[Rule], list[Rule]]]) -> Step | None:
        states = dict(self.network.states)
        plan: list[Change] = []
        touched: dict[str, list[Rule]] = {}
        for device, (before, after) in sorted(moved.items()):
            going, coming = self._swapped(device, before, after)
            known = self._rules[device]
            states[device] = msgspec.structs.replace(states[device], rules=tuple(known.values()))
            self._tables[device].state = states[device]
            touched[device] = [*going.values(), *coming.values()]
            drop = tuple(rule for key, rule in going.items() if key not in coming)
            if going or coming:
                plan.append(Change(device=device, revision=0, put_rules=tuple(coming.values()), drop_rules=drop))
        self.network = msgspec.structs.replace(self.network, states=states)
        return Step(self.network, plan) if self._proven(touched) else None

    def _swapped(
        self, device: str, before: Sequence[Rule], after: Sequence[Rule]
    ) -> tuple[dict[Key, Rule], dict[Key, Rule]]:
        """Put rules in the place of others; those that really go and come."""
        known, tables = self._rules[device], self._tables[device]
        going = {rule.key: known[rule.key] for rule in before}
        coming = {rule.key: rule for rule in after}
        for key in [key for key, rule in coming.items() if going.get(key) == rule]:
            del going[key], coming[key]
        for key, rule in going.items():
            del known[key]
            tables.remove(rule)
        for key, rule in coming.items():
            known[key] = rule
            tables.add(rule)
        return going, coming

    def _proven(self, touched: Mapping[str, Sequence[Rule]]) -> bool:
        """Whether frames that rules which went or came are about go right, and every rule that overlaps them has some."""
        entries = {(device, _port(rule), rule.match) for device, rules in touched.items() for rule in rules}
        if any((device, port) not in self._outside for device, port, _ in entries):
            return False
        for device, rules in touched.items():
            tables = self._tables[device]
            owners = {rule.owner for rule in rules if rule.key in self._rules[device]}
            for rule in rules:
                owners.update(other.owner for _, other in tables.index[rule.table].find(rule.match))
            if len(owners) > _MOST_OWNERS or not all(
                seen(tables, self._owned(device, owner)) for owner in owners if owner
            ):
                return False
        return right(self.network, self._tables, [((device, port), match) for device, port, match in entries])

    def _owned(self, device: str, owner: str) -> list[Rule]:
        keys = dict.fromkeys(placed.rule().key for placed in self._levels[device].of(owner))
        return [self._rules[device][key] for key in keys]


def _port(rule: Rule) -> int:
    """Where the frames of a rule come in, 0 for anywhere."""
    return next((term.value for term in rule.match if term.field is Field.IN_PORT), 0)
