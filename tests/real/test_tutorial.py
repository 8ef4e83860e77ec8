"""What people are told to type works: the demo, and every command of the tutorial in its order."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from skerry.cli.exits import OPERATION_FAILED

ROOT = Path(__file__).resolve().parents[2]
TUTORIAL = ROOT / "docs" / "tutorial" / "first-service.md"

SEARCHED = f"{os.environ['PATH']}:/usr/sbin:/sbin"
NEEDED = ("runc", "conmon", "ip", "busybox", "sipp", "sgsnemu", "osmo-ggsn", "squid", "nft", "curl")
MISSING = [program for program in NEEDED if not shutil.which(program, path=SEARCHED)]

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]


def commands() -> list[str]:
    """The lines that the tutorial tells people to type in the order in which it does."""
    blocks = re.findall(r"```console\n(.*?)```", TUTORIAL.read_text(), re.DOTALL)
    return [line.removeprefix("$ ") for block in blocks for line in block.splitlines() if line.startswith("$ ")]


@pytest.fixture
def surroundings(tmp_path: Path) -> Iterator[Mapping[str, str]]:
    """The environment of somebody who follows the tutorial, with a node of their own that runs."""
    binaries = f"{Path(sys.executable).parent}:{SEARCHED}"
    own = {"SKERRY_DATA_DIR": str(tmp_path / "node"), "SKERRY_NODE": f"tut{uuid.uuid4().hex[:6]}", "PATH": binaries}
    env = {**os.environ, **own}
    with subprocess.Popen(["skerry", "up", "--port", "0"], env=env, stdout=subprocess.PIPE, text=True) as node:
        assert node.stdout is not None
        assert node.stdout.readline().startswith("https://")
        yield env
        node.terminate()
    left = subprocess.run(["ip", "netns", "list"], env=env, capture_output=True, text=True, check=True)
    assert own["SKERRY_NODE"] not in left.stdout


@pytest.mark.feature("A89", "D1")
def test_every_command_of_the_tutorial_works(surroundings: Mapping[str, str]) -> None:
    typed = commands()
    assert len(typed) > 10
    for command in typed:
        told = said(command, surroundings)
        if command == "skerry events --kind alarm":
            # "at once" to a reader; a loaded machine takes its time
            last = time.monotonic() + 60
            while re.findall("RAISED|CLEARED", told) != ["RAISED", "CLEARED"]:
                assert time.monotonic() < last, told
                time.sleep(0.2)
                told = said(command, surroundings)


def said(command: str, surroundings: Mapping[str, str]) -> str:
    """What a command prints; it must succeed. One that ends its instance may end with it, before it can say so."""
    done = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, env=surroundings, capture_output=True, text=True, check=False
    )
    ends_with_it = command.endswith(" -- kill 1") and done.returncode == OPERATION_FAILED
    assert done.returncode == 0 or ends_with_it, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_the_readme_types_what_the_tutorial_does() -> None:
    """Its commands are tried as those of the tutorial."""
    block = (ROOT / "README.md").read_text().partition("## Five minutes")[2].partition("```sh\n")[2].partition("```")[0]
    typed = (part.strip() for line in block.splitlines() for part in line.partition(" #")[0].split("&&"))
    wanted = {command for command in typed if command.startswith("skerry ") and not command.endswith("&")}
    assert len(wanted) > 8
    assert wanted - {*commands(), "skerry doctor"} == set()


@pytest.mark.feature("A89", "D1", "A63", "C40", "C80")
def test_the_demo_sees_everything_that_it_claims() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "demo.py"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
