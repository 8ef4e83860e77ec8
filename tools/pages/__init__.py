"""Pages of the documentation that are made from the code: a module per page, each a function that returns its text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

NOTICE = "<!-- Generated from the code by `make reference`. Do not edit. -->"


def page(title: str, introduction: str, *parts: str) -> str:
    """A page: title, notice, introduction, parts."""
    return "\n\n".join([f"# {title}", NOTICE, introduction.strip(), *(part.strip() for part in parts)]) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; bars and line ends inside cells are made harmless."""
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [f"| {' | '.join(cell(one) for one in row)} |" for row in rows]
    return "\n".join(lines)


def cell(text: str) -> str:
    """A text as one cell."""
    return " ".join(text.replace("|", "\\|").split())


def code(text: str) -> str:
    """A text as code; nothing for nothing."""
    return f"`{text}`" if text else ""


def prose(text: str | None) -> str:
    """A docstring's text on one line."""
    return " ".join((text or "").split())


def paragraph(text: str | None) -> str:
    """The first paragraph of a docstring, on one line."""
    return prose((text or "").strip().split("\n\n")[0])
