"""Budgets that keep the code readable."""

from __future__ import annotations

import ast
import re
import statistics
import tomllib

from tests.architecture.sources import CODE, ROOT, functions, length, name, python_files, text, tree

MODULE_LINES, FUNCTION_LINES, MEDIAN_LINES, DEPENDENCIES = 600, 80, 12, 15
MOCKS_PER_LINE = 2 / 1000
VAGUE = {"utils", "util", "common", "helpers", "helper", "manager", "base", "misc"}
WIDE = {"Exception", "BaseException"}
UNFINISHED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b|raise NotImplemented" + "Error")


def test_modules_are_short() -> None:
    long = {name(file): text(file).count("\n") for file in python_files(*CODE)}
    assert {file: lines for file, lines in long.items() if lines > MODULE_LINES} == {}


def test_functions_are_short() -> None:
    long = {
        f"{name(file)}:{function.name}": length(function)
        for file in python_files(*CODE)
        for function in functions(file)
        if length(function) > FUNCTION_LINES
    }
    assert long == {}


def test_the_median_function_is_very_short() -> None:
    lengths = [length(function) for file in python_files("src") for function in functions(file)]
    assert statistics.median(lengths) <= MEDIAN_LINES


def test_branches_are_bounded_by_the_linter() -> None:
    """`make check` runs the linter; this makes sure that its bounds stay."""
    lint = tomllib.loads(text(ROOT / "pyproject.toml"))["tool"]["ruff"]["lint"]
    assert {"C90", "PL", "BLE", "T20"} <= set(lint["select"])
    assert lint["mccabe"]["max-complexity"] <= 10
    assert lint["pylint"]["max-branches"] <= 10
    assert not {"C901", "PLR0912", "PLR0915", "BLE001"} & set(lint["ignore"])


def test_rules_of_size_are_not_switched_off_in_the_code() -> None:
    excused = re.compile(r"noqa:[^#\n]*\b(C901|PLR0912|PLR0915)\b")
    assert [name(file) for file in python_files(*CODE) if excused.search(text(file))] == []


def test_the_core_has_few_dependencies() -> None:
    project = tomllib.loads(text(ROOT / "pyproject.toml"))["project"]
    assert len(project["dependencies"]) <= DEPENDENCIES


def test_tests_use_real_parts() -> None:
    files = [file for file in python_files("tests") if "architecture" not in file.parts]
    mock = re.compile(r"unittest\.mock|\bmonkeypatch\b.*\bsetattr\(|\bmocker\b")
    mocks = sum(len(mock.findall(text(file))) for file in files)
    assert mocks <= MOCKS_PER_LINE * sum(text(file).count("\n") for file in files)


def test_every_module_says_what_it_is() -> None:
    silent = [file for file in python_files(*CODE) if ast.get_docstring(tree(file)) is None]
    assert [name(file) for file in silent if text(file) or "src" in file.parts] == []


def test_names_say_something() -> None:
    vague = [name(file) for file in python_files(*CODE) if {file.stem, file.parent.name} & VAGUE]
    assert vague == []


def test_nothing_is_left_unfinished() -> None:
    files = [*python_files(*CODE), *(ROOT / "tools").glob("*.sh"), ROOT / "Makefile"]
    assert [name(file) for file in files if UNFINISHED.search(text(file))] == []


def test_only_the_engine_and_the_border_catch_everything() -> None:
    caught = {
        name(file)
        for file in python_files("src")
        for node in ast.walk(tree(file))
        if isinstance(node, ast.ExceptHandler) and _catches_all(node)
    }
    # The store hands a failed write's error to whoever awaits the write.
    assert caught <= {"src/skerry/engine/run.py", "src/skerry/api/problem.py", "src/skerry/store/database.py"}


def _catches_all(handler: ast.ExceptHandler) -> bool:
    """`except:`, `except Exception:` and wider; what is raised again or handed to a future is not swallowed."""
    wide = handler.type is None or (isinstance(handler.type, ast.Name) and handler.type.id in WIDE)
    return wide and not any(
        isinstance(node, ast.Raise) or (isinstance(node, ast.Attribute) and node.attr == "set_exception")
        for node in ast.walk(handler)
    )
