"""What a proof of a network finds, and the tables that it looks things up in. Pure."""

from __future__ import annotations

import enum

import msgspec

from skerry.dataplane.compile import Network
from skerry.dataplane.flows import DeviceState, Rule
from skerry.dataplane.intents import Port, Side
from skerry.dataplane.overlap import Overlaps


class Problem(enum.StrEnum):
    """What can be wrong with a network."""

    LOOP = "loop"  # a frame comes back to where it was, as it was
    BLACK_HOLE = "black-hole"  # a frame that was taken on is lost on the way
    LEAK = "leak"  # a frame of one tenant reaches another's port
    SHADOWED = "shadowed"  # no frame ever gets to a rule
    AMBIGUOUS = "ambiguous"  # two rules of equal priority fit one frame
    ORDER = "order"  # a chain is not visited in its order, or not wholly


class Witness(msgspec.Struct, frozen=True, kw_only=True):
    """A frame that shows a violation: it enters `device` at `port`. `pin` is what its flow must be pinned to, 0 for nothing."""

    device: str
    port: int
    frame: bytes
    pin: int = 0


class Violation(msgspec.Struct, frozen=True, kw_only=True):
    """Something wrong. `owners` are the intents of the rules that the witness passes; `trail` where it goes."""

    problem: Problem
    message: str
    witness: Witness
    owners: tuple[str, ...] = ()
    trail: tuple[str, ...] = ()


class Tables:
    """The rules of a device, with what each must yield to: for each rule, the overlapping ones of higher priority."""

    def __init__(self, state: DeviceState) -> None:
        self.state = state
        self.index: dict[int, Overlaps[Rule]] = {}
        self.higher: dict[int, list[Rule]] = {}
        self.equal: list[tuple[Rule, Rule]] = []
        self.ports = {port.number for port in state.ports}
        self.groups = {group.id: group for group in state.groups}
        self.domains = {domain.id: domain for domain in state.domains}
        for rule in sorted(state.rules, key=lambda rule: (rule.table, -rule.priority)):
            index = self.index.setdefault(rule.table, Overlaps())
            above = self.higher[id(rule)] = []
            for _, other in index.find(rule.match):
                if other.priority > rule.priority:
                    above.append(other)
                else:
                    self.equal.append((other, rule))
            index.add(rule.match, rule)

    def add(self, rule: Rule) -> None:
        """One more rule."""
        index = self.index.setdefault(rule.table, Overlaps())
        above = self.higher[id(rule)] = []
        for _, other in index.find(rule.match):
            if other.priority > rule.priority:
                above.append(other)
            elif other.priority == rule.priority:
                self.equal.append((other, rule))
            else:
                self.higher[id(other)].append(rule)
        index.add(rule.match, rule)

    def remove(self, rule: Rule) -> None:
        """One rule less. It has to be the very one."""
        index = self.index[rule.table]
        index.remove(rule.match, rule)
        for _, other in index.find(rule.match):
            if other.priority < rule.priority:
                self.higher[id(other)] = [one for one in self.higher[id(other)] if one is not rule]
        del self.higher[id(rule)]
        self.equal = [pair for pair in self.equal if all(one is not rule for one in pair)]


def edge_ports(network: Network) -> list[Port]:
    """Where frames come in from outside."""
    return [port for port in network.topology.ports if port.side is not Side.LINK]
