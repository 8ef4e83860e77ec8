"""The small language of Script's texts: substitution, quotes, handler calls, times and arithmetic."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from skerry.errors import InvalidError
from skerry.lvnf.elements.behaviour import boolean, spelled

LONGEST = 65536
"""Characters that a text may have; a script that doubles its own variables ends here."""

_WIDEST = 1024
_INTEGERS = 1 << 63
_NAME = re.compile(r"\w+|[?#]")
_TIME = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([a-z]*)\s*", re.IGNORECASE)
_UNITS = {
    "": 1.0,
    "s": 1.0,
    "sec": 1.0,
    "ms": 1e-3,
    "msec": 1e-3,
    "us": 1e-6,
    "usec": 1e-6,
    "ns": 1e-9,
    "nsec": 1e-9,
    "m": 60.0,
    "min": 60.0,
    "h": 3600.0,
    "hr": 3600.0,
}
_FORMAT = re.compile(r"%([-+ #0]*)(\d*|\*)(?:\.(\d*))?[hlLq]*([diouxXs%])")
_WORD = re.compile(r"""(?:[^\s"'\\]|\\.|"(?:[^"\\]|\\.)*"|'[^']*'|["'\\])+""", re.DOTALL)


def words(text: str) -> list[str]:
    """Words between spaces; quoted ones stay whole, with their quotes."""
    return _WORD.findall(text)


def first_word(text: str) -> tuple[str, str]:
    """The first word and what follows it."""
    match = _WORD.search(text)
    return (match.group(), text[match.end() :].strip()) if match else ("", "")


def unquoted(text: str) -> str:
    """The text without one layer of quotes."""
    parts: list[str] = []
    position, quote = 0, ""
    while position < len(text):
        mark = text[position]
        if mark == quote:
            quote = ""
        elif not quote and mark in "\"'":
            quote = mark
        elif mark == "\\" and quote == '"' and position + 1 < len(text):
            position += 1
            parts.append({"n": "\n", "t": "\t", "r": "\r"}.get(text[position], text[position]))
        else:
            parts.append(mark)
        position += 1
    return "".join(parts)


def seconds(text: str) -> float:
    """A time as Click writes it ("1.5", "20ms"). Errors: `InvalidError`."""
    match = _TIME.fullmatch(text)
    unit = _UNITS.get(match.group(2).lower()) if match else None
    if match is None or unit is None:
        raise InvalidError(
            f"cannot read {text[:40]!r} as a time", suggestion="write seconds, or a number with s, ms or us"
        )
    return float(match.group(1)) * unit


def expanded(
    text: str, variable: Callable[[str], str | None], call: Callable[[str], str | None], depth: int = 0
) -> str:
    """The text with `$name`, `${name}` and `$(handler arguments)` replaced; unknown ones stay. Nothing is replaced in single
    quotes. Errors: `InvalidError` when it becomes too long or is nested too deeply."""
    if depth > 16:
        raise InvalidError("cannot expand a text so deeply nested", suggestion="use variables for its parts")
    parts: list[str] = []
    position, doubled, length = 0, False, 0
    while position < len(text):
        mark = text[position]
        if mark == "\\":
            end, part = position + 2, text[position : position + 2]
        elif mark == "'" and not doubled:
            end = text.find("'", position + 1) + 1 or len(text)
            part = text[position:end]
        elif mark == "$":
            end, part = _reference(text, position, variable, call, depth)
        else:
            doubled ^= mark == '"'
            end, part = position + 1, mark
        parts.append(part)
        length += len(part)
        if length > LONGEST:
            raise InvalidError(f"cannot make a text of over {LONGEST} characters", suggestion="shorten the variables")
        position = end
    return "".join(parts)


def _reference(
    text: str, position: int, variable: Callable[[str], str | None], call: Callable[[str], str | None], depth: int
) -> tuple[int, str]:
    """Where the reference at `position` ends and what stands for it."""
    following = text[position + 1 : position + 2]
    value: str | None = None
    if following == "(":
        end = _closing(text, position + 2, "(", ")")
        value = call(expanded(text[position + 2 : end - 1], variable, call, depth + 1))
    elif following == "{":
        end = text.find("}", position) + 1 or len(text)
        value = variable(text[position + 2 : end - 1].partition("-")[0])
    else:
        match = _NAME.match(text, position + 1)
        end = match.end() if match else position + 1
        value = variable(match.group()) if match else None
    return end, text[position:end] if value is None else value


def _closing(text: str, position: int, opening: str, closing: str) -> int:
    depth = 1
    while position < len(text) and depth:
        depth += (text[position] == opening) - (text[position] == closing)
        position += 1
    return position


def number(text: str) -> int | float:
    """An integer (decimal, 0x) or a real number. Errors: `InvalidError`."""
    try:
        return int(text, 16) if text.lower().lstrip("-").startswith("0x") else int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        raise InvalidError(f"cannot calculate with {text[:40]!r}", suggestion="give numbers") from None


def _numbers(text: str) -> list[int | float]:
    found = [number(one) for one in words(text)]
    if not found:
        raise InvalidError("cannot calculate with nothing", suggestion="give numbers")
    return found


def _number_text(value: int | float) -> str:
    if isinstance(value, float):
        return f"{value:.12g}"
    if not -_INTEGERS <= value < _INTEGERS:
        raise InvalidError("cannot calculate with integers of over 64 bits", suggestion="use smaller numbers")
    return str(value)


def _fold(operation: Callable[[int | float, int | float], int | float]) -> Callable[[str], str]:
    def calculate(text: str) -> str:
        total, *others = _numbers(text)
        for one in others:
            try:
                total = operation(total, one)
            except (ZeroDivisionError, OverflowError) as error:
                raise InvalidError(f"cannot calculate {text[:40]!r}", suggestion="do not divide by zero") from error
            if isinstance(total, int):
                _number_text(total)
        return _number_text(total)

    return calculate


def _compare(accept: Callable[[int], bool]) -> Callable[[str], str]:
    def compare(text: str) -> str:
        pair = words(text)
        if len(pair) != 2:
            raise InvalidError(f"cannot compare {text[:40]!r}", suggestion="give two values")
        left, right = unquoted(pair[0]), unquoted(pair[1])
        try:
            one, other = number(left), number(right)
            order = (one > other) - (one < other)
        except InvalidError:
            order = (left > right) - (left < right)
        return spelled(accept(order))

    return compare


def _sprintf(text: str) -> str:
    template, *rest = [unquoted(one) for one in words(text)] or [""]
    values = iter(rest)

    def following() -> str:
        try:
            return next(values)
        except StopIteration:
            raise InvalidError("cannot format: too few values", suggestion="give one for each %") from None

    def replace(match: re.Match[str]) -> str:
        flags, width, precision, conversion = match.groups()
        if conversion == "%":
            return "%"
        wide = following() if width == "*" else width
        if int(number(wide or "0")) > _WIDEST or int(precision or 0) > _WIDEST:
            raise InvalidError("cannot format so wide a field", suggestion=f"at most {_WIDEST} characters")
        word = following()
        value = word if conversion == "s" else int(number(word))
        point = "" if precision is None else f".{precision}"
        return f"%{flags}{wide}{point}{'d' if conversion in 'iu' else conversion}" % value

    return _FORMAT.sub(replace, template)


def _modulo(one: int | float, other: int | float) -> int | float:
    remainder = abs(one) % abs(other)
    return remainder if one >= 0 else -remainder


def _choose(text: str) -> str:
    parts = words(text)
    if not 2 <= len(parts) <= 3:
        raise InvalidError(f"cannot choose by {text[:40]!r}", suggestion="give a truth value and one or two texts")
    return parts[1] if boolean(parts[0]) else "".join(parts[2:])


ARITHMETIC: Mapping[str, Callable[[str], str]] = {
    "add": _fold(lambda one, other: one + other),
    "sub": _fold(lambda one, other: one - other),
    "mul": _fold(lambda one, other: one * other),
    "div": _fold(lambda one, other: float(one) / float(other)),
    "idiv": _fold(lambda one, other: int(one // other) if (one < 0) == (other < 0) else -int(-one // other)),
    "mod": _fold(_modulo),
    "min": _fold(min),
    "max": _fold(max),
    "eq": _compare(lambda order: order == 0),
    "ne": _compare(lambda order: order != 0),
    "lt": _compare(lambda order: order < 0),
    "gt": _compare(lambda order: order > 0),
    "le": _compare(lambda order: order <= 0),
    "ge": _compare(lambda order: order >= 0),
    "not": lambda text: spelled(not boolean(text)),
    "and": lambda text: spelled(all(boolean(one) for one in words(text))),
    "or": lambda text: spelled(any(boolean(one) for one in words(text))),
    "if": _choose,
    "first": lambda text: first_word(text)[0],
    "sprintf": _sprintf,
}
"""Click's handlers of Script that calculate, each from its argument."""
