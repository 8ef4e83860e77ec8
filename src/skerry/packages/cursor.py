"""A value of a descriptor together with its place, read as what it should be.

Each reader method gives the value in the model's unit and records a fault, with line and column, when it cannot. A
function that nobody can answer before run time counts as absent where a plain value is needed: silently for
`get_input` (the request will bring it), with a fault for the others.
"""

from __future__ import annotations

import re
from typing import Any

from skerry.packages.functions import evaluate, is_function, references, text_of
from skerry.packages.report import PathParts, Report

_SCALAR = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)\s*([A-Za-zµ]*)\s*")
_SIZES = {
    "": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
}  # fmt: skip
_TIMES = {"": 1.0, "d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_TRUE = {"true", "yes", "on", "y", "1"}
_FALSE = {"false", "no", "off", "n", "0"}


class Cursor:
    """One value. `exists` is false for what is not given (or null)."""

    __slots__ = ("file", "path", "report", "value")

    def __init__(self, value: Any, file: str, path: PathParts, report: Report) -> None:
        self.value = value
        self.file = file
        self.path = path
        self.report = report

    @property
    def exists(self) -> bool:
        return self.value is not None

    def at(self, *keys: str) -> Cursor:
        """The value below; one that does not exist if there is none."""
        here = self
        for key in keys:
            below = here.value.get(key) if isinstance(here.value, dict) and not is_function(here.value) else None
            if below is None and here.exists and not isinstance(here.value, dict):
                here.wrong("a map")
            here = Cursor(below, here.file, (*here.path, key), here.report)
        return here

    def error(self, code: str, message: str, fix: str = "") -> None:
        """Record an error at this place."""
        self.report.error(code, message, file=self.file, path=self.path, fix=fix)

    def warning(self, code: str, message: str, fix: str = "") -> None:
        """Record a warning at this place."""
        self.report.warning(code, message, file=self.file, path=self.path, fix=fix)

    def wrong(self, wanted: str) -> None:
        """Record that the value is not what it should be."""
        name = self.path[-1] if self.path else "value"
        self.error("wrong-type", f"cannot read {name} {_short(self.value)} as {wanted}", f"write {wanted}")

    def known(self) -> bool:
        """Whether there is a plain value here; a function of run time other than `get_input` is a fault."""
        if not self.exists:
            return False
        if not is_function(self.value):
            return True
        if any(name != "get_input" for name, _ in references(self.value)) or not references(self.value):
            self.error(
                "runtime-function",
                f"cannot use a function of run time for {self.path[-1]}",
                "write a plain value or get_input",
            )
        return False

    def text(self, default: str = "") -> str:
        if not self.known():
            return default
        if isinstance(self.value, dict | list):
            self.wrong("a string")
            return default
        return text_of(self.value)

    def required_text(self, what: str) -> str:
        found = self.text()
        if not found and not (self.exists and is_function(self.value)):
            self.error("missing-property", f"cannot do without {what}", f"add `{self.path[-1]}:` with a value")
        return found

    def integer(self, default: int = 0, minimum: int = 0) -> int:
        if not self.known():
            return default
        number = _number(self.value)
        if number is None or number != int(number) or number < minimum:
            self.wrong(f"a whole number from {minimum}")
            return default
        return int(number)

    def number(self, default: float = 0.0) -> float:
        if not self.known():
            return default
        number = _number(self.value)
        if number is None or number < 0:
            self.wrong("a number")
            return default
        return number

    def flag(self, *, default: bool = False) -> bool:
        if not self.known():
            return default
        word = text_of(self.value).lower() if not isinstance(self.value, dict | list) else ""
        if word not in _TRUE | _FALSE:
            self.wrong("true or false")
            return default
        return word in _TRUE

    def size(self) -> int:
        """A scalar-unit.size in bytes."""
        return int(self._scalar(_SIZES, "a size such as `512 MiB`"))

    def seconds(self, default: float = 0.0) -> float:
        """A scalar-unit.time in seconds."""
        return self._scalar(_TIMES, "a time such as `10 s`") if self.exists else default

    def _scalar(self, units: Any, wanted: str) -> float:
        if not self.known():
            return 0.0
        match = _SCALAR.fullmatch(text_of(self.value)) if not isinstance(self.value, dict | list) else None
        unit = units.get(match[2].lower()) if match else None
        if match is None or unit is None or len(match[1]) > 30:
            self.wrong(wanted)
            return 0.0
        amount = float(match[1]) * float(unit)
        if amount > 2**62:
            self.wrong(wanted)
            return 0.0
        return amount

    def entries(self) -> dict[str, Cursor]:
        """A map's values by key."""
        if not self.known():
            return {}
        if not isinstance(self.value, dict):
            self.wrong("a map")
            return {}
        return {key: Cursor(item, self.file, (*self.path, key), self.report) for key, item in self.value.items()}

    def items(self) -> list[Cursor]:
        """A list's items; a single value counts as a list of one."""
        if not self.known():
            return []
        if not isinstance(self.value, list):
            if isinstance(self.value, dict):
                self.wrong("a list")
                return []
            return [self]
        return [Cursor(item, self.file, (*self.path, index), self.report) for index, item in enumerate(self.value)]

    def texts(self) -> tuple[str, ...]:
        return tuple(text for text in (item.text() for item in self.items()) if text)

    def named(self) -> dict[str, Cursor]:
        """A map, or a list of maps with one key each, or a list of maps with `name` (older releases): values by name."""
        if not isinstance(self.value, list):
            return self.entries()
        found: dict[str, Cursor] = {}
        for index, item in enumerate(self.items()):
            entries = item.entries()
            if len(entries) == 1:
                found |= entries
            elif entries:
                found[item.at("name").text() or str(index)] = item
        return found

    def resolved(self, lookup: Any) -> Cursor:
        """The same place with the functions answered that can be."""
        return Cursor(evaluate(self.value, lookup), self.file, self.path, self.report)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if abs(number) < 2**62 else None


def _short(value: Any) -> str:
    text = "(a map)" if isinstance(value, dict) else "(a list)" if isinstance(value, list) else repr(text_of(value))
    return text if len(text) < 60 else text[:57] + "...'"
