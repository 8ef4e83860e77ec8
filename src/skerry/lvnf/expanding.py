"""Syntax tree -> elements and connections without compounds, groups and variables. Pure.

Every compound is a pair of tunnels, what enters it and what leaves it; in the end connections are drawn through the tunnels.
Limits refuse a small text that would become a huge graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches

import msgspec

from skerry.errors import Fault
from skerry.lvnf.arguments import Argument, split, substituted
from skerry.lvnf.catalogue import nearest
from skerry.lvnf.language import (
    MAX_DEPTH,
    MAX_FAULTS,
    Chain,
    Compound,
    Config,
    Define,
    ElementClass,
    Group,
    Node,
    Require,
    Statement,
)
from skerry.lvnf.lexing import Place, Source
from skerry.lvnf.scopes import Definition, Part, Scope

MAX_ELEMENTS = 4096
MAX_CONNECTIONS = 16384
MAX_STEPS = 262144
MAX_CONFIG = 256 * 1024
MAX_VALUES = 4 * 1024 * 1024
# What `require` may name: Click's packages whose classes the catalogue has in part.
PACKAGES = ("analysis", "app", "click", "ethernet", "icmp", "ip", "linux", "skerry", "standard", "tcpudp", "userlevel")


class TooMuch(Exception):  # noqa: N818  # ends the expansion; its fault says which limit
    """A limit is passed."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


class Edge(msgspec.Struct, frozen=True):
    """A connection: from an output of a part to an input of another."""

    source: Part
    output: int
    target: Part
    input: int
    place: Place


class Flat(msgspec.Struct, frozen=True):
    """Elements in the order of their declaration and the connections between them, each once."""

    parts: tuple[Part, ...]
    edges: tuple[Edge, ...]


class End(msgspec.Struct, frozen=True):
    """One end of connections: a part and its ports, `implied` where no ports are written."""

    part: Part
    ports: tuple[int, ...]
    implied: bool


