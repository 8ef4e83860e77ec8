"""What the project's files say: no place of one machine, and a README that lets people start."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT, committed, name, python_files, text

PLACES = re.compile(r"(?<![\w.$}-])/(work|home/[a-z]+|Users/[A-Za-z]+|mnt/[a-z]+)/|(?<![\w.$}/-])/root/[a-z.]")
BINARY = {".png", ".tar", ".zip", ".csar", ".gz", ".ico"}


def test_no_file_names_a_place_of_one_machine() -> None:
    found = [
        f"{name(file)}: {place.group()}"
        for file in committed()
        if file.suffix not in BINARY
        for place in [PLACES.search(file.read_text(errors="replace"))]
        if place
    ]
    assert found == []


def test_the_pattern_finds_such_places() -> None:
    assert PLACES.search("see /" + "work/main") is not None
    assert PLACES.search("~/.config and $HOME/work/x") is None


def test_the_readme_names_the_two_commands() -> None:
    readme = text(ROOT / "README.md")
    blocks = re.findall(r"```\w*\n(.*?)```", readme, re.DOTALL)
    commands = {line.split("#")[0].strip() for block in blocks for line in block.splitlines()}
    assert {"make demo", "make test"} <= commands


def test_ci_runs_the_test_command_of_the_readme() -> None:
    assert "make test" in text(ROOT / ".ci" / "run")


def pages() -> list[Path]:
    """Every page but those of the documentation, whose links are checked when it is built."""
    return [file for file in committed() if file.suffix == ".md" and file.parts[len(ROOT.parts)] != "docs"]


def anchors(page: Path) -> set[str]:
    """What can be linked to in a page: its headings, as they are called where it is browsed."""
    headings = re.findall(r"^#+ (.+)$", text(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", pages(), ids=name)
def test_links_between_files_lead_somewhere(page: Path) -> None:
    found = re.findall(r"\]\((?!https?:)([^)\s]+)\)", text(page)) + re.findall(r'src="([^":]+)"', text(page))
    dead = []
    for link in found:
        file, _, anchor = link.partition("#")
        target = page.parent / file if file else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    assert dead == []


def test_the_readme_links_to_headings() -> None:
    assert "life-cycle-of-vnfs" in anchors(ROOT / "docs/reference/features.md")
    assert "features.md#life-cycle-of-vnfs" in text(ROOT / "README.md")


def test_the_architecture_names_modules_that_there_are() -> None:
    """The tree of `ARCHITECTURE.md`, and each module that its text names."""
    page = text(ROOT / "ARCHITECTURE.md")
    tree = re.findall(r"^[├└]── ([\w./]+)", page, re.MULTILINE)
    there = {one.name for one in (ROOT / "src/skerry").iterdir()} - {
        "__init__.py",
        "__main__.py",
        "__pycache__",
        "py.typed",
    }
    assert {one.rstrip("/") for one in tree} == there
    told = page.split("```")[3]  # the layers, behind the tree
    kept = text(ROOT / ".importlinter").partition("layers =\n")[2].partition("\n\n")[0]
    assert [line for line in told.split("\n") if line] == [
        re.sub(r"[() ]+", " ", line).strip() for line in kept.split("\n")
    ]
    named = {one.rstrip("/") for one in re.findall(r"`([a-z_0-9]+/[a-z_/0-9.]+)`", page)}
    roots = (ROOT, ROOT / "src/skerry")
    assert len(named) > 10
    assert [one for one in sorted(named) if not any((root / one).exists() for root in roots)] == []
    in_tree = {
        one
        for line in page.splitlines()
        if line.startswith(("├", "│", "└"))
        for one in re.findall(r"\b\w+\.py\b", line)
    }
    modules = {file.name for file in python_files("src/skerry")}
    assert sorted(in_tree - modules) == []


def test_the_explanation_names_every_package() -> None:
    page = text(ROOT / "docs/explanation/architecture.md").partition("| Package |")[2].partition("\n\n")[0]
    named = {
        one for line in page.splitlines() for one in re.findall(r"`(\w+)`", line.split("|")[1] if "|" in line else "")
    }
    packages = {one.name for one in (ROOT / "src/skerry").iterdir() if (one / "__init__.py").is_file()}
    assert {one for one in named if not (ROOT / f"src/skerry/{one}.py").is_file()} == packages


def _examples() -> list[Path]:
    kept = (one for one in (ROOT / "examples").iterdir() if not one.name.startswith(("_", ".")))
    return sorted(kept)


@pytest.mark.parametrize("example", _examples(), ids=lambda path: path.name)
def test_every_example_runs_in_some_test(example: Path) -> None:
    """A test names it, as `examples/NAME` or `"examples" / "NAME"`, or another example is built on it."""
    stem = re.escape(example.stem)
    named = re.compile(rf"""examples["'/ ,.]+{stem}\b|^(from|import) (examples\.)?{stem}\b""", re.MULTILINE)
    users = [file for file in python_files("tests", "examples") if "architecture" not in file.parts]
    assert [name(file) for file in users if file != example and named.search(text(file))] != []
