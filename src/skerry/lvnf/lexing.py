"""Tokens of the Click configuration language, with their places. Pure.

A configuration in parentheses is not tokens: the parser asks for it as raw text, up to the parenthesis that closes it.
"""

from __future__ import annotations

import bisect
import re

import msgspec

from skerry.errors import Fault

NAME = "name"
VARIABLE = "variable"
END = "end"

_BLANK = re.compile(r"(?:[ \t\r\n\f\v]+|//[^\n]*|/\*.*?\*/|(?m:^)\#[^\n]*)+", re.DOTALL)
_TOKEN = re.compile(
    r"(?P<mark>->|=>|::|\|\||\.\.\.|[;,()\[\]{}|])"
    r"|(?P<name>[A-Za-z0-9_@](?:[A-Za-z0-9_@]|/(?![/*]))*)"
    r"|\$(?P<variable>[A-Za-z0-9_]+)"
)
# What is not closed goes on to the end: a hostile text is read once, not once for each opening.
_IN_CONFIG = re.compile(r"//[^\n]*|/\*.*?(?:\*/|\Z)|\\<[^>]*>?|\\.|\"(?:\\.|[^\"\\])*\"?|'[^']*'?|[()]", re.DOTALL)


class Place(msgspec.Struct, frozen=True, order=True):
    """A line and a column, both from 1; zeros: nowhere."""

    line: int = 0
    column: int = 0


class Token(msgspec.Struct, frozen=True):
    """A token: `kind` is the mark itself, NAME, VARIABLE or END."""

    kind: str
    text: str
    offset: int


class SyntaxFault(Exception):  # noqa: N818  # it carries a fault from where it is found to where it is collected
    """The text breaks off here; the parser goes on at the next statement."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


class Source:
    """A text and where its lines begin."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._starts = [0, *(found.end() for found in re.finditer("\n", text))]

    def place(self, offset: int) -> Place:
        """Line and column of an offset."""
        line = bisect.bisect_right(self._starts, offset)
        return Place(line, offset - self._starts[line - 1] + 1)


class Lexer:
    """Reads tokens one after the other; `token` is the next one."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._at = 0
        self.bad: list[Fault] = []
        self.token = self._read()

    def advance(self) -> Token:
        """The next token, and go on behind it."""
        token = self.token
        self.token = self._read()
        return token

    def place(self, token: Token | None = None) -> Place:
        """Where a token (the next one) stands."""
        return self.source.place((token or self.token).offset)

    def config(self) -> tuple[str, int]:
        """The raw text of the configuration whose "(" is the next token, and the offset at which it begins."""
        start = self.token.offset + 1
        depth = 1
        for found in _IN_CONFIG.finditer(self.source.text, start):
            depth += {"(": 1, ")": -1}.get(found.group(), 0)
            if not depth:
                self._at = found.end()
                self.token = self._read()
                return self.source.text[start : found.start()], start
        fault = self.fault(
            "parenthesis.open", 'this configuration has no closing ")"', 'close it with ")"; quotes hide parentheses'
        )
        self._at = len(self.source.text)
        self.token = self._read()
        raise fault

    def fault(self, code: str, message: str, fix: str, token: Token | None = None) -> SyntaxFault:
        """A fault at a token (the next one)."""
        place = self.place(token)
        return SyntaxFault(Fault(code=code, message=message, fix=fix, line=place.line, column=place.column))

    def _read(self) -> Token:
        while True:
            blank = _BLANK.match(self.source.text, self._at)
            self._at = blank.end() if blank else self._at
            if self._at >= len(self.source.text):
                return Token(END, "", len(self.source.text))
            found = _TOKEN.match(self.source.text, self._at)
            if found:
                break
            self._strange()
        start, self._at = self._at, found.end()
        kind = found.lastgroup or ""
        text = found.group(kind)
        return Token(text if kind == "mark" else kind, text, start)

    def _strange(self) -> None:
        """A character that begins no token: told once for a run of the same, and passed over."""
        text = self.source.text
        first, start = text[self._at], self._at
        if text.startswith("/*", start):
            self._at = len(text)
            message, fix = "this comment does not end", 'end it with "*/"'
        else:
            while self._at < len(text) and text[self._at] == first:
                self._at += 1
            message, fix = f"the character {first!r} has no meaning here", "remove it, or put it into a configuration"
        place = self.source.place(start)
        self.bad.append(Fault(code="character.strange", message=message, fix=fix, line=place.line, column=place.column))
