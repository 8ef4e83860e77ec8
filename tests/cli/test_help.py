"""Help: an example of every command, which the command line itself would take; first sentences whole; misuse told."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import click
import msgspec
import pytest
from click.testing import CliRunner, Result

from skerry.cli import examples, root
from tools.pages.cli import cli as page

ALL = sorted({line for lines in examples.EXAMPLES.values() for line in lines})


def ran(*words: str, code: int) -> Result:
    result = CliRunner().invoke(root, list(words), prog_name="skerry")
    assert result.exit_code == code, result.output
    return result


def paths(group: click.Group, context: click.Context) -> Iterator[str]:
    """The words of every command below a group, its own aliases left out."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        inner = click.Context(command, info_name=name, parent=context)
        yield inner.command_path.removeprefix("skerry ")
        if isinstance(command, click.Group):
            yield from paths(command, inner)


def words_of(example: str) -> list[str]:
    """What the command line gets of an example: the words of `skerry`, without the shell's own."""
    found = re.search(r"skerry (.+?)(?:\)\"| > .*)?$", example)
    assert found is not None, example
    return shlex.split(found[1])


def test_every_command_has_an_example_and_every_example_a_command() -> None:
    known = set(paths(root, click.Context(root, info_name="skerry")))
    assert [path for path in sorted(known) if not examples.of(path)] == []
    assert sorted(set(examples.EXAMPLES) - known) == []
    assert [
        path
        for path, lines in examples.EXAMPLES.items()
        if not all(f"skerry {path} " in f"{one} " for one in lines[:1])
    ] == []


@pytest.mark.parametrize("example", ALL)
def test_the_command_line_takes_its_examples(example: str) -> None:
    """Every word is parsed as it would be; nothing is run."""
    context, words = click.Context(root, info_name="skerry"), words_of(example)
    command: click.Command = root
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name, *words = words
        found = command.get_command(context, name)
        assert found is not None, example
        command = found
        context = click.Context(command, info_name=name, parent=context)
    command.make_context(command.name, words, parent=context.parent)


def test_examples_are_in_the_help_and_on_the_page() -> None:
    assert "Examples:\n    skerry vnf heal web\n" in ran("vnf", "heal", "--help", code=0).stdout
    told = ran("app", "package", "enable", "--help", code=0).stdout
    assert "skerry package enable sipp-client" in told
    assert "skerry vnf scale web --aspect workers --steps 2 --in" in page()


@pytest.mark.parametrize("group", [(), ("app",), ("vim", "image")])
def test_lists_of_commands_cut_nothing_off(group: tuple[str, ...]) -> None:
    told = ran(*group, "--help", code=0).stdout
    assert "..." not in told.partition("Commands:")[2]
    assert max(map(len, told.splitlines())) <= 80


def test_misuse_is_told_to_people_and_to_programs() -> None:
    people = ran("vnf", "scale", "--bogus", code=2)
    assert "Try 'skerry vnf scale --help'" in people.stderr
    told = msgspec.json.decode(ran("vnf", "scale", "--bogus", "--json", code=2).stderr)
    assert told["exit_code"] == 2
    assert "--bogus" in told["detail"]
    assert told["suggestion"] == "`skerry vnf scale --help`"


@pytest.mark.parametrize(
    "words",
    [("lint", "/nowhere"), ("lvnf", "check", "/nowhere"), ("package", "sign", "/nowhere", "--key=a", "--cert=b")],
)
def test_commands_without_a_node_tell_errors_as_json_too(words: tuple[str, ...]) -> None:
    told = msgspec.json.decode(ran(*words, "--json", code=3).stderr)
    assert told["error"] == "NotFound"
    assert told["suggestion"]


def test_what_is_run_inside_an_instance_may_have_a_json_of_its_own() -> None:
    nowhere = ("--endpoint", "https://127.0.0.1:1", "exec")
    assert ran(*nowhere, "--json", "web", "--", "ip", code=8).stderr.startswith("{")
    assert ran(*nowhere, "web", "--", "ip", "--json", code=8).stderr.startswith("error: cannot reach")
