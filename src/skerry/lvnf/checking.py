"""Click text -> a checked graph, or every fault at once. Pure.

`read` is the one entry: it parses, flattens, types the configurations and checks ports, push and pull, reachability, devices.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from skerry.errors import Fault, InvalidError
from skerry.lvnf import configs, reading
from skerry.lvnf.catalogue import KINDS, ElementKind
from skerry.lvnf.configs import Config
from skerry.lvnf.expanding import Edge, Expansion, Flat, TooMuch
from skerry.lvnf.graph import Connection, Element, Graph, Processing
from skerry.lvnf.language import MAX_FAULTS, MAX_TEXT, parse
from skerry.lvnf.lexing import Source
from skerry.lvnf.scopes import Part

PUSH, PULL, AGNOSTIC = "h", "l", "a"
_NONE: Mapping[str, str] = {}
_UNKNOWN = re.compile(r"\$\{?(\w+)")
_WORDS = {PUSH: "push", PULL: "pull"}


def read(text: str, values: Mapping[str, str] = _NONE) -> Graph:
    """The checked graph of a Click configuration, with values of variables that it does not define itself. `InvalidError` holds
    every fault with line, column and what to do."""
    graph, faults = check(text, values)
    if graph is None:
        noun = "fault" if len(faults) == 1 else "faults"
        raise InvalidError(
            f"cannot use the Click configuration: {len(faults)} {noun}, the first: {faults[0].message}",
            suggestion="mend each fault; `skerry lvnf check FILE` shows them in the text",
            faults=faults,
        )
    return graph


def check(text: str, values: Mapping[str, str] = _NONE) -> tuple[Graph | None, tuple[Fault, ...]]:
    """The graph, or None and the faults in the order of their places."""
    if len(text) > MAX_TEXT:
        told = f"the text has {len(text)} characters, more than {MAX_TEXT}"
        return None, (Fault(code="text.long", message=told, fix="divide it into several functions", line=1, column=1),)
    source = Source(text)
    parsed = parse(source)
    if parsed.faults:
        return None, parsed.faults
    expansion = Expansion(source)
    try:
        flat = expansion.run(parsed.statements, values)
    except TooMuch as limit:
        return None, (*expansion.faults, limit.fault)
    checking = _Checking(flat, expansion)
    graph = checking.graph(text)
    faults = sorted(expansion.faults, key=lambda fault: (fault.line, fault.column))
    return (None, tuple(faults[:MAX_FAULTS])) if faults else (graph, ())


class _Checking:
    """The checks of a flat graph; faults go to the expansion's."""

    def __init__(self, flat: Flat, expansion: Expansion) -> None:
        self.parts = flat.parts
        self.edges = flat.edges
        self._found = expansion
        self._outgoing: dict[str, dict[int, list[Edge]]] = {}
        self._incoming: dict[str, dict[int, list[Edge]]] = {}
        for edge in flat.edges:
            self._outgoing.setdefault(edge.source.name, {}).setdefault(edge.output, []).append(edge)
            self._incoming.setdefault(edge.target.name, {}).setdefault(edge.input, []).append(edge)

    def graph(self, text: str) -> Graph | None:
        """The graph; None after a fault. Where elements are missing, ports that seem open tell nothing and are not told."""
        whole = not self._found.faults
        configs_of = {part.name: self._config(part) for part in self.parts}
        if not self.parts and whole:
            self._tell(None, "graph.empty", "the configuration has no element", "declare one: c :: Counter;")
        counts = {part.name: self._counts(part, configs_of[part.name], whole=whole) for part in self.parts}
        moving = _Processing(self.parts, self.edges)
        for part, message, fix in moving.conflicts():
            self._tell(part, "processing.conflict", message, fix)
        self._double(moving)
        if whole:
            self._reachable()
        self._devices(configs_of)
        if self._found.faults:
            return None
        return self._made(text, configs_of, counts, moving)

    def _tell(self, part: Part | None, code: str, message: str, fix: str) -> None:
        place = part.place if part else self._found.source.place(0)
        self._found.fault(place, code, message, fix)

    def _config(self, part: Part) -> Config | None:
        outputs = max(self._outgoing.get(part.name, {}), default=-1) + 1
        found = reading.read(part.class_name, part.config, outputs)
        unknown = _UNKNOWN.search(part.config) if found.wrong else None
        if unknown:
            self._no_value(part, unknown)
            return None
        for wrong in found.wrong:
            place = part.place if part.offset is None else self._found.source.place(part.offset + wrong.offset)
            message, _, fix = wrong.message.partition("; ")
            fix = fix or f"write {part.class_name}({reading.signature(part.class_name)})"
            self._found.fault(place, "config.bad", f"{part.name}: {message}", fix)
        return found.config

    def _no_value(self, part: Part, unknown: re.Match[str]) -> None:
        place = part.place if part.offset is None else self._found.source.place(part.offset + unknown.start())
        told = f"{part.name}: the variable ${unknown[1][:60]} has no value"
        self._found.fault(place, "variable.unknown", told, f"give it one: define(${unknown[1][:60]} value)")

    def _counts(self, part: Part, config: Config | None, *, whole: bool) -> tuple[int, int]:
        """How many inputs and outputs an element has; faults where they do not fit, or (`whole`) are not connected."""
        kind = KINDS[part.class_name]
        needed = _needed(config)
        inputs = self._side(part, "input", needed[0] or kind.input_range(), self._incoming)
        outputs = self._side(part, "output", needed[1] or kind.output_range(), self._outgoing)
        if whole:
            self._open(part, "input", inputs, self._incoming)
            self._open(part, "output", outputs if config else 0, self._outgoing)
        return inputs, outputs

    def _side(
        self,
        part: Part,
        side: str,
        bounds: tuple[int, int | None],
        edges: Mapping[str, Mapping[int, Sequence[Edge]]],
    ) -> int:
        fewest, most = bounds
        used = edges.get(part.name, {})
        top = max(used, default=-1) + 1
        if most is not None and top > most:
            place = used[top - 1][0].place
            has = f"has no {side}s" if most == 0 else f"has only {most} {side}{'s' if most > 1 else ''}"
            told = f'"{part.name}" ({part.class_name}) {has}, not an {side} {top - 1}'
            self._found.fault(place, "port.surplus", told, "remove the connection or use another port")
        return max(fewest, top if most is None else min(top, most))

    def _open(self, part: Part, side: str, count: int, edges: Mapping[str, Mapping[int, Sequence[Edge]]]) -> None:
        used = edges.get(part.name, {})
        for port in range(count):
            if port not in used:
                told = f'{side} {port} of "{part.name}" ({part.class_name}) is not connected'
                fix = "connect it" + ("; to Discard if its packets are not wanted" if side == "output" else "")
                self._tell(part, "port.open", told, fix)

    def _double(self, moving: _Processing) -> None:
        """A push output and a pull input have one connection."""
        for ends, side, code in ((self._outgoing, "output", PUSH), (self._incoming, "input", PULL)):
            for name, used in ends.items():
                for port, edges in used.items():
                    if len(edges) > 1 and moving.code(name, side, port) == code:
                        told = f'the {_WORDS[code]} {side} {port} of "{name}" is connected {len(edges)} times'
                        fix = "use Tee to copy packets" if code == PUSH else "pull from one element only"
                        self._found.fault(edges[1].place, "port.double", told, fix)

    def _reachable(self) -> None:
        """Each element with inputs gets packets from some source."""
        sources = [part.name for part in self.parts if not self._incoming.get(part.name)]
        seen, waiting = set(sources), sources
        while waiting:
            name = waiting.pop()
            for edges in self._outgoing.get(name, {}).values():
                new = [edge.target.name for edge in edges if edge.target.name not in seen]
                seen.update(new)
                waiting += new
        for part in self.parts:
            if part.name not in seen:
                told = f'no packet can reach "{part.name}" ({part.class_name})'
                self._tell(part, "element.unreachable", told, "connect a FromDevice to it, or remove it")

    def _devices(self, configs_of: Mapping[str, Config | None]) -> None:
        """One element reads from a device."""
        readers: dict[str, str] = {}
        for part in self.parts:
            config = configs_of[part.name]
            if not isinstance(config, configs.FromDevice):
                continue
            first = readers.setdefault(config.device, part.name)
            if first != part.name:
                told = f'"{part.name}" reads from {config.device} as "{first}" does'
                self._tell(part, "device.double", told, "read a device once, and use Tee or a classifier behind it")

    def _made(
        self,
        text: str,
        configs_of: Mapping[str, Config | None],
        counts: Mapping[str, tuple[int, int]],
        moving: _Processing,
    ) -> Graph:
        elements: dict[str, Element] = {}
        devices: dict[str, None] = {}
        for part in self.parts:
            config = configs_of[part.name]
            if config is None:
                continue
            inputs, outputs = counts[part.name]
            elements[part.name] = Element(
                name=part.name,
                class_name=part.class_name,
                config=config,
                text=part.config.strip(),
                line=part.place.line,
                inputs=inputs,
                outputs=outputs,
            )
            if isinstance(config, configs.FromDevice | configs.ToDevice):
                devices[config.device] = None
        connections = tuple(
            Connection(
                source=edge.source.name,
                output=edge.output,
                target=edge.target.name,
                input=edge.input,
                processing=Processing(_WORDS[moving.code(edge.source.name, "output", edge.output)]),
            )
            for edge in self.edges
        )
        return Graph(elements=elements, connections=connections, devices=tuple(devices), text=text)


