"""What the compiler writes on: the rules of each device as they come, then with priorities, cookies and hairpins. Pure."""

from __future__ import annotations

import hashlib
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
        self._candidates: list[Candidate] = []

    def add(
        self, table: int, priority: int, match: Match, actions: Sequence[Actions], owner: str = "", tenant: str = ""
    ) -> None:
        """A rule. The same one twice is one; another one of the same priority and match is a fault."""
        rule = Rule(
            table=table,
            priority=priority,
            match=match,
            actions=hairpinned(match, actions) if table in (ARRIVE, PINNED, CLASSIFY) else tuple(actions),
            cookie=cookie(owner, table, priority, match),
            owner=owner,
            tenant=tenant,
        )
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

    def offer(self, candidate: Candidate) -> None:
        """A rule whose priority is decided at the end."""
        self._candidates.append(candidate)

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
        """Give candidates their priorities: one level above all of the same base that they overlap and win over."""
        placed: dict[tuple[int, int], Overlaps[tuple[str, int]]] = {}
        for one in sorted(self._candidates, key=lambda one: one.name, reverse=True):
            same = placed.setdefault((one.table, one.base), Overlaps())
            level = max((level + 1 for _, (name, level) in same.find(one.match) if name != one.name), default=0)
            if level >= one.width:
                self._faults.append(
                    Fault(
                        message=f"more than {one.width} intents of the priority of {one.owner} overlap on {self.device}",
                        code="priority",
                        path=one.owner,
                        fix="give some of them other priorities",
                    )
                )
                continue
            same.add(one.match, (one.name, level))
            self.add(one.table, one.base + level, one.match, one.actions, one.owner, one.tenant)


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
