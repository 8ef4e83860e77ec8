"""What the compiler writes on: the rules of each device as they come, then with priorities, cookies and hairpins. Pure."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from skerry.dataplane.flows import (
    Actions,
    DeviceState,
    Domain,
    Field,
    Goto,
    Group,
    Match,
    Meter,
    Output,
    PortKind,
    PortState,
    Rule,
    Session,
    mac,
)
from skerry.dataplane.intents import Port, Topology
from skerry.dataplane.overlap import Overlaps
from skerry.errors import Fault

ARRIVE, PINNED, CLASSIFY, PATH, FORWARD, BRIDGE = range(6)
"""The tables: where frames come from; flows that stay; steering; NSH paths; wires, routes and links; broadcast domains."""


class Candidate(msgspec.Struct, frozen=True):
    """A rule whose priority depends on what it overlaps: among equal `base`, the smaller `name` wins. `width` levels are free
    above the base."""

    table: int
    base: int
    width: int
    name: str
    match: Match
    actions: tuple[Actions, ...]
    owner: str
    tenant: str


class Placed:
    """A candidate with its level."""

    __slots__ = ("candidate", "level")

    def __init__(self, candidate: Candidate, level: int) -> None:
        self.candidate, self.level = candidate, level

    def rule(self) -> Rule:
        """The rule that it became."""
        one = self.candidate
        return rule_of(one.table, one.base + self.level, one.match, one.actions, one.owner, one.tenant)


class Levels:
    """The candidates of a device: each is one level above all of the same base that it overlaps and wins over."""

    def __init__(self) -> None:
        self._same: dict[tuple[int, int], Overlaps[Placed]] = {}
        self._of: dict[str, list[Placed]] = {}

    def place(self, one: Candidate) -> int | None:
        """The level of a candidate, which wins over all that are there; None where there are not so many."""
        same = self._same.setdefault((one.table, one.base), Overlaps())
        level = self._level(same, one)
        if level >= one.width:
            return None
        placed = Placed(one, level)
        same.add(one.match, placed)
        self._of.setdefault(one.name, []).append(placed)
        return level

    @staticmethod
    def _level(same: Overlaps[Placed], one: Candidate) -> int:
        found = (other for _, other in same.find(one.match) if other.candidate.name > one.name)
        return max((other.level + 1 for other in found), default=0)

    def of(self, name: str) -> Sequence[Placed]:
        """The candidates of a name."""
        return self._of.get(name, ())

    def change(self, gone: Iterable[str], new: Iterable[Candidate]) -> tuple[list[Rule], list[Rule]] | None:
        """Take names out and put candidates in; the rules that go, and those that come. None where there are not so many
        levels: then this is of no use any more."""
        went = [placed for name in gone for placed in self._of.pop(name, ())]
        before = {id(placed): placed.rule() for placed in went}
        names: set[str] = set()
        for placed in went:
            same = self._same[(placed.candidate.table, placed.candidate.base)]
            same.remove(placed.candidate.match, placed)
            names |= self._below(same, placed.candidate)
        came: dict[str, list[Candidate]] = {}
        for one in new:
            came.setdefault(one.name, []).append(one)
        changed: dict[int, Placed] = {}
        waiting = [_Descending(name) for name in names | came.keys()]
        heapq.heapify(waiting)
        done: set[str] = set()
        while waiting:
            name = heapq.heappop(waiting).name
            if name in done:
                continue
            done.add(name)
            moved = self._moved(name, came.pop(name, ()), before, changed)
            if moved is None:
                return None
            for below in moved - done:
                heapq.heappush(waiting, _Descending(below))
        return list(before.values()), [placed.rule() for placed in changed.values()]

    def _moved(
        self, name: str, new: Iterable[Candidate], before: dict[int, Rule], changed: dict[int, Placed]
    ) -> set[str] | None:
        """Give the candidates of a name their levels; the names of those that have to look at theirs again."""
        found: set[str] = set()
        for placed in self.of(name):
            one = placed.candidate
            same = self._same[(one.table, one.base)]
            level = self._level(same, one)
            if level >= one.width:
                return None
            if level != placed.level:
                before[id(placed)] = placed.rule()
                changed[id(placed)] = placed
                placed.level = level
                found |= self._below(same, one)
        for one in new:
            if self.place(one) is None:
                return None
            placed = self._of[name][-1]
            changed[id(placed)] = placed
            found |= self._below(self._same[(one.table, one.base)], one)
        return found

    @staticmethod
    def _below(same: Overlaps[Placed], one: Candidate) -> set[str]:
        return {other.candidate.name for _, other in same.find(one.match) if other.candidate.name < one.name}


class _Descending:
    """A name in a heap whose greatest comes first."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __lt__(self, other: _Descending) -> bool:
        return self.name > other.name