class Expansion:
    """One expansion; `faults` holds what is wrong."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.faults: list[Fault] = []
        self._parts: list[Part] = []
        self._edges: dict[tuple[int, int, int, int], Edge] = {}
        self._inputs: dict[int, set[int]] = {}
        self._outputs: dict[int, set[int]] = {}
        self._taken: set[str] = set()
        self._made = 0
        self._length = 0
        self._steps = 0
        self._told: set[tuple[Place, str]] = set()
        # Parts are told apart by id: all that were made stay here.
        self._kept: list[Part] = []

    def run(self, statements: Sequence[Statement], values: Mapping[str, str]) -> Flat:
        """The flat graph, with values of variables from outside; look at `faults` before using it. `TooMuch` where a limit is
        passed."""
        scope = Scope("")
        scope.variables |= values
        self._scope(statements, scope)
        return Flat(tuple(self._parts), tuple(self._through()))

    def fault(self, place: Place, code: str, message: str, fix: str) -> None:
        """Record a fault, once for each place and message."""
        if (place, message) in self._told or len(self.faults) >= MAX_FAULTS:
            return
        self._told.add((place, message))
        self.faults.append(Fault(code=code, message=message, fix=fix, line=place.line, column=place.column))

    def _limit(self, place: Place, code: str, message: str) -> TooMuch:
        fix = "divide it into several functions"
        return TooMuch(Fault(code=code, message=message, fix=fix, line=place.line, column=place.column))

    def _scope(self, statements: Sequence[Statement], scope: Scope) -> None:
        """All statements of a scope, then the compounds that they declare."""
        scope.declared = set(_declared(statements))
        self._statements(statements, scope)
        for part, definition, config in scope.waiting:
            self._expand(part, definition, config, scope)

    def _statements(self, statements: Sequence[Statement], scope: Scope) -> None:
        for statement in statements:
            match statement:
                case ElementClass():
                    self._element_class(statement, scope)
                case Require():
                    self._require(statement, scope)
                case Define():
                    self._define(statement, scope)
                case Chain():
                    self._chain(statement, scope)

    def _element_class(self, statement: ElementClass, scope: Scope) -> None:
        before = scope.meaning(statement.name)
        if isinstance(statement.meaning, Compound):
            if statement.meaning.extends and before is None:
                told = f'"..." adds to a class {statement.name} that is not there'
                self.fault(statement.place, "class.extended", told, "remove it or define the class before")
            scope.define(statement.name, Definition(statement.meaning, scope, before))
            return
        meaning = scope.meaning(statement.meaning)
        if meaning is None:
            self._unknown_class(statement.meaning, statement.place)
            return
        scope.define(statement.name, meaning)

    def _require(self, statement: Require, scope: Scope) -> None:
        for argument in self._arguments(statement.config, scope, statement.place):
            words = argument.text.replace('"', " ").split()
            name = words[1] if words[0] == "package" and len(words) > 1 else words[0] if words else ""
            if name not in PACKAGES:
                told = f'the package "{name[:60]}" is not there'
                place = self.source.place(statement.config.offset + argument.offset)
                self.fault(place, "requirement.unknown", told, f"remove it; known are {', '.join(PACKAGES)}")

    def _define(self, statement: Define, scope: Scope) -> None:
        for argument in self._arguments(statement.config, scope, statement.place):
            name, _, value = argument.text.partition(" ")
            if not name.startswith("$") or not name[1:].isidentifier():
                place = self.source.place(statement.config.offset + argument.offset)
                self.fault(place, "define.bad", f'"{name[:60]}" is no variable', "write define($name value)")
            else:
                scope.variables[name[1:]] = value.strip()

    def _arguments(self, config: Config | None, scope: Scope, place: Place) -> list[Argument]:
        return split(self._text(config, scope, place)) if config else []

    def _text(self, config: Config, scope: Scope, place: Place) -> str:
        """The configuration with its variables replaced."""
        try:
            text = substituted(config.text, scope.value, MAX_CONFIG)
        except OverflowError:
            told = f"with its variables this configuration is longer than {MAX_CONFIG} characters"
            raise self._limit(place, "config.long", told) from None
        self._length += len(text)
        if self._length > MAX_VALUES:
            raise self._limit(place, "config.long", f"all configurations have more than {MAX_VALUES} characters")
        return text

    # Elements

    def _chain(self, chain: Chain, scope: Scope) -> None:
        last = len(chain.nodes) - 1
        parts = [
            [self._resolve(node, scope, first=i == 0 and last > 0) for node in nodes]
            for i, nodes in enumerate(chain.nodes)
        ]
        for i, arrow in enumerate(chain.arrows):
            left = [
                self._end(node, part, out=True) for node, part in zip(chain.nodes[i], parts[i], strict=True) if part
            ]
            right = [
                self._end(node, part, out=False)
                for node, part in zip(chain.nodes[i + 1], parts[i + 1], strict=True)
                if part
            ]
            whole = len(left) == len(parts[i]) and len(right) == len(parts[i + 1])
            if arrow == "=>" and whole:
                left, right = self._matched(left, right, chain.nodes[i + 1][0].place)
                self._pairs(left, right, chain.nodes[i + 1][0].place)
            elif arrow == "->":
                self._all(left, right, chain.nodes[i + 1][0].place)

    def _resolve(self, node: Node, scope: Scope, *, first: bool) -> Part | None:
        """The part that a node of a chain means; None after a fault."""
        if isinstance(node.type, Group):
            return self._group(node, node.type, scope)
        if node.type is not None:
            return self._declare(node, node.name, node.type, scope)
        if not node.name or node.name in ("input", "output"):
            return self._pseudo(node, scope, first=first)
        if node.name in scope.names:
            return scope.names[node.name]
        if node.name in scope.declared:
            return scope.names.setdefault(node.name, self._part(scope.prefix + node.name, node.place))
        if scope.meaning(node.name) is not None:
            return self._declare(node, "", node.name, scope)
        self._unknown_element(node, scope)
        return None

    def _unknown_element(self, node: Node, scope: Scope) -> None:
        known = [*scope.names, *sorted(scope.declared - set(scope.names))]
        close = get_close_matches(node.name[:64], known[:256], 1, 0.75)
        near = nearest(node.name)
        fix = f'did you mean the class "{near}"?' if near else f"declare it: {node.name[:60]} :: Class(...)"
        fix = f'did you mean the element "{close[0]}"?' if close else fix
        self.fault(node.place, "element.unknown", f'there is no element or class "{node.name[:80]}"', fix)

    def _pseudo(self, node: Node, scope: Scope, *, first: bool) -> Part | None:
        name = node.name or ("input" if first else "output")
        found = scope.input if name == "input" else scope.output
        if found is None:
            told = f'"{name}" stands outside of a compound' if node.name else "an element is missing at this end"
            self.fault(node.place, "pseudo.outside", told, "write the name of an element")
        return found

    def _group(self, node: Node, group: Group, scope: Scope) -> Part:
        """A group: its statements belong to the scope around, its input and output are its own."""
        self._count(node.place)
        part = self._part("(...)", node.place)
        part.entry, part.exit = self._part("input", node.place), self._part("output", node.place)
        outer = scope.input, scope.output
        scope.input, scope.output = part.entry, part.exit
        self._statements(group.statements, scope)
        scope.input, scope.output = outer
        return part

    def _part(self, name: str, place: Place) -> Part:
        self._kept.append(Part(name, place))
        return self._kept[-1]

    def _declare(self, node: Node, name: str, type: str | Compound | Group, scope: Scope) -> Part | None:
        meaning = Definition(type, scope, None) if isinstance(type, Compound) else scope.meaning(str(type))
        if meaning is None:
            self._unknown_class(str(type), node.place)
        self._count(node.place)
        scope.count += 1
        local = name or self._free(type if isinstance(type, str) else "compound", scope)
        part = self._new(local, node, scope)
        if part is None or meaning is None:
            return None
        if isinstance(meaning, str):
            self._primitive(part, meaning, node.config, scope)
        else:
            part.entry, part.exit = self._part(part.name, node.place), self._part(part.name, node.place)
            scope.waiting.append((part, meaning, node.config))
        return part

    def _new(self, local: str, node: Node, scope: Scope) -> Part | None:
        """The part of a declaration; None where the name is taken."""
        if local in ("input", "output"):
            self.fault(node.place, "element.reserved", f'"{local}" is no name for an element', "choose another name")
            return None
        if not local.strip("0123456789"):
            self.fault(node.place, "element.digits", f'"{local[:60]}" is only digits', "begin the name with a letter")
            return None
        full = scope.prefix + local
        if full in self._taken:
            first = scope.names[local].place.line if local in scope.names else 0
            told = f'the element "{local}" is declared twice' + (f", first in line {first}" if first else "")
            self.fault(
                node.place, "element.twice", told, "choose another name, or leave the class out to mean the first"
            )
            return None
        self._taken.add(full)
        part = scope.names.setdefault(local, self._part(full, node.place))
        part.place = node.place
        return part

    def _free(self, class_name: str, scope: Scope) -> str:
        number = scope.count
        while scope.prefix + f"{class_name}@{number}" in self._taken:
            number += 1
        return f"{class_name}@{number}"

    def _count(self, place: Place) -> None:
        self._made += 1
        if self._made > MAX_ELEMENTS:
            raise self._limit(place, "elements.many", f"the configuration has more than {MAX_ELEMENTS} elements")

    def _primitive(self, part: Part, class_name: str, config: Config | None, scope: Scope) -> None:
        part.class_name = class_name
        if config is not None:
            part.config = self._text(config, scope, part.place)
            part.offset = config.offset if part.config == config.text else None
        self._parts.append(part)

    def _unknown_class(self, name: str, place: Place) -> None:
        near = nearest(name)
        fix = f'did you mean "{near}"?' if near else "`skerry lvnf elements` lists the classes"
        self.fault(place, "class.unknown", f'there is no class "{name[:80]}"', fix)

    def _expand(self, part: Part, definition: Definition, config: Config | None, scope: Scope) -> None:
        if scope.depth >= MAX_DEPTH:
            raise self._limit(part.place, "nesting.deep", f"compounds are nested more than {MAX_DEPTH} deep")
        arguments = self._arguments(config, scope, part.place)
        found = definition.overload(arguments)
        if found is None:
            told = f'"{part.name}" does not take these {len(arguments)} arguments'
            self.fault(part.place, "compound.arguments", told, f"it takes {definition.forms()}")
            return
        if isinstance(found, str):
            part.entry = part.exit = part
            self._primitive(part, found, config, scope)
            return
        defined, overload, values = found
        inner = Scope(f"{part.name}/", defined.scope, defined.serial, scope.depth + 1)
        inner.variables = values
        inner.input, inner.output = part.entry, part.exit
        self._scope(overload.statements, inner)

    # Connections

    def _end(self, node: Node, part: Part, *, out: bool) -> End:
        """An end with the ports that it means: those written, all of a group, else port 0."""
        given = node.outputs if out else node.inputs
        if given is not None:
            return End(part, given, implied=False)
        if isinstance(node.type, Group):
            used = self._inputs.get(id(part.exit)) if out else self._outputs.get(id(part.entry))
            return End(part, tuple(sorted(used or ())), implied=False)
        return End(part, (0,), implied=True)

    def _all(self, left: list[End], right: list[End], place: Place) -> None:
        """`->`: every output to every input."""
        for source in left:
            for target in right:
                for output in source.ports:
                    for input in target.ports:
                        self._edge(Edge(source.part, output, target.part, input, place))

    def _matched(self, left: list[End], right: list[End], place: Place) -> tuple[list[End], list[End]]:
        """`=>`: one element without ports takes as many as the other side has; else both must have as many."""
        outputs, inputs = (sum(len(end.ports) for end in ends) for ends in (left, right))
        if len(left) == 1 and left[0].implied:
            return [End(left[0].part, tuple(range(inputs)), implied=True)], right
        if len(right) == 1 and right[0].implied:
            return left, [End(right[0].part, tuple(range(outputs)), implied=True)]
        if outputs != inputs:
            told = f'"=>" has {outputs} outputs on its left and {inputs} inputs on its right'
            self.fault(place, "connection.unequal", told, "name as many ports on both sides, or write ->")
        return left, right

    def _pairs(self, left: list[End], right: list[End], place: Place) -> None:
        starts = [(end.part, port) for end in left for port in end.ports]
        stops = [(end.part, port) for end in right for port in end.ports]
        for (source, output), (target, input) in zip(starts, stops, strict=False):
            self._edge(Edge(source, output, target, input, place))

    def _edge(self, edge: Edge) -> None:
        self._step(edge)
        if len(self._edges) >= MAX_CONNECTIONS:
            raise self._many(edge)
        self._edges.setdefault((id(edge.source), edge.output, id(edge.target), edge.input), edge)
        self._outputs.setdefault(id(edge.source), set()).add(edge.output)
        self._inputs.setdefault(id(edge.target), set()).add(edge.input)

    def _step(self, edge: Edge) -> None:
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise self._many(edge)

    def _many(self, edge: Edge) -> TooMuch:
        told = f"the configuration has more than {MAX_CONNECTIONS} connections"
        return self._limit(edge.place, "connections.many", told)

    def _through(self) -> Iterator[Edge]:
        """The connections between elements, tunnels passed through."""
        onward: dict[tuple[int, int], list[Edge]] = {}
        for edge in self._edges.values():
            onward.setdefault((id(edge.source.exit), edge.output), []).append(edge)
        if not self.faults:  # what follows from a missing element tells nothing
            self._tunnel_ports(onward)
        seen: set[tuple[int, int, int, int]] = set()
        for edge in self._edges.values():
            if edge.source.tunnel:
                continue
            for end in self._ends(edge, onward):
                key = (id(edge.source), edge.output, id(end.target), end.input)
                if key not in seen:
                    seen.add(key)
                    yield Edge(edge.source, edge.output, end.target, end.input, edge.place)
            if len(seen) > MAX_CONNECTIONS:
                raise self._many(edge)

    def _ends(self, edge: Edge, onward: dict[tuple[int, int], list[Edge]]) -> Iterator[Edge]:
        """The edges at whose ends elements stand, from an edge on."""
        waiting, seen = [edge], set[tuple[int, int]]()
        while waiting:
            current = waiting.pop()
            self._step(edge)
            if not current.target.tunnel:
                yield current
                continue
            key = (id(current.target.entry), current.input)
            if key not in seen:
                seen.add(key)
                waiting += reversed(onward.get(key, ()))

    def _tunnel_ports(self, onward: dict[tuple[int, int], list[Edge]]) -> None:
        """A port of a compound that is used from outside must be used inside."""
        inside = {(id(edge.target), edge.input) for edge in self._edges.values()}
        for edge in self._edges.values():
            into, out = edge.target, edge.source
            if into.entry is not into and (id(into.entry), edge.input) not in onward:
                self._no_port(edge, into, "input", edge.input)
            if out.exit is not out and (id(out.exit), edge.output) not in inside:
                self._no_port(edge, out, "output", edge.output)

    def _no_port(self, edge: Edge, part: Part, side: str, port: int) -> None:
        told = f'"{part.name}" has no {side} {port}: nothing inside is connected to {side} [{port}]'
        self.fault(edge.place, "compound.port", told, "connect it inside, or use another port")


def _declared(statements: Sequence[Statement]) -> Iterator[str]:
    """The names that statements declare, also those in groups."""
    for statement in statements:
        if not isinstance(statement, Chain):
            continue
        for nodes in statement.nodes:
            for node in nodes:
                if isinstance(node.type, Group):
                    yield from _declared(node.type.statements)
                elif node.type is not None and node.name:
                    yield node.name
