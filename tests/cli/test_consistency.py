"""What holds for every command: answers as JSON, ids shortened, questions asked, files that cannot be used, colours."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec
import pytest

from skerry.cli import root
from skerry.model.operations import EVENT_KINDS
from tests.api.rig import EXAMPLES
from tests.architecture.sources import python_files, text
from tests.cli.conftest import Served, running

TAPPED = '[{"id": "sim", "type": "simulated"}, {"id": "other", "type": "simulated"}]'


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A node with a package and a VNF."""
    with running(tmp_path_factory.mktemp("consistency"), vims=TAPPED, packages=("server",)) as node:
        node("vnf", "create", "sipp-server", "--name", "web")
        yield node


def leaves(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group, info_name=" ".join(("skerry", *path)))
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from leaves(command, (*path, name))
        else:
            yield (*path, name), command


ENDLESS = {("up",), ("lvnf", "agent"), ("top",)}
"""Commands that go on."""
NAMED = sorted(
    path
    for path, command in leaves(root)
    if path not in ENDLESS
    and path[:2] != ("app", "package")
    and any(isinstance(one, click.Argument) and one.required for one in command.params)
    and any("--json" in one.opts for one in command.params)
)
LISTS = sorted(
    path
    for path, command in leaves(root)
    if path not in ENDLESS
    and path not in {("config", "logout"), ("events",)}
    and not any(isinstance(one, click.Argument) and one.required for one in command.params)
    and any("--json" in one.opts for one in command.params)
)


@pytest.mark.parametrize("path", NAMED, ids=" ".join)
def test_what_is_not_there_is_told_as_json_with_what_to_do(site: Served, tmp_path: Path, path: tuple[str, ...]) -> None:
    """Every command that names something, with a name that nothing has."""
    command: click.Command = root
    for name in path:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command, info_name="skerry"), name)
        assert found is not None
        command = found
    words = [word for parameter in command.params for word in given(parameter, tmp_path)]
    before = ("--json", *words) if path == ("exec",) else (*words, "--json")
    result = site(*path, *before, code=OTHERWISE.get(path, 3))
    if result.exit_code:
        told = msgspec.json.decode(result.stderr.splitlines()[-1])  # behind what was asked
        assert told["exit_code"] == result.exit_code
        assert told["detail"]
        assert told["suggestion"]
    else:
        assert msgspec.json.decode(result.stdout)


def given(parameter: click.Parameter, folder: Path) -> list[str]:
    """A value for a parameter that must have one."""
    if isinstance(parameter.type, click.Choice):
        value = next(iter(parameter.type.choices))
    elif isinstance(parameter.type, click.types.FloatParamType):
        value = "1"
    elif parameter.name == "name":
        value = "somebody"  # is made
    else:
        value = str(folder / "nothing") if parameter.name in FILES else "nobody"
    if isinstance(parameter, click.Argument):
        return [value] if parameter.required else []
    if parameter.name == "secret":
        return ["--secret", "x"]
    if parameter.opts[0] == "--start":
        return ["--start", "nobody"]
    return [parameter.opts[0], value] if parameter.required else []


FILES = {"file", "folder", "source", "target", "key", "certificate", "cert", "manifest"}
OTHERWISE = {
    ("app", "host", "describe"): 5,  # by nothing
    ("backup",): 0,
    ("config", "login"): 6,
    ("config", "set"): 5,
    ("config", "unset"): 0,
    ("image", "add"): 5,
    ("key", "generate"): 0,
    ("package", "build"): 5,
    ("package", "import"): 2,
    ("app", "convert"): 5,
    ("restore",): 5,
    ("vim", "register"): 5,
    ("access", "client", "create"): 0,
    ("access", "quota", "set"): 5,  # to nothing
    ("access", "quota", "show"): 0,
}
"""Where a name that nothing has is no error, or not the first."""


@pytest.mark.parametrize("path", LISTS, ids=" ".join)
def test_every_list_is_json_also_when_it_is_empty(site: Served, path: tuple[str, ...]) -> None:
    told = site.json(*path, code=7 if path == ("doctor",) and os.geteuid() else 0)
    assert isinstance(told, list | dict)


@pytest.mark.parametrize("path", [path for path in LISTS if path != ("doctor",)], ids=" ".join)
def test_tables_fit_a_hundred_columns_and_have_no_ends_of_blanks(site: Served, path: tuple[str, ...]) -> None:
    lines = site(*path).stdout.splitlines()
    assert [line for line in lines if line != line.rstrip()] == []
    if path not in {("lvnf", "elements"), ("config", "show"), ("dataplane", "graph")}:  # texts; places of files
        assert max(map(len, lines), default=0) <= 100


def test_infrastructures_are_called_by_the_beginnings_of_their_names(site: Served) -> None:
    assert site.json("vim", "show", "oth")["vim"]["id"] == "other"
    assert site.json("orphans", "--vim", "oth") == {"orphans": [], "unanswered": {}}
    refused = site("orphans", "--vim", "nobody", code=3)
    assert "there are: other, sim" in refused.stderr
    placed = site("vnf", "instantiate", "web", "--dry-run")
    assert "nothing was done" in placed.stderr