def _needed(config: Config | None) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
    """Exact numbers of ports that a configuration asks for; None: those of the class."""
    match config:
        case configs.Classifier(patterns=every):
            return None, (len(every), len(every))
        case configs.IPClassifier(expressions=every):
            return None, (len(every), len(every))
        case configs.IPFilter(rules=rules):
            most = max((rule.output for rule in rules if rule.output is not None), default=-1) + 1
            return None, (most, most)
        case configs.Meter(rates=rates):
            return None, (len(rates) + 1, len(rates) + 1)
        case configs.Tee(outputs=outputs):
            return None, (outputs, outputs)
        case configs.IPRewriter(rules=rules):
            most = max(_outputs(rules), default=0) + 1
            return (len(rules), len(rules)), (most, most)
        case _:
            return None, None


def _outputs(rules: Sequence[configs.IPRewriterInput]) -> Iterator[int]:
    for rule in rules:
        if rule.kind != "drop":
            yield rule.forward
        if rule.kind in ("keep", "pattern"):
            yield rule.reverse


class _Processing:
    """Push or pull at every port: agnostic ports become what is connected to them, all of an element the same."""

    def __init__(self, parts: Sequence[Part], edges: Sequence[Edge]) -> None:
        self._kinds = {part.name: KINDS[part.class_name] for part in parts}
        self._parent: dict[tuple[str, str, int], tuple[str, str, int]] = {}
        self._codes: dict[tuple[str, str, int], str] = {}
        self._conflicts: list[tuple[Part, str, str]] = []
        for edge in edges:
            self._join(edge)

    def code(self, name: str, side: str, port: int) -> str:
        """Push or pull at a port; push where nothing decides it."""
        found = self._fixed(name, side, port)
        if found != AGNOSTIC:
            return found
        return self._codes.get(self._root(self._node(name, side, port)), PUSH)

    def conflicts(self) -> Sequence[tuple[Part, str, str]]:
        """Connections that are push at one end and pull at the other: the element at the end, what is wrong, what to do."""
        return self._conflicts

    def _fixed(self, name: str, side: str, port: int) -> str:
        kind = self._kinds[name]
        return kind.input_code(port) if side == "input" else kind.output_code(port)

    def _node(self, name: str, side: str, port: int) -> tuple[str, str, int]:
        """All agnostic ports of an element are one, but for those that are each by themselves."""
        return (name, side, port) if self._kinds[name].apart else (name, "", 0)

    def _root(self, node: tuple[str, str, int]) -> tuple[str, str, int]:
        while (above := self._parent.get(node, node)) != node:
            self._parent[node] = self._parent.get(above, above)
            node = above
        return node

    def _join(self, edge: Edge) -> None:
        source = self._fixed(edge.source.name, "output", edge.output)
        target = self._fixed(edge.target.name, "input", edge.input)
        up = self._root(self._node(edge.source.name, "output", edge.output))
        down = self._root(self._node(edge.target.name, "input", edge.input))
        have = source if source != AGNOSTIC else self._codes.get(up, AGNOSTIC)
        want = target if target != AGNOSTIC else self._codes.get(down, AGNOSTIC)
        if AGNOSTIC not in (have, want) and have != want:
            self._conflict(edge, have)
            return
        known = want if have == AGNOSTIC else have
        if source == AGNOSTIC and target == AGNOSTIC:
            self._parent[up] = down
            up = down
        for node, code in ((up, source), (down, target)):
            if code == AGNOSTIC and known != AGNOSTIC:
                self._codes[node] = known

    def _conflict(self, edge: Edge, have: str) -> None:
        there, here = ("push", "pull") if have == PUSH else ("pull", "push")
        left, right = f'output {edge.output} of "{edge.source.name}"', f'input {edge.input} of "{edge.target.name}"'
        told = f"{left} is {there} but {right} is {here}"
        between = "a Queue" if have == PUSH else "an Unqueue or RatedUnqueue"
        self._conflicts.append((edge.target, told, f"put {between} between them"))


def kinds_used(graph: Graph) -> dict[str, ElementKind]:
    """The classes of a graph's elements."""
    return {element.class_name: KINDS[element.class_name] for element in graph.elements.values()}
