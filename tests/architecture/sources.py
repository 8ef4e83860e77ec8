"""The project's own files, read once."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CODE = ("src", "tests", "tools", "examples", "benchmarks")

Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def python_files(*folders: str) -> tuple[Path, ...]:
    """Every Python file below these folders."""
    return tuple(sorted(file for folder in folders for file in (ROOT / folder).rglob("*.py")))


@cache
def text(file: Path) -> str:
    """A file's text."""
    return file.read_text()


@cache
def tree(file: Path) -> ast.Module:
    """A file's syntax tree."""
    return ast.parse(text(file), str(file))


def functions(file: Path) -> Iterator[Function]:
    """Every function and method of a file, inner ones too."""
    return (node for node in ast.walk(tree(file)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def length(function: Function) -> int:
    """Lines from its `def` to its end."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def name(file: Path) -> str:
    """A file's name as people write it."""
    return file.relative_to(ROOT).as_posix()


@cache
def committed() -> tuple[Path, ...]:
    """Every file that git knows or would take in; without git, all that is not hidden or made."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode == 0:
        found = [ROOT / one for one in listed.stdout.split("\0") if one]
    else:
        found = [file for folder in (*CODE, "docs", "changelog") for file in (ROOT / folder).rglob("*")]
    return tuple(sorted(file for file in found if file.is_file()))
