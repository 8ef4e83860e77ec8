"""Completion of names and ids, in a real shell and for each shell that is served."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from skerry.cli import completing, known, root
from tests.cli.conftest import Served, running

BASH = """
eval "$(skerry completion bash)"
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*"
_skerry_completion skerry "${COMP_WORDS[-1]}" "${COMP_WORDS[-2]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A node with two packages and two VNFs of one name, and one whose name is two words."""
    with running(tmp_path_factory.mktemp("completion"), packages=("server", "client")) as node:
        for name in ("edge", "twin", "twin", "two words"):
            node("vnf", "create", "sipp-server", "--name", name)
        yield node


def completed(served: Served, *words: str) -> set[str]:
    """What the command line offers for the last of the words."""
    env = {**served.environment, "_SKERRY_COMPLETE": "bash_complete"}
    env |= {"COMP_WORDS": " ".join(("skerry", *words)), "COMP_CWORD": str(len(words))}
    told = CliRunner().invoke(root, [], env=env, prog_name="skerry", complete_var="_SKERRY_COMPLETE").output
    return {line.partition(",")[2] for line in told.splitlines() if line}


def test_bash_completes_names_of_what_the_node_has(site: Served) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash here")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"

    def asked(*words: str) -> list[str]:
        command = [bash, "--norc", "-c", BASH, "bash", "skerry", *words]
        env = {**os.environ, **site.environment, "PATH": path}
        return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout.split()

    assert asked("vnf", "show", "ed") == ["edge"]
    assert asked("vnf", "sca") == ["scale", "scale-to-level"]
    assert sorted(asked("vnf", "create", "sipp")) == ["sipp-client", "sipp-server"]


def test_ids_where_names_would_not_do(site: Served) -> None:
    ids = {one["id"]: one["name"] for one in site.json("vnf", "list")}
    unclear = {id[:8] for id, name in ids.items() if name != "edge"}
    assert completed(site, "vnf", "show", "") == {"edge", *unclear}
    (edge,) = (id for id, name in ids.items() if name == "edge")
    assert edge[:8] in completed(site, "vnf", "show", edge[:4])
    assert completed(site, "vnf", "show", edge[:12]) == {edge}


def test_packages_of_the_right_kind_and_options(site: Served) -> None:
    assert completed(site, "ns", "deploy", "") == set()
    assert completed(site, "package", "show", "sipp-s") == {"sipp-server"}
    assert completed(site, "orphans", "--vim", "") == {"sim"}
    assert completed(site, "op", "list", "--subject", "ed") == {"edge"}


def test_nothing_is_offered_and_nothing_said_where_no_node_answers(site: Served) -> None:
    assert completed(site, "--endpoint", "https://127.0.0.1:1", "vnf", "show", "") == set()


def test_every_kind_of_thing_can_be_listed(site: Served) -> None:
    assert set(completing.LISTS) == known.NAMES
    context = click.Context(root, info_name="skerry")
    assert set(WORDS) == known.NAMES
    assert completed(site, *WORDS["host"], "") == {"default"}
    assert completed(site, *WORDS["vim"], "") == {"sim"}
    for kind, words in WORDS.items():
        command: click.Command = root
        for word in words:
            if isinstance(command, click.Group):
                found = command.get_command(context, word)
                assert found is not None
                command = found
        kinds = {one.type.of for one in command.params if isinstance(one.type, known.Known)}
        assert kind in kinds, words
        assert "error" not in " ".join(completed(site, *words, "")).lower()


WORDS = {
    "agent": ("lvnf", "agents", "forget"),
    "app": ("app", "show"),
    "client": ("access", "client", "rotate"),
    "function": ("lvnf", "show"),
    "host": ("app", "host", "describe"),
    "image": ("image", "rm"),
    "job": ("pm", "reports"),
    "key": ("key", "rm"),
    "ns": ("ns", "show"),
    "nsd": ("ns", "deploy"),
    "object": ("pm", "measure"),
    "operation": ("op", "show"),
    "package": ("package", "show"),
    "snapshot": ("vnf", "snapshot", "delete"),
    "subject": ("plan", "vnf.heal"),
    "vim": ("vim", "show"),
    "vnf": ("vnf", "show"),
}
"""A command that takes each, up to where it does."""