class Sheet:
    """One device's."""

    def __init__(self, device: str, faults: list[Fault]) -> None:
        self.device = device
        self.groups: dict[int, Group] = {}
        self.meters: dict[int, Meter] = {}
        self.domains: dict[int, Domain] = {}
        self.sessions: dict[str, Session] = {}
        self._faults = faults
        self._rules: dict[tuple[int, int, Match], Rule] = {}
        self.candidates: list[Candidate] = []
        self.levels = Levels()

    def add(
        self, table: int, priority: int, match: Match, actions: Sequence[Actions], owner: str = "", tenant: str = ""
    ) -> None:
        """A rule. The same one twice is one; another one of the same priority and match is a fault."""
        rule = rule_of(table, priority, match, actions, owner, tenant)
        known = self._rules.setdefault(rule.key, rule)
        if known.actions != rule.actions:
            both = " and ".join(sorted({known.owner, owner}))
            self._faults.append(
                Fault(
                    message=f"{both} say different things about the same frames on {self.device}",
                    code="conflict",
                    path=owner,
                    fix="remove one of them, or make their classifiers or priorities differ",
                )
            )

    @property
    def offers_only(self) -> bool:
        """Whether nothing is on it but what was offered."""
        return not (self._rules or self.groups or self.meters or self.domains or self.sessions)

    def offer(self, candidate: Candidate) -> None:
        """A rule whose priority is decided at the end."""
        self.candidates.append(candidate)

    def finish(self, ports: Iterable[Port]) -> DeviceState:
        """The state of the device."""
        self._level()
        return DeviceState(
            device=self.device,
            ports=tuple(port_state(port) for port in sorted(ports, key=lambda port: port.number)),
            rules=tuple(self._rules.values()),
            groups=tuple(self.groups[id] for id in sorted(self.groups)),
            meters=tuple(self.meters[id] for id in sorted(self.meters)),
            domains=tuple(self.domains[id] for id in sorted(self.domains)),
            sessions=tuple(self.sessions[ue] for ue in sorted(self.sessions)),
        )

    def _level(self) -> None:
        for one in sorted(self.candidates, key=lambda one: one.name, reverse=True):
            level = self.levels.place(one)
            if level is None:
                self._faults.append(
                    Fault(
                        message=f"more than {one.width} intents of the priority of {one.owner} overlap on {self.device}",
                        code="priority",
                        path=one.owner,
                        fix="give some of them other priorities",
                    )
                )
                continue
            self.add(one.table, one.base + level, one.match, one.actions, one.owner, one.tenant)


def rule_of(
    table: int, priority: int, match: Match, actions: Sequence[Actions], owner: str = "", tenant: str = ""
) -> Rule:
    """A rule as the compiler writes it."""
    return Rule(
        table=table,
        priority=priority,
        match=match,
        actions=hairpinned(match, actions) if table in (ARRIVE, PINNED, CLASSIFY) else tuple(actions),
        cookie=cookie(owner, table, priority, match),
        owner=owner,
        tenant=tenant,
    )


def hairpinned(match: Match, actions: Sequence[Actions]) -> tuple[Actions, ...]:
    """Outputs to the very port that a rule is about are meant."""
    own = next((term.value for term in match if term.field is Field.IN_PORT), 0)
    return tuple(
        Output(port=action.port, hairpin=True) if isinstance(action, Output) and action.port == own else action
        for action in actions
    )


def cookie(owner: str, table: int, priority: int, match: Match) -> int:
    """64 bits that tell a rule from every other of its device."""
    text = f"{owner}\0{table}\0{priority}\0" + "\0".join(f"{f:d}:{v:x}:{m:x}" for f, v, m in match)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") or 1


def digest(text: str, size: int = 4) -> int:
    """A number that stands for a text."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=size).digest(), "big")


def allot(names: Iterable[str], low: int, high: int, taken: Mapping[str, int] | None = None) -> dict[str, int]:
    """A number for every name, the same each time, whatever other names there are unless two meet."""
    found: dict[str, int] = dict(taken or {})
    used = set(found.values())
    for name in sorted(names):
        number = low + digest(name, 8) % (high - low + 1)
        while number in used:
            number = low + (number - low + 1) % (high - low + 1)
        if name not in found:
            found[name] = number
            used.add(number)
    return found


def derived_mac(text: str) -> int:
    """A locally administered unicast address that stands for a text."""
    return 0x02 << 40 | digest(text, 5)


def gateway_mac(port: Port) -> int:
    """What whoever is behind a port takes for its router."""
    return mac(port.gateway_mac) if port.gateway_mac else derived_mac(f"gateway/{port.device}/{port.id}")


def port_state(port: Port) -> PortState:
    """A port as engines know it."""
    tunnel = port.vxlan
    return PortState(
        number=port.number,
        name=port.id,
        kind=PortKind.VXLAN if tunnel else PortKind.INTERFACE,
        interface=port.interface,
        mac=mac(port.mac) if port.mac else 0,
        local=tunnel.local if tunnel else "",
        remote=tunnel.remote if tunnel else "",
        vni=tunnel.vni if tunnel else 0,
        owner=port.tenant,
    )


class Ports:
    """The ports of a topology by id, with the faults of what names them."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self._ports = {port.id: port for port in topology.ports}

    def __getitem__(self, id: str) -> Port:
        return self._ports[id]

    def __contains__(self, id: object) -> bool:
        return id in self._ports

    def get(self, id: str) -> Port | None:
        """The port, or None."""
        return self._ports.get(id)

    def seen_by(self, tenant: str) -> list[Port]:
        """The ports that an intent of a tenant concerns when it names none."""
        return [port for port in self.topology.ports if port.side != "LINK" and port.tenant == tenant]


def goto(table: int) -> tuple[Actions, ...]:
    """Go on there."""
    return (Goto(table=table),)
