"""A hook of mkdocs: links to files of the repository outside `docs/`, which work where it is browsed, become plain text."""

from __future__ import annotations

import re
from typing import Any

_OUTSIDE = re.compile(r"\[([^\]]+)\]\((?:\.\./)+(?:tests|src|tools|examples|benchmarks)/[^)]*\)")


def on_page_markdown(markdown: str, **_context: Any) -> str:
    """Called for each page before it is rendered."""
    return _OUTSIDE.sub(r"`\1`", markdown)
