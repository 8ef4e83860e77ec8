"""The reference page of the elements of micro network functions, from their catalogue."""

from __future__ import annotations

import inspect

from skerry.lvnf.catalogue import KINDS, ElementKind
from skerry.lvnf.reading import signature
from tools.pages import code, page, prose, table

INTRODUCTION = """\
A micro network function is a configuration in the Click language: elements that hand packets on. `skerry lvnf check FILE`
checks one, `skerry lvnf elements` prints this list.

*Ports* are inputs/outputs. *Moves* has a letter for each of them: `h` push, `l` pull, `a` as what it is connected to; the
last letter stands for all further ones. Handlers can be read (`r`) and written (`w`); every element has `name`, `class`,
`config`, `ports` and `handlers`, too. Arguments are given in their order, or by keyword as `KEYWORD value`; those in
brackets may be left out.
"""


def elements() -> str:
    """The page."""
    kinds = [KINDS[name] for name in sorted(KINDS)]
    rows = [(f"[{code(kind.name)}](#{kind.name.lower()})", kind.ports, kind.processing, kind.doc) for kind in kinds]
    parts = [part for kind in kinds for part in _element(kind)]
    return page("Elements of micro functions", INTRODUCTION, table(("Class", "Ports", "Moves", "What"), rows), *parts)


def _element(kind: ElementKind) -> list[str]:
    handlers = ", ".join(code(one) for one in kind.handlers) or "none of its own"
    return [
        f"## {kind.name}",
        f"```text\n{kind.name}({signature(kind.name)})\n```",
        prose(inspect.getdoc(kind.config)).partition(" Handlers:")[0],
        f"Handlers: {handlers}.",
    ]
