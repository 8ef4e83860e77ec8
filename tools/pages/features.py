"""The table of features: what is promised, and the tests that show it.

The texts are in `docs/features.toml`; the tests say which rows they show with `@pytest.mark.feature("ID", …)`, on a function,
a class, a module (`pytestmark`) or a parameter.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tools.pages import code, page, table

ROOT = Path(__file__).resolve().parents[2]
TEXTS = ROOT / "docs" / "features.toml"
SHOWN = 6
INTRODUCTION = """\
What Skerry does, row by row, and the tests that show it. A row is *shown* when at least one test of the suite proves it. The
identifiers are those that the tests carry as markers.
"""


class Feature(NamedTuple):
    """One row. `due`: it is part of what has been delivered, so a test must show it."""

    id: str
    area: str
    text: str
    due: bool


class Proof(NamedTuple):
    """A test that shows a row."""

    file: str
    test: str


def features(root: Path = ROOT) -> str:
    """The page."""
    known, found = read(root / TEXTS.relative_to(ROOT)), proofs(root / "tests")
    shown = sum(one.id in found for one in known)
    parts = [f"{shown} of {len(known)} rows are shown."]
    for area in dict.fromkeys(one.area for one in known):
        rows = [_row(one, found.get(one.id, ())) for one in known if one.area == area]
        parts += [f"## {area}", table(("Row", "What it does", "Tests", "State"), rows)]
    return page("Features", INTRODUCTION, *parts)


def read(file: Path = TEXTS) -> list[Feature]:
    """The rows in their order."""
    areas = tomllib.loads(file.read_text())["area"]
    return [
        Feature(id, area["name"], text, due=area.get("due", True))
        for area in areas
        for id, text in area["rows"].items()
    ]


def without_text(root: Path = ROOT) -> set[str]:
    """Identifiers that tests name and no text explains."""
    return set(proofs(root / "tests")) - {one.id for one in read(root / TEXTS.relative_to(ROOT))}


def proofs(folder: Path) -> dict[str, list[Proof]]:
    """Row -> the tests that show it, in the order of the files."""
    found: dict[str, list[Proof]] = {}
    for file in sorted(folder.rglob("test_*.py")):
        name = file.relative_to(folder.parent).as_posix()
        for test, ids in marked(ast.parse(file.read_text())):
            for id in ids:
                found.setdefault(id, []).append(Proof(name, test))
    return found


def marked(tree: ast.Module) -> Iterator[tuple[str, list[str]]]:
    """Each test of a module with the rows that it shows, those of its class and module included."""
    own = [id for node in tree.body if _is_pytestmark(node) for id in _ids(node)]
    yield from _tests(tree.body, own, "")


def _tests(body: Sequence[ast.stmt], ids: list[str], prefix: str) -> Iterator[tuple[str, list[str]]]:
    for node in body:
        if isinstance(node, ast.ClassDef):
            inner = [id for part in (*node.decorator_list, *filter(_is_pytestmark, node.body)) for id in _ids(part)]
            yield from _tests(node.body, ids + inner, f"{node.name}.")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            own = [id for part in node.decorator_list for id in _ids(part)]
            if every := list(dict.fromkeys(ids + own)):
                yield prefix + node.name, every


def _is_pytestmark(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "pytestmark" for t in node.targets)


def _ids(node: ast.AST) -> list[str]:
    calls = [one for one in ast.walk(node) if isinstance(one, ast.Call)]
    return [
        str(argument.value)
        for call in calls
        if isinstance(call.func, ast.Attribute) and call.func.attr == "feature"
        for argument in call.args
        if isinstance(argument, ast.Constant)
    ]


def _row(one: Feature, tests: Sequence[Proof]) -> tuple[str, ...]:
    return one.id, one.text, "<br>".join(_links(tests)), "shown" if tests else "open"


def _links(tests: Sequence[Proof]) -> Iterator[str]:
    files: dict[str, list[str]] = {}
    for proof in tests:
        files.setdefault(proof.file, []).append(proof.test)
    for file, names in files.items():
        link = f"[{file.removeprefix('tests/')}](../../{file})"
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        yield f"{link}: {', '.join(code(name) for name in names[:SHOWN])}{more}"
