"""In which order changes of several devices take effect, so that no frame loops, is lost or strays on the way. Pure.

Make before break. First, everywhere, what is new and gets no frames yet: paths, groups, meters. Then paths that change and
returns from functions, from the ends of chains backwards: what was changed leads over changed rules only, all else along the
old way until it meets one, so nothing goes in circles. Then what leads frames onto paths. What is old goes last. A change of
one device alone is one step, which is atomic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from skerry.dataplane.chains import REVERSE, START
from skerry.dataplane.compile import Network
from skerry.dataplane.flows import Change, DeviceState, Field, Output, Rule
from skerry.dataplane.sheets import ARRIVE, BRIDGE, PATH
from skerry.dataplane.state import difference

_FOLLOWING = frozenset({ARRIVE, PATH, BRIDGE})
"""Tables whose rules only get frames that other rules have led there."""

HOP = 1000
"""More than a path has links: a hop of a chain counts so much."""

States = Mapping[str, DeviceState]


def changes(before: States, after: Network, revision: int) -> list[Change]:
    """What to apply, one after the other. Devices that are no longer there are left to teardown."""
    whole = []
    for device, state in sorted(after.states.items()):
        change = difference(before.get(device, DeviceState(device=device)), state, revision)
        if not change.empty:
            whole.append(change)
    if len(whole) <= 1:
        return whole
    ranks = Ranks(after)
    parts = [_Parts(change, before.get(change.device), ranks) for change in whole]
    steps = [part.made() for part in parts]
    steps += [part.moved(rank) for rank in sorted({rank for part in parts for rank in part.ranks}) for part in parts]
    steps += [part.led() for part in parts]
    steps += [part.broken() for part in parts]
    return [step for step in steps if not step.empty]


class _Parts:
    """One device's change in parts."""

    def __init__(self, change: Change, old: DeviceState | None, ranks: Ranks) -> None:
        self._change = change
        known = {rule.key for rule in old.rules} if old else set()
        groups = {group.id for group in old.groups} if old else set()
        following = [rule for rule in change.put_rules if rule.table in _FOLLOWING]
        self._new = tuple(rule for rule in following if rule.table != ARRIVE and rule.key not in known)
        moving = [rule for rule in following if rule.table == ARRIVE or rule.key in known]
        self._moving = [(ranks.of(change.device, rule), rule) for rule in moving]
        going = [(ranks.of(change.device, rule), rule) for rule in change.drop_rules if rule.table == ARRIVE]
        self._going = [(rank, rule) for rank, rule in going if rank]
        self._leading = tuple(rule for rule in change.put_rules if rule.table not in _FOLLOWING)
        self._new_groups = tuple(group for group in change.put_groups if group.id not in groups)
        self._same_groups = tuple(group for group in change.put_groups if group.id in groups)
        self.ranks = {rank for rank, _ in (*self._moving, *self._going)}

    def _part(self, **parts: Sequence[object]) -> Change:
        given = {name: tuple(value) for name, value in parts.items()}
        return msgspec.structs.replace(Change(device=self._change.device, revision=self._change.revision), **given)

    def made(self) -> Change:
        """What is new."""
        whole = self._change
        return self._part(
            put_rules=self._new,
            put_groups=self._new_groups,
            put_meters=whole.put_meters,
            put_domains=whole.put_domains,
            put_sessions=whole.put_sessions,
            put_names=whole.put_names,
        )

    def moved(self, rank: int) -> Change:
        """Paths that change so far from their end."""
        return self._part(
            put_rules=[rule for one, rule in self._moving if one == rank],
            drop_rules=[rule for one, rule in self._going if one == rank],
        )

    def led(self) -> Change:
        """What leads frames onto paths, and off those that go."""
        leading = [rule for rule in self._change.drop_rules if rule.table not in _FOLLOWING]
        return self._part(put_rules=self._leading, put_groups=self._same_groups, drop_rules=leading)

    def broken(self) -> Change:
        """What is old."""
        whole = self._change
        gone = {rule.key for _, rule in self._going}
        return self._part(
            drop_rules=[rule for rule in whole.drop_rules if rule.table in _FOLLOWING and rule.key not in gone],
            drop_groups=whole.drop_groups,
            drop_meters=whole.drop_meters,
            drop_domains=whole.drop_domains,
            drop_sessions=whole.drop_sessions,
            drop_names=whole.drop_names,
        )


class Ranks:
    """How far a rule is from the end of its chain: what comes later in the chain has a lower rank. 0: in no chain."""

    def __init__(self, network: Network) -> None:
        self._distances = Distances(network)
        self._returns: dict[tuple[str, int], int] = {}
        self._paths: dict[int, int] = {}
        for layout in network.ways.values():
            for spi, hops in ((layout.spi, layout.stops), (layout.spi | REVERSE, layout.back)):
                self._paths[spi] = len(hops)
                for place, stop in ((place, stop) for place, hop in enumerate(hops) for stop in hop):
                    rank = (len(hops) - place - 1) * HOP + HOP - 1
                    self._returns[stop.leave] = max(rank, self._returns.get(stop.leave, 0))

    def of(self, device: str, rule: Rule) -> int:
        """The rank of a rule."""
        values = {term.field: term.value for term in rule.match}
        if rule.table == ARRIVE:
            return self._returns.get((device, values.get(Field.IN_PORT, 0)), 0)
        left = self._paths.get(values.get(Field.NSH_SPI, 0), 0) - (START - values.get(Field.NSH_SI, START))
        return left * HOP + self._distances.of(device, rule)


class Distances:
    """How many links are between a rule of a path and the path's end."""

    def __init__(self, network: Network) -> None:
        ports = {port.id: port for port in network.topology.ports}
        self._beyond: dict[tuple[str, int], str] = {}
        for link in network.topology.links:
            a, b = ports[link.a], ports[link.b]
            self._beyond[(a.device, a.number)] = b.device
            self._beyond[(b.device, b.number)] = a.device
        self._rules = {
            (device, rule.match): rule
            for device, state in network.states.items()
            for rule in state.rules
            if rule.table == PATH
        }

    def of(self, device: str, rule: Rule) -> int:
        """The distance of a rule."""
        here, count, seen = device, 0, {device}
        current: Rule | None = rule
        while current is not None:
            out = next((action.port for action in current.actions if isinstance(action, Output)), 0)
            beyond = self._beyond.get((here, out))
            if beyond is None or beyond in seen:
                return count
            here, count = beyond, count + 1
            seen.add(here)
            current = self._rules.get((here, rule.match))
        return count
