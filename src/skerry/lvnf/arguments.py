"""Configuration texts: variables put in, comments out, split at commas, quotes resolved. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

_PIECE = re.compile(
    r"(?P<comment>//[^\n]*|/\*.*?(?:\*/|\Z))|(?P<hex>\\<[^>]*>?)|(?P<escape>\\.)"
    r"|(?P<double>\"(?:\\.|[^\"\\])*\"?)|(?P<single>'[^']*'?)|(?P<open>[(\[{])|(?P<close>[)\]}])|(?P<comma>,)",
    re.DOTALL,
)
_VARIABLE = re.compile(
    r"(?P<keep>'[^']*'?|\\.)|\$(?P<bare>[A-Za-z_0-9]+)|\$\{(?P<name>[A-Za-z_0-9]+)(?:-(?P<default>[^{}]*))?\}",
    re.DOTALL,
)
_QUOTED = re.compile(
    r"\"(?P<double>(?:\\.|[^\"\\])*)\"|'(?P<single>[^']*)'|(?P<hex>\\<[^>]*>?)|\\(?P<escape>.)", re.DOTALL
)
_ESCAPED = re.compile(r"\\(?:(?P<octal>[0-7]{1,3})|x(?P<hex>[0-9A-Fa-f]+)|<(?P<data>[^>]*)>|(?P<char>.))", re.DOTALL)
_CHARACTERS = {"a": "\a", "b": "\b", "t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r", "\n": ""}


class Argument(msgspec.Struct, frozen=True):
    """One argument as written, without comments and blanks around it, and where it begins in the configuration."""

    text: str
    offset: int = 0


def split(config: str) -> list[Argument]:
    """The arguments; commas in quotes, parentheses, brackets and braces do not split. An empty text has none."""
    found: list[Argument] = []
    depth, start, pieces, last = 0, 0, [], 0
    for piece in _PIECE.finditer(config):
        kind = piece.lastgroup
        if kind == "comment":
            pieces.append(config[last : piece.start()] + " ")
            last = piece.end()
        elif kind == "comma" and depth == 0:
            pieces.append(config[last : piece.start()])
            found.append(_argument(config, start, "".join(pieces)))
            start = last = piece.end()
            pieces = []
        else:
            depth = max(0, depth + {"open": 1, "close": -1}.get(kind or "", 0))
    pieces.append(config[last:])
    found.append(_argument(config, start, "".join(pieces)))
    if len(found) > 1 and not found[-1].text:
        found.pop()
    return [] if len(found) == 1 and not found[0].text else found


def _argument(config: str, start: int, text: str) -> Argument:
    kept = text.strip()
    at = config.find(kept[:1], start) if kept else start
    return Argument(kept, at if at >= 0 else start)


def substituted(config: str, value: Callable[[str], str | None], limit: int) -> str:
    """Variables replaced by their values, not in single quotes; what has none stays as it is (scripts have their own).
    `OverflowError` when what is put in is longer than the limit."""
    length = 0

    def put(found: re.Match[str]) -> str:
        nonlocal length
        if found["keep"] is not None:
            return found.group()
        known = value(found["bare"] or found["name"])
        if known is None:
            known = found["default"] if found["default"] is not None else found.group()
        length += len(known)
        if length > limit:
            raise OverflowError
        return known

    return _VARIABLE.sub(put, config) if "$" in config else config


def unquoted(text: str) -> str:
    """A string as it is meant: quotes taken away, escapes in double quotes resolved."""

    def plain(found: re.Match[str]) -> str:
        if found["double"] is not None:
            return _ESCAPED.sub(_character, found["double"])
        if found["single"] is not None:
            return found["single"]
        return _data(found["hex"][2:].rstrip(">")) if found["hex"] is not None else found["escape"]

    return _QUOTED.sub(plain, text)


def _character(found: re.Match[str]) -> str:
    if found["octal"] is not None:
        return chr(int(found["octal"], 8) & 0xFF)
    if found["hex"] is not None:
        return chr(int(found["hex"][-2:], 16))
    if found["data"] is not None:
        return _data(found["data"])
    return _CHARACTERS.get(found["char"], found["char"])


def _data(digits: str) -> str:
    """Bytes in hex as characters; what is no hex stays."""
    joined = "".join(digits.split())
    try:
        return bytes.fromhex(joined).decode("latin-1")
    except ValueError:
        return digits


def words(text: str) -> list[str]:
    """The words of an argument, quotes resolved; a quoted text is (part of) one word."""
    found = re.findall(r"(?:\"(?:\\.|[^\"\\])*\"|'[^']*'|\\<[^>]*>?|\\.|[^\s\"'\\]|[\"'\\])+", text, re.DOTALL)
    return [unquoted(word) for word in found]
