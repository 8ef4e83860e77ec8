"""`skerry lvnf check` and `elements`: no node is needed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from skerry.cli import root

GOOD = 'require(package "click"); FromDevice(eth0) -> c :: Counter -> ToDevice(eth1);\n'
BAD = "FromDevice(eth0) -> c :: Countr(1)\n  -> Paint(red) -> ToDevice(eth1);\n"


def test_a_good_configuration_passes(tmp_path: Path) -> None:
    file = tmp_path / "good.click"
    file.write_text(GOOD)
    result = CliRunner().invoke(root, ["lvnf", "check", str(file), "--json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.output)
    assert told == {
        "ok": True,
        "faults": [],
        "elements": ["FromDevice@1", "c", "ToDevice@3"],
        "devices": ["eth0", "eth1"],
    }


@pytest.mark.feature("C29")
def test_faults_are_shown_in_the_text(tmp_path: Path) -> None:
    file = tmp_path / "bad.click"
    file.write_text(BAD)
    result = CliRunner().invoke(root, ["lvnf", "check", str(file)])
    assert result.exit_code == 5
    lines = result.output.splitlines()
    assert lines[0] == f'{file}:1:21: error there is no class "Countr"'
    assert lines[1].strip() == BAD.splitlines()[0]
    assert lines[2].index("^") - 4 == BAD.index("c ::")
    assert 'did you mean "Counter"' in lines[3]
    assert any("2:12: error" in line and "red" in line for line in lines)


@pytest.mark.feature("C29")
def test_faults_for_programs(tmp_path: Path) -> None:
    file = tmp_path / "bad.click"
    file.write_text(BAD)
    result = CliRunner().invoke(root, ["lvnf", "check", str(file), "--json"])
    told = json.loads(result.output)
    assert [(fault["line"], fault["column"]) for fault in told["faults"]] == [(1, 21), (2, 12)]


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    result = CliRunner().invoke(root, ["lvnf", "check", str(tmp_path / "none.click")])
    assert result.exit_code == 3
    assert "cannot read" in result.output


@pytest.mark.feature("C28")
def test_elements_are_listed() -> None:
    result = CliRunner().invoke(root, ["lvnf", "elements", "--json"])
    told = {one["name"]: one for one in json.loads(result.output)}
    assert told["Strip"]["arguments"] == "LENGTH"
    assert "count rw" in told["Counter"]["handlers"]
    assert all(one["doc"] for one in told.values())


def test_values_of_variables_are_given(tmp_path: Path) -> None:
    file = tmp_path / "asks.click"
    file.write_text("FromDevice(eth0) -> IPEncap(4, $ETH0_IP, $PEER) -> ToDevice(eth0);")
    lacking = CliRunner().invoke(root, ["lvnf", "check", str(file)])
    assert lacking.exit_code == 5
    assert "the variable $PEER has no value" in lacking.output
    assert CliRunner().invoke(root, ["lvnf", "check", str(file), "--set", "PEER=10.0.0.9"]).exit_code == 0
