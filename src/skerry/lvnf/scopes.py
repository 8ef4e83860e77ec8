"""What names mean while a configuration is expanded: elements, classes and variables of one instance of a compound. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from skerry.lvnf.arguments import Argument
from skerry.lvnf.catalogue import KINDS
from skerry.lvnf.language import Compound, Config, Overload
from skerry.lvnf.lexing import Place


class Part:
    """An element of the flat graph, a compound, a group, or a tunnel (a compound's or group's input or output)."""

    def __init__(self, name: str, place: Place) -> None:
        self.name = name
        self.place = place
        self.class_name = ""
        self.config = ""
        self.offset: int | None = None
        self.entry: Part = self
        self.exit: Part = self

    @property
    def tunnel(self) -> bool:
        """No element: connections pass through."""
        return not self.class_name


class Definition:
    """A compound where it was written: what it sees, and what its name meant before."""

    def __init__(self, compound: Compound, scope: Scope, before: Definition | str | None) -> None:
        self.compound = compound
        self.scope = scope
        self.serial = scope.serial
        self.before = before

    def overload(self, arguments: Sequence[Argument]) -> tuple[Definition, Overload, dict[str, str]] | str | None:
        """The first overload that takes the arguments, or the class of the catalogue that "..." leads to."""
        current: Definition | str | None = self
        while isinstance(current, Definition):
            for overload in current.compound.overloads:
                values = bound(overload, arguments)
                if values is not None:
                    return current, overload, values
            current = current.before if current.compound.extends else None
        return current

    def forms(self) -> str:
        """The arguments that it takes, for people."""
        forms = [", ".join(f"{f.keyword} ${f.variable}".strip() for f in o.formals) for o in self.compound.overloads]
        return " or ".join(f"({form})" if form else "no arguments" for form in forms[:4])


class Scope:
    """Names, classes and variables of one instance of a compound, or of the whole text."""

    def __init__(self, prefix: str, parent: Scope | None = None, serial: int = 0, depth: int = 0) -> None:
        self.prefix = prefix
        self.parent = parent
        self.parent_serial = serial
        self.depth = depth
        self.serial = 0
        self.variables: dict[str, str] = {}
        self.names: dict[str, Part] = {}
        self.declared: set[str] = set()
        self.waiting: list[tuple[Part, Definition, Config | None]] = []
        self.input: Part | None = None
        self.output: Part | None = None
        self.count = 0
        self.classes: dict[str, list[tuple[int, Definition | str]]] = {}

    def define(self, name: str, meaning: Definition | str) -> None:
        """From here on a class name means this."""
        self.serial += 1
        self.classes.setdefault(name, []).append((self.serial, meaning))

    def meaning(self, name: str) -> Definition | str | None:
        """What a class name means now: a definition or a class of the catalogue; None: nothing. A class of a scope around
        counts if it was there when this compound was written."""
        scope: Scope | None = self
        at = self.serial
        while scope is not None:
            for number, found in reversed(scope.classes.get(name, ())):
                if number <= at:
                    return found
            at, scope = scope.parent_serial, scope.parent
        return name if name in KINDS else None

    def value(self, name: str) -> str | None:
        """The value of a variable."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.variables:
                return scope.variables[name]
            scope = scope.parent
        return None


def bound(overload: Overload, arguments: Sequence[Argument]) -> dict[str, str] | None:
    """The values of the formal arguments; None where the arguments do not fit."""
    keywords = {formal.keyword: formal.variable for formal in overload.formals if formal.keyword}
    rest = keywords.pop("__REST__", None)
    placed = [formal.variable for formal in overload.formals if not formal.keyword]
    values: dict[str, str] = {}
    by_place: list[str] = []
    for argument in arguments:
        head, _, tail = argument.text.partition(" ")
        if head in keywords:
            values[keywords[head]] = tail.strip()
        else:
            by_place.append(argument.text)
    values |= dict(zip(placed, by_place, strict=False))
    left = by_place[len(placed) :]
    if len(values) < len(placed) + len(keywords) or (left and rest is None):
        return None
    if rest is not None:
        values[rest] = ", ".join(left)
    return values
