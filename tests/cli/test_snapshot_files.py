"""Snapshots leave a node as files and come back for other VNFs, from the command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Served, running
from tests.cli.test_operator import instantiated


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Served]:
    with running(tmp_path, packages=("server",)) as served:
        yield served


@pytest.mark.feature("A29", "A45")
def test_a_snapshot_goes_by_file_to_another_vnf(node: Served, tmp_path: Path) -> None:
    instantiated(node)
    node("exec", "--stdin", "one", "tee", "/var/state", stdin="before")
    node("vnf", "snapshot", "create", "one", "--name", "monday")
    file = tmp_path / "monday.zip"
    told = node.json("vnf", "snapshot", "export", "monday", "-o", str(file))
    assert (told["file"], told["bytes"]) == (str(file), file.stat().st_size)
    node("vnf", "discard", "one", "--yes")
    node("vnf", "snapshot", "delete", "monday")
    node("vnf", "create", "sipp-server", "--name", "two")
    node("vnf", "instantiate", "two")
    made = node("vnf", "snapshot", "import", str(file), "two").stdout.strip()
    node("vnf", "snapshot", "revert", "two", "monday")
    assert node("exec", "two", "cat", "/var/state").stdout == "before"
    assert [one["id"] for one in node.json("vnf", "snapshot", "list")] == [made]


def test_what_is_no_snapshot_is_told(node: Served, tmp_path: Path) -> None:
    instantiated(node)
    file = tmp_path / "wrong.zip"
    assert "cannot read" in node("vnf", "snapshot", "import", str(file), "one", code=5).stderr
    file.write_bytes(b"no zip")
    assert "cannot read the archive" in node("vnf", "snapshot", "import", str(file), "one", code=5).stderr
    assert node.json("vnf", "snapshot", "list") == []
