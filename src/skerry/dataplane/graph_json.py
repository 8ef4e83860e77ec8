"""Forwarding graphs in JSON: nodes (ports and modules) and edges, read into intents and written from them. Pure.

    {"name": "edge",
     "nodes": [{"id": "in", "type": "port", "port": "ran"},
               {"id": "slow", "type": "rate-limiter", "rate_bps": 1000000},
               {"id": "fw", "type": "firewall", "deny": ["tcp,tp_dst=22"]},
               {"id": "dpi", "type": "function", "ingress": "dpi-in", "egress": "dpi-out"},
               {"id": "out", "type": "port", "port": "core"}],
     "edges": [{"from": "in", "to": "slow"}, {"from": "slow", "to": "fw"},
               {"from": "fw", "to": "dpi", "match": "tcp,tp_dst=80"}, {"from": "fw", "to": "out"},
               {"from": "dpi", "to": "out"}]}

A path begins at a port with edges out and ends at a port without a further one, or at a `drop`. Of several edges out of a node
the first whose `match` (an OpenFlow match string) fits is taken. Functions come after all other modules of a path.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Annotated

import msgspec
from msgspec import Meta

from skerry.dataplane.intents import (
    Action,
    Actions,
    Chain,
    Drop,
    Duplicate,
    Encapsulation,
    Forward,
    Function,
    Hop,
    Intents,
    Name,
    RateLimit,
    Rewrite,
    Steer,
    Steering,
    Value,
    Wire,
)
from skerry.dataplane.wording import classifier_of, flowspace_of
from skerry.errors import Fault, InvalidError

FIRST, DENY = 500, 100


class Node(Value, frozen=True, kw_only=True, tag_field="type"):
    """Base of the nodes."""

    id: Name


class PortNode(Node, frozen=True, kw_only=True, tag="port"):
    """A port of the topology."""

    port: Name


class DropNode(Node, frozen=True, kw_only=True, tag="drop"):
    """Where frames end."""


class LimiterNode(Node, frozen=True, kw_only=True, tag="rate-limiter"):
    """Drops what exceeds a rate."""

    rate_bps: int
    burst_bits: int = 0


class FirewallNode(Node, frozen=True, kw_only=True, tag="firewall"):
    """Drops what fits one of its match strings."""

    deny: tuple[str, ...] = ()


class SetNode(Node, frozen=True, kw_only=True, tag="set"):
    """Changes fields, as a Rewrite."""

    rewrite: Rewrite


class TapNode(Node, frozen=True, kw_only=True, tag="tap"):
    """Sends a copy out of a port."""

    port: Name


class FunctionNode(Node, frozen=True, kw_only=True, tag="function"):
    """A function that frames go through; with `others`, several that share the load."""

    ingress: Name
    egress: str = ""
    encapsulation: Encapsulation = Encapsulation.NONE
    weight: int = 1
    others: tuple[Function, ...] = ()


class Edge(Value, frozen=True, kw_only=True, rename={"source": "from", "target": "to"}):
    """From a node to a node, for what fits `match`; "" is all."""

    source: Name
    target: Name
    match: str = ""


Nodes = PortNode | DropNode | LimiterNode | FirewallNode | SetNode | TapNode | FunctionNode


class Graph(Value, frozen=True, kw_only=True):
    """A forwarding graph. Its name is the owner of its intents (`graph:NAME`)."""

    name: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    nodes: tuple[Nodes, ...] = ()
    edges: tuple[Edge, ...] = ()


def owner_of(name: str) -> str:
    """The owner of the intents of a graph."""
    return f"graph:{name}"


class _Path(msgspec.Struct, frozen=True):
    start: PortNode
    match: str
    actions: tuple[Actions, ...] = ()
    hops: tuple[Hop, ...] = ()
    seen: frozenset[str] = frozenset()


class _Reader:
    def __init__(self, graph: Graph, tenant: str) -> None:
        self._graph, self._tenant = graph, tenant
        self._nodes = {node.id: node for node in graph.nodes}
        self.faults: list[Fault] = []
        self.intents: list[Intents] = []
        self._order = 0

    def read(self) -> list[Intents]:
        for edge in self._graph.edges:
            for end in (edge.source, edge.target):
                if end not in self._nodes:
                    self._fault(end, "there is no such node")
        if not self.faults:
            for node in self._graph.nodes:
                if isinstance(node, PortNode):
                    self._order = 0
                    self._onward(_Path(node, ""), node.id)
        return self.intents

    def _fault(self, path: str, message: str) -> None:
        self.faults.append(Fault(message=message, code="graph", path=path))

    def _onward(self, path: _Path, node: str) -> None:
        if node in path.seen:
            self._fault(node, "the graph goes round in a circle")
            return
        following = [edge for edge in self._graph.edges if edge.source == node]
        if not following and path.seen:
            self._fault(node, "the path ends here, at no port and no drop")
        seen = path.seen | {node}
        for edge in following:
            matched = ",".join(filter(None, (path.match, edge.match)))
            self._arrive(msgspec.structs.replace(path, match=matched, seen=seen), self._nodes[edge.target])

    def _arrive(self, path: _Path, node: Nodes) -> None:
        match node:
            case PortNode():
                self._end(path, node.port)
            case DropNode():
                self._end(path, "")
            case FunctionNode():
                first = Function(
                    id=node.id,
                    ingress=node.ingress,
                    egress=node.egress,
                    encapsulation=node.encapsulation,
                    weight=node.weight,
                )
                hops = (*path.hops, Hop(functions=(first, *node.others)))
                self._onward(msgspec.structs.replace(path, hops=hops), node.id)
            case _ if path.hops:
                self._fault(node.id, "modules come before functions on a path")
            case FirewallNode():
                for place, denied in enumerate(node.deny):
                    both = ",".join(filter(None, (path.match, denied)))
                    name = f"{self._graph.name}:{path.start.id}:{node.id}:{self._order}:{place}"
                    self._steer(path, name, both, FIRST + DENY - self._order, (Drop(),))
                self._onward(path, node.id)
            case _:
                self._onward(msgspec.structs.replace(path, actions=(*path.actions, _action(node))), node.id)

    def _end(self, path: _Path, port: str) -> None:
        number, self._order = self._order, self._order + 1
        name = f"{self._graph.name}:{path.start.id}:{number}"
        priority = FIRST - number
        last: Actions = Forward(port=port) if port else Drop()
        if port and path.hops:
            chain = Chain(id=f"{name}:chain", tenant=self._tenant, hops=path.hops, exit=port)
            self.intents.append(chain)
            last = Steer(chain=chain.id)
        self._steer(path, name, path.match, priority, (*path.actions, last))

    def _steer(self, path: _Path, name: str, text: str, priority: int, actions: tuple[Actions, ...]) -> None:
        try:
            classifier = msgspec.structs.replace(classifier_of(text), ports=(path.start.port,))
        except ValueError as why:
            self._fault(path.start.id, str(why))
            return
        self.intents.append(
            Steering(id=name, tenant=self._tenant, classifier=classifier, priority=priority, actions=actions)
        )


def _action(node: Nodes) -> Actions:
    match node:
        case LimiterNode():
            return RateLimit(rate_bps=node.rate_bps, burst_bits=node.burst_bits)
        case SetNode():
            return node.rewrite
        case TapNode():
            return Duplicate(port=node.port)
        case _:
            raise TypeError(type(node).__name__)


def intents_of(graph: Graph, tenant: str = "") -> list[Intents]:
    """The intents that do as a graph says. `InvalidError` names everything that is wrong with it."""
    reader = _Reader(graph, tenant)
    found = reader.read()
    if reader.faults:
        raise InvalidError(
            f"cannot use the forwarding graph {graph.name}", faults=reader.faults, suggestion="mend what is named"
        )
    return [msgspec.structs.replace(intent, owner=owner_of(graph.name)) for intent in found]


class _Writer:
    def __init__(self, intents: Iterable[Intents]) -> None:
        self._intents = sorted(intents, key=lambda one: (-getattr(one, "priority", 0), one.id))
        self._chains = {one.id: one for one in self._intents if isinstance(one, Chain)}
        self._nodes: dict[str, Nodes] = {}
        self._edges: list[Edge] = []

    def write(self, name: str) -> Graph:
        for intent in self._intents:
            if isinstance(intent, Steering):
                for port in intent.classifier.ports:
                    self._steering(intent, port)
            elif isinstance(intent, Wire):
                self._path(intent.a, "", [], intent.b)
                self._path(intent.b, "", [], intent.a)
        return Graph(name=name, nodes=tuple(self._nodes.values()), edges=tuple(self._edges))

    def _steering(self, steering: Steering, port: str) -> None:
        between: list[Nodes] = []
        end = ""
        for place, action in enumerate(steering.actions):
            node = _node(f"{steering.id}:{place}", action)
            if node is not None:
                between.append(node)
            elif isinstance(action, Forward):
                end = action.port
            elif isinstance(action, Steer):
                chain = self._chains[action.chain]
                between += [_function(hop) for hop in chain.hops]
                end = chain.exit
        self._path(port, flowspace_of(steering.classifier), between, end)

    def _path(self, start: str, match: str, between: list[Nodes], end: str) -> None:
        last: Nodes = PortNode(id=f"to-{end}", port=end) if end else DropNode(id="drop")
        path: list[Nodes] = [PortNode(id=f"from-{start}", port=start), *between, last]
        self._nodes.update((node.id, node) for node in path)
        for here, there in pairwise(path):
            edge = Edge(source=here.id, target=there.id, match=match if here is path[0] else "")
            if edge not in self._edges:
                self._edges.append(edge)


def _node(id: str, action: Action) -> Nodes | None:
    match action:
        case RateLimit():
            return LimiterNode(id=id, rate_bps=action.rate_bps, burst_bits=action.burst_bits)
        case Rewrite():
            return SetNode(id=id, rewrite=action)
        case Duplicate():
            return TapNode(id=id, port=action.port)
        case _:
            return None


def _function(hop: Hop) -> FunctionNode:
    first, *others = hop.functions
    return FunctionNode(
        id=first.id,
        ingress=first.ingress,
        egress=first.egress,
        encapsulation=first.encapsulation,
        weight=first.weight,
        others=tuple(others),
    )


def graph_of(name: str, intents: Iterable[Intents]) -> Graph:
    """The graph of intents: steerings, chains and wires."""
    return _Writer(intents).write(name)
