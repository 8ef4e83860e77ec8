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


@pytest.mark.parametrize("page", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_links_between_files_lead_somewhere(page: str) -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", text(ROOT / page)) + re.findall(
        r'src="([^":]+)"', text(ROOT / page)
    )
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


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
