"""The harness of the benchmarks: that it measures, prints and merges. Never how fast this machine is today."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import __main__ as program
from benchmarks import core
from benchmarks.figures import Figure, Scale, beyond, merge

SMALL = ["--vim", "simulated", "--rounds", "2", "--burst", "3", "--bursts", "1"]


def test_a_run_prints_a_table_and_merges_its_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "latest.json"
    file.write_text('{"other.figure": 7, "instantiate.local_ms": -1}')
    assert program.main(["--only", "core", *SMALL, "--write", str(file)]) == 0
    found = json.loads(file.read_text())
    assert found["other.figure"] == 7
    assert found["instantiate.local_ms"] > 0
    assert found["instantiate50.local_s"] > 0
    assert "instantiate.local_ms" in capsys.readouterr().out


def test_an_unknown_suite_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        program.main(["--only", "nothing", "--write", str(tmp_path / "latest.json")])
    assert ended.value.code == 2
    assert "core" in capsys.readouterr().err


def test_only_figures_over_their_bound_are_named() -> None:
    known = {"a": Figure("", 1.0), "b": Figure("", 1.0), "c": Figure("")}
    assert beyond({"a": 1.0, "b": 1.1, "c": 99.0, "unknown": 5.0}, known) == ["b"]


def test_the_file_stays_flat_and_sorted(tmp_path: Path) -> None:
    file = tmp_path / "latest.json"
    merge(file, {"b": 2.0})
    merge(file, {"a": 1.0})
    assert list(json.loads(file.read_text()).items()) == [("a", 1.0), ("b", 2.0)]


class Scripted:
    """A side that takes as long as it is told, and notes what is asked of it."""

    def __init__(self, name: str, log: list[str]) -> None:
        self._name, self._log = name, log

    async def run(self, count: int) -> float:
        self._log.append(f"run {self._name} {count}")
        return float(len(self._log))

    async def clear(self) -> None:
        self._log.append(f"clear {self._name}")


async def test_sides_take_turns_and_another_one_begins_each_round() -> None:
    log: list[str] = []
    sides = {name: Scripted(name, log) for name in ("a", "b")}
    found = await core.in_turns(sides, 5, 2, lambda _: None)
    assert log == ["run a 5", "clear a", "run b 5", "clear b", "run b 5", "clear b", "run a 5", "clear a"]
    assert found == {"a": [1.0, 7.0], "b": [3.0, 5.0]}


async def test_every_figure_of_a_run_is_explained() -> None:
    found = await core.measure(Scale(rounds=1, burst=2, bursts=1, vim="simulated"), lambda _: None)
    assert found.keys() <= core.FIGURES.keys()
