"""The Click configuration language: text -> syntax tree, with every fault of syntax at once. Pure.

Statements: declarations, chains of connections, elementclass, require, define. A compound has overloads, each with formal
arguments and statements of its own; an element group is a compound without a scope. Names are resolved later (`flattening`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from skerry.errors import Fault
from skerry.lvnf.lexing import END, NAME, VARIABLE, Lexer, Place, Source, SyntaxFault

MAX_TEXT = 256 * 1024
MAX_DEPTH = 32
MAX_PORT = 1023
MAX_FAULTS = 64

_THEN_VARIABLE = re.compile(r"\s+\$")


class Config(msgspec.Struct, frozen=True):
    """The raw text in parentheses and the offset of its first character."""

    text: str = ""
    offset: int = 0


class Formal(msgspec.Struct, frozen=True):
    """A formal argument of a compound: `$variable`, with the keyword before it, "__REST__" for all others."""

    variable: str
    keyword: str = ""


class Overload(msgspec.Struct, frozen=True):
    """One definition of a compound."""

    formals: tuple[Formal, ...]
    statements: tuple[Statement, ...]


class Compound(msgspec.Struct, frozen=True):
    """A compound element: its overloads; `extends`: then those of the class of the same name before it."""

    overloads: tuple[Overload, ...]
    extends: bool = False
    place: Place = Place()


class Group(msgspec.Struct, frozen=True):
    """An element group `( ... )`."""

    statements: tuple[Statement, ...]


class Node(msgspec.Struct, frozen=True):
    """One end of connections. `name` alone is an element or a class; with `type` a declaration; `type` alone is anonymous. All
    empty: the input or output that is meant by leaving it out. Ports are None where not written."""

    place: Place
    name: str = ""
    type: str | Compound | Group | None = None
    config: Config | None = None
    inputs: tuple[int, ...] | None = None
    outputs: tuple[int, ...] | None = None


class Chain(msgspec.Struct, frozen=True, tag=True):
    """Lists of nodes and the arrows between them."""

    nodes: tuple[tuple[Node, ...], ...]
    arrows: tuple[str, ...] = ()


class ElementClass(msgspec.Struct, frozen=True, tag=True):
    """Names a compound, or a second name of a class."""

    place: Place
    name: str
    meaning: Compound | str


class Require(msgspec.Struct, frozen=True, tag=True):
    """What the configuration needs."""

    place: Place
    config: Config


class Define(msgspec.Struct, frozen=True, tag=True):
    """Values of variables."""

    place: Place
    config: Config


Statement = Chain | ElementClass | Require | Define


class Parsed(msgspec.Struct, frozen=True):
    """Statements and the faults of syntax; what stands after a fault is read from the next statement on."""

    statements: tuple[Statement, ...]
    faults: tuple[Fault, ...]


def parse(source: Source) -> Parsed:
    """The syntax tree of a text of at most `MAX_TEXT` characters."""
    parser = _Parser(Lexer(source))
    statements = parser.statements(())
    faults = sorted([*parser.faults, *parser.lexer.bad], key=lambda fault: (fault.line, fault.column))
    return Parsed(statements, tuple(faults[:MAX_FAULTS]))


class _Parser:
    def __init__(self, lexer: Lexer) -> None:
        self.lexer = lexer
        self.faults: list[Fault] = []
        self._depth = 0

    def statements(self, ends: Sequence[str]) -> tuple[Statement, ...]:
        """Statements up to one of the marks that end them, or the end of the text."""
        found: list[Statement] = []
        while self._kind() not in (END, *ends):
            before = self.lexer.token
            try:
                found += self._statement()
            except SyntaxFault as fault:
                self._record(fault.fault)
                self._skip(ends)
            if self.lexer.token is before:
                self._stray()
        return tuple(found)

    def _kind(self) -> str:
        return self.lexer.token.kind

    def _record(self, fault: Fault) -> None:
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(fault)

    def _stray(self) -> None:
        token = self.lexer.advance()
        fault = self.lexer.fault("token.stray", f'"{token.text}" cannot stand here', "remove it", token)
        self._record(fault.fault)

    def _skip(self, ends: Sequence[str]) -> None:
        """To the next statement: behind the semicolon, or to what closes the compound around."""
        depth = 0
        while self._kind() != END:
            if depth == 0 and self._kind() in (";", *ends):
                return
            depth += {"{": 1, "}": -1}.get(self._kind(), 0)
            if depth < 0:
                return
            self.lexer.advance()

    def _statement(self) -> list[Statement]:
        token = self.lexer.token
        if token.kind == ";":
            self.lexer.advance()
            return []
        keyword = token.text if token.kind == NAME else ""
        if keyword == "elementclass":
            return [self._element_class()]
        if keyword in ("require", "define", "provide"):
            return self._directive(keyword)
        return [self._chain()]

    def _directive(self, keyword: str) -> list[Statement]:
        place = self.lexer.place()
        self.lexer.advance()
        if self._kind() != "(":
            raise self.lexer.fault("directive.bare", f"{keyword} needs arguments", f"write {keyword}(...)")
        config = Config(*self.lexer.config())
        made: dict[str, list[Statement]] = {"require": [Require(place, config)], "define": [Define(place, config)]}
        return made.get(keyword, [])

    def _element_class(self) -> Statement:
        self.lexer.advance()
        place = self.lexer.place()
        name = self._name("the name of the class")
        if self._kind() == "{":
            return ElementClass(place, name, self._compound())
        return ElementClass(place, name, self._name("a compound in braces or the name of a class"))

    def _name(self, wanted: str) -> str:
        token = self.lexer.token
        if token.kind != NAME:
            what = f'"{token.text}"' if token.text else "the end of the text"
            raise self.lexer.fault("name.missing", f"{what} stands where {wanted} must be", f"write {wanted}")
        return self.lexer.advance().text

    def _compound(self) -> Compound:
        opening = self.lexer.token
        self._deeper()
        self.lexer.advance()
        overloads: list[Overload] = []
        extends = False
        while True:
            if self._kind() == "...":
                self.lexer.advance()
                extends = True
            else:
                overloads.append(Overload(self._formals(), self.statements(("}", "||"))))
            if self._kind() != "||" or extends:
                break
            self.lexer.advance()
        if self._kind() != "}":
            self._record(
                self.lexer.fault("brace.open", "this compound is not closed", 'close it with "}"', opening).fault
            )
        else:
            self.lexer.advance()
        self._depth -= 1
        return Compound(tuple(overloads), extends, self.lexer.place(opening))

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            fault = self.lexer.fault(
                "nesting.deep", f"compounds are nested more than {MAX_DEPTH} deep", "name inner ones with elementclass"
            )
            self._depth = 0
            while self._kind() != END:
                self.lexer.advance()
            raise fault

    def _formals(self) -> tuple[Formal, ...]:
        """`$a, KEY $b |`; nothing where the statements begin at once."""
        if not (self._kind() == VARIABLE or self._keyword_formal() or self._kind() == "|"):
            return ()
        found: list[Formal] = []
        while self._kind() != "|":
            keyword = self.lexer.advance().text if self._kind() == NAME else ""
            if self._kind() != VARIABLE:
                raise self.lexer.fault("formal.bad", "formal arguments are variables", "write { $a, KEY $b | ... }")
            found.append(Formal(self.lexer.advance().text, keyword))
            if self._kind() == ",":
                self.lexer.advance()
            elif self._kind() != "|":
                raise self.lexer.fault("formal.end", "formal arguments end with a bar", "write { $a, $b | ... }")
        self.lexer.advance()
        self._check_formals(found)
        return tuple(found)

    def _keyword_formal(self) -> bool:
        """Whether a word and a variable come next: no statement begins so."""
        if self._kind() != NAME:
            return False
        end = self.lexer.token.offset + len(self.lexer.token.text)
        return bool(_THEN_VARIABLE.match(self.lexer.source.text, end))

    def _check_formals(self, formals: Sequence[Formal]) -> None:
        names = [formal.variable for formal in formals]
        for name in sorted({name for name in names if names.count(name) > 1}):
            self._record(self.lexer.fault("formal.twice", f"the argument ${name} is there twice", "rename one").fault)
        keywords = [bool(formal.keyword) for formal in formals]
        if keywords != sorted(keywords) or any(formal.keyword == "__REST__" for formal in formals[:-1]):
            told = "arguments by place come first, then those by keyword, __REST__ last"
            self._record(self.lexer.fault("formal.order", told, "change their order").fault)

    def _chain(self) -> Chain:
        nodes = [self._nodes(first=True)]
        arrows: list[str] = []
        while self._kind() in ("->", "=>"):
            arrows.append(self.lexer.advance().text)
            nodes.append(self._nodes(first=False))
        if not arrows:
            return Chain((self._declared_together(nodes[0]),))
        return Chain(tuple(nodes), tuple(arrows))

    def _declared_together(self, nodes: tuple[Node, ...]) -> tuple[Node, ...]:
        """`a, b :: Class` without an arrow declares both."""
        last = nodes[-1]
        if len(nodes) == 1 or not (last.name and last.type is not None):
            return nodes
        bare = [node.type is None and node.config is None and bool(node.name) for node in nodes[:-1]]
        if not all(bare):
            return nodes
        return tuple(msgspec.structs.replace(node, type=last.type, config=last.config) for node in nodes)

    def _nodes(self, *, first: bool) -> tuple[Node, ...]:
        found = [self._node(first=first)]
        while self._kind() == ",":
            self.lexer.advance()
            found.append(self._node(first=first))
        return tuple(found)

    def _node(self, *, first: bool) -> Node:
        place = self.lexer.place()
        inputs = self._ports()
        if self._kind() == "(":
            return Node(place, type=self._group(), inputs=inputs, outputs=self._ports())
        if self._kind() == "{":
            compound = self._compound()
            return Node(place, type=compound, config=self._config(), inputs=inputs, outputs=self._ports())
        if self._kind() == NAME:
            return self._named(place, inputs)
        if first and self._kind() in ("->", "=>", ","):
            return Node(place, outputs=inputs)
        if not first and self._kind() in (";", "}", ")", "||", END, "->", "=>", ","):
            return Node(place, inputs=inputs)
        what = self.lexer.token.text
        raise self.lexer.fault(
            "element.missing", f'"{what}" stands where an element must be', "write an element's name"
        )

    def _named(self, place: Place, inputs: tuple[int, ...] | None) -> Node:
        name = self.lexer.advance().text
        if self._kind() == "::":
            self.lexer.advance()
            type = self._compound() if self._kind() == "{" else self._name("the class of the element")
            return Node(place, name, type, self._config(), inputs, self._ports())
        if self._kind() == "(":
            return Node(place, "", name, self._config(), inputs, self._ports())
        return Node(place, name, None, None, inputs, self._ports())

    def _config(self) -> Config | None:
        return Config(*self.lexer.config()) if self._kind() == "(" else None

    def _group(self) -> Group:
        opening = self.lexer.token
        self._deeper()
        self.lexer.advance()
        statements = self.statements((")",))
        if self._kind() != ")":
            raise self.lexer.fault("group.open", "this group is not closed", 'close it with ")"', opening)
        self.lexer.advance()
        self._depth -= 1
        return Group(statements)

    def _ports(self) -> tuple[int, ...] | None:
        """`[1]`, `[0, 1]`; None where nothing is written."""
        if self._kind() != "[":
            return None
        self.lexer.advance()
        found: list[int] = []
        while self._kind() != "]":
            found.append(self._port())
            if self._kind() == ",":
                self.lexer.advance()
            elif self._kind() != "]":
                raise self.lexer.fault("port.end", "the ports are not closed", 'write "[0]" or "[0, 1]"')
        if not found:
            raise self.lexer.fault("port.none", "no port is named", 'write "[0]" or "[0, 1]"')
        self.lexer.advance()
        return tuple(found)

    def _port(self) -> int:
        token = self.lexer.token
        if token.kind != NAME or not (token.text.isascii() and token.text.isdigit()) or len(token.text) > 4:
            raise self.lexer.fault("port.bad", "a port is a number", f"write a number from 0 to {MAX_PORT}")
        self.lexer.advance()
        number = int(token.text)
        if number > MAX_PORT:
            raise self.lexer.fault(
                "port.large", f"port {number} is too large", f"write a number from 0 to {MAX_PORT}", token
            )
        return number
