"""A node as a process of its own, with micro network functions, as a user of the command line has it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from skerry.vim.local import supervise
from tests.cli.conftest import Served, start, stop
from tests.conformance.rigs import lacking
from tests.real.conftest import HERE

pytestmark = pytest.mark.real
VIMS = '[{"id": "one", "type": "lvnf"}, {"id": "two", "type": "lvnf"}]'


class Nodes:
    """A node that can be killed and started again on its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.served = Served(folder, start(folder, vims=VIMS))

    def killed(self) -> None:
        self.served.process.send_signal(signal.SIGKILL)
        self.served.process.communicate()

    def again(self) -> None:
        self.served = Served(self.folder, start(self.folder, vims=VIMS))


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Nodes]:
    if reason := lacking("ip"):
        pytest.skip(reason)
    made = Nodes(tmp_path)
    try:
        yield made
    finally:
        for vnf in made.served.json("vnf", "list"):
            made.served("vnf", "terminate", vnf["id"], "--force")
        assert stop(made.served.process) == 0
    assert [name for name in os.listdir("/run/netns") if str(tmp_path) in name] == []


def deployed(node: Nodes) -> dict[str, Any]:
    """A function that runs on the VIM one."""
    node.served("package", "onboard", str(HERE / "functions" / "answerer"))
    made = node.served.json("vnf", "create", "answerer", "--name", "answers")
    placed = node.folder / "placed.json"
    placed.write_text('{"flavourId": "default", "additionalParams": {"placement": {"unit": "one"}}}')
    planned = node.served("vnf", "instantiate", made["id"], "--file", str(placed), "--dry-run")
    assert "unit-0 as a micro network function" in " ".join(planned.output.split())
    node.served("vnf", "instantiate", made["id"], "--file", str(placed))
    (shown,) = node.served.json("lvnf", "list")
    return dict(shown)


@pytest.mark.feature("C15", "C28", "C29", "C30", "C31")
def test_it_is_shown_asked_swapped_and_moved(node: Nodes) -> None:
    made = deployed(node)
    served = node.served
    assert (made["state"], made["backend"], made["vim"], made["vnf_name"]) == ("running", "process", "one", "answers")
    assert "configuration" not in made
    table = served("lvnf", "list").stdout
    assert "process" in table
    shown = served("lvnf", "show", "answers").stdout
    assert "the descriptor asks for it" in shown
    assert "spawning" in shown
    assert "way :: Switch($WAY)" in shown
    assert {"handler": "way.switch", "kind": "both"} in served.json("lvnf", "handlers", "answers")
    assert "answered.count" in served("lvnf", "handlers", made["id"]).stdout
    assert served("lvnf", "read", "answers", "way").stdout == "0\n"
    served("lvnf", "write", "answers", "way.switch", "1")
    assert served.json("lvnf", "read", "answers", "way")["value"] == "1"
    refused = served("lvnf", "write", "answers", "way", "seven", code=5)
    assert "cannot" in refused.stderr
    served("lvnf", "read", "answers", "nosuch.count", code=3)
    served("lvnf", "show", "nosuch", code=3)
    text = (HERE / "functions/answerer/Files/answer.click").read_text()
    changed = node.folder / "changed.click"
    changed.write_text(text.replace("-> Unstrip(14)", "-> turned :: Counter -> Unstrip(14)"))
    assert served.json("lvnf", "swap", "answers", str(changed))["configuration"] == changed.read_text()
    assert served("lvnf", "read", "answers", "turned.count").stdout == "0\n"
    assert served("lvnf", "read", "answers", "way").stdout == "1\n"
    broken = served("lvnf", "swap", "answers", "-", stdin="FromDevice(eth0) -> Nosuch;", code=5)
    assert "1:" in broken.stderr
    served("lvnf", "swap", "answers", "/nosuch/file", code=3)
    planned = served.json("lvnf", "migrate", "answers", "two", "--dry-run")
    assert {step["action"] for step in planned["steps"]} >= {"function.leave", "function.arrive"}
    assert served.json("lvnf", "list")[0]["vim"] == "one"
    served("lvnf", "migrate", "answers", "two")
    moved = served.json("lvnf", "show", "answers")
    assert (moved["state"], moved["vim"]) == ("running", "two")
    assert moved["downtime_ms"] >= 0
    assert moved["configuration"] == changed.read_text()
    assert served("lvnf", "read", "answers", "way").stdout == "1\n"
    assert "ms when it moved" in served("lvnf", "show", "answers").stdout


@pytest.mark.feature("C28")
def test_it_goes_on_when_the_node_is_killed(node: Nodes) -> None:
    deployed(node)
    node.served("lvnf", "write", "answers", "way", "1")
    (pid,) = _processes(node.folder)
    node.killed()
    assert supervise.identify(pid) is not None
    node.again()
    assert node.served("lvnf", "read", "answers", "way").stdout == "1\n"
    assert _processes(node.folder) == [pid]


@pytest.mark.feature("C31")
def test_a_node_killed_while_it_moves_one_goes_on_with_the_move(node: Nodes) -> None:
    deployed(node)
    node.served("lvnf", "write", "answers", "way", "1")
    node.served("lvnf", "migrate", "answers", "two", "--detach")
    node.killed()
    node.again()
    (operation,) = [one for one in node.served.json("op", "list") if one["kind"] == "vnf.migrate"]
    node.served("op", "follow", operation["id"])
    assert node.served.json("lvnf", "show", "answers")["vim"] == "two"
    assert node.served("lvnf", "read", "answers", "way").stdout == "1\n"


def _processes(folder: Path) -> list[int]:
    """The processes of functions below a folder."""
    found = []
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            where = os.readlink(f"/proc/{pid}/cwd")
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if where.startswith(str(folder)) and b"zygote" in command:
            found.append(int(pid))
    return found