def test_events_of_an_operation_by_the_beginning_of_its_id(site: Served) -> None:
    operation = site("vnf", "instantiate", "web", "--detach").stdout.strip()
    site("op", "follow", operation)
    whole = site("events", "--operation", operation).stdout
    assert "COMPLETED" in whole
    assert site("events", "--operation", operation[:8]).stdout == whole
    assert "grant" in site("events", "--kind", "grant").stdout
    site("vnf", "terminate", "web", "--force")


def test_every_kind_of_event_can_be_asked_for() -> None:
    told = set[str]()
    for file in python_files("src/skerry"):
        for node in ast.walk(ast.parse(text(file))):
            if isinstance(node, ast.Call):
                told |= set(kinds_of(node))
    assert told == set(EVENT_KINDS)


def kinds_of(call: ast.Call) -> Iterator[str]:
    """The kind of event that a call of the log, or of `Event`, is about, where it is written there."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    first = call.args[0] if call.args else None
    values: list[ast.expr] = []
    if name == "Event":
        values = [one.value for one in call.keywords if one.arg == "kind"]
    elif name == "add" and isinstance(first, ast.Name) and first.id == "tx":
        values = call.args[1:2]
    elif name == "say" and ast.unparse(call.func).endswith("events.say"):
        values = call.args[:1]
    yield from (str(one.value) for one in values if isinstance(one, ast.Constant))


def test_what_is_removed_for_good_is_asked_for(site: Served) -> None:
    for words in (("vnf", "discard", "web"), ("vnf", "discard", "web", "--json")):
        refused = site(*words, code=5)
        assert "nobody answers" in refused.stderr
        assert "--yes" in refused.stderr
    assert site("vnf", "discard", "web", code=1, stdin="n\n")
    assert site("orphans", "delete", "sim", "compute", "gone", "--foreign", code=5)
    assert "cannot find" in site("orphans", "delete", "sim", "compute", "gone", "--foreign", "--yes", code=3).stderr
    assert site("vnf", "show", "web").stdout


def test_files_that_are_no_text_are_refused(site: Served, tmp_path: Path) -> None:
    file = tmp_path / "picture"
    file.write_bytes(b"\xff\xfe\x00\x81")
    for words in (
        ("dataplane", "put", str(file)),
        ("dataplane", "topology", str(file)),
        ("key", "add", "mine", str(file)),
        ("vnf", "instantiate", "web", "--file", str(file)),
    ):
        assert "it is no text" in site(*words, code=5).stderr


def test_a_private_key_that_cannot_be_kept_is_not_made(site: Served, tmp_path: Path) -> None:
    assert "cannot write" in site("key", "generate", "lost", str(tmp_path / "no/folder"), code=5).stderr
    file = tmp_path / "mine"
    site("key", "generate", "mine", str(file))
    assert "PRIVATE KEY" in file.read_text()
    assert {one["name"] for one in site.json("key", "list")} - {"somebody"} == {"mine"}
    again = tmp_path / "again"
    site("key", "generate", "mine", str(again), code=4)
    assert not again.exists()
    assert "it exists" in site("key", "generate", "other", str(file), code=4).stderr
    site("key", "rm", "mine")


def test_a_download_is_whole_or_not_there(site: Served, tmp_path: Path) -> None:
    there = tmp_path / "copy.csar"
    size = site.json("package", "download", "sipp-server", "--output", str(there))["bytes"]
    assert there.stat().st_size == size > 1000
    refused = site("package", "download", "sipp-server", "--output", str(tmp_path / "no/copy"), code=5)
    assert "cannot write" in refused.stderr


def test_existing_vnfs_are_named_in_full(site: Served, tmp_path: Path) -> None:
    site("package", "onboard", str(EXAMPLES / "client"))
    site("package", "onboard", str(EXAMPLES / "service"))
    refused = site("ns", "deploy", "sip-service", "--use", "sipp_server", code=5)
    assert "write --use PROFILE=VNF" in refused.stderr
    refused = site("ns", "deploy", "sip-service", "--place", "sipp_server=nobody", code=3)
    assert "cannot find the VIM nobody" in refused.stderr
    assert site.json("ns", "list") == []


@pytest.mark.parametrize("words", [("package", "list"), ("vnf", "show", "nobody"), ("events",)], ids=" ".join)
def test_no_color(site: Served, words: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "skerry", *words]
    env = {**os.environ, **site.environment, "FORCE_COLOR": "1", "NO_COLOR": "1"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert "\x1b" not in done.stdout + done.stderr
    assert done.stdout + done.stderr


@pytest.mark.parametrize("words", [("lvnf", "elements"), ("events",), ("dataplane", "graph")], ids=" ".join)
def test_a_reader_who_has_enough_is_no_error_to_tell(site: Served, words: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "skerry", *words]
    env = {**os.environ, **site.environment, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.read(1)
        running.stdout.close()
        assert b"Traceback" not in running.stderr.read()


def test_a_host_that_was_only_described_is_forgotten(site: Served) -> None:
    site("app", "host", "describe", "peir", "--latency", "2")
    assert "peir" in {one["id"] for one in site.json("app", "host", "list")}
    site("app", "host", "release", "peir")
    assert "peir" not in {one["id"] for one in site.json("app", "host", "list")}
    site("app", "host", "release", "peir", code=3)
