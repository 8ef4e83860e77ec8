"""Documentation says what the code says."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from skerry.settings import Settings, Vim, describe
from skerry.vim.catalogue import driver_types, load
from tests.architecture.sources import ROOT, python_files, text
from tools import docs, packages_table
from tools.pages import benchmarks, etsi, features, overview

FIX = "run `make reference` and commit the result"


@pytest.mark.parametrize("name", sorted(docs.PAGES))
def test_a_generated_page_says_what_the_code_says(name: str) -> None:
    assert (ROOT / name).read_text() == docs.PAGES[name](), FIX


def test_the_coverage_page_says_what_is_served() -> None:
    folder = etsi.official()
    if folder is None:
        pytest.skip("ETSI's OpenAPI files are not at hand (SKERRY_ETSI)")
    assert (ROOT / "docs/reference/etsi-coverage.md").read_text() == etsi.coverage(folder), FIX


def test_the_table_of_packages_says_what_is_read() -> None:
    folder = packages_table.packages_folder()
    if folder is None:
        pytest.skip("the public packages are not at hand (SKERRY_ETSI)")
    assert (ROOT / "docs/reference/packages.md").read_text() == packages_table.table(folder), FIX


def test_every_setting_is_explained() -> None:
    assert [one.name for kind in (Settings, Vim) for one in describe(kind) if not one.text] == []


def test_every_setting_of_a_driver_is_on_its_page() -> None:
    page = text(ROOT / "docs/reference/drivers.md")
    missing = [
        f"{type_}.{field.name}"
        for type_ in driver_types()
        for field in msgspec.structs.fields(load(type_).settings_type)
        if f"| `{field.name}` |" not in page
    ]
    assert missing == []


def test_the_documentation_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "site" / "index.html").is_file()


def test_the_picture_shows_parts_that_exist() -> None:
    names = [box[4] for box in overview.BOXES if box[4] != "your program"]
    parts = {file.stem for file in python_files("src/skerry")} | {
        file.parent.name for file in python_files("src/skerry")
    }
    assert [one for one in names if one not in parts] == []


def test_every_row_that_was_delivered_is_shown_by_a_test() -> None:
    proofs = features.proofs(ROOT / "tests")
    assert [one.id for one in features.read() if one.due and one.id not in proofs] == []


def test_every_row_that_a_test_names_has_a_text() -> None:
    assert features.without_text() == set()


def test_markers_are_found_on_functions_classes_modules_and_parameters() -> None:
    source = """
pytestmark = pytest.mark.feature("M")

@pytest.mark.feature("F", "G")
def test_function(): ...

@pytest.mark.feature("C")
class TestClass:
    async def test_method(self): ...

@pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.feature("P"))])
def test_parameter(x): ...
"""
    found = dict(features.marked(ast.parse(source)))
    assert found == {
        "test_function": ["M", "F", "G"],
        "TestClass.test_method": ["M", "C"],
        "test_parameter": ["M", "P"],
    }


def test_figures_of_the_readme_come_from_the_measured_ones(tmp_path: Path) -> None:
    latest = tmp_path / "latest.json"
    latest.write_text('{"idle.rss_mb": 41.27, "other": 1}')
    readme = f"before\n{benchmarks.BEGIN}\nold\n{benchmarks.END}\nafter\n"
    made = benchmarks.figures(readme, latest)
    assert "| Memory of an idle node | 41.3 MB |" in made
    assert "old" not in made
    assert made.startswith("before\n")
    assert made.endswith("after\n")
    assert benchmarks.figures(made, latest) == made
