"""What an operator does from the command line: explain, draw, compare, back up, restore, snapshot, discard, look back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from skerry.cli import root
from tests.cli.conftest import Served, environment, running, stop

KEPT = '[{"id": "sim", "type": "simulated", "settings": {"world": "kept", "persist": true}}]'


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Served]:
    """A node whose infrastructure survives it."""
    with running(tmp_path, vims=KEPT, packages=("server",)) as served:
        yield served


def instantiated(node: Served, name: str = "one") -> None:
    node("vnf", "create", "sipp-server", "--name", name)
    node("vnf", "instantiate", name)


def test_explain_draw_and_plan(node: Served, tmp_path: Path) -> None:
    node("vnf", "create", "sipp-server", "--name", "one")
    picture = tmp_path / "plan.svg"
    planned = node("vnf", "instantiate", "one", "--dry-run", "--svg", str(picture))
    assert "least loaded" in planned.stdout
    assert picture.read_text().startswith("<svg")
    assert "cannot draw" in node("vnf", "instantiate", "one", "--svg", str(picture), code=5).stderr
    assert (
        "cannot write"
        in node(
            "plan", "vnf.instantiate", "one", '{"flavourId": "default"}', "--svg", f"{tmp_path}/no/x.svg", code=5
        ).stderr
    )
    node("vnf", "instantiate", "one")
    again = tmp_path / "operation.svg"
    told = node("op", "explain", "one", "--svg", str(again)).stdout
    assert "vnf.instantiate is COMPLETED" in told
    assert "CHOSEN" in told
    assert again.read_text() == picture.read_text()
    assert node.json("op", "explain", "one")["verdicts"][0]["chosen"] is True


def test_what_failed_is_shown_where_it_failed(node: Served) -> None:
    node("vnf", "create", "sipp-server", "--name", "one")
    wrong = node("vnf", "instantiate", "one", "--param", "nothing=1", code=5)
    assert "nothing" in wrong.stderr
    operation = node("vnf", "instantiate", "one", "--detach").stdout.strip()
    node("op", "follow", operation)
    assert node("op", "explain", operation).stdout.count("100%") == 0


@pytest.mark.feature("A5")
def test_orphans(node: Served) -> None:
    instantiated(node)
    assert "none" in node("orphans").stderr
    assert node.json("orphans", "--vim", "sim") == {"orphans": [], "unanswered": {}}
    assert "cannot find" in node("orphans", "delete", "sim", "compute", "nobody", code=3).stderr
    assert "cannot find" in node("orphans", "adopt", "sim", "compute", "nobody", code=3).stderr
    assert "cannot find" in node("orphans", "recreate", "sim", "compute", "nobody", code=3).stderr


def test_back_up_restore_and_find_what_the_backup_does_not_know(node: Served, tmp_path: Path) -> None:
    instantiated(node, "one")
    file = tmp_path / "saved.tar"
    assert "MiB" in node("backup", str(file)).stdout
    assert "it exists" in node("backup", str(file), code=4).stderr
    instantiated(node, "two")
    data = str(tmp_path / "data")
    assert "stop the node" in node("restore", str(file), "--data-dir", data, code=4).stderr
    assert stop(node.process) == 0

    def run(*arguments: str, code: int = 0) -> str:
        result = CliRunner().invoke(root, list(arguments), env=environment(tmp_path), prog_name="skerry")
        assert result.exit_code == code, result.output
        return result.output

    assert "is whole" in run("restore", str(file), "--check")
    assert "skerry orphans" in run("restore", str(file), "--data-dir", data)
    (tmp_path / "bad.tar").write_bytes(file.read_bytes()[:4000])
    assert "cannot use" in run("restore", str(tmp_path / "bad.tar"), "--check", code=5)
    with running(tmp_path, vims=KEPT) as served:
        assert [vnf["name"] for vnf in served.json("vnf", "list")] == ["one"]
        assert served.json("vnf", "show", "one")["status"] == "ACTIVE"
        listed = served("orphans", code=7)
        assert "exists, nobody records it" in listed.stdout
        assert "skerry orphans delete sim" in listed.stderr
        for orphan in served.json("orphans", code=7)["orphans"]:
            served("orphans", "delete", orphan["vim"], orphan["kind"], orphan["name"], code=0)
        served("orphans")
        served("vnf", "heal", "one")  # from the package in the backup


def test_snapshots(node: Served) -> None:
    instantiated(node)
    node("exec", "--stdin", "one", "tee", "/var/state", stdin="before")
    node("vnf", "snapshot", "create", "one", "--name", "monday", "--dry-run")
    assert node.json("vnf", "snapshot", "list") == []
    node("vnf", "snapshot", "create", "one", "--name", "monday")
    assert "monday" in node("vnf", "snapshot", "list", "one").stdout
    assert node.json("vnf", "snapshot", "list")[0]["state"] == "READY"
    node("exec", "--stdin", "one", "tee", "/var/state", stdin="after")
    address = node.json("vnf", "show", "one")["vnfcs"][0]["addresses"]
    node("vnf", "snapshot", "revert", "one", "monday")
    assert node("exec", "one", "cat", "/var/state").stdout == "before"
    assert node.json("vnf", "show", "one")["vnfcs"][0]["addresses"] == address
    assert "runs from it" in node("vnf", "snapshot", "delete", "monday", code=4).stderr
    node("vnf", "discard", "one", "--yes")
    node("vnf", "snapshot", "delete", "monday")
    assert node.json("vnf", "snapshot", "list") == []
    assert node("vnf", "snapshot", "revert", "one", "monday", code=3)


def test_discard_asks_first(node: Served) -> None:
    instantiated(node)
    assert node("vnf", "discard", "one", code=1, stdin="n\n")
    assert node.json("vnf", "show", "one")["status"] == "ACTIVE"
    node("vnf", "discard", "one", stdin="y\n")
    assert node.json("vnf", "list") == []
    assert node.json("vim", "show", "sim")["resources"]["compute"] == []
    assert "none" in node("alarms").stderr
    assert "none" in node("alarms", "--rebuild").stderr


@pytest.mark.feature("A42", "D31")
def test_who_called_what_and_when(node: Served) -> None:
    instantiated(node)
    lines = [msgspec.json.decode(line) for line in node("events", "--kind", "audit", "--json").stdout.splitlines()]
    assert {line["kind"] for line in lines} == {"audit"}
    calls = [(line["data"]["method"], line["data"]["path"].rpartition("/")[2], line["state"]) for line in lines]
    assert ("POST", "vnf_instances", "201") in calls
    assert ("POST", "instantiate", "202") in calls
    assert all(line["name"] and line["time"] for line in lines)
    assert not any(method == "GET" for method, _, _ in calls)
    last = node("events", "--kind", "audit", "--last", "1000").stdout.splitlines()
    assert len(last) == len(lines)
    assert "ONBOARDED" in node("events", "--kind", "package").stdout
