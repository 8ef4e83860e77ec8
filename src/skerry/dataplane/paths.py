"""Ways over several devices: shortest trees over the links that are up. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping

import msgspec

from skerry.dataplane.intents import Link, Port, Topology


class Edge(msgspec.Struct, frozen=True):
    """A link seen from one of its ends: the port there, the device and port at the other end."""

    link: str
    cost: int
    port: Port
    far: Port


class Ways:
    """Next hops between devices. Among ways of equal cost the one over the smaller link ids is taken, always the same."""

    def __init__(self, topology: Topology) -> None:
        ports = {port.id: port for port in topology.ports}
        self._edges: dict[str, list[Edge]] = {device.id: [] for device in topology.devices}
        for link in sorted(topology.links, key=lambda link: link.id):
            if link.up:
                self._add(link, ports)
        self._trees: dict[str, Mapping[str, Edge]] = {}

    def _add(self, link: Link, ports: Mapping[str, Port]) -> None:
        a, b = ports.get(link.a), ports.get(link.b)
        if a is None or b is None:
            return
        self._edges.setdefault(a.device, []).append(Edge(link.id, link.cost, a, b))
        self._edges.setdefault(b.device, []).append(Edge(link.id, link.cost, b, a))

    def towards(self, target: str) -> Mapping[str, Edge]:
        """For every device that reaches `target`: the first edge of its way there."""
        tree = self._trees.get(target)
        if tree is None:
            tree = self._trees[target] = self._grow(target)
        return tree

    def _grow(self, target: str) -> Mapping[str, Edge]:
        found: dict[str, Edge] = {}
        done: set[str] = set()
        heap: list[tuple[int, str, str, Edge | None]] = [(0, "", target, None)]
        while heap:
            cost, _, device, first = heapq.heappop(heap)
            if device in done:
                continue
            done.add(device)
            if first is not None:
                found[device] = first
            for edge in self._edges.get(device, ()):
                if edge.far.device not in done:
                    back = Edge(edge.link, edge.cost, edge.far, edge.port)
                    heapq.heappush(heap, (cost + edge.cost, edge.link, edge.far.device, back))
        return found

    def route(self, source: str, target: str) -> list[Edge] | None:
        """The edges from one device to another; None where there is no way."""
        tree, here, route = self.towards(target), source, list[Edge]()
        while here != target:
            edge = tree.get(here)
            if edge is None:
                return None
            route.append(edge)
            here = edge.far.device
        return route

    def tree(self, devices: Iterable[str]) -> list[Edge] | None:
        """Edges of a tree that connects devices, each seen from its end away from the root; None where one is cut off."""
        members = sorted(set(devices))
        edges: dict[str, Edge] = {}
        for device in members[1:]:
            route = self.route(device, members[0])
            if route is None:
                return None
            edges.update((edge.port.device, edge) for edge in route)
        return [edges[device] for device in sorted(edges)]
