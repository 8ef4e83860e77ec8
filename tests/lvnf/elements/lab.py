"""A router with a clock, chances and ends that a test holds in its hands; graphs written as short texts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from skerry.lvnf.catalogue import KINDS
from skerry.lvnf.configs import Config
from skerry.lvnf.graph import Connection, Element, Graph, Processing
from skerry.lvnf.router import Router

_END = re.compile(r"^(?:\[(\d+)\]\s*)?([\w@/]+)(?:\s*\[(\d+)\])?$")


def make_graph(elements: Mapping[str, Config], *paths: str, texts: Mapping[str, str] | None = None) -> Graph:
    """A graph from configurations and paths as "a -> b [1] -> [0] c"."""
    found: list[tuple[str, int, str, int]] = []
    for path in paths:
        ends = [_END.match(part.strip()) for part in path.split("->")]
        for left, right in zip(ends, ends[1:], strict=False):
            assert left is not None
            assert right is not None
            found.append((left[2], int(left[3] or 0), right[2], int(right[1] or 0)))
    classes = {name: type(config).__name__ for name, config in elements.items()}
    pulled = _pulled(classes, found)
    made = {
        name: Element(
            name=name,
            class_name=classes[name],
            config=config,
            text=(texts or {}).get(name, ""),
            inputs=max((one[3] + 1 for one in found if one[2] == name), default=0),
            outputs=max((one[1] + 1 for one in found if one[0] == name), default=0),
        )
        for name, config in elements.items()
    }
    connections = tuple(
        Connection(
            source=one[0],
            output=one[1],
            target=one[2],
            input=one[3],
            processing=Processing.PULL if one in pulled else Processing.PUSH,
        )
        for one in found
    )
    return Graph(elements=made, connections=connections)


def _pulled(classes: Mapping[str, str], found: Sequence[tuple[str, int, str, int]]) -> set[tuple[str, int, str, int]]:
    pulled = {one for one in found if KINDS[classes[one[0]]].output_code(one[1]) == "l"}
    while True:
        agnostic = {one[2] for one in pulled if KINDS[classes[one[2]]].input_code(one[3]) == "a"}
        more = {one for one in found if one[0] in agnostic and KINDS[classes[one[0]]].output_code(one[1]) == "a"}
        if more <= pulled:
            return pulled
        pulled |= more


class Lab:
    """A router at work: `sent` are the frames that left, by device; `lines` the log; `time` the clock."""

    def __init__(self, graph: Graph, chances: Sequence[float] = (), time: float = 1000.0) -> None:
        self.time = time
        self.sent: dict[str, list[bytes]] = {}
        self.lines: list[str] = []
        self._chances = list(chances)
        self.router = self._make(graph, None)

    def _make(self, graph: Graph, old: Router | None) -> Router:
        return Router(graph, lambda: self.time, self._chance, self.lines.append, self._send, old=old)

    def _chance(self) -> float:
        return self._chances.pop(0) if self._chances else 0.5

    def _send(self, device: str, frame: bytes) -> None:
        self.sent.setdefault(device, []).append(frame)

    def swap(self, graph: Graph) -> None:
        """Put another graph in place, with the state of this one."""
        self.router = self._make(graph, self.router)

    def give(self, frame: bytes, device: str = "in") -> None:
        """A frame comes in."""
        self.router.receive(device, bytes(frame))

    def out(self, device: str = "out") -> list[bytes]:
        """What left by a device since the last call."""
        return self.sent.pop(device, [])

    def settle(self) -> None:
        """Let everything be done that is due now."""
        for _ in range(10_000):
            wake = self.router.wake()
            if wake is None or wake > self.time:
                return
            self.router.tick()
        raise AssertionError("the router is never idle")

    def advance(self, seconds: float) -> None:
        """Let time pass, as a loop would that sleeps until it is woken."""
        end = self.time + seconds
        while True:
            self.settle()
            wake = self.router.wake()
            if wake is None or wake > end:
                break
            self.time = wake
        self.time = end
        self.settle()
